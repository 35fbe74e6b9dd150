//! A file system of a test's own, as that is what is asked about, and a barrier on another one.

use crate::common::{Done, Image, STILLPOINT, folder_in_memory, must, run};
use crate::harness::{Played, library};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

pub struct Disk {
    // Before the folder: it may be mounted in it.
    pub image: Image,
    folder: TempDir,
    barriers: TempDir,
}

impl Disk {
    /// In memory.
    pub fn new() -> Option<Disk> {
        Image::tmpfs(1 << 17).map(Disk::on)
    }

    pub fn on(image: Image) -> Disk {
        let disk =
            Disk { image, folder: tempfile::tempdir().unwrap(), barriers: folder_in_memory() };
        for folder in ["catalog", "snapshots"] {
            fs::create_dir(disk.elsewhere(folder)).unwrap();
        }
        let settings = format!(
            "barrier {}\nprotect {}\n",
            disk.barrier().display(),
            disk.image.path().display()
        );
        fs::write(disk.elsewhere("adopt.conf"), settings).unwrap();
        must(disk.stillpoint(["create", "--state", "none"]).arg(disk.barrier()));
        disk
    }

    /// On the file system.
    pub fn file(&self, name: &str) -> PathBuf {
        self.image.path().join(name)
    }

    /// Not on it.
    pub fn elsewhere(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn barrier(&self) -> PathBuf {
        self.barriers.path().join("adopted.barrier")
    }

    pub fn surround(&self, command: &mut Command) {
        command
            .env("STILLPOINT_ADOPT_CONFIG", self.elsewhere("adopt.conf"))
            .env("STILLPOINT_CATALOG", self.elsewhere("catalog"))
            .env_remove("STILLPOINT_HELD");
    }

    pub fn stillpoint<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(STILLPOINT);
        command.args(words);
        self.surround(&mut command);
        command
    }

    /// A program that is adopted.
    pub fn adopted(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("LD_PRELOAD", library());
        self.surround(&mut command);
        command
    }

    /// `run -x --adopted` of this file system, with more options.
    pub fn ask(&self, options: &[&str]) -> Done {
        run(&mut self.asking(options))
    }

    pub fn asking(&self, options: &[&str]) -> Command {
        let mut command = self.stillpoint(["run", "-x", "-w", "1", "--adopted"]);
        command.arg(self.image.path()).args(options).arg(self.barrier()).args(["echo", "in"]);
        command
    }

    #[track_caller]
    pub fn is_granted(&self, options: &[&str]) {
        // A busy machine may keep the gate closed, and then open, for longer than it takes to be refused.
        let done = self.ask(&[&["-w", "30"], options].concat());
        done.assert_code(0);
        assert_eq!(done.stdout, "in\n");
        assert_eq!(done.stderr, "");
    }

    /// A process that has a lock on this file in this way, by `tests/adopt/holder.c`.
    pub fn holder(&self, how: &str, file: &Path) -> Played {
        let mut played = Played::begin(Command::new(self.holders_program()).arg(how).arg(file));
        assert_eq!(played.line(), "held");
        played
    }

    pub fn holders_program(&self) -> PathBuf {
        let program = self.elsewhere("holder");
        if !program.exists() {
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/adopt/holder.c");
            let mut compiler = Command::new("gcc");
            compiler.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", source, "-o"]);
            must(compiler.arg(&program));
        }
        program
    }
}
