//! SQLite: a database that is written to without a pause, and whether a copy of it is whole.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::must;

/// In both tables each row has the number of the transaction, which writes 60 KB.
const TRANSACTION: &str =
    "begin; update a set n = n + 1, x = randomblob(3000); update b set n = n + 1; commit;";

/// One after the other, for as long as this test lives. `program` is setpriv(1).
pub fn writer(mut program: Command, database: &Path, mode: &str) -> Command {
    let make = format!(
        "pragma journal_mode={mode}; create table a(n, x); create table b(n); insert into b values(1);\
         with recursive c(x) as (select 1 union all select x + 1 from c where x < 20)\
         insert into a select 1, randomblob(3000) from c;"
    );
    must(Command::new("sqlite3").arg(database).arg(make));
    let script = "(echo 'pragma synchronous=off; pragma wal_autocheckpoint=50;'; yes \"$0\") | exec sqlite3 \"$1\"";
    program.args(["--pdeathsig", "KILL", "sh", "-c", script, TRANSACTION]).arg(database);
    program
}

/// What is wrong with it, read without the journal that would undo half a transaction.
pub fn fault(database: &Path) -> Option<String> {
    let journal = database.with_extension("db-journal");
    let hot = fs::metadata(&journal).is_ok_and(|journal| journal.len() > 0);
    let _ = fs::remove_file(journal);
    // It is made anew from the log.
    let _ = fs::remove_file(database.with_extension("db-shm"));
    let question = "pragma integrity_check; \
                    select (select count(distinct n) from a) || (select max(n) from a) = 1 || (select n from b);";
    let output = Command::new("sqlite3").arg(database).arg(question).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    match (said.as_ref(), hot) {
        ("ok\n1\n", false) => None,
        ("ok\n1\n", true) => Some("a hot journal".into()),
        (said, _) => Some(said.chars().take(200).collect()),
    }
}
