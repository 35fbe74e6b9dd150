//! Fault injection: every system call of the core fails, with each error that it may give, and processes
//! die at every system call and at every step of the protocol. What is left is judged from outside.
//!
//! `scene` says what a victim does, `stage` plays it, `oracle` judges. In the product's own build `calls`
//! strikes participants and `commands` the command, through strace(1). In a build with
//! `--cfg stillpoint_steps`, `steps` aborts participants at the places that `sync::step` names.
//! `STILLPOINT_FAULTS=all` tries every call with every error, else each call is tried with two of
//! them, by turns. `STILLPOINT_FAULTS_SCENE=NAME` plays one scene.
//!
//! The judge believes nothing that the victim says and that can be seen otherwise:
//!
//! * it answers, in time, with success or with one line of a documented error that names the path, and
//!   the same command then succeeds;
//! * no tool is granted while it is inside, no writer gets in while it has the pause, and there is no
//!   certificate if one did;
//! * afterwards a healthy writer gets in and a healthy tool is granted;
//! * the dirty epoch grew once for each share that a dead victim was inside (twice where it died while
//!   recording another's loss), and never for one that was outside or alive;
//! * what is recorded of a thread that died inside says where it had taken its share;
//! * no descriptor, map, lock or file is left.
//!
//! # The system calls of the core, and what their failure means to the caller
//!
//! | call | where | failure |
//! |---|---|---|
//! | readlink | `absolute`, when opening and making | opening fails |
//! | openat | `open_fresh`: opening, joining, X, flock(2), alone with the file | that operation fails; of a thread's first share: it counts in the process's slot; of a reclaim or a question: the owner is alive |
//! | openat, read, fstatfs | `boot::this` | opening and making fail; if there is no such file, opening leaves a barrier of another boot to others |
//! | statx, fstat | `open_fresh`, `check`, `check_folder`, `BarrierMap::new` | as openat |
//! | fstat | `Place::is_ours` | the question is answered: held, alive |
//! | fstatfs, pread | `check_file_system`, `check_header` | opening fails |
//! | fcntl `F_OFD_SETLK` | `join::claim`, X, reclaim, alone with the file | EAGAIN, EACCES: somebody has it; else that operation fails, and a reclaim takes the owner for alive |
//! | fcntl `F_OFD_SETLK`, `F_UNLCK` | a command's lifeline that ends | none: the description is closed at once, and the lock stays only if others inherited it |
//! | fcntl `F_OFD_GETLK` | `Place::is_free`, `status`, alone with the file | held, alive: a dead holder or writer is found at the next tick |
//! | flock | the exclusive side, `retire`, making of an empty file, write locks | that operation fails |
//! | mmap, madvise `MADV_DONTFORK` | the map of the barrier, lifelines | joining fails; of a thread's first share: it counts in the process's slot |
//! | mmap, madvise `MADV_WIPEONFORK` | the fork detector | the process id is compared instead |
//! | mmap, madvise `MADV_WIPEONFORK` | the page of a thread's seats | the thread's first share fails |
//! | mmap, madvise `MADV_DONTFORK` | the copy of who reads the status | that fails |
//! | madvise `MADV_POPULATE_READ` | `cut::is_cut` | the file is taken for whole |
//! | munmap | a lifeline or map that ends | cannot fail for a whole map; the lock would stay until the process ends |
//! | futex wait | gate and drain | looks again, without sleeping |
//! | futex wake | opening the gate, leaving | waiters go on at their tick, of 100 ms or 10 ms |
//! | fallocate, pwrite, fchown, fchmod | making | making fails, and nothing is left, or the empty file that was there |
//! | ftruncate | making that failed, of an empty file | the next one makes it anew |
//! | renameat2, linkat | making | as above; EEXIST: there is one already |
//! | unlink | making that failed; `retire` | the file made aside stays; retiring fails and the barrier goes on |
//! | getrandom | the identity of a new barrier; the token of a pause | making fails; the token is 0, a diagnostic |
//! | prctl `PR_GET_NAME` | names in the file | the name is empty |
//! | close, rt_sigprocmask | everywhere | cannot fail for descriptors and sets that are good |

#[path = "../common/mod.rs"]
mod common;

#[cfg(not(stillpoint_steps))]
mod calls;
mod claims;
#[cfg(not(stillpoint_steps))]
mod commands;
#[cfg(not(stillpoint_steps))]
mod durable;
#[cfg(not(stillpoint_steps))]
mod errnos;
mod oracle;
mod scene;
mod stage;
#[cfg(stillpoint_steps)]
mod steps;
