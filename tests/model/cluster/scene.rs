//! A scene: who takes part, and what may go wrong.

use super::state::{HOSTS, Id, Phase, State};
use super::variants::Variant;

/// When a host's gate is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Once all snapshots are whole.
    HoldAll,
    /// Once all gates are closed and its own snapshot is whole.
    Early,
}

#[derive(Clone, Debug)]
pub struct Scene {
    pub name: &'static str,
    pub mode: Mode,
    /// What an epoch begins with.
    pub begins: Phase,
    pub hosts: usize,
    /// Of these, whom the roster does not have, though their agents run: they have left, or are clones of
    /// others.
    pub outsiders: usize,
    /// How many epochs are begun at most, and how many coordinators run at a time.
    pub epochs: u8,
    pub coordinators: usize,
    /// How often an agent or a coordinator is killed; a snapshot tool fails; the lease of an agent that
    /// lives is lost; a report comes twice; a host joins or leaves.
    pub crashes: u8,
    pub failures: u8,
    pub losses: u8,
    pub copies: u8,
    pub moves: u8,
    pub restores: u8,
    /// Watches begin anew, with what is there then.
    pub resyncs: bool,
    /// Nobody gives up, and no coordinator's lease is lost.
    pub calm: bool,
    /// No gate is opened but by its own tool.
    pub steady: bool,
    /// A restarted agent has lost its disk: it is a clone of the host, or its folder was restored.
    pub forgets: bool,
    pub variant: Option<Variant>,
}

/// Two hosts, one epoch, one coordinator.
pub const PLAIN: Scene = Scene {
    name: "cluster",
    mode: Mode::HoldAll,
    begins: Phase::Prepare,
    hosts: 2,
    outsiders: 0,
    epochs: 1,
    coordinators: 1,
    crashes: 0,
    failures: 0,
    losses: 0,
    copies: 0,
    moves: 0,
    restores: 0,
    resyncs: false,
    calm: false,
    steady: false,
    forgets: false,
    variant: None,
};

impl Scene {
    pub fn is(&self, variant: Variant) -> bool {
        self.variant == Some(variant)
    }

    /// Whether somebody takes one epoch for the other.
    pub fn same(&self, one: Id, other: Id) -> bool {
        one == other || one.revision == other.revision && self.is(Variant::IdAlone)
    }

    pub fn first_state(&self) -> State {
        let mut s = State {
            crashes: self.crashes,
            failures: self.failures,
            losses: self.losses,
            copies: self.copies,
            moves: self.moves,
            restores: self.restores,
            ..State::default()
        };
        for (i, host) in s.hosts[..self.hosts].iter_mut().enumerate() {
            (host.exists, host.member) = (true, i >= self.outsiders);
            (host.live, host.incarnation) = (1, 1);
        }
        assert!(self.hosts <= HOSTS);
        self.finish(&mut s);
        s
    }

    pub fn finish(&self, s: &mut State) {
        super::properties::observe(s);
        s.settle_down(!self.is(Variant::ReportOfAnyEpoch));
    }
}
