//! Tools that fail, hang or come too late.

use super::{SECOND_POOL_FAILS, System};
use crate::common::run;

#[test]
fn a_tool_that_fails_leaves_nothing() {
    for system in System::each() {
        let script = r#"fail "cannot create snapshot 'x': out of space""#;
        system.trouble(system.taking, Some(script));
        system.take("x", &[]).assert_refused(73, "out of space");
        system.scene.assert_writers_go_on();
        assert_eq!(system.manifest()["status"], "failed");
        assert_eq!(system.there(), [""; 0]);
        system.trouble(system.taking, None);
        system.take("x", &[]).assert_code(0);
    }
}

#[test]
fn one_of_several_that_fails_takes_the_others_with_it() {
    for system in System::each() {
        let [_, _, three] = system.origins();
        system.trouble(system.taking, Some(SECOND_POOL_FAILS));
        let mut command = system.command("x", &[]);
        run(command.arg(three)).assert_refused(73, "I/O error");
        assert_eq!(system.there(), [""; 0]);
        assert_eq!(system.manifest()["status"], "failed");
    }
}

#[test]
fn what_failed_may_be_kept_and_does_not_look_complete() {
    for system in System::each() {
        let [origin, _, three] = system.origins();
        system.trouble(system.taking, Some(SECOND_POOL_FAILS));
        let mut command = system.command("x", &["--keep-failed"]);
        let done = run(command.arg(three));
        let kept = system.made(origin, "x.failed");
        done.assert_refused(73, &format!("kept what there is of it as {kept}"));
        assert_eq!(system.there(), [kept.as_str()]);
        assert_eq!(system.manifest()["volumes"][0]["kept"], kept);
        run(system.scene.stillpoint().args(["latest", "--any"])).assert_code(66);
    }
}

#[test]
fn a_tool_that_hangs_is_ended_at_the_hold_limit() {
    for system in System::each() {
        let done = system.hanging(&["--hold", "0.3"]).wait();
        done.assert_refused(124, "hold limit of 300.0 ms");
        system.scene.assert_writers_go_on();
        assert_eq!(system.manifest()["status"], "revoked");
        assert_eq!(system.there(), [""; 0]);
    }
}

#[test]
fn a_tool_that_comes_too_late_does_not_make_a_snapshot() {
    for system in System::each() {
        // Ends well, in spite of TERM, after the limit.
        let script = r#"trap "" TERM; touch "$STATE/hangs"; sleep 1"#;
        system.trouble(system.taking, Some(script));
        system.take("x", &["--hold", "0.2"]).assert_refused(124, "hold limit");
        assert_eq!(system.manifest()["status"], "revoked");
        assert_eq!(system.there(), [""; 0]);
    }
}
