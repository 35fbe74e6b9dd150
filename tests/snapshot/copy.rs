//! `--copy`, which works everywhere.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::common::{Image, Mounted, is_root, run};
use crate::scene::Scene;
use crate::writers::{Writers, torn};

#[test]
fn a_copy_under_load_is_whole_and_keeps_what_files_are() {
    let scene = Scene::new();
    let store = scene.path("store");
    fs::write(store.join("secret"), "x").unwrap();
    fs::set_permissions(store.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("secret", store.join("link")).unwrap();
    let writers = Writers::start(&scene.barrier_file("mail"), &store, &store);
    let done = run(&mut scene.copy(&["--hold", "10", "--name", "daily"]));
    drop(writers);
    done.assert_code(0);
    let path = scene.path("snapshots/daily");
    assert_eq!(done.stdout, format!("{}\n", path.display()));
    assert_eq!(torn(&path, &path), [0; 0]);
    assert_eq!(fs::metadata(path.join("secret")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_link(path.join("link")).unwrap().to_str(), Some("secret"));
    assert_eq!(scene.snapshots(), ["daily"]);
}

#[test]
fn too_little_space_is_refused_before_the_gate_closes() {
    let Some(image) = Image::tmpfs(1024) else {
        return;
    };
    let scene = Scene::new();
    fs::write(scene.path("store/large"), vec![1; 4 << 20]).unwrap();
    let before = scene.generation();
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--hold", "10", "--copy"]).arg(scene.path("store"));
    let done = run(command.arg("--to").arg(image.path()));
    done.assert_refused(73, "are needed");
    assert_eq!(scene.generation(), before);
    assert_eq!(scene.manifests().len(), 0);
}

#[test]
fn running_out_of_space_in_the_pause_leaves_nothing() {
    let Some(image) = Image::tmpfs(1024) else {
        return;
    };
    let scene = Scene::new();
    fs::write(scene.path("store/large"), vec![1; 4 << 20]).unwrap();
    // As if the store had grown after the check.
    scene.stand_in("du", "echo 1 store");
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--hold", "10", "--copy"]).arg(scene.path("store"));
    let done = run(command.arg("--to").arg(image.path()));
    done.assert_refused(73, "No space left on device");
    assert_eq!(fs::read_dir(image.path()).unwrap().count(), 0);
    assert_eq!(scene.manifest()["status"], "failed");
    scene.assert_writers_go_on();
}

/// What a terminal shows of a copy that takes its time.
fn slow_copy(words: &str) -> String {
    let scene = Scene::new();
    fs::write(scene.path("store/large"), vec![1; 3 << 20]).unwrap();
    scene.stand_in("cp", "printf %01048576d 0; sleep 1; exec $REAL \"$@\"");
    let words = format!(
        "{words} $STILLPOINT snapshot mail --hold 30 --copy {} --to {}",
        scene.path("store").display(),
        scene.path("snapshots").display()
    );
    let mut script = scene.environment(Command::new("script"));
    let done = run(script.args(["-qec", &words, "/dev/null"]));
    done.assert_code(0);
    done.stdout
}

#[test]
fn on_a_terminal_a_copy_says_how_far_it_is() {
    let said = slow_copy("stty rows 24 cols 80; TERM=vt100");
    let (_, said) = said.split_once("stillpoint: copying: ").expect(&said);
    // What cp has written is what the kernel has counted, and the line ends where the terminal does.
    let line = said.split(['\r', '\n']).next().unwrap();
    assert!(line.starts_with("1.00 MiB of ~3.0"), "{line:?}");
    assert!(line.contains(" MiB, at most 29.") && line.contains(" s more, "), "{line:?}");
    assert!(line.chars().count() + "stillpoint: copying: ".len() <= 80, "{line:?}");

    assert!(!slow_copy("TERM=dumb").contains("copying"));
}

#[test]
fn a_copy_needs_a_hold_limit_and_a_target_outside() {
    let scene = Scene::new();
    run(&mut scene.copy(&[])).assert_refused(64, "--hold");
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--hold", "10", "--copy"]).arg(scene.path(""));
    let done = run(command.arg("--to").arg(scene.path("snapshots")));
    done.assert_refused(73, "would contain itself");
}

/// By whatever path it is named: `cp` would find that only when the writers wait.
#[test]
fn a_target_that_is_mounted_inside_is_refused_before_the_gate_closes() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let (store, snapshots) = (scene.path("store"), scene.path("snapshots"));
    let (inner, deep) = (store.join("inner"), scene.path("snapshots/deep"));
    fs::create_dir(&inner).unwrap();
    fs::create_dir(&deep).unwrap();
    let before = scene.generation();
    let refused = |option: &str, to: &Path, seen: &Path| {
        let mut command = scene.stillpoint();
        command.args(["snapshot", "mail", "--hold", "10", option]).args([
            &store,
            Path::new("--to"),
            to,
        ]);
        let said = format!("is {} too, and lies inside", seen.display());
        run(&mut command).assert_refused(73, &said);
    };
    let folder_of_it = Mounted::bind(&inner, &deep);
    refused("--copy", &deep, &inner);
    refused("--reflink", &deep, &inner);
    drop(folder_of_it);
    let mounted_in_it = Mounted::bind(&snapshots, &inner);
    refused("--copy", &snapshots, &inner);
    refused("--copy", &deep, &inner.join("deep"));
    assert_eq!(scene.generation(), before);
    assert_eq!(scene.manifests().len(), 0);
    // Nobody meets what is covered.
    let covered = Mounted::new("tmpfs", "size=1m", &inner);
    run(&mut scene.copy(&["--hold", "10", "--name", "daily"])).assert_code(0);
    drop((covered, mounted_in_it));
}

#[test]
fn an_existing_target_is_refused() {
    let scene = Scene::new();
    let before = scene.generation();
    fs::create_dir(scene.path("snapshots/daily")).unwrap();
    run(&mut scene.copy(&["--hold", "10", "--name", "daily"])).assert_refused(73, "exists already");
    assert_eq!(scene.generation(), before);
    assert_eq!(scene.snapshots(), ["daily"]);
    assert_eq!(scene.manifests().len(), 0);
}
