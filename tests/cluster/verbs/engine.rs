//! The store is not there, has no quorum, is another one, or does not let this host in.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::site::{Host, engine, group, populate, until_all_take_part, until_complete};
use crate::common::time::until;
use crate::security::Authority;
use crate::servers::Servers;
use crate::skip::has;

/// Whoever waits for an answer has one by then.
const ANSWER: Duration = Duration::from_secs(20);

/// All verbs that need the store.
const VERBS: [&[&str]; 6] =
    [&["join"], &["leave"], &["evict", "--fenced", "b"], &["snapshot"], &["status"], &["recover"]];

/// Each says in one line that nobody answers, and who was asked.
#[track_caller]
fn nobody_answers(host: &Host, servers: &Servers) {
    let since = Instant::now();
    let running = VERBS.map(|words| {
        let mut command = host.command(words);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        crate::common::process::start(command)
    });
    for (words, running) in VERBS.iter().zip(running) {
        let done = running.wait();
        done.assert_refused(69, "no answer from the store");
        assert_eq!(done.stderr.lines().count(), 1, "{words:?}: {done:?}");
        let named = servers.endpoints().iter().any(|endpoint| done.stderr.contains(endpoint));
        assert!(named, "{words:?}: {done:?}");
    }
    assert!(since.elapsed() < ANSWER, "{:?}", since.elapsed());
}

#[test]
fn a_store_that_comes_later_is_waited_for_by_agents_alone() {
    let Some(mut servers) = engine() else { return };
    servers.kill(0);
    let mut hosts = ["a", "b"].map(|name| Host::new(&servers, name, ""));
    for host in &mut hosts {
        host.start_agent();
    }
    nobody_answers(&hosts[0], &servers);
    let list = hosts[0].run(&["list"]);
    assert!(list.code() == 0 && list.stderr.contains("own catalogue knows"), "{list:?}");
    hosts[0].until_said("no answer from the store");
    // Told to end, one ends, though nobody hears his good-bye.
    for (number, signal) in [Signal::SIGTERM, Signal::SIGINT].into_iter().enumerate() {
        until("it has started", || hosts[1].log().matches("agent of b").count() == 1 + number);
        let since = Instant::now();
        hosts[1].agent().signal(signal);
        assert_eq!(hosts[1].agent().end(), 0);
        assert!(since.elapsed() < ANSWER / 2, "{:?}", since.elapsed());
        assert!(hosts[1].log().contains("good-bye"));
        hosts[1].start_agent();
    }
    servers.start_member(0);
    servers.wait_for_leader();
    for host in &hosts {
        host.until_said("is not in the roster");
        host.must(&["join"]);
    }
    until_all_take_part(&hosts);
    until_complete(&hosts[0]);
    // And again, while it runs.
    until("it has started", || hosts[1].log().matches("agent of b").count() == 3);
    servers.kill(0);
    hosts[1].agent().signal(Signal::SIGTERM);
    assert_eq!(hosts[1].agent().end(), 0);
    hosts[1].start_agent();
    servers.start_member(0);
    servers.wait_for_leader();
    until_complete(&hosts[0]);
}

#[test]
fn without_a_quorum_nobody_answers_and_with_one_all_goes_on() {
    let Some(mut servers) = Servers::start() else { return };
    let hosts = group(&servers, &["a", "b"]);
    hosts[0].must(&["snapshot"]);
    servers.kill(0);
    servers.kill(1);
    nobody_answers(&hosts[1], &servers);
    assert!(hosts[0].must(&["latest"]).starts_with("mail-"), "its own catalogue knows");
    servers.start_member(0);
    servers.wait_for_leader();
    until_complete(&hosts[1]);
}

/// Whatever is wrong with who this is, it is said in one line, by verbs and by the agent.
#[test]
fn a_wrong_certificate_or_password_is_said() {
    if !has(&["openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [ours, theirs] = ["ours", "theirs"].map(|name| Authority::new(folder.path().join(name)));
    ours.sign("server", "DNS:etcd.example.org");
    ours.sign("a", "DNS:a");
    theirs.sign("a", "DNS:a");
    let file = |of: &Authority, name: &str| of.file(name).to_str().unwrap().to_owned();
    let options = [
        format!("--cert-file={}", file(&ours, "server.pem")),
        format!("--key-file={}", file(&ours, "server.key")),
        "--client-cert-auth".to_owned(),
        format!("--trusted-ca-file={}", file(&ours, "ca.pem")),
    ];
    let (certificate, key) = (file(&ours, "a.pem"), file(&ours, "a.key"));
    let ctl = ["--insecure-skip-tls-verify", "--cert", &certificate, "--key", &key];
    let Some(servers) = Servers::start_secure(1, &options, &ctl) else { return };
    let tls = |ca: &Authority, own: &Authority, name: &str| {
        format!(
            "[tls]\nca = '{}'\ncertificate = '{}'\nkey = '{}'\nserver-name = '{name}'\n",
            file(ca, "ca.pem"),
            file(own, "a.pem"),
            file(own, "a.key")
        )
    };
    let mut host = Host::new(&servers, "a", &tls(&ours, &ours, "etcd.example.org"));
    host.must(&["join"]);
    for (more, code, said) in [
        (tls(&theirs, &ours, "etcd.example.org"), 69, "invalid peer certificate"),
        (tls(&ours, &ours, "other.example.org"), 69, "not valid for name"),
        (tls(&ours, &theirs, "etcd.example.org"), 69, "ertificate"),
        (
            tls(&ours, &ours, "etcd.example.org")
                + "[user]\nname = 'a'\npassword-file = '/nowhere'\n",
            64,
            "/nowhere cannot be read",
        ),
    ] {
        host.configure(&servers.endpoints(), &more);
        let done = host.run(&["status"]);
        done.assert_refused(code, said);
        assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    }
    // An agent goes on trying: certificates are renewed beneath it.
    host.configure(&servers.endpoints(), &tls(&ours, &theirs, "etcd.example.org"));
    host.start_agent();
    host.until_said("ertificate");
    for name in ["a.pem", "a.key"] {
        fs::copy(ours.file(name), theirs.file(name)).unwrap();
    }
    until_all_take_part(std::slice::from_ref(&host));
    fs::set_permissions(ours.file("a.key"), fs::Permissions::from_mode(0o644)).unwrap();
    host.configure(&servers.endpoints(), &tls(&ours, &ours, "etcd.example.org"));
    host.run(&["status"]).assert_refused(64, "everybody may read");
}

/// A store that forgot is told from one that is new for good.
#[test]
fn hosts_join_a_new_store_when_they_are_told_to_forget_the_old_one() {
    let Some(servers) = engine() else { return };
    let mut hosts = group(&servers, &["a", "b"]);
    for _ in 0..20 {
        servers.ctl(&["put", "count", "on"]);
    }
    let old = hosts[0].must(&["snapshot"]);
    for host in &mut hosts {
        host.agent().signal(Signal::SIGTERM);
        assert_eq!(host.agent().end(), 0);
    }
    drop(servers);
    let Some(servers) = engine() else { return };
    for host in &hosts {
        let text = fs::read_to_string(host.configuration()).unwrap();
        let endpoints = text.lines().nth(1).unwrap();
        let new = format!("endpoints = {:?}", servers.endpoints());
        fs::write(host.configuration(), text.replace(endpoints, &new)).unwrap();
        host.run(&["join"]).assert_refused(75, "`join --forget`");
        host.must(&["join", "--forget"]);
    }
    populate(&mut hosts);
    let new = hosts[0].must(&["snapshot"]);
    assert_ne!(old, new);
    assert_eq!(hosts[1].must(&["latest"]), new);
    // While an agent runs, nothing is forgotten beneath it.
    hosts[0].run(&["join", "--forget"]).assert_refused(75, "an agent of this host runs already");
}
