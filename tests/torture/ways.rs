//! The ways to take a share, and to lose one, within a process.

use crate::role::Role;
use crate::state::Doing;
use crate::writer::{Writer, in_a_thread};
use stillpoint::ErrorKind;

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
    pub fn burst(&mut self, role: Role) {
        for _ in 0..length(role) {
            let _share = self.barrier.shared().expect("a share");
            self.mark(self.inside());
            self.mark(Doing::Outside);
        }
    }

    /// The same in the slot that the whole process counts in.
    pub fn counted_burst(&mut self, role: Role) {
        for _ in 0..length(role) {
            let _share = self.barrier.shared_owned().expect("a share");
            self.mark(Doing::Counted);
            self.mark(Doing::Outside);
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
        self.change_as(Doing::Counted);
    }

    /// A share that another thread ends.
    pub fn hand_over(&mut self) {
        let share = self.barrier.shared_owned().expect("a share");
        self.change_as(Doing::Counted);
        let other = || {
            self.change_as(Doing::Counted);
            drop(share);
        };
        in_a_thread(other);
    }

    /// The thread ends inside a share.
    pub fn end_inside(&mut self) {
        let share = self.barrier.shared().expect("a share");
        self.change();
        self.mark(self.ended());
        std::mem::forget(share);
    }
}

fn length(role: Role) -> u32 {
    if role == Role::Writer { 5000 } else { 50 }
}
