//! `snapshot`: one of all hosts.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tokio::select;

use super::configuration::Seconds;
use super::context::{Context, when};
use super::{shown, signals};
use crate::coordinator::round::Limits;
use crate::coordinator::settled::until_settled;
use crate::coordinator::{self, Ended, Request, Told};
use crate::host::snapshot_name;
use crate::record::epoch::Mode;
use crate::record::identity::Name;
use crate::record::verdict::{Outcome, Verdict};
use crate::words::exit::Exit;
use crate::words::failure::Failure;
use crate::words::lines::{Reader, complain, print, say, warn};

/// How long hosts are waited for when there is a verdict.
const SETTLING: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Hold every host until all have their snapshot [default]
    #[arg(long, conflicts_with = "early")]
    hold_all: bool,

    /// Hold each host until it has its own snapshot
    ///
    /// Shorter, and right if whatever one host does to another goes through the other's barrier. Not for storage that
    /// is replicated below the file system.
    #[arg(long)]
    early: bool,

    /// Do without members that are not there; the verdict is partial then, and never complete
    #[arg(long)]
    allow_missing: bool,

    /// How long hosts may take before any gate is closed [default: that of the configuration, or 60]
    ///
    /// 0: no phase for it. Each host closes its gate as soon as it is prepared, which asks less of etcd, and holds it
    /// until the last one is.
    #[arg(long, value_name = "SECS", value_parser = Seconds::or_none)]
    prepare: Option<Seconds>,

    /// How long a host may take to become quiet [default: that of the configuration, or 2]
    #[arg(long, value_name = "SECS", value_parser = Seconds::parse)]
    drain: Option<Seconds>,

    /// How long the pause of a host may last then [default: that of the configuration, or 8]
    #[arg(long, value_name = "SECS", value_parser = Seconds::parse)]
    hold: Option<Seconds>,

    /// How long to wait then until each host has given its part that name [default: 30]
    ///
    /// 0: not at all. It is complete in any case, and a host that has not is named.
    #[arg(long, value_name = "SECS", value_parser = Seconds::or_none)]
    wait: Option<Seconds>,

    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let limits = &context.configuration.limits;
    let request = Request {
        keys: context.keys.clone(),
        mode: match arguments.early {
            true => Mode::Early,
            false => Mode::HoldAll,
        },
        limits: Limits {
            prepare: arguments.prepare.unwrap_or(limits.prepare).0,
            drain: arguments.drain.unwrap_or(limits.drain).0,
            hold: arguments.hold.unwrap_or(limits.hold).0,
            certificates: limits.certificates.0,
        },
        allow_missing: arguments.allow_missing,
        lease: limits.coordinator_lease.0,
        by: context.by(),
        when: when(),
    };
    let store = context.store()?;
    let told = |told: Told<'_>| {
        if let Told::Begun(epoch) = told {
            say(format!("epoch {epoch} has begun"));
        }
    };
    // Before there is an epoch nothing has to be ended, and a signal does what it always does.
    let interrupted = async { signals::ended().await };
    let ended = coordinator::run(&store, &request, interrupted, told).await;
    let ended = ended.map_err(|failure| {
        Failure::new(signals::received().unwrap_or(failure.exit), failure.text)
    })?;
    let Ended { epoch, verdict } = ended;
    let group = &context.configuration.group;
    let name = snapshot_name(group, epoch);
    let mut unsettled: BTreeSet<Name> = verdict.members.keys().cloned().collect();
    let mut exit = Exit::SUCCESS;
    if verdict.is_good() {
        doubts(&verdict);
        let limit = arguments.wait.map_or(SETTLING, |wait| wait.0);
        select! {
            biased;
            behind = until_settled(&store, &context.keys, epoch, unsettled.clone(), limit) => {
                unsettled = behind;
                if !limit.is_zero() {
                    unsettled.iter().for_each(|host| tell_unsettled(host, &name, limit));
                }
            }
            why = signals::ended() => {
                let what = verdict.outcome.word();
                say(format!("{why}: {name} is {what}, and hosts are not waited for"));
                exit = signals::received().unwrap_or(exit);
            }
        }
    }
    let printed = match (arguments.json, verdict.outcome) {
        (true, _) => {
            let mut json = shown::verdict(group, epoch, &verdict);
            json["unsettled"] = json!(unsettled);
            print(&(serde_json::to_string_pretty(&json).unwrap_or_default() + "\n"))
        }
        (false, Outcome::Aborted) => Ok(Reader::There),
        (false, _) => print(&format!("{name}\n")),
    };
    // It is there whether or not anybody can be told its name.
    printed.map_err(|failure| {
        Failure::new(failure.exit, format!("{name} is {}: {failure}", verdict.outcome.word()))
    })?;
    if verdict.is_good() {
        return Ok(exit);
    }
    let (text, exit) = verdict.reason.map_or_else(
        || ("no reason is given".to_owned(), Exit::CONFLICT),
        |reason| (reason.text, Exit::of_host(reason.exit)),
    );
    complain(format!("epoch {epoch} was aborted: {text}"));
    Ok(signals::received().unwrap_or(exit))
}

fn tell_unsettled(host: &Name, name: &str, limit: Duration) {
    warn(format!(
        "{host}: has not said within {} s that its part is called {name}; its agent gives it that name, and says in its log what keeps it from that",
        limit.as_secs_f64()
    ));
}

/// What a snapshot that is good is not good for.
fn doubts(verdict: &Verdict) {
    shown::unclean(verdict).iter().for_each(warn);
    if verdict.outcome == Outcome::Partial {
        let missing: Vec<String> = verdict.missing.iter().map(ToString::to_string).collect();
        say(format!("partial: without {}", missing.join(", ")));
    }
}
