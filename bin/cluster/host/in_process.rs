//! A host whose barrier is closed by this very process, for figures and tests: what a group costs beside the
//! snapshots themselves. The snapshot is the caller's, and by default none at all.
//!
//! A pause belongs to the thread that took it, so each session has one, which ends with it.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use stillpoint::{Barrier, Error, ErrorKind, ExclusiveOptions, Pacing};
use tokio::sync::oneshot;

use super::{Host, Order, Session};
use crate::record::identity::EpochId;
use crate::record::live::Counts;
use crate::record::report::{Certificate, Failed, Taken};
use crate::record::verdict::Verdict;
use crate::words::exit::Exit;

type Snapshot = Arc<dyn Fn(&Order) -> Result<Taken, Failed> + Send + Sync>;

/// A barrier of this process.
#[derive(Clone)]
pub struct InProcess {
    barrier: Barrier,
    snapshot: Snapshot,
}

impl Debug for InProcess {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "InProcess({})", self.barrier.path().display())
    }
}

impl InProcess {
    /// One whose snapshots are nothing.
    pub fn new(barrier: Barrier) -> InProcess {
        InProcess::with(barrier, |order| Ok(Taken { name: order.name(), path: None }))
    }

    /// One whose snapshots are taken by this.
    pub fn with(
        barrier: Barrier,
        snapshot: impl Fn(&Order) -> Result<Taken, Failed> + Send + Sync + 'static,
    ) -> InProcess {
        InProcess { barrier, snapshot: Arc::new(snapshot) }
    }
}

/// What the thread is asked, with where it answers.
enum Asked {
    Freeze(oneshot::Sender<Result<(), Failed>>),
    Snapshot(oneshot::Sender<Result<Taken, Failed>>),
    Release(oneshot::Sender<Result<Certificate, Failed>>),
}

/// A session of it. Its end ends the thread, and so the pause.
#[derive(Debug)]
pub struct InProcessSession {
    host: InProcess,
    order: Order,
    asked: mpsc::Sender<Asked>,
    cancel: Arc<AtomicBool>,
}

impl Drop for InProcessSession {
    fn drop(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
    }
}

impl InProcessSession {
    async fn ask<T>(
        &self,
        asked: impl FnOnce(oneshot::Sender<Result<T, Failed>>) -> Asked,
    ) -> Result<T, Failed> {
        let (answer, answered) = oneshot::channel();
        let gone = || Failed {
            text: "the thread of the pause has ended".to_owned(),
            exit: Exit::INTERNAL.code(),
        };
        self.asked.send(asked(answer)).map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn serve(host: &InProcess, order: &Order, cancel: &AtomicBool, asked: &mpsc::Receiver<Asked>) {
    let mut pause = None;
    // Ends when the session is dropped; the pause with it.
    for asked in asked {
        match asked {
            Asked::Freeze(answer) => {
                let mut options = ExclusiveOptions::default()
                    .patience(Duration::ZERO)
                    .drain(order.drain)
                    .hold(order.hold)
                    .pacing(Pacing::Minimal)
                    .cancel(cancel);
                let taken = host.barrier.exclusive(&mut options);
                let _ = answer.send(taken.map(|guard| pause = Some(guard)).map_err(of_error));
            }
            Asked::Snapshot(answer) => drop(answer.send((host.snapshot)(order))),
            Asked::Release(answer) => {
                let certificate = match pause.take() {
                    None => Err(Failed {
                        text: "there is no pause".to_owned(),
                        exit: Exit::INTERNAL.code(),
                    }),
                    Some(pause) => pause.release().map_err(of_error).map(|report| Certificate {
                        generations: report.generations.iter().map(|one| u64::from(*one)).collect(),
                        drain_ms: report.drain.as_millis() as u64,
                        hold_ms: report.hold.as_millis() as u64,
                        pause_ms: report.pause.as_millis() as u64,
                        clean: report.dirty_at_grant.iter().zip(&report.dirty_at_release).all(
                            |(before, after)| {
                                before.epoch == before.acknowledged && before.epoch == after.epoch
                            },
                        ),
                        ..Certificate::default()
                    }),
                };
                let _ = answer.send(certificate);
            }
        }
    }
}

fn of_error(error: Error) -> Failed {
    let exit = match error.kind() {
        ErrorKind::Missing => Exit::MISSING,
        ErrorKind::NotQuiet | ErrorKind::Busy | ErrorKind::TimedOut | ErrorKind::WouldBlock => {
            Exit::CONFLICT
        }
        ErrorKind::Revoked => Exit::LIMIT,
        ErrorKind::Denied => Exit::DENIED,
        _ => Exit::SYSTEM,
    };
    Failed { text: error.to_string(), exit: exit.code() }
}

impl Host for InProcess {
    type Session = InProcessSession;

    async fn prepare(&self, order: &Order) -> Result<InProcessSession, Failed> {
        let (asked, received) = mpsc::channel();
        let cancel = Arc::new(AtomicBool::new(false));
        let session = InProcessSession {
            host: self.clone(),
            order: order.clone(),
            asked,
            cancel: cancel.clone(),
        };
        let (host, order) = (self.clone(), order.clone());
        thread::Builder::new()
            .name("pause".to_owned())
            .spawn(move || serve(&host, &order, &cancel, &received))
            .map_err(|error| Failed { text: error.to_string(), exit: Exit::SYSTEM.code() })?;
        Ok(session)
    }

    async fn counts(&self) -> Vec<Counts> {
        vec![counts(&self.barrier.path().to_string_lossy())]
    }

    async fn settle(&self, _: EpochId, _: &Verdict) -> Result<(), Failed> {
        Ok(())
    }
}

impl Session for InProcessSession {
    async fn freeze(&mut self) -> Result<(), Failed> {
        self.ask(Asked::Freeze).await
    }

    async fn snapshot(&mut self) -> Result<Taken, Failed> {
        self.ask(Asked::Snapshot).await
    }

    async fn release(&mut self) -> Result<Certificate, Failed> {
        self.ask(Asked::Release).await
    }

    async fn settle(self, verdict: &Verdict) -> Result<(), Failed> {
        self.host.settle(self.order.epoch, verdict).await
    }
}

/// What a barrier looks like. It is read only.
pub fn counts(name: &str) -> Counts {
    let barrier = name.to_owned();
    match stillpoint::Status::read(name) {
        Err(error) => Counts { barrier, error: Some(error.to_string()), ..Counts::default() },
        Ok(status) => Counts {
            barrier,
            closed: status.closed,
            writers: status.writers.len() as u64,
            shares: status.writers.iter().filter(|writer| writer.inside).count() as u64,
            dirty: status.dirty.epoch != status.dirty.acknowledged,
            error: None,
        },
    }
}
