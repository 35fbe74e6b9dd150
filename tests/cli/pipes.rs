//! A pipe, or another file, where a file or a folder was meant: it is refused, and not waited for.

use std::fs;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::common::command::Place;
use crate::common::{is_root, run};

/// A place with the barrier `mail`, and what is named in place of something else.
fn place() -> Place {
    let place = Place::with_barrier();
    mkfifo(&place.path("pipe"), Mode::S_IRWXU).unwrap();
    fs::write(place.path("file"), "").unwrap();
    place
}

/// Ended by this status and a line with this, and not by the limit.
#[track_caller]
fn refused(place: &Place, words: &str, code: i32, said: &str) {
    let mut command = place.program("timeout");
    // Nothing else ends who waits for a pipe.
    command.args(["-s", "KILL", "30", env!("CARGO_BIN_EXE_stillpoint")]);
    command.env("STILLPOINT_CATALOG", place.path("catalog"));
    command.args(words.split(' '));
    run(command).assert_complaint(code, &[said]);
}

#[test]
fn a_barrier_or_its_folder() {
    let place = place();
    for other in ["pipe", "file"] {
        let folder = "make that first";
        refused(&place, &format!("create ./{other}/x.barrier"), 73, folder);
        refused(&place, &format!("run --create ./{other}/x.barrier true"), 73, folder);
        refused(&place, &format!("run ./{other}/x.barrier true"), 66, "there is no folder");
    }
    let special = "no regular file";
    for verb in ["create", "status", "retire", "thaw", "freeze"] {
        refused(&place, &format!("{verb} ./pipe"), 66, special);
    }
}

#[test]
fn a_state_or_its_folder() {
    let place = place();
    for other in ["pipe", "file"] {
        let folder = "Not a directory";
        refused(&place, &format!("create --state {other}/x.state other"), 71, folder);
    }
    for verb in ["create other", "retire mail", "recover mail --acknowledge"] {
        refused(&place, &format!("{verb} --state pipe"), 65, "no regular file");
    }
}

#[test]
fn what_a_snapshot_is_told_of() {
    let place = place();
    for (words, code, said) in [
        ("--sync pipe", 66, "neither a folder nor a regular file"),
        ("--cyrus pipe", 66, "no regular file; name Cyrus's imapd.conf"),
        ("--cyrus pipe --cyrus-unchecked", 66, "no regular file; name Cyrus's imapd.conf"),
        ("--state pipe", 65, "no regular file"),
        ("--metrics-textfile pipe", 73, "something else than metrics"),
        ("--catalog pipe", 73, "ot a directory; name another folder"),
        // Not that every name in it is taken, either.
        ("--catalog file", 73, "ot a directory; name another folder"),
        ("--catalog file/below", 73, "ot a directory; name another folder"),
    ] {
        refused(&place, &format!("snapshot mail {words} -- true"), code, said);
    }
    let included = place.path("imapd.conf");
    fs::write(&included, format!("@include: {}\n", place.path("pipe").display())).unwrap();
    refused(&place, "snapshot mail --cyrus imapd.conf -- true", 66, "pipe: no regular file");
}

/// Who may not look into the catalogue is told so, and does not look for a free name for ever.
#[test]
fn a_catalogue_that_may_not_be_read() {
    if !is_root() {
        return;
    }
    let place = place();
    let catalog = place.path("closed");
    fs::create_dir(&catalog).unwrap();
    let script = "chmod 0 closed; exec setpriv --bounding-set -dac_override,-dac_read_search \
         --inh-caps -dac_override,-dac_read_search timeout -s KILL 30 \
         \"$S\" snapshot mail --catalog closed -- true";
    let done = place.shell(script);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(&catalog, open).unwrap();
    done.assert_complaint(77, &["Permission denied; name another folder with --catalog"]);
}
