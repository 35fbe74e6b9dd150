//! Commands that run under a share or under a pause are covered by it.

use crate::common::{Participant, Place, until};

/// A participant that holds a share for a command, and that command.
fn under_a_share(place: &Place) -> Participant {
    let mut wrapper = Participant::at(&place.make_barrier());
    wrapper.expect("command-share watched", "inside");
    wrapper.expect_like("covered c", "ready");
    wrapper.expect_like(&format!(">c open {}", place.barrier_path().display()), "open");
    wrapper
}

#[test]
fn a_covered_share_does_not_wait_at_the_gate() {
    let place = Place::new();
    let mut wrapper = under_a_share(&place);
    wrapper.expect(">c is-covered", "covered shared");
    let mut tool = Participant::at(&place.barrier_path());
    let mut other = Participant::at(&place.barrier_path());
    tool.say("exclusive patience=0 drain=20000 hold=none");
    until("the gate is closed", || place.status().closed);
    other.expect_like("try-shared", "error WouldBlock");
    wrapper.expect(">c try-shared", "inside 1");
    wrapper.expect(">c owned", "owned 1");
    wrapper.expect(">c command-share watched", "inside");
    assert_eq!(tool.heard(), None);
    // The wrapper's share ends, its command's go on: still not quiet.
    wrapper.expect("end-command-share", "ended");
    wrapper.expect(">c end-command-share", "ended");
    wrapper.expect(">c disown", "owned 0");
    assert_eq!(tool.heard(), None, "granted with the command inside");
    assert!(place.status().closed);
    wrapper.expect(">c leave", "depth 0");
    let granted = tool.hear();
    assert!(granted.starts_with("granted"), "{granted}");
    // A cover that has ended covers nothing, now or later.
    wrapper.expect(">c is-covered", "covered no");
    wrapper.expect_like(">c try-shared", "error WouldBlock");
    tool.expect("release", "released grown=0");
    wrapper.expect(">c shared", "inside 1");
}

#[test]
fn a_covered_command_is_refused_the_exclusive_side() {
    let place = Place::new();
    let mut wrapper = under_a_share(&place);
    wrapper.expect_like(">c exclusive", "error Deadlock");
    wrapper.expect("end-command-share", "ended");
    let granted = wrapper.expect_like(">c exclusive", "granted");
    assert!(granted.contains("covered=false"), "{granted}");
    wrapper.expect(">c release", "released grown=0");
}

/// A process that was told this in its environment.
fn told(place: &Place, held: &str) -> Participant {
    let mut command = Participant::start_as(|command| {
        command.env("STILLPOINT_HELD", held);
    });
    command.open(&place.barrier_path());
    command
}

#[test]
fn the_cover_of_a_killed_wrapper_is_stale() {
    let place = Place::new();
    let path = place.make_barrier();
    for (hold, kind) in [("command-share watched", "shared"), ("exclusive hold=none", "exclusive")]
    {
        let mut wrapper = Participant::at(&path);
        wrapper.ask(hold);
        let held = wrapper.ask("cover").replace("cover ", "");
        let (mut one, mut other) = (told(&place, &held), told(&place, &held));
        one.expect("is-covered", &format!("covered {kind}"));
        // Nobody has settled anything yet: only the lock byte tells.
        wrapper.kill();
        one.expect("is-covered", "covered no");
        let mut tool = Participant::at(&path);
        tool.expect_like("exclusive hold=none", "granted");
        one.expect_like("try-shared", "error WouldBlock");
        other.expect_like("try-shared", "error WouldBlock");
        tool.expect("release", "released grown=0");
        one.expect("try-shared", "inside 1");
        one.expect("leave", "depth 0");
    }
    assert_eq!(place.epoch(), 1, "the share was a loss, the pause was not");
}

/// A grandchild that stays behind may start new processes years later, with the claim of then.
#[test]
fn who_counts_in_the_slot_of_a_share_that_ended_covers_nobody() {
    let place = Place::new();
    let mut wrapper = Participant::at(&place.make_barrier());
    wrapper.expect("command-share watched", "inside");
    let held = wrapper.ask("cover").replace("cover ", "");
    wrapper.expect("end-command-share", "ended");
    let mut next = Participant::at(&place.barrier_path());
    next.expect("owned", "owned 1");
    let slot = held.split(':').nth(2).map(|slot| slot.parse().unwrap());
    let writers = place.status().writers;
    assert!(writers.iter().any(|writer| Some(writer.slot) == slot && writer.inside));
    told(&place, &held).expect("is-covered", "covered no");
}

#[test]
fn a_claim_that_was_never_true_counts_for_nothing() {
    let place = Place::new();
    let path = place.make_barrier();
    let uuid = place.status().uuid;
    for claim in ["s:9999999:1", "s:5:1", "s:5:2", "x:1", "x:0", "s:x:y"] {
        let mut liar = told(&place, &format!("{uuid}:{claim},,:::,"));
        liar.expect("is-covered", "covered no");
        let mut tool = Participant::at(&path);
        tool.expect_like("exclusive", "granted");
        liar.expect_like("try-shared", "error WouldBlock");
        tool.expect("release", "released grown=0");
    }
}

/// A participant that holds a pause, and a command in it.
fn under_a_pause(place: &Place) -> Participant {
    let mut wrapper = Participant::at(&place.make_barrier());
    wrapper.expect_like("exclusive hold=none", "granted");
    wrapper.expect_like("covered c", "ready");
    wrapper.expect_like(&format!(">c open {}", place.barrier_path().display()), "open");
    wrapper
}

#[test]
fn a_command_in_a_pause_may_do_both() {
    let place = Place::new();
    let mut wrapper = under_a_pause(&place);
    let mut other = Participant::at(&place.barrier_path());
    wrapper.expect(">c is-covered", "covered exclusive");
    wrapper.expect(">c shared", "inside 1");
    other.expect_like("try-shared", "error WouldBlock");
    wrapper.expect(">c leave", "depth 0");
    let granted = wrapper.expect_like(">c exclusive", "granted");
    assert!(granted.contains("covered=true"), "{granted}");
    wrapper.expect(">c try-shared", "inside 1");
    wrapper.expect(">c leave", "depth 0");
    wrapper.expect(">c release", "released grown=0");
    assert!(place.status().closed, "the ancestor's pause goes on");
    wrapper.expect("release", "released grown=0");
    wrapper.expect_like(">c is-covered", "covered no");
    // Having had the exclusive side under cover, it waits at the gate as anybody does.
    other.expect_like("exclusive hold=none", "granted");
    wrapper.expect_like(">c timed-shared 50", "error TimedOut");
    other.expect("release", "released grown=0");
}

#[test]
fn a_covered_share_that_is_still_inside_spoils_the_certificate() {
    let place = Place::new();
    let mut wrapper = under_a_pause(&place);
    wrapper.expect(">c shared", "inside 1");
    let answer = wrapper.expect_like("release", "error Revoked");
    assert!(answer.contains("inside"), "{answer}");
    assert!(!place.status().closed);
    assert_eq!(place.epoch(), 0);
}

#[test]
fn a_covered_share_that_died_is_told_at_the_release() {
    let place = Place::new();
    let mut wrapper = under_a_pause(&place);
    wrapper.expect(">c shared", "inside 1");
    // Leaves without leaving: the program is another after that, and has opened nothing.
    wrapper.expect_like(">c exec", "ready");
    wrapper.expect("release", "released grown=1");
    assert_eq!(place.epoch(), 1);
}

#[test]
fn a_pause_under_cover_that_was_revoked_has_no_certificate() {
    let place = Place::new();
    let mut wrapper = under_a_pause(&place);
    wrapper.expect_like(">c exclusive", "granted");
    wrapper.expect("release", "released grown=0");
    wrapper.expect_like(">c release", "error Revoked");
}
