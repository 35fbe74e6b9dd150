//! Children forked while other threads are joining and leaving.

use crate::actor::Answer;
use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use stillpoint::Barrier;

/// Threads that join and leave meanwhile; at the end each is inside a share for good.
const THREADS: usize = 3;

/// Forks `count` children from among joining threads. Every twentieth lives on (a minute at most), the
/// others take a share and end. Answers how many of these did not get that far, and who lives.
pub fn fork_among_joins(barrier: &'static Barrier, count: usize) -> Answer {
    static OVER: AtomicBool = AtomicBool::new(false);
    let (inside, all_inside) = channel();
    for _ in 0..THREADS {
        let inside = inside.clone();
        std::thread::spawn(move || {
            while !OVER.load(Ordering::Relaxed) {
                let join = move || barrier.shared().map(drop);
                let _ = std::thread::spawn(join).join();
            }
            std::mem::forget(barrier.shared());
            let _ = inside.send(());
            loop {
                std::thread::park();
            }
        });
    }
    let (mut failed, mut living) = (0, Vec::new());
    for index in 0..count {
        // SAFETY: the child uses the library under test, whose promise that is, and sleeps or ends.
        match unsafe { fork() }? {
            ForkResult::Child => child(barrier, index % 20 != 0),
            ForkResult::Parent { child } if index % 20 != 0 => {
                let ended = waitpid(child, None)?;
                failed += usize::from(ended != WaitStatus::Exited(child, 0));
            }
            ForkResult::Parent { child } => living.push(child.to_string()),
        }
    }
    OVER.store(true, Ordering::Relaxed);
    all_inside.iter().take(THREADS).for_each(drop);
    Ok(format!("failed={failed} inside={THREADS} living={}", living.join(",")))
}

fn child(barrier: &Barrier, ends: bool) -> ! {
    if ends {
        // One that hangs keeps its parent waiting, which is seen, and is gone with it.
        let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
    } else {
        nix::unistd::alarm::set(60);
        loop {
            nix::unistd::pause();
        }
    }
    let left = barrier.shared().map(drop).is_ok() && barrier.depth() == 0;
    // SAFETY: ends without running what belongs to the parent's other threads.
    unsafe { libc::_exit(i32::from(!left)) }
}
