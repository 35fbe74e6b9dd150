//! Which of a series go, and which stay.

use std::path::Path;
use std::time::Duration;

use super::{Keep, judge};
use crate::catalogue::clock::ClockRecord;
use crate::catalogue::identity::Identity;
use crate::catalogue::manifest::{Manifest, Status};
use crate::catalogue::record::VerifiedRecord;

/// What was taken on one day of January 2026: `c` clean, `d` not clean, `f` failed, `b` begun.
fn taken(day: u8, kind: char) -> Manifest {
    let mut manifest = Manifest::begun(format!("{day:02}{kind}"), "command", &[]);
    manifest.sequence = day.into();
    manifest.began = format!("2026-01-{day:02}T00:00:00.000Z");
    manifest.status = match kind {
        'b' => Status::Begun,
        'f' => Status::Failed,
        _ => Status::Complete,
    };
    manifest.clean = kind == 'c';
    manifest
}

/// One a day, oldest first.
fn days(kinds: &str) -> Vec<Manifest> {
    kinds.chars().zip(1..).map(|(kind, day)| taken(day, kind)).collect()
}

fn removed(manifests: &[Manifest], keep: Keep) -> Vec<&str> {
    judge(manifests, keep).expendable.iter().map(|gone| gone.name.as_str()).collect()
}

/// As one that the machine has counted, an hour after another.
fn counted(mut manifests: Vec<Manifest>) -> Vec<Manifest> {
    for (manifest, hour) in manifests.iter_mut().zip(1..) {
        let uptime_ms = f64::from(hour) * 3.6e6;
        manifest.clock = Some(ClockRecord { boot_id: "a".into(), uptime_ms });
    }
    manifests
}

fn newest(count: usize) -> Keep {
    Keep { count: Some(count), ..Keep::default() }
}

fn within(days: u64) -> Keep {
    Keep { within: Some(Duration::from_secs(days * 86_400)), ..Keep::default() }
}

#[test]
fn clean_ones_are_counted() {
    assert_eq!(removed(&days("cccc"), newest(2)), ["01c", "02c"]);
    assert_eq!(removed(&days("cccc"), newest(9)), [""; 0]);
}

#[test]
fn nothing_worse_pushes_out_something_better() {
    assert_eq!(removed(&days("cddddffff"), newest(1)), ["02d", "03d", "04d", "06f", "07f", "08f"]);
    assert_eq!(removed(&days("dffff"), newest(1)), ["02f", "03f", "04f"]);
}

#[test]
fn something_better_pushes_out_what_is_worse() {
    assert_eq!(removed(&days("fdfdcc"), newest(2)), ["01f", "02d", "03f", "04d"]);
    assert_eq!(removed(&days("fdc"), newest(2)), [""; 0]);
}

#[test]
fn what_is_under_way_neither_goes_nor_counts() {
    assert_eq!(removed(&days("bccb"), newest(1)), ["02c"]);
}

#[test]
fn age_is_that_beside_the_newest_clean_one_not_that_of_today() {
    // The last stretch is supported by none, so each counts for a day less.
    assert_eq!(removed(&days("ccccc"), within(2)), ["01c"]);
    assert_eq!(removed(&days("cccccc"), within(2)), ["01c", "02c"]);
    // By the clock all are older than two days.
    assert_eq!(removed(&days("c"), within(2)), [""; 0]);
    assert_eq!(removed(&days("ccccdd"), within(2)), [""; 0]);
    assert_eq!(removed(&days("ddddcc"), within(2)), ["01d", "02d"]);
}

#[test]
fn only_what_no_rule_keeps_goes() {
    let both = |count, days| Keep { count: Some(count), ..within(days) };
    assert_eq!(removed(&days("cccccc"), both(1, 2)), ["01c", "02c"]);
    assert_eq!(removed(&days("ccccc"), both(4, 1)), ["01c"]);
}

#[test]
fn a_clock_that_is_wrong_makes_nothing_old_and_that_is_said() {
    for year in ["2038", "1970"] {
        let mut manifests = days("ccc");
        manifests.push(taken(4, 'c'));
        manifests[3].began = format!("{year}-01-19T00:00:00.000Z");
        let judgement = judge(&manifests, within(14));
        assert!(judgement.expendable.is_empty() && judgement.losses.is_empty());
        let [doubt] = judgement.doubts.as_slice() else { panic!("{judgement:?}") };
        assert_eq!(doubt.jump.map(|one| one.name.as_str()), ["03c", "04c"]);
        assert_eq!(doubt.kept.len(), 3);
        // Nor does one that was wrong for some time: those after it are measured by each other.
        manifests.extend((5..8).map(|day| taken(day, 'c')));
        assert_eq!(removed(&manifests, within(14)), [""; 0]);
        assert_eq!(removed(&manifests, within(2)), ["01c", "02c"]);
        // Order is not touched by any of this.
        assert_eq!(removed(&manifests, newest(2)), ["01c", "02c", "03c", "04c", "05c"]);
    }
    let mut manifests = days("ccc");
    manifests[2].began = "no time at all".into();
    assert_eq!(removed(&manifests, within(1)), [""; 0]);
    assert_eq!(removed(&manifests, newest(1)), ["01c", "02c"]);
}

#[test]
fn what_the_machine_counted_is_older_than_nothing_else() {
    // Days by the clock, hours in truth.
    assert_eq!(removed(&counted(days("cccc")), within(1)), [""; 0]);
    let two_hours = Keep { within: Some(Duration::from_secs(7200)), ..Keep::default() };
    assert_eq!(removed(&counted(days("cccc")), two_hours), ["01c"]);
    assert!(judge(&counted(days("ccccccc")), two_hours).losses.is_empty());
}

#[test]
fn what_would_go_for_its_time_alone_is_told_when_it_is_most() {
    let losses = |manifests: &[Manifest], keep| {
        let judgement = judge(manifests, keep);
        judgement.losses.iter().map(|loss| (loss.clean.len(), loss.of)).collect::<Vec<_>>()
    };
    assert_eq!(losses(&days("cccccccc"), within(2)), [(0, 0); 0]);
    assert_eq!(losses(&days("ccccccccc"), within(2)), [(5, 9)]);
    assert_eq!(losses(&days("dddddddddcc"), within(2)), [(0, 0); 0]);
    // The number says so too.
    let both = Keep { count: Some(1), ..within(2) };
    assert_eq!(losses(&days("ccccccccc"), both), [(0, 0); 0]);
}

/// Clean ones at these times, oldest first.
fn at(times: &[&str]) -> Vec<Manifest> {
    let taken = |(time, sequence): (&&str, u64)| {
        let mut manifest = taken(1, 'c');
        (manifest.name, manifest.sequence) = ((*time).to_owned(), sequence);
        manifest.began = format!("{time}:00:00Z");
        manifest
    };
    times.iter().zip(1..).map(taken).collect()
}

#[test]
fn the_newest_of_each_period_stays() {
    let manifests = at(&[
        "2025-12-31T20",
        "2026-01-31T20",
        "2026-02-27T10",
        "2026-02-27T20",
        "2026-02-28T10",
        "2026-02-28T20",
        "2026-03-01T10",
        "2026-03-01T11",
    ]);
    let left = |keep: Keep| {
        let removed = removed(&manifests, keep);
        let left = manifests.iter().map(|one| one.name.as_str());
        left.filter(|name| !removed.contains(name)).collect::<Vec<_>>()
    };
    let none = Keep::default();
    assert_eq!(left(Keep { hourly: Some(2), ..none }), ["2026-03-01T10", "2026-03-01T11"]);
    assert_eq!(
        left(Keep { daily: Some(3), ..none }),
        ["2026-02-27T20", "2026-02-28T20", "2026-03-01T11"]
    );
    // Days without any are not counted.
    assert_eq!(
        left(Keep { daily: Some(4), ..none }),
        ["2026-01-31T20", "2026-02-27T20", "2026-02-28T20", "2026-03-01T11"]
    );
    // The week from 23 February to 1 March, and that of 31 January.
    assert_eq!(left(Keep { weekly: Some(2), ..none }), ["2026-01-31T20", "2026-03-01T11"]);
    assert_eq!(
        left(Keep { monthly: Some(3), ..none }),
        ["2026-01-31T20", "2026-02-28T20", "2026-03-01T11"]
    );
    assert_eq!(left(Keep { yearly: Some(9), ..none }), ["2025-12-31T20", "2026-03-01T11"]);
    assert_eq!(
        left(Keep { count: Some(2), yearly: Some(9), ..none }),
        ["2025-12-31T20", "2026-03-01T10", "2026-03-01T11"]
    );
}

#[test]
fn a_clock_that_is_wrong_neither_fills_periods_nor_empties_them() {
    let daily = Keep { daily: Some(3), ..Keep::default() };
    for wrong in ["2036-05-05T10", "1970-01-01T00"] {
        // Among those of one day it is of that day, between two days of none, and stays.
        let manifests =
            at(&["2026-03-01T10", "2026-03-02T10", wrong, "2026-03-02T12", "2026-03-03T10"]);
        assert_eq!(removed(&manifests, daily), ["2026-03-02T10", wrong]);
        let manifests = at(&["2026-03-01T10", "2026-03-02T10", wrong, "2026-03-03T10"]);
        assert_eq!(removed(&manifests, daily), [""; 0]);
        let two = Keep { daily: Some(2), ..Keep::default() };
        assert_eq!(removed(&manifests, two), ["2026-03-01T10"]);
        // The newest one is wrong: it costs no more than the day that it seems to be.
        let manifests = at(&["2026-03-01T10", "2026-03-02T10", "2026-03-03T10", wrong]);
        assert_eq!(removed(&manifests, daily).len(), usize::from(wrong.starts_with("2036")));
        // Wrong for good: what is older goes as more of the new days come.
        let year = &wrong[..4];
        let days: Vec<String> = (10..14).map(|day| format!("{year}-06-{day}T10")).collect();
        let mut times = vec!["2026-03-01T10", "2026-03-02T10"];
        times.extend(days.iter().map(String::as_str));
        let gone = removed(&at(&times), daily).len();
        assert_eq!(gone, 3, "{year}");
    }
}

#[test]
fn what_was_found_bad_pushes_out_nothing_that_was_not() {
    let mut manifests = days("cccc");
    let verdict = |ok| Some(VerifiedRecord { at: String::new(), by: String::new(), ok });
    (manifests[1].verified, manifests[2].verified) = (verdict(true), verdict(false));
    manifests[3].verified = verdict(false);
    assert_eq!(removed(&manifests, newest(1)), ["01c", "03c"]);
}

#[test]
fn the_newest_that_was_found_good_stays_whatever_comes_that_nobody_looked_at() {
    let mut manifests = days("cccccc");
    for good in [0, 1] {
        let (at, by) = (String::new(), String::new());
        manifests[good].verified = Some(VerifiedRecord { at, by, ok: true });
    }
    let hourly = Keep { hourly: Some(1), ..Keep::default() };
    for keep in [newest(1), within(1), hourly] {
        let gone = removed(&manifests, keep);
        assert!(gone.contains(&"01c") && gone.contains(&"03c"), "{keep:?}: {gone:?}");
        assert!(!gone.contains(&"02c"), "{keep:?}: {gone:?}");
    }
    // Not one that is gone, or not clean.
    manifests[1].clean = false;
    assert!(!removed(&manifests, newest(1)).contains(&"01c"));
    manifests[5].verified = manifests[0].verified.clone();
    assert!(removed(&manifests, newest(1)).contains(&"01c"));
}

#[test]
fn what_is_not_clean_takes_no_period_from_what_is() {
    let mut manifests = at(&["2026-03-01T10", "2026-03-01T11", "2026-03-02T10", "2026-03-02T11"]);
    for dirty in [1, 3] {
        manifests[dirty].clean = false;
    }
    let daily = Keep { daily: Some(1), ..Keep::default() };
    assert_eq!(removed(&manifests, daily), ["2026-03-01T10", "2026-03-01T11"]);
}

#[test]
fn each_series_keeps_its_own() {
    let mut manifests = days("ccccc");
    manifests[0].sources = vec!["/srv/db".into()];
    manifests[1].provider = "zfs".into();
    manifests[2].label = Some("restic".into());
    assert_eq!(removed(&manifests, newest(1)), ["04c"]);
}

#[test]
fn data_that_is_gone_counts_for_nothing_and_goes_only_for_clean_ones() {
    let mut manifests = days("cccc");
    for gone in &mut manifests[1..3] {
        gone.path = Some(Path::new("/").join(&gone.name));
        gone.partial = Some(Path::new("/").join(format!(".{}.partial", gone.name)));
    }
    // A series of its own, for its folder: nothing there is clean any more.
    assert_eq!(removed(&manifests, newest(1)), ["01c"]);
    let folder = tempfile::tempdir().unwrap();
    for manifest in &mut manifests {
        let place = folder.path().join(&manifest.name);
        manifest.partial = Some(place.with_file_name("x"));
        manifest.path = Some(place);
    }
    for there in [0, 3] {
        std::fs::create_dir(manifests[there].path.as_ref().unwrap()).unwrap();
    }
    assert_eq!(removed(&manifests, newest(2)), [""; 0]);
    assert_eq!(removed(&manifests, newest(1)), ["01c", "02c", "03c"]);
    // Were they in another folder of this path, which is not mounted now, nobody can tell.
    let root = Path::new("/");
    for (manifest, of) in manifests.iter_mut().zip([folder.path(), root, folder.path()]) {
        manifest.folder = Identity::of_target(of);
    }
    assert_eq!(removed(&manifests, newest(1)), ["01c", "03c"]);
}
