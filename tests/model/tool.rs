//! A tool, and what it keeps in mind. Its steps are in `acquire`, `drain` and `release`.

use crate::join::Settle;
use crate::model::Event;
use crate::scene::Scene;
use crate::state::{BARRIERS, Life, SLOTS, State};
use crate::{acquire, drain, release};

/// Why a slot is looked at, and who asks for it to be reclaimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    #[default]
    Drain,
    /// With the gate open, for shares that turned out to be long.
    Outlast,
    /// Once more before the release.
    Release,
    /// In the file that was in the place of this one.
    Old,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// `clean`: the dirty epoch did not move between the grant and the release.
    Certified {
        clean: bool,
    },
    Revoked,
    NotQuiet,
}

/// The step that comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pc {
    /// No pause is wanted, or no other tool in the way.
    #[default]
    Idle,
    /// Where a tool waits for X as long as it takes.
    TryX,
    Heal,
    HealOpen,
    HealWake,
    Pace,
    /// In `acquire::gather`: is it known that nobody is left in another file?
    Gather,
    /// Its gate is closed for good; then the sleepers are woken.
    Supersede,
    SupersedeWake,
    /// Somebody is left there.
    OldAgain,
    NoteAlone,
    Announce,
    CloseLoad,
    Close,
    /// In `Gate::look`: the drain word, then the word of one slot after another.
    Ticket,
    Look,
    /// In `drain`: somebody is inside, or the words change.
    Busy,
    Asleep,
    /// In `reclaim`, of the slot at hand.
    StillInside,
    Word,
    Probe,
    TryLife,
    Settle(Settle),
    Unlock,
    /// All barriers are quiet.
    GrantCheck,
    Paused,
    Collect,
    ReadDirty,
    Open,
    Wake,
    /// A closing that came to nothing, by courtesy or for good.
    Reopen,
    ReopenWake,
    OutlastAgain,
    GiveBack,
    Returns(Verdict),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tool {
    pub life: Life,
    pub pc: Pc,
    /// The barrier that it is busy with.
    pub at: u8,
    /// The first of those that it closes.
    pub home: u8,
    /// The odd generations that it has made; 0: none.
    pub generation: [u8; BARRIERS],
    pub phase: Phase,
    /// The slot at hand.
    pub slot: u8,
    /// The words as it last saw them; `None`: it keeps none.
    pub seen: [Option<u8>; SLOTS],
    /// Which of them were odd, or are still to be asked about.
    pub inside: u8,
    /// This look is not the first, and so far found what the last one did.
    pub unchanged: bool,
    /// No look yet has found nobody inside.
    pub first: bool,
    /// The drain word is not the ticket any more.
    pub moved: bool,
    /// It has asked once who is dead.
    pub asked: bool,
    /// This time, somebody was.
    pub reclaimed: bool,
    /// This closing ends early, and gives way to long shares.
    pub courteous: bool,
    /// What is to be certified: nobody opened a gate, nobody is inside.
    pub sound: bool,
    /// The dirty epoch as read at the release is that of the grant.
    pub clean: bool,
    /// Since the grant it was raised.
    pub dirty: bool,
    /// Granted, and neither released nor found out not to be.
    pub granted: bool,
    /// Seen by the properties only: a writer was inside since the grant that had no business there.
    pub disturbed: bool,
    /// Seen by the properties only: a covered writer was lost before the release began.
    pub lost: bool,
    /// Seen by the properties only: the covered writers that were inside when the release began, and
    /// still are.
    pub kept: u8,
}

impl Tool {
    /// Whether nothing is left to do that it has begun, or nothing but to wait for a limit that never
    /// passes, with the gate open or closed by somebody else.
    pub fn rests(&self, scene: &Scene) -> bool {
        let patient = !scene.limits && (scene.courteous || scene.paces.contains(&true));
        let waits = matches!(self.pc, Pc::TryX | Pc::Pace | Pc::OutlastAgain);
        self.life != Life::Runs || self.pc == Pc::Idle || patient && waits
    }

    pub fn bumped(&mut self) {
        self.moved = true;
    }

    pub fn wake(&mut self) {
        if self.pc == Pc::Asleep {
            self.pc = Pc::Ticket;
        }
    }

    pub fn dirty_raised(&mut self) {
        self.dirty |= self.granted;
    }

    /// A writer under this pause has left, or was lost.
    pub fn gone(&mut self, writer: usize, lost: bool) {
        let kept = self.kept & 1 << writer != 0;
        self.lost |= lost && self.granted && (self.pc == Pc::Paused || kept);
        self.kept &= !(1 << writer);
    }

    /// Forgets what it has seen of a barrier.
    pub fn forget(&mut self) {
        self.seen = [None; SLOTS];
        self.inside = 0;
        self.slot = 0;
        self.unchanged = false;
        self.first = false;
        self.moved = false;
        self.asked = false;
        self.reclaimed = false;
    }

    /// Begins to drain, or the last looks.
    pub fn begin(&mut self, phase: Phase) {
        self.forget();
        self.phase = phase;
        self.first = phase == Phase::Drain;
    }

    pub fn close_again(&mut self) -> Pc {
        self.forget();
        self.courteous = false;
        Pc::CloseLoad
    }

    pub fn rest(&mut self) -> Pc {
        *self = Tool { life: self.life, home: self.home, at: self.home, ..Tool::default() };
        Pc::Idle
    }

    /// The same for the next barrier, or, after the last, what follows for the first.
    pub fn each(&mut self, last: bool, same: Pc, then: Pc) -> Pc {
        self.at = if last { self.home } else { self.at + 1 };
        if last { then } else { same }
    }

    pub fn restart_at(&mut self, pc: Pc) -> Pc {
        self.at = self.home;
        pc
    }
}

/// Takes the tool's next step, if it can take one by this event. The name of the step says which
/// function it stands for.
pub fn step(scene: &Scene, s: &mut State, i: usize, event: Event) -> Option<&'static str> {
    let (pc, name) = acquire::step(scene, s, i, event)
        .or_else(|| drain::step(scene, s, i, event))
        .or_else(|| release::step(scene, s, i, event))?;
    s.tools[i].pc = pc;
    Some(name)
}

/// `wait::readmit`, of everybody or of one.
pub fn wake(scene: &Scene, s: &mut State, b: usize, event: Event) -> Option<()> {
    let second = event == Event::Second;
    if second && !(scene.readmits_one && s.sleepers(b).count() > 1) {
        return None;
    }
    s.wake_gate(b, scene.readmits_one.then_some(usize::from(second)));
    Some(())
}
