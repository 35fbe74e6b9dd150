//! `stillpoint recover`: the way out of a dirty barrier.
//!
//! A writer that was lost may have left the store half changed. The check runs in a pause, so that
//! it sees, and may repair, a store that nobody else changes. What it acknowledges is the epoch of
//! the grant: a writer that is lost later has left something that the check has not seen. And it
//! does so only with the certificate: had writers been let in meanwhile, success would prove
//! nothing.
//!
//! The durable state is written before the barrier. What fails or crashes in between leaves a dirty
//! barrier, which costs another check and never forgives a loss.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use clap::ArgGroup;
use stillpoint::{Barrier, Dirty, ExclusiveGuard};

use crate::barrier::exclusive::{DRAIN, Exclusive, HOLD, Nobody, Patience};
use crate::barrier::state::State;
use crate::barrier::state::place;
use crate::process::child::ended::Ended;
use crate::process::inherited;
use crate::process::signals::Signals;
use crate::words::advice::Named;
use crate::words::exit::{self, Exit, Failure};
use crate::words::lines;
use crate::words::seconds::{self, Limit};
use crate::words::waiting;

/// Lost writers named on the line.
const NAMED: usize = 3;

const USAGE: &str = "\
stillpoint recover [OPTIONS] BARRIER -- CHECK-COMMAND...
       stillpoint recover [OPTIONS] BARRIER --acknowledge";

#[derive(clap::Args)]
#[command(after_help = exit::STATUSES, override_usage = USAGE)]
#[command(group(ArgGroup::new("means").required(true).args(["command", "acknowledge"])))]
pub struct Arguments {
    /// Name or path of the barrier
    barrier: OsString,

    /// Checks, and may repair, the store; 0 says that it is in order
    #[arg(last = true, value_name = "CHECK-COMMAND")]
    command: Vec<OsString>,

    /// Acknowledge without a check: the store is known to be in order
    #[arg(long)]
    acknowledge: bool,

    /// End the command after this long, or none [default: 60]
    #[arg(long, value_name = "SECS|none", allow_hyphen_values = true, value_parser = seconds::parse_limit)]
    hold: Option<Limit>,

    /// Fail after waiting this long; 0 does not wait
    #[arg(short = 'w', long = "timeout", visible_alias = "wait", value_name = "SECS", allow_hyphen_values = true, value_parser = seconds::parse)]
    timeout: Option<Duration>,

    /// Where its durable state is kept, as given to `create`, or none
    #[arg(long, value_name = "PATH|none")]
    state: Option<PathBuf>,

    /// Look for the name in $XDG_RUNTIME_DIR/stillpoint
    #[arg(long)]
    user: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let mut signals = Signals::watch()?;
    let barrier =
        Barrier::options().user(arguments.user).label("recover").open(&arguments.barrier)?;
    let recovery = Recovery { state: durable(&arguments, &barrier)?, barrier: &barrier };
    let patience = Patience::new(arguments.timeout);
    let side = Exclusive {
        barrier: &barrier,
        label: "recover",
        patience: &patience,
        drain: DRAIN,
        hold: arguments.hold.unwrap_or(HOLD),
        inherited: true,
    };
    let guard = side.quiesce(&signals, &mut Nobody)?;
    let dirty = at_grant(&guard)?;
    let lost = recovery.lost(dirty);
    if dirty.is_dirty() {
        // Also shows, before a long check, that the acknowledgement can be written.
        recovery.store(dirty)?;
    }
    let ended = match arguments.command.split_first() {
        Some((program, words)) => {
            let mut check = Command::new(program);
            inherited::hand_on(check.args(words));
            side.run(guard, &mut check, &mut signals, &mut Nobody)?
        }
        None => guard.release().map(|_| Ended::Exited(0))?,
    };
    match ended {
        _ if !dirty.is_dirty() => {
            recovery.say(&format!("not dirty (epoch {}), nothing to acknowledge", dirty.epoch));
        }
        Ended::Exited(0) => {
            // A check that was interrupted may not have seen everything.
            signals.check()?;
            recovery.acknowledge(dirty.epoch)?;
            recovery.say(&format!("acknowledged epoch {}; lost inside: {lost}", dirty.epoch));
        }
        _ => recovery.say(&format!(
            "nothing acknowledged, still dirty (epoch {}, acknowledged {}): the check failed",
            dirty.epoch, dirty.acknowledged
        )),
    }
    Ok(ended.exit())
}

/// Where the durable state is. One that was named must be there; another may never have been made.
fn durable(arguments: &Arguments, barrier: &Barrier) -> anyhow::Result<Option<PathBuf>> {
    let Some(path) = place::path(&arguments.barrier, arguments.user, arguments.state.as_deref())?
    else {
        return Ok(None);
    };
    let name = Named::new(&arguments.barrier, arguments.user, arguments.state.as_deref());
    match State::load_of(barrier, &name, &path)? {
        Some(_) => Ok(Some(path)),
        None if arguments.state.is_none() => Ok(None),
        None => Err(Failure::new(
            Exit::MISSING,
            format!("there is no state {}: give the --state that `create` got", path.display()),
        )
        .into()),
    }
}

/// The epoch after the drain, which may itself have met a writer that died.
fn at_grant(guard: &ExclusiveGuard) -> Result<Dirty, Failure> {
    let first = guard.report().dirty_at_grant.first().copied();
    first.ok_or_else(|| Failure::new(Exit::INTERNAL, "the pause does not know the dirty epoch"))
}

struct Recovery<'a> {
    barrier: &'a Barrier,
    /// The file of its durable state, if it has one.
    state: Option<PathBuf>,
}

impl Recovery<'_> {
    /// The writers that are not acknowledged yet, the newest first.
    fn lost(&self, dirty: Dirty) -> String {
        let count = dirty.epoch.wrapping_sub(dirty.acknowledged) as usize;
        let lost = self.barrier.lost();
        let named = lost.iter().take(count.min(NAMED));
        let mut names: Vec<String> = named.map(waiting::lost).collect();
        if let more @ 1.. = count - names.len() {
            names.push(format!("{more} more"));
        }
        names.join(", ")
    }

    fn acknowledge(&self, epoch: u32) -> Result<(), Failure> {
        self.store(Dirty { epoch: self.barrier.dirty().epoch, acknowledged: epoch })?;
        self.barrier.acknowledge(epoch);
        Ok(())
    }

    /// Writes both epochs to the durable state.
    fn store(&self, dirty: Dirty) -> Result<(), Failure> {
        match &self.state {
            Some(path) => State::of(self.barrier, dirty).store(path),
            None => Ok(()),
        }
    }

    fn say(&self, text: &str) {
        lines::say(&format!("{}: {text}", self.barrier.path().display()));
    }
}
