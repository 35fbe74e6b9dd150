//! Starting a command in this process's memory, as vfork(2) does, until it is another program.
//!
//! posix_spawn(3), which std calls, does the same, and takes a third of the system calls and an eighth of the
//! instructions of `run -s true`: glibc asks in the child for the action of each of 64 signals and sets it, and std
//! copies the environment twice, sorted, to change one variable. Here the few signals that have handlers are set, and
//! the environment is a list of the pointers that this process found.
//!
//! Right for a command that has all else as this process does, its standard descriptors, its folder and its process
//! group, and finds the program by this process's PATH; std starts the others.
//!
//! # Safety
//!
//! The child shares this process's memory, on a stack of its own, while this process stands still; there is no other
//! thread that could change the environment. It takes no memory, and calls nothing but what signal-safety(7) lists and
//! execvpe(3), which std's child calls too. No handler runs in it: every signal is blocked until those that have one
//! are back at their defaults.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::ptr::{self, null};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;
use nix::libc::{self, c_char};
use nix::sched::{CloneFlags, clone};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::process::inherited::{HANDLED, set_action, set_default};

/// What execvpe(3) and its callers need, without the words: two paths.
const STACK: usize = 64 * 1024;

unsafe extern "C" {
    /// environ(7).
    static environ: *const *const c_char;
}

/// Starts a command, with the variables that it was given beside ours.
pub fn spawn(command: &Command) -> io::Result<Pid> {
    let mut words = vec![CString::new(command.get_program().as_bytes())?];
    for word in command.get_args() {
        words.push(CString::new(word.as_bytes())?);
    }
    let words: Vec<_> = words.iter().map(|word| word.as_ptr()).chain([null()]).collect();
    let mut given = Vec::new();
    for (name, value) in command.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        let mut entry = name.as_bytes().to_vec();
        entry.push(b'=');
        entry.extend(value.as_bytes());
        given.push(CString::new(entry)?);
    }
    let changed: Vec<&OsStr> = command.get_envs().map(|(name, _)| name).collect();
    let kept = ours().filter(|entry| !changed.iter().any(|name| is_of(entry, name.as_bytes())));
    let given = given.iter().map(|entry| entry.as_ptr());
    let variables: Vec<_> = kept.map(CStr::as_ptr).chain(given).chain([null()]).collect();
    start(&words, &variables)
}

/// The variables of this process.
fn ours() -> impl Iterator<Item = &'static CStr> {
    // SAFETY: nobody changes it: see the head of the module.
    let first = unsafe { environ };
    (0..).map_while(move |index| {
        // SAFETY: null, for there are none, or an array that ends by a null.
        let entry = unsafe {
            first.as_ref()?;
            *first.add(index)
        };
        // SAFETY: as above; each entry is a string.
        (!entry.is_null()).then(|| unsafe { CStr::from_ptr(entry) })
    })
}

fn is_of(entry: &CStr, name: &[u8]) -> bool {
    entry.to_bytes().strip_prefix(name).is_some_and(|rest| rest.starts_with(b"="))
}

/// Both lists end by a null.
fn start(words: &[*const c_char], variables: &[*const c_char]) -> io::Result<Pid> {
    // A script without #! is run by the shell, with these words and one more, on the same stack.
    let mut stack = vec![MaybeUninit::<u8>::uninit(); STACK + size_of_val(words)];
    // SAFETY: nothing reads what it does not know to be written.
    let stack = unsafe { &mut *(ptr::from_mut::<[MaybeUninit<u8>]>(&mut stack) as *mut [u8]) };
    let error = AtomicI32::new(0);
    let unblocked = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let become_command = || {
        let done =
            HANDLED.into_iter().try_for_each(reset).and_then(|()| unblocked.thread_set_mask());
        if done.is_ok() {
            // SAFETY: lists of strings, each ended by a null.
            unsafe { libc::execvpe(words[0], words.as_ptr(), variables.as_ptr()) };
        }
        error.store(Errno::last_raw(), Ordering::Relaxed);
        127
    };
    let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
    // SAFETY: see the head of the module; it returns once the child has another memory or has ended.
    let started = unsafe { clone(Box::new(become_command), stack, flags, Some(libc::SIGCHLD)) };
    unblocked.thread_set_mask()?;
    let pid = started?;
    match error.into_inner() {
        0 => Ok(pid),
        error => {
            let _ = waitpid(pid, None);
            Err(io::Error::from_raw_os_error(error))
        }
    }
}

/// What our parent has had ignored stays so.
fn reset(signal: Signal) -> nix::Result<()> {
    let found = set_default(signal)?;
    match found.handler() {
        SigHandler::SigIgn if signal != Signal::SIGPIPE => set_action(signal, &found).map(drop),
        _ => Ok(()),
    }
}
