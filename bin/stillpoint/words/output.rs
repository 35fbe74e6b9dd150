//! Where lines go, and what may stand in them: shared with `stillpoint-cluster`.
//!
//! A line is written in one piece. The journal is told how much it matters, by the numbers of syslog(3). A line break in
//! a path would begin an entry of its own there, and what else controls a terminal would do so on one: it is written out.

use std::borrow::Cow;
use std::io;

/// A line of this program, as standard error has it.
pub fn entry(program: &str, level: u8, text: &str) -> String {
    let level = if is_journal() { format!("<{level}>") } else { String::new() };
    format!("{level}{program}: {}\n", escaped(text))
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

/// A terminal that can only write on.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|name| name == "dumb")
}
