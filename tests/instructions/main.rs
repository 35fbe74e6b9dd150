//! The instruction budget of the shared side.
//!
//! ```text
//! cargo bench --bench instructions [-- --measure]
//! ```
//!
//! The C library is measured as it was built before: `cargo build --release --package libstillpoint`.
//!
//! A clock says little where other work runs beside, as it does in CI; the number of instructions is
//! the same each time. This program runs itself under callgrind, entering and leaving so many times,
//! and once more twice as many times: the difference is what the pairs cost, and all that is done once
//! cancels out. Instructions may exceed the budget by a few, as another compiler may add some; system
//! calls may not be among them at all.
//!
//! `--measure` writes the budget anew: after a change that is worth what it costs.

#[path = "../bench/library.rs"]
#[allow(dead_code, reason = "the bench uses more of it")]
mod library;

use std::fmt::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{Ordering, compiler_fence};

use anyhow::Context;
use clap::Parser;
use nix::libc::{LOCK_EX, LOCK_UN};
use stillpoint::Barrier;

use library::{Header, Library};

/// Many, as what is done once is not the same each time: a barrier that is made looks at the locks of others.
const PAIRS: u64 = 1_000_000;

/// So many instructions above the budget are still good.
const SLACK: u64 = 4;

/// Compare the instructions of the shared side with their budget.
#[derive(Parser)]
#[command(name = "instructions")]
struct Arguments {
    /// Write the budget anew
    #[arg(long)]
    measure: bool,

    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,

    /// Do this so many times: what callgrind looks at
    #[arg(long, hide = true, num_args = 2, value_names = ["WHAT", "TIMES"])]
    work: Option<Vec<String>>,
}

type Work = fn(&Barrier, u64);

/// Each with the system calls that it makes.
const WORKS: [(&str, u32, Work); 9] = [
    ("outer", 0, outer),
    ("nested", 0, nested),
    ("elsewhere", 0, elsewhere),
    ("try", 0, attempt),
    ("should_yield", 0, should_yield),
    ("c", 0, from_c),
    ("c_nested", 0, nested_from_c),
    ("c_calls", 0, by_calls),
    ("c_flock", 2, flock_from_c),
];

#[inline(never)]
fn outer(barrier: &Barrier, times: u64) {
    for _ in 0..times {
        let share = barrier.shared().expect("the gate is open");
        compiler_fence(Ordering::SeqCst);
        drop(share);
    }
}

fn nested(barrier: &Barrier, times: u64) {
    let share = barrier.shared().expect("the gate is open");
    outer(barrier, times);
    drop(share);
}

/// Each at another line than the one before.
fn elsewhere(barrier: &Barrier, times: u64) {
    for _ in 0..times / 2 {
        outer(barrier, 1);
        attempt(barrier, 1);
    }
}

#[inline(never)]
fn attempt(barrier: &Barrier, times: u64) {
    for _ in 0..times {
        let share = barrier.try_shared().expect("the gate is open");
        compiler_fence(Ordering::SeqCst);
        drop(share);
    }
}

#[inline(never)]
fn should_yield(barrier: &Barrier, times: u64) {
    let share = barrier.shared().expect("the gate is open");
    for _ in 0..times {
        assert!(!barrier.should_yield());
    }
    drop(share);
}

/// The same by a program in C, which opens the barrier for itself.
fn from_c(barrier: &Barrier, times: u64) {
    Library::open(barrier.path(), Header::Inline).expect("it is built").pairs(times);
}

fn nested_from_c(barrier: &Barrier, times: u64) {
    Library::open(barrier.path(), Header::Inline).expect("it is built").nested_pairs(times);
}

/// The same, of who leaves the header's own functions out.
fn by_calls(barrier: &Barrier, times: u64) {
    Library::open(barrier.path(), Header::Calls).expect("it is built").pairs(times);
}

/// A file's write lock that brings a share.
fn flock_from_c(barrier: &Barrier, times: u64) {
    let library = Library::open(barrier.path(), Header::Inline).expect("it is built");
    let file = tempfile::tempfile().expect("there is room");
    for _ in 0..times {
        for operation in [LOCK_EX, LOCK_UN] {
            assert_eq!(library.flock(file.as_raw_fd(), operation), 0);
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(work) = arguments.work {
        let (_, _, work_of_that_name) =
            WORKS.iter().find(|(name, ..)| *name == work[0]).context("no such work")?;
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
        let barrier = Barrier::create(folder.path().join("bench.barrier"))?;
        work_of_that_name(&barrier, work[1].parse()?);
        return Ok(ExitCode::SUCCESS);
    }
    anyhow::ensure!(!cfg!(debug_assertions), "the budget is that of the release build");
    if let Err(error) = Command::new("valgrind").arg("--version").output() {
        anyhow::ensure!(std::env::var_os("CI").is_none(), "cannot run valgrind: {error}");
        eprintln!("SKIPPED: cannot run valgrind: {error}");
        return Ok(ExitCode::SUCCESS);
    }
    let budget = Budget::read()?;
    let (mut measured, mut exceeded) = (Vec::new(), 0);
    for (name, calls, _) in WORKS {
        let cost = Cost::of(name)?;
        println!(
            "{name}: {:.0} instructions, {:.2} system calls",
            cost.instructions, cost.system_calls
        );
        if cost.system_calls > f64::from(calls) + 0.01 {
            eprintln!("{name}: there must be no more than {calls} system calls");
            exceeded += 1;
        }
        let count = cost.instructions.round() as u64;
        measured.push((name, count));
        if arguments.measure {
            continue;
        }
        let allowed = budget.of(name)?;
        if count > allowed + SLACK {
            eprintln!("{name}: the budget is {allowed} instructions, and {SLACK} more are good");
            exceeded += 1;
        } else if count + SLACK < allowed {
            eprintln!("{name}: the budget of {allowed} instructions can be made smaller");
        }
    }
    if arguments.measure {
        budget.write(&measured)?;
    }
    Ok(ExitCode::from(u8::from(exceeded > 0)))
}

/// What one of many costs.
struct Cost {
    instructions: f64,
    system_calls: f64,
}

impl Cost {
    fn of(work: &str) -> anyhow::Result<Cost> {
        let [once, twice] = [totals(work, PAIRS)?, totals(work, 2 * PAIRS)?];
        let each = |index: usize| (twice[index] as f64 - once[index] as f64) / PAIRS as f64;
        Ok(Cost { instructions: each(0), system_calls: each(1) })
    }
}

/// All instructions and system calls of this program when it does that so many times.
fn totals(work: &str, times: u64) -> anyhow::Result<[u64; 2]> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-systime=nsec", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--work", work, &times.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "valgrind: {}: {said}", output.status);
    let line = |label: &str| {
        let after = said.lines().find_map(|line| line.split_once(label)).map(|(_, after)| after);
        after.with_context(|| format!("callgrind does not say '{label}': {said}"))
    };
    let events: Vec<&str> = line("Events    :")?.split_whitespace().collect();
    let counts: Vec<&str> = line("Collected :")?.split_whitespace().collect();
    let count = |event: &str| -> anyhow::Result<u64> {
        let index = events.iter().position(|name| *name == event);
        let count = index.and_then(|index| counts.get(index));
        Ok(count.with_context(|| format!("callgrind does not count {event}"))?.parse()?)
    };
    Ok([count("Ir")?, count("sysCount")?])
}

/// The file with the budget: lines of a processor, what is counted, and instructions.
struct Budget {
    path: PathBuf,
    text: String,
}

impl Budget {
    fn read() -> anyhow::Result<Budget> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/instructions/budget.txt");
        let text = std::fs::read_to_string(&path)?;
        Ok(Budget { path, text })
    }

    fn of(&self, work: &str) -> anyhow::Result<u64> {
        let start = format!("{} {work} ", std::env::consts::ARCH);
        let count = self.text.lines().find_map(|line| line.strip_prefix(&start));
        Ok(count
            .with_context(|| format!("no budget for '{start}': see --measure"))?
            .trim()
            .parse()?)
    }

    /// Replaces the lines of this processor.
    fn write(&self, measured: &[(&str, u64)]) -> anyhow::Result<()> {
        let here = format!("{} ", std::env::consts::ARCH);
        let mut text = String::new();
        for line in self.text.lines().filter(|line| !line.starts_with(&here)) {
            writeln!(text, "{line}")?;
        }
        for (work, count) in measured {
            writeln!(text, "{here}{work} {count}")?;
        }
        Ok(std::fs::write(&self.path, text)?)
    }
}
