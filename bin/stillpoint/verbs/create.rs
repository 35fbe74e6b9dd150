//! `stillpoint create`: makes a barrier, and its durable state.
//!
//! The state is written first: a barrier in use of which the disk knows nothing could lose a mark
//! in a power cut, while a state without a barrier costs no more than a needless one. Run again
//! while the barrier is there, it changes nothing; so it may stand in a service's start.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::unistd::Group;
use stillpoint::{Barrier, Dirty, ErrorKind, Founding, Lost, Options, Status};

use crate::barrier::freezable;
use crate::barrier::lost::unseen;
use crate::barrier::state::State;
use crate::barrier::state::place;
use crate::words::advice::Named;
use crate::words::exit::{Exit, Failure};
use crate::words::lines;
use crate::words::waiting::warn_if_unseen;

/// Who was lost when a boot ended without `retire`: whoever was inside.
const NOT_RETIRED: &str = "crash or power cut: not retired";
/// Who was lost when a barrier was made in the place of one that was retired dirty.
const NOT_ACKNOWLEDGED: &str = "in the barrier before this one";

#[derive(clap::Args)]
pub struct Arguments {
    /// Name of the barrier, or a path
    barrier: OsString,

    /// Group of the writers, by name or number
    #[arg(long, allow_hyphen_values = true, value_parser = group)]
    group: Option<u32>,

    /// Permissions of the file, octal [default: 0660]
    #[arg(long, allow_hyphen_values = true, value_parser = mode)]
    mode: Option<u32>,

    /// Writers woken at once when a pause ends, 0 for all [default: 100]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    readmit: Option<u32>,

    /// Have every writer pass a full fence, for tools that cannot call membarrier(2)
    #[arg(long)]
    fences: bool,

    /// Keep the durable state in this file, or none [default: /var/lib/stillpoint/NAME.state]
    #[arg(long, value_name = "PATH|none")]
    state: Option<PathBuf>,

    /// Create it in $XDG_RUNTIME_DIR/stillpoint
    #[arg(long)]
    user: bool,
}

impl Arguments {
    fn named(&self) -> Named {
        Named::new(&self.barrier, self.user, self.state.as_deref())
    }
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let state = place::path(&arguments.barrier, arguments.user, arguments.state.as_deref())?;
    let _planning = state.as_deref().and_then(State::plan);
    let known = match &state {
        Some(path) => State::load(path)?,
        None => None,
    };
    let before = match &known {
        Some(known) => Some(known.clone()),
        None => elsewhere(&arguments)?,
    };
    let file = stillpoint::barrier_path(&arguments.barrier, arguments.user)?;
    let boot_id = boot_id()?;
    if Status::read(&file).is_ok() {
        return keep(&arguments, state.as_deref(), before.as_ref(), None);
    }

    let planned = plan(before.as_ref(), &boot_id)?;
    if let Some(path) = &state {
        planned.store(path)?;
    }
    // A state that is known is that of a barrier with the same identity, whose pauses had others.
    let generation = match known {
        Some(_) => words(&fresh_uuid()?).map_or(0, |[drawn, ..]| drawn),
        None => 0,
    };
    let barrier = match found(&arguments, &planned, generation) {
        Ok(barrier) => barrier,
        Err(error) => {
            if error.kind() == ErrorKind::Exists {
                return keep(&arguments, state.as_deref(), before.as_ref(), Some(&planned));
            }
            if let Some(path) = &state {
                restore(&arguments, path, known.as_ref());
            }
            return Err(error.into());
        }
    };
    barrier.recall(&planned.lost.iter().map(Lost::from).collect::<Vec<_>>());
    if let Some(path) = &state {
        // Garbage made anew is dirty beyond the plan, and another `create` may have written last.
        State::note(path, &barrier)?;
    }
    freezable::warn(&barrier);
    warn_if_unseen(&barrier);
    if arguments.mode.is_some_and(|mode| mode & 0o004 != 0) {
        lines::warn(&format!(
            "{}: everybody may read it, and so lock it, as flock(1) does: that keeps tools out, and new writers",
            file.display()
        ));
    }
    let dirty = barrier.dirty();
    if dirty.is_dirty() {
        lines::say(&format!(
            "{} starts dirty (epoch {}, acknowledged {}): {}{}",
            file.display(),
            dirty.epoch,
            dirty.acknowledged,
            match before.as_ref().is_some_and(State::is_open) {
                true => "it was not retired; ",
                false => "",
            },
            arguments.named().recovery(),
        ));
    }
    Ok(Exit::SUCCESS)
}

/// What is known of the barrier of this name, where another place is given for its state that has none
/// yet, or none: a crash is not forgotten by looking away.
fn elsewhere(arguments: &Arguments) -> anyhow::Result<Option<State>> {
    let usual = match &arguments.state {
        Some(_) => place::path(&arguments.barrier, arguments.user, None)?,
        None => None,
    };
    Ok(match usual {
        Some(path) => State::load(&path)?.filter(|known| known.is_open() || known.is_dirty()),
        None => None,
    })
}

/// The state of the barrier to be made. One that was left open lost writers we know nothing about.
fn plan(known: Option<&State>, boot_id: &str) -> anyhow::Result<State> {
    let Some(known) = known else {
        return Ok(State::open(&fresh_uuid()?, boot_id, Dirty::default(), &[]));
    };
    let mut lost: Vec<Lost> = known.lost.iter().map(Lost::from).collect();
    let mut dirty = Dirty { epoch: known.epoch, acknowledged: known.acknowledged };
    if known.is_open() {
        dirty.epoch = dirty.epoch.wrapping_add(1);
        lost.insert(0, unseen(dirty.epoch, NOT_RETIRED, Some(SystemTime::now())));
    }
    Ok(State::open(&known.uuid, boot_id, dirty, &lost))
}

fn found(
    arguments: &Arguments,
    planned: &State,
    generation: u32,
) -> Result<Barrier, stillpoint::Error> {
    let dirty = Dirty { epoch: planned.epoch, acknowledged: planned.acknowledged };
    let mut founding = Founding::new(words(&planned.uuid), dirty);
    founding.generation = generation;
    options(arguments).founding(founding).found(&arguments.barrier)
}

fn options(arguments: &Arguments) -> Options {
    let mut options = Barrier::options().user(arguments.user).fences(arguments.fences);
    if let Some(mode) = arguments.mode {
        options = options.mode(mode);
    }
    if let Some(group) = arguments.group {
        options = options.group(group);
    }
    if let Some(writers) = arguments.readmit {
        options = options.readmit(writers);
    }
    options
}

/// The barrier is there; opening it sees to what another boot may have left. All that may be missing is
/// its state. `planned`: what we have written there for a barrier that somebody else has made first.
fn keep(
    arguments: &Arguments,
    state: Option<&Path>,
    known: Option<&State>,
    planned: Option<&State>,
) -> anyhow::Result<Exit> {
    // Opened, not just read: it must be one that writers can use.
    let barrier = Barrier::options().user(arguments.user).open(&arguments.barrier)?;
    barrier.gather()?;
    warn_if_unseen(&barrier);
    // Before anything is refused: who is told to retire it first must be able to.
    if let Some(known) = known.filter(|known| known.uuid != barrier.uuid()) {
        // A program made a new barrier before us; what the last one lost is not forgiven.
        match known.is_open() {
            true => barrier.raise_dirty(0, NOT_RETIRED),
            false if known.is_dirty() => barrier.raise_dirty(0, NOT_ACKNOWLEDGED),
            false => {}
        }
    }
    if let Some(path) = state {
        // What we had planned is nothing that the barrier has forgotten.
        if planned.is_some() && State::load(path)?.as_ref() == planned {
            State::of(&barrier, barrier.dirty()).store(path)?;
        }
        State::note(path, &barrier)?;
    }
    let shown = barrier.path().display();
    if let Some((what, flag)) = differs(arguments, &barrier)? {
        let message = format!(
            "{shown} exists with {what}: {} first, or leave out --{flag}",
            arguments.named().command("retire")
        );
        return Err(Failure::new(Exit::CANNOT_CREATE, message).into());
    }
    lines::say(&format!("{shown} exists already"));
    Ok(Exit::SUCCESS)
}

/// What a barrier that is there has otherwise than asked for, and by which flag.
fn differs(
    arguments: &Arguments,
    barrier: &Barrier,
) -> anyhow::Result<Option<(&'static str, &'static str)>> {
    let file = fs::metadata(barrier.path())
        .map_err(|error| Failure::system(barrier.path().display(), error))?;
    let has_other = [
        (("another group", "group"), arguments.group.is_some_and(|group| group != file.gid())),
        (("another mode", "mode"), arguments.mode.is_some_and(|mode| mode != file.mode() & 0o7777)),
        (
            ("another readmit", "readmit"),
            arguments.readmit.is_some_and(|writers| writers != barrier.readmit()),
        ),
        (("writers without fences", "fences"), arguments.fences && barrier.is_unfenced()),
    ];
    Ok(has_other.iter().find(|(_, other)| *other).map(|(what, _)| *what))
}

/// Nothing was made: as if we had not been here. A failure leaves *open*, which is safe. What is
/// restored may say *retired*, so look whether somebody else has made the barrier meanwhile; he in
/// turn looks at the state after he has made it.
fn restore(arguments: &Arguments, path: &Path, known: Option<&State>) {
    let _ = match known {
        Some(known) => known.store(path).is_ok(),
        None => State::remove(path).is_ok(),
    };
    if let Ok(barrier) = Barrier::options().user(arguments.user).open(&arguments.barrier) {
        let _ = State::note(path, &barrier);
    }
}

fn boot_id() -> Result<String, Failure> {
    identifier("/proc/sys/kernel/random/boot_id")
}

fn fresh_uuid() -> Result<String, Failure> {
    identifier("/proc/sys/kernel/random/uuid")
}

/// 32 hex digits, which the kernel writes with dashes.
fn identifier(path: &str) -> Result<String, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().replace('-', "")),
        Err(error) => Err(Failure::system(format_args!("cannot read {path}"), error)),
    }
}

fn words(uuid: &str) -> Option<[u32; 4]> {
    let number = u128::from_str_radix(uuid, 16).ok()?;
    Some([96, 64, 32, 0].map(|shift| (number >> shift) as u32))
}

fn group(text: &str) -> Result<u32, String> {
    let number = match (text.parse(), Group::from_name(text)) {
        (Ok(number), _) => number,
        (_, Ok(Some(group))) => group.gid.as_raw(),
        (_, Ok(None)) => return Err("no such group".to_string()),
        (_, Err(error)) => return Err(error.desc().to_string()),
    };
    // To chown(2) it says that the group stays as it is.
    match number {
        u32::MAX => Err("no group has this number".to_string()),
        number => Ok(number),
    }
}

fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode & !0o664 != 0 => {
            Err("others than owner and group can be given no more than reading".to_string())
        }
        Ok(mode) if mode & 0o600 != 0o600 => Err("the owner must read and write".to_string()),
        Ok(mode) if mode & 0o060 == 0o020 => Err("a group that writes must read too".to_string()),
        Ok(mode) => Ok(mode),
        Err(_) => Err("expected octal permissions, as 0660".to_string()),
    }
}
