//! A group of three hosts, with writers whose messages cross them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stillpoint::{Barrier, Status};
use stillpoint_cluster::coordinator::recover::{Found, recover};
use stillpoint_cluster::record::keys::Keys;
use stillpoint_cluster::record::value::decode;
use stillpoint_cluster::record::verdict::{Outcome, Verdict};
use stillpoint_cluster::roster;
use stillpoint_cluster::store::Store;
use stillpoint_cluster::store::etcd::{Etcd, Settings};

use crate::servers::Servers;

pub const HOSTS: [&str; 3] = ["a", "b", "c"];
/// Drain and hold, as `member` has them.
pub const LIMIT: Duration = Duration::from_secs(4);
/// What is promised, for who has a processor: writers leave out what they waited for one.
const GRACE: Duration = Duration::from_millis(100);
/// Where things happen: behind a line of the coordinator's, and how many ms. A snapshot of one host takes `SLOW`.
pub const PHASES: [(&str, u64); 4] =
    [("begun", 0), ("phase pause", 0), ("phase pause", SLOW / 2), ("phase release", 0)];
pub const SLOW: u64 = 300;
pub const SOON: Duration = Duration::from_secs(30);

pub struct Scene {
    // Ended first.
    writers: Vec<Running>,
    agents: Vec<Running>,
    pub store: Etcd,
    checked: RefCell<BTreeSet<u64>>,
    /// The host that is behind a link, and how something is run there.
    behind: Option<(&'static str, Vec<String>)>,
    pub servers: Servers,
}

/// A process of the group's, ended with its test.
pub struct Running {
    child: Child,
    out: Option<Lines<BufReader<ChildStdout>>>,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        let out = child.stdout.take().map(|out| BufReader::new(out).lines());
        Running { child, out }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Reads on until that line has come; the last one, if it ended before.
    pub fn until(&mut self, wanted: &str) -> Result<String, String> {
        let mut last = String::new();
        for line in self.out.as_mut().unwrap() {
            last = line.unwrap();
            if last.starts_with(wanted) {
                return Ok(last);
            }
        }
        Err(last)
    }

    /// Waits for a line, and a while more; false if it was quicker than that, and is complete.
    pub async fn is_at(&mut self, (line, after): (&str, u64)) -> bool {
        if let Err(last) = self.until(line) {
            assert_eq!(last, "verdict complete");
            return false;
        }
        tokio::time::sleep(Duration::from_millis(after)).await;
        true
    }

    /// Its last line.
    pub fn end(&mut self) -> String {
        let last = self.until("nothing begins so").unwrap_err();
        let _ = self.child.wait();
        last
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `member`, in words; it ends with the thread that starts it.
pub fn member(words: &[&str]) -> Command {
    member_by(&[], words)
}

fn member_by(how: &[String], words: &[&str]) -> Command {
    let here = std::env::current_exe().unwrap();
    let program = here.ancestors().nth(2).unwrap().join("examples/member");
    assert!(program.exists(), "{} is not built: cargo build --examples", program.display());
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).args(how).arg(program).args(words);
    command
}

pub fn keys() -> Keys {
    Keys::new(&"mail".parse().unwrap())
}

impl Scene {
    /// With all that there is in it; `None` where there is no etcd, which has been said.
    pub async fn start() -> Option<Scene> {
        Some(Scene::of(Servers::start()?, "", None).await)
    }

    pub async fn of(
        servers: Servers,
        agents: &str,
        behind: Option<(&'static str, Vec<String>)>,
    ) -> Scene {
        let store = Etcd::new(Settings::new(servers.endpoints())).unwrap();
        let mut scene = Scene {
            writers: Vec::new(),
            agents: Vec::new(),
            store,
            checked: RefCell::default(),
            behind,
            servers,
        };
        for host in HOSTS {
            fs::create_dir_all(scene.home(host).join("snapshots")).unwrap();
            for file in ["left", "right"] {
                File::create(scene.home(host).join(file)).unwrap();
            }
            Barrier::create(scene.home(host).join("barrier")).unwrap();
            scene.join(host).await;
            let agent = scene.agent(host, agents);
            scene.agents.push(agent);
        }
        for number in 0..4 {
            let wait = scene.folder().join(format!("wait{number}"));
            let folder = scene.folder().to_str().unwrap().to_string();
            let words = [&["write", &folder, wait.to_str().unwrap()], &HOSTS[..]].concat();
            scene.writers.push(Running::start(&mut member(&words)));
        }
        scene.all_are_there().await;
        scene
    }

    pub fn folder(&self) -> &Path {
        self.servers.folder.path()
    }

    pub fn home(&self, host: &str) -> PathBuf {
        self.folder().join(host)
    }

    pub fn change(&self, host: &str) -> roster::Request {
        roster::Request {
            keys: keys(),
            host: host.parse().unwrap(),
            wait: SOON,
            by: "the test".to_string(),
            when: "now".to_string(),
        }
    }

    async fn join(&self, host: &str) {
        roster::join(&self.store, &self.change(host), &format!("uuid-of-{host}"), host)
            .await
            .unwrap();
    }

    fn agent(&self, host: &str, kind: &str) -> Running {
        let (endpoints, folder) = (self.servers.endpoints().join(","), self.folder());
        let mut words = vec!["agent", &endpoints, folder.to_str().unwrap(), host];
        words.extend((!kind.is_empty()).then_some(kind));
        let log = folder.join(format!("{host}.agent.log"));
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = match &self.behind {
            Some((there, how)) if *there == host => member_by(how, &words),
            _ => member(&words),
        };
        Running::start(command.stderr(log))
    }

    pub fn agent_of(&mut self, host: &str) -> &mut Running {
        let number = HOSTS.iter().position(|one| *one == host).unwrap();
        &mut self.agents[number]
    }

    /// As after kill -9, or before it.
    pub fn restart(&mut self, host: &str) {
        // Only one may be.
        self.agent_of(host).kill();
        let agent = self.agent(host, "");
        *self.agent_of(host) = agent;
    }

    /// Every host's agent has said that it lives, in this life.
    pub async fn all_are_there(&self) {
        let begin = Instant::now();
        loop {
            let view = self.store.range(&keys().hosts()).await.unwrap();
            let live = HOSTS
                .iter()
                .filter(|host| view.get(&keys().live(&host.parse().unwrap())).is_some());
            if live.count() == HOSTS.len() {
                return;
            }
            assert!(begin.elapsed() < SOON, "{view:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How long a snapshot of a host takes.
    pub fn pace(&self, host: &str, pace: u64) {
        fs::write(self.home(host).join("pace"), pace.to_string()).unwrap();
    }

    pub fn conduct(&self, mode: &str) -> Running {
        let mut command = member(&["conduct", &self.servers.endpoints().join(","), mode]);
        Running::start(command.stdout(Stdio::piped()))
    }

    /// Without a fault, it succeeds: whatever was before. Agents that were put out come back first.
    pub async fn succeeds(&self, mode: &str) {
        let begin = Instant::now();
        loop {
            self.all_are_there().await;
            let last = self.conduct(mode).end();
            if last == "verdict complete" {
                return;
            }
            assert!(begin.elapsed() < SOON, "{last}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub async fn recover(&self) -> Found {
        recover(&self.store, &keys(), true, "the test", "now").await.unwrap()
    }

    pub async fn verdicts(&self) -> Vec<(u64, Verdict)> {
        let view = self.store.range(&keys().verdicts()).await.unwrap();
        let verdict = |entry: &stillpoint_cluster::store::Entry| {
            let id = entry.key.rsplit('/').next().unwrap();
            (id.parse().unwrap(), decode::<Verdict>(&entry.value).unwrap())
        };
        view.entries.iter().map(verdict).collect()
    }

    /// All that must hold after whatever happened; how many epochs were complete, and how many not.
    pub async fn check(&self) -> (usize, usize) {
        let begin = Instant::now();
        for host in HOSTS {
            while Status::read(self.home(host).join("barrier")).unwrap().closed {
                assert!(begin.elapsed() < SOON, "the gate of {host} stays closed");
                sleep(Duration::from_millis(20));
            }
        }
        for number in 0..self.writers.len() {
            let waited = fs::read_to_string(self.folder().join(format!("wait{number}"))).unwrap();
            let waited = Duration::from_millis(waited.parse().unwrap());
            assert!(waited <= LIMIT + GRACE, "a writer stood for {waited:?}");
        }
        let (mut complete, mut aborted) = (0, 0);
        for (id, verdict) in self.verdicts().await {
            match verdict.outcome {
                Outcome::Complete => {
                    complete += 1;
                    // Once is enough, and they are not small.
                    if self.checked.borrow_mut().insert(id) {
                        let faults = faults(&verdict);
                        assert!(faults.is_empty(), "epoch {id} is called complete: {faults:?}");
                        self.remove(&verdict);
                    }
                }
                _ => aborted += 1,
            }
        }
        (complete, aborted)
    }

    fn remove(&self, verdict: &Verdict) {
        for part in verdict.members.values() {
            fs::remove_dir_all(part.snapshot.as_ref().unwrap().path.as_ref().unwrap()).unwrap();
        }
    }
}

/// What no snapshot of one moment shows: a receipt without its sending, or two files that do not agree.
pub fn faults(verdict: &Verdict) -> Vec<String> {
    let mut faults = Vec::new();
    let (mut sent, mut received) = (BTreeSet::new(), BTreeSet::new());
    for (host, part) in &verdict.members {
        let folder = part.snapshot.as_ref().unwrap().path.as_ref().unwrap();
        let lines = |file: &str| -> BTreeSet<String> {
            let text = fs::read_to_string(Path::new(folder).join(file)).unwrap();
            text.lines().map(str::to_string).collect()
        };
        let (left, right) = (lines("left"), lines("right"));
        if left != right {
            faults.push(format!("{host} is torn"));
        }
        // What was copied first, and what was copied last.
        let with = |lines: &BTreeSet<String>, kind: &str| -> Vec<String> {
            lines.iter().filter_map(|line| line.strip_prefix(kind)).map(str::to_string).collect()
        };
        sent.extend(with(&left, "S "));
        received.extend(with(&right, "R "));
    }
    assert_eq!(verdict.members.len(), HOSTS.len());
    faults.extend(received.difference(&sent).map(|message| format!("{message} was never sent")));
    faults
}
