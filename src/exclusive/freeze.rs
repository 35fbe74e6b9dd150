//! Freeze and thaw: a pause that one process keeps and another one ends.
//!
//! A host that takes the snapshot itself calls us twice, before and after, and each call must return.
//! So a process that stays behind, the [`Keeper`], holds the pause, and the second call asks it to end
//! it. They need neither a process id nor a file nor a socket: they meet in three words of the barrier.
//!
//! ```text
//!   keeper                                   thaw
//!   frozen = g, tells its token
//!   sleeps on `asked`, at most its limit     asked = g, wake
//!   opens g with the certificate             sleeps on the gate
//!   thawed = g + 1
//!   asks others whether they held            waits for as long as that takes
//!   thawed = g
//!   gives the lock byte X back               thawed is g, or X is free: did it hold?
//! ```
//!
//! A generation names one pause for as long as the barrier lives, so the answer is the same however often it is
//! asked for, and it can only be *yes* if the keeper said so after the gate was opened by the very swap
//! that certifies the pause. The keeper says so before it gives X back: once X is free, or the gate
//! closed by another tool, nothing more will be said, and what is not said did not hold. A keeper that
//! was killed holds no X; one that is stopped does not answer, and then `thaw` opens the gate as a
//! waiter does at the limit.

use crate::barrier::handle::Barrier;
use crate::error::Error;
use crate::exclusive::guard::{ExclusiveGuard, PauseReport};
use crate::exclusive::held::Held;
use crate::file::layout::{FreezeRecord, LockByte};
use crate::file::open::hex;
use crate::gate::protocol::{ALL, is_closed};
use crate::gate::sync::{Ordering, step};
use crate::member::attachment::Attachment;
use crate::member::healing::{open_for_all, revoke};
use crate::system::calls::random;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// How long either side sleeps before it looks whether the other one is still there.
const TICK: Duration = Duration::from_millis(100);
/// The same for a keeper that nobody can wake.
const LOOK: Duration = Duration::from_millis(10);
/// How long a keeper may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a keeper may take from opening the gate to saying that it was its own doing.
const RECORDING: Duration = Duration::from_secs(1);
/// How long it may take from then on to learn whether others held. No writer waits for that.
const LEARNING: Duration = Duration::from_secs(20);

/// A pause that was over when somebody came to end it.
const TOO_LATE: &str = "it had ended before, at its limit or by force";

const CUT: &str = "its file was cut";
const SILENT: &str = "its keeper does not answer";

/// What ends one pause of a [`Keeper`] and no other one: a number that was drawn for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token([u32; 4]);

impl Display for Token {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(self.0))
    }
}

impl FromStr for Token {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Token, &'static str> {
        let all_digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let word =
            |index: usize| u32::from_str_radix(&text[8 * index..8 * index + 8], 16).unwrap_or(0);
        let token = all_digits.then(|| Token(std::array::from_fn(word)));
        token.ok_or("expected the 32 hexadecimal digits that `stillpoint freeze` printed")
    }
}

/// A pause that waits for somebody else to end it.
///
/// # Examples
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let barrier = stillpoint::Barrier::create(folder.path().join("spool.barrier"))?;
/// use std::sync::atomic::AtomicBool;
/// use stillpoint::{ExclusiveOptions, Keeper, Thawed};
///
/// let keeper = Keeper::new(barrier.exclusive(&mut ExclusiveOptions::default())?)?;
/// let token = keeper.token().clone();
/// std::thread::scope(|scope| {
///     // Usually another process, much later.
///     let thaw = scope.spawn(|| barrier.thaw(Some(&token)));
///     keeper.serve(&AtomicBool::new(false)).unwrap();
///     assert_eq!(thaw.join().unwrap().unwrap(), Thawed::Now);
/// });
/// assert_eq!(barrier.thaw(Some(&token))?, Thawed::Before);
/// # Ok::<(), stillpoint::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the pause ends, as one that did not hold, when this is dropped"]
pub struct Keeper {
    guard: ExclusiveGuard,
    barrier: Barrier,
    generation: u32,
    token: Token,
    /// It can be woken: to sleep on a word of a frozen file system would block until that is thawed.
    sleeps: bool,
}

/// How far the end of a [`Keeper`]'s pause has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// Somebody wants it, and the gate is closed.
    Asked,
    /// The gate is open.
    Opened,
}

/// How [`Barrier::thaw`] found that all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Thawed {
    /// The pause held until now, and is over.
    Now,
    /// It was thawed before, and had held until then.
    Before,
    /// There was none.
    Nothing,
}

impl Keeper {
    /// Keeps this pause until somebody thaws it.
    ///
    /// # Errors
    /// [`Error::System`], and the pause is over.
    ///
    /// # Panics
    /// Unless the pause is of one barrier, and not granted under an ancestor's.
    pub fn new(guard: ExclusiveGuard) -> Result<Keeper, Error> {
        let (barrier, generation) = guard.only().expect("a keeper keeps one barrier of its own");
        let sleeps = barrier.is_in_memory();
        let drawn = random();
        let drawn = drawn.map_err(|source| Error::system("getrandom", barrier.path(), source))?;
        let record = barrier.inner.attached()?.parts.freeze();
        record.asked.word().store(0, Ordering::Relaxed);
        for (word, drawn) in record.token.iter().zip(drawn) {
            word.store(drawn, Ordering::Relaxed);
        }
        step("keeper: about to say so");
        record.frozen.store(generation, Ordering::Release);
        step("keeper: frozen");
        Ok(Keeper { guard, barrier, generation, token: Token(drawn), sleeps })
    }

    /// What ends this pause and no other one.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Waits until somebody thaws the pause, and ends it. The gate is open when this returns, whatever
    /// it returns; it opens at the hold limit at the latest.
    ///
    /// # Errors
    /// [`Error::Revoked`] if the pause did not hold until somebody asked for its end;
    /// [`Error::Cancelled`] if `cancel` became true first.
    pub fn serve(self, cancel: &AtomicBool) -> Result<PauseReport, Error> {
        self.serve_if(cancel, |_| true)
    }

    /// The same for a pause in which others stand still, too. Asked for its end, it asks `others` twice: whether they
    /// still stand, which has to be quick, and, once [the gate is open](Ending::Opened), whether they did until then, which
    /// may take its time. If not, the pause did not hold.
    ///
    /// # Errors
    /// As [`Keeper::serve`].
    pub fn serve_if(
        self,
        cancel: &AtomicBool,
        mut others: impl FnMut(Ending) -> bool,
    ) -> Result<PauseReport, Error> {
        self.wait(cancel)?;
        step("keeper: asked");
        if !others(Ending::Asked) {
            return Err(self.revoked("others did not stand still until its end"));
        }
        self.guard.release_thawing(&mut || others(Ending::Opened))
    }

    fn wait(&self, cancel: &AtomicBool) -> Result<(), Error> {
        let attachment = self.barrier.inner.attached()?;
        let asked = &attachment.parts.freeze().asked;
        loop {
            if attachment.is_cut() {
                return Err(self.revoked(CUT));
            }
            let now = asked.word().load(Ordering::Acquire);
            if now == self.generation {
                return Ok(());
            }
            if self.guard.is_revoked() {
                return Err(self.revoked("somebody else opened the gate"));
            }
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            let left = self.guard.remaining().unwrap_or(TICK);
            if left.is_zero() {
                return Err(self.revoked("nobody thawed it within its limit"));
            }
            match self.sleeps {
                true => asked.wait(now, Some(left.min(TICK))),
                false => std::thread::sleep(left.min(LOOK)),
            }
        }
    }

    fn revoked(&self, reason: &str) -> Error {
        revoked(&self.barrier, reason)
    }
}

impl Held {
    /// Has whoever asked for the end of this pause wait for the answer: the gate was opened by its keeper.
    pub(crate) fn record_opening(&self) {
        if let Ok(attachment) = self.attachment() {
            let opened = self.generation.wrapping_add(1);
            attachment.parts.freeze().thawed.store(opened, Ordering::Release);
        }
        step("keeper: opening recorded");
    }

    /// Answers who asked for the end of this pause: it held.
    pub(crate) fn record_thaw(&self) {
        if let Ok(attachment) = self.attachment() {
            attachment.parts.freeze().thawed.store(self.generation, Ordering::Release);
        }
        step("keeper: thaw recorded");
    }
}

/// What a keeper has said of the end of its pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    /// It has opened the gate, and learns whether others held.
    Opened,
    Held,
}

impl FreezeRecord {
    /// Whether the keeper of this pause has nothing more to say, and what it has said.
    fn heard(&self, generation: u32, now: u32, x_is_free: impl FnOnce() -> bool) -> (bool, Said) {
        let is_over = now != generation && is_closed(now) || x_is_free();
        // Read after that: a keeper whose pause held says so before it gives its lock back.
        let said = match self.thawed.load(Ordering::Acquire).wrapping_sub(generation) {
            0 => Said::Held,
            1 => Said::Opened,
            _ => Said::Nothing,
        };
        (is_over, said)
    }
}

impl Barrier {
    /// Whether a keeper holds the gate closed now.
    pub fn is_frozen(&self) -> bool {
        self.whole().is_ok_and(|(_, attachment)| {
            let frozen = attachment.parts.freeze().frozen.load(Ordering::Acquire);
            is_closed(frozen) && attachment.gate().now() == frozen
        })
    }

    /// Ends the pause of a [`Keeper`]: the one that `token` names, or the last one. The pauses of other
    /// tools stay as they are. Asked again, it gives the same answer.
    ///
    /// # Errors
    /// [`Error::Revoked`] if that pause did not hold until now, or until it was thawed before: what was
    /// made in it is not to be trusted. The gate is open all the same. [`Error::System`].
    pub fn thaw(&self, token: Option<&Token>) -> Result<Thawed, Error> {
        let (inner, attachment) = self.whole()?;
        let record = attachment.parts.freeze();
        let frozen = record.frozen.load(Ordering::Acquire);
        let last = std::array::from_fn(|index| record.token[index].load(Ordering::Relaxed));
        match token {
            None if frozen == 0 => return Ok(Thawed::Nothing),
            Some(token) if frozen == 0 || token.0 != last => {
                return Err(revoked(self, "the token is not that of the last one frozen here"));
            }
            _ => {}
        }
        match record.thawed.load(Ordering::Acquire) == frozen {
            true => Ok(Thawed::Before),
            false => Barrier::at(inner).ask_for_thaw(attachment, frozen).map(|()| Thawed::Now),
        }
    }

    fn ask_for_thaw(&self, attachment: &Attachment, generation: u32) -> Result<(), Error> {
        let (gate, record) = (attachment.gate(), attachment.parts.freeze());
        let since = Instant::now();
        let mut open = None;
        loop {
            if attachment.is_cut() {
                return Err(revoked(self, CUT));
            }
            let now = gate.now();
            let x_is_free = || self.inner.place.is_free(LockByte::Exclusive);
            let (is_over, said) = record.heard(generation, now, x_is_free);
            if said == Said::Held {
                return Ok(());
            }
            if now == generation {
                if is_over {
                    let reason = match open_for_all(attachment, generation) {
                        true => "its keeper was killed",
                        false => TOO_LATE,
                    };
                    return Err(revoked(self, reason));
                }
                if since.elapsed() >= PATIENCE {
                    revoke(attachment, generation);
                    return Err(revoked(self, SILENT));
                }
                record.asked.word().store(generation, Ordering::Release);
                step("thaw: asked");
                record.asked.wake(ALL);
                gate.generation.wait(generation, Some(TICK));
            } else {
                let (limit, reason) = match said {
                    Said::Opened => (LEARNING, SILENT),
                    _ => (RECORDING, TOO_LATE),
                };
                if is_over || open.get_or_insert_with(Instant::now).elapsed() >= limit {
                    return Err(revoked(self, reason));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

fn revoked(barrier: &Barrier, reason: &str) -> Error {
    Error::Revoked { path: barrier.path().into(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A keeper may say its word and be gone while somebody looks whether it is gone.
    #[test]
    fn the_last_word_of_a_keeper_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let record = barrier.inner.attached().unwrap().parts.freeze();
        let goes = || {
            record.thawed.store(7, Ordering::Release);
            true
        };
        assert_eq!(record.heard(7, 8, goes), (true, Said::Held));
        assert_eq!(record.heard(9, 9, || true), (true, Said::Nothing), "killed");
        assert_eq!(record.heard(9, 10, || false), (false, Said::Nothing), "about to say it");
        assert_eq!(record.heard(9, 11, || false), (true, Said::Nothing), "another tool's turn");
        record.thawed.store(10, Ordering::Release);
        assert_eq!(record.heard(9, 10, || false), (false, Said::Opened));
    }

    /// A keeper that sleeps without a tick: nothing but the wake-up ends that. It lives, so that the
    /// gate is not healed, and answers as late as it is allowed to.
    #[test]
    fn asking_wakes_the_keeper() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let attachment = barrier.inner.attached().unwrap();
        let record = attachment.parts.freeze();
        let _x = Held::try_take(&barrier, 0, false).unwrap().unwrap();
        let closed = attachment.gate().close().unwrap().generation();
        record.frozen.store(closed, Ordering::Release);
        std::thread::scope(|scope| {
            let keeper = scope.spawn(|| record.asked.wait(0, None));
            // Should it not sleep yet, it will not, and nothing is shown.
            std::thread::sleep(Duration::from_millis(50));
            let thaw = scope.spawn(|| barrier.thaw(None));
            let woken = (0..2000).any(|_| {
                std::thread::sleep(Duration::from_millis(1));
                keeper.is_finished()
            });
            record.asked.wake(ALL);
            record.thawed.store(closed, Ordering::Release);
            assert_eq!(thaw.join().unwrap().unwrap(), Thawed::Now);
            assert!(woken);
        });
    }
}
