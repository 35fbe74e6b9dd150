//! The rules: what is to be kept, by number, by age, and by period.

use std::time::Duration;

/// What is to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    pub count: Option<usize>,
    pub within: Option<Duration>,
    /// The newest of each of so many hours, and so on.
    pub hourly: Option<usize>,
    pub daily: Option<usize>,
    pub weekly: Option<usize>,
    pub monthly: Option<usize>,
    pub yearly: Option<usize>,
}

impl Keep {
    pub fn periods(&self) -> [Option<usize>; 5] {
        [self.hourly, self.daily, self.weekly, self.monthly, self.yearly]
    }

    /// Does a rule say how many stay, whatever their times?
    pub fn has_number(&self) -> bool {
        self.count.is_some() || self.periods().iter().any(Option::is_some)
    }
}
