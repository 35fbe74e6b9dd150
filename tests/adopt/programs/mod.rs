//! Real programs, none of which knows of a barrier: each waits at a closed gate, and finishes its work after it.
//! What is not covered by design is shown, too.

mod databases;
mod dovecot;
mod languages;
mod mailboxes;
mod pause;
mod transports;

use crate::common::{programs, skip};
use std::path::{Path, PathBuf};
use std::process::Command;

const MESSAGE: &str = "From: a@example.org\nTo: b@example.org\nSubject: s\n\nbody\n";

#[track_caller]
fn is_missing(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", "command -v \"$0\"", program]).output().unwrap();
    let missing = !found.status.success() && !Path::new(program).exists();
    if missing {
        skip(&format!("{program} is missing"));
    }
    missing
}

/// A package that Debian does not install beside others, unpacked by `scripts/test`.
struct Unpacked(PathBuf);

impl Unpacked {
    #[track_caller]
    fn with(package: &str, program: &str) -> Option<Unpacked> {
        let root = programs().parent().unwrap().join("unpacked").join(package);
        let there = root.join(program).exists();
        if !there {
            skip(&format!("{} is missing: scripts/test unpacks it", root.join(program).display()));
        }
        there.then_some(Unpacked(root))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Where its libraries are.
    fn libraries(&self) -> String {
        let root = self.0.display();
        let folders = ["usr/lib", "usr/lib/x86_64-linux-gnu", "usr/lib/postfix"];
        folders.map(|folder| format!("{root}/{folder}")).join(":")
    }
}
