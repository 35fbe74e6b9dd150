//! A pause that stands still itself: the barrier's own file system is frozen, or the whole machine is
//! suspended. Nobody comes in meanwhile, and still no such pause is certified beyond its limits.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::unistd::Pid;

use crate::common::{Done, Image, must, run, start, state, until};
use crate::scene::Scene;

/// An ext4 with a barrier on it, thawed at the end whatever happens.
struct Disk {
    scene: Scene,
    image: Image,
}

impl Disk {
    fn new() -> Option<Disk> {
        let disk = Disk { scene: Scene::new(), image: Image::ext4()? };
        let created = run(disk.scene.stillpoint().arg("create").arg(disk.barrier()));
        created.assert_code(0);
        assert!(created.stderr.contains("x.barrier: lies on a disk"), "{created:?}");
        Some(disk)
    }

    fn barrier(&self) -> PathBuf {
        self.image.path().join("x.barrier")
    }

    fn verb(&self, words: &[&str]) -> Command {
        let mut command = self.scene.stillpoint();
        command.args(words).arg(self.barrier());
        command
    }

    fn freeze(&self) {
        must(Command::new("fsfreeze").arg("-f").arg(self.image.path()));
    }

    fn thaw(&self) {
        must(Command::new("fsfreeze").arg("-u").arg(self.image.path()));
    }

    #[track_caller]
    fn assert_writers_go_on(&self) {
        run(self.verb(&["run", "-s", "-w", "20"]).arg("true")).assert_code(0);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("-u").arg(self.image.path()).output();
    }
}

/// Nothing can be stored to the barrier, the tool's own opening of the gate included, until somebody
/// thaws the file system. By then the limits are over, although the command was done in time.
#[test]
fn a_command_that_freezes_the_barrier_makes_no_snapshot() {
    let Some(disk) = Disk::new() else {
        return;
    };
    let done = disk.scene.path("done");
    let mut snapshot = disk.verb(&["snapshot", "--drain", "0.2", "--hold", "1.5"]);
    snapshot.args(["--", "sh", "-c", r#"fsfreeze -f "$0" && touch "$1""#]);
    let snapshot = start(snapshot.arg(disk.image.path()).arg(&done));
    until("frozen", || done.exists());
    std::thread::sleep(Duration::from_millis(1800));
    disk.thaw();
    let ended = snapshot.wait();
    ended.assert_refused(124, "s of at most 1.700 s");
    assert!(ended.stderr.contains("x.barrier: lies on a disk"), "{ended:?}");
    let manifest = disk.scene.manifest();
    assert_eq!(manifest["status"], "revoked");
    assert!(manifest["clean"] == false && manifest["certificate"] == false, "{manifest:#}");
    disk.assert_writers_go_on();
}

/// A host freezes the file system that the keeper's barrier lies on, and thaws it in time.
#[test]
fn a_keeper_does_not_touch_a_barrier_that_may_be_frozen() {
    let Some(disk) = Disk::new() else {
        return;
    };
    let frozen = run(&mut disk.verb(&["freeze", "--hold", "60"]));
    frozen.assert_code(0);
    assert!(frozen.stderr.contains("x.barrier: lies on a disk"), "{frozen:?}");
    let keeper = keeper(&disk.scene, &disk.barrier());
    disk.freeze();
    for _ in 0..40 {
        std::thread::sleep(Duration::from_millis(10));
        assert_ne!(state(keeper), Some('D'), "only the thaw could end it");
    }
    disk.thaw();
    run(&mut disk.verb(&["thaw"])).assert_code(0);
    disk.assert_writers_go_on();
}

#[test]
fn a_keeper_that_could_not_open_its_gate_in_time_has_no_certificate() {
    let Some(disk) = Disk::new() else {
        return;
    };
    run(&mut disk.verb(&["freeze", "--drain", "0.2", "--hold", "0.5"])).assert_code(0);
    let keeper = keeper(&disk.scene, &disk.barrier());
    disk.freeze();
    until("the limit", || state(keeper) == Some('D'));
    disk.thaw();
    until("the end of the keeper", || state(keeper).is_none_or(|state| state == 'Z'));
    let thawed = run(&mut disk.verb(&["thaw"]));
    thawed.assert_refused(124, "throw away");
    disk.assert_writers_go_on();
}

fn keeper(scene: &Scene, barrier: &Path) -> Pid {
    let holder = scene.status(barrier.to_str().unwrap())["holder"]["pid"].as_i64();
    Pid::from_raw(holder.unwrap().try_into().unwrap())
}

/// By the clock that waits go by no time has passed.
#[test]
fn a_machine_that_was_suspended_in_the_pause_has_no_certificate() {
    let scene = Scene::new();
    let (clock, mark) = (scene.path("suspended.so"), scene.path("suspended"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshot/suspended.c");
    must(
        Command::new("gcc")
            .args(["-D_GNU_SOURCE", "-shared", "-fPIC", "-o"])
            .arg(&clock)
            .arg(source),
    );
    let suspending = |words: &[&str], command: &[&str]| -> Done {
        let mut verb = scene.stillpoint();
        verb.env("LD_PRELOAD", &clock).env("SUSPENDED", &mark).args(words).arg("mail");
        let done = run(verb.args(command));
        let _ = std::fs::remove_file(&mark);
        done
    };
    let suspend = ["--", "touch", mark.to_str().unwrap()];
    for words in [&["snapshot"][..], &["run", "-x"], &["recover"]] {
        suspending(words, &["--", "true"]).assert_code(0);
        suspending(words, &suspend).assert_refused(124, "its limit of");
        scene.assert_writers_go_on();
    }
    // Without a limit there is none to keep.
    suspending(&["run", "-x", "--hold", "none"], &suspend).assert_code(0);

    suspending(&["freeze"], &[]).assert_code(0);
    let keeper = keeper(&scene, Path::new("mail"));
    std::fs::write(&mark, "").unwrap();
    until("the end of the keeper", || state(keeper).is_none_or(|state| state == 'Z'));
    run(scene.stillpoint().args(["thaw", "mail"])).assert_refused(124, "throw away");
    scene.assert_writers_go_on();
}
