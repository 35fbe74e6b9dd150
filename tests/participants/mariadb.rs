//! MariaDB, by both of its participants, and its bad days.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::command::Place;
use crate::common::{has, is_root, ms, must, start, until};
use crate::databases::{Server, feed, folder, serve, text, words};
use crate::store::Store;

struct MariaDb {
    socket: String,
    server: Option<Server>,
    data: PathBuf,
}

impl MariaDb {
    fn start(place: &Place) -> MariaDb {
        let folder = folder(place, "mysql");
        let data = folder.join("data");
        let mut install = Command::new("mariadb-install-db");
        install.args([
            "--no-defaults",
            "--user=mysql",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ]);
        must(install.arg(format!("--datadir={}", data.display())).env("TMPDIR", &folder));
        let socket = folder.join("s").display().to_string();
        let mut arguments = words(&[
            "--no-defaults",
            "--skip-networking",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=16M",
            "--innodb-log-file-size=8M",
        ]);
        arguments.push(format!("--datadir={}", data.display()));
        arguments.push(format!("--socket={socket}"));
        arguments.push(format!("--tmpdir={}", folder.display()));
        let server = Some(serve("mysql", "mariadbd", &arguments));
        let one = MariaDb { socket, server, data };
        until("MariaDB answers", || {
            one.client().args(["-e", "DO 1"]).output().unwrap().status.success()
        });
        one.run(
            "CREATE DATABASE t; USE t;
             CREATE TABLE i (a INT AUTO_INCREMENT PRIMARY KEY) ENGINE=InnoDB;
             CREATE TABLE r (a INT AUTO_INCREMENT PRIMARY KEY) ENGINE=Aria;
             CREATE TABLE m (a INT AUTO_INCREMENT PRIMARY KEY) ENGINE=MyISAM;
             CREATE TABLE slow (a INT) ENGINE=MyISAM;
             CREATE TABLE once (a INT) ENGINE=InnoDB;
             CREATE USER plain@localhost IDENTIFIED BY 'right'; GRANT ALL ON t.* TO plain@localhost;",
        );
        one
    }

    fn arguments(&self) -> Vec<String> {
        vec!["--no-defaults".into(), format!("--socket={}", self.socket), "--user=root".into()]
    }

    fn client(&self) -> Command {
        let mut client = Command::new("mariadb");
        client.args(self.arguments()).args(["--batch", "--skip-column-names"]);
        client
    }

    fn run(&self, sql: &str) -> String {
        text(must(self.client().args(["-e", sql])).stdout)
    }

    fn written(&self) -> Vec<u64> {
        let tables = ["i", "r", "m"].map(|table| format!("(SELECT COUNT(*) FROM t.{table})"));
        let counts = self.run(&format!("SELECT {}", tables.join(",")));
        counts.split_whitespace().map(|count| count.parse().unwrap()).collect()
    }

    fn writers(&self) -> Vec<Server> {
        let insert = |table| {
            feed(&format!("INSERT INTO t.{table} VALUES ();"), "mariadb", &self.arguments())
        };
        ["i", "i", "r", "m"].map(insert).into()
    }

    /// A session that has said this, and stays.
    fn session(&self, sql: &str) -> Server {
        let mut command = Command::new("sh");
        let script =
            r#"sql=$1; shift; (printf '%s\n' "$sql"; exec sleep 60) | "$@" >/dev/null 2>&1"#;
        command.args(["-c", script, "sh", sql, "mariadb"]).args(self.arguments());
        let session = Server(start(command));
        std::thread::sleep(ms(300));
        session
    }
}

#[test]
fn mariadb_stands_still_and_goes_on() {
    mariadb_by("mariadb");
}

/// MySQL itself is not here: MariaDB understands the same statements.
#[test]
fn mariadb_stands_still_by_what_mysql_understands() {
    mariadb_by("mysql");
}

fn mariadb_by(participant: &'static str) {
    if !is_root() || !has(&["mariadbd", "mariadb", "setpriv"]) {
        return;
    }
    let place = Place::new();
    let mut server = MariaDb::start(&place);
    let writers = server.writers();
    let store = Store {
        place: &place,
        participant,
        arguments: server.arguments(),
        written: Some(&|| server.written()),
        write: &|| drop(server.run("INSERT INTO t.once VALUES (1)")),
    };
    store.must_behave();
    let pid = fs::read_to_string(server.data.join(pid_file(&server.data))).unwrap();
    assert_eq!(store.ready("dash").covers, [pid.trim().parse::<u32>().unwrap()]);
    bad_days_of_mariadb(&server, &store);
    drop(writers);

    // Ended while it stood still: that is not passed over.
    let mut driven = store.ready("dash");
    driven.ask("freeze 10000", "frozen");
    server.server = None;
    driven.say("thaw");
    until("it has ended", || driven.has_ended());
    assert_eq!(driven.heard(), None);
    let (code, complaints) = driven.end();
    assert!(code != 0 && complaints[0].contains("ERROR 20"), "{code} {complaints:?}");

    let socket = format!("--socket={}", server.socket);
    let store =
        Store { place: &place, participant, arguments: vec![], written: None, write: &|| () };
    store.cannot(&["--no-defaults", &socket], ms(5000), &["Can't connect", &server.socket]);
}

fn pid_file(data: &Path) -> PathBuf {
    let names = crate::common::names(data);
    names.into_iter().find(|name| name.ends_with(".pid")).unwrap().into()
}

fn bad_days_of_mariadb(server: &MariaDb, store: &Store) {
    let socket = format!("--socket={}", server.socket);
    let as_plain =
        |password| ["--no-defaults", &socket, "--user=plain", password].map(str::to_owned);
    let cannot = |arguments: &[String], parts: &[&str]| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        store.cannot(&arguments, ms(3000), parts);
        (store.write)();
    };
    cannot(&as_plain("--password=wrong"), &["Access denied", "plain"]);
    cannot(&as_plain("--password=right"), &["RELOAD"]);
    if store.participant == "mariadb" {
        let other = server.session("BACKUP STAGE START;");
        cannot(&server.arguments(), &["another backup"]);
        drop(other);
    }
    // What takes long and writes nothing, and what is under way and has written: neither holds it up, and the
    // transaction is not finished in the pause.
    let _slow = server.session("SELECT SLEEP(4);");
    let _open = server.session("BEGIN; INSERT INTO t.once VALUES (2);");
    let mut driven = store.ready("dash");
    let took = driven.ask("freeze 10000", "frozen");
    assert!(took < ms(1500), "{took:?}");
    driven.ask("thaw", "thawed");
    drop(driven);
    // A statement that writes for long to a table without transactions is waited for, not without limit.
    let slow = server.session("INSERT INTO t.slow SELECT a + SLEEP(0.1) FROM t.i LIMIT 30;");
    cannot(&server.arguments(), &["a statement that takes long"]);
    drop(slow);
    let running =
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'INSERT INTO t.slow%'";
    until("the server has given it up", || server.run(running).trim() == "0");
}
