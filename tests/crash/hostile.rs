//! Bytes that nobody should have written cost time and errors, never more.

use crate::common::{Participant, Place, at_once, ms};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};
use stillpoint::{Barrier, ErrorKind};

/// xorshift64: the same bytes in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Where the slots of processes begin.
const COUNTED: u64 = 16384 + 3072 * 128;

/// Gate, holder, dirty record, statistics, slots of threads and of processes: anybody in the group
/// may write there. The gate's words twice, and the first words of slots, for what they do; not the
/// count of a live process, which has a test of its own.
const PLACES: [(u64, u64); 8] = [
    (4096, 20),
    (4096, 12),
    (4224, 128),
    (4352, 2112),
    (8192, 64),
    (16384, 12),
    (16384 + 128, 64 * 128),
    (COUNTED + 4, 124),
];

#[test]
fn garbage_in_a_live_file_is_survived() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut other = Participant::at(&place.barrier_path());
    other.expect("shared", "inside 1");
    other.expect("leave", "depth 0");
    let file = File::options().write(true).open(place.barrier_path()).unwrap();
    let mut random = Random(0x5711_1901);
    for round in 0..40 {
        for _ in 0..3 {
            let (start, length) = PLACES[random.next() as usize % PLACES.len()];
            let at = start + random.next() % (length - 8);
            let bytes = random.next().to_ne_bytes();
            file.write_all_at(&bytes[..1 + random.next() as usize % 8], at).unwrap();
        }
        let _ = place.status().writers.len();
        let began = Instant::now();
        // A gate that garbage closed is opened by whoever waits; a share may be refused, not hang.
        let _ = barrier.shared_timeout(ms(500)).map(drop);
        let _ = barrier.shared_owned_timeout(ms(500)).map(drop);
        other.ask("timed-shared 500");
        other.ask("leave");
        // Garbage may ask for pacing: do not wait for that here.
        let mut hasty = at_once(50).wait(ms(0));
        if let Ok(pause) = barrier.exclusive(&mut hasty) {
            let _ = pause.release();
        }
        assert!(began.elapsed() < Duration::from_secs(5), "round {round}: {:?}", began.elapsed());
    }
    // Every word heals when its owner uses it, or when it is found that nobody owns it.
    drop(barrier.shared_timeout(ms(5000)).unwrap());
    drop(barrier.shared_owned_timeout(ms(5000)).unwrap());
    other.expect("timed-shared 5000", "inside 1");
    other.expect("owned", "owned 1");
    other.expect("disown", "owned 0");
    // Pacing believes the record, but not for more than 10 s.
    let began = Instant::now();
    let error = barrier.exclusive(&mut at_once(50)).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    assert_eq!(error.kind(), ErrorKind::NotQuiet, "there is a share inside");
    other.expect("leave", "depth 0");
    let pause = barrier.exclusive(&mut at_once(5000)).unwrap();
    other.expect_like("try-shared", "error WouldBlock");
    pause.release().unwrap();
}

/// A count cannot be told from a wrong one while its process lives. That is an error for tools, which
/// name the process, and it ends with it.
#[test]
fn a_count_that_was_overwritten_ends_with_its_process() {
    let place = Place::new();
    let mut writer = Participant::at(&place.make_barrier());
    let mut tool = Participant::at(&place.barrier_path());
    let file = File::options().write(true).open(place.barrier_path()).unwrap();
    file.write_all_at(&77u32.to_ne_bytes(), COUNTED).unwrap();
    tool.finds_inside(writer.pid());
    // An even one heals when it is used.
    file.write_all_at(&78u32.to_ne_bytes(), COUNTED).unwrap();
    writer.expect("owned", "owned 1");
    writer.expect("disown", "owned 0");
    tool.expect_like("exclusive patience=0 drain=2000", "granted");
    tool.expect("release", "released grown=0");
    file.write_all_at(&79u32.to_ne_bytes(), COUNTED).unwrap();
    writer.kill();
    tool.expect_like("exclusive patience=0 drain=2000", "granted");
    assert_eq!(place.epoch(), 1);
}

#[test]
fn a_header_that_is_garbage_refuses_newcomers_only() {
    let place = Place::new();
    let barrier = place.barrier();
    let path = place.barrier_path();
    let file = File::options().write(true).open(&path).unwrap();
    let header = std::fs::read(&path).unwrap()[..128].to_vec();
    for at in 0..40 {
        // Bytes 12 to 15 are the minor layout, 20 to 23 the features that may be ignored.
        let ignored = (12..16).contains(&at) || (20..24).contains(&at);
        file.write_all_at(&[header[at as usize] ^ 0x40], at).unwrap();
        match Barrier::open(&path) {
            Ok(_) => assert!(ignored, "byte {at} is not checked"),
            Err(error) => {
                let known = matches!(error.kind(), ErrorKind::NotABarrier | ErrorKind::Version);
                assert!(known && !ignored, "byte {at}: {error}");
            }
        }
        file.write_all_at(&header, 0).unwrap();
    }
    drop(barrier.shared().unwrap());
    barrier.exclusive(&mut at_once(100)).unwrap().release().unwrap();
    assert_eq!(place.epoch(), 0);
}
