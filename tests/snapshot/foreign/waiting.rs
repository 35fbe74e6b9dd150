//! Waiting for a lock of another program: for whom, for how long, and at whose cost.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Cyrus, LAYOUTS};
use crate::common::{Image, must, run, start, state, subvolume, until};

/// Who holds it is named, the gate never closes, and whatever was locked before is given back.
#[test]
fn a_holder_that_stays_is_named() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let holder = cyrus.holding(&cyrus.lock);
    let first = cyrus.scene.path("first");
    File::create(&first).unwrap();
    let before = cyrus.scene.generation();
    let also = format!("flock:{}", first.display());
    let options = ["--patience", "0", "--drain", "0.1", "--attempts", "2", "--also", &also];
    // Cyrus's is the first in order, whatever the arguments say.
    let done = run(cyrus.copy("x", &options).arg(cyrus.flag()));
    done.assert_refused(75, "attempt 1 of 2");
    let who = format!("$GLOBAL.lock: still locked by cyrus_writer[{}] after", holder.pid);
    assert_eq!(done.stderr.matches(&who).count(), 2, "{done:#?}");
    assert_eq!(cyrus.scene.generation(), before, "no writer of ours had to wait");
    assert_eq!(cyrus.scene.manifest()["status"], "failed");
    assert_eq!(cyrus.scene.snapshots(), [""; 0]);
    drop(holder);
    run(&mut cyrus.copy("y", &options)).assert_code(0);
}

/// The kernel's list has another device than stat(2) for them, and one number for files of several.
#[test]
fn holders_are_named_in_btrfs_subvolumes_too() {
    let Some(image) = Image::btrfs() else {
        return;
    };
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let locks = ["a", "b"].map(|name| {
        subvolume(&image.path().join(name));
        let lock = image.path().join(name).join("lock");
        File::create(&lock).unwrap();
        lock
    });
    assert_eq!(fs::metadata(&locks[0]).unwrap().ino(), fs::metadata(&locks[1]).unwrap().ino());
    let _other = cyrus.holding(&locks[1]);
    let holder = cyrus.holding(&locks[0]);
    let also = format!("fcntl:{}", locks[0].display());
    let done = run(&mut cyrus
        .copy("x", &["--patience", "0", "--drain", "0.1", "--attempts", "1", "--also", &also]));
    let who = format!("locked by cyrus_writer[{}] after", holder.pid);
    done.assert_refused(75, &who);
}

#[test]
fn on_a_terminal_the_wait_says_for_whom() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let holder = cyrus.holding(&cyrus.lock);
    let copy = cyrus.copy("x", &["--patience", "0", "--drain", "1", "--attempts", "1"]);
    let words = [copy.get_program()].into_iter().chain(copy.get_args());
    let mut words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    words.push(cyrus.flag().to_string_lossy().into_owned());
    let mut script = cyrus.scene.environment(Command::new("script"));
    let done = run(script.args([
        "-qec",
        &format!("stty rows 24 cols 200; {}", words.join(" ")),
        "/dev/null",
    ]));
    done.assert_code(75);
    let (path, pid) = (cyrus.lock.display(), holder.pid);
    let who = format!(" ms for cyrus_writer[{pid}], who has locked {path}");
    assert!(done.stdout.contains(&who), "{done:#?}");
    assert!(done.stdout.contains("stillpoint: waiting "), "{done:#?}");
}

#[test]
fn an_interrupt_while_waiting_gives_everything_back() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let first = cyrus.scene.path("first");
    File::create(&first).unwrap();
    run(cyrus.copy("made", &[]).arg(cyrus.flag())).assert_code(0);
    let before = cyrus.scene.generation();
    let second = cyrus.scene.path("second");
    File::create(&second).unwrap();
    let holder = cyrus.holding(&second);
    let also = [&first, &second].map(|path| format!("--also=fcntl:{}", path.display()));
    let waiting = start(cyrus.copy("x", &["--drain", "60"]).arg(cyrus.flag()).args(also));
    let is_free = |path| stillpoint::lock_holders(&File::open(path).unwrap()).is_empty();
    until("the first two", || cyrus.is_locked() && !is_free(&first));
    waiting.signal(Signal::SIGTERM);
    let done = waiting.wait();
    assert_eq!(done.signal(), Some(Signal::SIGTERM as i32), "{done:#?}");
    assert!(!cyrus.is_locked() && is_free(&first));
    assert_eq!(cyrus.scene.generation(), before, "no writer of ours had to wait");
    drop(holder);
}

#[test]
fn a_long_writer_of_ours_does_not_keep_the_others_locked() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let lock = cyrus.scene.path("other.lock");
    File::create(&lock).unwrap();
    let also = format!("flock:{}", lock.display());
    let long = cyrus.scene.holder();
    let waiting = start(&mut cyrus.copy("x", &["--patience", "60", "--also", &also]));
    // The first closing is over: long shares are waited for with the gate open.
    until("the gate was opened again", || cyrus.scene.generation() == 2);
    must(Command::new("flock").args(["-w", "5"]).arg(&lock).arg("true"));
    assert_eq!(cyrus.scene.generation(), 2);
    drop(long);
    waiting.wait().assert_code(0);
}

/// It is never free, and none of those who are named is to blame.
#[test]
fn holders_that_keep_changing_are_no_holder_that_stays() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let _relay = cyrus.locking("relay", &cyrus.lock);
    let options = ["--patience", "1", "--drain", "0.1", "--attempts", "1"];
    let done = run(cyrus.copy("x", &options).arg(cyrus.flag()));
    done.assert_refused(75, "$GLOBAL.lock: never free in 1");
    for said in ["its holders keep changing (cyrus_writer[", "--patience", "maxchild"] {
        assert!(done.stderr.contains(said), "{said}: {done:#?}");
    }
    assert_eq!(cyrus.scene.generation(), 0, "no writer of ours had to wait");
}

/// Nobody waits for us while we have none of them; once we have one, its users do.
#[test]
fn the_first_is_waited_for_with_patience_and_the_others_no_longer_than_a_drain() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let (first, second) = (cyrus.scene.path("first"), cyrus.scene.path("second"));
    for file in [&first, &second] {
        File::create(file).unwrap();
    }
    let holders = [&first, &second].map(|file| cyrus.holding(file));
    let also = [&first, &second].map(|file| format!("--also=fcntl:{}", file.display()));
    let copy = |patience: &str| {
        let mut copy = cyrus.copy(patience, &["--patience", patience, "--drain", "0.2"]);
        copy.args(["--attempts", "1"]).args(&also);
        copy
    };
    run(&mut copy("0.4")).assert_refused(75, "first: still locked by cyrus_writer[");
    let [holder_of_first, holder_of_second] = holders;
    let waiting = start(&mut copy("60"));
    std::thread::sleep(Duration::from_millis(500));
    assert!(state(waiting.pid).is_some_and(|state| state != 'Z'), "a drain is no patience");
    drop(holder_of_first);
    let done = waiting.wait();
    done.assert_refused(75, "second: still locked by cyrus_writer[");
    assert!(done.stderr.contains("wait longer with --drain"), "{done:#?}");
    drop(holder_of_second);
    run(&mut copy("0")).assert_code(0);
}
