//! Who is named when a command goes on whose wrapper has ended: the process that holds the lock, not the
//! one that took it.

use crate::common::command::Place;
use crate::common::{Done, Running, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A command that is left inside by a wrapper that was killed.
struct Left {
    wrapper: Running,
    command: Pid,
}

impl Left {
    fn by(place: &Place, side: &str, script: &str) -> Left {
        let mut wrapper = place.start(["run", side, "--label", "lmtp", "mail", "sh", "-c", script]);
        let command = Pid::from_raw(wrapper.line().parse().unwrap());
        wrapper.signal(Signal::SIGKILL);
        Left { wrapper, command }
    }

    fn assert_named(&self, outcome: &Done, code: i32) {
        outcome.assert_complaint(code, &[&format!("[{}]", self.command)]);
        let wrapper = format!("[{}]", self.wrapper.pid);
        assert!(!outcome.stderr.contains(&wrapper), "{outcome:?}");
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        let _ = kill(self.command, Signal::SIGKILL);
    }
}

/// The number of the only process that has the descriptor.
const REPLACED: &str = "echo $$; exec sleep 60";
/// The shell ends after its parent.
const IN_THE_BACKGROUND: &str =
    "sh -c 'echo $$; exec sleep 60' & while kill -0 $PPID; do sleep 0.02; done 2>/dev/null";

#[test]
fn a_writer_that_is_left_inside() {
    // Also before anybody has reaped it.
    for (script, reaped) in [(REPLACED, false), (REPLACED, true), (IN_THE_BACKGROUND, true)] {
        let place = Place::with_barrier();
        let mut left = Left::by(&place, "-s", script);
        if reaped {
            left.wrapper.end();
        }
        let pid = left.command.as_raw();
        until("alone", || place.status()["writers"][0]["pid"] == pid);
        let writers = place.status()["writers"].clone();
        let of = |name: &str| writers[0][name].clone();
        assert_eq!((of("pid"), of("tid"), of("comm")), (pid.into(), pid.into(), "sleep".into()));
        assert_eq!(of("label"), "lmtp");
        let refused = place.run(["run", "-x", "-w", "0.1", "mail", "true"]);
        left.assert_named(&refused, 75);
        left.assert_named(&place.run(["retire", "mail"]), 75);
        left.assert_named(&place.run(["recover", "-w", "0.1", "mail", "--acknowledge"]), 75);
        left.assert_named(&place.run(["freeze", "-w", "0.1", "mail"]), 75);
    }
}

#[test]
fn a_command_that_is_left_with_the_exclusive_side() {
    for script in [REPLACED, IN_THE_BACKGROUND] {
        let place = Place::with_barrier();
        let mut left = Left::by(&place, "-x", script);
        left.wrapper.end();
        let pid = left.command.as_raw();
        until("alone", || place.status()["holder"]["pid"] == pid);
        let status = place.status();
        assert_eq!(
            (&status["holder"]["comm"], &status["holder"]["label"]),
            (&"sleep".into(), &"lmtp".into())
        );
        left.assert_named(&place.run(["run", "-x", "-w", "0.1", "mail", "true"]), 75);
        left.assert_named(&place.run(["run", "-n", "mail", "true"]), 75);
        left.assert_named(&place.run(["retire", "mail"]), 75);
        left.assert_named(&place.run(["freeze", "-w", "0.1", "mail"]), 75);
    }
}
