//! A barrier on a disk that is full: what it is written to has all its space from the beginning, for a page that
//! cannot be had ends the process by SIGBUS.

use crate::common::Image;
use nix::unistd::syncfs;
use std::fs::File;
use std::io::{ErrorKind, Write};
use stillpoint::Barrier;

/// Takes shares, each of which makes pages dirty that were written to the disk before.
fn is_used_when_full(image: Option<Image>) {
    let Some(image) = image else { return };
    let barrier = Barrier::create(image.path().join("test.barrier")).unwrap();
    let folder = File::open(image.path()).unwrap();
    syncfs(&folder).unwrap();
    // What is left in between is found when the rest was written.
    let sizes = [1 << 20, 4096, 4097];
    let files = sizes.map(|size| File::create(image.path().join(format!("{size}"))).unwrap());
    for (mut file, size) in files.into_iter().zip(sizes) {
        let error = loop {
            if let Err(error) = file.write_all(&vec![1; size]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        syncfs(&folder).unwrap();
    }
    for _ in 0..4 {
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| drop(barrier.shared().unwrap()));
            }
        });
        drop(barrier.shared_owned().unwrap());
        barrier.exclusive(&mut Default::default()).unwrap().release().unwrap();
        syncfs(&folder).unwrap();
    }
}

#[test]
fn btrfs() {
    is_used_when_full(Image::btrfs());
}

#[test]
fn xfs() {
    is_used_when_full(Image::xfs());
}

#[test]
fn ext4() {
    is_used_when_full(Image::ext4());
}

#[test]
fn tmpfs() {
    is_used_when_full(Image::tmpfs(4096));
}
