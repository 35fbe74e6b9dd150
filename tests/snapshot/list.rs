//! `stillpoint list`, and what may lie about in a catalogue.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;

use crate::common::{is_root, run, start, until};
use crate::scene::Scene;

fn listed(scene: &Scene) -> Vec<Value> {
    let done = scene.verb(["list", "--json"]);
    done.assert_code(0);
    serde_json::from_str(&done.stdout).unwrap()
}

/// As far as their provider can tell.
#[test]
fn the_list_shows_how_large_they_are() {
    let scene = Scene::new();
    fs::write(scene.path("store/letter"), vec![b'x'; 100_000]).unwrap();
    fs::create_dir(scene.path("store/folder")).unwrap();
    scene.take("copy");
    scene.snapshot(["mail", "--min-open", "0", "--name", "tool", "--", "true"]).assert_code(0);
    scene.take("old");
    // As it was written before there were sizes.
    scene.edit("old", |manifest| drop(manifest.as_object_mut().unwrap().remove("size")));
    let rows = listed(&scene);
    let [copy, tool, old] = [0, 1, 2].map(|index| &rows[index]["size"]);
    let bytes = copy["bytes"].as_u64().unwrap();
    assert!((100_000..200_000).contains(&bytes), "{copy}");
    assert_eq!((copy["files"].as_u64(), &copy["own_bytes"]), (Some(3), &bytes.into()));
    assert_eq!((tool, old), (&Value::Null, &Value::Null));
    let table = scene.verb(["list", "--wide"]).stdout;
    let column = table.lines().next().unwrap().find("SIZE").unwrap();
    let sizes: Vec<&str> = table.lines().skip(1).map(|line| line[column..].trim_start()).collect();
    assert!(sizes[0].contains(" KiB ") && sizes[1].starts_with('-'), "{table}");

    let page = scene.path("page.html");
    scene.verb(["report".as_ref(), "--html".as_ref(), page.as_os_str()]).assert_code(0);
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains(" KiB in 3 files<"), "{page}");
}

#[test]
fn the_list_shows_what_is_and_what_was() {
    let scene = Scene::new();
    assert_eq!(scene.verb(["list"]).stdout, "");
    assert_eq!(listed(&scene), [Value::Null; 0]);
    let first = scene.take("zz-first");
    scene.take("gone");
    fs::remove_dir_all(scene.path("snapshots/gone")).unwrap();
    assert_ne!(scene.snapshot(["mail", "--name", "bad", "--", "false"]).code(), 0);
    scene.snapshot(["mail", "--name", "of-a-tool", "--", "true"]).assert_code(0);
    scene.take("broken-off");
    scene.edit("broken-off", |manifest| manifest["status"] = "begun".into());

    let shown: Vec<String> = listed(&scene)
        .iter()
        .map(|row| {
            ["name", "status", "clean", "present", "pinned", "under_way"]
                .map(|key| row[key].to_string())
                .join(" ")
        })
        .collect();
    let expected = [
        r#""zz-first" "complete" true true false false"#,
        r#""gone" "complete" true false false false"#,
        r#""bad" "failed" false null false false"#,
        r#""of-a-tool" "complete" true null false false"#,
        r#""broken-off" "begun" true true false false"#,
    ];
    assert_eq!(shown, expected);

    let table = scene.verb(["list"]);
    table.assert_code(0);
    assert_eq!(table.stderr, "");
    let lines: Vec<&str> = table.stdout.lines().collect();
    let said = [
        (0, "NAME"),
        (1, first.to_str().unwrap()),
        (2, "snapshots/gone (gone)"),
        (3, "false ended with status 1"),
        (4, "of-a-tool"),
        (5, "interrupted"),
    ];
    assert_eq!(lines.len(), said.len(), "{}", table.stdout);
    for (line, words) in said {
        assert!(lines[line].contains(words), "{words:?} is not in {:?}", lines[line]);
    }
}

#[test]
fn on_a_terminal_the_list_fits_and_elsewhere_nothing_is_left_out() {
    let scene = Scene::new();
    scene.take("2026-11-29T18-03-15.569Z");
    let reason = "x".repeat(100);
    scene.snapshot([
        "mail",
        "--name",
        "受信箱",
        "--min-open",
        "0",
        "--",
        "sh",
        "-c",
        &format!("exit 3 # {reason}"),
    ]);
    scene.edit("受信箱", |manifest| manifest["reason"] = format!("\x1b[2J{reason}").into());
    let shown = |words: &str| {
        let mut script = scene.environment(std::process::Command::new("script"));
        script.args(["-qec", &format!("stty rows 24 cols 80; {words}"), "/dev/null"]);
        let done = run(script.env("TERM", "xterm").env_remove("NO_COLOR"));
        done.assert_code(0);
        done.stdout
    };
    let text = shown("$STILLPOINT list");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text:?}");
    assert!(lines[1].starts_with("2026-11-29T18-03-15.569Z  \x1b[32mclean\x1b[0m   "), "{text:?}");
    assert!(lines[2].starts_with("受信箱                    \x1b[31mfailed\x1b[0m  "), "{text:?}");
    assert!(lines[2].contains("  \\u{1b}[2Jxx") && lines[2].ends_with('…'), "{text:?}");
    assert!(!shown("NO_COLOR=1 $STILLPOINT list").contains('\x1b'));
    assert!(!shown("TERM=dumb $STILLPOINT list").contains('\x1b'));
    // Where not all fits, whole columns are left out, and no row breaks.
    for width in [60, 40, 20] {
        let text = shown(&format!("stty cols {width}; NO_COLOR=1 $STILLPOINT list"));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{width}: {text}");
        assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {text}");
        assert!(!lines[0].contains("PAUSE"), "{width}: {text}");
        assert!(lines[2].starts_with("受信箱") && lines[2].contains("failed"), "{width}: {text}");
        assert_eq!(lines[2].contains("x…"), width == 60, "{width}: {text}");
        assert!(width < 36 || lines[1].starts_with("2026-11-29T18-03-15.569Z  clean"), "{text}");
    }
    let piped = scene.verb(["list"]).stdout;
    assert_eq!(shown("$STILLPOINT list --wide").replace('\r', "").lines().count(), 3);
    assert!(
        piped.contains(&reason) && piped.contains("  REASON") && !piped.contains('…'),
        "{piped}"
    );

    for (words, names) in [
        (&["--clean"][..], &["2026-11-29T18-03-15.569Z"][..]),
        (&["--last", "1"], &["受信箱"]),
        (&["--last", "1", "--clean"], &["2026-11-29T18-03-15.569Z"]),
        (&["--last", "9"], &["2026-11-29T18-03-15.569Z", "受信箱"]),
    ] {
        let done = scene.verb([&["list", "--json"], words].concat());
        let found: Vec<Value> = serde_json::from_str(&done.stdout).unwrap();
        let found: Vec<&str> = found.iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(found, names, "{words:?}");
    }
    scene.verb(["list", "--last", "0"]).assert_refused(64, "--last");
}

#[test]
fn one_under_way_is_no_interrupted_one() {
    let scene = Scene::new();
    let snapshot =
        start(scene.stillpoint().args(["snapshot", "mail", "--name", "x", "--", "sleep", "600"]));
    until("manifest", || !listed(&scene).is_empty());
    assert_eq!(listed(&scene)[0]["under_way"], true);
    assert!(scene.verb(["list"]).stdout.contains("under way"));
    drop(snapshot);
    assert_eq!(listed(&scene)[0]["under_way"], false);
}

#[test]
fn only_the_barrier_that_was_asked_for() {
    let scene = Scene::new();
    scene.create("news");
    scene.take("of-mail");
    scene.snapshot(["news", "--name", "of-news", "--", "true"]).assert_code(0);
    scene
        .snapshot(["mail", "news", "--min-open", "0", "--name", "of-both", "--", "true"])
        .assert_code(0);
    let names = |barrier: &str| {
        let done = scene.verb(["list", "--json", barrier]);
        let rows: Vec<Value> = serde_json::from_str(&done.stdout).unwrap();
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("mail"), ["of-mail", "of-both"]);
    assert_eq!(names(scene.barrier_file("news").to_str().unwrap()), ["of-news", "of-both"]);
    assert_eq!(scene.latest(&["news", "--provider", "command"]).as_deref(), Some("of-both"));
    assert_eq!(scene.latest(&["other"]), None);
    // A barrier that is no more has snapshots all the same.
    scene.verb(["retire", "news"]).assert_code(0);
    assert_eq!(names("news"), ["of-news", "of-both"]);
    scene.verb(["list", "a\u{1}b"]).assert_refused(64, "control characters");
}

#[test]
fn a_missing_catalogue_is_not_an_empty_one() {
    let scene = Scene::new();
    let nowhere = scene.path("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    for verb in ["list", "latest"] {
        scene.verb([verb, "--catalog", nowhere]).assert_refused(66, "--catalog");
    }
    scene.verb(["prune", "--keep", "1", "--catalog", nowhere]).assert_refused(66, "--catalog");
    scene
        .verb(["use", "--catalog", nowhere, "x", "--", "true"])
        .assert_refused(66, "no such snapshot");
}

/// Every verb that reads the catalogue, and `snapshot`, among things that are no manifests.
#[test]
fn what_is_no_manifest_is_reported_and_nothing_else_happens_to_it() {
    let scene = Scene::new();
    scene.take("good");
    let catalog = scene.path("catalog");
    let whole = fs::read_to_string(catalog.join("good.json")).unwrap();
    fs::write(catalog.join("cut.json"), &whole[..whole.len() / 2]).unwrap();
    fs::write(catalog.join("copy.json"), &whole).unwrap();
    fs::write(catalog.join("zeros.json"), [0; 512]).unwrap();
    fs::write(catalog.join("later.json"), r#"{"schema":99}"#).unwrap();
    fs::File::create(catalog.join("huge.json")).unwrap().set_len(1 << 40).unwrap();
    mkfifo(&catalog.join("pipe.json"), Mode::S_IRWXU).unwrap();
    mkfifo(&catalog.join(".pipe.json.new"), Mode::S_IRWXU).unwrap();
    let _listener = UnixListener::bind(catalog.join("socket.json")).unwrap();
    fs::create_dir(catalog.join("folder.json")).unwrap();
    symlink(catalog.join("good.json"), catalog.join("link.json")).unwrap();
    symlink("/dev/zero", catalog.join("device.json")).unwrap();
    let before = crate::common::names(&catalog);

    let done = scene.verb(["list"]);
    done.assert_code(65);
    assert_eq!(done.stdout.lines().count(), 2, "{done:#?}");
    let damaged =
        ["copy", "cut", "device", "folder", "huge", "later", "link", "pipe", "socket", "zeros"];
    let complaints: Vec<&str> = done.stderr.lines().collect();
    assert_eq!(complaints.len(), damaged.len(), "{complaints:#?}");
    for (complaint, name) in complaints.iter().zip(damaged) {
        assert!(complaint.contains(&format!("{name}.json: ")), "{name}: {complaint}");
    }

    assert_eq!(scene.latest(&[]).as_deref(), Some("good"));
    scene.verb(["use", "--latest", "--", "true"]).assert_code(0);
    for name in damaged {
        let done = scene.verb(["use", name, "--", "true"]);
        assert!(matches!(done.code(), 65 | 66), "{name}: {done:?}");
    }
    scene.take("later-one");
    assert_ne!(run(&mut scene.copy(&["--hold", "10", "--name", "pipe"])).code(), 0);
    assert_ne!(run(&mut scene.copy(&["--hold", "10", "--name", "cut"])).code(), 0);
    scene.verb(["prune", "--keep", "1"]).assert_code(65);
    assert_eq!(scene.latest(&[]).as_deref(), Some("later-one"));
    let mut expected: Vec<String> =
        before.into_iter().map(|name| name.replace("good.json", "later-one.json")).collect();
    expected.sort();
    assert_eq!(crate::common::names(&catalog), expected);
}

#[test]
fn whoever_may_read_the_catalogue_may_list_and_use_it() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    fs::write(scene.path("store/letter"), "text").unwrap();
    scene.take("x");
    let place = scene.path("");
    for folder in [
        place.as_path(),
        &scene.path("store"),
        &scene.path("snapshots"),
        &scene.path("catalog"),
        &scene.path("snapshots/x"),
    ] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let nobody = |words: &[&str]| run(scene.as_nobody(words));
    nobody(&["list"]).assert_code(0);
    assert_eq!(nobody(&["latest"]).stdout, format!("{}\n", scene.path("snapshots/x").display()));
    let read = r#"cat "$STILLPOINT_SNAPSHOT_PATH/letter""#;
    let done = nobody(&["use", "x", "--", "sh", "-c", read]);
    done.assert_code(0);
    assert_eq!(done.stdout, "text");
    scene.take("y");
    nobody(&["prune", "--keep", "1"]).assert_code(77);
    assert_eq!(scene.snapshots(), ["x", "y"]);
    assert_eq!(scene.manifests().len(), 2);

    fs::set_permissions(scene.path("catalog"), fs::Permissions::from_mode(0o700)).unwrap();
    for words in [&["list"][..], &["latest"], &["use", "x", "--", "true"]] {
        nobody(words).assert_code(77);
    }
    // Data that may not be looked at is not taken for gone.
    fs::set_permissions(scene.path("catalog"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(scene.path("snapshots"), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(nobody(&["latest"]).stdout.ends_with("snapshots/y\n"));
}
