//! README.md, the bench's own and the plots say what the kept data of the bench says, and nothing else.

#[path = "bench/figures/mod.rs"]
#[allow(dead_code, reason = "the bench uses the rest")]
mod figures;

use std::path::Path;

use figures::processors::{self, Processor};

#[test]
fn table_and_plots_are_made_of_the_data() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (path, made) in figures::files(root).unwrap() {
        let found = std::fs::read_to_string(&path).unwrap();
        let line = found.lines().zip(made.lines()).position(|(found, made)| found != made);
        assert!(
            found == made,
            "{}: line {} is not what the data says: scripts/bench --redraw",
            path.display(),
            line.unwrap_or(found.lines().count().min(made.lines().count())) + 1
        );
    }
}

#[test]
fn a_run_replaces_the_row_of_its_own_processor_only() {
    let processor = |name: &str, pair: f64| -> Processor {
        let row = serde_json::json!({ "name": name, "pair": pair, "from_c": 8.0, "flock": 400.0 });
        serde_json::from_value(row).unwrap()
    };
    let rows = processors::with(vec![processor("B", 4.0)], processor("A", 5.0));
    let rows = processors::with(rows, processor("B", 3.0));
    let text = processors::markdown(&rows);
    let shown: Vec<&str> = text.lines().skip(2).collect();
    let expected = [
        "| A | 5.00 ns | 8.00 ns (1.6 x) |  | 400 ns (80 x) |",
        "| B | 3.00 ns | 8.00 ns (2.7 x) |  | 400 ns (133 x) |",
    ];
    assert_eq!(shown, expected);
}
