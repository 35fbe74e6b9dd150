//! `stillpoint adopt enable` and `disable`: units of systemd that are started with the library.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use crate::adopt::Scene;
use crate::common::{has, programs, run};

/// A root of a system with one unit, and the file that is written for it.
fn system(unit: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("usr/lib/systemd/system");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(unit), text).unwrap();
    let file = root.path().join(format!("etc/systemd/system/{unit}.d/stillpoint-adopt.conf"));
    (root, file)
}

#[test]
fn a_unit_is_started_with_the_library_until_that_is_taken_back() {
    let scene = Scene::new();
    let text = "[Unit]\nDescription=x\n[Service]\nExecStart=/bin/sleep 1\nEnvironment=A=b LD_PRELOAD=old.so\n";
    let (root, file) = system("it.service", text);
    let adopt = |verb: &str, words: &[&str]| {
        run(scene.place.command(["adopt", verb, "--root"]).arg(root.path()).args(words))
    };
    let library = programs().join("libstillpoint_adopt.so");
    let said = format!("Environment=\"LD_PRELOAD={}:old.so\"\n", library.display());
    let dry = adopt("enable", &["--dry-run", "it"]);
    dry.assert_code(0);
    assert!(dry.stdout.ends_with(&said) && !file.exists(), "{dry:?}");
    // Twice is as once.
    for _ in 0..2 {
        let done = adopt("enable", &["it"]);
        done.assert_code(0);
        assert!(done.stderr.contains("systemctl restart it.service"), "{done:?}");
        assert!(fs::read_to_string(&file).unwrap().ends_with(&said));
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o644);
    }
    if has(&["systemd-analyze"]) {
        let folder = file.parent().unwrap().parent().unwrap();
        fs::copy(root.path().join("usr/lib/systemd/system/it.service"), folder.join("it.service"))
            .unwrap();
        let verified = run(Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(folder.join("it.service")));
        assert!(!verified.stderr.contains("stillpoint-adopt.conf"), "{verified:?}");
        assert_eq!(verified.code(), 0, "{verified:?}");
        fs::remove_file(folder.join("it.service")).unwrap();
    }
    for _ in 0..2 {
        adopt("disable", &["it"]).assert_code(0);
        assert!(!file.parent().unwrap().exists());
    }
    adopt("enable", &["other"]).assert_complaint(66, &["other.service: there is no such unit"]);
    adopt("enable", &["it.socket"]).assert_complaint(64, &["starts no program"]);
    adopt("enable", &["../it"]).assert_complaint(64, &["no name of a unit"]);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "[Service]\n").unwrap();
    for verb in ["enable", "disable"] {
        adopt(verb, &["it"]).assert_complaint(73, &["somebody else has written it"]);
    }
    fs::remove_file(&file).unwrap();
    adopt("enable", &["it"]).assert_code(0);
    let added = fs::read_to_string(&file).unwrap() + "LimitNOFILE=5\n";
    fs::write(&file, &added).unwrap();
    for verb in ["enable", "disable"] {
        adopt(verb, &["it"]).assert_complaint(73, &["somebody else has written more into it"]);
        assert_eq!(fs::read_to_string(&file).unwrap(), added);
    }
}

/// systemd reads it later.
#[test]
fn a_drop_in_that_takes_the_library_away_is_named() {
    let scene = Scene::new();
    let (root, _) = system("it.service", "[Service]\nEnvironment=LD_PRELOAD=own.so\n");
    let folder = root.path().join("etc/systemd/system/it.service.d");
    fs::create_dir_all(&folder).unwrap();
    for (name, text, is_named) in [
        ("zz.conf", "Environment=LD_PRELOAD=late.so", true),
        ("zz.conf", "Environment=", true),
        ("aa.conf", "UnsetEnvironment=A LD_PRELOAD", true),
        ("zz.conf", "Environment=\"LD_PRELOAD=/x/libstillpoint_adopt.so:late.so\"", false),
        ("zz.conf", "Environment=A=b", false),
        ("aa.conf", "Environment=\nEnvironment=LD_PRELOAD=early.so", false),
    ] {
        fs::write(folder.join(name), format!("[Service]\n{text}\n")).unwrap();
        let done =
            run(scene.place.command(["adopt", "enable", "--root"]).arg(root.path()).arg("it"));
        done.assert_code(0);
        let said = format!("warning: {}: takes LD_PRELOAD away", folder.join(name).display());
        assert_eq!(done.stderr.contains(&said), is_named, "{text}: {done:?}");
        fs::remove_file(folder.join(name)).unwrap();
    }
}

#[test]
fn an_instance_is_of_its_template_and_a_server_is_told_what_else_it_takes() {
    let scene = Scene::new();
    let (root, _) = system("postfix@.service", "[Service]\nProtectSystem=strict\n");
    let settings = root.path().join("etc/stillpoint/adopt.conf");
    fs::create_dir_all(settings.parent().unwrap()).unwrap();
    fs::write(&settings, "barrier mail\nprotect /srv\n").unwrap();
    let adopt = |unit: &str| {
        run(scene.place.command(["adopt", "enable", "--root"]).arg(root.path()).arg(unit))
    };
    let done = adopt("postfix@-");
    done.assert_code(0);
    assert!(done.stderr.contains("postconf -e \"import_environment"), "{done:?}");
    let file = root.path().join("etc/systemd/system/postfix@-.service.d/stillpoint-adopt.conf");
    assert!(fs::read_to_string(file).unwrap().ends_with("\nReadWritePaths=-/run/stillpoint\n"));
}
