//! The command, `bin/stillpoint`: as the diagram in its `main.rs` shows it, and those of its rooms that have an
//! order of their own.

use crate::circles::circles;
use crate::house::{Exception, House};

const FOLDER: &str = "bin/stillpoint";

const COMMAND: House = House {
    root: FOLDER,
    module: "",
    storeys: &[
        &["words", "files"],
        &["process"],
        &["barrier"],
        &["catalogue"],
        &["stilling"],
        &["selection", "snapshot", "adoption"],
        &["job"],
        &["metrics"],
        &["verbs"],
    ],
    exceptions: &[],
};

const SNAPSHOT: House = House {
    root: FOLDER,
    module: "snapshot",
    storeys: &[
        &["place"],
        &["provider", "foreign"],
        &["data"],
        &["arguments"],
        &["members", "plan", "coordinated"],
        &["making"],
    ],
    exceptions: &[],
};

const VERBS: House = House {
    root: FOLDER,
    module: "verbs",
    storeys: &[
        &["deferred"],
        &[
            "adopt",
            "check",
            "cluster",
            "completions",
            "create",
            "freeze",
            "job",
            "latest",
            "list",
            "mount",
            "participant",
            "prune",
            "recover",
            "report",
            "restore",
            "retire",
            "run",
            "settle",
            "snapshot",
            "status",
            "thaw",
            "unmount",
            "use",
        ],
    ],
    exceptions: &[Exception {
        file: "completions/mod.rs",
        names: "verbs::Cli",
        reason: "what is completed is the whole command line",
    }],
};

#[test]
fn what_verbs_share_names_no_verb() {
    COMMAND.check();
    COMMAND.check_diagram("main.rs");
    COMMAND.check_heads();
}

#[test]
fn no_files_name_each_other() {
    assert!(circles(FOLDER).is_empty(), "{:?}", circles(FOLDER));
}

#[test]
fn no_verb_names_another() {
    VERBS.check();
}

#[test]
fn what_a_provider_calls_names_no_provider() {
    SNAPSHOT.check();
    SNAPSHOT.check_diagram("mod.rs");
    SNAPSHOT.check_heads();
}
