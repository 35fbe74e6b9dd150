//! To a new place.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{described, furnish, nothing_is_left, restore, text};
use crate::common::{Image, is_root, must, names, run};
use crate::scene::Scene;
use crate::subvolumes::Subvolumes;

#[test]
fn all_of_a_copy_is_as_it_was() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    furnish(&scene.path("store"));
    let taken = scene.take("x");
    let place = scene.path("got");
    let done = restore(&scene, &["x", "--to", place.to_str().unwrap()]);
    done.assert_code(0);
    assert_eq!(done.stdout, format!("{}\n", place.display()));
    assert_eq!(done.stderr, "");
    assert_eq!(described(&place), described(&taken));
    let holes = place.join("eve/holes").metadata().unwrap();
    assert!(holes.blocks() * 512 < holes.len(), "holes were filled");
    nothing_is_left(&scene.path(""));
}

#[test]
fn a_subvolume_becomes_one_that_can_be_written_to_and_elsewhere_a_copy() {
    let Some(disk) = Subvolumes::named(&["store"]) else { return };
    furnish(&disk.path("store"));
    let taken = disk.take("x", &["store"]);
    let (place, elsewhere) = (disk.path("got"), disk.scene.path("got"));
    restore(&disk.scene, &["x", "--to", place.to_str().unwrap()]).assert_code(0);
    assert_eq!(place.metadata().unwrap().ino(), 256, "it is a subvolume");
    fs::write(place.join("new"), "").unwrap();
    fs::remove_file(place.join("new")).unwrap();
    restore(&disk.scene, &["--latest", "mail", "--to", elsewhere.to_str().unwrap()]).assert_code(0);
    assert_eq!(described(&elsewhere), described(&taken));
}

#[test]
fn several_subvolumes_are_several_again() {
    let Some(disk) = Subvolumes::named(&["spool", "index"]) else { return };
    furnish(&disk.path("spool"));
    fs::write(disk.path("index/one"), "text").unwrap();
    let taken = disk.take("x", &["spool", "index"]);
    let place = disk.path("got");
    restore(&disk.scene, &["x", "--to", place.to_str().unwrap()]).assert_code(0);
    assert_eq!(described(&place.join("spool")), described(&taken.join("spool")));
    for part in ["spool", "index"] {
        assert_eq!(place.join(part).metadata().unwrap().ino(), 256, "{part} is a subvolume");
    }
    assert_eq!(place.metadata().unwrap().mode() & 0o777, 0o755);
    let part = disk.path("part");
    let source = disk.path("index/one");
    restore(&disk.scene, &["x", source.to_str().unwrap(), "--to", part.to_str().unwrap()])
        .assert_code(0);
    assert_eq!(text(&part.join("index/one")), "text");
}

/// Blocks are shared, so it takes no room that there is not.
#[test]
fn on_xfs_blocks_are_shared() {
    let Some(image) = Image::xfs() else { return };
    let scene = Scene::new();
    let (store, to) = (image.path().join("store"), image.path().join("snapshots"));
    fs::create_dir(&store).unwrap();
    fs::create_dir(&to).unwrap();
    // More than half of what is free.
    must(
        Command::new("dd")
            .args(["if=/dev/urandom", "bs=1M", "count=140"])
            .arg(format!("of={}/big", store.display())),
    );
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--name", "x", "--reflink"]).arg(&store).arg("--to").arg(&to);
    run(&mut command).assert_code(0);
    let place = image.path().join("got");
    restore(&scene, &["x", "--to", place.to_str().unwrap()]).assert_code(0);
    assert_eq!(described(&place), described(&store));
}

#[test]
fn some_paths_are_restored_in_their_folders() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let store = scene.path("store");
    furnish(&store);
    let taken = scene.take("x");
    fs::remove_dir_all(store.join("jo")).unwrap();
    let place = scene.path("got");
    let to = place.to_str().unwrap();
    let absolute = store.join("eve/new\nline").display().to_string();
    let words = [
        "x",
        "./jo/Maildir//link",
        "jo/Maildir/cur",
        "eve/-dash",
        &absolute,
        "jo/Maildir/cur/one",
        "--to",
        to,
    ];
    restore(&scene, &words).assert_code(0);
    assert_eq!(names(&place), ["eve", "jo"]);
    assert_eq!(names(&place.join("eve")), ["-dash", "new\nline"]);
    assert_eq!(names(&place.join("jo/Maildir")), ["cur", "link"]);
    assert_eq!(described(&place.join("jo/Maildir/cur")), described(&taken.join("jo/Maildir/cur")));
    for way in ["jo", "jo/Maildir", "eve"] {
        let (ours, theirs) =
            (place.join(way).metadata().unwrap(), taken.join(way).metadata().unwrap());
        let known =
            |one: &fs::Metadata| (one.mode(), one.uid(), one.gid(), one.mtime(), one.mtime_nsec());
        assert_eq!(known(&ours), known(&theirs), "{way}");
    }
    let again = scene.path("again");
    let where_it_is = taken.join("eve/passwd").display().to_string();
    restore(&scene, &["x", &where_it_is, "--to", again.to_str().unwrap()]).assert_code(0);
    assert_eq!(fs::read_link(again.join("eve/passwd")).unwrap().to_str(), Some("/etc/passwd"));
}

#[test]
fn no_path_leads_out_of_the_snapshot() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let store = scene.path("store");
    furnish(&store);
    fs::create_dir(scene.path("secret")).unwrap();
    fs::write(scene.path("secret/key"), "key").unwrap();
    symlink(scene.path("secret"), store.join("jo/out")).unwrap();
    scene.take("x");
    let place = scene.path("got");
    let to = ["--to", place.to_str().unwrap()];
    let refused = |path: &str, code: i32, said: &str| {
        restore(&scene, &["x", path, to[0], to[1]]).assert_complaint(code, &[said]);
        assert!(!place.exists());
    };
    refused("jo/out/key", 66, "jo/out: is no folder in the snapshot x; a link is not followed");
    refused("jo/Maildir/link/passwd", 66, "a link is not followed");
    refused("jo/Maildir/cur/one/x", 66, "is no folder");
    refused("jo/nobody", 66, "jo/nobody: is not in the snapshot x");
    refused("nobody/at/all", 66, "nobody: is not in the snapshot x");
    refused("../y", 64, "goes up");
    refused("jo/../../y", 64, "goes up");
    refused("/etc/passwd", 64, "/etc/passwd: is not below");
}

#[test]
fn nothing_that_is_there_is_touched() {
    let scene = Scene::new();
    fs::write(scene.path("store/letter"), "text").unwrap();
    let taken = scene.take("x");
    fs::create_dir(scene.path("empty")).unwrap();
    symlink("nowhere", scene.path("dangling")).unwrap();
    for there in ["store", "empty", "dangling", "snapshots/x", "catalog/x.json"] {
        let place = scene.path(there);
        let done = restore(&scene, &["x", "--to", place.to_str().unwrap()]);
        done.assert_refused(73, "exists already; give another --to");
    }
    let inside = taken.join("got");
    restore(&scene, &["x", "--to", inside.to_str().unwrap()])
        .assert_refused(73, "lies in the snapshot itself");
    let nowhere = scene.path("a/b/c");
    restore(&scene, &["x", "--to", nowhere.to_str().unwrap()])
        .assert_refused(73, "name a folder in one that exists");
    restore(&scene, &["x", "--to", "/"]).assert_refused(64, "is no name");
    restore(&scene, &["x"]).assert_refused(64, "--to");
    restore(&scene, &["y", "--to", "z"]).assert_refused(66, "there is no such snapshot");
    restore(&scene, &["x", "--replace", "--to", "z"]).assert_refused(64, "cannot be used with");
    assert_eq!(names(&taken), ["letter"]);
    assert_eq!(names(&scene.path("empty")), [""; 0]);
}

#[test]
fn a_check_looks_at_what_was_restored() {
    let scene = Scene::new();
    fs::write(scene.path("store/letter"), "text").unwrap();
    scene.take("x");
    let place = scene.path("got");
    let to = place.to_str().unwrap();
    let check = r#"test "$PWD" = "$STILLPOINT_SNAPSHOT_PATH" && echo "$STILLPOINT_SNAPSHOT_NAME" && cat letter"#;
    let done = restore(&scene, &["x", "--to", to, "--check", check, "--json"]);
    done.assert_code(0);
    assert!(done.stderr.contains("x\ntext"), "{done:#?}");
    let json: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&json["name"], &json["restored"][0]), (&"x".into(), &to.into()));
    let bad = scene.path("bad");
    let done = restore(&scene, &["x", "--to", bad.to_str().unwrap(), "--check", "exit 7"]);
    done.assert_code(7);
    assert!(done.stderr.contains("is restored, but its check failed"), "{done:#?}");
    assert_eq!(text(&bad.join("letter")), "text");
}

/// By the label of the snapshot, which is that of its job.
#[test]
fn a_check_without_a_command_is_the_verification_of_the_job() {
    let scene = Scene::new();
    let (store, jobs) = (scene.path("store"), scene.path("jobs"));
    fs::write(store.join("letter"), "text").unwrap();
    fs::create_dir(&jobs).unwrap();
    for (name, label) in [("x", "nightly"), ("y", "weekly")] {
        let words = ["--hold", "10", "--min-open", "0", "--name", name, "--label", label];
        run(&mut scene.copy(&words)).assert_code(0);
    }
    let job = |more: &str| {
        let text = format!(
            "barriers = 'mail'\n[snapshot]\ncopy = '{}'\nto = '{}'\n[limits]\nhold = 9\n{more}",
            store.display(),
            scene.path("snapshots").display()
        );
        fs::write(jobs.join("nightly.toml"), text).unwrap();
    };
    let got = |words: &[&str]| {
        let mut command = scene.stillpoint();
        command.env("STILLPOINT_JOBS", &jobs).arg("restore").args(words);
        run(command.current_dir(scene.path("")))
    };
    job(
        "[verify]\ncommand = 'grep -q text \"$STILLPOINT_SNAPSHOT_PATH/letter\" && echo $STILLPOINT_SNAPSHOT_SOURCE'\n",
    );
    let done = got(&["x", "--to", "good", "--check"]);
    done.assert_code(0);
    assert!(done.stderr.contains(store.to_str().unwrap()), "{done:#?}");
    fs::write(scene.path("snapshots/x/letter"), "bad").unwrap();
    let done = got(&["--replace", "--check", "--", "x"]);
    done.assert_refused(1, "nothing is replaced, as the check ended with status 1");

    got(&["y", "--to", "other", "--check"]).assert_refused(64, "no job has the label of y");
    got(&["x", "letter", "--to", "other", "--check"]).assert_refused(64, "all of a snapshot");
    job("");
    got(&["x", "--to", "other", "--check"]).assert_refused(64, "the job nightly verifies nothing");
    assert!(!scene.path("other").exists());
}

/// Whose owner has died: it cannot be given to him.
#[test]
fn a_user_is_told_that_owners_are_not_kept() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    fs::write(scene.path("store/letter"), "text").unwrap();
    scene.take("x");
    must(Command::new("chmod").args(["-R", "go+rX"]).arg(scene.path("")));
    let mine = tempfile::tempdir().unwrap();
    must(Command::new("chmod").arg("777").arg(mine.path()));
    let to = mine.path().join("got");
    let done = run(scene.as_nobody(["restore", "x", "--to", to.to_str().unwrap()]));
    done.assert_code(0);
    assert!(done.stderr.contains("warning: only root can give files to others"), "{done:#?}");
    assert_eq!(text(&to.join("letter")), "text");
}

/// A subvolume has them; a copy has none, which is said once, and how many there are.
#[test]
fn flags_of_chattr_are_kept_or_missed_aloud() {
    let Some(disk) = Subvolumes::named(&["store"]) else { return };
    let (scene, store) = (&disk.scene, disk.path("store"));
    let script = r#"cd "$1"; mkdir a; echo x >a/still; echo x >a/grows; echo x >a/plain; ln -s still a/link
        touch a/nocow; chattr +C a/nocow; chattr +i a/still; chattr +a a/grows"#;
    must(Command::new("sh").args(["-ec", script, "sh"]).arg(&store));
    let flags = |file: &Path| {
        let done = must(Command::new("lsattr").arg("-d").arg(file));
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        text.split(' ').next().unwrap().replace('-', "")
    };
    disk.take("x", &["store"]);
    must(
        Command::new("chattr")
            .args(["-i", "-a"])
            .args([store.join("a/still"), store.join("a/grows")]),
    );
    let to = |name: &str| disk.path(name).to_str().unwrap().to_owned();
    let whole = restore(scene, &["x", "--to", &to("whole")]);
    assert_eq!((whole.code(), whole.stderr.contains("chattr")), (0, false), "{whole:?}");
    for (file, expected) in [("still", "i"), ("grows", "a"), ("nocow", "C"), ("plain", "")] {
        assert_eq!(flags(&disk.path("whole/a").join(file)), expected, "{file}");
    }
    for (words, count) in [(&["a"][..], 3), (&["a/still"], 1), (&["a/still", "a/nocow"], 2)] {
        let place = to(&format!("part{count}"));
        let part = restore(scene, &[&["x"], words, &["--to", &place]].concat());
        assert_eq!(part.code(), 0, "{part:?}");
        let said = format!("{place}: {count} of the files and folders have flags of chattr(1)");
        assert_eq!(part.stderr.matches(&said).count(), 1, "{part:?}");
    }
    let plain = restore(scene, &["x", "a/plain", "--to", &to("plain")]);
    assert_eq!((plain.code(), plain.stderr.contains("chattr")), (0, false), "{plain:?}");
    for place in [disk.path("whole/a/still"), disk.path("whole/a/grows"), disk.to.join("x/a/still")]
    {
        let _ = Command::new("chattr")
            .args(["-i", "-a"])
            .arg(place)
            .stderr(std::process::Stdio::null())
            .status();
    }
}
