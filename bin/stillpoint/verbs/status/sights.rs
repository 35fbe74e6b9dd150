//! Since when a watch has seen somebody inside.
//!
//! Writers read no clock, so the barrier knows since when one is inside only if a tool has waited for him,
//! or if he is a command. Who watches sees for himself: a word that stays the same is the same share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use stillpoint::{Kind, Status};

/// When each share was first seen, by barrier, slot and word.
#[derive(Default)]
pub struct Sights(BTreeMap<(PathBuf, u32, u32), Instant>);

impl Sights {
    /// Takes a look, and says of those inside what this one and the looks before know.
    pub fn add_to(&mut self, status: &mut Status) {
        let now = Instant::now();
        let mut inside = BTreeMap::new();
        for writer in status.writers.iter_mut().filter(|writer| writer.inside) {
            // The word of a counted slot may be the same again for another share.
            if writer.kind == Kind::Process {
                continue;
            }
            let share = (status.barrier.clone(), writer.slot, writer.word);
            let first = self.0.get(&share).copied().unwrap_or(now);
            writer.inside_at_least = writer.inside_at_least.max(now - first);
            inside.insert(share, first);
        }
        self.0.retain(|(barrier, ..), _| *barrier != status.barrier);
        self.0.extend(inside);
    }
}
