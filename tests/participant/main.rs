//! A process that takes part in a barrier, driven line by line.
//!
//! Each line on standard input is a command, each gets exactly one line of answer, so a test knows
//! what has happened before it goes on and never has to sleep. A command that waits answers when it
//! has got what it waited for. `error KIND TEXT` is the answer of one that failed.
//!
//! Three prefixes lead elsewhere, as deep as one likes:
//!
//! ```text
//! thread NAME     fork NAME     covered NAME                      make one
//! @NAME COMMAND   >NAME COMMAND                                   the thread or process does it
//! ```

mod actor;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../common/filter.rs"]
mod filter;
mod processes;
mod signals;
mod storm;
mod updates;

use actor::Actor;
use std::io::{BufRead, BufReader, Write};

fn main() {
    println!("ready {}", std::process::id());
    serve(&mut Actor::default(), BufReader::new(std::io::stdin()), std::io::stdout());
}

/// Answers commands until the input ends.
fn serve(actor: &mut Actor, input: impl BufRead, mut output: impl Write) {
    for line in input.lines() {
        let Ok(line) = line else { return };
        let answer = actor.answer(&line);
        if writeln!(output, "{answer}").and_then(|()| output.flush()).is_err() {
            return;
        }
    }
}
