//! `stillpoint freeze` and `stillpoint thaw`.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::common::command::Place;
use crate::common::{Done, Running, STILLPOINT, is_alive, is_root, run, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stillpoint::Status;

/// Ends by force the keeper that a test leaves behind.
struct Frozen<'a> {
    place: &'a Place,
    token: String,
    keeper: Pid,
}

fn freeze<'a>(place: &'a Place, options: &[&str]) -> Frozen<'a> {
    let frozen = place.run([&["freeze"], options, &["mail"]].concat());
    assert_eq!(frozen.code(), 0, "{frozen:?}");
    assert!(frozen.stderr.is_empty() || frozen.stderr.contains(": dirty ("), "{frozen:?}");
    let (token, rest) = frozen.stdout.split_once('\n').unwrap();
    assert!(rest.is_empty() && !token.contains(char::is_whitespace), "{frozen:?}");
    assert_eq!(place.status()["gate"], "closed");
    Frozen { place, token: token.to_string(), keeper: keeper(place).unwrap() }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        if keeper(self.place) == Some(self.keeper) {
            let _ = kill(self.keeper, Signal::SIGKILL);
        }
    }
}

/// Who has the exclusive side.
fn keeper(place: &Place) -> Option<Pid> {
    let pid = place.status()["holder"]["pid"].as_i64()?;
    Some(Pid::from_raw(pid as i32))
}

fn thaw(place: &Place, options: &[&str]) -> Done {
    let thawed = place.run([&["thaw"], options, &["mail"]].concat());
    assert_eq!(thawed.stdout, "");
    thawed
}

#[test]
fn a_pause_lasts_until_it_is_thawed() {
    let place = Place::with_barrier();
    let frozen = freeze(&place, &["--label", "nightly"]);
    let status = place.status();
    assert_eq!(status["holder"]["label"], "nightly");
    assert_eq!(status["holder"]["limit_ms"], 62_000.0, "hold and drain");
    assert_eq!(place.run(["run", "-s", "-n", "mail", "true"]).code(), 75);

    let thawed = thaw(&place, &["--token", &frozen.token]);
    assert_eq!((thawed.code(), thawed.stderr.as_str()), (0, ""));
    until("the keeper is gone", || !is_alive(frozen.keeper));
    place.assert_writers_go_on();
    assert_eq!(place.status()["stats"]["pauses"], 1);

    for options in [&["--token", &frozen.token][..], &[]] {
        thaw(&place, options).assert_complaint(0, &["mail.barrier", "thawed before"]);
    }
}

#[test]
fn no_token_is_needed() {
    let place = Place::with_barrier();
    thaw(&place, &[]).assert_complaint(0, &["nothing is frozen"]);
    let first = freeze(&place, &[]);
    assert_eq!(thaw(&place, &[]).code(), 0);
    let second = freeze(&place, &[]);
    assert_ne!(first.token, second.token);
    assert_eq!(thaw(&place, &[]).code(), 0);
    place.assert_writers_go_on();
}

#[test]
fn at_its_limit_the_keeper_opens_the_gate_and_thaw_says_so() {
    let place = Place::with_barrier();
    let frozen = freeze(&place, &["--hold", "0.2"]);
    until("the keeper is gone", || !is_alive(frozen.keeper));
    place.assert_writers_go_on();
    // Nobody had to revoke it.
    assert_eq!(place.status()["stats"]["revocations"], 0);
    for options in [&[][..], &["--token", &frozen.token], &[]] {
        thaw(&place, options).assert_complaint(124, &["mail.barrier", "not held", "throw away"]);
    }
    // It is the next one's turn, and that one held.
    let _next = freeze(&place, &[]);
    assert_eq!(thaw(&place, &[]).code(), 0);
}

#[test]
fn a_token_guards_the_pause_of_others() {
    let place = Place::with_barrier();
    let first = freeze(&place, &["--hold", "0.1"]);
    until("the keeper is gone", || !is_alive(first.keeper));
    let second = freeze(&place, &[]);
    let late = thaw(&place, &["--token", &first.token]);
    late.assert_complaint(124, &["not that of the last one"]);
    assert_eq!(place.status()["gate"], "closed", "that was somebody else's");

    for garbage in ["", "x", "17", &second.token[1..], &format!("{}0", second.token)] {
        let refused = place.run(["thaw", "--token", garbage, "mail"]);
        assert_eq!(refused.code(), 64, "{garbage}: {refused:?}");
    }
    assert_eq!(place.status()["gate"], "closed");
    assert_eq!(thaw(&place, &["--token", &second.token]).code(), 0);
}

#[test]
fn the_pause_of_a_tool_is_not_thawed() {
    let place = Place::with_barrier();
    let tool = place.hold(&["-x"]);
    thaw(&place, &[]).assert_complaint(0, &["nothing is frozen"]);
    assert_eq!(place.status()["gate"], "closed");
    drop(tool);
}

#[test]
fn freezing_twice_is_refused_with_the_way_out() {
    let place = Place::with_barrier();
    let first = freeze(&place, &["--label", "first"]);
    let second = place.run(["freeze", "-w", "0.1", "mail"]);
    second.assert_complaint(75, &["frozen already by", "(first)", "stillpoint thaw"]);
    assert_eq!(second.stdout, "");
    assert_eq!(keeper(&place), Some(first.keeper));
    assert_eq!(thaw(&place, &[]).code(), 0, "the second one spoilt nothing");
}

#[test]
fn a_writer_that_stays_inside_is_named_and_the_gate_opens() {
    let place = Place::with_barrier();
    let writer = place.hold(&["-s", "--label", "lmtp"]);
    let refused = place.run(["freeze", "-w", "0.2", "--drain", "0.1", "mail"]);
    refused.assert_complaint(75, &["mail.barrier", "(lmtp)"]);
    assert_eq!(place.status()["gate"], "open");
    // The host's second hook comes all the same.
    assert_eq!(thaw(&place, &[]).code(), 0);
    drop(writer);
}

#[test]
fn a_keeper_that_was_killed_blocks_nobody_and_did_not_hold() {
    let place = Place::with_barrier();
    let frozen = freeze(&place, &[]);
    kill(frozen.keeper, Signal::SIGKILL).unwrap();
    thaw(&place, &[]).assert_complaint(124, &["keeper was killed"]);
    assert_eq!(place.status()["gate"], "open", "also where no writer comes");
    place.assert_writers_go_on();

    let frozen = freeze(&place, &[]);
    kill(frozen.keeper, Signal::SIGKILL).unwrap();
    place.assert_writers_go_on();
    thaw(&place, &[]).assert_complaint(124, &["had ended before"]);
}

/// Nobody is called dead who lives, and stopped is not dead.
#[test]
fn a_gate_whose_keeper_has_died_is_told_from_one_that_is_kept() {
    let place = Place::with_barrier();
    let frozen = freeze(&place, &[]);
    let says = |what: &str| {
        let [status, check] = ["status", "check"].map(|verb| place.run([verb, "mail"]));
        assert_eq!(status.code(), 0, "{status:?}");
        [status, check].map(|done| done.stdout.contains(what)) == [true, true]
    };
    let (kept, abandoned) = ("closed", "closed by a tool that has died");
    kill(frozen.keeper, Signal::SIGSTOP).unwrap();
    assert!(says(kept) && !says(abandoned));
    assert_eq!(place.status()["abandoned"], false);
    kill(frozen.keeper, Signal::SIGKILL).unwrap();
    until("the keeper is gone", || !is_alive(frozen.keeper));
    let status = place.status();
    assert_eq!((&status["gate"], &status["abandoned"]), (&"closed".into(), &true.into()));
    assert!(status["holder"].is_null() && status["wanted"] == false, "{status}");
    assert!(says(abandoned));
    place.assert_writers_go_on();
    assert_eq!(place.status()["abandoned"], false);
    assert!(!says(abandoned));
}

#[test]
fn a_keeper_that_is_told_to_end_opens_the_gate() {
    let place = Place::with_barrier();
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let frozen = freeze(&place, &[]);
        kill(frozen.keeper, signal).unwrap();
        until("the keeper is gone", || !is_alive(frozen.keeper));
        assert_eq!(place.status()["gate"], "open");
        assert_eq!(thaw(&place, &[]).code(), 124, "nobody asked for its end");
    }
}

#[test]
fn a_keeper_that_does_not_answer_is_overruled() {
    let place = Place::with_barrier();
    let frozen = freeze(&place, &["--hold", "none"]);
    kill(frozen.keeper, Signal::SIGSTOP).unwrap();
    thaw(&place, &[]).assert_complaint(124, &["does not answer"]);
    place.assert_writers_go_on();
    assert_eq!(place.status()["stats"]["revocations"], 1);
    kill(frozen.keeper, Signal::SIGCONT).unwrap();
    until("the keeper is gone", || !is_alive(frozen.keeper));
    assert_eq!(thaw(&place, &[]).code(), 124, "it had been asked, and answered too late");
}

/// Hosts read their hook's output to the end, and leave more than that open in it.
#[test]
fn the_keeper_keeps_nothing_of_its_caller() {
    let place = Place::with_barrier();
    let leaked = File::create(place.path("leaked")).unwrap();
    // As a host that knows nothing of close-on-exec.
    nix::fcntl::fcntl(&leaked, nix::fcntl::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    // Reads both pipes to their ends: it would hang here.
    let frozen = freeze(&place, &[]);
    let at = |name: &str| PathBuf::from(format!("/proc/{}/{name}", frozen.keeper));
    for standard in 0..=2 {
        assert_eq!(
            std::fs::read_link(at(&format!("fd/{standard}"))).unwrap(),
            PathBuf::from("/dev/null")
        );
    }
    let open: Vec<PathBuf> = std::fs::read_dir(at("fd"))
        .unwrap()
        .map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap())
        .collect();
    assert!(!open.contains(&place.path("leaked")), "{open:?}, as {}", leaked.as_raw_fd());
    assert_eq!(std::fs::read_link(at("cwd")).unwrap(), PathBuf::from("/"));
    let session = nix::unistd::getsid(Some(frozen.keeper)).unwrap();
    assert_eq!(session, frozen.keeper, "its own session");
    assert_eq!(thaw(&place, &[]).code(), 0);
}

/// A freeze that waits for a writer which stays inside.
fn draining(place: &Place) -> (Running, Running) {
    let writer = place.hold(&["-s"]);
    let freezing = place.start(["freeze", "-w", "60", "--drain", "60", "mail"]);
    until("a tool wants in", || place.status()["wanted"] == true);
    (writer, freezing)
}

#[test]
fn a_host_that_gives_up_on_freeze_finds_nothing_frozen_later() {
    let place = Place::with_barrier();
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
        let (writer, mut freezing) = draining(&place);
        let keeper = keeper(&place).unwrap();
        freezing.signal(signal);
        assert_eq!(freezing.end(), 128 + signal as i32);
        until("the keeper is gone", || !is_alive(keeper));
        drop(writer);
        place.assert_writers_go_on();
        assert_eq!(thaw(&place, &[]).code(), 0, "nothing was frozen");
    }
}

#[test]
fn a_token_that_nobody_reads_freezes_nothing() {
    let place = Place::with_barrier();
    let mut command = place.command(["freeze", "mail"]);
    command.stdout(File::options().write(true).open("/dev/full").unwrap()).stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(71), "{output:?}");
    until("the gate opens", || place.status()["gate"] == "open");
    assert_eq!(thaw(&place, &[]).code(), 124);
}

#[test]
fn inside_a_share_or_a_pause_freezing_makes_no_sense() {
    let place = Place::with_barrier();
    for side in ["-s", "-x"] {
        let refused = place.run(["run", side, "mail", STILLPOINT, "freeze", "mail"]);
        refused.assert_complaint(64, &["mail.barrier"]);
    }
    place.assert_writers_go_on();
}

/// As for a snapshot: what the host takes would be of no known state.
#[test]
fn a_state_that_speaks_for_nothing_is_refused_and_a_loss_is_told() {
    let place = Place::with_barrier();
    let whole = std::fs::read(place.state()).unwrap();
    assert_eq!(place.run(["create", "news"]).code(), 0);
    let of_another = std::fs::read(place.state().with_file_name("news.state")).unwrap();
    for state in [b"{".to_vec(), of_another] {
        std::fs::write(place.state(), state).unwrap();
        place.run(["freeze", "mail"]).assert_complaint(65, &["mail.state"]);
        assert!(!Status::read(place.barrier()).unwrap().closed);
    }
    std::fs::write(place.state(), whole).unwrap();
    place.lose("writer");
    let frozen = place.run(["freeze", "mail"]);
    assert_eq!(frozen.code(), 0, "{frozen:?}");
    assert!(frozen.stderr.contains("dirty (epoch 1, acknowledged 0)"), "{frozen:?}");
    assert_eq!(thaw(&place, &[]).code(), 0);
}

#[test]
fn bad_input_is_refused() {
    let place = Place::with_barrier();
    for verb in ["freeze", "thaw"] {
        place
            .run([verb, "nothing"])
            .assert_complaint(66, &["nothing.barrier", "stillpoint create"]);
        assert_eq!(place.run([verb]).code(), 64);
    }
    for options in [["--hold", "0"], ["--hold", "soon"], ["--drain", "-1"], ["-w", "x"]] {
        assert_eq!(place.run([&["freeze"], &options[..], &["mail"]].concat()).code(), 64);
    }
    assert_eq!(place.status()["generation"], 0, "the gate was left alone");
}

/// A container's hook may run in another pid namespace than the keeper.
#[test]
fn thawing_from_another_pid_namespace() {
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    let frozen = freeze(&place, &[]);
    let mut inside = place.program("unshare");
    inside.args(["--pid", "--fork", STILLPOINT, "thaw", "mail"]);
    let thawed = run(inside);
    assert_eq!(thawed.code(), 0, "{thawed:?}");
    until("the keeper is gone", || !is_alive(frozen.keeper));
}

#[test]
fn a_barrier_made_anew_knows_of_nothing_frozen() {
    let place = Place::with_barrier();
    let frozen = freeze(&place, &[]);
    kill(frozen.keeper, Signal::SIGKILL).unwrap();
    until("the keeper is gone", || !is_alive(frozen.keeper));
    // As a reboot does.
    std::fs::remove_file(place.barrier()).unwrap();
    assert_eq!(place.run(["create", "mail"]).code(), 0);
    assert_eq!(thaw(&place, &[]).code(), 0);
    let late = ["--token", &frozen.token];
    thaw(&place, &late).assert_complaint(124, &["not that of the last one"]);
    // The generations begin anew.
    let next = freeze(&place, &[]);
    thaw(&place, &late).assert_complaint(124, &["not that of the last one"]);
    assert_eq!(keeper(&place), Some(next.keeper));
}

#[test]
fn a_waiting_writer_ends_the_pause_of_a_stopped_keeper_at_its_limit() {
    let place = Place::with_barrier();
    let frozen = freeze(&place, &["--hold", "0.2", "--drain", "0.1"]);
    kill(frozen.keeper, Signal::SIGSTOP).unwrap();
    place.assert_writers_go_on();
    assert_eq!(place.status()["stats"]["revocations"], 1);
    assert_eq!(thaw(&place, &[]).code(), 124);
    let mut command = Command::new("kill");
    run({
        command.args(["-CONT", &frozen.keeper.to_string()]);
        command
    });
    until("the keeper is gone", || !is_alive(frozen.keeper));
}
