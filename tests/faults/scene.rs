//! What a victim does: scenes as short scripts, a line each.
//!
//! ```text
//! COMMAND -> ANSWER         the victim does it, and its answer begins so when nothing goes wrong
//! other COMMAND -> ANSWER   a healthy neighbour does it
//! other dies                the neighbour is killed
//! say COMMAND               the victim begins to do it
//! until waiting             somebody waits at the gate          until reopened   a closing was in vain
//! hear -> ANSWER            the victim has done it
//! probe                     a healthy tool and a healthy writer try the barrier from outside
//! ```
//!
//! `PATH` is the barrier, `FILE` another file beside it. The prelude is undisturbed; the fault strikes
//! in the act.

/// What lies at the barrier's path before the prelude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// A barrier.
    Ready,
    /// Nothing.
    Missing,
    /// An empty file, as flock(1) makes it.
    Empty,
    /// A barrier that another boot left.
    OtherBoot,
    /// A file of the right size without a header.
    Garbage,
}

/// Who is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The victim.
    Victim,
    /// The child that it forked last.
    Child,
}

#[derive(Clone, Copy, Debug)]
pub struct Scene {
    pub name: &'static str,
    pub before: Before,
    pub target: Target,
    pub prelude: &'static str,
    pub act: &'static str,
    /// Losses that are no fault of any writer here.
    pub lost: u32,
}

impl Scene {
    const fn new(name: &'static str, prelude: &'static str, act: &'static str) -> Scene {
        let (before, target) = (Before::Ready, Target::Victim);
        Scene { name, before, target, prelude, act, lost: 0 }
    }

    const fn of(self, before: Before) -> Scene {
        Scene { before, ..self }
    }

    const fn in_child(self) -> Scene {
        Scene { target: Target::Child, ..self }
    }

    const fn losing(self, lost: u32) -> Scene {
        Scene { lost, ..self }
    }
}

/// Every operation of the core, in the ways that make different system calls or steps.
pub const SCENES: &[Scene] = &[
    Scene::new("open", "", "open PATH -> open\nshared -> inside 1\nprobe\nleave -> depth 0"),
    Scene::new("visit", "", "visit PATH -> visited"),
    Scene::new("create", "", "create PATH -> created\nshared -> inside 1\nleave -> depth 0")
        .of(Before::Missing),
    Scene::new(
        "create over an empty file",
        "",
        "create PATH -> created\nshared -> inside 1\nleave -> depth 0",
    )
    .of(Before::Empty),
    Scene::new("create over garbage", "", "create PATH -> created").of(Before::Garbage).losing(1),
    Scene::new("after a restart", "", "open PATH -> open\nshared -> inside 1\nleave -> depth 0")
        .of(Before::OtherBoot)
        .losing(1),
    Scene::new("retire", "", "retire PATH -> retired"),
    Scene::new(
        "nested",
        "open PATH -> open\nshared -> inside 1\nleave -> depth 0",
        "shared -> inside 1\nshared -> inside 2\nprobe\nleave -> depth 1\nleave -> depth 0",
    ),
    Scene::new(
        "thread",
        "open PATH -> open\nthread t -> thread t",
        "@t shared -> inside 1\nprobe\n@t leave -> depth 0\nend-thread t -> ended t",
    ),
    Scene::new(
        "lost thread",
        "open PATH -> open\nthread t -> thread t",
        "@t shared -> inside 1\n@t forget -> forgotten\nend-thread t -> ended t",
    ),
    Scene::new("counted", "open PATH -> open", "owned -> owned 1\nprobe\ndisown -> owned 0"),
    Scene::new(
        "command share",
        "open PATH -> open",
        "command-share watched -> inside\nprobe\nend-command-share -> ended",
    ),
    Scene::new(
        "unwatched command share",
        "open PATH -> open",
        "command-share unwatched -> inside\nprobe\nend-command-share -> ended",
    ),
    Scene::new(
        "write lock",
        "open PATH -> open",
        "write-lock FILE -> locked 1\nprobe\nwrite-unlock -> depth 0",
    ),
    Scene::new(
        "under a pause",
        "other open PATH -> open\nother exclusive hold=none -> granted\nother cover -> cover",
        "open PATH -> open\nshared -> inside 1\nleave -> depth 0\nother release -> released",
    ),
    Scene::new(
        "under a share",
        "other open PATH -> open\nother command-share watched -> inside\nother cover -> cover",
        "open PATH -> open\nis-covered -> covered shared\nshared -> inside 1\nleave -> depth 0\n\
         other end-command-share -> ended",
    ),
    Scene::new(
        "closed gate",
        "open PATH -> open\nother open PATH -> open\nother exclusive hold=none -> granted",
        "say shared\nuntil waiting\nother release -> released\nhear -> inside 1\nleave -> depth 0",
    ),
    Scene::new(
        "closed gate, given up",
        "open PATH -> open\nother open PATH -> open\nother exclusive hold=none -> granted",
        "timed-shared 130 -> error TimedOut\nother release -> released",
    ),
    Scene::new(
        "revocation",
        "open PATH -> open\nother open PATH -> open\nother exclusive drain=20 hold=60 -> granted",
        "shared -> inside 1\nother release -> error Revoked\nleave -> depth 0",
    ),
    Scene::new(
        "dead holder, found by a writer",
        "open PATH -> open\nother open PATH -> open\nother exclusive hold=none -> granted\nother dies",
        "owned -> owned 1\ndisown -> owned 0",
    ),
    Scene::new(
        "dead holder, found by a tool",
        "open PATH -> open\nother open PATH -> open\nother exclusive hold=none -> granted\nother dies",
        "exclusive patience=0 -> granted\nrelease -> released",
    ),
    Scene::new(
        "exclusive",
        "open PATH -> open\nshared -> inside 1\nleave -> depth 0",
        "exclusive patience=0 drain=500 -> granted\nprobe\nrelease -> released",
    ),
    Scene::new(
        "exclusive for a command",
        "open PATH -> open",
        "exclusive patience=0 drain=500 keep=1 -> granted\nprobe\nrelease -> released",
    ),
    Scene::new(
        "dead writer",
        "open PATH -> open\nother open PATH -> open\nother shared -> inside 1\nother dies",
        "exclusive patience=0 drain=800 -> granted\nrelease -> released",
    ),
    Scene::new(
        "long share",
        "open PATH -> open\nother open PATH -> open\nother shared -> inside 1",
        "say exclusive patience=2000 drain=500\nuntil reopened\nother leave -> depth 0\n\
         hear -> granted\nprobe\nrelease -> released",
    ),
    Scene::new(
        "not quiet",
        "open PATH -> open\nother open PATH -> open\nother shared -> inside 1",
        "exclusive patience=0 drain=20 -> error NotQuiet\nother leave -> depth 0",
    ),
    Scene::new(
        "forked child",
        "open PATH -> open\nshared -> inside 1\nleave -> depth 0\nfork c -> forked",
        ">c shared -> inside 1\nprobe\n>c leave -> depth 0",
    )
    .in_child(),
    Scene::new(
        "fork later",
        "",
        "open PATH -> open\nshared -> inside 1\nleave -> depth 0\nfork c -> forked\n\
         >c shared -> inside 1\n>c leave -> depth 0\nshared -> inside 1\nleave -> depth 0",
    ),
];

/// `STILLPOINT_FAULTS_SCENE` names the one scene to play.
pub fn is_chosen(name: &str) -> bool {
    std::env::var("STILLPOINT_FAULTS_SCENE").map_or(true, |chosen| chosen == name)
}
