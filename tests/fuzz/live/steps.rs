//! What happens while bytes change.

use crate::scene::{LIMIT, Scene, at_once};
use arbitrary::Arbitrary;
use hostile::{Edit, GATE, PACING};
use std::time::{Duration, Instant};
use stillpoint::{
    Barrier, CommandShareOptions, Error, ErrorKind, ExclusiveGuard, ExclusiveOptions, Status,
};

/// Longer lists say nothing new.
const STEPS: usize = 24;
/// How long a tool waits for words that may be garbage.
const DRAIN: Duration = Duration::from_millis(1);

/// One thing that is done, by this thread unless it says otherwise.
#[derive(Arbitrary, Clone, Debug)]
pub enum Step {
    Edit(Edit),
    /// A share is taken and left.
    Share,
    /// Bytes change under a share.
    EditInShare(Edit),
    /// A share of the process's counted slot.
    Owned(Option<Edit>),
    /// A share in a slot of its own.
    Command(Option<Edit>),
    /// A pause, and bytes that change in it.
    Pause(Option<Edit>),
    /// A thread comes, takes a slot, and ends.
    Thread,
    /// Somebody looks.
    Status,
    /// The barrier is opened once more.
    Open,
    Acknowledge,
    Sleep(u8),
}

impl Scene {
    /// Does all of it, and says what was overwritten.
    pub fn edited_by(&mut self, steps: &[Step]) -> Vec<Edit> {
        self.runs += 1;
        let mut edits = Vec::new();
        for step in steps.iter().take(STEPS) {
            let began = Instant::now();
            self.take(step, &mut edits);
            assert!(began.elapsed() < LIMIT, "{step:?} took {:?}", began.elapsed());
        }
        edits
    }

    fn take(&self, step: &Step, edits: &mut Vec<Edit>) {
        let barrier = &self.barrier;
        let mut edit = |edit: &Edit| {
            edits.push(*edit);
            edit.apply(&self.file).expect("it is written");
        };
        match step {
            Step::Edit(bytes) => edit(bytes),
            Step::Share => drop(refused(barrier.try_shared(), &[ErrorKind::WouldBlock])),
            Step::EditInShare(bytes) => {
                let share = refused(barrier.try_shared(), &[ErrorKind::WouldBlock]);
                edit(bytes);
                drop(share);
            }
            Step::Owned(bytes) => {
                let share = barrier.shared_owned_timeout(DRAIN);
                let share = refused(share, &[ErrorKind::TimedOut]);
                bytes.iter().for_each(edit);
                drop(share);
            }
            Step::Command(bytes) => {
                let mut options = CommandShareOptions::default().wait(Duration::ZERO);
                let share = barrier.shared_for_command(&mut options);
                let share = refused(share, &[ErrorKind::WouldBlock]);
                bytes.iter().for_each(edit);
                drop(share);
            }
            Step::Pause(bytes) => {
                let courteous = self.runs.is_multiple_of(512);
                let pause = if courteous { self.pause_politely() } else { self.pause(DRAIN) };
                bytes.iter().for_each(edit);
                if let Some(pause) = pause {
                    refused(pause.release(), &[ErrorKind::Revoked]);
                }
            }
            Step::Thread => std::thread::scope(|scope| {
                scope.spawn(|| drop(refused(barrier.try_shared(), &[ErrorKind::WouldBlock])));
            }),
            Step::Status => {
                let known = [ErrorKind::NotABarrier, ErrorKind::Version];
                let status = refused(Status::read(&self.path), &known);
                std::hint::black_box(format!("{status:?}"));
            }
            Step::Open => self.open(),
            Step::Acknowledge => barrier.acknowledge(barrier.dirty().epoch),
            Step::Sleep(microseconds) => {
                std::thread::sleep(Duration::from_micros((*microseconds).into()));
            }
        }
    }

    /// Another handle, or, if the header says another barrier, another barrier's.
    fn open(&self) {
        let opened = Barrier::options().create(false).open(&self.path);
        let handle = refused(opened, &[ErrorKind::NotABarrier, ErrorKind::Version]);
        if let Some(handle) = handle {
            drop(refused(handle.try_shared(), &[ErrorKind::WouldBlock]));
        }
    }

    /// The exclusive side; `None` if it was refused, as it may be.
    pub fn pause(&self, drain: Duration) -> Option<ExclusiveGuard> {
        self.try_pause(&mut at_once(drain))
    }

    fn pause_politely(&self) -> Option<ExclusiveGuard> {
        let drain = Duration::from_millis(60);
        self.try_pause(&mut at_once(drain).patience(DRAIN))
    }

    fn try_pause(&self, options: &mut ExclusiveOptions<'_>) -> Option<ExclusiveGuard> {
        let known = [ErrorKind::WouldBlock, ErrorKind::NotQuiet, ErrorKind::Revoked];
        let pause = refused(self.barrier.exclusive(options), &known);
        if pause.is_none() {
            self.forget_pacing();
        }
        pause
    }

    /// What time does by itself: a record of a failed closing counts for 10 s at most.
    pub fn forget_pacing(&self) {
        self.set_word(PACING, 0);
        self.set_word(PACING + 4, 0);
    }

    pub fn gate_is_closed(&self) -> bool {
        self.word(GATE) & 1 == 1
    }
}

/// What came of it; an error is one of these kinds, or a fault.
pub fn refused<T>(result: Result<T, Error>, known: &[ErrorKind]) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if known.contains(&error.kind()) => {
            std::hint::black_box(error.to_string());
            None
        }
        Err(error) => panic!("{:?}: {error}", error.kind()),
    }
}
