//! The barriers of a snapshot, and whether they are clean.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use stillpoint::{Barrier, Dirty};

use super::arguments::{Arguments, OnDirty};
use super::place::mounts::Mounts;
use super::provider::{Freezes, Provider};
use crate::barrier::freezable;
use crate::barrier::lost::{LostRecord, not_acknowledged};
use crate::barrier::recovery::dirty_text;
use crate::barrier::state::{self, State, place};
use crate::catalogue::manifest::recordable;
use crate::catalogue::record::BarrierRecord;
use crate::words::advice::Named;
use crate::words::exit::{Exit, Failure};
use crate::words::lines::warn;
use crate::words::waiting::warn_if_unseen;

/// A barrier with its durable state, if it has one.
pub struct Member {
    name: Named,
    pub barrier: Barrier,
    pub state: Option<State>,
    state_path: Option<PathBuf>,
}

/// Opens each barrier once, in the order given.
pub fn open(arguments: &Arguments) -> anyhow::Result<Vec<Member>> {
    if arguments.state.is_some() && arguments.barriers.len() > 1 {
        return Err(Failure::usage(
            "--state names the state of one barrier, and there are several",
        )
        .into());
    }
    let mut members: Vec<Member> = Vec::new();
    let mut seen = Vec::new();
    for name in &arguments.barriers {
        let label = arguments.label.as_deref().unwrap_or("snapshot");
        let barrier = Barrier::options().user(arguments.user).label(label).open(name)?;
        recordable(barrier.path()).map_err(Failure::usage)?;
        let file = std::fs::metadata(barrier.path())
            .map_err(|error| Failure::system(barrier.path().display(), error))?;
        let identity = (file.dev(), file.ino());
        if seen.contains(&identity) {
            continue;
        }
        seen.push(identity);
        warn_if_unseen(&barrier);
        let state_path = place::path(name, arguments.user, arguments.state.as_deref())?;
        let find = |path: &Path| State::find(path, arguments.state.is_some());
        let state = state_path.as_deref().map(find).transpose()?.flatten();
        if let Some(known) = &state {
            known.tell(&barrier);
        }
        let name = Named::new(name, arguments.user, arguments.state.as_deref());
        members.push(Member { name, barrier, state_path, state });
    }
    Ok(members)
}

impl Member {
    /// The first entry in the manifest.
    pub fn record(&self) -> BarrierRecord {
        BarrierRecord::new(&self.barrier, self.state.is_some())
    }

    /// With `--on-dirty fail` a barrier that is known to be dirty is an error.
    pub fn refuse_dirty(&self, on_dirty: OnDirty, dirty: Dirty) -> Result<(), Failure> {
        match on_dirty == OnDirty::Fail && dirty.epoch != dirty.acknowledged {
            true => Err(Failure::new(Exit::DATA, dirty_text(&self.name, &self.barrier, dirty))),
            false => Ok(()),
        }
    }

    /// Who was lost and is not acknowledged, for a snapshot that is not clean.
    pub fn lost(&self, record: &BarrierRecord) -> Vec<LostRecord> {
        let (Some(grant), Some(release)) = (record.at_grant, record.at_release) else {
            return Vec::new();
        };
        // Others may have been lost, and some acknowledged, since.
        let dirty = Dirty { epoch: release.epoch, acknowledged: grant.acknowledged };
        not_acknowledged(dirty, &self.barrier.lost())
    }

    /// Why a snapshot with this record is not clean, if it is not.
    pub fn unclean(&self, record: &BarrierRecord) -> Option<String> {
        let path = self.barrier.path().display();
        let (Some(grant), Some(release)) = (record.at_grant, record.at_release) else {
            return Some(format!("{path}: its dirty epoch is not known"));
        };
        if grant.epoch != grant.acknowledged {
            let dirty = Dirty { epoch: grant.epoch, acknowledged: grant.acknowledged };
            return Some(dirty_text(&self.name, &self.barrier, dirty));
        }
        if release.epoch != grant.epoch {
            return Some(format!(
                "{path}: a writer was lost inside during the pause; take another one"
            ));
        }
        let state = self.state.as_ref()?;
        let whose = state.stranger(&record.uuid, &record.boot_id)?;
        let file = self.state_path.as_deref().unwrap_or(Path::new("its durable state"));
        Some(state::advice(&self.name, self.barrier.path(), file, whose))
    }

    /// Writes a writer that was lost down for the next boot.
    pub fn keep_dirt(&self) -> Result<(), Failure> {
        let Some(path) = &self.state_path else {
            return Ok(());
        };
        State::keep_dirt(path, &self.barrier)
    }

    /// A barrier that is snapshotted with the store works, but is one step from waiting forever; on a
    /// file system that is frozen, it would. In memory neither can be.
    pub fn check_file_systems(&self, provider: &dyn Provider) -> Result<(), Failure> {
        let freezes = provider.freezes();
        if freezes == Freezes::Anything {
            freezable::warn(&self.barrier);
            return Ok(());
        }
        if self.barrier.is_in_memory() {
            return Ok(());
        }
        let (mounts, path) = (Mounts::read()?, self.barrier.path());
        let sources = provider.file_systems();
        let Some(source) = sources.iter().find(|source| mounts.same_file_system(source, path))
        else {
            return Ok(());
        };
        let message = |what: &str| {
            format!(
                "{} lies on the file system of {}, which is {what}; keep it on another one, such as /run",
                path.display(),
                source.display()
            )
        };
        match freezes {
            Freezes::Sources => Err(Failure::new(Exit::UNAVAILABLE, message("frozen for it"))),
            _ => {
                warn(&message("being snapshotted"));
                Ok(())
            }
        }
    }
}
