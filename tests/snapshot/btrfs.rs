//! `--btrfs`, on a real one.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::common::{Mounted, must, names, run, subvolume};
use crate::subvolumes::Subvolumes;
use crate::writers::{Writers, torn};

#[test]
fn a_snapshot_under_load_is_whole_and_read_only() {
    let Some(disk) = Subvolumes::named(&["store"]) else { return };
    let store = disk.path("store");
    let writers = Writers::start(&disk.scene.barrier_file("mail"), &store, &store);
    for round in 0..5 {
        let done = disk.snapshot(&["store"], &[]);
        done.assert_code(0);
        assert_eq!(done.stderr, "", "nothing to say about round {round}");
        let path = done.stdout.strip_suffix('\n').expect("a line").to_owned();
        assert_eq!(torn(path.as_ref(), path.as_ref()), [0; 0], "{path}");
        assert!(fs::write(format!("{path}/a0"), "").is_err(), "{path} can be written");
        writers.wait_for_rounds();
    }
    drop(writers);
    assert_eq!(names(&disk.to).len(), 5);
    for manifest in disk.scene.manifests() {
        assert_eq!(manifest["status"], "complete", "{manifest:#}");
        assert_eq!(manifest["clean"], true, "{manifest:#}");
        assert_eq!(manifest["certificate"], true);
        assert_eq!(manifest["barriers"][0]["durable"], false);
        assert!(fs::metadata(manifest["path"].as_str().unwrap()).unwrap().is_dir());
    }
}

/// Without quotas that would have to be counted.
#[test]
fn its_size_is_known_where_quotas_are_on() {
    let Some(disk) = Subvolumes::named(&["store"]) else { return };
    fs::write(disk.path("store/letter"), vec![b'x'; 1 << 20]).unwrap();
    disk.take("without", &["store"]);
    must(Command::new("btrfs").args(["quota", "enable"]).arg(disk.path("")));
    must(Command::new("btrfs").args(["quota", "rescan", "-w"]).arg(disk.path("")));
    disk.take("with", &["store"]);
    let sizes = disk.scene.manifests();
    let sizes: Vec<_> = sizes.iter().map(|manifest| &manifest["size"]).collect();
    let (with, without) = (sizes[0], sizes[1]);
    assert!(without.is_null(), "{without}");
    assert!(with["bytes"].as_u64().unwrap() > 1 << 20, "{with}");
    assert!(with["own_bytes"].as_u64().unwrap() < 1 << 20, "{with}");
}

#[test]
fn several_subvolumes_are_one_moment() {
    let Some(disk) = Subvolumes::named(&["spool", "index"]) else { return };
    let (spool, index) = (disk.path("spool"), disk.path("index"));
    let writers = Writers::start(&disk.scene.barrier_file("mail"), &spool, &index);
    let both = disk.take("both", &["spool", "index"]);
    drop(writers);
    assert_eq!(names(&disk.to), ["both"]);
    assert_eq!(names(&both), ["index", "spool"]);
    assert_eq!(torn(&both.join("spool"), &both.join("index")), [0; 0]);
}

#[test]
fn nested_subvolumes_are_refused_and_named() {
    let Some(disk) = Subvolumes::named(&["store"]) else { return };
    fs::create_dir(disk.path("store/deep")).unwrap();
    let nested = disk.path("store/deep/nested");
    subvolume(&nested);
    let before = disk.scene.generation();
    disk.snapshot(&["store"], &[]).assert_refused(69, &nested.display().to_string());
    assert_eq!(disk.scene.generation(), before, "the gate was touched");
    assert_eq!(disk.scene.manifests().len(), 0);

    // Asked for, they are part of the snapshot.
    let taken = disk.take("x", &["store", "store/deep/nested"]);
    assert_eq!(names(&taken), ["nested", "store"]);
}

#[test]
fn snapshots_may_be_kept_inside_the_subvolume() {
    let Some(disk) = Subvolumes::named(&[]) else { return };
    fs::write(disk.path("letter"), "text").unwrap();
    for name in ["first", "second"] {
        let taken = disk.take(name, &["."]);
        assert_eq!(fs::read_to_string(taken.join("letter")).unwrap(), "text");
    }
}

#[test]
fn what_is_no_subvolume_and_what_is_elsewhere_is_refused() {
    let Some(disk) = Subvolumes::named(&["store"]) else { return };
    let (scene, store, folder) = (&disk.scene, disk.path("store"), disk.to.clone());
    let snapshot = |source: &std::path::Path, to: &std::path::Path| {
        let mut command = scene.stillpoint();
        command.args(["snapshot", "mail", "--btrfs"]).arg(source).arg("--to").arg(to);
        run(&mut command)
    };
    snapshot(&folder, &folder).assert_refused(69, "not a btrfs subvolume");
    snapshot(&scene.path("store"), &folder).assert_refused(69, "not a btrfs subvolume");
    snapshot(&store, &scene.path("snapshots")).assert_refused(73, "cannot leave its file system");
    snapshot(&store, &store).assert_refused(73, "is the subvolume itself");
    snapshot(&store, &folder.join("missing")).assert_refused(73, "name a folder that exists");
    assert_eq!(scene.manifests().len(), 0);
}

/// By whatever names: most likely another one was meant.
#[test]
fn one_subvolume_that_is_named_twice_is_refused_and_not_for_its_name() {
    let Some(disk) = Subvolumes::named(&["store", "elsewhere"]) else { return };
    let (store, link, other) = (disk.path("store"), disk.path("link"), disk.path("mounted"));
    symlink(&store, &link).unwrap();
    fs::create_dir(&other).unwrap();
    let _mounted = Mounted::bind(&store, &other);
    let generation = disk.scene.generation();
    for (again, said) in [
        ("store", "store is named twice; name each source once"),
        ("link", "are the same; name each source once"),
        ("mounted", "are the same; name each source once"),
    ] {
        disk.snapshot(&["store", again], &[]).assert_refused(64, said);
    }
    assert_eq!(disk.scene.generation(), generation);
    assert_eq!(disk.scene.manifests().len(), 0);
}

#[test]
fn a_snapshot_that_comes_too_late_is_deleted() {
    let Some(disk) = Subvolumes::named(&["store"]) else { return };
    // Succeeds, but after the hold limit.
    disk.scene.stand_in(
        "btrfs",
        r#"case "$2" in snapshot) "$REAL" "$@"; trap "" TERM; sleep 1; exit 0;; esac; exec "$REAL" "$@""#,
    );
    disk.snapshot(&["store"], &["--hold", "0.3"]).assert_refused(124, "hold limit");
    assert_eq!(names(&disk.to), [""; 0]);
    assert_eq!(disk.scene.manifest()["status"], "revoked");
    disk.scene.assert_writers_go_on();
}

#[test]
fn the_second_of_two_subvolumes_failing_removes_the_first() {
    let Some(disk) = Subvolumes::named(&["one", "two"]) else { return };
    disk.scene.stand_in(
        "btrfs",
        r#"case "$2 $5" in "snapshot "*/two) echo "ERROR: no luck" >&2; exit 1;; esac; exec "$REAL" "$@""#,
    );
    disk.snapshot(&["one", "two"], &[]).assert_refused(73, "btrfs: no luck");
    assert_eq!(names(&disk.to), [""; 0]);
    assert_eq!(names(&disk.path("")), ["one", "snapshots", "two"]);
    assert_eq!(disk.scene.manifest()["status"], "failed");
}

#[test]
fn failed_data_is_kept_when_asked_for_under_a_name_of_its_own() {
    let Some(disk) = Subvolumes::named(&["store"]) else { return };
    disk.scene.stand_in(
        "btrfs",
        r#"case "$2" in snapshot) "$REAL" "$@"; exit 1;; esac; exec "$REAL" "$@""#,
    );
    disk.snapshot(&["store"], &["--keep-failed", "--name", "x"]).assert_refused(73, "x.failed");
    let kept = disk.to.join("x.failed");
    assert_eq!(names(&disk.to), ["x.failed"]);
    assert_eq!(disk.scene.manifest()["kept"], kept.to_str().unwrap());
    must(Command::new("btrfs").args(["subvolume", "delete"]).arg(kept));
}

#[test]
fn what_is_mounted_inside_is_named_as_it_is_not_in_the_snapshot() {
    let Some(disk) = Subvolumes::named(&["store", "data"]) else { return };
    let place = disk.path("store/data");
    fs::create_dir(&place).unwrap();
    let mounted = Mounted::bind(&disk.path("data"), &place);
    let done = disk.snapshot(&["store"], &[]);
    drop(mounted);
    done.assert_code(0);
    let said = format!("is not in its snapshot: {}", place.display());
    assert!(done.stderr.contains(&said), "{done:#?}");
}
