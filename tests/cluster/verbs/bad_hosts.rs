//! One host has a bad day: a full disk, a command that fails, a clock that jumps, a death in the middle.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::site::{Host, engine, populate, until_complete, until_idle, until_settled, until_there};
use crate::common::faketime::{by_a_clock, library};
use crate::common::process::{Done, must, start};
use crate::common::time::until;
use crate::servers::Servers;
use crate::skip::{is_root, skip};

/// An aborted snapshot: nobody has anything of it, all gates are open, and it says whose fault it was.
#[track_caller]
fn is_aborted(done: &Done, hosts: &[Host], code: i32, said: &str) {
    done.assert_code(code);
    assert!(done.stdout.is_empty(), "{done:?}");
    let last = done.stderr.lines().last().unwrap();
    assert!(last.contains("was aborted: ") && last.contains(said), "{said:?}: {done:?}");
    for host in hosts {
        until("the gate is open", || !host.machine.is_closed());
        let name = format!("mail-{}", epoch_of(last));
        until(&format!("{name} is gone"), || {
            host.machine.snapshots().iter().all(|there| !there.contains(&name))
        });
        assert_ne!(host.latest().as_deref(), Some(name.as_str()));
    }
}

/// As in `epoch 17 was aborted`.
fn epoch_of(line: &str) -> u64 {
    line.split("epoch ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_command_that_fails_on_one_host_ends_it_everywhere() {
    let Some(servers) = engine() else { return };
    let mut hosts = vec![
        Host::new(&servers, "a", ""),
        Host::scripted(&servers, "b", "echo no tape >&2; exit 9"),
    ];
    populate(&mut hosts);
    for mode in ["--hold-all", "--early"] {
        is_aborted(&hosts[0].run(&["snapshot", mode]), &hosts, 9, "b: ");
    }
    // By a signal, too: that command, or all that makes its part.
    let text = fs::read_to_string(hosts[1].configuration()).unwrap();
    for script in ["kill -KILL $$", "kill -KILL $PPID"] {
        hosts[1].kill_agent();
        fs::write(hosts[1].configuration(), text.replace("echo no tape >&2; exit 9", script))
            .unwrap();
        hosts[1].start_agent();
        hosts[1].until_it_takes_part();
        until_idle(&hosts[..1]);
        let done = hosts[0].run(&["snapshot"]);
        // What is dead opens nothing; whoever comes by does.
        hosts[1].machine.write();
        is_aborted(&done, &hosts, 137, "b: ");
    }
    // Also without a command at all.
    hosts[1].kill_agent();
    fs::write(hosts[1].configuration(), text.replace("\"sh\"", "\"/no/such/program\"")).unwrap();
    hosts[1].start_agent();
    until("b is there", || !hosts[0].run(&["snapshot"]).stderr.contains("its agent is not there"));
    is_aborted(&hosts[0].run(&["snapshot"]), &hosts, 127, "/no/such/program");
    // And it is over as soon as the host is well.
    hosts[1].kill_agent();
    fs::write(hosts[1].configuration(), text.replace("exit 9", "exit 0")).unwrap();
    hosts[1].start_agent();
    until_complete(&hosts[0]);
    assert!(hosts[0].must(&["list"]).matches("aborted").count() >= 3);
}

/// A file system of some pages, unmounted at the end.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf) -> Option<Small> {
        fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&at);
        match mount.output().is_ok_and(|done| done.status.success()) {
            true => Some(Small(at)),
            false => {
                skip("no tmpfs can be mounted");
                None
            }
        }
    }

    fn fill(&self) {
        let _ = fs::write(self.0.join("filler"), vec![1; 1 << 20]);
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        must(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

#[test]
fn a_full_disk_on_one_host_ends_it_everywhere_and_is_named() {
    if !is_root() {
        return;
    }
    let Some(servers) = engine() else { return };
    let mut hosts = [Host::new(&servers, "a", ""), Host::new(&servers, "b", "")];
    // Of what is taken, of the catalogue, and of what the agent must not forget.
    let places = ["snapshots", "catalog", "agent"];
    let small = places.map(|place| Small::mount(hosts[1].machine.path(place)));
    if small.iter().any(Option::is_none) {
        return;
    }
    populate(&mut hosts);
    for (place, small) in places.iter().zip(small.iter().flatten()) {
        until_complete(&hosts[0]);
        until_idle(&hosts);
        small.fill();
        let begun = Instant::now();
        let done = hosts[0].run(&["snapshot"]);
        assert!(begun.elapsed() < Duration::from_secs(20), "{done:?}");
        assert!([71, 73].contains(&done.code()), "{place}: {done:?}");
        is_aborted(&done, &hosts, done.code(), "b: ");
        let is_named =
            ["No space left", "bytes left"].iter().any(|said| done.stderr.contains(said));
        assert!(is_named, "{place}: {done:?}");
        small.empty();
        until_complete(&hosts[0]);
    }
    hosts[1].kill_agent();
}

/// Waits inside its part of a snapshot.
pub fn slow(servers: &Servers, name: &str) -> Host {
    let host = Host::scripted(servers, name, "true");
    let inside = host.machine.path("state/inside");
    let script = format!("touch '{0}'; while [ -e '{0}' ]; do sleep 0.02; done", inside.display());
    let text = fs::read_to_string(host.configuration()).unwrap();
    fs::write(host.configuration(), text.replace("\"true\"", &format!("{script:?}"))).unwrap();
    host
}

fn inside(host: &Host) -> PathBuf {
    host.machine.path("state/inside")
}

#[test]
fn a_coordinator_that_is_killed_leaves_open_gates_and_recover_says_so() {
    let Some(servers) = engine() else { return };
    let mut hosts = vec![slow(&servers, "a"), Host::new(&servers, "b", "")];
    populate(&mut hosts);
    let mut coordinator = start(hosts[1].command(&["snapshot"]).stderr(Stdio::piped()));
    until_there(&inside(&hosts[0]), &mut coordinator);
    assert!(hosts[0].machine.is_closed());
    let busy = hosts[0].run(&["recover"]);
    busy.assert_refused(75, "is under way");
    coordinator.signal(Signal::SIGKILL);
    coordinator.end();
    // Its lease runs out, and its epoch with it.
    let since = Instant::now();
    until("all gates are open", || hosts.iter().all(|host| !host.machine.is_closed()));
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    until("the epoch is over", || hosts[0].must(&["status"]).contains("no epoch is under way"));
    assert!(hosts[0].must(&["status"]).contains("`stillpoint-cluster recover` gives it one"));
    assert!(hosts[0].must(&["list"]).contains("none yet"));
    // By many at once, and again.
    let many =
        [0, 1, 0, 1].map(|host| start(hosts[host].command(&["recover"]).stderr(Stdio::piped())));
    for one in many {
        let done = one.wait();
        assert!(done.code() == 0 && done.stderr.contains("aborted"), "{done:?}");
    }
    let verdict = hosts[1].json(&["recover", "--json"]);
    assert_eq!(verdict["outcome"], "aborted");
    assert!(
        verdict["reason"]["text"].as_str().unwrap().contains("coordinator was gone"),
        "{verdict}"
    );
    let _ = fs::remove_file(inside(&hosts[0]));
    until_settled(&hosts, verdict["name"].as_str().unwrap());
    // One that is alive is given up, if that is what is asked for.
    let mut coordinator =
        start(hosts[1].command(&["snapshot"]).stdout(Stdio::piped()).stderr(Stdio::piped()));
    until_there(&inside(&hosts[0]), &mut coordinator);
    hosts[0].run(&["recover", "--give-up"]).assert_code(0);
    let done = coordinator.wait();
    assert_eq!(done.code(), 75, "{done:?}");
    assert!(done.stderr.contains("was given up"), "{done:?}");
    let _ = fs::remove_file(inside(&hosts[0]));
    let mut next = start(hosts[1].command(&["snapshot"]).stdout(Stdio::piped()));
    until_there(&inside(&hosts[0]), &mut next);
    fs::remove_file(inside(&hosts[0])).unwrap();
    next.wait().assert_code(0);
}

/// Ctrl-C: gates open at once, there is a verdict, and the shell sees by what it ended.
#[test]
fn a_coordinator_that_is_interrupted_ends_what_it_began() {
    let Some(servers) = engine() else { return };
    let mut hosts = vec![slow(&servers, "a"), Host::new(&servers, "b", "")];
    populate(&mut hosts);
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut coordinator =
            start(hosts[1].command(&["snapshot"]).stdout(Stdio::piped()).stderr(Stdio::piped()));
        until_there(&inside(&hosts[0]), &mut coordinator);
        let since = Instant::now();
        coordinator.signal(signal);
        let done = coordinator.wait();
        assert_eq!(done.signal(), Some(signal as i32), "{done:?}");
        assert!(done.stderr.contains(&format!("interrupted by {}", signal.as_str())), "{done:?}");
        until("all gates are open", || hosts.iter().all(|host| !host.machine.is_closed()));
        assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
        let epoch = epoch_of(done.stderr.lines().last().unwrap());
        let _ = fs::remove_file(inside(&hosts[0]));
        until_settled(&hosts, &format!("mail-{epoch}"));
        let list = hosts[0].json(&["list", "--json"]);
        let last = list.as_array().unwrap().last().unwrap();
        assert_eq!(
            (last["epoch"].as_u64(), last["outcome"].as_str()),
            (Some(epoch), Some("aborted"))
        );
    }
}

/// Ctrl-C while the store is silent: nobody is told, and nobody waits for long.
#[test]
fn an_interruption_that_the_store_does_not_hear_ends_the_coordinator_all_the_same() {
    let Some(servers) = engine() else { return };
    let mut hosts = vec![slow(&servers, "a"), Host::new(&servers, "b", "")];
    populate(&mut hosts);
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut coordinator =
            start(hosts[1].command(&["snapshot"]).stdout(Stdio::piped()).stderr(Stdio::piped()));
        until_there(&inside(&hosts[0]), &mut coordinator);
        servers.signal(0, Signal::SIGSTOP);
        let since = Instant::now();
        coordinator.signal(signal);
        let done = coordinator.wait();
        servers.signal(0, Signal::SIGCONT);
        assert_eq!(done.signal(), Some(signal as i32), "{done:?}");
        assert!(done.stderr.contains("interrupted") && done.stderr.contains("recover"), "{done:?}");
        assert!(since.elapsed() < Duration::from_secs(12), "{:?}", since.elapsed());
        until("all gates are open", || hosts.iter().all(|host| !host.machine.is_closed()));
        let _ = fs::remove_file(inside(&hosts[0]));
        until("it has its verdict", || hosts[0].run(&["recover"]).code() == 0);
    }
}

/// As all of a machine is told at its end, in the middle of an epoch: whoever waits for another one lets go of it, and does not
/// wait for its limit first.
#[test]
fn all_that_is_told_to_end_in_an_epoch_lets_go_at_once() {
    let Some(servers) = engine() else { return };
    let limits = "[limits]\nprepare = 20\ndrain = 3000\nhold = 6000\nmin-open = 0.05\nagent-lease = 5\ncoordinator-lease = 3\ncounts = 0.2\n";
    let mut hosts = vec![slow(&servers, "a"), Host::new(&servers, "b", limits)];
    let text = fs::read_to_string(hosts[0].configuration()).unwrap();
    fs::write(hosts[0].configuration(), text.replace("\"--hold\", \"9\"", "\"--hold\", \"6000\""))
        .unwrap();
    let job = hosts[1].machine.path("jobs/mail.toml");
    let text = fs::read_to_string(&job).unwrap();
    fs::write(&job, text.replace("hold = 9", "hold = 6000\ndrain = 3000")).unwrap();
    populate(&mut hosts);
    let begin = |hosts: &[Host]| {
        let words = ["snapshot", "--drain", "3000", "--hold", "6000"];
        let mut command = hosts[1].command(&words);
        let mut begun = start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        until_there(&inside(&hosts[0]), &mut begun);
        begun
    };
    for (is_inside, is_silent) in [(true, false), (false, false), (true, true), (false, true)] {
        let writer = is_inside.then(|| hosts[1].machine.writer());
        let begun = begin(&hosts);
        until("b is closed", || hosts[1].machine.is_closed());
        if is_silent {
            servers.signal(0, Signal::SIGSTOP);
        }
        for host in &mut hosts {
            host.agent().signal(Signal::SIGTERM);
        }
        begun.signal(Signal::SIGTERM);
        for host in &mut hosts {
            assert_eq!(host.agent().end(), 0);
        }
        let done = begun.wait();
        assert_eq!(done.signal(), Some(Signal::SIGTERM as i32), "{done:?}");
        until("all gates are open", || hosts.iter().all(|host| !host.machine.is_closed()));
        until("no part is under way", || hosts.iter().all(Host::is_idle));
        servers.signal(0, Signal::SIGCONT);
        drop(writer);
        let _ = fs::remove_file(inside(&hosts[0]));
        for host in &mut hosts {
            host.start_agent();
        }
        super::site::until_all_take_part(&hosts);
    }
}

/// One that is stopped is not waited for longer than the limit, and does no harm when it goes on.
#[test]
fn an_agent_or_a_coordinator_that_hangs_holds_nobody_beyond_the_limit() {
    let Some(servers) = engine() else { return };
    let mut hosts = vec![slow(&servers, "a"), Host::new(&servers, "b", "")];
    populate(&mut hosts);
    for stops_agent in [true, false] {
        let mut coordinator =
            start(hosts[1].command(&["snapshot"]).stdout(Stdio::piped()).stderr(Stdio::piped()));
        until_there(&inside(&hosts[0]), &mut coordinator);
        let agent = hosts[1].agent().pid;
        let stopped = if stops_agent { agent } else { coordinator.pid };
        nix::sys::signal::kill(stopped, Signal::SIGSTOP).unwrap();
        let since = Instant::now();
        // Whoever waits in front of it gets in by the limit, and needs nobody for that.
        hosts[1].machine.write();
        assert!(since.elapsed() < Duration::from_secs(9), "{:?}", since.elapsed());
        nix::sys::signal::kill(stopped, Signal::SIGCONT).unwrap();
        let done = coordinator.wait();
        assert!(done.code() != 0 && done.stdout.is_empty(), "{done:?}");
        let _ = fs::remove_file(inside(&hosts[0]));
        until("nothing is under way", || {
            hosts[0].run(&["recover"]).code() == 0
                && hosts.iter().all(|host| !host.machine.is_closed())
        });
        let next = loop {
            let mut next = start(
                hosts[1].command(&["snapshot"]).stdout(Stdio::piped()).stderr(Stdio::piped()),
            );
            let path = inside(&hosts[0]);
            until("it is inside, or refused", || path.exists() || !next.is_running());
            if path.exists() {
                fs::remove_file(&path).unwrap();
            }
            let done = next.wait();
            if done.code() == 0 {
                break done;
            }
            assert_eq!(done.code(), 75, "{done:?}");
        };
        assert!(next.stdout.starts_with("mail-"));
    }
}

#[test]
fn clocks_that_are_wrong_and_jump_decide_nothing() {
    let Some(library) = library() else { return };
    let Some(servers) = engine() else { return };
    let mut hosts = vec![Host::new(&servers, "a", ""), Host::new(&servers, "b", "")];
    let clock = hosts[0].machine.path("clock");
    fs::write(&clock, "+0").unwrap();
    for host in &mut hosts {
        host.must(&["join"]);
        // The one by the wrong clock, the other by the right one.
        let mut command = host.command(&["agent"]);
        if host.machine.name == "a" {
            command = by_a_clock(command, &library, &clock);
        }
        host.start_agent_by(command);
    }
    super::site::until_all_take_part(&hosts);
    let mut names = Vec::new();
    for jump in ["+0", "+3650d", "-3650d", "+1d"] {
        fs::write(&clock, jump).unwrap();
        for (mode, by_the_clock) in [("--hold-all", true), ("--early", false)] {
            let mut command = hosts[1].command(&["snapshot", mode]);
            if by_the_clock {
                command = by_a_clock(command, &library, &clock);
            }
            let done = crate::common::process::run(command);
            done.assert_code(0);
            names.push(done.stdout.clone());
            // The newest is the last one, whatever the clocks say.
            assert_eq!(hosts[0].must(&["latest"]), done.stdout);
            until_settled(&hosts, done.stdout.trim_end());
            for host in &hosts {
                until("latest", || host.latest().as_deref() == Some(done.stdout.trim_end()));
                assert_eq!(host.must(&["latest", "--local"]), done.stdout);
            }
        }
    }
    // In the middle of one, too.
    fs::write(&clock, "+0").unwrap();
    let mut third = slow(&servers, "c");
    third.must(&["join"]);
    third.start_agent();
    third.until_it_takes_part();
    let command = by_a_clock(hosts[1].command(&["snapshot"]), &library, &clock);
    let mut command = command;
    let mut taken = start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    until_there(&inside(&third), &mut taken);
    fs::write(&clock, "-3650d").unwrap();
    fs::remove_file(inside(&third)).unwrap();
    let done = taken.wait();
    done.assert_code(0);
    let list = hosts[0].json(&["list", "--json"]);
    let shown: Vec<&str> =
        list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    names.push(done.stdout);
    assert_eq!(shown, names.iter().map(|name| name.trim_end()).collect::<Vec<_>>());
}

/// An agent that is killed takes its gate with it, and what it had certified waits for its verdict, which the next one
/// says.
#[test]
fn an_agent_that_is_killed_is_followed_by_one_that_goes_on() {
    let Some(servers) = engine() else { return };
    let mut hosts = vec![slow(&servers, "a"), Host::new(&servers, "b", "")];
    populate(&mut hosts);
    let mut coordinator = start(hosts[1].command(&["snapshot"]).stderr(Stdio::piped()));
    until_there(&inside(&hosts[0]), &mut coordinator);
    hosts[1].kill_agent();
    let since = Instant::now();
    hosts[1].machine.write();
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    hosts[1].start_agent();
    let done = coordinator.wait();
    assert!(done.code() == 75 && done.stderr.contains("b: "), "{done:?}");
    let _ = fs::remove_file(inside(&hosts[0]));
    until("it goes on", || {
        let mut next = start(hosts[1].command(&["snapshot"]).stderr(Stdio::null()));
        let path = inside(&hosts[0]);
        until("it is inside, or refused", || path.exists() || !next.is_running());
        let _ = fs::remove_file(&path);
        next.end() == 0
    });
}
