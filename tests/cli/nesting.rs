//! A command run inside a barrier that runs another one.
use crate::common::command::Place;
use crate::common::{is_alive, start, until};

#[test]
fn a_share_in_a_share() {
    let place = Place::with_barrier();
    let outcome = place.shell("$S run -s mail $S run -s -n mail echo inside");
    assert_eq!((outcome.code(), outcome.stdout.as_str()), (0, "inside\n"), "{outcome:?}");
    assert!(place.is_quiet());
    assert_eq!(place.dirty_epoch(), 0);
}

#[test]
fn a_share_in_a_share_while_a_tool_waits() {
    let place = Place::with_barrier();
    // The inner share must not queue behind the tool, which waits for the outer one with the gate
    // closed: either would wait for the other.
    let mut outer = place.program("sh");
    outer.args([
        "-c",
        "$S run -s mail sh -c 'echo outer; read line; $S run -s -w 10 mail echo inner'",
    ]);
    let (input, mut feed) = std::io::pipe().unwrap();
    outer.stdin(input);
    let mut outer = start(outer);
    assert_eq!(outer.line(), "outer");
    let catalog = place.path("catalog");
    let mut tool = place.command(["snapshot", "--patience=0", "--drain=25", "--catalog"]);
    tool.arg(&catalog).args(["mail", "--", "sh", "-c", "echo granted >&2"]);
    let mut tool = start(tool);
    until("the gate is closed", || place.status()["gate"] == "closed");
    std::io::Write::write_all(&mut feed, b"\n").unwrap();
    assert_eq!(outer.line(), "inner");
    assert_eq!(outer.end(), 0);
    assert_eq!(tool.end(), 0);
}

#[test]
fn a_share_in_an_exclusive() {
    let place = Place::with_barrier();
    let outcome = place.shell("$S run -x mail $S run -s -n mail echo inside");
    assert_eq!((outcome.code(), outcome.stdout.as_str()), (0, "inside\n"), "{outcome:?}");
    assert!(place.is_quiet());
}

#[test]
fn an_exclusive_in_an_exclusive() {
    let place = Place::with_barrier();
    let script =
        "$S run -x mail sh -c '$S run -x -n mail $S run -x -n mail echo inside; $S status mail'";
    let outcome = place.shell(script);
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    assert!(outcome.stdout.starts_with("inside\n"), "{outcome:?}");
    assert!(
        outcome.stdout.contains("gate     closed"),
        "the inner end opened the gate: {outcome:?}"
    );
    assert!(place.is_quiet());
}

#[test]
fn an_exclusive_in_a_share_is_a_mistake_at_once() {
    let place = Place::with_barrier();
    for options in ["", "-n", "-w 20"] {
        let outcome = place.shell(&format!("$S run -s mail $S run -x {options} mail echo inside"));
        outcome.assert_complaint(64, &["mail.barrier"]);
        assert_eq!(outcome.stdout, "");
    }
    // Within the share, in an exclusive of an ancestor, too: the share would wait for itself.
    let outcome = place.shell("$S run -s mail $S run -s mail $S run -x mail true");
    outcome.assert_complaint(64, &["mail.barrier"]);
}

#[test]
fn another_barrier_is_another_matter() {
    let place = Place::with_barrier();
    assert_eq!(place.run(["create", "news"]).code(), 0);
    let outcome = place.shell("$S run -s mail $S run -x -n news echo inside");
    assert_eq!((outcome.code(), outcome.stdout.as_str()), (0, "inside\n"), "{outcome:?}");
    let outcome = place.shell("$S run -x mail $S run -x news $S run -s -n mail echo inside");
    assert_eq!((outcome.code(), outcome.stdout.as_str()), (0, "inside\n"), "{outcome:?}");
}

#[test]
fn a_cover_that_has_gone_covers_nothing() {
    let place = Place::with_barrier();
    // The background process keeps the environment of a share that has ended.
    let script = "$S run -s mail sh -c 'echo $STILLPOINT_HELD' >held; read held <held; \
                  test -n \"$held\" || exit 99; export STILLPOINT_HELD=\"$held\"; \
                  $S run -x -n mail $S run -s -n mail echo inside; \
                  exec $S run -x -n mail echo outside";
    let outcome = place.shell(script);
    assert_eq!((outcome.code(), outcome.stdout.as_str()), (0, "inside\noutside\n"), "{outcome:?}");
    for nonsense in ["x", "::::", "1:2:3:4:5", "ffffffffffffffffffffffffffffffff:4294967296:1"] {
        let outcome = place.shell(&format!("STILLPOINT_HELD='{nonsense}' $S run -x -n mail true"));
        assert_eq!(outcome.code(), 0, "{nonsense} {outcome:?}");
    }
}

#[test]
fn the_outer_limit_ends_the_inner_command_too() {
    let place = Place::with_barrier();
    let script = "trap \"\" TERM; echo $$; while :; do sleep 1; done";
    let outcome =
        place.shell(&format!("$S run -x --hold 0.3 mail $S run -x mail sh -c '{script}'"));
    assert_eq!(outcome.code(), 124, "{outcome:?}");
    let pid = nix::unistd::Pid::from_raw(outcome.stdout.trim().parse().unwrap());
    until("the inner command is gone", || !is_alive(pid));
    assert!(place.is_quiet());
}

#[test]
fn an_inner_limit_ends_the_inner_command_only() {
    let place = Place::with_barrier();
    let outcome = place.shell(
        "$S run -x mail sh -c '$S run -x --hold 0.3 mail sleep 60; echo inner $?; sleep 0.2; echo still here'",
    );
    assert_eq!(
        (outcome.code(), outcome.stdout.as_str()),
        (0, "inner 124\nstill here\n"),
        "{outcome:?}"
    );
}
