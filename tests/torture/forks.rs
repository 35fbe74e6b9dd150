//! Forking and executing inside a share, and what children do then.

use crate::figures::Deed;
use crate::role::Role;
use crate::state::Doing;
use crate::writer::{FEW, Writer};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::time::Duration;
use stillpoint::{CommandShareOptions, SharedGuard};

/// What a forked child does.
#[derive(Clone, Copy)]
enum Child {
    /// Joins anew and takes shares.
    Joins,
    /// Ends at once, without a look at the barrier.
    Ends,
    /// Drops what it inherited and ends.
    Drops,
    /// Forks once more; the grandchild joins, and its parent has ended by then.
    Forks,
}

impl Writer<'_> {
    /// The process executes itself anew, with this thread inside a share and the others anywhere.
    pub fn execute(&mut self, role: Role) {
        let _share = self.barrier.shared().expect("a share");
        self.change();
        self.arena.count(Deed::Exec, 1);
        self.mark(self.ended());
        panic!("exec failed: {}", role.command(self.arena, None).exec());
    }

    /// Forks inside a share. The child has none, and takes some of its own.
    pub fn fork(&mut self) {
        let share = self.barrier.shared().expect("a share");
        self.change();
        let child = self.child(Child::Joins, &share);
        self.change();
        drop(share);
        self.wait_for(child);
    }

    /// Many children inside one share.
    pub fn storm(&mut self) {
        let share = self.barrier.shared().expect("a share");
        self.change();
        let mut children = Vec::new();
        for _ in 0..=self.chance.below(12) {
            let kind = match self.chance.below(5) {
                0 => Child::Joins,
                1 => Child::Drops,
                2 => Child::Forks,
                3 => Child::Ends,
                _ => {
                    self.execute_in_a_child();
                    continue;
                }
            };
            children.push(self.child(kind, &share));
        }
        self.change();
        drop(share);
        children.into_iter().for_each(|child| self.wait_for(child));
    }

    /// A child that shares this process's memory until it executes another program: vfork(2), or what
    /// posix_spawn(3) does today.
    fn execute_in_a_child(&mut self) {
        let mut command = Command::new("true");
        let child = command.stdout(Stdio::null()).spawn();
        self.arena.count(Deed::SpawnInside, 1);
        let ended = child.and_then(|mut child| child.wait()).expect("there is true(1)");
        if !ended.success() {
            self.arena.complain(&format!("a spawned child ended with {ended}"));
        }
    }

    fn child(&mut self, kind: Child, share: &SharedGuard<'_>) -> Pid {
        self.arena.count(Deed::Fork, 1);
        // SAFETY: the child uses the library, whose promise to forked children is tested here, the
        // arena and the allocator, which glibc keeps usable; it leaves by _exit.
        match unsafe { fork() }.expect("a child") {
            ForkResult::Parent { child } => child,
            ForkResult::Child => {
                let life = AssertUnwindSafe(|| self.live_as_a_child(kind, share));
                if catch_unwind(life).is_err() {
                    self.arena.complain("a forked child failed");
                }
                // SAFETY: it ends this process, at once.
                unsafe { libc::_exit(0) }
            }
        }
    }

    fn live_as_a_child(&mut self, kind: Child, share: &SharedGuard<'_>) {
        match kind {
            Child::Ends => return,
            Child::Forks => {
                self.child(Child::Joins, share);
                return;
            }
            Child::Joins | Child::Drops => {}
        }
        assert_eq!(self.barrier.depth(), 0, "a child inherits no share");
        // SAFETY: a copy of the guard in the child's own memory, which nobody uses there again.
        drop(unsafe { std::ptr::read(share) });
        if matches!(kind, Child::Joins) {
            let label =
                self.arena.process(self.process).label.load(std::sync::atomic::Ordering::SeqCst);
            let process = self.arena.new_process(Some(label));
            let mut child = Writer::new(self.arena, self.barrier, process, Role::Forker);
            (0..FEW).for_each(|_| child.plain());
        }
    }

    fn wait_for(&self, child: Pid) {
        let end = waitpid(child, None).expect("it is this process's child");
        if end != WaitStatus::Exited(child, 0) {
            self.arena.complain(&format!("a forked child ended with {end:?}"));
        }
    }

    /// A share for a command, which inherits its descriptor and takes shares under its cover. Now and
    /// then it ends before the command does, and the cover is stale.
    pub fn command(&mut self) {
        let limit = Some(Duration::from_millis(50));
        let options = &mut CommandShareOptions::default().wait(limit);
        let Ok(share) = self.barrier.shared_for_command(options) else {
            return;
        };
        self.change_as(Doing::Inside);
        let descriptor = share.descriptor().as_raw_fd();
        let mut command = Role::Covered.command(self.arena, None);
        command.env(stillpoint::HELD, share.cover());
        let inherit = move || {
            // SAFETY: the share keeps it open until after the fork.
            let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
            fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
            Ok(())
        };
        // SAFETY: it only calls fcntl(2).
        let mut child = unsafe { command.pre_exec(inherit) }.spawn().expect("a command");
        self.mark(Doing::Inside);
        if self.chance.one_in(2) {
            child.wait().expect("it ends");
        } else {
            std::thread::sleep(self.chance.up_to_ms(10));
        }
        self.change_as(Doing::Inside);
        share.end();
        child.wait().expect("it ends");
    }
}
