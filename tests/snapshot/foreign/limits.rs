//! Locks of other programs are held to the end of the pause, and no longer than it may last.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::FromRawFd;
use std::path::Path;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::{Cyrus, LAYOUTS};
use crate::common::{Running, run, stands_by, start, state, until};
use crate::scene::Scene;

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
    until("the writer goes on", || number() != last);
    drop(writer);
}

#[test]
fn a_tool_that_is_killed_keeps_nobody_out() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let script = r#"echo $$ > "$1"; exec sleep 600"#;
    let mut command = cyrus.scene.stillpoint();
    command.arg("snapshot").arg(cyrus.flag()).args(["mail", "--", "sh", "-c", script, "sh"]);
    let tool = start(command.arg(cyrus.scene.path("pid")));
    let pid = || fs::read_to_string(cyrus.scene.path("pid")).unwrap_or_default();
    until("pause", || pid().ends_with('\n'));
    assert!(cyrus.is_locked());
    tool.signal(Signal::SIGKILL);
    // The command lives, but it has not inherited the lock.
    until("unlocking", || !cyrus.is_locked());
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

/// A snapshot by a command that says that it runs and then goes on until it is ended.
fn pausing(cyrus: &Cyrus, options: &[&str]) -> Running {
    let mut command = cyrus.scene.stillpoint();
    command.args(["snapshot", "mail"]).args(options).arg(cyrus.flag());
    let script = r#"touch "$0"; until [ -e "$1" ]; do sleep 0.01; done"#;
    command.args(["--", "sh", "-c", script]);
    command.arg(cyrus.scene.path("runs")).arg(cyrus.scene.path("go"));
    let tool = start(&mut command);
    until("pause", || cyrus.scene.path("runs").exists());
    tool
}

/// All that the keyboard, a shell or a debugger would stop of it.
fn stop(tool: &Running) {
    killpg(tool.pid, Signal::SIGSTOP).unwrap();
    until("stop", || tool.is_stopped());
}

#[test]
fn a_tool_that_is_stopped_keeps_nobody_out_beyond_its_limit() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let other = cyrus.scene.path("other");
    File::create(&other).unwrap();
    let also = format!("flock:{}", other.display());
    let tool = pausing(&cyrus, &["--drain", "0.3", "--hold", "0.5", "--also", &also]);
    stop(&tool);
    assert!(cyrus.is_locked());
    until("unlocking", || !cyrus.is_locked() && is_free(&other));
    assert!(tool.is_stopped());
    fs::write(cyrus.scene.path("go"), "").unwrap();
    tool.signal(Signal::SIGCONT);
    tool.wait().assert_code(124);
    assert_revoked(&cyrus.scene);
}

/// What it has is not kept from others by what it waits for.
#[test]
fn a_tool_that_is_stopped_while_it_waits_keeps_nobody_out_either() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let second = cyrus.scene.path("second");
    File::create(&second).unwrap();
    run(cyrus.copy("made", &[]).arg(cyrus.flag())).assert_code(0);
    let holder = cyrus.holding(&second);
    let also = format!("fcntl:{}", second.display());
    let tool = start(cyrus.copy("x", &["--drain", "2", "--also", &also]).arg(cyrus.flag()));
    until("the first", || cyrus.is_locked());
    tool.signal(Signal::SIGSTOP);
    until("stop", || tool.is_stopped());
    assert!(cyrus.is_locked());
    until("unlocking", || !cyrus.is_locked());
    drop(holder);
    // It begins again with what is left of its attempts.
    tool.signal(Signal::SIGCONT);
    tool.wait().assert_code(0);
}

/// The watchdog is told by somebody else that its time is over: nothing but its word tells the tool.
#[test]
fn locks_that_were_given_back_too_early_spoil_the_snapshot() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let tool = pausing(&cyrus, &["--hold", "60"]);
    for descriptor in sockets(tool.pid) {
        write_to(tool.pid, descriptor, &0u64.to_ne_bytes());
    }
    until("unlocking", || !cyrus.is_locked());
    fs::write(cyrus.scene.path("go"), "").unwrap();
    tool.wait().assert_refused(124, "given back before the pause was over");
    assert_revoked(&cyrus.scene);
}

/// The kernel sees to it: a process that is stopped reads no end of file.
#[test]
fn a_tool_that_dies_takes_a_stopped_watchdog_with_it() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let tool = pausing(&cyrus, &["--hold", "none"]);
    let watchdog = stands_by(tool.pid).unwrap();
    kill(watchdog, Signal::SIGSTOP).unwrap();
    until("stop", || state(watchdog) == Some('T'));
    tool.signal(Signal::SIGKILL);
    until("unlocking", || !cyrus.is_locked());
    fs::write(cyrus.scene.path("go"), "").unwrap();
    tool.wait();
}

/// The tool has the locks too, so nobody was let in.
#[test]
fn a_watchdog_that_dies_or_is_stopped_costs_no_snapshot() {
    for signal in [Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGTERM] {
        let cyrus = Cyrus::new(LAYOUTS[0]);
        let tool = pausing(&cyrus, &[]);
        let watchdog = stands_by(tool.pid).unwrap();
        kill(watchdog, signal).unwrap();
        if signal == Signal::SIGKILL {
            until("its end", || state(watchdog) == Some('Z'));
        }
        assert!(cyrus.is_locked());
        fs::write(cyrus.scene.path("go"), "").unwrap();
        tool.wait().assert_code(0);
        assert!(!cyrus.is_locked());
        assert_eq!(state(watchdog), None, "{signal}: it is still there");
        assert_eq!(cyrus.scene.manifest()["clean"], true);
    }
}

fn assert_revoked(scene: &Scene) {
    let manifest = scene.manifest();
    assert_eq!(manifest["status"], "revoked");
    assert!(manifest["clean"] == false && manifest["certificate"] == false, "{manifest:#}");
    scene.assert_writers_go_on();
}

fn is_free(path: &Path) -> bool {
    stillpoint::lock_holders(&File::open(path).unwrap()).is_empty()
}

/// The descriptors of a process that are sockets.
fn sockets(pid: Pid) -> Vec<i32> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|entry| entry.unwrap());
    let sockets = open.filter(|entry| {
        fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
    });
    sockets.map(|entry| entry.file_name().to_str().unwrap().parse().unwrap()).collect()
}

/// Writes to a descriptor of another process, as if that had done it.
fn write_to(pid: Pid, descriptor: i32, bytes: &[u8]) {
    use nix::libc;
    // SAFETY: pidfd_open(2) takes no pointer.
    let process = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    // SAFETY: nor does pidfd_getfd(2).
    let copy = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process, descriptor, 0) };
    assert!(process >= 0 && copy >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: both are new descriptors that nobody else has.
    let [_process, copy] = [process, copy].map(|new| unsafe { File::from_raw_fd(new as i32) });
    let _ = (&copy).write(bytes);
}
