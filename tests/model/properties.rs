//! What must hold in every state: the invariants of the design, as far as a model can state them.
//!
//! Each is a plain claim about one state, so that the checker cannot be wrong about it: its own
//! notion of "eventually" misses what goes round in circles. That everybody gets on is claimed twice:
//! here, that no state is stuck; and in `graph`, that from every state there is a way home.

use crate::explore::Explored;
use crate::join;
use crate::scene::Scene;
use crate::state::{Broken, State, is_inside};
use crate::tool::{self, Verdict};
use crate::writer;
use stateright::Property;

/// No writer is inside between the grant and the opening of the gate, but under that very pause.
pub const EXCLUSION: &str = "exclusion";
/// If a pause is certified, nobody was inside between its grant and its release, and nobody whom it
/// covered still was.
pub const CERTIFICATE: &str = "certificate";
/// Somebody can go on, or all have done what they began.
pub const NOT_STUCK: &str = "a way on";
/// The slot of a writer that was lost inside stays odd until the dirty epoch is raised for it.
pub const LOST_WRITER: &str = "no lost writer";
/// What is certified as clean was not made over the traces of a lost writer.
pub const CLEAN: &str = "clean";
/// Nobody clears the word of a living owner.
pub const FALSE_DEATH: &str = "no false death";
/// A gate is opened from the very generation that was seen closed, by that pause's own limit.
pub const OWN_PAUSE: &str = "only the pause that was seen";

pub fn all() -> Vec<Property<Scene>> {
    vec![
        Property::always(EXCLUSION, exclusion),
        Property::always(CERTIFICATE, certificate),
        Property::always(NOT_STUCK, |scene: &Scene, s: &State| {
            scene.goes_on(s) || scene.is_at_rest(s)
        }),
        Property::always(LOST_WRITER, no_lost_writer),
        Property::always(CLEAN, clean),
        Property::always(FALSE_DEATH, |_: &Scene, s: &State| s.broken != Some(Broken::FalseDeath)),
        Property::always(OWN_PAUSE, |_: &Scene, s: &State| {
            !matches!(s.broken, Some(Broken::OpenedUnseen | Broken::WrongLimit))
        }),
    ]
}

/// Whether a writer is inside that has no business there, while this tool's pause stands.
fn meets_a_writer(s: &State, tool: usize, barrier: usize) -> bool {
    s.tools[tool].granted
        && s.tools[tool].generation[barrier] != 0
        && s.writers.iter().any(|w| {
            // Wherever the writers of one store stand.
            let inside = w.is_inside(barrier) || s.replaced && w.is_inside(1 - barrier);
            inside && w.under as usize != tool + 1
        })
}

fn exclusion(scene: &Scene, s: &State) -> bool {
    // A pause of a file that is not the barrier excludes nobody, and is not certified.
    let mut tools = (0..scene.tools).filter(|tool| !s.replaced || s.tools[*tool].home == 1);
    tools.all(|tool| {
        (0..scene.barriers).all(|b| {
            s.barriers[b].generation != s.tools[tool].generation[b] || !meets_a_writer(s, tool, b)
        })
    })
}

fn verdicts(s: &State) -> impl Iterator<Item = (&tool::Tool, Verdict)> {
    s.tools.iter().filter_map(|tool| match tool.pc {
        tool::Pc::Returns(verdict) => Some((tool, verdict)),
        _ => None,
    })
}

fn certificate(_: &Scene, s: &State) -> bool {
    verdicts(s).all(|(tool, verdict)| {
        !matches!(verdict, Verdict::Certified { .. }) || !tool.disturbed && tool.kept == 0
    })
}

fn clean(_: &Scene, s: &State) -> bool {
    verdicts(s).all(|(tool, verdict)| verdict != Verdict::Certified { clean: true } || !tool.lost)
}

fn no_lost_writer(scene: &Scene, s: &State) -> bool {
    (0..scene.barriers).all(|b| {
        (0..scene.slots).all(|index| {
            let slot = s.barriers[b].slots[index];
            !slot.lost || is_inside(slot.word) || is_being_raised(s, index)
        })
    })
}

/// Whether a living process is about to raise the dirty epoch for the slot's owner.
fn is_being_raised(s: &State, slot: usize) -> bool {
    use join::{Pc::Claimed, Pc::Leave, Settle::Raise};
    let writer = s.writers.iter().any(|w| {
        let raises = [writer::Pc::Join(Claimed(Raise)), writer::Pc::Join(Leave(Raise))];
        w.lives() && w.slot as usize == slot && raises.contains(&w.pc)
    });
    writer || s.tools.iter().any(|t| t.slot as usize == slot && t.pc == tool::Pc::Settle(Raise))
}

/// Keeps in mind what a later verdict is judged by.
pub fn observe(s: &mut State) {
    for tool in 0..s.tools.len() {
        if (0..s.barriers.len()).any(|barrier| meets_a_writer(s, tool, barrier)) {
            s.tools[tool].disturbed = true;
        }
    }
}
