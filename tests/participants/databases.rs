//! MariaDB, Redis, PostgreSQL and SQLite, and their bad days.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::common::command::Place;
use crate::common::{Running, has, is_root, ms, must, start, state, until};
use crate::driven::Driven;
use crate::store::Store;

/// Ends with the test, at once.
struct Server(Running);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = nix::sys::signal::killpg(self.0.pid, Signal::SIGKILL);
    }
}

/// `program` as this user, in a process group of its own, until the test ends.
fn serve(user: &str, program: &str, arguments: &[String]) -> Server {
    let mut command = Command::new("setpriv");
    command.args([
        &format!("--reuid={user}"),
        &format!("--regid={user}"),
        "--clear-groups",
        program,
    ]);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Server(start(command))
}

/// A client that is fed with `line` for ever.
fn feed(line: &str, client: &str, arguments: &[String]) -> Server {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        r#"line=$1; shift; yes "$line" | "$@" >/dev/null 2>&1"#,
        "sh",
        line,
        client,
    ]);
    command.args(arguments);
    Server(start(command))
}

/// A folder of this user.
fn folder(place: &Place, user: &str) -> PathBuf {
    let folder = place.path("server");
    fs::create_dir(&folder).unwrap();
    must(Command::new("chown").arg(format!("{user}:")).arg(&folder));
    // The tests of others may look into the place, and so may the server's user.
    must(Command::new("chmod").arg("755").arg(place.path("")));
    folder
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).collect()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

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

#[test]
fn redis_stands_still_and_goes_on() {
    if !is_root() || !has(&["redis-server", "redis-cli", "setpriv"]) {
        return;
    }
    let place = Place::new();
    let folder = folder(&place, "redis");
    let socket = folder.join("s").display().to_string();
    let arguments = words(&["-s", &socket]);
    let serve = |more: &[&str]| {
        let mut all = words(&[
            "--port",
            "0",
            "--unixsocket",
            &socket,
            "--dir",
            &folder.display().to_string(),
        ]);
        all.extend(words(&["--save", "", "--daemonize", "no"]));
        all.extend(words(more));
        let server = serve("redis", "redis-server", &all);
        until("Redis answers", || !ask(&socket, &["PING"]).is_empty());
        server
    };
    let server = serve(&["--appendonly", "yes"]);
    let _writers = [0, 1].map(|_| feed("INCR n", "redis-cli", &arguments));
    let store = Store {
        place: &place,
        participant: "redis",
        arguments: arguments.clone(),
        written: Some(&|| {
            vec![ask(&socket, &["GET", "n"]).parse().unwrap_or(0), log_size(&folder)]
        }),
        write: &|| assert_eq!(ask(&socket, &["SET", "once", "1"]), "OK"),
    };
    store.must_behave();
    assert_eq!(store.ready("dash").covers.len(), 1);

    // What its log has is what it has: that has been written when it stands still, if not yet to the disk.
    let mut driven = store.ready("dash");
    driven.ask("freeze 10000", "frozen");
    let copy = place.path("copy");
    must(Command::new("cp").arg("-a").arg(folder.join("appendonlydir")).arg(&copy));
    let counted = ask(&socket, &["GET", "n"]);
    driven.ask("thaw", "thawed");
    drop(driven);
    let check = must(Command::new("redis-check-aof").arg(copy.join("appendonly.aof.manifest")));
    assert!(text(check.stdout).contains("is valid"));
    let log = names_in(&copy).into_iter().find(|name| name.ends_with(".incr.aof")).unwrap();
    let log = fs::read_to_string(copy.join(log)).unwrap();
    assert_eq!(log.matches("INCR\r\n").count().to_string(), counted);

    // Somebody else lets it go on, or it is started anew.
    let mut driven = store.ready("mksh");
    driven.ask("freeze 10000", "frozen");
    ask(&socket, &["CLIENT", "UNPAUSE"]);
    (store.write)();
    driven.say("thaw");
    assert_eq!(driven.hear(), None);
    let (code, complaints) = driven.end();
    assert!(
        code == 1 && complaints == ["was written to while it should stand still"],
        "{complaints:?}"
    );

    // A rewrite of its log makes other files of it.
    let mut driven = store.ready("dash");
    driven.ask("freeze 10000", "frozen");
    ask(&socket, &["BGREWRITEAOF"]);
    until("it is rewritten", || ask(&socket, &["INFO", "persistence"]).contains("rewrites:1"));
    driven.say("thaw");
    assert_eq!(driven.hear(), None);
    let (code, complaints) = driven.end();
    let said = "has rewritten its log while it should stand still";
    assert!(code == 1 && complaints == [said], "{complaints:?}");

    // Saved only: what a snapshot is worth is said.
    drop(server);
    let server = serve(&["--appendonly", "no"]);
    (store.write)();
    let mut driven = store.ready("busybox");
    driven.ask("freeze 10000", "frozen");
    driven.ask("thaw", "thawed");
    let (code, complaints) = driven.end();
    assert!(code == 0 && complaints[0].starts_with("appendonly is off: "), "{complaints:?}");
    // Wrong credentials, and none; no server.
    drop(server);
    let server = serve(&["--requirepass", "right", "--appendonly", "no"]);
    store.cannot(&["-s", &socket], ms(3000), &["NOAUTH"]);
    store.cannot(&["-s", &socket, "-a", "wrong"], ms(3000), &["WRONGPASS"]);
    drop(server);
    store.cannot(&["-s", &socket], ms(3000), &["Could not connect", &socket]);
}

fn ask(socket: &str, words: &[&str]) -> String {
    let output =
        Command::new("redis-cli").args(["-s", socket]).args(words).stdin(Stdio::null()).output();
    text(output.unwrap().stdout).trim().to_owned()
}

fn log_size(folder: &Path) -> u64 {
    let folder = folder.join("appendonlydir");
    let names = names_in(&folder).into_iter().filter(|name| name.ends_with(".aof"));
    names.map(|name| fs::metadata(folder.join(name)).unwrap().len()).sum()
}

fn names_in(folder: &Path) -> Vec<String> {
    crate::common::names(folder)
}

#[test]
fn postgresql_stands_still_and_goes_on() {
    let binaries = Path::new("/usr/lib/postgresql");
    let newest = binaries
        .is_dir()
        .then(|| names_in(binaries).pop().map(|name| binaries.join(name).join("bin")));
    let Some(binaries) = newest.flatten().filter(|folder| folder.join("initdb").exists()) else {
        crate::common::skip("postgresql is missing");
        return;
    };
    if !is_root() || !has(&["psql", "setpriv"]) {
        return;
    }
    let place = Place::new();
    let folder = folder(&place, "postgres");
    let data = folder.join("data").display().to_string();
    let mut initdb = Command::new("setpriv");
    initdb
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(binaries.join("initdb"));
    must(initdb.args(["-D", &data, "-A", "trust", "--no-sync"]).current_dir(&folder));
    let sockets = folder.display().to_string();
    let arguments =
        words(&["-D", &data, "-k", &sockets, "-c", "listen_addresses=", "-c", "fsync=off"]);
    let server = serve("postgres", binaries.join("postgres").to_str().unwrap(), &arguments);
    let client = words(&["-qAt", "-h", &sockets, "-U", "postgres"]);
    let psql = |sql: &str| Command::new("psql").args(&client).args(["-c", sql]).output().unwrap();
    until("PostgreSQL answers", || psql("SELECT 1").status.success());
    assert!(psql("CREATE TABLE t (a serial); CREATE TABLE once (a int)").status.success());
    let _writers = [0, 1].map(|_| feed("INSERT INTO t DEFAULT VALUES;", "psql", &client));
    let store = Store {
        place: &place,
        participant: "postgresql",
        arguments: vec![data.clone()],
        written: None,
        write: &|| assert!(psql("INSERT INTO once VALUES (1)").status.success()),
    };
    store.must_behave();
    assert!(store.ready("dash").covers.contains(&(server.0.pid.as_raw() as u32)));

    // Not one of its files moves, whatever its processes were about to do.
    let mut driven = store.ready("mksh");
    driven.ask("freeze 10000", "frozen");
    let times = || {
        must(Command::new("find").args([&data, "-type", "f", "-printf", "%p %T@ %C@ %s\n"])).stdout
    };
    let before = times();
    std::thread::sleep(ms(150));
    assert!(before == times());
    driven.ask("thaw", "thawed");
    until("its files move again", || before != times());

    // Somebody else lets it go on.
    driven.ask("freeze 10000", "frozen");
    nix::sys::signal::kill(server.0.pid, Signal::SIGCONT).unwrap();
    driven.say("thaw");
    assert_eq!(driven.hear(), None);
    assert_eq!(driven.end(), (1, vec!["somebody has made it go on".to_owned()]));
    // And none of it is left behind.
    let goes_on = |pid: &u32| state(Pid::from_raw(*pid as i32)) != Some('T');
    until("all of it goes on", || store.ready("dash").covers.iter().all(goes_on));
    (store.write)();

    let server_of = folder.display().to_string();
    store.cannot(&[&server_of], ms(3000), &[&server_of, "no server runs there"]);
    store.cannot(&["/nowhere"], ms(3000), &["/nowhere: is no folder"]);
}

#[test]
fn sqlite_databases_stand_still_and_go_on() {
    if !has(&["sqlite3"]) {
        return;
    }
    let place = Place::new();
    let files = ["plain.db", "with a 'quote' & spaces.db"].map(|name| place.path(name));
    let run = |file: &Path, sql: &str| {
        let mut client = Command::new("sqlite3");
        client.args(["-cmd", ".timeout 20000"]).arg(file).arg(sql);
        text(must(client).stdout).trim().to_owned()
    };
    for (file, mode) in files.iter().zip(["DELETE", "WAL"]) {
        run(
            file,
            &format!("PRAGMA journal_mode = {mode}; CREATE TABLE t (a); CREATE TABLE once (a)"),
        );
    }
    // Not flat out: SQLite gives its lock to whoever asks in the right moment, and lets others starve.
    let script = r#"while sleep 0.02; do echo 'INSERT INTO t VALUES (1);'; done | sqlite3 -cmd '.timeout 20000' "$1""#;
    let insert = |file: &PathBuf| {
        Server(start(Command::new("sh").args(["-c", script, "sh"]).arg(file).stdout(Stdio::null())))
    };
    let writers = [&files[0], &files[1], &files[1]].map(insert);
    let names = files.each_ref().map(|file| file.to_str().unwrap().to_owned());
    let count = |file: &PathBuf| run(file, "SELECT COUNT(*) FROM t").parse().unwrap();
    let store = Store {
        place: &place,
        participant: "sqlite",
        arguments: names.to_vec(),
        written: Some(&|| files.iter().map(count).collect()),
        write: &|| drop(run(&files[1], "INSERT INTO once VALUES (1)")),
    };
    store.must_behave();

    // A copy that is made meanwhile is whole.
    let mut driven = store.ready("busybox");
    driven.ask("freeze 10000", "frozen");
    for (file, name) in files.iter().zip(["a", "b"]) {
        let copy = place.path(name);
        must(Command::new("cp").arg(file).arg(&copy));
        let log = |file: &Path| PathBuf::from(format!("{}-wal", file.display()));
        if log(file).exists() {
            must(Command::new("cp").args([log(file), log(&copy)]));
        }
        let whole = run(&copy, "PRAGMA integrity_check; SELECT COUNT(*) FROM t");
        assert_eq!(whole, format!("ok\n{}", count(file)));
    }
    driven.ask("thaw", "thawed");
    drop(driven);

    drop(writers);
    fs::write(place.path("text"), "no database, and long enough to look like one: ".repeat(99))
        .unwrap();
    let none = place.path("none.db").display().to_string();
    store.cannot(&[&none], ms(3000), &[&none, "is no file"]);
    assert!(!Path::new(&none).exists());
    let not_one = place.path("text").display().to_string();
    store.cannot(&[&not_one], ms(3000), &[&not_one, "not a database"]);
    let many: Vec<String> =
        (0..11).map(|n| place.path(&format!("{n}.db")).display().to_string()).collect();
    many.iter().for_each(|file| drop(run(Path::new(file), "CREATE TABLE t (a)")));
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    store.cannot(&many, ms(3000), &["too many attached databases"]);
    // By two names it is one.
    let other = place.path("it's\nanother name").display().to_string();
    std::os::unix::fs::symlink(&files[1], &other).unwrap();
    let both = [names[1].clone(), other.clone(), other];
    let mut driven = Driven::ready(&place, "busybox", "sqlite", &both);
    driven.ask("freeze 10000", "frozen");
    driven.ask("thaw", "thawed");
    driven.ask("freeze 10000", "frozen");
    // What is written goes to another file by now.
    let new = place.path("new.db");
    must(Command::new("cp").arg(&files[1]).arg(&new));
    fs::rename(new, &files[1]).unwrap();
    driven.say("thaw");
    assert_eq!(driven.hear(), None);
    let (_, complaints) = driven.end();
    assert!(complaints[0].starts_with("a database was replaced"), "{complaints:?}");
    // Another that holds its lock for longer than others shall wait.
    let mut other = Command::new("sh");
    let script = r#"(echo 'BEGIN IMMEDIATE;'; exec sleep 60) | exec sqlite3 "$1""#;
    let _other = Server(start(other.args(["-c", script, "sh"]).arg(&files[0])));
    std::thread::sleep(ms(300));
    store.cannot(&[&names[0]], ms(3000), &["another writer"]);
}
