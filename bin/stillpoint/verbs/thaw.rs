//! `stillpoint thaw`: the end of the pause that `freeze` began.
//!
//! Nothing but the barrier is needed: it remembers which pause was frozen last and whether it held
//! until it was thawed, so the answer stays the same however often a host calls its hook.

use std::ffi::{OsStr, OsString};

use stillpoint::{Barrier, Error, Thawed, Token};

use crate::job::Job;
use crate::stilling;
use crate::words::exit::Exit;
use crate::words::{lines, waiting};

#[derive(clap::Args)]
pub struct Arguments {
    /// Name or path of the barrier
    #[arg(required_unless_present = "job")]
    barrier: Option<OsString>,

    /// All barriers of this job
    #[arg(long, value_name = "JOB", conflicts_with_all = ["barrier", "token", "user"])]
    job: Option<String>,

    /// What freeze printed: end that pause and no other one
    #[arg(long, value_name = "TOKEN")]
    token: Option<Token>,

    /// Look for the name in $XDG_RUNTIME_DIR/stillpoint
    #[arg(long)]
    user: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let mut barriers: Vec<OsString> = arguments.barrier.into_iter().collect();
    if let Some(name) = &arguments.job {
        // The last one closed is the first to be opened: whoever stands still beside all of them goes with it.
        barriers.extend(Job::read(name)?.snapshot.barriers.into_iter().rev());
    }
    stilling::thaw_what_was_left();
    let mut first = Ok(Exit::SUCCESS);
    for barrier in &barriers {
        match (thaw(barrier, arguments.user, arguments.token.as_ref()), &first) {
            (Ok(()), _) => {}
            (Err(error), Ok(_)) => first = Err(error),
            // One that is not there keeps no other one closed.
            (Err(error), Err(_)) => lines::complain(&error),
        }
    }
    first
}

fn thaw(barrier: &OsStr, user: bool, token: Option<&Token>) -> anyhow::Result<()> {
    let barrier = Barrier::options().user(user).label("thaw").open(barrier)?;
    let nothing = match barrier.thaw(token)? {
        // What is frozen may be a file that stood here before.
        Thawed::Nothing => {
            waiting::warn_if_unseen(&barrier);
            match barrier.stragglers() {
                Some(users) if !users.is_empty() => {
                    return Err(Error::Stragglers { path: barrier.path().into(), users }.into());
                }
                _ => "nothing is frozen",
            }
        }
        Thawed::Before => "thawed before",
        _ => return Ok(()),
    };
    lines::say(&format!("{}: {nothing}", barrier.path().display()));
    Ok(())
}
