//! `snapshot`: one of all hosts.

use std::time::Duration;

use super::context::{Context, signalled};
use super::shown;
use crate::coordinator::round::Limits;
use crate::coordinator::{self, Ended, Request, Told};
use crate::host::snapshot_name;
use crate::record::epoch::Mode;
use crate::record::verdict::Outcome;
use crate::words::exit::Exit;
use crate::words::failure::Failure;
use crate::words::lines::{complain, print, say};

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
    #[arg(long, value_name = "SECS", value_parser = seconds_or_none)]
    prepare: Option<Duration>,

    /// How long a host may take to become quiet [default: that of the configuration, or 2]
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    drain: Option<Duration>,

    /// How long the pause of a host may last then [default: that of the configuration, or 8]
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    hold: Option<Duration>,

    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
}

pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0 && *seconds <= 86_400.0);
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "expected seconds, as 2 or 0.25, more than 0".to_owned())
}

fn seconds_or_none(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        // What is less than the record can say.
        Ok(0.0..0.001) => Ok(Duration::ZERO),
        _ => seconds(text),
    }
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
            prepare: arguments.prepare.unwrap_or(limits.prepare.0),
            drain: arguments.drain.unwrap_or(limits.drain.0),
            hold: arguments.hold.unwrap_or(limits.hold.0),
            certificates: limits.certificates.0,
        },
        allow_missing: arguments.allow_missing,
        lease: limits.coordinator_lease.0,
        by: context.by(),
        when: context.when(),
    };
    let store = context.store()?;
    let told = |told: Told<'_>| {
        if let Told::Begun(epoch) = told {
            say(format!("epoch {epoch} has begun"));
        }
    };
    let ended = coordinator::run(&store, &request, signalled(), told).await?;
    let group = &context.configuration.group;
    if arguments.json {
        let json = shown::verdict(group, ended.epoch, &ended.verdict);
        let text = serde_json::to_string_pretty(&json).unwrap_or_default() + "\n";
        print(&text).map_err(|error| Failure::new(Exit::SYSTEM, error.to_string()))?;
    }
    let Ended { epoch, verdict } = ended;
    match verdict.outcome {
        Outcome::Complete | Outcome::Partial => {
            for (host, part) in &verdict.members {
                if part.certificate.as_ref().is_some_and(|certificate| !certificate.clean) {
                    say(format!(
                        "warning: {host}: its pause was whole, and its snapshot is not clean all the same"
                    ));
                }
            }
            if verdict.outcome == Outcome::Partial {
                let missing: Vec<String> =
                    verdict.missing.iter().map(ToString::to_string).collect();
                say(format!("partial: without {}", missing.join(", ")));
            }
            if !arguments.json {
                print(&format!("{}\n", snapshot_name(group, epoch)))
                    .map_err(|error| Failure::new(Exit::SYSTEM, error.to_string()))?;
            }
            Ok(Exit::SUCCESS)
        }
        Outcome::Aborted => {
            let (text, exit) = verdict.reason.map_or_else(
                || ("no reason is given".to_owned(), Exit::CONFLICT),
                |reason| (reason.text, Exit::of_host(reason.exit)),
            );
            complain(format!("epoch {epoch} was aborted: {text}"));
            Ok(exit)
        }
    }
}
