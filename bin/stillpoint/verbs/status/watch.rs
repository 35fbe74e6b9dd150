//! `--watch` on a terminal: one page that is drawn over itself every second, with a clock.
//!
//! On the terminal's other screen, so that what was there before is there again at the end, and while it is stopped by
//! Ctrl-Z. What does not fit is cut; a terminal that has another size since counts with the next page.

use std::io::{self, Write, stdout};
use std::time::{Instant, SystemTime};

use anyhow::Context;
use signal_hook::consts::{SIGCHLD, SIGTSTP};

use super::{INTERVAL, Report};
use crate::process::signals::{Signals, Stop};
use crate::words::exit::Exit;
use crate::words::seconds::moment;
use crate::words::terminal::{Terminal, cut};

/// Shows what `look` sees until a signal ends it, or there is nothing to see from the beginning.
pub fn watch(mut look: impl FnMut() -> anyhow::Result<Report>) -> anyhow::Result<Exit> {
    let first = look()?;
    if first.is_nothing() {
        first.lines.iter().for_each(|line| line.write());
        return Ok(first.exit);
    }
    let mut signals = Signals::watch()?;
    signals.handle_stops(true).context("SIGTSTP")?;
    let mut screen = Screen::enter()?;
    let mut report = first;
    loop {
        screen.draw(&report)?;
        let next = Instant::now() + INTERVAL;
        loop {
            let left = next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            for received in signals.wait(Some(left)).context("waiting")? {
                match received.signal {
                    SIGCHLD => {}
                    SIGTSTP => {
                        drop(screen);
                        signals.stop(Stop::Us).context("SIGTSTP")?;
                        screen = Screen::enter()?;
                        screen.draw(&report)?;
                    }
                    signal => return Ok(Exit::killed_by(signal)),
                }
            }
        }
        report = look()?;
    }
}

/// The other screen of the terminal, while it is shown.
struct Screen;

impl Screen {
    fn enter() -> anyhow::Result<Screen> {
        let screen = Screen;
        // The other screen; no cursor.
        write("\x1b[?1049h\x1b[?25l").context("standard output")?;
        Ok(screen)
    }

    fn draw(&self, report: &Report) -> anyhow::Result<()> {
        let Some(Terminal { width, height, .. }) = Terminal::of_output() else { return Ok(()) };
        let clock = format!("{}, every second; Ctrl-C ends", moment(SystemTime::now()));
        let lines = report.lines.iter().map(|line| line.text());
        let lines: Vec<&str> =
            [clock.as_str(), ""].into_iter().chain(lines).chain(report.text.lines()).collect();
        let hidden = match lines.len() > height {
            true => lines.len() - (height - 1),
            false => 0,
        };
        // Home; each line written over what is there, and cleared to its end.
        let mut page = String::from("\x1b[H");
        for (number, line) in lines[..lines.len() - hidden].iter().enumerate() {
            let end = if number == 0 { "" } else { "\n" };
            page.push_str(&format!("{end}{}\x1b[K", cut(line, width)));
        }
        if hidden > 0 {
            page.push_str(&format!("\n{}\x1b[K", cut(&format!("and {hidden} more lines"), width)));
        }
        page.push_str("\x1b[J");
        write(&page).context("standard output")
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
