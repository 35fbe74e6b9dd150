//! Processes that are run to their end, or that stay until the test ends.

use std::borrow::BorrowMut;
use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::time::ms;

/// Nothing takes anywhere near as long on an idle machine; what hangs is named before the harness ends the test.
const PATIENCE: Duration = Duration::from_secs(100);

/// How long a process may take to end when the test is over; then it is killed.
const FAREWELL: Duration = Duration::from_secs(3);

/// How a process ended, and what it said.
#[derive(Debug)]
pub struct Done {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// The exit status as a shell shows it.
    pub fn code(&self) -> i32 {
        shell_code(self.status)
    }

    /// The signal that ended it.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    #[track_caller]
    pub fn assert_code(&self, code: i32) {
        assert_eq!(self.status.code(), Some(code), "{self:#?}");
    }

    /// Ended by this status, saying this on standard error and nothing on standard output.
    #[track_caller]
    pub fn assert_refused(&self, code: i32, said: &str) {
        self.assert_code(code);
        assert!(self.stderr.contains(said), "{said:?} is not in {self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
    }

    /// Fails unless there is exactly one line of complaint, with all of `parts` in it.
    #[track_caller]
    pub fn assert_complaint(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code(), code, "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(self.stderr.starts_with("stillpoint: "), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {self:?}");
        }
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Done {
        Done {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn shell_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
}

/// Words for setpriv(1): the program that follows is this user's, who is in this group and in no other.
pub fn as_user(user: u32, group: u32) -> [String; 3] {
    [format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".into()]
}

/// The ordinary user who has nothing to do with us, and his group.
pub const NOBODY: u32 = 65534;

/// Leaves out of its environment what decides anything for the command or the library, but for these.
pub fn without_our_variables(command: &mut Command, kept: &[&str]) {
    for (name, _) in std::env::vars_os() {
        let ours = name.as_encoded_bytes().starts_with(b"STILLPOINT_");
        if ours && !kept.iter().any(|kept| name == *kept) {
            command.env_remove(name);
        }
    }
}

/// Runs to the end, which is not far.
#[track_caller]
pub fn run(mut command: impl BorrowMut<Command>) -> Done {
    let command = command.borrow_mut();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    start(&mut *command).finish(&format!("{command:?}"))
}

/// The same, for what must succeed.
#[track_caller]
pub fn must(mut command: impl BorrowMut<Command>) -> Output {
    let command = command.borrow_mut();
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Starts it in a process group of its own, with the descriptors that the command has.
#[track_caller]
pub fn start(mut command: impl BorrowMut<Command>) -> Running {
    let child = command.borrow_mut().process_group(0).spawn().unwrap();
    let pid = Pid::from_raw(child.id() as i32);
    Running { child: Some(child), pid, command: None }
}

/// A process under way. When a test ends, it is told to end, and then its whole group is killed.
pub struct Running {
    child: Option<Child>,
    pub pid: Pid,
    /// What it runs, which may be in another group.
    pub command: Option<Pid>,
}

impl Running {
    /// The next line of its output.
    pub fn line(&mut self) -> String {
        let pid = self.pid;
        let output = self.child().stdout.as_mut().unwrap();
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            let mut ready = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::try_from(PATIENCE).unwrap();
            assert_ne!(poll(&mut ready, timeout), Ok(0), "{pid} hangs after {line:?}");
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
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        shell_code(self.end_status())
    }

    #[track_caller]
    pub fn end_status(&mut self) -> ExitStatus {
        let ended = self.ended_within(PATIENCE);
        ended.unwrap_or_else(|| panic!("{} hangs", self.pid))
    }

    /// Waits for the end, reading all that it says.
    #[track_caller]
    pub fn wait(self) -> Done {
        let pid = self.pid;
        self.finish(&pid.to_string())
    }

    /// Nobody reads what it says from now on.
    pub fn close_output(&mut self) {
        drop(self.child().stdout.take());
    }

    pub fn is_running(&mut self) -> bool {
        self.child().try_wait().unwrap().is_none()
    }

    pub fn is_stopped(&self) -> bool {
        state(self.pid) == Some('T')
    }

    #[track_caller]
    fn finish(mut self, what: &str) -> Done {
        let child = self.child.take().unwrap();
        let (sender, receiver) = channel();
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        match receiver.recv_timeout(PATIENCE) {
            Ok(output) => output.unwrap().into(),
            Err(_) => {
                let _ = killpg(self.pid, Signal::SIGKILL);
                panic!("{what} hangs");
            }
        }
    }

    fn ended_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let since = Instant::now();
        loop {
            let ended = self.child().try_wait().unwrap();
            if ended.is_some() || since.elapsed() > limit {
                return ended;
            }
            std::thread::sleep(ms(2));
        }
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.is_none() || !self.is_running() {
            return;
        }
        for signal in [Signal::SIGTERM, Signal::SIGCONT] {
            let _ = kill(self.pid, signal);
        }
        let ended = self.ended_within(FAREWELL);
        if let (None, Some(command)) = (ended, self.command) {
            let _ = kill(command, Signal::SIGKILL);
        }
        let _ = killpg(self.pid, Signal::SIGKILL);
        let _ = self.child().wait();
    }
}

/// What proc_pid_stat(5) calls its state, as one letter: R, S, D, T, Z.
pub fn state(pid: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether all threads of one that is stopped were asleep for a while, and neither between two system calls nor in
/// one that another thread of it ends, nor in read(2), from which it comes back to something else to do.
pub fn is_asleep(pid: Pid) -> bool {
    let mut threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    threads.all(|thread| {
        let call = fs::read_to_string(thread.path().join("syscall")).unwrap();
        // proc_pid_syscall(5): its number and arguments; -1 between two calls.
        let mut words = call.split_whitespace();
        let number = words.next().and_then(|number| number.parse().ok());
        match number.unwrap_or(-1) {
            libc::SYS_futex => {
                let operation = words.nth(1).and_then(|word| word.strip_prefix("0x"));
                let operation = operation.and_then(|word| i32::from_str_radix(word, 16).ok());
                [libc::FUTEX_WAIT, libc::FUTEX_WAIT_BITSET].map(Some).contains(&operation)
            }
            // How the others go on after they were stopped.
            libc::SYS_clock_nanosleep | libc::SYS_restart_syscall | libc::SYS_ppoll => true,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_poll => true,
            _ => false,
        }
    })
}

/// Its children, by whichever of its threads.
pub fn children(pid: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let lists = threads.map(|thread| fs::read_to_string(thread.path().join("children")));
    let pids = lists.flat_map(|list| {
        let list = list.unwrap_or_default();
        list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<i32>>()
    });
    pids.map(Pid::from_raw).collect()
}

/// A zombie is not.
pub fn is_alive(pid: Pid) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

/// Who stands by for a tool: a child of it with a session of its own.
pub fn stands_by(tool: Pid) -> Option<Pid> {
    let of = |pid: &str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, fields) = stat.rsplit_once(") ")?;
        let number = |at: usize| fields.split(' ').nth(at)?.parse::<i32>().ok();
        Some((number(1)?, number(3)?))
    };
    let pids = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut pids = pids.filter_map(|pid| Some((pid.parse::<i32>().ok()?, of(&pid)?)));
    let found = pids.find(|(pid, (parent, session))| *parent == tool.as_raw() && session == pid);
    Some(Pid::from_raw(found?.0))
}

/// The sorted names in a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let items = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        items.map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
