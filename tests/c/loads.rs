//! The loads of programs that adopted the library: for some seconds, or as long as scripts/load says.

use crate::common::must;
use crate::harness::{Variant, Workshop};

/// For how many seconds each load runs.
fn seconds() -> String {
    std::env::var("STILLPOINT_LOAD_SECONDS").unwrap_or_else(|_| "2".into())
}

fn deliver(threads: &str, variant: Variant) {
    let workshop = Workshop::new();
    let mut load = workshop.suite("deliveries", variant).expect("only valgrind may be missing");
    let output = must(load.args([&seconds(), threads]));
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn two_threads_that_deliver() {
    deliver("2", Variant::Plain);
}

#[test]
fn sixteen_threads_that_deliver() {
    deliver("16", Variant::Plain);
}

#[test]
fn sixteen_threads_that_deliver_sanitized() {
    deliver("16", Variant::Sanitized);
}
