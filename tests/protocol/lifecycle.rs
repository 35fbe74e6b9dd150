//! A barrier's life: made once, replaced, made anew after a restart, retired.

use crate::common::{BOOT_IDS, EXCLUSIVE, GENERATION, Participant, Place, at_once};
use std::fs::File;
use std::os::unix::fs::FileExt;
use stillpoint::{Barrier, Dirty, Error, ErrorKind, Founding};

#[test]
fn many_processes_make_one_barrier() {
    let place = Place::new();
    let mut all: Vec<_> = (0..12)
        .map(|_| {
            Participant::start_as(|command| {
                command.env("STILLPOINT_CREATE", "1");
            })
        })
        .collect();
    let open = format!("open {}", place.barrier_path().display());
    all.iter_mut().for_each(|one| one.say(&open));
    let answers: Vec<_> = all.iter().map(Participant::hear).collect();
    assert!(answers[0].starts_with("open "), "{answers:?}");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    all.iter_mut().for_each(|one| one.expect("shared", "inside 1"));
    let status = place.status();
    assert_eq!(status.writers.len(), 24);
    assert_eq!(status.writers.iter().filter(|writer| writer.inside).count(), 12);
    let left: Vec<_> = std::fs::read_dir(place.folder()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_missing_barrier_is_an_error_on_both_sides() {
    let place = Place::new();
    let error = Barrier::open(place.barrier_path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    let barrier = place.barrier();
    let error = Barrier::create(place.barrier_path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exists);
    drop(barrier);
}

#[test]
fn a_barrier_begins_with_what_it_is_founded_on() {
    let place = Place::new();
    let dirty = Dirty { epoch: 7, acknowledged: 5 };
    let mut founding = Founding::new(Some([1, 2, 3, 0xabcd]), dirty);
    founding.generation = u32::MAX;
    let barrier = Barrier::options().founding(founding).found(place.barrier_path()).unwrap();
    assert_eq!(place.status().generation, 0x3fff_fffe, "open, and far from the last");
    assert_eq!(barrier.uuid(), "0000000100000002000000030000abcd");
    let dirty = barrier.dirty();
    assert_eq!((dirty.epoch, dirty.acknowledged), (7, 5));
    assert!(dirty.is_dirty());
    barrier.acknowledge(7);
    assert!(!barrier.dirty().is_dirty());
}

#[test]
fn another_boot_raises_the_dirty_epoch_and_clears_the_file() {
    let place = Place::new();
    let path = place.make_barrier();
    let before = place.status();
    let file = File::options().write(true).open(&path).unwrap();
    BOOT_IDS.iter().for_each(|at| file.write_all_at(&[7; 16], *at).unwrap());
    // A gate left closed and a slot left odd, with limits that mean nothing now.
    file.write_all_at(&9u32.to_ne_bytes(), 4096).unwrap();
    file.write_all_at(&33u32.to_ne_bytes(), 16384).unwrap();
    let barrier = Barrier::open(&path).unwrap();
    let after = place.status();
    assert_eq!((after.uuid, after.boot_id), (before.uuid, before.boot_id));
    assert_eq!(after.dirty.epoch, 1, "once, whatever was left");
    assert_eq!(after.lost[0].label, "restart");
    assert!(!after.closed && after.generation == 10);
    drop(barrier.try_shared().unwrap());
    drop(barrier);
    drop(Barrier::open(&path).unwrap());
    assert_eq!(place.epoch(), 1, "not again");
}

#[test]
fn nobody_is_taken_for_another_boot_while_somebody_has_it_open() {
    let place = Place::new();
    let path = place.make_barrier();
    let mut user = Participant::at(&path);
    user.expect("shared", "inside 1");
    let file = File::options().write(true).open(&path).unwrap();
    BOOT_IDS.iter().for_each(|at| file.write_all_at(&[7; 16], *at).unwrap());
    drop(Barrier::open(&path).unwrap());
    assert_eq!(place.epoch(), 0);
    user.expect("leave", "depth 0");
    user.say("exit");
    user.wait();
    drop(Barrier::open(&path).unwrap());
    assert_eq!(place.epoch(), 0, "noted by the first");
}

/// A command under a pause is no member, but holds X.
#[test]
fn nobody_is_taken_for_another_boot_while_somebody_holds_the_exclusive_lock() {
    use nix::fcntl::{FcntlArg, fcntl};
    let place = Place::new();
    let path = place.make_barrier();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    BOOT_IDS.iter().for_each(|at| file.write_all_at(&[7; 16], *at).unwrap());
    let x = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as _,
        l_whence: nix::libc::SEEK_SET as _,
        l_start: EXCLUSIVE,
        l_len: 1,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_OFD_SETLK(&x)).unwrap();
    // Its gate stays closed.
    file.write_all_at(&9u32.to_ne_bytes(), GENERATION).unwrap();
    let barrier = Barrier::open(&path).unwrap();
    assert_eq!(barrier.try_shared().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(place.epoch(), 0);
}

#[test]
fn retiring_needs_to_be_alone() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut user = Participant::at(&place.barrier_path());
    let error = barrier.retire().unwrap_err();
    let Error::InUse { writers, .. } = &error else { panic!("{error}") };
    assert!(writers.iter().any(|writer| writer.pid == user.pid()), "{error}");
    // It goes on as it was.
    user.expect("shared", "inside 1");
    user.kill();
    let barrier = Barrier::open(place.barrier_path()).unwrap();
    let pause = barrier.exclusive(&mut at_once(1000)).unwrap();
    pause.release().unwrap();
    let second = Barrier::open(place.barrier_path()).unwrap();
    assert_eq!(barrier.retire().unwrap_err().kind(), ErrorKind::InUse);
    let (dirty, lost) = second.retire().unwrap();
    assert_eq!(dirty.epoch, 1, "the one that was killed inside");
    assert_eq!(lost[0].pid, user.pid());
    assert!(!place.barrier_path().exists());
    assert_eq!(Barrier::open(place.barrier_path()).unwrap_err().kind(), ErrorKind::Missing);
}

#[test]
fn a_barrier_that_was_removed_is_never_quiet() {
    let place = Place::new();
    let barrier = place.barrier();
    let share = barrier.shared().unwrap();
    std::fs::remove_file(place.barrier_path()).unwrap();
    // Those who have it go on; a new thread counts in the process's slot.
    drop(barrier.shared().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| drop(barrier.shared().unwrap()));
    });
    drop(share);
    let error = barrier.exclusive(&mut at_once(50)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
}
