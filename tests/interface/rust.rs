//! The library and the command are built by the Rust that Cargo.toml promises, and by Debian's own packages, which
//! README names as the way without rustup.

use crate::common::{must, skip};
use crate::scratch;
use std::path::Path;
use std::process::Command;

/// The version in Cargo.toml.
const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");
const DEBIANS: &str = "/usr/bin/cargo";

/// Everything but the tests, as a user has it, into a folder of its own.
fn must_build(cargo: &mut Command, action: &str, folder: &Path) {
    // What this test was started by would choose another compiler.
    for inherited in ["RUSTC", "RUSTC_WRAPPER", "RUSTFLAGS", "RUSTUP_TOOLCHAIN", "CARGO"] {
        cargo.env_remove(inherited);
    }
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_PROFILE_DEV_DEBUG", "0");
    must(cargo.args([action, "--locked", "--offline", "--target-dir"]).arg(folder));
}

/// Where no other Rust can be fetched, that is said and nothing more: Debian's is always to be had.
#[test]
fn the_oldest_builds_it() {
    let oldest = format!("{OLDEST}.0");
    let mut rustup = Command::new("rustup");
    rustup.args(["run", &oldest, "rustc", "--version"]);
    if !rustup.output().is_ok_and(|output| output.status.success()) {
        return eprintln!("NOT RUN: needs `rustup toolchain install {oldest}`");
    }
    let mut cargo = Command::new("rustup");
    must_build(cargo.args(["run", &oldest, "cargo"]), "check", &scratch().join("oldest"));
}

#[test]
fn debians_own_builds_it() {
    if !Path::new(DEBIANS).exists() {
        return skip("Debian's cargo-web is missing");
    }
    // Whose compiler is found beside it, and not in the folder of rustup.
    let folder = scratch().join("debians");
    must_build(Command::new(DEBIANS).env("PATH", "/usr/bin:/bin"), "build", &folder);
    must(Command::new(folder.join("debug/stillpoint")).arg("--version"));
    assert!(folder.join("debug/libstillpoint.so").exists());
}

/// What README says of it.
#[test]
fn readme_names_the_oldest_and_debians() {
    let readme = std::fs::read_to_string("README.md").unwrap();
    for said in [&format!("Rust {OLDEST} or later"), "`apt install cargo-web`"] {
        assert!(readme.contains(said), "README does not say {said}");
    }
}
