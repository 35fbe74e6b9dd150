//! `--replace`: what is restored takes the place of what is there, while no writer is inside.
//!
//! All that takes time comes before the gate closes: the copy, its check, its way to the disk. In the pause the two
//! change places by one call each, which has happened or has not, and that is made durable before a writer comes back.
//! What was there before is kept under a name beside it, and removed by nobody but its owner.
//!
//! Whoever has a file open there would go on writing to what is kept. So it is not done while anybody has one open for
//! writing, whether he knows of the barrier or not.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stillpoint::{Barrier, Dirty};

use super::exchanging::exchange_all;
use super::inside::Found;
use super::work::{Spot, Work};
use super::{Done, Restoring, spot};
use crate::barrier::exclusive::{DRAIN, Exclusive, HOLD, Others, Patience};
use crate::barrier::recovery::Recovery;
use crate::catalogue::origin::{Origin, are_same};
use crate::catalogue::{Catalogue, Claim};
use crate::files::handle;
use crate::files::names::without_links;
use crate::process::child::ended::Ended;
use crate::process::signals::Signals;
use crate::snapshot::place::sources::Sources;
use crate::stilling::cover::{self, Extent, Means, Places};
use crate::words::exit::{Exit, Failure, reason};
use crate::words::lines::{say, warn};
use crate::words::waiting::who;

/// How long to wait for the writers.
const PATIENCE: Duration = Duration::from_secs(60);

impl Restoring<'_> {
    /// In the place of the source.
    pub fn replace(&self, found: &[Found], signals: &mut Signals) -> anyhow::Result<Done> {
        let parts;
        let (found, is_all) = match (found, self.inside.manifest.sources.len()) {
            // Each source has a place of its own.
            ([], 2..) => {
                parts = self.inside.find_all(&self.inside.parts())?;
                (parts.as_slice(), true)
            }
            _ => (found, found.is_empty()),
        };
        let places = self.places(found)?;
        let staying = self.staying();
        for (_, spot) in &places {
            self.refuse(spot, &staying)?;
        }
        self.refuse_elsewhere()?;
        let names = self.barriers();
        let barriers: Vec<Barrier> = names
            .iter()
            .map(|name| Barrier::options().label("restore").open(name))
            .collect::<Result<_, _>>()?;
        let recoveries: Vec<Recovery<'_>> = barriers
            .iter()
            .zip(&names)
            .map(|(one, name)| {
                Recovery::of(one, name.as_os_str(), false, self.arguments.state.as_deref())
            })
            .collect::<Result<_, _>>()?;
        let mut works = self.prepare(places, signals)?;
        self.check_all(&works, signals)?;

        let barriers: Vec<&Barrier> = barriers.iter().collect();
        let patience = Patience::new(Some(self.arguments.timeout.unwrap_or(PATIENCE)));
        let side = Exclusive {
            barriers: &barriers,
            label: "restore",
            patience: &patience,
            drain: DRAIN,
            hold: HOLD,
            inherited: false,
        };
        let mut unopened = Unopened::below(works.iter().map(|work| work.spot.place()));
        let guard = side.quiesce(signals, &mut unopened)?;
        signals.check()?;
        let dirty = guard.report().dirty_at_grant.clone();
        exchange_all(&mut works, &guard, &recoveries, &dirty)?;
        let released = guard.release();
        // Whatever comes now, it is done.
        let mut done = Done::default();
        for work in &mut works {
            done.restored.push(work.spot.place());
            if !work.has_former() {
                continue;
            }
            match work.keep() {
                Ok(kept) => {
                    say(&format!(
                        "what was {} before is kept as {}",
                        work.spot.place().display(),
                        kept.display()
                    ));
                    done.kept.push(kept);
                }
                Err(error) => warn(&format!(
                    "{}: is what was there before: {}",
                    work.shown().display(),
                    reason(&error)
                )),
            }
        }
        warn_of_users(&done.kept);
        if let Err(error) = released {
            let kept: Vec<String> =
                done.kept.iter().map(|path| path.display().to_string()).collect();
            warn(&format!(
                "writers may have come in before it was done: compare with {}",
                kept.join(", ")
            ));
            return Err(error.into());
        }
        done.acknowledged = self.acknowledge(&recoveries, &dirty, is_all)?;
        Ok(done)
    }

    pub(super) fn barriers(&self) -> Vec<PathBuf> {
        self.inside.manifest.barriers.iter().map(|record| record.barrier.clone()).collect()
    }

    /// Each thing with its place below the source.
    fn places<'b>(&self, found: &'b [Found]) -> Result<Vec<(Option<&'b Found>, Spot)>, Failure> {
        let sources = &self.inside.sources;
        let [source, ..] = sources.as_slice() else {
            let message = format!("{}: has no source to be replaced", self.inside.manifest.name);
            return Err(Failure::new(Exit::UNAVAILABLE, message));
        };
        let there = |source: &PathBuf| match source.is_relative() {
            true => Err(Failure::new(
                Exit::UNAVAILABLE,
                format!(
                    "{} is mounted nowhere: mount it, or restore to a new place with --to",
                    source.display()
                ),
            )),
            false => Ok(()),
        };
        if found.is_empty() {
            there(source)?;
            return Ok(vec![(None, spot(source)?)]);
        }
        let place = |one: &'b Found| {
            let mut names = one.path.iter();
            let source = match sources.len() {
                1 => source,
                _ => {
                    let name = names.next();
                    let mut named = self.inside.manifest.sources.iter().zip(sources);
                    let named = named.find(|(source, _)| source.file_name() == name);
                    named.ok_or_else(|| not_there(&one.path, "is below no source"))?.1
                }
            };
            there(source)?;
            let rest: Vec<&OsStr> = names.collect();
            let Some((name, way)) = rest.split_last() else {
                return Ok((Some(one), spot(source)?));
            };
            // Whoever owns a folder there may put a link into it at any moment.
            let mut shown = source.clone();
            let mut folder =
                handle::itself(&shown).map_err(|error| not_there(&shown, &reason(&error)))?;
            for part in way {
                shown.push(part);
                folder = handle::enter(&folder, part).map_err(|error| {
                    not_there(
                        &shown,
                        &format!("{}; restore that folder, or make it", reason(&error)),
                    )
                })?;
            }
            Ok((Some(one), Spot { folder, shown, name: name.to_os_string() }))
        };
        found.iter().map(place).collect()
    }

    /// Where the sources are now, if all of them are there.
    pub(super) fn origins(&self) -> Option<Vec<Origin>> {
        Sources::look_at(&self.inside.manifest.sources, false, self.mounts).ok()?.origins
    }

    /// All that takes time.
    fn prepare(
        &self,
        places: Vec<(Option<&Found>, Spot)>,
        signals: &mut Signals,
    ) -> anyhow::Result<Vec<Work>> {
        let mut works = Vec::new();
        for (found, spot) in places {
            let mut filling = self.filling(signals);
            let mut work = Work::begin(spot)?;
            work.try_exchange()?;
            match found {
                None => {
                    filling.check(&[], &work.spot)?;
                    filling.fill(&work)?;
                }
                Some(found) => {
                    filling.check(std::slice::from_ref(found), &work.spot)?;
                    filling.fill_with(found, &work)?;
                }
            }
            filling.settle(&work)?;
            let shown = work.shown();
            work.mark().map_err(|error| {
                Failure::new(
                    Exit::CANNOT_CREATE,
                    format!("{}: {}", shown.display(), reason(&error)),
                )
            })?;
            works.push(work);
        }
        Ok(works)
    }

    fn check_all(&self, works: &[Work], signals: &mut Signals) -> anyhow::Result<()> {
        for work in works {
            match self.check(&work.shown(), signals)? {
                Ended::Exited(0) => {}
                ended => {
                    let message = format!(
                        "{}: nothing is replaced, as the check ended with status {}",
                        work.spot.place().display(),
                        ended.exit().code()
                    );
                    return Err(Failure::new(ended.exit(), message).into());
                }
            }
        }
        Ok(())
    }

    /// What was lost inside has left nothing in what is there now, if that is whole and clean.
    fn acknowledge(
        &self,
        recoveries: &[Recovery<'_>],
        dirty: &[Dirty],
        is_all: bool,
    ) -> anyhow::Result<Vec<PathBuf>> {
        let mut acknowledged = Vec::new();
        for (recovery, dirty) in recoveries.iter().zip(dirty).filter(|(_, dirty)| dirty.is_dirty())
        {
            let path = recovery.barrier.path();
            let why = match (is_all, self.inside.manifest.clean, self.beside(path)) {
                (false, ..) => Some("it is a part of the store".to_owned()),
                (true, false, _) => Some("the snapshot is not clean".to_owned()),
                (true, true, other) => other.map(|source| format!("{source} is under it too")),
            };
            if let Some(why) = why {
                warn(&format!(
                    "{}: still dirty, as {why}; see `stillpoint recover`",
                    path.display()
                ));
                continue;
            }
            let lost = recovery.lost(*dirty);
            recovery.acknowledge(dirty.epoch)?;
            say(&format!(
                "{}: acknowledged epoch {}; lost inside: {lost}",
                path.display(),
                dirty.epoch
            ));
            acknowledged.push(path.to_owned());
        }
        Ok(acknowledged)
    }

    /// A source that was not replaced, if the catalogue knows of one under this barrier: what was lost may have been
    /// lost there.
    fn beside(&self, barrier: &Path) -> Option<String> {
        let ours = &self.inside.manifest.sources;
        let contents = self.arguments.choice.place.catalogue().read().unwrap_or_default();
        let contents = contents.under(&without_links(barrier));
        let mut sources = contents.manifests.iter().flat_map(|manifest| &manifest.sources);
        let other = sources.find(|source| !ours.iter().any(|our| source.starts_with(our)));
        other.map(|source| source.display().to_string())
    }

    /// The next snapshot shall know that the source is another one by now on purpose.
    pub fn note(&self, catalogue: &Catalogue) {
        let manifest = &self.inside.manifest;
        let Some(now) = self
            .origins()
            .filter(|now| manifest.origins.as_ref().is_some_and(|then| !are_same(then, now)))
        else {
            return;
        };
        let is_there =
            |one: &crate::catalogue::manifest::Manifest| one.sequence == manifest.sequence;
        let noted = match catalogue.claim(&manifest.name, is_there) {
            Ok(Claim::Ours(mut entry, mut manifest)) => {
                manifest.replaced = Some(now);
                entry.write(&manifest).is_ok()
            }
            _ => false,
        };
        if !noted {
            warn("the next snapshot will find its source changed: give it --source-changed accept");
        }
    }
}

fn not_there(path: &Path, why: &str) -> Failure {
    Failure::new(Exit::MISSING, format!("{}: {why}", path.display()))
}

/// Whoever came in at the last moment.
fn warn_of_users(kept: &[PathBuf]) {
    let mut after = Unopened::below(kept.iter().cloned());
    if !kept.is_empty() && !after.are_still() {
        let users = after.users.join(", ");
        warn(&format!("what is written there goes to what is kept: {users}; start it again"));
    }
}

/// Nobody has a file open for writing below these places.
struct Unopened {
    places: Places,
    users: Vec<String>,
}

impl Unopened {
    fn below(folders: impl Iterator<Item = PathBuf>) -> Unopened {
        // What is not there has no users.
        let folders = folders.filter(|folder| folder.symlink_metadata().is_ok()).collect();
        Unopened { places: Places { folders, extent: Extent::Mounts }, users: Vec::new() }
    }
}

impl Others for Unopened {
    fn are_asked(&self) -> bool {
        !self.places.folders.is_empty()
    }

    fn are_still(&mut self) -> bool {
        let sight = cover::look(&self.places, &Means::default());
        let user = |one: &crate::catalogue::cover::CoverRecord| {
            let process = who(one.pid, &one.comm, one.unit.as_deref().unwrap_or_default());
            let file =
                one.files.first().map(|file| format!(" with {file} open")).unwrap_or_default();
            format!("{process}{file}")
        };
        self.users = sight.writers.iter().map(user).collect();
        self.users.is_empty()
    }

    fn in_the_way(&self) -> Vec<String> {
        self.users.clone()
    }
}
