//! `create` where a script was first: flock(1) makes what it is to lock, an empty file. That becomes the
//! barrier where it is, unless somebody has it locked; what is not empty is left alone.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use crate::common::command::Place;
use crate::common::{STILLPOINT, is_root, run, skip, start, until};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// Made as the README's script makes it.
fn empty(place: &Place) -> PathBuf {
    let made = place.shell("flock -s \"$STILLPOINT_DIR/mail.barrier\" true");
    assert_eq!(made.code(), 0, "{made:?}");
    assert_eq!(fs::metadata(place.barrier()).unwrap().len(), 0);
    place.barrier()
}

#[test]
fn becomes_the_barrier_as_the_same_file() {
    let gid = nix::unistd::getegid().as_raw();
    for arguments in [
        vec!["create", "mail", "--mode", "0640", "--readmit", "7"],
        vec!["run", "-s", "--create", "mail", "true"],
        vec!["run", "-x", "--create", "mail", "true"],
    ] {
        let place = Place::new();
        let path = empty(&place);
        let before = fs::metadata(&path).unwrap();
        let made = place.run(&arguments);
        assert_eq!((made.code(), made.stderr.as_str()), (0, ""), "{arguments:?}");
        let after = fs::metadata(&path).unwrap();
        assert_eq!(after.ino(), before.ino(), "{arguments:?}");
        let mode = if arguments.contains(&"0640") { 0o640 } else { 0o660 };
        assert_eq!((after.mode() & 0o7777, after.gid()), (mode, gid), "{arguments:?}");
        assert_eq!(place.dirty_epoch(), 0);
        assert!(place.is_quiet());
        let folder = path.parent().unwrap();
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "nothing is left beside it");
    }
}

#[test]
fn of_another_owner_becomes_ones_own() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let path = empty(&place);
    std::os::unix::fs::chown(&path, Some(65534), Some(65534)).unwrap();
    assert_eq!(place.run(["create", "mail", "--group", "8"]).code(), 0);
    let made = fs::metadata(&path).unwrap();
    assert_eq!((made.uid(), made.gid()), (0, 8));

    // The other way round it takes more than write permission.
    let folder = place.path("theirs");
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::chown(&folder, Some(65534), Some(65534)).unwrap();
    let path = folder.join("mail.barrier");
    File::create(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    let mut command = place.program("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", STILLPOINT, "create"]);
    run({
        command.arg(&path);
        command
    })
    .assert_complaint(77, &["theirs/mail.barrier", "owner of the empty file"]);
    assert_eq!(fs::metadata(&path).unwrap().len(), 0, "left as it was");
}

#[test]
fn is_left_alone_while_somebody_has_it_locked() {
    let place = Place::new();
    let path = empty(&place);
    let mut script = place.program("flock");
    script.arg("-s").arg(&path).args(["sh", "-c", "echo locked; exec sleep 60"]);
    let mut script = start(script);
    assert_eq!(script.line(), "locked");
    let pid = format!("[{}]", script.pid);
    place.run(["create", "mail"]).assert_complaint(75, &["mail.barrier", "in use", &pid]);
    let share = ["run", "-s", "--create", "mail", "true"];
    place.run(share).assert_complaint(75, &["mail.barrier", "in use", &pid]);
    drop(script);

    // And by a lock of fcntl(2), of any byte.
    let file = File::options().write(true).open(&path).unwrap();
    let lock = libc::flock {
        l_type: libc::F_WRLCK as _,
        l_whence: libc::SEEK_SET as _,
        l_start: 4711,
        l_len: 1,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_SETLK(&lock)).unwrap();
    let pid = format!("[{}]", std::process::id());
    place.run(["create", "mail"]).assert_complaint(75, &["mail.barrier", "in use", &pid]);
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    drop(file);
    assert_eq!(place.run(["create", "mail"]).code(), 0);
}

/// Whoever comes to lock it while it is being made waits, and then has locked the barrier.
#[test]
fn is_locked_while_it_becomes_the_barrier() {
    let place = Place::new();
    let path = empty(&place);
    let trace = place.path("trace");
    let mut create = place.program("strace");
    create.arg("-o").arg(&trace).args(["-f", "-e", "trace=fallocate"]);
    create.args(["-e", "inject=fallocate:delay_enter=700000:when=2", STILLPOINT, "create", "mail"]);
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        return skip("there is no strace");
    }
    let mut create = start(create);
    until("it is locked", || {
        place.shell("flock -n -s \"$STILLPOINT_DIR/mail.barrier\" true").code() == 1
    });
    assert_eq!(fs::metadata(&path).unwrap().len(), 0, "it is not made yet");
    // One that opens it meanwhile waits as well.
    let mut opening = place.start(["run", "-s", "mail", "true"]);
    let script = place.shell(
        "flock -s \"$STILLPOINT_DIR/mail.barrier\" stat -c %s \"$STILLPOINT_DIR/mail.barrier\"",
    );
    assert_eq!(script.stdout.trim(), "540672");
    assert_eq!((create.end(), opening.end()), (0, 0));
}

#[test]
fn becomes_one_barrier_however_many_come() {
    for verb in ["run", "create"] {
        let place = Place::new();
        empty(&place);
        let all: Vec<_> = (0..8)
            .map(|_| match verb {
                "run" => place.start(["run", "-s", "--create", "mail", "true"]),
                _ => place.start(["create", "mail"]),
            })
            .collect();
        for mut one in all {
            assert_eq!(one.end(), 0, "{verb}");
        }
        // Several that write a state may each take the other's for what a crash has left.
        assert!(verb == "create" || place.dirty_epoch() == 0, "{verb}");
        assert!(place.is_quiet());
    }
}

#[test]
fn what_only_looks_like_one_is_refused() {
    let place = Place::new();
    let elsewhere = place.path("elsewhere");
    File::create(&elsewhere).unwrap();
    let path = place.barrier();
    let refused = |why: &str| {
        for verb in [vec!["create", "mail"], vec!["run", "-s", "--create", "mail", "true"]] {
            let outcome = place.run(verb);
            outcome.assert_complaint(66, &["mail.barrier", why]);
        }
        assert_eq!(fs::metadata(&elsewhere).unwrap().len(), 0, "{why}");
        fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
    };
    symlink(&elsewhere, &path).unwrap();
    refused("symbolic link");
    symlink(place.path("nothing"), &path).unwrap();
    refused("symbolic link");
    fs::hard_link(&elsewhere, &path).unwrap();
    refused("other names");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    refused("no regular file");
    fs::create_dir(&path).unwrap();
    refused("folder");
    fs::write(&path, "\n").unwrap();
    refused("other contents");
}
