//! `--watch` on a terminal: one page that is drawn over itself every second, with a clock. While it is stopped by
//! Ctrl-Z, what was there before is there again.

use std::time::{Instant, SystemTime};

use anyhow::Context;
use signal_hook::consts::{SIGCHLD, SIGTSTP};

use super::{INTERVAL, Report};
use crate::process::signals::{Signals, Stop};
use crate::words::exit::Exit;
use crate::words::screen::Screen;
use crate::words::seconds::moment;

/// Shows what `look` sees until a signal ends it, or there is nothing to see from the beginning.
pub fn watch(mut look: impl FnMut() -> anyhow::Result<Report>) -> anyhow::Result<Exit> {
    let first = look()?;
    if first.is_nothing() {
        first.lines.iter().for_each(|line| line.write());
        return Ok(first.exit);
    }
    let mut signals = Signals::watch()?;
    signals.handle_stops(true).context("SIGTSTP")?;
    let mut screen = enter()?;
    let mut report = first;
    loop {
        draw(&screen, &report)?;
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
                        screen = enter()?;
                        draw(&screen, &report)?;
                    }
                    signal => return Ok(Exit::killed_by(signal)),
                }
            }
        }
        report = look()?;
    }
}

fn draw(screen: &Screen, report: &Report) -> anyhow::Result<()> {
    let clock = format!("{}, every second; Ctrl-C ends", moment(SystemTime::now()));
    let lines = report.lines.iter().map(|line| line.text());
    let lines: Vec<&str> =
        [clock.as_str(), ""].into_iter().chain(lines).chain(report.text.lines()).collect();
    screen.draw(&lines).context("standard output")
}

fn enter() -> anyhow::Result<Screen> {
    Screen::enter().context("standard output")
}
