//! What `--replace` leaves alone: places that cannot change with another one, or that something is in which must stay
//! where it is, and sources that are not what they were.

use std::path::PathBuf;

use super::Restoring;
use super::work::Spot;
use crate::catalogue::origin::Origin;
use crate::words::exit::{Exit, Failure};

impl Restoring<'_> {
    /// What must stay where it is.
    pub fn staying(&self) -> Vec<(&'static str, PathBuf)> {
        let catalogue = self.arguments.choice.place.catalogue();
        let contents = catalogue.read().unwrap_or_default();
        let others = contents.manifests.iter().filter(|one| one.is_present() == Some(true));
        let mut staying = vec![
            ("this snapshot", self.inside.place.clone()),
            ("the catalogue", catalogue.folder().to_owned()),
        ];
        staying.extend(self.barriers().into_iter().map(|path| ("the barrier", path)));
        staying.extend(others.filter_map(|one| Some(("another snapshot", one.path.clone()?))));
        for (_, path) in &mut staying {
            *path = path.canonicalize().unwrap_or_else(|_| path.clone());
        }
        staying
    }

    /// What cannot be exchanged, or must not.
    pub fn refuse(&self, spot: &Spot, staying: &[(&str, PathBuf)]) -> Result<(), Failure> {
        let place = spot.place();
        let refused = |why: String| {
            let message = format!("{}: {why}", place.display());
            Err(Failure::new(Exit::UNAVAILABLE, message))
        };
        match self.mounts.at_or_below(&place) {
            Some(mount) if mount == place => {
                return refused("something is mounted there, and cannot change places: name what is in it as PATH..., or restore to a new place with --to and mount that".into());
            }
            Some(mount) => {
                return refused(format!(
                    "{} is mounted in it: unmount that first",
                    mount.display()
                ));
            }
            None => {}
        }
        if spot.path().symlink_metadata().is_ok_and(|found| found.is_symlink())
            && self.inside.sources.contains(&place)
        {
            return refused("is a link by now: restore to a new place with --to".into());
        }
        for (what, path) in staying {
            if path.starts_with(&place) {
                return refused(format!(
                    "{what} is in it, {}, and would be no more where it was: name what else is in it as PATH..., or restore to a new place with --to",
                    path.display()
                ));
            }
        }
        Ok(())
    }

    /// A file system that is not mounted would be replaced by what belongs on it.
    pub fn refuse_elsewhere(&self) -> Result<(), Failure> {
        let sources = &self.inside.manifest.sources;
        let Some(now) = self.origins() else { return Ok(()) };
        let contents = self.arguments.choice.place.catalogue().read().unwrap_or_default();
        let of_these = contents.manifests.iter().filter(|one| one.sources == *sources);
        let mut known = of_these.flat_map(|one| [&one.origins, &one.replaced]).flatten().peekable();
        if known.peek().is_none() || known.any(|known| same_outside(known, &now)) {
            return Ok(());
        }
        let now: Vec<String> = now.iter().map(Origin::to_string).collect();
        let message = format!(
            "{} is on {}, where it was for no snapshot: mount it, or restore to a new place",
            sources.iter().map(|one| one.display().to_string()).collect::<Vec<_>>().join(", "),
            now.join(", ")
        );
        Err(Failure::new(Exit::UNAVAILABLE, message))
    }
}

fn same_outside(some: &[Origin], others: &[Origin]) -> bool {
    some.len() == others.len()
        && some.iter().zip(others).all(|(one, other)| one.is_same_outside(other))
}
