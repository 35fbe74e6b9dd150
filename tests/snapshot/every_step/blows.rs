//! What strikes a run, and at which of its calls.

use std::collections::BTreeSet;

use crate::common::strace::Call;

/// Calls that leave everything as it is, here and on disk: death at one is death at the next other.
const IDLE: &[&str] = &[
    "access",
    "arch_prctl",
    "brk",
    "close",
    "exit_group",
    "fstat",
    "fstatfs",
    "getdents64",
    "getpid",
    "getrandom",
    "gettid",
    "ioctl",
    "lseek",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "newfstatat",
    "pipe2",
    "prctl",
    "pread64",
    "prlimit64",
    "read",
    "readlink",
    "recvfrom",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sendto",
    "sigaltstack",
    "statfs",
    "statx",
];

/// Calls that take space.
const TAKING: &[&str] = &[
    "fsync",
    "ftruncate",
    "mkdir",
    "openat",
    "rename",
    "renameat",
    "renameat2",
    "syncfs",
    "write",
];

/// The same that read or open for reading too: those that fail once stay so only by themselves.
const ONCE: &str = "openat";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blow {
    Killed,
    /// As by Ctrl-C.
    Interrupted,
    Full,
    FullFromThenOn,
}

/// One blow at one call.
pub struct Case {
    pub call: Call,
    pub blow: Blow,
    pub number: usize,
}

impl Case {
    pub fn name(&self) -> String {
        format!(
            "{:?} at {} number {}: {}",
            self.blow, self.call.name, self.call.nth, self.call.text
        )
    }

    pub fn injection(&self) -> String {
        let Call { name, nth, .. } = &self.call;
        match self.blow {
            Blow::Killed => format!("inject={name}:signal=SIGKILL:when={nth}"),
            Blow::Interrupted => format!("inject={name}:signal=SIGINT:when={nth}"),
            Blow::Full => format!("inject={name}:error=ENOSPC:when={nth}"),
            Blow::FullFromThenOn => format!("inject={name}:error=ENOSPC:when={nth}+"),
        }
    }
}

pub fn cases(calls: &[Call], first: &str) -> Vec<Case> {
    let mut known = BTreeSet::new();
    for call in calls.iter().skip_while(|call| !call.text.contains(first)) {
        let name = call.name.as_str();
        // To look at other processes changes nothing, and there are as many looks as processes.
        if name == "openat"
            && call.text.contains("\"/proc/")
            && !call.text.contains("\"/proc/self/fd/")
        {
            continue;
        }
        let locks = name != "fcntl" || call.text.contains("F_OFD_SETLK");
        if !IDLE.contains(&name) && locks {
            known.insert((Blow::Killed, name, call.nth));
            known.insert((Blow::Interrupted, name, call.nth));
        }
        // Without opening it, nobody writes to it.
        if TAKING.contains(&name) && !call.text.contains("O_PATH") {
            known.insert((Blow::Full, name, call.nth));
        }
        if TAKING.contains(&name) && name != ONCE {
            known.insert((Blow::FullFromThenOn, name, call.nth));
        }
    }
    let find = |name: &str, nth| {
        calls.iter().find(|call| call.name == name && call.nth == nth).expect("it is one of them")
    };
    let cases = known.into_iter().zip(1..);
    cases
        .map(|((blow, name, nth), number)| Case { call: find(name, nth).clone(), blow, number })
        .collect()
}
