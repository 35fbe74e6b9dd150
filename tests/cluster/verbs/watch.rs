//! `status --watch`: what a person sees, and what a program reads.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::site::{Host, engine, group, until_complete};
use crate::common::process::{Running, run, start};
use crate::skip::has;

fn watching(host: &Host, words: &[&str]) -> Running {
    let words = [&["status", "--watch"], words].concat();
    start(host.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

/// Lines until one is as it should be.
fn until_shown(watch: &mut Running, is_so: impl Fn(&Value) -> bool) -> Value {
    loop {
        let shown: Value = serde_json::from_str(&watch.line()).unwrap();
        if is_so(&shown) {
            return shown;
        }
    }
}

#[test]
fn what_changes_is_shown_also_after_a_time_without_the_store() {
    let Some(mut servers) = engine() else { return };
    let hosts = group(&servers, &["a", "b"]);
    let mut watch = watching(&hosts[0], &["--json"]);
    let epochs = |shown: &Value| shown["epochs"].as_array().unwrap().len();
    until_shown(&mut watch, |shown| epochs(shown) == 0);
    let name = hosts[1].must(&["snapshot"]);
    let shown =
        until_shown(&mut watch, |shown| shown["epochs"][0]["verdict"]["outcome"] == "complete");
    assert_eq!(name, format!("mail-{}\n", shown["epochs"][0]["id"]));
    servers.kill(0);
    std::thread::sleep(Duration::from_secs(7));
    servers.start_member(0);
    servers.wait_for_leader();
    until_complete(&hosts[1]);
    until_shown(&mut watch, |shown| epochs(shown) >= 2);
    watch.signal(Signal::SIGTERM);
    let done = watch.wait();
    assert_eq!(done.signal(), Some(Signal::SIGTERM as i32), "{done:?}");
}

#[test]
fn it_ends_when_nobody_reads_it() {
    let Some(servers) = engine() else { return };
    let hosts = group(&servers, &["a"]);
    for words in [&[][..], &["--json"]] {
        let mut watch = watching(&hosts[0], words);
        watch.line();
        let since = Instant::now();
        watch.close_output();
        while watch.is_running() {
            assert!(since.elapsed() < Duration::from_secs(20), "it writes on");
            hosts[0].run(&["snapshot"]);
        }
        assert_eq!(watch.end(), 0);
    }
}

/// On a terminal: one page, and no line that is longer than the terminal is wide.
#[test]
fn on_a_terminal_it_is_one_page_and_leaves_what_was_there_before() {
    if !has(&["script", "timeout"]) {
        return;
    }
    let Some(servers) = engine() else { return };
    let hosts = group(&servers, &["a", "b"]);
    let inner = hosts[0].command(&["status", "--watch"]);
    let words: Vec<String> = std::iter::once(inner.get_program())
        .chain(inner.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let speak = |term: &str| {
        let line =
            format!("stty cols 60 rows 20; TERM={term} timeout --signal INT 3 {}", words.join(" "));
        let mut command = Command::new("script");
        hosts[0].surround(&mut command);
        run(command.args(["-qec", &line, "/dev/null"])).stdout
    };
    let shown = speak("vt100");
    let (enter, leave) = ("\u{1b}[?1049h", "\u{1b}[?1049l");
    assert!(shown.matches(enter).count() == 1 && shown.trim_end().ends_with(leave), "{shown:?}");
    let pages: Vec<&str> = shown.split("\u{1b}[H").skip(1).collect();
    // Its clock goes on.
    assert!(pages.len() >= 2, "{shown:?}");
    for line in pages[0].split("\u{1b}[K").map(str::trim) {
        assert!(line.chars().count() <= 60 || line.contains('\u{1b}'), "{line:?}");
    }
    assert!(
        pages[0].contains("Ctrl-C ends") && pages[0].contains("no epoch is under way"),
        "{pages:?}"
    );
    let plain = speak("dumb");
    assert!(!plain.contains('\u{1b}') && plain.contains("no epoch is under way"), "{plain:?}");
}
