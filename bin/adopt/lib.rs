//! Adoption: write locks of programs that know nothing of a barrier wait for it.
//!
//! The dynamic linker puts this library before libc (`LD_PRELOAD`, ld.so(8)), so that what a program calls to lock a
//! file is found here first: `fcntl`, `fcntl64`, `__fcntl`, `flock`, `lockf` and `lockf64`, and nothing else. A call
//! that asks for a write lock on a protected file system is made inside a share, and the share ends with the call.
//! How long the lock is then held is not watched here, for no watching is ever complete (close, dup2, exit, a
//! signal that kills, a descriptor that is sent away): the exclusive side asks the kernel who holds locks.
//!
//! ```text
//! +------------------------------------+
//! |               hooks                |  the six functions
//! +------------------------------------+
//! |              passage               |  a call's way through the gate
//! +-----------+------------+-----------+
//! |  holding  |  program   |  flight   |  who holds a lock | what this process is adopted to | calls under way
//! +-----------+------------+-----------+
//! |  devices  |  settings  |           |  which files are protected | /etc/stillpoint/adopt.conf, by the command's parser
//! +-----------+------------+-----------+
//! |   libc    |  log, bus  |   arena   |  what stands behind the hooks | one line, one signal | memory of our own
//! +-----------+------------+-----------+
//! ```
//!
//! The program never sees more of this than time: each call does, and fails, as it would have. But for one thing: that a
//! signal is handled which it does not handle, see `bus`.
//!
//! # Safety
//!
//! The hooks are called as libc's functions are, with whatever the program gives: numbers, and pointers that
//! the kernel would follow. They run before any constructor of ours, in signal handlers, in children of vfork(2),
//! and may be left by longjmp(3) or unwound by pthread_cancel(3): nothing that would have to be dropped is alive
//! while libc is called.

#[path = "../stillpoint/words/adoption.rs"]
mod adoption;
#[path = "../libstillpoint/cancel.rs"]
mod cancel;

mod arena;
mod bus;
mod devices;
mod flight;
mod holding;
mod hooks;
mod libc;
mod log;
mod passage;
mod program;
mod settings;
