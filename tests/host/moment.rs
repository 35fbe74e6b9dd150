//! One moment across stores of six kinds.
//!
//! Twenty clients, each of which delivers a message, and then counts it in MariaDB, then in Redis, then in SQLite, then in
//! PostgreSQL, if that can be had and frozen. In a copy of one moment each store has seen what the one before has, or one message less. A copy that takes one store after
//! the other finds messages that are counted and are not there.

use std::path::Path;
use std::process::Command;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::dovecot::{Dialogue, Dovecot, imap_program};
use crate::common::{Over, has, is_root, must, root, skip, until};
use crate::dovecot::{END, messages};
use crate::figures::{copies, distribution, say};
use crate::host::{Host, How, Taken};
use crate::postgresql::{self, PostgreSql};
use crate::servers::{Server, Session, by_number, folder, install_mariadb, mariadb, redis};

const CLIENTS: usize = 20;

/// Every other one has a Maildir.
fn format(client: usize) -> &'static str {
    ["mdbox", "maildir"][client % 2]
}

fn location(stores: &Path, client: usize) -> String {
    format!("{}:{}/mail/{client}", format(client), stores.display())
}

struct Stores {
    mail: Dovecot,
    mariadb: Server,
    redis: Server,
    postgresql: Option<(PostgreSql, Server)>,
}

impl Stores {
    fn start(host: &Host) -> Stores {
        for name in ["mail", "sqlite"] {
            host.store(name);
        }
        let stores = host.stores();
        let data = folder(stores.join("mariadb"));
        install_mariadb(&data);
        let mariadb = mariadb(&data, host.place("mariadb.sock"));
        let mut session = Session::mariadb(&mariadb);
        session.ask("create database c; use c");
        for (table, engine) in TABLES.iter().zip(["InnoDB", "Aria transactional=0", "MyISAM"]) {
            let rows: Vec<_> = (0..CLIENTS)
                .filter(|client| table_of(*client) == *table)
                .map(|c| format!("({c},0)"))
                .collect();
            session.ask(&format!(
                "create table {table}(number int primary key, n int) engine={engine}"
            ));
            session.ask(&format!("insert into {table} values {}", rows.join(",")));
        }
        let rows: Vec<_> = (0..CLIENTS).map(|client| format!("({client},0)")).collect();
        let make = format!(
            "pragma journal_mode=wal; create table t(number integer primary key, n); insert into t values {};",
            rows.join(",")
        );
        must(Command::new("sqlite3").arg(stores.join("sqlite/it.db")).arg(make));
        let redis = redis(&folder(stores.join("redis")), host.place("redis.sock"));
        let postgresql = PostgreSql::find().map(|it| {
            it.install(&stores.join("postgresql"));
            let server = it.start(&stores.join("postgresql"), host.place("postgresql"), false);
            let mut session = postgresql::session(&server);
            session.ask("create table t (number int primary key, n int)");
            session.ask(&format!("insert into t values {}", rows.join(",")));
            (it, server)
        });
        let mail = format!("%d:{}/mail/%n", stores.display());
        let mail = Dovecot::start(host.adopted("setpriv"), &folder(host.place("dovecot")), &mail);
        Stores { mail, mariadb, redis, postgresql }
    }

    /// What one client does, again and again: each only when the one before has been answered.
    fn client<'a>(&'a self, host: &Host, client: usize) -> impl FnMut(u64) + use<'a> {
        let mut mail = self.mail.lmtp();
        let mut mariadb = Session::mariadb(&self.mariadb);
        let mut redis = Dialogue::with(&self.redis.socket);
        let database = host.stores().join("sqlite/it.db");
        let mut sqlite = Session::sqlite(host.adopted("sqlite3"), &database);
        let mut postgresql =
            self.postgresql.as_ref().map(|(_, server)| postgresql::session(server));
        mariadb.ask("use c");
        move |n| {
            mail.mail_to(&format!("{client}@{}", format(client)));
            let text = format!("Subject: {n}\r\n\r\n{END}\r\n.\r\n");
            mail.ask(&text, "250");
            mariadb
                .ask(&format!("update {} set n = {n} where number = {client}", table_of(client)));
            redis.ask(&format!("SET {client} {n}\r\n"), "+OK");
            let count = format!("update t set n = {n} where number = {client}");
            sqlite.ask(&count);
            postgresql.iter_mut().for_each(|it| drop(it.ask(&count)));
        }
    }
}

const TABLES: [&str; 3] = ["innodb", "aria", "myisam"];

fn table_of(client: usize) -> &'static str {
    TABLES[client % 3]
}

/// What each client has done, as the stores of a copy have it, in the order of its doing.
fn done(
    host: &Host,
    taken: &Taken,
    how: How,
    postgresql: Option<&PostgreSql>,
) -> Result<Vec<Vec<u64>>, String> {
    let stores = &taken.stores;
    let mail = (0..CLIENTS).map(|client| {
        messages(&host.place("dovecot"), &location(stores, client)).map(|count| count as u64)
    });
    let mut found = vec![mail.collect::<Result<_, _>>()?];
    // InnoDB writes its files when it likes to: only a copy of an instant is one of it.
    if let How::Btrfs = how {
        found.push(in_mariadb(host, stores)?);
    }
    found.extend([in_redis(host, stores)?, in_sqlite(stores)?]);
    found.extend(
        postgresql.map(|it| it.numbers(&stores.join("postgresql"), host.place("copy-postgresql"))),
    );
    Ok(found)
}

fn in_mariadb(host: &Host, stores: &Path) -> Result<Vec<u64>, String> {
    let server = mariadb(&stores.join("mariadb"), host.place("copy-mariadb.sock"));
    let mut session = Session::mariadb(&server);
    session.ask("use c");
    let tables = TABLES.map(|table| format!("select number, n from {table}"));
    let rows = session.ask(&tables.join(" union all "));
    let verdict = session.ask(&format!("check table {}", TABLES.join(",")));
    server.kill();
    let wrong: Vec<_> = verdict.lines().filter(|line| !line.ends_with("OK")).collect();
    if wrong.is_empty() { Ok(by_number(&rows)) } else { Err(wrong.join("; ")) }
}

fn in_redis(host: &Host, stores: &Path) -> Result<Vec<u64>, String> {
    let server = redis(&stores.join("redis"), host.place("copy-redis.sock"));
    let mut client = Command::new("redis-cli");
    client.arg("-s").arg(&server.socket).arg("mget");
    let output = must(client.args((0..CLIENTS).map(|client| client.to_string())));
    server.kill();
    let text = String::from_utf8(output.stdout).unwrap();
    Ok(text.lines().map(|line| line.parse().unwrap_or(0)).collect())
}

fn in_sqlite(stores: &Path) -> Result<Vec<u64>, String> {
    let database = stores.join("sqlite/it.db");
    let _ = std::fs::remove_file(database.with_extension("db-shm"));
    let mut command = Command::new("sqlite3");
    let question = "pragma integrity_check; select number, n from t;";
    let output = command.arg(&database).arg(question).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = text.strip_prefix("ok\n");
    rows.map(by_number).ok_or_else(|| text + &String::from_utf8_lossy(&output.stderr))
}

/// What is wrong with a copy that claims to be of one moment.
fn fault(host: &Host, taken: &Taken, how: How, postgresql: Option<&PostgreSql>) -> Option<String> {
    let found = match done(host, taken, how, postgresql) {
        Ok(found) => found,
        Err(fault) => return Some(fault),
    };
    (0..CLIENTS).find_map(|client| {
        let counts: Vec<u64> = found.iter().map(|store| store[client]).collect();
        let falling = counts.is_sorted_by(|before, after| before >= after);
        let apart = counts[0].saturating_sub(*counts.last().unwrap());
        (!falling || apart > 1).then(|| format!("client {client}: {counts:?}"))
    })
}

/// Whether a copy has what was counted and not delivered.
fn is_counted_and_not_delivered(host: &Host, taken: &Taken) -> bool {
    let stores = &taken.stores;
    let counted = [in_redis(host, stores), in_sqlite(stores)];
    (0..CLIENTS).any(|client| {
        let delivered = messages(&host.place("dovecot"), &location(stores, client)).unwrap_or(0);
        counted.iter().flatten().any(|counts| counts[client] > delivered as u64)
    })
}

#[test]
fn what_is_counted_has_been_delivered() {
    let tools =
        ["sqlite3", "mkfs.btrfs", "doveadm", "mariadbd", "redis-server", "mariadb-install-db"];
    if !is_root() || !has(&tools) {
        return;
    }
    if !Path::new("/usr/lib/dovecot/lmtp").exists() || !imap_program("imap").exists() {
        return skip("Dovecot's LMTP server, or its IMAP server, is missing");
    }
    let Some(host) = Host::new() else { return };
    let stores = Stores::start(&host);
    let participants = root().join("scripts/participants");
    let participants = participants.display();
    let mariadb = format!(
        "{participants}/mariadb --no-defaults --user=root --socket={}",
        stores.mariadb.socket.display()
    );
    let redis = format!("{participants}/redis -s {}", stores.redis.socket.display());
    // It keeps its files locked for as long as it lives.
    let ignored = host.stores().join("mariadb");
    let [place, ignored] =
        [host.stores(), ignored].map(|path| path.into_os_string().into_string().unwrap());
    let postgresql = stores.postgresql.as_ref().map(|(it, _)| it);
    let frozen = postgresql.map(PostgreSql::flag);
    let mut stilling = vec![
        "--adopted",
        &place,
        "--adopted-ignore",
        &ignored,
        "--with",
        &mariadb,
        "--with",
        &redis,
    ];
    stilling.extend(frozen.as_deref());
    // Held to look at a copy: the machine is for that then, and the stores stay small.
    let at_work = RwLock::new(());
    let rounds = AtomicU64::new(0);
    let over = Over::default();
    std::thread::scope(|scope| {
        let _over = over.when_dropped();
        for client in 0..CLIENTS {
            let mut act = stores.client(&host, client);
            let (over, at_work, rounds) = (&over, &at_work, &rounds);
            scope.spawn(move || {
                for n in 1.. {
                    let _at_work = at_work.read();
                    if over.is_set() {
                        break;
                    }
                    act(n);
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let work = || {
            let before = rounds.load(Ordering::Relaxed);
            until("clients work", || rounds.load(Ordering::Relaxed) > before + CLIENTS as u64);
        };
        let (mut torn, mut count) = (0, 0);
        let asked = copies(1);
        while count < asked || torn == 0 {
            work();
            let taken = host.copy(&["mail", "redis", "sqlite"], work);
            let _rest = at_work.write();
            torn += usize::from(is_counted_and_not_delivered(&host, &taken));
            count += 1;
            assert!(count < 50 + asked, "none of {count} copies shows what the test is for");
        }
        say(&format!("one after the other: {torn} of {count} copies count what they have not"));
        // One that takes its time is of one moment only because all stand still; one of an instant lets them go at once.
        for (how, asked) in [(How::Copy, copies(2)), (How::Btrfs, copies(3))] {
            let (mut wrong, mut still, mut pause) = (Vec::new(), Vec::new(), Vec::new());
            for number in 0..asked {
                work();
                match host.take(how, &stilling) {
                    Err(said) => wrong.push(format!("{number}: {said}")),
                    Ok(taken) => {
                        let [whole, held] = taken.pause();
                        still.push(held);
                        pause.push(whole);
                        let _rest = at_work.write();
                        let fault = fault(&host, &taken, how, postgresql);
                        wrong.extend(fault.map(|fault| format!("{number}: {fault}")));
                    }
                }
            }
            let messages = rounds.load(Ordering::Relaxed);
            let (pause, still) = (distribution(pause), distribution(still));
            say(&format!(
                "one moment, {how:?}: of {asked} copies wrong {}; the gate was closed for {pause}, \
                 all stood still for {still}; {messages} messages",
                wrong.len(),
            ));
            assert!(wrong.is_empty(), "{how:?}: {}", wrong.join("\n"));
        }
    });
}
