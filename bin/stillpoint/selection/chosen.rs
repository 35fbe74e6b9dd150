//! One snapshot, for who reads it: named, or the newest that is clean, and pinned as long as it is read.

use std::ffi::OsStr;
use std::io;
use std::time::{Duration, Instant};

use super::filter::Filter;
use super::newest::{self, Wanted};
use super::options::Place;
use crate::catalogue::Catalogue;
use crate::catalogue::identity::Presence;
use crate::catalogue::manifest::{Manifest, Status};
use crate::catalogue::pin::{Pin, Pinning};
use crate::process::signals::Signals;
use crate::words::exit::{Exit, Failure, is_shortage, reason};
use crate::words::lines;

/// How long somebody else may need to complete a snapshot, or to find that he cannot remove it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which one. The word that goes with it is the verb's: a name, or with `--latest` a barrier.
#[derive(clap::Args)]
pub struct Choice {
    /// The newest clean snapshot, of BARRIER if one is given
    #[arg(long)]
    pub latest: bool,

    #[command(flatten)]
    wanted: Wanted,

    #[command(flatten)]
    pub place: Place,

    #[command(flatten)]
    filter: Filter,
}

impl Choice {
    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<(), Failure> {
        match !self.latest
            && (!self.filter.is_empty() || self.wanted.covered || self.wanted.verified)
        {
            true => Err(Failure::usage(
                "--source, --provider, --label, --covered and --verified choose among several; use them with --latest",
            )),
            false => Ok(()),
        }
    }

    /// Tries until the snapshot is held, or cannot be.
    pub fn pin(&self, word: Option<&OsStr>, signals: &Signals) -> anyhow::Result<Pin> {
        let catalogue = self.place.catalogue();
        let started = Instant::now();
        loop {
            let name = self.choose(word)?;
            match catalogue.pin(&name) {
                Ok(Pinning::Held(pin)) => {
                    self.warn(&pin.manifest);
                    return Ok(*pin);
                }
                Ok(Pinning::Changing) => {}
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(cannot(&catalogue, &name, &error).into());
                }
                // Chosen a moment ago: the next choice is another one.
                _ if self.latest && started.elapsed() < PATIENCE => {}
                Ok(Pinning::Unusable(manifest)) => return Err(unusable(&manifest).into()),
                Err(error) => return Err(cannot(&catalogue, &name, &error).into()),
            }
            if started.elapsed() > PATIENCE {
                let message = match catalogue.is_live(&name) {
                    Some(false) => format!(
                        "{name}: another program has locked its data, or its manifest in {}; lslocks(8) tells which",
                        catalogue.folder().display()
                    ),
                    _ => format!("{name}: is being completed or removed; try again"),
                };
                return Err(Failure::new(Exit::CONFLICT, message).into());
            }
            signals.check()?;
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn choose(&self, word: Option<&OsStr>) -> anyhow::Result<String> {
        if !self.latest {
            let word = word.unwrap_or_default().to_string_lossy();
            return Ok(self.named(&word).unwrap_or_else(|| word.into_owned()));
        }
        let contents = self.place.read(word, &self.filter)?;
        let wanted = |manifest: &Manifest| self.wanted.takes(manifest) && manifest.has_data();
        match newest::choose(&contents, wanted)? {
            Some(manifest) => Ok(manifest.name.clone()),
            None => {
                let place = self.place.describe(word, &self.filter);
                Err(newest::none(&contents, self.wanted, &place).into())
            }
        }
    }

    /// The name of what stands at a place, as `snapshot` and `latest` print it. No name has a slash.
    fn named(&self, place: &str) -> Option<String> {
        let contents = place.contains('/').then(|| self.place.catalogue().read().ok())??;
        let stands_there = |manifest: &&Manifest| {
            manifest.status == Status::Complete && manifest.places().iter().any(|it| it == place)
        };
        contents.manifests.iter().rfind(stands_there).map(|manifest| manifest.name.clone())
    }

    /// Who names one gets that one, but shall know, unless he does.
    fn warn(&self, manifest: &Manifest) {
        if !self.wanted.any && !manifest.clean {
            let reason = manifest.reason.as_deref().unwrap_or("its manifest does not say why");
            lines::warn(&format!("{} is not clean: {reason}", manifest.name));
        }
        if manifest.source_changed {
            let what = "its source was on another file system than those before it";
            lines::warn(&format!("{}: {what}", manifest.name));
        }
    }
}

fn unusable(manifest: &Manifest) -> Failure {
    let what = match manifest.status {
        _ if manifest.awaits_verdict() => "waits for the verdict of its group",
        Status::Begun | Status::Certified => "is not complete",
        Status::Complete if manifest.presence() == Presence::Replaced => {
            "something else stands where its data was"
        }
        Status::Complete if manifest.has_data() => "its data is gone",
        Status::Complete => "a command made it, and it has no data of its own to read",
        Status::Failed | Status::Revoked => "failed",
        Status::Pruning => "is being removed",
    };
    let message = format!("{}: {what}; see `stillpoint list`", manifest.name);
    Failure::new(Exit::MISSING, message)
}

fn cannot(catalogue: &Catalogue, name: &str, error: &io::Error) -> Failure {
    let folder = catalogue.folder().display();
    let (exit, what) = match error.kind() {
        io::ErrorKind::NotFound => (Exit::MISSING, "there is no such snapshot".to_owned()),
        io::ErrorKind::PermissionDenied => (Exit::DENIED, reason(error)),
        // That says nothing of the manifest.
        _ if is_shortage(error) => (Exit::SYSTEM, reason(error)),
        _ => (Exit::DATA, reason(error)),
    };
    Failure::new(exit, format!("{folder}: {name}: {what}; see `stillpoint list`"))
}
