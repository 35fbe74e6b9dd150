//! Who meddles with groups that are to stand still.
//!
//! Nothing of a frozen group runs but by somebody else's doing: he thaws it, or moves a process out of it, and maybe back
//! before anybody looks. Both are writings to a file in its folder, or in that of a group below, and the kernel tells of
//! each.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use super::group::Group;

/// Lists of members, of both versions: whoever is written to one moves there.
const MEMBERS: [&str; 3] = ["cgroup.procs", "cgroup.threads", "tasks"];

/// What was done to a group.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meddled {
    /// It was frozen, or thawed.
    pub froze: bool,
    /// A process was moved into it, or a group was made in it for one.
    pub moved: bool,
}

#[derive(Debug)]
pub struct Watch {
    inotify: Inotify,
    /// Folders, whose group each is of, and whether it is that group's own.
    folders: Vec<(WatchDescriptor, usize, bool)>,
}

impl Watch {
    pub fn new() -> nix::Result<Watch> {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        Ok(Watch { inotify: Inotify::init(flags)?, folders: Vec::new() })
    }

    /// Has it told of what is done to these, and to those that are in them now.
    pub fn look_at(&mut self, groups: &[Group]) -> io::Result<()> {
        for (index, group) in groups.iter().enumerate() {
            self.add(group.path(), index, true)?;
        }
        Ok(())
    }

    fn add(&mut self, folder: &Path, index: usize, is_own: bool) -> io::Result<()> {
        let what = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE;
        let added = self.inotify.add_watch(folder, what).map_err(io::Error::from).and_then(|it| {
            if !self.folders.contains(&(it, index, is_own)) {
                self.folders.push((it, index, is_own));
            }
            fs::read_dir(folder)
        });
        let entries = match added {
            // What was removed has nobody in it.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            added => added?,
        };
        let folders =
            entries.flatten().filter(|entry| entry.file_type().is_ok_and(|it| it.is_dir()));
        for entry in folders {
            self.add(&entry.path(), index, false)?;
        }
        Ok(())
    }

    /// What was done to each of the groups since this was asked last.
    pub fn told(&self, groups: &[Group]) -> Vec<Meddled> {
        let mut told = vec![Meddled::default(); groups.len()];
        let everything = Meddled { froze: true, moved: true };
        loop {
            let events = match self.inotify.read_events() {
                Ok(events) => events,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return told,
                Err(_) => return vec![everything; groups.len()],
            };
            for event in events {
                if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                    told.fill(everything);
                }
                let name = event.name.unwrap_or_default();
                let is_made = event.mask.contains(AddWatchFlags::IN_CREATE);
                for (_, index, is_own) in self.folders.iter().filter(|(it, ..)| *it == event.wd) {
                    let control = groups[*index].control();
                    told[*index].froze |= *is_own && control.file_name() == Some(&name);
                    told[*index].moved |= is_made || MEMBERS.iter().any(|list| name == *list);
                }
            }
        }
    }
}
