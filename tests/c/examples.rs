//! The examples of libstillpoint(3) and README.md: each is compiled as it stands there, and run by the
//! program of its name in `examples`.

use crate::common::{must, root};
use crate::harness::{WARNINGS, Workshop, include};
use crate::manual;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Compiles the program of this name, which includes the example, and runs it.
fn runs(name: &str) {
    let (_, text) = manual::examples().into_iter().find(|example| example.0 == name).unwrap();
    let workshop = Workshop::new();
    let (stem, language) = name.split_once('.').unwrap();
    fs::write(workshop.place.path(&format!("{stem}.example")), text).unwrap();
    let source = root().join("tests/c/examples").join(name);
    if language == "py" {
        let mut python = workshop.command(Path::new("python3"));
        must(python.arg(source).arg(workshop.place.folder()));
        return;
    }
    let program = workshop.place.path(stem);
    let (compiler, standard) = if language == "c" { ("gcc", "c11") } else { ("g++", "c++17") };
    let mut compile = Command::new(compiler);
    compile.args(WARNINGS).args(["-g", "-O1"]).arg(format!("-std={standard}"));
    if language == "c" {
        // As a program has it that uses what POSIX has.
        compile.arg("-D_GNU_SOURCE");
    }
    compile.arg("-I").arg(include()).arg("-I").arg(workshop.place.folder());
    compile.arg(source).arg("-o").arg(&program);
    must(compile.args(workshop.linking()));
    must(workshop.command(&program).arg(workshop.place.folder()));
}

#[test]
fn buffered_output() {
    runs("store.c");
}

#[test]
fn locks_that_others_keep() {
    runs("dotlock.c");
}

#[test]
fn waits_that_alarm_limits() {
    runs("limit.c");
}

#[test]
fn a_handler_of_faults() {
    runs("survive.c");
}

#[test]
fn an_event_loop() {
    runs("loop.c");
}

/// Shares of the thread, whose tasks overlap, keep the exclusive side out; counted ones do not.
#[test]
fn asyncio_tasks() {
    runs("share.py");
}

#[test]
fn a_share_as_a_scope() {
    runs("share.cc");
}

/// Finds who writes in a pause, and not who takes a share for it.
#[test]
fn what_is_written_in_a_pause() {
    let (_, script) =
        manual::examples().into_iter().find(|example| example.0 == "quiet.sh").unwrap();
    let workshop = Workshop::new();
    let shell = |script: &str| {
        let mut shell = workshop.command("sh".as_ref());
        shell.args(["-euc", script]).current_dir(workshop.place.folder());
        shell
    };
    must(&mut shell("mkdir spool; stillpoint create --state none ./spool.barrier"));
    let found = |writer: &str| {
        let until = "while [ ! -e stop ]; do WRITE; sleep 0.01; done";
        let mut writer = shell(&until.replace("WRITE", writer)).spawn().unwrap();
        let output = must(&mut shell(&script));
        must(&mut shell("touch stop"));
        assert!(writer.wait().unwrap().success());
        must(&mut shell("rm stop"));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(found("stillpoint run -s ./spool.barrier touch spool/index"), "");
    assert!(found("touch spool/index").contains("./spool/index"));
}

#[test]
fn each_example_is_run() {
    let mut wanted: Vec<String> = manual::examples().into_iter().map(|(name, _)| name).collect();
    // By `install`, and above.
    wanted.retain(|name| !["deliver.c", "quiet.sh"].contains(&name.as_str()));
    let folder = fs::read_dir(root().join("tests/c/examples")).unwrap();
    let mut found: Vec<String> =
        folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let here = fs::read_to_string(root().join("tests/c/examples.rs")).unwrap();
    assert!(wanted.iter().all(|name| here.contains(&format!("runs(\"{name}\")"))), "{wanted:?}");
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted);
}

/// With a barrier, and where there is none.
#[test]
fn the_program_of_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let programs: Vec<&str> = readme.split("```c\n").skip(1).collect();
    assert_eq!(programs.len(), 1);
    let workshop = Workshop::new();
    let source = workshop.place.path("deliver.c");
    fs::write(&source, programs[0].split_once("```").unwrap().0).unwrap();
    let program = workshop.compile_source(&source, &[]);
    let deliver = || {
        must(workshop.command(&program).current_dir(workshop.place.folder()));
        fs::read_to_string(workshop.place.path("index")).unwrap()
    };
    assert_eq!(deliver(), "message\n");
    let mut create = workshop.command(Path::new("stillpoint"));
    must(create.args(["create", "./spool.barrier"]).current_dir(workshop.place.folder()));
    assert_eq!(deliver(), "message\nmessage\n");
    fs::write(workshop.place.path("spool.barrier"), "none any more").unwrap();
    let mut refused = workshop.command(&program);
    let refused = refused.current_dir(workshop.place.folder()).output().unwrap();
    assert_eq!(refused.status.code(), Some(75), "{refused:?}");
    assert_eq!(fs::read_to_string(workshop.place.path("index")).unwrap(), "message\nmessage\n");
}
