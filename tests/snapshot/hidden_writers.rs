//! Writers that are easily overlooked: by whatever way a file is kept open, it is.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::{Image, Mounted, Running, is_root, run, start, subvolume};
use crate::scene::Scene;

/// Each holds `$2/file` of the store so that it can write to it, and says so.
const HOLDERS: &str = r#"
import ctypes, mmap, os, subprocess, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
how, store, elsewhere = sys.argv[1:4]

def stay():
    print('there', flush=True)
    time.sleep(600)

def opened(path, flags=os.O_RDWR | os.O_CREAT):
    fd = os.open(path, flags, 0o666)
    return fd

def mapped(name, access, flags=os.O_RDWR | os.O_CREAT):
    fd = opened(store + '/' + name, flags)
    if flags & os.O_CREAT:
        os.ftruncate(fd, 4096)
    assert libc.mmap(None, 4096, access, mmap.MAP_SHARED, fd, 0) != ctypes.c_void_p(-1).value
    os.close(fd)
    stay()

def own_table():
    def thread():
        assert libc.unshare(0x400) == 0
        opened(store + '/file')
        stay()
    threading.Thread(target=thread, daemon=True).start()
    time.sleep(600)

def overlay():
    for name in 'upper', 'work', 'lower', 'merged':
        os.makedirs((store if name in ('upper', 'work') else elsewhere) + '/' + name, exist_ok=True)
    assert libc.unshare(0x20000) == 0
    subprocess.check_call(['mount', '--make-rprivate', '/'])
    options = f'lowerdir={elsewhere}/lower,upperdir={store}/upper,workdir={store}/work'
    subprocess.check_call(['mount', '-t', 'overlay', 'o', '-o', options, elsewhere + '/merged'])
    fd = opened(elsewhere + '/merged/file')
    if how == 'overlay_mapped':
        os.ftruncate(fd, 4096)
        libc.mmap(None, 4096, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)
        os.close(fd)
    stay()

def detached():
    os.makedirs(elsewhere + '/bound', exist_ok=True)
    subprocess.check_call(['mount', '--bind', store, elsewhere + '/bound'])
    opened(elsewhere + '/bound/file')
    subprocess.check_call(['umount', '-l', elsewhere + '/bound'])
    stay()

def linked_elsewhere():
    open(store + '/file', 'w').close()
    os.link(store + '/file', elsewhere + '/other')
    opened(elsewhere + '/other')
    stay()

def delivered():
    opened(elsewhere + '/new')
    os.link(elsewhere + '/new', store + '/file')
    os.unlink(elsewhere + '/new')
    stay()

def nameless():
    fd = opened(elsewhere, os.O_TMPFILE | os.O_RDWR)
    name = f'/proc/self/fd/{fd}'.encode()
    assert libc.linkat(-100, name, -100, (store + '/file').encode(), 0x400) == 0
    stay()

def chrooted():
    opened(store + '/file')
    assert libc.unshare(0x20000) == 0
    os.chroot('/proc')
    stay()

kinds = dict(own_table=own_table, overlay=overlay, overlay_mapped=overlay, detached=detached,
    linked_elsewhere=linked_elsewhere, delivered=delivered, nameless=nameless, chrooted=chrooted,
    guarded=lambda: mapped('file', mmap.PROT_READ), none=lambda: mapped('file', 0),
    named_deleted=lambda: mapped('file (deleted)', mmap.PROT_READ | mmap.PROT_WRITE),
    reads=lambda: mapped('there', mmap.PROT_READ, os.O_RDONLY))
kinds[how]()
"#;

fn holder(how: &str, store: &Path, elsewhere: &Path) -> Running {
    let mut python = Command::new("python3");
    python.args(["-c", HOLDERS, how]).arg(store).arg(elsewhere);
    let mut it = start(python.stdout(Stdio::piped()));
    assert_eq!(it.line(), "there", "{how}");
    it
}

fn record(manifest: &Value, it: &Running) -> Option<Value> {
    let writers = manifest["writers"].as_array().unwrap();
    writers.iter().find(|writer| writer["pid"] == it.pid.as_raw()).cloned()
}

fn taken(scene: &Scene, store: &Path, to: &Path, provider: &str) -> Value {
    let mut command = scene.stillpoint();
    command.args(["snapshot", "mail", "--json", "--hold", "10", "--min-open", "0", provider]);
    let done = run(command.arg(store).arg("--to").arg(to));
    done.assert_code(0);
    serde_json::from_str(&done.stdout).unwrap()
}

/// On ext4, as far as the machine has that; else on whatever there is.
#[test]
fn who_can_write_there_is_found_however_it_has_the_file() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let (store, elsewhere) = (scene.path("store"), scene.path("elsewhere"));
    fs::create_dir(&elsewhere).unwrap();
    fs::write(store.join("there"), [0; 4096]).unwrap();
    let _mounted = Mounted::new("tmpfs", "size=9m", &elsewhere.join(""));
    let beside = scene.path("beside");
    fs::create_dir(&beside).unwrap();
    for (how, elsewhere) in [
        ("own_table", &elsewhere),
        ("overlay", &elsewhere),
        ("overlay_mapped", &elsewhere),
        ("guarded", &elsewhere),
        ("none", &elsewhere),
        ("named_deleted", &elsewhere),
        ("linked_elsewhere", &beside),
        ("delivered", &beside),
        ("nameless", &beside),
        ("chrooted", &beside),
    ] {
        let it = holder(how, &store, elsewhere);
        let manifest = taken(&scene, &store, &scene.path("snapshots"), "--copy");
        let found = record(&manifest, &it);
        assert_eq!(found.as_ref().map(|found| &found["how"]), Some(&"none".into()), "{how}");
        if how == "linked_elsewhere" {
            let why = found.unwrap()["why"].as_str().unwrap().to_owned();
            assert!(why.contains("/other has another name"), "{why}");
        }
        drop(it);
        for name in ["file", "file (deleted)"] {
            let _ = fs::remove_file(store.join(name));
        }
        for name in ["upper", "work"] {
            let _ = fs::remove_dir_all(store.join(name));
        }
    }
    let it = holder("reads", &store, &beside);
    assert_eq!(record(&taken(&scene, &store, &scene.path("snapshots"), "--copy"), &it), None);
}

/// Nobody sees that mount any more, so nobody knows where the file lies.
#[test]
fn what_lies_on_a_mount_that_nobody_sees_is_not_called_covered() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let (store, elsewhere) = (scene.path("store"), scene.path("elsewhere"));
    fs::create_dir(&elsewhere).unwrap();
    let it = holder("detached", &store, &elsewhere);
    let manifest = taken(&scene, &store, &scene.path("snapshots"), "--copy");
    assert_ne!(manifest["covered"], true);
    let unseen = manifest["unseen"].as_str().unwrap();
    assert!(unseen.contains("umount -l") && unseen.contains(&format!("[{}]", it.pid)), "{unseen}");
}

/// The output of what runs in a container, in a file of its host: that its mount is not seen inside says little as long as
/// it is on a file system that is not read.
#[test]
fn the_output_of_a_container_keeps_it_from_being_covered_only_where_it_may_lie_in_the_sources() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let outside = scene.path("outside");
    let _mounted = Mounted::new("tmpfs", "size=1m", &outside);
    let inside = "\"$STILLPOINT\" snapshot mail --require-covered --min-open 0 --hold 10 --copy store --to snapshots; exit $?";
    let take = |output: &std::path::Path| {
        let script = "exec unshare --mount --pid --fork --mount-proc sh -c \"$1\" sh >\"$2\"";
        let mut shell = scene.environment(Command::new("sh"));
        shell.args(["-c", script, "sh", inside]).arg(output);
        run(shell.current_dir(scene.path("")))
    };
    let done = take(&outside.join("output"));
    done.assert_code(0);
    assert_eq!(scene.manifests()[0]["covered"], true, "{done:?}");
    let done = take(&scene.path("output"));
    assert_eq!(done.code(), 65, "{done:?}");
    let said = [
        "on a mount that nobody sees here",
        "of the host of this container",
        "start it with its output elsewhere",
    ];
    assert!(said.iter().all(|said| done.stderr.contains(said)), "{done:?}");
}

/// Names of one subvolume cannot be of another one's files.
#[test]
fn a_file_of_another_subvolume_has_no_name_in_this_one() {
    let Some(image) = Image::btrfs() else {
        return;
    };
    let scene = Scene::new();
    let [store, other, to] = ["store", "other", "to"].map(|name| image.path().join(name));
    [&store, &other].into_iter().for_each(|path| subvolume(path));
    fs::create_dir(&to).unwrap();
    fs::create_dir(other.join("deep")).unwrap();
    File::create(other.join("file")).unwrap();
    fs::hard_link(other.join("file"), other.join("deep/file")).unwrap();
    let elsewhere = File::options().write(true).open(other.join("file")).unwrap();
    let mut command = Command::new("sleep");
    let it = start(command.arg("600").stdin(Stdio::null()).stdout(OwnedFd::from(elsewhere)));
    let own = holder("overlay", &store, &scene.path("store"));
    let manifest = taken(&scene, &store, &to, "--btrfs");
    assert_eq!(record(&manifest, &it), None);
    assert!(record(&manifest, &own).is_some(), "{manifest:#}");
}
