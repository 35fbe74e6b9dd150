//! A host in folders of its own: a barrier, a store, a catalogue and a job.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;

use stillpoint_cluster::host::child::{Child, Work};
use stillpoint_cluster::host::{Host, Order, Session};
use stillpoint_cluster::record::epoch::Mode;
use stillpoint_cluster::record::identity::{EpochId, Incarnation};
use stillpoint_cluster::record::report::{Failed, Taken};
use stillpoint_cluster::record::verdict::{Outcome, Part, Verdict};

use crate::group::{name, seconds};

pub struct Machine {
    pub name: String,
    folder: TempDir,
}

/// The command of this workspace, which is built if only this package was.
pub fn stillpoint() -> PathBuf {
    static BUILT: Once = Once::new();
    let path = Path::new(env!("CARGO_BIN_EXE_stillpoint-cluster")).with_file_name("stillpoint");
    BUILT.call_once(|| {
        if !path.exists() {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--package", "stillpoint", "--bin", "stillpoint"]);
            assert!(cargo.status().unwrap().success());
        }
    });
    path
}

impl Machine {
    pub fn new(name: &str) -> Machine {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let machine = Machine { name: name.to_owned(), folder };
        for folder in ["barriers", "store", "snapshots", "catalog", "jobs", "state"] {
            fs::create_dir(machine.path(folder)).unwrap();
        }
        fs::write(machine.path("store/a"), name).unwrap();
        let job = format!(
            "barriers = '{}'\n[snapshot]\ncopy = '{}'\nto = '{}'\n[limits]\nhold = 9\nmin-open = 0\nattempts = 1\npatience = 0\n",
            machine.barrier(),
            machine.path("store").display(),
            machine.path("snapshots").display()
        );
        fs::write(machine.path("jobs/mail.toml"), job).unwrap();
        machine.verb(&["create", &machine.barrier()]);
        machine
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn barrier(&self) -> String {
        self.path("barriers/mail.barrier").display().to_string()
    }

    pub fn environment(&self) -> Vec<(String, String)> {
        let variable =
            |name: &str, folder: &str| (name.to_owned(), self.path(folder).display().to_string());
        vec![
            variable("STILLPOINT_CATALOG", "catalog"),
            variable("STILLPOINT_JOBS", "jobs"),
            variable("STILLPOINT_STATE_DIR", "state"),
        ]
    }

    pub fn host(&self) -> Child {
        self.made_by(stillpoint())
    }

    pub fn by(&self, program: &str) -> Child {
        self.made_by(program.into())
    }

    fn made_by(&self, program: PathBuf) -> Child {
        let (store, to) = (self.path("store"), self.path("snapshots"));
        let (store, to) = (store.to_str().unwrap(), to.to_str().unwrap());
        let barrier = self.barrier();
        let words = [&barrier, "--copy", store, "--to", to, "--hold", "9", "--min-open", "0"];
        let limits = ["--attempts", "1", "--patience", "0"];
        let words = words.iter().chain(&limits).map(|word| (*word).to_owned()).collect();
        Child::by(program, name("mail"), Work::Snapshot(words), self.environment())
    }

    pub fn job(&self, job: &str) -> Child {
        Child::by(stillpoint(), name("mail"), Work::Job(job.to_owned()), self.environment())
    }

    pub fn order(&self, epoch: u64) -> Order {
        Order {
            group: name("mail"),
            host: name(&self.name),
            epoch: EpochId(epoch),
            nonce: format!("nonce-{epoch}"),
            mode: Mode::HoldAll,
            prepare: seconds(20.0),
            drain: seconds(1.0),
            hold: seconds(2.0),
        }
    }

    /// As far as a certificate, by an agent that dies then.
    pub async fn certify(&self, epoch: u64) {
        let mut session = self.host().prepare(&self.order(epoch)).await.unwrap();
        session.freeze().await.unwrap();
        session.snapshot().await.unwrap();
        session.release().await.unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(stillpoint());
        command.args(words).envs(self.environment()).stdin(Stdio::null());
        command
    }

    pub fn verb(&self, words: &[&str]) -> String {
        let done = self.command(words).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// A writer gets in, sooner or later.
    pub fn write(&self) {
        self.verb(&["run", "-s", &self.barrier(), "true"]);
    }

    /// One that stays inside until it is dropped.
    pub fn writer(&self) -> Writer {
        let barrier = self.barrier();
        let words = ["run", "-s", "--label", "slowpoke", &barrier, "sleep", "60"];
        let writer = Writer(self.command(&words).spawn().unwrap());
        let since = Instant::now();
        while !self.verb(&["status", "--json", &barrier]).contains("\"inside\":true") {
            assert!(since.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
        writer
    }

    pub fn is_closed(&self) -> bool {
        self.verb(&["status", "--json", &self.barrier()]).contains("\"gate\":\"closed\"")
    }

    pub async fn until_open(&self) {
        self.until("the gate is open", || !self.is_closed()).await;
    }

    /// No run of this snapshot is there any more, and its manifest says how it ended.
    pub async fn until_ended(&self, snapshot: &str) {
        self.until(snapshot, || self.is_settled(snapshot)).await;
    }

    /// Whether its manifest says how it ended.
    pub fn is_settled(&self, snapshot: &str) -> bool {
        let file = self.path("catalog").join(format!("{snapshot}.json"));
        let text = fs::read(&file).unwrap_or_default();
        let manifest: Value = serde_json::from_slice(&text).unwrap_or_default();
        matches!(manifest["status"].as_str(), Some("complete" | "failed" | "revoked"))
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let since = Instant::now();
        while !is_so() {
            assert!(since.elapsed() < Duration::from_secs(30), "not yet: {what}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Who makes this snapshot.
    pub fn child(&self, snapshot: &str) -> Pid {
        Pid::from_raw(self.manifest(snapshot)["pid"].as_i64().unwrap() as i32)
    }

    pub fn manifest(&self, snapshot: &str) -> Value {
        let file = self.path("catalog").join(format!("{snapshot}.json"));
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
    }

    pub fn latest(&self) -> Option<String> {
        let done = self.command(&["latest"]).output().unwrap();
        let path = String::from_utf8(done.stdout).unwrap();
        path.trim_end().rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned)
    }

    /// All that is in the folder, whatever it is called.
    pub fn snapshots(&self) -> Vec<String> {
        let items = fs::read_dir(self.path("snapshots")).unwrap();
        let mut names: Vec<String> =
            items.map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Ended when it is dropped.
pub struct Writer(Process);

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(
            Pid::from_raw(self.0.id() as i32),
            nix::sys::signal::Signal::SIGTERM,
        );
        let _ = self.0.wait();
    }
}

/// Of one member alone.
pub fn verdict(epoch: u64, outcome: Outcome) -> Verdict {
    let nonce = format!("nonce-{epoch}");
    let failed = Failed { text: "b was gone".to_owned(), exit: 75 };
    let mut verdict = Verdict::aborted(&nonce, failed, "the test", "now");
    if outcome != Outcome::Aborted {
        let taken = Taken { name: format!("mail-{epoch}"), path: None };
        let incarnation = Incarnation { boot: "boot".to_owned(), agent: "agent".to_owned() };
        let part = Part { incarnation, snapshot: Some(taken), certificate: None };
        verdict.members.insert(name("a"), part);
        (verdict.outcome, verdict.reason) = (outcome, None);
    }
    verdict
}
