//! A consistency barrier for Linux.
//!
//! Every process that changes a store (a mail spool, a set of databases, a tree of files) takes the
//! **shared** side of a barrier around each set of writes that belong together. A snapshot tool takes
//! the **exclusive** side: it is granted when no set of writes is under way, and while it is held none
//! begins. A file-system snapshot or a backup made in that moment is as consistent as one made after a
//! clean shutdown, and the writers stood still only for milliseconds.
//!
//! ```
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("spool.barrier");
//! # stillpoint::Barrier::create(&path)?;
//! use stillpoint::{Barrier, ExclusiveOptions};
//!
//! // A writer: about 10 ns to enter and leave.
//! let barrier = Barrier::open(&path)?;
//! let share = barrier.shared()?;
//! // ... message file, index, counter ...
//! drop(share);
//!
//! // A snapshot tool.
//! let pause = barrier.exclusive(&mut ExclusiveOptions::default())?;
//! // ... take the snapshot ...
//! pause.release()?; // the certificate; on an error throw the snapshot away
//! # Ok::<(), stillpoint::Error>(())
//! ```
//!
//! # Where to look
//!
//! | module | idea |
//! |---|---|
//! | `layout` | the bytes of the barrier file |
//! | `gate` | how writers and the exclusive side exclude each other |
//! | `seat`, `thread`, `current`, `shared`, `bare`, `counted`, `wait` | the shared side: the fast path, and everything else |
//! | `entering`, `opening`, `cookie` | the shared side for tasks, event loops and other languages |
//! | `acquire`, `drain`, `held`, `exclusive`, `pacing` | the exclusive side |
//! | `status`, `stats`, `report`, `foreign`, `heirs`, `lock_table` | who is named, and what is counted |
//! | `freeze` | a pause that one process keeps and another ends |
//! | `file`, `founding`, `standard`, `environment`, `options`, `barrier`, `boot`, `fresh_start`, `join`, `lifeline`, `vantage`, `process`, `mapping` | making, opening and joining; fork |
//! | `reclaim` | writers that die |
//! | `succession`, `stragglers`, `signature`, `users`, `gathering` | files that are removed under their users, and made again |
//! | `cover`, `command_share` | commands that run under a share or a pause |
//! | `wrapped`, `brought`, `file_lock`, `write_lock` | a share around every write lock of a program |
//! | `command_loop`, `source_line` | shares that leak, and where they were taken |
//!
//! # Tasks of an async runtime
//!
//! [`Barrier::shared`] keeps its thread waiting at a closed gate, and with it every task that the thread runs;
//! and shares of one thread nest, so overlapping tasks of one thread would never let a pause begin. Tasks
//! await [`Barrier::shared_owned_async`], on any runtime, and may hold what it gives across an await. A task
//! that holds one must not wait for another.
//!
//! # What it does not do
//!
//! It orders writers that take part; it does not see others. It flushes nothing. It is not a database
//! lock manager. One host's barrier does not reach through a network file system.

#[cfg(not(target_os = "linux"))]
compile_error!("stillpoint needs Linux: futexes, open-file-description locks and MADV_WIPEONFORK");

mod acquire;
mod bare;
mod barrier;
mod boot;
mod brought;
mod command_loop;
mod command_share;
mod cookie;
mod counted;
mod cover;
mod current;
mod drain;
mod entering;
mod environment;
mod error;
mod exclusive;
mod file;
mod file_lock;
mod foreign;
mod founding;
mod freeze;
mod fresh_start;
mod gate;
mod gathering;
mod heirs;
mod held;
mod join;
mod layout;
mod lifeline;
mod lock_table;
mod mapping;
mod opening;
mod options;
mod pacing;
mod process;
mod reclaim;
mod report;
mod seat;
mod shared;
mod signature;
mod source_line;
mod standard;
mod stats;
mod status;
#[cfg(stillpoint_steps)]
mod steps;
mod stragglers;
mod succession;
mod sync;
mod sys;
mod taken_at;
mod thread;
mod users;
mod vantage;
mod wait;
mod wrapped;
mod write_lock;

pub use {
    barrier::Barrier,
    command_loop::CommandLoop,
    command_share::{CommandShare, CommandShareOptions},
    counted::OwnedShared,
    cover::{Cover, HELD},
    entering::EnteringShared,
    environment::{is_untrusted, variable},
    error::{Error, ErrorKind},
    exclusive::{
        Dirty, ExclusiveGuard, ExclusiveOptions, GateChange, PauseReport, Phase, Waiting,
        exclusive_all,
    },
    file::{barrier_folder, barrier_path},
    file_lock::{FileLock, LockKind},
    foreign::{FlockUser, lock_holders},
    freeze::{Keeper, Thawed, Token},
    options::{Founding, Options},
    pacing::Pacing,
    process::prepare,
    report::{Straggler, Writer},
    shared::SharedGuard,
    stats::Stats,
    status::{Holder, Kind, Lost, Status, WriterStatus},
    wrapped::LockRequest,
    write_lock::WriteLock,
};

/// The commands of the README are examples too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
