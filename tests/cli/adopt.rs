//! `stillpoint adopt`: a command that is adopted, what is said of those that are not, and units of systemd.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::command::Place;
use crate::common::{
    Done, Mounted, NOBODY, Running, as_user, is_root, must, programs, run, start, until,
};

/// A place with a barrier, a store on a file system of its own, and settings.
pub struct Scene {
    pub place: Place,
    store: tempfile::TempDir,
}

impl Scene {
    pub fn new() -> Scene {
        let scene = Scene { place: Place::with_barrier(), store: tempfile::tempdir().unwrap() };
        scene.configure("");
        scene
    }

    fn configure(&self, more: &str) {
        let (barrier, store) = (self.place.barrier(), self.store());
        let text = format!("barrier {}\nprotect {}\n{more}", barrier.display(), store.display());
        fs::write(self.settings(), text).unwrap();
    }

    fn settings(&self) -> PathBuf {
        self.place.path("adopt.conf")
    }

    fn store(&self) -> PathBuf {
        self.store.path().to_owned()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.store.path().join(name)
    }

    /// `adopt VERB` with the settings, and these words.
    fn adopt(&self, verb: &str, words: &[&str]) -> Command {
        let mut command = self.place.command(["adopt", verb, "--config"]);
        command.arg(self.settings()).args(words);
        command
    }

    /// The report of `adopt check --json` about the store.
    fn check(&self) -> (Done, Value) {
        let done = run(self.adopt("check", &["--json"]).arg(self.store()));
        let report = serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{done:?}"));
        (done, report)
    }

    /// Runs until the test ends, with a file of the store open for writing.
    fn writer(&self, mut command: Command) -> Running {
        let file = File::options().create(true).append(true).open(self.file("file")).unwrap();
        start(command.stdin(Stdio::null()).stdout(OwnedFd::from(file)))
    }

    /// The same, once its program is the last of the words.
    fn sleeper(&self, mut command: Command) -> Running {
        command.args(["sleep", "600"]);
        let it = self.writer(command);
        let comm = || fs::read_to_string(format!("/proc/{}/comm", it.pid)).unwrap_or_default();
        until("it sleeps", || comm() == "sleep\n");
        it
    }
}

fn about<'a>(report: &'a Value, process: &Running) -> &'a Value {
    let writers = report["writers"].as_array().unwrap();
    let found = writers.iter().find(|writer| writer["pid"] == process.pid.as_raw());
    found.unwrap_or_else(|| panic!("{report:#}"))
}

/// The line that says what to do about a process.
fn advice(report: &Value, process: &Running) -> String {
    let begins = format!("[{}]: ", process.pid);
    let lines = report["advice"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    let mut found = lines.filter(|line| line.contains(&begins));
    found.next().unwrap_or_else(|| panic!("{report:#}")).to_owned()
}

#[test]
fn a_command_that_is_run_so_is_adopted_and_keeps_what_was_preloaded() {
    let scene = Scene::new();
    let mut command = scene.adopt("run", &["--", "sh", "-c", "echo $LD_PRELOAD; exit 5"]);
    let done = run(command.env("LD_PRELOAD", "libc.so.6"));
    done.assert_code(5);
    let library = programs().join("libstillpoint_adopt.so");
    assert_eq!(done.stdout, format!("{}:libc.so.6\n", library.display()));
    assert_eq!(done.stderr, "");

    // Without a process in between.
    let mut child = scene.adopt("run", &["sh", "-c", "echo $$"]);
    let child = child.stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{pid}\n"));
}

#[test]
fn a_command_that_is_run_so_waits_at_the_gate() {
    let scene = Scene::new();
    let frozen = scene.place.run(["freeze", "--hold", "60", "mail"]);
    frozen.assert_code(0);
    let lock = scene.file("lock");
    let mut it = start(scene.adopt("run", &["flock"]).arg(&lock).arg("true"));
    until("it waits", || {
        let status = scene.place.status();
        status["writers"].as_array().unwrap().iter().any(|writer| !writer["waiting_ms"].is_null())
    });
    assert!(it.is_running());
    scene.place.run(["thaw", "mail"]).assert_code(0);
    assert_eq!(it.end(), 0);
}

#[test]
fn options_only_take_away() {
    let scene = Scene::new();
    let other = scene.store().join("other");
    scene.configure(&format!("protect {}\n", other.display()));
    let narrowed = |words: &[&str]| {
        let command = ["--", "sh", "-c", "echo $STILLPOINT_ADOPT"];
        run(scene.adopt("run", &[words, &command].concat()).env("STILLPOINT_ADOPT", "off"))
    };
    assert_eq!(narrowed(&[]).stdout, "\n");
    let store = scene.store();
    let store = store.to_str().unwrap();
    assert_eq!(narrowed(&["--protect", store]).stdout, format!("{store}\n"));
    narrowed(&["--protect", "/"]).assert_complaint(64, &["--protect /", "only take away"]);
    let barrier = scene.place.barrier();
    let barrier = barrier.to_str().unwrap();
    narrowed(&["--barrier", barrier]).assert_code(0);
    narrowed(&["--barrier", "other"]).assert_complaint(64, &["--barrier other", barrier]);
}

#[test]
fn what_cannot_be_adopted_is_said_before_it_is_run() {
    let scene = Scene::new();
    let try_it = |program: &Path| run(scene.adopt("run", &[]).arg(program).arg("--version"));
    // The linker itself needs none.
    let linker = fs::read_dir("/lib64").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut linker = linker.filter(|path| path.to_string_lossy().contains("ld-linux"));
    if let Some(linker) = linker.next() {
        let done = try_it(&linker);
        assert!(done.stderr.contains("linked statically"), "{done:?}");
    }
    let privileged = scene.place.path("privileged");
    fs::copy("/bin/true", &privileged).unwrap();
    fs::set_permissions(&privileged, PermissionsExt::from_mode(0o4755)).unwrap();
    let done = try_it(&privileged);
    assert!(done.stderr.contains("is not adopted: it is set-user-ID"), "{done:?}");
    done.assert_code(0);
    // Its interpreter is what counts.
    let script = scene.place.path("script");
    must(
        Command::new("sh")
            .args(["-c", "printf '#!%s\n' \"$1\" >$2; chmod 755 $2", "sh"])
            .arg(&privileged)
            .arg(&script),
    );
    assert!(try_it(&script).stderr.contains("set-user-ID"));
    assert_eq!(try_it(Path::new("/bin/true")).stderr, "");
    try_it(Path::new("/none/such")).assert_code(127);
    fs::remove_file(scene.place.barrier()).unwrap();
    let done = try_it(Path::new("/bin/true"));
    assert!(done.stderr.contains("is not there: write locks do not wait"), "{done:?}");
    done.assert_code(0);
}

#[test]
fn settings_that_adopt_nothing_are_refused() {
    let scene = Scene::new();
    let refused = |code: i32, part: &str| {
        let settings = scene.settings();
        let done = run(&mut scene.adopt("run", &["true"]));
        done.assert_complaint(code, &[settings.to_str().unwrap(), part]);
    };
    fs::write(scene.settings(), "protect /\n").unwrap();
    refused(65, "names no barrier");
    fs::write(scene.settings(), "barrier mail\n").unwrap();
    refused(65, "protects nothing");
    scene.configure("protect relative\n");
    refused(65, ":3: not understood: protect relative");
    fs::remove_file(scene.settings()).unwrap();
    refused(66, "No such file");
}

/// Every process that has files open there, and how.
#[test]
fn who_is_adopted_is_covered_and_who_is_not_is_told_how_to_be() {
    let scene = Scene::new();
    let adopted = scene.sleeper(scene.adopt("run", &[]));
    let plain = scene.sleeper(Command::new("env"));
    let member = stillpoint::Barrier::open(scene.place.barrier()).unwrap();
    let own = File::create(scene.file("own")).unwrap();
    let (done, report) = scene.check();
    done.assert_code(1);
    assert_eq!(report["covered"], false);
    assert_eq!(about(&report, &adopted)["how"], "adopted");
    assert_eq!(about(&report, &plain)["how"], "none");
    assert_eq!(about(&report, &plain)["files"][0], scene.file("file").to_str().unwrap());
    assert!(advice(&report, &plain).ends_with("start it by stillpoint adopt run"));
    let writers = report["writers"].as_array().unwrap();
    let ours = writers.iter().find(|writer| writer["pid"] == std::process::id()).unwrap();
    assert_eq!(ours["how"], "linked");
    drop((member, own));

    let table = run(scene.adopt("check", &[]).arg(scene.store()));
    table.assert_code(1);
    let row = format!("{:<5} ", adopted.pid);
    let line = table.stdout.lines().find(|line| line.starts_with(row.trim_end())).unwrap();
    assert!(line.contains("  adopted  "), "{table:?}");
}

/// By one that has cleared the environment, as mail servers do.
#[test]
fn who_lost_the_library_on_the_way_is_told_from_who_never_had_it() {
    let scene = Scene::new();
    let scrubbed = scene.adopt("run", &["sh", "-c", "env -i sleep 600; true"]);
    let parent = scene.writer(scrubbed);
    let child = || {
        let children = crate::common::children(parent.pid);
        children.into_iter().find(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "sleep\n")
        })
    };
    until("the child sleeps", || child().is_some());
    let (_, report) = scene.check();
    let lines = report["advice"].to_string();
    assert!(
        lines.contains(&format!("sleep[{}]: who started it has LD_PRELOAD", child().unwrap())),
        "{report:#}"
    );

    let turned_off = scene.sleeper({
        let mut command = Command::new("env");
        command.arg(format!("LD_PRELOAD={}", programs().join("libstillpoint_adopt.so").display()));
        command.arg("STILLPOINT_ADOPT=off");
        command
    });
    assert!(advice(&scene.check().1, &turned_off).contains("STILLPOINT_ADOPT=off"));
}

#[test]
fn who_may_not_use_the_barrier_is_told() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let mut command = Command::new("setpriv");
    command.args(as_user(NOBODY, NOBODY));
    let it = scene.sleeper(command);
    let (_, report) = scene.check();
    assert!(advice(&report, &it).contains("its user may not write to"), "{report:#}");
    fs::set_permissions(scene.place.barrier(), PermissionsExt::from_mode(0o666)).unwrap();
    assert!(advice(&scene.check().1, &it).contains("start it by"));
}

#[test]
fn what_is_wrong_with_the_settings_is_said() {
    let scene = Scene::new();
    let faults = || {
        let faults = scene.check().1["faults"].as_array().unwrap().clone();
        faults.iter().map(|fault| fault.as_str().unwrap()).collect::<Vec<_>>().join("\n")
    };
    let told = |part: &str| {
        let faults = faults();
        assert!(faults.contains(part), "{part}: {faults}");
    };
    scene.configure("unknown\n");
    told("adopt.conf:3: not understood: unknown");
    let barrier = scene.place.barrier();
    fs::write(scene.settings(), format!("barrier {}\nprotect /proc\n", barrier.display())).unwrap();
    told("protects nothing on the file system of");
    let folder = barrier.parent().unwrap();
    scene.configure(&format!("protect {}\n", folder.display()));
    told("which is protected: programs refuse it");
    scene.configure("");
    fs::set_permissions(scene.settings(), PermissionsExt::from_mode(0o600)).unwrap();
    told("not everybody may read it");
    fs::set_permissions(scene.settings(), PermissionsExt::from_mode(0o644)).unwrap();
    fs::remove_file(&barrier).unwrap();
    told(barrier.to_str().unwrap());
    fs::remove_file(scene.settings()).unwrap();
    told("adopt.conf: No such file");
    let none = scene.file("none-such");
    run(scene.adopt("check", &[]).arg(&none)).assert_complaint(66, &[none.to_str().unwrap()]);
}

#[test]
fn a_lock_that_is_held_for_life_is_told_unless_it_is_left_out() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let _mounted = Mounted::new("tmpfs", "size=1m", &scene.store());
    let (locked, brief) = (scene.file("pid"), scene.file("brief"));
    let mut command = Command::new("sleep");
    let held = File::create(&locked).unwrap();
    held.lock().unwrap();
    let _it = start(command.arg("600").stdin(OwnedFd::from(held)));
    let comes_and_goes = "while :; do flock \"$0\" sleep 0.02; done";
    let _other = start(Command::new("sh").args(["-c", comes_and_goes]).arg(&brief));
    until("it is locked", || brief.exists());
    let locks = || scene.check().1["locks"].to_string();
    let said = locks();
    assert!(
        said.contains(&format!(" on {}", locked.display())) && !said.contains("brief"),
        "{said}"
    );
    scene.configure(&format!("ignore {}\n", locked.display()));
    assert_eq!(locks(), "[]");
}

/// Where nobody else can be seen: a machine may have processes that even root may not look into.
#[test]
fn all_is_well_where_all_are_covered() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let _mounted = Mounted::new("tmpfs", "size=1m", &scene.store());
    let script = "\"$0\" adopt run --config $1 sleep 600 >$2/file &
        until \"$0\" adopt check --config $1 $2; do sleep 0.05; done; kill $!; wait";
    let mut command = scene.place.program("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script]);
    let done = run(command.arg(crate::common::STILLPOINT).arg(scene.settings()).arg(scene.store()));
    assert!(done.stdout.contains("  adopted  "), "{done:?}");
}
