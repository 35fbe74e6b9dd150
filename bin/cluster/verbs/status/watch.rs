//! `status --watch`: shown again whenever something changes.
//!
//! On a terminal that is one page, which is drawn over itself; elsewhere what is new stands below, until nobody reads it
//! any more. A store that does not answer is no end: what was seen last stays, with a word on how old it is.

use std::io::{IsTerminal, stdout};
use std::pin::pin;
use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

use super::look::{Status, status, text};
use crate::store::etcd::Etcd;
use crate::store::{Store, Watch};
use crate::verbs::context::{Context, when};
use crate::verbs::ignored::is_ignored;
use crate::verbs::signals;
use crate::words::exit::Exit;
use crate::words::failure::Failure;
use crate::words::lines::{Reader, print, say};
use crate::words::output::is_dumb;
use crate::words::screen::Screen;

/// So much is not looked at more often.
const PACE: Duration = Duration::from_millis(500);
/// Whether the store still answers is asked so often, though it tells of no change.
const SILENCE: Duration = Duration::from_secs(5);
/// The page is drawn so often though nothing has changed: with its age, and as wide as the terminal is by now.
const CLOCK: Duration = Duration::from_secs(1);

/// Shows it until a signal ends it, or nobody is there who reads.
pub async fn watch(context: &Context, store: &Etcd, json: bool) -> Result<Exit, Failure> {
    let first = status(context, store).await?;
    let watch = store.watch(context.keys.all(), first.revision);
    let mut page = match !json && stdout().is_terminal() && !is_dumb() {
        true => Page::Screen(Screen::enter()?),
        false => Page::Below { json },
    };
    let is_screen = matches!(page, Page::Screen(_));
    let mut stops = match is_screen && !is_ignored(Signal::SIGTSTP) {
        true => signal(SignalKind::from_raw(Signal::SIGTSTP as i32)).ok(),
        false => None,
    };
    let mut ended = pin!(signals::ended());
    let mut news = Box::pin(next(watch, context, store));
    let mut seen = Seen { status: first, at: Instant::now(), trouble: None };
    loop {
        if page.show(&seen)? == Reader::Gone {
            return Ok(Exit::SUCCESS);
        }
        loop {
            let stopped = async {
                match &mut stops {
                    Some(stops) => drop(stops.recv().await),
                    None => std::future::pending().await,
                }
            };
            select! {
                _ = &mut ended => return Ok(signals::received().unwrap_or(Exit::SUCCESS)),
                () = stopped => {
                    drop(page);
                    let _ = raise(Signal::SIGSTOP);
                    page = Page::Screen(Screen::enter()?);
                    break;
                }
                () = sleep(CLOCK), if is_screen => break,
                (watch, told) = &mut news => {
                    news.set(next(watch, context, store));
                    if seen.take(told) || is_screen {
                        break;
                    }
                    page.complain(&seen);
                }
            }
        }
    }
}

/// What is there after the next change, or after a while. What comes together is seen together.
async fn next(
    mut watch: Watch,
    context: &Context,
    store: &Etcd,
) -> (Watch, Result<Status, Failure>) {
    let event = timeout(SILENCE, watch.next()).await;
    if let Ok(event) = event {
        if let Err(refused) = event {
            return (watch, Err(refused.into()));
        }
        sleep(PACE).await;
        while let Ok(Ok(_)) = timeout(Duration::ZERO, watch.next()).await {}
    }
    (watch, status(context, store).await)
}

/// What was seen last.
struct Seen {
    status: Status,
    at: Instant,
    /// Why there is nothing newer, and whether that is new.
    trouble: Option<(Failure, bool)>,
}

impl Seen {
    /// Whether something has changed.
    fn take(&mut self, told: Result<Status, Failure>) -> bool {
        match told {
            Ok(status) => {
                let is_new = text(&status) != text(&self.status) || self.trouble.is_some();
                *self = Seen { status, at: Instant::now(), trouble: None };
                is_new
            }
            Err(failure) => {
                let is_new = self.trouble.as_ref().is_none_or(|(before, _)| *before != failure);
                self.trouble = Some((failure, is_new));
                false
            }
        }
    }
}

/// Where it is shown.
enum Page {
    Screen(Screen),
    Below { json: bool },
}

impl Page {
    fn show(&self, seen: &Seen) -> Result<Reader, Failure> {
        let screen = match self {
            Page::Below { json: true } => {
                return print(&(serde_json::to_string(&seen.status).unwrap_or_default() + "\n"));
            }
            Page::Below { json: false } => return print(&(text(&seen.status) + "\n")),
            Page::Screen(screen) => screen,
        };
        let head = match &seen.trouble {
            None => format!("{}, at each change; Ctrl-C ends", when()),
            Some((failure, _)) => format!("as of {} s ago: {failure}", seen.at.elapsed().as_secs()),
        };
        let text = text(&seen.status);
        let lines: Vec<&str> = [head.as_str(), ""].into_iter().chain(text.lines()).collect();
        screen.draw(&lines)?;
        Ok(Reader::There)
    }

    /// Once for each thing that is wrong, where there is no page that has it.
    fn complain(&self, seen: &Seen) {
        if let Some((failure, true)) = &seen.trouble {
            say(failure);
        }
    }
}
