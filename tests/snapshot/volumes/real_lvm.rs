//! The real LVM: are the arguments and names those that it takes?

use std::fs;
use std::process::Command;

use crate::common::{has, is_root, must};
use crate::scene::Scene;

/// The real LVM, without the device mapper: it knows names, room and what is there from the metadata
/// of the group. Only a snapshot takes the kernel, so a plain volume takes its place.
#[test]
fn the_real_lvm_takes_these_arguments_and_names() {
    let Some(group) = Group::new() else {
        return;
    };
    let scene = Scene::new();
    let flags = group.flags().join(" ");
    for tool in ["lvchange", "lvrename", "lvremove"] {
        scene.stand_in(tool, &format!(r#"exec "$REAL" {flags} "$@""#));
    }
    // What stands for its activation is left out; what it says of names and sizes is not.
    let create = format!(
        r#"test=; if [ "$1" = --test ]; then test=$1; shift; fi
        [ "$1 $2 $3 $4 $6" = "-y -s -pr -n -L" ] || exit 9
        exec "$REAL" {flags} $test -y -an -Zn -n "$5" -L "$7" "${{8%/*}}""#
    );
    scene.stand_in("lvcreate", &create);
    // Without the kernel nothing is ever active.
    let list = format!(
        r#"out=$("$REAL" {flags} "$@") || exit; echo "$out" | sed 's/"-wi-XX----"/"-wi-a-----"/'"#
    );
    scene.stand_in("lvs", &list);
    let origin = format!("{}/mail", group.name);
    let take = |name: &str, size: &str| {
        scene.snapshot([
            "mail",
            "--min-open",
            "0",
            "--name",
            name,
            "--size",
            size,
            "--lvm",
            &origin,
        ])
    };
    let done = take("x", "8m");
    done.assert_code(0);
    assert_eq!(done.stdout, format!("/dev/{origin}-x\n"));
    group.lvm(&["lvs", &format!("{origin}-x")]);
    let before = scene.generation();
    take("x", "8m").assert_refused(73, "another --name");
    take("y", "24m").assert_refused(73, "bytes free");
    take("a_tdata", "4m").assert_refused(73, "reserved");
    assert_eq!(scene.generation(), before);
    // A run that died: the names are those that the tools know.
    let mut manifest = scene.manifest();
    manifest["status"] = "begun".into();
    fs::write(scene.path("catalog/x.json"), manifest.to_string()).unwrap();
    let partial = manifest["volumes"][0]["partial"].as_str().unwrap();
    group.lvm(&["lvrename", &format!("{origin}-x"), partial]);
    let next = scene.snapshot(["mail", "--min-open", "0", "--name", "next", "--", "true"]);
    assert!(next.stderr.contains("its data is removed"), "{next:?}");
    let left = Command::new("lvs").args(group.flags()).arg(&group.name).output().unwrap();
    assert!(!String::from_utf8(left.stdout).unwrap().contains("mail-x"));
}

/// A volume group on a loop device, known to this test alone.
struct Group {
    _folder: tempfile::TempDir,
    device: String,
    name: String,
}

impl Group {
    fn new() -> Option<Group> {
        if !is_root() || !has(&["lvs"]) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("image");
        fs::File::create(&file).unwrap().set_len(64 << 20).unwrap();
        let device = super::must_say("losetup", &["--find", "--show"], &file);
        let name = format!("stillpoint{}", std::process::id());
        let group = Group { _folder: folder, device, name };
        group.lvm(&["pvcreate", "-q", &group.device]);
        group.lvm(&["vgcreate", "-q", &group.name, &group.device]);
        group.lvm(&["lvcreate", "-an", "-Zn", "-n", "mail", "-L", "32m", &group.name]);
        Some(group)
    }

    /// Without the kernel's part, and on this device alone.
    fn flags(&self) -> [String; 4] {
        ["--devices", &self.device, "--driverloaded", "n"].map(str::to_owned)
    }

    fn lvm(&self, words: &[&str]) {
        must(Command::new(words[0]).args(self.flags()).args(&words[1..]));
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
    }
}
