//! Stragglers: those who still use a file that stood where the barrier is, and was removed or renamed.
//!
//! They exclude each other, and nobody else. So whoever makes a barrier, or wants the exclusive side of one,
//! finds out first whether there are any, and there is nothing in either file to tell. The kernel's table
//! of locks does: everybody who takes part also holds, on his file, two bytes whose places are drawn from
//! *where he takes the file to be*: by the folder it is in and its name, and by its path. That table,
//! proc_locks(5), shows everybody's locks to everybody, with the number of the file. A lock at one of
//! these bytes on another file than ours is a straggler's.
//!
//! The second byte finds those whose folder was removed as well. It may also be that of a stranger, who
//! sees another file by the same path, in mounts of his own: one of the processes is asked what it sees,
//! by /proc/PID/root.
//!
//! Once found, they are brought over: the file is reached by one of their maps, which takes root
//! (proc_pid_map_files(5)), or by a descriptor, its gate is closed for good, and when nobody is
//! inside any more, nobody ever will be (see `succession`). Losses that nobody has acknowledged there
//! are carried over too.
//!
//! Nobody can join a file that has lost its place, so that there are none need be found out once, as long as
//! the file stays in its place. It is noted in the header, for this very file, and for the time of the last
//! change of the folder: whatever takes the file's place, or gives it back, changes the folder.
//!
//! Anybody can lock some file of his own at these bytes. So where the processes can be seen, only a file is
//! believed that may have been the barrier: of its size, and of an owner who could have made it here. It
//! is looked at by a descriptor that can do nothing else, before it is opened.
//!
//! What cannot be seen (no /proc; a path that leads elsewhere for processes of others) is said and not
//! guessed.

use crate::barrier::Inner;
use crate::file::{self, Identity};
use crate::gate::is_inside;
use crate::layout::{FILE_SIZE, LEFT, LockByte, Parts};
use crate::mapping::BarrierMap;
use crate::reclaim::Loss;
use crate::sync::{Ordering, step};
use crate::sys::{self, Mode};
use crate::{Error, foreign, process, standard, succession};
use nix::libc;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A process that uses a file which stood where the barrier is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Straggler {
    /// Its process id; 0: there is one that cannot be seen from here.
    pub pid: u32,
    /// Its name.
    pub comm: String,
}

impl Display for Straggler {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.pid {
            0 => f.write_str("processes that cannot be seen from here"),
            pid => write!(f, "{}[{pid}]", self.comm),
        }
    }
}

/// How often who makes a barrier looks for those who hinder that.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// What tells a place from others: by its folder and name, and by its path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys([u32; 2]);

impl Keys {
    pub(crate) fn of(path: &Path) -> Keys {
        let identity = |path| fs::metadata(path).ok().map(|meta| Identity::of(&meta));
        let folder = identity(path.parent().unwrap_or(Path::new("/")));
        let name = path.file_name().unwrap_or_default();
        let root = identity(Path::new("/"));
        Keys([key(folder, name.as_bytes()), key(root, path.as_os_str().as_bytes())])
    }

    /// Says by locks on the file that this is where it is taken to be.
    pub(crate) fn sign(&self, file: &File) -> io::Result<()> {
        for key in self.0 {
            // Only hostility keeps that from us.
            sys::try_lock_byte(file, LockByte::Place(key), Mode::Shared)?;
        }
        Ok(())
    }
}

/// FNV-1a.
fn key(within: Option<Identity>, name: &[u8]) -> u32 {
    let Identity { device, inode } = within.unwrap_or(Identity { device: 0, inode: 0 });
    let numbers = [device.to_ne_bytes(), inode.to_ne_bytes()].concat();
    let hash = numbers.iter().chain(name).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash ^ hash >> 32) as u32
}

/// Other files on which somebody says that he is here, and whether he says so by the folder. The table is
/// handed out piece by piece, so it is read more than once (see `foreign`).
fn elsewhere(path: &Path, own: Option<Identity>) -> io::Result<BTreeMap<Identity, bool>> {
    let _standard = standard::keep();
    let bytes = Keys::of(path).0.map(|key| LockByte::Place(key).offset());
    let mut found = BTreeMap::new();
    for _ in 0..foreign::READINGS {
        let locks = fs::read_to_string("/proc/locks")?;
        for (file, range) in locks.lines().filter_map(description_lock) {
            let [by_folder, by_path] = bytes.map(|byte| range.contains(&byte));
            if by_folder || by_path {
                *found.entry(file).or_insert(false) |= by_folder;
            }
        }
    }
    found.retain(|file, _| own.is_none_or(|own| !is_this(path, own, *file)));
    Ok(found)
}

/// Whether this is the barrier's own file, which the table may know by another device than stat(2) does.
fn is_this(path: &Path, own: Identity, file: Identity) -> bool {
    let device = || {
        let (file, _) = file::open_fresh(path, false, Some(own)).ok()?;
        foreign::device_of_mount(&file)
    };
    file == own || file.inode == own.inode && device() == Some(file.device)
}

/// `1: OFDLCK ADVISORY  READ -1 00:1b:59448 1342177280 1342177280`.
fn description_lock(line: &str) -> Option<(Identity, std::ops::RangeInclusive<i64>)> {
    let mut fields = line.split_whitespace().skip(1);
    if fields.next()? != "OFDLCK" {
        return None;
    }
    let file = foreign::identity(fields.nth(3)?)?;
    let (first, last) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((file, first..=last))
}

/// One who uses a file, and the way by which he does.
struct User {
    pid: u32,
    way: PathBuf,
}

/// Who uses these files, as far as that can be seen from here.
fn users(files: &BTreeMap<Identity, bool>) -> BTreeMap<Identity, Vec<User>> {
    let mut users: BTreeMap<Identity, Vec<User>> =
        files.keys().map(|file| (*file, Vec::new())).collect();
    if files.is_empty() {
        return users;
    }
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pids: Vec<u32> = pids.collect();
    let mut found = |of: fn(u32) -> Vec<(Identity, PathBuf)>| {
        for pid in &pids {
            for (file, way) in of(*pid) {
                if let Some(users) = users.get_mut(&file)
                    && users.last().is_none_or(|user| user.pid != *pid)
                {
                    users.push(User { pid: *pid, way });
                }
            }
        }
        users.values().all(|users| !users.is_empty())
    };
    // What a command has inherited outlives the map of its wrapper; to look through all descriptors takes
    // much longer.
    let _ = found(maps) || found(descriptors);
    users
}

/// The files that a process has mapped to share, and the way to each.
fn maps(pid: u32) -> Vec<(Identity, PathBuf)> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let map = |line: &str| {
        let mut fields = line.split_whitespace();
        let (range, _) = (fields.next()?, fields.next().filter(|how| how.ends_with('s'))?);
        let (device, inode) = (fields.nth(1)?, fields.next()?);
        let file = foreign::identity(&format!("{device}:{inode}"))?;
        let (start, end) = range.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        let range = format!("{:x}-{:x}", number(start)?, number(end)?);
        Some((file, format!("/proc/{pid}/map_files/{range}").into()))
    };
    maps.lines().filter_map(map).collect()
}

/// The files on which a process has locks by its descriptors, and the way to each.
fn descriptors(pid: u32) -> Vec<(Identity, PathBuf)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    let locked = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path()).ok()?;
        let mut locks = text.lines().filter_map(|line| line.strip_prefix("lock:"));
        let (file, _) = locks.find_map(description_lock)?;
        Some((file, Path::new(&format!("/proc/{pid}/fd")).join(entry.file_name())))
    };
    entries.filter_map(locked).collect()
}

impl User {
    /// The file that it uses, as something that can only be looked at; `None`: that is not allowed.
    fn file(&self) -> Option<File> {
        let _standard = standard::keep();
        File::options().read(true).custom_flags(libc::O_PATH).open(&self.way).ok()
    }

    /// Whether that may once have been the barrier; `None`: that cannot be seen.
    fn may_have_been(&self, makers: &Makers) -> Option<bool> {
        let meta = self.file()?.metadata().ok()?;
        Some(meta.is_file() && meta.len() == u64::from(FILE_SIZE) && makers.include(meta.uid()))
    }

    /// Whether the path leads this process to the file that it uses; `None`: that cannot be seen.
    fn is_at(&self, path: &Path, file: Identity) -> Option<bool> {
        let root = PathBuf::from(format!("/proc/{}/root", self.pid));
        let seen = match fs::symlink_metadata(root.join(path.strip_prefix("/").unwrap_or(path))) {
            Ok(meta) => Identity::of(&meta),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(false),
            Err(_) => return None,
        };
        // The table has the devices of file systems, stat(2) those of subvolumes.
        match fs::metadata(&self.way) {
            Ok(meta) => Some(Identity::of(&meta) == seen),
            Err(_) => Some(seen.inode == file.inode),
        }
    }

    fn straggler(&self) -> Straggler {
        let comm = fs::read_to_string(format!("/proc/{}/comm", self.pid)).unwrap_or_default();
        Straggler { pid: self.pid, comm: comm.trim_end().to_string() }
    }
}

/// Who may have made a barrier here. `None`: everybody whom the folder's group lets.
struct Makers(Option<[u32; 3]>);

impl Makers {
    fn of(path: &Path) -> Makers {
        let owner = |meta: io::Result<fs::Metadata>| meta.map_or(0, |meta| meta.uid());
        let folder = fs::metadata(path.parent().unwrap_or(Path::new("/")));
        if folder.as_ref().is_ok_and(|meta| meta.mode() & 0o020 != 0) {
            return Makers(None);
        }
        Makers(Some([0, owner(folder), owner(fs::symlink_metadata(path))]))
    }

    fn include(&self, user: u32) -> bool {
        let this = nix::unistd::geteuid().as_raw();
        self.0.is_none_or(|makers| user == this || makers.contains(&user))
    }
}

/// What is known of the users of another file.
enum Known {
    /// They are where they should be; or have gone meanwhile.
    Strangers,
    Stragglers(Vec<User>),
    /// It may be strangers.
    Unseen,
}

/// `by_folder`: they say that they are in the same folder, under the same name.
fn known(path: &Path, file: Identity, by_folder: bool, mut users: Vec<User>) -> Known {
    if users.is_empty() && elsewhere(path, None).is_ok_and(|files| !files.contains_key(&file)) {
        return Known::Strangers;
    }
    let (makers, some) = (Makers::of(path), !users.is_empty());
    users.retain(|user| user.may_have_been(&makers) != Some(false));
    if some && users.is_empty() {
        return Known::Strangers;
    }
    if by_folder {
        return Known::Stragglers(users);
    }
    let unseen = users.is_empty() || users.iter().any(|user| user.is_at(path, file).is_none());
    users.retain(|user| user.is_at(path, file) == Some(false));
    match users.is_empty() {
        false => Known::Stragglers(users),
        true if unseen => Known::Unseen,
        true => Known::Strangers,
    }
}

/// The users of other files that can be named, or one who cannot.
fn named(users: &[User]) -> Vec<Straggler> {
    let mut stragglers: Vec<Straggler> = users.iter().map(User::straggler).collect();
    if stragglers.is_empty() {
        stragglers.push(Straggler { pid: 0, comm: String::new() });
    }
    stragglers
}

/// Who has not come over, as far as that can be seen. `None`: it cannot be told whether there is anybody.
fn look(parts: Parts, path: &Path, own: Identity) -> Option<Vec<Straggler>> {
    let mut found = Vec::new();
    let mut unseen = false;
    let mut files = elsewhere(path, Some(own)).ok()?;
    files.retain(|file, _| !parts.has_been_left(*file));
    for (file, users) in users(&files) {
        match known(path, file, files[&file], users) {
            Known::Strangers => {}
            Known::Stragglers(users) => found.extend(named(&users)),
            Known::Unseen => unseen = true,
        }
    }
    (!unseen || !found.is_empty()).then_some(found)
}

/// The same for the barrier that is there.
pub(crate) fn of_status(parts: Parts, path: &Path, own: Identity) -> Option<Vec<Straggler>> {
    let alone = parts.is_alone(own, Since::now(path));
    if alone { Some(Vec::new()) } else { look(parts, path, own) }
}

/// Refuses to make a barrier where users of a removed one could not be brought over, or one of them has the
/// exclusive side: whoever came by the new file would write in that pause, and it might yet end with a
/// certificate, if the old file is put back.
pub(crate) fn can_be_brought_over(path: &Path) -> Result<(), Error> {
    // Who is found may have ended before he is reached.
    for _ in 1..LOOKS {
        if hindered(path)?.is_none() {
            return Ok(());
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    match hindered(path)? {
        None => Ok(()),
        Some(users) => Err(Error::Stragglers { path: path.into(), users: named(&users) }),
    }
}

fn hindered(path: &Path) -> Result<Option<Vec<User>>, Error> {
    let mut files = elsewhere(path, None).unwrap_or_default();
    // Somebody may have made one meanwhile.
    if let Some(own) = file::identity_at(path)? {
        files.retain(|file, _| !is_this(path, own, *file));
    }
    let stragglers = users(&files).into_iter().filter_map(|(file, users)| {
        match known(path, file, files[&file], users) {
            Known::Stragglers(users) => Some(users),
            _ => None,
        }
    });
    let mut hindering = stragglers
        .filter(|users| Removed::reach(path, users).is_none_or(|removed| removed.is_held()));
    Ok(hindering.next())
}

/// A file that has lost its place, reached by one of its users.
struct Removed {
    file: File,
    map: BarrierMap,
}

impl Removed {
    fn reach(path: &Path, users: &[User]) -> Option<Removed> {
        let _standard = standard::keep();
        users.iter().find_map(|user| {
            // By the very file that was looked at: what stands at that way may be another one by now.
            let seen = user.file()?;
            if !seen.metadata().ok()?.is_file() {
                return None;
            }
            let way = format!("/proc/self/fd/{}", seen.as_raw_fd());
            let file = File::options().read(true).write(true).open(way).ok()?;
            file::check(&file, path).ok()?;
            let _ = process::incarnation();
            let _process = process::lock();
            let map = BarrierMap::new(&file, path, true).ok()?;
            Some(Removed { file, map })
        })
    }

    /// Whether somebody has the exclusive side there.
    fn is_held(&self) -> bool {
        !sys::is_byte_free(&self.file, LockByte::Exclusive)
    }

    /// Closes the gate for good, unless somebody has the exclusive side there, a command perhaps, which shall
    /// have it to its end; whether nobody is left then.
    fn is_left(&self) -> bool {
        if self.is_held() {
            return false;
        }
        self.map.parts().gate().supersede();
        step("stragglers: closed for good");
        self.is_quiet()
    }

    /// Whether nobody is inside, those who died there settled. The gate is closed for good.
    fn is_quiet(&self) -> bool {
        let parts = self.map.parts();
        parts.gate().wait_until_quiet(
            || parts.words(),
            |words| {
                let inside = words.iter().enumerate().filter(|(_, word)| is_inside(**word));
                let settled = inside.filter(|(index, _)| self.reclaim(*index)).count();
                (settled > 0).then_some(Duration::ZERO)
            },
        )
    }

    /// As `reclaim::reclaim`, by the way of the descriptor: no path leads there.
    fn reclaim(&self, index: usize) -> bool {
        let _standard = standard::keep();
        let _process = process::lock();
        let way = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let Ok(fresh) = File::options().read(true).write(true).open(way) else { return false };
        let byte = LockByte::Life(u32::try_from(index).unwrap_or(u32::MAX));
        let dead = sys::try_lock_byte(&fresh, byte, Mode::Exclusive).unwrap_or(false);
        if dead {
            step("stragglers: locked a dead one's slot");
            self.map.parts().slots()[index].settle(self.map.parts().dirty());
        }
        dead
    }

    /// What was lost here and not acknowledged is lost there.
    fn carry_losses(&self, to: Parts) {
        let dirty = self.map.parts().dirty();
        let now = dirty.now();
        if !now.is_dirty() {
            return;
        }
        let last = dirty.lost(now).into_iter().next();
        let (pid, comm, label) =
            last.map_or_else(Default::default, |lost| (lost.pid, lost.comm, lost.label));
        to.dirty().raise(&Loss { pid, comm: &comm, label: &label });
        step("stragglers: losses carried over");
        dirty.acknowledged.store(now.epoch, Ordering::Release);
    }
}

/// Bringing over those who are left, in as many attempts as it takes.
#[derive(Default)]
pub(crate) struct Gathering {
    /// With those who used it then.
    reached: BTreeMap<Identity, (Removed, Vec<Straggler>)>,
}

/// How far it has come.
pub(crate) enum Gathered {
    /// Nobody is left.
    All,
    /// Whether anybody is cannot be seen.
    Unseen,
    /// These are.
    Not(Vec<Straggler>),
}

impl Gathering {
    /// Closes what they use for good, and sees whether they have left it.
    pub(crate) fn attempt(&mut self, inner: &Inner, parts: Parts) -> Gathered {
        let (path, own) = (&inner.place.path, inner.place.identity);
        // This process knows what it has open itself, and whether it is inside there.
        let opened = process::lock().all();
        for before in opened.iter().filter(|opened| opened.place.path == *path) {
            if before.place.identity != own {
                let _ = succession::come_over(before);
            }
        }
        drop(opened);
        let since = Since::now(path);
        if parts.is_alone(own, since) {
            return Gathered::All;
        }
        let Ok(files) = elsewhere(path, Some(own)) else { return Gathered::Unseen };
        let (mut left, mut unseen) = (Vec::new(), false);
        let strange = files.iter().filter(|(file, _)| !self.reached.contains_key(*file));
        let strange = strange.map(|(file, by_folder)| (*file, *by_folder)).collect();
        for (file, users) in users(&strange) {
            match known(path, file, files[&file], users) {
                Known::Strangers => {}
                Known::Unseen => unseen = true,
                Known::Stragglers(users) => match Removed::reach(path, &users) {
                    Some(removed) => {
                        self.reached.insert(file, (removed, named(&users)));
                    }
                    // Whoever was brought over keeps a hold of it.
                    None if parts.has_been_left(file) => {}
                    None => left.extend(named(&users)),
                },
            }
        }
        for file in files.into_keys() {
            match self.reached.get(&file) {
                Some((removed, _)) if removed.is_left() => {
                    removed.carry_losses(parts);
                    parts.note_left(file);
                }
                Some((_, users)) => left.extend(users.iter().cloned()),
                None => {}
            }
        }
        match () {
            () if !left.is_empty() => Gathered::Not(left),
            () if unseen => Gathered::Unseen,
            () => {
                parts.note_alone(own, since);
                Gathered::All
            }
        }
    }
}

/// The last change of the barrier's folder; `None`: it cannot be told from one that may yet come.
#[derive(Clone, Copy)]
struct Since(Option<[u64; 2]>);

impl Since {
    /// File systems tell times apart by a hundredth of a second at best.
    const APART: Duration = Duration::from_millis(100);

    fn now(path: &Path) -> Since {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let since = fs::metadata(folder).ok().and_then(|meta| {
            let (seconds, nanoseconds) = (meta.ctime(), meta.ctime_nsec());
            let changed = Duration::new(seconds.try_into().ok()?, nanoseconds.try_into().ok()?);
            let age = (SystemTime::UNIX_EPOCH + changed).elapsed().ok()?;
            (age > Since::APART).then_some([changed.as_secs(), u64::from(changed.subsec_nanos())])
        });
        Since(since)
    }
}

/// When a file was last changed, and last written to, and when its folder was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    changed: Option<(i64, i64)>,
    written: Option<(i64, i64)>,
    folder: Option<(i64, i64)>,
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> Stamp {
        let change = |meta: &fs::Metadata| (meta.ctime(), meta.ctime_nsec());
        let file = fs::symlink_metadata(path).ok();
        let folder = fs::metadata(path.parent().unwrap_or(Path::new("/"))).ok();
        Stamp {
            changed: file.as_ref().map(change),
            written: file.map(|meta| (meta.mtime(), meta.mtime_nsec())),
            folder: folder.as_ref().map(change),
        }
    }

    /// Whether the file has been where it is ever since, as far as that can be told: moved away and put back,
    /// it was changed without having been written to, unless that has happened later; and whoever was
    /// let in by another one meanwhile may still use that.
    pub(crate) fn holds(&self, parts: Parts, path: &Path, own: Identity) -> bool {
        let now = Stamp::of(path);
        let was_moved = now.changed != self.changed && now.changed != now.written;
        let nobody = || look(parts, path, own).is_none_or(|found| found.is_empty());
        !was_moved && (self.folder == now.folder || nobody())
    }
}

impl Parts {
    fn is_alone(self, own: Identity, since: Since) -> bool {
        let noted = self.header().alone.each_ref().map(|number| number.get());
        since.0.is_some_and(|[seconds, rest]| noted == [own.device, own.inode, seconds, rest])
    }

    /// Whether this file was closed for good, and nobody was inside any more.
    fn has_been_left(self, file: Identity) -> bool {
        let left = self.header().left.iter();
        let mut left = left.map(|numbers| numbers.each_ref().map(|number| number.get()));
        left.any(|left| left == [file.device, file.inode])
    }

    fn note_left(self, file: Identity) {
        if !self.has_been_left(file) {
            let (left, next) = (&self.header().left, &self.header().left_next);
            let entry = &left[next.fetch_add(1, Ordering::Relaxed) as usize % LEFT];
            entry[1].set(0);
            entry[0].set(file.device);
            entry[1].set(file.inode);
        }
    }

    fn note_alone(self, own: Identity, since: Since) {
        if let Since(Some([seconds, rest])) = since {
            let noted = [own.device, own.inode, seconds, rest];
            for (number, value) in self.header().alone.iter().zip(noted) {
                number.set(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let keys = |name: &str| Keys::of(&folder.path().join(name)).0;
        assert_eq!(keys("a"), keys("a"));
        assert!(keys("a")[0] != keys("b")[0] && keys("a")[1] != keys("b")[1]);
        let path = folder.path().join("sub/a");
        fs::create_dir(path.parent().unwrap()).unwrap();
        let before = Keys::of(&path).0;
        fs::rename(folder.path().join("sub"), folder.path().join("aside")).unwrap();
        fs::create_dir(path.parent().unwrap()).unwrap();
        let after = Keys::of(&path).0;
        assert_ne!(before[0], after[0], "another folder");
        assert_eq!(before[1], after[1], "the same path");
    }

    /// Who has another root sees another file by the same path.
    #[test]
    fn a_place_is_told_from_one_under_another_root() {
        use nix::sched::{CloneFlags, unshare};
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let keys = || Keys::of(Path::new("/mail.barrier")).0;
        let there = std::thread::scope(|scope| {
            let confined = scope.spawn(|| {
                unshare(CloneFlags::CLONE_FS).unwrap();
                nix::unistd::chroot(folder.path()).unwrap();
                keys()
            });
            confined.join().unwrap()
        });
        let here = keys();
        assert!(here[0] != there[0] && here[1] != there[1]);
    }

    #[test]
    fn lines_of_the_table() {
        let line = "1: OFDLCK ADVISORY  READ -1 00:1b:59448 1342177280 1342177281";
        let device = nix::sys::stat::makedev(0, 0x1b);
        #[allow(clippy::unnecessary_cast, reason = "its width differs between platforms")]
        let file = Identity { device: device as u64, inode: 59448 };
        assert_eq!(description_lock(line), Some((file, 1_342_177_280..=1_342_177_281)));
        assert_eq!(description_lock("1: FLOCK  ADVISORY  READ 12 00:1b:59448 0 EOF"), None);
        assert_eq!(description_lock("1: -> OFDLCK ADVISORY  READ -1 00:1b:59448 1 1"), None);
    }
}
