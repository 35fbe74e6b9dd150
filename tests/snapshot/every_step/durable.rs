//! Of a power cut, by the order of the calls.

use crate::common::skip;
use crate::common::strace::{self, Call};

use super::play;
use super::pruning::Pruning;
use super::taking::Taking;

/// A power cut takes what was not synced; no death of a process shows that, but the order of the
/// calls does. Each text is synced before it gets its name, each name before anything that rests on
/// it, and the data before the first word of a certificate.
#[test]
fn each_step_is_durable_before_the_next() {
    if !strace::works() {
        return skip("strace cannot trace here");
    }
    let (_scene, done, calls) = play(&Taking { btrfs: None }, 0, None);
    done.assert_code(0);
    let steps: Vec<&str> = calls.iter().filter_map(durable_step).collect();
    let manifest = ["text synced", "manifest named", "catalogue synced"];
    let data = ["data synced"];
    let publish = ["data named", "target synced"];
    // Begun, twice, as the folder is known then; the pre-sync, the copy and its sync; certified; published;
    // complete.
    let begun = [manifest, manifest].concat();
    let expected = [&begun[..], &data, &data, &manifest, &publish, &manifest].concat();
    assert_eq!(steps, expected);

    let pruning = Pruning { taking: Taking { btrfs: None }, full: false };
    let (_scene, done, calls) = play(&pruning, 0, None);
    done.assert_code(0);
    let steps: Vec<&str> = calls.iter().filter_map(durable_step).collect();
    let one = [&manifest[..], &publish, &["manifest removed", "catalogue synced"]].concat();
    assert_eq!(steps, [one.as_slice(), &one].concat());
}

fn durable_step(call: &Call) -> Option<&'static str> {
    let about = |part: &str| call.text.contains(part);
    match call.name.as_str() {
        "fsync" if about(".json.new>") => Some("text synced"),
        "fsync" if about("/catalog>") => Some("catalogue synced"),
        "fsync" if about("/snapshots>") => Some("target synced"),
        "syncfs" => Some("data synced"),
        "renameat" if about(".json.new") => Some("manifest named"),
        "renameat2" => Some("data named"),
        "unlinkat" if about(".json") => Some("manifest removed"),
        _ => None,
    }
}
