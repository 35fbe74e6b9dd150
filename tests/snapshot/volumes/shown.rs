//! What is in a snapshot of volumes: restored, mounted, kept. The volumes are images of file systems, by the names that
//! LVM would have given them, in a /dev of the test's own; `tests/lab` has the real ones.

use serde_json::{Value, json};

use crate::common::{Done, has, is_root, run};
use crate::mounted::KILL_KEEPER;
use crate::scene::Scene;
use std::process::Command;

/// vg/mail is an xfs that is mounted at `store`, vg/db an ext4 that is not. What is in the snapshots is older.
const MACHINE: &str = r#"
S=$STILLPOINT
truncate --size 320M mail; mkfs.xfs -q -f mail
truncate --size 32M db; mkfs.ext4 -q db
mkdir -p at got aside dev/vg
for name in mail db; do mount -o loop "$name" at; mkdir at/eve; echo old >at/eve/letter; umount at; done
cp mail origin
mount -t tmpfs none dev
mkdir dev/vg dev/shm
mount --bind /dev/shm dev/shm
mail=$(losetup --find --show --read-only mail)
db=$(losetup --find --show --read-only db)
origin=$(losetup --find --show origin)
trap 'cd /; losetup --detach "$mail" "$db" "$origin"' EXIT
cp -a /dev/null "$mail" "$db" "$origin" dev
ln -s "../${mail##*/}" dev/vg/mail-x
ln -s "../${db##*/}" dev/vg/db-x
ln -s "../${origin##*/}" dev/vg/mail
ln -s "../${origin##*/}" dev/vg/mail-y
ln -s "../${origin##*/}" dev/vg/db-y
mount --rbind dev /dev
mount "$origin" store
echo new >store/eve/letter
"#;

/// Makes a snapshot look like one of these volumes.
fn make_lvm(scene: &Scene, name: &str, origins: &[&str]) {
    let volume = |origin: &&str| json!({ "name": format!("vg/{origin}-{name}"), "partial": format!("vg/{origin}-{name}.partial"), "kept": null });
    scene.edit(name, |manifest| {
        manifest["provider"] = "lvm".into();
        manifest["sources"] = origins.iter().map(|origin| format!("vg/{origin}")).collect();
        manifest["volumes"] = origins.iter().map(volume).collect();
        (manifest["origins"], manifest["identity"]) = (json!([]), json!([]));
        (manifest["path"], manifest["partial"]) = (Value::Null, Value::Null);
    });
}

fn scene(origins: &[&str]) -> Option<Scene> {
    if !is_root() || !has(&["mkfs.xfs", "mkfs.ext4", "blkid"]) {
        return None;
    }
    let scene = Scene::new();
    for name in ["x", "y"] {
        scene.take(name);
        make_lvm(&scene, name, origins);
    }
    Some(scene)
}

fn play(scene: &Scene, script: &str) -> Done {
    let mut command = scene.environment(Command::new("unshare"));
    command.args(["--mount", "sh", "-ec"]).arg(format!("{MACHINE}\n{script}"));
    command.env("at", scene.path("at")).env("here", scene.path(""));
    run(command.current_dir(scene.path("")))
}

#[test]
fn one_volume_is_restored_and_mounted_as_it_stands() {
    let Some(scene) = scene(&["mail"]) else { return };
    let script = r#"
        "$S" restore x --to got/whole && cat got/whole/eve/letter
        "$S" restore x store/eve --to got/none || echo "relative $?"
        "$S" restore x "$here/store/eve" --to got/some && cat got/some/eve/letter
        "$S" restore --replace x || echo "mounted $?"
        "$S" restore --replace x eve && cat store/eve/letter store/eve.before-*/letter
        "$S" mount x at && cat at/eve/letter
        ! touch at/new
        findmnt -no OPTIONS --mountpoint "$at" | cut -d, -f1-3
        "$S" unmount at; ls at
        "$S" use x --at store -- sh -c 'cat store/eve/letter; ! touch store/new'
        umount store
        "$S" restore --replace x eve || echo "nowhere $?"
        findmnt -lno TARGET | grep "$here" | grep -v /dev || echo "nothing is mounted"
    "#;
    let done = play(&scene, script);
    done.assert_code(0);
    let here = scene.path("");
    let here = here.display();
    let expected = format!(
        "{here}/got/whole\nold\nrelative 66\n{here}/got/some\nold\nmounted 69\n{here}/store/eve\nold\nnew\nx\nold\n\
         ro,nosuid,nodev\nold\nnowhere 69\nnothing is mounted\n"
    );
    assert_eq!(done.stdout.replace("//", "/"), expected.replace("//", "/"), "{}", done.stderr);
    assert!(done.stderr.contains("vg/mail is mounted nowhere"), "{done:?}");
    assert!(done.stderr.contains("store: something is mounted there"), "{done:?}");
}

#[test]
fn several_volumes_have_a_folder_each() {
    let Some(scene) = scene(&["mail", "db"]) else { return };
    let script = r#"
        "$S" restore x --to got/whole >/dev/null && cat got/whole/mail/eve/letter got/whole/db/eve/letter
        "$S" restore x "$here/store/eve" db/eve --to got/some >/dev/null && ls got/some
        "$S" restore --replace x mail/eve >/dev/null && cat store/eve/letter
        "$S" mount x at && ls at && cat at/*/eve/letter
        (cd at/db && exec sleep 600) & reader=$!
        while [ "$(readlink /proc/$reader/cwd)" != "$at/db" ]; do sleep 0.01; done
        "$S" unmount at || echo "busy $?"
        kill "$reader"
        wait "$reader" || :
        "$S" unmount at
        ls at
        "$S" use x --at got/some -- sh -c 'ls got/some'
    "#;
    let done = play(&scene, script);
    done.assert_code(0);
    let expected = "old\nold\ndb\nmail\nold\nx\ndb\nmail\nold\nold\nbusy 75\ndb\nmail\n";
    assert_eq!(done.stdout, expected, "{}", done.stderr);
    assert!(done.stderr.contains("in use by sleep"), "{done:?}");
}

/// The tools would rename it, whoever reads it.
#[test]
fn a_mounted_volume_stays_also_when_what_keeps_it_was_killed() {
    let Some(scene) = scene(&["mail"]) else { return };
    let script = format!(
        r#"
        "$S" mount x at
        {KILL_KEEPER}
        "$S" prune --keep 1
        cat at/eve/letter
        "$S" unmount at"#
    );
    let done = play(&scene, &script);
    done.assert_code(0);
    assert!(done.stderr.contains("/dev/vg/mail-x is in use; left alone"), "{done:?}");
    assert_eq!(scene.manifests().len(), 2);
}

/// Its device stays, and whoever reads it gets an error.
#[test]
fn one_that_was_given_up_is_offered_to_nobody() {
    let Some(scene) = scene(&["mail"]) else { return };
    let status = r#"case " $* " in *" -m $LOST "*) echo "0 655360 snapshot Invalid" ;; *) echo "0 655360 snapshot 16/8192 16" ;; esac"#;
    scene.stand_in("dmsetup", status);
    let script = r#"
        "$S" latest mail
        LOST=$((0x$(stat -L -c %T /dev/vg/mail-y)))
        export LOST
        "$S" latest mail
        "$S" list | grep -c '/dev/vg/mail-. (gone)'
        "$S" restore y --to got/y || echo "gone $?"
    "#;
    let done = play(&scene, script);
    done.assert_code(0);
    assert_eq!(done.stdout, "/dev/vg/mail-y\n/dev/vg/mail-x\n1\ngone 66\n", "{done:?}");
}

#[test]
fn what_cannot_be_told_from_its_origin_or_is_nothing_is_refused() {
    let Some(scene) = scene(&["mail"]) else { return };
    let refused = |make: &str, said: &str| {
        let script = format!(
            "losetup --detach \"$mail\"; {make}; losetup --read-only \"$mail\" mail
            for words in 'restore x --to got/x' 'mount x at' 'use x --at at -- true'; do \"$S\" $words || echo $?; done; ls got at"
        );
        let done = play(&scene, &script);
        assert_eq!(done.stdout, "69\n69\n69\nat:\n\ngot:\n", "{done:?}");
        assert_eq!(done.stderr.matches(said).count(), 3, "{done:?}");
    };
    refused("mkfs.btrfs -q -f mail >mkfs", "a btrfs, which would be taken for its origin");
    std::fs::remove_dir_all(scene.path("got")).unwrap();
    refused("truncate -s 0 mail; truncate -s 32M mail", "no file system is found on it");
}
