//! `job init` with somebody at the keyboard.

use std::fs;
use std::path::PathBuf;

use crate::common::command::Place;
use crate::signals::Terminal;

/// A folder with a name that is wider than it is long, in letters of several bytes.
const WIDE: &str = "\u{90f5}\u{4fbf} \u{2709} K\u{fc}che's \"mail\"";

fn asked(place: &Place) -> Terminal {
    let jobs = place.path("jobs.d").display().to_string();
    Terminal::start(place, &format!("STILLPOINT_JOBS='{jobs}' \"$S\" job init mail"))
}

fn file(place: &Place) -> PathBuf {
    place.path("jobs.d/mail.toml")
}

#[test]
fn what_cannot_be_meant_is_asked_again() {
    let place = Place::with_barrier();
    let store = place.path(WIDE);
    for folder in [&store, &place.path("snapshots")] {
        fs::create_dir(folder).unwrap();
    }
    let mut terminal = asked(&place);
    // A name that is none, a key that does something else, and what was proposed.
    terminal.type_in("-x\n\u{1b}[D\n\n");
    terminal.until("a name begins with a letter or digit and has no control characters");
    terminal.until("type it again");
    terminal.type_in("nobody\n\n\nnowhere\n");
    terminal.until("job or host, please");
    terminal.until("nowhere: there is no such folder; make it, or name another");
    terminal.type_in(&format!("{}\n\n", store.display()));
    terminal.until("jobs.d/mail.toml");
    assert_eq!(terminal.running.end(), 0);
    let text = fs::read_to_string(file(&place)).unwrap();
    let quoted = |path: &PathBuf| serde_json::Value::from(path.to_str().unwrap()).to_string();
    assert!(text.contains("barriers = [\"mail\"]"), "{text}");
    assert!(text.contains(&format!(" = [{}]\n", quoted(&store))), "{text}");
    assert!(text.contains(&format!("to = {}\n", quoted(&place.path("snapshots")))), "{text}");
    // It is understood as it stands.
    let mut list = place.command(["job", "list", "--json"]);
    let list = crate::common::run(list.env("STILLPOINT_JOBS", place.path("jobs.d")));
    assert_eq!(list.code(), 0, "{list:?}");
}

/// It asks no more than it needs.
#[test]
fn a_host_that_takes_the_snapshot_needs_a_job_that_only_freezes() {
    let place = Place::with_barrier();
    let mut terminal = asked(&place);
    terminal.type_in("\nhost\n");
    terminal.until("JOB='mail' in /etc/stillpoint/hooks.conf, see stillpoint-hooks(7)");
    assert_eq!(terminal.running.end(), 0);
    let by_hand = fs::read_to_string(file(&place)).unwrap();
    assert!(by_hand.contains("barriers = [\"mail\"]") && !by_hand.contains("[snapshot]"));
    let job = |words: &[&str]| {
        let mut command = place.command([&["job"], words].concat());
        crate::common::run(command.env("STILLPOINT_JOBS", place.path("jobs.d")))
    };
    let checked = job(&["check", "mail"]);
    assert_eq!((checked.code(), checked.stdout.as_str()), (0, "mail: could be frozen\n"));

    let options = ["init", "--freeze-only", "--barrier", "mail"];
    let printed = job(&[&options[..], &["--print", "x"]].concat());
    assert_eq!((printed.code(), printed.stdout), (0, by_hand));
    let of_source = job(&[&options[..], &["--source", "/srv/my mail", "--print", "x"]].concat());
    assert!(of_source.stdout.contains("adopted = [\"/srv/my mail\"]"), "{of_source:?}");
    let both = job(&[&options[..], &["--to", "/srv", "x"]].concat());
    assert_eq!(both.code(), 64, "{both:?}");
    let nobody = job(&["init", "--barrier", "mail", "x"]);
    nobody.assert_refused(64, "--freeze-only");
    // What is advised can be typed.
    let made = job(&[&options[..], &["--", "-dash"]].concat());
    assert!(made.stderr.contains("`stillpoint job check -- '-dash'`"), "{made:?}");
    assert_eq!(job(&["check", "--", "-dash"]).code(), 0);
    std::os::unix::fs::symlink("/nowhere", place.path("jobs.d/gone.toml")).unwrap();
    job(&["check", "gone"]).assert_refused(66, "there is no job gone; gone.toml leads nowhere");
}

#[test]
fn who_gives_up_writes_nothing() {
    let place = Place::with_barrier();
    for (keys, code) in [("\u{4}", 64), ("\u{3}", 130)] {
        let mut terminal = asked(&place);
        // Once it has asked: what interrupts takes what was typed before with it.
        terminal.type_in("-x\n");
        terminal.until("has no control characters");
        terminal.type_in(keys);
        assert_eq!(terminal.running.end(), code, "{keys:?}");
        assert!(!file(&place).exists());
    }
}
