//! Where a program may do less than usual: it runs as it would without the library, if need be beside the barrier.

use crate::common::{is_root, ms, until};
use crate::harness::{Played, Scene, library};
use nix::libc;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

/// What the library asks of the kernel, but for what no program starts without.
const CALLS: [libc::c_long; 20] = [
    libc::SYS_capget,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_fstatfs,
    libc::SYS_getdents64,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mremap,
    libc::SYS_prctl,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_statx,
    libc::SYS_socket,
];

/// This program, adopted, in these surroundings.
fn surrounded(scene: &Scene, what: &[String], program: &Path) -> Command {
    let surround = scene.elsewhere("surround");
    if !surround.exists() {
        scene.compile("surround", &[]);
    }
    let mut command = scene.adopted(surround);
    command.env_remove("LD_PRELOAD").args(what).args(["--", "env"]);
    command.arg(format!("LD_PRELOAD={}", library().display())).arg(program);
    command
}

/// A program at the gate, which is closed first: whether it waits until that opens.
#[track_caller]
fn waits(scene: &Scene, mut command: Command) -> bool {
    let pause = scene.exclusive(0, 1000).unwrap();
    let mut played = Played::begin(command.arg("setlkw").arg(scene.file("file")));
    assert_eq!(played.line(), "asking", "{command:?}");
    let is_waiting = || scene.status().writers.iter().any(|writer| writer.waiting.is_some());
    until("it waits, or does not", || is_waiting() || played.is_over());
    let waits = !played.is_over();
    pause.release().unwrap();
    assert_eq!(played.line(), "got", "{command:?}");
    played.succeeds();
    waits
}

/// seccomp(2), as many services have it.
#[test]
fn a_call_that_is_refused_stops_no_program() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    for call in CALLS {
        for error in [libc::EPERM, libc::ENOSYS] {
            let what = [format!("deny={error}:{call}")];
            waits(&scene, surrounded(&scene, &what, &program));
            assert!(scene.is_quiet(), "call {call}");
        }
    }
    assert!(waits(&scene, surrounded(&scene, &[], &program)));
}

#[test]
fn a_full_table_of_descriptors_and_little_memory_stop_no_program() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    for (what, waits) in [("files=4", false), ("files=6", true), ("memory=8", true)] {
        let command = surrounded(&scene, &[what.to_owned()], &program);
        assert_eq!(self::waits(&scene, command), waits, "{what}");
    }
}

#[test]
fn without_proc_it_waits_all_the_same() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    for script in ["umount -l /proc", "mount -t tmpfs none /proc"] {
        let mut command = scene.adopted("unshare");
        command.env_remove("LD_PRELOAD").arg("-m");
        let library = library().display().to_string();
        command.args(["sh", "-c", &format!("{script} && LD_PRELOAD=\"$0\" exec \"$@\""), &library]);
        command.arg(&program);
        assert!(waits(&scene, command), "{script}");
    }
}

/// Whoever logs sleeps, and its socket is full.
#[test]
fn a_log_that_nobody_reads_stops_no_program() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    fs::remove_file(scene.barrier.path()).unwrap();
    let socket = scene.elsewhere("log");
    let log = UnixDatagram::bind(&socket).unwrap();
    let run = || {
        let mut command = scene.adopted("unshare");
        let script = "mount --rbind /dev /mnt && mount -t tmpfs none /dev && touch /dev/null &&
            mount --bind /mnt/null /dev/null && mkdir /dev/shm && mount --bind /mnt/shm /dev/shm && ln -s \"$1\" /dev/log && shift 1 &&
            LD_PRELOAD=\"$0\" exec \"$@\"";
        command.env_remove("LD_PRELOAD").args(["-m", "sh", "-c", script]).arg(library());
        command.arg(&socket).arg(&program).arg("setlkw").arg(scene.file("file"));
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "asking\ngot\n", "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(run(), "");
    let mut text = [0; 1000];
    let length = log.recv(&mut text).unwrap();
    let text = String::from_utf8_lossy(&text[..length]);
    assert!(text.starts_with("<28>gate[") && text.contains("do not wait"), "{text}");
    let other = UnixDatagram::unbound().unwrap();
    other.set_nonblocking(true).unwrap();
    while other.send_to(b"full", &socket).is_ok() {}
    assert!(run().contains("do not wait"));
}

/// They take the same lock in turn, and none of them writes while the gate is closed.
#[test]
fn many_threads_meet_many_pauses() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    let file = scene.file("file");
    let mut played = Played::begin(scene.adopted(&program).arg("threads").arg(&file));
    assert_eq!(played.line(), "writing");
    let length = || fs::metadata(&file).map_or(0, |found| found.len());
    let mut before = 0;
    for _ in 0..12 {
        until("somebody writes", || length() > before);
        let pause = scene.exclusive(5000, 5000).unwrap();
        before = length();
        std::thread::sleep(ms(2));
        assert_eq!(length(), before);
        pause.release().unwrap();
    }
    played.go_on();
    assert_eq!(played.line(), "over");
    played.succeeds();
    assert!(scene.is_quiet());
    assert_eq!(scene.status().dirty.epoch, 0);
}
