//! The file is removed under its users, or renamed, and made again: they come over by themselves, or
//! nothing is granted beside them. It takes root to see who has a file mapped, and to bring him over.

mod coming_back;
mod coming_over;
mod losses;
mod pauses;
mod storms;
mod threads;
mod vantage;
mod waiting;

use crate::common::{Participant, Place};
use std::fs;
use stillpoint::Barrier;

const ONCE: &str = "exclusive patience=0 drain=50 wait=300";

/// Another file at its place.
fn replace(place: &Place) -> Barrier {
    fs::remove_file(place.barrier_path()).unwrap();
    place.barrier()
}

/// Another file at the place of the barrier, of which nobody knows yet that it is another. What was there
/// is renamed.
fn copy_over(place: &Place, aside: &str) {
    fs::copy(place.barrier_path(), place.path("copy")).unwrap();
    fs::rename(place.barrier_path(), place.path(aside)).unwrap();
    fs::rename(place.path("copy"), place.barrier_path()).unwrap();
}

/// A member that has the fast path, and is outside.
fn member(place: &Place) -> Participant {
    let mut member = Participant::at(&place.barrier_path());
    member.expect("shared", "inside 1");
    member.expect("leave", "depth 0");
    member
}

/// Lets a thread of its own come over, which has been in the file before.
fn come_over(barrier: &Barrier) {
    let thread = || drop(barrier.shared().unwrap());
    std::thread::scope(|scope| scope.spawn(thread).join().unwrap());
}

fn is_inside(place: &Place, pid: u32) -> bool {
    place.status().writers.iter().any(|writer| writer.inside && writer.pid == pid)
}

/// The tool has the exclusive side, of the barrier that the writer asks.
fn excludes(tool: &mut Participant, writer: &mut Participant) {
    tool.expect_like(ONCE, "granted");
    writer.expect_like("try-shared", "error WouldBlock");
    tool.expect("release", "released grown=0");
}
