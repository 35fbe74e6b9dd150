//! Runs that died, and what the next one makes of what they left.

use std::fs;

use nix::sys::signal::Signal;

use super::System;
use crate::common::{run, start, until};

impl System {
    /// A snapshot x whose run was killed in its pause, while the tool went on and took it.
    fn killed_in_the_pause(&self) {
        let script = r#"echo $$ >"$STATE/hangs"; while [ ! -e "$STATE/go" ]; do sleep 0.01; done"#;
        self.trouble(self.taking, Some(script));
        let running = start(&mut self.command("x", &[]));
        until("hanging tool", || self.state("hangs").exists());
        running.signal(Signal::SIGKILL);
        fs::write(self.state("go"), "").unwrap();
        running.wait();
        until("late snapshot", || self.there().len() == 1);
        assert!(self.there()[0].ends_with(".partial"));
        // The tool has the manifest's lock until it ends.
        until("end of the tool", || {
            let rows = self.scene.verb(["list", "--json"]).stdout;
            !rows.contains("\"under_way\": true")
        });
        self.trouble(self.taking, None);
    }

    /// A snapshot x of two, whose run was killed when one of them had its name.
    fn killed_between_renamings(&self) {
        let script =
            r#"[ -e "$STATE/renamed" ] && kill -KILL "$PPID" && exit 1; touch "$STATE/renamed""#;
        self.trouble(self.renaming, Some(script));
        let done = run(self.command("x", &[]).arg(self.origins()[1]));
        assert_eq!(done.signal(), Some(Signal::SIGKILL as i32), "{done:?}");
        self.trouble(self.renaming, None);
    }
}

#[test]
fn a_run_that_was_killed_in_the_pause_is_cleaned_up_by_the_next() {
    for system in System::each() {
        system.killed_in_the_pause();
        system.scene.assert_writers_go_on();
        let next = system.take("y", &[]);
        next.assert_code(0);
        assert!(next.stderr.contains("x: was interrupted; its data is removed"), "{next:?}");
        assert_eq!(system.there(), [system.made(system.origins()[0], "y")]);
    }
}

#[test]
fn a_run_that_was_killed_before_the_last_renaming_is_completed_by_the_next() {
    for system in System::each() {
        let [origin, two, _] = system.origins();
        system.killed_between_renamings();
        assert_eq!(system.manifest()["status"], "certified");
        let next = system.take("y", &[]);
        assert!(next.stderr.contains("x: was whole when its run was interrupted"), "{next:?}");
        let mut expected = vec![system.made(origin, "y")];
        expected.extend([origin, two].map(|origin| system.made(origin, "x")));
        expected.sort();
        assert_eq!(system.there(), expected);
        assert_eq!(system.scene.manifests()[0]["status"], "complete");
    }
}

/// All that belong together, or none.
#[test]
fn a_certified_snapshot_of_which_a_part_is_gone_is_removed() {
    for system in System::each() {
        let [_, two, _] = system.origins();
        system.killed_between_renamings();
        let list = system.list();
        let lost = system.made(two, "x");
        let left: Vec<&str> = list.lines().filter(|name| !name.starts_with(&lost)).collect();
        assert!(left.len() + 1 == list.lines().count(), "{list}");
        system.set_list(&(left.join("\n") + "\n"));
        system.take("y", &[]).assert_code(0);
        assert_eq!(system.there(), [system.made(system.origins()[0], "y")]);
        assert_eq!(system.scene.manifests()[0]["status"], "failed");
    }
}

/// ZFS says of a pool that is not imported what it says of a snapshot that is gone.
#[test]
fn a_pool_that_is_away_is_not_the_end_of_its_snapshots() {
    let system = System::zfs();
    system.killed_in_the_pause();
    let list = system.list();
    system.set_list("");
    fs::write(system.state("no-pool"), "").unwrap();
    let next =
        |name| system.scene.snapshot(["mail", "--min-open", "0", "--name", name, "--", "true"]);
    let away = next("away");
    away.assert_code(0);
    assert!(away.stderr.contains("cannot clean up"), "{away:?}");
    system.set_list(&list);
    fs::remove_file(system.state("no-pool")).unwrap();
    next("back").assert_code(0);
    assert_eq!(system.there(), [""; 0]);
}
