//! `stillpoint thaw`: the end of the pause that `freeze` began.
//!
//! Nothing but the barrier is needed: it remembers which pause was frozen last and whether it held
//! until it was thawed, so the answer stays the same however often a host calls its hook.

use std::ffi::OsString;

use stillpoint::{Barrier, Error, Thawed, Token};

use crate::stilling;
use crate::words::exit::Exit;
use crate::words::{lines, waiting};

#[derive(clap::Args)]
pub struct Arguments {
    /// Name or path of the barrier
    barrier: OsString,

    /// What freeze printed: end that pause and no other one
    #[arg(long, value_name = "TOKEN")]
    token: Option<Token>,

    /// Look for the name in $XDG_RUNTIME_DIR/stillpoint
    #[arg(long)]
    user: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    stilling::thaw_what_was_left();
    let barrier = Barrier::options().user(arguments.user).label("thaw").open(&arguments.barrier)?;
    let nothing = match barrier.thaw(arguments.token.as_ref())? {
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
        _ => return Ok(Exit::SUCCESS),
    };
    lines::say(&format!("{}: {nothing}", barrier.path().display()));
    Ok(Exit::SUCCESS)
}
