//! The protocol under an exhaustive model checker: every order of the steps of writers and tools, with
//! a kill, a stop, a revocation or a wake-up for nothing at any of them.
//!
//! `tests/loom` runs the code of the gate itself under the memory model, with a handful of steps. Here
//! every load, store, swap, lock and sleep of the whole protocol is a step of a model, in the order of
//! the code and by the name of its function, so that one can be held against the other: the kernel's
//! locks, dead processes, several tools, covered commands and forks are part of it. Memory is
//! sequentially consistent, but in `buffers`.
//!
//! | file | |
//! |---|---|
//! | `state`, `numbers` | what a state is, and how it stays finite |
//! | `writer`, `cover`, `waiting`, `join` | the shared side: enter and leave, wait, come and go |
//! | `tool`, `acquire`, `drain`, `release` | the exclusive side, and reclaim |
//! | `model` | who may do what |
//! | `properties` | what must hold in each state |
//! | `explore`, `graph` | how a scene is explored to its end, and the way home from each of its states |
//! | `scene`, `scenes` | who takes part, and the tests that all of it holds |
//! | `variants` | the protocol with one thing left out, and the tests that this is caught |
//! | `buffers` | shares without a fence, where stores are on their way |
//! | `litmus`, `gate` | the same with the gate's own code on this machine's memory |
//! | `cluster` | the same for a group of hosts |
//!
//! # Bounds
//!
//! Writers and tools go round for ever; nothing bounds how many shares or pauses there are. A scene has
//! at most three writers, two tools, three slots, two barriers (or two files of one), two shares deep. Kills and stops are
//! counted out: one or two in all. Clocks are not modelled, only what they say: that a tick or a limit
//! has passed, or not yet. Not modelled either: flock(2), the predicate, memory that garbage was written
//! to, signal handlers, and a writer that gives up waiting.
//!
//! # Orders of steps that once failed
//!
//! | what went wrong | where it is answered |
//! |---|---|
//! | a covered writer goes in behind a look, its cover leaves ahead of it | `OneLook`, `TwoLooksAnyWords`, `CoverBeforePublishing`, `CoverWithoutPublishing` |
//! | a command in a pause dies inside, or is inside still, and the pause is certified | `NoLookAtRelease`, `DirtyReadBeforeLooking` |
//! | two counted shares make the word even | `CountedAsNumber` |
//! | two lock through one description, where nothing conflicts | `OneDescription` |
//! | a child is forked while its parent joins, and keeps its lock | `ForkWhileJoining` |
//! | a healer that takes X is stopped with it | `HealerTakesX` |
//! | a tool paces, or announces its limit, while a dead one's gate is closed | `PaceBeforeHealing`, `AnnounceBeforeHealing` |
//! | a stuck share and an eager tool keep the gate closed nearly all the time | a matter of clocks: `src/exclusive/pacing.rs`, `tests/protocol/limits.rs` |
//! | several barriers are closed together | `CloseTogether` |
//! | flock(2) is taken after closing, and starves | a matter of the kernel's queue: `tests/protocol/foreign.rs` |
//! | the lock of a command's share falls with its wrapper | `WrapperKeepsItsByte`; that a command is stopped in time: `tests/cli/lifetime.rs` |
//! | the file is removed under its users and made again | `OldStaysOpen`, `OldNotAwaited`, `OldHealed`, `CertifiedElsewhere` |
//! | power is cut inside a share | a matter of files: `tests/cli/recover.rs`, `tests/cli/create.rs` |
//! | a signal handler takes a share in the middle of enter or leave | the tests of `src/seat/crossing.rs` strike after each of its stores, `tests/c/strikes.c` at each instruction of what is inline in C; `tests/fork/signals.rs` |
//! | nobody who waits can ask whether the holder lives | `NobodyAsks`; the scene `no_limit` has one such writer |
//!
//! ```sh
//! cargo test --profile quick --test model
//! STILLPOINT_MODEL=full cargo test --profile quick --test model -- --nocapture --test-threads=1
//! ```
//!
//! `STILLPOINT_MODEL_PATHS=1` prints the steps that lead to each counterexample of a variant.

mod acquire;
mod buffers;
mod cluster;
mod cover;
mod drain;
mod explore;
mod gate;
mod graph;
mod join;
mod litmus;
mod model;
mod numbers;
mod properties;
mod release;
mod scene;
mod scenes;
mod state;
mod tool;
mod variants;
mod waiting;
mod writer;
