//! A snapshot made while no writer is inside, from its plan to its last manifest.
//!
//! The order of the steps is what makes it safe. Everything that can be refused is refused before
//! the gate closes. The manifest is durable before any data is made, so that data without an end
//! is known to the next run. The data gets the name that readers look for only once the
//! certificate says that the pause held from the first byte to the last, and the manifest says
//! *complete* only once it has that name. Whatever ends the run in between, a signal, a limit or
//! SIGKILL, leaves an open gate and nothing that looks like a snapshot.
//!
//! Uses `catalogue` and below. Right about order, as above. In it a lower room names no higher one, either:
//!
//! ```text
//! +-----------------------------------------+
//! |                 making                  |  from the first manifest to the last
//! +-------------+-------------+-------------+
//! |   members   |    plan     | coordinated |  the barriers | what will be done, checked | who tells the steps
//! +-------------+-------------+-------------+
//! |         arguments         |  what is asked for
//! +---------------------------+
//! |           data            |  named and removed, by its manifest
//! +-------------+-------------+
//! |  provider   |   foreign   |  what makes it | locks of other programs
//! +-------------+-------------+
//! |           place           |  where it is read from and put
//! +---------------------------+
//! ```

pub mod arguments;
pub mod coordinated;
pub mod data;
pub mod foreign;
mod making;
mod members;
pub mod place;
pub mod plan;
pub mod provider;

use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

use self::arguments::Arguments;
use self::coordinated::Coordinated;
use self::data::{current, sweep};
use self::foreign::ForeignLocks;
use self::making::Making;
pub use self::making::part::Part;
use self::members::Member;
use self::place::{sources, target};
use self::plan::{Names, Plan};
use crate::catalogue::clock::ClockRecord;
use crate::catalogue::identity::Identity;
use crate::catalogue::manifest::Manifest;
use crate::process::signals::Signals;
use crate::stilling::Wanted;
use crate::words::exit::{Exit, Failure};
use crate::words::lines::warn;

/// Takes a snapshot, or a part of one whose steps are told: that waits for the verdict. The record of it is left with the
/// caller, however it ends.
pub fn take(
    arguments: &Arguments,
    record: &mut Option<Manifest>,
    signals: &mut Signals,
    told: Option<&Coordinated>,
) -> anyhow::Result<Option<Part>> {
    arguments.wanted.check(arguments.hold())?;
    let members = members::open(arguments)?;
    let paths: Vec<PathBuf> =
        members.iter().map(|member| member.barrier.path().to_owned()).collect();
    let mut names = Names::new(arguments);
    let mut plan = Plan::checked(arguments, &paths, signals, &mut names)?;
    if let (Some(link), Some(target)) = (&arguments.current, &plan.target) {
        current::check(link, &target.folder)?;
    }
    let manifest = record.insert(first_manifest(arguments, &plan, &members));
    manifest.group = told.map(Coordinated::record);
    for member in &members {
        member.check_file_systems(plan.provider.as_ref())?;
        // No writer need wait for a snapshot that will not be kept.
        member.refuse_dirty(arguments.on_dirty, member.barrier.dirty())?;
    }
    let earlier = plan.catalogue.read().unwrap_or_default();
    sources::compare(manifest, &earlier, arguments.source_changed)?;
    target::compare(manifest, &earlier, arguments.source_changed)?;
    if arguments.dry_run {
        let closed: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        doubt(&arguments.wanted, &closed)?;
        return Ok(None);
    }
    plan.catalogue.create().map_err(|error| plan.catalogue_failure(&error))?;
    // What cannot be cleaned up is no reason against another one, and was said.
    let _ = sweep::sweep(&plan.catalogue);
    let (entry, data) = loop {
        match plan.begin(manifest) {
            Err(failure) if names.may_be_another(&failure) => {
                plan = Plan::checked(arguments, &paths, signals, &mut names)?;
                plan.name(manifest);
            }
            begun => break begun?,
        }
    };
    Making {
        arguments,
        plan: &plan,
        members: &members,
        signals,
        manifest,
        entry,
        data,
        revoked: false,
        told,
    }
    .make()
}

/// Refuses what would keep barriers from being closed for somebody else's snapshot, and closes none.
pub fn try_freezing(arguments: &Arguments, hold: Option<Duration>) -> anyhow::Result<()> {
    arguments.wanted.check(hold)?;
    let members = members::open(arguments)?;
    ForeignLocks::find(arguments.cyrus.as_deref(), arguments.cyrus_unchecked, &arguments.also)?;
    let closed: Vec<&Path> = members.iter().map(|member| member.barrier.path()).collect();
    Ok(doubt(&arguments.wanted, &closed)?)
}

/// Says what is doubtful of who shall be still, if nothing is wrong.
fn doubt(wanted: &Wanted, closed: &[&Path]) -> Result<(), Failure> {
    if let Some(doubt) = wanted.try_barriers(closed)? {
        warn(&doubt);
    }
    Ok(())
}

/// Waits for the verdict on a part that was taken, and does what it says. An error if it is no part of anything.
pub fn settle(
    part: Part,
    told: &Coordinated,
    manifest: &mut Manifest,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let sentence = told.verdict(signals)?;
    let settled = part.settle(&sentence, manifest).map_err(anyhow::Error::from);
    settled.map_err(coordinated::failed)?;
    told.settled();
    match manifest.is_aborted() {
        true => Err(aborted(manifest).into()),
        false => Ok(()),
    }
}

fn aborted(manifest: &Manifest) -> Failure {
    let why = manifest.reason.as_deref().unwrap_or("aborted by its group");
    Failure::new(Exit::CONFLICT, why)
}

fn first_manifest(arguments: &Arguments, plan: &Plan, members: &[Member]) -> Manifest {
    let mut manifest =
        Manifest::begun(plan.name.clone(), plan.provider.name(), plan.provider.sources());
    plan.name(&mut manifest);
    manifest.label = arguments.label.clone();
    manifest.current = arguments.current.as_ref().and_then(|link| absolute(link).ok());
    if plan.provider.volumes().is_empty() {
        manifest.named = sources::named(arguments.folders(), &manifest.sources);
    }
    manifest.clock = ClockRecord::now();
    manifest.origins.clone_from(&plan.sources.origins);
    manifest.barriers = members.iter().map(Member::record).collect();
    manifest.foreign = plan.foreign.records();
    manifest.folder = plan.target.as_ref().and_then(|target| Identity::of_target(&target.folder));
    if let Some((program, words)) = arguments.command.split_first() {
        manifest.command = Some(vec![program.to_string_lossy().into_owned()]);
        manifest.arguments = Some(words.len());
    }
    manifest
}
