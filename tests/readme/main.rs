//! README.md tells the truth: every command in it is run, in order, in a sandbox.
//!
//! The info string of a block says how: `sh` as any user, in a scratch folder; `sh root` as root, on a machine of its
//! own, as far as namespaces make one: a btrfs on /srv, an /etc to be written, an etcd, and stand-ins for systemd and apt
//! (`machine.sh`); `sh checkout` are scripts of this repository, which are jobs of their own and are only
//! asked for their help here. `rust` blocks are documentation
//! tests of the library, `c` blocks are programs that `tests/c` compiles and runs, `text` is output. There is no other kind, so nothing slips through.

#[path = "../common/mod.rs"]
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{is_root, must, programs, root, skip, without_our_variables};

struct Block {
    kind: String,
    line: usize,
    text: String,
}

fn blocks() -> Vec<Block> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (number, line) in readme.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(kind) if !inside => {
                inside = true;
                blocks.push(Block { kind: kind.to_owned(), line: number + 2, text: String::new() });
            }
            Some(_) => inside = false,
            None if inside => {
                let text = &mut blocks.last_mut().unwrap().text;
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    assert!(!inside, "README.md: a block has no end");
    blocks
}

fn of_kind(kind: &str) -> Vec<Block> {
    let blocks: Vec<Block> = blocks().into_iter().filter(|block| block.kind == kind).collect();
    assert!(!blocks.is_empty(), "README.md: no block of the kind {kind:?}");
    blocks
}

/// The blocks as one script that stops at the first command that fails, and shows which.
fn script(blocks: &[Block]) -> String {
    let mut script = String::from("set -euxo pipefail\n");
    for block in blocks {
        script.push_str(&format!(": README.md line {}\n{}", block.line, block.text));
    }
    script
}

/// `shell`, in `folder`, with the command of this build and nothing of the user's surroundings.
fn run(mut shell: Command, folder: &Path) {
    let program = programs();
    let path = std::env::var("PATH").unwrap();
    without_our_variables(&mut shell, &[]);
    shell
        .current_dir(folder)
        .env("PATH", format!("{}:{path}:/usr/sbin:/sbin", program.display()))
        .env("HOME", folder)
        .env("XDG_RUNTIME_DIR", folder);
    must(shell);
}

#[test]
fn every_block_is_of_a_known_kind() {
    for block in blocks() {
        assert!(
            ["sh", "sh root", "sh checkout", "rust", "c", "text"].contains(&block.kind.as_str()),
            "README.md line {}: unknown kind of block {:?}",
            block.line,
            block.kind
        );
    }
}

#[test]
fn what_any_user_can_run() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut shell = Command::new("bash");
    shell
        .arg("-c")
        .arg(script(&of_kind("sh")))
        .env("STILLPOINT_CATALOG", folder.path().join("catalog"));
    run(shell, folder.path());
}

/// Where there is one, as `scripts/test` unpacks it, and the command that needs it.
fn etcd() -> Option<PathBuf> {
    if !programs().join("stillpoint-cluster").exists() {
        skip("stillpoint-cluster is not built: cargo build --workspace");
        return None;
    }
    let unpacked = programs().join("../unpacked/etcd-server/usr/bin/etcd");
    let found = [PathBuf::from("/usr/bin/etcd"), unpacked].into_iter().find(|etcd| etcd.exists());
    if found.is_none() {
        skip("etcd is missing: scripts/test --prepare unpacks it");
    }
    found
}

#[test]
fn what_root_can_run() {
    let mut blocks = of_kind("sh root");
    if !is_root() {
        return;
    }
    let etcd = etcd();
    blocks.retain(|block| etcd.is_some() || !block.text.contains("stillpoint cluster"));
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--net", "--pid", "--fork", "--mount-proc", "bash", "-c"]);
    shell.arg(format!("{}\n{}", include_str!("machine.sh"), script(&blocks)));
    shell.env("REPOSITORY", root()).env("BUILT", programs()).env("ETCD", etcd.unwrap_or_default());
    run(shell, folder.path());
}

#[test]
fn what_needs_a_checkout() {
    for block in of_kind("sh checkout") {
        for line in block.text.lines() {
            let program = line.split_whitespace().next().unwrap();
            if program == "cargo" {
                continue;
            }
            let help = Command::new(root().join(program)).arg("--help").output();
            let help = help.unwrap_or_else(|error| panic!("README.md: {program}: {error}"));
            assert!(help.status.success(), "{program} --help: {}", help.status);
        }
    }
}
