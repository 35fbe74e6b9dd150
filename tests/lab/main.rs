//! Whole machines, by `scripts/lab`: a Debian of their own with systemd, the device mapper or ZFS.
//!
//! Each takes a processor for minutes and, the first time, makes an image. So they are ignored, and run when somebody
//! asks: `cargo nextest run --test lab --run-ignored only --no-capture`. What is always tested is that their parts are sound.

#[path = "../common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::common::{must, programs, root, run};

fn lab() -> Command {
    let mut lab = Command::new(root().join("scripts/lab"));
    lab.current_dir(root());
    lab
}

/// A script of this folder.
fn script(name: &str) -> PathBuf {
    root().join("tests/lab").join(name)
}

/// Runs one in a machine, with files that it wants.
fn play(options: &[&str], name: &str, files: &[PathBuf]) {
    let mut lab = lab();
    lab.args(options).arg(script(name)).arg(script("machine.sh")).args(files);
    let status = lab.status().unwrap();
    assert!(status.success(), "{name}: {status}");
}

/// Without what only a debugger reads, which the machine would be slow to load.
fn stripped(folder: &Path, name: &str) -> PathBuf {
    let place = folder.join(name);
    must(
        Command::new("strip")
            .arg("--strip-unneeded")
            .arg("-o")
            .arg(&place)
            .arg(programs().join(name)),
    );
    place
}

fn package(folder: &TempDir) -> PathBuf {
    let mut package = Command::new(root().join("scripts/package"));
    package.arg("--to").arg(folder.path()).arg("--built").arg(programs());
    let made = must(package.current_dir(root())).stdout;
    String::from_utf8(made).unwrap().trim().into()
}

/// What scripts/install needs, and what it would build.
fn checkout(folder: &TempDir) -> PathBuf {
    let built = folder.path().join("built");
    std::fs::create_dir(&built).unwrap();
    for name in [
        "stillpoint",
        "stillpoint-cluster",
        "libstillpoint.so",
        "libstillpoint.a",
        "libstillpoint_adopt.so",
    ] {
        stripped(&built, name);
    }
    let archive = folder.path().join("checkout.tar");
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(&archive).args(["scripts", "man", "bin/libstillpoint", "Cargo.toml"]);
    tar.args(["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"]);
    must(tar.arg("-C").arg(folder.path()).arg("built").current_dir(root()));
    archive
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (words, said) in [
        (&[][..], "which script?"),
        (&["--bogus"], "unknown argument '--bogus'"),
        (&["/nowhere"], "there is no file '/nowhere'"),
        (&["--limit"], "--limit needs a value"),
        (&["--limit", "0", "scripts/lab"], "--limit 0"),
        (&["--make", "scripts/lab"], "--make runs no script"),
    ] {
        run(lab().args(words)).assert_refused(64, said);
    }
    let help = run(lab().arg("--help"));
    help.assert_code(0);
    assert!(help.stdout.starts_with("Usage: scripts/lab "), "{help:?}");
}

#[test]
fn each_script_can_be_read_by_its_shell_and_has_its_test() {
    let tests = include_str!("main.rs");
    for entry in std::fs::read_dir(script("")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "sh") {
            must(Command::new("bash").arg("-n").arg(&path));
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(tests.contains(&format!("\"{name}\"")), "{name}");
        }
    }
}

#[test]
#[ignore = "takes a whole machine"]
fn first_steps_and_what_comes_after_under_systemd() {
    let folder = tempfile::tempdir().unwrap();
    play(&[], "systemd.sh", &[package(&folder), root().join("README.md")]);
}

#[test]
#[ignore = "takes a whole machine"]
fn what_is_installed_goes_again() {
    let folder = tempfile::tempdir().unwrap();
    play(&[], "install.sh", &[checkout(&folder)]);
}

#[test]
#[ignore = "takes a whole machine"]
fn units_of_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    play(&[], "units.sh", &[package(&folder)]);
}

#[test]
#[ignore = "takes a whole machine"]
fn a_group_of_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let unpacked = root().join("target/unpacked");
    let server = unpacked.join("etcd-server/usr/bin/etcd");
    let client = unpacked.join("etcd-client/usr/bin/etcdctl");
    play(&["--limit", "3600"], "cluster.sh", &[checkout(&folder), server, client]);
}

#[test]
#[ignore = "takes a whole machine"]
fn snapshots_of_logical_volumes() {
    let folder = tempfile::tempdir().unwrap();
    play(&[], "lvm.sh", &[stripped(folder.path(), "stillpoint")]);
}

#[test]
#[ignore = "takes a whole machine, and a module that is built for it"]
fn snapshots_of_zfs() {
    let folder = tempfile::tempdir().unwrap();
    let page = root().join("man/stillpoint-restore.7");
    play(&["--zfs"], "zfs.sh", &[stripped(folder.path(), "stillpoint"), page]);
}
