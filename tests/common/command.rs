//! The command, in a place where it finds its folders.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Once;

use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::STILLPOINT;
use super::place::folder_in_memory;
use super::process::{Done, Running, run, start, without_our_variables};

/// A folder of barriers and one of states, on tmpfs, gone at the end.
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// An empty place.
    pub fn new() -> Place {
        static DEFAULTS: Once = Once::new();
        DEFAULTS.call_once(default_signals);
        let folder = folder_in_memory();
        for name in ["barriers", "states", "tmp"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Place { folder }
    }

    /// A place with the barrier `mail`.
    pub fn with_barrier() -> Place {
        let place = Place::new();
        assert_eq!(place.run(["create", "mail"]).code(), 0);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("tmp").join(name)
    }

    pub fn barrier(&self) -> PathBuf {
        self.folder.path().join("barriers/mail.barrier")
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("states/mail.state")
    }

    /// `program`, in an environment in which the command finds this place.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        without_our_variables(&mut command, &[]);
        command
            .env("STILLPOINT_DIR", self.folder.path().join("barriers"))
            .env("STILLPOINT_STATE_DIR", self.folder.path().join("states"))
            .env("S", STILLPOINT)
            .env("TMPDIR", self.folder.path().join("tmp"))
            .env("SHELL", "/bin/sh")
            .current_dir(self.folder.path().join("tmp"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command
    }

    /// The command with these arguments, not yet started.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.program(STILLPOINT);
        command.args(arguments);
        command
    }

    /// The command with these arguments, run to its end.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Done {
        run(self.command(arguments))
    }

    /// A shell script that finds the command as `$S`, run to its end.
    pub fn shell(&self, script: &str) -> Done {
        let mut command = self.program("/bin/sh");
        command.args(["-c", script]);
        run(command)
    }

    /// Starts the command with these arguments; the test waits for what it needs to see.
    pub fn start<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Running {
        start(self.command(arguments))
    }

    /// Starts `run` with these options and a command that stays inside; returns once it is there.
    pub fn hold(&self, options: &[&str]) -> Running {
        let mut arguments = vec!["run"];
        arguments.extend(options);
        arguments.extend(["mail", "sh", "-c", "echo $$; exec sleep 60"]);
        let mut running = self.start(arguments);
        let command = running.line().parse().unwrap();
        running.command = Some(Pid::from_raw(command));
        running
    }

    /// The report of `status --json`.
    pub fn status(&self) -> serde_json::Value {
        let outcome = self.run(["status", "--json", "mail"]);
        assert_eq!(outcome.code(), 0, "{outcome:?}");
        serde_json::from_str(&outcome.stdout).unwrap()
    }

    /// The durable state, as it is on disk.
    pub fn saved(&self) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.state()).unwrap()).unwrap()
    }

    /// `snapshot` with these words and the catalogue of this place, of a command that succeeds.
    pub fn snapshot(&self, words: &[&str]) -> Done {
        let catalog = self.path("catalog");
        let rest = ["--catalog", catalog.to_str().unwrap(), "--min-open", "0", "--", "true"];
        self.run([&["snapshot"], words, &rest].concat())
    }

    /// The same, which fails where the barrier is dirty.
    pub fn clean_snapshot(&self, words: &[&str]) -> Done {
        self.snapshot(&[words, &["--on-dirty", "fail"]].concat())
    }

    /// A writer of this label dies inside.
    pub fn lose(&self, label: &str) {
        self.run(["run", "-s", "--label", label, "mail", "sh", "-c", "kill -KILL $$"]);
    }

    /// A writer gets in, so the gate is open.
    #[track_caller]
    pub fn assert_writers_go_on(&self) {
        let written = self.run(["run", "-s", "-w", "20", "mail", "true"]);
        assert_eq!(written.code(), 0, "{written:?}");
        assert_eq!(self.status()["gate"], "open");
    }

    pub fn dirty_epoch(&self) -> u64 {
        self.status()["dirty"]["epoch"].as_u64().unwrap()
    }

    /// Whether nobody is inside. Not by -n: that is refused for a moment after each failed drain.
    pub fn is_quiet(&self) -> bool {
        match self.run(["run", "-x", "-w", "0.4", "mail", "true"]).code() {
            0 => true,
            75 => false,
            other => panic!("exit {other}"),
        }
    }
}

/// Under nohup(1), or in the background of a script, we would hand down signals that are ignored.
fn default_signals() {
    for number in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        // SAFETY: the default action runs no code of ours.
        unsafe { signal(number, SigHandler::SigDfl) }.unwrap();
    }
}
