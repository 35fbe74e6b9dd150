//! `freeze --job`: the barriers of a job, of which each has a keeper.

mod around;
mod freezing_only;

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::command::Place;
use crate::common::{Done, Running, run, start, until};

/// A place with a job of two barriers, and `more` in its file.
fn place(more: &str) -> Place {
    let place = Place::with_barrier();
    assert_eq!(place.run(["create", "news"]).code(), 0);
    fs::create_dir(place.path("jobs.d")).unwrap();
    let text = format!(
        "barriers = ['mail', 'news']\n[snapshot]\nreflink = '/srv/mail'\nto = '/srv/snapshots'\n{more}"
    );
    fs::write(place.path("jobs.d/nightly.toml"), text).unwrap();
    place
}

fn command(place: &Place, words: &[&str]) -> std::process::Command {
    let mut command = place.command([&["freeze", "--job", "nightly"], words].concat());
    command.env("STILLPOINT_JOBS", place.path("jobs.d"));
    command.env("STILLPOINT_STATE_DIR", place.path("state"));
    command
}

/// The tokens, each with its barrier, as they were printed.
fn frozen(place: &Place, words: &[&str]) -> Vec<(String, String)> {
    let done = run(command(place, words));
    assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{done:?}");
    let pair = |line: &str| {
        let (token, barrier) = line.split_once(' ').unwrap();
        (token.to_owned(), barrier.to_owned())
    };
    done.stdout.lines().map(pair).collect()
}

fn thaw(place: &Place, (token, barrier): &(String, String)) -> Done {
    place.run(["thaw", "--token", token, barrier])
}

fn gate(place: &Place, barrier: &str) -> Value {
    let done = place.run(["status", "--json", barrier]);
    serde_json::from_str::<Value>(&done.stdout).unwrap()["gate"].clone()
}

fn gates(place: &Place) -> [Value; 2] {
    ["mail", "news"].map(|barrier| gate(place, barrier))
}

#[test]
fn each_is_thawed_by_its_own_token_in_any_order() {
    let place = place("");
    for order in [[0, 1], [1, 0]] {
        let tokens = frozen(&place, &[]);
        assert!(tokens[0].1.ends_with("/news.barrier") && tokens[1].1.ends_with("/mail.barrier"));
        assert_eq!(gates(&place), ["closed", "closed"]);
        for index in order {
            let done = thaw(&place, &tokens[index]);
            assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{order:?} {done:?}");
        }
        assert_eq!(gates(&place), ["open", "open"]);
    }
}

/// They are still from when all barriers are closed until the last that was closed is open.
#[test]
fn others_of_the_job_stand_still() {
    let told = r#"with = ["/bin/sh -c 'echo ready; while read -r word limit; do echo $word >>told; case $word in freeze) echo frozen ;; thaw) echo thawed ;; esac; done'"]"#;
    let place = place(&format!("[others]\n{told}\n"));
    let tokens = frozen(&place, &[]);
    assert_eq!(fs::read_to_string(place.path("told")).unwrap(), "freeze\n");
    for token in &tokens {
        let done = thaw(&place, token);
        assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{done:?}");
    }
    assert_eq!(fs::read_to_string(place.path("told")).unwrap(), "freeze\nthaw\n");
}

/// With a job that locks a file of another program.
fn place_with_lock(limits: &str) -> (Place, std::path::PathBuf) {
    let place = place(&format!("{limits}[others]\nalso = ['flock:lock']\n"));
    let lock = place.path("lock");
    fs::write(&lock, "").unwrap();
    let text = fs::read_to_string(place.path("jobs.d/nightly.toml")).unwrap();
    let text = text.replace("flock:lock", &format!("flock:{}", lock.display()));
    fs::write(place.path("jobs.d/nightly.toml"), text).unwrap();
    (place, lock)
}

/// Somebody can lock it now, with flock(1).
fn is_free(path: &std::path::Path) -> bool {
    let mut flock = std::process::Command::new("flock");
    run(flock.args(["-n", "-E", "9"]).arg(path).arg("true")).code() == 0
}

/// Before any gate closes, and until the first is open again.
#[test]
fn locks_of_other_programs_are_held() {
    let (place, lock) = place_with_lock("");

    let tokens = frozen(&place, &[]);
    assert!(!is_free(&lock));
    for (token, is_free_now) in tokens.iter().zip([false, true]) {
        let done = thaw(&place, token);
        assert_eq!((done.code(), done.stderr.as_str()), (0, ""), "{done:?}");
        assert_eq!(is_free(&lock), is_free_now);
    }

    // Whoever has it is waited for with all gates open.
    let mut holder = place.program("flock");
    holder.arg("-F").arg(&lock).args(["sh", "-c", "echo in; exec sleep 60"]);
    let mut holder = start(holder.stdout(std::process::Stdio::piped()));
    holder.line();
    let refused = run(command(&place, &["-w", "0.3"]));
    refused.assert_refused(75, "still locked by");
    assert!(refused.stderr.contains("--timeout"), "{refused:?}");
    let mut waiting = start(&mut command(&place, &["-w", "20"]));
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(gates(&place), ["open", "open"]);
    holder.signal(Signal::SIGKILL);
    holder.end();
    assert_eq!(waiting.end(), 0);
    assert_eq!(gates(&place), ["closed", "closed"]);
    assert!(!is_free(&lock));
    let keeper = |barrier: &str| {
        let done = place.run(["status", "--json", barrier]);
        let status: Value = serde_json::from_str(&done.stdout).unwrap();
        nix::unistd::Pid::from_raw(status["holder"]["pid"].as_i64().unwrap() as i32)
    };
    // However it ends.
    nix::sys::signal::kill(keeper("mail"), Signal::SIGKILL).unwrap();
    until("it is free", || is_free(&lock));
    nix::sys::signal::kill(keeper("news"), Signal::SIGTERM).unwrap();
    until("the last is open", || gate(&place, "news") == "open");
    assert_eq!(place.run(["run", "-s", "-w", "20", "mail", "true"]).code(), 0);
}

/// One who stands still too long has them taken away.
#[test]
fn locks_that_were_given_back_are_no_pause_that_held() {
    let (place, lock) = place_with_lock("[limits]\nhold = 30\n");
    let tokens = frozen(&place, &[]);
    // Somebody removes lock files: another one is in its place.
    fs::remove_file(&lock).unwrap();
    fs::write(&lock, "").unwrap();
    assert_eq!(thaw(&place, &tokens[0]).code(), 0);
    assert_eq!(thaw(&place, &tokens[1]).code(), 124);
}

/// Neither before nor at its end.
#[test]
fn a_writer_that_is_not_covered_keeps_it_from_being_frozen() {
    if !crate::common::is_root() {
        return;
    }
    let place = place("");
    let store = tempfile::tempdir().unwrap();
    fs::create_dir(store.path().join("mail")).unwrap();
    fs::create_dir(store.path().join("snapshots")).unwrap();
    let text = format!(
        "barriers = ['mail', 'news']\n[snapshot]\nreflink = '{0}/mail'\nto = '{0}/snapshots'\n[others]\nrequire-covered = true\n",
        store.path().display()
    );
    fs::write(place.path("jobs.d/nightly.toml"), text).unwrap();
    let writer = || {
        let script = "exec 5>>\"$0\"; echo in; exec sleep 60";
        let mut shell = place.program("sh");
        shell.args(["-c", script]).arg(store.path().join("mail/letter"));
        let mut writer = start(shell.stdout(std::process::Stdio::piped()));
        writer.line();
        writer
    };
    let mut held = writer();
    run(&mut command(&place, &[])).assert_refused(65, "require-covered: not covered: ");
    assert_eq!(gates(&place), ["open", "open"]);
    held.signal(Signal::SIGKILL);
    held.end();

    // Where nobody else can be seen. The one that comes is the shell.
    for (comes, code) in [("true", 0), ("exec 5>>$STORE/mail/letter", 124)] {
        let script = format!(
            "set -- $(\"$S\" freeze --job nightly) || exit 9
            {comes}; \"$S\" thaw --token $1 $2; code=$?; exec 5>&-; \"$S\" thaw --token $3 $4; exit $code"
        );
        let mut shell = place.program("unshare");
        shell.args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", &script]);
        shell.env("STORE", store.path()).env("STILLPOINT_JOBS", place.path("jobs.d"));
        let done = run(&mut shell);
        assert_eq!(done.code(), code, "{done:?}");
        assert_eq!(gates(&place), ["open", "open"]);
    }
}

/// Whoever gives up on it kills it, and has no token.
#[test]
fn a_freeze_that_is_killed_between_two_barriers_leaves_none_closed() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
        let place = place("");
        let mut writer = place.start(["run", "-s", "news", "sh", "-c", "echo in; exec sleep 60"]);
        writer.line();
        let mut freeze: Running = start(command(&place, &["-w", "30", "--drain", "0.1"]));
        until("the first is closed", || gate(&place, "mail") == "closed");
        freeze.signal(signal);
        freeze.end();
        until("both are open", || gates(&place) == ["open", "open"]);
    }
}

/// A place with a job that says nothing of a snapshot, and `more` in its file.
fn place_that_freezes(more: &str) -> Place {
    let place = place("");
    fs::write(place.path("jobs.d/nightly.toml"), format!("barriers = ['mail', 'news']\n{more}"))
        .unwrap();
    place
}

/// A verb that is told of the jobs.
fn told(place: &Place, words: &[&str]) -> Done {
    let mut command = place.command(words);
    command.env("STILLPOINT_JOBS", place.path("jobs.d"));
    run(command.env("STILLPOINT_STATE_DIR", place.path("state")))
}
