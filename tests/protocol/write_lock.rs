//! A share and a file's write lock, together or not at all.

use crate::common::{Place, at_once};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr;
use stillpoint::{ErrorKind, FileLock, LockKind, LockRequest, WriteLock};

#[test]
fn both_are_held_and_given_back() {
    let place = Place::new();
    let barrier = place.barrier();
    let file = File::create(place.path("mailbox")).unwrap();
    let rival = File::open(place.path("mailbox")).unwrap();
    let free = || fs2::FileExt::try_lock_exclusive(&rival).is_ok();
    for acquire in [WriteLock::acquire, WriteLock::try_acquire] {
        let lock = acquire(&barrier, &file).unwrap();
        assert_eq!(barrier.depth(), 1);
        assert!(!free());
        drop(lock);
        assert_eq!(barrier.depth(), 0);
        assert!(free());
        fs2::FileExt::unlock(&rival).unwrap();
    }
}

#[test]
fn a_failed_attempt_leaves_nothing_held() {
    let place = Place::new();
    let barrier = place.barrier();
    let file = File::create(place.path("mailbox")).unwrap();
    let rival = File::open(place.path("mailbox")).unwrap();
    // The file is locked: no share is left.
    fs2::FileExt::lock_exclusive(&rival).unwrap();
    let error = WriteLock::try_acquire(&barrier, &file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(barrier.depth(), 0);
    fs2::FileExt::unlock(&rival).unwrap();
    // The gate is closed: the file is not locked.
    let pause = barrier.exclusive(&mut at_once(100)).unwrap();
    let error = WriteLock::try_acquire(&barrier, &file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    fs2::FileExt::try_lock_exclusive(&rival).unwrap();
    pause.release().unwrap();
}

#[test]
fn without_a_guard_it_leaves_nothing_held_either() {
    let place = Place::new();
    let barrier = place.barrier();
    let file = File::create(place.path("mailbox")).unwrap();
    let rival = File::open(place.path("mailbox")).unwrap();
    let lock = FileLock { descriptor: file.as_raw_fd(), kind: LockKind::Flock };
    let attempt = |request| {
        // SAFETY: null.
        unsafe { barrier.lock_file(lock, request, false, ptr::null(), 0) }
    };
    fs2::FileExt::lock_exclusive(&rival).unwrap();
    assert_eq!(attempt(LockRequest::Write).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(barrier.depth(), 0);
    fs2::FileExt::unlock(&rival).unwrap();
    attempt(LockRequest::Write).unwrap();
    assert_eq!(barrier.depth(), 1);
    attempt(LockRequest::Unlock).unwrap();
    assert_eq!(barrier.depth(), 0);
}

/// An inner one ends no share of an outer one.
#[test]
fn each_of_two_by_one_file_has_a_share_of_its_own() {
    let place = Place::new();
    let barrier = place.barrier();
    let file = File::create(place.path("mailbox")).unwrap();
    let outer = WriteLock::acquire(&barrier, &file).unwrap();
    drop(WriteLock::acquire(&barrier, &file).unwrap());
    assert_eq!(barrier.depth(), 1);
    drop(outer);
    assert_eq!(barrier.depth(), 0);
}
