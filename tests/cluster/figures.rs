//! What a group snapshot costs beside the snapshots themselves: agents of this process, each with a barrier of its own,
//! and three servers of etcd on this machine.
//!
//! ```sh
//! cargo bench -p stillpoint-cluster                        3, 10, 30, 100 and 300 hosts
//! STILLPOINT_HOSTS=1000 STILLPOINT_EPOCHS=5 cargo bench -p stillpoint-cluster
//! ```
//!
//! Times run from the moment at which PAUSE is asked for, in milliseconds: medians over the epochs.

#[allow(dead_code)]
#[path = "servers.rs"]
mod servers;
#[allow(dead_code)]
#[path = "../common/skip.rs"]
mod skip;

use std::future::pending;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stillpoint::Barrier;
use stillpoint_cluster::agent::notebook::{MemoryNotebook, Remembered};
use stillpoint_cluster::agent::settings::{Log, Settings};
use stillpoint_cluster::agent::{self, Totals};
use stillpoint_cluster::coordinator::round::Limits;
use stillpoint_cluster::coordinator::{self, Told};
use stillpoint_cluster::host::in_process::InProcess;
use stillpoint_cluster::host::{Host, Order, Session};
use stillpoint_cluster::record::epoch::{Mode, Phase};
use stillpoint_cluster::record::identity::{EpochId, Incarnation, Name};
use stillpoint_cluster::record::keys::Keys;
use stillpoint_cluster::record::live::Counts;
use stillpoint_cluster::record::report::{Certificate, Failed, Taken};
use stillpoint_cluster::record::verdict::{Outcome, Verdict};
use stillpoint_cluster::roster;
use stillpoint_cluster::store::etcd::{self, Etcd};

const HOSTS: [usize; 5] = [3, 10, 30, 100, 300];
const EPOCHS: usize = 20;

/// When what happened in the epoch that is measured.
#[derive(Clone, Default)]
struct Times(Arc<Mutex<Happened>>);

#[derive(Default)]
struct Happened {
    asked: Option<Instant>,
    quiet: Vec<Instant>,
    opened: Vec<Instant>,
    frozen: Vec<Duration>,
    released: Option<Instant>,
}

/// A host that notes when.
#[derive(Clone)]
struct Timed {
    host: InProcess,
    times: Times,
}

struct TimedSession<S> {
    session: S,
    times: Times,
    since: Instant,
}

impl Host for Timed {
    type Session = TimedSession<<InProcess as Host>::Session>;

    async fn prepare(&self, order: &Order) -> Result<Self::Session, Failed> {
        let session = self.host.prepare(order).await?;
        Ok(TimedSession { session, times: self.times.clone(), since: Instant::now() })
    }

    async fn counts(&self) -> Vec<Counts> {
        self.host.counts().await
    }

    async fn settle(&self, epoch: EpochId, verdict: &Verdict) -> Result<(), Failed> {
        self.host.settle(epoch, verdict).await
    }
}

impl<S: Session> Session for TimedSession<S> {
    async fn freeze(&mut self) -> Result<(), Failed> {
        self.since = Instant::now();
        let result = self.session.freeze().await;
        self.times.0.lock().unwrap().quiet.push(Instant::now());
        result
    }

    async fn snapshot(&mut self) -> Result<Taken, Failed> {
        self.session.snapshot().await
    }

    async fn release(&mut self) -> Result<Certificate, Failed> {
        let result = self.session.release().await;
        let mut times = self.times.0.lock().unwrap();
        times.opened.push(Instant::now());
        times.frozen.push(self.since.elapsed());
        result
    }

    async fn settle(self, verdict: &Verdict) -> Result<(), Failed> {
        self.session.settle(verdict).await
    }
}

/// One epoch, in milliseconds.
struct Figures {
    quiet: f64,
    released: f64,
    opened: f64,
    verdict: f64,
    frozen: f64,
    longest: f64,
}

fn main() {
    // `cargo test --benches` only builds it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let hosts = match number("STILLPOINT_HOSTS") {
        Some(count) => vec![count],
        None => HOSTS.to_vec(),
    };
    println!(
        "| hosts | mode | all quiet | RELEASE | last gate open | verdict | frozen per host, median / most | transactions |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for count in hosts {
        let Some(servers) = servers::Servers::start() else {
            return;
        };
        runtime.block_on(measure(count, servers));
    }
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

async fn measure(count: usize, servers: servers::Servers) {
    let group: Name = "mail".parse().unwrap();
    let keys = Keys::new(&group);
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder");
    let times = Times::default();
    let mut agents = Vec::new();
    let connect = || Etcd::new(etcd::Settings::new(servers.endpoints())).expect("a store");
    let store = connect();
    for number in 0..count {
        let host: Name = format!("h{number:04}").parse().unwrap();
        let barrier = folder.path().join(host.as_str());
        let barrier = Barrier::create(&barrier).expect("a barrier");
        let uuid = format!("uuid-{number}");
        let request = roster::Request {
            keys: keys.clone(),
            host: host.clone(),
            wait: Duration::from_secs(60),
            by: "figures".to_owned(),
            when: "now".to_owned(),
        };
        roster::join(&store, &request, &uuid, host.as_str()).await.expect("it joins");
        let settings = Settings {
            group: group.clone(),
            keys: keys.clone(),
            host: host.clone(),
            machine: host.to_string(),
            incarnation: Incarnation { boot: "boot".to_owned(), agent: host.to_string() },
            lease: Duration::from_secs(10),
            drain: Duration::from_secs(60),
            hold: Duration::from_secs(60),
            min_open: Duration::ZERO,
            counts: None,
            totals: Totals::default(),
            log: Log::none(),
        };
        let timed = Timed { host: InProcess::new(barrier), times: times.clone() };
        let remembered = Remembered::new(uuid, group.clone(), host);
        agents.push(tokio::spawn(agent::run(
            connect(),
            timed,
            MemoryNotebook::default(),
            remembered,
            settings,
            pending(),
        )));
    }
    tokio::time::sleep(Duration::from_millis(2000 + 20 * count as u64)).await;
    for mode in [Mode::HoldAll, Mode::Early] {
        let mut epochs = Vec::new();
        let (mut transactions, mut measured) = (0, 0);
        // The first one warms what is cold.
        for number in 0..=number("STILLPOINT_EPOCHS").unwrap_or(EPOCHS) {
            let before = txns(&servers);
            let figures = epoch(&store, &keys, mode, &times).await;
            // Reads of verdicts are no transactions; what is late belongs to the epoch too.
            tokio::time::sleep(Duration::from_millis(300 + count as u64)).await;
            if number > 0 {
                transactions += txns(&servers) - before;
                measured += 1;
                epochs.push(figures);
            }
        }
        let median = |value: fn(&Figures) -> f64| {
            let mut all: Vec<f64> = epochs.iter().map(value).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        println!(
            "| {count} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} / {:.1} | {:.1} |",
            mode,
            median(|one| one.quiet),
            median(|one| one.released),
            median(|one| one.opened),
            median(|one| one.verdict),
            median(|one| one.frozen),
            median(|one| one.longest),
            transactions as f64 / measured as f64,
        );
    }
    agents.iter().for_each(tokio::task::JoinHandle::abort);
}

async fn epoch(store: &Etcd, keys: &Keys, mode: Mode, times: &Times) -> Figures {
    *times.0.lock().unwrap() = Happened::default();
    let second = Duration::from_secs(1);
    let request = coordinator::Request {
        keys: keys.clone(),
        mode,
        limits: Limits {
            prepare: 60 * second,
            drain: 20 * second,
            hold: 20 * second,
            certificates: 60 * second,
        },
        allow_missing: false,
        lease: 5 * second,
        by: "figures".to_owned(),
        when: "now".to_owned(),
    };
    let told = |told: Told<'_>| {
        let mut times = times.0.lock().unwrap();
        match told {
            Told::Awaited(_) if times.quiet.is_empty() => times.asked = Some(Instant::now()),
            Told::Phase(Phase::Release) => times.released = Some(Instant::now()),
            _ => {}
        }
    };
    let ended = coordinator::run(store, &request, pending(), told).await.expect("an epoch");
    let now = Instant::now();
    assert_eq!(ended.verdict.outcome, Outcome::Complete, "{:?}", ended.verdict.reason);
    let times = times.0.lock().unwrap();
    let asked = times.asked.expect("PAUSE was asked for");
    let ms = |at: Instant| at.duration_since(asked).as_secs_f64() * 1e3;
    let mut frozen: Vec<Duration> = times.frozen.clone();
    frozen.sort();
    let frozen_ms = |at: usize| frozen[at].as_secs_f64() * 1e3;
    Figures {
        quiet: ms(*times.quiet.iter().max().expect("gates")),
        released: ms(times.released.expect("RELEASE")),
        opened: ms(*times.opened.iter().max().expect("gates")),
        verdict: ms(now),
        frozen: frozen_ms(frozen.len() / 2),
        longest: frozen_ms(frozen.len() - 1),
    }
}

/// How many transactions the servers have answered, by their own count.
fn txns(servers: &servers::Servers) -> u64 {
    let mut sum = 0;
    for endpoint in servers.endpoints() {
        let address = endpoint.trim_start_matches("http://").to_owned();
        let mut stream = TcpStream::connect(&address).expect("a server");
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n").expect("it is asked");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("its metrics");
        let counted = text.lines().filter(|line| {
            line.starts_with("grpc_server_handled_total") && line.contains("grpc_method=\"Txn\"")
        });
        for line in counted {
            let number = line.rsplit(' ').next().and_then(|number| number.parse::<f64>().ok());
            sum += number.unwrap_or(0.0) as u64;
        }
    }
    sum
}
