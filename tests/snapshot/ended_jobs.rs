//! A job that is told to end.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::{run, start, until};
use crate::jobs::Jobs;

/// A command that says that it has begun, and takes the signal for something that is well.
fn calm(jobs: &Jobs) -> String {
    format!(
        "\"trap 'exit 0' TERM; touch {}; while :; do sleep 0.05; done\"",
        jobs.path("begun").display()
    )
}

#[test]
fn it_has_failed_however_well_its_command_takes_it() {
    for calm_one in ["after", "verify"] {
        let jobs = Jobs::new();
        jobs.write("mail", "");
        (0..2).for_each(|_| assert_eq!(jobs.job(&["run", "mail"]).code(), 0));
        let or_true = |name| if name == calm_one { calm(&jobs) } else { "'true'".to_owned() };
        let more = format!(
            "[hooks]\nafter = {}\non-failure = {}\n[verify]\ncommand = {}\n[retention]\nkeep = 1\n",
            or_true("after"),
            jobs.note("failed"),
            or_true("verify")
        );
        jobs.write("mail", &more);
        let mut running = start(&mut jobs.command(&["run", "mail"]));
        until("it has begun", || jobs.path("begun").exists());
        running.signal(Signal::SIGTERM);
        running.end();
        assert_eq!(jobs.record("mail")["exit"], 143, "{calm_one}: {}", jobs.record("mail"));
        assert_eq!(jobs.notes(), ["failed verify 143"], "{calm_one}");
        assert_eq!((jobs.snapshots(), jobs.latest(&["--verified"])), (3, 66), "{calm_one}");
    }
}

/// It came while the snapshot was being taken, and is for that alone.
#[test]
fn what_is_run_whatever_has_come_is_run_whole() {
    for _ in 0..3 {
        let jobs = Jobs::new();
        let slow = |word: &str| jobs.note(word).replacen("\"echo", "\"sleep 0.2; echo", 1);
        let hooks =
            format!("[hooks]\nafter = {}\non-failure = {}\n", slow("after"), slow("failed"));
        jobs.write("mail", &hooks);
        let file = jobs.path("jobs/mail.toml");
        let text = fs::read_to_string(&file).unwrap().replace("patience = 0", "patience = 60");
        fs::write(&file, text).unwrap();
        let begun = jobs.path("inside");
        let mut writer = jobs.0.stillpoint();
        writer.args(["run", "-s", "mail", "sh", "-c"]);
        writer.arg(format!("touch {}; exec sleep 60", begun.display()));
        let mut writer = start(&mut writer);
        until("a writer is inside", || begun.exists());
        let mut running = start(&mut jobs.command(&["run", "mail"]));
        until("the snapshot is begun", || {
            let rows = run(jobs.0.stillpoint().args(["list", "--json"])).stdout;
            let rows: Vec<Value> = serde_json::from_str(&rows).unwrap_or_default();
            rows.iter().any(|row| row["status"] == "begun")
        });
        running.signal(Signal::SIGTERM);
        running.end();
        assert_eq!(jobs.notes(), ["after snapshot 143", "failed snapshot 143"]);
        assert_eq!(jobs.record("mail")["exit"], 143);
        writer.signal(Signal::SIGKILL);
        writer.end();
    }
}

/// Else it would keep the job from being run again, and nobody would be told.
#[test]
fn what_hangs_is_ended_and_told() {
    let jobs = Jobs::new();
    let hangs = "\"trap '' TERM; sleep 60 & wait; sleep 60\"";
    for (before, verify, failed) in [(hangs, "'true'", "before"), ("'true'", hangs, "verify")] {
        let hooks = jobs.hooks(before, verify);
        let hooks = hooks.replace("[verify]", "timeout = 0.3\n[verify]\ntimeout = '300ms'");
        jobs.write("mail", &hooks);
        let done = jobs.job(&["run", "mail"]);
        assert_eq!(done.code(), 124, "{done:?}");
        assert!(
            done.stderr.contains(&format!("{failed}: was ended, as it took longer")),
            "{done:?}"
        );
        assert!(jobs.notes().contains(&format!("failed {failed} 124")));
    }
    assert_eq!((jobs.snapshots(), jobs.latest(&["--verified"])), (1, 66));
    assert_eq!(jobs.0.manifests()[0]["verified"], Value::Null);
}
