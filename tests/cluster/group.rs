//! A group whose hosts are simulated, over a store in memory: what the tests of the protocol begin with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use stillpoint_cluster::agent::notebook::{MemoryNotebook, Remembered};
use stillpoint_cluster::agent::settings::{Log, Settings};
use stillpoint_cluster::agent::{self, Totals};
use stillpoint_cluster::coordinator::recover::Found;
use stillpoint_cluster::coordinator::round::Limits;
use stillpoint_cluster::coordinator::{self, Ended};
use stillpoint_cluster::host::simulated::{Pace, Simulated};
use stillpoint_cluster::record::epoch::Mode;
use stillpoint_cluster::record::identity::{EpochId, Incarnation, Name};
use stillpoint_cluster::record::keys::Keys;
use stillpoint_cluster::record::value::decode;
use stillpoint_cluster::record::verdict::Verdict;
use stillpoint_cluster::roster;
use stillpoint_cluster::store::Store;
use stillpoint_cluster::store::fake::Fake;
use stillpoint_cluster::words::failure::Failure;

pub const HOLD: Duration = Duration::from_secs(8);
pub const DRAIN: Duration = Duration::from_secs(2);

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub fn keys() -> Keys {
    Keys::new(&name("mail"))
}

/// A host, and the agent on it if there is one.
pub struct Machine {
    pub name: Name,
    pub boot: String,
    /// What the machine calls itself.
    pub machine: String,
    pub uuid: String,
    /// The agent's connection.
    pub link: Fake,
    pub host: Simulated,
    pub notebook: MemoryNotebook,
    pub min_open: Duration,
    /// How often what is counted is looked at.
    pub counts: Option<Duration>,
    agent: Option<Agent>,
    lives: u32,
}

struct Agent {
    task: JoinHandle<std::io::Result<()>>,
    stop: oneshot::Sender<()>,
}

impl Machine {
    pub fn new(store: &Fake, host: &str) -> Machine {
        Machine {
            name: name(host),
            boot: format!("boot-of-{host}"),
            machine: format!("{host}.example.org"),
            uuid: format!("uuid-of-{host}"),
            link: store.link(),
            host: Simulated::new(Pace::default()),
            notebook: MemoryNotebook::default(),
            min_open: Duration::ZERO,
            counts: None,
            agent: None,
            lives: 0,
        }
    }

    pub fn incarnation(&self) -> Incarnation {
        Incarnation { boot: self.boot.clone(), agent: format!("{}-{}", self.machine, self.lives) }
    }

    pub fn remembered(&self) -> Remembered {
        let kept = self.notebook.kept.lock().unwrap().clone();
        kept.unwrap_or_else(|| Remembered::new(self.uuid.clone(), name("mail"), self.name.clone()))
    }

    pub fn start(&mut self) {
        self.lives += 1;
        let settings = Settings {
            group: name("mail"),
            keys: keys(),
            host: self.name.clone(),
            machine: self.machine.clone(),
            incarnation: self.incarnation(),
            lease: Duration::from_secs(10),
            drain: Duration::from_secs(60),
            hold: Duration::from_secs(60),
            min_open: self.min_open,
            counts: self.counts,
            totals: Totals::default(),
            log: log(&self.machine),
        };
        let (stop, stopped) = oneshot::channel();
        let (link, host) = (self.link.clone(), self.host.clone());
        let (notebook, remembered) = (self.notebook.clone(), self.remembered());
        let task =
            tokio::spawn(agent::run(link, host, notebook, remembered, settings, async move {
                let _ = stopped.await;
            }));
        self.agent = Some(Agent { task, stop });
    }

    /// As SIGKILL does it: nothing is said to anybody, and the connection is cut.
    pub async fn kill(&mut self) {
        self.link.cut_requests(true);
        let agent = self.agent.take().expect("an agent");
        agent.task.abort();
        let _ = agent.task.await;
        // What the aborted task had started is aborted with it, as soon as the runtime gets to it.
        sleep(Duration::from_millis(1)).await;
    }

    /// A new one on the same disk.
    pub async fn restart(&mut self, store: &Fake) {
        if self.agent.is_some() {
            self.kill().await;
        }
        self.link = store.link();
        self.start();
    }

    pub async fn stop(&mut self) {
        let agent = self.agent.take().expect("an agent");
        let _ = agent.stop.send(());
        agent.task.await.unwrap().unwrap();
    }
}

fn log(machine: &str) -> Log {
    let machine = machine.to_owned();
    Log(Arc::new(move |line| println!("{machine}: {line}")))
}

/// A group, and what its members do.
pub struct Group {
    pub store: Fake,
    pub hosts: BTreeMap<String, Machine>,
}

impl Group {
    /// One whose members' agents are there.
    pub async fn of(count: usize) -> Group {
        let store = Fake::new();
        let mut hosts = BTreeMap::new();
        for number in 0..count {
            let host = char::from(b'a' + number as u8).to_string();
            let mut machine = Machine::new(&store, &host);
            join(&store, &machine).await.unwrap();
            machine.start();
            hosts.insert(host, machine);
        }
        let group = Group { store, hosts };
        group.settled().await;
        group
    }

    /// What is under way has an end.
    pub async fn settled(&self) {
        sleep(Duration::from_millis(100)).await;
    }

    pub fn host(&mut self, name: &str) -> &mut Machine {
        self.hosts.get_mut(name).unwrap()
    }

    pub async fn snapshot(&self) -> Result<Ended, Failure> {
        self.conduct(|_| ()).await
    }

    pub async fn conduct(
        &self,
        change: impl FnOnce(&mut coordinator::Request),
    ) -> Result<Ended, Failure> {
        let mut request = request();
        change(&mut request);
        coordinator::run(&self.store.link(), &request, std::future::pending(), |_| ()).await
    }

    pub async fn verdict(&self, epoch: EpochId) -> Option<Verdict> {
        let key = keys().verdict(epoch);
        let view = self.store.range(&key).await.unwrap();
        view.get(&key).map(|entry| decode(&entry.value).unwrap())
    }

    /// No gate is closed, and none was for longer than it may.
    pub fn check_gates(&self) {
        for machine in self.hosts.values() {
            assert!(!machine.host.is_closed(), "{}", machine.name);
            assert!(machine.host.longest() <= DRAIN + HOLD, "{}", machine.name);
        }
    }
}

/// A coordinator that runs beside the test.
pub struct Conducted {
    pub link: Fake,
    task: JoinHandle<Result<Ended, Failure>>,
}

impl Conducted {
    pub fn start(store: &Fake, change: impl FnOnce(&mut coordinator::Request)) -> Conducted {
        let mut request = request();
        change(&mut request);
        let link = store.link();
        let own = link.clone();
        let task = tokio::spawn(async move {
            coordinator::run(&own, &request, std::future::pending(), |_| ()).await
        });
        Conducted { link, task }
    }

    pub async fn ended(self) -> Result<Ended, Failure> {
        self.task.await.unwrap()
    }

    /// As SIGKILL does it.
    pub async fn kill(self) {
        self.link.cut_requests(true);
        self.task.abort();
        let _ = self.task.await;
    }
}

/// The last epoch that began.
pub async fn last(store: &Fake) -> EpochId {
    let key = keys().begun();
    let view = store.range(&key).await.unwrap();
    EpochId(view.get(&key).unwrap().modified as u64)
}

pub async fn recover(store: &Fake, gives_up: bool) -> Result<Found, Failure> {
    coordinator::recover::recover(store, &keys(), gives_up, "the test", "now").await
}

pub fn seconds(count: f64) -> Duration {
    Duration::from_secs_f64(count)
}

/// Whose snapshot takes this long.
pub fn slow(snapshot: f64) -> Pace {
    Pace { snapshot: seconds(snapshot), ..Pace::default() }
}

pub fn request() -> coordinator::Request {
    coordinator::Request {
        keys: keys(),
        mode: Mode::HoldAll,
        limits: Limits {
            prepare: Duration::from_secs(60),
            drain: DRAIN,
            hold: HOLD,
            certificates: Duration::from_secs(30),
        },
        allow_missing: false,
        lease: Duration::from_secs(5),
        by: "the test".to_owned(),
        when: "now".to_owned(),
    }
}

pub fn change(host: &str) -> roster::Request {
    roster::Request {
        keys: keys(),
        host: name(host),
        wait: Duration::from_secs(60),
        by: "the test".to_owned(),
        when: "now".to_owned(),
    }
}

pub async fn join(store: &Fake, machine: &Machine) -> Result<roster::Changed, Failure> {
    roster::join(store, &change(machine.name.as_str()), &machine.uuid, &machine.machine).await
}
