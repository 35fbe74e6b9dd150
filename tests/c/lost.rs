//! A program that ends inside a share, the commonest fault of a new user: the loss names the line.

use crate::common::at_once;
use crate::harness::Workshop;
use stillpoint::{Barrier, Status};

#[test]
fn a_share_that_its_program_ends_inside_is_named_by_its_line() {
    let workshop = Workshop::new();
    let program = workshop.compile("lost", &["-O2"]);
    let barrier = workshop.place.path("lost.barrier");
    for how in ["return", "exit", "_exit", "kill", "thread", "lease", "nowhere"] {
        let output = workshop.command(&program).arg(workshop.place.folder()).arg(how).output();
        let output = output.unwrap();
        assert!(output.stderr.is_empty(), "{how}: {output:?}");
        // Of those who had no time to say so, the next tool finds out.
        let tool = Barrier::open(&barrier).unwrap();
        tool.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
        let lost = &Status::read(&barrier).unwrap().lost[0];
        assert!(!lost.acknowledged && lost.comm == "lost-O2", "{how}: {lost:?}");
        tool.acknowledge(lost.epoch);
        match String::from_utf8(output.stdout).unwrap().trim() {
            "" => assert_eq!((how, &*lost.place), ("nowhere", "")),
            line => assert!(
                lost.place.ends_with(&format!("tests/c/lost.c:{line}")),
                "{how} in {line}: {lost:?}"
            ),
        }
    }
}
