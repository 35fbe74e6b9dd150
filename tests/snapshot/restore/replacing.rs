//! In the place of the source.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::{kept, nothing_is_left, restore, text};
use crate::common::{Mounted, is_root, names, run, start, until};
use crate::scene::Scene;
use crate::subvolumes::Subvolumes;
use crate::writers::Writers;

/// With what was, in snapshot `x`, and what is now.
fn scene() -> Option<(Scene, PathBuf)> {
    if !is_root() {
        return None;
    }
    let scene = Scene::new();
    let store = scene.path("store");
    fs::create_dir_all(store.join("jo/Maildir")).unwrap();
    fs::write(store.join("jo/Maildir/letter"), "then").unwrap();
    fs::write(store.join("list"), "then").unwrap();
    scene.take("x");
    fs::write(store.join("jo/Maildir/letter"), "now").unwrap();
    fs::write(store.join("list"), "now").unwrap();
    Some((scene, store))
}

/// A writer was lost inside.
fn lose(scene: &Scene) {
    run(scene.stillpoint().args(["run", "-s", "mail", "sh", "-c", "kill -KILL $$"]))
        .assert_code(137);
    assert_ne!(
        scene.status("mail")["dirty"]["epoch"],
        scene.status("mail")["dirty"]["acknowledged"]
    );
}

fn is_dirty(scene: &Scene) -> bool {
    let dirty = &scene.status("mail")["dirty"];
    dirty["epoch"] != dirty["acknowledged"]
}

#[test]
fn the_store_is_exchanged_kept_and_clean_again() {
    let Some((scene, store)) = scene() else { return };
    lose(&scene);
    let done = restore(&scene, &["--replace", "x"]);
    done.assert_code(0);
    assert_eq!(done.stdout, format!("{}\n", store.display()));
    let [kept] = &kept(&scene.path(""), "store")[..] else { panic!("{done:#?}") };
    assert!(done.stderr.contains(&format!("is kept as {}", kept.display())), "{done:#?}");
    assert!(done.stderr.contains("acknowledged epoch 1"), "{done:#?}");
    assert_eq!(
        (text(&store.join("list")).as_str(), text(&kept.join("list")).as_str()),
        ("then", "now")
    );
    assert!(!is_dirty(&scene));
    nothing_is_left(&scene.path(""));
    scene.assert_writers_go_on();
}

/// Some are of the time before, or not whole: what was lost may still be in the store.
#[test]
fn what_is_not_whole_and_clean_acknowledges_nothing() {
    let Some((scene, store)) = scene() else { return };
    lose(&scene);
    let done = restore(&scene, &["--replace", "x", "list"]);
    done.assert_code(0);
    assert!(done.stderr.contains("still dirty, as it is a part of the store"), "{done:#?}");
    assert_eq!(
        (text(&store.join("list")).as_str(), text(&store.join("jo/Maildir/letter")).as_str()),
        ("then", "now")
    );
    assert_eq!(text(&kept(&store, "list")[0]), "now");
    scene.edit("x", |manifest| manifest["clean"] = false.into());
    let done = restore(&scene, &["--any", "--replace", "x"]);
    done.assert_code(0);
    assert!(done.stderr.contains("still dirty, as the snapshot is not clean"), "{done:#?}");
    assert!(is_dirty(&scene));
}

/// One barrier may be for several stores.
#[test]
fn what_was_lost_in_another_store_is_not_acknowledged() {
    let Some((scene, store)) = scene() else { return };
    let other = scene.path("other");
    fs::create_dir(&other).unwrap();
    let take = |name: &str| {
        let mut command = scene.stillpoint();
        command.args(["snapshot", "mail", "--hold", "9", "--min-open", "0", "--name", name]);
        run(command.arg("--copy").arg(&other).arg("--to").arg(scene.path("snapshots")))
    };
    take("y").assert_code(0);
    lose(&scene);
    let done = restore(&scene, &["--replace", "x"]);
    done.assert_code(0);
    assert_eq!(text(&store.join("list")), "then");
    let why = format!("still dirty, as {} is under it too", other.display());
    assert!(done.stderr.contains(&why), "{done:#?}");
    assert!(is_dirty(&scene));
    take("z").assert_code(0);
    assert_eq!(scene.latest(&["--source", other.to_str().unwrap()]).as_deref(), Some("y"));
}

/// They would be gone from where the catalogue has them.
#[test]
fn a_place_that_other_snapshots_are_in_stays() {
    let Some((scene, store)) = scene() else { return };
    let inner = store.join("snapshots");
    fs::create_dir(&inner).unwrap();
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--hold", "9", "--min-open", "0", "--name", "y", "--copy"]);
    run(command.arg(store.join("jo")).arg("--to").arg(&inner)).assert_code(0);
    restore(&scene, &["--replace", "x"]).assert_complaint(69, &["another snapshot is in it"]);
    assert!(inner.join("y").exists());
    restore(&scene, &["--replace", "x", "list"]).assert_code(0);
}

#[test]
fn subvolumes_are_exchanged_and_the_next_snapshot_goes_on_with_the_series() {
    let Some(disk) = Subvolumes::named(&["spool", "index"]) else { return };
    for name in ["spool", "index"] {
        fs::write(disk.path(name).join("letter"), "then").unwrap();
    }
    disk.take("x", &["spool", "index"]);
    for name in ["spool", "index"] {
        fs::write(disk.path(name).join("letter"), "now").unwrap();
    }
    for round in 1..=2 {
        restore(&disk.scene, &["--replace", "x"]).assert_code(0);
        for name in ["spool", "index"] {
            assert_eq!(text(&disk.path(name).join("letter")), "then");
            assert_eq!(kept(&disk.path(""), name).len(), round);
            let letter = disk.path(name).join("letter");
            fs::write(letter, "now").unwrap();
        }
    }
    restore(&disk.scene, &["--replace", "x", "letter"])
        .assert_complaint(66, &["at the top of it are spool, index"]);
    let done = disk.snapshot(&["spool", "index"], &["--source-changed", "fail", "--name", "y"]);
    done.assert_code(0);
    assert_eq!(done.stderr, "");
    assert_eq!(disk.scene.latest(&["mail"]).as_deref(), Some("y"));
}

#[test]
fn what_is_gone_comes_back_and_folders_of_the_live_store_are_no_way_out() {
    let Some((scene, store)) = scene() else { return };
    fs::remove_dir_all(store.join("jo/Maildir")).unwrap();
    restore(&scene, &["--replace", "--latest", "mail", "jo/Maildir"]).assert_code(0);
    assert_eq!(text(&store.join("jo/Maildir/letter")), "then");
    assert_eq!(names(&store.join("jo")), ["Maildir"]);

    // Its owner leads root elsewhere.
    fs::rename(store.join("jo"), store.join("other")).unwrap();
    fs::create_dir_all(scene.path("victim/Maildir")).unwrap();
    symlink(scene.path("victim"), store.join("jo")).unwrap();
    restore(&scene, &["--replace", "x", "jo/Maildir/letter"])
        .assert_complaint(66, &["jo: Not a directory"]);
    assert_eq!(names(&scene.path("victim/Maildir")), [""; 0]);
    fs::remove_file(store.join("jo")).unwrap();
    restore(&scene, &["--replace", "x", "jo/Maildir"])
        .assert_complaint(66, &["restore that folder, or make it"]);
    fs::remove_dir_all(&store).unwrap();
    restore(&scene, &["--replace", "x"]).assert_code(0);
    assert_eq!(text(&store.join("list")), "then");
}

#[test]
fn nothing_is_replaced_while_a_writer_is_inside_or_has_a_file_open() {
    let Some((scene, store)) = scene() else { return };
    let holder = scene.holder();
    restore(&scene, &["--replace", "x", "-w", "0.3"]).assert_refused(75, "slowpoke");
    drop(holder);
    let open = format!("exec sleep 600 >>{}/list", store.display());
    let mut command = Command::new("sh");
    let daemon = start(command.args(["-c", &open]).stdout(Stdio::null()));
    until("open file", || {
        fs::read_link(format!("/proc/{}/fd/1", daemon.pid))
            .is_ok_and(|path| path == store.join("list"))
    });
    let done = restore(&scene, &["--replace", "x", "-w", "0.3"]);
    done.assert_refused(75, "store/list open");
    assert!(done.stderr.contains(&format!("[{}]", daemon.pid)), "{done:#?}");
    scene.assert_writers_go_on();
    assert_eq!(text(&store.join("list")), "now");
    nothing_is_left(&scene.path(""));
    daemon.signal(Signal::SIGKILL);
    daemon.wait();
    restore(&scene, &["--replace", "x"]).assert_code(0);
}

/// Under load: each writer has written all its rounds into the one or into the other.
#[test]
fn writers_go_on_in_what_is_there() {
    let Some(disk) = Subvolumes::named(&["store"]) else { return };
    let store = disk.path("store");
    let writers = Writers::start(&disk.scene.barrier_file("mail"), &store, &store);
    writers.wait_for_rounds();
    disk.take("x", &["store"]);
    for _ in 0..3 {
        restore(&disk.scene, &["--replace", "x"]).assert_code(0);
        writers.wait_for_rounds();
    }
    drop(writers);
    for folder in kept(&disk.path(""), "store").iter().chain([&store]) {
        assert_eq!(crate::writers::torn(folder, folder), [0; 0], "{}", folder.display());
    }
}

#[test]
fn what_cannot_be_exchanged_is_refused_in_one_line() {
    let Some((scene, store)) = scene() else { return };
    let refused = |said: &str| restore(&scene, &["--replace", "x"]).assert_complaint(69, &[said]);
    fs::create_dir(scene.path("elsewhere")).unwrap();
    let mounted = Mounted::bind(&scene.path("elsewhere"), &store);
    refused("something is mounted there, and cannot change places");
    drop(mounted);
    let mounted = Mounted::bind(&scene.path("elsewhere"), &store.join("jo"));
    refused("store/jo is mounted in it: unmount that first");
    drop(mounted);
    fs::rename(&store, scene.path("moved")).unwrap();
    symlink("moved", &store).unwrap();
    refused("is a link by now");
    fs::remove_file(&store).unwrap();
    fs::rename(scene.path("moved"), &store).unwrap();
    fs::remove_file(scene.barrier_file("mail")).unwrap();
    restore(&scene, &["--replace", "x"]).assert_complaint(66, &["mail.barrier"]);
    assert_eq!(text(&store.join("list")), "now");
    nothing_is_left(&scene.path(""));
}

/// The bare folder of a disk that is not there is no store.
#[test]
fn a_source_that_is_not_mounted_is_not_replaced() {
    let Some(disk) = Subvolumes::named(&["data"]) else { return };
    fs::create_dir(disk.path("store")).unwrap();
    let place = disk.scene.path("store");
    fs::write(disk.path("data/letter"), "then").unwrap();
    let taken = {
        let _mounted = Mounted::bind(&disk.path("data"), &place);
        let mut command = disk.scene.stillpoint();
        command
            .args(["snapshot", "mail", "--name", "x", "--btrfs"])
            .arg(&place)
            .arg("--to")
            .arg(&disk.to);
        run(&mut command)
    };
    taken.assert_code(0);
    restore(&disk.scene, &["--replace", "x"])
        .assert_refused(69, "where it was for no snapshot: mount it");
    assert_eq!(names(&place), [""; 0]);
}

#[test]
fn snapshots_that_are_kept_in_the_store_would_go_with_it() {
    let Some(disk) = Subvolumes::named(&["store"]) else { return };
    let to = disk.path("store/snapshots");
    fs::create_dir(&to).unwrap();
    fs::write(disk.path("store/letter"), "then").unwrap();
    let mut command = disk.scene.stillpoint();
    command
        .args(["snapshot", "mail", "--name", "x", "--btrfs"])
        .arg(disk.path("store"))
        .arg("--to")
        .arg(&to);
    run(&mut command).assert_code(0);
    fs::write(disk.path("store/letter"), "now").unwrap();
    restore(&disk.scene, &["--replace", "x"])
        .assert_complaint(69, &["this snapshot is in it", "PATH"]);
    restore(&disk.scene, &["--replace", "x", "letter"]).assert_code(0);
    assert_eq!(text(&disk.path("store/letter")), "then");
}

#[test]
fn a_check_that_fails_replaces_nothing() {
    let Some((scene, store)) = scene() else { return };
    let done = restore(&scene, &["--replace", "x", "--check", "grep -q now list"]);
    done.assert_refused(1, "nothing is replaced, as the check ended with status 1");
    assert_eq!(text(&store.join("list")), "now");
    nothing_is_left(&scene.path(""));
    assert!(kept(&scene.path(""), "store").is_empty());
    restore(&scene, &["--replace", "x", "--check", "grep -q then list"]).assert_code(0);
}

/// Where two folders cannot change places.
#[test]
fn a_file_system_that_cannot_exchange_is_refused_before_the_gate_closes() {
    let Some((scene, store)) = scene() else { return };
    let before = scene.generation();
    let mut command = scene.environment(Command::new("strace"));
    command.args([
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "inject=renameat2:error=EINVAL",
        crate::common::STILLPOINT,
    ]);
    if !crate::common::strace::works() {
        return crate::common::skip("strace cannot inject faults here");
    }
    let done = run(command.args(["restore", "--replace", "x"]));
    done.assert_refused(69, "two folders cannot change places on this file system");
    assert_eq!((scene.generation(), text(&store.join("list")).as_str()), (before, "now"));
    nothing_is_left(&scene.path(""));
}

/// Killed at each exchange in turn: what is of two times is dirty, and no snapshot of it is clean.
#[test]
fn what_is_half_replaced_is_never_clean() {
    if !is_root() {
        return;
    }
    if !crate::common::strace::works() {
        return crate::common::skip("strace cannot inject faults here");
    }
    let mut halves = 0;
    for nth in 1.. {
        let Some((scene, store)) = scene() else { return };
        let mut command = scene.environment(Command::new("strace"));
        let inject = format!("inject=renameat2:signal=SIGKILL:when={nth}");
        command.args(["-f", "-o", "/dev/null", "-e", &inject, crate::common::STILLPOINT]);
        let done = run(command.args(["restore", "--replace", "x", "list", "jo"]));
        let (list, letter) = (text(&store.join("list")), text(&store.join("jo/Maildir/letter")));
        let is_half = list != letter;
        halves += u32::from(is_half);
        assert!(is_dirty(&scene) || !is_half, "{nth}: {done:#?}");
        scene.take("y");
        let manifests = scene.manifests();
        let taken = manifests.iter().find(|manifest| manifest["name"] == "y").unwrap();
        assert_eq!(taken["clean"], !is_dirty(&scene), "{nth}: {done:#?}");
        if done.code() == 0 {
            assert!(!is_dirty(&scene), "{done:#?}");
            assert_eq!((list.as_str(), letter.as_str()), ("then", "then"));
            break;
        }
    }
    assert_ne!(halves, 0, "it was never killed in between");
}
