//! A host that calls its hook: with its arguments and variables, and reading what it prints to the end,
//! which a process that keeps a pipe open would never let come.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::common::command::Place;
use crate::common::{Done, STILLPOINT, must, programs, root, run, until};
use crate::surroundings::Surroundings;

/// How one host makes one of its two calls.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub arguments: &'static [&'static str],
    pub variables: &'static [(&'static str, &'static str)],
    /// The name under which the hook is called, where that matters.
    pub name: Option<&'static str>,
}

impl Call {
    pub const fn with_arguments(arguments: &'static [&'static str]) -> Call {
        Call { arguments, variables: &[], name: None }
    }

    pub const fn with_variables(variables: &'static [(&'static str, &'static str)]) -> Call {
        Call { arguments: &[], variables, name: None }
    }

    pub const fn named(name: &'static str, arguments: &'static [&'static str]) -> Call {
        Call { arguments, variables: &[], name: Some(name) }
    }
}

/// The hooks, as scripts/install would put them there: each says where the others lie. Made once for all tests.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hooks");
        let lock = fs::File::create(folder.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        // By a process of its own: a program that is open for writing cannot be started.
        must(
            Command::new("sh")
                .args(["-euc", INSTALL, "sh"])
                .arg(root().join("scripts/hooks"))
                .arg(&folder),
        );
        folder
    })
}

/// Only what has changed: other tests may be running it.
const INSTALL: &str = r#"
    mkdir -p "$2"
    for file in "$1"/*; do
        to=$2/${file##*/}
        sed "s|/usr/share/stillpoint/hooks|$2|g" "$file" >"$2.new"
        chmod --reference="$file" "$2.new"
        if ! cmp -s "$2.new" "$to"; then mv "$2.new" "$to"; fi
    done"#;

/// What stood behind `option` in the commands that were recorded.
pub fn values_of(log: &Path, option: &str) -> Vec<f64> {
    let text = std::fs::read_to_string(log).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1].parse().unwrap()).collect()
}

/// A hook on a place with a barrier.
pub struct Host {
    pub place: Place,
    pub hook: &'static str,
    surroundings: Option<&'static Surroundings>,
}

impl Host {
    pub fn new(hook: &'static str) -> Host {
        let host = Host { place: Place::with_barrier(), hook, surroundings: Surroundings::next() };
        fs::create_dir(host.place.path("jobs.d")).unwrap();
        fs::set_permissions(host.place.path("jobs.d"), fs::Permissions::from_mode(0o755)).unwrap();
        host.freezes("'mail'", "");
        host
    }

    /// The file of a job.
    pub fn write_job(&self, name: &str, text: &str) -> PathBuf {
        let file = self.place.path(&format!("jobs.d/{name}.toml"));
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        file
    }

    /// Its job only freezes these barriers, with `limits`.
    pub fn freezes(&self, barriers: &str, limits: &str) {
        let drain = if limits.contains("drain") { "" } else { "drain = 0.2\n" };
        self.write_job("host", &format!("barriers = [{barriers}]\n[limits]\n{drain}{limits}\n"));
    }

    /// The call, not made yet. Hosts give their hooks little else than this.
    pub fn command(&self, call: Call) -> Command {
        self.command_of(self.hook, call)
    }

    /// The same of another host's hook.
    pub fn command_of(&self, hook: &str, call: Call) -> Command {
        let mut path = folder().join(hook);
        if let Some(name) = call.name {
            let link = self.place.path(name);
            let _ = std::os::unix::fs::symlink(&path, &link);
            path = link;
        }
        let mut command = self.program(&path);
        command
            .args(call.arguments)
            .envs(call.variables.iter().copied())
            .env("PATH", self.path(&[]))
            .env("STILLPOINT_HOOKS_CONF", self.place.path("hooks.conf"))
            .env("STILLPOINT_JOBS", self.place.path("jobs.d"))
            .env("STILLPOINT_STATE_DIR", self.place.path("state"))
            .env("STILLPOINT_JOB", "host")
            .env("STILLPOINT_WAIT", "0.3")
            .env("STILLPOINT_RECORD", self.place.path("record"))
            .env("STILLPOINT_HOOK_D", self.place.path("hook.d"))
            .current_dir("/");
        command
    }

    /// `hook`, or a copy of one, as the machine of this host runs it.
    pub fn program(&self, hook: &Path) -> Command {
        match self.surroundings {
            Some(surroundings) => surroundings.command(&self.place, hook),
            None => self.place.program(hook),
        }
    }

    /// Where programs are looked for: in these folders of the place, then where this machine has them.
    pub fn path(&self, folders: &[&str]) -> OsString {
        let mut path: Vec<PathBuf> = folders.iter().map(|name| self.place.path(name)).collect();
        path.extend(self.surroundings.map(|surroundings| surroundings.tools(&self.place)));
        path.push(programs().to_path_buf());
        std::env::join_paths(path).unwrap()
    }

    pub fn call(&self, call: Call) -> Done {
        run(self.command(call))
    }

    /// The same with one more variable.
    pub fn call_with(&self, call: Call, name: &str, value: &str) -> Done {
        let mut command = self.command(call);
        command.env(name, value);
        run(command)
    }

    /// The same with a job that leaves the gate closed for so long at most.
    pub fn call_held(&self, call: Call, hold: &str) -> Done {
        self.freezes("'mail'", &format!("hold = {hold}"));
        let done = self.call(call);
        self.freezes("'mail'", "");
        done
    }

    /// Makes a program `bin/stillpoint` that notes its words, does `what` and then the real thing; says
    /// where it notes them.
    pub fn record_commands(&self, what: &str) -> PathBuf {
        let (bin, log) = (self.place.path("bin"), self.place.path("commands"));
        let text = format!(
            "#!/bin/sh\necho \"$@\" >>'{}'\n{what}\nexec '{STILLPOINT}' \"$@\"\n",
            log.display()
        );
        // By a process of its own: a program that is open for writing cannot be started.
        let script =
            r#"mkdir -p "$2" && printf '%s' "$1" >"$2/stillpoint" && chmod 755 "$2/stillpoint""#;
        let mut write = Command::new("sh");
        write.args(["-c", script, "sh", &text]).arg(bin);
        assert!(write.status().unwrap().success());
        log
    }

    pub fn is_closed(&self) -> bool {
        self.place.status()["gate"] == "closed"
    }

    /// The limit has opened the gate.
    pub fn wait_for_limit(&self) {
        until("the limit opens the gate", || !self.is_closed());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.place.run(["thaw", "mail"]);
    }
}
