//! Processes that do what a test tells them, line by line (see tests/participant).

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fmt::Display;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use super::place::Place;
use super::process::{is_asleep, state, without_our_variables};
use super::programs;
use super::time::until;

/// Nothing takes anywhere near as long; a participant that hangs fails its test.
const PATIENCE: Duration = Duration::from_secs(25);

/// A process that takes part in a barrier; killed when dropped.
pub struct Participant {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

/// The example program, which lies beside the command wherever that was built.
fn program() -> PathBuf {
    let program = programs().join("examples/participant");
    assert!(program.exists(), "{} is not built: cargo build --examples", program.display());
    program
}

impl Participant {
    /// Starts one that has opened nothing.
    pub fn start() -> Participant {
        Participant::start_as(|_| {})
    }

    /// The same, started otherwise.
    pub fn start_as(change: impl FnOnce(&mut Command)) -> Participant {
        Participant::start_by(Command::new, change)
    }

    /// The same, by what `command` makes of the program.
    pub fn start_by(
        command: impl FnOnce(PathBuf) -> Command,
        change: impl FnOnce(&mut Command),
    ) -> Participant {
        let mut command = command(program());
        // What happens at the steps is asked for from outside, for every process of a test.
        without_our_variables(&mut command, &["STILLPOINT_STEPS"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (send, answers) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let participant = Participant { child, input, answers };
        let ready = participant.hear();
        assert!(ready.starts_with("ready"), "{ready}");
        participant
    }

    /// Starts one that has opened the barrier.
    pub fn at(path: &Path) -> Participant {
        let mut participant = Participant::start();
        participant.open(path);
        participant
    }

    /// Sends a command that makes a process; which one it is.
    #[track_caller]
    pub fn child_by(&mut self, command: &str) -> Pid {
        let answer = self.ask(command);
        let pid = answer.strip_prefix("forked ").and_then(|pid| pid.parse().ok());
        Pid::from_raw(pid.unwrap_or_else(|| panic!("to {command:?}: {answer}")))
    }

    /// As a tool: nobody is inside, and nobody was lost meanwhile.
    #[track_caller]
    pub fn finds_quiet(&mut self) {
        // A drain that failed before asks for 100 ms of open gate.
        self.expect_like("exclusive patience=0 drain=2000", "granted");
        self.expect("release", "released grown=0");
    }

    /// As a tool: this process is inside, and is named.
    #[track_caller]
    pub fn finds_inside(&mut self, pid: impl Display) {
        let answer = self.expect_like("exclusive patience=0 drain=30", "error NotQuiet");
        assert!(answer.contains(&format!("[{pid}]")), "{answer} does not name {pid}");
    }

    /// Opens a barrier in it.
    pub fn open(&mut self, path: &Path) {
        let answer = self.ask(&format!("open {}", path.display()));
        assert!(answer.starts_with("open "), "{answer}");
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a command, and leaves the answer for later.
    #[track_caller]
    pub fn say(&mut self, command: &str) {
        self.try_say(command).unwrap();
    }

    /// The same, to one that may be dead.
    pub fn try_say(&mut self, command: &str) -> std::io::Result<()> {
        writeln!(self.input, "{command}")
    }

    /// The next answer.
    #[track_caller]
    pub fn hear(&self) -> String {
        match self.answers.recv_timeout(PATIENCE) {
            Ok(answer) => answer,
            Err(error) => panic!("participant {} does not answer: {error}", self.pid()),
        }
    }

    /// The next answer, of one that may die or hang instead: [`RecvTimeoutError::Disconnected`] is a
    /// death.
    pub fn hear_within(&self, limit: Duration) -> Result<String, RecvTimeoutError> {
        self.answers.recv_timeout(limit)
    }

    /// The next answer, if it has come.
    pub fn heard(&self) -> Option<String> {
        self.answers.try_recv().ok()
    }

    /// Sends a command and waits for its answer.
    #[track_caller]
    pub fn ask(&mut self, command: &str) -> String {
        self.say(command);
        self.hear()
    }

    /// The same, for a command whose answer is known.
    #[track_caller]
    pub fn expect(&mut self, command: &str, answer: &str) {
        assert_eq!(self.ask(command), answer, "to {command:?}");
    }

    /// The same, when the beginning of the answer is enough.
    #[track_caller]
    pub fn expect_like(&mut self, command: &str, start: &str) -> String {
        let answer = self.ask(command);
        assert!(answer.starts_with(start), "to {command:?}: {answer}");
        answer
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.id(), signal).unwrap();
    }

    /// Stops it, and returns when it stands still.
    pub fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        until("the participant is stopped", || state(self.id()) == Some('T'));
    }

    /// Stops it where every thread of it sleeps until it is woken or a time is over, and none is about to do
    /// something else: in a futex(2) that other processes may wake, in clock_nanosleep(2) or in poll(2). So it is
    /// not seen in the middle of what it does before it sleeps, or after.
    #[track_caller]
    pub fn stop_asleep(&self) {
        until("the participant sleeps", || {
            self.stop();
            let asleep = is_asleep(self.id());
            if !asleep {
                self.go_on();
            }
            asleep
        });
    }

    pub fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Kills it, and returns when it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    fn id(&self) -> Pid {
        Pid::from_raw(self.pid().try_into().unwrap())
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A place with a barrier, and so many participants that have opened it.
pub fn at_a_barrier<const N: usize>() -> (Place, [Participant; N]) {
    let place = Place::new();
    let path = place.make_barrier();
    (place, std::array::from_fn(|_| Participant::at(&path)))
}

/// The value of `name=value` in an answer.
#[track_caller]
pub fn field<'a>(answer: &'a str, name: &str) -> &'a str {
    let value = (answer.split_whitespace())
        .filter_map(|word| word.split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value));
    value.unwrap_or_else(|| panic!("no {name} in {answer:?}"))
}
