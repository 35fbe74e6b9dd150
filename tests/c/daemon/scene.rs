//! A store, a barrier, and the daemon that serves them.

use super::client::Client;
use super::oracle;
use crate::common::{Over, STILLPOINT, children, ms, must, root, until};
use crate::harness::Workshop;
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};

pub const MAILBOXES: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// The daemon's two ways to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Four processes, with one session each.
    Prefork,
    /// One process with four threads.
    Threads,
}

impl Kind {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Kind::Prefork => &["--children", "4"],
            Kind::Threads => &["--children", "1", "--threads", "4"],
        }
    }
}

pub struct Scene {
    workshop: Workshop,
    program: PathBuf,
    pub store: PathBuf,
}

impl Scene {
    pub fn new() -> Scene {
        Scene::with(&[], None)
    }

    /// Compiled with more flags, and with a store elsewhere.
    pub fn with(flags: &[&str], store: Option<PathBuf>) -> Scene {
        let workshop = Workshop::new();
        let sources = ["main", "master", "server", "lmtp", "wire", "mailbox", "stop"];
        let sources = sources.map(|name| root().join(format!("tests/c/daemon/{name}.c")));
        let program = workshop.compile_program("maildropd", &sources, flags);
        let store = store.unwrap_or_else(|| workshop.place.path("store"));
        let scene = Scene { workshop, program, store };
        for folder in [&scene.store, &scene.path("snapshots"), &scene.path("catalog")] {
            fs::create_dir_all(folder).unwrap();
        }
        must(scene.stillpoint().args(["create", "mail"]));
        for name in MAILBOXES {
            must(scene.maildropd().args(["--add", name]).arg(&scene.store).arg("mail"));
        }
        scene
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.workshop.place.path(name)
    }

    /// A program in the surroundings of this scene.
    fn command(&self, program: &Path) -> Command {
        let mut command = self.workshop.command(program);
        command.env("STILLPOINT_DIR", self.workshop.place.folder());
        command.env("STILLPOINT_CATALOG", self.path("catalog"));
        command
    }

    pub fn stillpoint(&self) -> Command {
        self.command(Path::new(STILLPOINT))
    }

    pub fn maildropd(&self) -> Command {
        self.command(&self.program)
    }

    /// Runs `stillpoint snapshot mail`, which may wait for writers but not for long.
    pub fn snapshot<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        let mut command = self.stillpoint();
        command.args(["snapshot", "mail", "--hold", "20", "--min-open", "0"]).args(arguments);
        command.output().unwrap()
    }

    /// A snapshot by `--copy`; where it is.
    #[track_caller]
    pub fn copy(&self) -> PathBuf {
        let (store, target) = (self.store.clone(), self.path("snapshots"));
        let taken =
            self.snapshot(["--copy".as_ref(), store.as_os_str(), "--to".as_ref(), target.as_ref()]);
        path_of(&taken)
    }

    pub fn status(&self) -> Value {
        let output = must(self.stillpoint().args(["status", "--json", "mail"]));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until so many shares are held; the processes that hold them.
    #[track_caller]
    pub fn inside(&self, shares: u64) -> Vec<u32> {
        let mut inside = Vec::new();
        until("that many shares held", || {
            let status = self.status();
            let writers = status["writers"].as_array().unwrap().iter();
            inside = writers.filter(|writer| writer["inside"] == true).cloned().collect();
            shares == inside.iter().map(|writer| writer["shares"].as_u64().unwrap()).sum::<u64>()
        });
        inside.iter().map(|writer| writer["pid"].as_u64().unwrap() as u32).collect()
    }

    /// The dirty epoch, once a tool has looked for lost writers.
    pub fn epoch(&self) -> u64 {
        must(self.stillpoint().args(["run", "-x", "mail", "true"]));
        self.status()["dirty"]["epoch"].as_u64().unwrap()
    }

    #[track_caller]
    pub fn assert_consistent(&self) {
        assert_eq!(oracle::contradictions(&self.store), [""; 0]);
    }

    /// All these lines are found in messages of their mailboxes.
    #[track_caller]
    pub fn assert_delivered(&self, delivered: &[(&str, String)]) {
        for mailbox in MAILBOXES {
            let messages = oracle::messages(&self.store, mailbox);
            let lines: HashSet<&str> = messages.iter().flat_map(|text| text.lines()).collect();
            for (_, line) in delivered.iter().filter(|(to, _)| *to == mailbox) {
                assert!(lines.contains(line.as_str()), "{mailbox} has lost {line}");
            }
        }
    }

    /// How often a message with this line in it was delivered.
    pub fn copies(&self, mailbox: &str, line: &str) -> usize {
        let messages = oracle::messages(&self.store, mailbox);
        messages.iter().filter(|message| message.lines().any(|found| found == line)).count()
    }

    /// Holds a mailbox's lock as another delivery would, until the file is closed.
    pub fn lock(&self, mailbox: &str) -> File {
        let path = self.store.join(mailbox).join("quota");
        let file = File::options().read(true).write(true).open(path).unwrap();
        // SAFETY: a struct of numbers; zeros are valid.
        let mut whole: libc::flock = unsafe { std::mem::zeroed() };
        whole.l_type = libc::F_WRLCK as libc::c_short;
        // SAFETY: an open descriptor and a live struct.
        let locked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const whole) };
        assert_eq!(locked, 0, "{}", std::io::Error::last_os_error());
        file
    }

    pub fn daemon(&self, kind: Kind) -> Daemon {
        self.daemon_with(kind, |_| {})
    }

    pub fn daemon_with(&self, kind: Kind, change: impl FnOnce(&mut Command)) -> Daemon {
        let mut command = self.maildropd();
        command.args(kind.arguments());
        change(&mut command);
        command.arg(&self.store).arg("mail");
        Daemon::start(command, kind)
    }
}

/// The path that a snapshot which succeeded has printed.
#[track_caller]
pub fn path_of(taken: &Output) -> PathBuf {
    let said = String::from_utf8_lossy(&taken.stderr);
    assert!(taken.status.success(), "{}: {said}", taken.status);
    PathBuf::from(String::from_utf8(taken.stdout.clone()).unwrap().trim_end())
}

/// What was delivered: the mailbox, and a line of the message.
pub type Delivery = (&'static str, String);
pub type Answered = Mutex<Vec<Delivery>>;

/// A daemon that serves; killed with all its children when dropped.
pub struct Daemon {
    master: Child,
    kind: Kind,
    port: u16,
    said: Arc<Mutex<String>>,
}

impl Daemon {
    fn start(mut command: Command, kind: Kind) -> Daemon {
        let mut master = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let mut stderr = BufReader::new(master.stderr.take().unwrap());
        let keep = Arc::clone(&said);
        std::thread::spawn(move || {
            let mut line = String::new();
            while stderr.read_line(&mut line).is_ok_and(|length| length > 0) {
                keep.lock().unwrap().push_str(&std::mem::take(&mut line));
            }
        });
        let mut listening = String::new();
        BufReader::new(master.stdout.take().unwrap()).read_line(&mut listening).unwrap();
        let port = listening.trim_end().rsplit(':').next().unwrap().parse();
        let daemon = Daemon { master, kind, port: port.unwrap_or(0), said };
        assert_ne!(daemon.port, 0, "{}", daemon.said());
        daemon
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn client(&self) -> Client {
        Client::greet(self.port).unwrap()
    }

    /// What it has said on standard error.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it says this on standard error, and returns that line.
    #[track_caller]
    pub fn hear(&self, what: &str) -> String {
        let find = || self.said().lines().find(|line| line.contains(what)).map(str::to_owned);
        until(what, || find().is_some());
        find().unwrap()
    }

    /// The processes that serve, once all do.
    #[track_caller]
    pub fn all_children(&self) -> Vec<u32> {
        let count = match self.kind {
            Kind::Prefork => 4,
            Kind::Threads => 1,
        };
        until("all children", || self.children().len() == count);
        self.children()
    }

    /// The processes that serve, while some may be missing.
    pub fn children(&self) -> Vec<u32> {
        let pids = children(Pid::from_raw(self.master.id() as i32));
        pids.into_iter().map(|pid| pid.as_raw() as u32).collect()
    }

    pub fn signal(&self, signal: Signal) {
        send(self.master.id(), signal);
    }

    /// How it ends, once it has been told to.
    pub fn wait(mut self) -> ExitStatus {
        let status = self.master.wait().unwrap();
        let said = self.said();
        assert!(!said.contains("Sanitizer") && !said.contains("runtime error"), "{said}");
        status
    }

    /// Shuts it down, which must be clean.
    #[track_caller]
    pub fn stop(self) {
        self.signal(Signal::SIGTERM);
        let said = Arc::clone(&self.said);
        let status = self.wait();
        assert!(status.success(), "{status}: {}", said.lock().unwrap());
    }

    /// Does something while four clients deliver, and is told what was answered so far; in the end, all that
    /// was.
    pub fn under_load<T>(&self, act: impl FnOnce(&Answered) -> T) -> (T, Vec<Delivery>) {
        let (over, answered) = (Over::default(), Answered::default());
        let result = std::thread::scope(|scope| {
            for number in 0..4 {
                let (over, answered) = (&over, &answered);
                scope.spawn(move || self.load(number, over, answered));
            }
            let _over = over.when_dropped();
            act(&answered)
        });
        (result, answered.into_inner().unwrap())
    }

    /// A client that delivers to two mailboxes at a time and comes back when it is cut off, until
    /// all is over. For each delivery that is answered 250, mailbox and a line of the message are noted.
    fn load(&self, number: usize, over: &Over, answered: &Answered) {
        let mut client = None;
        for round in 0.. {
            if over.is_set() {
                break;
            }
            let Some(connected) = client.as_mut() else {
                client = Client::greet(self.port).ok();
                std::thread::sleep(ms(1));
                continue;
            };
            let line = format!("Message-ID: <{number}.{round}@example.org>");
            let recipients = [MAILBOXES[(number + round) % 4], MAILBOXES[(number + 2 * round) % 4]];
            let message = format!("{line}\r\n\r\n{}", "a line of text\r\n".repeat(round % 400));
            let mut hear = || {
                connected.begin(&recipients)?;
                connected.finish(&message)?;
                for recipient in recipients {
                    if connected.hear()?.starts_with("250 ") {
                        answered.lock().unwrap().push((recipient, line.clone()));
                    }
                }
                std::io::Result::Ok(())
            };
            if hear().is_err() {
                client = None;
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Its children end when it does.
        let _ = self.master.kill();
        let _ = self.master.wait();
    }
}

/// Sends a signal to a process that may have ended.
pub fn send(pid: u32, signal: Signal) {
    match kill(Pid::from_raw(pid.try_into().unwrap()), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("{signal} to {pid}: {error}"),
    }
}
