//! `stillpoint mount` and `unmount`: what everybody sees, and what keeps it.
//!
//! In a mount namespace of its own each, so that nothing is left behind by a test that fails.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::common::{Done, STILLPOINT, is_root, must, run, until};
use crate::prune::is_pinned;
use crate::scene::Scene;
use crate::subvolumes::Subvolumes;

/// Ends what keeps the pin of the mount at `at`, and waits for that.
pub const KILL_KEEPER: &str = r#"
for process in /proc/[0-9]*; do
    if [ "$(cat "$process/comm" 2>&1)" = stillpoint-pin ] && tr '\0' '\n' <"$process/cmdline" | grep -qxF "$at"; then
        kill -9 "${process#/proc/}" && keeper=$process
    fi
done
while ! grep -q '^State:.Z' "$keeper/status" 2>/dev/null && [ -e "$keeper" ]; do sleep 0.01; done
"#;

/// Two snapshots, and a folder to mount them over.
fn scene() -> Option<Scene> {
    if !is_root() {
        return None;
    }
    let scene = Scene::new();
    fs::create_dir(scene.path("at")).unwrap();
    fs::create_dir(scene.path("aside")).unwrap();
    fs::write(scene.path("store/letter"), "text").unwrap();
    scene.take("x");
    scene.take("y");
    Some(scene)
}

/// A script in which `at` is that folder.
fn apart(scene: &Scene, script: &str) -> Done {
    let mut command = scene.environment(Command::new("unshare"));
    command.args(["--mount", "sh", "-ec"]).arg(format!("S=$STILLPOINT\n{script}"));
    command.env("at", scene.path("at")).env("TMPDIR", scene.path("aside"));
    run(command.current_dir(scene.path("")))
}

#[test]
fn a_mounted_snapshot_is_read_by_everybody_and_stays_until_it_is_unmounted() {
    let Some(scene) = scene() else { return };
    let script = r#"
        "$S" mount x at/
        cat at/letter; echo
        ! touch at/new 2>/dev/null
        findmnt -no OPTIONS --mountpoint "$at" | cut -d, -f1-3
        "$S" prune --keep 1
        "$S" unmount at
        ls at
        "$S" prune --keep 1
    "#;
    let done = apart(&scene, script);
    done.assert_code(0);
    let removed = format!("removed {}", scene.path("snapshots/x").display());
    assert_eq!(done.stdout, format!("x\ntext\nro,nosuid,nodev\n{removed}\n"));
    assert!(done.stderr.contains("snapshots/x is in use; left alone"), "{done:?}");
    assert!(fs::read_dir(scene.path("aside")).unwrap().next().is_none());
}

/// Nothing else tells then that somebody reads it.
#[test]
fn it_stays_also_when_what_keeps_it_was_killed() {
    let Some(scene) = scene() else { return };
    let script = format!(
        r#"
        "$S" mount --latest mail "$at"
        {KILL_KEEPER}
        "$S" list --json
        "$S" list --wide
        "$S" latest --json
        "$S" snapshot mail --name z --min-open 0 --hold 10 --copy store --to snapshots >/dev/null
        "$S" prune --keep 1
        cat at/letter
        "$S" unmount at
        "$S" prune --keep 1"#
    );
    let done = apart(&scene, &script);
    done.assert_code(0);
    let (pinned, free) = ("\"pinned\": true", "\"pinned\": false");
    assert_eq!(done.stdout.matches(pinned).count(), 2, "{done:?}");
    assert_eq!(done.stdout.matches(free).count(), 1, "{done:?}");
    let kept = "snapshots/y is in use; left alone";
    assert!(done.stderr.contains(kept) && done.stdout.contains("text"), "{done:?}");
    assert_eq!(scene.snapshots(), ["z"]);
}

/// Between the two places nobody else knows of it.
#[test]
fn what_a_killed_one_has_mounted_aside_goes_with_the_next() {
    let Some(scene) = scene() else { return };
    if !crate::common::strace::works() {
        return crate::common::skip("strace cannot inject");
    }
    let script = r#"
        strace -o /dev/null -e inject=mount:signal=SIGKILL:when=3 "$S" mount x at || echo "killed $?"
        findmnt -rno TARGET | grep -c stillpoint-new
        "$S" prune --keep 1
        "$S" mount y at
        findmnt -rno TARGET | grep -c stillpoint-new || true
        "$S" prune --keep 1
        cat at/letter
    "#;
    let done = apart(&scene, script);
    done.assert_code(0);
    let removed = format!("removed {}", scene.path("snapshots/x").display());
    assert_eq!(done.stdout, format!("killed 137\n1\ny\n0\n{removed}\ntext"), "{done:?}");
    assert!(done.stderr.contains("snapshots/x is in use; left alone"), "{done:?}");
    assert!(fs::read_dir(scene.path("aside")).unwrap().next().is_none());
}

#[test]
fn the_pin_goes_with_the_mount_however_that_ends() {
    let Some(scene) = scene() else { return };
    apart(&scene, r#""$S" mount x at; umount at"#).assert_code(0);
    until("end of the pin", || !is_pinned(&scene, "x"));
    // The namespace goes with the last process in it, and its mounts.
    let done = apart(&scene, r#""$S" mount x at; "$S" list --json"#);
    assert!(done.stdout.contains("\"pinned\": true"), "{done:?}");
    until("end of the pin", || !is_pinned(&scene, "x"));
}

#[test]
fn what_is_no_empty_folder_is_not_covered() {
    let Some(scene) = scene() else { return };
    symlink("at", scene.path("link")).unwrap();
    fs::create_dir(scene.path("snapshots/x/empty")).unwrap();
    for (place, exit, said) in [
        ("nowhere", 66, "nowhere: No such file or directory; name an empty folder that exists"),
        ("link", 73, "link: is a link; name the folder itself"),
        ("link/", 73, "link/: is a link; name the folder itself"),
        ("store", 73, "store: not empty"),
        ("store/letter", 73, "store/letter: not a folder"),
        ("snapshots/x/empty", 73, "lies in the snapshot itself"),
    ] {
        apart(&scene, &format!(r#""$S" mount x {place}"#)).assert_refused(exit, said);
    }
    let twice = apart(
        &scene,
        r#""$S" mount x at >/dev/null; trap '"$S" unmount at' EXIT; "$S" mount y at"#,
    );
    twice.assert_refused(73, "already; name another folder");
    apart(&scene, r#""$S" mount z at"#).assert_refused(66, "there is no such snapshot");
    scene.make_zfs("x");
    // There is none.
    apart(&scene, r#""$S" mount x at"#).assert_refused(69, "tank/mail@x: cannot be mounted: ");
}

#[test]
fn what_cannot_be_told_or_made_leaves_nothing_mounted() {
    let Some(scene) = scene() else { return };
    apart(&scene, r#"TMPDIR=/proc "$S" mount x at"#).assert_refused(73, "let TMPDIR name a folder");
    let done = apart(
        &scene,
        r#""$S" mount x at >/dev/full || echo $?; findmnt --mountpoint "$at" || echo none"#,
    );
    assert_eq!(done.stdout, "71\nnone\n", "{done:?}");
    let mut first = scene.environment(Command::new("unshare"));
    first.args(["--pid", "--fork", STILLPOINT, "mount", "x"]).arg(scene.path("at"));
    run(&mut first).assert_refused(69, "the first one of a container");
}

#[test]
fn only_a_snapshot_is_unmounted_and_who_is_in_there_is_named() {
    let Some(scene) = scene() else { return };
    apart(&scene, r#""$S" unmount at"#).assert_refused(66, "at: nothing is mounted there");
    apart(&scene, r#"mount --bind store at; "$S" unmount at"#)
        .assert_refused(66, "is no snapshot of");
    let script = r#"
        "$S" mount x at >/dev/null
        (cd at; exec sleep 600) & reader=$!
        while [ "$(readlink /proc/$reader/cwd)" != "$at" ]; do sleep 0.01; done
        "$S" unmount at || code=$?
        kill $reader; wait $reader || :
        "$S" unmount at
        exit $code"#;
    apart(&scene, script).assert_refused(75, "at: in use by s");
}

#[test]
fn several_subvolumes_are_under_one_folder() {
    let sources = ["spool", "index"];
    let Some(disk) = Subvolumes::named(&sources) else { return };
    for name in sources {
        fs::write(disk.path(name).join("letter"), name).unwrap();
    }
    disk.snapshot(&sources, &[]).assert_code(0);
    let at = disk.scene.path("at");
    must(Command::new("mkdir").arg(&at));
    let mut command = disk.scene.environment(Command::new("unshare"));
    let script = r#""$STILLPOINT" mount --latest mail "$1" >/dev/null; cat "$1/spool/letter" "$1/index/letter"; "$STILLPOINT" unmount "$1""#;
    command.args(["--mount", "sh", "-ec", script, "sh"]).arg(&at);
    assert_eq!(run(&mut command).stdout, "spoolindex");
}
