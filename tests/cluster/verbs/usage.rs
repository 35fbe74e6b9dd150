//! What is refused before anybody is asked: one clear line, and its status.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::site::{Host, engine, until_complete};
use crate::common::process::{NOBODY, as_user, run};
use crate::common::time::until;
use crate::servers::Servers;
use crate::skip::is_root;

/// A host of a group whose store is not there.
pub fn lonely() -> Option<Host> {
    let mut servers = Servers::start_with(1, &[])?;
    servers.kill(0);
    Some(Host::new(&servers, "a", ""))
}

const VERBS: [&[&str]; 9] = [
    &["agent"],
    &["join"],
    &["leave"],
    &["evict", "--fenced", "b"],
    &["snapshot"],
    &["status"],
    &["recover"],
    &["list"],
    &["latest"],
];

#[test]
fn wrong_words_are_refused() {
    let Some(host) = lonely() else { return };
    for (words, said) in [
        (&[][..], "Usage:"),
        (&["snapshots"], "snapshot"),
        (&["snapshot", "--hold-all", "--early"], "cannot be used with"),
        (&["snapshot", "--hold", "0"], "--hold"),
        (&["snapshot", "--hold", "-1"], "-1"),
        (&["snapshot", "--drain", "soon"], "expected seconds"),
        (&["snapshot", "mail"], "mail"),
        (&["evict"], "<HOST>"),
        (&["evict", "--fenced"], "<HOST>"),
        (&["evict", "b"], "`evict --fenced b` says that it has none"),
        (&["evict", "--fenced", "-b"], "-b"),
        (&["evict", "--fenced", "a/b"], "cannot be a name"),
        (&["evict", "--fenced", "a b\nc"], "cannot be a name"),
        (&["leave", "--forget"], "--forget"),
        (&["join", "--wait", "long"], "--wait"),
        (&["latest", "--watch"], "--watch"),
    ] {
        let done = host.run(words);
        done.assert_code(64);
        assert!(done.stderr.contains(said) && done.stdout.is_empty(), "{words:?}: {done:?}");
    }
}

#[test]
fn wrong_configurations_are_refused_by_every_verb() {
    let Some(host) = lonely() else { return };
    let file = host.configuration();
    let right = fs::read_to_string(&file).unwrap();
    for (text, code, said) in [
        (right.replace("endpoints", "endpoint"), 64, "did you mean endpoints?"),
        (right.replace("group = 'mail'", "group = 'ma il\\n'"), 64, "cannot be a name"),
        (right.replace("host = 'a'", "host = '-a'"), 64, "must begin with a letter"),
        (right.replace("http://", "htp://"), 64, "is no http://HOST:PORT"),
        (right.replace("http://", "https://"), 64, "needs tls"),
        (right.replace("hold = 6", "hold = 1"), 64, "coordinator-lease must not"),
        (String::new(), 64, "group is missing"),
        ("\0".to_owned(), 64, ":1"),
    ] {
        fs::write(&file, text).unwrap();
        for verb in VERBS {
            let done = host.run(verb);
            assert_eq!(done.code(), code, "{verb:?}: {done:?}");
            let lines: Vec<&str> = done.stderr.lines().collect();
            assert!(lines.len() == 1 && lines[0].contains(said), "{verb:?}: {done:?}");
            assert!(
                lines[0].contains("cluster.toml") || said.contains("http") || said.contains("tls"),
                "{done:?}"
            );
        }
    }
    fs::remove_file(&file).unwrap();
    for verb in VERBS {
        let done = host.run(verb);
        assert_eq!((done.code(), done.stderr.lines().count()), (66, 1), "{done:?}");
        assert!(done.stderr.contains("--config names another file"), "{done:?}");
    }
    fs::create_dir(&file).unwrap();
    assert_eq!(host.run(&["status"]).code(), 71);
}

/// Without work there is no agent; the other verbs need none.
#[test]
fn an_agent_without_work_is_refused() {
    let Some(host) = lonely() else { return };
    let text = fs::read_to_string(host.configuration()).unwrap();
    fs::write(host.configuration(), text.replace("job = 'mail'\n", "")).unwrap();
    host.run(&["agent"]).assert_refused(64, "neither job nor snapshot");
}

/// What could never be a part is refused when the agent starts, and not in the middle of an epoch.
#[test]
fn an_agent_whose_part_cannot_be_made_does_not_start() {
    let Some(host) = lonely() else { return };
    let right = fs::read_to_string(host.configuration()).unwrap();
    let barrier = host.machine.barrier();
    let snapshot = |words: &[&str]| {
        let all = [&[barrier.as_str()], words].concat();
        right.replace("job = 'mail'\n", &format!("snapshot = {all:?}\n"))
    };
    let job = host.machine.path("jobs/other.toml");
    fs::write(&job, "barriers = 1").unwrap();
    for (text, code, said) in [
        (snapshot(&["--bogus", "--", "true"]), 64, "--bogus"),
        (snapshot(&["--dry-run", "--", "true"]), 64, "cannot be used with"),
        (snapshot(&["--json", "--", "true"]), 64, "cannot be used with"),
        (snapshot(&["--help"]), 64, "makes no part of a snapshot"),
        (snapshot(&["--hold", "none", "--", "true"]), 64, "hold other than none"),
        (snapshot(&["--hold", "soon", "--", "true"]), 64, "expected seconds"),
        (right.replace("job = 'mail'", "snapshot = ['--', 'true']"), 64, "<BARRIER>"),
        (right.replace("job = 'mail'", "job = 'nothing'"), 66, "nothing"),
        (right.replace("job = 'mail'", "job = 'other'"), 65, "other.toml"),
    ] {
        fs::write(host.configuration(), text).unwrap();
        let done = host.run(&["agent"]);
        done.assert_refused(code, said);
        assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    }
    assert!(!host.machine.path("agent").exists(), "nothing was begun");
}

/// What is not there yet may come: it is waited for, in the log and in what others see.
#[test]
fn an_agent_tells_what_its_part_wants() {
    let Some(servers) = engine() else { return };
    let mut host = Host::new(&servers, "a", "");
    fs::remove_file(host.machine.barrier()).unwrap();
    host.must(&["join"]);
    host.start_agent();
    host.until_said("as things are, this host would have no part in a snapshot: ");
    host.until_said("no barrier at");
    host.until_it_takes_part();
    until("others see it", || host.must(&["status"]).contains("a: no barrier at"));
    host.run(&["snapshot"]).assert_refused(66, "a: no barrier at");
    host.machine.verb(&["create", &host.machine.barrier()]);
    until_complete(&host);
}

#[test]
fn who_may_not_read_the_configuration_is_told_so() {
    if !is_root() {
        return;
    }
    let Some(host) = lonely() else { return };
    fs::set_permissions(host.configuration(), fs::Permissions::from_mode(0o600)).unwrap();
    let program = env!("CARGO_BIN_EXE_stillpoint-cluster");
    // Where he may read the program.
    let copy = host.machine.path("program");
    fs::copy(program, &copy).unwrap();
    fs::set_permissions(host.machine.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = std::process::Command::new("setpriv");
    command.args(as_user(NOBODY, NOBODY)).arg(&copy);
    let done = run(command.arg("--config").arg(host.configuration()).arg("status"));
    done.assert_refused(77, "cluster.toml: Permission denied");
}
