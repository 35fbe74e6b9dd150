//! The barrier's file is removed under its users and made again: what each verb says and does.

use std::fs;
use std::path::PathBuf;

use crate::common::command::Place;
use crate::common::{Done, STILLPOINT, as_user, is_root, run, start, until};
use nix::sys::signal::Signal;
use serde_json::json;

/// A place with the barrier `mail`, a writer that stays inside, and the file gone.
fn removed(place: &Place) -> crate::common::Running {
    let writer = place.hold(&["-s", "--label", "lmtp"]);
    fs::remove_file(place.barrier()).unwrap();
    writer
}

fn snapshot(place: &Place, name: &str) -> Done {
    let limits = ["--patience", "0.3", "--drain", "0.3", "--attempts", "1"];
    place.snapshot(&[&["mail", "--name", name], &limits[..]].concat())
}

#[test]
fn nothing_is_granted_or_forgiven_beside_stragglers() {
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    let mut writer = removed(&place);
    let pid = format!("stillpoint[{}]", writer.pid);
    let missing = place.run(["status", "mail"]);
    missing.assert_complaint(66, &["make one with", "stood here before is in use by", &pid]);
    // Made again: dirty, as it was not retired.
    place.run(["create", "mail"]).assert_complaint(0, &["not retired"]);
    for verb in [
        vec!["run", "-x", "-w", "0.3", "mail", "true"],
        vec!["run", "-x", "-n", "mail", "true"],
        vec!["freeze", "-w", "0.3", "mail"],
        vec!["recover", "-w", "0.3", "mail", "--acknowledge"],
        vec!["retire", "mail"],
    ] {
        let refused = place.run(&verb);
        assert_eq!(refused.code(), 75, "{verb:?} {refused:?}");
        let last = refused.stderr.lines().last().unwrap();
        assert!(last.contains("stood here before") && last.contains("stillpoint["), "{refused:?}");
    }
    let refused = snapshot(&place, "beside");
    assert_eq!(refused.code(), 75, "{refused:?}");
    assert!(refused.stderr.contains("stood here before"), "{refused:?}");
    let status = place.status();
    assert_eq!(status["stragglers"][0]["pid"], writer.pid.as_raw());
    let shown = place.run(["status", "mail"]).stdout;
    assert!(shown.contains("removed  a file that stood here before is in use by"), "{shown}");
    // New writers are not kept waiting.
    assert_eq!(place.run(["run", "-s", "-n", "mail", "true"]).code(), 0);

    writer.signal(Signal::SIGTERM);
    writer.end();
    until("nobody is left", || place.run(["run", "-x", "-n", "mail", "true"]).code() == 0);
    assert_eq!(place.status()["stragglers"], json!([]));
    assert_eq!(place.run(["recover", "mail", "--acknowledge"]).code(), 0);
    assert_eq!(snapshot(&place, "after").stderr, "");
}

/// Whoever is inside by a descriptor alone is found too.
#[test]
fn a_command_that_took_its_wrappers_place_is_one_of_them() {
    if !is_root() {
        return;
    }
    for side in ["-s", "-x"] {
        let place = Place::with_barrier();
        let mut command = place.hold(&[side, "-F"]);
        fs::rename(place.barrier(), place.path("aside")).unwrap();
        match side {
            "-s" => place.run(["create", "mail"]).assert_complaint(0, &["not retired"]),
            // None is made beside a pause.
            _ => {
                let pid = format!("[{}]", command.pid);
                place.run(["create", "mail"]).assert_complaint(75, &["stood here before", &pid]);
                fs::copy(place.path("aside"), place.barrier()).unwrap();
            }
        }
        let refused = place.run(["run", "-x", "-w", "0.3", "mail", "true"]);
        let pid = format!("[{}]", command.pid);
        refused.assert_complaint(75, &["stood here before", &pid]);
        command.signal(Signal::SIGKILL);
        command.end();
        assert_eq!(place.run(["run", "-x", "-w", "5", "mail", "true"]).code(), 0, "{side}");
    }
}

/// Users 65533, and a folder of theirs.
struct Unprivileged<'p> {
    place: &'p Place,
    barrier: PathBuf,
}

impl Unprivileged<'_> {
    fn new(place: &Place) -> Unprivileged<'_> {
        let folder = place.path("theirs");
        fs::create_dir(&folder).unwrap();
        std::os::unix::fs::chown(&folder, Some(65533), Some(65533)).unwrap();
        Unprivileged { place, barrier: folder.join("mail.barrier") }
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.place.program("setpriv");
        command.args(as_user(65533, 65533)).arg(STILLPOINT).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Done {
        let barrier = self.barrier.to_str().unwrap();
        let arguments: Vec<&str> =
            arguments.iter().map(|word| if *word == "BAR" { barrier } else { word }).collect();
        run(self.command(&arguments))
    }
}

/// A symbolic link in the path is part of the place.
#[test]
fn where_a_link_leads_elsewhere_the_file_is_another() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let (link, barrier) = (place.path("link"), place.path("link/mail.barrier"));
    let barrier = barrier.to_str().unwrap();
    let lead_to = |folder: &str| {
        fs::create_dir(place.path(folder)).unwrap();
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(folder, &link).unwrap();
        assert_eq!(place.run(["create", barrier]).code(), 0);
    };
    lead_to("first");
    let mut writer = place.program(STILLPOINT);
    writer.args(["run", "-s", barrier, "sh", "-c", "echo in; exec sleep 60"]);
    let mut writer = start(writer);
    assert_eq!(writer.line(), "in");
    lead_to("second");
    let pid = format!("stillpoint[{}]", writer.pid);
    let tool = ["run", "-x", "-w", "0.3", barrier, "true"];
    place.run(tool).assert_complaint(75, &["stood here before", &pid]);
    writer.signal(Signal::SIGTERM);
    writer.end();
    until("nobody is left", || place.run(tool).code() == 0);
}

/// A pause in the old file is no pause here, and what ends it is not a success.
#[test]
fn a_pause_whose_file_was_removed_is_not_thawed_here() {
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    let frozen = place.run(["freeze", "mail", "--timeout", "20"]);
    assert_eq!(frozen.code(), 0, "{frozen:?}");
    fs::rename(place.barrier(), place.path("aside")).unwrap();
    place.run(["create", "mail"]).assert_complaint(75, &["stood here before", "stillpoint["]);
    assert_eq!(place.run(["create", "other", "--state", "none"]).code(), 0);
    fs::rename(place.barrier().with_file_name("other.barrier"), place.barrier()).unwrap();
    place.run(["thaw", "mail"]).assert_complaint(75, &["stood here before", "stillpoint["]);
    let token = frozen.stdout.trim();
    let thawed = place.run(["thaw", "mail", "--token", token]);
    assert_eq!(thawed.code(), 124, "{thawed:?}");
    let keeper = place.status()["stragglers"][0]["pid"].as_i64().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(keeper as i32), Signal::SIGKILL).unwrap();
    until("nobody is left", || place.run(["run", "-x", "-n", "mail", "true"]).code() == 0);
    assert_eq!(place.run(["thaw", "mail"]).code(), 0);
}

/// Who cannot bring them over makes nothing beside them, and says who they are.
#[test]
fn without_root_none_is_made_beside_stragglers() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let user = Unprivileged::new(&place);
    assert_eq!(user.run(&["create", "BAR"]).code(), 0);
    let barrier = user.barrier.to_str().unwrap();
    let mut writer =
        start(user.command(&["run", "-s", barrier, "sh", "-c", "echo in; exec sleep 60"]));
    assert_eq!(writer.line(), "in");
    let copy = place.path("copy");
    fs::copy(&user.barrier, &copy).unwrap();
    fs::remove_file(&user.barrier).unwrap();
    let pid = format!("stillpoint[{}]", writer.pid);
    for verb in [&["create", "BAR"][..], &["run", "-s", "--create", "BAR", "true"]] {
        user.run(verb).assert_complaint(75, &["stood here before", &pid, "start them again"]);
        assert!(!user.barrier.exists());
    }
    // One that is there all the same: no tool is let in.
    fs::copy(&copy, &user.barrier).unwrap();
    std::os::unix::fs::chown(&user.barrier, Some(65533), Some(65533)).unwrap();
    let tool = ["run", "-x", "-w", "0.3", "BAR", "true"];
    user.run(&tool).assert_complaint(75, &["stood here before", &pid]);
    let shown = user.run(&["status", "BAR"]).stdout;
    assert!(shown.contains(&pid), "{shown}");
    // Root brings them over; that one is inside, and waited for.
    let by_root = place.run(["create", barrier]);
    assert_eq!(by_root.code(), 0, "{by_root:?}");
    user.run(&tool).assert_complaint(75, &["stood here before", &pid]);
    writer.signal(Signal::SIGTERM);
    writer.end();
    until("nobody is left", || user.run(&tool).code() == 0);
}

/// That one user cannot see whether anybody is left does not mean that nobody is.
#[test]
fn what_one_user_cannot_see_is_not_noted_for_others() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let user = Unprivileged::new(&place);
    assert_eq!(user.run(&["create", "BAR"]).code(), 0);
    let barrier = user.barrier.to_str().unwrap();
    let mut writer = place.program(STILLPOINT);
    writer.args(["run", "-s", barrier, "sh", "-c", "echo in; exec sleep 60"]);
    let mut writer = start(writer);
    assert_eq!(writer.line(), "in");
    fs::rename(user.barrier.parent().unwrap(), place.path("aside")).unwrap();
    let user = Unprivileged::new(&place);
    assert_eq!(user.run(&["create", "BAR"]).code(), 0);
    // So long that the folder's last change is not taken for one that may yet come.
    std::thread::sleep(std::time::Duration::from_millis(150));
    assert_eq!(user.run(&["run", "-x", "-w", "0.3", "BAR", "true"]).code(), 0);
    let pid = format!("stillpoint[{}]", writer.pid);
    let by_root = place.run(["run", "-x", "-n", barrier, "true"]);
    by_root.assert_complaint(75, &["stood here before", &pid]);
    writer.signal(Signal::SIGTERM);
    writer.end();
    until("nobody is left", || place.run(["run", "-x", "-n", barrier, "true"]).code() == 0);
}

/// Where others see another file by the same path, they are strangers, and left alone.
#[test]
fn strangers_by_the_same_path_are_left_alone() {
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    let folder = place.barrier().parent().unwrap().to_path_buf();
    // As a service that has mounts of its own: the same root, the same path, another file.
    let script = r#"
        mount -t tmpfs none "$1"
        "$S" create mail --state none
        exec "$S" run -s mail sh -c 'echo in; exec sleep 60'"#;
    let mut stranger = place.program("unshare");
    stranger.args(["--mount", "sh", "-euc", script, "sh"]).arg(&folder);
    let mut stranger = start(stranger);
    assert_eq!(stranger.line(), "in");
    assert_eq!(place.run(["run", "-x", "-w", "0.5", "mail", "true"]).code(), 0);
    // Nor does it count when ours is made again.
    assert_eq!(place.run(["retire", "mail"]).code(), 0);
    assert_eq!(place.run(["create", "mail"]).code(), 0);
    assert_eq!(place.run(["run", "-x", "-w", "0.5", "mail", "true"]).code(), 0);
    assert_eq!(place.status()["stragglers"], json!([]));
    let inside = |verb: &str| {
        let mut enter = place.program("nsenter");
        enter.args(["--mount", "--target", &stranger.pid.to_string(), "sh", "-c", verb]);
        run(enter)
    };
    let theirs = inside("\"$S\" status --json mail");
    let theirs: serde_json::Value = serde_json::from_str(&theirs.stdout).unwrap();
    assert_eq!((&theirs["gate"], &theirs["stragglers"]), (&json!("open"), &json!([])));
    assert_eq!(inside("\"$S\" run -x -w 0.3 mail true").code(), 75, "it is inside still");
}

/// Whoever is inside of a file that was cut before it was removed may not know, and writes on.
#[test]
fn users_of_a_file_that_was_cut_are_waited_for() {
    for length in [0, 4096, 540_671] {
        let place = Place::with_barrier();
        let writer = place.hold(&["-s"]);
        let file = fs::File::options().write(true).open(place.barrier()).unwrap();
        file.set_len(length).unwrap();
        fs::remove_file(place.barrier()).unwrap();
        place.run(["create", "mail"]);
        let found = place.run(["run", "-x", "-w", "0.3", "mail", "true"]);
        found.assert_complaint(75, &["still in use by"]);
        drop(writer);
        assert_eq!(place.run(["run", "-x", "-w", "5", "mail", "true"]).code(), 0);
    }
}

/// Anybody can lock files of his own, or that he may read, where members lock theirs.
#[test]
fn who_only_pretends_keeps_nobody_waiting() {
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    let _writer = place.hold(&["-s"]);
    let keys = place_locks(&place.barrier());
    assert!(!keys.is_empty());
    let theirs = place.path("theirs");
    fs::create_dir(&theirs).unwrap();
    // A barrier of theirs that somebody is inside of; a file of root's that is none; a pipe.
    fs::copy(place.barrier(), theirs.join("barrier")).unwrap();
    fs::write(place.path("roots"), "").unwrap();
    for path in [&theirs, &theirs.join("barrier")] {
        std::os::unix::fs::chown(path, Some(65533), Some(65533)).unwrap();
    }
    let script = r#"
import fcntl, os, struct, sys
os.setgid(65533); os.setuid(65533); os.mkfifo(sys.argv[1] + '/pipe')
for name in [sys.argv[1] + '/barrier', sys.argv[1] + '/pipe', sys.argv[2]]:
    f = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
    for key in sys.argv[3:]:
        fcntl.fcntl(f, 37, struct.pack('hhqqi4x', fcntl.F_RDLCK, 0, int(key), 1, 0))
print('locked', flush=True)
sys.stdin.read()
"#;
    let mut pretender = place.program("python3");
    pretender.args(["-c", script]).arg(&theirs).arg(place.path("roots"));
    pretender.args(keys.iter().map(i64::to_string)).stdin(std::process::Stdio::piped());
    let mut pretender = start(pretender);
    assert_eq!(pretender.line(), "locked");
    assert_eq!(place.status()["stragglers"], json!([]));
    let before = fs::read(theirs.join("barrier")).unwrap();
    let found = place.run(["run", "-x", "-w", "0.3", "mail", "true"]);
    found.assert_complaint(75, &["inside for at least"]);
    assert_eq!(fs::read(theirs.join("barrier")).unwrap(), before, "nothing of theirs is touched");
    fs::remove_file(place.barrier()).unwrap();
    drop(_writer);
    place.run(["create", "mail"]).assert_complaint(0, &["not retired"]);
    assert_eq!(place.run(["run", "-x", "-w", "0.3", "mail", "true"]).code(), 0);
    pretender.signal(Signal::SIGKILL);
    pretender.end();
}

/// The bytes by which members say where they take a file to be.
fn place_locks(file: &std::path::Path) -> Vec<i64> {
    use std::os::unix::fs::MetadataExt;
    let ending = format!(":{}", fs::metadata(file).unwrap().ino());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let lines = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = lines.filter(|line| line[1] == "OFDLCK" && line[5].ends_with(&ending));
    let keys: std::collections::BTreeSet<i64> = ours
        .flat_map(|line| line[6].parse::<i64>().unwrap()..=line[7].parse().unwrap())
        .filter(|byte| *byte >= 0x5000_0000)
        .collect();
    keys.into_iter().collect()
}

/// Without the kernel's table of locks nothing is seen, and that is said: once by whoever makes a barrier, or wants
/// its exclusive side.
#[test]
fn what_cannot_be_seen_is_said() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    // As a container hides what lies in /proc, from one who may not read everything.
    let script = r#"
        chmod 0 "$1"
        mount --bind "$1" /proc/locks
        for step in "1 create mail" "1 create mail" "1 thaw mail" "1 freeze mail --hold 9" "0 thaw mail" \
            "1 run -x mail true" "1 run -x mail $S run -x mail true" "0 run -s mail true" \
            "1 recover mail -- true" "1 snapshot mail --catalog $2 -- true"; do
            echo "= $step" >&2
            "$S" ${step#* }
        done
        "$S" status mail"#;
    let hidden = place.path("hidden");
    fs::write(&hidden, "").unwrap();
    let mut command = place.program("unshare");
    let less = "-dac_override,-dac_read_search";
    command.args(["--mount", "setpriv", "--bounding-set", less, "--inh-caps", less]);
    command.args(["sh", "-euc", script, "sh"]).arg(&hidden).arg(place.path("catalog"));
    let outcome = run(command);
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    assert!(outcome.stdout.contains("removed  whether"), "{outcome:?}");
    for said in outcome.stderr.split("= ").skip(1) {
        let expected = said[..1].parse::<usize>().unwrap();
        assert_eq!(said.matches("cannot be seen by this user").count(), expected, "{outcome:?}");
        assert_eq!(said.matches("warning: ").count(), expected, "{outcome:?}");
    }
}

/// A command of a pause in the old file is not taken for one of a pause in the new one, whose generations
/// began anew.
#[test]
fn a_cover_ends_with_its_file() {
    let place = Place::with_barrier();
    let held = place.shell("\"$S\" run -x mail sh -c 'echo \"$STILLPOINT_HELD\"'").stdout;
    let (uuid, generation) = held.trim().split_once(":x:").unwrap();
    assert_eq!(generation, "1");
    fs::remove_file(place.barrier()).unwrap();
    place.run(["create", "mail"]).assert_complaint(0, &["not retired"]);
    assert_eq!(place.status()["uuid"], uuid, "the same identity");
    let _pause = place.hold(&["-x"]);
    let mut command = place.command(["run", "-s", "-n", "mail", "true"]);
    command.env("STILLPOINT_HELD", held.trim());
    run(command).assert_complaint(75, &["mail.barrier"]);
}
