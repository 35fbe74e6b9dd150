//! `agent`: the service of a host.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::context::{Context, signalled};
use super::metrics;
use crate::agent::settings::{Log, Settings};
use crate::agent::{self, Totals};
use crate::host::child::Child;
use crate::record::identity::Incarnation;
use crate::words::exit::Exit;
use crate::words::failure::Failure;
use crate::words::lines::say;
use crate::words::random;

/// How soon a change is in the metrics.
const METRICS: Duration = Duration::from_secs(1);
/// How often they are written though nothing has changed: a file's age tells whether the agent lives.
const UNCHANGED: u32 = 15;

#[derive(Debug, clap::Args)]
pub struct Arguments {}

pub async fn run(context: &Context, _: &Arguments) -> Result<Exit, Failure> {
    let configuration = &context.configuration;
    let Some(work) = configuration.work() else {
        return Err(Failure::new(
            Exit::USAGE,
            "the configuration says neither job nor snapshot: what makes this host's snapshots?",
        ));
    };
    let store = context.store()?;
    let (notebook, remembered) = context.notebook()?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let boot = boot.map_err(|error| Failure::new(Exit::SYSTEM, format!("the boot id: {error}")))?;
    let limits = &configuration.limits;
    let totals = Totals::default();
    let settings = Settings {
        group: configuration.group.clone(),
        keys: context.keys.clone(),
        host: context.host.clone(),
        machine: context.machine.clone(),
        incarnation: Incarnation { boot: boot.trim().to_owned(), agent: random::number() },
        lease: limits.agent_lease.0,
        drain: limits.drain.0,
        hold: limits.hold.0,
        min_open: limits.min_open(),
        counts: Some(limits.counts.0),
        totals: totals.clone(),
        log: Log(Arc::new(|line| say(line))),
    };
    let host = Child::new(configuration.group.clone(), work);
    let writing = configuration.metrics.textfile.clone().map(|file| {
        let (group, host) = (configuration.group.clone(), context.host.clone());
        tokio::spawn(async move {
            let (mut written, mut unchanged) = (String::new(), 0);
            loop {
                let text = metrics::text(&group, &host, &totals.read());
                unchanged += 1;
                if text != written || unchanged >= UNCHANGED {
                    if let Err(error) = metrics::write(&file, &text) {
                        say(format!("{}: cannot write the metrics: {error}", file.display()));
                    }
                    (written, unchanged) = (text, 0);
                }
                sleep(METRICS).await;
            }
        })
    });
    say(format!("agent of {} in the group {}", context.host, configuration.group));
    let stopped = async {
        let why = signalled().await;
        say(format!("{why}: good-bye"));
    };
    let ended = agent::run(store, host, notebook, remembered, settings, stopped).await;
    if let Some(writing) = writing {
        writing.abort();
    }
    ended.map_err(|error| {
        Failure::new(Exit::SYSTEM, format!("what it must remember cannot be kept: {error}"))
    })?;
    Ok(Exit::SUCCESS)
}
