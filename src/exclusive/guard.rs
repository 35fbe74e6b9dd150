//! The exclusive side: what a caller asks for, holds, and gives back.
//!
//! An [`ExclusiveGuard`] is a pause: the gate is closed and nobody is inside. It ends by `release`,
//! whose success is the certificate that the pause lasted from the grant until then; by being
//! dropped, without one; or by a writer that waited longer than the pause may last, and then `release`
//! says `Revoked`. How a pause is reached is in `acquire`.

use crate::barrier::handle::Barrier;
use crate::error::Error;
use crate::error::who::Writer;
use crate::exclusive::held::Held;
use crate::file::losses::Dirty;
use crate::gate::sync::step;
use crate::member::cover;
use crate::member::process;
use crate::system::calls::Moment;
use std::ffi::OsString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// How a pause went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PauseReport {
    /// From the last closing until it was quiet.
    pub drain: Duration,
    /// From quiet until now, or until the release.
    pub hold: Duration,
    /// From the last closing to the opening: what the writers felt, at most.
    pub pause: Duration,
    /// How often the gate was closed.
    pub closings: u32,
    /// Slots that are owned, those of the dead included until they are taken back.
    pub writers: usize,
    /// Who was inside when the gate closed, the first 64 of them.
    pub waited_for: Vec<Writer>,
    /// Per barrier, as the caller ordered them: the dirty epoch at the grant.
    pub dirty_at_grant: Vec<Dirty>,
    /// Per barrier: the dirty epoch at the release; empty before it.
    pub dirty_at_release: Vec<Dirty>,
    /// Per barrier: the generation of the closed gate.
    pub generations: Vec<u32>,
    /// When it became quiet.
    pub quiet_at: SystemTime,
}

/// That of no pause, for those who keep reports and try out how.
impl Default for PauseReport {
    fn default() -> Self {
        PauseReport {
            drain: Duration::ZERO,
            hold: Duration::ZERO,
            pause: Duration::ZERO,
            closings: 0,
            writers: 0,
            waited_for: Vec::new(),
            dirty_at_grant: Vec::new(),
            dirty_at_release: Vec::new(),
            generations: Vec::new(),
            quiet_at: SystemTime::UNIX_EPOCH,
        }
    }
}

/// How long a pause may last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From the grant.
    pub(crate) hold: Option<Duration>,
    /// From the closing: what a writer would wait at most before it opens the gate itself.
    pub(crate) pause: Option<Duration>,
}

impl Limits {
    pub(crate) fn new(drain: Duration, hold: Option<Duration>) -> Limits {
        Limits { hold, pause: hold.map(|hold| hold.saturating_add(drain)) }
    }
}

/// A pause: every share is shut out, on one barrier or on several.
#[derive(Debug)]
#[must_use = "the pause ends, without a certificate, when this is dropped"]
pub struct ExclusiveGuard {
    /// In locking order.
    held: Vec<Held>,
    limits: Limits,
    /// Just before the first gate was closed.
    closed: Moment,
    granted: Moment,
    report: PauseReport,
    incarnation: u64,
    over: bool,
}

impl ExclusiveGuard {
    pub(crate) fn new(
        held: Vec<Held>,
        limits: Limits,
        closed: Moment,
        report: PauseReport,
    ) -> ExclusiveGuard {
        let incarnation = process::incarnation();
        ExclusiveGuard {
            held,
            limits,
            closed,
            granted: Moment::now(),
            report,
            incarnation,
            over: false,
        }
    }

    /// How long it may go on and still be certified; `None`: there is no limit.
    pub fn remaining(&self) -> Option<Duration> {
        let hold = self.limits.hold?.saturating_sub(self.granted.elapsed());
        let pause = self.limits.pause?.saturating_sub(self.closed.elapsed());
        Some(hold.min(pause))
    }

    /// Whether the pause is over already, because somebody opened a gate.
    pub fn is_revoked(&self) -> bool {
        !process::is_current(self.incarnation) || self.held.iter().any(|held| !held.is_closed())
    }

    /// The barrier and the generation, if it is one barrier and not granted under an ancestor's pause.
    pub(crate) fn only(&self) -> Option<(Barrier, u32)> {
        match self.held.as_slice() {
            [held] if !held.is_covered() => Some((held.barrier.clone(), held.generation)),
            _ => None,
        }
    }

    /// Whether all of it was granted under an ancestor's pause.
    pub fn covered(&self) -> bool {
        self.held.iter().all(Held::is_covered)
    }

    /// When it became quiet.
    pub fn quiet_at(&self) -> SystemTime {
        self.report.quiet_at
    }

    /// How it went so far.
    pub fn report(&self) -> &PauseReport {
        &self.report
    }

    /// The descriptors that carry the exclusive locks, if they were to be kept.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.held.iter().filter_map(Held::descriptor).collect()
    }

    /// The value of `STILLPOINT_HELD` for a command that runs in this pause.
    pub fn cover(&self) -> OsString {
        let own = self.held.iter().filter(|held| !held.is_covered());
        cover::with_exclusive(own.map(|held| (held.barrier.inner.uuid, held.generation)))
    }

    /// Leaves the pause to the descriptors, for a process that is about to exec: it then lasts until
    /// the last of them is closed, or until its limit, and there is no certificate.
    pub fn into_process(mut self) -> Vec<OwnedFd> {
        self.over = true;
        self.held.drain(..).filter_map(Held::into_descriptor).collect()
    }

    /// Ends the pause. Success is the certificate: from the grant until now no share began and none
    /// was inside, and from before the closing until the gate was open no more time has gone by than the
    /// limits allow, that of a suspended machine included.
    ///
    /// # Errors
    /// [`Error::Revoked`] if that is not so: throw away what was made in the pause. The gate is open
    /// in any case.
    pub fn release(mut self) -> Result<PauseReport, Error> {
        let verdict = self.end(None);
        verdict.map(|()| self.report.clone())
    }

    /// The same for a keeper that was asked to end it, and whose answer is waited for. `others_held` is asked when all
    /// is open, and may take its time: what it says is part of the answer, and no writer waits for it.
    pub(crate) fn release_thawing(
        mut self,
        others_held: &mut dyn FnMut() -> bool,
    ) -> Result<PauseReport, Error> {
        let verdict = self.end(Some(others_held));
        verdict.map(|()| self.report.clone())
    }

    fn end(&mut self, thawing: Option<&mut dyn FnMut() -> bool>) -> Result<(), Error> {
        self.over = true;
        let paths: Vec<PathBuf> = self.held.iter().map(|held| held.barrier.path().into()).collect();
        let revoked = |index: usize, reason: String| {
            let path = paths.get(index).cloned().unwrap_or_default();
            Err(Error::Revoked { path, reason })
        };
        if !process::is_current(self.incarnation) {
            return revoked(0, "it belongs to the process that forked this one".into());
        }
        let hold = self.granted.elapsed();
        self.report.hold = hold;
        step("release: begun");
        let still_inside: Vec<Option<Writer>> = self.held.iter().map(Held::still_inside).collect();
        step("release: looked");
        self.report.dirty_at_release = in_callers_order(&self.held, Held::dirty);
        let in_place: Vec<bool> = self.held.iter().map(Held::is_in_place).collect();
        step("release: looked where the file is");
        let opened: Vec<bool> = self.held.iter().map(Held::open).collect();
        step("release: opened");
        self.report.pause = self.closed.elapsed();
        let alone: Vec<bool> = self.held.iter().map(Held::is_alone).collect();
        step("release: no stragglers");
        // All is open; what remains is to say whether it lasted, and no longer than it might: to open a
        // gate may itself take long, where the barrier lies on a file system that was frozen.
        let mut verdict = match self.limits {
            Limits { hold: Some(limit), .. } if hold > limit => {
                revoked(0, format!("its limit of {:.3} s has passed", limit.as_secs_f64()))
            }
            Limits { pause: Some(limit), .. } if self.report.pause > limit => {
                let [lasted, limit] = [self.report.pause, limit].map(|time| time.as_secs_f64());
                revoked(0, format!("it lasted {lasted:.3} s of at most {limit:.3} s"))
            }
            _ => Ok(()),
        };
        for (index, inside) in still_inside.into_iter().enumerate().rev() {
            if let Some(writer) = inside {
                verdict = revoked(index, format!("{writer} is inside"));
            }
            if !opened[index] {
                verdict = revoked(index, "somebody else opened the gate".into());
            }
            if !in_place[index] || !alone[index] {
                verdict =
                    revoked(index, "its file was cut, moved, removed or replaced meanwhile".into());
            }
        }
        let is_thawing = thawing.is_some();
        if let (Some(others_held), Ok(())) = (thawing, &verdict) {
            self.held.iter().for_each(Held::record_opening);
            if !others_held() {
                verdict = revoked(0, "others did not stand still until its end".into());
            }
        }
        for held in self.held.drain(..).rev() {
            if is_thawing && verdict.is_ok() {
                held.record_thaw();
            }
            held.give_back(self.report.pause);
        }
        verdict
    }
}

impl Drop for ExclusiveGuard {
    fn drop(&mut self) {
        if !self.over {
            let _ = self.end(None);
        }
    }
}

/// One value per barrier, as the caller ordered them.
pub(crate) fn in_callers_order<T>(held: &[Held], value: impl Fn(&Held) -> T) -> Vec<T> {
    let mut values: Vec<(usize, T)> =
        held.iter().map(|held| (held.position, value(held))).collect();
    values.sort_by_key(|(position, _)| *position);
    values.into_iter().map(|(_, value)| value).collect()
}
