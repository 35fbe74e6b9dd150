//! By what a writer is stilled: as a member, in a share, by a lock, adopted.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use stillpoint::Barrier;

use crate::common::{
    Mounted, NOBODY, Running, as_user, is_root, ms, must, programs, run, start, until,
};
use crate::cover::{how, record, sleeper, take};
use crate::scene::Scene;

#[test]
fn a_member_of_the_barrier_is_covered_and_one_of_another_is_not() {
    let scene = Scene::new();
    let _file = File::create(scene.path("store/file")).unwrap();
    let own = |manifest: &Value| {
        let writers = manifest["writers"].as_array().unwrap();
        let own = writers.iter().find(|writer| writer["pid"] == std::process::id());
        let own = own.unwrap_or_else(|| panic!("{manifest:#}"));
        (
            own["how"].as_str().unwrap().to_owned(),
            own["why"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let barrier = Barrier::open(scene.barrier_file("mail")).unwrap();
    assert_eq!(own(&take(&scene, &[]).1).0, "linked");
    drop(barrier);
    scene.create("other");
    let _other = Barrier::open(scene.barrier_file("other")).unwrap();
    let (how, why) = own(&take(&scene, &[]).1);
    assert_eq!(how, "none");
    assert!(why.contains("linked to another barrier"), "{why}");
}

#[test]
fn a_command_in_a_share_is_covered_until_that_ends() {
    let scene = Scene::new();
    let script = format!(
        "exec 5>{}; echo; read x; setsid sleep 600 & echo",
        scene.path("store/file").display()
    );
    let mut holder = scene.stillpoint();
    holder.args(["run", "-s", "mail", "sh", "-c", &script]).stdin(Stdio::piped());
    let mut child = holder.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    until("it is inside", || {
        scene.status("mail")["writers"].as_array().unwrap().iter().any(|one| one["inside"] == true)
            && scene.path("store/file").exists()
    });
    let taking = std::thread::spawn({
        let mut command = scene.copy(&["--hold", "10", "--patience", "20", "--json"]);
        move || run(&mut command)
    });
    until("the tool waits", || scene.status("mail")["wanted"] == true);
    input.write_all(b"\n").unwrap();
    let done = taking.join().unwrap();
    child.wait().unwrap();
    let manifest: Value = serde_json::from_str(&done.stdout).unwrap();
    let how = |comm: &str| {
        let writers = manifest["writers"].as_array().unwrap();
        let found = writers.iter().find(|writer| writer["comm"] == comm);
        found.map(|writer| writer["how"].as_str().unwrap().to_owned())
    };
    assert_eq!(how("sh").as_deref(), Some("linked"), "{manifest:#}");
    // Left behind, outside of any share.
    assert_eq!(how("sleep").as_deref(), Some("none"), "{manifest:#}");
    let left = manifest["writers"].as_array().unwrap().iter().find(|one| one["comm"] == "sleep");
    let left = left.unwrap()["pid"].as_i64().unwrap() as i32;
    let _ =
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(left), nix::sys::signal::Signal::SIGKILL);
}

#[test]
fn who_has_the_lock_file_open_is_covered_by_that_lock() {
    let scene = Scene::new();
    let lock = scene.path("lock");
    let opened = File::create(&lock).unwrap();
    let mut command = sleeper();
    command.stdin(OwnedFd::from(opened));
    let file = File::create(scene.path("store/file")).unwrap();
    let it = start(command.stdout(OwnedFd::from(file)));
    let also = format!("flock:{}", lock.display());
    assert_eq!(how(&take(&scene, &["--also", &also]).1, &it).as_deref(), Some("foreign"));
    assert_eq!(how(&take(&scene, &[]).1, &it).as_deref(), Some("none"));
}

/// It is in the barrier, and yet it holds what it holds: nobody has asked for that.
#[test]
fn an_adopted_program_counts_only_where_its_locks_are_asked_for() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    // Where nobody else has locks.
    let _mounted = Mounted::new("tmpfs", "size=4m", &scene.path("store"));
    let library = programs().join("libstillpoint_adopt.so");
    let settings = scene.path("adopt.conf");
    let barrier = scene.barrier_file("mail");
    let configure = |protect: &Path| {
        let text = format!("barrier {}\nprotect {}\n", barrier.display(), protect.display());
        fs::write(&settings, text).unwrap();
    };
    configure(&scene.path("store"));
    let adopted = |narrowed: Option<&str>| {
        let mut command = sleeper();
        command.env("LD_PRELOAD", &library).env("STILLPOINT_ADOPT_CONFIG", &settings);
        narrowed.map(|narrowed| command.env("STILLPOINT_ADOPT", narrowed));
        let it =
            start(command.stdout(OwnedFd::from(File::create(scene.path("store/file")).unwrap())));
        until("the library is there", || {
            let maps = fs::read_to_string(format!("/proc/{}/maps", it.pid)).unwrap_or_default();
            maps.contains("libstillpoint_adopt")
                && fs::read_link(format!("/proc/{}/exe", it.pid))
                    .is_ok_and(|exe| exe.ends_with("sleep"))
        });
        it
    };
    let why = |it: &Running| {
        let found = record(&take(&scene, &[]).1, it).unwrap();
        assert_eq!(found["how"], "none", "{found:#}");
        found["why"].as_str().unwrap_or_default().to_owned()
    };
    let joined = || {
        let it = adopted(None);
        let maps = || fs::read_to_string(format!("/proc/{}/maps", it.pid)).unwrap_or_default();
        until("it has joined", || maps().contains("mail.barrier"));
        it
    };
    let it = joined();
    let found = why(&it);
    assert!(found.contains("--adopted") && found.contains("was not given"), "{found}");
    let store = scene.path("store");
    let asked = take(&scene, &["--adopted", store.to_str().unwrap()]).1;
    assert_eq!(how(&asked, &it).as_deref(), Some("adopted"), "{asked:#}");
    // What it has read no longer stands there, and nobody knows what it was.
    std::thread::sleep(ms(100));
    configure(&store);
    assert!(why(&it).contains("changed since it was started"));
    configure(Path::new("/proc"));
    assert!(why(&joined()).contains("settings do not protect"));
    assert!(why(&adopted(Some("off"))).contains("STILLPOINT_ADOPT=off"));
    fs::write(&settings, "barrier none-such\nprotect /\n").unwrap();
    assert!(why(&adopted(None)).contains("joined no barrier"));
}

/// Whoever may not become another user joins when it first asks for a lock.
#[test]
fn who_has_not_joined_yet_counts_if_it_can() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let _mounted = Mounted::new("tmpfs", "size=4m,mode=777", &scene.path("store"));
    let library = scene.path("bin/libstillpoint_adopt.so");
    fs::copy(programs().join("libstillpoint_adopt.so"), &library).unwrap();
    let (barrier, settings) = (scene.barrier_file("mail"), scene.path("adopt.conf"));
    let text =
        format!("barrier {}\nprotect {}\n", barrier.display(), scene.path("store").display());
    fs::write(&settings, text).unwrap();
    must(Command::new("chmod").args(["-R", "a+rX"]).arg(scene.path("")).arg(scene.barriers()));
    // Only for the program: setpriv is root.
    let mut env = vec![format!("LD_PRELOAD={}", library.display())];
    env.push(format!("STILLPOINT_ADOPT_CONFIG={}", settings.display()));
    let mut command = Command::new("setpriv");
    command.args(as_user(NOBODY, NOBODY)).arg("env").args(&env).args(["sleep", "600"]);
    let file = File::create(scene.path("store/file")).unwrap();
    let it = start(command.stdin(Stdio::null()).stdout(OwnedFd::from(file)));
    until("it sleeps with the library", || {
        let maps = fs::read_to_string(format!("/proc/{}/maps", it.pid)).unwrap_or_default();
        maps.contains("libstillpoint_adopt") && maps.contains("bin/sleep")
    });
    let store = scene.path("store");
    let how = || {
        let asked = take(&scene, &["--adopted", store.to_str().unwrap()]).1;
        how(&asked, &it).unwrap()
    };
    assert_eq!(how(), "none");
    fs::set_permissions(&barrier, PermissionsExt::from_mode(0o666)).unwrap();
    assert_eq!(how(), "adopted");
}
