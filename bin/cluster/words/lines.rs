//! Lines on standard error, for people and for the journal.

use std::fmt::Display;
use std::io::{self, Write};

/// A line that is no error.
pub fn say(text: impl Display) {
    write_line(6, &text.to_string());
}

/// The one line of an error.
pub fn complain(text: impl Display) {
    write_line(3, &text.to_string());
}

/// Writes a line in one piece; that nobody reads it is no reason to fail. The journal is told how much it matters, by
/// the numbers of syslog(3). What would move a terminal, or begin another line, is written out.
fn write_line(level: u8, text: &str) {
    let level = if is_journal() { format!("<{level}>") } else { String::new() };
    let shown = text.chars().fold(String::new(), |shown, c| match c.is_control() {
        true => shown + &c.escape_default().to_string(),
        false => shown + c.encode_utf8(&mut [0; 4]),
    });
    let line = format!("{level}stillpoint-cluster: {shown}\n");
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Whether standard error is the journal: systemd.exec(5), `JOURNAL_STREAM`.
fn is_journal() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else {
        return false;
    };
    let place = nix::sys::stat::fstat(io::stderr());
    place.is_ok_and(|place| stream == *format!("{}:{}", place.st_dev, place.st_ino))
}

/// On standard output, whole. A reader that has seen enough is no error.
///
/// # Errors
/// It could not be written: a full disk, say.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
