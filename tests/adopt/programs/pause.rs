//! The proof that a program waits for the pause: by what it does and leaves undone, and never by time.
//!
//! The gate is closed by the tool. The barrier then shows the program waiting, what it writes to is as it was, and it
//! is not over; once the tool has gone, it finishes, and has written.

use crate::common::{STILLPOINT, until};
use crate::harness::{Played, Scene};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The gate, closed by the tool.
pub struct Closed<'a> {
    scene: &'a Scene,
    tool: Played,
}

impl Closed<'_> {
    pub fn at(scene: &Scene) -> Closed<'_> {
        let mut command = Command::new(STILLPOINT);
        command.args(["run", "-x", "-w", "20", "--state", "none"]).arg(scene.barrier.path());
        command.args(["sh", "-c", "echo closed; read -r _"]);
        let mut tool = Played::begin(&mut command);
        assert_eq!(tool.line(), "closed");
        Closed { scene, tool }
    }

    /// Returns when a program of this name waits at the gate.
    pub fn until_it_waits(&self, name: &str) {
        until(&format!("{name} waits"), || {
            let writers = self.scene.status().writers;
            let mut waiting = writers.iter().filter(|writer| writer.waiting.is_some());
            waiting.any(|writer| writer.comm == name)
        });
    }

    pub fn open(mut self) {
        self.tool.go_on();
        self.tool.succeeds();
    }
}

/// What the files at a path hold.
pub fn contents(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut paths = vec![path.to_owned()];
    while let Some(path) = paths.pop() {
        match fs::read_dir(&path) {
            Ok(entries) => paths.extend(entries.map(|entry| entry.unwrap().path())),
            Err(_) => _ = fs::read(&path).map(|bytes| found.insert(path, bytes)),
        }
    }
    found
}

/// What there was is as it was; there may be more.
#[track_caller]
pub fn assert_untouched(before: &BTreeMap<PathBuf, Vec<u8>>, path: &Path) {
    let mut now = contents(path);
    now.retain(|path, _| before.contains_key(path));
    let changed = before.iter().find(|(path, bytes)| now.get(*path) != Some(bytes));
    assert!(changed.is_none(), "written while the gate is closed: {changed:?}");
}

/// Starts it while the gate is closed; `name` is the process that waits for it. What it says in the end.
#[track_caller]
pub fn finishes_after_the_pause(
    scene: &Scene,
    command: &mut Command,
    name: &str,
    data: &Path,
) -> String {
    let before = contents(data);
    let closed = Closed::at(scene);
    let mut played = Played::begin(command);
    closed.until_it_waits(name);
    assert!(!played.is_over(), "{command:?} does not wait");
    assert_untouched(&before, data);
    closed.open();
    let said = played.rest();
    played.succeeds();
    assert!(contents(data) != before, "{command:?} has written nothing");
    said
}

/// What takes no write lock is done while the gate is closed.
#[track_caller]
pub fn goes_on(scene: &Scene, command: &mut Command, data: &Path) {
    let before = contents(data);
    let closed = Closed::at(scene);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    assert!(contents(data) != before, "{command:?} has written nothing");
    closed.open();
}
