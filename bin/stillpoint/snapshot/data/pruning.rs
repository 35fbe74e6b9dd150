//! Removing what need not be kept, and records of those that failed.
//!
//! What need not be kept is decided in [`retention`](crate::catalogue::retention); how a snapshot goes, in
//! [`removal`]. In between stands the lock: a snapshot that is read, made or
//! removed by somebody else cannot be had and is left alone.

use std::io;
use std::time::Duration;

use super::{removal, sweep};
use crate::catalogue::identity::Presence;
use crate::catalogue::manifest::{Manifest, Status};
use crate::catalogue::reading::Contents;
use crate::catalogue::retention::{Doubt, Keep, Loss, judge};
use crate::catalogue::{Catalogue, Claim};
use crate::words::exit::{Exit, Failure, reason};
use crate::words::lines::{say, warn};

/// `list` takes the lock for a moment, to see whether it is free.
const TRIES: u32 = 5;

/// How it is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub keep: Keep,
    /// Even if most of a series are old by their times alone.
    pub force: bool,
    pub dry_run: bool,
}

/// What became of one that need not be kept.
pub enum Outcome {
    Removed,
    Planned,
    InUse,
    /// Somebody else has removed it, or does so, and says that.
    Gone,
    Failed(io::Error),
}

/// Prunes what `read` finds once the catalogue is swept, and tells what became of each: of what, in words, unless
/// it was left from an earlier run. A failure is said; the first makes the status.
pub fn prune(
    catalogue: &Catalogue,
    terms: Terms,
    read: impl FnOnce() -> anyhow::Result<Contents>,
    mut tell: impl FnMut(&Manifest, Option<&str>, &Outcome) -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    let stuck = match terms.dry_run || !catalogue.folder().is_dir() {
        true => Vec::new(),
        false => sweep::sweep(catalogue),
    };
    let Contents { manifests, damaged } = read()?;
    let judgement = judge(&manifests, terms.keep);
    for doubt in &judgement.doubts {
        warn(&doubt_text(doubt));
    }
    let loss = judgement.losses.first().filter(|_| !terms.force);
    if let (Some(loss), false) = (loss, terms.dry_run) {
        return Err(loss_failure(loss).into());
    }
    // What cannot be read may be one that should have gone.
    let mut exit = if damaged.is_empty() { Exit::SUCCESS } else { Exit::DATA };
    let tried_again = |name: &str| judgement.expendable.iter().any(|one| one.name == name);
    for (manifest, error) in stuck.into_iter().filter(|(one, _)| !tried_again(&one.name)) {
        let outcome = match error.kind() {
            io::ErrorKind::WouldBlock => Outcome::InUse,
            _ => Outcome::Failed(error),
        };
        match &outcome {
            Outcome::Failed(error) if matches!(exit, Exit::SUCCESS | Exit::DATA) => {
                exit = failure(&manifest, error).exit;
            }
            _ => {}
        }
        tell(&manifest, None, &outcome)?;
    }
    for manifest in judgement.expendable {
        let what = subject(manifest);
        let outcome = match terms.dry_run {
            true => planned(catalogue, manifest),
            false => remove(catalogue, manifest),
        }
        .unwrap_or_else(Outcome::Failed);
        if let Outcome::Failed(error) = &outcome {
            let failure = failure(manifest, error);
            say(&failure.to_string());
            if matches!(exit, Exit::SUCCESS | Exit::DATA) {
                exit = failure.exit;
            }
        }
        tell(manifest, Some(&what), &outcome)?;
    }
    match loss {
        Some(loss) => Err(loss_failure(loss).into()),
        None => Ok(exit),
    }
}

/// Why more is kept than was asked for.
fn doubt_text(doubt: &Doubt<'_>) -> String {
    let time = |manifest: &Manifest| match manifest.taken_at() {
        Some(taken) => format!("{} ({taken:.0})", manifest.name),
        None => manifest.name.clone(),
    };
    let kept = match doubt.kept.as_slice() {
        [first, more @ ..] if !more.is_empty() => {
            format!("{} and {} more are kept", first.name, more.len())
        }
        one => format!("{} is kept", one[0].name),
    };
    let [before, after] = doubt.jump.map(time);
    format!(
        "{kept}, whatever the times say: from {before} to {after} the clock may have been set, \
         and nothing else tells how much time has passed"
    )
}

/// A clock that is wrong looks like this.
fn loss_failure(loss: &Loss<'_>) -> Failure {
    let names = match loss.clean.as_slice() {
        [first, .., last] => format!("{} to {}", first.name, last.name),
        few => few.iter().map(|one| one.name.as_str()).collect(),
    };
    let message = format!(
        "{} of {} clean snapshots, {names}, are old by the clock alone; nothing is removed: \
         look at the times in `stillpoint list`, then use --force, or --keep as well",
        loss.clean.len(),
        loss.of
    );
    Failure::new(Exit::DATA, message)
}

fn planned(catalogue: &Catalogue, manifest: &Manifest) -> io::Result<Outcome> {
    if catalogue.is_locked(&manifest.name) == Some(true) {
        return Ok(Outcome::InUse);
    }
    match removal::check(manifest) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Outcome::InUse),
        checked => checked.map(|()| Outcome::Planned),
    }
}

fn remove(catalogue: &Catalogue, manifest: &Manifest) -> io::Result<Outcome> {
    let unchanged =
        |found: &Manifest| found.status == manifest.status && found.sequence == manifest.sequence;
    for _ in 0..TRIES {
        match catalogue.claim(&manifest.name, unchanged)? {
            Claim::Ours(mut entry, mut manifest) => {
                return match removal::remove(&mut entry, &mut manifest) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Outcome::InUse),
                    removed => removed.map(|()| Outcome::Removed),
                };
            }
            Claim::Changed => return Ok(Outcome::Gone),
            Claim::Busy => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    Ok(Outcome::InUse)
}

fn failure(manifest: &Manifest, error: &io::Error) -> Failure {
    Failure::system(
        format!("{}: cannot be removed, the next run tries again", manifest.name),
        io::Error::new(error.kind(), reason(error)),
    )
}

/// What goes, in words.
fn subject(manifest: &Manifest) -> String {
    let name = &manifest.name;
    match (manifest.status, manifest.has_data(), manifest.presence()) {
        (Status::Complete, true, Presence::Gone) => {
            format!("the record of {name}, whose data was gone")
        }
        (Status::Complete, true, Presence::Replaced) => {
            let places = manifest.places().join(", ");
            format!("the record of {name}; {places} is something else by now and is left")
        }
        (Status::Complete, true, _) => manifest.places().join(", "),
        (Status::Complete, false, _) => {
            format!("the record of {name}; what its command made is left")
        }
        _ => format!("the record of {name}, which failed"),
    }
}
