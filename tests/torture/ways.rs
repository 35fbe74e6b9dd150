//! The ways to take a share, and to lose one.

use crate::arena::{COUNTED, ENDED, INSIDE, OUTSIDE};
use crate::harness::again;
use crate::writer::{FEW, Writer, in_a_thread};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use stillpoint::{CommandShareOptions, ErrorKind};

impl Writer<'_> {
    pub fn plain(&mut self) {
        let _share = self.barrier.shared().expect("a share");
        self.change();
    }

    pub fn nest(&mut self) {
        let _outer = self.barrier.shared().expect("a share");
        self.change();
        let _inner = self.barrier.try_shared().expect("a nested share does not wait");
        self.change();
    }

    /// Many shares that change nothing: most of the time goes into entering and leaving, so that is
    /// where this thread is when it loses the processor, for longer than a pause is brief.
    pub fn burst(&mut self) {
        for _ in 0..5000 {
            let _share = self.barrier.shared().expect("a share");
            self.mark(INSIDE);
            self.mark(OUTSIDE);
        }
    }

    /// The same in the slot that the whole process counts in.
    pub fn counted_burst(&mut self) {
        for _ in 0..5000 {
            let _share = self.barrier.shared_owned().expect("a share");
            self.mark(COUNTED);
            self.mark(OUTSIDE);
        }
    }

    /// Shares that may be refused.
    pub fn try_or_be_timed(&mut self) {
        let share = if self.chance.one_in(2) {
            self.barrier.try_shared()
        } else {
            self.barrier.shared_timeout(self.chance.up_to_ms(20))
        };
        match share {
            Ok(_share) => self.change(),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
            }
        }
    }

    /// Gives way inside a share, to whoever wants the exclusive side.
    pub fn give_way(&mut self) {
        let mut share = self.barrier.shared().expect("a share");
        self.change();
        if self.barrier.should_yield() {
            share.yield_now().expect("a share again");
        }
        self.change();
    }

    /// A share in the slot that the whole process counts in.
    pub fn counted(&mut self) {
        let _share = self.barrier.shared_owned().expect("a share");
        self.change_as(COUNTED);
    }

    /// A share that another thread ends.
    pub fn hand_over(&mut self) {
        let share = self.barrier.shared_owned().expect("a share");
        self.change_as(COUNTED);
        let other = || {
            self.change_as(COUNTED);
            drop(share);
        };
        in_a_thread(other);
    }

    /// The thread ends inside a share.
    pub fn end_inside(&mut self) {
        let share = self.barrier.shared().expect("a share");
        self.change();
        self.mark(ENDED);
        std::mem::forget(share);
    }

    /// The process executes itself anew, with this thread inside a share and the others anywhere.
    pub fn execute(&mut self) {
        let _share = self.barrier.shared().expect("a share");
        self.change();
        self.mark(ENDED);
        panic!("exec failed: {}", again(self.arena, "writer").exec());
    }

    /// Forks inside a share. The child has none, and takes some of its own.
    pub fn fork(&mut self) {
        let share = self.barrier.shared().expect("a share");
        self.change();
        // SAFETY: the child uses the library, whose promise to forked children is tested here, the
        // arena and the allocator, which glibc keeps usable; it leaves by _exit.
        match unsafe { fork() }.expect("a child") {
            ForkResult::Child => {
                let life = AssertUnwindSafe(|| {
                    assert_eq!(self.barrier.depth(), 0, "a child inherits no share");
                    drop(share);
                    let process = self.arena.new_process();
                    let mut child = Writer::new(self.arena, self.barrier, process);
                    (0..FEW).for_each(|_| child.plain());
                });
                if catch_unwind(life).is_err() {
                    self.arena.complain("a forked child failed");
                }
                // SAFETY: it ends this process, at once.
                unsafe { libc::_exit(0) }
            }
            ForkResult::Parent { child } => {
                self.change();
                drop(share);
                let end = waitpid(child, None).expect("it is this process's child");
                if end != WaitStatus::Exited(child, 0) {
                    self.arena.complain(&format!("a forked child ended with {end:?}"));
                }
            }
        }
    }

    /// A share for a command, which inherits its descriptor and takes shares under its cover. Now and
    /// then it ends before the command does, and the cover is stale.
    pub fn command(&mut self) {
        let limit = Some(Duration::from_millis(50));
        let Ok(share) = self
            .barrier
            .shared_for_command(&mut CommandShareOptions { wait: limit, ..Default::default() })
        else {
            return;
        };
        self.change();
        let descriptor = share.descriptor().as_raw_fd();
        let mut command = again(self.arena, "command");
        command.env("STILLPOINT_HELD", share.cover());
        let inherit = move || {
            // SAFETY: the share keeps it open until after the fork.
            let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
            fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
            Ok(())
        };
        // SAFETY: it only calls fcntl(2).
        let mut child = unsafe { command.pre_exec(inherit) }.spawn().expect("a command");
        self.mark(INSIDE);
        if self.chance.one_in(2) {
            child.wait().expect("it ends");
        } else {
            std::thread::sleep(self.chance.up_to_ms(10));
        }
        self.change();
        share.end();
        child.wait().expect("it ends");
    }
}
