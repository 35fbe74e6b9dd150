//! What a machine must have for a test. Where it has it not, the test says so and passes; in CI it fails.

use std::io::Write;
use std::path::Path;

/// Says aloud that this machine cannot run the test that calls it.
#[track_caller]
pub fn skip(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(std::env::var_os("CI").is_none(), "{test} must not be skipped in CI: {why}");
    // Not by a macro, whose output the harness keeps to itself.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

/// Whether the test may do what only root may; if not, that has been said.
#[track_caller]
pub fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip("it takes root");
    }
    root
}

/// Whether all of these tools are installed; if not, that has been said.
#[track_caller]
pub fn has(tools: &[&str]) -> bool {
    const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let is_here = |tool: &str| FOLDERS.iter().any(|folder| Path::new(folder).join(tool).exists());
    let missing = tools.iter().find(|tool| !is_here(tool));
    if let Some(tool) = missing {
        skip(&format!("{tool} is missing"));
    }
    missing.is_none()
}
