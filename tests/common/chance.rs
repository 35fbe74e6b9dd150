//! Chance: a generator of its own for everybody who needs one, cheap, and the same each time from its seed.

use std::time::Duration;

/// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators").
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// That of one participant: the seed of the run, and a number of its own.
    pub fn of(seed: u64, number: u32) -> Chance {
        Chance::new(seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(number.into()))
    }

    /// One for somebody else.
    pub fn another(&mut self) -> Chance {
        Chance::new(self.below(1 << 30))
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    /// True in one case of so many.
    pub fn one_in(&mut self, cases: u64) -> bool {
        self.below(cases) == 0
    }

    /// One of so many, by its number.
    pub fn one_of(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// From 0 to so many milliseconds.
    pub fn up_to_ms(&mut self, milliseconds: u64) -> Duration {
        Duration::from_micros(self.below(milliseconds * 1000 + 1))
    }

    /// Mostly nothing, sometimes a few microseconds of work, now and then a sleep.
    pub fn jitter(&mut self) {
        match self.below(64) {
            0 => std::thread::sleep(self.up_to_ms(2)),
            1..20 => (0..self.below(5000)).for_each(|_| std::hint::spin_loop()),
            20..24 => std::thread::yield_now(),
            _ => {}
        }
    }
}
