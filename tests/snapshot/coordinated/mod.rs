//! A snapshot that is told each step: this host's part of one of many.

mod deaths;
mod jobs;
mod limits;
mod lines;
mod steps;
mod verdicts;

use std::fs::{self, File};
use std::io::Write;
use std::ops::{Deref, DerefMut};
use std::process::{Command, Stdio};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use serde_json::{Value, json};

use crate::common::{Done, Running, start};
use crate::scene::Scene;

/// Who tells the steps.
pub struct Part {
    running: Running,
    input: Option<File>,
}

impl Deref for Part {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl DerefMut for Part {
    fn deref_mut(&mut self) -> &mut Running {
        &mut self.running
    }
}

impl Part {
    /// `--coordinated` is among its words.
    pub fn start(command: &mut Command) -> Part {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let running = start(command.stdin(Stdio::from(read)));
        Part { running, input: Some(write.into()) }
    }

    /// Of the store, by a copy, with more words.
    pub fn of(scene: &Scene, words: &[&str]) -> Part {
        fs::write(scene.path("store").join("a"), "x").unwrap();
        Part::start(&mut copy(scene, words))
    }

    /// As far as this step: how many of the answers of [`STEPS`] have come.
    pub fn until(mut self, epoch: u64, step: usize) -> Part {
        for (said, heard) in STEPS.iter().take(step) {
            match *said {
                "" => {}
                "prepare" => self.tell(&prepare(epoch, &[])),
                said => self.tell(said),
            }
            self.expect(heard);
        }
        self
    }

    /// The same, of one whose snapshot takes for ever if it is to get no further.
    pub fn at(scene: &Scene, words: &[&str], epoch: u64, step: usize) -> Part {
        if step != QUIET {
            return Part::of(scene, words).until(epoch, step);
        }
        let mut command = scene.stillpoint();
        command.args(["snapshot", "mail", "--min-open", "0", "--coordinated"]).args(words);
        Part::start(command.args(["--", "sleep", "60"])).until(epoch, step)
    }

    pub fn tell(&mut self, word: &str) {
        let line = format!("{word}\n");
        self.input.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    }

    pub fn tell_bytes(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// The next word, and what stands behind it.
    pub fn expect(&mut self, word: &str) -> String {
        let line = self.running.line();
        let (first, rest) = line.split_once(' ').unwrap_or((&line, ""));
        assert_eq!(first, word, "{line}");
        rest.to_owned()
    }

    /// Nothing more is said.
    pub fn hang_up(&mut self) {
        self.input = None;
    }

    /// The end of it, with the line open.
    pub fn ended(self) -> Done {
        let Part { running, input } = self;
        let done = running.wait();
        drop(input);
        done
    }
}

/// A copy of the store. What is said twice is what was said last.
pub fn copy(scene: &Scene, words: &[&str]) -> Command {
    let hold: &[&str] = if words.contains(&"--hold") { &[] } else { &["--hold", "20"] };
    scene.copy(&[&["--coordinated", "--min-open", "0"], hold, words].concat())
}

/// What is said, and what is heard then.
pub const STEPS: [(&str, &str); 4] =
    [("prepare", "prepared"), ("freeze", "quiet"), ("", "snapped"), ("release", "certified")];
/// How many answers that is.
pub const QUIET: usize = 2;

pub fn prepare(epoch: u64, more: &[(&str, Value)]) -> String {
    let mut order = json!({ "group": "post", "host": "a", "epoch": epoch, "mode": "hold-all",
        "name": name(epoch), "nonce": format!("n{epoch}") });
    for (key, value) in more {
        order[key] = value.clone();
    }
    format!("prepare {order}")
}

pub fn name(epoch: u64) -> String {
    format!("post-{epoch}")
}

pub fn whole(epoch: u64) -> String {
    json!({ "members": { "a": name(epoch), "b": format!("b-{epoch}") }, "revision": 99 })
        .to_string()
}

impl Scene {
    /// That of one part.
    pub fn part(&self, epoch: u64) -> Value {
        let file = self.path("catalog").join(format!("{}.json", name(epoch)));
        serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
    }

    pub fn settle(&self, epoch: u64, words: &[&str]) -> Done {
        let epoch = epoch.to_string();
        self.verb([&["settle", "--group", "post", "--epoch", &epoch], words].concat())
    }

    /// As complete, or as partial.
    pub fn settle_as(&self, epoch: u64, verdict: &str) -> Done {
        let file = self.path("members");
        fs::write(&file, whole(epoch)).unwrap();
        self.settle(epoch, &["--members", file.to_str().unwrap(), verdict])
    }
}
