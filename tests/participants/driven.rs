//! A participant that runs, and is told what to do line by line.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::common::command::Place;
use crate::common::{STILLPOINT, comma, root};

/// What a machine may have as `sh`.
pub const SHELLS: [&str; 4] = ["dash", "busybox", "bash", "mksh"];

/// What a small system has one program for.
const APPLETS: [&str; 13] = [
    "cat", "cut", "head", "mkfifo", "mktemp", "printf", "readlink", "rm", "sed", "setsid", "sleep",
    "stat", "timeout",
];

/// Nothing takes as long; what hangs shall fail.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Driven {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
    /// The processes that it says it stills.
    pub covers: Vec<u32>,
}

/// A folder with this shell as `sh`, and what goes with it, to be looked into first.
pub fn tools(place: &Place, shell: &str) -> PathBuf {
    let folder = place.path(&format!("tools of {shell}"));
    if fs::create_dir(&folder).is_ok() {
        let find = |program: &str| Path::new("/bin").join(program).canonicalize().unwrap();
        symlink(find(shell), folder.join("sh")).unwrap();
        symlink(STILLPOINT, folder.join("stillpoint")).unwrap();
        if shell == "busybox" {
            for applet in APPLETS {
                symlink(find("busybox"), folder.join(applet)).unwrap();
            }
        }
    }
    folder
}

impl Driven {
    /// Starts it, and does not wait until it is ready.
    pub fn start(place: &Place, shell: &str, name: &str, arguments: &[String]) -> Driven {
        let tools = tools(place, shell);
        let mut command = place.program("/bin/sh");
        let script = root().join("scripts/participants").join(name);
        command.args(["-c", r#"umask 077; exec "$@""#, "sh"]).arg(tools.join("sh"));
        command.arg(script).args(arguments);
        comma::surround(&mut command);
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", tools.display());
        command.env("PATH", path).env("PARTICIPANT_OF", place.path("")).env_remove("HOME");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn().unwrap();
        Driven {
            input: child.stdin.take(),
            lines: lines_of(child.stdout.take().unwrap()),
            errors: lines_of(child.stderr.take().unwrap()),
            child,
            covers: Vec::new(),
        }
    }

    /// The same, when it is ready.
    #[track_caller]
    pub fn ready(place: &Place, shell: &str, name: &str, arguments: &[String]) -> Driven {
        let mut driven = Driven::start(place, shell, name, arguments);
        loop {
            let line = driven.hear().unwrap_or_else(|| panic!("{:?}", driven.complaints()));
            match line.strip_prefix("covers ") {
                Some(pid) => driven.covers.push(pid.parse().unwrap()),
                None => {
                    assert_eq!(line, "ready", "of {name} under {shell}");
                    return driven;
                }
            }
        }
    }

    /// To one that may have ended.
    pub fn say(&mut self, line: &str) {
        let _ = self.input.as_mut().unwrap().write_all(format!("{line}\n").as_bytes());
    }

    /// The next line, or `None` if there will be none, as a tool has it: it has ended.
    #[track_caller]
    pub fn hear(&mut self) -> Option<String> {
        let since = Instant::now();
        loop {
            let has_ended = self.has_ended();
            match self.lines.recv_timeout(Duration::from_millis(2)) {
                Ok(line) => return Some(line),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if has_ended => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            assert!(since.elapsed() < PATIENCE, "it hangs: {:?}", self.complaints());
        }
    }

    /// A line that has come already.
    pub fn heard(&self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Tells it something; how long it took to answer.
    #[track_caller]
    pub fn ask(&mut self, request: &str, answer: &str) -> Duration {
        let since = Instant::now();
        self.say(request);
        let heard = self.hear();
        let took = since.elapsed();
        if heard.as_deref() != Some(answer) {
            panic!("{request}: {heard:?}, {:?}", self.complaints());
        }
        took
    }

    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// To the process alone.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub fn signal_group(&self, signal: Signal) {
        killpg(self.pid(), signal).unwrap();
    }

    /// The end of its input, and then its own: the exit status as a shell shows it, and all that it complained of.
    #[track_caller]
    pub fn end(mut self) -> (i32, Vec<String>) {
        self.close_input();
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
                return (code, self.complaints());
            }
            assert!(since.elapsed() < PATIENCE, "it hangs");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What it has complained of, up to now or to the end.
    pub fn complaints(&self) -> Vec<String> {
        std::iter::from_fn(|| self.errors.recv_timeout(Duration::from_millis(300)).ok()).collect()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            if sender.send(line.unwrap()).is_err() {
                break;
            }
        }
    });
    receiver
}
