//! How the states stay finite although writers and tools go round for ever.
//!
//! A generation or a slot's word is only ever compared with a value that somebody remembers. After each
//! step the numbers are therefore given anew, smallest first, in their order and with their parity.
//! Nothing that anybody can find out changes by it.

use crate::cover::Claim;
use crate::state::{BARRIERS, Kind, SLOTS, SUPERSEDED, State};

impl State {
    /// Gives the smallest numbers to generations and words (see the head of the module).
    pub fn renumber(&mut self) {
        for b in 0..BARRIERS {
            let mut numbers = Numbers::default();
            self.generations(b, &mut |generation| numbers.note(*generation));
            if numbers.are_wide() {
                self.generations(b, &mut |generation| *generation = numbers.given(*generation));
            }
            for slot in 0..SLOTS {
                // The words of a counted slot say how many are inside.
                if self.barriers[b].slots[slot].kind == Kind::Counted {
                    continue;
                }
                let mut numbers = Numbers::default();
                self.words(b, slot, &mut |word| numbers.note(*word));
                if numbers.are_wide() {
                    self.words(b, slot, &mut |word| *word = numbers.given(*word));
                }
            }
        }
    }

    /// The generation of a gate, wherever somebody remembers it; but that of one that is closed for good is
    /// a name.
    fn generations(&mut self, barrier: usize, visit: &mut impl FnMut(&mut u8)) {
        let visit = &mut |generation: &mut u8| {
            if *generation != SUPERSEDED {
                visit(generation);
            }
        };
        visit(&mut self.barriers[barrier].generation);
        for writer in &mut self.writers {
            if writer.at as usize == barrier && writer.generation != 0 {
                visit(&mut writer.generation);
            }
            if let Claim::Generation(generation) = &mut writer.claim
                && barrier == 0
            {
                visit(generation);
            }
        }
        for tool in &mut self.tools {
            if tool.generation[barrier] != 0 {
                visit(&mut tool.generation[barrier]);
            }
        }
    }

    /// The word of a slot, wherever somebody remembers it.
    fn words(&mut self, barrier: usize, slot: usize, visit: &mut impl FnMut(&mut u8)) {
        visit(&mut self.barriers[barrier].slots[slot].word);
        for writer in &mut self.writers {
            if let Claim::Slot { index, word } = &mut writer.claim
                && barrier == 0
                && *index as usize == slot
            {
                visit(word);
            }
        }
        for tool in self.tools.iter_mut().filter(|tool| tool.at as usize == barrier) {
            if let Some(word) = &mut tool.seen[slot] {
                visit(word);
            }
        }
    }
}

/// The numbers in use, in their order.
#[derive(Default)]
struct Numbers {
    used: [u8; 12],
    len: usize,
}

impl Numbers {
    fn note(&mut self, number: u8) {
        let used = &self.used[..self.len];
        let at = used.partition_point(|known| *known < number);
        if used.get(at) != Some(&number) {
            self.used.copy_within(at..self.len, at + 1);
            self.used[at] = number;
            self.len += 1;
        }
    }

    /// Whether smaller numbers would do.
    fn are_wide(&self) -> bool {
        (0..self.len).any(|at| self.used[at] != self.given(self.used[at]))
    }

    /// The smallest number of the same parity that is greater than those before it.
    fn given(&self, number: u8) -> u8 {
        let mut given = 0;
        for (at, known) in self.used[..self.len].iter().enumerate() {
            given = if at == 0 { known % 2 } else { given + 1 + (given + 1 + known) % 2 };
            if *known == number {
                break;
            }
        }
        given
    }
}
