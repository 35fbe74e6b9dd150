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
        let backup = Backup { host };
        backup.write("", "[retention]\nkeep = 1\n");
        backup
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.host.place.path(name)
    }

    /// The file of its job, with more in [snapshot] and behind all of it.
    pub fn job(&self, snapshot: &str, more: &str) -> String {
        format!(
            "barriers = 'mail'\n[snapshot]\nlabel = '{}'\ncopy = '{}'\nto = '{}'\n{snapshot}\
             [limits]\nhold = 10\nmin-open = 0\nattempts = 1\npatience = 0\ndrain = 0.2\n{more}",
            self.host.hook,
            self.path("store").display(),
            self.path("snapshots").display()
        )
    }

    pub fn write(&self, snapshot: &str, more: &str) {
        self.host.write_job("host", &self.job(snapshot, more));
    }

    pub fn command(&self, call: Call) -> Command {
        let mut command = self.host.command(call);
        command
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
    assert_eq!(done.stdout.lines().count(), 1);
    backup.host.place.assert_writers_go_on();

    let again =
        Call::with_variables(&[("KOPIA_ACTION", "before-folder"), ("KOPIA_SNAPSHOT_ID", "2")]);
    assert_eq!(backup.call(again).code(), 0);
    assert_eq!(backup.snapshots(), 2);
    let after = backup.call(Call::with_variables(&[("KOPIA_ACTION", "after-snapshot-root")]));
    assert_eq!((after.code(), after.stdout.as_str()), (0, ""), "{after:?}");
    assert_eq!(backup.call(before).code(), 0);
    assert_eq!(backup.snapshots(), 1, "what nobody reads goes with the next run");
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
    assert_eq!((run("before", no).code(), run("after", no).code()), (0, 0));
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
    assert_eq!((pre().code(), backup.snapshots()), (0, 1));
    assert_eq!(backup.call(Call::with_arguments(&["pre"])).code(), 64);
}

/// The hooks of tools that read from a snapshot, each with its words for the beginning.
pub const READERS: [(&str, &[&str]); 4] = [
    ("kopia", &[]),
    ("borgmatic", &["before", "link"]),
    ("rsnapshot", &["pre", "link"]),
    ("restic", &[]),
];

/// Who took it has said that it is not clean; who pins it, and who reads it, need not say so again. The job says whether
/// it is read at all.
#[test]
fn a_dirty_barrier_is_told_of_once() {
    for (hook, words, on_dirty, code) in READERS
        .into_iter()
        .flat_map(|(hook, words)| [(hook, words, "warn", 0), (hook, words, "keep", 65)])
    {
        let backup = Backup::new(hook);
        backup.restic("exit 0");
        backup.write(&format!("on-dirty = '{on_dirty}'\n"), "");
        backup.host.place.lose("lmtp");
        let mut command = backup.command(Call::with_arguments(&[]));
        command.args(words).current_dir(backup.path(""));
        let done = run({
            command.env("KOPIA_ACTION", "before-snapshot-root");
            command
        });
        assert_eq!(done.code(), code, "{hook}: {done:?}");
        assert_eq!(done.stdout.is_empty(), code != 0 || hook != "kopia", "{hook}: {done:?}");
        if code == 0 {
            assert_eq!(done.stderr.matches("is not clean").count(), 1, "{hook}: {done:?}");
        }
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
            backup.write(more, "[retention]\nkeep = 1\n");
            run(command)
        };
        let mounted = Mounted::new("tmpfs", "size=1m", &backup.path("store"));
        assert_eq!(read("").code(), 0, "{hook}");
        drop(mounted);
        let refused = read("");
        assert_eq!(refused.code(), 69, "{hook}: {refused:?}");
        assert_eq!(backup.snapshots(), 1, "{hook}");
        assert_eq!(
            read("source-changed = 'accept'\n").code(),
            0,
            "{hook}: who knows better says so"
        );
    }
}

#[test]
fn a_source_with_a_space_in_its_path() {
    for (hook, words) in READERS {
        let backup = Backup::new(hook);
        backup.restic(r#"cat "$2/letter""#);
        fs::rename(backup.path("store"), backup.path("my store")).unwrap();
        fs::rename(backup.path("snapshots"), backup.path("my snapshots")).unwrap();
        let job = backup.job("", "");
        let job = job.replace("/store'", "/my store'").replace("/snapshots'", "/my snapshots'");
        backup.host.write_job("host", &job);
        let mut command = backup.command(Call::with_arguments(&[]));
        command.args(words).current_dir(backup.path(""));
        let done = run({
            command.env("KOPIA_ACTION", "before-snapshot-root");
            command
        });
        assert_eq!(done.code(), 0, "{hook}: {done:?}");
        let read = match hook {
            "restic" => done.stdout,
            "kopia" => {
                let path = done.stdout.trim_end().strip_prefix("KOPIA_SNAPSHOT_PATH=").unwrap();
                fs::read_to_string(Path::new(path).join("letter")).unwrap()
            }
            _ => fs::read_to_string(backup.path("link/letter")).unwrap(),
        };
        assert_eq!(read, "one\n", "{hook}");
    }
}

/// Nothing is taken that nobody asked for.
#[test]
fn a_job_that_only_freezes_gives_nothing_to_read() {
    for (hook, words) in READERS {
        let backup = Backup::new(hook);
        backup.restic("echo never");
        backup.host.freezes("'mail'", "");
        let mut command = backup.command(Call::with_arguments(&[]));
        command.args(words).current_dir(backup.path(""));
        let refused = run({
            command.env("KOPIA_ACTION", "before-snapshot-root");
            command
        });
        assert_eq!((refused.code(), refused.stdout.as_str()), (64, ""), "{hook}: {refused:?}");
        assert!(refused.stderr.contains("this job only freezes"), "{refused:?}");
        assert!(!backup.path("link").is_symlink());
    }
}

/// What is no symbolic link is somebody's, also under the name that the link has before it is renamed.
#[test]
fn a_hook_replaces_nothing_but_a_link() {
    for (hook, word) in [("rsnapshot", "pre"), ("borgmatic", "before")] {
        let backup = Backup::new(hook);
        backup.write("", "");
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
