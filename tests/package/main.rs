//! The Debian package, made, taken apart, and put into a root that has nothing else: one that
//! debootstrap makes from where this machine has its own packages from.
//!
//! Takes root and half a minute for the first time; the root is kept below `target` for the next.

#[allow(dead_code, reason = "the tests of the command use the rest")]
#[path = "../cli/harness.rs"]
mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::harness::{STILLPOINT, is_root, skip};

const C_PROGRAM: &str = r#"
#include <stdio.h>
#include <stillpoint.h>
int main(void)
{
    stillpoint *b;
    int error = stillpoint_open("mail", 0, "packaged", &b);
    if (!error)
        error = stillpoint_lock_shared(b);
    printf("%d %d\n", error, stillpoint_depth(b));
    return stillpoint_unlock_shared(b);
}
"#;

/// What a new user of the package does, in the fresh root. Ends with what is left of it.
const INSIDE: &str = r#"
set -eux
mount -t tmpfs none /run
dpkg -i /stillpoint.deb
stillpoint --version
test -d /run/stillpoint -a -d /var/lib/stillpoint
zcat /usr/share/man/man1/stillpoint.1.gz | grep -q '^\.Dt STILLPOINT'
grep -q snapshot /usr/share/bash-completion/completions/stillpoint

stillpoint create mail
/program | grep -qx '0 1'
mkdir /store /snapshots
echo letter >/store/1
stillpoint run -s mail -- sh -c 'echo two >/store/2'
path=$(stillpoint snapshot mail --copy /store --to /snapshots --hold 10)
test "$(cat "$path/1")" = letter
test "$(stillpoint latest)" = "$path"
export BARRIERS=mail
/usr/share/stillpoint/hooks/azure pre
stillpoint status mail | grep -q closed
/usr/share/stillpoint/hooks/azure post

# Once more, over a writer that has the old one mapped.
stillpoint run -s mail -- sh -c 'touch /inside; while [ -e /inside ]; do sleep 0.01; done' &
while [ ! -e /inside ]; do sleep 0.01; done
dpkg -i /stillpoint.deb
test "$(stillpoint status --json mail | grep -c '"inside":true')" = 1
rm /inside
wait $!
stillpoint retire mail

dpkg -L stillpoint >/files
dpkg -r stillpoint
while read -r file; do
    test ! -f "$file" -a ! -L "$file"
done </files
test -e /var/lib/stillpoint/catalog -a -e "$path/1"
dpkg -P stillpoint
test -e /var/lib/stillpoint/mail.state
rm -r /var/lib/stillpoint /files /inside /stillpoint.deb /program /store /snapshots 2>/dev/null || :
find / -xdev -name '*stillpoint*' -not -path '/proc/*'
"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn has(test: &str, tools: &[&str]) -> bool {
    let missing = tools.iter().find(|tool| {
        !["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
            .iter()
            .any(|at| Path::new(at).join(tool).exists())
    });
    if let Some(tool) = missing {
        skip(test, &format!("{tool} is missing"));
    }
    missing.is_none()
}

/// The package of this build.
fn package(to: &Path) -> PathBuf {
    let built = Path::new(STILLPOINT).parent().unwrap();
    let mut package = Command::new(root().join("scripts/package"));
    let output = succeed(package.arg("--to").arg(to).arg("--built").arg(built));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

#[test]
fn twice_the_same_bytes() {
    if !has("twice_the_same_bytes", &["dpkg-shlibdeps", "dpkg-deb"]) {
        return;
    }
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let [one, two] = folders.each_ref().map(|folder| fs::read(package(folder.path())).unwrap());
    assert!(!one.is_empty() && one == two);
}

#[test]
fn bad_arguments_are_refused() {
    for arguments in [&["--bogus"][..], &["x"], &["--to"]] {
        let output = Command::new(root().join("scripts/package")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{output:?}");
    }
}

/// A root with the smallest set of packages, made once.
fn fresh_root() -> Result<PathBuf, String> {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fresh-root");
    if kept.join("complete").exists() {
        return Ok(kept);
    }
    let _ = fs::remove_dir_all(&kept);
    let mut ask = Command::new("apt-get");
    ask.args(["indextargets", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages"]);
    let answer = String::from_utf8(succeed(&mut ask).stdout).unwrap();
    let (site, release) = answer
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(_, release)| !release.contains('-'))
        .ok_or("apt has no list of packages: apt-get update")?;
    let mut make = Command::new("debootstrap");
    let output = make.args(["--variant=minbase", release]).arg(&kept).arg(site).output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or("").to_string();
        return Err(format!("debootstrap: {said}"));
    }
    fs::write(kept.join("complete"), "").unwrap();
    Ok(kept)
}

#[test]
fn it_installs_works_and_is_removed_in_a_fresh_root() {
    const TEST: &str = "it_installs_works_and_is_removed_in_a_fresh_root";
    if !is_root(TEST) || !has(TEST, &["debootstrap", "dpkg-shlibdeps", "gcc", "pkg-config"]) {
        return;
    }
    let kept = match fresh_root() {
        Ok(kept) => kept,
        Err(why) => return skip(TEST, &why),
    };
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let fresh = folder.path().join("root");
    succeed(Command::new("cp").args(["-a", "--reflink=auto"]).arg(&kept).arg(&fresh));
    let deb = package(folder.path());
    fs::copy(&deb, fresh.join("stillpoint.deb")).unwrap();

    // A program that was compiled elsewhere, against what the package has.
    let unpacked = folder.path().join("unpacked");
    succeed(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&unpacked));
    fs::write(folder.path().join("program.c"), C_PROGRAM).unwrap();
    let script = r#"
        cd "$1"
        at=$(dirname unpacked/usr/lib/*/pkgconfig/stillpoint.pc)
        export PKG_CONFIG_LIBDIR=$PWD/$at PKG_CONFIG_SYSROOT_DIR=$PWD/unpacked
        gcc -o root/program program.c $(pkg-config --cflags --libs stillpoint)"#;
    succeed(Command::new("sh").args(["-euc", script, "sh"]).arg(folder.path()));

    let script = r#"
        mount --make-rprivate /
        mount -t proc none "$1/proc"
        mount --rbind /dev "$1/dev"
        exec chroot "$1" /bin/sh -c "$2""#;
    let mut inside = Command::new("unshare");
    inside.args(["--mount", "--pid", "--fork", "--", "sh", "-euc", script, "sh"]).arg(&fresh);
    inside.arg(INSIDE).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let output = succeed(inside.env("DEBIAN_FRONTEND", "noninteractive"));
    let left = String::from_utf8(output.stdout).unwrap();
    let left: Vec<&str> = left.lines().filter(|line| line.starts_with('/')).collect();
    assert_eq!(left, [""; 0], "left behind");
}
