//! `stillpoint settle`: says to this host's part of a group's snapshot what became of the whole, when its run is not there
//! any more to hear it.

use std::io::{Read, stdin};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::catalogue::group::{Sentence, Whole};
use crate::catalogue::manifest::Manifest;
use crate::catalogue::{Catalogue, Claim};
use crate::job::Job;
use crate::snapshot::data::settling;
use crate::words::exit::{Exit, Failure, STATUSES};
use crate::words::lines::say;

/// Whoever only looks has the lock for a moment.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    /// The group that it is a part of
    #[arg(long, value_name = "GROUP")]
    group: String,

    /// The number of the snapshot in that group
    #[arg(long, value_name = "N")]
    epoch: u64,

    /// What tells it from another one of this number
    #[arg(long, value_name = "TEXT")]
    nonce: Option<String>,

    /// With complete and partial: JSON with the members, as {"members":{"HOST":"SNAPSHOT"}}; -: standard input
    #[arg(long, value_name = "FILE")]
    members: Option<PathBuf>,

    /// With aborted: why
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// The folder of the manifests [default: $STILLPOINT_CATALOG, else /var/lib/stillpoint/catalog]
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,

    /// Where this job has its snapshots
    #[arg(long, value_name = "JOB", conflicts_with = "catalog")]
    job: Option<String>,

    /// What became of it
    verdict: Verdict,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Verdict {
    /// Every member has its certificate
    Complete,
    /// Some are missing, and that was allowed; never clean
    Partial,
    /// There is no such snapshot; the data of this part is removed
    Aborted,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let sentence = sentence(&arguments)?;
    let catalog = match &arguments.job {
        Some(job) => Job::read(job)?.snapshot.catalog,
        None => arguments.catalog,
    };
    let catalogue = Catalogue::locate(catalog.as_deref());
    let folder = catalogue.folder().display().to_string();
    let (group, epoch, nonce) = (arguments.group, arguments.epoch, arguments.nonce);
    let is_meant = |manifest: &Manifest| {
        let of = manifest.group.as_ref();
        of.is_some_and(|of| {
            (&of.name, of.epoch) == (&group, epoch) && (nonce.is_none() || of.nonce == nonce)
        })
    };
    let contents = catalogue.read().map_err(|error| Failure::system(&folder, error))?;
    let parts = contents.manifests.iter().filter(|manifest| is_meant(manifest));
    let names: Vec<&str> = parts.map(|manifest| manifest.name.as_str()).collect();
    if names.is_empty() {
        let message = format!("{folder}: there is no part of snapshot {epoch} of group {group}");
        return Err(Failure::new(Exit::MISSING, message).into());
    }
    for name in names {
        settle(&catalogue, name, &is_meant, &sentence)?;
    }
    Ok(Exit::SUCCESS)
}

fn sentence(arguments: &Arguments) -> Result<Sentence, Failure> {
    let whole = || {
        let Some(file) = &arguments.members else {
            return Err(Failure::usage("--members is missing: who belongs together"));
        };
        let mut text = String::new();
        let read = match file.as_os_str() == "-" {
            true => stdin().read_to_string(&mut text).map(drop),
            false => std::fs::read_to_string(file).map(|read| text = read),
        };
        read.map_err(|error| Failure::system(file.display(), error))?;
        let wrong = |what| Failure::new(Exit::DATA, format!("{}: {what}", file.display()));
        Whole::parse(&text).map_err(wrong)
    };
    match (arguments.verdict, &arguments.reason) {
        (Verdict::Aborted, _) if arguments.members.is_some() => {
            Err(Failure::usage("--members is for what is complete or partial"))
        }
        (Verdict::Aborted, why) => Ok(Sentence::Aborted(
            why.clone().unwrap_or_else(|| "somebody has settled it so".to_owned()),
        )),
        (_, Some(_)) => Err(Failure::usage("--reason is for what is aborted")),
        (Verdict::Complete, None) => whole().map(Sentence::Complete),
        (Verdict::Partial, None) => whole().map(Sentence::Partial),
    }
}

fn settle(
    catalogue: &Catalogue,
    name: &str,
    is_meant: &dyn Fn(&Manifest) -> bool,
    sentence: &Sentence,
) -> anyhow::Result<()> {
    let since = Instant::now();
    loop {
        match catalogue.claim(name, is_meant).map_err(|error| Failure::system(name, error))? {
            Claim::Ours(mut entry, mut manifest) => {
                let was = manifest.group.clone();
                settling::settle(&mut entry, &mut manifest, sentence)?;
                if manifest.group != was {
                    say(&format!("{name}: is {}", sentence.verdict().word()));
                }
                return Ok(());
            }
            Claim::Busy if since.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Claim::Busy => {
                let message = format!(
                    "{name}: its run has not ended, and waits for the verdict itself, or somebody reads it"
                );
                return Err(Failure::new(Exit::CONFLICT, message).into());
            }
            // Removed, or written again meanwhile.
            Claim::Changed if since.elapsed() < PATIENCE && catalogue.is_taken(name) => {}
            Claim::Changed => return Ok(()),
        }
    }
}
