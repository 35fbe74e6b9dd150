//! The system calls in libstillpoint(3), for those who write a filter for seccomp(2), are those that strace(1)
//! sees.

use crate::common::{must, skip};
use crate::harness::Workshop;
use crate::manual;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::process::Command;

/// Not made in every run, or not with every C library.
const AT_TIMES: [&str; 18] = [
    "brk",
    "clock_gettime",
    "clock_nanosleep",
    "exit",
    "fstat",
    "getegid",
    "lseek",
    "mprotect",
    "mremap",
    "newfstatat",
    "poll",
    "read",
    "restart_syscall",
    "rt_sigpending",
    "rt_sigtimedwait",
    "sched_yield",
    "statx",
    "write",
];

/// The name of the call that a line of strace begins with, and in which thread; its first argument. A line may
/// break off behind that, where another thread was on.
fn call(line: &str) -> Option<(&str, &str, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let (name, arguments) = rest.trim_start().split_once('(')?;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| (thread, name, arguments.split([',', ')', ' ']).next().unwrap()))
}

/// What was called between the marks that `calls.c` makes.
fn by_the_library(trace: &str) -> BTreeSet<String> {
    let mut parts: HashMap<&str, bool> = HashMap::new();
    let mut found = BTreeSet::new();
    for (thread, name, first) in trace.lines().filter_map(call) {
        match (name, first) {
            ("close", "-1000") => drop(parts.insert(thread, false)),
            ("close", "-1001" | "-1002" | "-1003") => drop(parts.insert(thread, true)),
            _ if parts.get(thread) == Some(&true) => drop(found.insert(name.to_string())),
            _ => {}
        }
    }
    found
}

#[test]
fn the_page_lists_what_strace_sees() {
    if !Command::new("strace").arg("true").output().is_ok_and(|output| output.status.success()) {
        return skip("strace does not work here");
    }
    if !cfg!(target_arch = "x86_64") {
        return skip("the page has the names of x86-64");
    }
    let page = manual::page();
    let (_, list) = page.split_once(".\\\" system calls\n").unwrap();
    let list = list.split_once(".Ed").unwrap().0;
    let listed: BTreeSet<String> = list.split_whitespace().map(str::to_string).collect();
    let workshop = Workshop::new();
    let program = workshop.compile("calls", &[]);
    must(
        workshop
            .command("stillpoint".as_ref())
            .args(["create", "--state", "none"])
            .arg(workshop.place.path("calls.barrier")),
    );
    let trace = workshop.place.path("trace");
    let mut strace = workshop.command("strace".as_ref());
    strace.args(["-f", "-s", "0", "-e", "signal=none", "-o"]).arg(&trace);
    must(strace.arg(&program).arg(workshop.place.folder()));
    let seen = by_the_library(&fs::read_to_string(trace).unwrap());
    assert!(seen.len() > 15, "{seen:?}");
    let unlisted: Vec<_> = seen.difference(&listed).collect();
    assert!(unlisted.is_empty(), "not in the page: {unlisted:?}");
    let unseen = listed.difference(&seen).filter(|name| !AT_TIMES.contains(&name.as_str()));
    let unseen: Vec<_> = unseen.collect();
    assert!(unseen.is_empty(), "in the page, but not made: {unseen:?}");
}
