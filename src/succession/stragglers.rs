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
//! believed that may have been the barrier: of its size, or mapped to write by who has locked it, if it was cut;
//! and of an owner who could have made it here. It is looked at by a descriptor that can do nothing else,
//! before it is opened.
//!
//! What cannot be seen (no /proc; a path that leads elsewhere for processes of others) is said and not
//! guessed.

use crate::error::Error;
use crate::error::who::Straggler;
use crate::file::layout::Parts;
use crate::file::open::{Identity, folder_of, identity_at};
use crate::member::signature::{elsewhere, is_this};
use crate::succession::gathering::{Removed, Since};
use crate::succession::users::{Known, User, known, named, users};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// How often who makes a barrier looks for those who hinder that.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

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

/// The same where no barrier is, as far as they can be told from strangers.
pub(crate) fn of_missing(path: &Path) -> Vec<Straggler> {
    let files = elsewhere(path, None).unwrap_or_default();
    let found = users(&files).into_iter().map(|(file, users)| {
        match known(path, file, files[&file], users) {
            Known::Stragglers(users) => named(&users),
            Known::Strangers | Known::Unseen => Vec::new(),
        }
    });
    found.flatten().collect()
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
    if let Some(own) = identity_at(path)? {
        files.retain(|file, _| !is_this(path, own, *file));
    }
    let stragglers = users(&files).into_iter().filter_map(|(file, users)| {
        match known(path, file, files[&file], users) {
            Known::Stragglers(users) => Some(users),
            _ => None,
        }
    });
    let stragglers = stragglers.filter(|users| !users.iter().all(User::is_of_no_barrier));
    let mut hindering = stragglers
        .filter(|users| Removed::reach(path, users).is_none_or(|removed| removed.is_held()));
    Ok(hindering.next())
}

/// When a file was last changed, and its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    file: Option<Time>,
    folder: Option<Time>,
}

type Time = (i64, i64);

fn change_of(meta: &fs::Metadata) -> Time {
    (meta.ctime(), meta.ctime_nsec())
}

fn change_of_folder(path: &Path) -> Option<Time> {
    fs::metadata(folder_of(path)).ok().as_ref().map(change_of)
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> Stamp {
        let file = fs::symlink_metadata(path).ok().as_ref().map(change_of);
        Stamp { file, folder: change_of_folder(path) }
    }

    /// Whether the file has been moved since, as far as that can be told: if it was moved away and put back, it
    /// was changed without having been written to, unless that has happened later.
    pub(crate) fn was_moved(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|now| {
            let (changed, written) = (change_of(&now), (now.mtime(), now.mtime_nsec()));
            self.file != Some(changed) && changed != written
        })
    }

    /// Whether nobody uses another file that may have let him in since.
    pub(crate) fn is_alone(&self, parts: Parts, path: &Path, own: Identity) -> bool {
        self.folder == change_of_folder(path)
            || look(parts, path, own).is_none_or(|found| found.is_empty())
    }
}
