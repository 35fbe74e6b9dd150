//! What every participant must do, whatever it stills.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::common::command::Place;
use crate::common::{ms, names, until};
use crate::driven::{Driven, SHELLS};

/// A store with a participant.
pub struct Store<'a> {
    pub place: &'a Place,
    pub participant: &'static str,
    pub arguments: Vec<String>,
    /// What was written to it, in each of its parts; while it stands still it cannot be asked if that waits too.
    pub written: Option<&'a dyn Fn() -> Vec<u64>>,
    /// Writes once, which waits while it stands still.
    pub write: &'a (dyn Fn() + Sync),
}

impl Store<'_> {
    pub fn ready(&self, shell: &str) -> Driven {
        Driven::ready(self.place, shell, self.participant, &self.arguments)
    }

    /// Says so, and how long it took.
    #[track_caller]
    fn writes_within(&self, limit: Duration, why: &str) {
        let since = Instant::now();
        (self.write)();
        let took = since.elapsed();
        assert!(took < limit, "{}: a write took {took:?}: {why}", self.participant);
    }

    /// All that follows.
    pub fn must_behave(&self) {
        let mut still = Vec::new();
        for shell in SHELLS {
            still.extend(self.stands_still(shell));
            self.goes_on_at_its_limit(shell);
        }
        self.goes_on_without_its_participant();
        still.sort_by(f64::total_cmp);
        println!("{}: ms until still: {:.1?}", self.participant, still);
    }

    /// How many milliseconds it took, each time.
    fn stands_still(&self, shell: &str) -> Vec<f64> {
        let mut driven = self.ready(shell);
        self.writes_within(ms(2000), "it was only told to be ready");
        let took = [0, 1].map(|_| {
            let took = driven.ask("freeze 10000", "frozen").as_secs_f64() * 1e3;
            let before = self.written.map(|written| written());
            std::thread::scope(|scope| {
                let write = scope.spawn(self.write);
                std::thread::sleep(ms(150));
                let after = self.written.map(|written| written());
                assert_eq!(before, after, "{} under {shell}", self.participant);
                assert!(!write.is_finished(), "{} under {shell}", self.participant);
                driven.ask("thaw", "thawed");
            });
            if let Some(written) = self.written {
                let moves = |part: usize| written()[part] > before.as_ref().unwrap()[part];
                for part in 0..written().len() {
                    until("its writers go on", || moves(part));
                }
            }
            took
        });
        assert_eq!(driven.end(), (0, vec![]), "{} under {shell}", self.participant);
        self.leaves_nothing();
        took.to_vec()
    }

    fn goes_on_at_its_limit(&self, shell: &str) {
        let mut driven = self.ready(shell);
        driven.ask("freeze 800", "frozen");
        self.writes_within(ms(2500), "its limit of 800 ms has passed");
        driven.say("thaw");
        let heard = driven.hear();
        assert_ne!(heard.as_deref(), Some("thawed"), "{} under {shell}", self.participant);
        let (code, complaints) = driven.end();
        assert!(code != 0 && !complaints.is_empty(), "{code} {complaints:?}");
        self.leaves_nothing();
    }

    /// Killed, stopped, or without anybody to tell it anything.
    fn goes_on_without_its_participant(&self) {
        let shells = SHELLS.iter().cycle();
        let mut shells = shells.skip(self.participant.len());
        let mut frozen = |limit: &str| {
            let mut driven = self.ready(shells.next().unwrap());
            driven.ask(&format!("freeze {limit}"), "frozen");
            // Somebody of its group is just removing them.
            until("its pipes are no files any more", || !self.has_pipes());
            driven
        };
        let driven = frozen("15000");
        driven.signal(Signal::SIGKILL);
        self.writes_within(ms(2000), "its participant was killed");
        drop(driven);

        let driven = frozen("15000");
        driven.signal_group(Signal::SIGKILL);
        self.writes_within(ms(2000), "its participant was killed, with all its group");
        drop(driven);

        let driven = frozen("15000");
        driven.signal(Signal::SIGTERM);
        self.writes_within(ms(2000), "its participant was ended");
        drop(driven);

        let mut driven = frozen("15000");
        driven.close_input();
        assert_eq!(driven.hear().as_deref(), Some("thawed"));
        self.writes_within(ms(2000), "there is nobody any more");
        assert_eq!(driven.end(), (0, vec![]));

        let driven = frozen("500");
        driven.signal(Signal::SIGSTOP);
        self.writes_within(ms(3000), "its participant was stopped");
        driven.signal(Signal::SIGKILL);
        drop(driven);
        self.leaves_nothing();
    }

    /// Neither processes nor pipes.
    fn leaves_nothing(&self) {
        let mark = self.place.path("");
        let mark = format!("PARTICIPANT_OF={}", mark.display());
        until("all that a participant has started has ended", || {
            fs::read_dir("/proc").unwrap().flatten().all(|entry| {
                let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
                !environment.split(|byte| *byte == 0).any(|line| line == mark.as_bytes())
            })
        });
        assert!(!self.has_pipes(), "{:?}", names(&self.place.path("")));
    }

    fn has_pipes(&self) -> bool {
        names(&self.place.path("")).iter().any(|name| name.starts_with("stillpoint."))
    }

    /// One that cannot begin, or not freeze: it says why in one line, in this time, and the store goes on.
    #[track_caller]
    pub fn cannot(&self, arguments: &[&str], within: Duration, parts: &[&str]) {
        let arguments: Vec<String> =
            arguments.iter().map(|argument| argument.to_string()).collect();
        let since = Instant::now();
        let mut driven = Driven::start(self.place, "dash", self.participant, &arguments);
        // It may be ready all the same.
        until("it has ended", || {
            match driven.heard().as_deref() {
                Some("ready") => driven.say("freeze 10000"),
                Some(line) => assert!(line.starts_with("covers "), "{line}"),
                None => {}
            }
            driven.has_ended()
        });
        assert!(since.elapsed() < within, "{:?}", since.elapsed());
        let (code, complaints) = driven.end();
        assert!(code != 0 && complaints.len() == 1, "{code} {complaints:?}");
        for part in parts {
            assert!(complaints[0].contains(part), "no {part:?} in {complaints:?}");
        }
        self.leaves_nothing();
    }
}
