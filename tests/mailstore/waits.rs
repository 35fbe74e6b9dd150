//! The pause as a writer feels it: how long each share was waited for.
//!
//! Waits of a tenth of a millisecond and more are written down at once, so that a reader can join
//! them by time with the snapshots it took; all of them are counted by powers of two.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const WORTH_A_LINE: Duration = Duration::from_micros(100);

/// Waits of one writer; with a file, one line each for the long ones:
/// `wait END LENGTH`, both in microseconds, END since 1970.
pub struct Waits {
    file: Option<File>,
    count: u64,
    longest: Duration,
    below: [u64; 32],
}

impl Waits {
    /// `file`: where to write to; it is replaced.
    pub fn new(file: Option<&Path>) -> io::Result<Waits> {
        Ok(Waits {
            file: file.map(File::create).transpose()?,
            count: 0,
            longest: Duration::ZERO,
            below: [0; 32],
        })
    }

    /// Counts one wait that ends now.
    pub fn record(&mut self, wait: Duration) -> io::Result<()> {
        self.count += 1;
        self.longest = self.longest.max(wait);
        let bits = u128::BITS - wait.as_micros().leading_zeros();
        self.below[(bits as usize).min(31)] += 1;
        if wait >= WORTH_A_LINE
            && let Some(file) = &mut self.file
        {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let line = format!("wait {} {}\n", now.as_micros(), wait.as_micros());
            file.write_all(line.as_bytes())?;
        }
        Ok(())
    }

    /// Ends the file with the sums: `deliveries N`, `longest US`, and for every power of two that
    /// was met `below US COUNT`.
    pub fn finish(mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            writeln!(file, "deliveries {}", self.count)?;
            writeln!(file, "longest {}", self.longest.as_micros())?;
            for (bits, count) in self.below.iter().enumerate().filter(|(_, count)| **count > 0) {
                writeln!(file, "below {} {count}", 1u64 << bits)?;
            }
        }
        Ok(())
    }
}
