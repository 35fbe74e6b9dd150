//! `stillpoint recover`: the way out of a dirty barrier.
//!
//! A writer that was lost may have left the store half changed. The check runs in a pause, so that
//! it sees, and may repair, a store that nobody else changes. What it acknowledges is the epoch of
//! the grant: a writer that is lost later has left something that the check has not seen. And it
//! does so only with the certificate: had writers been let in meanwhile, success would prove
//! nothing.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use clap::ArgGroup;
use stillpoint::{Barrier, Dirty, ExclusiveGuard};

use crate::barrier::exclusive::{DRAIN, Exclusive, HOLD, Nobody, Patience};
use crate::barrier::recovery::Recovery;
use crate::process::child::ended::Ended;
use crate::process::inherited;
use crate::process::signals::Signals;
use crate::words::exit::{self, Exit, Failure};
use crate::words::lines;
use crate::words::seconds::{self, Limit};

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
    let recovery =
        Recovery::of(&barrier, &arguments.barrier, arguments.user, arguments.state.as_deref())?;
    let patience = Patience::new(arguments.timeout);
    let side = Exclusive {
        barriers: &[&barrier],
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
        Ended::Exited(0) if barrier.dirty().epoch != dirty.epoch => {
            signals.check()?;
            recovery.acknowledge(dirty.epoch)?;
            let message = format!(
                "{}: dirty again (epoch {}, acknowledged {}): another writer was lost meanwhile; recover it once more",
                barrier.path().display(),
                barrier.dirty().epoch,
                dirty.epoch
            );
            return Err(Failure::new(Exit::CONFLICT, message).into());
        }
        _ if !dirty.is_dirty() => {
            say(&barrier, &format!("not dirty (epoch {}), nothing to acknowledge", dirty.epoch));
        }
        Ended::Exited(0) => {
            // A check that was interrupted may not have seen everything.
            signals.check()?;
            recovery.acknowledge(dirty.epoch)?;
            say(&barrier, &format!("acknowledged epoch {}; lost inside: {lost}", dirty.epoch));
        }
        _ => say(
            &barrier,
            &format!(
                "nothing acknowledged, still dirty (epoch {}, acknowledged {}): the check failed",
                dirty.epoch, dirty.acknowledged
            ),
        ),
    }
    Ok(ended.exit())
}

/// The epoch after the drain, which may itself have met a writer that died.
fn at_grant(guard: &ExclusiveGuard) -> Result<Dirty, Failure> {
    let first = guard.report().dirty_at_grant.first().copied();
    first.ok_or_else(|| Failure::new(Exit::INTERNAL, "the pause does not know the dirty epoch"))
}

fn say(barrier: &Barrier, text: &str) {
    lines::say(&format!("{}: {text}", barrier.path().display()));
}
