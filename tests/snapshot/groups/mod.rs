//! `--freeze-unit` and `--freeze-cgroup`: groups of processes that stand still in the pause, of whichever version the
//! machine has.

mod bad_days;
mod guardian;
mod members;
mod refused;
mod torn;
mod units;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::common::{Done, Group, Running, run, start, until};
use crate::scene::Scene;

/// A scene with a process in a group that never stops writing to a file.
pub struct Ticking {
    pub scene: Scene,
    pub group: Group,
    pub ticker: Running,
}

impl Ticking {
    /// In this group, or in one below it.
    pub fn in_group(group: Group, writing: Option<&Group>) -> Ticking {
        let scene = Scene::new();
        let ticker = tick(writing.unwrap_or(&group), scene.path("ticks"));
        let ticking = Ticking { scene, group, ticker };
        ticking.assert_goes_on();
        ticking
    }

    /// One for each version.
    pub fn each() -> Vec<Ticking> {
        Group::each().into_iter().map(|group| Ticking::in_group(group, None)).collect()
    }

    pub fn any() -> Option<Ticking> {
        Group::any().map(|group| Ticking::in_group(group, None))
    }

    pub fn file(&self) -> PathBuf {
        self.scene.path("ticks")
    }

    /// `--freeze-cgroup`, with this behind the path.
    pub fn flag(&self, suffix: &str) -> String {
        format!("--freeze-cgroup={}{suffix}", self.group.folder().display())
    }

    /// A snapshot by a script, in which `$0` is the group's folder and `$1` the ticker's file.
    pub fn command(&self, options: &[&str], script: &str) -> Command {
        self.command_with(options, &self.flag(""), script)
    }

    /// The same with this behind the path.
    pub fn command_by(&self, suffix: &str, script: &str) -> Command {
        self.command_with(&[], &self.flag(suffix), script)
    }

    fn command_with(&self, options: &[&str], flag: &str, script: &str) -> Command {
        let mut command = self.scene.stillpoint();
        command.args(["snapshot", "mail", "--min-open", "0"]).args(options);
        command.arg(flag).args(["--", "sh", "-c", script]);
        command.arg(self.group.folder()).arg(self.file());
        command
    }

    pub fn snapshot(&self, options: &[&str], script: &str) -> Done {
        run(self.command(options, script))
    }

    /// One that says that it runs and then goes on until it is ended, or told to.
    pub fn pausing(&self, options: &[&str]) -> Running {
        let script = r#"cd "${1%/*}"; touch runs; until [ -e go ]; do sleep 0.01; done"#;
        let tool = start(self.command(options, script));
        until("pause", || self.scene.path("runs").exists());
        assert!(self.group.is_frozen());
        tool
    }

    pub fn go(&self) {
        fs::write(self.scene.path("go"), "").unwrap();
    }

    fn length(&self) -> u64 {
        fs::metadata(self.file()).map_or(0, |found| found.len())
    }

    #[track_caller]
    pub fn assert_goes_on(&self) {
        let before = self.length();
        until("the writer goes on", || self.length() > before);
    }

    /// Nothing that a tool leaves behind, but the snapshots.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        until("it is thawed", || self.group.is_thawed());
        until("no record", || self.records() == 0);
        self.assert_goes_on();
        self.scene.assert_writers_go_on();
    }

    pub fn records(&self) -> usize {
        fs::read_dir(self.scene.barriers().join("frozen")).map_or(0, |files| files.count())
    }
}

/// A process in the group that makes a file longer, without end.
pub fn tick(group: &Group, file: PathBuf) -> Running {
    let script = r#"while :; do echo >> "$0"; done"#;
    let mut ticker = group.program("sh");
    start(ticker.args(["-c", script]).arg(file).stdout(Stdio::null()))
}

/// Whether the file grows while the script runs; it says so by its status.
pub const STANDS: &str = r#"a=$(wc -c < "$1"); sleep 0.1; [ "$a" = "$(wc -c < "$1")" ]"#;
