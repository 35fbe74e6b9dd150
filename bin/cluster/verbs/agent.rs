//! `agent`: the service of a host. One whose part cannot be made by what its configuration says does not start; what may be
//! so later is told to its log.

use std::fs;
use std::sync::Arc;

use super::context::Context;
use super::{metrics, signals};
use crate::agent::settings::{Log, Settings};
use crate::agent::{self, Totals};
use crate::host::child::Child;
use crate::record::identity::Incarnation;
use crate::words::exit::Exit;
use crate::words::failure::Failure;
use crate::words::lines::{say, warn};
use crate::words::random;

/// Tells this boot of the machine from all others.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

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
    let host = Child::new(configuration.group.clone(), work);
    host.check().await?;
    let store = context.store()?;
    let (notebook, remembered) = context.notebook()?;
    let boot = fs::read_to_string(BOOT).map_err(|error| {
        Failure::new(Exit::SYSTEM, format!("{BOOT}: {error}; an agent needs /proc to be mounted"))
    })?;
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
    let writing = configuration.metrics.textfile.clone().map(|file| {
        let (group, host) = (configuration.group.clone(), context.host.clone());
        tokio::spawn(async move { metrics::keep(&file, &group, &host, &totals).await })
    });
    let ended = signals::ended();
    say(format!("agent of {} in the group {}", context.host, configuration.group));
    let trying = tokio::spawn({
        let host = host.clone();
        async move {
            for doubt in host.doubts().await {
                warn(format!("as things are, this host would have no part in a snapshot: {doubt}"));
            }
        }
    });
    let stopped = async {
        let why = ended.await;
        say(format!("{why}: good-bye"));
    };
    let ended = agent::run(store, host, notebook, remembered, settings, stopped).await;
    trying.abort();
    if let Some(writing) = writing {
        writing.abort();
    }
    ended.map_err(|error| {
        Failure::new(Exit::SYSTEM, format!("what it must remember cannot be kept: {error}"))
    })?;
    Ok(Exit::SUCCESS)
}
