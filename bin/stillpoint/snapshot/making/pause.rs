//! The pause: closing the gates, and running the provider's commands while they are closed.

use std::cell::RefCell;
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use stillpoint::{
    Barrier, ExclusiveGuard, ExclusiveOptions, GateChange, HELD, Pacing, Waiting, exclusive_all,
};

use super::Making;
use crate::barrier::exclusive::{Beside, Others, because_of};
use crate::catalogue::record::WriterRecord;
use crate::files::sync::sync_file_system;
use crate::process::child::ended::Ended;
use crate::process::child::written::written;
use crate::process::child::{self, Bounds, Terms};
use crate::process::ending::from_error;
use crate::process::tool;
use crate::snapshot::arguments::Arguments;
use crate::snapshot::foreign::{HeldLocks, Patience};
use crate::snapshot::provider::command;
use crate::stilling::Stilling;
use crate::words::exit::{Exit, Failure};
use crate::words::lines::say;
use crate::words::progress::{Amount, Progress};
use crate::words::seconds;
use crate::words::waiting::WaitingLine;

/// A sync that took this long left others the time to make new dirty data.
const LONG_SYNC: Duration = Duration::from_millis(50);

impl Making<'_> {
    /// Writes dirty data out while the writers still write, so that little is left for the pause.
    /// Data that was made during a long sync is caught by another one.
    pub fn sync(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        for path in self.plan.provider.file_systems() {
            for _ in 0..2 {
                self.signals.check()?;
                let once = Instant::now();
                sync_file_system(&path).map_err(|error| {
                    Failure::system(format!("{}: syncing its file system", path.display()), error)
                })?;
                if once.elapsed() < LONG_SYNC {
                    break;
                }
            }
        }
        self.manifest.presync_ms = Some(seconds::milliseconds(started.elapsed()));
        Ok(())
    }

    /// Closes all gates, with the locks of others taken before each closing; an attempt that fails gives
    /// back what it had.
    pub fn pause(
        &mut self,
        stilling: &mut Stilling,
    ) -> anyhow::Result<(ExclusiveGuard, HeldLocks)> {
        loop {
            stilling.get_ready()?;
            self.manifest.attempts += 1;
            let attempt = self.manifest.attempts;
            let error = match self.attempt(stilling) {
                Ok(paused) => {
                    self.manifest.inside.clear();
                    self.manifest.participants = stilling.participants();
                    return Ok(paused);
                }
                Err(error) => error,
            };
            // The gate is open again.
            let _ = stilling.thaw();
            self.manifest.participants = stilling.participants();
            self.manifest.inside = match error.downcast_ref() {
                Some(stillpoint::Error::NotQuiet { writers, .. }) => {
                    writers.iter().map(WriterRecord::from).collect()
                }
                Some(_) => Vec::new(),
                None => stilling.inside(),
            };
            if from_error(&error, Exit::CONFLICT) != Exit::CONFLICT
                || attempt >= self.arguments.attempts
            {
                return Err(error);
            }
            say(&format!("attempt {attempt} of {}: {error}", self.arguments.attempts));
        }
    }

    fn attempt(&mut self, stilling: &mut Stilling) -> anyhow::Result<(ExclusiveGuard, HeldLocks)> {
        let barriers: Vec<&Barrier> = self.members.iter().map(|member| &member.barrier).collect();
        let (plan, signals) = (self.plan, &*self.signals);
        let Arguments { patience, drain, .. } = *self.arguments;
        let hold = self.arguments.hold();
        let records = &mut self.manifest.foreign;
        let (mut held, mut refused) = (HeldLocks::default(), None);
        let beside = Beside::new(stilling);
        let mut predicate = || beside.are_still();
        let mut around = |change| {
            beside.changed(change);
            held = HeldLocks::default();
            if change == GateChange::AboutToClose {
                // As long as a writer of ours may be kept waiting.
                let holding = hold.map(|hold| hold.saturating_add(drain));
                let patience =
                    Patience { first: patience.max(drain), others: drain, option: "--patience" };
                match plan.foreign.take(patience, holding, signals, records) {
                    Ok(taken) => held = taken,
                    Err(error) => refused = Some(error),
                }
            }
            refused.is_none()
        };
        let mut progress = WaitingLine::new();
        let mut show = |waiting: &Waiting<'_>| {
            progress.show(waiting);
            // Who tells the steps may be gone, which no signal says.
            let _ = signals.check();
        };
        let mut options = ExclusiveOptions::default()
            .around_closing(&mut around)
            .patience(patience)
            .drain(drain)
            .hold(hold)
            .pacing(self.arguments.min_open.map_or(Pacing::Tenth, Pacing::Open))
            .label(self.arguments.label.clone().unwrap_or_else(|| plan.name.clone()))
            .progress(&mut show)
            .cancel(signals.cancel());
        if beside.are_asked() {
            options = options.predicate(&mut predicate);
        }
        let granted = exclusive_all(&barriers, &mut options);
        if granted.is_err() {
            stilling.let_go();
        }
        if let Some(error) = refused {
            return Err(error);
        }
        let guard = granted.map_err(|error| because_of(stilling, error))?;
        stilling.freeze(drain, &guard)?;
        Ok((guard, held))
    }

    /// Runs the provider's commands, at most until the hold limit.
    pub fn run(&mut self, commands: Vec<Command>, guard: &ExclusiveGuard) -> anyhow::Result<()> {
        let cover = guard.cover();
        for mut command in commands {
            self.signals.check()?;
            let bounds = match guard.remaining() {
                Some(left) => Bounds::Until(Instant::now() + left),
                None => Bounds::None,
            };
            command.env(HELD, &cover);
            let users = self.plan.provider.name() == command::NAME;
            let ended = if users {
                command.envs(self.plan.foreign.environment());
                // Standard output is for the name of the snapshot.
                let terms = Terms { bounds, inherited: &[], prints_errors_only: true, told: None };
                child::run(&mut command, terms, self.signals)?
            } else {
                self.run_tool(&mut command, bounds)?
            };
            self.signals.check()?;
            match ended {
                Ended::Exited(0) => {}
                Ended::AtLimit => return Err(self.limit_failure(&command).into()),
                ended => return Err(users_failure(&command, ended).into()),
            }
        }
        Ok(())
    }

    /// A tool of ours: its complaint becomes our message. It inherits the lock on the manifest, so
    /// that nobody removes the data under it if it should outlive us: as its standard input, as
    /// the tools of LVM close every other descriptor.
    fn run_tool(&mut self, command: &mut Command, bounds: Bounds) -> anyhow::Result<Ended> {
        let program = tool::name(command);
        let cannot = |error: std::io::Error| Failure::system("a temporary file", error);
        let mut complaints = tempfile::tempfile().map_err(cannot)?;
        let lock = self.entry.lock().try_clone_to_owned();
        let lock = lock.map_err(|error| Failure::system(self.entry.path().display(), error))?;
        command
            .stdin(Stdio::from(lock))
            .stdout(Stdio::null())
            .stderr(complaints.try_clone().map_err(cannot)?);
        let data: Vec<_> = self.data.iter().map(AsFd::as_fd).collect();
        let progress =
            self.plan.provider.progress().map(|progress| progress.until(bounds.deadline()));
        let progress = progress.filter(Progress::is_possible).map(RefCell::new);
        let tell = |pid| {
            if let Some(progress) = &progress {
                progress.borrow_mut().show(|| Amount { bytes: written(pid), files: None });
            }
        };
        let told = progress.is_some().then_some(&tell as &dyn Fn(Pid));
        let terms = Terms { bounds, inherited: &data, prints_errors_only: false, told };
        let ended = child::run(command, terms, self.signals)?;
        if let Ended::Exited(1..) = ended {
            let mut text = String::new();
            complaints
                .rewind()
                .and_then(|()| complaints.read_to_string(&mut text))
                .map_err(cannot)?;
            return Err(Failure::new(Exit::CANNOT_CREATE, tool::said(&program, &text)).into());
        }
        Ok(ended)
    }

    fn limit_failure(&mut self, command: &Command) -> Failure {
        self.revoked = true;
        let limit = self.arguments.hold().map_or_else(|| "none".to_owned(), seconds::display);
        let message = format!(
            "{}: still running at the hold limit of {limit} and stopped; the gate is open; \
             give it more with --hold if writers can wait that long",
            command.get_program().to_string_lossy()
        );
        Failure::new(Exit::LIMIT, message)
    }
}

/// A command that failed: its status is ours.
fn users_failure(command: &Command, ended: Ended) -> Failure {
    let program = command.get_program().to_string_lossy();
    let how = match ended {
        Ended::Killed(signal) => format!("was killed by signal {signal}"),
        _ => format!("ended with status {}", ended.exit().code()),
    };
    Failure::new(ended.exit(), format!("{program} {how}; there is no snapshot"))
}
