//! A place for barriers, and the command run in it.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, Signal, kill, killpg, signal};
use nix::unistd::Pid;
use tempfile::TempDir;

pub const STILLPOINT: &str = env!("CARGO_BIN_EXE_stillpoint");

/// Nothing here takes anywhere near as long; a test that hangs shall fail.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder of barriers and one of states, on tmpfs, gone at the end.
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// An empty place.
    pub fn new() -> Place {
        static DEFAULTS: Once = Once::new();
        DEFAULTS.call_once(default_signals);
        let folder = TempDir::new_in("/dev/shm").unwrap();
        // Ordinary users take part in some tests.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
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
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"STILLPOINT_") {
                command.env_remove(name);
            }
        }
        command
            .env("STILLPOINT_DIR", self.folder.path().join("barriers"))
            .env("STILLPOINT_STATE_DIR", self.folder.path().join("states"))
            .env("S", STILLPOINT)
            .env("TMPDIR", self.folder.path().join("tmp"))
            .env("SHELL", "/bin/sh")
            .current_dir(self.folder.path().join("tmp"))
            .stdin(Stdio::null());
        command
    }

    /// The command with these arguments, not yet started.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.program(STILLPOINT);
        command.args(arguments);
        command
    }

    /// The command with these arguments, run to its end.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Outcome {
        finish(self.command(arguments))
    }

    /// A shell script that finds the command as `$S`, run to its end.
    pub fn shell(&self, script: &str) -> Outcome {
        let mut command = self.program("/bin/sh");
        command.args(["-c", script]);
        finish(command)
    }

    /// Starts the command with these arguments; the test waits for what it needs to see.
    pub fn start<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Running {
        Running::start(self.command(arguments))
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

/// What became of a command.
#[derive(Debug)]
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// The exit status as a shell shows it.
    pub fn code(&self) -> i32 {
        shell_code(self.status)
    }

    /// Fails unless there is exactly one line of complaint, with all of `parts` in it.
    pub fn assert_complaint(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code(), code, "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(self.stderr.starts_with("stillpoint: "), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {self:?}");
        }
    }
}

fn shell_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
}

/// Runs to the end.
pub fn finish(mut command: Command) -> Outcome {
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = Pid::from_raw(child.id() as i32);
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(PATIENCE) {
        Ok(output) => outcome(output.unwrap()),
        Err(_) => {
            let _ = killpg(pid, Signal::SIGKILL);
            panic!("{command:?} hangs");
        }
    }
}

fn outcome(output: Output) -> Outcome {
    Outcome {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A command under way, in a process group of its own; the whole group is killed when a test ends.
pub struct Running {
    child: Child,
    pub pid: Pid,
    /// What it runs, which may be in another group.
    command: Option<Pid>,
}

impl Running {
    pub fn start(mut command: Command) -> Running {
        command.stdout(Stdio::piped());
        Running::start_as_it_is(command)
    }

    /// The same, with the standard output that the command has already.
    pub fn start_as_it_is(mut command: Command) -> Running {
        let child = command.process_group(0).spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32);
        Running { child, pid, command: None }
    }

    /// The next line of its output.
    pub fn line(&mut self) -> String {
        let output = self.child.stdout.as_mut().unwrap();
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            let mut ready = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::try_from(PATIENCE).unwrap();
            assert_ne!(poll(&mut ready, timeout), Ok(0), "{} hangs after {line:?}", self.pid);
            if output.read(&mut byte).unwrap() == 0 || byte[0] == b'\n' {
                break;
            }
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }

    /// Sends to the process alone, not to its group.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid, signal).unwrap();
    }

    /// Waits for the end; the exit status as a shell shows it.
    pub fn end(&mut self) -> i32 {
        shell_code(self.end_status())
    }

    pub fn end_status(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "{} hangs", self.pid);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            if let Some(command) = self.command {
                let _ = kill(command, Signal::SIGKILL);
            }
            let _ = killpg(self.pid, Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// Waits until `true_now` is, or fails with `what`.
pub fn eventually(what: &str, mut true_now: impl FnMut() -> bool) {
    let since = Instant::now();
    while !true_now() {
        assert!(since.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn is_alive(pid: Pid) -> bool {
    // A zombie is not.
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.contains(") Z"),
        Err(_) => false,
    }
}

/// Whether the test may do what only root may. In CI it must.
pub fn is_root(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip(test, "needs root");
    }
    root
}

pub fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{test} cannot run here: {why}");
    eprintln!("SKIPPED {test}: {why}");
}

/// A file system mounted for one test.
pub struct Mounted(PathBuf);

impl Mounted {
    pub fn new(kind: &str, options: &str, on: &Path) -> Mounted {
        std::fs::create_dir_all(on).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", kind, "-o", options, "stillpoint-test"]).arg(on);
        let outcome = finish(mount);
        assert_eq!(outcome.code(), 0, "{outcome:?}");
        Mounted(on.to_path_buf())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
