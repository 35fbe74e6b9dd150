//! Trying again, until the outcome is known.
//!
//! An answer may be lost after the writes were done. So after a try without one, the keys that were to be put are
//! read along with the next: if the guards refuse it, and one of these keys has our value and is newer than anything
//! that this process had seen before, the writes were ours. All of them were: they are done in one piece.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::error::{StoreError, Trouble};
use super::transaction::{Outcome, Txn, Write};
use super::view::{Revision, View};

/// For an answer to the first try. A server that is stopped answers never, one that waits for the election of a leader
/// within a second or two.
const FIRST_TRY: Duration = Duration::from_secs(1);
/// For an answer to any try: a store with a thousand hosts may be slow, and is no faster for being asked twice.
const LONGEST_TRY: Duration = Duration::from_secs(4);
/// Before the second try, doubled for each one after it.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Tries to commit; `seen` is the newest revision that this process has seen.
pub(super) async fn commit<F>(
    txn: Txn,
    patience: Duration,
    seen: Revision,
    mut attempt: impl FnMut(Txn) -> F,
) -> Result<Outcome, StoreError>
where
    F: Future<Output = Result<Outcome, Trouble>>,
{
    // Whether a try that had no answer may have been done.
    let mut doubt = false;
    let mut tries = Tries::new(patience);
    loop {
        let asked = if doubt { with_own(&txn) } else { txn.clone() };
        match tries.once(attempt(asked)).await {
            Ok(outcome) if doubt => return Ok(settled(&txn, outcome, seen)),
            Ok(outcome) => return Ok(outcome),
            Err(Trouble::Final(error)) if doubt => {
                return Err(StoreError::Unknown(error.to_string()));
            }
            Err(Trouble::Final(error)) => return Err(error),
            Err(Trouble::NotSent(_)) => {}
            Err(Trouble::Lost(_)) => doubt |= !txn.writes.is_empty(),
        }
        if !tries.again().await {
            return Err(match doubt {
                true => StoreError::Unknown(tries.why()),
                false => StoreError::Unreachable(tries.why()),
            });
        }
    }
}

/// Tries what changes nothing.
pub(super) async fn read<T, F>(
    patience: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, Trouble>>,
{
    let mut tries = Tries::new(patience);
    loop {
        match tries.once(attempt()).await {
            Ok(answer) => return Ok(answer),
            Err(Trouble::Final(error)) => return Err(error),
            Err(Trouble::NotSent(_) | Trouble::Lost(_)) => {}
        }
        if !tries.again().await {
            return Err(StoreError::Unreachable(tries.why()));
        }
    }
}

/// How long, how often, and why again.
struct Tries {
    deadline: Instant,
    limit: Duration,
    pause: Duration,
    /// What was said, each once: every server has a reason of its own, and may have another one next time. That
    /// nothing was is worth telling only if nothing ever was.
    whys: Vec<String>,
}

impl Tries {
    fn new(patience: Duration) -> Tries {
        Tries {
            deadline: Instant::now() + patience,
            limit: FIRST_TRY,
            pause: FIRST_PAUSE,
            whys: Vec::new(),
        }
    }

    async fn once<T>(
        &mut self,
        attempt: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let limit = self.limit.min(self.deadline.saturating_duration_since(Instant::now()));
        let Ok(answer) = timeout(limit, attempt).await else {
            self.limit = (2 * self.limit).min(LONGEST_TRY);
            return Err(Trouble::Lost(String::new()));
        };
        if let Err(Trouble::NotSent(why) | Trouble::Lost(why)) = &answer {
            if !self.whys.contains(why) {
                self.whys.push(why.clone());
            }
        }
        answer
    }

    fn why(&self) -> String {
        match self.whys.is_empty() {
            true => "silence".to_string(),
            false => self.whys.join("; "),
        }
    }

    /// Waits for the next; false if the patience is at its end.
    async fn again(&mut self) -> bool {
        if Instant::now() + self.pause >= self.deadline {
            return false;
        }
        sleep(self.pause).await;
        self.pause = (2 * self.pause).min(LONGEST_PAUSE);
        true
    }
}

/// The transaction, which also reads what it puts.
fn with_own(txn: &Txn) -> Txn {
    txn.writes.iter().fold(txn.clone(), |asked, write| match write {
        Write::Put { key, .. } | Write::Delete { key } => asked.read(key),
    })
}

/// The outcome of [`with_own`] as that of the transaction itself.
fn settled(txn: &Txn, mut outcome: Outcome, seen: Revision) -> Outcome {
    let own = outcome.views.split_off(txn.reads.len());
    outcome.committed = outcome.committed || was_done(txn, &own, seen);
    outcome
}

fn was_done(txn: &Txn, own: &[View], seen: Revision) -> bool {
    let is_put = |(write, view): (&Write, &View)| match write {
        Write::Put { value, .. } => {
            view.entries.iter().any(|entry| entry.value == *value && entry.modified > seen)
        }
        Write::Delete { .. } => false,
    };
    let only_deletes = txn.writes.iter().all(|write| matches!(write, Write::Delete { .. }));
    match only_deletes {
        true => own.iter().all(|view| view.entries.is_empty()),
        false => txn.writes.iter().zip(own).any(is_put),
    }
}
