//! A barrier folder, a catalogue and a place for data, and the command to use on them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{
    Done, NOBODY, Running, STILLPOINT, as_user, folder_in_memory, must, names, run, start, until,
};

pub struct Scene {
    barriers: TempDir,
    place: TempDir,
}

impl Scene {
    /// With a barrier `mail`.
    pub fn new() -> Scene {
        let scene = Scene { barriers: folder_in_memory(), place: tempfile::tempdir().unwrap() };
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
        self.environment(Command::new(STILLPOINT))
    }

    /// A command with the barriers, the catalogue and the stand-ins of this scene.
    pub fn environment(&self, mut command: Command) -> Command {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command
            .env("STILLPOINT_DIR", self.barriers())
            .env("STILLPOINT_CATALOG", self.path("catalog"))
            .env("STILLPOINT", STILLPOINT)
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
        assert_eq!(done.code(), 0, "{done:?}");
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

    /// The command as an ordinary user: a copy of it, as the program itself may lie where nobody else can
    /// reach it. Where he may enter the scene is the test's to say.
    pub fn as_nobody<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>) -> Command {
        let program = self.path("bin/stillpoint");
        if !program.exists() {
            let mut install = Command::new("install");
            must(install.args(["-m", "755", STILLPOINT]).arg(&program));
        }
        let mut command = Command::new("setpriv");
        command.args(as_user(NOBODY, NOBODY)).arg(program).args(words);
        self.environment(command)
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

    /// Makes a snapshot look like one of ZFS: a volume, and no folder.
    pub fn make_zfs(&self, name: &str) {
        let volume =
            json!({ "name": "tank/mail@x", "partial": "tank/mail@x.partial", "kept": null });
        self.edit(name, |manifest| {
            manifest["provider"] = "zfs".into();
            manifest["path"] = Value::Null;
            manifest["partial"] = Value::Null;
            manifest["identity"] = json!([]);
            manifest["volumes"] = json!([volume]);
        });
    }

    /// What `latest` prints, without the folder; `None` if there is none.
    pub fn latest(&self, words: &[&str]) -> Option<String> {
        let done = self.verb([&["latest"], words].concat());
        match done.code() {
            66 => None,
            _ => {
                done.assert_code(0);
                let line = done.stdout.strip_suffix('\n').expect("a line").to_owned();
                Some(line.rsplit('/').next().unwrap().to_owned())
            }
        }
    }

    pub fn status(&self, barrier: &str) -> Value {
        let done = run(self.stillpoint().args(["status", "--json", barrier]));
        assert_eq!(done.code(), 0, "{done:?}");
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
        assert_eq!(done.code(), 0, "{done:?}");
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
        until("a writer inside", || {
            let status = self.status("mail");
            status["writers"].as_array().unwrap().iter().any(|writer| writer["inside"] == true)
        });
        holder
    }
}
