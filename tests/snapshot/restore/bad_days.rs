//! What goes wrong meanwhile.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::{kept, nothing_is_left, restore, text};
use crate::common::{Image, Mounted, is_root, must, names, start, until};
use crate::scene::Scene;
use crate::subvolumes::Subvolumes;

/// A copy that waits, in the midst of it, until the file `go` is there.
const SLOW: &str = r#"case "$*" in *restoring*|*"/proc/self/fd"*) echo $$ >"${0%/*}/copying"; while [ ! -e "${0%/*}/go" ]; do sleep 0.01; done;; esac; exec "$REAL" "$@""#;

fn copying(scene: &Scene, words: &[&str]) -> crate::common::Running {
    let mut command = scene.stillpoint();
    command.arg("restore").args(words).stdout(Stdio::null());
    let running = start(&mut command);
    until("copy", || text(&scene.path("bin/copying")).ends_with('\n'));
    running
}

#[test]
fn a_snapshot_that_is_being_restored_is_not_pruned_whoever_dies() {
    let scene = Scene::new();
    fs::write(scene.path("store/letter"), "text").unwrap();
    scene.take("x");
    scene.take("y");
    scene.stand_in("cp", SLOW);
    let place = scene.path("got");
    let running = copying(&scene, &["x", "--to", place.to_str().unwrap()]);
    let prune = || {
        scene.verb(["prune", "--keep", "1"]).assert_code(0);
        scene.path("snapshots/x").exists()
    };
    assert!(prune(), "it was taken away from under the copy");
    // What copies goes on for a moment, and keeps it.
    running.signal(Signal::SIGKILL);
    running.wait();
    assert!(prune(), "it was taken away from under the orphaned copy");
    // And what it makes belongs to nobody else as long as it does.
    fs::write(scene.path("bin/go"), "").unwrap();
    until("end of the copy", || !prune());
    assert!(!place.exists());
    let done = restore(&scene, &["y", "--to", place.to_str().unwrap()]);
    done.assert_code(0);
    assert!(done.stderr.contains("was left by a run that did not end, and goes"), "{done:#?}");
    assert_eq!(text(&place.join("letter")), "text");
    nothing_is_left(&scene.path(""));
}

#[test]
fn two_at_once_do_not_meet_and_one_of_them_has_the_place() {
    let scene = Scene::new();
    fs::write(scene.path("store/letter"), "text").unwrap();
    scene.take("x");
    scene.stand_in("cp", SLOW);
    let place = scene.path("got");
    let first = copying(&scene, &["x", "--to", place.to_str().unwrap()]);
    fs::remove_file(scene.path("bin/copying")).unwrap();
    let second = copying(&scene, &["x", "--to", place.to_str().unwrap()]);
    let under_way =
        names(&scene.path("")).iter().filter(|name| name.ends_with(".restoring")).count();
    assert_eq!(under_way, 2, "one has taken the other's away");
    fs::write(scene.path("bin/go"), "").unwrap();
    let mut codes = [first.wait().code(), second.wait().code()];
    codes.sort();
    assert_eq!(codes, [0, 73]);
    assert_eq!(text(&place.join("letter")), "text");
    nothing_is_left(&scene.path(""));
}

#[test]
fn interrupted_it_takes_away_what_it_made() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let scene = Scene::new();
        fs::write(scene.path("store/letter"), "text").unwrap();
        scene.take("x");
        scene.stand_in("cp", &SLOW.replace("exec", "trap - INT TERM; exec"));
        for words in [&["x", "--to", "got"][..], &["--replace", "x"]] {
            let _ = fs::remove_file(scene.path("bin/copying"));
            let mut command = scene.stillpoint();
            command.current_dir(scene.path("")).arg("restore").args(words);
            let running = start(&mut command);
            until("copy", || text(&scene.path("bin/copying")).ends_with('\n'));
            running.signal(signal);
            let done = running.wait();
            assert_eq!(done.signal(), Some(signal as i32), "{done:#?}");
            assert!(!scene.path("got").exists());
            nothing_is_left(&scene.path(""));
            scene.assert_writers_go_on();
        }
    }
}

#[test]
fn a_full_disk_is_seen_before_or_leaves_nothing() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    must(
        Command::new("dd")
            .args(["if=/dev/zero", "bs=1M", "count=3"])
            .arg(format!("of={}", scene.path("store/big").display())),
    );
    scene.take("x");
    let Some(image) = Image::tmpfs(2048) else { return };
    let place = image.path().join("got");
    let to = place.to_str().unwrap();
    restore(&scene, &["x", "--to", to]).assert_refused(73, "are needed");
    // Somebody else takes the room meanwhile.
    image.unmount();
    image.mount_tmpfs(4096);
    let taking = format!(
        r#"case "$*" in *-T*) dd if=/dev/zero of={}/other bs=1M count=2 2>/dev/null;; esac; exec "$REAL" "$@""#,
        image.path().display()
    );
    scene.stand_in("cp", &taking);
    let done = restore(&scene, &["x", "--to", to]);
    done.assert_refused(73, "got: is not restored: cp: ");
    assert!(
        done.stderr.contains("got/big") && done.stderr.contains("No space left on device"),
        "{done:#?}"
    );
    assert_eq!(names(&image.path()), ["other"]);
    fs::remove_file(image.path().join("other")).unwrap();
    fs::remove_file(scene.path("bin/cp")).unwrap();
    restore(&scene, &["x", "--to", to]).assert_code(0);
    assert_eq!(names(&place), ["big"]);
}

/// What is below a mount in the snapshot cannot be seen, and what is mounted is no part of it.
#[test]
fn what_is_hidden_in_the_snapshot_is_not_taken_for_nothing() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let store = scene.path("store");
    fs::create_dir(store.join("jo")).unwrap();
    fs::write(store.join("jo/letter"), "text").unwrap();
    let snapshot = scene.take("x");
    let place = scene.path("got");
    let to = place.to_str().unwrap();
    for hidden in ["jo", ""] {
        let _mounted = Mounted::new("tmpfs", "size=64k", &snapshot.join(hidden));
        for words in [&["x", "--to", to][..], &["x", "jo", "--to", to], &["--replace", "x", "jo"]] {
            let done = restore(&scene, words);
            assert!([66, 69].contains(&done.code()), "{hidden:?} {words:?} {done:#?}");
        }
        assert!(!place.exists() && store.join("jo/letter").exists(), "{hidden:?}");
    }
    restore(&scene, &["x", "--to", to]).assert_code(0);
    restore(&scene, &["x", "--to", to, "--check", " "]).assert_complaint(64, &["is empty"]);
}

/// Whatever looks like one of ours and is not, or may be somebody's.
#[test]
fn what_is_left_for_another_place_or_is_live_data_stays() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let store = scene.path("store");
    fs::write(store.join("letter"), "text").unwrap();
    scene.take("x");
    let others = [
        ".got.0123456789abcdef.partial",
        ".other.0123456789abcdef.restoring",
        ".got.xyz.restoring",
    ];
    for name in others {
        fs::create_dir(scene.path(name)).unwrap();
        fs::write(scene.path(name).join("data"), "").unwrap();
    }
    // Died just after the exchange: what is in it was live.
    let died = scene.path(".got.0123456789abcdef.restoring");
    fs::create_dir_all(died.join("data")).unwrap();
    fs::write(died.join("data/live"), "live").unwrap();
    fs::write(died.join("restored"), "[]").unwrap();
    let done = restore(&scene, &["x", "--to", scene.path("got").to_str().unwrap()]);
    done.assert_code(0);
    let [kept] = &kept(&scene.path(""), "got")[..] else { panic!("{done:#?}") };
    assert_eq!(text(&kept.join("live")), "live");
    assert!(others.iter().all(|name| scene.path(name).exists()) && !died.exists());
}

#[test]
fn what_a_dead_run_left_of_subvolumes_goes() {
    let Some(disk) = Subvolumes::named(&["spool", "index"]) else { return };
    disk.take("x", &["spool", "index"]);
    disk.scene.stand_in(
        "btrfs",
        r#"case "$2 $*" in "snapshot "*index) kill -9 $PPID; sleep 0.2;; esac; exec "$REAL" "$@""#,
    );
    let place = disk.path("got");
    let done = restore(&disk.scene, &["x", "--to", place.to_str().unwrap()]);
    assert_eq!(done.signal(), Some(9), "{done:#?}");
    fs::remove_file(disk.scene.path("bin/btrfs")).unwrap();
    until("end of the orphan", || {
        let done = restore(&disk.scene, &["x", "--to", place.to_str().unwrap()]);
        let over = names(&disk.path("")).iter().all(|name| !name.ends_with(".restoring"));
        if !over {
            must(
                Command::new("btrfs")
                    .args(["subvolume", "delete"])
                    .args([place.join("spool"), place.join("index")]),
            );
            fs::remove_dir(&place).unwrap();
        }
        done.code() == 0 && over
    });
    assert_eq!(names(&place), ["index", "spool"]);
}
