//! What an assertion says, and when it says nothing.

use crate::common::{must, root};
use crate::harness::Workshop;
use nix::libc::SIGABRT;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the program that leaks a share as it is told, with `STILLPOINT_ASSERT` set or not.
fn leak(workshop: &Workshop, program: &Path, how: &str, setting: Option<&str>) -> Output {
    let mut command = workshop.command(program);
    command.arg(workshop.place.folder()).arg(how);
    if let Some(setting) = setting {
        command.env("STILLPOINT_ASSERT", setting);
    }
    // Nobody needs its core.
    let mut limited = Command::new("prlimit");
    limited.arg("--core=0").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited.output().unwrap()
}

/// The one line that it should say, given what it printed of itself before.
fn line(workshop: &Workshop, output: &Output, depth: u32, named: bool) -> String {
    let told = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u32> = told.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let [pid, taken, asserted] = numbers[..] else { panic!("{output:?}") };
    let source = root().join("tests/c/assertions.c");
    let (source, barrier) = (source.display(), workshop.place.path("assertions.barrier"));
    let place = if named { format!(", taken at {source}:{taken}") } else { String::new() };
    format!(
        "{source}:{asserted}: stillpoint[{pid}]: {}: a share is held here (depth {depth}){place}\n",
        barrier.display()
    )
}

const LEAKS: [(&str, u32, bool); 9] = [
    ("share", 1, true),
    ("nested", 2, true),
    ("timed", 1, true),
    ("nowhere", 1, false),
    ("flock", 1, true),
    ("fcntl", 1, true),
    ("closed", 1, true),
    ("thread", 1, true),
    ("none", 0, false),
];

#[test]
fn a_leaked_share_is_named() {
    let workshop = Workshop::new();
    let program = workshop.compile("assertions", &[]);
    for (how, depth, named) in LEAKS {
        for setting in [None, Some("abort"), Some("something else"), Some("log"), Some("off")] {
            let output = leak(&workshop, &program, how, setting);
            let said = String::from_utf8_lossy(&output.stderr);
            let survived = output.stdout.ends_with(b"survived\n");
            let (silent, goes_on) = match setting {
                _ if how == "none" => (true, true),
                Some("off") => (true, true),
                Some("log") => (false, true),
                _ => (false, false),
            };
            if silent {
                assert_eq!(said, "", "{how} {setting:?}");
            } else {
                assert_eq!(said, line(&workshop, &output, depth, named), "{how} {setting:?}");
            }
            assert_eq!(survived, goes_on, "{how} {setting:?}: {output:?}");
            if !goes_on {
                assert_eq!(output.status.signal(), Some(SIGABRT), "{how} {setting:?}");
            }
        }
    }
}

#[test]
fn ndebug_compiles_assertions_out() {
    let workshop = Workshop::new();
    let program = workshop.compile("assertions", &["-DNDEBUG"]);
    for (how, ..) in LEAKS {
        let output = leak(&workshop, &program, how, None);
        assert!(output.stdout.ends_with(b"survived\n") && output.stderr.is_empty(), "{output:?}");
    }
    let used = |program: &Path| {
        let symbols = must(Command::new("nm").args(["-D", "--undefined-only"]).arg(program));
        String::from_utf8(symbols.stdout).unwrap().contains("stillpoint_assert")
    };
    assert!(!used(&program));
    assert!(used(&workshop.compile("assertions", &[])));
}
