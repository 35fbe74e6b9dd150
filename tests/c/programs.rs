//! The suites in C, in each variant, and a program in another language.

use crate::common::{must, root, skip};
use crate::harness::{Variant, Workshop};
use std::path::Path;

fn passes(name: &str, variant: Variant) {
    let workshop = Workshop::new();
    if let Some(mut suite) = workshop.suite(name, variant) {
        must(&mut suite);
    }
}

macro_rules! suites {
    ($($name:ident),*) => {
        $(mod $name {
            use super::*;

            #[test]
            fn plain() {
                passes(stringify!($name), Variant::Plain);
            }

            #[test]
            fn sanitized() {
                passes(stringify!($name), Variant::Sanitized);
            }

            #[test]
            fn under_valgrind() {
                passes(stringify!($name), Variant::Valgrind);
            }
        })*
    };
}

suites!(
    cancellation,
    cookies,
    cut,
    forks,
    gate_fd,
    handles,
    locks,
    numbers,
    optional,
    order,
    pauses,
    shares,
    signals,
    speed,
    unlocking
);

/// The header's own functions are left out.
#[test]
fn without_what_is_inline() {
    let workshop = Workshop::new();
    for name in ["forks", "handles", "numbers", "order", "pauses", "shares", "signals"] {
        let program = workshop.compile(name, &["-DSTILLPOINT_NO_INLINE"]);
        must(workshop.command(&program).arg(workshop.place.folder()));
    }
}

/// A signal handler at every instruction, in what an optimising compiler makes of the header.
#[test]
fn strikes() {
    let workshop = Workshop::new();
    if cfg!(not(target_arch = "x86_64")) {
        return skip("this processor is not asked to stop after each instruction");
    }
    must(workshop.command(&workshop.compile("strikes", &[])).arg(workshop.place.folder()));
}

/// Not linked with the library: it loads it, and goes on after it has unloaded it.
#[test]
fn plugin() {
    let workshop = Workshop::new();
    let program = workshop.compile("plugin", &["-Wl,--as-needed"]);
    must(workshop.command(&program).arg(workshop.place.folder()));
}

#[test]
fn python_binds_it_without_the_header() {
    let workshop = Workshop::new();
    let mut python = workshop.command(Path::new("python3"));
    python.arg(root().join("tests/c/binding.py")).arg(workshop.place.folder());
    must(&mut python);
}

/// What the manual asks of a signal stack. The library of a debug build needs more.
#[test]
fn shares_on_a_small_signal_stack() {
    let workshop = Workshop::new();
    let program = workshop.compile("stack", &[]);
    let besides = if cfg!(debug_assertions) { "16384" } else { "4096" };
    must(workshop.command(&program).arg(workshop.place.folder()).arg(besides));
}

/// What the manual asks of a thread's stack. The library of a debug build needs more.
#[test]
fn calls_of_threads_on_their_stacks() {
    let workshop = Workshop::new();
    let program = workshop.compile("stacks", &[]);
    let limits = if cfg!(debug_assertions) { ["16384", "24576"] } else { ["4096", "8192"] };
    must(workshop.command(&program).arg(workshop.place.folder()).args(limits));
}

#[test]
fn handlers_for_forks_on_the_programs_own_locks() {
    let workshop = Workshop::new();
    let program = workshop.compile("prefork", &["-Wl,--as-needed"]);
    for order in ["before", "after"] {
        must(workshop.command(&program).arg(workshop.place.folder()).arg(order));
    }
}

/// The sanitizers and valgrind need memory of their own.
#[test]
fn every_call_short_of_memory() {
    passes("memory", Variant::Plain);
}
