//! A share and a file's write lock, together or not at all.

use crate::common::{Place, at_once};
use std::fs::File;
use stillpoint::{ErrorKind, WriteLock};

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
