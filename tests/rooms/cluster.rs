//! The cluster: the rooms of `bin/cluster`, as the diagram in its `lib.rs` shows them.

use crate::house::House;

const FOLDER: &str = "bin/cluster";

const CLUSTER: House = House {
    root: FOLDER,
    module: "",
    storeys: &[
        &["words"],
        &["store"],
        &["record"],
        &["host"],
        &["agent", "coordinator", "roster"],
        &["verbs"],
    ],
    exceptions: &[],
};

#[test]
fn the_cluster_keeps_to_its_plan() {
    CLUSTER.check();
    CLUSTER.check_diagram("lib.rs");
    CLUSTER.check_heads();
}
