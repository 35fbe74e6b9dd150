//! What is asked of the exclusive side.

use crate::exclusive::pacing::Pacing;
use crate::report::watch::Waiting;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// What is asked for, with the limits that bound the harm.
///
/// # Examples
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let barrier = stillpoint::Barrier::create(folder.path().join("spool.barrier"))?;
/// use stillpoint::ExclusiveOptions;
/// use std::time::Duration;
///
/// let mut options = ExclusiveOptions::default().hold(Duration::from_secs(2));
/// let pause = barrier.exclusive(&mut options)?;
/// assert!(pause.remaining().unwrap() <= Duration::from_secs(2));
/// pause.release()?;
/// # Ok::<(), stillpoint::Error>(())
/// ```
pub struct ExclusiveOptions<'a> {
    pub(crate) patience: Duration,
    pub(crate) drain: Duration,
    pub(crate) hold: Option<Duration>,
    pub(crate) wait: Option<Duration>,
    pub(crate) pacing: Pacing,
    pub(crate) label: Option<String>,
    pub(crate) around_closing: Option<&'a mut dyn FnMut(GateChange) -> bool>,
    pub(crate) predicate: Option<&'a mut dyn FnMut() -> bool>,
    pub(crate) progress: Option<&'a mut dyn FnMut(&Waiting<'_>)>,
    pub(crate) cancel: Option<&'a AtomicBool>,
    pub(crate) keep_descriptor: bool,
}

impl Default for ExclusiveOptions<'_> {
    fn default() -> Self {
        ExclusiveOptions {
            patience: Duration::from_secs(10),
            drain: Duration::from_secs(2),
            hold: Some(Duration::from_secs(10)),
            wait: None,
            pacing: Pacing::Minimal,
            label: None,
            around_closing: None,
            predicate: None,
            progress: None,
            cancel: None,
            keep_descriptor: false,
        }
    }
}

impl<'a> ExclusiveOptions<'a> {
    /// How long to wait, with the gate open, for shares that turned out to be long; 0: not at all,
    /// one closing only. 10 s by default.
    pub fn patience(self, patience: Duration) -> Self {
        ExclusiveOptions { patience, ..self }
    }

    /// How long the gate may be closed before it must be quiet. 2 s by default.
    pub fn drain(self, drain: Duration) -> Self {
        ExclusiveOptions { drain, ..self }
    }

    /// How long the pause may last once it is quiet; `None`: without limit. 10 s by default.
    pub fn hold(self, hold: impl Into<Option<Duration>>) -> Self {
        ExclusiveOptions { hold: hold.into(), ..self }
    }

    /// How long to wait before the first closing, for other tools and users of flock(1); `None`, the
    /// default: patience and drain together.
    pub fn wait(self, wait: impl Into<Option<Duration>>) -> Self {
        ExclusiveOptions { wait: wait.into(), ..self }
    }

    /// How long the gate must have been open before it is closed again.
    pub fn pacing(self, pacing: Pacing) -> Self {
        ExclusiveOptions { pacing, ..self }
    }

    /// What the tool calls itself in reports.
    pub fn label(self, label: impl Into<Option<String>>) -> Self {
        ExclusiveOptions { label: label.into(), ..self }
    }

    /// Told before the gate closes and when it has been opened again without a grant, for locks of
    /// other programs that are to be held with it: who waits long shall not hold them. False gives up
    /// with [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn around_closing(self, told: &'a mut dyn FnMut(GateChange) -> bool) -> Self {
        ExclusiveOptions { around_closing: Some(told), ..self }
    }

    /// Asked once the barrier is quiet, until it is true. It may speak of what no share stands for, such as locks
    /// that the kernel lists; who holds such a thing is let in while the gate is closing, by
    /// [`Barrier::enter_shared_as_holder`](crate::Barrier::enter_shared_as_holder). A closing lasts 50 ms, later ones
    /// 200 ms, with the gate open for as long in between, until patience and drain have passed; without patience
    /// there is one, as long as the drain.
    pub fn predicate(self, predicate: &'a mut dyn FnMut() -> bool) -> Self {
        ExclusiveOptions { predicate: Some(predicate), ..self }
    }

    /// Called at least every 100 ms or so while waiting.
    pub fn progress(self, told: &'a mut dyn FnMut(&Waiting<'_>)) -> Self {
        ExclusiveOptions { progress: Some(told), ..self }
    }

    /// Checked while waiting: true ends it with [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn cancel(self, cancel: &'a AtomicBool) -> Self {
        ExclusiveOptions { cancel: Some(cancel), ..self }
    }

    /// Keep a descriptor that carries the exclusive lock, for a command that is to inherit it.
    pub fn keep_descriptor(self, keep_descriptor: bool) -> Self {
        ExclusiveOptions { keep_descriptor, ..self }
    }
}

/// What happens to the gates on the way to a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GateChange {
    /// They are going to be closed.
    AboutToClose,
    /// They were opened again: shares that turned out to be long are waited for.
    Reopened,
}
