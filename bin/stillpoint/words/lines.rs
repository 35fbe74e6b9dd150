//! Lines on standard error, for people and for the journal.

use std::io::{self, Write};

use super::live::beside;
use super::output::entry;

/// A line on standard error that is no error.
pub fn say(text: &str) {
    write_line(6, text);
}

/// A line about what did not go as it should, and is no error either.
pub fn warn(text: &str) {
    write_line(4, &format!("warning: {text}"));
}

/// Writes a line in one piece; that nobody reads it is no reason to fail.
fn write_line(level: u8, text: &str) {
    let line = entry("stillpoint", level, text);
    let _ = beside(|| io::stderr().write_all(line.as_bytes()));
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
