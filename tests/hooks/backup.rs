//! Backup tools, which read a snapshot of ours instead of the files themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Done, Mounted, is_root, run};
use crate::host::{Call, Host};

/// A store with one letter, and where snapshots of it go.
pub struct Backup {
    pub host: Host,
}

impl Backup {
    pub fn new(hook: &'static str) -> Backup {
        let host = Host::new(hook);
        for folder in ["store", "snapshots", "catalog", "bin"] {
            fs::create_dir(host.place.path(folder)).unwrap();
        }
        fs::write(host.place.path("store/letter"), "one\n").unwrap();
        Backup { host }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.host.place.path(name)
    }

    fn take(&self) -> String {
        format!(
            "--copy {} --to {} --hold 10 --min-open 0 --attempts 1 --patience 0 --drain 0.2",
            self.path("store").display(),
            self.path("snapshots").display()
        )
    }

    pub fn command(&self, call: Call) -> Command {
        let mut command = self.host.command(call);
        command
            .env("STILLPOINT_TAKE", self.take())
            .env("STILLPOINT_KEEP", "1")
            .env("STILLPOINT_CATALOG", self.path("catalog"))
            .env("PATH", self.host.path(&["bin"]));
        command
    }

    fn call(&self, call: Call) -> Done {
        run(self.command(call))
    }

    /// A writer inside, until the returned end of it, which leaves no mark.
    fn writer(&self) -> impl FnOnce() + '_ {
        let writer = self.host.place.hold(&["-s"]);
        move || {
            drop(writer);
            assert_eq!(self.host.place.run(["recover", "mail", "--acknowledge"]).code(), 0);
        }
    }

    /// Puts a program in restic's place.
    pub fn restic(&self, script: &str) {
        let mut write = Command::new("sh");
        write.args([
            "-c",
            r#"printf '#!/bin/sh\n%s\n' "$1" >"$2" && chmod 755 "$2""#,
            "sh",
            script,
        ]);
        assert!(write.arg(self.path("bin/restic")).status().unwrap().success());
    }

    pub fn snapshots(&self) -> usize {
        fs::read_dir(self.path("snapshots")).unwrap().count()
    }
}

#[test]
fn kopia_is_told_where_to_read() {
    let backup = Backup::new("kopia");
    let before = Call::with_variables(&[
        ("KOPIA_ACTION", "before-snapshot-root"),
        ("KOPIA_SNAPSHOT_ID", "0123abcd"),
        ("KOPIA_SOURCE_PATH", "/srv/mail"),
    ]);
    let done = backup.call(before);
    assert_eq!(done.code(), 0, "{done:?}");
    let path = done.stdout.strip_prefix("KOPIA_SNAPSHOT_PATH=").unwrap().trim_end().to_string();
    assert_eq!(fs::read_to_string(Path::new(&path).join("letter")).unwrap(), "one\n");
    assert!(path.ends_with("/kopia-0123abcd") && done.stdout.lines().count() == 1);
    backup.host.place.assert_writers_go_on();

    let again =
        Call::with_variables(&[("KOPIA_ACTION", "before-folder"), ("KOPIA_SNAPSHOT_ID", "2")]);
    assert_eq!(backup.call(again).code(), 0);
    assert_eq!(backup.snapshots(), 2);
    let after = backup.call(Call::with_variables(&[("KOPIA_ACTION", "after-snapshot-root")]));
    assert_eq!((after.code(), after.stdout.as_str()), (0, ""), "{after:?}");
    assert_eq!(backup.snapshots(), 1);
    assert_eq!(backup.call(Call::with_variables(&[("KOPIA_ACTION", "x")])).code(), 64);
}

/// 75 would be a silent skip.
#[test]
fn borgmatic_hears_of_a_barrier_that_was_not_quiet() {
    let backup = Backup::new("borgmatic");
    let link = backup.path("current").display().to_string();
    let run = |word: &str, variable: (&str, &str)| {
        let mut command = backup.command(Call::with_arguments(&[]));
        command.args([word, &link]).env(variable.0, variable.1);
        run(command)
    };
    let no = ("X", "");
    assert_eq!(run("before", no).code(), 0);
    assert_eq!(fs::read_to_string(backup.path("current/letter")).unwrap(), "one\n");
    let first = fs::read_link(&link).unwrap();

    let writer_leaves = backup.writer();
    let refused = run("before", no);
    assert_eq!(refused.code(), 1, "{refused:?}");
    assert_eq!(run("before", ("STILLPOINT_ON_CONFLICT", "75")).code(), 75);
    assert_eq!(fs::read_link(&link).unwrap(), first, "the link leads to the last good one");
    writer_leaves();

    fs::write(backup.path("store/letter"), "two\n").unwrap();
    assert_eq!(run("before", no).code(), 0);
    assert_eq!(fs::read_to_string(backup.path("current/letter")).unwrap(), "two\n");
    assert_eq!(run("after", no).code(), 0);
    assert_eq!(backup.snapshots(), 1);
    assert!(!first.exists() && backup.path("current/letter").exists());
    assert_eq!(backup.call(Call::with_arguments(&["before"])).code(), 64);
    assert_eq!(backup.call(Call::with_arguments(&["x"])).code(), 64);
}

/// restic's place is taken by a program that says what it was given.
#[test]
fn restic_reads_a_snapshot_that_is_pinned_and_its_status_is_passed_on() {
    let backup = Backup::new("restic");
    let restic = |script: &str| backup.restic(script);
    let call = Call::with_arguments(&["--tag", "mail box"]);
    restic(
        r#"echo "$1|$2|$3|$#"; cat "$4/letter"; stillpoint prune --keep 1 2>&1; stillpoint list"#,
    );
    let done = backup.call(call);
    assert_eq!(done.code(), 0, "{done:?}");
    assert!(done.stdout.starts_with("backup|--tag|mail box|4\none\n"), "{done:?}");
    assert_eq!(backup.snapshots(), 1);
    for status in [3, 10, 11, 130] {
        restic(&format!("exit {status}"));
        assert_eq!(backup.call(call).code(), status);
    }
    assert_eq!(backup.snapshots(), 1, "old ones go even then");

    let writer_leaves = backup.writer();
    restic("echo never");
    let refused = backup.call(call);
    assert_eq!((refused.code(), refused.stdout.as_str()), (75, ""), "{refused:?}");
    writer_leaves();
}

#[test]
fn rsnapshot_finds_a_link() {
    let backup = Backup::new("rsnapshot");
    let link = backup.path("current").display().to_string();
    let pre = || {
        let mut command = backup.command(Call::with_arguments(&["pre"]));
        command.arg(&link);
        run(command)
    };
    assert_eq!(pre().code(), 0);
    assert_eq!(fs::read_to_string(backup.path("current/letter")).unwrap(), "one\n");
    let writer_leaves = backup.writer();
    assert_eq!(pre().code(), 75, "rsnapshot gives up");
    writer_leaves();
    // The second call is left out, and twice is one too many.
    assert_eq!(pre().code(), 0);
    for _ in 0..2 {
        let post = backup.call(Call::with_arguments(&["post"]));
        assert_eq!((post.code(), post.stdout.as_str()), (0, ""), "{post:?}");
    }
    assert_eq!(backup.snapshots(), 1);
    assert_eq!(backup.call(Call::with_arguments(&["pre"])).code(), 64);
}

/// The catalogue is everybody's: what a timer or an administrator has taken is not theirs to remove, nor what
/// they took themselves under other barriers.
#[test]
fn only_their_own_snapshots_go() {
    for (hook, after) in [
        ("kopia", Call::with_variables(&[("KOPIA_ACTION", "after-snapshot-root")])),
        ("borgmatic", Call::with_arguments(&["after"])),
        ("rsnapshot", Call::with_arguments(&["post"])),
        ("restic", Call::with_arguments(&[])),
    ] {
        let backup = Backup::new(hook);
        assert_eq!(backup.host.place.run(["create", "news"]).code(), 0);
        let take = |barrier: &str, label: &str| {
            let mut snapshot = backup.host.place.command(["snapshot", barrier, "--copy"]);
            snapshot.arg(backup.path("store")).arg("--to").arg(backup.path("snapshots"));
            snapshot.args(["--hold", "10", "--min-open", "0", "--label", label]);
            snapshot.env("STILLPOINT_CATALOG", backup.path("catalog"));
            let done = run(snapshot);
            assert_eq!(done.code(), 0, "{done:?}");
            PathBuf::from(done.stdout.trim())
        };
        let others = [("news", hook), ("mail", ""), ("mail", "timer")]
            .map(|(barrier, label)| [take(barrier, label), take(barrier, label)]);
        let own = [take("mail", hook), take("mail", hook)];
        let mut command = backup.command(after);
        command.env("STILLPOINT_BARRIERS", "  mail ");
        if hook == "restic" {
            backup.restic("exit 0");
        }
        let done = run(command);
        assert_eq!(done.code(), 0, "{hook}: {done:?}");
        assert!(others.iter().flatten().all(|path| path.exists()), "{hook}");
        assert!(!own[0].exists(), "{hook}");
    }
}

/// The hooks of tools that read from a snapshot, each with its words for the beginning.
pub const READERS: [(&str, &[&str]); 4] = [
    ("kopia", &[]),
    ("borgmatic", &["before", "link"]),
    ("rsnapshot", &["pre", "link"]),
    ("restic", &[]),
];

/// Who took it has said that it is not clean; who pins it, and who reads it, need not say so again.
#[test]
fn a_dirty_barrier_is_told_of_once() {
    for (hook, words) in READERS {
        let backup = Backup::new(hook);
        backup.restic("exit 0");
        backup.host.place.lose("lmtp");
        let mut command = backup.command(Call::with_arguments(&[]));
        command.args(words).current_dir(backup.path(""));
        let done = run({
            command.env("KOPIA_ACTION", "before-snapshot-root");
            command
        });
        assert_eq!(done.code(), 0, "{hook}: {done:?}");
        assert_eq!(done.stderr.matches("is not clean").count(), 1, "{hook}: {done:?}");
    }
}

/// The bare folder below would be kept as a store from which all has been deleted.
#[test]
fn a_source_that_is_not_mounted_is_not_backed_up() {
    if !is_root() {
        return;
    }
    for (hook, words) in READERS {
        let backup = Backup::new(hook);
        backup.restic("exit 0");
        let read = |more: &str| {
            let mut command = backup.command(Call::with_arguments(&[]));
            command.args(words).current_dir(backup.path(""));
            command.env("KOPIA_ACTION", "before-snapshot-root");
            let take = format!("{} {more}", backup.take());
            run({
                command.env("STILLPOINT_TAKE", take);
                command
            })
        };
        let mounted = Mounted::new("tmpfs", "size=1m", &backup.path("store"));
        assert_eq!(read("").code(), 0, "{hook}");
        drop(mounted);
        let refused = read("");
        assert_eq!(refused.code(), 69, "{hook}: {refused:?}");
        assert_eq!(backup.snapshots(), 1, "{hook}");
        assert_eq!(read("--source-changed accept").code(), 0, "{hook}: who knows better says so");
    }
}

#[test]
fn a_source_with_a_space_in_its_path_is_quoted() {
    let backup = Backup::new("kopia");
    std::fs::rename(backup.path("store"), backup.path("my store")).unwrap();
    let mut before = backup.command(Call::with_variables(&[
        ("KOPIA_ACTION", "before-snapshot-root"),
        ("KOPIA_SNAPSHOT_ID", "1"),
    ]));
    let (store, to) = (backup.path("my store"), backup.path("snapshots"));
    let take = format!("--copy '{}' --to \"{}\" --hold 10", store.display(), to.display());
    let done = run({
        before.env("STILLPOINT_TAKE", take);
        before
    });
    assert_eq!(done.code(), 0, "{done:?}");
    assert!(backup.path("snapshots/kopia-1/letter").exists());
}

#[test]
fn without_a_way_to_take_a_snapshot_they_say_so() {
    const LINK: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/no-such-link");
    for (hook, call) in [
        ("kopia", Call::with_variables(&[("KOPIA_ACTION", "before-snapshot-root")])),
        ("borgmatic", Call::with_arguments(&["before", LINK])),
        ("restic", Call::with_arguments(&[])),
        ("rsnapshot", Call::with_arguments(&["pre", LINK])),
    ] {
        let backup = Backup::new(hook);
        let mut command = backup.command(call);
        command.env("STILLPOINT_TAKE", "");
        let refused = run(command);
        assert_eq!(refused.code(), 64, "{hook}: {refused:?}");
        assert!(refused.stderr.contains("no TAKE"), "{refused:?}");
    }
}

/// What is no symbolic link is somebody's, also under the name that the link has before it is renamed.
#[test]
fn a_hook_replaces_nothing_but_a_link() {
    for (hook, word) in [("rsnapshot", "pre"), ("borgmatic", "before")] {
        let backup = Backup::new(hook);
        let link = backup.path("current");
        let call = |link: &str| {
            let mut command = backup.command(Call::with_arguments(&[]));
            command.args([word, link]);
            run(command)
        };
        let refused = |link: &Path, named: &Path| {
            let done = call(link.to_str().unwrap());
            assert_eq!(done.code(), 73, "{hook}: {done:?}");
            assert!(done.stderr.contains(named.to_str().unwrap()), "{done:?}");
            assert_eq!((done.stderr.lines().count(), backup.snapshots()), (1, 0), "{done:?}");
        };
        let folder = backup.path("folder");
        let nowhere = backup.path("nowhere");
        refused(&nowhere.join("current"), &nowhere);
        for name in ["current", "current.new"] {
            let there = backup.path(name);
            fs::write(&there, "precious\n").unwrap();
            refused(&link, &there);
            assert_eq!(fs::read_to_string(&there).unwrap(), "precious\n");
            fs::remove_file(&there).unwrap();
            fs::create_dir(&there).unwrap();
            fs::write(there.join("letter"), "precious\n").unwrap();
            refused(&link, &there);
            assert_eq!(fs::read_dir(&there).unwrap().count(), 1, "{hook}: nothing came in");
            fs::rename(&there, &folder).unwrap();
            fs::remove_dir_all(&folder).unwrap();
        }
        // Left behind, leading nowhere, or to a folder, into which nothing must come.
        fs::create_dir(&folder).unwrap();
        for (name, to) in [("current", &nowhere), ("current.new", &folder)] {
            std::os::unix::fs::symlink(to, backup.path(name)).unwrap();
        }
        for slashes in ["", "//"] {
            let done = call(&format!("{}{slashes}", link.display()));
            assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{hook}: {done:?}");
            assert_eq!(fs::read_to_string(link.join("letter")).unwrap(), "one\n");
            assert!(!backup.path("current.new").is_symlink());
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }
}
