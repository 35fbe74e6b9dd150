//! The barrier itself: the rooms of `src/`, as the diagram in `src/lib.rs` shows them.

use crate::house::House;

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
        &["shared"],
        &["exclusive", "write_lock"],
    ],
    exceptions: &[],
};

#[test]
fn the_core_keeps_to_its_plan() {
    CORE.check();
    CORE.check_diagram("lib.rs");
    CORE.check_heads();
}
