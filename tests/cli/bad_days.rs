//! Barriers that are missing, damaged, out of reach or on the wrong file system: one line that
//! says what is wrong, the documented status, nothing changed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::common::command::Place;
use crate::common::{Done, Mounted, NOBODY, STILLPOINT, as_user, is_root, run, until};
use nix::sys::signal::Signal;

/// The verbs that open a barrier, each of which must refuse.
fn verbs(barrier: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["run", "-s", barrier, "echo", "ran"],
        vec!["run", "-x", barrier, "echo", "ran"],
        vec!["retire", barrier],
        vec!["recover", barrier, "--acknowledge"],
        vec!["status", barrier],
    ]
}

fn refused(place: &Place, barrier: &Path, code: i32) {
    let barrier = barrier.to_str().unwrap();
    for arguments in verbs(barrier) {
        let outcome = place.run(&arguments);
        outcome.assert_complaint(code, &[barrier]);
        assert_eq!(outcome.stdout, "", "{arguments:?}");
    }
}

/// A barrier at a path of its own, which a test may spoil.
fn barrier(place: &Place) -> std::path::PathBuf {
    let path = place.path("store.barrier");
    assert_eq!(place.run(["create", path.to_str().unwrap()]).code(), 0);
    path
}

#[test]
fn missing() {
    let place = Place::new();
    refused(&place, &place.path("store.barrier"), 66);
    refused(&place, &place.path("no-folder/store.barrier"), 66);
    place.run(["run", "-s", "mail", "true"]).assert_complaint(66, &["mail.barrier", "create"]);
}

#[test]
fn not_a_regular_file() {
    let place = Place::new();
    let folder = place.path("folder");
    fs::create_dir(&folder).unwrap();
    refused(&place, &folder, 66);
    let fifo = place.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    refused(&place, &fifo, 66);
    refused(&place, Path::new("/dev/null"), 66);
}

#[test]
fn zero_length_truncated_and_enlarged() {
    let place = Place::new();
    let path = barrier(&place);
    let length = fs::metadata(&path).unwrap().len();
    for wrong in [0, 1, 4095, 4096, length / 2, length - 1, length + 1] {
        let copy = place.path(&format!("copy-{wrong}"));
        let mut bytes = fs::read(&path).unwrap();
        bytes.resize(wrong as usize, 0);
        fs::write(&copy, &bytes).unwrap();
        refused(&place, &copy, 66);
        assert_eq!(fs::read(&copy).unwrap(), bytes, "left as it was");
    }
}

#[test]
fn random_bytes() {
    let place = Place::new();
    let path = barrier(&place);
    let length = fs::metadata(&path).unwrap().len() as usize;
    for seed in 1..=3_u64 {
        let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            word as u8
        })
        .take(length)
        .collect();
        let noise = place.path(&format!("noise-{seed}"));
        fs::write(&noise, &bytes).unwrap();
        refused(&place, &noise, 66);
        // Told to create it, nobody overwrites what is no barrier.
        let created = place.run(["run", "-s", "--create", noise.to_str().unwrap(), "true"]);
        created.assert_complaint(66, &["noise"]);
        assert_eq!(fs::read(&noise).unwrap(), bytes);
        // What has the size of a barrier and is none was overwritten: `create` makes it anew, with
        // a mark. What has another size never was one.
        let again = place.run(["create", noise.to_str().unwrap()]);
        again.assert_complaint(0, &["dirty"]);
        fs::write(&noise, &bytes[1..]).unwrap();
        let other = place.run(["create", noise.to_str().unwrap()]);
        other.assert_complaint(66, &["noise"]);
        assert_eq!(fs::read(&noise).unwrap(), bytes[1..]);
    }
}

#[test]
fn of_another_version() {
    let place = Place::new();
    let path = barrier(&place);
    // The layout's major version follows the eight bytes of the magic; then the minor one, and what must be understood.
    for (offset, value) in [(8, 2_u32), (8, 0xffff_ffff), (16, 2), (16, 1 << 31)] {
        let mut bytes = fs::read(&path).unwrap();
        assert_eq!(&bytes[..7], b"STILLPT");
        bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        let copy = place.path("other.barrier");
        fs::write(&copy, &bytes).unwrap();
        refused(&place, &copy, 69);
        assert_eq!(fs::read(&copy).unwrap(), bytes);
    }
}

/// A later version adds what this one need not know, and an older one has not added it yet: who has them open at once
/// goes on, and nobody changes what he does not know.
#[test]
fn of_a_minor_version_beside_it() {
    let place = Place::new();
    let path = barrier(&place);
    let copy = place.path("other.barrier");
    for (minor, compatible) in [(0_u32, 0_u32), (99, 0), (99, 1 << 31)] {
        let mut bytes = fs::read(&path).unwrap();
        bytes[12..16].copy_from_slice(&minor.to_le_bytes());
        bytes[20..24].copy_from_slice(&compatible.to_le_bytes());
        fs::write(&copy, &bytes).unwrap();
        let copy = copy.to_str().unwrap();
        for arguments in [vec!["run", "-s"], vec!["run", "-x"]] {
            let outcome = place.run([&arguments[..], &[copy, "true"]].concat());
            assert_eq!(outcome.code(), 0, "{outcome:?}");
        }
        assert_eq!(place.run(["status", copy]).code(), 0);
        assert_eq!(fs::read(copy).unwrap()[8..24], bytes[8..24]);
    }
}

#[test]
fn a_symbolic_link() {
    let place = Place::new();
    let path = barrier(&place);
    let link = place.path("link.barrier");
    symlink(&path, &link).unwrap();
    for arguments in verbs(link.to_str().unwrap()) {
        let outcome = place.run(&arguments);
        assert!([66, 77].contains(&outcome.code()), "{arguments:?} {outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1);
        assert_eq!(outcome.stdout, "");
    }
    assert!(path.exists());
}

#[test]
fn a_folder_that_everybody_may_write() {
    let place = Place::new();
    let folder = place.path("open");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("store.barrier");
    assert_eq!(place.run(["create", path.to_str().unwrap()]).code(), 0);
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    for arguments in verbs(path.to_str().unwrap()).iter().take(3) {
        place.run(arguments).assert_complaint(77, &[path.to_str().unwrap()]);
    }
    let other = folder.join("other.barrier");
    place.run(["create", other.to_str().unwrap()]).assert_complaint(77, &["other.barrier"]);
    assert!(!other.exists());
}

/// The command as user and group 65534, who has nothing to do with us.
fn as_nobody(place: &Place, arguments: &[&str]) -> Done {
    let mut command = place.program("setpriv");
    command.args(as_user(NOBODY, NOBODY)).arg(STILLPOINT).args(arguments);
    run(command)
}

#[test]
fn no_permission() {
    if !is_root() {
        return;
    }
    let place = Place::with_barrier();
    for arguments in verbs("mail") {
        as_nobody(&place, &arguments).assert_complaint(77, &["mail.barrier"]);
    }
    as_nobody(&place, &["create", "other"]).assert_complaint(77, &[]);
    let group = place.run(["create", "theirs", "--group", "65534"]);
    assert_eq!(group.code(), 0, "{group:?}");
    let member = as_nobody(&place, &["run", "-s", "theirs", "echo", "inside"]);
    assert_eq!((member.code(), member.stdout.as_str()), (0, "inside\n"), "{member:?}");
    let member = as_nobody(&place, &["run", "-x", "theirs", "echo", "inside"]);
    assert_eq!((member.code(), member.stdout.as_str()), (0, "inside\n"), "{member:?}");
}

#[test]
fn read_only() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    assert_eq!(place.run(["create", "mail", "--group", "65534", "--mode", "0640"]).code(), 0);
    for arguments in verbs("mail").iter().take(3) {
        as_nobody(&place, arguments).assert_complaint(77, &["mail.barrier"]);
    }
    assert_eq!(as_nobody(&place, &["status", "mail"]).code(), 0);

    let folder = place.path("ro");
    let mounted = Mounted::new("tmpfs", "size=4m,mode=0755", &folder);
    let path = folder.join("store.barrier");
    let path = path.to_str().unwrap();
    assert_eq!(place.run(["create", path]).code(), 0);
    let mut remount = place.program("mount");
    remount.args(["-o", "remount,ro"]).arg(&folder);
    assert_eq!(run(remount).code(), 0);
    for arguments in verbs(path).iter().take(2) {
        let outcome = place.run(arguments);
        assert!([71, 77].contains(&outcome.code()), "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    }
    let other = folder.join("other.barrier");
    place.run(["create", other.to_str().unwrap()]).assert_complaint(73, &["other.barrier"]);
    drop(mounted);
}

#[test]
fn no_space_while_creating() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let folder = place.path("tiny");
    let _mounted = Mounted::new("tmpfs", "size=64k,mode=0755", &folder);
    let path = folder.join("store.barrier");
    let path = path.to_str().unwrap();
    let state = place.path("store.state");
    let create = ["create", path, "--state", state.to_str().unwrap()];
    place.run(create).assert_complaint(73, &["store.barrier", "space"]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing is left behind");
    assert!(!state.exists(), "nor a state of a barrier that never was");
    place.run(["run", "-s", "--create", path, "true"]).assert_complaint(73, &["store.barrier"]);

    // No space for the state: no barrier that the disk knows nothing about.
    let full = folder.join("full");
    let _ = fs::write(&full, vec![0; 1 << 20]);
    let here = place.path("here.barrier");
    let state = folder.join("here.state");
    let create = ["create", here.to_str().unwrap(), "--state", state.to_str().unwrap()];
    place.run(create).assert_complaint(73, &["here.state", "space"]);
    assert!(!here.exists());
}

#[test]
fn a_failed_creation_leaves_the_old_state() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let path = place.path("store.barrier");
    let state = place.path("store.state");
    let create = ["create", path.to_str().unwrap(), "--state", state.to_str().unwrap()];
    assert_eq!(place.run(create).code(), 0);
    assert_eq!(
        place.run(["retire", path.to_str().unwrap(), "--state", state.to_str().unwrap()]).code(),
        0
    );
    let before = fs::read(&state).unwrap();

    let folder = place.path("tiny");
    let _mounted = Mounted::new("tmpfs", "size=64k,mode=0755", &folder);
    let elsewhere = folder.join("store.barrier");
    let create = ["create", elsewhere.to_str().unwrap(), "--state", state.to_str().unwrap()];
    assert_eq!(place.run(create).code(), 73);
    assert_eq!(fs::read(&state).unwrap(), before);
}

#[test]
fn on_an_overlay() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    // The lower and upper folders must be on a file system that overlay accepts.
    for name in ["lower", "upper", "work"] {
        fs::create_dir(place.path(name)).unwrap();
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        place.path("lower").display(),
        place.path("upper").display(),
        place.path("work").display()
    );
    let lower = place.path("lower/store.barrier");
    assert_eq!(place.run(["create", lower.to_str().unwrap()]).code(), 0);
    let merged = place.path("merged");
    let _mounted = Mounted::new("overlay", &options, &merged);
    for arguments in verbs(merged.join("store.barrier").to_str().unwrap()).iter().take(3) {
        place.run(arguments).assert_complaint(69, &["overlay"]);
    }
    let new = merged.join("new.barrier");
    place.run(["create", new.to_str().unwrap()]).assert_complaint(69, &["overlay"]);
    assert!(!new.exists());
}

#[test]
fn deleted_and_made_anew_under_a_running_writer() {
    let place = Place::new();
    let path = barrier(&place);
    let name = path.to_str().unwrap();
    let mut old = place.start(["run", "-s", name, "sh", "-c", "echo inside; exec sleep 60"]);
    assert_eq!(old.line(), "inside");
    fs::remove_file(&path).unwrap();
    refused(&place, &path, 66);
    assert_eq!(place.run(["create", name]).code(), 0);
    old.signal(Signal::SIGTERM);
    assert_eq!(old.end(), 143);
    until("the new one is quiet", || place.run(["run", "-x", "-n", name, "true"]).code() == 0);
}

#[test]
fn damaged_while_in_use() {
    let place = Place::new();
    let path = barrier(&place);
    let name = path.to_str().unwrap();
    let mut writer = place.start(["run", "-s", name, "sh", "-c", "echo inside; exec sleep 60"]);
    assert_eq!(writer.line(), "inside");
    // The words of the slots only: the header still says what it is.
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    file.write_all_at(&vec![0xa5; (length - 16384) as usize], 16384).unwrap();
    // Bounded, and no crash: granted or not, in time.
    let outcome = place.run(["run", "-x", "-w", "3", name, "true"]);
    assert!([0, 75, 124].contains(&outcome.code()), "{outcome:?}");
    assert!([0].contains(&place.run(["status", name]).code()));
    writer.signal(Signal::SIGTERM);
    assert_eq!(writer.end(), 143);
}

#[test]
fn a_full_standard_output_is_named() {
    let place = Place::with_barrier();
    for words in ["status", "status --json", "completions bash"] {
        let outcome = place.shell(&format!("exec $S {words} > /dev/full"));
        outcome.assert_complaint(71, &["standard output: No space left on device"]);
    }
}
