//! A snapshot stays for as long as a tool reads it, and no longer: the tools that call before and after.

use std::fs;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::backup::Backup;
use crate::common::{Mounted, Running, is_root, run, start, until};
use crate::host::Call;

const HOOKS: [&str; 3] = ["kopia", "borgmatic", "rsnapshot"];

/// What a tool does with its hook, whose words are the arguments. It holds a lock of its own, as a job of
/// cron does, and goes on when it is told to.
const TOOL: &str = r#"
    exec 9>"$LOCK" && flock 9
    hook() {
        step=$1
        shift
        [ -z "${BETWEEN-}" ] || set -- sh -c '"$@"; exit $?' sh "$@"
        case $HOOK-$step in
        kopia-before) KOPIA_ACTION=before-snapshot-root KOPIA_SNAPSHOT_ID=$$ "$@" ;;
        kopia-after) KOPIA_ACTION=after-snapshot-root KOPIA_SNAPSHOT_ID=$$ "$@" ;;
        borgmatic-before) "$@" before "$LINK" ;;
        borgmatic-after) "$@" after ;;
        rsnapshot-before) "$@" pre "$LINK" ;;
        rsnapshot-after) "$@" post ;;
        esac
    }
    hook before "$@" >&2 || exit
    sleep 60 9>&- >/dev/null &
    echo $!
    while [ ! -e "$GO" ]; do sleep 0.01; done
    kill $!
    hook after "$@"
"#;

/// A backup under way.
struct Tool {
    process: Running,
    reader: Pid,
    name: &'static str,
}

impl Tool {
    fn start(backup: &Backup, name: &'static str) -> Tool {
        Tool::start_with(backup, name, ("X", ""))
    }

    fn start_with(backup: &Backup, name: &'static str, variable: (&str, &str)) -> Tool {
        let hook = backup.command(Call::with_arguments(&[]));
        let mut tool = backup.host.place.program("/bin/sh");
        tool.args(["-c", TOOL, "sh"]).arg(hook.get_program()).args(hook.get_args());
        for (name, value) in hook.get_envs() {
            tool.env(name, value.unwrap_or_default());
        }
        tool.env(variable.0, variable.1);
        tool.env("PATH", path(&hook)).env("HOOK", backup.host.hook);
        tool.env("LINK", backup.path("current"));
        tool.env("LOCK", backup.path(&format!("{name}.lock"))).env("GO", backup.path(name));
        let mut process = start(tool);
        let reader = Pid::from_raw(process.line().parse().unwrap());
        Tool { process, reader, name }
    }

    fn go_on(&mut self, backup: &Backup) {
        fs::write(backup.path(self.name), "").unwrap();
        assert_eq!(self.process.end(), 0, "{}", self.name);
    }
}

/// The tool's own programs too.
fn path(hook: &Command) -> std::ffi::OsString {
    let path = hook.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap();
    let mut path = path.to_os_string();
    path.push(":/usr/bin:/bin");
    path
}

/// Somebody else's newer snapshots, and what he leaves of the older.
fn prune(backup: &Backup) -> usize {
    let mut snapshot = backup.host.place.command(["snapshot", "mail", "--copy"]);
    snapshot.arg(backup.path("store")).arg("--to").arg(backup.path("snapshots"));
    snapshot.args(["--hold", "10", "--min-open", "0", "--label", backup.host.hook]);
    let prune = backup.host.place.command(["prune", "--keep", "1", "mail"]);
    for mut command in [snapshot, prune] {
        command.env("STILLPOINT_CATALOG", backup.path("catalog"));
        let done = run(command);
        assert_eq!(done.code(), 0, "{done:?}");
    }
    backup.snapshots()
}

fn each(test: impl Fn(&Backup)) {
    for hook in HOOKS {
        test(&Backup::new(hook));
    }
}

#[test]
fn until_the_call_after() {
    each(|backup| until_after(backup, Tool::start(backup, "one")));
}

/// Each call has a caller of its own, which has ended when the tool begins to read.
#[test]
fn with_a_shell_between_the_tool_and_its_hook() {
    each(|backup| until_after(backup, Tool::start_with(backup, "one", ("BETWEEN", "yes"))));
}

fn until_after(backup: &Backup, mut tool: Tool) {
    let hook = backup.host.hook;
    for _ in 0..2 {
        assert_eq!(prune(backup), 2, "{hook}: one is read, and one is the newest");
    }
    tool.go_on(backup);
    assert_eq!(prune(backup), 1, "{hook}");
    let notes = fs::read_dir(backup.host.place.barrier().parent().unwrap()).unwrap();
    assert_eq!(notes.count(), 1, "{hook}: nothing is left of it");
}

/// Both have the same link: the first goes on in what it began with.
#[test]
fn two_at_once() {
    each(|backup| {
        let hook = backup.host.hook;
        let mut tools = ["one", "two"].map(|name| Tool::start(backup, name));
        assert_eq!(backup.snapshots(), 2);
        tools[1].go_on(backup);
        assert_eq!(prune(backup), 2, "{hook}: that of the first, and the newest");
        tools[0].go_on(backup);
        assert_eq!(prune(backup), 1, "{hook}");
    });
}

/// What a tool was reading by goes on without it, and the next one must not wait for the locks of the dead.
#[test]
fn until_what_a_killed_tool_left_behind_has_ended() {
    let backups = HOOKS.map(Backup::new);
    let readers = backups.each_ref().map(|backup| {
        let mut tool = Tool::start(backup, "one");
        tool.process.signal(Signal::SIGKILL);
        tool.process.end();
        tool.reader
    });
    // Long enough for their deaths to be seen.
    std::thread::sleep(Duration::from_millis(1500));
    for (backup, reader) in backups.iter().zip(readers) {
        let hook = backup.host.hook;
        assert_eq!(prune(backup), 2, "{hook}: is still read");
        let mut lock = Command::new("flock");
        lock.arg("--nonblock").arg(backup.path("one.lock")).arg("true");
        assert_eq!(run(lock).code(), 0, "{hook}");
        kill(reader, Signal::SIGKILL).unwrap();
    }
    for backup in &backups {
        until("nobody reads it any more", || prune(backup) == 1);
        // The next one clears away what the dead has left.
        Tool::start(backup, "two").go_on(backup);
        let notes = fs::read_dir(backup.host.place.barrier().parent().unwrap()).unwrap();
        assert_eq!(notes.count(), 1, "{}", backup.host.hook);
    }
}

/// The note of who keeps it is all that is missing: it goes with the tool.
#[test]
fn without_room_for_a_note() {
    if !is_root() {
        return;
    }
    let backup = Backup::new("rsnapshot");
    let memory = backup.path("memory");
    let _memory = Mounted::new("tmpfs", "ro", &memory);
    let mut hook = backup.command(Call::with_arguments(&["pre"]));
    hook.arg(backup.path("current")).env("STILLPOINT_DIR", memory);
    let path = backup.host.place.barrier().display().to_string();
    backup.host.write_job("host", &backup.job("", "").replace("'mail'", &format!("'{path}'")));
    let done = run(hook);
    assert_eq!(done.code(), 0, "{done:?}");
    assert!(done.stderr.contains("stays until the host has ended"), "{done:?}");
    assert_eq!(prune(&backup), 2);
}
