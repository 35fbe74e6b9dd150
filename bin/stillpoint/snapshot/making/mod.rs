//! One snapshot from its first manifest to its last.
//!
//! Uses all other rooms of the snapshot. Right about what is left behind, whatever ends it: a certified snapshot under
//! its name, or none and a manifest that says why.

mod covered;
mod finished;
pub mod part;
mod pause;
mod steps;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use stillpoint::{Error, ExclusiveGuard};

use self::part::Part;
use super::arguments::{Arguments, OnDirty};
use super::coordinated::{self, Coordinated, Step};
use super::data::{current, discarding, sweep, volumes};
use super::members::Member;
use super::plan::Plan;
use super::provider::command;
use crate::barrier::exclusive::Others;
use crate::catalogue::entry::Entry;
use crate::catalogue::identity::Presence;
use crate::catalogue::manifest::{Manifest, Status};
use crate::files::names::rename_to_free;
use crate::process::signals::Signals;
use crate::snapshot::place::target::{Target, place_taken};
use crate::stilling::{Limits, Stilling};
use crate::words::exit::{Exit, Failure, reason};
use crate::words::lines::{say, warn};

/// A snapshot under way. Its manifest is *begun* and locked.
pub struct Making<'a> {
    pub arguments: &'a Arguments,
    pub plan: &'a Plan,
    pub members: &'a [Member],
    pub signals: &'a mut Signals,
    pub manifest: &'a mut Manifest,
    pub entry: Entry,
    /// Keeps the lock on the folder that is being filled.
    pub data: Option<File>,
    /// The pause did not last until the data was whole.
    pub revoked: bool,
    /// Who tells the steps, if somebody does.
    pub told: Option<&'a Coordinated>,
}

impl Making<'_> {
    /// Makes it, or leaves nothing behind but the manifest that says why not. What is a part of a whole is returned when it
    /// is certified.
    pub fn make(mut self) -> anyhow::Result<Option<Part>> {
        let taken = self.take();
        self.keep_dirt();
        let certified = taken.and_then(|()| self.certify()).and_then(|()| match self.told {
            Some(_) => Ok(()),
            None => self.publish(),
        });
        match (certified, self.told) {
            (Ok(()), None) => self.complete().map(|()| None),
            (Ok(()), Some(told)) => {
                told.certified(self.manifest);
                Ok(Some(Part { entry: self.entry, data: self.data }))
            }
            (Err(error), _) => {
                let error = coordinated::explain(error);
                self.fail(&error);
                Err(error)
            }
        }
    }

    /// Up to the certificate.
    fn take(&mut self) -> anyhow::Result<()> {
        let target = self.plan.target.as_ref();
        let wanted = &self.arguments.wanted;
        let limits = Limits { drain: self.arguments.drain, hold: self.arguments.hold() };
        let mut stilling = Stilling::prepare(wanted, &self.plan.provider.file_systems(), limits)?;
        let closed: Vec<&Path> = self.members.iter().map(|one| one.barrier.path()).collect();
        stilling.check_barriers(&closed)?;
        stilling.get_ready()?;
        let means = self.means(&stilling);
        self.look_around(&means)?;
        self.sync()?;
        self.step(Step::Freeze, None)?;
        let commands = self.plan.provider.commands(target);
        let (guard, foreign) = self.pause(&mut stilling)?;
        let made = self.refuse_dirty(&guard);
        let made = made.and_then(|()| Ok(self.told.map_or(Ok(()), Coordinated::quiet)?));
        let made = made.and_then(|()| self.claim());
        let made = made.and_then(|()| self.run(commands, &guard));
        let made = made.and_then(|()| self.step(Step::Release, Some((&guard, &mut stilling))));
        let so_far = guard.report().clone();
        if let Err(error) = made {
            // Opens the gate first of all.
            drop(guard);
            self.manifest.record_pause(&so_far);
            return Err(error);
        }
        let stayed = stilling.have_stayed_still();
        let released = guard.release();
        // Our own writers first: they count in milliseconds. Others must have been kept out until now.
        let stood = stilling.check();
        let kept_out = foreign.check().and(stood).and(stayed);
        drop(foreign);
        let kept_out = kept_out.and(stilling.thaw());
        self.manifest.participants = stilling.participants();
        self.manifest.record_pause(released.as_ref().unwrap_or(&so_far));
        let was_held = released.is_ok() && kept_out.is_ok();
        let covered = self.look_around(&means);
        self.manifest.certificate = was_held && covered.is_ok();
        self.revoked = !was_held;
        released.map_err(|error| self.not_held(error))?;
        kept_out?;
        Ok(covered?)
    }

    /// What a tool of ours has made is thrown away already; what a user's command has is the user's.
    fn not_held(&self, error: Error) -> anyhow::Error {
        match error {
            Error::Revoked { path, reason } if self.plan.provider.name() != command::NAME => {
                let path = path.display();
                let message = format!(
                    "{path}: the pause was not held to its end ({reason}): there is no snapshot"
                );
                Failure::new(Exit::LIMIT, message).into()
            }
            error => error.into(),
        }
    }

    /// Where only the tool makes what has the temporary name: nobody else has given the one for good since it
    /// was looked for.
    fn claim(&self) -> anyhow::Result<()> {
        if self.plan.provider.takes_name_first() {
            return Ok(());
        }
        match self.plan.target.as_ref().and_then(Target::taken) {
            Some(taken) => Err(place_taken(&taken).into()),
            None => Ok(()),
        }
    }

    /// The drain itself may have met a writer that died.
    fn refuse_dirty(&self, guard: &ExclusiveGuard) -> anyhow::Result<()> {
        for (member, dirty) in self.members.iter().zip(&guard.report().dirty_at_grant) {
            member.refuse_dirty(self.arguments.on_dirty, *dirty)?;
        }
        Ok(())
    }

    /// Why the snapshot is not clean, if it is not.
    fn unclean(&self) -> Option<String> {
        let records = self.members.iter().zip(&self.manifest.barriers);
        records.filter_map(|(member, record)| member.unclean(record)).next()
    }

    fn keep_dirt(&self) {
        for member in self.members {
            if let Err(failure) = member.keep_dirt() {
                warn(&format!("{failure}"));
            }
        }
    }

    /// The proof is there: everything that is left can take its time, the writers are back.
    fn certify(&mut self) -> anyhow::Result<()> {
        self.manifest.reason = self.unclean();
        self.manifest.clean = self.manifest.reason.is_none() && self.told.is_none();
        for (member, record) in self.members.iter().zip(&mut self.manifest.barriers) {
            record.lost = member.lost(record);
        }
        if let (Some(reason), OnDirty::Fail) = (&self.manifest.reason, self.arguments.on_dirty) {
            return Err(Failure::new(Exit::DATA, reason.clone()).into());
        }
        let settled = self.plan.provider.settle(self.plan.target.as_ref());
        settled.map_err(|error| Failure::system("writing the snapshot out", error))?;
        self.manifest.size = self.plan.provider.size(self.plan.target.as_ref());
        self.signals.check()?;
        if self.manifest.has_data() {
            self.plan.sources.check_again()?;
            self.identify()?;
        }
        if self.manifest.has_data() || self.told.is_some() {
            self.manifest.status = Status::Certified;
            self.entry.write(self.manifest).map_err(|error| self.plan.catalogue_failure(&error))?;
        }
        Ok(())
    }

    fn publish(&mut self) -> anyhow::Result<()> {
        if self.manifest.has_data() {
            // Whole, and for all to read.
            self.data = None;
            sweep::publish(self.manifest).map_err(|error| self.cannot_publish(&error))?;
        }
        Ok(())
    }

    /// From now on the manifest is about this data, and nothing else that may come in its place.
    fn identify(&mut self) -> anyhow::Result<()> {
        let identified = match &self.manifest.partial {
            Some(partial) => self.plan.provider.identify(partial).map(|identity| {
                self.manifest.identity = identity;
            }),
            None => volumes::identify(self.manifest),
        };
        Ok(identified.map_err(|error| Failure::system("looking at the snapshot", error))?)
    }

    /// The data has its name. Should the last manifest not be written, the next run does it.
    fn complete(&mut self) -> anyhow::Result<()> {
        self.manifest.end(Status::Complete, None);
        self.entry.write(self.manifest).map_err(|error| self.plan.catalogue_failure(&error))?;
        current::follow(&self.entry, self.manifest);
        finished::tell(&self.entry, self.manifest);
        Ok(())
    }

    /// Takes the data away and says why in the manifest. Data that cannot be removed leaves the
    /// manifest *begun*: the next run tries again. Data that could not be given its name for good,
    /// and has it for now, leaves it *certified*: the next run tries that again.
    fn fail(&mut self, error: &anyhow::Error) {
        if sweep::is_published(self.manifest) {
            let name = &self.manifest.name;
            warn(&format!("{name} is whole; the next snapshot completes it"));
            return finished::say_where(&self.entry, self.manifest);
        }
        let status = if self.revoked { Status::Revoked } else { Status::Failed };
        self.manifest.end(status, Some(format!("{error:#}")));
        if is_a_child_left() {
            return warn("the tool cannot be stopped; the next snapshot removes what it leaves");
        }
        self.data = None;
        if let Some(what) = sweep::missing(self.manifest) {
            let path = self.entry.path();
            return warn(&format!("{}: cannot clean up: {what}", path.display()));
        }
        self.say_if_gone();
        let removed = match &self.manifest.partial {
            Some(partial) if self.arguments.keep_failed => self.keep(partial.clone()),
            Some(partial) => discarding::discard(self.manifest, partial),
            None if self.arguments.keep_failed => self.keep_volumes(),
            None => volumes::discard(self.manifest),
        };
        let written = removed.and_then(|()| self.entry.write(self.manifest));
        if let Err(error) = written {
            let path = self.entry.path();
            warn(&format!(
                "{}: cannot clean up ({error}); the next snapshot tries again",
                path.display()
            ));
        }
        finished::say_where(&self.entry, self.manifest);
    }

    /// It was made, and somebody has moved it, or the folder that it is in.
    fn say_if_gone(&self) {
        if let Some(place) = sweep::lost(self.manifest) {
            warn(&format!("{}: what was made there is there no more", place.display()));
        }
    }

    /// Gives what there is of the data a name that cannot be taken for a snapshot's.
    fn keep(&mut self, partial: PathBuf) -> io::Result<()> {
        let Some(path) = &self.manifest.path else {
            return Ok(());
        };
        let kept = path.with_file_name(format!("{}.{}", self.manifest.name, self.how()));
        if self.manifest.is_at(&partial) == Presence::There {
            // Its parts too, if it was not certified.
            let identity = self.plan.provider.identify(&partial);
            self.manifest.identity = identity.unwrap_or_else(|_| self.manifest.identity.clone());
        }
        match rename_to_free(&partial, &kept) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                say(&format!("kept what there is of it as {}", kept.display()));
                self.manifest.kept = Some(kept);
                Ok(())
            }
        }
    }

    fn keep_volumes(&mut self) -> io::Result<()> {
        let how = self.how();
        for kept in volumes::keep(self.manifest, how)? {
            say(&format!("kept what there is of it as {kept}"));
        }
        Ok(())
    }

    /// How it ended, as the name of what is kept says.
    fn how(&self) -> &'static str {
        if self.revoked { "revoked" } else { "failed" }
    }

    fn cannot_publish(&self, error: &io::Error) -> Failure {
        let places = self.manifest.places().join(", ");
        let message = format!("{places}: cannot give the snapshot its name: {}", reason(error));
        Failure::new(Exit::CANNOT_CREATE, message)
    }
}

/// A process that even SIGKILL does not end sits in a system call that will still be carried out.
fn is_a_child_left() -> bool {
    matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive))
}
