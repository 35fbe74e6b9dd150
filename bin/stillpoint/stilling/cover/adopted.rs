//! Whether a process that has the library is stilled by it.
//!
//! It is if its settings protect the place, and the write locks on that are asked for: it waits at the gate, but it holds
//! what it holds. It has read its settings when it was started. Whoever may become another user has joined
//! then too; any other joins when it first asks for a lock.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::files::Open;
use super::member::Barrier;
use super::memory::Memory;
use super::mounts::Mounts;
use super::place::Place;
use super::process::Process;
use crate::process::proc::text::{Device, without_removed};
use crate::words::adoption::{Adoption, CONFIG, FILE, NARROWED};
use crate::words::exit::reason;

/// Why it is not stilled in these places, if it is not. `asked`: where write locks are asked for.
pub fn why_not(
    process: Process,
    open: &Open,
    places: &[&Place],
    barriers: &[Barrier],
    asked: &[Device],
    mounts: &mut Mounts,
) -> Option<String> {
    let is_member = barriers.iter().any(|barrier| barrier.is_in(&open.memory));
    let settings = Settings::of(process, mounts.are_those_of(process.0));
    if !is_member && !settings.as_ref().is_ok_and(|settings| settings.will_join(process, barriers))
    {
        return without_barrier(process, &open.memory);
    }
    let settings = match settings {
        Ok(settings) => settings,
        Err(why) => return Some(why),
    };
    if settings.is_newer_than(process) {
        return Some("its settings were changed since it was started: start it again".to_owned());
    }
    let protected = settings.said.protected.iter().filter_map(|path| Place::of(path, mounts));
    let protected: Vec<Device> = protected.map(|place| place.device).collect();
    places.iter().find_map(|place| {
        let shown = place.path.display();
        match (protected.contains(&place.device), asked.contains(&place.device)) {
            (false, _) => Some(format!(
                "it is adopted, but not for {shown}: its settings do not protect that"
            )),
            (true, false) => Some(format!("it is adopted, and --adopted {shown} was not given")),
            (true, true) => None,
        }
    })
}

/// What the library in a process has read.
struct Settings {
    said: Adoption,
    changed: Option<SystemTime>,
}

/// What has the library loaded.
const PRELOAD: &str = "LD_PRELOAD";

/// Times of files are not told any finer, nor those of processes.
const RESOLUTION: Duration = Duration::from_millis(50);

impl Settings {
    /// An error says why there are none that count for it.
    fn of(process: Process, sees_ours: bool) -> Result<Settings, String> {
        let variable = |name| process.variable(name).filter(|_| !process.is_secure());
        let file = variable(CONFIG).map_or_else(|| FILE.into(), PathBuf::from);
        let file = match sees_ours {
            true => file,
            false => process.inside(&file),
        };
        let unreadable =
            |error| format!("its settings cannot be read: {}: {}", file.display(), reason(&error));
        let mut said = Adoption::parse(&fs::read(&file).map_err(unreadable)?, |_, _| {});
        if variable(NARROWED).is_some_and(|narrowed| !said.narrow(&narrowed)) {
            return Err(format!("{NARROWED} in its environment takes that away"));
        }
        let changed = fs::metadata(file).and_then(|found| found.modified()).ok();
        Ok(Settings { said, changed })
    }

    /// One that has not joined yet will, when it asks for a lock.
    fn will_join(&self, process: Process, barriers: &[Barrier]) -> bool {
        // Some write their name over their environment, and over what it takes away.
        if process.variable(PRELOAD).is_none() || process.is_root() {
            return false;
        }
        let barrier = self.said.barrier.as_ref().map(|path| process.inside(path));
        let found = barrier.and_then(|path| fs::metadata(path).ok());
        found.is_some_and(|found| {
            let it = (found.dev(), found.ino());
            barriers.iter().any(|barrier| barrier.identity == it)
                && process.may_write(&found) == Some(true)
        })
    }

    /// It has read them before they became what they are.
    fn is_newer_than(&self, process: Process) -> bool {
        match (self.changed, process.started()) {
            (Some(changed), Some(started)) => changed > started + RESOLUTION,
            _ => true,
        }
    }
}

/// Why a process that has joined none of the barriers has not.
pub fn without_barrier(process: Process, memory: &Memory) -> Option<String> {
    let verb = if memory.is_preloaded { "adopted to" } else { "linked to" };
    if let Some(other) = memory.a_barrier() {
        return Some(match without_removed(other.as_os_str()) {
            Some(other) => format!(
                "it is {verb} a file that was removed from {}: start it again",
                Path::new(other).display()
            ),
            None => format!("it is {verb} another barrier, {}", other.display()),
        });
    }
    if !memory.is_preloaded {
        return None;
    }
    let is_off = process.variable(NARROWED).is_some_and(|value| value.as_bytes() == b"off");
    Some(match is_off && !process.is_secure() {
        true => format!("{NARROWED}=off in its environment"),
        false => "it has the library, and has joined no barrier; when it asks for a lock, the system's log says why".to_owned(),
    })
}
