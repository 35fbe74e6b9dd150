//! What must hold in every state.
//!
//! Hosts send each other messages whenever their gates are open, and the worst case is taken: whatever can
//! be sent, is sent, and whatever can be received, is received at once. What was written behind a host's
//! snapshot taints each host that has not made its own.

use super::scene::Scene;
use super::state::{Broken, Part, State, Verdict};
use stateright::Property;

/// What is called complete has no orphan: no receipt without its send.
pub const NO_ORPHAN: &str = "no orphan";
/// What is called complete has a snapshot of each host of the roster.
pub const NOBODY_MISSING: &str = "nobody missing";
/// A verdict is written once.
pub const NO_FLIP: &str = "a verdict never flips";
/// A snapshot is not called clean unless its epoch is complete.
pub const PROVED: &str = "clean is complete";
/// What may still become complete is not thrown away.
pub const KEPT: &str = "kept while in doubt";

pub fn all() -> Vec<Property<Scene>> {
    vec![
        Property::always(NO_ORPHAN, |_: &Scene, s: &State| s.broken != Some(Broken::Orphan)),
        Property::always(NOBODY_MISSING, |_: &Scene, s: &State| s.broken != Some(Broken::Missing)),
        Property::always(NO_FLIP, |_: &Scene, s: &State| s.broken != Some(Broken::Flipped)),
        Property::always(KEPT, |_: &Scene, s: &State| s.broken != Some(Broken::Discarded)),
        Property::sometimes("a complete epoch", |_: &Scene, s: &State| {
            s.verdicts.iter().any(|(verdict, _)| *verdict == Verdict::Complete)
        }),
        Property::always(PROVED, |_: &Scene, s: &State| s.broken != Some(Broken::Unproved)),
    ]
}

/// Keeps in mind what a verdict is judged by.
pub fn observe(s: &mut State) {
    for index in 0..s.verdicts.len() {
        let open = |part: Part, closed: bool| part.noted != 0 && part.begun && !closed;
        s.leaked[index] |= s.hosts.iter().any(|host| open(host.parts[index], host.closed));
        let leaked = s.leaked[index];
        for host in &mut s.hosts {
            let part = &mut host.parts[index];
            part.tainted |= leaked && !host.closed && !part.taken;
        }
        let mut members = s.hosts.iter().map(|host| host.parts[index]);
        if s.verdicts[index].0 == Verdict::Complete
            && members.any(|part| part.noted != 0 && part.taken && part.tainted)
        {
            s.broken = Some(Broken::Orphan);
        }
    }
}
