//! The command, `bin/stillpoint`.

use crate::house::House;

const FOLDER: &str = "bin/stillpoint";

#[test]
fn what_verbs_share_names_no_verb() {
    House {
        root: FOLDER,
        module: "",
        storeys: &[
            &["words", "files"],
            &["process"],
            &["barrier"],
            &["catalogue"],
            &["selection"],
            &["snapshot"],
            &["verbs"],
        ],
        exceptions: &[],
    }
    .check();
}

#[test]
fn what_a_provider_calls_names_no_provider() {
    House {
        root: FOLDER,
        module: "snapshot",
        storeys: &[
            &["place"],
            &["provider", "foreign"],
            &["data"],
            &["arguments"],
            &["members", "plan"],
            &["making"],
        ],
        exceptions: &[],
    }
    .check();
}
