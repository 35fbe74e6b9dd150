//! Programs whose wall clock is wrong: libfaketime, for the one alone that it is preloaded into.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::skip::skip;

/// What is to be preloaded; if it is not installed, that has been said.
#[track_caller]
pub fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    let mut found =
        folders.filter_map(|entry| Some(entry.ok()?.path().join("faketime/libfaketime.so.1")));
    let found = found.find(|path| path.exists());
    if found.is_none() {
        skip("libfaketime is missing");
    }
    found
}

/// By a clock that is off by what a file says, as it says it. Only the wall clock is.
pub fn by_a_clock(mut command: Command, library: &Path, clock: &Path) -> Command {
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command
}
