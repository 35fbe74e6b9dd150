//! A mail-like store to show the barrier with: writers that keep an invariant across several
//! files, and a check that tells whether a copy of the store kept it.
//!
//! ```text
//! mailstore init DIR --mailboxes N
//! mailstore write DIR (--barrier BARRIER | --without-barrier) --mailbox K
//!           (--seconds S | --count N | --until-eof) [--latencies FILE]
//! mailstore check DIR
//! ```
//!
//! `write` is one writer process. With `--until-eof` it ends when its standard input does, and
//! so never outlives whoever holds the other end of that pipe, however that one ends. `check`
//! prints the verdict and every contradiction it finds: exit 0 consistent, 1 torn, 2 no answer.

mod store;
mod waits;

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use stillpoint::Barrier;

#[derive(Parser)]
#[command(about = "A mail-like store whose files are right only together")]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make an empty store.
    Init {
        dir: PathBuf,
        #[arg(long)]
        mailboxes: usize,
    },
    /// Deliver messages, one after the other, into one mailbox.
    Write(Write),
    /// Tell whether the store contradicts itself.
    Check { dir: PathBuf },
}

#[derive(Args)]
struct Write {
    dir: PathBuf,
    #[command(flatten)]
    order: Order,
    #[arg(long)]
    mailbox: usize,
    #[command(flatten)]
    end: End,
    /// Where to write how long the shares were waited for.
    #[arg(long)]
    latencies: Option<PathBuf>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Order {
    /// Take the shared side of this barrier around every delivery.
    #[arg(long)]
    barrier: Option<PathBuf>,
    #[arg(long)]
    without_barrier: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct End {
    #[arg(long, value_parser = seconds)]
    seconds: Option<Duration>,
    #[arg(long)]
    count: Option<u64>,
    /// Go on until standard input ends.
    #[arg(long)]
    until_eof: bool,
}

fn main() -> ExitCode {
    let answer = match Command::parse().verb {
        Verb::Init { dir, mailboxes } => store::init(&dir, mailboxes)
            .with_context(|| format!("{}: cannot make the store", dir.display()))
            .map(|()| true),
        Verb::Write(options) => write(&options).map(|()| true),
        Verb::Check { dir } => store::check(&dir)
            .with_context(|| format!("{}: cannot read the store", dir.display()))
            .map(|violations| report(&violations)),
    };
    match answer {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("mailstore: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn report(violations: &[String]) -> bool {
    match violations.len() {
        0 => println!("consistent"),
        count => println!("torn: {count} contradictions"),
    }
    for violation in violations {
        println!("  {violation}");
    }
    violations.is_empty()
}

fn write(options: &Write) -> Result<()> {
    let label = format!("mailbox {}", options.mailbox);
    let mut mailbox = store::Mailbox::open(&options.dir, options.mailbox)
        .with_context(|| format!("{}: cannot write to {label}", options.dir.display()))?;
    let barrier = match &options.order.barrier {
        Some(name) => Some(Barrier::options().label(&label).open(name)?),
        None => None,
    };
    let mut waits = waits::Waits::new(options.latencies.as_deref()).context("--latencies")?;
    let ended = until(&options.end);
    let mut delivered = 0;
    while !ended(delivered) {
        let asked = Instant::now();
        let share = barrier.as_ref().map(Barrier::shared).transpose()?;
        let wait = asked.elapsed();
        mailbox.deliver().context(label.clone())?;
        drop(share);
        waits.record(wait)?;
        delivered += 1;
    }
    waits.finish()?;
    Ok(())
}

fn seconds(word: &str) -> Result<Duration> {
    Ok(Duration::try_from_secs_f64(word.parse()?)?)
}

/// The question "is it time to stop", asked before every delivery.
fn until(end: &End) -> Box<dyn Fn(u64) -> bool> {
    if let Some(count) = end.count {
        return Box::new(move |delivered| delivered >= count);
    }
    if let Some(seconds) = end.seconds {
        let end = Instant::now().checked_add(seconds);
        return Box::new(move |_| end.is_some_and(|end| Instant::now() >= end));
    }
    let over = Arc::new(AtomicBool::new(false));
    let told = over.clone();
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        told.store(true, Relaxed);
    });
    Box::new(move |_| over.load(Relaxed))
}
