//! Replaced many times, under all kinds of writers at once.

use crate::common::{Participant, Place, at_once, field, is_root};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;
use stillpoint::Status;

use super::{member, replace};

/// Writers of every kind in several processes, and the file removed and made again, many times.
#[test]
fn nothing_is_torn_however_often_it_is_replaced() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let store = place.path("store");
    fs::create_dir(&store).unwrap();
    place.make_barrier();
    let mut writers: Vec<Participant> = (0..3).map(|_| member(&place)).collect();
    let update = format!("update-until-told {}", store.display());
    writers.iter_mut().for_each(|writer| writer.say(&update));
    let limits = || at_once(0).wait(Duration::from_secs(20)).drain(Duration::from_secs(20));
    for round in 0..15 {
        let barrier = replace(&place);
        let pause = barrier.exclusive(&mut limits()).unwrap();
        let torn = torn(&store);
        pause.release().unwrap();
        assert!(torn.is_empty(), "round {round}: {torn:?}");
    }
    for writer in &mut writers {
        writer.say("depth");
        let answer = writer.hear();
        assert_eq!(field(&answer, "depth"), "0");
        for kind in ["thread", "process", "new-thread", "command"] {
            assert_ne!(field(&answer, kind), "0", "{answer}");
        }
        assert_eq!(writer.hear(), "depth 0");
    }
    assert_eq!(place.epoch(), 0);
    let status = Status::read(place.barrier_path()).unwrap();
    assert!(status.writers.iter().all(|writer| !writer.inside), "{status:?}");
}

/// The files whose two numbers differ.
fn torn(store: &Path) -> Vec<String> {
    let files = fs::read_dir(store).unwrap().flatten();
    let torn = files.filter(|entry| {
        let mut numbers = [[0; 8]; 2];
        let file = fs::File::open(entry.path()).unwrap();
        numbers.iter_mut().zip([0, 8]).for_each(|(number, at)| {
            let _ = file.read_exact_at(number, at);
        });
        numbers[0] != numbers[1]
    });
    torn.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The same under signal handlers that take shares wherever they strike.
#[test]
fn handlers_come_over_wherever_they_strike() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.make_barrier();
    let mut writer = member(&place);
    writer.expect_like("alarms 200", "alarms=");
    writer.say("churn-until-told");
    for _ in 0..15 {
        let barrier = replace(&place);
        let mut limits = at_once(20_000).wait(Duration::from_secs(20));
        barrier.exclusive(&mut limits).unwrap().release().unwrap();
    }
    writer.say("alarms 0");
    let churned = writer.hear();
    assert_eq!(field(&churned, "depth"), "0", "{churned}");
    let alarms = writer.hear();
    assert_eq!(field(&alarms, "failures"), "0", "{alarms}");
    assert_eq!(place.epoch(), 0);
}
