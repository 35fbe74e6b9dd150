//! `freeze --job`: the barriers of a job, of which each has a keeper. And jobs that do nothing else.

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

#[test]
fn a_job_that_only_freezes_is_frozen_as_any_other() {
    let place = place_that_freezes(
        "[snapshot]\nlabel = 'vm'\n[limits]\nhold = 7\ndrain = 0.5\n[others]\nalso = ['flock:/dev/null']\n",
    );
    let lock = place.path("lock");
    fs::write(&lock, "").unwrap();
    let text = fs::read_to_string(place.path("jobs.d/nightly.toml")).unwrap();
    let text = text.replace("/dev/null", lock.to_str().unwrap());
    fs::write(place.path("jobs.d/nightly.toml"), text).unwrap();
    let tokens = frozen(&place, &[]);
    let status = place.run(["status", "--json", "mail"]).stdout;
    let holder = serde_json::from_str::<Value>(&status).unwrap()["holder"].clone();
    assert_eq!((&holder["label"], &holder["limit_ms"]), (&"vm".into(), &7500.0.into()));
    assert!(!is_free(&lock));
    assert!(tokens.iter().all(|token| thaw(&place, token).code() == 0));
    assert!(is_free(&lock));
}

/// Nobody waits for a snapshot, a timer or a record of it.
#[test]
fn every_verb_knows_what_such_a_job_is() {
    let place = place_that_freezes("");
    let refused = told(&place, &["job", "run", "nightly"]);
    refused.assert_refused(64, "this job only freezes, for a host that takes the snapshot");
    assert!(refused.stderr.contains("`stillpoint freeze --job nightly`"), "{refused:?}");
    let coordinated = told(&place, &["job", "run", "--coordinated", "nightly"]);
    assert_ne!(coordinated.code(), 0, "{coordinated:?}");

    let checked = told(&place, &["job", "check", "nightly"]);
    assert_eq!((checked.code(), checked.stderr.as_str()), (0, ""), "{checked:?}");
    assert_eq!(checked.stdout, "nightly: could be frozen\n");
    let list = told(&place, &["job", "list"]);
    assert!(list.stdout.contains("only freezes") && !list.stdout.contains("never"), "{list:?}");
    let list: Value =
        serde_json::from_str(&told(&place, &["job", "list", "--json"]).stdout).unwrap();
    assert_eq!(list[0]["only_freezes"], true);

    let units = place.path("units");
    let made = told(&place, &["job", "units", units.to_str().unwrap()]);
    assert_eq!((made.code(), made.stderr.as_str()), (0, ""), "{made:?}");
    assert!(!units.exists(), "no timer has a moment of it");

    let found = told(&place, &["check", "--json", "nightly"]).stdout;
    let found: Value = serde_json::from_str(&found).unwrap();
    let of_job: Vec<&Value> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["subject"] == "nightly")
        .collect();
    assert!(!of_job.is_empty() && of_job.iter().all(|one| one["level"] == "ok"), "{of_job:?}");
    // Of its barrier no snapshot is expected, however old.
    let aged = told(&place, &["check", "--critical-age", "1h", "nightly"]);
    assert!(!aged.stdout.contains("has never taken a snapshot"), "{aged:?}");

    fs::remove_file(place.barrier()).unwrap();
    assert_eq!(told(&place, &["job", "check", "nightly"]).code(), 66);
}

/// Whoever has no tokens: the last one that was frozen is meant.
#[test]
fn a_job_is_thawed_as_a_whole() {
    let place = place_that_freezes("");
    let thaw_all = || told(&place, &["thaw", "--job", "nightly"]);
    frozen(&place, &[]);
    let thawed = thaw_all();
    assert_eq!((thawed.code(), thawed.stderr.as_str()), (0, ""), "{thawed:?}");
    assert_eq!(gates(&place), ["open", "open"]);
    assert_eq!(thaw_all().stderr.matches("thawed before").count(), 2);

    // One did not hold, or is not there: the others are opened all the same.
    frozen(&place, &["--hold", "0.2"]);
    until("the limit", || gates(&place) == ["open", "open"]);
    let late = thaw_all();
    assert_eq!((late.code(), late.stderr.matches("throw away").count()), (124, 2), "{late:?}");
    frozen(&place, &[]);
    fs::rename(place.path("jobs.d/nightly.toml"), place.path("jobs.d/x.toml")).unwrap();
    assert_eq!(thaw_all().code(), 66);
    let more = "barriers = ['mail', 'news', 'none']\n";
    fs::write(place.path("jobs.d/nightly.toml"), more).unwrap();
    let missing = thaw_all();
    assert_eq!(missing.code(), 66, "{missing:?}");
    assert_eq!(gates(&place), ["open", "open"]);
    for words in [&["mail"][..], &["--user"], &["--token", "0123456789abcdef0123456789abcdef"]] {
        let both = told(&place, &[&["thaw", "--job", "nightly"], words].concat());
        assert_eq!(both.code(), 64, "{words:?}");
    }
    assert_eq!(place.run(["thaw"]).code(), 64);
}

/// Commands around it, each of which writes down its word and what it is told.
fn hooks(place: &Place, before: &str) -> String {
    let notes = place.path("notes").display().to_string();
    let note = |word: &str| {
        format!(
            "echo {word} $STILLPOINT_JOB $STILLPOINT_JOB_FAILED $STILLPOINT_JOB_STATUS >>{notes}"
        )
    };
    let [first, after, failed] = ["before", "after", "failed"].map(note);
    format!("[hooks]\nbefore = '{first}; {before}'\nafter = '{after}'\non-failure = '{failed}'\n")
}

/// The same job with these.
fn add(place: &Place, more: &str) {
    let file = place.path("jobs.d/nightly.toml");
    fs::write(&file, fs::read_to_string(&file).unwrap() + more).unwrap();
}

fn notes(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(place.path("notes")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn until_noted(place: &Place, expected: &[&str]) {
    until("the last command has run", || notes(place).len() >= expected.len());
    assert_eq!(notes(place), expected);
}

fn record(place: &Place) -> Option<Value> {
    let text = fs::read(place.path("state/jobs/nightly.json")).ok()?;
    serde_json::from_slice(&text).unwrap()
}

/// Of a job that takes snapshots, too; but its record is that of its snapshots.
#[test]
fn what_a_job_runs_is_run_around_its_pause() {
    for only_freezes in [false, true] {
        let place = if only_freezes { place_that_freezes("") } else { place("") };
        add(&place, &hooks(&place, "true"));
        let tokens = frozen(&place, &[]);
        assert_eq!(notes(&place), ["before nightly 0"]);
        assert_eq!(thaw(&place, &tokens[0]).code(), 0);
        assert_eq!(notes(&place).len(), 1, "the first one is closed");
        assert_eq!(thaw(&place, &tokens[1]).code(), 0);
        until_noted(&place, &["before nightly 0", "after nightly 0"]);
        if !only_freezes {
            assert!(record(&place).is_none());
            continue;
        }
        until("it is written down", || record(&place).is_some());
        let kept = record(&place).unwrap();
        assert_eq!((&kept["exit"], &kept["failed"]), (&0.into(), &Value::Null), "{kept}");
        assert_eq!(kept["succeeded"], kept["ended"]);
        assert!(told(&place, &["job", "list"]).stdout.contains("  well  "));
        let metrics = told(&place, &["status", "--prometheus"]).stdout;
        let sample = "stillpoint_job_last_success_timestamp_seconds{stillpoint_job=\"nightly\"} ";
        let (_, value) = metrics.split_once(sample).unwrap();
        assert!(!value.starts_with("0\n"), "{metrics}");
    }
}

/// A host is not kept waiting for what comes after; its next pause is.
#[test]
fn what_comes_after_one_pause_is_over_before_the_next() {
    let place = place_that_freezes("");
    let notes_file = place.path("notes").display().to_string();
    let (go, waits) = (place.path("go"), "while [ ! -e GO ]; do sleep 0.01; done");
    let waits = waits.replace("GO", go.to_str().unwrap());
    add(
        &place,
        &format!(
            "[hooks]\nbefore = 'echo before >>{notes_file}'\nafter = '{waits}; echo after >>{notes_file}'\ntimeout = 20\n"
        ),
    );
    for token in frozen(&place, &[]) {
        assert_eq!(thaw(&place, &token).code(), 0);
    }
    run(&mut command(&place, &["-w", "0.3"])).assert_refused(75, "job nightly: is running");
    let mut next = start(command(&place, &["-w", "30"]));
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(notes(&place), ["before"]);
    fs::write(&go, "").unwrap();
    assert_eq!(next.end(), 0);
    assert_eq!(notes(&place), ["before", "after", "before"]);
    assert_eq!(told(&place, &["thaw", "--job", "nightly"]).code(), 0);
    until("it is over", || notes(&place).len() == 4);
}

/// What was stopped goes on, though nobody ever comes, and somebody is told.
#[test]
fn a_pause_that_did_not_hold_is_a_failure_of_the_job() {
    let place = place_that_freezes("[limits]\nhold = 0.2\n");
    add(&place, &hooks(&place, "true"));
    frozen(&place, &[]);
    let expected = ["before nightly 0", "after nightly freeze 124", "failed nightly freeze 124"];
    until_noted(&place, &expected);
    until("it is written down", || record(&place).is_some());
    let kept = record(&place).unwrap();
    assert_eq!((&kept["exit"], &kept["failed"]), (&124.into(), &"freeze".into()), "{kept}");
    let list = told(&place, &["job", "list"]).stdout;
    assert!(list.contains("failed (124)") && list.contains("nobody thawed it"), "{list}");
    let found = told(&place, &["check", "nightly"]);
    assert_eq!(found.code(), 1, "{found:?}");
    assert!(found.stdout.contains("its last run failed at freeze with 124"), "{found:?}");
}

#[test]
fn a_command_before_it_that_fails_keeps_it_from_being_frozen() {
    for (before, words, code) in [("exit 8", &[][..], 8), ("exec sleep 60", &["-w", "0.3"], 124)] {
        let place = place_that_freezes("");
        add(&place, &hooks(&place, before));
        run(command(&place, words)).assert_refused(code, "job nightly: before: ");
        let noted = format!("nightly before {code}");
        let (after, failed) = (format!("after {noted}"), format!("failed {noted}"));
        assert_eq!(notes(&place), ["before nightly 0", &after, &failed]);
        let status = place.run(["status", "--json", "mail"]).stdout;
        assert_eq!(serde_json::from_str::<Value>(&status).unwrap()["generation"], 0);
        assert_eq!(record(&place).unwrap()["failed"], "before");
    }
}

/// However a host gives up on it, and at which step.
#[test]
fn what_was_stopped_before_goes_on_when_a_freeze_is_killed() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
        for waits in [false, true] {
            let place = place_that_freezes("");
            let begun = place.path("begun");
            let wait = format!("touch {}; exec sleep 60", begun.display());
            add(&place, &hooks(&place, if waits { &wait } else { "true" }));
            let mut writer =
                place.start(["run", "-s", "news", "sh", "-c", "echo in; exec sleep 60"]);
            writer.line();
            let mut freeze: Running = start(command(&place, &["-w", "30", "--drain", "0.1"]));
            match waits {
                true => until("it has begun", || begun.exists()),
                false => until("the first is closed", || gate(&place, "mail") == "closed"),
            }
            freeze.signal(signal);
            freeze.end();
            until("both are open", || gates(&place) == ["open", "open"]);
            until("all have run", || notes(&place).len() == 3);
            let notes = notes(&place);
            assert!(notes[1].starts_with("after ") && notes[2].starts_with("failed "), "{notes:?}");
        }
    }
}

/// The snapshot is void once one of them is open.
#[test]
fn one_that_ends_early_takes_those_before_it_along() {
    let place = place("[limits]\nhold = 0.3\n");
    let tokens = frozen(&place, &[]);
    until("the limit", || gates(&place) == ["open", "open"]);
    assert!(tokens.iter().all(|token| thaw(&place, token).code() == 124));

    let tokens = frozen(&place, &["--hold", "60"]);
    let status = place.run(["status", "--json", "news"]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    let keeper = i32::try_from(status["holder"]["pid"].as_i64().unwrap()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(keeper), Signal::SIGTERM).unwrap();
    until("both are open", || gates(&place) == ["open", "open"]);
    assert!(tokens.iter().all(|token| thaw(&place, token).code() == 124));
}

#[test]
fn what_a_job_cannot_have_is_refused() {
    let place = place("");
    for words in [&["mail"][..], &["--user"], &["--state", "none"], &["--with", "sqlite /x"]] {
        assert_eq!(run(command(&place, words)).code(), 64, "{words:?}");
    }
    assert_eq!(place.run(["freeze"]).code(), 64);
    let missing = run(command(&place, &["--job", "nihgtly"]));
    assert_eq!(missing.code(), 64, "twice");
    fs::rename(place.path("jobs.d/nightly.toml"), place.path("jobs.d/other.toml")).unwrap();
    assert_eq!(run(command(&place, &[])).code(), 66);
    assert_eq!(gates(&place), ["open", "open"]);
}
