//! A group of machines, and what goes wrong with it.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use stillpoint_cluster::agent::notebook::{MemoryNotebook, Remembered};
use stillpoint_cluster::agent::settings::{Log, Settings};
use stillpoint_cluster::agent::{self, Totals};
use stillpoint_cluster::coordinator::recover::recover;
use stillpoint_cluster::coordinator::round::Limits;
use stillpoint_cluster::coordinator::{self, Ended};
use stillpoint_cluster::record::epoch::Mode;
use stillpoint_cluster::record::identity::{Incarnation, Name};
use stillpoint_cluster::roster;
use stillpoint_cluster::store::fake::{Backup, Fake};
use stillpoint_cluster::store::{Store, Txn};
use stillpoint_cluster::words::failure::Failure;

use super::host::{Flaw, Machine};
use crate::chance::Chance;
use crate::group::{keys, name};

pub const DRAIN: Duration = Duration::from_secs(1);
pub const HOLD: Duration = Duration::from_secs(3);

/// From whom, and its number.
type Message = (usize, u64);

/// Messages on their way.
#[derive(Clone, Default)]
struct Post {
    /// By whom they are for.
    boxes: Arc<Mutex<BTreeMap<usize, VecDeque<Message>>>>,
    /// Hardly anybody writes.
    rests: Arc<AtomicBool>,
}

/// A machine with its agent.
pub struct Member {
    pub name: Name,
    pub machine: Machine,
    pub link: Fake,
    notebook: MemoryNotebook,
    agent: Option<JoinHandle<std::io::Result<()>>>,
    lives: u32,
}

impl Member {
    fn incarnation(&self) -> Incarnation {
        Incarnation { boot: format!("boot-{}", self.name), agent: format!("{}", self.lives) }
    }

    fn uuid(&self) -> String {
        format!("uuid-{}", self.machine.number)
    }

    pub fn start(&mut self, store: &Fake, log: &Journal) {
        if self.agent.is_some() {
            return;
        }
        self.lives += 1;
        self.link = store.link();
        let said = (log.clone(), self.name.clone());
        let settings = Settings {
            group: name("mail"),
            keys: keys(),
            host: self.name.clone(),
            machine: format!("{}.example.org", self.name),
            incarnation: self.incarnation(),
            lease: Duration::from_secs(3),
            drain: DRAIN,
            hold: HOLD,
            min_open: Duration::ZERO,
            counts: None,
            totals: Totals::default(),
            log: Log(Arc::new(move |line| said.0.say(&format!("{}: {line}", said.1)))),
        };
        let kept = self.notebook.kept.lock().unwrap().clone();
        let remembered =
            kept.unwrap_or_else(|| Remembered::new(self.uuid(), name("mail"), self.name.clone()));
        let (link, machine, notebook) =
            (self.link.clone(), self.machine.clone(), self.notebook.clone());
        self.agent = Some(tokio::spawn(agent::run(
            link,
            machine,
            notebook,
            remembered,
            settings,
            std::future::pending(),
        )));
    }

    /// Its connection is as it should be. That of one that was killed stays cut: some of its tasks do not know.
    pub fn mend(&mut self) {
        if self.agent.is_some() {
            self.link.cut_requests(false);
            self.link.cut_answers(false);
            self.link.delay(Duration::ZERO);
            self.link.lose_answers(0);
            self.link.lose_commits(0);
        }
    }

    /// As SIGKILL does it.
    pub async fn kill(&mut self) {
        self.link.cut_requests(true);
        if let Some(agent) = self.agent.take() {
            agent.abort();
            let _ = agent.await;
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// It joins, or leaves; at once, or when the epoch that is under way is over.
    pub fn moves(
        &self,
        store: Fake,
        joins: bool,
    ) -> impl Future<Output = Result<roster::Changed, Failure>> + use<> {
        let request = roster::Request {
            keys: keys(),
            host: self.name.clone(),
            wait: Duration::from_secs(8),
            by: "the simulation".to_owned(),
            when: "now".to_owned(),
        };
        let uuid = self.uuid();
        async move {
            match joins {
                true => roster::join(&store, &request, &uuid, request.host.as_str()).await,
                false => roster::leave(&store, &request, Some(&uuid)).await,
            }
        }
    }
}

/// What happened, in its order: two runs of one seed have the same.
#[derive(Clone)]
pub struct Journal {
    start: Instant,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Journal {
    pub fn new() -> Journal {
        Journal { start: Instant::now(), lines: Arc::default() }
    }

    pub fn say(&self, line: &str) {
        let at = self.start.elapsed().as_secs_f64();
        self.lines.lock().unwrap().push(format!("{at:9.3} {line}"));
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

/// A coordinator at work.
pub struct Conductor {
    pub link: Fake,
    pub task: JoinHandle<Result<Ended, Failure>>,
}

impl Conductor {
    /// As SIGKILL does it.
    fn kill(&self) {
        self.link.cut_requests(true);
        self.task.abort();
    }

    fn mend(&self) {
        self.link.cut_requests(self.task.is_finished());
        self.link.cut_answers(false);
        self.link.delay(Duration::ZERO);
        self.link.lose_answers(0);
        self.link.lose_commits(0);
    }
}

/// All of it.
pub struct World {
    pub store: Fake,
    pub members: Vec<Member>,
    pub conductors: Vec<Conductor>,
    pub journal: Journal,
    pub chance: Chance,
    /// How often the store went back to a backup.
    pub restores: usize,
    /// An old one, in worlds where the store may go back to it.
    backup: Option<Backup>,
    post: Post,
    /// Whoever else does something: opens gates by mistake, gives epochs up, joins or leaves.
    others: JoinSet<()>,
    writers: Vec<JoinHandle<()>>,
}

impl World {
    pub async fn new(seed: u64, flaw: Flaw) -> World {
        let mut chance = Chance::new(seed);
        let store = Fake::new();
        let journal = Journal::new();
        let post = Post::default();
        let count = 2 + chance.one_of(3);
        let (mut members, mut writers) = (Vec::new(), Vec::new());
        for number in 0..count {
            let machine = Machine::new(number, flaw, chance.another());
            let mut member = Member {
                name: name(&format!("h{number}")),
                machine: machine.clone(),
                link: store.link(),
                notebook: MemoryNotebook::default(),
                agent: None,
                lives: 0,
            };
            member.moves(store.clone(), true).await.expect("it joins");
            member.start(&store, &journal);
            members.push(member);
            writers.push(tokio::spawn(writes(machine, count, post.clone(), chance.another())));
        }
        sleep(Duration::from_millis(100)).await;
        let backup = chance.one_in(3).then(|| store.backup());
        World {
            store,
            members,
            conductors: Vec::new(),
            journal,
            restores: 0,
            backup,
            chance,
            post,
            others: JoinSet::new(),
            writers,
        }
    }

    pub fn request(&mut self) -> coordinator::Request {
        let mode = if self.chance.one_in(2) { Mode::HoldAll } else { Mode::Early };
        coordinator::Request {
            keys: keys(),
            mode,
            limits: Limits {
                prepare: Duration::from_secs(if self.chance.one_in(4) { 0 } else { 2 }),
                drain: DRAIN,
                hold: HOLD,
                certificates: Duration::from_secs(3),
            },
            allow_missing: false,
            lease: Duration::from_secs(2),
            by: "the simulation".to_owned(),
            when: "now".to_owned(),
        }
    }

    /// Another snapshot is asked for.
    pub fn conduct(&mut self) {
        let link = self.store.link();
        let (own, request) = (link.clone(), self.request());
        self.journal.say(&format!("a snapshot: {:?}", request.mode));
        let journal = self.journal.clone();
        let task = tokio::spawn(async move {
            let told = |told: coordinator::Told<'_>| journal.say(&format!("{told:?}"));
            let ended = coordinator::run(&own, &request, std::future::pending(), told).await;
            match &ended {
                Ok(ended) => {
                    let why = ended.verdict.reason.as_ref().map_or("", |failed| &failed.text);
                    let word = ended.verdict.outcome.word();
                    journal.say(&format!("epoch {}: {word} {why}", ended.epoch));
                }
                Err(failure) => journal.say(&format!("no snapshot: {failure}")),
            }
            ended
        });
        self.conductors.push(Conductor { link, task });
    }

    /// One thing that goes wrong.
    pub async fn fault(&mut self) {
        let who = self.chance.one_of(self.members.len());
        let long = Duration::from_millis(1 + self.chance.below(4000));
        let kind = self.chance.below(if self.backup.is_some() { 28 } else { 25 });
        let count = self.chance.below(4) as usize;
        self.journal.say(&format!("fault {kind} of h{who}, {long:?}, {count}"));
        let conductor = self.chance.one_of(self.conductors.len());
        let conductor = &self.conductors[conductor];
        let member = &mut self.members[who];
        match kind {
            0 => member.kill().await,
            1 | 2 => member.start(&self.store, &self.journal),
            3 => member.link.cut_requests(true),
            4 => member.link.cut_answers(true),
            5 => member.mend(),
            6 if count > 1 => member.link.lose_commits(count),
            6 => member.link.lose_answers(1 + count),
            7 => member.link.delay(long / 40 * count as u32),
            8 => {
                let key = keys().live(&member.name);
                self.expires(&key);
            }
            9 => self.store.compact(),
            10 | 11 => {
                let (machine, later) = (member.machine.clone(), long / 20);
                self.others.spawn(async move { machine.open_when_closed(later).await });
            }
            12 => member.machine.fail(true),
            13 => member.machine.stop(long),
            14 => conductor.kill(),
            15 => conductor.link.cut_requests(true),
            16 => conductor.link.cut_answers(true),
            17 => conductor.mend(),
            18 if count > 1 => conductor.link.lose_commits(count),
            18 => conductor.link.lose_answers(1 + count),
            19 => conductor.link.delay(long / 40 * count as u32),
            20 => self.expires(&keys().epoch()),
            // Somebody gives the epoch up, and what he has seen may be old when he does.
            21 | 22 => {
                let store = self.store.link();
                store.delay(long / 40 * count as u32);
                self.others.spawn(async move {
                    let _ = recover(&store, &keys(), true, "somebody", "now").await;
                });
            }
            // Nothing is heard for a while, and then not what has happened but what there is.
            23 => {
                let (store, link) = (self.store.clone(), member.link.clone());
                self.others.spawn(async move {
                    link.cut_answers(true);
                    sleep(long / 4).await;
                    store.compact();
                    link.cut_answers(false);
                });
            }
            24 => {
                let moves = member.moves(self.store.link(), count > 1);
                self.others.spawn(async move { drop(moves.await) });
            }
            25 => self.backup = Some(self.store.backup()),
            _ => self.restore(),
        }
    }

    /// The lease of this key runs out by mistake.
    fn expires(&self, key: &str) {
        if let Some(lease) = self.store.lease_of(key) {
            self.store.expire(lease);
        }
    }

    /// The store goes back, revisions and all. No connection survives that: coordinators end, agents go on.
    fn restore(&mut self) {
        let Some(backup) = &self.backup else { return };
        self.conductors.iter().for_each(Conductor::kill);
        self.others.abort_all();
        self.store.restore(backup);
        self.restores += 1;
    }

    /// Whatever is wrong is mended, and whatever has ended is gone.
    pub async fn heal(&mut self) {
        self.others.shutdown().await;
        for conductor in self.conductors.drain(..) {
            conductor.mend();
            let _ = conductor.task.await;
        }
        for member in &mut self.members {
            member.mend();
            member.machine.fail(false);
            member.start(&self.store, &self.journal);
        }
        self.post.rests.store(true, Ordering::Relaxed);
        // As `--bump-revision` does for a backup.
        let last = self.members.iter().map(|member| member.machine.last().0).max();
        while self.store.range("count").await.expect("a view").revision as u64 <= last.unwrap_or(0)
        {
            self.store.commit(Txn::new().put("count", "on")).await.expect("it counts");
        }
        sleep(Duration::from_secs(60)).await;
        let _ = recover(&self.store, &keys(), true, "somebody", "now").await;
        for member in &self.members {
            let joined = member.moves(self.store.clone(), true).await;
            joined.expect("nothing is in its way any more");
        }
        sleep(Duration::from_secs(60)).await;
        self.post.rests.store(false, Ordering::Relaxed);
    }

    pub fn end(self) {
        self.writers.iter().for_each(JoinHandle::abort);
    }
}

/// Sends messages, and reads what came.
async fn writes(machine: Machine, count: usize, post: Post, mut chance: Chance) {
    let me = machine.number;
    loop {
        let rest = if post.rests.load(Ordering::Relaxed) { 1000 } else { 0 };
        sleep(Duration::from_millis(1 + rest + chance.below(10))).await;
        let to = (me + 1 + chance.one_of(count - 1)) % count;
        let sends = chance.one_in(2);
        let boxes = post.boxes.clone();
        machine
            .write(move |data| {
                let mut boxes = boxes.lock().unwrap();
                if sends {
                    let number = data.sent.entry(to).or_default();
                    *number += 1;
                    boxes.entry(to).or_default().push_back((me, *number));
                } else if let Some((from, number)) = boxes.entry(me).or_default().pop_front() {
                    let last = data.received.entry(from).or_default();
                    *last = number.max(*last);
                }
            })
            .await;
    }
}
