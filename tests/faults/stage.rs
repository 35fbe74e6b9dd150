//! A scene on its way: the victim, its neighbour, and what they have said so far.

use crate::claims::Claims;
use crate::common::{BOOT_IDS, Participant, Place, at_once, is_alive, ms};
use crate::scene::{Before, Scene, Target};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};
use stillpoint::{Barrier, Error, Status};

/// The other file that a script may name.
pub const FILE: &str = "mailbox";

/// The longest limit of any scene, and slack for a small and busy machine: who has not answered
/// by then hangs.
const LIMIT: Duration = Duration::from_secs(15);

/// What is wrong.
pub type Violation = String;

/// Whether the victim may fail, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mercy {
    /// Everything must go as the script says.
    None,
    /// An error is an answer, but the same command must then succeed.
    Errors,
    /// It may die.
    Death,
}

pub struct Stage<'s> {
    pub scene: &'s Scene,
    pub place: Place,
    pub victim: Option<Participant>,
    pub other: Option<Participant>,
    /// Environment of the victim.
    variables: HashMap<String, String>,
    pub claims: Claims,
    pub others_claims: Claims,
    /// What the victim is doing, while it has not answered.
    under_way: Option<String>,
    child: Option<u32>,
    pub dead: bool,
    buried: bool,
    /// A writer from outside got in while the victim said that it had the pause.
    intruded: bool,
    /// The dirty epoch before the act.
    pub epoch: u32,
    /// The errors that the victim answered with.
    pub errors: Vec<String>,
}

impl<'s> Stage<'s> {
    pub fn new(scene: &'s Scene, variables: &[(&str, String)]) -> Stage<'s> {
        let place = Place::new();
        let path = place.barrier_path();
        match scene.before {
            Before::Ready => drop(place.barrier()),
            Before::Missing => {}
            Before::Empty => drop(std::fs::File::create(&path).unwrap()),
            Before::OtherBoot | Before::Garbage => {
                drop(place.barrier());
                let file = std::fs::File::options().write(true).open(&path).unwrap();
                match scene.before {
                    Before::Garbage => file.write_all_at(&[7; 64], 0).unwrap(),
                    _ => BOOT_IDS.iter().for_each(|at| file.write_all_at(&[7; 16], *at).unwrap()),
                }
            }
        }
        let variables =
            variables.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        let mut stage = Stage {
            scene,
            place,
            victim: None,
            other: None,
            variables,
            claims: Claims::default(),
            others_claims: Claims::default(),
            under_way: None,
            child: None,
            dead: false,
            buried: false,
            intruded: false,
            epoch: 0,
            errors: Vec::new(),
        };
        stage.epoch = stage.status().map_or(0, |status| status.dirty.epoch);
        stage
    }

    pub fn path(&self) -> PathBuf {
        self.place.barrier_path()
    }

    pub fn status(&self) -> Result<Status, Error> {
        Status::read(self.path())
    }

    /// The process that is struck.
    pub fn target(&mut self) -> u32 {
        let victim = self.victim().pid();
        if self.scene.target == Target::Child { self.child.unwrap_or(victim) } else { victim }
    }

    fn victim(&mut self) -> &mut Participant {
        let variables = &self.variables;
        self.victim.get_or_insert_with(|| {
            Participant::start_as(|command: &mut Command| {
                command.envs(variables);
            })
        })
    }

    /// Plays lines until the end, or until the victim dies.
    pub fn play(&mut self, script: &str, mercy: Mercy) -> Result<(), Violation> {
        for line in script.lines() {
            if self.dead {
                return Ok(());
            }
            let (line, wanted) = line.split_once(" -> ").unwrap_or((line, ""));
            let line = line.replace("PATH", &self.path().display().to_string());
            let line = line.replace("FILE", &self.place.path(FILE).display().to_string());
            match line.as_str() {
                "probe" => self.probe()?,
                "other dies" => self.other_dies(),
                "until waiting" => self
                    .until(|status| status.writers.iter().any(|writer| writer.waiting.is_some())),
                "until reopened" => self.until(|status| status.generation >= 2 && !status.closed),
                "hear" => self.hear(wanted, mercy)?,
                line => match (line.strip_prefix("other "), line.strip_prefix("say ")) {
                    (Some(command), _) => self.other(command, wanted, mercy)?,
                    (_, Some(command)) => self.say(command),
                    _ => {
                        self.say(line);
                        self.hear(wanted, mercy)?;
                    }
                },
            }
        }
        Ok(())
    }

    fn say(&mut self, command: &str) {
        self.under_way = Some(command.into());
        // One that is dead is found out when it does not answer.
        let _ = self.victim().try_say(command);
    }

    fn hear(&mut self, wanted: &str, mercy: Mercy) -> Result<(), Violation> {
        let command = self.under_way.clone().unwrap_or_default();
        let began = Instant::now();
        let answer = match self.victim().hear_within(LIMIT) {
            // The child's parent has found the other end of a pipe closed.
            Ok(answer) if answer.is_empty() || answer.contains("Broken pipe") => None,
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("{command:?} hangs: no answer in {:?}", began.elapsed()));
            }
        };
        let Some(answer) = answer else {
            self.dead = true;
            return match mercy {
                Mercy::Death => Ok(()),
                _ => Err(format!("{command:?} killed it")),
            };
        };
        if answer.starts_with(wanted) {
            return self.answered(&command, &answer);
        }
        if mercy == Mercy::Errors && answer.starts_with("error ") {
            crate::oracle::clear(&answer, &self.path())?;
            self.errors.push(format!("{command:?}: {answer}"));
            self.under_way = None;
            if command == "release" {
                // The pause is over, without its certificate.
                self.claims.pause = false;
                return Ok(());
            }
            // What was made and could not be opened stays, and is whole.
            let made = command.strip_prefix("create ").filter(|_| self.path().exists());
            let made = made.filter(|_| Barrier::open(self.path()).is_ok());
            let (command, wanted) = match made {
                Some(path) => (format!("open {path}"), "open"),
                None => (command, wanted),
            };
            self.say(&command);
            return self
                .hear(wanted, Mercy::None)
                .map_err(|text| format!("after {answer}: {text}"));
        }
        Err(format!("to {command:?}: {answer}"))
    }

    fn answered(&mut self, command: &str, answer: &str) -> Result<(), Violation> {
        self.under_way = None;
        if answer.starts_with("error ") {
            return Ok(());
        }
        if command == "release" && self.intruded {
            return Err("a certificate for a pause in which a writer got in".into());
        }
        if command.starts_with("fork ") {
            self.child = answer.strip_prefix("forked ").and_then(|pid| pid.parse().ok());
        }
        self.claims.done(command);
        Ok(())
    }

    fn other(&mut self, command: &str, wanted: &str, mercy: Mercy) -> Result<(), Violation> {
        let other = self.other.get_or_insert_with(Participant::start);
        let answer = other.ask(command);
        if let Some(cover) = answer.strip_prefix("cover ") {
            self.variables.insert("STILLPOINT_HELD".into(), cover.into());
        }
        // A fault of the victim may cost the other a certificate, never give it one.
        let revoked = mercy != Mercy::None && answer.starts_with("error Revoked");
        if !answer.starts_with(wanted) && !revoked {
            return Err(format!("other to {command:?}: {answer}"));
        }
        if !answer.starts_with("error") || revoked {
            self.others_claims.done(command);
        }
        Ok(())
    }

    pub fn other_dies(&mut self) {
        if let Some(mut other) = self.other.take() {
            other.kill();
        }
    }

    /// Waits until the barrier looks so, or the victim has answered or died.
    fn until(&mut self, seen: impl Fn(&Status) -> bool) {
        let began = Instant::now();
        while began.elapsed() < ms(500) && !self.status().is_ok_and(|status| seen(&status)) {
            std::thread::sleep(ms(1));
        }
    }

    /// Exclusion, from outside: a tool is not granted while the victim is inside, and a writer does
    /// not get in while the victim has the pause.
    fn probe(&mut self) -> Result<(), Violation> {
        let outside = Barrier::open(self.path()).map_err(|error| format!("probe: {error}"))?;
        if self.claims.inside() > 0 {
            let mut at_once = at_once(1).wait(Duration::ZERO);
            if outside.exclusive(&mut at_once).is_ok()
                && is_alive(Pid::from_raw(self.target() as i32))
            {
                return Err("a tool was granted while the victim was inside".into());
            }
        }
        if self.claims.pause && outside.try_shared().is_ok() {
            self.intruded = true;
        }
        Ok(())
    }

    /// What the victim was doing when it died.
    pub fn interrupted(&self) -> Option<&str> {
        self.under_way.as_deref()
    }

    /// Ends the victim and its child, and waits until nothing is left of them.
    pub fn bury(&mut self) {
        use nix::sys::signal::{Signal, kill};
        if std::mem::replace(&mut self.buried, true) {
            return;
        }
        if let Some(child) = self.child {
            let child = Pid::from_raw(child as i32);
            let _ = kill(child, Signal::SIGKILL);
            crate::common::until("the child is gone", || !is_alive(child));
        }
        self.victim().kill();
    }
}
