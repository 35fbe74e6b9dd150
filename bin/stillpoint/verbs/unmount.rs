//! `stillpoint unmount`: the end of what `mount` has mounted, and of nothing else.
//!
//! No record is kept of what was mounted: it is what shows a snapshot of the catalogue, and is gone after a reboot.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};

use crate::catalogue::Catalogue;
use crate::catalogue::manifest::Manifest;
use crate::files::handle;
use crate::process::proc::{self, Process};
use crate::snapshot::place::mounts::{Mount, Mounts};
use crate::snapshot::place::showing::{shows, unmount_all};
use crate::words::exit::{Exit, Failure, STATUSES, reason};

/// How long the keeper may need to see that it is over.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    /// The folder of the manifests [default: $STILLPOINT_CATALOG, else /var/lib/stillpoint/catalog]
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,

    /// Where the snapshot is mounted
    #[arg(value_name = "DIR")]
    place: PathBuf,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let catalogue = Catalogue::locate(arguments.catalog.as_deref());
    let missing =
        |why: String| Failure::new(Exit::MISSING, format!("{}: {why}", arguments.place.display()));
    let place = arguments.place.canonicalize().map_err(|error| missing(reason(&error)))?;
    let mounts = Mounts::read()?;
    let Some(mount) = mounts.at(&place) else {
        return Err(missing("nothing is mounted there".to_owned()).into());
    };
    let Some(manifest) = shown(&catalogue, &place, mount) else {
        let folder = catalogue.folder().display();
        let why = format!(
            "what is mounted there is no snapshot of {folder}, and stays; name its --catalog, or use umount(8)"
        );
        return Err(missing(why).into());
    };
    // Who calls it may stand there himself, but not by us.
    let _ = std::env::set_current_dir("/");
    let unmounted = match manifest.path {
        Some(_) => umount2(&place, MntFlags::UMOUNT_NOFOLLOW),
        None => unmount_all(&place),
    };
    unmounted.map_err(|error| cannot(&place, error))?;
    // So that whoever prunes next finds no pin of ours.
    let started = Instant::now();
    while catalogue.is_locked(&manifest.name) == Some(true) && started.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(Exit::SUCCESS)
}

/// The snapshot that is to be seen there.
fn shown(catalogue: &Catalogue, place: &Path, mount: &Mount) -> Option<Manifest> {
    let folder = handle::readable(place).ok()?;
    let is_it = |manifest: &Manifest| match &manifest.path {
        None => shows(mount, manifest),
        Some(path) => {
            path != place
                && !manifest.identity.is_empty()
                && manifest.is_of(&folder).unwrap_or(false)
        }
    };
    catalogue.read().ok()?.manifests.into_iter().find(is_it)
}

fn cannot(place: &Path, error: Errno) -> Failure {
    let shown = place.display();
    match error {
        Errno::EPERM => Failure::new(
            Exit::DENIED,
            format!("{shown}: cannot unmount it: {}; run it as root", reason(&error.into())),
        ),
        Errno::EBUSY => {
            let mounts = Mounts::read().ok();
            let who = match (users(place), mounts.as_ref().and_then(|all| all.below(place))) {
                (users, _) if !users.is_empty() => {
                    format!("in use by {}; end that first", users.join(", "))
                }
                (_, Some(mount)) => {
                    format!("something is mounted at {}; unmount that", mount.display())
                }
                _ => "in use, by whom cannot be seen from here; try again later".to_owned(),
            };
            Failure::new(Exit::CONFLICT, format!("{shown}: {who}"))
        }
        _ => Failure::system(format_args!("{shown}: cannot unmount it"), error),
    }
}

/// Who stands there, or has something open there.
fn users(place: &Path) -> Vec<String> {
    let all = proc::all().unwrap_or_default().into_iter();
    let users = all.filter(|process| is_in(*process, place));
    users.map(|process| format!("{} ({})", process.comm(), process.0)).collect()
}

fn is_in(process: Process, place: &Path) -> bool {
    let leads_there = |link: PathBuf| fs::read_link(link).is_ok_and(|to| to.starts_with(place));
    let open = fs::read_dir(process.file("fd")).into_iter().flatten().flatten();
    ["cwd", "root", "exe"].into_iter().any(|link| leads_there(process.file(link)))
        || open.map(|entry| entry.path()).any(leads_there)
}
