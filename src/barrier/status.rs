//! Status: what a barrier looks like from outside. Needs read permission only, and changes nothing.

use crate::barrier::handle::Barrier;
use crate::error::Error;
use crate::error::name::barrier_path;
use crate::error::who::{Name, Straggler, Writer};
use crate::file::byte_lock::is_byte_free;
use crate::file::layout::{
    FLAG_UNFENCED, FLAG_UNWATCHED, KIND_COMMAND, KIND_COUNTED, KIND_FREE, LOST, LockByte, Parts,
    Slot,
};
use crate::file::losses::{Dirty, Loss, Lost};
use crate::file::open::{
    HeaderCopy, Identity, absolute, check_file_system, check_header, hex, open_fresh,
};
use crate::gate::protocol::{is_closed, is_inside, is_superseded};
use crate::gate::sync::Ordering;
use crate::member::mapping::BarrierMap;
use crate::member::process;
use crate::report::foreign::{self, FlockUser};
use crate::report::heirs;
use crate::report::stats::Stats;
use crate::succession::stragglers;
use crate::system::calls::{comm, monotonic_milliseconds};
use crate::system::proc::is_stopped;
use crate::system::standard;
use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What kind of writer owns a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A thread.
    Thread,
    /// A process, whose shares are counted.
    Process,
    /// A command under `stillpoint run`.
    Command,
}

/// A barrier at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// Its path, absolute.
    pub barrier: PathBuf,
    /// Its identity.
    pub uuid: String,
    /// The boot in which it was last made ready.
    pub boot_id: String,
    /// Whether the gate is closed.
    pub closed: bool,
    /// Whether it is, and who closed it has died: the next writer, or tool, opens it.
    pub abandoned: bool,
    /// The gate's generation.
    pub generation: u32,
    /// Whether somebody wants the exclusive side.
    pub wanted: bool,
    /// Who has or wants the exclusive side.
    pub holder: Option<Holder>,
    /// Who owns slots.
    pub writers: Vec<WriterStatus>,
    /// Who holds flock(2) on the file, besides the holder, as far as this process may see.
    pub flock: Vec<FlockUser>,
    /// Who still uses a file that stood here before. `None`: that cannot be seen.
    pub stragglers: Option<Vec<Straggler>>,
    /// The dirty epoch.
    pub dirty: Dirty,
    /// The last writers that were lost, the newest first.
    pub lost: Vec<Lost>,
    /// Counters.
    pub stats: Stats,
}

/// Who has the exclusive side.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// The name of its thread.
    pub comm: String,
    /// What it calls itself.
    pub label: String,
    /// Since when, if that is known.
    pub since: Option<SystemTime>,
    /// How long a writer waits at most.
    pub limit: Option<Duration>,
    /// A number that tells pauses apart.
    pub token: u64,
    /// Whether it is stopped, by SIGSTOP say: until somebody continues or ends it, it gives nothing back.
    pub stopped: bool,
}

/// The owner of a slot.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WriterStatus {
    /// The slot.
    pub slot: u32,
    /// Its process id.
    pub pid: u32,
    /// Its thread id.
    pub tid: u32,
    /// The name of its thread.
    pub comm: String,
    /// What it calls itself.
    pub label: String,
    /// What kind of writer it is.
    pub kind: Kind,
    /// Whether it is inside a share.
    pub inside: bool,
    /// How long it has been inside, as far as it or a tool that waited for it has told; zero: that is
    /// not known.
    pub inside_at_least: Duration,
    /// How long it has waited at the gate.
    pub waiting: Option<Duration>,
    /// How many shares its word stands for.
    pub shares: u32,
    /// Whether its owner lives. A dead one is reclaimed by the next tool.
    pub alive: bool,
    /// Whether it is lost if it ends inside, as all are but commands that said otherwise.
    pub is_watched: bool,
    /// Whether it enters without a fence, so that tools have it pass one.
    pub is_unfenced: bool,
    /// Where it took the share that it is inside of, as `FILE:LINE`, the path cut in front where it is
    /// long. Empty: it is not inside, or that is not known, as it is of a process, whose shares are
    /// counted together, and of a command.
    pub place: String,
    /// The slot's word: while it stays the same and odd, it is the same share.
    pub word: u32,
}

impl Status {
    /// Looks at a barrier.
    ///
    /// # Errors
    /// As [`crate::Options::open`]; [`Error::Denied`] without read permission.
    pub fn read(name: impl AsRef<OsStr>) -> Result<Status, Error> {
        Status::at(&barrier_path(name.as_ref(), false)?)
    }

    /// The same, with names looked up in `$XDG_RUNTIME_DIR/stillpoint`.
    ///
    /// # Errors
    /// As [`Status::read`].
    pub fn read_user(name: impl AsRef<OsStr>) -> Result<Status, Error> {
        Status::at(&barrier_path(name.as_ref(), true)?)
    }

    /// Who uses the file at this path or, if there is none, one that stood there, as far as that can be seen:
    /// where there is no barrier to look at, this is all that there is to say.
    pub fn users_without_barrier(path: &Path) -> Vec<Straggler> {
        let _standard = standard::keep();
        let Ok(path) = absolute(path) else { return Vec::new() };
        match open_fresh(&path, false, None) {
            Ok((file, _)) => {
                let holders = foreign::lock_holders(&file).into_iter();
                holders.map(|Writer { pid, comm, .. }| Straggler { pid, comm }).collect()
            }
            Err(Error::Missing { folder: None, .. }) => stragglers::of_missing(&path),
            Err(_) => Vec::new(),
        }
    }

    fn at(path: &Path) -> Result<Status, Error> {
        let path = absolute(path)?;
        let _ = process::incarnation();
        let (file, identity) = open_fresh(&path, false, None)?;
        check_file_system(&file, &path)?;
        let header = check_header(&file, &path)?;
        let map = BarrierMap::copied(&file, &path)?;
        let mut status = look(path, &header, (&file, identity), map.parts());
        // A tool opens the gate before it gives its lock back: one that lived may just have done both.
        if status.abandoned {
            let now = BarrierMap::copied(&file, &status.barrier)?;
            status.abandoned = now.parts().gate().now() == status.generation;
        }
        // Who was inside in the copy may have left in good order, and ended before the kernel was asked: dead inside
        // is whose word stands still over that.
        if status.writers.iter().any(|writer| writer.inside && !writer.alive) {
            let now = BarrierMap::copied(&file, &status.barrier)?;
            let word = |slot: u32| now.parts().slots()[slot as usize].word.load(Ordering::Acquire);
            status.writers.retain(|writer| writer.alive || word(writer.slot) == writer.word);
        }
        Ok(status)
    }
}

fn look(
    path: PathBuf,
    header: &HeaderCopy,
    (file, identity): (&File, Identity),
    parts: Parts,
) -> Status {
    let gate = parts.gate();
    let generation = gate.now();
    let slots = parts.slots().iter().enumerate();
    let dirty = parts.dirty().now();
    let stragglers = stragglers::of_status(parts, &path, identity);
    let is_held = !is_byte_free(file, LockByte::Exclusive);
    let holder = is_held.then(|| Holder::of(parts, identity)).flatten();
    Status {
        barrier: path,
        uuid: hex(header.uuid),
        boot_id: hex(header.boot_id),
        closed: is_closed(generation),
        abandoned: is_closed(generation) && !is_superseded(generation) && !is_held,
        generation,
        // A tool that was killed leaves the wish behind, but not the lock.
        wanted: is_held && gate.wanted.load(Ordering::Relaxed) != 0,
        writers: (slots.filter_map(|(index, slot)| writer(index as u32, slot, file)))
            .map(|writer| or_heir(writer, identity))
            .collect(),
        // A tool has said who it is only once it had that lock.
        flock: if holder.is_some() { Vec::new() } else { foreign::flock_users(identity) },
        holder,
        stragglers,
        dirty,
        lost: parts.dirty().lost(dirty),
        stats: parts.stats().now(),
    }
}

impl Holder {
    /// Who says of himself that he has it, or has its lock in the place of who did.
    pub(crate) fn of(parts: Parts, identity: Identity) -> Option<Holder> {
        let (record, gate) = (parts.holder(), parts.gate());
        let (pid, limit) = (record.pid.load(Ordering::Relaxed), gate.limit.load(Ordering::Relaxed));
        if pid == 0 {
            return None;
        }
        let heir = heirs::of(pid, identity, LockByte::Exclusive).map(|heir| (heir.pid, heir.comm));
        let (pid, comm) = heir.unwrap_or_else(|| (pid, record.comm.get()));
        Some(Holder {
            pid,
            comm,
            label: record.label.get(),
            since: record.since.wall_clock(),
            limit: (limit != 0).then(|| Duration::from_millis(limit.into())),
            token: record.token.get(),
            stopped: is_stopped(pid),
        })
    }
}

/// For whoever waits for it.
impl Display for Holder {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Name { pid: self.pid, comm: &self.comm, label: &self.label }.fmt(f)?;
        let held = self.since.and_then(|since| SystemTime::now().duration_since(since).ok());
        if let Some(held) = held {
            write!(f, " for {:.1} s", held.as_secs_f64())?;
        }
        match self.stopped {
            true => f.write_str(", which is stopped until somebody continues or ends it"),
            false => Ok(()),
        }
    }
}

fn writer(index: u32, slot: &Slot, file: &File) -> Option<WriterStatus> {
    let word = slot.word.load(Ordering::Acquire);
    let kind = slot.kind.load(Ordering::Relaxed);
    if kind == KIND_FREE && !is_inside(word) {
        return None;
    }
    let alive = !is_byte_free(file, LockByte::Life(index));
    if !alive && !is_inside(word) {
        return None;
    }
    let now = monotonic_milliseconds();
    let ago = |since: u64| Duration::from_millis(now.saturating_sub(since));
    let waiting = slot.waiting_since.get();
    Some(WriterStatus {
        slot: index,
        pid: slot.pid.load(Ordering::Relaxed),
        tid: slot.tid.load(Ordering::Relaxed),
        comm: slot.comm.get(),
        label: slot.label.get(),
        kind: match kind {
            KIND_COUNTED => Kind::Process,
            KIND_COMMAND => Kind::Command,
            _ => Kind::Thread,
        },
        inside: is_inside(word),
        inside_at_least: if is_inside(word) { slot.seen_for(word) } else { Duration::ZERO },
        waiting: (waiting != 0).then(|| ago(waiting)),
        shares: match kind {
            KIND_COUNTED => word.div_ceil(2),
            _ => u32::from(is_inside(word)),
        },
        alive,
        is_watched: slot.flags.load(Ordering::Relaxed) & FLAG_UNWATCHED == 0,
        is_unfenced: slot.flags.load(Ordering::Relaxed) & FLAG_UNFENCED != 0,
        place: if is_inside(word) { slot.taken_at(word) } else { String::new() },
        word,
    })
}

/// Whoever is inside in the place of a command's wrapper that has ended.
fn or_heir(writer: WriterStatus, file: Identity) -> WriterStatus {
    if !writer.inside || writer.kind != Kind::Command {
        return writer;
    }
    match heirs::of(writer.pid, file, LockByte::Life(writer.slot)) {
        Some(Writer { pid, tid, comm, .. }) => WriterStatus { pid, tid, comm, ..writer },
        None => writer,
    }
}

impl From<&WriterStatus> for Writer {
    fn from(writer: &WriterStatus) -> Writer {
        Writer {
            slot: Some(writer.slot),
            pid: writer.pid,
            tid: writer.tid,
            comm: writer.comm.clone(),
            label: writer.label.clone(),
            held: writer.inside_at_least,
            place: writer.place.clone(),
            wait_channel: None,
        }
    }
}

impl Barrier {
    /// Looks at this barrier.
    ///
    /// # Errors
    /// As [`Status::read`].
    pub fn status(&self) -> Result<Status, Error> {
        Status::at(self.path())
    }

    /// The dirty epoch now.
    pub fn dirty(&self) -> Dirty {
        self.whole()
            .map_or_else(|_| Dirty::default(), |(_, attachment)| attachment.parts.dirty().now())
    }

    /// The last writers that were lost, the newest first, as in [`Status::lost`].
    pub fn lost(&self) -> Vec<Lost> {
        let Ok((_, attachment)) = self.whole() else {
            return Vec::new();
        };
        let dirty = attachment.parts.dirty();
        dirty.lost(dirty.now())
    }

    /// Raises the dirty epoch, for a tool that learned of a loss otherwise: of what it ran itself, or,
    /// with the process id 0, of nobody knows whom.
    pub fn raise_dirty(&self, pid: u32, label: &str) {
        if let Ok((_, attachment)) = self.whole() {
            let comm = if pid == 0 { String::new() } else { comm() };
            attachment.parts.dirty().raise(&Loss { pid, comm: &comm, label, place: "" });
        }
    }

    /// The same for a tool that remembers this epoch of a barrier which is behind it: whoever was lost up
    /// to there is not in this file.
    pub fn raise_dirty_beyond(&self, epoch: u32, label: &str) {
        if let Ok(attachment) = self.inner.whole() {
            attachment.parts.dirty().raise_beyond(epoch, &Loss::of_nobody(label));
        }
    }

    /// Says who raised the epochs that the barrier was made with, as far as somebody remembers.
    pub fn recall(&self, lost: &[Lost]) {
        if let Ok((_, attachment)) = self.whole() {
            let dirty = attachment.parts.dirty();
            let now = dirty.now().epoch;
            for lost in lost.iter().filter(|lost| now.wrapping_sub(lost.epoch) < LOST) {
                dirty.write(lost.epoch, &Loss::from(lost), lost.when);
            }
        }
    }

    /// Acknowledges every loss up to an epoch: the store was repaired, or found in order.
    pub fn acknowledge(&self, epoch: u32) {
        if let Ok((_, attachment)) = self.whole() {
            attachment.parts.dirty().acknowledged.store(epoch, Ordering::Release);
        }
    }
}
