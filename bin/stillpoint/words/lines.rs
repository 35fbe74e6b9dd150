//! Lines on standard error, for people and for the journal.

use std::borrow::Cow;
use std::io::{self, Write};

use super::live::beside;

/// A line on standard error that is no error.
pub fn say(text: &str) {
    write_line(6, text);
}

/// A line about what did not go as it should, and is no error either.
pub fn warn(text: &str) {
    write_line(4, &format!("warning: {text}"));
}

/// Writes a line in one piece; that nobody reads it is no reason to fail. The journal is told how much
/// it matters, by the numbers of syslog(3). A line break in a path would begin an entry of its own, and what else
/// controls a terminal would do so there.
fn write_line(level: u8, text: &str) {
    let level = if is_journal() { format!("<{level}>") } else { String::new() };
    let line = format!("{level}stillpoint: {}\n", escaped(text));
    let _ = beside(|| io::stderr().write_all(line.as_bytes()));
}

/// A text with all that moves, hides or turns around what stands beside it written out, as `\n` or `\u{1b}`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    match text.chars().any(is_control) {
        true => text.chars().fold(String::new(), |text, c| match is_control(c) {
            true => text + &c.escape_default().to_string(),
            false => text + c.encode_utf8(&mut [0; 4]),
        }),
        false => return Cow::Borrowed(text),
    }
    .into()
}

/// Also what changes the direction of a text, and other ends of a line.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether standard error is the journal: systemd.exec(5), `JOURNAL_STREAM`.
pub fn is_journal() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else {
        return false;
    };
    let place = nix::sys::stat::fstat(io::stderr());
    place.is_ok_and(|place| stream == *format!("{}:{}", place.st_dev, place.st_ino))
}

/// The one line for an error. A reader of our output that has seen enough is none.
pub fn complain(error: &anyhow::Error) {
    if !is_broken_pipe(error) {
        write_line(3, &line(error));
    }
}

/// The error and its causes. Some name their cause themselves; it is not said twice.
pub fn line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
}

pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
