//! Covered writers, and what it is to be inside. Stands for `src/member/cover.rs`.

use crate::model::Event;
use crate::scene::Scene;
use crate::state::{BARRIERS, State};
use crate::variants::Variant;
use crate::writer::{Pc, Writer};

/// What a covered writer has read in `STILLPOINT_HELD`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Claim {
    #[default]
    None,
    Slot {
        index: u8,
        word: u8,
    },
    Generation(u8),
}

/// Asks whether the cover stands: its word, or its generation; then its lock byte.
pub fn step(scene: &Scene, s: &mut State, i: usize, event: Event) -> Option<(Pc, &'static str)> {
    let w = s.writers[i];
    let b = w.at as usize;
    let me = &mut s.writers[i];
    Some(match (w.pc, event) {
        (Pc::Cover { published }, Event::Step) => {
            let holds = match w.claim {
                Claim::Slot { index, word } => s.barriers[b].slots[index as usize].word == word,
                Claim::Generation(generation) => s.barriers[b].generation == generation,
                Claim::None => false,
            };
            let pc = if holds { Pc::CoverByte { published } } else { stale(me, published) };
            (pc, "Covered::holds: word or generation")
        }
        (Pc::CoverByte { published }, Event::Step) => {
            let byte = match w.claim {
                Claim::Slot { index, .. } => s.barriers[b].slots[index as usize].life,
                _ => s.barriers[b].x,
            };
            let pc = match () {
                () if byte.is_free() => stale(me, published),
                () if published || scene.is(Variant::CoverWithoutPublishing) => {
                    s.enter(i);
                    Pc::Inside
                }
                () => Pc::Publish,
            };
            (pc, "Place::is_free: the cover's lock byte")
        }
        _ => return None,
    })
}

/// A cover that was found stale is never asked again.
fn stale(me: &mut Writer, published: bool) -> Pc {
    me.claim = Claim::None;
    if published { Pc::Retract } else { Pc::Again }
}

impl State {
    /// The writer is inside from this step on.
    pub fn enter(&mut self, i: usize) {
        let me = &mut self.writers[i];
        me.depth[me.at as usize] = 1;
        if let Claim::Generation(generation) = me.claim {
            let pause = self.tools.iter().position(|tool| tool.generation[0] == generation);
            me.under = pause.map_or(0, |tool| tool as u8 + 1);
        }
    }

    /// A share under a pause has ended.
    pub fn end_cover(&mut self, i: usize, lost: bool) {
        let under = std::mem::take(&mut self.writers[i].under);
        if under > 0 {
            self.tools[under as usize - 1].gone(i, lost);
        }
    }

    /// A writer that is inside is lost: killed, or its thread has ended.
    pub fn lose(&mut self, i: usize) {
        let me = self.writers[i];
        for (b, depth) in me.depth.into_iter().enumerate() {
            if depth > 0 {
                self.barriers[b].slots[me.slot as usize].lost = true;
                self.end_cover(i, true);
            }
        }
        self.writers[i].depth = [0; BARRIERS];
    }
}
