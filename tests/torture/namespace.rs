//! Pid namespaces, each with a foreman as its first process and his people, over the same barrier. In
//! each the ids begin at 1, so the same ids, of processes and of threads, are in use many times at once.

use crate::arena::Arena;
use crate::role::Role;
use nix::sched::{CloneFlags, unshare};
use std::collections::{HashMap, HashSet};
use std::io;
use std::process::Child;
use std::sync::atomic::Ordering::SeqCst;

/// Starts the first process of a new one.
pub fn spawn(arena: &Arena) -> io::Result<Child> {
    std::thread::scope(|scope| {
        // In a thread of its own: it is the caller's children that go to the new namespace.
        let spawn = || {
            unshare(CloneFlags::CLONE_NEWPID)?;
            Role::Foreman.command(arena, None).spawn()
        };
        scope.spawn(spawn).join().expect("it does not panic")
    })
}

/// How many processes were in a namespace other than the first process's, and how many pids were in
/// more than one of these.
pub fn members(arena: &Arena) -> (u32, u32) {
    let own = arena.process(1).namespace.load(SeqCst);
    let mut members = 0;
    let mut namespaces: HashMap<u32, HashSet<u32>> = HashMap::new();
    for number in 1..=arena.processes() {
        let record = arena.process(number);
        let namespace = record.namespace.load(SeqCst);
        if namespace != own && namespace != 0 {
            members += 1;
            namespaces.entry(record.pid.load(SeqCst)).or_default().insert(namespace);
        }
    }
    let equal = namespaces.values().filter(|namespaces| namespaces.len() > 1).count();
    (members, equal as u32)
}

/// Whether there can be any.
pub fn is_possible() -> bool {
    let unshared = std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWPID).is_ok());
    unshared.join().expect("it does not panic")
}
