//! What proc(5) says of a process, for people.

use crate::system::standard;

/// The letter of what a process does, of proc_pid_stat(5); `None`: there is none that can be seen.
pub(crate) fn state_of(pid: u32) -> Option<char> {
    let _standard = standard::keep();
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    // Behind the name, which may hold anything.
    stat.rsplit(") ").next()?.chars().next()
}

/// Whether a process is stopped, by SIGSTOP say.
pub(crate) fn is_stopped(pid: u32) -> bool {
    state_of(pid).is_some_and(|state| matches!(state, 'T' | 't'))
}

/// proc(5): the kernel function that the process sleeps in.
pub(crate) fn wait_channel(pid: u32) -> Option<String> {
    let _standard = standard::keep();
    let name = std::fs::read_to_string(format!("/proc/{pid}/wchan")).ok()?;
    let name = name.trim();
    (!name.is_empty() && name != "0").then(|| name.to_string())
}
