//! Stores with a quiesce of their own: `--with`, and everything that goes wrong with those who speak for them.

use std::fs;
use std::process::Command;

use crate::common::{Done, has, ms, must, run, start};
use crate::scene::Scene;

/// One that keeps to everything, and writes down what it is told. `$1` is its file; what stands in `$2` is done first.
pub const GOOD: &str = r#"
log=$1
eval "$2"
echo ready
while read -r word limit; do
    gate=$("$STILLPOINT" status --json mail | sed 's/.*"gate":"\([a-z]*\)".*/\1/')
    echo "$word $gate" >>"$log"
    case $word in
    freeze) echo frozen ;;
    thaw) echo thawed ;;
    esac
done
echo end >>"$log"
"#;

/// A participant by a script, as a value of --with.
pub fn by(script: &str) -> String {
    format!("/bin/sh -c '{script}'")
}

/// The good one, which writes to `log`.
pub fn good(scene: &Scene, log: &str, first: &str) -> String {
    let script = scene.path("bin/good");
    if !script.exists() {
        // A file that is read, not run: nobody minds if it is open.
        fs::write(&script, GOOD).unwrap();
    }
    format!("/bin/sh {} {} '{first}'", script.display(), scene.path(log).display())
}

pub fn said(scene: &Scene, log: &str) -> Vec<String> {
    let text = fs::read_to_string(scene.path(log)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A snapshot by a command that writes down that it ran.
pub fn snapshot(scene: &Scene, words: &[&str]) -> Command {
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--min-open", "0"]).args(words);
    command.args(["--", "sh", "-c", "echo command >>\"$0\""]).arg(scene.path("log"));
    command
}

pub fn take(scene: &Scene, words: &[&str]) -> Done {
    run(&mut snapshot(scene, words))
}

#[test]
fn it_is_told_when_nobody_is_inside_and_goes_on_when_the_gate_is_open() {
    let scene = Scene::new();
    let script = format!(
        "echo inside; until grep -q waited {0}; do sleep 0.01; done; sleep 0.1; echo left >>{0}",
        scene.path("log").display()
    );
    let mut writer = start(scene.stillpoint().args(["run", "-s", "mail", "sh", "-c", &script]));
    assert_eq!(writer.line(), "inside");
    let with = good(&scene, "log", "echo waited >>$log");
    let done = take(&scene, &["--with", &with]);
    done.assert_code(0);
    assert_eq!(done.stderr, "");
    let expected = ["waited", "left", "freeze closed", "command", "thaw open", "end"];
    assert_eq!(said(&scene, "log"), expected);
    let manifest = scene.manifest();
    assert_eq!(manifest["status"], "complete");
    let participant = &manifest["participants"][0];
    assert_eq!(participant["participant"], "sh", "and no argument, which may be a password");
    assert_eq!(participant["thawed"], true);
    assert!(participant["frozen_ms"].as_f64().unwrap() > 0.0, "{participant}");
}

#[test]
fn by_every_shell_and_by_its_name() {
    let scene = Scene::new();
    let shells = [&["dash"][..], &["bash"], &["busybox", "sh"]];
    for shell in shells.into_iter().filter(|shell| has(&shell[..1])) {
        let folder = scene.path("participants");
        let path = folder.join("store");
        fs::create_dir_all(&folder).unwrap();
        let text = format!("#!/usr/bin/env -S {}\n{GOOD}", shell.join(" "));
        fs::write(scene.path("text"), text).unwrap();
        must(Command::new("install").args(["-m", "755"]).arg(scene.path("text")).arg(&path));
        let log = scene.path("a log");
        let _ = fs::remove_file(&log);
        let with = format!("store '{}'", log.display());
        let mut command = snapshot(&scene, &["--with", &with]);
        let done = run(command.env("STILLPOINT_PARTICIPANTS", &folder));
        done.assert_code(0);
        assert_eq!(said(&scene, "a log"), ["freeze closed", "thaw open", "end"], "{shell:?}");
    }
}

/// Each with what it says, when it is asked for a second time at the latest. Nobody is held up by it, nothing is made,
/// and others are told to go on.
#[test]
fn whoever_cannot_be_relied_on_opens_the_gate() {
    for (script, exit, words) in [
        (
            "echo ready; read x; read x; echo thawed; read x",
            75,
            &["was not frozen within 100.0 ms"][..],
        ),
        ("echo ready; kill -STOP $$", 75, &["was not frozen within 100.0 ms"]),
        ("echo ready; read x; echo hello; cat", 69, &["said \"hello\" where `frozen`"]),
        ("echo ready; read x; echo \"frozen \"; cat", 69, &["where `frozen` was expected"]),
        ("echo ready; read x; echo; cat", 69, &["said \"\" where `frozen`"]),
        ("echo ready; read x; echo thawed; cat", 69, &["said \"thawed\" where `frozen`"]),
        ("echo ready; read x; echo reason >&2; exit 7", 69, &["ended with status 7: reason"]),
        ("echo ready; read x; kill -KILL $$", 69, &["was ended by signal 9"]),
        ("echo ready; read x; exec >&-; read x", 69, &["closed its standard output"]),
        ("exec <&-; echo ready; sleep 1", 69, &["reads nothing from its standard input"]),
        ("echo ready; read x; (sleep 0.05; echo frozen; sleep 60) &", 69, &["ended with status 0"]),
        ("echo ready; read x; yes", 69, &["said \"y\""]),
        ("echo ready; read x; cat /dev/zero", 69, &["said \"\\u{0}"]),
        ("echo ready; read x; printf \"\\033[2J\\n\"; cat", 69, &["said \"\\u{1b}[2J\""]),
        ("echo ready; read x; echo no >&2; echo failed; cat", 75, &["could not be frozen: no"]),
        ("echo ready; read x; echo expired; cat", 75, &["could not be frozen"]),
    ] {
        let scene = Scene::new();
        let other = good(&scene, "other", "");
        let with = by(script);
        let words = [words, &["participant sh"]].concat();
        let options = ["--attempts", "1", "--drain", "0.1", "--with", &other, "--with", &with];
        let done = take(&scene, &options);
        assert_eq!(done.code(), exit, "{script}: {done:#?}");
        let line = done.stderr.lines().last().unwrap();
        assert!(words.iter().all(|word| line.contains(word)), "{script}: {done:#?}");
        assert_eq!(said(&scene, "log"), [""; 0], "{script}");
        // The gate may be open again before it has looked.
        let other = said(&scene, "other");
        assert!(
            matches!(&other[..], [_, thaw, end] if thaw == "thaw open" && end == "end"),
            "{script}: {other:?}"
        );
        assert!(!scene.is_closed(), "{script}");
        let manifest = scene.manifest();
        assert_eq!(manifest["status"], "failed", "{script}");
        if exit == 75 {
            assert!(manifest["participants"][1]["frozen_ms"].is_null(), "{script}: {manifest}");
        }
    }
}

/// Each goes wrong in the middle of the pause.
#[test]
fn whoever_does_not_stand_still_to_the_end_takes_the_certificate() {
    for (script, word) in [
        ("exit 0", "ended with status 0"),
        ("kill -KILL $$", "was ended by signal 9"),
        ("echo expired; touch spoke; read x; echo thawed; cat", "went on by itself"),
        ("echo thawed; touch spoke; cat", "said \"thawed\" where nothing was asked"),
        ("echo frozen; touch spoke; cat", "said \"frozen\" where nothing was asked"),
        ("exec >&-; touch spoke; sleep 60", "closed its standard output"),
    ] {
        let scene = Scene::new();
        fs::write(scene.path("store/file"), "").unwrap();
        let wait = "touch pause; until test -e spoke || grep -q '^State:.Z' /proc/$(cat pid)/status; do sleep 0.01; done";
        scene.stand_in("cp", &format!("case \"$1\" in -a) {wait};; esac; exec \"$REAL\" \"$@\""));
        let before = "echo $$ >pid; echo ready; read x; echo frozen; until test -e pause; do sleep 0.01; done";
        let with = by(&format!("{before}; {script}"));
        let other = good(&scene, "other", "");
        let options = ["--hold", "30", "--min-open", "0", "--with", &with, "--with", &other];
        let done = run(scene.copy(&options).current_dir(scene.path("bin")));
        assert_eq!(done.code(), 124, "{script}: {done:#?}");
        let line = done.stderr.lines().last().unwrap();
        assert!(line.contains(word) && line.contains("not to be trusted"), "{script}: {done:#?}");
        assert_eq!(said(&scene, "other"), ["freeze closed", "thaw open", "end"], "{script}");
        assert_eq!(scene.snapshots(), [""; 0], "{script}");
        let manifest = scene.manifest();
        assert_eq!(manifest["status"], "revoked", "{script}");
        assert!(manifest["reason"].as_str().unwrap().contains(word), "{script}: {manifest}");
    }
}

/// What goes wrong before keeps nobody out for a moment.
#[test]
fn whoever_does_not_get_ready_is_refused_with_the_gate_open() {
    for (script, exit, word) in [
        (
            "echo cannot connect >&2; exit 3",
            69,
            "participant sh: ended with status 3: cannot connect",
        ),
        ("echo frozen; cat", 69, "said \"frozen\" where `ready` was expected"),
        ("echo covers x; cat", 69, "said \"covers x\""),
        ("yes covers 1", 69, "said \"covers 1\""),
        ("yes", 69, "said \"y\""),
        ("exec cat /dev/zero", 69, "said \"\\u{0}"),
        ("printf \"ready\\nready\\n\"; cat", 69, "said \"ready\""),
        ("kill -INT $PPID; cat", 130, "cancelled"),
    ] {
        let scene = Scene::new();
        let before = scene.generation();
        let done = take(&scene, &["--with", &by(script)]);
        let code = done.signal().map_or(done.code(), |signal| 128 + signal);
        assert_eq!(code, exit, "{script}: {done:#?}");
        assert_eq!(done.stderr.lines().count(), 1, "{script}: {done:#?}");
        assert!(done.stderr.contains(word), "{script}: {done:#?}");
        assert_eq!(scene.generation(), before, "{script}");
        assert_eq!(said(&scene, "log"), [""; 0], "{script}");
    }
}

#[test]
fn what_is_no_participant_is_refused_before_anything() {
    let scene = Scene::new();
    let file = scene.path("store/file");
    fs::write(&file, "").unwrap();
    for (with, exit, word) in [
        ("nosuch", 69, "participant nosuch: is not in /"),
        ("sh", 69, "a program elsewhere needs its path, with a slash"),
        ("/nosuch x", 69, "/nosuch: there is no such program"),
        (file.to_str().unwrap(), 69, "file: not an executable file"),
        ("/", 69, "there is no such program"),
        ("", 64, "expected the name of a participant"),
        ("/bin/sh -c 'x", 64, "a quotation has no end"),
    ] {
        let done = take(&scene, &["--dry-run", "--with", with]);
        assert_eq!(done.code(), exit, "{with}: {done:#?}");
        assert!(done.stderr.contains(word), "{with}: {done:#?}");
    }
    let with = by(&format!("touch {}; cat", scene.path("touched").display()));
    take(&scene, &["--dry-run", "--with", &with]).assert_code(0);
    assert!(!scene.path("touched").exists(), "it was started");
    let done = take(&scene, &["--hold", "none", "--with", &with]);
    done.assert_complaint(64, &["--hold"]);
    assert_eq!(scene.manifests().len(), 0);
}

#[test]
fn not_now_is_tried_again() {
    for refusal in [
        "sleep 60",
        "echo failed; read x; echo thawed; read x; echo frozen; read x; echo thawed; cat",
    ] {
        let scene = Scene::new();
        let script = format!(
            "echo ready; read x; if mkdir {} 2>&-; then {refusal}; fi; echo frozen; read x; echo thawed",
            scene.path("once").display()
        );
        let started = std::time::Instant::now();
        let done = take(&scene, &["--attempts", "2", "--drain", "0.2", "--with", &by(&script)]);
        done.assert_code(0);
        assert!(done.stderr.contains("attempt 1 of 2: participant sh: "), "{done:#?}");
        assert_eq!(scene.manifest()["attempts"], 2);
        assert!(started.elapsed() < ms(20_000), "it is waited for with a limit");
    }
}

/// It complains more than anybody reads, and its complaints are known as its own.
#[test]
fn complaints_are_told_and_counted() {
    let scene = Scene::new();
    let line = "printf \"no \\033[1m end\\n\"";
    let flood = format!(
        "(while :; do {line}; done) >&2 & echo ready; read x; echo frozen; read x; echo thawed; kill $!"
    );
    let done = take(
        &scene,
        &[
            "--with",
            &by(&format!("echo one >&2; for x in $(seq 30); do {line} >&2; done; {flood}")),
        ],
    );
    done.assert_code(0);
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert_eq!(lines[0], "stillpoint: sh: one");
    assert_eq!(lines[1], "stillpoint: sh: no \\u{1b}[1m end");
    assert_eq!(lines.len(), 21, "{done:#?}");
    assert!(lines[20].contains("more is not shown"), "{done:#?}");
}

#[test]
fn one_that_finds_out_when_it_thaws_that_it_was_not_still_makes_no_certificate() {
    let scene = Scene::new();
    let lost =
        by("echo ready; read x; echo frozen; read x; echo the server has gone away >&2; exit 1");
    let done = take(&scene, &["--with", &lost]);
    assert_eq!(done.code(), 124, "{done:?}");
    assert!(done.stderr.contains("the server has gone away"), "{done:?}");
    assert_eq!(scene.manifest()["certificate"], false, "{done:?}");
}
