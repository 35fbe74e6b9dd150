//! The one line of a terminal that is written over while something goes on.
//!
//! Whatever else is said makes way for it: [`beside`] takes the line away, and brings it back below. It is shown
//! only where somebody sees it and nobody is held up by it: on a terminal that knows how to go back in a line,
//! from its foreground, and while it takes what is written to it. A terminal that was stopped by Ctrl-S would
//! otherwise stop us, and with us whoever waits for us.

use std::io::{IsTerminal, Write, stderr};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{getpgrp, tcgetpgrp};

use super::output::is_dumb;
use super::terminal::{cut, width_of};

/// What takes less time is nobody's business.
const QUIET: Duration = Duration::from_millis(300);
/// Between two versions of the line.
pub const REFRESH: Duration = Duration::from_millis(200);

/// What stands there now.
static SHOWN: Mutex<Option<String>> = Mutex::new(None);

fn shown() -> MutexGuard<'static, Option<String>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes something to the terminal, or to wherever it goes, that is not the line.
pub fn beside<R>(write: impl FnOnce() -> R) -> R {
    let shown = shown();
    if shown.is_some() {
        draw("");
    }
    let written = write();
    if let Some(line) = &*shown {
        draw(line);
    }
    written
}

/// Over what stands there, in one piece.
fn draw(line: &str) {
    let _ = stderr().write_all(format!("\r\x1b[2K{line}").as_bytes());
}

/// The right to write the line.
pub struct Live {
    possible: bool,
    drawn: Option<Instant>,
}

impl Live {
    pub fn new() -> Live {
        Live { possible: stderr().is_terminal() && !is_dumb(), drawn: None }
    }

    /// May there ever be one?
    pub fn is_possible(&self) -> bool {
        self.possible
    }

    /// Is it time for another version, of what goes on for so long already?
    pub fn is_due(&self, since: Duration) -> bool {
        self.possible
            && since >= QUIET
            && self.drawn.is_none_or(|drawn| drawn.elapsed() >= REFRESH)
            && is_in_foreground()
            && takes_what_is_written()
    }

    /// Cut where the terminal ends: a line that wrapped could not be written over.
    pub fn show(&mut self, text: &str) {
        if !self.possible {
            return;
        }
        let line = format!("stillpoint: {text}");
        let line = cut(&line, width_of(stderr())).into_owned();
        draw(&line);
        *shown() = Some(line);
        self.drawn = Some(Instant::now());
    }

    /// Takes it away.
    fn clear(&mut self) {
        let ours = self.drawn.take().and_then(|_| shown().take());
        if ours.is_some() {
            draw("");
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A terminal that is not ours to be in the background of asks nobody to be in front.
fn is_in_foreground() -> bool {
    tcgetpgrp(stderr()).map_or(true, |group| group == getpgrp())
}

fn takes_what_is_written() -> bool {
    let terminal = stderr();
    let mut ready = [PollFd::new(terminal.as_fd(), PollFlags::POLLOUT)];
    matches!(poll(&mut ready, PollTimeout::ZERO), Ok(1..))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::words::lines::say;

    /// What the test below looks at.
    #[test]
    #[ignore = "writes to its terminal"]
    fn speaks() {
        let mut line = Live::new();
        line.show("going on");
        say("a message\x1b[2J");
        drop(line);
        say("the end");
    }

    #[test]
    fn a_message_takes_the_place_of_the_line_which_goes_on_below() {
        let spoken = |environment: &str| {
            let program = std::env::current_exe().unwrap();
            let speak = format!(
                "{environment} {} words::live::tests::speaks --exact --ignored --nocapture",
                program.display()
            );
            let script = Command::new("script").args(["-qec", &speak, "/dev/null"]).output();
            String::from_utf8(script.unwrap().stdout).unwrap()
        };
        let text = spoken("TERM=vt100");
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("stillpoint: ")).collect();
        let [message, end] = lines[..] else { panic!("{text:?}") };
        // The line, cleared for the message; shown again, and cleared when it was over.
        let cleared = |text: &str| text.rsplit_once("\r\x1b[2K").map(|(_, rest)| rest.to_owned());
        assert!(message.contains("stillpoint: going on"), "{text:?}");
        assert_eq!(cleared(message).unwrap(), "stillpoint: a message\\u{1b}[2J", "{text:?}");
        assert!(end.contains("stillpoint: going on"), "{text:?}");
        assert_eq!(cleared(end).unwrap(), "stillpoint: the end", "{text:?}");

        let text = spoken("TERM=dumb");
        assert!(!text.contains("\x1b["), "{text:?}");
    }
}
