//! The barrier itself: the rooms of `src/`, as the diagram in `src/lib.rs` shows them.

use crate::house::{Exception, House};

const CORE: House = House {
    root: "src",
    module: "",
    storeys: &[
        &["system"],
        &["gate", "error"],
        &["file"],
        &["seat", "report"],
        &["member"],
        &["succession"],
        &["barrier"],
        &["shared", "exclusive"],
        &["write_lock"],
    ],
    exceptions: &[
        Exception { file: "system/calls.rs", names: "file::layout", reason: "not yet apart" },
        Exception { file: "error/mod.rs", names: "file::open", reason: "not yet apart" },
        Exception { file: "error/mod.rs", names: "report::writer", reason: "not yet apart" },
        Exception { file: "file/boot.rs", names: "member::reclaim", reason: "not yet apart" },
        Exception { file: "seat/mod.rs", names: "member::process", reason: "not yet apart" },
        Exception { file: "member/cover.rs", names: "barrier::handle", reason: "not yet apart" },
        Exception { file: "member/join.rs", names: "barrier::handle", reason: "not yet apart" },
        Exception { file: "member/join.rs", names: "shared::cookie", reason: "not yet apart" },
        Exception { file: "member/join.rs", names: "shared::counted", reason: "not yet apart" },
        Exception { file: "member/join.rs", names: "shared::opening", reason: "not yet apart" },
        Exception { file: "member/join.rs", names: "shared::wait", reason: "not yet apart" },
        Exception {
            file: "member/lifeline.rs",
            names: "succession::signature",
            reason: "not yet apart",
        },
        Exception { file: "member/process.rs", names: "barrier::handle", reason: "not yet apart" },
        Exception { file: "member/reclaim.rs", names: "barrier::handle", reason: "not yet apart" },
        Exception {
            file: "succession/coming_over.rs",
            names: "barrier::handle",
            reason: "not yet apart",
        },
        Exception {
            file: "succession/coming_over.rs",
            names: "barrier::options",
            reason: "not yet apart",
        },
        Exception {
            file: "succession/gathering.rs",
            names: "barrier::handle",
            reason: "not yet apart",
        },
        Exception {
            file: "barrier/fresh_start.rs",
            names: "exclusive::guard",
            reason: "not yet apart",
        },
        Exception { file: "barrier/handle.rs", names: "exclusive::guard", reason: "not yet apart" },
        Exception { file: "barrier/handle.rs", names: "shared::counted", reason: "not yet apart" },
        Exception { file: "barrier/handle.rs", names: "shared::wait", reason: "not yet apart" },
        Exception {
            file: "barrier/options.rs",
            names: "exclusive::guard",
            reason: "not yet apart",
        },
        Exception { file: "barrier/status.rs", names: "exclusive::guard", reason: "not yet apart" },
        Exception {
            file: "shared/command_share.rs",
            names: "exclusive::drain",
            reason: "not yet apart",
        },
        Exception {
            file: "shared/command_share.rs",
            names: "exclusive::guard",
            reason: "not yet apart",
        },
        Exception { file: "shared/wait.rs", names: "exclusive::drain", reason: "not yet apart" },
        Exception { file: "shared/wait.rs", names: "exclusive::guard", reason: "not yet apart" },
        Exception { file: "exclusive/freeze.rs", names: "shared::wait", reason: "not yet apart" },
        Exception { file: "exclusive/held.rs", names: "shared::wait", reason: "not yet apart" },
    ],
};

#[test]
fn the_core_keeps_to_its_plan() {
    CORE.check();
    CORE.check_diagram("lib.rs");
    CORE.check_heads();
}
