//! Hooks that are told of a job, whose file says all the rest.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::backup::{Backup, READERS};
use crate::calls::each;
use crate::common::{Done, run};
use crate::host::{Call, Host};

/// Of two barriers.
const BOTH: &str = "barriers = ['mail', 'news']\n[snapshot]\nreflink = '/srv/mail'\nto = '/srv/snapshots'\n\
                    [limits]\nhold = 7\ndrain = 0.5\n";

/// The file of the job that all calls here have.
fn write(host: &Host, text: &str) -> PathBuf {
    host.write_job("host", text)
}

fn gate(host: &Host, barrier: &str) -> Value {
    let done = host.place.run(["status", "--json", barrier]);
    serde_json::from_str(&done.stdout).unwrap()
}

fn assert_gates(host: &Host, state: &str) {
    for barrier in ["mail", "news"] {
        assert_eq!(gate(host, barrier)["gate"], state, "{} {barrier}", host.hook);
    }
}

#[test]
fn a_host_freezes_the_barriers_of_a_job_with_its_limits() {
    each(|host, pre, post| {
        assert_eq!(host.place.run(["create", "news"]).code(), 0);
        // One that takes snapshots itself, too.
        for text in [BOTH, "barriers = ['mail', 'news']\n[limits]\nhold = 7\ndrain = 0.5\n"] {
            let file = write(host, text);
            let mut command = host.command(pre);
            command.env("STILLPOINT_WAIT", "10");
            let done = run(command);
            assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{} {done:?}", host.hook);
            assert_gates(host, "closed");
            for barrier in ["mail", "news"] {
                let holder = gate(host, barrier)["holder"].clone();
                let expected = (&host.hook.into(), &7500.0.into());
                assert_eq!((&holder["label"], &holder["limit_ms"]), expected);
            }
            // What is closed is known, whatever the file says by now.
            fs::write(&file, "barriers = [\n").unwrap();
            let done = host.call(post);
            assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{} {done:?}", host.hook);
            assert_gates(host, "open");
            // Nothing is left of it, and nobody.
            let hidden = fs::read_dir(host.place.barrier().parent().unwrap()).unwrap();
            assert_eq!(hidden.count(), 2, "{}", host.hook);
        }
    });
}

#[test]
fn all_of_them_are_frozen_or_none() {
    each(|host, pre, post| {
        assert_eq!(host.place.run(["create", "news"]).code(), 0);
        write(host, BOTH);
        let mut writer = host.place.command(["run", "-s", "news", "sh", "-c"]);
        let writer = crate::common::start({
            writer.arg("echo in; exec sleep 60");
            writer
        });
        crate::common::until("a writer is inside", || {
            gate(host, "news")["writers"][0]["inside"] == true
        });
        assert_eq!(host.call(pre).code(), 75, "{}", host.hook);
        crate::common::until("all are open", || {
            gate(host, "mail")["gate"] == "open" && gate(host, "news")["gate"] == "open"
        });
        assert_eq!(host.call(post).code(), crate::calls::of_nothing(host));
        drop(writer);
    });
}

#[test]
fn a_mistake_in_the_job_is_told_with_its_line_before_anything_is_frozen() {
    each(|host, pre, _| {
        assert_eq!(host.place.run(["create", "news"]).code(), 0);
        let refused = |text: &str, code: i32, told: &str| {
            write(host, text);
            let done = host.call(pre);
            assert_eq!((done.code(), done.stderr.lines().count()), (code, 1), "{done:?}");
            assert!(done.stderr.contains(told), "{done:?}");
            assert_gates(host, "open");
            assert_eq!(gate(host, "mail")["generation"], 0, "{}: {text}", host.hook);
        };
        refused(&BOTH.replace("hold", "holt"), 65, "host.toml:6: holt: there is no such key");
        refused(&format!("{BOTH}[others]\nwith = ['/no/such']\n"), 69, "/no/such");
    });
}

/// A call of a tool that reads.
fn read(backup: &Backup, words: &[&str], variables: &[(&str, &str)]) -> Done {
    let mut command = backup.command(Call::with_arguments(&[]));
    command.args(words).envs(variables.iter().copied()).current_dir(backup.path(""));
    // The job has its own.
    command.env("STILLPOINT_CATALOG", backup.path("elsewhere"));
    run(command)
}

fn write_for_reading(backup: &Backup, more: &str) {
    let catalogue = format!("catalog = '{}'\n", backup.path("catalog").display());
    backup.host.write_job(
        "host",
        &(catalogue + &backup.job("", &format!("[retention]\nkeep = 2\n{more}"))),
    );
}

#[test]
fn a_tool_that_reads_has_the_job_run() {
    for (hook, words) in READERS {
        let backup = Backup::new(hook);
        backup.restic(r#"cat "$2/letter""#);
        let note = format!("[hooks]\nbefore = 'echo x >>{}'\n", backup.path("notes").display());
        write_for_reading(&backup, &note);
        let before = ("KOPIA_ACTION", "before-snapshot-root");
        for round in 1..=4 {
            let done = read(&backup, words, &[before, ("KOPIA_SNAPSHOT_ID", "one")]);
            assert_eq!(done.code(), 0, "{hook}: {done:?}");
            assert_eq!(fs::read_to_string(backup.path("notes")).unwrap().len(), 2 * round);
            // The job says what is kept, and counts the one that is read.
            assert_eq!(backup.snapshots(), round.min(2), "{hook}: {done:?}");
            match hook {
                "restic" => assert_eq!(done.stdout, "one\n"),
                "kopia" => {
                    let path = done.stdout.trim_end().strip_prefix("KOPIA_SNAPSHOT_PATH=").unwrap();
                    let letter = fs::read_to_string(PathBuf::from(path).join("letter"));
                    assert_eq!(letter.unwrap(), "one\n");
                }
                _ => {
                    let letter = fs::read_to_string(backup.path("link/letter"));
                    assert_eq!((letter.unwrap().as_str(), done.stdout.as_str()), ("one\n", ""));
                }
            }
        }
        let after: &[&str] = match hook {
            "borgmatic" => &["after"],
            "rsnapshot" => &["post"],
            _ => continue,
        };
        assert_eq!(read(&backup, after, &[]).code(), 0);
        assert_eq!(backup.snapshots(), 2, "{hook}");
    }
}

/// What its command has found bad is not backed up as if it were good, and a mistake is told by its line.
#[test]
fn a_job_that_fails_gives_nothing_to_read() {
    for (hook, words) in READERS {
        let backup = Backup::new(hook);
        backup.restic("echo never");
        let refused = |more: &str, code: i32, told: &str| {
            write_for_reading(&backup, more);
            let done = read(&backup, words, &[("KOPIA_ACTION", "before-snapshot-root")]);
            assert_eq!((done.code(), done.stdout.as_str()), (code, ""), "{hook}: {done:?}");
            assert!(done.stderr.contains(told), "{hook}: {done:?}");
            assert!(!backup.path("link").exists());
        };
        refused("[verify]\ncommand = 'exit 9'\n", 9, "job host: verify");
        refused("[verify]\ncomand = 'x'\n", 65, "host.toml:16: comand");
        refused("[hooks]\nbefore = 'exit 8'\n", 8, "job host: before");
    }
}

/// Someone else's retention comes by while the tool reads.
#[test]
fn what_is_read_stays() {
    let backup = Backup::new("rsnapshot");
    write_for_reading(&backup, "");
    let hook = backup.command(Call::with_arguments(&[]));
    let script = r#""$@" pre link && first=$(readlink link) && for i in 1 2 3; do "$S" job run host >/dev/null || exit; done
        cat link/letter && ls snapshots | wc -l && "$@" post && "$S" job run host >/dev/null && ls snapshots | wc -l"#;
    let mut tool = backup.host.place.program("/bin/sh");
    tool.args(["-c", script, "sh"]).arg(hook.get_program()).args(hook.get_args());
    for (name, value) in hook.get_envs() {
        tool.env(name, value.unwrap_or_default());
    }
    let mut path = backup.host.path(&["bin"]);
    path.push(":/usr/bin:/bin");
    let done = run({
        tool.env("PATH", path).current_dir(backup.path(""));
        tool
    });
    assert_eq!((done.code(), done.stdout.as_str()), (0, "one\n3\n2\n"), "{done:?}");
}
