//! Real programs, none of which knows of a barrier: each waits at a closed gate, and finishes its work after it.

use crate::common::skip;
use crate::harness::{Played, Scene};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

/// Runs it while the gate is closed.
fn finishes_after_the_pause(scene: &Scene, command: &mut Command) -> String {
    let pause = scene.exclusive(1000, 1000).unwrap();
    let mut played = Played::begin(command);
    assert!(played.waits(), "{command:?} does not wait");
    assert!(!played.is_over(), "{command:?} does not wait");
    pause.release().unwrap();
    let mut said = Vec::new();
    loop {
        match played.line() {
            line if line.is_empty() => break,
            line => said.push(line),
        }
    }
    played.succeeds();
    said.join("\n")
}

fn is_missing(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", "command -v \"$0\"", program]).output().unwrap();
    let missing = !found.status.success() && !Path::new(program).exists();
    if missing {
        skip(&format!("{program} is missing"));
    }
    missing
}

#[test]
fn sqlite_with_a_rollback_journal_and_with_a_log() {
    if is_missing("sqlite3") {
        return;
    }
    let scene = Scene::new();
    for journal in ["delete", "wal"] {
        let database = scene.file(journal);
        let sqlite = |statement: &str| {
            let mut command = scene.adopted("sqlite3");
            command.arg(&database).arg(statement);
            command
        };
        let made =
            format!("pragma journal_mode={journal}; create table t(x); insert into t values(1);");
        assert!(sqlite(&made).output().unwrap().status.success());
        let insert = "insert into t values(2); select count(*) from t; pragma integrity_check;";
        assert_eq!(finishes_after_the_pause(&scene, &mut sqlite(insert)), "2\nok");
    }
}

#[test]
fn flock_of_util_linux() {
    let scene = Scene::new();
    let mut command = scene.adopted("flock");
    command.arg(scene.file("lock")).args(["echo", "done"]);
    assert_eq!(finishes_after_the_pause(&scene, &mut command), "done");
    // The shell's idiom, where one process locks for another.
    let mut command = scene.adopted("bash");
    command.args(["-c", "exec 9>lock; flock -x 9; echo inside; flock -n lock true || echo held"]);
    assert_eq!(finishes_after_the_pause(&scene, &mut command), "inside\nheld");
}

#[test]
fn python() {
    if is_missing("python3") {
        return;
    }
    let scene = Scene::new();
    for (name, call) in [
        ("a", "fcntl.lockf(f, fcntl.LOCK_EX)"),
        ("b", "fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)"),
        ("c", "os.lockf(f.fileno(), os.F_LOCK, 0)"),
    ] {
        let script = format!(
            "import fcntl, os; f = open({name:?}, 'w'); {call}; f.write('x'); print('done')"
        );
        let mut command = scene.adopted("python3");
        command.args(["-c", &script]);
        assert_eq!(finishes_after_the_pause(&scene, &mut command), "done");
        assert_eq!(fs::read_to_string(scene.file(name)).unwrap(), "x");
    }
}

#[test]
fn perl() {
    if is_missing("perl") {
        return;
    }
    let scene = Scene::new();
    let mut command = scene.adopted("perl");
    command
        .args(["-e", "open F, '>p'; flock(F, 2) or die; print F 'x'; close F; print \"done\\n\""]);
    assert_eq!(finishes_after_the_pause(&scene, &mut command), "done");
    assert_eq!(fs::read_to_string(scene.file("p")).unwrap(), "x");
}

const MESSAGE: &str = "From: a@example.org\nTo: b@example.org\nSubject: s\n\nbody\n";

#[test]
fn procmail_to_a_mailbox() {
    if is_missing("procmail") {
        return;
    }
    let scene = Scene::new();
    let (message, rules) = (scene.elsewhere("message"), scene.elsewhere("rules"));
    fs::write(&message, MESSAGE).unwrap();
    let mailbox = scene.file("mailbox");
    fs::write(&rules, format!("DEFAULT={}\n", mailbox.display())).unwrap();
    let mut command = scene.adopted("sh");
    let script = "procmail -m \"$0\" < \"$1\" && echo delivered";
    command.args(["-c", script]).arg(&rules).arg(&message);
    assert_eq!(finishes_after_the_pause(&scene, &mut command), "delivered");
    assert!(fs::read_to_string(mailbox).unwrap().contains("Subject: s"));
}

/// Each format that Dovecot has, by its delivery agent.
#[test]
fn dovecots_delivery_agent() {
    let agent = "/usr/lib/dovecot/dovecot-lda";
    if is_missing(agent) {
        return;
    }
    let scene = Scene::new();
    let (message, settings) = (scene.elsewhere("message"), scene.elsewhere("dovecot.conf"));
    fs::write(&message, MESSAGE).unwrap();
    const NOBODY: u32 = 65534;
    fs::set_permissions(scene.barrier.path(), Permissions::from_mode(0o666)).unwrap();
    for format in ["mbox", "maildir", "sdbox", "mdbox"] {
        let home = scene.file(format);
        fs::create_dir(&home).unwrap();
        chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
        let home = home.display();
        let inbox = if format == "mbox" { format!(":INBOX={home}/inbox") } else { String::new() };
        let text = format!(
            "mail_location = {format}:{home}/mail{inbox}\nlog_path = {home}/log\nbase_dir = {home}/run\n\
             mail_uid = {NOBODY}\nmail_gid = {NOBODY}\nfirst_valid_uid = 1\nhostname = example.org\n\
             postmaster_address = p@example.org\nprotocols =\nssl = no\n"
        );
        fs::write(&settings, text).unwrap();
        let deliver = || {
            let mut command = scene.adopted("sh");
            let script = "setpriv --reuid=65534 --regid=65534 --clear-groups \"$0\" -c \"$1\" -e -m INBOX < \"$2\" \
                          && echo delivered";
            command.args(["-c", script, agent]).arg(&settings).arg(&message);
            command.env("USER", "nobody").env("HOME", scene.file(format));
            // It becomes doveconf and comes back, and keeps what it is told to.
            command.env("DOVECOT_PRESERVE_ENVS", "LD_PRELOAD STILLPOINT_ADOPT_CONFIG");
            command
        };
        let first = deliver().output().unwrap();
        let log = fs::read_to_string(scene.file(format).join("log")).unwrap_or_default();
        assert!(first.status.success(), "{format}: {first:?} {log}");
        assert_eq!(finishes_after_the_pause(&scene, &mut deliver()), "delivered", "{format}");
    }
}
