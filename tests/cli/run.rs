//! `stillpoint run`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::command::Place;
use crate::common::{run, start, until};
use nix::sys::signal::Signal;

#[test]
fn passes_on_status_and_output() {
    let place = Place::with_barrier();
    for side in ["-s", "-x"] {
        let outcome =
            place.run(["run", side, "mail", "sh", "-c", "echo out; echo err >&2; exit 7"]);
        assert_eq!(outcome.code(), 7);
        assert_eq!(outcome.stdout, "out\n");
        assert_eq!(outcome.stderr, "err\n");
    }
}

/// Each further library is a twentieth of what it costs to start, and scripts start it at each step.
#[test]
fn waits_for_no_library_but_that_of_c() {
    let place = Place::new();
    let mut command = place.command(["--version"]);
    // ld.so(8): says what it would load, and runs nothing.
    let loaded = run(command.env("LD_TRACE_LOADED_OBJECTS", "1")).stdout;
    let known = ["linux-vdso.", "libc.so.", "ld-linux"];
    let others = loaded.lines().filter(|line| !known.iter().any(|name| line.contains(name)));
    assert!(loaded.contains("libc.so.") && others.count() == 0, "{loaded}");
}

#[test]
fn is_exclusive_unless_told_otherwise() {
    let place = Place::with_barrier();
    for (options, gate) in [
        (&[] as &[&str], "closed"),
        (&["-x"], "closed"),
        (&["-e"], "closed"),
        (&["--exclusive"], "closed"),
        (&["-s"], "open"),
        (&["--shared"], "open"),
        (&["-x", "-s"], "open"),
        (&["-s", "-x"], "closed"),
    ] {
        let mut running = place.hold(options);
        let status = place.status();
        assert_eq!(status["gate"], gate, "{options:?}");
        let inside = status["writers"].as_array().unwrap().iter();
        let inside = inside.filter(|writer| writer["inside"] == true).count();
        assert_eq!(inside, usize::from(gate == "open"), "{options:?}");
        running.signal(Signal::SIGTERM);
        assert_eq!(running.end(), 128 + 15);
    }
}

#[test]
fn all_that_follows_the_barrier_is_the_command() {
    let place = Place::with_barrier();
    for (arguments, printed) in [
        (vec!["printf", "%s,", "-n", "-s"], "-n,-s,"),
        (vec!["--", "printf", "%s,", "-n"], "-n,"),
        (vec!["printf", "%s,", "--", "x"], "--,x,"),
        (vec!["printf", "%s,", "--help", "--version"], "--help,--version,"),
        (vec!["--", "printf", "%s,", "--", "x"], "--,x,"),
    ] {
        let outcome = place.run([vec!["run", "-s", "mail"], arguments.clone()].concat());
        assert_eq!(outcome.stdout, printed, "{arguments:?}: {outcome:?}");
        assert_eq!(outcome.code(), 0);
    }
    // Not taken for our own -n, but not found.
    assert_eq!(place.run(["run", "-s", "mail", "-n", "true"]).code(), 127);
}

#[test]
fn a_string_goes_to_the_shell_before_or_after_the_barrier() {
    let place = Place::with_barrier();
    for arguments in [
        ["run", "-s", "-c", "echo $((6 * 7))", "mail"],
        ["run", "-s", "mail", "-c", "echo $((6 * 7))"],
        ["run", "-s", "mail", "--command", "echo $((6 * 7))"],
    ] {
        assert_eq!(place.run(arguments).stdout, "42\n", "{arguments:?}");
    }
    let mut other_shell = place.command(["run", "-s", "mail", "-c", "string"]);
    other_shell.env("SHELL", "/bin/echo");
    assert_eq!(run(other_shell).stdout, "-c string\n");
    let mut no_shell = place.command(["run", "-s", "mail", "-c", "echo x"]);
    no_shell.env("SHELL", "");
    assert_eq!(run(no_shell).stdout, "x\n");

    let outcome = place.run(["run", "-s", "mail", "-c", "echo", "x"]);
    outcome.assert_complaint(64, &["-c", "exactly one"]);
    assert_eq!(place.run(["run", "-s", "-c", "echo", "mail", "x"]).code(), 64);
}

#[test]
fn finds_commands_as_a_shell_does() {
    let place = Place::with_barrier();
    let script = place.path("script");
    std::fs::write(&script, "echo by the shell: $1\n").unwrap();
    std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let folder = script.parent().unwrap().to_str().unwrap();

    let mut in_path = place.command(["run", "-s", "mail", "script", "1"]);
    in_path.env("PATH", format!("/nowhere:{folder}:/usr/bin:/bin"));
    assert_eq!(run(in_path).stdout, "by the shell: 1\n");
    let by_path = place.run(["run", "-s", "mail", "./script", "a b"]);
    assert_eq!(by_path.stdout, "by the shell: a b\n", "{by_path:?}");
    let executed = place.run(["run", "-s", "-F", "mail", "./script", "3"]);
    assert_eq!(executed.stdout, "by the shell: 3\n");
}

/// But for the one that says what it is covered by, which is told once.
#[test]
fn variables_are_handed_on() {
    let place = Place::with_barrier();
    let mut without_us = place.program("env");
    let mut by_us = place.command(["run", "-s", "mail", "env"]);
    for command in [&mut without_us, &mut by_us] {
        command.envs([("EMPTY", ""), ("STILLPOINT_HELD_NOT", "a=b"), ("LINES", "one\ntwo")]);
    }
    let expected = run(without_us).stdout;
    let found = run(by_us).stdout;
    let (held, others): (Vec<_>, Vec<_>) =
        found.lines().partition(|line| line.starts_with("STILLPOINT_HELD="));
    assert_eq!(held.len(), 1, "{found}");
    assert_eq!(others, expected.lines().collect::<Vec<_>>());
    let nested = place.shell("$S run -s mail $S run -s mail env | grep -c ^STILLPOINT_HELD=");
    assert_eq!(nested.stdout, "1\n");
}

#[test]
fn a_command_that_cannot_be_run() {
    let place = Place::with_barrier();
    std::fs::write(place.path("data"), "x").unwrap();
    std::fs::write(place.path("bad"), "#!/nowhere/interpreter\n").unwrap();
    std::fs::set_permissions(place.path("bad"), Permissions::from_mode(0o755)).unwrap();
    for side in ["-s", "-x"] {
        for fork in [&[] as &[&str], &["-F"]] {
            for (program, code) in [
                ("no-such-command", 127),
                ("./no-such-command", 127),
                ("./bad", 127),
                ("./data", 126),
                ("/", 126),
            ] {
                let arguments = [&["run", side], fork, &["mail", program]].concat();
                place.run(&arguments).assert_complaint(code, &[program]);
                until("quiet again", || place.is_quiet());
            }
        }
    }
    assert_eq!(place.dirty_epoch(), 0);
}

#[test]
fn a_conflict_is_75_or_what_e_says() {
    let place = Place::with_barrier();
    for (held, wanted) in [("-x", "-s"), ("-s", "-x"), ("-x", "-x")] {
        let mut holder = place.hold(&[held]);
        for (options, code) in [
            (&["-n"] as &[&str], 75),
            (&["--nonblock"], 75),
            (&["--nb"], 75),
            (&["-w", "0"], 75),
            (&["-w", "0.2"], 75),
            (&["--timeout", "200ms"], 75),
            (&["--wait", "0.2"], 75),
            (&["-n", "-E", "3"], 3),
            (&["-n", "-w", "60", "-E", "0"], 0),
            (&["--conflict-exit-code", "255", "-w", "0.05"], 255),
        ] {
            let arguments = [&["run", wanted], options, &["mail", "echo", "ran"]].concat();
            let outcome = place.run(&arguments);
            assert_eq!(outcome.code(), code, "{held} {arguments:?} {outcome:?}");
            assert_eq!(outcome.stdout, "");
            assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
        }
        let since = Instant::now();
        let late = place.run(["run", wanted, "-w", "0.5", "mail", "true"]);
        // Who is in the way, and how long we waited for him.
        let why = match (held, wanted) {
            ("-x", "-x") => "held by stillpoint[",
            ("-s", "-x") => "not quiet within 0.",
            _ => "closed for 0.5",
        };
        late.assert_complaint(75, &[why]);
        assert!(since.elapsed() >= Duration::from_millis(500));
        holder.signal(Signal::SIGTERM);
        assert_eq!(holder.end(), 143);
        assert_eq!(place.run(["run", wanted, "-w", "20", "mail", "true"]).code(), 0);
    }
}

#[test]
fn a_free_barrier_is_had_at_once_after_an_attempt_that_failed() {
    let place = Place::with_barrier();
    for options in [["-n", "-x"], ["-w", "0"]] {
        for _ in 0..20 {
            let script = format!(
                "$S run -s mail $S run -n mail true 2>/dev/null; \
                 $S run -s mail env -u STILLPOINT_HELD $S run -n mail true 2>/dev/null; \
                 exec $S run {} mail true",
                options.join(" ")
            );
            let outcome = place.shell(&script);
            assert_eq!(outcome.code(), 0, "{options:?}: {outcome:?}");
        }
    }
}

#[test]
fn an_error_of_another_kind_is_not_changed_by_e() {
    let place = Place::new();
    assert_eq!(place.run(["run", "-E", "3", "mail", "true"]).code(), 66);
}

#[test]
fn waits_until_the_other_side_is_through() {
    let place = Place::with_barrier();
    for (held, wanted) in [("-x", "-s"), ("-s", "-x"), ("-x", "-x")] {
        let holder = place.hold(&[held]);
        let mut waiting = place.start(["run", wanted, "mail", "echo", "my turn"]);
        std::thread::sleep(Duration::from_millis(300));
        assert!(waiting.is_running());
        holder.signal(Signal::SIGTERM);
        assert_eq!(waiting.line(), "my turn", "{wanted} after {held}");
        assert_eq!(waiting.end(), 0);
    }
}

#[test]
fn an_exclusive_that_waits_leaves_the_gate_to_brief_writers() {
    let place = Place::with_barrier();
    let _long = place.hold(&["-s"]);
    let _waiting = place.start(["run", "-x", "mail", "true"]);
    until("wanted", || place.status()["wanted"] == true);
    // Each gets in within one bounded drain: 2 s, and slack for a busy machine.
    for _ in 0..5 {
        let brief = place.run(["run", "-s", "-w", "4", "mail", "true"]);
        assert_eq!(brief.code(), 0, "{brief:?}");
    }
}

#[test]
fn a_share_taken_by_flock_counts() {
    let place = Place::with_barrier();
    let mut flock = place.program("flock");
    flock.arg("-s").arg(place.barrier());
    flock.args(["sh", "-c", "echo inside; exec sleep 60"]);
    let mut flock = start(flock);
    assert_eq!(flock.line(), "inside");
    assert!(!place.is_quiet());
    assert_eq!(place.run(["run", "-x", "-w", "0.3", "mail", "true"]).code(), 75);
    // The gate is open meanwhile.
    assert_eq!(place.run(["run", "-s", "-n", "mail", "true"]).code(), 0);
    let mut waiting = place.start(["run", "-x", "mail", "echo", "quiet"]);
    drop(flock);
    assert_eq!(waiting.line(), "quiet");
}

#[test]
fn flock_waits_for_an_exclusive() {
    let place = Place::with_barrier();
    let _holder = place.hold(&["-x"]);
    let mut flock = Command::new("flock");
    flock.arg("-sn").arg(place.barrier()).arg("true");
    assert_eq!(run(flock).code(), 1);
}

#[test]
fn create_is_asked_for() {
    let place = Place::new();
    place.run(["run", "-s", "mail", "true"]).assert_complaint(66, &["mail.barrier", "create"]);
    assert!(!place.barrier().exists());
    for (asked, code) in [("", 66), ("0", 66), ("1", 0)] {
        let mut share = place.command(["run", "-s", "other", "true"]);
        share.env("STILLPOINT_CREATE", asked);
        assert_eq!(run(share).code(), code, "{asked:?}");
    }
    assert_eq!(place.run(["run", "-s", "--create", "mail", "true"]).code(), 0);
    assert!(place.barrier().exists());
    assert!(!place.state().exists(), "made on the way, it has no durable state");
    assert_eq!(place.run(["run", "-s", "--create", "mail", "true"]).code(), 0);
}

#[test]
fn says_who_is_inside_by_label_or_name() {
    let place = Place::with_barrier();
    for (options, label) in
        [(&["-s"] as &[&str], "sh"), (&["-s", "--label", "rsync of hosts"], "rsync of hosts")]
    {
        let running = place.hold(options);
        let writers = place.status()["writers"].clone();
        let inside = writers
            .as_array()
            .unwrap()
            .iter()
            .find(|writer| writer["inside"] == true)
            .unwrap()
            .clone();
        assert_eq!(inside["label"], label);
        let conflict = place.run(["run", "-x", "-n", "mail", "true"]);
        conflict.assert_complaint(75, &[label]);
        drop(running);
        until("quiet again", || place.is_quiet());
    }
}

#[test]
fn verbose_says_how_long_it_took() {
    let place = Place::with_barrier();
    let outcome = place.run(["run", "-s", "--verbose", "mail", "true"]);
    assert_eq!(outcome.code(), 0);
    assert!(outcome.stderr.contains("shared after"), "{outcome:?}");
    assert!(outcome.stderr.contains("running true"), "{outcome:?}");
    assert_eq!(place.run(["run", "-s", "mail", "true"]).stderr, "");
}

#[test]
fn wrong_arguments_are_64() {
    let place = Place::with_barrier();
    for arguments in [
        &["run"] as &[&str],
        &["run", "mail"],
        &["run", "-s", "mail", "--"],
        &["run", "-z", "mail", "true"],
        &["run", "-w", "-1", "mail", "true"],
        &["run", "-w", "soon", "mail", "true"],
        &["run", "-w", "nan", "mail", "true"],
        &["run", "-w", "inf", "mail", "true"],
        &["run", "-E", "256", "mail", "true"],
        &["run", "-s", "--hold", "1", "mail", "true"],
        &["run", "-x", "--hold", "0", "mail", "true"],
        &["run", "", "true"],
        &["run", "..", "true"],
        &["unheard-of"],
        &[],
    ] {
        let outcome = place.run(arguments);
        assert_eq!(outcome.code(), 64, "{arguments:?} {outcome:?}");
        assert!(!outcome.stderr.is_empty());
        assert_eq!(outcome.stdout, "");
    }
    assert_eq!(place.run(["--help"]).code(), 0);
    assert_eq!(place.run(["--version"]).code(), 0);
    assert_eq!(place.run(["run", "--help"]).code(), 0);
}
