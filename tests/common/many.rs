//! Many runs at once, and the figures of all of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs under way at a time: most of each is waiting for other processes.
fn width() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from) * 3
}

/// Checks every case and returns what is wrong, in the order of the cases.
pub fn check<T: Sync>(
    cases: &[T],
    name: impl Fn(&T) -> String + Sync,
    run: impl Fn(&T) -> Result<(), String> + Sync,
) -> Vec<String> {
    let (next, violations) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..width().min(cases.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(index) else { return };
                    let verdict = catch_unwind(AssertUnwindSafe(|| run(case)));
                    let verdict = verdict.unwrap_or_else(|_| Err("panicked, see above".into()));
                    if let Err(violation) = verdict {
                        let line = format!("{}: {violation}", name(case));
                        violations.lock().unwrap().push((index, line));
                    }
                }
            });
        }
    });
    let mut violations = violations.into_inner().unwrap();
    violations.sort();
    violations.into_iter().map(|(_, line)| line).collect()
}

/// Prints the figures, and fails if anything was wrong.
pub fn report(figures: &str, violations: &[String]) {
    println!("faults: {figures}, {} violations", violations.len());
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}
