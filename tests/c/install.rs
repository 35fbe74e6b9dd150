//! scripts/install, and programs that find what it has installed.

use crate::common::{Place, has, is_root, must, root};
use crate::harness::{WARNINGS, library};
use crate::manual;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

fn install(arguments: &[&str]) -> Command {
    let mut install = Command::new(root().join("scripts/install"));
    install.args(arguments).arg("--built").arg(library().parent().unwrap()).env_remove("DESTDIR");
    install
}

/// An installation below a folder of its own.
struct Installed {
    folder: TempDir,
}

impl Installed {
    fn new() -> Installed {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let prefix = folder.path().join("prefix");
        must(&mut install(&["--prefix", prefix.to_str().unwrap()]));
        Installed { folder }
    }

    fn prefix(&self) -> PathBuf {
        self.folder.path().join("prefix")
    }

    /// What `pkg-config` says, as arguments.
    fn flags(&self, kind: &[&str]) -> Vec<String> {
        let mut ask = Command::new("pkg-config");
        ask.args(kind).args(["--cflags", "--libs", "stillpoint"]);
        ask.env("PKG_CONFIG_PATH", self.prefix().join("lib/pkgconfig")).current_dir("/");
        let answer = String::from_utf8(must(&mut ask).stdout).unwrap();
        answer.split_whitespace().map(str::to_string).collect()
    }
}

/// All files and links below a folder.
fn files(folder: &Path, found: &mut Vec<String>, top: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            files(&path, found, top);
        } else {
            found.push(path.strip_prefix(top).unwrap().display().to_string());
        }
    }
}

/// As `man1/stillpoint.1`: where every page of the manual belongs.
fn pages() -> Vec<String> {
    let names = fs::read_dir(root().join("man")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| format!("man{}/{name}", name.rsplit_once('.').unwrap().1)).collect()
}

#[test]
fn everything_has_its_place() {
    let folder = TempDir::new().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let destdir = folder.path().join("package");
    let ways: [(&[&str], bool); 3] = [
        (&["--prefix", "/usr", "--destdir"], true),
        (&["--prefix=/usr"], false),
        (&["--cluster", "--prefix=/usr"], false),
    ];
    for (arguments, by_option) in ways {
        let has_cluster = arguments.contains(&"--cluster");
        let _ = fs::remove_dir_all(&destdir);
        let mut command = install(arguments);
        if by_option {
            let mut all = arguments.to_vec();
            all.push(destdir.to_str().unwrap());
            command = install(&all);
        } else {
            command.env("DESTDIR", &destdir);
        }
        must(&mut command);
        let mut found = Vec::new();
        files(&destdir, &mut found, &destdir);
        found.sort();
        let mut wanted = [
            "bin/stillpoint",
            "include/stillpoint.h",
            "lib/libstillpoint.a",
            "lib/libstillpoint.so",
            "lib/libstillpoint.so.0",
            &format!("lib/libstillpoint.so.{version}"),
            "lib/libstillpoint_adopt.so",
            "lib/pkgconfig/stillpoint.pc",
            "share/bash-completion/completions/stillpoint",
            "share/doc/stillpoint/CHANGELOG.md",
            "share/doc/stillpoint/LICENSE-APACHE",
            "share/doc/stillpoint/LICENSE-MIT",
            "share/doc/stillpoint/README.md",
            "share/fish/vendor_completions.d/stillpoint.fish",
            "share/stillpoint/installed",
            "share/zsh/site-functions/_stillpoint",
            "lib/sysusers.d/stillpoint.conf",
            "lib/systemd/system-generators/stillpoint-job-generator",
            "lib/tmpfiles.d/stillpoint.conf",
        ]
        .map(|file| format!("usr/{file}"))
        .to_vec();
        for (from, to, ending) in [
            ("scripts/hooks", "share/stillpoint/hooks", ""),
            ("scripts/participants", "share/stillpoint/participants", ""),
            ("scripts/monitoring", "share/stillpoint/monitoring", ""),
            ("scripts/systemd", "lib/systemd/system", ".timer"),
            ("scripts/systemd", "lib/systemd/system", "service"),
        ] {
            let names = fs::read_dir(root().join(from)).unwrap();
            let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let names = names.filter(|name| name.ends_with(ending));
            let names = names.filter(|name| has_cluster || name != "stillpoint-cluster.service");
            wanted.extend(names.map(|name| format!("usr/{to}/{name}")));
        }
        let of_cluster = [
            "bin/stillpoint-cluster",
            "share/bash-completion/completions/stillpoint-cluster",
            "share/fish/vendor_completions.d/stillpoint-cluster.fish",
            "share/zsh/site-functions/_stillpoint-cluster",
        ];
        if has_cluster {
            wanted.extend(of_cluster.map(|file| format!("usr/{file}")));
        }
        wanted.extend(pages().iter().map(|page| format!("usr/share/man/{page}")));
        wanted.sort();
        wanted.dedup();
        assert_eq!(found, wanted);
        let description = fs::read_to_string(destdir.join("usr/lib/pkgconfig/stillpoint.pc"));
        let description = description.unwrap();
        assert!(description.contains("libdir=/usr/lib\n"), "{description}");
        assert!(description.contains(&format!("Version: {version}\n")), "{description}");
        assert!(!description.contains('@'), "{description}");
    }
}

fn uninstall(prefix: &Path) -> Command {
    let mut uninstall = Command::new(root().join("scripts/install"));
    uninstall.arg("--uninstall").arg("--prefix").arg(prefix).env_remove("DESTDIR");
    uninstall
}

/// Files, folders and links below a folder.
fn everything(folder: &Path) -> String {
    let found = must(Command::new("find").arg(folder).args(["-printf", "%y %P\\n"])).stdout;
    let mut lines: Vec<String> =
        String::from_utf8(found).unwrap().lines().map(str::to_string).collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn what_was_installed_is_removed_and_nothing_else() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let prefix = folder.path().join("prefix");
    for own in ["share/man/man1", "share/stillpoint/hooks", "lib"] {
        fs::create_dir_all(prefix.join(own)).unwrap();
    }
    fs::write(prefix.join("share/man/man1/other.1"), "").unwrap();
    fs::write(prefix.join("share/stillpoint/hooks/own"), "").unwrap();
    let before = everything(&prefix);
    let mut masked = Command::new("sh");
    masked.args(["-c", r#"umask 077 && exec "$@""#, "sh"]).arg(root().join("scripts/install"));
    masked.arg("--prefix").arg(&prefix).arg("--built").arg(library().parent().unwrap());
    must(masked.env_remove("DESTDIR"));
    // An older version has left what this one does not bring, which goes with the next.
    let list = prefix.join("share/stillpoint/installed");
    let old = prefix.join("share/stillpoint/hooks/old");
    fs::write(&old, "").unwrap();
    fs::write(&list, format!("{}\n{}", old.display(), fs::read_to_string(&list).unwrap())).unwrap();
    must(&mut install(&["--prefix", prefix.to_str().unwrap()]));
    assert!(!old.exists());

    must(&mut uninstall(&prefix));
    assert_eq!(everything(&prefix), before);
    let again = uninstall(&prefix).output().unwrap();
    assert_eq!(again.status.code(), Some(66), "{again:?}");
}

/// Links that an administrator has made to it lead nowhere then; others are his.
#[test]
fn no_link_to_what_was_removed_is_left() {
    if !is_root() {
        return;
    }
    let installed = Installed::new();
    let script = r#"
        mount -t tmpfs none /etc
        mkdir -p /etc/systemd/system/timers.target.wants
        ln -s "$1/lib/systemd/system/stillpoint-job@.timer" /etc/systemd/system/timers.target.wants/mail.timer
        ln -s "$1/share/stillpoint/hooks/qemu-ga" /etc/hook
        ln -s "$1/share/stillpoint" /etc/kept
        ln -s /nowhere /etc/other
        touch "$1/share/stillpoint/own"
        scripts/install --uninstall --prefix "$1" >/dev/null
        find /etc -type l | sort"#;
    let mut alone = Command::new("unshare");
    alone.args(["--mount", "sh", "-euc", script, "sh"]).arg(installed.prefix());
    let left = must(alone.current_dir(root()).env_remove("DESTDIR")).stdout;
    assert_eq!(String::from_utf8(left).unwrap(), "/etc/kept\n/etc/other\n");
}

/// Writers that are inside meanwhile go on with the library that they have.
#[test]
fn an_upgrade_leaves_those_inside_where_they_are() {
    let installed = Installed::new();
    let place = Place::new();
    let barrier = place.make_barrier();
    let command = || Command::new(installed.prefix().join("bin/stillpoint"));
    let mut writer = command();
    writer.args(["run", "-s"]).arg(&barrier).args(["sh", "-c", "echo inside; read -r line"]);
    let mut writer = writer.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = [0; 7];
    std::io::Read::read_exact(writer.stdout.as_mut().unwrap(), &mut line).unwrap();
    must(&mut install(&["--prefix", installed.prefix().to_str().unwrap()]));
    let status = must(command().args(["status", "--json"]).arg(&barrier)).stdout;
    assert!(String::from_utf8(status).unwrap().contains(r#""inside":true"#));
    drop(writer.stdin.take());
    assert_eq!(writer.wait().unwrap().code(), Some(1), "read found the end");
    must(command().args(["run", "-n"]).arg(&barrier).arg("true"));
}

/// Wherever a host has a copy of one.
#[test]
fn hooks_find_each_other_where_they_were_installed() {
    let installed = Installed::new();
    let folder = installed.prefix().join("share/stillpoint/hooks");
    let copy = installed.folder.path().join("stillpoint");
    for (name, status, wanted) in [
        ("azure", 64, "expected pre or post"),
        ("gce", 64, "expected to be called as pre.sh or post.sh"),
        ("qemu-ga", 64, "expected freeze or thaw"),
        ("sanoid", 64, "expected SANOID_SCRIPT to be pre, post or prune"),
        ("vmware", 64, "expected freeze, freezeFail or thaw"),
        ("zrepl", 255, "unknown ZREPL_HOOKTYPE ''"),
    ] {
        fs::copy(folder.join(name), &copy).unwrap();
        let mut hook = Command::new(&copy);
        hook.env("STILLPOINT_JOB", "mail").env("STILLPOINT_HOOKS_CONF", "/dev/null");
        let hook = hook.env("PATH", installed.prefix().join("bin")).output().unwrap();
        let said = String::from_utf8(hook.stderr).unwrap();
        assert_eq!(said, format!("stillpoint: {name}: {wanted}\n"));
        assert_eq!(hook.status.code(), Some(status), "{name}");
    }
    for entry in fs::read_dir(&folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains("/usr/share/stillpoint"), "{text}");
    }
}

#[test]
fn bad_arguments_are_refused() {
    let bad: [&[&str]; 7] = [
        &["--uninstall=yes"],
        &["--bogus"],
        &["somewhere"],
        &["--prefix", "relative"],
        &["--destdir=relative"],
        &["--prefix", "/a folder"],
        &["--destdir"],
    ];
    for arguments in bad {
        let output = Command::new(root().join("scripts/install")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty());
    }
    let nothing = TempDir::new().unwrap();
    let mut unbuilt = Command::new(root().join("scripts/install"));
    unbuilt.arg("--built").arg(nothing.path()).arg("--destdir").arg(nothing.path());
    assert_eq!(unbuilt.output().unwrap().status.code(), Some(66));
}

#[test]
fn the_installed_command_and_pages_work() {
    let installed = Installed::new();
    let version = must(Command::new(installed.prefix().join("bin/stillpoint")).arg("-V"));
    assert!(String::from_utf8(version.stdout).unwrap().contains(env!("CARGO_PKG_VERSION")));
    let manual = installed.prefix().join("share/man");
    if has(&["man"]) {
        for page in pages() {
            let name = page.rsplit_once('/').unwrap().1;
            let (name, section) = name.rsplit_once('.').unwrap();
            let mut man = Command::new("man");
            man.arg("-M").arg(&manual).args(["-w", section, name]);
            must(&mut man);
        }
    }
    let page = manual.join("man3/libstillpoint.3");
    let text = must(Command::new("mandoc").args(["-T", "ascii"]).arg(page)).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("take part in a consistency barrier from C"), "{text}");
}

/// The program in libstillpoint(3).
fn example() -> String {
    manual::examples().into_iter().find(|(name, _)| name == "deliver.c").unwrap().1
}

#[test]
fn the_example_is_built_with_pkg_config_and_delivers() {
    delivers(&[], &[]);
}

/// It loads nothing: the library, and all that the library needs, is in it.
#[test]
fn the_example_is_built_with_pkg_config_into_a_static_program() {
    delivers(&["--static"], &["-static"]);
}

fn delivers(kind: &[&str], link: &[&str]) {
    let installed = Installed::new();
    let clean = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::write(clean.path().join("deliver.c"), example()).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(WARNINGS).args(["-o", "deliver", "deliver.c"]);
    compiler.args(link).args(installed.flags(kind));
    must(compiler.current_dir(clean.path()));
    let place = Place::new();
    let (barrier, mailbox) = (place.make_barrier(), place.path("mailbox"));
    let run = |barrier: &Path| {
        let mut deliver = Command::new(clean.path().join("deliver"));
        deliver.env("LD_LIBRARY_PATH", installed.prefix().join("lib"));
        deliver.arg(barrier).arg(&mailbox).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut deliver = deliver.stderr(Stdio::piped()).spawn().unwrap();
        use std::io::Write;
        let _ = deliver.stdin.take().unwrap().write_all(b"one\ntwo\n");
        deliver.wait_with_output().unwrap()
    };
    let delivered = run(&barrier);
    assert!(delivered.status.success(), "{delivered:?}");
    assert_eq!(delivered.stdout, b"250 delivered\n250 delivered\n");
    assert_eq!(fs::read(&mailbox).unwrap(), b"one\ntwo\n");
    assert_eq!(place.epoch(), 0);
    let missing = run(&place.path("missing.barrier"));
    assert_eq!(missing.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("stillpoint create"), "{missing:?}");
}

/// Hosts give their hooks no PATH to speak of.
#[test]
fn a_hook_finds_the_command_below_its_own_prefix() {
    let installed = Installed::new();
    let mut hook = Command::new(installed.prefix().join("share/stillpoint/hooks/azure"));
    hook.arg("pre").env_clear().env("STILLPOINT_HOOKS_CONF", "/dev/null");
    hook.env("STILLPOINT_JOB", "nothing").env("STILLPOINT_DIR", installed.folder.path());
    let output = hook.output().unwrap();
    assert_eq!(output.status.code(), Some(66), "{output:?}");
}
