//! The Debian package, made, taken apart, and put into a root that has nothing else: one that
//! debootstrap makes from where this machine has its own packages from, or, without a network, one
//! made of the packages that this machine has installed.
//!
//! Takes root and half a minute for the first time; the root is kept below `target` for the next.

#[path = "../common/mod.rs"]
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{has, is_root, must, programs, root};
use tempfile::TempDir;

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
zcat /usr/share/man/man1/stillpoint-snapshot.1.gz | grep -q '^\.Nm stillpoint-snapshot'
grep -q snapshot /usr/share/bash-completion/completions/stillpoint
ldconfig -p | grep -q 'libstillpoint\.so\.0 '

stillpoint create mail
/program | grep -qx '0 1'
mkdir /store /snapshots
echo letter >/store/1
stillpoint run -s mail -- sh -c 'echo two >/store/2'
path=$(stillpoint snapshot mail --copy /store --to /snapshots --hold 10)
test "$(cat "$path/1")" = letter
test "$(stillpoint latest)" = "$path"
job=$(stillpoint job init --freeze-only --barrier mail vm)
echo JOB=vm >/etc/stillpoint/hooks.conf
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
# What an administrator has linked to it, and what else there is.
wants=/etc/systemd/system/timers.target.wants
exporter=/var/lib/prometheus/node-exporter
mkdir -p $wants /etc/qemu /etc/systemd/system/dovecot.service.d $exporter
# What its units have left.
mkdir -p /run/stillpoint-metrics /var/lib/systemd/timers
touch /run/stillpoint-metrics/stillpoint.prom /var/lib/systemd/timers/stamp-stillpoint-job@mail.timer
id stillpoint-metrics || useradd --system --no-create-home stillpoint-metrics
ln -s /run/stillpoint-metrics/stillpoint.prom $exporter/stillpoint.prom
ln -s /usr/lib/systemd/system/stillpoint-job@.timer $wants/stillpoint-job@mail.timer
ln -s /usr/share/stillpoint/hooks/qemu-ga /etc/qemu/fsfreeze-hook
ln -s /nowhere /etc/qemu/other
echo '# Written by `stillpoint adopt enable`; it is' >/etc/systemd/system/dovecot.service.d/stillpoint-adopt.conf
dpkg -P stillpoint >/said
cat /said >&2
grep -q '^dovecot\.service preloads the library no longer' /said
grep -q '^/var/lib/stillpoint stays$' /said
grep -q '^/etc/stillpoint stays$' /said
test "$(id -u stillpoint-metrics 2>/dev/null)" = ''
test ! -L $wants/stillpoint-job@mail.timer -a ! -L /etc/qemu/fsfreeze-hook -a -L /etc/qemu/other
test ! -e /etc/systemd/system/dovecot.service.d -a ! -L $exporter/stillpoint.prom
rm -r $wants /etc/qemu /var/lib/prometheus
test -e /var/lib/stillpoint/mail.state -a -e "$job"
rm -r /var/lib/stillpoint /etc/stillpoint
rm -f /said

# One that nobody has used.
dpkg -i /stillpoint.deb
dpkg -P stillpoint
test ! -e /var/lib/stillpoint
rm -r /files /inside /stillpoint.deb /program /store /snapshots 2>/dev/null || :
find / -xdev -name '*stillpoint*' -not -path '/proc/*'
"#;

/// The package of this build.
fn package(to: &Path) -> PathBuf {
    let built = programs();
    made_by(Command::new("scripts/package").arg("--to").arg(to).arg("--built").arg(built))
}

fn made_by(package: &mut Command) -> PathBuf {
    let output = must(package.current_dir(root()));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

#[test]
fn the_same_bytes_wherever_it_is_made() {
    if !has(&["dpkg-shlibdeps", "dpkg-deb"]) {
        return;
    }
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let one = fs::read(package(folder.path())).unwrap();

    // On another file system, which has other sizes for folders; where numbers have a comma and paths
    // a space; by somebody who lets nobody see what he makes.
    let folder = TempDir::with_prefix_in("my packages", "/dev/shm").unwrap();
    let path = |name: &str| folder.path().join(name);
    std::os::unix::fs::symlink(root(), path("my checkout")).unwrap();
    std::os::unix::fs::symlink(programs(), path("my build")).unwrap();
    fs::create_dir(path("my stage")).unwrap();
    let mut masked = Command::new("sh");
    masked.args(["-c", r#"umask 077 && exec "$@""#, "sh"]).arg(path("my checkout/scripts/package"));
    masked.arg("--to").arg(path("my package")).arg("--built").arg(path("my build"));
    common::comma::surround(masked.env("TMPDIR", path("my stage")));
    let two = fs::read(made_by(&mut masked)).unwrap();
    assert!(!one.is_empty() && one == two);
}

#[test]
fn bad_arguments_are_refused() {
    for arguments in [&["--bogus"][..], &["x"], &["--to"]] {
        let output = Command::new(root().join("scripts/package")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{output:?}");
    }
}

#[test]
fn the_changelog_has_the_newest_entries() {
    if !has(&["dpkg-shlibdeps", "dpkg-deb"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let deb = package(folder.path());
    let script = "dpkg-deb --fsys-tarfile \"$1\" | tar -xO ./usr/share/doc/stillpoint/changelog.gz \
                  | zcat";
    let text = must(Command::new("sh").args(["-euc", script, "sh"]).arg(deb)).stdout;
    let text = String::from_utf8(text).unwrap();
    let words = |text: &str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
    let changes = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let section = changes.split("\n## ").nth(1).unwrap();
    let entries: Vec<_> = section.split("\n- ").skip(1).map(words).collect();
    let made: Vec<_> =
        text.split("\n -- ").next().unwrap().split("\n  * ").skip(1).map(words).collect();
    assert_eq!(made, entries);
}

#[test]
fn lintian_finds_no_error() {
    if !has(&["lintian", "dpkg-shlibdeps", "dpkg-deb"]) {
        return;
    }
    let folder = TempDir::new().unwrap();
    // Who packages it says by DEBEMAIL where he is to be reached; a test has no address.
    let nobody = "bogus-mail-host,bogus-mail-host-in-debian-changelog";
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error", "--suppress-tags", nobody]);
    let output = must(lintian.arg(package(folder.path())));
    eprint!("{}", String::from_utf8_lossy(&output.stdout));
}

/// Debian's mirror and release, as apt has them here.
fn mirror() -> Result<(String, String), String> {
    let mut ask = Command::new("apt-get");
    ask.args(["indextargets", "--format", "$(ORIGIN) $(SITE) $(RELEASE)", "Created-By: Packages"]);
    let answer = ask.output().map_err(|error| format!("apt-get: {error}"))?.stdout;
    let answer = String::from_utf8_lossy(&answer);
    // Updates and security have a hyphen in their names.
    let of_debian = answer.lines().filter_map(|line| line.strip_prefix("Debian ")?.split_once(' '));
    let (site, release) = of_debian
        .into_iter()
        .find(|(_, release)| !release.contains('-'))
        .ok_or("apt has no list of Debian's packages: apt-get update")?;
    Ok((site.to_string(), release.to_string()))
}

fn debootstrap(to: &Path) -> Result<(), String> {
    let (site, release) = mirror()?;
    let mut make = Command::new("debootstrap");
    let output = make.args(["--variant=minbase", &release]).arg(to).arg(site).output();
    let output = output.map_err(|error| format!("debootstrap: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().unwrap_or("it says nothing");
    if output.status.success() { Ok(()) } else { Err(format!("debootstrap: {last}")) }
}

/// What is required of every Debian system, and what that depends on, as installed here.
const OWN_PACKAGES: &str = r#"
required=$(dpkg-query -Wf '${Priority} ${db:Status-Status} ${Package}\n' |
    sed -n 's/^required installed //p')
packages=$(apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts \
    --no-breaks --no-replaces --no-enhances $required libgcc-s1 |
    sed -n '/^[a-z0-9]/p' | sort -u)
mkdir -p "$1/var/lib/dpkg/info" "$1/var/lib/dpkg/updates" "$1/proc" "$1/dev" "$1/tmp" "$1/run"
for link in bin sbin lib lib64; do
    if [ -L "/$link" ]; then mkdir -p "$1/usr/$link" && ln -s "usr/$link" "$1/$link"; fi
done
for package in $packages; do
    dpkg-query -s "$package" && echo
done >"$1/var/lib/dpkg/status"
dpkg-query -L $packages | grep '^/.' | sort -u |
    while read -r file; do if [ -e "$file" ]; then printf '%s\n' "$file"; fi; done >"$1/files"
tar -C / -c --no-recursion --files-from "$1/files" etc/passwd etc/group etc/alternatives 2>/dev/null |
    tar -C "$1" -x --keep-directory-symlink
cp -a /etc/alternatives/. "$1/etc/alternatives"
for package in $packages; do
    for file in /var/lib/dpkg/info/"$package".* /var/lib/dpkg/info/"$package":*; do
        if [ -e "$file" ]; then cp -a "$file" "$1/var/lib/dpkg/info"; fi
    done
done
rm "$1/files"
chroot "$1" ldconfig
"#;

/// A root with the smallest set of packages, made once.
fn fresh_root() -> PathBuf {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fresh-root");
    if kept.join("complete").exists() {
        return kept;
    }
    let _ = fs::remove_dir_all(&kept);
    if let Err(why) = debootstrap(&kept) {
        eprintln!("\n*** NO DEBOOTSTRAP ({why}): a root of this machine's own packages ***\n");
        let _ = fs::remove_dir_all(&kept);
        fs::create_dir_all(&kept).unwrap();
        must(Command::new("sh").args(["-euc", OWN_PACKAGES, "sh"]).arg(&kept));
        // Not kept: the next run may have a network.
        return kept;
    }
    fs::write(kept.join("complete"), "").unwrap();
    kept
}

#[test]
fn it_installs_works_and_is_removed_in_a_fresh_root() {
    if !is_root() || !has(&["dpkg-shlibdeps", "gcc", "pkg-config"]) {
        return;
    }
    let kept = fresh_root();
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let fresh = folder.path().join("root");
    must(Command::new("cp").args(["-a", "--reflink=auto"]).arg(&kept).arg(&fresh));
    let deb = package(folder.path());
    fs::copy(&deb, fresh.join("stillpoint.deb")).unwrap();

    // A program that was compiled elsewhere, against what the package has.
    let unpacked = folder.path().join("unpacked");
    must(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&unpacked));
    fs::write(folder.path().join("program.c"), C_PROGRAM).unwrap();
    let script = r#"
        cd "$1"
        at=$(dirname unpacked/usr/lib/*/pkgconfig/stillpoint.pc)
        export PKG_CONFIG_LIBDIR=$PWD/$at PKG_CONFIG_SYSROOT_DIR=$PWD/unpacked
        gcc -o root/program program.c $(pkg-config --cflags --libs stillpoint)"#;
    must(Command::new("sh").args(["-euc", script, "sh"]).arg(folder.path()));

    let script = r#"
        mount --make-rprivate /
        mount -t proc none "$1/proc"
        mount --rbind /dev "$1/dev"
        exec chroot "$1" /bin/sh -c "$2""#;
    let mut inside = Command::new("unshare");
    inside.args(["--mount", "--pid", "--fork", "--", "sh", "-euc", script, "sh"]).arg(&fresh);
    inside.arg(INSIDE).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let output = must(inside.env("DEBIAN_FRONTEND", "noninteractive"));
    let left = String::from_utf8(output.stdout).unwrap();
    let left: Vec<&str> = left.lines().filter(|line| line.starts_with('/')).collect();
    assert_eq!(left, [""; 0], "left behind");
}
