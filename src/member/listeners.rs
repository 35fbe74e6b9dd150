//! Who wants to hear that a gate has opened, and the helper that sleeps for them.
//!
//! Who waits at a gate sleeps on a futex, and a runtime that sleeps runs none of its other tasks. So one
//! thread of the library's own, the *helper*, sleeps for all of them and looks after itself as every waiter
//! does (see `healing`). It begins when the first one wants to hear of a closed gate and ends when the gate has
//! opened, so a process that waits for nothing has no thread of ours. All signals are blocked in it.
//!
//! To hear of an opening is no promise to get in: whoever hears tries again. Nothing is lost between a try
//! and the listening, because the helper looks at the gate after it has found the listener, or is begun then.
//! Who was woken at the gate owes the next waiter a wake-up; the helper passes it on, for those who hear of
//! it may have given up.
//!
//! Listening keeps no barrier open: the helper sleeps without a hold on it, and when the last handle
//! goes, so do the listeners. They stand in the process's attachment, of which a forked child has its own, so
//! that it finds none of its parent's and begins a helper anew. The kernel alone follows the address that the
//! helper sleeps on, should the map be gone by then.
//!
//! A descriptor is one end of a pair of sockets, and hears that the other is shut down; a byte could raise
//! SIGPIPE, and mere closing waits for the copies that children have. The other end is ours, but nothing keeps
//! a program from closing its number. A socket's inode is its own, so it is known by that before it is touched.

use crate::error::Error;
use crate::file::open::Identity;
use crate::member::healing::nap;
use crate::member::inner::Inner;
use crate::system::calls::{futex_wait, monotonic_milliseconds};
use crate::system::signals::AllBlocked;
use crate::system::standard;
use nix::errno::Errno;
use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::IntoRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::task::Waker;

/// What the helper's stack needs, many times over: it looks at a word, and opens a file now and then.
const STACK: usize = 128 << 10;

/// Who wants to hear of the next opening of one gate.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    listeners: Vec<(u64, Ear)>,
    last: u64,
    /// A helper sleeps for them.
    attended: bool,
}

/// How one hears.
#[derive(Debug)]
pub(crate) enum Ear {
    Task(Waker),
    /// By dropping it.
    Descriptor {
        _bell: Bell,
    },
}

impl Ear {
    fn hear(self) {
        if let Ear::Task(waker) = self {
            waker.wake();
        }
    }
}

/// A descriptor that becomes readable when this goes.
#[derive(Debug)]
pub(crate) struct Bell {
    socket: Option<File>,
    identity: Identity,
}

impl Bell {
    pub(crate) fn new() -> io::Result<(OwnedFd, Bell)> {
        let _standard = standard::keep();
        let (theirs, ours) = UnixStream::pair()?;
        let socket = File::from(OwnedFd::from(ours));
        let identity = Identity::of(&socket.metadata()?);
        Ok((theirs.into(), Bell { socket: Some(socket), identity }))
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let Some(socket) = self.socket.take() else { return };
        if socket.metadata().is_ok_and(|found| Identity::of(&found) == self.identity) {
            let _ = UnixStream::from(OwnedFd::from(socket)).shutdown(Shutdown::Write);
        } else {
            // The program has closed it, and the number is a file of its own or none.
            let _ = socket.into_raw_fd();
        }
    }
}

impl Listeners {
    /// The list is only ever changed by whole steps.
    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one, and sees to it that a helper sleeps for it.
    pub(crate) fn add(&self, inner: &Arc<Inner>, ear: Ear) -> Result<u64, Error> {
        let path = &inner.place.path;
        let mut list = self.list();
        if let Err(error) = list.listeners.try_reserve(1) {
            drop(list);
            return Err(Error::system("malloc", path, error));
        }
        list.last += 1;
        let number = list.last;
        list.listeners.push((number, ear));
        let attended = std::mem::replace(&mut list.attended, true);
        drop(list);
        let begun = if attended { Ok(()) } else { begin_helper(inner) };
        if let Err(error) = begun {
            self.remove(number);
            // Whoever has relied on that helper tries again, and hears the same.
            self.take_all().into_iter().for_each(|(_, ear)| ear.hear());
            return Err(Error::system("pthread_create", path, error));
        }
        Ok(number)
    }

    /// Takes one away. What it was drops here, after the lock: a task may go with its waker.
    pub(crate) fn remove(&self, number: u64) {
        let mut list = self.list();
        let at = list.listeners.iter().position(|(listener, _)| *listener == number);
        let removed = at.map(|at| list.listeners.remove(at));
        drop(list);
        drop(removed);
    }

    /// All of them, in the order in which they came: the helper is done.
    fn take_all(&self) -> Vec<(u64, Ear)> {
        let mut list = self.list();
        list.attended = false;
        std::mem::take(&mut list.listeners)
    }

    /// Nobody listens any more: the helper is done.
    fn are_gone(&self) -> bool {
        let mut list = self.list();
        list.attended = !list.listeners.is_empty();
        !list.attended
    }
}

fn begin_helper(inner: &Arc<Inner>) -> io::Result<()> {
    let inner = Arc::downgrade(inner);
    // It inherits this mask: the program's signals are for the program's threads.
    let _unblocked = AllBlocked::new();
    let helper = std::thread::Builder::new().name("stillpoint".into()).stack_size(STACK);
    match helper.spawn(move || help(&inner)) {
        Ok(_) => Ok(()),
        // What it means by that is memory, or too many threads; here it would mean a closed gate.
        Err(error) if error.raw_os_error() == Some(Errno::EAGAIN as i32) => {
            Err(Errno::ENOMEM.into())
        }
        Err(error) => Err(error),
    }
}

/// The helper: sleeps until the gate is of another generation than at first, and lets all know.
fn help(inner: &Weak<Inner>) {
    let mut first = None;
    // Without a barrier there are no listeners either.
    while let Some(inner) = inner.upgrade() {
        let Some(attachment) = inner.attachment_of_this_process() else { return };
        attachment.is_cut();
        let waiting_since = &attachment.slot(attachment.counted).waiting_since;
        let gate = attachment.gate();
        let generation = *first.get_or_insert_with(|| {
            waiting_since.set(monotonic_milliseconds());
            gate.now()
        });
        let Some(nap) = nap(&inner.place, attachment, generation) else {
            waiting_since.set(0);
            let listeners = attachment.listeners.take_all();
            gate.tell(true);
            // Whoever hears may close the barrier.
            drop(inner);
            return listeners.into_iter().for_each(|(_, ear)| ear.hear());
        };
        if attachment.listeners.are_gone() {
            return waiting_since.set(0);
        }
        let word = std::ptr::from_ref(gate.generation.word());
        drop(inner);
        futex_wait(word, generation, Some(nap));
    }
}

#[cfg(test)]
mod tests {
    use crate::Barrier;
    use std::time::Duration;

    /// The one wake-up that there is goes to the helper, which came first; whoever came second sleeps without
    /// a tick.
    #[test]
    fn the_helper_passes_its_wake_up_on() {
        let folder = tempfile::tempdir().unwrap();
        let barrier = Barrier::create(folder.path().join("test.barrier")).unwrap();
        let gate = barrier.inner.attached().unwrap().gate();
        let _x = crate::exclusive::held::Held::try_take(&barrier, 0, false).unwrap().unwrap();
        let closed = gate.close().unwrap().generation();
        let _descriptor = barrier.gate_descriptor().unwrap();
        // Should it not sleep yet, it finds the gate open by itself, and does the same.
        std::thread::sleep(Duration::from_millis(20));
        let passed_on = std::thread::scope(|scope| {
            let second = || gate.among_waiters(|| gate.generation.wait(closed, None));
            let second = scope.spawn(second);
            std::thread::sleep(Duration::from_millis(20));
            assert!(gate.open(closed));
            gate.generation.wake(1);
            let passed_on = (0..5000).any(|_| {
                std::thread::sleep(Duration::from_millis(1));
                second.is_finished()
            });
            gate.generation.wake(crate::gate::protocol::ALL);
            passed_on
        });
        assert!(passed_on);
    }
}
