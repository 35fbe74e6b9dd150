//! A host whose snapshots are made by the command `stillpoint`: a child for each, told each step on its standard input,
//! as stillpoint-coordinated(7) has it.
//!
//! Dropping a session ends that input, which opens the gate at once; so does the death of this process. What is certified
//! then waits on the host, until somebody says the verdict: `settling`.

mod line;
mod settling;
mod trying;
mod work;

use std::future::Future;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::process::{self, Command as Program};
use tokio::time::timeout;

use self::line::Line;
pub use self::work::Work;
use super::in_process::counts;
use super::{Host, Order, Session};
use crate::record::epoch::Mode;
use crate::record::identity::{EpochId, Name};
use crate::record::live::Counts;
use crate::record::report::{Certificate, Failed, Taken};
use crate::record::verdict::Verdict;
use crate::words::exit::Exit;

/// Longer than it takes to write a manifest and to give data its name, on a disk that is busy.
const SETTLED: Duration = Duration::from_secs(60);
/// Who has said nothing when his line ends has ended, or does so at once.
const MOMENT: Duration = Duration::from_secs(2);

/// This machine, by its command.
#[derive(Clone, Debug)]
pub struct Child(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    program: PathBuf,
    group: Name,
    work: Work,
    environment: Vec<(String, String)>,
}

impl Child {
    /// Does this work for the group.
    pub fn new(group: Name, work: Work) -> Child {
        Child::by(work::program(), group, work, Vec::new())
    }

    /// By another program, with more variables.
    pub fn by(
        program: PathBuf,
        group: Name,
        work: Work,
        environment: Vec<(String, String)>,
    ) -> Child {
        Child(Arc::new(Inner { program, group, work, environment }))
    }

    /// The program with these words.
    fn program<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Program {
        let mut program = Program::new(&self.0.program);
        let environment = self.0.environment.iter().map(|(name, value)| (name, value));
        program.args(words).envs(environment).stdin(Stdio::null());
        // What the keyboard says to this process is for this process to hand on.
        program.process_group(0);
        program
    }

    fn cannot_run(&self, error: &std::io::Error) -> Failed {
        let program = self.0.program.display();
        failed(Exit::UNAVAILABLE, format!("{program} cannot be run: {error}"))
    }
}

/// One child.
#[derive(Debug)]
pub struct ChildSession {
    host: Child,
    order: Order,
    child: process::Child,
    line: Line,
}

impl Host for Child {
    type Session = ChildSession;

    async fn prepare(&self, order: &Order) -> Result<ChildSession, Failed> {
        let words = self.0.work.words();
        let mut program = self.program(words.iter().map(String::as_str));
        program.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = program.spawn().map_err(|error| self.cannot_run(&error))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(Exit::INTERNAL, "a child has no standard input".to_owned()));
        };
        let line = Line::new(input, output);
        let mut session = ChildSession { host: self.clone(), order: order.clone(), child, line };
        session.step(&prepare(order), "prepared").await?;
        Ok(session)
    }

    async fn counts(&self) -> Vec<Counts> {
        let mut counted = Vec::new();
        let barriers = match self.barriers().await {
            Ok(barriers) => barriers,
            Err(failed) => return vec![Counts { error: Some(failed.text), ..Counts::default() }],
        };
        for barrier in barriers {
            // It reads a file that is mapped, which may have to be fetched.
            let read = tokio::task::spawn_blocking(move || counts(&barrier));
            counted.extend(read.await);
        }
        counted
    }

    fn settle(
        &self,
        epoch: EpochId,
        verdict: &Verdict,
    ) -> impl Future<Output = Result<(), Failed>> + Send {
        settling::settle(self, epoch, verdict)
    }
}

impl Session for ChildSession {
    async fn freeze(&mut self) -> Result<(), Failed> {
        self.step("freeze", "quiet").await.map(drop)
    }

    async fn snapshot(&mut self) -> Result<Taken, Failed> {
        let name = self.hear("snapped").await?;
        Ok(Taken { name, path: None })
    }

    async fn release(&mut self) -> Result<Certificate, Failed> {
        let text = self.step("release", "certified").await?;
        certificate(&text).map_err(|what| {
            failed(Exit::INTERNAL, format!("its certificate cannot be read: {what}"))
        })
    }

    async fn settle(mut self, verdict: &Verdict) -> Result<(), Failed> {
        let word = settling::word(verdict);
        let settled = timeout(SETTLED, self.step(&word, "settled")).await;
        let ChildSession { host, order, mut child, line } = self;
        // Nothing more is said, and nobody waits for a job that verifies.
        drop(line);
        tokio::spawn(async move { child.wait().await });
        match settled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => host.settle(order.epoch, verdict).await,
        }
    }
}

impl ChildSession {
    /// Says a word, and waits for the one that answers it.
    async fn step(&mut self, word: &str, answer: &str) -> Result<String, Failed> {
        // It may have failed meanwhile, which it then has said.
        let is_heard = self.line.say(word).await;
        match self.hear(answer).await {
            Ok(_) if !is_heard => Err(self.epitaph(answer).await),
            answered => answered,
        }
    }

    /// Waits for a word, and what stands behind it.
    async fn hear(&mut self, answer: &str) -> Result<String, Failed> {
        let Some(heard) = self.line.hear().await else {
            return Err(self.epitaph(answer).await);
        };
        match heard.split_once(' ').unwrap_or((&heard, "")) {
            (first, rest) if first == answer => Ok(rest.to_owned()),
            ("failed", rest) => Err(refused(rest)),
            _ => Err(failed(
                Exit::INTERNAL,
                format!("stillpoint said {heard:?} where `{answer}` was expected"),
            )),
        }
    }

    /// Of one whose line has ended without a word.
    async fn epitaph(&mut self, answer: &str) -> Failed {
        let ended = timeout(MOMENT, self.child.wait()).await;
        let (exit, how) = match ended {
            Ok(Ok(ended)) => (status(ended), format!("has ended ({ended})")),
            _ => (None, "has closed its standard output".to_owned()),
        };
        let exit = exit.filter(|exit| *exit != 0).unwrap_or(Exit::INTERNAL.code());
        Failed { text: format!("stillpoint {how} where `{answer}` was expected"), exit }
    }
}

/// As a shell tells it: what has ended, and what was killed.
fn status(ended: ExitStatus) -> Option<u8> {
    let status = ended.code().or(ended.signal().map(|signal| 128 + signal))?;
    u8::try_from(status).ok()
}

fn failed(exit: Exit, text: String) -> Failed {
    Failed { text, exit: exit.code() }
}

/// `STATUS TEXT`.
fn refused(rest: &str) -> Failed {
    let parsed = rest.split_once(' ').and_then(|(exit, text)| Some((exit.parse().ok()?, text)));
    let (exit, text) = parsed.unwrap_or((Exit::INTERNAL.code(), rest));
    Failed { text: text.to_owned(), exit }
}

fn prepare(order: &Order) -> String {
    let milliseconds = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let mode = match order.mode {
        Mode::HoldAll => "hold-all",
        Mode::Early => "early",
    };
    let order = json!({
        "group": order.group, "host": order.host, "epoch": order.epoch, "nonce": order.nonce,
        "mode": mode, "name": order.name(),
        "prepare_ms": milliseconds(order.prepare),
        "drain_ms": milliseconds(order.drain), "hold_ms": milliseconds(order.hold),
    });
    format!("prepare {order}")
}

/// Times are fractions there, and the generations stand with their barriers.
fn certificate(text: &str) -> Result<Certificate, serde_json::Error> {
    let mut more: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
    let mut time = |key: &str| {
        let time = more.remove(key).and_then(|time| time.as_f64());
        time.map_or(0, |time| time.ceil() as u64)
    };
    let (drain_ms, hold_ms, pause_ms) = (time("drain_ms"), time("hold_ms"), time("pause_ms"));
    let clean = more.remove("clean").and_then(|clean| clean.as_bool()) == Some(true);
    let barriers = more.get("barriers").and_then(|barriers| barriers.as_array());
    let generations = barriers.into_iter().flatten().filter_map(|one| one["generation"].as_u64());
    let generations = generations.collect();
    Ok(Certificate { generations, drain_ms, hold_ms, pause_ms, clean, more })
}
