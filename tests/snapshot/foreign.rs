//! Locks of other programs: Cyrus's own, by a program that locks as it does, and those of `--also`.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::json;

use crate::image::{Image, is_root, must, subvolume};
use crate::scene::{Running, Scene, run, start, wait_for};

/// imapd.conf beyond `configdirectory`, and where Cyrus then locks.
const LAYOUTS: [(&str, &str); 6] = [
    ("", "conf/lock/$GLOBAL.lock"),
    ("hashimapspool: yes\n", "conf/lock/q/$GLOBAL.lock"),
    ("hashimapspool: yes\nfulldirhash: yes\n", "conf/lock/W/$GLOBAL.lock"),
    ("mboxname_lockpath: {configdirectory}/../run\n", "conf/../run/$GLOBAL.lock"),
    ("mboxname_lockpath: {configdirectory}/run\nhashimapspool: 1\n", "conf/run/q/$GLOBAL.lock"),
    (
        "mboxname_lockpath: {configdirectory}/run\nhashimapspool: on\nfulldirhash: t\n",
        "conf/run/W/$GLOBAL.lock",
    ),
];

/// The files of each writer, which agree whenever he does not hold the lock.
const PAIRS: [[&str; 2]; 2] = [["a", "b"], ["c", "d"]];

struct Cyrus {
    scene: Scene,
    program: PathBuf,
    lock: PathBuf,
}

impl Cyrus {
    fn new(layout: (&str, &str)) -> Cyrus {
        let scene = Scene::new();
        fs::create_dir(scene.path("conf")).unwrap();
        let text = format!("configdirectory: {}\n{}", scene.path("conf").display(), layout.0);
        fs::write(scene.path("imapd.conf"), text).unwrap();
        let program = scene.path("cyrus_writer");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshot/cyrus_writer.c");
        must(
            Command::new("gcc")
                .args(["-Wall", "-Werror", "-D_GNU_SOURCE", "-o"])
                .arg(&program)
                .arg(source),
        );
        let lock = scene.path(layout.1);
        Cyrus { scene, program, lock }
    }

    /// Two writers side by side, which the shared lock does not part.
    fn writing(&self) -> [Running; 2] {
        PAIRS.map(|pair| {
            let [first, second] = pair.map(|file| self.scene.path("store").join(file));
            let mut writer = Command::new(&self.program);
            let writer = start(writer.arg("write").arg(&self.lock).args([&first, &second]));
            wait_for("the first numbers", || second.exists());
            writer
        })
    }

    /// Holds Cyrus's lock shared until it is dropped.
    fn holding(&self, lock: &Path) -> Running {
        let said = self.scene.path("said");
        let mut holder = Command::new(&self.program);
        holder.arg("hold").arg(lock).stdin(std::process::Stdio::piped());
        let holder = start(holder.stdout(File::create(&said).unwrap()));
        wait_for("lock", || fs::read(&said).is_ok_and(|said| said == b"locked\n"));
        holder
    }

    fn flag(&self) -> OsString {
        let mut flag = OsString::from("--cyrus=");
        flag.push(self.scene.path("imapd.conf"));
        flag
    }

    /// A copy under these options.
    fn copy(&self, name: &str, options: &[&str]) -> Command {
        let mut copy = self.scene.copy(&["--hold", "10", "--min-open", "0", "--name", name]);
        copy.args(options);
        copy
    }

    /// Whether two files of one writer disagree in a snapshot.
    fn is_torn(&self, name: &str) -> bool {
        let read =
            |file: &str| fs::read(self.scene.path("snapshots").join(name).join(file)).unwrap();
        PAIRS.iter().any(|[first, second]| read(first) != read(second))
    }

    /// Whether somebody keeps a Cyrus process out.
    fn is_locked(&self) -> bool {
        let file = File::open(&self.lock).unwrap();
        !stillpoint::lock_holders(&file).is_empty()
    }
}

#[test]
fn cyrus_is_at_rest_in_every_layout() {
    for layout in LAYOUTS {
        let cyrus = Cyrus::new(layout);
        let writer = cyrus.writing();
        for round in 0..5 {
            let name = format!("with-{round}");
            run(cyrus.copy(&name, &[]).arg(cyrus.flag())).assert_code(0);
            assert!(!cyrus.is_torn(&name), "{layout:?}: {name}");
        }
        let manifest = &cyrus.scene.manifests()[0];
        let foreign = &manifest["foreign"][0];
        assert_eq!(foreign["kind"], "cyrus");
        assert_eq!(foreign["path"].as_str().map(Path::new), Some(cyrus.lock.as_path()));
        assert!(foreign["waited_ms"].is_number());
        drop(writer);
    }
}

/// The same writer, not waited for: this is what the lock is worth.
#[test]
fn without_the_lock_the_same_writer_is_torn() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let _writer = cyrus.writing();
    let torn = (0..20).filter(|round| {
        let name = format!("without-{round}");
        run(&mut cyrus.copy(&name, &[])).assert_code(0);
        cyrus.is_torn(&name)
    });
    assert!(torn.count() > 0);
}

/// For its user, who is known by his lock folder, else by his configdirectory: in a folder of root's,
/// such as /run, one of root's own would lock Cyrus out.
#[test]
fn a_lock_file_that_is_missing_is_made_as_cyrus_makes_it() {
    if !is_root("the owner of a lock file") {
        return;
    }
    for layout in LAYOUTS {
        let cyrus = Cyrus::new(layout);
        chown(cyrus.scene.path("conf"), Some(1234), Some(1235)).unwrap();
        let above = cyrus.lock.ancestors().nth(2).unwrap().to_owned();
        let expected = match layout.1.contains("/lock/q/") {
            false => (1234, 1235),
            true => {
                fs::create_dir_all(&above).unwrap();
                chown(&above, Some(2345), Some(2346)).unwrap();
                (2345, 2346)
            }
        };
        run(cyrus.copy("x", &[]).arg(cyrus.flag())).assert_code(0);
        let owned = |path: &Path| {
            let found = fs::metadata(path).unwrap();
            ((found.uid(), found.gid()), found.mode() & 0o777)
        };
        assert_eq!(owned(&cyrus.lock), (expected, 0o600), "{layout:?}");
        let folder = cyrus.lock.parent().unwrap();
        assert_eq!(owned(folder), (expected, 0o700), "{layout:?}");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "something was left beside it");
        assert!(!cyrus.is_locked());
    }
}

/// A run that made nothing is no reason to touch another Cyrus's folders.
#[test]
fn a_cyrus_that_is_not_there_is_refused() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    fs::remove_dir(cyrus.scene.path("conf")).unwrap();
    run(cyrus.copy("x", &[]).arg(cyrus.flag())).assert_refused(66, "conf: no such folder");
    assert_eq!(cyrus.scene.manifests().len(), 0);
    assert!(!cyrus.scene.path("conf").exists());
}

#[test]
fn a_dry_run_names_the_lock_and_touches_nothing() {
    let cyrus = Cyrus::new(LAYOUTS[1]);
    let done = run(cyrus.copy("x", &["--dry-run", "--json"]).arg(cyrus.flag()));
    done.assert_code(0);
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let expected = json!([{ "kind": "cyrus", "path": cyrus.lock, "waited_ms": null }]);
    assert_eq!(report["foreign"], expected);
    assert!(!cyrus.lock.parent().unwrap().exists());
}

/// Who holds it is named, the gate never closes, and whatever was locked before is given back.
#[test]
fn a_holder_that_stays_is_named() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let holder = cyrus.holding(&cyrus.lock);
    let first = cyrus.scene.path("first");
    File::create(&first).unwrap();
    let before = cyrus.scene.generation();
    let also = format!("flock:{}", first.display());
    let options = ["--drain", "0.1", "--attempts", "2", "--also", &also];
    // Cyrus's is the first in order, whatever the arguments say.
    let done = run(cyrus.copy("x", &options).arg(cyrus.flag()));
    done.assert_refused(75, "attempt 1 of 2");
    let who = format!("$GLOBAL.lock: still locked by cyrus_writer[{}] after", holder.pid());
    assert_eq!(done.stderr.matches(&who).count(), 2, "{done:#?}");
    assert_eq!(cyrus.scene.generation(), before, "no writer of ours had to wait");
    assert_eq!(cyrus.scene.manifest()["status"], "failed");
    assert_eq!(cyrus.scene.snapshots(), [""; 0]);
    drop(holder);
    run(&mut cyrus.copy("y", &options)).assert_code(0);
}

/// The kernel's list has another device than stat(2) for them, and one number for files of several.
#[test]
fn holders_are_named_in_btrfs_subvolumes_too() {
    let Some(image) = Image::btrfs() else {
        return;
    };
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let locks = ["a", "b"].map(|name| {
        subvolume(&image.path().join(name));
        let lock = image.path().join(name).join("lock");
        File::create(&lock).unwrap();
        lock
    });
    assert_eq!(fs::metadata(&locks[0]).unwrap().ino(), fs::metadata(&locks[1]).unwrap().ino());
    let _other = cyrus.holding(&locks[1]);
    let holder = cyrus.holding(&locks[0]);
    let also = format!("fcntl:{}", locks[0].display());
    let done = run(&mut cyrus.copy("x", &["--drain", "0.1", "--attempts", "1", "--also", &also]));
    let who = format!("locked by cyrus_writer[{}] after", holder.pid());
    done.assert_refused(75, &who);
}

#[test]
fn on_a_terminal_the_wait_says_for_whom() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let holder = cyrus.holding(&cyrus.lock);
    let copy = cyrus.copy("x", &["--drain", "1", "--attempts", "1"]);
    let words = [copy.get_program()].into_iter().chain(copy.get_args());
    let mut words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    words.push(cyrus.flag().to_string_lossy().into_owned());
    let mut script = cyrus.scene.environment(Command::new("script"));
    let done = run(script.args(["-qec", &words.join(" "), "/dev/null"]));
    done.assert_code(75);
    let (path, pid) = (cyrus.lock.display(), holder.pid());
    let who = format!(" ms for {path}, locked by cyrus_writer[{pid}]");
    assert!(done.stdout.contains(&who), "{done:#?}");
    assert!(done.stdout.contains("stillpoint: waiting "), "{done:#?}");
}

/// One file twice, by the same name or not: whoever takes both waits for himself.
#[test]
fn a_file_that_is_named_twice_is_locked_once() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    run(cyrus.copy("made", &[]).arg(cyrus.flag())).assert_code(0);
    let (lock, link) = (cyrus.scene.path("a.lock"), cyrus.scene.path("link"));
    File::create(&lock).unwrap();
    fs::hard_link(&lock, &link).unwrap();
    let also = |kind: &str, path: &Path| format!("--also={kind}:{}", path.display());
    let options = [
        also("fcntl", &cyrus.lock),
        also("flock", &cyrus.lock),
        also("flock", &lock),
        also("flock", &link),
        also("fcntl", &lock),
    ];
    let mut copy = cyrus.copy("x", &["--drain", "0.1", "--attempts", "1"]);
    run(copy.arg(cyrus.flag()).args(options)).assert_code(0);
    let manifest = cyrus.scene.manifests().pop().unwrap();
    let taken: Vec<_> = manifest["foreign"].as_array().unwrap().iter().collect();
    let taken: Vec<_> = taken.iter().map(|lock| (&lock["kind"], &lock["path"])).collect();
    let (cyruss, other) = (json!(cyrus.lock), json!(lock));
    let kinds = ["cyrus", "flock", "flock", "fcntl"].map(|kind| json!(kind));
    let paths = [&cyruss, &cyruss, &other, &other];
    assert_eq!(taken, kinds.iter().zip(paths).collect::<Vec<_>>());
}

#[test]
fn an_interrupt_while_waiting_gives_everything_back() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let first = cyrus.scene.path("first");
    File::create(&first).unwrap();
    run(cyrus.copy("made", &[]).arg(cyrus.flag())).assert_code(0);
    let before = cyrus.scene.generation();
    let second = cyrus.scene.path("second");
    File::create(&second).unwrap();
    let holder = cyrus.holding(&second);
    let also = [&first, &second].map(|path| format!("--also=fcntl:{}", path.display()));
    let waiting = start(cyrus.copy("x", &["--drain", "60"]).arg(cyrus.flag()).args(also));
    let is_free = |path| stillpoint::lock_holders(&File::open(path).unwrap()).is_empty();
    wait_for("the first two", || cyrus.is_locked() && !is_free(&first));
    waiting.signal(Signal::SIGTERM);
    let done = waiting.wait();
    assert_eq!(done.signal, Some(Signal::SIGTERM as i32), "{done:#?}");
    assert!(!cyrus.is_locked() && is_free(&first));
    assert_eq!(cyrus.scene.generation(), before, "no writer of ours had to wait");
    drop(holder);
}

/// At the hold limit Cyrus goes on although the command, which ignores the signal, ran that long.
#[test]
fn the_hold_limit_is_cyruss_limit_too() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let writer = cyrus.writing();
    let mut command = cyrus.scene.stillpoint();
    command.args(["snapshot", "mail", "--hold", "0.2"]).arg(cyrus.flag());
    let done = run(command.args(["--", "sh", "-c", "trap '' TERM; sleep 600"]));
    done.assert_refused(124, "hold limit");
    let number = || fs::read(cyrus.scene.path("store/a")).unwrap();
    let last = number();
    wait_for("the writer goes on", || number() != last);
    drop(writer);
}

/// A user of each kind of lock, by flock(1) and by a description's lock.
#[test]
fn files_of_any_program_can_be_locked() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let (a, b) = (cyrus.scene.path("a.lock"), cyrus.scene.path("b.lock"));
    for file in [&a, &b] {
        File::create(file).unwrap();
    }
    let also = [format!("flock:{}", a.display()), format!("fcntl:{}", b.display())];
    let options = ["--drain", "0.1", "--attempts", "1", "--also", &also[0], "--also", &also[1]];
    let refused = |name: &str, path: &Path, who: &str| {
        let done = run(&mut cyrus.copy(name, &options));
        done.assert_refused(75, &format!("{}: still locked by {who}", path.display()));
    };
    let mut flock = Command::new("flock");
    let held = start(flock.args(["-s"]).arg(&a).args(["sleep", "600"]).process_group(0));
    wait_for("flock", || !stillpoint::lock_holders(&File::open(&a).unwrap()).is_empty());
    refused("x", &a, &format!("flock[{}]", held.pid()));
    killpg(Pid::from_raw(held.pid() as i32), Signal::SIGKILL).unwrap();
    drop(held.wait());
    let held = cyrus.holding(&b);
    refused("y", &b, &format!("cyrus_writer[{}]", held.pid()));
    // The first one was locked, and is free again.
    must(Command::new("flock").args(["-n"]).arg(&a).arg("true"));
    drop(held);

    // Both at once, seen from inside.
    let script = r#"flock -n "$1" true && exit 3; exec grep -c OFDLCK /proc/locks"#;
    let mut command = cyrus.scene.stillpoint();
    command.args([
        "snapshot", "mail", "--also", &also[0], "--also", &also[1], "--", "sh", "-c", script, "sh",
    ]);
    run(command.arg(&a)).assert_code(0);
    must(Command::new("flock").args(["-n"]).arg(&a).arg("true"));
}

#[test]
fn a_long_writer_of_ours_does_not_keep_the_others_locked() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let lock = cyrus.scene.path("other.lock");
    File::create(&lock).unwrap();
    let also = format!("flock:{}", lock.display());
    let long = cyrus.scene.holder();
    let waiting = start(&mut cyrus.copy("x", &["--patience", "60", "--also", &also]));
    // The first closing is over: long shares are waited for with the gate open.
    wait_for("the gate was opened again", || cyrus.scene.generation() == 2);
    must(Command::new("flock").args(["-w", "5"]).arg(&lock).arg("true"));
    assert_eq!(cyrus.scene.generation(), 2);
    drop(long);
    waiting.wait().assert_code(0);
}

#[test]
fn a_tool_that_is_killed_keeps_nobody_out() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let script = r#"echo $$ > "$1"; exec sleep 600"#;
    let mut command = cyrus.scene.stillpoint();
    command.arg("snapshot").arg(cyrus.flag()).args(["mail", "--", "sh", "-c", script, "sh"]);
    let tool = start(command.arg(cyrus.scene.path("pid")));
    let pid = || fs::read_to_string(cyrus.scene.path("pid")).unwrap_or_default();
    wait_for("pause", || pid().ends_with('\n'));
    assert!(cyrus.is_locked());
    tool.signal(Signal::SIGKILL);
    // The command lives, but it has not inherited the lock.
    wait_for("unlocking", || !cyrus.is_locked());
    kill(Pid::from_raw(pid().trim().parse().unwrap()), Signal::SIGKILL).unwrap();
    tool.wait();
}

#[test]
fn a_lock_file_that_was_replaced_meanwhile_spoils_the_snapshot() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let writer = cyrus.writing();
    cyrus.scene.stand_in(
        "cp",
        &format!(
            r#"case "$1" in -a) mv '{0}' '{0}.old'; touch '{0}';; esac; exec "$REAL" "$@""#,
            cyrus.lock.display()
        ),
    );
    let done = run(cyrus.copy("x", &[]).arg(cyrus.flag()));
    done.assert_refused(124, "was replaced while it was locked");
    assert_eq!(cyrus.scene.manifest()["status"], "revoked");
    assert_eq!(cyrus.scene.snapshots(), [""; 0]);
    drop(writer);
}

#[test]
fn cyruss_own_tools_are_told() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let script = r#"[ "$CYRUS_HAVELOCK_GLOBAL" = 1 ]"#;
    for (flag, code) in [(Some(cyrus.flag()), 0), (None, 1)] {
        let mut command = cyrus.scene.stillpoint();
        command.args(["snapshot", "--min-open", "0"]).args(flag);
        run(command.args(["mail", "--", "sh", "-c", script])).assert_code(code);
    }
}

#[test]
fn a_configuration_that_is_no_use_is_refused_before_the_gate_closes() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let file = cyrus.scene.path("imapd.conf");
    let loops = format!("@include: {}\n", file.display());
    for (text, code, said) in [
        ("configdirectory: /c\nglobal_lock: no\n", 69, "global_lock is off"),
        ("hashimapspool: yes\n", 65, "no configdirectory"),
        ("configdirectory: conf\n", 65, "no absolute path"),
        ("configdirectory: /c\nhashimapspool: perhaps\n", 65, "neither yes nor no"),
        ("\u{0}garbage\n", 65, "imapd.conf:1: expected `option: value`"),
        (&loops, 65, "include each other"),
        ("@include: /nowhere/x.conf\n", 66, "/nowhere/x.conf"),
        ("@include: /\n", 71, "/: cannot be read: Is a directory"),
        ("configdirectory: /nowhere/c\n", 66, "/nowhere/c: no such folder"),
    ] {
        fs::write(&file, text).unwrap();
        run(cyrus.copy("x", &[]).arg(cyrus.flag())).assert_refused(code, said);
    }
    let other = cyrus.scene.path("other.conf");
    fs::write(&other, format!("configdirectory: {}\n", cyrus.scene.path("conf").display()))
        .unwrap();
    fs::write(&file, format!("@Include: {}\n", other.display())).unwrap();
    run(cyrus.copy("x", &[]).arg(cyrus.flag())).assert_code(0);
    fs::remove_file(&file).unwrap();
    run(cyrus.copy("y", &[]).arg(cyrus.flag())).assert_refused(66, "imapd.conf: no such file");
    for also in ["lockf:/a", "flock:", ""] {
        run(&mut cyrus.copy("y", &["--also", also])).assert_code(64);
    }
    run(&mut cyrus.copy("y", &["--also", "flock:/nowhere/x"])).assert_refused(66, "/nowhere/x");
    assert_eq!(cyrus.scene.generation(), 2, "one snapshot only");
}

/// Root with no right to pass over permissions, as in many a container.
#[test]
fn what_may_not_be_opened_is_refused_before_the_gate_closes() {
    if !is_root("another one's files") {
        return;
    }
    let cyrus = Cyrus::new(LAYOUTS[0]);
    run(cyrus.copy("made", &[]).arg(cyrus.flag())).assert_code(0);
    let before = cyrus.scene.generation();
    let refused = |path: &Path, said: &str| {
        let copy = cyrus.copy("x", &["--dry-run"]);
        let mut bare = cyrus.scene.environment(Command::new("setpriv"));
        bare.args(["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]);
        bare.arg(copy.get_program()).args(copy.get_args()).arg(cyrus.flag());
        let mode = fs::metadata(path).unwrap().permissions();
        fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
        run(&mut bare).assert_refused(77, said);
        fs::set_permissions(path, mode).unwrap();
    };
    refused(&cyrus.scene.path("imapd.conf"), "imapd.conf: cannot be read: Permission denied");
    refused(&cyrus.lock, "$GLOBAL.lock: cannot be locked: Permission denied");
    refused(cyrus.lock.parent().unwrap(), "$GLOBAL.lock: Permission denied");
    assert_eq!(cyrus.scene.generation(), before);
}

#[test]
fn what_a_lock_file_says_stays() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let lock = cyrus.scene.path("a.lock");
    fs::write(&lock, "1234").unwrap();
    for kind in ["fcntl", "flock"] {
        let also = format!("{kind}:{}", lock.display());
        run(&mut cyrus.copy(kind, &["--also", &also])).assert_code(0);
    }
    assert_eq!(fs::read(&lock).unwrap(), b"1234");
}
