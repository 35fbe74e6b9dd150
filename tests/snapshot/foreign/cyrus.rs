//! Cyrus IMAP's lock: where it is, who makes it, and what it is worth.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use serde_json::json;

use super::{Cyrus, LAYOUTS};
use crate::common::{is_root, run};

#[test]
fn cyrus_is_at_rest_in_every_layout() {
    for layout in LAYOUTS {
        let cyrus = Cyrus::new(layout);
        let writer = cyrus.writing();
        for round in 0..5 {
            let name = format!("with-{round}");
            run(cyrus.copy(&name, &[]).arg(cyrus.flag())).assert_code(0);
            assert!(!cyrus.is_torn(&name), "{layout:?}: {name}");
        }
        let manifest = &cyrus.scene.manifests()[0];
        let foreign = &manifest["foreign"][0];
        assert_eq!(foreign["kind"], "cyrus");
        assert_eq!(foreign["path"].as_str().map(Path::new), Some(cyrus.lock.as_path()));
        assert!(foreign["waited_ms"].is_number());
        drop(writer);
    }
}

/// The same writer, not waited for: this is what the lock is worth.
#[test]
fn without_the_lock_the_same_writer_is_torn() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let _writer = cyrus.writing();
    let torn = (0..20).filter(|round| {
        let name = format!("without-{round}");
        run(&mut cyrus.copy(&name, &[])).assert_code(0);
        cyrus.is_torn(&name)
    });
    assert!(torn.count() > 0);
}

/// For its user, who is known by his lock folder, else by his configdirectory: in a folder of root's,
/// such as /run, one of root's own would lock Cyrus out.
#[test]
fn a_lock_file_that_is_missing_is_made_as_cyrus_makes_it() {
    if !is_root() {
        return;
    }
    for layout in LAYOUTS {
        let cyrus = Cyrus::new(layout);
        chown(cyrus.scene.path("conf"), Some(1234), Some(1235)).unwrap();
        let above = cyrus.lock.ancestors().nth(2).unwrap().to_owned();
        let expected = match layout.1.contains("/lock/q/") {
            false => (1234, 1235),
            true => {
                fs::create_dir_all(&above).unwrap();
                chown(&above, Some(2345), Some(2346)).unwrap();
                (2345, 2346)
            }
        };
        run(cyrus.copy("x", &[]).arg(cyrus.flag())).assert_code(0);
        let owned = |path: &Path| {
            let found = fs::metadata(path).unwrap();
            ((found.uid(), found.gid()), found.mode() & 0o777)
        };
        assert_eq!(owned(&cyrus.lock), (expected, 0o600), "{layout:?}");
        let folder = cyrus.lock.parent().unwrap();
        assert_eq!(owned(folder), (expected, 0o700), "{layout:?}");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "something was left beside it");
        assert!(!cyrus.is_locked());
    }
}

/// Nothing would be kept out by it, and nothing is made that looks as if.
#[test]
fn a_cyrus_that_knows_no_global_lock_is_refused() {
    let cyrus = Cyrus::new(LAYOUTS[1]);
    cyrus.knows(&["configdirectory:", "lock_debugtime:"]);
    let said = "cyr_info: cyrus-imapd 3.0 knows no global_lock, which came with 3.12";
    for options in [&[][..], &["--dry-run"]] {
        run(cyrus.copy("x", options).arg(cyrus.flag())).assert_refused(69, said);
    }
    assert!(!cyrus.scene.path("conf/lock").exists());
    run(cyrus.copy("x", &["--cyrus-unchecked"]).arg(cyrus.flag())).assert_code(0);
    // Whoever made it: the file alone is no sign.
    assert!(cyrus.lock.exists());
    run(cyrus.copy("y", &[]).arg(cyrus.flag())).assert_refused(69, said);
    run(&mut cyrus.copy("y", &["--cyrus-unchecked"])).assert_code(64);
}

/// An older one that was installed anew and not started again, for instance.
#[test]
fn a_cyrus_that_locks_everything_else_is_refused() {
    for layout in LAYOUTS {
        let cyrus = Cyrus::new(layout);
        let folder = cyrus.lock.parent().unwrap();
        let other = match folder.ends_with("q") || folder.ends_with("W") {
            true => folder.with_file_name("b").join("*U*bob.lock"),
            false => folder.join("b^bob.lock"),
        };
        fs::create_dir_all(other.parent().unwrap()).unwrap();
        fs::write(&other, "").unwrap();
        let done = run(cyrus.copy("x", &[]).arg(cyrus.flag()));
        done.assert_refused(69, "$GLOBAL.lock: is missing beside ");
        assert!(done.stderr.contains("bob.lock"), "{done:?}");
        assert!(!cyrus.lock.exists());
        fs::create_dir_all(folder).unwrap();
        fs::write(&cyrus.lock, "").unwrap();
        run(cyrus.copy("x", &[]).arg(cyrus.flag())).assert_code(0);
    }
}

#[test]
fn a_cyrus_that_cannot_be_asked_has_to_have_locked() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    cyrus.knows(&[]);
    let done = run(cyrus.copy("x", &[]).arg(cyrus.flag()));
    done.assert_refused(69, "Cyrus cannot be asked (");
    assert!(done.stderr.contains("fatal error: no"), "{done:?}");
    assert!(!cyrus.scene.path("conf/lock").exists());
    let _writer = cyrus.writing();
    run(cyrus.copy("x", &[]).arg(cyrus.flag())).assert_code(0);
}

/// A run that made nothing is no reason to touch another Cyrus's folders.
#[test]
fn a_cyrus_that_is_not_there_is_refused() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    fs::remove_dir(cyrus.scene.path("conf")).unwrap();
    run(cyrus.copy("x", &[]).arg(cyrus.flag())).assert_refused(66, "conf: no such folder");
    assert_eq!(cyrus.scene.manifests().len(), 0);
    assert!(!cyrus.scene.path("conf").exists());
}

#[test]
fn a_dry_run_names_the_lock_and_touches_nothing() {
    let cyrus = Cyrus::new(LAYOUTS[1]);
    let done = run(cyrus.copy("x", &["--dry-run", "--json"]).arg(cyrus.flag()));
    done.assert_code(0);
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let expected = json!([{ "kind": "cyrus", "path": cyrus.lock, "waited_ms": null }]);
    assert_eq!(report["foreign"], expected);
    assert!(!cyrus.lock.parent().unwrap().exists());
}

#[test]
fn cyruss_own_tools_are_told() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let script = r#"[ "$CYRUS_HAVELOCK_GLOBAL" = 1 ]"#;
    for (flag, code) in [(Some(cyrus.flag()), 0), (None, 1)] {
        let mut command = cyrus.scene.stillpoint();
        command.args(["snapshot", "--min-open", "0"]).args(flag);
        run(command.args(["mail", "--", "sh", "-c", script])).assert_code(code);
    }
}

#[test]
fn a_configuration_that_is_no_use_is_refused_before_the_gate_closes() {
    let cyrus = Cyrus::new(LAYOUTS[0]);
    let file = cyrus.scene.path("imapd.conf");
    let loops = format!("@include: {}\n", file.display());
    for (text, code, said) in [
        ("configdirectory: /c\nglobal_lock: no\n", 69, "global_lock is off"),
        ("hashimapspool: yes\n", 65, "no configdirectory"),
        ("configdirectory: conf\n", 65, "no absolute path"),
        ("configdirectory: /c\nhashimapspool: perhaps\n", 65, "neither yes nor no"),
        ("\u{0}garbage\n", 65, "imapd.conf:1: expected `option: value`"),
        (&loops, 65, "include each other"),
        ("@include: /nowhere/x.conf\n", 66, "/nowhere/x.conf"),
        ("@include: /\n", 66, "/: no regular file"),
        ("configdirectory: /nowhere/c\n", 66, "/nowhere/c: no such folder"),
    ] {
        fs::write(&file, text).unwrap();
        run(cyrus.copy("x", &[]).arg(cyrus.flag())).assert_refused(code, said);
    }
    let other = cyrus.scene.path("other.conf");
    fs::write(&other, format!("configdirectory: {}\n", cyrus.scene.path("conf").display()))
        .unwrap();
    fs::write(&file, format!("@Include: {}\n", other.display())).unwrap();
    run(cyrus.copy("x", &[]).arg(cyrus.flag())).assert_code(0);
    fs::remove_file(&file).unwrap();
    run(cyrus.copy("y", &[]).arg(cyrus.flag())).assert_refused(66, "imapd.conf: no such file");
    for also in ["lockf:/a", "flock:", ""] {
        run(&mut cyrus.copy("y", &["--also", also])).assert_code(64);
    }
    run(&mut cyrus.copy("y", &["--also", "flock:/nowhere/x"])).assert_refused(66, "/nowhere/x");
    assert_eq!(cyrus.scene.generation(), 2, "one snapshot only");
}
