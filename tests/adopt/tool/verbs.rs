//! The verbs that wait for write locks.

use super::disk::Disk;
use crate::common::{must, run};
use crate::harness::Played;
use std::fs;
use std::process::Command;

#[test]
fn a_snapshot_that_was_not_had_says_whose_lock_it_was() {
    let Some(disk) = Disk::new() else { return };
    let store = disk.file("store");
    fs::create_dir(&store).unwrap();
    let file = store.join("quota.db");
    let snapshot = |options: &[&str]| {
        let mut command = disk.stillpoint(["snapshot"]);
        command.arg(disk.barrier()).args([
            "--patience",
            "0.3",
            "--drain",
            "0.3",
            "--attempts",
            "1",
        ]);
        command.args(["--hold", "10", "--adopted"]).arg(disk.image.path()).args(options);
        command.arg("--copy").arg(&store).arg("--to").arg(disk.elsewhere("snapshots"));
        run(&mut command)
    };
    let mut holder = disk.holder("classic", &file);
    let named = format!("POSIX WRITE lock of holder[{}] on {}", holder.pid(), file.display());
    let done = snapshot(&["--name", "first", "--json"]);
    done.assert_code(75);
    assert!(done.stderr.contains(&named), "{done:?}");
    let manifest: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(manifest["status"], "failed");
    let inside = &manifest["inside"][0];
    assert_eq!(inside["pid"], holder.pid());
    assert_eq!(inside["comm"], "holder");
    assert_eq!(inside["label"], "POSIX WRITE lock");
    assert_eq!(inside["place"], file.to_str().unwrap());
    snapshot(&["--name", "second", "--adopted-ignore", file.to_str().unwrap()]).assert_code(0);
    holder.go_on();
    holder.succeeds();
    snapshot(&["--name", "third"]).assert_code(0);
}

#[test]
fn a_pause_that_outlives_its_command_waits_too() {
    let Some(disk) = Disk::new() else { return };
    let freeze = |command: &mut Command| {
        run(command.arg("-w").arg("1").arg("--adopted").arg(disk.image.path()).arg(disk.barrier()))
    };
    let mut holder = disk.holder("flock", &disk.file("mbox"));
    freeze(&mut disk.stillpoint(["freeze"])).assert_complaint(75, &["FLOCK WRITE lock of holder["]);
    holder.go_on();
    holder.succeeds();
    let frozen = freeze(&mut disk.stillpoint(["freeze"]));
    frozen.assert_code(0);
    let thaw = || {
        let mut command = disk.stillpoint(["thaw", "--token", frozen.stdout.trim()]);
        run(command.arg(disk.barrier()))
    };
    thaw().assert_code(0);
}

/// What holds the lock is what waits for the pause.
#[test]
fn the_lock_that_freeze_was_called_under_is_not_in_the_way() {
    let Some(disk) = Disk::new() else { return };
    let freeze = disk.stillpoint(["freeze", "-w", "1", "--adopted"]);
    let mut command = Command::new("flock");
    command.arg(disk.file("job.lock")).arg(freeze.get_program()).args(freeze.get_args());
    run(command.arg(disk.image.path()).arg(disk.barrier())).assert_code(0);
    run(disk.stillpoint(["thaw"]).arg(disk.barrier())).assert_code(0);
}

#[test]
fn what_makes_no_sense_is_refused_at_once() {
    let Some(disk) = Disk::new() else { return };
    let run_with = |words: &[&str]| {
        let mut command = disk.stillpoint(["run"]);
        run(command
            .args(words)
            .arg("--adopted")
            .arg(disk.image.path())
            .arg(disk.barrier())
            .arg("true"))
    };
    run_with(&["-s"]).assert_complaint(64, &["-x"]);
    run_with(&["-x", "-F"]).assert_complaint(64, &["-F"]);
    let ask = disk.ask(&["--adopted", "/nowhere"]);
    ask.assert_complaint(66, &["--adopted /nowhere: No such file or directory"]);
    let mut command = disk.stillpoint(["run", "-x", "--adopted-ignore", "/tmp"]);
    let done = run(command.arg(disk.barrier()).arg("true"));
    done.assert_code(64);
    assert!(done.stderr.contains("--adopted <PATH>"), "{done:?}");
}

/// It does not wait at the gate, so it may have written in the pause.
#[test]
fn who_takes_a_lock_in_the_pause_takes_the_certificate_away() {
    let Some(disk) = Disk::new() else { return };
    let file = disk.file("file");
    let mut asking = disk.asking(&[]);
    let words: Vec<_> = asking.get_args().map(ToOwned::to_owned).collect();
    let command = words.len() - 2;
    asking = disk.stillpoint(&words[..command]);
    asking.args(["sh", "-c", "echo in; read line"]);
    let mut tool = Command::new("sh");
    tool.args(["-c", "\"$0\" \"$@\" 2>&1; echo $?"]).arg(asking.get_program());
    asking.get_envs().for_each(|(name, value)| {
        value.map(|value| tool.env(name, value));
    });
    let mut tool = Played::begin(tool.args(asking.get_args()));
    assert_eq!(tool.line(), "in");
    let holder = disk.holder("flock", &file);
    tool.go_on();
    let named = format!("FLOCK WRITE lock of holder[{}] on {}", holder.pid(), file.display());
    let said = tool.rest();
    assert!(said.contains(&named) && said.ends_with("\n124"), "{said}");
    drop(holder);

    let words = ["freeze", "-w", "5", "--adopted"];
    run(disk.stillpoint(words).arg(disk.image.path()).arg(disk.barrier())).assert_code(0);
    let _holder = disk.holder("classic", &file);
    run(disk.stillpoint(["thaw"]).arg(disk.barrier())).assert_code(124);
}

/// It locks its store in the pause, as it is asked to.
#[test]
fn a_participant_may_lock_its_store() {
    let Some(disk) = Disk::new() else { return };
    let script = "#!/bin/sh\nwhile read word limit; do case $word in\n\
                  freeze) exec 9>\"$1\"; flock 9; echo frozen;;\n\
                  thaw) exec 9>&-; echo thawed;; esac; done\n";
    let program = disk.elsewhere("participant");
    fs::write(&program, script).unwrap();
    must(Command::new("chmod").arg("755").arg(&program));
    let store = disk.file("store");
    let with = format!("{} {}", program.display(), store.display());
    let done = disk.ask(&["--with", &with]);
    done.assert_code(0);
    assert!(store.exists(), "{done:?}");
}

/// There nobody waits, and a pause would be none.
#[test]
fn what_the_settings_do_not_protect_is_refused() {
    let Some(disk) = Disk::new() else { return };
    let settings = |text: String| fs::write(disk.elsewhere("adopt.conf"), text).unwrap();
    let barrier = disk.barrier();
    let barrier = barrier.display();
    let place = disk.image.path();
    let place = place.display();
    settings(format!("barrier {barrier}\nprotect /proc\n"));
    disk.ask(&[])
        .assert_complaint(69, &["adopt.conf does not protect the file system of ", "mount"]);
    settings(format!("barrier /nowhere\nprotect {place}\n"));
    disk.ask(&[]).assert_complaint(69, &["adopts programs to /nowhere, which is not closed"]);
    settings(format!("protect {place}\n"));
    disk.ask(&[]).assert_complaint(69, &["names no barrier"]);

    settings(format!("barrier {barrier}\nprotect {place}/.\nignore {place}/pid\n"));
    fs::create_dir(disk.file("pid")).unwrap();
    let _pid = disk.holder("classic", &disk.file("pid/it"));
    disk.is_granted(&[]);
    fs::remove_file(disk.elsewhere("adopt.conf")).unwrap();
    let said = "warning: --adopted: ";
    let done = disk.ask(&["--adopted-ignore", disk.file("pid").to_str().unwrap()]);
    done.assert_complaint(0, &[said, "adopt.conf: No such file or directory"]);
}
