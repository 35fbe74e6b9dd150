//! `stillpoint status`.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use crate::common::command::Place;
use crate::common::{NOBODY, STILLPOINT, as_user, is_root, run, start, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn json_has_the_documented_fields() {
    let place = Place::with_barrier();
    place.run(["run", "-s", "--label", "lost one", "mail", "sh", "-c", "kill -KILL $$"]);
    let writer = place.hold(&["-s", "--label", "lmtp"]);
    let status = place.status();
    let top = [
        "schema",
        "barrier",
        "uuid",
        "gate",
        "abandoned",
        "generation",
        "wanted",
        "holder",
        "writers",
        "flock",
        "stragglers",
        "dirty",
        "stats",
    ];
    assert_eq!(keys(&status), BTreeSet::from(top));
    assert_eq!(status["schema"], 1);
    assert_eq!(status["barrier"], place.barrier().to_str().unwrap());
    assert_eq!(status["uuid"].as_str().unwrap().len(), 32);
    assert_eq!(status["gate"], "open");
    assert_eq!(status["abandoned"], false);
    assert_eq!(status["generation"], 0);
    assert_eq!(status["wanted"], false);
    assert_eq!(status["holder"], Value::Null);

    let fields = [
        "slot",
        "kind",
        "pid",
        "tid",
        "comm",
        "label",
        "inside",
        "inside_at_least_ms",
        "waiting_ms",
        "shares",
        "unfenced",
        "place",
    ];
    let inside = status["writers"].as_array().unwrap();
    assert_eq!(inside.len(), 1, "{status}");
    assert_eq!(keys(&inside[0]), BTreeSet::from(fields));
    assert_eq!((&inside[0]["label"], &inside[0]["kind"]), (&json!("lmtp"), &json!("command")));
    assert_eq!(inside[0]["pid"], writer.pid.as_raw());
    assert_eq!(inside[0]["waiting_ms"], Value::Null);

    assert_eq!(
        keys(&status["dirty"]),
        BTreeSet::from(["epoch", "acknowledged", "uncounted", "lost"])
    );
    assert_eq!(
        keys(&status["dirty"]["lost"][0]),
        BTreeSet::from(["epoch", "pid", "comm", "label", "place", "when", "acknowledged"])
    );
    let when = status["dirty"]["lost"][0]["when"].as_str().unwrap();
    assert!(when.starts_with("20") && when.ends_with('Z'), "{when}");
    assert_eq!(
        keys(&status["stats"]),
        BTreeSet::from([
            "pauses",
            "revocations",
            "drain_timeouts",
            "last_pause_ms",
            "pause_seconds"
        ])
    );
}

/// Nobody has looked since, but it is known.
#[test]
fn a_writer_that_was_killed_inside_is_a_loss_before_any_pause() {
    let place = Place::with_barrier();
    assert_eq!(place.status()["dirty"]["uncounted"], 0);
    assert!(place.run(["status", "mail"]).stdout.contains("  dirty    no "));
    place.run(["run", "-s", "mail", "sh", "-c", "kill -KILL $PPID"]);
    let metric = || place.run(["status", "--prometheus", "mail"]).stdout;
    until("nobody of it is left", || place.status()["dirty"]["uncounted"] == 1);
    let text = place.run(["status", "mail"]).stdout;
    assert!(text.contains("  dirty    yes, 1 ended inside"), "{text}");
    assert!(
        metric().lines().any(|line| line.starts_with("stillpoint_dirty{") && line.ends_with(" 1"))
    );
    assert_eq!(place.run(["run", "-x", "mail", "true"]).code(), 0);
    assert_eq!(
        (place.status()["dirty"]["uncounted"].clone(), place.status()["dirty"]["epoch"].clone()),
        (json!(0), json!(1))
    );
}

#[test]
fn a_writer_inside_is_shown_with_its_line() {
    let place = Place::with_barrier();
    let barrier = stillpoint::Barrier::open(place.barrier()).unwrap();
    let (share, line) = (barrier.shared().unwrap(), line!());
    let line = format!("tests/cli/status.rs:{line}");
    assert_eq!(place.status()["writers"][0]["place"], *line);
    let text = || place.run(["status", "mail"]).stdout;
    assert!(text().contains(&format!("  inside from {line}, since unknown\n")), "{}", text());
    let closing = place.run(["run", "-n", "mail", "true"]);
    closing.assert_complaint(75, &[&format!("inside from {line}")]);
    assert!(text().contains(&format!("  inside from {line} for at least ")), "{}", text());
    drop(share);
    assert_eq!(place.status()["writers"][0]["place"], "");
    assert!(text().contains("  outside\n"), "{}", text());
}

#[test]
fn json_has_the_lengths_of_all_pauses() {
    let place = Place::with_barrier();
    for _ in 0..2 {
        assert_eq!(place.run(["run", "-x", "mail", "true"]).code(), 0);
    }
    let pauses = &place.status()["stats"]["pause_seconds"];
    assert_eq!(keys(pauses), BTreeSet::from(["buckets", "sum", "count"]));
    assert_eq!(pauses["count"], 2);
    assert!(pauses["sum"].as_f64().unwrap() > 0.0);
    let buckets = pauses["buckets"].as_array().unwrap();
    let (first, last) = (&buckets[0], &buckets[15]);
    assert_eq!((&first["le"], buckets.len()), (&json!(0.001), 16));
    assert_eq!((&last["le"], &last["count"]), (&Value::Null, &json!(2)));
    let counts: Vec<u64> = buckets.iter().map(|bucket| bucket["count"].as_u64().unwrap()).collect();
    assert!(counts.is_sorted(), "{counts:?}");
}

#[test]
fn json_names_the_holder_of_the_gate() {
    let place = Place::with_barrier();
    let mut holder = place.hold(&["-x", "--hold", "30", "--label", "nightly"]);
    let status = place.status();
    assert_eq!((&status["gate"], &status["wanted"]), (&"closed".into(), &true.into()));
    let described = &status["holder"];
    assert_eq!(
        keys(described),
        BTreeSet::from(["pid", "comm", "label", "since", "limit_ms", "stopped"])
    );
    assert_eq!(described["pid"], holder.pid.as_raw());
    assert_eq!(described["label"], "nightly");
    assert!(described["limit_ms"].as_f64().unwrap() >= 30_000.0);

    let mut waiting = place.start(["run", "-s", "--label", "patient", "mail", "true"]);
    until("a writer waits", || {
        let status = place.status();
        let writers = status["writers"].as_array().unwrap().clone();
        writers
            .iter()
            .any(|writer| writer["label"] == "patient" && writer["waiting_ms"].as_f64() > Some(0.0))
    });
    holder.signal(Signal::SIGTERM);
    holder.end();
    assert_eq!(waiting.end(), 0);
    assert_eq!(place.status()["stats"]["pauses"], 1);
    assert_eq!(place.status()["holder"], Value::Null);
}

#[test]
fn people_get_a_table() {
    let place = Place::with_barrier();
    place.run(["run", "-s", "--label", "lost one", "mail", "sh", "-c", "kill -KILL $$"]);
    let _writer = place.hold(&["-s", "--label", "lmtp"]);
    let outcome = place.run(["status", "mail"]);
    assert_eq!(outcome.code(), 0);
    for part in [
        "mail.barrier\n",
        "gate     open",
        "dirty    yes, 1 not",
        "(lost one)",
        "SLOT",
        "lmtp",
        "inside ",
    ] {
        assert!(outcome.stdout.contains(part), "no {part:?} in {}", outcome.stdout);
    }
    let header = outcome.stdout.lines().find(|line| line.contains("SLOT")).unwrap();
    let row = outcome.stdout.lines().find(|line| line.contains("lmtp")).unwrap();
    assert_eq!(header.find("LABEL"), row.find("lmtp"));
}

#[test]
fn bytes_from_the_file_do_not_reach_the_terminal() {
    let place = Place::with_barrier();
    let _writer = place.hold(&["-s", "--label", "a\x1b[2Jb\nc"]);
    let outcome = place.run(["status", "mail"]);
    assert!(!outcome.stdout.contains('\x1b'), "{outcome:?}");
    assert!(
        outcome.stdout.lines().any(|line| line.contains('a') && line.contains("[2Jb")),
        "{outcome:?}"
    );
    let refused = place.run(["run", "-x", "-n", "mail", "true"]);
    assert!(!refused.stderr.contains('\x1b'), "{refused:?}");
    assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
}

#[test]
fn without_a_name_all_barriers_are_shown() {
    let place = Place::new();
    assert_eq!(place.run(["status", "--json"]).stdout, "");
    for name in ["b", "a", "c"] {
        assert_eq!(place.run(["create", name]).code(), 0);
    }
    let all = place.run(["status", "--json"]);
    let names: Vec<String> = all
        .stdout
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["barrier"].as_str().unwrap().to_string()
        })
        .collect();
    assert!(
        names[0].ends_with("/a.barrier")
            && names[1].ends_with("/b.barrier")
            && names[2].ends_with("/c.barrier")
    );
    assert_eq!(names.len(), 3);
    assert_eq!(place.run(["status"]).stdout.matches("gate ").count(), 3);
    assert_eq!(place.run(["status", "a", "c"]).stdout.matches("gate ").count(), 2);

    let some = place.run(["status", "a", "missing", "c"]);
    some.assert_complaint(66, &["missing"]);
    assert_eq!(some.stdout.matches("gate ").count(), 2, "the others are shown");
}

#[test]
fn that_there_is_nothing_is_said() {
    let place = Place::new();
    place.run(["status"]).assert_complaint(0, &["no barriers in", "/barriers"]);
    let mut status = place.command(["status", "--json"]);
    status.env("STILLPOINT_DIR", place.path("nowhere"));
    let outcome = run(status);
    outcome.assert_complaint(0, &["no barriers in", "/nowhere"]);
    assert_eq!(outcome.stdout, "");
}

#[test]
fn watching_repeats() {
    let place = Place::with_barrier();
    let mut watching = place.start(["status", "--json", "--watch", "mail"]);
    for _ in 0..2 {
        let line: Value = serde_json::from_str(&watching.line()).unwrap();
        assert_eq!(line["schema"], 1);
    }
    watching.signal(Signal::SIGINT);
    assert_eq!(watching.end(), 128 + 2);
}

#[test]
fn watching_nothing_ends() {
    let place = Place::with_barrier();
    place.run(["status", "--watch", "nosuch"]).assert_complaint(66, &["nosuch"]);
    let mut command = place.command(["status", "--json", "--watch", "mail", "nosuch"]);
    let complaints = place.path("complaints");
    command.stderr(std::fs::File::create(&complaints).unwrap());
    let mut watching = start(command);
    for _ in 0..3 {
        watching.line();
    }
    watching.signal(Signal::SIGINT);
    watching.end();
    let complaints = std::fs::read_to_string(complaints).unwrap();
    assert_eq!(complaints.lines().count(), 1, "once is enough: {complaints}");
}

#[test]
fn reading_permission_is_enough_and_nothing_changes() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    assert_eq!(place.run(["create", "mail", "--mode", "0664"]).code(), 0);
    let before = std::fs::read(place.barrier()).unwrap();
    let modified = std::fs::metadata(place.barrier()).unwrap().mtime_nsec();
    let mut status = place.program("setpriv");
    status.args(as_user(NOBODY, NOBODY)).arg(STILLPOINT).args(["status", "--json", "mail"]);
    let outcome = run(status);
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    assert_eq!(std::fs::read(place.barrier()).unwrap(), before);
    assert_eq!(std::fs::metadata(place.barrier()).unwrap().mtime_nsec(), modified);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::with_barrier();
    for arguments in [
        &["status", "mail"] as &[&str],
        &["status", "--json", "--watch"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = place.command(arguments);
        command.stdout(Stdio::from(writer)).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        assert!(output.stderr.is_empty(), "{arguments:?} {output:?}");
        assert!(output.status.success(), "{arguments:?} {output:?}");
    }
}

#[test]
fn on_a_terminal_watching_redraws() {
    let place = Place::with_barrier();
    let _writer = place.hold(&["-s", "--label", &"long".repeat(40)]);
    let mut script: Command = place.program("script");
    // Stopped by Ctrl-Z, continued, and ended: each time the screen that was there before is there again.
    script.args([
        "-qec",
        "stty rows 8 cols 40; $S status --watch mail & sleep 1.3; kill -TSTP $!; sleep 0.3; \
        kill -CONT $!; sleep 0.3; kill -TERM $!; wait $!; echo ended by $?",
        "/dev/null",
    ]);
    script.env("TERM", "xterm").env_remove("NO_COLOR");
    let shown = run(script).stdout;
    let (enter, leave) = ("\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l");
    assert_eq!((shown.matches(enter).count(), shown.matches(leave).count()), (2, 2), "{shown:?}");
    assert!(shown.ends_with("ended by 143\r\n"), "{shown:?}");
    let pages: Vec<&str> = shown.split("\x1b[H").skip(1).collect();
    assert!(pages.len() >= 3, "a clock: {shown:?}");
    for page in pages {
        let page = page.split(leave).next().unwrap();
        assert!(page.contains("Z, every second; Ctr…\x1b[K\r\n"), "{page:?}");
        assert!(page.lines().count() <= 8 && page.contains("more lines\x1b[K\x1b[J"), "{page:?}");
    }
}

#[test]
fn on_a_terminal_all_fits_and_a_command_stands_for_itself() {
    let place = Place::with_barrier();
    let writer = place.hold(&["-s", "--label", "受信箱\u{202e}"]);
    for number in 0..5 {
        place.lose(&number.to_string());
    }
    let on_terminal = |words: &str| {
        let mut script: Command = place.program("script");
        script.args([
            "-qec",
            &format!("stty rows 24 cols 80; $S status {words} mail"),
            "/dev/null",
        ]);
        script.env("TERM", "xterm").env_remove("NO_COLOR");
        run(script).stdout
    };
    let command = writer.command.unwrap();
    let shown = on_terminal("");
    assert!(
        shown.contains("\x1b[31myes\x1b[0m") && shown.contains("\x1b[32minside for"),
        "{shown:?}"
    );
    assert!(shown.contains("and 2 more; --wide shows all"), "{shown:?}");
    let row = shown.lines().find(|line| line.contains(&format!(" {command} "))).expect(&shown);
    assert!(row.contains("  sleep  ") && !shown.contains("SLOT"), "{shown:?}");
    // The label's three characters take two columns each; what turns the line around is written out.
    let head = shown.lines().find(|line| line.contains("LABEL")).unwrap();
    let column =
        |line: &str, of: &str| line.find(of).unwrap() - line.matches(['受', '信', '箱']).count();
    assert_eq!(column(head, "STATE"), column(row, "\x1b[32minside"), "{shown:?}");
    let wide = on_terminal("--wide");
    assert!(wide.contains("SLOT") && !wide.contains("and 2 more"), "{wide:?}");
    let piped = place.run(["status", "mail"]).stdout;
    assert!(
        piped.contains("SLOT") && !piped.contains('\x1b') && !piped.contains("2 more"),
        "{piped}"
    );
}

/// Whoever is inside at the first look may be gone at the next: that is no writer that was lost.
#[test]
fn who_leaves_while_somebody_looks_is_not_lost() {
    let place = Place::with_barrier();
    let script = r#"while [ -e "$1" ]; do "$2" run -s "$3" true; done"#;
    let running = place.path("running");
    std::fs::write(&running, "").unwrap();
    let mut writers: Vec<_> = (0..4)
        .map(|_| {
            let mut shell = Command::new("sh");
            shell.args(["-c", script, "sh"]).arg(&running).arg(STILLPOINT).arg(place.barrier());
            shell.spawn().unwrap()
        })
        .collect();
    let mut seen = 0;
    let mut lost = Vec::new();
    for _ in 0..500 {
        let status = stillpoint::Status::read(place.barrier()).unwrap();
        seen += status.writers.iter().filter(|writer| writer.inside).count();
        lost.extend(status.writers.into_iter().filter(|writer| writer.inside && !writer.alive));
    }
    std::fs::remove_file(&running).unwrap();
    for writer in &mut writers {
        writer.wait().unwrap();
    }
    assert!(seen > 0 && lost.is_empty(), "{seen} seen, {} lost, {lost:?}", lost.len());
}
