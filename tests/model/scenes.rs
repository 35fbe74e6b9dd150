//! The scenes: who takes part, what may happen to them, and whether time passes.
//!
//! Each is explored to its end. In all of them shares and pauses are asked for again and again
//! without bound; what is bounded is how many take part, and how often somebody is killed or stopped.

use crate::scene::{PLAIN, Scene};
use crate::state::WRITERS;

/// Whether the large bounds were asked for: `STILLPOINT_MODEL=full`.
pub fn full() -> bool {
    std::env::var("STILLPOINT_MODEL").is_ok_and(|size| size == "full")
}

/// `small` in CI, else `large`.
fn bound(small: u8, large: u8) -> u8 {
    if full() { large } else { small }
}

/// Two writers, two shares deep, and two tools. Anybody may be killed at any step, or stopped there
/// and perhaps continued; waiters revoke and heal.
pub fn base() -> Scene {
    Scene { name: "base", nests: true, crashes: bound(1, 2), ..PLAIN }
}

/// The same, with a stop in place of a kill; in the large one both.
pub fn stopped() -> Scene {
    let tools = bound(1, 2) as usize;
    Scene { name: "stopped", nests: true, tools, crashes: bound(0, 1), stops: 1, ..PLAIN }
}

/// No time passes: nobody is woken by a clock, and no limit helps anybody on.
pub fn wake_ups() -> Scene {
    Scene { name: "wake-ups", nests: true, ticks: false, limits: false, ..PLAIN }
}

/// The same with one pause: no later one makes good what it has missed.
pub fn one_wake_up() -> Scene {
    Scene { name: "one wake-up", one_pause: true, tools: 1, ..wake_ups() }
}

/// Where a release wakes one waiter and leaves the rest to him.
pub fn readmission() -> Scene {
    Scene { name: "readmission", readmits_one: true, ticks: false, limits: false, ..PLAIN }
}

/// One waiter is woken, and may be killed or stopped before he wakes the next.
pub fn readmission_with_ticks() -> Scene {
    Scene {
        name: "readmission with ticks",
        readmits_one: true,
        tools: 1,
        crashes: 1,
        stops: bound(0, 1),
        ..PLAIN
    }
}

/// A tool whose pause has no limit is killed. One writer cannot ask who lives, and the next tool is
/// patient.
pub fn no_limit() -> Scene {
    Scene {
        name: "no limit",
        limited: [false, true],
        paces: [false, true],
        limits: false,
        can_ask: [false, true, true],
        crashes: 1,
        writers_may_die: false,
        tools_may_die: [true, false],
        ..PLAIN
    }
}

/// Nobody lives for ever with X: a tool is killed, a writer is stopped, and the other tool waits for X
/// as long as it takes.
pub fn healing() -> Scene {
    Scene {
        name: "healing",
        writers: bound(1, 2) as usize,
        waits_for_x: true,
        crashes: 1,
        writers_may_die: full(),
        tools_may_die: [true, full()],
        stops: 1,
        tools_may_stop: false,
        ..PLAIN
    }
}

/// A command under a share: its wrapper may be killed, or end before it does. A look comes to its slot
/// first.
pub fn under_a_share() -> Scene {
    Scene {
        name: "under a share",
        commands: [None, Some(0), None],
        tools: bound(1, 2) as usize,
        crashes: 1,
        ..PLAIN
    }
}

/// A command under a command under a share. A look comes to the innermost first.
pub fn under_a_command() -> Scene {
    Scene {
        name: "under a command",
        slots: 3,
        writers: 3,
        tools: 1,
        one_share: true,
        commands: [None, Some(0), Some(1)],
        crashes: bound(0, 1),
        ticks: full(),
        limits: full(),
        ..PLAIN
    }
}

/// A command under a pause, which may outlive it, and an ordinary writer.
pub fn under_a_pause() -> Scene {
    Scene {
        name: "under a pause",
        under_pause: Some(0),
        crashes: 1,
        tools: bound(1, 2) as usize,
        ..PLAIN
    }
}

/// A command outlives a share, and others count in the slot today that its claim is for.
pub fn old_claim() -> Scene {
    Scene {
        name: "old claim",
        slots: 2,
        old_claim: true,
        counts: [false, true, false],
        tools: 1,
        ..PLAIN
    }
}

/// One slot, and one after the other who wants it: its owner may be killed, or its thread end.
pub fn reclaiming() -> Scene {
    Scene {
        name: "reclaiming",
        slots: 1,
        writers: bound(2, 3) as usize,
        tools: bound(1, 2) as usize,
        newcomers: [false, true, true],
        ends_threads: true,
        crashes: 2,
        ..PLAIN
    }
}

/// A process forks, while it joins, inside a share or outside, and the child joins anew.
pub fn forking() -> Scene {
    Scene {
        name: "forking",
        newcomers: [true, false, false],
        child: Some(1),
        tools: bound(1, 2) as usize,
        crashes: 1,
        limits: false,
        ..PLAIN
    }
}

/// Two threads of one process, which count in its slot.
pub fn counting() -> Scene {
    Scene {
        name: "counting",
        slots: 1,
        counts: [true; WRITERS],
        one_process: true,
        nests: true,
        tools: bound(1, 2) as usize,
        crashes: 1,
        ..PLAIN
    }
}

/// The same, where no time passes.
pub fn counting_without_time() -> Scene {
    Scene { name: "counting without time", crashes: 0, ticks: false, limits: false, ..counting() }
}

/// A writer stays inside for good, and the limit of a drain never passes: courtesy alone keeps the
/// others going.
pub fn courtesy() -> Scene {
    Scene {
        name: "courtesy",
        courteous: true,
        long_share: true,
        limits: false,
        tools: bound(1, 2) as usize,
        crashes: bound(0, 1),
        ..PLAIN
    }
}

/// Two barriers, which writers nest in the order in which tools close them. No time passes.
pub fn two_barriers() -> Scene {
    Scene {
        name: "two barriers",
        barriers: 2,
        tools: bound(1, 2) as usize,
        ticks: false,
        limits: false,
        ..PLAIN
    }
}

/// The same with time, and a kill.
pub fn two_barriers_with_time() -> Scene {
    Scene { name: "two barriers with time", barriers: 2, tools: 1, crashes: 1, ..PLAIN }
}

/// The file was removed and made again: one writer was there before, one came later.
pub fn replaced() -> Scene {
    Scene {
        name: "replaced",
        barriers: 2,
        replaced: true,
        came_later: [false, true, false],
        notices: true,
        nests: true,
        tools: bound(1, 2) as usize,
        crashes: 1,
        ..PLAIN
    }
}

/// Both writers were there before, and one of them may heal.
pub fn replaced_while_healing() -> Scene {
    Scene {
        name: "replaced while healing",
        came_later: [false; WRITERS],
        nests: false,
        limits: false,
        ..replaced()
    }
}

/// The same, where no time passes and nobody dies.
pub fn replaced_without_time() -> Scene {
    Scene {
        name: "replaced without time",
        writers: bound(1, 2) as usize,
        came_later: [false; WRITERS],
        old_tool: true,
        tools: 2,
        one_pause: true,
        crashes: 0,
        ticks: false,
        limits: false,
        nests: false,
        ..replaced()
    }
}

/// A tool is busy with the old file, and a writer has come to the new one.
pub fn replaced_under_a_tool() -> Scene {
    Scene {
        name: "replaced under a tool",
        writers: bound(1, 2) as usize,
        came_later: [true, false, false],
        old_tool: true,
        tools: 2,
        nests: false,
        ..replaced()
    }
}

/// A command under a share of the old file. A look comes to its slot first.
pub fn replaced_under_a_share() -> Scene {
    Scene {
        name: "replaced under a share",
        came_later: [false; WRITERS],
        commands: [None, Some(0), None],
        nests: false,
        notices: full(),
        ..replaced()
    }
}

/// Nothing is wrong in any of them.
#[cfg(test)]
mod tests {
    use crate::explore::holds;

    macro_rules! hold {
        ($($scene:ident)*) => {
            $(#[test]
            fn $scene() {
                holds(super::$scene());
            })*
        };
    }

    hold! {
        base stopped wake_ups one_wake_up readmission readmission_with_ticks no_limit healing
        under_a_share under_a_command under_a_pause old_claim
        reclaiming forking counting counting_without_time courtesy
        two_barriers two_barriers_with_time
        replaced replaced_while_healing replaced_without_time replaced_under_a_tool replaced_under_a_share
    }
}
