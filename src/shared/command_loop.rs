//! Not in the command loop: assertions that no share is held where none may be.
//!
//! A daemon that waits for its next client inside a share keeps every snapshot from being taken. These
//! checks stand where it waits. In debug builds they panic and name the place that took the share; in
//! release builds they cost nothing.

use crate::barrier::handle::Barrier;
use crate::member::inner::Inner;
use crate::member::process;
use crate::seat::Seat;
use crate::system::source_line::SourceLine;

impl Barrier {
    /// Asserts that this thread holds no share.
    ///
    /// # Panics
    /// In debug builds, if it does.
    ///
    /// # Examples
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let barrier = stillpoint::Barrier::create(folder.path().join("spool.barrier"))?;
    /// barrier.assert_not_held();
    /// # Ok::<(), stillpoint::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn assert_not_held(&self) {
        let leak = cfg!(debug_assertions).then(|| self.leaked_share()).flatten();
        if let Some(leak) = leak {
            panic!("{leak}");
        }
    }

    /// What [`Barrier::assert_not_held`] would say of this thread, in any build: the share that it
    /// holds, and where it was taken if that was kept. `None`: it holds none.
    pub fn leaked_share(&self) -> Option<String> {
        self.end_abandoned_attempt();
        (self.depth() > 0).then(|| self.leaked(self.seat()))
    }

    /// Asserts that no thread of this process holds a share, for servers whose work moves between
    /// threads: between two batches.
    ///
    /// # Panics
    /// In debug builds, if one does.
    #[inline]
    #[track_caller]
    pub fn assert_process_idle(&self) {
        let leak = cfg!(debug_assertions).then(|| self.leaked_share_of_process()).flatten();
        if let Some(leak) = leak {
            panic!("{leak}");
        }
    }

    /// What [`Barrier::assert_process_idle`] would say, in any build.
    pub fn leaked_share_of_process(&self) -> Option<String> {
        let attachments = self.inner.succession().filter_map(Inner::attachment_of_this_process);
        let mut leaks = attachments.filter_map(|attachment| {
            // Nothing else happens under the lock.
            let held = attachment.inside(&process::lock())?;
            Some(match held {
                Some(seat) => self.leaked(Some(seat)),
                None => self.describe(1, attachment.cookies.place()),
            })
        });
        leaks.next()
    }

    fn leaked(&self, seat: Option<&'static Seat>) -> String {
        self.describe(seat.map_or(1, Seat::shares), seat.and_then(Seat::place))
    }

    fn describe(&self, depth: u32, place: Option<SourceLine>) -> String {
        let path = self.path().display();
        match place {
            Some(place) => {
                format!("{path}: a share is held here (depth {depth}), taken at {place}")
            }
            None => format!("{path}: a share is held here (depth {depth})"),
        }
    }

    /// Wraps a command loop's source of commands, so that [`Barrier::assert_not_held`] is checked
    /// each time the next one is waited for.
    ///
    /// # Examples
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let barrier = stillpoint::Barrier::create(folder.path().join("spool.barrier"))?;
    /// for command in barrier.command_loop(["APPEND", "EXPUNGE"]) {
    ///     let _share = barrier.shared()?;
    ///     // ... what the command writes ...
    ///     # let _ = command;
    /// }
    /// # Ok::<(), stillpoint::Error>(())
    /// ```
    pub fn command_loop<I: IntoIterator>(&self, commands: I) -> CommandLoop<'_, I::IntoIter> {
        CommandLoop { barrier: self, commands: commands.into_iter() }
    }
}

/// The iterator that [`Barrier::command_loop`] makes.
#[derive(Debug)]
pub struct CommandLoop<'b, I> {
    barrier: &'b Barrier,
    commands: I,
}

impl<I: Iterator> Iterator for CommandLoop<'_, I> {
    type Item = I::Item;

    #[track_caller]
    fn next(&mut self) -> Option<I::Item> {
        self.barrier.assert_not_held();
        self.commands.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.commands.size_hint()
    }
}
