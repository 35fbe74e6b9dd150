//! Hooks that are told of a job, whose file says all the rest.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::backup::{Backup, READERS};
use crate::calls::each;
use crate::common::{Done, run};
use crate::host::{Call, Host};

/// The file of a job, with `more` in it.
fn write(host: &Host, more: &str) -> PathBuf {
    let folder = host.place.path("jobs.d");
    if !folder.exists() {
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let file = folder.join("nightly.toml");
    fs::write(&file, more).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    file
}

/// For hosts that take the snapshot themselves: of two barriers.
const BOTH: &str = "barriers = ['mail', 'news']\n[snapshot]\nreflink = '/srv/mail'\nto = '/srv/snapshots'\n\
                    [limits]\nhold = 7\ndrain = 0.5\n";

/// A call of a host whose only setting is the job.
fn call(host: &Host, mut command: Command) -> Done {
    for name in ["BARRIERS", "TAKE", "KEEP", "DRAIN"] {
        command.env_remove(format!("STILLPOINT_{name}"));
    }
    command.env("STILLPOINT_JOBS", host.place.path("jobs.d"));
    run(command)
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
        let file = write(host, BOTH);
        fs::write(host.place.path("hooks.conf"), "JOB=nightly\n").unwrap();
        let patient = || {
            let mut command = host.command(pre);
            command.env("STILLPOINT_WAIT", "10");
            command
        };
        let done = call(host, patient());
        assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{} {done:?}", host.hook);
        assert_gates(host, "closed");
        for barrier in ["mail", "news"] {
            let holder = gate(host, barrier)["holder"].clone();
            assert_eq!(
                (&holder["label"], &holder["limit_ms"]),
                (&host.hook.into(), &7500.0.into())
            );
        }
        // What is closed is known, whatever the file says by now.
        fs::write(&file, "barriers = [\n").unwrap();
        let done = call(host, host.command(post));
        assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{} {done:?}", host.hook);
        assert_gates(host, "open");
        // Nothing is left of it, and nobody.
        let hidden = fs::read_dir(host.place.barrier().parent().unwrap()).unwrap();
        assert_eq!(hidden.count(), 2, "{}", host.hook);

        // What the settings say of time goes before.
        write(host, BOTH);
        let mut command = patient();
        command.env("STILLPOINT_HOLD", "9");
        assert_eq!(call(host, command).code(), 0);
        assert_eq!(gate(host, "news")["holder"]["limit_ms"], 9500.0);
        assert_eq!(call(host, host.command(post)).code(), 0);
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
        let call_with_job = |of| {
            let mut command = host.command(of);
            command.env("STILLPOINT_JOB", "nightly");
            call(host, command)
        };
        crate::common::until("a writer is inside", || {
            gate(host, "news")["writers"][0]["inside"] == true
        });
        assert_eq!(call_with_job(pre).code(), 75, "{}", host.hook);
        crate::common::until("all are open", || {
            gate(host, "mail")["gate"] == "open" && gate(host, "news")["gate"] == "open"
        });
        assert_eq!(call_with_job(post).code(), crate::calls::of_nothing(host));
        drop(writer);
    });
}

#[test]
fn a_mistake_in_the_job_is_told_with_its_line_before_anything_is_frozen() {
    each(|host, pre, _| {
        assert_eq!(host.place.run(["create", "news"]).code(), 0);
        let refused = |text: &str, code: i32, told: &str| {
            write(host, text);
            let mut command = host.command(pre);
            command.env("STILLPOINT_JOB", "nightly");
            let done = call(host, command);
            assert_eq!((done.code(), done.stderr.lines().count()), (code, 1), "{done:?}");
            assert!(done.stderr.contains(told), "{done:?}");
            assert_gates(host, "open");
            assert_eq!(gate(host, "mail")["generation"], 0, "{}: {text}", host.hook);
        };
        refused(&BOTH.replace("hold", "holt"), 65, "nightly.toml:6: holt: there is no such key");
        refused(&format!("{BOTH}[others]\nwith = ['/no/such']\n"), 69, "/no/such");
    });
}

#[test]
fn a_job_and_what_it_says_are_not_both_given() {
    each(|host, pre, post| {
        assert_eq!(host.place.run(["create", "news"]).code(), 0);
        write(host, BOTH);
        let settings = host.place.path("hooks.conf");
        for other in ["BARRIERS=mail", "TAKE=x", "KEEP=3"] {
            fs::write(&settings, format!("JOB=nightly\n{other}\n")).unwrap();
            let refused = call(host, host.command(pre));
            assert_eq!((refused.code(), refused.stderr.lines().count()), (64, 1), "{refused:?}");
            assert_gates(host, "open");
        }
        // But the environment goes before the file.
        fs::write(&settings, "BARRIERS=mail\n").unwrap();
        for (of, state) in [(pre, "closed"), (post, "open")] {
            let mut command = host.command(of);
            command.env("STILLPOINT_JOB", "nightly");
            assert_eq!(call(host, command).code(), 0);
            assert_gates(host, state);
        }
    });
}

/// A call of a tool that reads, whose only setting is the job.
fn read(backup: &Backup, words: &[&str], variables: &[(&str, &str)]) -> Done {
    let mut command = backup.command(Call::with_arguments(&[]));
    command.args(words).envs(variables.iter().copied()).current_dir(backup.path(""));
    command.env("STILLPOINT_JOB", "nightly");
    // The job has its own.
    command.env("STILLPOINT_CATALOG", backup.path("elsewhere"));
    call(&backup.host, command)
}

fn write_for_reading(backup: &Backup, more: &str) {
    let text = format!(
        "barriers = 'mail'\ncatalog = '{}'\n[snapshot]\ncopy = '{}'\nto = '{}'\n\
         [limits]\nhold = 9\nmin-open = 0\nattempts = 1\npatience = 0\ndrain = 0.2\n[retention]\nkeep = 2\n{more}",
        backup.path("catalog").display(),
        backup.path("store").display(),
        backup.path("snapshots").display()
    );
    write(&backup.host, &text);
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
        refused("[verify]\ncommand = 'exit 9'\n", 9, "job nightly: verify");
        refused("[verify]\ncomand = 'x'\n", 65, "nightly.toml:15: comand");
        refused("[hooks]\nbefore = 'exit 8'\n", 8, "job nightly: before");
    }
}

/// Someone else's retention comes by while the tool reads.
#[test]
fn what_is_read_stays() {
    let backup = Backup::new("rsnapshot");
    write_for_reading(&backup, "");
    let mut hook = backup.command(Call::with_arguments(&[]));
    hook.env("STILLPOINT_JOB", "nightly").env("STILLPOINT_JOBS", backup.path("jobs.d"));
    for name in ["BARRIERS", "TAKE", "KEEP", "DRAIN"] {
        hook.env_remove(format!("STILLPOINT_{name}"));
    }
    let script = r#""$@" pre link && first=$(readlink link) && for i in 1 2 3; do "$S" job run nightly >/dev/null || exit; done
        cat link/letter && ls snapshots | wc -l && "$@" post && "$S" job run nightly >/dev/null && ls snapshots | wc -l"#;
    let mut tool = backup.host.place.program("/bin/sh");
    tool.args(["-c", script, "sh"]).arg(hook.get_program()).args(hook.get_args());
    for (name, value) in hook.get_envs() {
        match value {
            Some(value) => tool.env(name, value),
            None => tool.env_remove(name),
        };
    }
    let mut path = backup.host.path(&["bin"]);
    path.push(":/usr/bin:/bin");
    let done = run({
        tool.env("PATH", path).current_dir(backup.path(""));
        tool
    });
    assert_eq!((done.code(), done.stdout.as_str()), (0, "one\n3\n2\n"), "{done:?}");
}
