//! `stillpoint mount`: a snapshot at a place where everybody can read it, and which stays meanwhile.
//!
//! A process stays behind, the keeper, which holds the pin until the mount is gone ([`keeper`]). It may be killed, and
//! the mount may be seen where it cannot be: so what removes snapshots asks the table of mounts, too.
//!
//! The mount is made read-only aside, in a folder that nobody else can enter, and then shown at its place: there it
//! could never be written to, nor in another mount namespace that it spreads to, where a change of it does not come.

mod keeper;
mod place;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use nix::unistd::getpid;

use self::place::Place;
use crate::files::handle;
use crate::process::proc::Process;
use crate::process::proc::mounts::seen_by;
use crate::process::signals::Signals;
use crate::selection::chosen::Choice;
use crate::snapshot::place::showing::unmount_all;
use crate::words::exit::{self, Exit, Failure};

const USAGE: &str = "\
stillpoint mount [OPTIONS] NAME DIR
       stillpoint mount [OPTIONS] --latest BARRIER DIR";

#[derive(clap::Args)]
#[command(after_help = exit::STATUSES, override_usage = USAGE)]
pub struct Arguments {
    #[command(flatten)]
    choice: Choice,

    /// Name of the snapshot; with --latest, name or path of a barrier
    #[arg(value_name = "NAME|BARRIER")]
    word: OsString,

    /// An empty folder that it is mounted over
    #[arg(value_name = "DIR")]
    place: PathBuf,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let unavailable = |message: String| Failure::new(Exit::UNAVAILABLE, message);
    arguments.choice.check()?;
    if getpid().as_raw() == 1 {
        let message = "what keeps the snapshot would end with this process, the first one of a container; \
                       mount it from a container that goes on, or read it in `use --at`";
        return Err(unavailable(message.to_owned()).into());
    }
    if !handle::are_there() {
        return Err(unavailable("/proc is not mounted; mount it".to_owned()).into());
    }
    let place = Place::find(&arguments.place)?;
    let signals = Signals::watch()?;
    let pin = arguments.choice.pin(Some(&arguments.word), &signals)?;
    let name = &pin.manifest.name;
    match &pin.manifest.path {
        Some(folder) => place.show(folder)?,
        None => place.mount(&pin.manifest)?,
    }
    let kept = seen_by(Process::this())
        .map_err(|error| Failure::system("/proc/self/mountinfo", error))
        .and_then(|mounts| {
            let ours = mounts.into_iter().rfind(|mount| mount.target == place.path);
            let gone = || unavailable(format!("{}: unmounted already", place.path.display()));
            keeper::start(&pin, ours.ok_or_else(gone)?)
        });
    let told = kept.map_err(anyhow::Error::from).and_then(|()| {
        let mut output = io::stdout().lock();
        writeln!(output, "{name}").and_then(|()| output.flush()).context("standard output")
    });
    if told.is_err() {
        // What failed has done nothing. What keeps it ends with it.
        let _ = unmount_all(&place.path);
    }
    told.map(|()| Exit::SUCCESS)
}
