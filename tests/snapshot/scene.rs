//! A barrier folder, a catalogue and a place for data, and the command to use on them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::image::must;

/// How long anything may take that happens at once on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Scene {
    barriers: TempDir,
    place: TempDir,
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Scene {
    /// With a barrier `mail`.
    pub fn new() -> Scene {
        // The temporary folder of a container may lie on a file system that carries no barriers.
        let memory = Path::new("/dev/shm");
        let barriers = match memory.is_dir() {
            true => tempfile::tempdir_in(memory).unwrap(),
            false => tempfile::tempdir().unwrap(),
        };
        let scene = Scene { barriers, place: tempfile::tempdir().unwrap() };
        for folder in ["store", "snapshots", "catalog", "bin"] {
            fs::create_dir(scene.path(folder)).unwrap();
        }
        scene.create("mail");
        scene
    }

    /// A path in the place for data: `store`, `snapshots`, `catalog`, `bin`, ...
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub fn barriers(&self) -> &Path {
        self.barriers.path()
    }

    pub fn barrier_file(&self, name: &str) -> PathBuf {
        self.barriers().join(format!("{name}.barrier"))
    }

    pub fn stillpoint(&self) -> Command {
        self.environment(Command::new(env!("CARGO_BIN_EXE_stillpoint")))
    }

    /// A command with the barriers, the catalogue and the stand-ins of this scene.
    pub fn environment(&self, mut command: Command) -> Command {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command
            .env("STILLPOINT_DIR", self.barriers())
            .env("STILLPOINT_CATALOG", self.path("catalog"))
            .env("STILLPOINT", env!("CARGO_BIN_EXE_stillpoint"))
            .env("PATH", path)
            .env_remove("STILLPOINT_STATE_DIR")
            .env_remove("STILLPOINT_CREATE")
            .env_remove("STILLPOINT_HELD")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn create(&self, barrier: &str) {
        let done = run(self.stillpoint().args(["create", barrier]));
        assert_eq!(done.code, Some(0), "{done:?}");
    }

    /// Runs `stillpoint snapshot` to its end.
    pub fn snapshot<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Done {
        run(self.stillpoint().arg("snapshot").args(arguments))
    }

    /// `--copy store --to snapshots`, with more arguments.
    pub fn copy(&self, arguments: &[&str]) -> Command {
        let mut command = self.stillpoint();
        command.args(["snapshot", "mail"]).args(arguments);
        command.arg("--copy").arg(self.path("store")).arg("--to").arg(self.path("snapshots"));
        command
    }

    /// A stand-in for a tool, found before the real one; `$REAL` in it is the real one.
    pub fn stand_in(&self, tool: &str, script: &str) {
        let search = std::env::var("PATH").unwrap();
        let real = std::env::split_paths(&search)
            .map(|folder| folder.join(tool))
            .find(|path| path.exists());
        let real = real.unwrap_or_default();
        let script = format!("#!/bin/sh\nREAL={}\n{script}\n", real.display());
        // Written by a process of its own: a program whose file is open for writing cannot be
        // started, and every fork in this process would keep it open for a moment.
        must(
            Command::new("sh")
                .args(["-c", r#"printf %s "$1" > "$2" && chmod 755 "$2""#, "sh"])
                .arg(script)
                .arg(self.path("bin").join(tool)),
        );
    }

    /// Any verb, run to its end.
    pub fn verb<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>) -> Done {
        run(self.stillpoint().args(words))
    }

    /// A whole, clean snapshot of the store in the folder of snapshots.
    pub fn take(&self, name: &str) -> PathBuf {
        run(&mut self.copy(&["--hold", "10", "--min-open", "0", "--name", name])).assert_code(0);
        self.path("snapshots").join(name)
    }

    /// Writes a manifest as somebody else, or an earlier run, would have left it.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let file = self.path("catalog").join(format!("{name}.json"));
        let mut manifest = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        change(&mut manifest);
        fs::write(file, manifest.to_string()).unwrap();
    }

    /// What `latest` prints, without the folder; `None` if there is none.
    pub fn latest(&self, words: &[&str]) -> Option<String> {
        let done = self.verb([&["latest"], words].concat());
        match done.code {
            Some(66) => None,
            _ => {
                done.assert_code(0);
                let line = done.stdout.strip_suffix('\n').expect("a line").to_owned();
                Some(line.rsplit('/').next().unwrap().to_owned())
            }
        }
    }

    pub fn status(&self, barrier: &str) -> Value {
        let done = run(self.stillpoint().args(["status", "--json", barrier]));
        assert_eq!(done.code, Some(0), "{done:?}");
        serde_json::from_str(&done.stdout).unwrap()
    }

    pub fn generation(&self) -> u64 {
        self.status("mail")["generation"].as_u64().unwrap()
    }

    pub fn is_closed(&self) -> bool {
        self.status("mail")["gate"] == "closed"
    }

    /// A writer gets in, so the gate is open.
    pub fn assert_writers_go_on(&self) {
        let done = run(self.stillpoint().args(["run", "-s", "-w", "20", "mail", "true"]));
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(!self.is_closed());
    }

    /// All manifests, by name.
    pub fn manifests(&self) -> Vec<Value> {
        let mut manifests: Vec<Value> = fs::read_dir(self.path("catalog"))
            .unwrap()
            .map(|item| item.unwrap().path())
            .map(|path| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
            .collect();
        manifests.sort_by_key(|manifest| manifest["name"].as_str().unwrap().to_owned());
        manifests
    }

    /// Where the data of this snapshot is, or was, until it is complete.
    pub fn partial(&self, name: &str) -> PathBuf {
        let file = self.path("catalog").join(format!("{name}.json"));
        let manifest: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        manifest["partial"].as_str().expect("it is a folder").into()
    }

    /// The same, without the folder.
    pub fn partial_name(&self, name: &str) -> String {
        self.partial(name).file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// The only manifest there is.
    pub fn manifest(&self) -> Value {
        let mut manifests = self.manifests();
        assert_eq!(manifests.len(), 1, "{manifests:#?}");
        manifests.remove(0)
    }

    /// Everything in the target folder, hidden names too.
    pub fn snapshots(&self) -> Vec<String> {
        names(&self.path("snapshots"))
    }

    /// A command inside the barrier until the returned process is ended.
    pub fn holder(&self) -> Running {
        let holder = start(
            self.stillpoint().args(["run", "-s", "--label", "slowpoke", "mail", "sleep", "600"]),
        );
        wait_for("a writer inside", || {
            let status = self.status("mail");
            status["writers"].as_array().unwrap().iter().any(|writer| writer["inside"] == true)
        });
        holder
    }
}

/// The sorted names in a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let items = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        items.map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What a process is doing, as one letter: R, S, D, T, Z.
pub fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// A process that is ended when this goes.
pub struct Running {
    child: Option<Child>,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).unwrap();
    }

    pub fn is_stopped(&self) -> bool {
        state(self.pid() as i32) == Some('T')
    }

    pub fn wait(mut self) -> Done {
        Done::from(self.child.take().unwrap().wait_with_output().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let pid = Pid::from_raw(child.id() as i32);
            let _ = kill(pid, Signal::SIGTERM);
            let _ = kill(pid, Signal::SIGCONT);
            let _ = child.wait();
        }
    }
}

pub fn start(command: &mut Command) -> Running {
    Running { child: Some(command.spawn().unwrap()) }
}

pub fn run(command: &mut Command) -> Done {
    Done::from(command.output().unwrap())
}

impl From<Output> for Done {
    fn from(output: Output) -> Done {
        Done {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Done {
    #[track_caller]
    pub fn assert_code(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{self:#?}");
    }

    /// Ended by this status, saying this on standard error and nothing on standard output.
    #[track_caller]
    pub fn assert_refused(&self, code: i32, said: &str) {
        self.assert_code(code);
        assert!(self.stderr.contains(said), "{said:?} is not in {self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
    }
}

/// Waits until something is so.
#[track_caller]
pub fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !so() {
        assert!(since.elapsed() < PATIENCE, "no {what} after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
