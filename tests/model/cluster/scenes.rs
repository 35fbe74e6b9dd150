//! The scenes.

use super::scene::{Mode, PLAIN, Scene};
use super::state::Phase;
use crate::scenes::full;

fn bound(small: u8, large: u8) -> u8 {
    if full() { large } else { small }
}

/// Anybody may be killed at any step and start again.
pub fn hold_all() -> Scene {
    Scene {
        name: "cluster: hold-all",
        crashes: bound(1, 2),
        losses: bound(0, 1),
        resyncs: true,
        ..PLAIN
    }
}

pub fn early() -> Scene {
    Scene { name: "cluster: early", mode: Mode::Early, ..hold_all() }
}

/// Nobody waits until all are prepared.
pub fn at_once() -> Scene {
    Scene { name: "cluster: at once", begins: Phase::Pause, ..hold_all() }
}

pub fn early_at_once() -> Scene {
    Scene { name: "cluster: early, at once", mode: Mode::Early, ..at_once() }
}

/// What is left undone between two hosts may show at a third.
pub fn three_hosts() -> Scene {
    Scene { name: "cluster: three hosts", hosts: 3, crashes: bound(0, 1), ..PLAIN }
}

pub fn three_hosts_early() -> Scene {
    Scene { name: "cluster: three hosts, early", mode: Mode::Early, ..three_hosts() }
}

/// One coordinator is asleep, its lease is lost, and another one begins the next epoch.
pub fn two_epochs() -> Scene {
    Scene {
        name: "cluster: two epochs",
        epochs: 2,
        coordinators: 2,
        resyncs: full(),
        crashes: bound(0, 1),
        ..PLAIN
    }
}

/// Reports come twice, and late; snapshot tools fail; leases are lost by mistake.
pub fn copies() -> Scene {
    Scene {
        name: "cluster: late reports",
        copies: 1,
        failures: bound(0, 1),
        losses: bound(0, 1),
        crashes: bound(0, 1),
        resyncs: full(),
        ..PLAIN
    }
}

pub fn copies_early() -> Scene {
    Scene { name: "cluster: late reports, early", mode: Mode::Early, ..copies() }
}

/// Nothing goes wrong but that reports come twice, and late, and that agents lose their leases.
pub fn undisturbed() -> Scene {
    Scene {
        name: "cluster: undisturbed",
        copies: bound(1, 2),
        losses: bound(1, 2),
        calm: true,
        steady: true,
        resyncs: full(),
        ..PLAIN
    }
}

/// An agent that the roster does not have obeys as well: its host has left, or it is a clone.
pub fn outsider() -> Scene {
    let hosts = bound(2, 3) as usize;
    Scene { name: "cluster: outsider", hosts, outsiders: 1, resyncs: full(), ..PLAIN }
}

/// The same beside two hosts, and nobody gives up.
pub fn clone() -> Scene {
    Scene { name: "cluster: clone", hosts: 3, outsiders: 1, calm: true, ..PLAIN }
}

/// A host joins or leaves.
pub fn moves() -> Scene {
    Scene { name: "cluster: joins and leaves", moves: 1, ..outsider() }
}

/// The store is restored from an old backup, and its revisions come again.
pub fn restored() -> Scene {
    Scene {
        name: "cluster: restored",
        restores: 1,
        copies: 1,
        crashes: bound(0, 1),
        resyncs: true,
        ..PLAIN
    }
}

/// The same, where a disk is lost as well.
pub fn restored_with_a_host() -> Scene {
    Scene {
        name: "cluster: restored with a host",
        copies: bound(0, 1),
        resyncs: full(),
        forgets: true,
        crashes: 1,
        ..restored()
    }
}

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
        hold_all early at_once early_at_once undisturbed three_hosts three_hosts_early two_epochs copies copies_early outsider moves
        restored restored_with_a_host
    }
}
