//! What is said is what was agreed on, or nothing is made.

use std::fs::File;
use std::process::{Command, Stdio};

use super::{Part, copy, prepare, whole};
use crate::common::{run, start, until};
use crate::scene::Scene;

#[test]
fn what_is_no_word_ends_it_at_once() {
    let scene = Scene::new();
    let mut epoch = 0;
    for step in 1..4 {
        for garbage in ["", "frozen", "release now", "\u{1b}[2J", "aborted", "complete {}"] {
            epoch += 1;
            let mut part = Part::at(&scene, &[], epoch, step);
            part.tell(garbage);
            let why = part.expect("failed");
            let code = if garbage == "aborted" { 75 } else { 64 };
            assert!(why.starts_with(&format!("{code} ")), "{why}");
            let done = part.ended();
            assert_eq!(done.code(), code, "{garbage:?}: {done:?}");
            assert!(!why.contains('\u{1b}') && !done.stderr.contains('\u{1b}'), "{why}");
            scene.assert_writers_go_on();
            assert_eq!(scene.part(epoch)["status"], "failed");
        }
    }
    assert_eq!(scene.snapshots(), [""; 0]);
}

#[test]
fn a_word_at_another_time_ends_it_too() {
    let scene = Scene::new();
    for (step, word) in [
        (0, "freeze".to_owned()),
        (1, "release".to_owned()),
        (3, "freeze".to_owned()),
        (3, prepare(3, &[])),
        (3, format!("complete {}", whole(3))),
    ] {
        let mut part = Part::of(&scene, &[]).until(step, step as usize);
        part.tell(&word);
        part.expect("failed");
        part.ended().assert_code(64);
        scene.assert_writers_go_on();
        let _ = std::fs::remove_file(scene.path(&format!("catalog/post-{step}.json")));
    }
    assert_eq!(scene.snapshots(), [""; 0]);
}

#[test]
fn garbage_is_heard_while_something_else_is_waited_for() {
    let scene = Scene::new();
    let writer = scene.holder();
    let mut part = Part::of(&scene, &["--patience", "60"]).until(7, 1);
    part.tell("freeze");
    until("it waits", || scene.status("mail")["holder"].is_object());
    part.tell("aborted host b is late");
    assert_eq!(part.expect("failed"), "75 aborted by its group: host b is late");
    part.ended().assert_code(75);
    assert_eq!(scene.part(7)["reason"], "aborted by its group: host b is late");
    drop(writer);
}

#[test]
fn half_a_word_is_none_and_no_memory_is_filled_with_it() {
    let scene = Scene::new();
    let mut part = Part::of(&scene, &["--hold", "0.5"]).until(7, 3);
    part.tell_bytes(b"rele");
    part.expect("failed");
    part.ended().assert_code(124);
    for endless in ["</dev/zero", "< <(yes)", "< <(yes freeze)", "< <(tr '\\0' x </dev/zero)"] {
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("\"$0\" \"$@\" {endless}")]).arg(crate::common::STILLPOINT);
        shell.args(copy(&scene, &[]).get_args());
        let done = run(&mut scene.environment(shell));
        done.assert_code(64);
    }
    scene.assert_writers_go_on();
}

#[test]
fn nobody_tells_and_nobody_reads() {
    let scene = Scene::new();
    let shell = |redirected: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("\"$0\" \"$@\" {redirected}")]).arg(crate::common::STILLPOINT);
        shell.args(copy(&scene, &[]).get_args());
        run(&mut scene.environment(shell))
    };
    for closed in ["<&-", ">&-", "<&- >&- 2>&-"] {
        shell(closed).assert_code(64);
    }
    assert_eq!(shell("</dev/null").code(), 143);
    assert!(!scene.path("catalog").join("post-7.json").exists());
    // Whoever does not hear that it is prepared cannot mean what he says.
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (mut part, words) = (copy(&scene, &[]), format!("{}\n", prepare(7, &[])));
    part.stdin(Stdio::piped()).stdout(full);
    let mut shell = Command::new("sh");
    shell.args(["-c", "(printf %s \"$1\"; sleep 5) | \"$0\" snapshot mail --min-open 0 --coordinated -- true >/dev/full"]);
    shell.arg(crate::common::STILLPOINT).arg(words);
    let mut running = start(&mut scene.environment(shell));
    assert_eq!(running.end(), 75);
    assert!(!scene.is_closed());
}
