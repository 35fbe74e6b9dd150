//! `--zfs` and `--lvm`. Neither can run on every kernel, so they meet stand-ins for their tools, which
//! check every argument, keep a list of what there is, and fail as the real ones do.

mod failing;
mod interrupted;
mod real_lvm;
mod refused;
mod shown;
mod strangers;
mod taking;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common::{Done, Running, is_root, must, run, start, until};
use crate::scene::Scene;

const ZFS: &str = include_str!("../standins/zfs");
const LVM: &str = include_str!("../standins/lvm");

/// Trouble for one of several volumes.
const SECOND_POOL_FAILS: &str = r#"case "$*" in *dozer* | *thin*) fail "I/O error" ;; esac"#;

/// A system of volumes with its stand-ins.
struct System {
    scene: Scene,
    option: &'static str,
    list: &'static str,
    /// The subcommand or tool that takes a snapshot.
    taking: &'static str,
    renaming: &'static str,
}

impl System {
    fn zfs() -> System {
        System::new("--zfs", &["zfs", "zpool"], ZFS, ["zfs-snapshots", "snapshot", "rename"])
    }

    fn lvm() -> Option<System> {
        let tools = ["lvs", "lvcreate", "lvchange", "lvrename", "lvremove"];
        let files = ["lvm-volumes", "lvcreate", "lvrename"];
        is_root().then(|| System::new("--lvm", &tools, LVM, files))
    }

    fn each() -> Vec<System> {
        [Some(System::zfs()), System::lvm()].into_iter().flatten().collect()
    }

    fn new(option: &'static str, tools: &[&str], script: &str, files: [&'static str; 3]) -> System {
        let scene = Scene::new();
        for tool in tools {
            scene.stand_in(tool, script);
        }
        let [list, taking, renaming] = files;
        System { scene, option, list, taking, renaming }
    }

    fn is_zfs(&self) -> bool {
        self.option == "--zfs"
    }

    /// The origins of one, of two, and of a thin pool or another pool.
    fn origins(&self) -> [&'static str; 3] {
        if self.is_zfs() {
            ["tank/mail", "tank/home", "dozer/mail"]
        } else {
            ["vg/mail", "vg/home", "vg/thin"]
        }
    }

    fn made(&self, origin: &str, name: &str) -> String {
        let separator = if self.is_zfs() { '@' } else { '-' };
        format!("{origin}{separator}{name}")
    }

    fn command(&self, name: &str, options: &[&str]) -> Command {
        let mut command = self.scene.stillpoint();
        command.args(["snapshot", "--min-open", "0", "--name", name]).args(options);
        if !self.is_zfs() && !options.contains(&"--size") {
            command.args(["--size", "64M"]);
        }
        command.args(["mail", self.option, self.origins()[0]]);
        command
    }

    fn take(&self, name: &str, options: &[&str]) -> Done {
        run(&mut self.command(name, options))
    }

    /// The snapshots that there are.
    fn there(&self) -> Vec<String> {
        let list = fs::read_to_string(self.state(self.list)).unwrap_or_default();
        let origins = ["vg/mail", "vg/home", "vg/thin"];
        let mut made: Vec<String> =
            list.lines().filter(|name| !origins.contains(name)).map(str::to_owned).collect();
        made.sort();
        made
    }

    /// The same, and the origins, a line each.
    fn list(&self) -> String {
        fs::read_to_string(self.state(self.list)).unwrap()
    }

    fn set_list(&self, text: &str) {
        fs::write(self.state(self.list), text).unwrap();
    }

    fn state(&self, file: &str) -> PathBuf {
        self.scene.path("bin").join(file)
    }

    /// What shall go wrong with a tool, in shell; trouble of that kind is over with `None`.
    fn trouble(&self, with: &str, script: Option<&str>) {
        // A tool that is called so is a program: its trouble has a file of another name.
        let file = self.state(&format!("trouble-{with}"));
        match script {
            Some(script) => fs::write(file, script).unwrap(),
            None => fs::remove_file(file).unwrap(),
        }
    }

    fn manifest(&self) -> Value {
        self.scene.manifest()
    }

    /// A snapshot in its pause, whose tool does not come to an end.
    fn hanging(&self, options: &[&str]) -> Running {
        self.trouble(self.taking, Some(r#"echo $$ >"$STATE/hangs"; exec sleep 600"#));
        let running = start(&mut self.command("x", options));
        until("hanging tool", || self.state("hangs").exists());
        running
    }
}

/// What a program says of a path, in one line.
fn must_say(program: &str, arguments: &[&str], path: &Path) -> String {
    let said = must(Command::new(program).args(arguments).arg(path)).stdout;
    String::from_utf8(said).unwrap().trim().to_string()
}
