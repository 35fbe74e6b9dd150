//! A page that is drawn over itself, on the terminal's other screen: what was there before is there again at the end.
//!
//! What does not fit is cut; a terminal that has another size since counts with the next page.

use std::io::{self, Write, stdout};

use super::terminal::{Terminal, cut};

/// The other screen of the terminal, while it is shown.
#[derive(Debug)]
pub struct Screen(());

impl Screen {
    /// Shows it, without a cursor.
    ///
    /// # Errors
    /// Standard output takes nothing.
    pub fn enter() -> io::Result<Screen> {
        let screen = Screen(());
        write("\x1b[?1049h\x1b[?25l")?;
        Ok(screen)
    }

    /// Each line over what is there, cleared to its end.
    ///
    /// # Errors
    /// Standard output takes nothing.
    pub fn draw(&self, lines: &[&str]) -> io::Result<()> {
        let Some(Terminal { width, height, .. }) = Terminal::of_output() else { return Ok(()) };
        let hidden = match lines.len() > height {
            true => lines.len() - (height - 1),
            false => 0,
        };
        let mut page = String::from("\x1b[H");
        for (number, line) in lines[..lines.len() - hidden].iter().enumerate() {
            let end = if number == 0 { "" } else { "\n" };
            page.push_str(&format!("{end}{}\x1b[K", cut(line, width)));
        }
        if hidden > 0 {
            page.push_str(&format!("\n{}\x1b[K", cut(&format!("and {hidden} more lines"), width)));
        }
        page.push_str("\x1b[J");
        write(&page)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write("\x1b[?25h\x1b[?1049l");
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
