//! The static library, in programs that load none: with glibc, and with musl.

use crate::common::{must, root};
use crate::harness::{WARNINGS, Workshop, include, library};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

fn scratch() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// What is installed of this build.
fn archive(folder: &Path) -> PathBuf {
    let archive = folder.join("libstillpoint.a");
    let mut make = Command::new(root().join("scripts/archive"));
    make.arg("--built").arg(library().with_extension("a")).arg(&archive);
    must(&mut make);
    archive
}

/// Compiles a suite into a program that loads no library.
fn compile(compiler: &str, name: &str, archives: &[PathBuf], folder: &Path) -> PathBuf {
    let program = folder.join(name);
    let mut command = Command::new(compiler);
    command.args(["-static", "-std=c11", "-g", "-O1"]).args(WARNINGS).arg("-I").arg(include());
    command.arg(root().join(format!("tests/c/{name}.c"))).arg("-o").arg(&program).args(archives);
    must(&mut command);
    program
}

fn passes(compiler: &str, archive: &Path, suites: &[&str]) {
    let folder = scratch();
    for name in suites {
        let program = compile(compiler, name, &[archive.to_owned()], folder.path());
        let headers = must(Command::new("readelf").arg("-lW").arg(&program)).stdout;
        assert!(!String::from_utf8(headers).unwrap().contains("INTERP"), "{name} is not static");
        let workshop = Workshop::new();
        must(workshop.command(&program).arg(workshop.place.folder()));
    }
}

#[test]
fn static_programs_pass_the_suites() {
    let folder = scratch();
    let suites = [
        "cancellation",
        "forks",
        "handles",
        "locks",
        "numbers",
        "order",
        "pauses",
        "signals",
        "unlocking",
    ];
    passes("gcc", &archive(folder.path()), &suites);
}

/// One for musl takes a standard library of Rust that no package of the system has: where it is not, that
/// is said and nothing more.
#[test]
fn static_programs_pass_the_suites_with_musl() {
    const TARGET: &str = "x86_64-unknown-linux-musl";
    let sysroot = must(Command::new("rustc").args(["--print", "sysroot"])).stdout;
    let sysroot = PathBuf::from(String::from_utf8(sysroot).unwrap().trim());
    let installed = sysroot.join("lib/rustlib").join(TARGET).join("lib").exists();
    if !installed || Command::new("musl-gcc").arg("--version").output().is_err() {
        eprintln!("NOT RUN: needs musl-tools and `rustup target add {TARGET}`");
        return;
    }
    let folder = scratch();
    let archive = folder.path().join("libstillpoint.a");
    let mut make = Command::new(root().join("scripts/archive"));
    make.args(["--target", TARGET]).arg(&archive);
    make.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("musl"));
    make.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    must(make.env_remove("RUSTFLAGS"));
    let suites =
        ["cancellation", "forks", "handles", "locks", "numbers", "order", "signals", "unlocking"];
    passes("musl-gcc", &archive, &suites);
}

fn visible(archive: &Path) -> BTreeSet<String> {
    let mut list = Command::new("nm");
    list.args(["--extern-only", "--defined-only", "--format=just-symbols"]).arg(archive);
    let names = String::from_utf8(must(&mut list).stdout).unwrap();
    let names = names.lines().filter(|line| !line.is_empty() && !line.ends_with(':'));
    names.map(str::to_string).collect()
}

/// Rust's standard library is in it, and would be in another archive of that kind as well.
#[test]
fn it_goes_into_a_program_beside_another_of_its_kind() {
    let folder = scratch();
    let archive = archive(folder.path());
    let names = visible(&archive);
    let strange: Vec<_> = names.iter().filter(|name| !name.starts_with("stillpoint_")).collect();
    assert_eq!(strange, [""; 0], "is visible");
    let mut list = Command::new("nm");
    list.args(["--dynamic", "--extern-only", "--defined-only", "--format=just-symbols"]);
    let shared = String::from_utf8(must(list.arg(library())).stdout).unwrap();
    let shared = shared.lines().map(str::to_string).collect();
    assert_eq!(names, shared, "the static library and the shared one");

    let other = folder.path().join("libother.a");
    let mut rename = Command::new("objcopy");
    rename.arg("--prefix-symbols=other_").arg(&archive).arg(&other);
    must(&mut rename);
    // What that one calls has its right name still.
    let undefined = ["--undefined-only", "--format=just-symbols"];
    let called = must(Command::new("nm").args(undefined).arg(&other)).stdout;
    let called = String::from_utf8(called).unwrap();
    let mut restore = Command::new("objcopy");
    for name in called.lines().filter_map(|name| name.strip_prefix("other_")) {
        restore.arg("--redefine-sym").arg(format!("other_{name}={name}"));
    }
    must(restore.arg(&other));
    let whole = ["-Wl,--whole-archive".into(), archive, other, "-Wl,--no-whole-archive".into()];
    let program = compile("gcc", "shares", &whole, folder.path());
    let workshop = Workshop::new();
    must(workshop.command(&program).arg(workshop.place.folder()));
}
