//! Redis, PostgreSQL and SQLite, and their bad days.

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
pub struct Server(pub Running);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = nix::sys::signal::killpg(self.0.pid, Signal::SIGKILL);
    }
}

/// `program` as this user, in a process group of its own, until the test ends.
pub fn serve(user: &str, program: &str, arguments: &[String]) -> Server {
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
pub fn feed(line: &str, client: &str, arguments: &[String]) -> Server {
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
pub fn folder(place: &Place, user: &str) -> PathBuf {
    let folder = place.path("server");
    fs::create_dir(&folder).unwrap();
    must(Command::new("chown").arg(format!("{user}:")).arg(&folder));
    // The tests of others may look into the place, and so may the server's user.
    must(Command::new("chmod").arg("755").arg(place.path("")));
    folder
}

pub fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).collect()
}

pub fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
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
