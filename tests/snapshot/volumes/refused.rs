//! What cannot succeed is refused before the gate closes.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{LVM, System};
use crate::common::{Image, is_root, run, subvolume};

#[test]
fn what_cannot_succeed_is_refused_before_the_gate_closes() {
    for system in System::each() {
        let before = system.scene.generation();
        let kind = &system.option[2..];
        let refused = |origin: &str, more: &[&str], code, said: &str| {
            let mut command = system.scene.stillpoint();
            command.args(["snapshot", "mail", "--name", "x", system.option, origin]).args(more);
            run(&mut command).assert_refused(code, said);
        };
        refused("-r", &[], 64, "'-r'");
        refused("a b", &[], 64, "a b");
        if system.is_zfs() {
            refused("tank/other", &[], 66, "cannot open 'tank/other': dataset does not exist");
            refused("tank/mail@x", &[], 64, "no name of a dataset");
            let twice = "tank/mail is named twice; name each source once";
            refused("tank/mail", &["tank/home", "tank/mail"], 64, twice);
            fs::write(system.state("health"), "SUSPENDED\toff\n").unwrap();
            refused("tank/mail", &[], 69, "the pool is SUSPENDED");
            fs::write(system.state("health"), "ONLINE\ton\n").unwrap();
            refused("tank/mail", &[], 69, "the pool is read-only");
            fs::remove_file(system.state("health")).unwrap();
            fs::write(system.state("children"), "tank/mail/archive\n").unwrap();
            refused("tank/mail", &[], 69, "missing from its snapshot: tank/mail/archive;");
            fs::remove_file(system.state("children")).unwrap();
            fs::write(system.state("zfs-snapshots"), "tank/mail@x\n").unwrap();
            refused("tank/mail", &[], 73, "tank/mail@x: exists already");
        } else {
            refused("vg/other", &[], 66, "Failed to find logical volume");
            refused("other/mail", &[], 66, "\"other\" not found");
            refused("vg", &[], 64, "no logical volume");
            let twice = "vg/mail and /dev/vg/mail are the same; name each source once";
            refused("vg/mail", &["/dev/vg/mail", "--size", "1M"], 64, twice);
            refused("vg/mail", &[], 64, "say with --size");
            refused("vg/thin", &["--size", "1G"], 64, "thin pools");
            refused("vg/mail", &["--size", "2G"], 73, "2147483648 are needed");
            let mut reserved = system.command("a_tdata", &[]);
            run(&mut reserved).assert_refused(73, "Names including \"_tdata\" are reserved");
            fs::write(system.state("lvm-volumes"), "vg/mail\nvg/mail-x\n").unwrap();
            refused("vg/mail", &["--size", "1M"], 73, "vg/mail-x: exists already");
        }
        for name in ["a b", "a@b", &"x".repeat(199)] {
            let mut command = system.command(name, &[]);
            if system.is_zfs() && name.len() > 100 {
                continue;
            }
            run(&mut command).assert_refused(64, "give another one");
        }
        assert_eq!(system.scene.generation(), before, "{kind}");
        assert_eq!(system.scene.manifests().len(), 0);
    }
}

/// Neither in PATH nor in the folders of root's tools.
#[test]
fn a_tool_that_is_missing_is_refused() {
    if !is_root() {
        return;
    }
    let hide = r#"for at in /usr/local/sbin /usr/sbin /sbin; do mount -t tmpfs none "$at" || exit; done
        PATH=$0 exec "$@""#;
    for system in System::each() {
        for tool in if system.is_zfs() { vec!["zfs", "zpool"] } else { vec!["lvs", "lvremove"] } {
            let folder = system.scene.path("empty");
            fs::create_dir_all(&folder).unwrap();
            let others = [
                "zfs", "zpool", "lvs", "lvcreate", "lvchange", "lvrename", "lvremove", "findmnt",
                "sh",
            ];
            for other in others.iter().filter(|other| **other != tool) {
                let found = [system.scene.path("bin"), "/usr/bin".into(), "/bin".into()];
                if let Some(found) = found.iter().map(|at| at.join(other)).find(|at| at.exists()) {
                    let _ = std::os::unix::fs::symlink(found, folder.join(other));
                }
            }
            let inner = system.command("x", &[]);
            let mut command = Command::new("unshare");
            command.args(["-m", "sh", "-c", hide]).arg(&folder);
            command.arg(inner.get_program()).args(inner.get_args());
            for (name, value) in inner.get_envs() {
                command.env(name, value.unwrap_or_default());
            }
            run(command.env("PATH", "/usr/bin:/bin"))
                .assert_refused(69, &format!("{tool} was not found"));
            fs::remove_dir_all(&folder).unwrap();
        }
    }
}

/// lvcreate freezes the file system: a barrier on it would never open again.
#[test]
fn a_barrier_on_a_volume_that_is_frozen_is_refused() {
    let images = [(Image::xfs(), false), (Image::btrfs(), true)];
    for (image, has_subvolumes) in images {
        let Some(image) = image else {
            return;
        };
        let folder = image.path().join("folder");
        // Of another device by stat(2), and frozen all the same.
        match has_subvolumes {
            true => subvolume(&folder),
            false => fs::create_dir(&folder).unwrap(),
        }
        refuses_a_barrier_on(&image, &folder);
    }
}

fn refuses_a_barrier_on(image: &Image, folder: &Path) {
    let system = System::lvm().unwrap();
    let barrier = folder.join("x.barrier");
    run(system.scene.stillpoint().arg("create").arg(&barrier)).assert_code(0);
    // The stand-in says that the volume is the loop device of the image.
    let device = super::must_say("findmnt", &["-n", "-o", "SOURCE"], &image.path());
    let script =
        LVM.replace("\"lv_path\":\"/dev/%s\"", &format!("\"lv_path\":\"{device}\", \"x\":\"%s\""));
    system.scene.stand_in("lvs", &script);
    let mut command = system.scene.stillpoint();
    command.arg("snapshot").arg(&barrier).args(["--lvm", "vg/mail", "--size", "1M"]);
    run(&mut command).assert_refused(69, "which is frozen for it");
    assert_eq!(system.there(), [""; 0]);
    // The file system of the volume is known, and synced.
    let done = system.take("x", &[]);
    done.assert_code(0);
}
