//! Wherever and from whatever the verbs are started, they do what they say.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::site::{Host, engine, group, until_complete, until_idle, until_settled};
use super::usage::lonely;
use crate::common::comma;
use crate::common::process::{run, start};
use crate::common::time::until;
use crate::skip::{has, is_root};

/// What is done first, by a shell or by a program.
const SURROUNDINGS: [&[&str]; 10] = [
    &["sh", "-c", "trap '' CHLD PIPE TERM HUP INT USR1; exec \"$@\"", "sh"],
    &["env", "--block-signal", "--"],
    &["sh", "-c", "exec <&-; exec \"$@\"", "sh"],
    &["sh", "-c", "exec 2>&-; exec \"$@\"", "sh"],
    &["sh", "-c", "umask 077; cd /; ulimit -n 64; exec \"$@\"", "sh"],
    &["busybox", "sh", "-c", "exec \"$@\"", "sh"],
    &["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"],
    &["unshare", "--time", "--fork", "--boottime", "1000000", "--monotonic", "1000000"],
    &["faketime", "-f", "+20y"],
    &["env", "-u", "HOME", "-u", "PATH", "-u", "TERM"],
];

/// Around the coordinator, and around the agent of one host.
#[test]
fn snapshots_are_taken_whatever_surrounds_who_takes_them() {
    if !is_root() {
        return;
    }
    let Some(servers) = engine() else { return };
    let mut hosts = group(&servers, &["a", "b"]);
    for surroundings in SURROUNDINGS {
        if !has(&surroundings[..1]) {
            continue;
        }
        let within = |host: &mut Host| {
            host.within = surroundings.iter().map(|word| (*word).to_owned()).collect();
        };
        within(&mut hosts[0]);
        hosts[1].kill_agent();
        within(&mut hosts[1]);
        let mut command = hosts[1].command(&["agent"]);
        comma::surround(&mut command);
        hosts[1].start_agent_by(command);
        // With its standard error closed it says nothing.
        let mut name = String::new();
        until(&format!("complete, by {surroundings:?}"), || {
            let mut command = hosts[0].command(&["snapshot"]);
            comma::surround(&mut command);
            let done = run(command);
            name = done.stdout.trim_end().to_owned();
            done.code() == 0
        });
        until_settled(&hosts, &name);
        hosts[0].within.clear();
        hosts[1].within.clear();
        assert_eq!(hosts[0].must(&["latest"]).trim_end(), name, "{surroundings:?}");
        until(&name, || hosts[1].latest().as_deref() == Some(&name));
        // Told to end, it does; unless its parent has that ignored.
        let is_it = !["unshare", "faketime"].contains(&surroundings[0]);
        if !surroundings.join(" ").contains("trap") && is_it {
            hosts[1].agent().signal(Signal::SIGTERM);
            assert_eq!(hosts[1].agent().end(), 0, "{surroundings:?}");
            hosts[1].start_agent();
            until_complete(&hosts[0]);
        }
    }
}

/// What is printed cannot be: nobody reads it, the disk is full, there is nowhere.
#[test]
fn output_that_goes_nowhere_is_said_and_loses_nothing() {
    let Some(servers) = engine() else { return };
    let hosts = group(&servers, &["a", "b"]);
    hosts[0].must(&["snapshot"]);
    let verbs: [&[&str]; 9] = [
        &["status"],
        &["status", "--json"],
        &["list"],
        &["list", "--json"],
        &["latest"],
        &["latest", "--json"],
        &["recover", "--json"],
        &["snapshot"],
        &["snapshot", "--json"],
    ];
    for verb in verbs {
        until_idle(&hosts);
        let mut full = hosts[0].command(verb);
        full.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
        let done = start(full.stderr(Stdio::piped())).wait();
        done.assert_code(71);
        let last = done.stderr.lines().last().unwrap();
        assert!(last.contains("standard output: No space left"), "{verb:?}: {done:?}");
        if verb[0] == "snapshot" {
            let name = hosts[0].must(&["latest"]);
            assert!(
                last.contains(&format!("{} is complete", name.trim_end())),
                "{verb:?}: {done:?}"
            );
        }
        until_idle(&hosts);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut unread = hosts[0].command(verb);
        let done = start(unread.stdout(writer).stderr(Stdio::piped())).wait();
        done.assert_code(0);
        assert!(!done.stderr.contains("roken pipe"), "{verb:?}: {done:?}");
        until_idle(&hosts);
        let mut closed = Command::new("sh");
        let inner = hosts[0].command(verb);
        closed
            .args(["-c", "exec \"$@\" >&- 2>&-", "sh"])
            .arg(inner.get_program())
            .args(inner.get_args());
        hosts[0].surround(&mut closed);
        run(closed).assert_code(0);
    }
    for help in [&["--help"][..], &["snapshot", "-h"], &["--version"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done = start(hosts[0].command(help).stdout(writer).stderr(Stdio::piped())).wait();
        assert_eq!((done.code(), done.stderr.as_str()), (0, ""));
    }
}

/// A folder that cannot be written to, or made.
#[test]
fn a_state_that_cannot_be_kept_is_no_state() {
    let Some(host) = lonely() else { return };
    for place in ["/proc/stillpoint", "/dev/null/state"] {
        let text = fs::read_to_string(host.configuration()).unwrap();
        let state = format!("state = '{}'", host.machine.path("agent").display());
        let other = host.machine.path("other.toml");
        fs::write(&other, text.replace(&state, &format!("state = '{place}'"))).unwrap();
        for verb in ["agent", "join"] {
            let mut command = host.command(&[verb]);
            command.arg("--config").arg(&other);
            let done = run(command);
            assert!([71, 77].contains(&done.code()), "{verb}: {done:?}");
            assert!(done.stderr.contains(place) && done.stderr.lines().count() == 1, "{done:?}");
        }
    }
    // What is damaged there is not taken for nothing.
    fs::create_dir(host.machine.path("agent")).unwrap();
    for damaged in ["", "{}", "{\"protocol\":99}"] {
        fs::write(host.machine.path("agent/mail.json"), damaged).unwrap();
        for verb in ["agent", "join", "leave"] {
            let done = host.run(&[verb]);
            done.assert_refused(64, "mail.json");
        }
    }
}

/// Names of files, and of who is called so by a configuration.
#[test]
fn strange_names_are_names_of_files_and_of_nothing_else() {
    let Some(host) = lonely() else { return };
    let text = fs::read_to_string(host.configuration()).unwrap();
    for name in ["a b.toml", "-.toml", "a\nb.toml", "\u{e4}\u{202e}.toml", "'\"$(x).toml"] {
        let file = host.machine.path(name);
        fs::write(&file, text.replace("http://", "htp://")).unwrap();
        let mut command = host.command(&["status"]);
        let done = run(command.arg(format!("--config={}", file.display())));
        assert_eq!((done.code(), done.stderr.lines().count()), (64, 1), "{name:?}: {done:?}");
        fs::write(&file, "x").unwrap();
        let mut command = host.command(&["status"]);
        let done = run(command.arg("--config").arg(&file));
        assert_eq!((done.code(), done.stderr.lines().count()), (64, 1), "{name:?}: {done:?}");
        assert!(!done.stderr.contains('\u{202e}') && done.stderr.contains(".toml:1"), "{done:?}");
    }
    // State and metrics in such folders.
    let state = host.machine.path("st\nate \u{e4}");
    let new = text.replace(
        &format!("state = '{}'", host.machine.path("agent").display()),
        &format!("state = {:?}", state.to_str().unwrap()),
    );
    fs::write(host.configuration(), new).unwrap();
    let done = host.run(&["join"]);
    done.assert_refused(69, "no answer from the store");
    assert!(state.join("mail.json").exists());
}

/// Metrics are for another user, whatever the umask; and whatever cannot be written is said, not died of.
#[test]
fn metrics_are_written_for_others_to_read() {
    let Some(servers) = engine() else { return };
    let file = |host: &Host| host.machine.path("me trics.prom");
    let mut host = Host::new(&servers, "a", "");
    let text = fs::read_to_string(host.configuration()).unwrap();
    let more = format!("{text}[metrics]\ntextfile = '{}'\n", file(&host).display());
    fs::write(host.configuration(), more).unwrap();
    host.must(&["join"]);
    host.within = ["sh", "-c", "umask 077; exec \"$@\"", "sh"].map(str::to_owned).to_vec();
    host.start_agent();
    let read = || fs::read_to_string(file(&host)).unwrap_or_default();
    until("it takes part", || {
        read().contains("stillpoint_cluster_member{group=\"mail\",host=\"a\"} 1")
    });
    assert_eq!(fs::metadata(file(&host)).unwrap().permissions().mode() & 0o777, 0o644);
    let notes = fs::metadata(host.machine.path("agent/mail.json")).unwrap();
    assert_eq!(notes.permissions().mode() & 0o777, 0o600);
    host.must(&["snapshot"]);
    until("it is counted", || read().contains("verdict=\"complete\"} 1"));
    until_idle(std::slice::from_ref(&host));
    // The place is gone, and comes back.
    fs::remove_file(file(&host)).unwrap();
    fs::create_dir(file(&host)).unwrap();
    host.until_said("cannot write the metrics");
    fs::remove_dir(file(&host)).unwrap();
    host.must(&["snapshot"]);
    until("it is counted again", || read().contains("verdict=\"complete\"} 2"));
}

/// A verb that only asks needs none; an agent says what it needs.
#[test]
fn without_proc_an_agent_says_what_it_needs() {
    if !is_root() || !has(&["unshare"]) {
        return;
    }
    let Some(servers) = engine() else { return };
    let mut hosts = group(&servers, &["a"]);
    let agent = hosts[0].agent().pid;
    let hidden = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /proc; exec \"$@\"", "sh"];
    hosts[0].within = hidden.map(str::to_owned).to_vec();
    hosts[0].must(&["snapshot"]);
    hosts[0].must(&["status"]);
    nix::sys::signal::kill(agent, Signal::SIGTERM).unwrap();
    assert_eq!(hosts[0].agent().end(), 0);
    let done = hosts[0].run(&["agent"]);
    done.assert_refused(71, "an agent needs /proc to be mounted");
}

/// Lines in the journal have levels, and each error is one of them.
#[test]
fn in_the_journal_a_wrong_word_is_one_line() {
    let Some(host) = lonely() else { return };
    for words in [&["snapshots"][..], &["evict", "--fenced", "a/b"], &[]] {
        let journal = host.machine.path("journal");
        let errors = File::create(&journal).unwrap();
        let place = nix::sys::stat::fstat(&errors).unwrap();
        let mut command = host.command(words);
        command.env("JOURNAL_STREAM", format!("{}:{}", place.st_dev, place.st_ino));
        assert_eq!(start(command.stderr(errors)).end(), 64);
        let text = fs::read_to_string(&journal).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with("<3>stillpoint-cluster: "), "{text}");
    }
}

/// What a person types wrongly in a hurry: the program ends by then.
#[test]
fn nobody_is_kept_waiting_by_a_file_that_is_no_file() {
    let Some(host) = lonely() else { return };
    fs::set_permissions(host.configuration(), Permissions::from_mode(0o600)).unwrap();
    let since = Instant::now();
    let mut command = host.command(&["status"]);
    let done = run(command.arg("--config").arg("/dev/null"));
    done.assert_refused(64, "/dev/null:1: group is missing");
    assert!(since.elapsed() < Duration::from_secs(5));
}

/// A limit on the size of files, and a barrier that is cut, are errors.
#[test]
fn what_a_file_does_is_an_error_and_no_death() {
    let Some(servers) = engine() else { return };
    let mut host = Host::new(&servers, "a", "");
    host.within = ["prlimit", "--fsize=0"].map(str::to_owned).to_vec();
    let done = host.run(&["join"]);
    done.assert_refused(71, "mail.json: File too large");
    host.within.clear();
    host.must(&["join"]);
    host.start_agent();
    host.until_it_takes_part();
    let agent = host.agent().pid;
    let status = fs::read_to_string(format!("/proc/{agent}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
    let caught = u64::from_str_radix(caught, 16).unwrap();
    for signal in [Signal::SIGBUS, Signal::SIGXFSZ] {
        assert_ne!(caught & 1 << (signal as u32 - 1), 0, "{signal}: {caught:x}");
    }
    let whole = fs::read(host.machine.barrier()).unwrap();
    File::options().write(true).open(host.machine.barrier()).unwrap().set_len(4096).unwrap();
    until("it is seen", || !host.must(&["status"]).contains("open  "));
    fs::write(host.machine.barrier(), whole).unwrap();
    assert!(host.agent().is_running());
}
