//! Locks on files of any program, `--also`.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, killpg};
use serde_json::json;

use super::{Cyrus, LAYOUTS};
use crate::common::{is_root, must, run, start, until};

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

/// A user of each kind of lock, by flock(1) and by a description's lock.
#[test]
fn files_of_any_program_can_be_locked() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let (a, b) = (cyrus.scene.path("a.lock"), cyrus.scene.path("b.lock"));
    for file in [&a, &b] {
        File::create(file).unwrap();
    }
    let also = [format!("flock:{}", a.display()), format!("fcntl:{}", b.display())];
    let options = [
        "--patience",
        "0",
        "--drain",
        "0.1",
        "--attempts",
        "1",
        "--also",
        &also[0],
        "--also",
        &also[1],
    ];
    let refused = |name: &str, path: &Path, who: &str| {
        let done = run(&mut cyrus.copy(name, &options));
        done.assert_refused(75, &format!("{}: still locked by {who}", path.display()));
    };
    let mut flock = Command::new("flock");
    let held = start(flock.args(["-s"]).arg(&a).args(["sleep", "600"]));
    until("flock", || !stillpoint::lock_holders(&File::open(&a).unwrap()).is_empty());
    refused("x", &a, &format!("flock[{}]", held.pid));
    killpg(held.pid, Signal::SIGKILL).unwrap();
    drop(held.wait());
    let held = cyrus.holding(&b);
    refused("y", &b, &format!("cyrus_writer[{}]", held.pid));
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

/// Root with no right to pass over permissions, as in many a container.
#[test]
fn what_may_not_be_opened_is_refused_before_the_gate_closes() {
    if !is_root() {
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
