//! What a group under trouble is made of, a process each: the agent of a host with a real barrier, a coordinator, and
//! writers whose messages cross hosts.
//!
//! ```text
//! member agent  ENDPOINTS FOLDER HOST [without-gate]
//! member conduct ENDPOINTS early|hold-all
//! member write  FOLDER WAIT HOST...
//! ```
//!
//! A host is a folder in FOLDER: its barrier, and a store of two files that agree whenever nobody writes. A message is
//! sent on one host and received on another one, each a line in both files. A snapshot copies the one file, takes a
//! while, and copies the other.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use stillpoint::Barrier;
use stillpoint_cluster::agent::notebook::{FileNotebook, Remembered};
use stillpoint_cluster::agent::settings::{Log, Settings};
use stillpoint_cluster::agent::{self, Totals};
use stillpoint_cluster::coordinator::round::Limits;
use stillpoint_cluster::coordinator::{self, Request, Told};
use stillpoint_cluster::host::in_process::{InProcess, InProcessSession};
use stillpoint_cluster::host::{Host, Order, Session};
use stillpoint_cluster::record::epoch::Mode;
use stillpoint_cluster::record::identity::{EpochId, Incarnation, Name};
use stillpoint_cluster::record::keys::Keys;
use stillpoint_cluster::record::live::Counts;
use stillpoint_cluster::record::report::{Certificate, Failed, Taken};
use stillpoint_cluster::record::verdict::Verdict;
use stillpoint_cluster::store::etcd;

/// What the tests reckon with.
const LEASE: Duration = Duration::from_secs(2);
const DRAIN: Duration = Duration::from_secs(1);
const HOLD: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match words[..] {
        ["agent", endpoints, folder, host] => {
            runtime().block_on(serve(endpoints, folder.as_ref(), host, |host| host))
        }
        ["agent", endpoints, folder, host, "without-gate"] => {
            runtime().block_on(serve(endpoints, folder.as_ref(), host, WithoutGate))
        }
        ["conduct", endpoints, mode] => return runtime().block_on(conduct(endpoints, mode)),
        ["write", folder, wait, ref hosts @ ..] => write(folder.as_ref(), wait.as_ref(), hosts),
        _ => panic!("{words:?}"),
    }
    ExitCode::SUCCESS
}

fn store(endpoints: &str) -> etcd::Etcd {
    let endpoints = endpoints.split(',').map(str::to_string);
    etcd::Etcd::new(etcd::Settings::new(endpoints)).unwrap()
}

fn group() -> Name {
    "mail".parse().unwrap()
}

async fn serve<H: Host>(endpoints: &str, folder: &Path, host: &str, kind: fn(InProcess) -> H) {
    let name: Name = host.parse().unwrap();
    let home = folder.join(host);
    let barrier = Barrier::open(home.join("barrier")).unwrap();
    let from = home.clone();
    let taken = InProcess::with(barrier, move |order| copy(&from, order));
    let (notebook, remembered) = FileNotebook::open(&home, &group()).unwrap();
    let remembered = remembered
        .unwrap_or_else(|| Remembered::new(format!("uuid-of-{host}"), group(), name.clone()));
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_string();
    let agent = format!("{}-{:?}", std::process::id(), std::time::SystemTime::now());
    let said = host.to_string();
    let settings = Settings {
        group: group(),
        keys: Keys::new(&group()),
        host: name,
        machine: host.to_string(),
        incarnation: Incarnation { boot, agent },
        lease: LEASE,
        drain: DRAIN,
        hold: HOLD,
        min_open: Duration::ZERO,
        counts: None,
        totals: Totals::default(),
        log: Log(std::sync::Arc::new(move |line| eprintln!("{said}: {line}"))),
    };
    let store = store(endpoints);
    let stopped = std::future::pending();
    agent::run(store, kind(taken), notebook, remembered, settings, stopped).await.unwrap();
}

/// The one file, then the other: torn, if anybody writes between.
fn copy(home: &Path, order: &Order) -> Result<Taken, Failed> {
    let failed = |error: std::io::Error| Failed { text: error.to_string(), exit: 71 };
    let name = order.name();
    let to = home.join("snapshots").join(&name);
    let pace = fs::read_to_string(home.join("pace")).unwrap_or_default();
    let pace = Duration::from_millis(pace.trim().parse().unwrap_or(20));
    fs::create_dir_all(&to).map_err(failed)?;
    fs::copy(home.join("left"), to.join("left")).map_err(failed)?;
    thread::sleep(pace);
    fs::copy(home.join("right"), to.join("right")).map_err(failed)?;
    Ok(Taken { name, path: Some(to.display().to_string()) })
}

async fn conduct(endpoints: &str, mode: &str) -> ExitCode {
    let request = Request {
        keys: Keys::new(&group()),
        mode: if mode == "early" { Mode::Early } else { Mode::HoldAll },
        limits: Limits {
            prepare: Duration::from_secs(10),
            drain: DRAIN,
            hold: HOLD,
            certificates: Duration::from_secs(10),
        },
        allow_missing: false,
        lease: LEASE,
        by: "the test".to_string(),
        when: "now".to_string(),
    };
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    };
    let told = |told: Told<'_>| match told {
        Told::Begun(epoch) => say(format!("begun {epoch}")),
        Told::Phase(phase) => say(format!("phase {phase:?}").to_lowercase()),
        Told::Awaited(_) => {}
    };
    match coordinator::run(&store(endpoints), &request, std::future::pending(), told).await {
        Ok(ended) => {
            say(format!("verdict {}", ended.verdict.outcome.word()));
            ExitCode::SUCCESS
        }
        Err(failure) => {
            say(format!("failed {failure}"));
            ExitCode::from(75)
        }
    }
}

/// Sends messages until it is killed, and writes down the longest that it ever stood before a gate, in ms: less what
/// the machine itself had it wait.
fn write(folder: &Path, wait: &Path, hosts: &[&str]) {
    let homes: Vec<PathBuf> = hosts.iter().map(|host| folder.join(host)).collect();
    let barriers = homes.iter().map(|home| Barrier::open(home.join("barrier")).unwrap());
    let barriers: Vec<Barrier> = barriers.collect();
    let mut longest = Duration::ZERO;
    let mut enter = |host: usize, line: &str| {
        let (begin, without) = (Instant::now(), without_a_processor());
        let share = barriers[host].shared().unwrap();
        let waited = begin.elapsed().saturating_sub(without_a_processor() - without);
        for file in ["left", "right"] {
            let mut file = File::options().append(true).open(homes[host].join(file)).unwrap();
            file.write_all(line.as_bytes()).unwrap();
        }
        drop(share);
        if waited > longest {
            longest = waited;
            fs::write(wait, waited.as_millis().to_string()).unwrap();
        }
    };
    for number in 0.. {
        let (from, to) = (number % hosts.len(), (number / hosts.len() + 1 + number) % hosts.len());
        let message = format!("{}.{number}", std::process::id());
        enter(from, &format!("S {message}\n"));
        enter(to, &format!("R {message}\n"));
        thread::sleep(Duration::from_millis(4));
    }
}

/// How long this thread could have run and had no processor, as the kernel counts it.
fn without_a_processor() -> Duration {
    let counted = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let waited = counted.split(' ').nth(1).and_then(|waited| waited.parse().ok());
    Duration::from_nanos(waited.unwrap_or(0))
}

/// The negative control: certificates without pauses.
#[derive(Clone)]
struct WithoutGate(InProcess);

struct OpenSession(InProcessSession);

impl Host for WithoutGate {
    type Session = OpenSession;

    async fn prepare(&self, order: &Order) -> Result<OpenSession, Failed> {
        self.0.prepare(order).await.map(OpenSession)
    }

    async fn counts(&self) -> Vec<Counts> {
        self.0.counts().await
    }

    async fn settle(&self, epoch: EpochId, verdict: &Verdict) -> Result<(), Failed> {
        self.0.settle(epoch, verdict).await
    }
}

impl Session for OpenSession {
    async fn freeze(&mut self) -> Result<(), Failed> {
        Ok(())
    }

    async fn snapshot(&mut self) -> Result<Taken, Failed> {
        self.0.snapshot().await
    }

    async fn release(&mut self) -> Result<Certificate, Failed> {
        Ok(Certificate::default())
    }

    async fn settle(self, _: &Verdict) -> Result<(), Failed> {
        Ok(())
    }
}
