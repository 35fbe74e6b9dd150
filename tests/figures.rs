//! README.md, the bench's own and the plots say what the kept data of the bench says, and nothing else.

#[path = "bench/figures/mod.rs"]
mod figures;

use std::path::Path;

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
