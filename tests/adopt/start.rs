//! What a program pays for being adopted when it starts, and what it gets.

use crate::common::{has, is_root, strace};
use crate::harness::{Played, Scene, library};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const NOBODY: &str = "65534";

/// A scene whose barrier and store are everybody's.
fn public_scene() -> Scene {
    let scene = Scene::new();
    fs::set_permissions(scene.barrier.path(), Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(scene.file(""), Permissions::from_mode(0o777)).unwrap();
    scene
}

/// What the program asks of the kernel from its first instruction on.
fn calls(scene: &Scene, user: &str, program: &[&str], adopted: bool) -> Vec<strace::Call> {
    let trace = scene.elsewhere("trace");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--clear-groups", "strace"]);
    strace::options(&mut command, &trace, None);
    if adopted {
        command.arg("-E").arg(format!("LD_PRELOAD={}", library().display()));
        let settings = scene.settings();
        command.arg("-E").arg(format!("STILLPOINT_ADOPT_CONFIG={}", settings.display()));
    }
    fs::write(&trace, "").unwrap();
    fs::set_permissions(&trace, Permissions::from_mode(0o666)).unwrap();
    let output = command.args(program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    strace::read(&trace)
}

/// Most programs never lock anything that is protected. One that can give up nothing does not join for that.
#[test]
fn a_start_takes_few_system_calls() {
    if !is_root() || !has(&["setpriv"]) || !strace::works() {
        return;
    }
    let scene = public_scene();
    let barrier = scene.barrier.path().to_str().unwrap();
    for (user, most) in [(NOBODY, 32), ("0", 112)] {
        let count = |adopted| calls(&scene, user, &["/bin/true"], adopted).len();
        let more = count(true) - count(false);
        assert!(more <= most, "{more} system calls more to start for user {user}");
        let opens = calls(&scene, user, &["/bin/true"], true);
        let joins = opens.iter().any(|call| call.text.contains(barrier));
        assert_eq!(joins, user == "0", "user {user}");
    }
}

/// Nor does a lock at an open gate.
#[test]
fn a_lock_takes_no_system_call_more() {
    if !is_root() || !has(&["setpriv"]) || !strace::works() {
        return;
    }
    let scene = public_scene();
    let program = scene.compile("gate", &[]);
    let file = scene.file("file");
    let count = |times| {
        let arguments = [program.to_str().unwrap(), "often", file.to_str().unwrap(), times];
        calls(&scene, NOBODY, &arguments, true).len()
    };
    assert_eq!(count("300") - count("100"), 2 * 200);
}

/// Each would be loaded into every program, and its constructors run.
#[test]
fn no_other_library_comes_along() {
    let output = Command::new("readelf").arg("-dW").arg(library()).output().unwrap();
    let dynamic = String::from_utf8(output.stdout).unwrap();
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    let needed: Vec<_> = needed.filter_map(|line| line.split(['[', ']']).nth(1)).collect();
    assert!(needed.contains(&"libc.so.6"), "{dynamic}");
    let others =
        needed.iter().filter(|name| **name != "libc.so.6" && !name.starts_with("ld-linux"));
    assert_eq!(others.count(), 0, "{needed:?}");
}

/// What is wrong is the matter of those who ask for write locks.
#[test]
fn who_locks_nothing_hears_nothing() {
    let scene = Scene::new();
    let says = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let program = scene.compile("gate", &[]);
    let wrong: [fn(&Scene); 3] = [
        |scene| fs::remove_file(scene.barrier.path()).unwrap(),
        |scene| fs::write(scene.settings(), "colour blue\n").unwrap(),
        |scene| fs::remove_file(scene.settings()).unwrap(),
    ];
    for (number, spoil) in wrong.into_iter().enumerate() {
        spoil(&scene);
        assert_eq!(says(&mut scene.adopted("/bin/true")), "", "{number}");
        let told = says(scene.adopted(&program).arg("setlk").arg(scene.file("file")));
        assert_eq!(told.lines().count(), 1, "{number}: {told}");
    }
}

/// Who may give up nothing joins when it first asks, also at a closed gate, and takes no memory from the program for it.
#[test]
fn an_ordinary_user_takes_part() {
    if !is_root() || !has(&["setpriv"]) {
        return;
    }
    let scene = public_scene();
    let program = scene.compile("gate", &[]);
    let as_nobody = |arguments: &[&str], name: &str| {
        let mut command = scene.adopted("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]).arg(&program);
        command.args(arguments).arg(scene.file(name));
        command
    };
    let pause = scene.exclusive(0, 1000).unwrap();
    for how in ["setlkw", "flock", "lockf"] {
        let mut played = Played::begin(&mut as_nobody(&[how], how));
        assert_eq!(played.line(), "asking");
        assert!(played.waits(), "{how}");
        scene.until_somebody_waits();
    }
    pause.release().unwrap();
    let mut played = Played::begin(&mut as_nobody(&["memory"], "file"));
    for who in ["the first thread", "another thread", "a child"] {
        assert_eq!(played.line(), "none", "{who}");
    }
}
