//! Who sees the file, or its folder, at another path or not at all.

use crate::common::{Participant, Place, at_once, is_root};
use std::fs;
use std::process::Command;
use stillpoint::{Barrier, ErrorKind};

use super::{excludes, is_inside, member, replace};

/// Who was brought over keeps a hold of the file that he came from. Once it was seen to be left, who cannot
/// reach it need not wait for his end.
#[test]
fn who_cannot_reach_a_file_knows_that_it_was_left() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let for_all = || drop(Barrier::options().mode(0o666).found(place.barrier_path()).unwrap());
    for_all();
    let mut writer = member(&place);
    fs::remove_file(place.barrier_path()).unwrap();
    for_all();
    assert_eq!(place.status().stragglers, Some(Vec::new()));
    let mut tool = Participant::start();
    tool.expect("setuid 65533", "confined");
    tool.open(&place.barrier_path());
    excludes(&mut tool, &mut writer);
}

/// Where the folder is at another path for the writer.
#[test]
fn it_is_the_folder_that_counts() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.make_barrier();
    let there = tempfile::tempdir().unwrap();
    let script = r#"mount --bind "$1" "$2" && exec "$0""#;
    let mut writer = Participant::start_by(
        |program| {
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", script]).arg(program);
            command.args([place.folder(), there.path()]);
            command
        },
        |_| {},
    );
    writer.open(&there.path().join("mail.barrier"));
    writer.expect("shared", "inside 1");
    let barrier = replace(&place);
    let error = barrier.exclusive(&mut at_once(50)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stragglers, "{error}");
    writer.expect("leave", "depth 0");
    barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
    writer.expect("shared", "inside 1");
    assert!(is_inside(&place, writer.pid()));
}
