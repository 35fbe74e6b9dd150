//! What a state is: the store, which is linearizable, and what each host knows and does on its own.
//!
//! Everything that belongs to one host stands in its record, also what a coordinator knows of it, so that
//! hosts can change places: records are sorted after each step, and states that differ only in who is who
//! are one.

pub const HOSTS: usize = 3;
/// How many epochs are begun at most; the ids are 1, 2.
pub const EPOCHS: usize = 2;
pub const COORDINATORS: usize = 2;
/// How many changes of the key `epoch` somebody has yet to be told of.
const EVENTS: usize = 12;

/// What stands in the key `epoch`, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    #[default]
    Prepare,
    Pause,
    Release,
}

/// What a host reports, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    #[default]
    None,
    /// It could close its gate now.
    Prepared,
    /// In early mode: nobody is inside. Else: its snapshot is whole.
    Ready,
    /// Its gate was opened by the one swap that proves that nobody was let in.
    Certified,
    /// The same, not well.
    Failed,
}

/// Which epoch it is: the revision that created its key, and what only its coordinator has put there. A
/// store that was restored from an old backup gives the same revisions again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    pub revision: u8,
    pub nonce: u8,
}

impl Id {
    pub fn index(self) -> usize {
        self.revision as usize - 1
    }
}

/// The key `epoch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch {
    pub id: Id,
    pub phase: Phase,
}

/// A change of it, as a watch tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    Put(Epoch),
    Delete,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    #[default]
    None,
    Complete,
    Aborted,
}

/// The key `h/HOST/rep`, and such a report that is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Report {
    pub epoch: Id,
    pub step: Step,
    /// Of the agent that sends it.
    pub incarnation: u8,
}

/// How far a host's snapshot tool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Child {
    #[default]
    None,
    Prepared,
    Quiet,
    Snapping,
    Snapped,
    Certified,
    Failed,
}

/// The snapshot of one host and epoch, on its own disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Manifest {
    #[default]
    None,
    /// Certified; its verdict is not known here.
    Waiting,
    Clean,
    /// Thrown away, since it can never become clean.
    Discarded,
}

/// What one host and one epoch have to do with each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Part {
    /// Of the epoch that the rest speaks of.
    pub nonce: u8,
    /// The incarnation that was noted as the epoch began; 0: no member.
    pub noted: u8,
    /// What the epoch's coordinator knows the host to have reported.
    pub seen: Step,
    pub manifest: Manifest,
    /// The incarnation whose snapshot it is, and the nonce of its epoch.
    pub of: u8,
    pub of_nonce: u8,
    /// Seen by the properties only: the snapshot has begun; has ended; and shows what was written behind
    /// another host's snapshot.
    pub begun: bool,
    pub taken: bool,
    pub tainted: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host {
    /// It takes part in the scene.
    pub exists: bool,
    /// The roster has it.
    pub member: bool,
    /// The key `h/HOST/live`; 0: none.
    pub live: u8,
    pub report: Report,
    /// Its agent; 0: none runs.
    pub incarnation: u8,
    /// The greatest epoch that it has obeyed, on its disk.
    pub last: u8,
    /// How many of the changes it was told.
    pub told: u8,
    /// The epoch of its snapshot tool, how far the tool is, and how far the epoch is, as it knows.
    pub epoch: Id,
    pub child: Child,
    pub phase: Phase,
    /// A report that is on its way, perhaps from an agent that is no more; and a late copy of one.
    pub sent: Report,
    pub late: Report,
    /// The gate is closed. Anybody may open it at any time: its limit, a writer, an owner's death.
    pub closed: bool,
    pub parts: [Part; EPOCHS],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Coordinator {
    #[default]
    Idle,
    /// It leads the epoch that it began, and has put this phase.
    Leads(Id, Phase),
    Dead,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    pub hosts: [Host; HOSTS],
    pub epoch: Option<Epoch>,
    /// How many epochs were begun; the last id.
    pub begun: u8,
    pub verdicts: [(Verdict, u8); EPOCHS],
    /// What the next coordinator puts.
    pub nonce: u8,
    pub coordinators: [Coordinator; COORDINATORS],
    pub changes: [Option<Change>; EVENTS],
    pub count: u8,
    /// What may still go wrong, and how often.
    pub crashes: u8,
    pub failures: u8,
    pub losses: u8,
    pub copies: u8,
    pub moves: u8,
    pub restores: u8,
    /// Seen by the properties only: a host wrote behind its snapshot of this epoch.
    pub leaked: [bool; EPOCHS],
    pub broken: Option<Broken>,
}

/// What was seen to go wrong in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    Orphan,
    Missing,
    Flipped,
    Unproved,
    Discarded,
}

impl State {
    /// A transaction's put or delete of the key `epoch`.
    pub fn put_epoch(&mut self, epoch: Option<Epoch>) {
        let change = match (epoch, self.epoch) {
            (Some(epoch), _) => Change::Put(epoch),
            (None, Some(_)) => Change::Delete,
            (None, None) => return,
        };
        self.epoch = epoch;
        self.changes[self.count as usize] = Some(change);
        self.count += 1;
    }

    /// Whether the key is that of this epoch still, as far as a guard can tell.
    pub fn is_of(&self, id: Id) -> bool {
        self.epoch.is_some_and(|epoch| epoch.id.revision == id.revision)
    }

    /// The key `begun`: the last epoch.
    pub fn begun(&self) -> Option<Id> {
        let index = (self.begun as usize).checked_sub(1)?;
        Some(Id { revision: self.begun, nonce: self.hosts[HOSTS - 1].parts[index].nonce })
    }

    /// The epoch that was begun with this revision, if its coordinator leads it still.
    pub fn led(&self, revision: u8) -> Option<Id> {
        self.coordinators.iter().find_map(|one| match one {
            Coordinator::Leads(id, _) if id.revision == revision => Some(*id),
            _ => None,
        })
    }

    /// Makes states that nobody can tell apart the same.
    pub fn settle_down(&mut self, forgets_reports: bool) {
        for index in 0..EPOCHS {
            let led = self.led(index as u8 + 1).is_some();
            let decided = self.verdicts[index].0 != Verdict::None;
            for host in &mut self.hosts {
                let part = &mut host.parts[index];
                if led {
                    continue;
                }
                part.seen = Step::None;
                if decided && part.manifest != Manifest::Waiting {
                    *part = Part { nonce: part.nonce, ..Part::default() };
                }
                if forgets_reports && host.report.epoch.revision == index as u8 + 1 {
                    host.report = Report::default();
                }
            }
            self.leaked[index] &= led || !decided;
        }
        let (epoch, again) = (self.epoch, self.restores > 0 || self.nonce > 0);
        for host in &mut self.hosts {
            for report in [&mut host.sent, &mut host.late] {
                let of_it = |epoch: Epoch| epoch.id.revision == report.epoch.revision;
                if !again && !epoch.is_some_and(of_it) {
                    *report = Report::default();
                }
            }
            host.renumber();
        }
        self.forget_changes();
        self.hosts.sort_unstable();
        self.coordinators.sort_unstable();
    }

    /// Changes that everybody was told of are history.
    fn forget_changes(&mut self) {
        let runs = self.hosts.iter().filter(|host| host.incarnation != 0);
        let known = runs.map(|host| host.told).min().unwrap_or(self.count);
        self.changes.copy_within(known as usize.., 0);
        self.count -= known;
        self.changes[self.count as usize..].fill(None);
        for host in &mut self.hosts {
            host.told = if host.incarnation == 0 { 0 } else { host.told - known };
        }
    }
}

impl Host {
    /// Incarnations are only ever compared with each other: they get the smallest numbers.
    fn renumber(&mut self) {
        let mut used = [0; 16];
        let mut len = 0;
        self.incarnations(&mut |one| {
            if *one != 0 && !used[..len].contains(one) {
                used[len] = *one;
                len += 1;
            }
        });
        used[..len].sort_unstable();
        self.incarnations(&mut |one| {
            if let Some(at) = used[..len].iter().position(|known| known == one) {
                *one = at as u8 + 1;
            }
        });
    }

    fn incarnations(&mut self, visit: &mut impl FnMut(&mut u8)) {
        visit(&mut self.live);
        visit(&mut self.incarnation);
        for report in [&mut self.report, &mut self.sent, &mut self.late] {
            visit(&mut report.incarnation);
        }
        for part in &mut self.parts {
            visit(&mut part.noted);
            visit(&mut part.of);
        }
    }

    /// One that nobody has heard of.
    pub fn fresh(&mut self) -> u8 {
        let mut greatest = 0;
        self.incarnations(&mut |one| greatest = greatest.max(*one));
        greatest + 1
    }
}
