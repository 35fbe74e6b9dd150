//! `stillpoint adopt check`: who writes below a folder, how each is covered, and what to change.
//!
//! It looks as a snapshot does that is taken with `--adopted`, and closes no gate. Whatever it finds to change comes with
//! the setting.

mod report;

use std::ffi::OsString;
use std::path::PathBuf;

use stillpoint::barrier_path;

use crate::adoption::advice::Adviser;
use crate::adoption::configuration;
use crate::adoption::library::Library;
use crate::adoption::settings::Settings;
use crate::catalogue::cover::Sight;
use crate::stilling::cover::{self, Extent, Means, Places};
use crate::stilling::locks::{Lasting, Locks};
use crate::words::exit::{Exit, Failure, STATUSES};

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    /// Print a JSON object
    #[arg(long)]
    json: bool,

    /// Read this file instead of /etc/stillpoint/adopt.conf
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Who is a member of this barrier is covered too
    #[arg(long, value_name = "BARRIER")]
    barrier: Vec<OsString>,

    /// The folder that a snapshot is to be taken of
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

/// What was found.
pub struct Findings {
    pub path: PathBuf,
    pub sight: Sight,
    /// What is wrong with the configuration.
    pub faults: Vec<String>,
    /// Locks that no pause waits for so long.
    pub locks: Vec<Lasting>,
    /// What to do about processes.
    pub advice: Vec<String>,
}

impl Findings {
    fn is_well(&self) -> bool {
        self.sight.covered() == Some(true) && self.faults.is_empty() && self.locks.is_empty()
    }
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let path = arguments.path.canonicalize();
    let path = path.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::new(
            Exit::MISSING,
            format!("{}: there is no such folder", arguments.path.display()),
        ),
        _ => Failure::system(arguments.path.display(), error),
    })?;
    let library = Library::find();
    let settings = Settings::read(arguments.config.as_deref());
    let mut faults = configuration::faults(&path, &settings, &library);
    let mut barriers: Vec<PathBuf> =
        settings.iter().filter_map(|settings| settings.said.barrier.clone()).collect();
    for name in &arguments.barrier {
        barriers.push(barrier_path(name, false)?);
    }
    let places = Places { folders: vec![path.clone()], extent: Extent::Mounts };
    let means = Means { barriers, adopted: vec![path.clone()], ..Means::default() };
    let sight = cover::look(&places, &means);
    let adviser = Adviser { library: library.as_ref().ok(), settings: settings.as_ref().ok() };
    let advice = sight.uncovered().filter_map(|writer| adviser.about(writer)).collect();
    faults.extend(sight.unseen.clone());
    let ignored = settings.as_ref().map_or(&[][..], |settings| &settings.said.ignored);
    let locks = Locks::on(&means.adopted, ignored)?.that_last();
    let findings = Findings { path, sight, faults, locks, advice };
    match arguments.json {
        true => report::json(&findings)?,
        false => report::text(&findings)?,
    }
    Ok(if findings.is_well() { Exit::SUCCESS } else { Exit::new(1) })
}
