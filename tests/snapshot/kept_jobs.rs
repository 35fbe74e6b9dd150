//! What a job must not remove, or put where it does not belong.

use std::fs;
use std::path::PathBuf;

use crate::common::names;
use crate::jobs::Jobs;

#[test]
fn the_last_good_one_stays_while_nobody_can_look_at_the_others() {
    let jobs = Jobs::new();
    let tool = jobs.path("bin/look");
    let retained = format!("[verify]\ncommand = ['{}']\n[retention]\nkeep = 2\n", tool.display());
    jobs.0.stand_in("look", "exit 0");
    jobs.write("mail", &retained);
    for _ in 0..2 {
        assert_eq!(jobs.job(&["run", "mail"]).code(), 0);
    }
    let good = jobs.0.latest(&["--verified"]).unwrap();
    fs::rename(&tool, jobs.path("away")).unwrap();
    for _ in 0..4 {
        assert_eq!(jobs.job(&["run", "mail"]).code(), 127);
    }
    assert_eq!((jobs.0.latest(&["--verified"]), jobs.snapshots()), (Some(good.clone()), 3));
    fs::rename(jobs.path("away"), &tool).unwrap();
    for _ in 0..2 {
        assert_eq!(jobs.job(&["run", "mail"]).code(), 0);
    }
    assert!(!names(&jobs.path("snapshots")).contains(&good), "there are newer good ones");
}

/// Another folder at the path of the target is what a file system is mounted on.
#[test]
fn a_target_that_is_not_mounted_gets_nothing_and_loses_no_record() {
    let jobs = Jobs::new();
    let (target, away) = (jobs.path("snapshots"), jobs.path("away"));
    jobs.write("mail", "[retention]\nkeep = 1\n");
    assert_eq!(jobs.job(&["run", "mail"]).code(), 0);
    let newest = jobs.0.latest(&[]).unwrap();
    fs::rename(&target, &away).unwrap();
    fs::create_dir(&target).unwrap();
    for verb in ["run", "check"] {
        let done = jobs.job(&[verb, "mail"]);
        assert_eq!(done.code(), 69, "{done:?}");
        assert!(done.stderr.contains("is it mounted?"), "{done:?}");
    }
    assert_eq!(names(&target), [""; 0]);
    // By hand it is said only, and what is pruned then are none of the others.
    let done = crate::common::run(&mut jobs.0.copy(&[
        "--hold",
        "9",
        "--label",
        "mail",
        "--min-open",
        "0",
    ]));
    assert!(done.code() == 0 && done.stderr.contains("is it mounted?"), "{done:?}");
    jobs.0.verb(["prune", "--keep", "1"]).assert_code(0);
    assert_eq!(names(&target).len(), 1);
    fs::remove_dir_all(&target).unwrap();
    fs::rename(&away, &target).unwrap();
    assert_eq!(jobs.0.latest(&[]), Some(newest.clone()));
    // The record of the other is of a folder that is no more.
    let text = fs::read_to_string(jobs.path("jobs/mail.toml")).unwrap();
    let accepted = text.replace("[limits]", "source-changed = 'accept'\n[limits]");
    fs::write(jobs.path("jobs/mail.toml"), accepted).unwrap();
    assert_eq!(jobs.job(&["run", "mail"]).code(), 0);
    fs::write(jobs.path("jobs/mail.toml"), text).unwrap();
    assert_eq!(jobs.job(&["run", "mail"]).code(), 0);
    assert_eq!(jobs.snapshots(), 1);
    assert_ne!(jobs.0.latest(&[]), Some(newest));
}

#[test]
fn nothing_is_removed_under_a_label_that_another_job_has_too() {
    let jobs = Jobs::new();
    jobs.write("mail", "[retention]\nkeep = 1\n");
    jobs.write("other", "[retention]\nkeep = 5\n");
    let file = jobs.path("jobs/other.toml");
    let text = fs::read_to_string(&file).unwrap();
    // The same barrier by another name.
    let path = format!("'{}'", jobs.0.barrier_file("mail").display());
    let text = text.replace("'mail'", &path).replace("[limits]", "label = 'mail'\n[limits]");
    fs::write(&file, text).unwrap();
    for name in ["other", "mail", "other", "mail"] {
        let done = jobs.job(&["run", name]);
        assert_eq!(done.code(), 65, "{done:?}");
        assert!(PathBuf::from(done.stdout.trim_end()).exists(), "{done:?}");
        assert!(done.stderr.contains("prune: label: job "), "{done:?}");
    }
    assert_eq!(jobs.snapshots(), 4);
    fs::remove_file(file).unwrap();
    assert_eq!((jobs.job(&["run", "mail"]).code(), jobs.snapshots()), (0, 1));
}

#[test]
fn a_catalogue_that_is_gone_in_the_end_is_told() {
    let jobs = Jobs::new();
    let gone = format!("\"rm -r {}\"", jobs.path("catalog").display());
    jobs.write("mail", &format!("[hooks]\nafter = {gone}\n[retention]\nkeep = 1\n"));
    let done = jobs.job(&["run", "mail"]);
    assert_eq!(done.code(), 66, "{done:?}");
    assert!(done.stderr.contains("the catalogue is gone"), "{done:?}");
}
