//! One session as a task: it does what it is told, one step after the other, and says when it is done.
//!
//! It ends by being aborted, whatever it is doing, and with it the session is dropped and its gate open.

use std::io;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::machine::{Done, Input};
use super::notebook::{Notebook, Notes, Opened};
use super::settings::Settings;
use crate::host::{Host, Order, Session};
use crate::record::epoch::Epoch;
use crate::record::identity::EpochId;
use crate::record::report::{Failed, Taken};
use crate::record::verdict::Verdict;
use crate::words::exit::Exit;

/// What it is told.
#[derive(Debug)]
pub enum Command {
    Pause,
    Release,
    Settle(Verdict),
}

/// A session that runs.
#[derive(Debug)]
pub struct Running {
    commands: UnboundedSender<Command>,
    task: JoinHandle<()>,
}

impl Running {
    /// Prepares one.
    pub fn start<H: Host, N: Notebook>(
        host: &H,
        notes: &Notes<N>,
        settings: &Settings,
        id: EpochId,
        epoch: &Epoch,
        told: UnboundedSender<Input>,
    ) -> Running {
        let (commands, received) = unbounded_channel();
        let order = Order {
            group: settings.group.clone(),
            host: settings.host.clone(),
            epoch: id,
            nonce: epoch.nonce.clone(),
            mode: epoch.mode,
            prepare: Duration::from_millis(epoch.prepare_ms),
            drain: settings.drain.min(Duration::from_millis(epoch.drain_ms)),
            hold: settings.hold.min(Duration::from_millis(epoch.hold_ms)),
        };
        let work =
            Work { host: host.clone(), notes: notes.clone(), settings: settings.clone(), told };
        let task = tokio::spawn(async move { work.run(order, received).await });
        Running { commands, task }
    }

    /// One step more. A task that has ended has said why.
    pub fn tell(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Ends it where it stands. Its gate opens.
    pub fn stop(&self) {
        self.task.abort();
    }

    /// Returns when it has ended, after being stopped or told the verdict.
    pub async fn ended(mut self) {
        let _ = (&mut self.task).await;
    }

    /// Whether there is nobody any more who could be told.
    pub fn is_over(&self) -> bool {
        self.commands.is_closed()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Work<H, N> {
    host: H,
    notes: Notes<N>,
    settings: Settings,
    told: UnboundedSender<Input>,
}

impl<H: Host, N: Notebook> Work<H, N> {
    async fn run(self, mut order: Order, mut commands: UnboundedReceiver<Command>) {
        let id = order.epoch;
        let mut session = match self.begin(&mut order).await {
            Ok(session) => session,
            Err(failed) => return self.say(id, Err(failed)),
        };
        self.say(id, Ok(Done::Prepared));
        let mut taken = Taken::default();
        while let Some(command) = commands.recv().await {
            let done = match command {
                Command::Pause => match session.freeze().await {
                    Ok(()) => {
                        self.say(id, Ok(Done::Quiet));
                        session.snapshot().await.map(|snapshot| {
                            taken = snapshot;
                            Done::Snapped
                        })
                    }
                    Err(failed) => Err(failed),
                },
                Command::Release => {
                    let released = session.release().await;
                    released.map(|certificate| Done::Certified(taken.clone(), certificate))
                }
                Command::Settle(verdict) => {
                    let settled = session.settle(&verdict).await;
                    return settled_here(&self.notes, &self.settings, id, settled).await;
                }
            };
            let is_certified = matches!(done, Ok(Done::Certified(..)));
            let has_failed = done.is_err();
            self.say(id, done);
            if is_certified {
                opened(&self.notes, &self.settings).await;
            }
            if has_failed {
                return;
            }
        }
    }

    /// Notes the epoch for good, waits until the gate was open for long enough, prepares.
    async fn begin(&self, order: &mut Order) -> Result<H::Session, Failed> {
        let boot = &self.settings.incarnation.boot;
        let noted = self.notes.change(|remembered, _| {
            remembered.last = order.epoch;
            remembered.waiting.push(order.begun());
        });
        noted.await.map_err(not_kept)?;
        let remembered = self.notes.read().await;
        let rest = remembered.must_stay_open(boot, self.notes.now(), self.settings.min_open);
        if rest > order.prepare / 2 {
            return Err(Failed {
                text: format!(
                    "its gate was closed a short while ago, and stays open for {:.1} s more",
                    rest.as_secs_f64()
                ),
                exit: Exit::CONFLICT.code(),
            });
        }
        sleep(rest).await;
        order.prepare -= rest;
        let noted = self.notes.change(|remembered, _| {
            remembered.opened = Some(Opened { boot: boot.clone(), at_ms: None });
        });
        noted.await.map_err(not_kept)?;
        self.host.prepare(order).await
    }

    fn say(&self, id: EpochId, done: Result<Done, Failed>) {
        // Nobody hears it when the agent ends.
        let _ = self.told.send(Input::Done(id, done));
    }
}

fn not_kept(error: io::Error) -> Failed {
    Failed {
        text: format!("what it must remember cannot be kept: {error}"),
        exit: Exit::SYSTEM.code(),
    }
}

/// The gate has just been opened.
pub async fn opened<N: Notebook>(notes: &Notes<N>, settings: &Settings) {
    let boot = settings.incarnation.boot.clone();
    let kept = notes.change(|remembered, now| {
        remembered.opened = Some(Opened { boot, at_ms: Some(now.as_millis() as u64) });
    });
    if let Err(error) = kept.await {
        settings.log.say(&not_kept(error).text);
    }
}

/// An epoch came to nothing here before there was a certificate.
pub async fn dropped<N: Notebook>(notes: &Notes<N>, settings: &Settings, id: EpochId) {
    opened(notes, settings).await;
    if let Err(error) =
        notes.change(|remembered, _| remembered.waiting.retain(|other| other.id != id)).await
    {
        settings.log.say(&not_kept(error).text);
    }
}

/// The catalogue has been told of a verdict, or could not be.
pub async fn settled_here<N: Notebook>(
    notes: &Notes<N>,
    settings: &Settings,
    id: EpochId,
    settled: Result<(), Failed>,
) {
    let kept = match settled {
        Ok(()) => notes.change(|remembered, _| remembered.settle(id)).await,
        Err(failed) => {
            let line = format!(
                "epoch {id}: its verdict could not be noted, which is tried again when the agent starts: {}",
                failed.text
            );
            return settings.log.say(&line);
        }
    };
    if let Err(error) = kept {
        settings.log.say(&not_kept(error).text);
    }
}
