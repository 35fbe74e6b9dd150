//! What a terminal can show: how wide it is, and whether in colours.
//!
//! A terminal has a width, and what is written there is cut to it; anything else has none, and gets everything, in
//! the same form wherever it goes. Colours only on a terminal, and not where `NO_COLOR` is set or the terminal is dumb.

use std::borrow::Cow;
use std::io::{IsTerminal, stdout};
use std::os::fd::AsFd;

use terminal_size::{Height, Width, terminal_size_of};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::output::is_dumb;

/// Where a terminal does not say how large it is.
const USUAL: (usize, usize) = (80, 24);

/// Standard output, if it is a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// In columns.
    pub width: usize,
    /// In lines.
    pub height: usize,
    /// Whether it shows colours, and is asked to.
    pub coloured: bool,
}

impl Terminal {
    /// Nothing, if it is none.
    pub fn of_output() -> Option<Terminal> {
        if !stdout().is_terminal() {
            return None;
        }
        let (width, height) = size_of(stdout());
        Some(Terminal { width, height, coloured: !is_dumb() && !is_without_colour() })
    }
}

/// The columns of a terminal.
pub fn width_of(terminal: impl AsFd) -> usize {
    size_of(terminal).0
}

fn size_of(terminal: impl AsFd) -> (usize, usize) {
    let size = terminal_size_of(terminal);
    let size = size.map(|(Width(width), Height(height))| (width.into(), height.into()));
    size.filter(|(width, height)| *width > 0 && *height > 0).unwrap_or(USUAL)
}

/// <https://no-color.org>: set, and not empty.
fn is_without_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// How a state is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// As it should be.
    Good,
    /// Perhaps.
    Doubtful,
    /// As it should not be.
    Bad,
}

impl Colour {
    /// The text in this colour.
    pub fn paint(self, text: &str) -> String {
        let number = match self {
            Colour::Good => 32,
            Colour::Doubtful => 33,
            Colour::Bad => 31,
        };
        format!("\x1b[{number}m{text}\x1b[0m")
    }
}

/// The columns that a text without control characters takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// As much of a text as fits, with a sign if something is missing. What sets colours takes no room.
pub fn cut(text: &str, width: usize) -> Cow<'_, str> {
    let (mut used, mut end, mut sequence) = (0, 0, false);
    for (at, c) in text.char_indices() {
        if sequence || c == '\x1b' {
            sequence = !c.is_ascii_alphabetic();
            continue;
        }
        used += c.width().unwrap_or(0);
        // The sign takes a column, too.
        if used < width {
            end = at + c.len_utf8();
        }
        if used > width {
            let reset = if text.contains('\x1b') { "\x1b[0m" } else { "" };
            return Cow::Owned(format!("{}…{reset}", &text[..end]));
        }
    }
    Cow::Borrowed(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_has_the_width_that_is_asked_for_and_no_character_is_halved() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("受信箱", 6), "受信箱");
        // Each takes two columns.
        assert_eq!(cut("受信箱", 5), "受信…");
        assert_eq!(cut("受信箱", 4), "受…");
        assert_eq!(cut("\x1b[31mabc\x1b[0m", 3), "\x1b[31mabc\x1b[0m");
        assert_eq!(cut("\x1b[31mabcd\x1b[0m", 3), "\x1b[31mab…\x1b[0m");
    }
}
