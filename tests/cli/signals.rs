//! Signals from other processes and from the keyboard.

use std::io::{PipeWriter, Write};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use crate::common::command::Place;
use crate::common::{Running, is_alive, run, start, until};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

const CATCH: &str = "trap 'echo int; exit 5' INT; trap 'echo term; exit 6' TERM; \
                     trap 'echo hup; exit 7' HUP; trap 'echo quit; exit 8' QUIT; \
                     echo ready; while :; do sleep 0.05; done";

#[test]
fn are_handed_on_to_the_command() {
    let place = Place::with_barrier();
    for side in [&["-s"] as &[&str], &["-x"], &["-x", "--hold", "none"]] {
        for (signal, caught, code) in [
            (Signal::SIGINT, "int", 5),
            (Signal::SIGTERM, "term", 6),
            (Signal::SIGHUP, "hup", 7),
            (Signal::SIGQUIT, "quit", 8),
        ] {
            let mut running = place.start([&["run"], side, &["mail", "sh", "-c", CATCH]].concat());
            assert_eq!(running.line(), "ready");
            running.signal(signal);
            assert_eq!(running.line(), caught, "{side:?}");
            assert_eq!(running.end(), code);
        }
    }
    assert!(place.is_quiet());
    assert_eq!(place.dirty_epoch(), 0);
}

#[test]
fn a_command_that_outlives_them_is_waited_for() {
    let place = Place::with_barrier();
    let script = "trap 'echo no' TERM; echo ready; while ! test -e go; do sleep 0.05; done; exit 3";
    let mut running = place.start(["run", "-s", "mail", "sh", "-c", script]);
    assert_eq!(running.line(), "ready");
    for _ in 0..3 {
        running.signal(Signal::SIGTERM);
        assert_eq!(running.line(), "no");
    }
    assert!(!place.is_quiet());
    std::fs::write(place.path("go"), "").unwrap();
    assert_eq!(running.end(), 3);
}

#[test]
fn killing_the_wrapper_does_not_free_the_command() {
    let place = Place::with_barrier();
    for side in [&["-s"] as &[&str], &["-x"], &["-x", "--hold", "none"]] {
        let script = "echo $$; exec sleep 60";
        let mut running = place.start([&["run"], side, &["mail", "sh", "-c", script]].concat());
        let command = Pid::from_raw(running.line().parse().unwrap());
        running.signal(Signal::SIGKILL);
        running.end();
        assert!(is_alive(command));
        // Not a moment's chance: the tools look again and again.
        for _ in 0..3 {
            assert!(!place.is_quiet(), "{side:?}");
        }
        kill(command, Signal::SIGKILL).unwrap();
        until("quiet after the command's end", || place.is_quiet());
    }
    assert_eq!(place.dirty_epoch(), 1, "the writer's death left a mark");
}

#[test]
fn one_that_comes_while_waiting_ends_the_wait() {
    let place = Place::with_barrier();
    for (held, wanted) in [("-s", "-x"), ("-x", "-s"), ("-x", "-x")] {
        let holder = place.hold(&[held]);
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let mut waiting = place.start(["run", wanted, "mail", "echo", "ran"]);
            std::thread::sleep(Duration::from_millis(200));
            assert!(waiting.is_running());
            waiting.signal(signal);
            // By the signal itself, so that a shell's loop ends too.
            assert_eq!(waiting.end_status().signal(), Some(signal as i32), "{held} {wanted}");
            assert_eq!(waiting.line(), "");
        }
        if held == "-s" {
            assert_eq!(place.status()["gate"], "open");
            assert_eq!(place.status()["wanted"], false);
        }
        drop(holder);
        until("quiet again", || place.is_quiet());
    }
}

#[test]
fn ignored_ones_stay_ignored() {
    let place = Place::with_barrier();
    for side in ["-s", "-x"] {
        let mut nohup = place.program("sh");
        let script = format!(
            "trap '' HUP INT; exec $S run {side} mail sh -c 'kill -HUP $$; kill -INT $PPID; sleep 0.2; echo survived'"
        );
        nohup.args(["-c", &script]);
        let outcome = run(nohup);
        assert_eq!((outcome.code(), outcome.stdout.as_str()), (0, "survived\n"), "{outcome:?}");
    }
}

#[test]
fn the_command_starts_with_default_signals() {
    let place = Place::with_barrier();
    for side in [&["-s"] as &[&str], &["-x"], &["-s", "-F"]] {
        let arguments =
            [&["run"], side, &["mail", "grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"]]
                .concat();
        let outcome = place.run(&arguments);
        assert_eq!(outcome.stdout.lines().count(), 3);
        let mut without_us = place.program(arguments[arguments.len() - 4]);
        without_us.args(&arguments[arguments.len() - 3..]);
        assert_eq!(outcome.stdout, run(without_us).stdout, "{arguments:?}");
    }
}

/// The command on a terminal of its own, with the test at the keyboard.
pub struct Terminal {
    pub running: Running,
    keyboard: PipeWriter,
}

impl Terminal {
    pub fn start(place: &Place, script: &str) -> Terminal {
        let mut command = place.program("script");
        command.args(["-qec", script, "/dev/null"]);
        let (input, keyboard) = std::io::pipe().unwrap();
        command.stdin(input);
        Terminal { running: start(command), keyboard }
    }

    fn line(&mut self) -> String {
        self.running.line().trim_end_matches('\r').to_string()
    }

    pub fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// All lines until one ends in `last`.
    pub fn until(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            let done = line.ends_with(last);
            assert!(!line.is_empty() || lines.len() < 100, "no {last:?} in {lines:?}");
            lines.push(line);
            if done {
                return lines;
            }
        }
    }
}

#[test]
fn the_keyboard_interrupts_once() {
    let place = Place::with_barrier();
    for (options, same_group) in [("-s", true), ("-x", false), ("-x --hold none", true)] {
        let script = "trap 'echo interrupted' INT; echo $PPID; while ! test -e stop; do sleep 0.05; done; echo end";
        std::fs::write(place.path("count"), script).unwrap();
        let outer = format!("trap : INT; $S run {options} mail sh ./count; echo ended $?");
        let mut terminal = Terminal::start(&place, &outer);
        let wrapper = Pid::from_raw(terminal.line().parse().unwrap());
        // We see it only after the command has: else two that come together would count as one.
        kill(wrapper, Signal::SIGSTOP).unwrap();
        terminal.type_in("\x03");
        if same_group {
            terminal.until("interrupted");
        }
        kill(wrapper, Signal::SIGCONT).unwrap();
        if !same_group {
            terminal.until("interrupted");
        }
        std::thread::sleep(Duration::from_millis(300));
        std::fs::write(place.path("stop"), "").unwrap();
        let lines = terminal.until("ended 0");
        assert!(!lines.iter().any(|line| line.ends_with("interrupted")), "{options}: {lines:?}");
        std::fs::remove_file(place.path("stop")).unwrap();
    }
}

#[test]
fn the_keyboard_ends_a_loop_around_us() {
    let place = Place::with_barrier();
    for options in ["-s", "-x", "-x --hold none"] {
        let script = format!(
            "trap : INT; bash -c 'for i in 1 2 3; do $S run {options} mail sh -c \"echo round $i; exec sleep 60\"; done; echo through'; echo ended"
        );
        let script = script.replace("$i", "\\$i").replace("echo round \\$i", "echo round");
        let mut terminal = Terminal::start(&place, &script);
        terminal.until("round");
        terminal.type_in("\x03");
        let lines = terminal.until("ended");
        assert!(
            !lines.iter().any(|line| line.contains("round") || line.contains("through")),
            "{options}: {lines:?}"
        );
    }
}

#[test]
fn a_command_may_read_from_the_terminal() {
    let place = Place::with_barrier();
    for options in ["-s", "-x", "-x --hold none"] {
        let script = format!(
            "$S run {options} mail sh -c 'echo ready; read a; read b </dev/tty; echo got $a $b'; echo ended $?"
        );
        let mut terminal = Terminal::start(&place, &script);
        terminal.until("ready");
        terminal.type_in("one\n");
        terminal.type_in("two\n");
        terminal.until("got one two");
        terminal.until("ended 0");
    }
}

#[test]
fn the_keyboard_reaches_a_command_that_reads_from_the_terminal() {
    let place = Place::with_barrier();
    for options in ["-s", "-x", "-x --hold none"] {
        let script = format!(
            "trap : INT; bash -c '$S run {options} mail sh -c \"echo ready; read a; exec cat\"; echo not reached'; echo ended $?"
        );
        let mut terminal = Terminal::start(&place, &script);
        terminal.until("ready");
        terminal.type_in("one\n");
        terminal.type_in("two\n");
        // Typed, and printed by cat: it has the terminal.
        terminal.until("two");
        terminal.until("two");
        terminal.type_in("\x03");
        let lines = terminal.until("ended 130");
        assert!(!lines.iter().any(|line| line.contains("not reached")), "{options}: {lines:?}");
    }
}

#[test]
fn a_job_can_be_stopped_and_continued() {
    let place = Place::with_barrier();
    for options in ["-s", "-x"] {
        let script = format!(
            "bash --norc -ic '$S run {options} mail sh -c \"echo ready; sleep 1; echo done\"; echo stopped; jobs; fg; echo ended $?'"
        );
        let mut terminal = Terminal::start(&place, &script);
        terminal.until("ready");
        terminal.type_in("\x1a");
        terminal.until("stopped");
        let lines = terminal.until("ended 0");
        assert!(lines.iter().any(|line| line.ends_with("done")), "{options}: {lines:?}");
    }
}

#[test]
fn the_keyboard_stops_nothing_that_nobody_could_continue() {
    // The leader of a session: under ssh -t, in a container with a terminal, in a terminal window.
    let place = Place::with_barrier();
    for options in ["-s", "-x", "-x --hold none"] {
        let script = "i=0; while test $i -lt 6; do i=$((i + 1)); sleep 0.1; done; echo through";
        std::fs::write(place.path("script"), script).unwrap();
        let outer = format!("exec $S run {options} mail sh -c 'echo ready; . ./script'");
        let mut terminal = Terminal::start(&place, &outer);
        terminal.until("ready");
        terminal.type_in("\x1a");
        terminal.until("through");
        assert_eq!(terminal.running.end(), 0, "{options}");

        // With the terminal in the command's hands.
        let outer = format!("exec $S run {options} mail sh -c 'echo ready; read a; cat'");
        let mut terminal = Terminal::start(&place, &outer);
        terminal.until("ready");
        terminal.type_in("one\n");
        terminal.type_in("two\n");
        terminal.until("two");
        terminal.until("two");
        terminal.type_in("\x1a");
        terminal.type_in("three\n");
        terminal.until("three");
        terminal.until("three");
        terminal.type_in("\x04");
        assert_eq!(terminal.running.end(), 0, "{options}");
    }
}

#[test]
fn a_wait_on_a_terminal_is_explained() {
    let place = Place::with_barrier();
    for (held, wanted, said) in [("-s", "-x", "lmtp"), ("-x", "-s", "closed by stillpoint[")] {
        let holder = place.hold(&[held, "--label", "lmtp"]);
        let mut terminal =
            Terminal::start(&place, &format!("$S run {wanted} -w 1 mail true; echo ended $?"));
        let lines = terminal.until("ended 75").join("\n");
        assert!(lines.contains("waiting ") && lines.contains(said), "{lines:?}");
        drop(holder);
        until("quiet again", || place.is_quiet());
    }
    // Not in a log.
    let _holder = place.hold(&["-s"]);
    let outcome = place.run(["run", "-x", "-w", "1", "mail", "true"]);
    assert_eq!(outcome.stderr.lines().count(), 1);
    assert!(!outcome.stderr.contains('\x1b'));
}

#[test]
fn the_end_of_the_group_is_the_end_of_the_writer() {
    // timeout -s KILL, a supervisor: with -s the command is in our group, as under flock(1).
    let place = Place::with_barrier();
    let mut running = place.start(["run", "-s", "mail", "sh", "-c", "echo $$; exec sleep 60"]);
    let command = Pid::from_raw(running.line().parse().unwrap());
    killpg(running.pid, Signal::SIGKILL).unwrap();
    running.end();
    until("gone", || !is_alive(command));
    until("quiet", || place.is_quiet());
    assert_eq!(place.dirty_epoch(), 1);
}
