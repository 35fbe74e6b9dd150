//! Who counts as a writer.
//!
//! Every process that opens a barrier owns a slot, and whoever enters may own another one: each of its
//! threads, and the command that `run -s` starts. Only that one is a writer then. The process that closes
//! the gate is none at all, as long as it does nothing else.

use stillpoint::{Kind, Status, WriterStatus};

use crate::process::proc::{Process, read};

/// Leaves out the slots of processes that are known by another one.
pub fn keep(status: &mut Status) {
    let holder = status.holder.as_ref().map(|holder| holder.pid);
    let enter: Vec<(u32, String)> = (status.writers.iter())
        .filter(|writer| writer.kind != Kind::Process)
        .map(|writer| (writer.pid, writer.label.clone()))
        .collect();
    let is_known = |writer: &WriterStatus| {
        // A container may have the same number for another process.
        let same = |(pid, label): &(u32, String)| (*pid, label) == (writer.pid, &writer.label);
        holder == Some(writer.pid) || enter.iter().any(same)
    };
    let is_idle = |writer: &WriterStatus| {
        writer.kind == Kind::Process && !writer.inside && writer.waiting.is_none()
    };
    status.writers.retain(|writer| !is_idle(writer) || !is_known(writer));
}

/// For people: a command that `run` has started stands for itself, as it is the one to look at, or to end. Where it
/// is not to be seen, `run` stands for it.
pub fn name_commands(status: &mut Status) {
    for writer in status.writers.iter_mut().filter(|writer| writer.kind == Kind::Command) {
        let children = read(Process(writer.pid).file(&format!("task/{}/children", writer.pid)));
        let children = String::from_utf8(children.unwrap_or_default()).unwrap_or_default();
        let children: Vec<u32> =
            children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        // A number that another namespace has given may be anybody's here.
        if let ([command], true) = (&*children, Process(writer.pid).comm() == writer.comm) {
            (writer.pid, writer.tid) = (*command, *command);
            writer.comm = Process(*command).comm();
        }
    }
}
