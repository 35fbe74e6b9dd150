//! The same for the command, which makes and removes barriers, keeps their durable state and runs other
//! programs under a share or a pause: every system call that it makes for that fails, and it is
//! killed at every one.

use crate::common::many::{check, report};
use crate::common::strace::{self, Call, Fault, Trouble};
use crate::common::{Place, STILLPOINT, skip};
use crate::durable::{self, Kept, Known};
use crate::errnos;
use crate::oracle::{healthy, no_files, no_locks};
use crate::stage::{FILE, Violation};
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

/// A verb, in a place where these were run before it, undisturbed.
pub struct Verb {
    before: &'static [&'static str],
    line: &'static str,
    /// What the durable state may say afterwards, the oldest first.
    pub states: &'static [Known],
    /// Only calls that have to do with the durable state are struck.
    only_state: bool,
}

pub const CREATE: &str = "create BARRIER --state STATE";
const DIRTY: &str = "run -s BARRIER sh -c 'kill -9 $PPID $$'";

/// One that keeps an open state with these epochs.
const fn verb(
    before: &'static [&'static str],
    line: &'static str,
    states: &'static [Known],
) -> Verb {
    Verb { before, line, states, only_state: false }
}

/// The same after a writer was lost, of which the state does not know yet.
const fn after_loss(line: &'static str, states: &'static [Known]) -> Verb {
    Verb { before: &[CREATE, DIRTY], line, states, only_state: true }
}

const OPEN: Known = (0, 0, "open");
const LOST: Known = (1, 0, "open");
const RECOVERED: Known = (1, 1, "open");

const VERBS: &[Verb] = &[
    verb(&[], CREATE, &[(0, 0, "none"), OPEN]),
    verb(&[CREATE], "retire BARRIER --state STATE", &[OPEN, (0, 0, "retired")]),
    verb(&[CREATE], "run -s BARRIER true", &[OPEN]),
    verb(&[CREATE], "run -x BARRIER true", &[OPEN]),
    verb(&[CREATE], "run -s -F BARRIER true", &[OPEN]),
    verb(&[CREATE], "status --json BARRIER", &[OPEN]),
    verb(
        &[CREATE, DIRTY],
        "recover BARRIER --state STATE -- touch CHECKED",
        &[OPEN, LOST, RECOVERED],
    ),
    after_loss("recover BARRIER --state STATE -- false", &[OPEN, LOST]),
    after_loss("retire BARRIER --state STATE", &[OPEN, LOST, (1, 0, "retired")]),
    after_loss("run -x --state STATE BARRIER true", &[OPEN, LOST]),
    after_loss("snapshot --catalog CATALOG --state STATE BARRIER -- true", &[OPEN, LOST]),
];

/// What a command said at its end.
pub struct Outcome {
    pub code: Option<i32>,
    pub complaints: Vec<String>,
}

impl Verb {
    fn name(&self) -> &str {
        self.line
    }

    /// The command for a line, in a place; words are divided as the shell does.
    pub fn command(line: &str, place: &Place, words: &[&str]) -> Command {
        let mut command = Command::new("sh");
        let line = line.replace("BARRIER", &place.barrier_path().display().to_string());
        let line = line.replace("CHECKED", &place.path(FILE).display().to_string());
        let line = line.replace("CATALOG", &place.path("catalog").display().to_string());
        let line = line.replace("STATE", &place.path("mail.state").display().to_string());
        command.args(["-c", &format!("exec \"$@\" {line}"), "sh"]).args(words).arg(STILLPOINT);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"STILLPOINT_") {
                command.env_remove(name);
            }
        }
        command
    }

    pub fn finish(mut command: Command) -> Result<Outcome, Violation> {
        let output = command.output().map_err(|error| error.to_string())?;
        let complaints =
            String::from_utf8_lossy(&output.stderr).lines().map(String::from).collect();
        Ok(Outcome { code: output.status.code(), complaints })
    }

    /// Runs the verb under strace. Its calls since it first named the place.
    fn run(&self, fault: Option<&Fault>) -> Result<Vec<Call>, Violation> {
        let place = Place::new();
        for line in self.before {
            // One that leaves a dirty barrier is killed itself.
            Verb::finish(Verb::command(line, &place, &[]))?;
        }
        let (trace, mut tracer) = (place.path("trace"), Command::new("strace"));
        strace::options(&mut tracer, &trace, fault);
        let mut words = vec!["strace".to_string()];
        words.extend(tracer.get_args().map(|word| word.to_string_lossy().into_owned()));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let outcome = Verb::finish(Verb::command(self.line, &place, &words))?;
        let folder = place.folder().display().to_string();
        let calls = strace::read(&trace).into_iter();
        // The first that names the place are strace's own exec and what the loader makes of it.
        let named = |call: &Call| call.name != "execve" && call.text.contains(&folder);
        // What another program does after it has taken this one's place is not the core's.
        let own = calls.skip_while(|call| !named(call)).take_while(|call| call.name != "execve");
        let mut calls: Vec<Call> = own.collect();
        let fails = fault.is_some_and(|fault| matches!(fault.trouble, Trouble::Fails(_)));
        if fails && calls.iter().any(|call| call.struck && errnos::of(call).is_empty()) {
            // A tool that was asked took more or fewer reads this time: it struck a pipe from it.
            return Ok(calls);
        }
        let kept = Kept::of(&place);
        self.judge(&place, fault, &outcome)?;
        kept.judge(&place, self, self.before.contains(&DIRTY))?;
        if fault.is_none() {
            durable::is_synced(&calls, &place)?;
        }
        if let Some(struck) = calls.iter().find(|call| call.struck && !self.goes_on()) {
            durable::says_so(struck, outcome.code, &outcome.complaints)?;
        }
        calls.retain(|call| !self.only_state || durable::concerns(call, &place));
        Ok(calls)
    }

    /// For these a state that cannot be written is a warning beside their own outcome.
    fn goes_on(&self) -> bool {
        ["run", "snapshot"].iter().any(|verb| self.line.starts_with(verb))
    }

    fn judge(&self, place: &Place, fault: Option<&Fault>, said: &Outcome) -> Result<(), Violation> {
        let killed = fault.is_some_and(|fault| matches!(fault.trouble, Trouble::Kills));
        match said.code {
            Some(0) => {}
            // The check's own.
            Some(1) if self.line.ends_with(" false") => {}
            None if killed => {}
            // sysexits(3), the limits and the shell's; 70 would be a fault of the program's own.
            Some(64..=69 | 71..=77 | 124 | 126 | 127) if fault.is_some() => {
                let warns = |line: &String| self.goes_on() && line.contains(" warning: ");
                let lines = said.complaints.iter().filter(|line| !warns(line));
                let lines: Vec<&String> = lines.collect();
                let [line] = lines.as_slice() else {
                    return Err(format!("not one line: {:?}", said.complaints));
                };
                if !line.starts_with("stillpoint: ") || line.len() > 400 {
                    return Err(format!("not a clear line: {line}"));
                }
            }
            code => return Err(format!("it ended with {code:?}: {:?}", said.complaints)),
        }
        // A killed wrapper's command may still run; it has inherited the share.
        healthy(
            &place.barrier_path(),
            self.line.starts_with("create") || self.line.contains("retire"),
        )?;
        // The state can still be read, and goes on with the barrier that is there.
        let again = Verb::finish(Verb::command(CREATE, place, &[]))?;
        if again.code != Some(0) {
            return Err(format!("create afterwards: {:?}", again.complaints));
        }
        no_locks(place)?;
        let unlink = fault.is_some_and(|fault| fault.name.starts_with("unlink"));
        no_files(place, killed || unlink)
    }
}

fn strike_all(what: &str, mut troubles: impl FnMut(&Call) -> Vec<Trouble>) {
    if !strace::works() {
        return skip("strace cannot inject faults here");
    }
    let mut cases = Vec::new();
    for verb in VERBS {
        let calls = verb.run(None);
        let calls =
            calls.unwrap_or_else(|error| panic!("{} without any fault: {error}", verb.line));
        let mut known = BTreeSet::new();
        for call in calls {
            for trouble in troubles(&call) {
                if known.insert((call.name.clone(), call.nth, format!("{trouble:?}"))) {
                    cases.push((verb, Fault { name: call.name.clone(), nth: call.nth, trouble }));
                }
            }
        }
    }
    let violations = check(
        &cases,
        |(verb, fault)| format!("{}: {fault}", verb.name()),
        |(verb, fault)| verb.run(Some(fault)).map(drop),
    );
    report(&format!("{} {what} of the command", cases.len()), &violations);
}

#[test]
fn every_call_of_the_command_may_fail() {
    let mut turns = errnos::Turns::default();
    strike_all("calls x errnos injected", |call| turns.of(call));
}

#[test]
fn death_of_the_command_at_any_call_is_survived_by_the_others() {
    strike_all("deaths at system calls", |call| {
        let ends = ["exit", "exit_group"].contains(&call.name.as_str());
        if ends { Vec::new() } else { vec![Trouble::Kills] }
    });
}
