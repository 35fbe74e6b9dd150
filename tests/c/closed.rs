//! Programs without standard streams.

use crate::common::must;
use crate::harness::{Variant, Workshop};
use std::process::Command;

fn program(workshop: &Workshop, variant: Variant) -> Command {
    let mut program = workshop.suite("closed", variant).unwrap();
    program.env("STILLPOINT_ASSERT", "log").env("STILLPOINT_DIR", workshop.place.folder());
    program
}

#[test]
fn every_call_without_standard_streams() {
    for variant in [Variant::Plain, Variant::Sanitized] {
        let workshop = Workshop::new();
        must(&mut program(&workshop, variant));
    }
}

/// What is opened, by strace: among the first three numbers only what can be neither read nor written,
/// and the program's own.
#[test]
fn nothing_that_the_library_opens_is_a_standard_stream() {
    let workshop = Workshop::new();
    let program = program(&workshop, Variant::Plain);
    let trace = workshop.place.path("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=open,openat,dup,dup2,dup3,fcntl,socket", "-o"]);
    strace.arg(&trace).arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        if let Some(value) = value {
            strace.env(name, value);
        }
    }
    must(&mut strace);
    let trace = std::fs::read_to_string(trace).unwrap();
    let mut stand_ins = 0;
    // From the closing of the streams, which the program's own three openings end.
    let calls = trace.lines().skip_while(|line| !line.contains("F_DUPFD_CLOEXEC, 100"));
    for line in calls.take_while(|line| !line.contains("\"/dev/null\"")) {
        let number = line.rsplit_once(" = ").map(|(_, result)| result.trim());
        let low = matches!(number, Some("0" | "1" | "2"));
        let opens = line.contains("open(") || line.contains("openat(") || line.contains("F_DUPFD");
        if low && opens && !line.contains("mailbox") {
            assert!(line.contains("O_PATH"), "{line}");
            stand_ins += 1;
        }
    }
    assert!(stand_ins > 10, "{stand_ins}:\n{trace}");
}
