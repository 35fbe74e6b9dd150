//! A scene: who takes part, what may happen to them, and whether time passes.

use crate::cover::Claim;
use crate::join;
use crate::state::{Kind, Life, SLOTS, State, TOOLS, WRITERS, Who};
use crate::tool::Tool;
use crate::variants::Variant;
use crate::writer::Pc;

#[derive(Clone, Debug)]
pub struct Scene {
    pub name: &'static str,
    pub barriers: usize,
    pub slots: usize,
    pub writers: usize,
    pub tools: usize,
    /// Shares nest, two deep.
    pub nests: bool,
    /// Each writer takes one share and is gone.
    pub one_share: bool,
    /// Each tool makes one pause and is gone.
    pub one_pause: bool,
    /// Those that count in one slot; the first.
    pub counts: [bool; WRITERS],
    /// All writers are threads of one process, and die together.
    pub one_process: bool,
    /// Threads end, inside a share or outside.
    pub ends_threads: bool,
    /// Those that have no slot at first.
    pub newcomers: [bool; WRITERS],
    /// The one that another forks.
    pub child: Option<usize>,
    /// Under whose share which writer is started as a command.
    pub commands: [Option<usize>; WRITERS],
    /// The writer that the first tool starts under its pause.
    pub under_pause: Option<usize>,
    /// The first writer has a claim from long ago, on a slot in which others count today.
    pub old_claim: bool,
    /// The second writer is inside from the start, and stopped there.
    pub long_share: bool,
    /// Those that can ask whether a lock byte is free.
    pub can_ask: [bool; WRITERS],
    /// The tools whose pauses have a limit.
    pub limited: [bool; TOOLS],
    pub courteous: bool,
    /// The tools that leave the gate open for a while before they close it.
    pub paces: [bool; TOOLS],
    /// Ticks pass: 10 and 100 ms, and the 50 ms of courtesy.
    pub ticks: bool,
    /// Limits pass: of a drain, a pause, somebody's patience.
    pub limits: bool,
    /// A release wakes one waiter, and each that leaves wakes one more; else it wakes all.
    pub readmits_one: bool,
    /// A tool waits for X as long as it takes.
    pub waits_for_x: bool,
    pub crashes: u8,
    pub writers_may_die: bool,
    pub tools_may_die: [bool; TOOLS],
    pub stops: u8,
    pub tools_may_stop: bool,
    /// The first barrier is a file that was removed from the place of the second. The writers began there,
    /// but for those that came later.
    pub replaced: bool,
    pub came_later: [bool; WRITERS],
    /// The second tool began at the old file too.
    pub old_tool: bool,
    /// A writer may find out by itself.
    pub notices: bool,
    pub variant: Option<Variant>,
}

/// The bit that marks the words of a command's share: no counted word grows so far.
const OF_A_COMMAND: u8 = 128;

/// Two writers, two tools, one barrier; time passes, and nothing bad happens.
pub const PLAIN: Scene = Scene {
    name: "plain",
    barriers: 1,
    slots: 2,
    writers: 2,
    tools: 2,
    nests: false,
    one_share: false,
    one_pause: false,
    counts: [false; WRITERS],
    one_process: false,
    ends_threads: false,
    newcomers: [false; WRITERS],
    child: None,
    commands: [None; WRITERS],
    under_pause: None,
    old_claim: false,
    long_share: false,
    can_ask: [true; WRITERS],
    limited: [true; TOOLS],
    courteous: false,
    paces: [false; TOOLS],
    ticks: true,
    limits: true,
    readmits_one: false,
    waits_for_x: false,
    crashes: 0,
    writers_may_die: true,
    tools_may_die: [true; TOOLS],
    stops: 0,
    tools_may_stop: true,
    replaced: false,
    came_later: [false; WRITERS],
    old_tool: false,
    notices: false,
    variant: None,
};

impl Scene {
    pub fn is(&self, variant: Variant) -> bool {
        self.variant == Some(variant)
    }

    /// The command under this writer's share.
    pub fn command_of(&self, writer: usize) -> Option<usize> {
        self.commands[writer]
    }

    /// Whether the writer does not take part from the start.
    fn is_born_later(&self, writer: usize) -> bool {
        let later = [self.child, self.under_pause];
        later.contains(&Some(writer)) || self.commands.contains(&Some(writer))
    }

    /// The last of the barriers that a tool closes.
    pub fn last_of(&self, tool: &Tool) -> usize {
        if self.replaced { tool.home as usize } else { self.barriers - 1 }
    }

    pub fn first_state(&self) -> State {
        let mut s = State {
            crashes: self.crashes,
            stops: self.stops,
            replaced: self.replaced,
            ..State::default()
        };
        for writer in 0..self.writers {
            let me = &mut s.writers[writer];
            me.slot = if self.one_process { 0 } else { writer.min(self.slots - 1) as u8 };
            if self.is_born_later(writer) {
                continue;
            }
            me.life = Life::Runs;
            if self.newcomers[writer] {
                me.pc = join::CLAIM;
                me.slot = 0;
                continue;
            }
            let slot = me.slot as usize;
            let homes = match (self.replaced, self.came_later[writer]) {
                (false, _) => 0..self.barriers,
                (true, false) => 0..1,
                (true, true) => 1..2,
            };
            if homes.start == 1 {
                (me.home, me.at) = (1, 1);
            }
            for barrier in &mut s.barriers[homes] {
                let slot = &mut barrier.slots[slot];
                slot.kind = match self.counts[writer] {
                    true => Kind::Counted,
                    false if self.commands[writer].is_some() => Kind::Command,
                    false => Kind::Thread,
                };
                slot.life.inherit(Who::Writer(writer));
            }
        }
        if self.old_claim {
            let marked = if self.is(Variant::UnmarkedCommands) { 0 } else { OF_A_COMMAND };
            s.writers[0].claim = Claim::Slot { index: 1, word: 1 | marked };
            s.barriers[0].slots[0].may_be_covered = true;
        }
        if self.long_share {
            let me = &mut s.writers[1];
            (me.life, me.pc, me.depth[0]) = (Life::Stopped, Pc::Inside, 1);
            s.barriers[0].slots[1].word = 1;
        }
        for tool in 0..self.tools {
            s.tools[tool].life = Life::Runs;
            if self.replaced && !(self.old_tool && tool == 1) {
                (s.tools[tool].home, s.tools[tool].at) = (1, 1);
            }
        }
        debug_assert!(self.slots <= SLOTS && s.writers[0].pc != Pc::Done);
        s
    }
}
