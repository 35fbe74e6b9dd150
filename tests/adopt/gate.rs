//! What a program sees of the gate: time, and nothing else.

use crate::common::{ms, until};
use crate::harness::{Played, Scene};
use std::time::{Duration, Instant};
use stillpoint::ErrorKind;

/// Calls for write locks, whether they would wait for the lock or not.
const WRITE: [&str; 11] = [
    "setlk", "setlkw", "ofd", "ofdw", "fcntl64", "__fcntl", "flock", "flock_nb", "lockf", "tlock",
    "lockf64",
];

#[test]
fn every_call_for_a_write_lock_waits_until_the_gate_opens() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    for how in WRITE {
        let pause = scene.exclusive(0, 1000).unwrap();
        let mut played = Played::begin(scene.adopted(&program).arg(how).arg(scene.file("file")));
        assert_eq!(played.line(), "asking", "{how}");
        scene.until_somebody_waits();
        pause.release().unwrap();
        assert_eq!(played.line(), "got", "{how}");
        played.succeeds();
    }
}

#[test]
fn no_other_call_waits() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    let elsewhere = scene.elsewhere("file");
    let pause = scene.exclusive(0, 1000).unwrap();
    for how in ["read", "unlock", "ask", "shared", "flags"] {
        let mut played = Played::begin(scene.adopted(&program).arg(how).arg(scene.file("file")));
        assert_eq!([played.line(), played.line()], ["asking", "got"], "{how}");
        played.succeeds();
    }
    for how in WRITE {
        let mut played = Played::begin(scene.adopted(&program).arg(how).arg(&elsewhere));
        assert_eq!([played.line(), played.line()], ["asking", "got"], "{how}");
        played.succeeds();
    }
    pause.release().unwrap();
}

/// Programs limit the wait by alarm(2), and expect to be told so.
#[test]
fn a_signal_ends_the_wait_as_it_would_end_the_call() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    let pause = scene.exclusive(0, 1000).unwrap();
    for (how, told) in [
        ("setlkw", "EINTR"),
        ("flock", "EINTR"),
        ("lockf", "EINTR"),
        ("setlk", "EAGAIN"),
        ("flock_nb", "EAGAIN"),
        ("tlock", "EAGAIN"),
    ] {
        let mut command = scene.adopted(&program);
        let mut played = Played::begin(command.arg("alarm").arg(scene.file("file")).arg(how));
        assert_eq!(played.line(), told, "{how}");
        played.succeeds();
    }
    let mut command = scene.adopted(&program);
    let mut played = Played::begin(command.arg("restarted").arg(scene.file("file")).arg("setlkw"));
    scene.until_somebody_waits();
    std::thread::sleep(ms(500));
    assert!(!played.is_over(), "a handler that restarts calls has ended one");
    pause.release().unwrap();
    assert_eq!(played.line(), "got");
    played.succeeds();
}

/// Also one that strikes while the process looks whether it holds something itself.
#[test]
fn no_signal_is_missed() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    // Not one that it descends from.
    let mut holder = scene.adopted(&program);
    let mut holder = Played::begin(holder.arg("nested").arg(scene.file("held")).arg("flock"));
    assert_eq!(holder.line(), "holding");
    let mut played = Played::begin(scene.adopted(&program).arg("alarms").arg(scene.file("file")));
    assert_eq!(played.line(), "asking");
    std::thread::scope(|scope| {
        let tool = scope.spawn(|| scene.exclusive(0, 60_000).map(|pause| pause.release()));
        until("the gate is closed", || scene.is_closed());
        played.go_on();
        assert_eq!(played.line(), "interrupted");
        holder.kill();
        tool.join().unwrap().unwrap().unwrap();
    });
    played.succeeds();
}

/// One that holds a lock takes another one while the tool waits for it, itself or by a child.
#[test]
fn a_holder_is_let_in_while_the_gate_is_closing() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    for (who, how) in [
        ("nested", "setlkw"),
        ("nested", "flock"),
        ("nested", "ofd"),
        ("child", "setlkw"),
        ("child", "flock"),
    ] {
        let mut command = scene.adopted(&program);
        let mut played = Played::begin(command.arg(who).arg(scene.file("file")).arg(how));
        assert_eq!(played.line(), "holding", "{who} {how}");
        std::thread::scope(|scope| {
            let tool = scope.spawn(|| scene.exclusive(0, 60_000).map(|pause| pause.release()));
            until("the gate is closed", || scene.is_closed());
            // Somebody who holds nothing waits meanwhile.
            let newcomer = scene.file("newcomer");
            let mut newcomer = Played::begin(scene.adopted(&program).arg("setlkw").arg(newcomer));
            assert_eq!(newcomer.line(), "asking");
            scene.until_somebody_waits();
            let asked = Instant::now();
            played.go_on();
            assert_eq!(played.line(), "got", "{who} {how}");
            assert!(
                asked.elapsed() < Duration::from_secs(5),
                "{who} {how}: only when the gate opened"
            );
            assert!(!tool.is_finished() && !newcomer.is_over());
            played.go_on();
            played.succeeds();
            tool.join().unwrap().unwrap().unwrap();
            assert_eq!(newcomer.line(), "got");
            newcomer.succeeds();
        });
    }
}

#[test]
fn a_thread_that_waits_at_the_gate_can_be_cancelled() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    let pause = scene.exclusive(0, 1000).unwrap();
    let mut played =
        Played::begin(scene.adopted(&program).arg("cancelled").arg(scene.file("file")));
    assert_eq!(played.line(), "asking");
    scene.until_somebody_waits();
    played.go_on();
    assert_eq!(played.line(), "cancelled");
    played.succeeds();
    pause.release().unwrap();
}

/// What keeps cancellation off while the core is at work was jumped over.
#[test]
fn a_thread_that_has_jumped_out_of_the_wait_can_be_cancelled_in_the_next() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    let pause = scene.exclusive(0, 2000).unwrap();
    let mut played = Played::begin(scene.adopted(&program).arg("jumps").arg(scene.file("file")));
    assert_eq!(played.line(), "asking");
    scene.until_somebody_waits();
    played.go_on();
    assert_eq!(played.line(), "out");
    assert!(played.waits());
    played.go_on();
    assert_eq!(played.line(), "cancelled");
    pause.release().unwrap();
    assert!(scene.is_quiet());
    played.go_on();
    played.succeeds();
}

/// A hook may be called from inside malloc(3).
#[test]
fn no_memory_is_taken_from_the_program() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    let mut played = Played::begin(scene.adopted(&program).arg("memory").arg(scene.file("file")));
    for who in ["the first thread", "another thread", "a child"] {
        assert_eq!(played.line(), "none", "{who}");
    }
    assert_eq!(played.line(), "ready");
    let pause = scene.exclusive(0, 1000).unwrap();
    played.go_on();
    assert_eq!(played.line(), "none", "at a closed gate");
    played.succeeds();
    pause.release().unwrap();
}

#[test]
fn a_lock_that_is_taken_before_any_constructor_of_ours() {
    let scene = Scene::new();
    let early = scene.compile("early", &["-shared", "-fPIC"]);
    let pause = scene.exclusive(0, 1000).unwrap();
    let mut command = scene.adopted("/bin/true");
    let both = format!("{} {}", crate::harness::library().display(), early.display());
    let mut played =
        Played::begin(command.env("LD_PRELOAD", both).env("EARLY", scene.file("file")));
    assert_eq!(played.line(), "asking");
    scene.until_somebody_waits();
    pause.release().unwrap();
    assert_eq!(played.line(), "got");
    played.succeeds();
}

/// One that gives up its root and its user still takes part, and so does a child that does so.
#[test]
fn one_that_confines_itself_takes_part() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    for how in ["confined", "drops"] {
        let pause = scene.exclusive(0, 1000).unwrap();
        let mut played = Played::begin(scene.adopted(&program).arg(how).arg(scene.file("file")));
        assert_eq!(played.line(), "asking", "{how}");
        assert!(played.waits(), "{how}");
        pause.release().unwrap();
        assert_eq!(played.line(), "got", "{how}");
        if how == "confined" {
            assert_eq!(played.line(), "got", "{how}");
        }
        played.succeeds();
    }
}

#[test]
fn without_the_barrier_it_goes_on_and_says_so_once() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    std::fs::remove_file(scene.barrier.path()).unwrap();
    let run =
        |how: &str| scene.adopted(&program).arg(how).arg(scene.file("file")).output().unwrap();
    let output = run("setlkw");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "asking\ngot\n");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains(&*scene.barrier.path().to_string_lossy()) && said.contains("do not wait"),
        "{said}"
    );
    scene.configure("without-barrier fail\n");
    for how in WRITE {
        let output = run(how);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "asking\nENOLCK\n", "{how}");
    }
    assert_eq!(String::from_utf8_lossy(&run("read").stdout), "asking\ngot\n");
}

#[test]
fn what_is_set_wrongly_is_said_in_one_line() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    let run = |text: &str| {
        std::fs::write(scene.settings(), text).unwrap();
        let output = scene.adopted(&program).arg("setlk").arg(scene.file("file")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "asking\ngot\n");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let barrier = scene.barrier.path().display();
    for (text, said) in [
        (
            format!("barrier {barrier}\nprotect relative\n"),
            "adopt.conf:2: not understood: protect relative",
        ),
        (format!("colour blue\nbarrier {barrier}\n"), "adopt.conf:1: not understood: colour blue"),
        ("protect /\n".to_string(), "names no barrier"),
        (
            format!(
                "barrier {barrier}\nprotect {}\n",
                scene.barrier.path().parent().unwrap().display()
            ),
            "it protects",
        ),
    ] {
        let told = run(&text);
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains(said), "{told}");
    }
    std::fs::remove_file(scene.settings()).unwrap();
    let output = scene.adopted(&program).arg("setlk").arg(scene.file("file")).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("No such file"), "{output:?}");
}

/// The environment takes away and never adds.
#[test]
fn a_program_can_be_left_out() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    let pause = scene.exclusive(0, 1000).unwrap();
    for value in ["off", "/elsewhere", "/elsewhere:/or/there"] {
        let mut command = scene.adopted(&program);
        command.env("STILLPOINT_ADOPT", value).arg("setlk").arg(scene.file("file"));
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "asking\ngot\n", "{value}");
        std::fs::remove_file(scene.file("file")).unwrap();
    }
    pause.release().unwrap();
}

/// One lost while it asks for a lock has written nothing yet.
#[test]
fn one_that_is_killed_while_it_asks_is_no_loss() {
    let scene = Scene::new();
    let program = scene.compile("gate", &[]);
    let file = std::fs::File::create(scene.file("file")).unwrap();
    fs2::FileExt::lock_exclusive(&file).unwrap();
    let mut played = Played::begin(scene.adopted(&program).arg("flock").arg(scene.file("file")));
    assert_eq!(played.line(), "asking");
    until("it is inside", || scene.status().writers.iter().any(|writer| writer.inside));
    let error = scene.exclusive(0, 200).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotQuiet);
    assert!(error.to_string().contains("gate["), "{error}");
    played.kill();
    fs2::FileExt::unlock(&file).unwrap();
    scene.exclusive(0, 1000).unwrap().release().unwrap();
    assert_eq!(scene.status().dirty.epoch, 0);
}
