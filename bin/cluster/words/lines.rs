//! Lines on standard error, for people and for the journal, and what is printed.

use std::fmt::Display;
use std::io::{self, Write};

use super::failure::Failure;
use super::output::entry;

/// The name in front of each line.
pub const PROGRAM: &str = "stillpoint-cluster";

/// A line that is no error.
pub fn say(text: impl Display) {
    write_line(6, &text.to_string());
}

/// A line about what did not go as it should, and is no error either.
pub fn warn(text: impl Display) {
    write_line(4, &format!("warning: {text}"));
}

/// The one line of an error.
pub fn complain(text: impl Display) {
    write_line(3, &text.to_string());
}

/// That nobody reads it is no reason to fail.
fn write_line(level: u8, text: &str) {
    let _ = io::stderr().write_all(entry(PROGRAM, level, text).as_bytes());
}

/// Who reads standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// As far as one can know.
    There,
    /// He has seen enough, which is no error.
    Gone,
}

/// On standard output, whole.
///
/// # Errors
/// It could not be written: a full disk, say.
pub fn print(text: &str) -> Result<Reader, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error.into()),
    }
}
