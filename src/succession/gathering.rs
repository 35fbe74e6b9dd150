//! Bringing over those who use a file that was removed: it is closed for good, left, and its losses are carried
//! over. What that rests on, `stragglers` and `succession` say.

use crate::error::who::Straggler;
use crate::file::byte_lock::{Mode, is_byte_free, try_lock_byte};
use crate::file::layout::{LEFT, LockByte, Parts};
use crate::file::losses::Loss;
use crate::file::open::{Identity, check_header, folder_of};
use crate::gate::protocol::{Fenced, is_inside};
use crate::gate::sync::{Ordering, step};
use crate::member::inner::Inner;
use crate::member::mapping::BarrierMap;
use crate::member::process;
use crate::member::signature::elsewhere;
use crate::succession::coming_over::come_over;
use crate::succession::users::{Known, User, known, named, users};
use crate::system::membarrier;
use crate::system::standard;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file that has lost its place, reached by one of its users.
pub(crate) struct Removed {
    file: File,
    map: BarrierMap,
    /// Writers there may enter without a fence.
    unfenced: bool,
}

impl Removed {
    pub(crate) fn reach(path: &Path, users: &[User]) -> Option<Removed> {
        let _standard = standard::keep();
        users.iter().find_map(|user| {
            // By the very file that was looked at: what stands at that way may be another one by now.
            let seen = user.file()?;
            if !seen.metadata().ok()?.is_file() {
                return None;
            }
            let file = opened_again(&seen)?;
            let unfenced = check_header(&file, path).ok()?.unfenced;
            let _ = process::incarnation();
            let _process = process::lock();
            let map = BarrierMap::new(&file, path).ok()?;
            Some(Removed { file, map, unfenced })
        })
    }

    /// Whether somebody has the exclusive side there.
    pub(crate) fn is_held(&self) -> bool {
        !is_byte_free(&self.file, LockByte::Exclusive)
    }

    /// Closes the gate for good, unless somebody has the exclusive side there, a command perhaps, which shall
    /// have it to its end; whether nobody is left then.
    fn is_left(&self) -> bool {
        if self.is_held() {
            return false;
        }
        let closed = self.map.parts().gate().supersede();
        step("stragglers: closed for good");
        // Who cannot do that cannot tell whether anybody is left.
        let fenced = closed.fence(|| match membarrier::fence_all() {
            Err(error) if self.unfenced => Err(error),
            _ => Ok(()),
        });
        fenced.is_ok_and(|fenced| self.is_quiet(&fenced))
    }

    /// Whether nobody is inside, those who died there settled. The gate is closed for good.
    fn is_quiet(&self, closed: &Fenced) -> bool {
        let parts = self.map.parts();
        parts.gate().wait_until_quiet(
            closed,
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
        let Some(fresh) = opened_again(&self.file) else { return false };
        let byte = LockByte::Life(u32::try_from(index).unwrap_or(u32::MAX));
        let dead = try_lock_byte(&fresh, byte, Mode::Exclusive).unwrap_or(false);
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
        to.dirty().raise(&last.as_ref().map_or(Loss::of_nobody(""), Loss::from));
        step("stragglers: losses carried over");
        dirty.acknowledged.store(now.epoch, Ordering::Release);
    }
}

/// The same file, to read and write, by a description of its own.
fn opened_again(file: &File) -> Option<File> {
    let way = format!("/proc/self/fd/{}", file.as_raw_fd());
    File::options().read(true).write(true).open(way).ok()
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
                let _ = come_over(before);
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
pub(crate) struct Since(Option<[u64; 2]>);

impl Since {
    /// File systems tell times apart by a hundredth of a second at best.
    const APART: Duration = Duration::from_millis(100);

    pub(crate) fn now(path: &Path) -> Since {
        let since = fs::metadata(folder_of(path)).ok().and_then(|meta| {
            let (seconds, nanoseconds) = (meta.ctime(), meta.ctime_nsec());
            let changed = Duration::new(seconds.try_into().ok()?, nanoseconds.try_into().ok()?);
            let age = (SystemTime::UNIX_EPOCH + changed).elapsed().ok()?;
            (age > Since::APART).then_some([changed.as_secs(), u64::from(changed.subsec_nanos())])
        });
        Since(since)
    }
}

impl Parts {
    /// Whether nobody was left in another file, and nothing has happened in the folder since.
    pub(crate) fn is_alone(self, own: Identity, since: Since) -> bool {
        let noted = self.header().alone.each_ref().map(|number| number.get());
        since.0.is_some_and(|[seconds, rest]| noted == [own.device, own.inode, seconds, rest])
    }

    pub(crate) fn note_alone(self, own: Identity, since: Since) {
        if let Since(Some([seconds, rest])) = since {
            let noted = [own.device, own.inode, seconds, rest];
            for (number, value) in self.header().alone.iter().zip(noted) {
                number.set(value);
            }
        }
    }

    /// Whether this file was closed for good, and nobody was inside any more.
    pub(crate) fn has_been_left(self, file: Identity) -> bool {
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
}
