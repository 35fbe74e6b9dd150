//! What the disk knows after a command has failed or died: an old state or a new one, whole; and after
//! a power cut in that moment the next boot is dirty wherever something may have been lost.
//!
//! The power cut takes the barrier and leaves the state. Nothing of the tool's own is believed: what
//! it acknowledged counts only if the check has left its sign that it ran.

use crate::commands::{CREATE, Verb};
use crate::common::strace::{self, Call};
use crate::common::{Place, skip, until};
use crate::stage::{FILE, Violation};
use std::fs;
use std::process::Command;
use stillpoint::Status;

/// Epoch, acknowledged epoch, condition.
pub type Known = (u64, u64, &'static str);

/// What the command has left, before anybody else has looked at it.
pub struct Kept {
    state: Option<String>,
    /// The barrier is there: writers may be inside.
    in_use: bool,
    /// The check of `recover` came to its end.
    checked: bool,
}

impl Kept {
    pub fn of(place: &Place) -> Kept {
        Kept {
            state: fs::read_to_string(place.path("mail.state")).ok(),
            in_use: place.barrier_path().exists(),
            checked: place.path(FILE).exists(),
        }
    }

    /// Judges the state, and what the next boot makes of it.
    pub fn judge(&self, place: &Place, verb: &Verb, lost: bool) -> Result<(), Violation> {
        self.is_old_or_new(verb.states)?;
        if let [_] = verb.states {
            // It has nothing to write: what the next boot makes of that is known.
            return Ok(());
        }
        self.cut_power(place)?;
        let again = Verb::finish(Verb::command(CREATE, place, &[]))?;
        if again.code != Some(0) {
            return Err(format!("create after a power cut: {:?}", again.complaints));
        }
        let dirty = Status::read(place.barrier_path()).map_err(|error| error.to_string())?.dirty;
        match self.in_use || (lost && !self.checked) {
            true if dirty.epoch == dirty.acknowledged => {
                Err(format!("clean after a power cut, from the state {:?}", self.state))
            }
            _ => Ok(()),
        }
    }

    fn is_old_or_new(&self, states: &[Known]) -> Result<(), Violation> {
        let Some(text) = &self.state else {
            return match states.first() {
                // Before the first one there is none.
                Some((0, 0, "none")) => Ok(()),
                _ => Err("the state is gone".into()),
            };
        };
        let state: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| format!("the state is not whole: {error}: {text:?}"))?;
        let known = |&(epoch, acknowledged, condition): &Known| {
            state["epoch"] == epoch
                && state["acknowledged"] == acknowledged
                && state["state"] == condition
        };
        let identified = state["uuid"].is_string() && state["boot_id"].is_string();
        match identified && state["schema"] == 1 && states.iter().any(known) {
            true => Ok(()),
            false => Err(format!("the state is neither old nor new: {text}")),
        }
    }

    fn cut_power(&self, place: &Place) -> Result<(), Violation> {
        let failed = |error: std::io::Error| format!("the power cut: {error}");
        fs::remove_file(place.barrier_path()).map_err(failed)?;
        match &self.state {
            Some(text) => fs::write(place.path("mail.state"), text).map_err(failed),
            None => fs::remove_file(place.path("mail.state")).map_err(failed),
        }
    }
}

/// A call that has to do with the state: on it, on what is written aside for it, on their folder.
pub fn concerns(call: &Call, place: &Place) -> bool {
    let folder = format!("{}>", place.folder().display());
    [".state", ".stillpoint-new.", &folder].iter().any(|name| call.text.contains(name))
}

/// Who cannot write the state says so: 73, or 77 without permission, and which file it is.
pub fn says_so(struck: &Call, code: Option<i32>, complaints: &[String]) -> Result<(), Violation> {
    let writes =
        ["write", "fsync", "fchmod", "rename", "renameat2"].contains(&struck.name.as_str());
    if !writes || !struck.text.contains(".stillpoint-new.") || struck.text.contains("EINTR") {
        return Ok(());
    }
    let named = complaints.iter().all(|line| line.contains("cannot write the state"));
    match code {
        Some(73 | 77) if named => Ok(()),
        _ => Err(format!("{code:?}, {complaints:?} where the state could not be written")),
    }
}

/// A power cut keeps the order in which things were synced: the text before its name, the name before
/// whatever comes next.
pub fn is_synced(calls: &[Call], place: &Place) -> Result<(), Violation> {
    let folder = format!("{}>", place.folder().display());
    for (at, rename) in calls.iter().enumerate() {
        if !rename.name.starts_with("rename") || !rename.text.contains("mail.state") {
            continue;
        }
        let before = calls[..at].iter().rev().find(|call| {
            call.text.contains(".stillpoint-new.")
                && ["write", "fsync"].contains(&call.name.as_str())
        });
        let after = calls[at + 1..].iter().find(|call| call.name == "fsync");
        if before.is_none_or(|call| call.name != "fsync")
            || after.is_none_or(|call| !call.text.contains(&folder))
        {
            return Err(format!("a rename that is not synced: {}", rename.text));
        }
    }
    Ok(())
}

/// `line`, slowed down or failing by strace at one call.
fn disturbed(place: &Place, line: &str, injection: &str) -> Command {
    let trace = place.path("trace").display().to_string();
    let words = ["strace", "-o", &trace, "-f", "-e", injection];
    Verb::command(line, place, &words)
}

/// Two at once, of which one makes a barrier after the other has removed or not made one, and before
/// that one has written its state. What is in use is open on disk, whoever writes last.
#[test]
fn a_barrier_in_use_is_never_retired_on_disk() {
    if !strace::works() {
        return skip("strace cannot inject faults here");
    }
    const RETIRE: &str = "retire BARRIER --state STATE";
    // Retiring: the barrier is gone, the state not yet written. Creating: it fails, and puts back
    // the state that it found.
    for (before, line, injection, ready) in [
        (&[CREATE][..], RETIRE, "inject=fsync:delay_enter=500000:when=1", false),
        (&[CREATE, RETIRE], CREATE, "inject=renameat2:error=EIO:delay_enter=500000", true),
    ] {
        let place = Place::new();
        let run = |line: &str| Verb::command(line, &place, &[]).output().unwrap();
        for line in before {
            assert!(run(line).status.success());
        }
        let mut slow = disturbed(&place, line, injection).spawn().unwrap();
        let is_open = || {
            let text = fs::read_to_string(place.path("mail.state")).unwrap_or_default();
            text.contains("\"open\"")
        };
        until("the moment between", || match ready {
            true => is_open(),
            false => !place.barrier_path().exists(),
        });
        assert!(run(CREATE).status.success());
        let uuid = Status::read(place.barrier_path()).unwrap().uuid;
        // Who makes one waits for others who do.
        if line == RETIRE {
            assert!(slow.try_wait().unwrap().is_none(), "too late to disturb {line}");
        }
        slow.wait().unwrap();
        assert!(is_open(), "after {line}: {:?}", fs::read_to_string(place.path("mail.state")));
        assert_eq!(Status::read(place.barrier_path()).unwrap().uuid, uuid);
    }
}
