//! What removing a snapshot never does: leave the mount on which it began, follow a link, or give up
//! because the tree is deep.
//!
//! What is mounted is live data of somebody's. It is found before anything is removed; where the table of
//! mounts has nothing of it, because it came later, the walk itself stops there.

use std::ffi::CString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};

use crate::common::{
    Done, Image, Mounted, STILLPOINT, is_root, must, names, run, skip, start, strace, subvolume,
    until,
};
use crate::scene::Scene;

/// Somebody's data, and where it is.
struct Live {
    folder: PathBuf,
}

impl Live {
    fn new(scene: &Scene) -> Live {
        let folder = scene.path("live");
        fs::create_dir_all(folder.join("inner")).unwrap();
        fs::write(folder.join("precious"), "text").unwrap();
        fs::write(folder.join("inner/precious"), "text").unwrap();
        fs::set_permissions(folder.join("inner"), fs::Permissions::from_mode(0o500)).unwrap();
        Live { folder }
    }

    #[track_caller]
    fn assert_whole(&self) {
        for file in ["precious", "inner/precious"] {
            let text = fs::read_to_string(self.folder.join(file));
            assert!(text.is_ok_and(|text| text == "text"), "{file} is lost");
        }
        let mode = fs::metadata(self.folder.join("inner")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o500);
    }
}

/// A store with a folder for something to be mounted over.
fn fill(store: &Path) {
    fs::create_dir_all(store.join("home/inner")).unwrap();
    fs::write(store.join("home/inner/letter"), "text").unwrap();
    fs::write(store.join("letter"), "text").unwrap();
}

fn is_whole(snapshot: &Path) -> bool {
    ["letter", "home/inner/letter"].iter().all(|file| snapshot.join(file).exists())
}

/// Three snapshots by one provider; the second is the one with the mount.
struct Taken {
    scene: Scene,
    to: PathBuf,
    _image: Option<Image>,
}

impl Taken {
    fn by(option: &'static str, image: Option<Image>) -> Taken {
        let scene = Scene::new();
        let base = image.as_ref().map_or_else(|| scene.path(""), |image| image.path());
        let (store, to) = (base.join("store"), base.join("snapshots"));
        let _ = fs::create_dir(&to);
        if option == "--btrfs" {
            subvolume(&store);
        }
        fill(&store);
        for name in ["first", "mounted", "newest"] {
            let mut command = scene.stillpoint();
            command.args(["snapshot", "mail", "--min-open", "0", "--hold", "10", "--name", name]);
            run(command.arg(option).arg(&store).arg("--to").arg(&to)).assert_code(0);
        }
        Taken { scene, to, _image: image }
    }

    fn each() -> Vec<Taken> {
        let btrfs = Image::btrfs().map(|image| Taken::by("--btrfs", Some(image)));
        let xfs = Image::xfs().map(|image| Taken::by("--reflink", Some(image)));
        [Some(Taken::by("--copy", None)), xfs, btrfs].into_iter().flatten().collect()
    }

    fn prune(&self) -> Done {
        self.scene.verb(["prune", "--keep", "1"])
    }
}

#[test]
fn what_is_mounted_in_a_snapshot_is_found_before_anything_is_removed() {
    if !is_root() {
        return;
    }
    for taken in Taken::each() {
        let live = Live::new(&taken.scene);
        let snapshot = taken.to.join("mounted");
        let first = taken.to.join("first");
        let places = ["home", "home/inner/letter", ""]
            .map(|part| snapshot.join(part).components().collect());
        for place in places {
            let place: PathBuf = place;
            let source = match place.is_file() {
                true => live.folder.join("precious"),
                false => live.folder.clone(),
            };
            let bound = Mounted::bind(&source, &place);
            let planned = taken.scene.verb(["prune", "--keep", "1", "--dry-run"]);
            let done = taken.prune();
            assert_eq!((planned.code(), done.code()), (71, 71), "{done:#?}");
            let said = format!(
                "mounted: cannot be removed, the next run tries again: nothing of it is removed, \
                 as something is mounted at {}; unmount it",
                place.display()
            );
            assert!(planned.stderr.contains(&said), "{planned:#?}");
            assert!(done.stderr.contains(&said), "{done:#?}");
            live.assert_whole();
            // The others went.
            assert!(!first.exists());
            drop(bound);
            assert!(is_whole(&snapshot), "{place:?}");
            let manifest = &taken.scene.manifests()[0];
            assert_eq!(
                (&manifest["name"], &manifest["status"]),
                (&"mounted".into(), &"complete".into())
            );
            taken.scene.verb(["use", "mounted", "--", "true"]).assert_code(0);
        }
        taken.prune().assert_code(0);
        assert_eq!(names(&taken.to), ["newest"]);
        assert_eq!(taken.scene.manifests().len(), 1);
        live.assert_whole();
    }
}

/// As `prune` marked it, or a run that was killed left it.
#[test]
fn what_is_mounted_in_what_is_left_of_one_is_found_too() {
    if !is_root() {
        return;
    }
    for status in ["pruning", "begun"] {
        for part in ["home", ""] {
            let taken = Taken::by("--copy", None);
            let live = Live::new(&taken.scene);
            let partial = taken.scene.partial("mounted");
            fs::rename(taken.to.join("mounted"), &partial).unwrap();
            taken.scene.edit("mounted", |manifest| manifest["status"] = status.into());
            let place: PathBuf = partial.join(part).components().collect();
            let bound = Mounted::bind(&live.folder, &place);
            let next = |name| {
                taken.scene.snapshot(["mail", "--min-open", "0", "--name", name, "--", "true"])
            };
            let done = next("next");
            done.assert_code(0);
            let said = format!("something is mounted at {}; unmount it", place.display());
            assert!(done.stderr.contains(&said), "{done:#?}");
            live.assert_whole();
            drop(bound);
            assert!(is_whole(&partial));
            next("after").assert_code(0);
            assert!(!partial.exists());
            live.assert_whole();
        }
    }
}

/// It came when the table of mounts had been read.
#[test]
fn the_walk_itself_stops_at_a_mount() {
    if !is_root() || !strace::works() {
        return;
    }
    for without in [None, Some("ENOSYS"), Some("EPERM")] {
        for part in ["home", "home/inner", "home/inner/letter"] {
            let taken = Taken::by("--copy", None);
            let live = Live::new(&taken.scene);
            let partial = taken.scene.partial("mounted");
            let place = partial.join(part);
            fs::rename(taken.to.join("mounted"), &partial).unwrap();
            taken.scene.edit("mounted", |manifest| manifest["status"] = "pruning".into());
            let source = match place.is_file() {
                true => live.folder.join("precious"),
                false => live.folder.clone(),
            };
            let _bound = Mounted::bind(&source, &place);
            taken.scene.stand_in("findmnt", r#"echo '{"filesystems":[]}'"#);
            // An older kernel, and a filter of system calls that does not know the call.
            let mut command = taken.scene.environment(Command::new("strace"));
            command.args(["-e", "trace=openat2", "-o", "/dev/null"]);
            if let Some(errno) = without {
                command.args(["-e", &format!("inject=openat2:error={errno}")]);
            }
            command.arg(STILLPOINT).args(["prune", "--keep", "1"]);
            let done = run(&mut command);
            let said = format!("{}: something is mounted there, and is left", place.display());
            assert!(done.stderr.contains(&said), "{without:?} {done:#?}");
            live.assert_whole();
            assert_eq!(taken.scene.manifests()[1]["status"], "complete");
        }
    }
}

#[test]
fn without_proc_nothing_is_removed() {
    if !is_root() {
        return;
    }
    let taken = Taken::by("--copy", None);
    let mut command = taken.scene.environment(Command::new("unshare"));
    command.args([
        "--mount",
        "sh",
        "-c",
        r#"umount -l /proc && exec "$STILLPOINT" prune --keep 1"#,
    ]);
    let done = run(&mut command);
    done.assert_refused(71, "findmnt");
    assert_eq!(names(&taken.to), ["first", "mounted", "newest"]);
}

#[test]
fn a_subvolume_in_a_copy_is_left() {
    let Some(image) = Image::btrfs() else { return };
    let taken = Taken::by("--reflink", Some(image));
    let inner = taken.to.join("first/home/inner/work");
    let partial = taken.scene.partial("first");
    subvolume(&inner);
    fs::write(inner.join("precious"), "text").unwrap();
    let done = taken.prune();
    assert_eq!(done.code(), 71, "{done:#?}");
    assert!(done.stderr.contains("home/inner/work: is another file system or subvolume"));
    assert!(partial.join("home/inner/work/precious").exists());
    assert_eq!(names(&taken.to), [&taken.scene.partial_name("first"), "newest"]);
    must(Command::new("btrfs").args(["subvolume", "delete"]).arg(partial.join("home/inner/work")));
    taken.prune().assert_code(0);
    assert_eq!(names(&taken.to), ["newest"]);
}

/// In the moment between reading the name of a folder and opening it, and between opening it and going
/// back, somebody puts something else there.
#[test]
fn a_folder_that_is_swapped_meanwhile_leads_nowhere() {
    if !strace::works() {
        return skip("strace cannot delay calls here");
    }
    // The calls are: is there such a call; the snapshot; home; inner; back.
    for (call, swapped) in [(3, "home"), (4, "home/inner"), (5, "home/inner")] {
        let taken = Taken::by("--copy", None);
        let live = Live::new(&taken.scene);
        let log = taken.scene.path("trace");
        let mut command = taken.scene.environment(Command::new("strace"));
        command.args(["-e", "trace=openat2", "-o"]).arg(&log);
        command.args(["-e", &format!("inject=openat2:delay_enter=1000000:when={call}")]);
        command.arg(STILLPOINT).args(["prune", "--keep", "2"]);
        let pruning = start(&mut command);
        until("delayed call", || {
            fs::read_to_string(&log).unwrap_or_default().matches("openat2(").count() == call
        });
        let place = taken.scene.partial("first").join(swapped);
        fs::rename(&place, live.folder.join("moved")).unwrap();
        symlink(&live.folder, &place).unwrap();
        let done = pruning.wait();
        live.assert_whole();
        if call == 5 {
            assert!(done.stderr.contains("home/inner: was moved while"), "{done:#?}");
            assert!(live.folder.join("moved").exists());
            assert_eq!(done.code(), 71, "{done:#?}");
            taken.scene.verb(["prune", "--keep", "2"]).assert_code(0);
        } else {
            assert!(live.folder.join("moved").exists());
            done.assert_code(0);
        }
        assert_eq!(names(&taken.to), ["mounted", "newest"]);
        live.assert_whole();
    }
}

/// Makes folders in each other, so many.
fn dig(place: &Path, depth: usize) {
    let mut at: OwnedFd = fs::File::open(place).unwrap().into();
    let name = CString::new("a-folder-with-a-name").unwrap();
    for _ in 0..depth {
        mkdirat(&at, name.as_c_str(), Mode::S_IRWXU).unwrap();
        at = openat(&at, name.as_c_str(), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).unwrap();
    }
    mkdirat(&at, c"last", Mode::S_IRWXU).unwrap();
}

#[test]
fn depth_takes_neither_descriptors_nor_stack() {
    let taken = Taken::by("--copy", None);
    dig(&taken.to.join("first/home"), 1_500);
    dig(&taken.to.join("mounted/home"), 10_000);
    let mut command = taken.scene.environment(Command::new("sh"));
    let script = r#"ulimit -n 20 && ulimit -s 256 && exec "$STILLPOINT" prune --keep 1"#;
    let done = run(command.args(["-c", script]));
    done.assert_code(0);
    assert_eq!(names(&taken.to), ["newest"]);
    assert_eq!(taken.scene.manifests().len(), 1);
}

/// The snapshot is that of an ordinary user, who has taken from himself what it takes to empty it.
#[test]
fn folders_without_permissions_are_emptied_by_their_owner() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    fill(&scene.path("store"));
    for name in ["first", "newest"] {
        scene.take(name);
    }
    let first = scene.path("snapshots/first");
    let others = scene.path("snapshots/first/home/other");
    fs::create_dir(&others).unwrap();
    let mut prune = scene.as_nobody(["prune", "--keep", "1"]);
    for folder in [scene.barriers().to_owned(), scene.path("")] {
        must(Command::new("chown").args(["-R", "65534:65534"]).arg(folder));
    }
    for (folder, mode) in [
        (first.join("home/inner"), 0),
        (others, 0o400),
        (first.join("home"), 0o500),
        (first, 0o100),
    ] {
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    }
    run(&mut prune).assert_code(0);
    assert_eq!(scene.snapshots(), ["newest"]);
}
