//! Which locks are in the way of a pause, and how they are named.

use super::disk::Disk;
use crate::common::{Container, Image, STILLPOINT, must, run, subvolume};
use crate::harness::Played;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::process::Command;

#[test]
fn who_holds_a_write_lock_is_named_with_its_file() {
    let Some(disk) = Disk::new() else { return };
    disk.is_granted(&[]);
    for (how, kind) in
        [("classic", "POSIX"), ("flock", "FLOCK"), ("description", "OFDLCK"), ("left", "FLOCK")]
    {
        let file = disk.file("quota.db");
        let mut holder = disk.holder(how, &file);
        let named = format!("{kind} WRITE lock of holder[{}] on {}", holder.pid(), file.display());
        let done = disk.ask(&[]);
        done.assert_complaint(75, &["not quiet after", "busy: ", &named]);
        // Who is found at once leaves time to ask often enough.
        assert!(
            done.stderr.contains("--adopted-ignore leaves out") || how != "classic",
            "{done:?}"
        );
        holder.go_on();
        holder.succeeds();
        disk.is_granted(&[]);
    }
}

#[test]
fn what_is_no_write_lock_there_is_not_in_the_way() {
    let Some(disk) = Disk::new() else { return };
    for how in ["read", "shared", "lease", "waits", "none"] {
        let mut holder = disk.holder(how, &disk.file("file"));
        disk.is_granted(&[]);
        holder.go_on();
        holder.succeeds();
    }
    for how in ["classic", "flock", "description"] {
        let _holder = disk.holder(how, &disk.elsewhere("file"));
        disk.is_granted(&[]);
    }
}

#[test]
fn locks_of_the_callers_are_not_in_the_way() {
    let Some(disk) = Disk::new() else { return };
    let mut command = Command::new("flock");
    let mut asking = disk.asking(&[]);
    command.arg(disk.file("job.lock")).arg(STILLPOINT).args(asking.get_args());
    for (name, value) in asking.get_envs() {
        value.map(|value| command.env(name, value));
    }
    run(&mut command).assert_code(0);
    let _other = disk.holder("classic", &disk.file("job"));
    run(&mut command).assert_complaint(75, &["holder["]);
    run(&mut asking).assert_code(75);
}

#[test]
fn members_of_a_barrier_there_are_not_in_the_way() {
    let Some(disk) = Disk::new() else { return };
    let other = disk.file("other.barrier");
    must(disk.stillpoint(["create", "--state", "none"]).arg(&other));
    let mut command = disk.stillpoint(["run", "-s"]);
    let mut inside = Played::begin(command.arg(&other).args(["sh", "-c", "echo in; read line"]));
    assert_eq!(inside.line(), "in");
    disk.is_granted(&[]);
    inside.go_on();
    inside.succeeds();
}

#[test]
fn what_is_locked_for_life_is_left_out_and_nothing_else() {
    let Some(disk) = Disk::new() else { return };
    let (pids, one) = (disk.file("pid"), disk.file("one"));
    fs::create_dir(&pids).unwrap();
    let [pids, one] = [&pids, &one].map(|path| path.to_str().unwrap());
    for how in ["classic", "flock", "description", "left"] {
        let _in_a_folder = disk.holder(how, &disk.file("pid/master"));
        let file = disk.holder(how, &disk.file("one"));
        disk.ask(&["--adopted-ignore", one]).assert_complaint(75, &["/pid/master"]);
        disk.ask(&["--adopted-ignore", pids]).assert_complaint(75, &["/one"]);
        disk.is_granted(&["--adopted-ignore", pids, "--adopted-ignore", one]);
        drop(file);
        disk.is_granted(&["--adopted-ignore", pids]);
    }
    disk.is_granted(&["--adopted-ignore", "/nowhere"]);
}

/// A file that comes while the tool waits.
#[test]
fn what_is_locked_for_life_may_begin_while_the_tool_waits() {
    let Some(disk) = Disk::new() else { return };
    fs::create_dir(disk.file("pid")).unwrap();
    let mut first = disk.holder("classic", &disk.file("file"));
    let mut asking = disk.asking(&["-w", "20", "--adopted-ignore"]);
    let mut words: Vec<_> = asking.get_args().map(ToOwned::to_owned).collect();
    // The options stand before the barrier.
    let at = words.iter().position(|word| word == "--adopted-ignore").unwrap() + 1;
    words.insert(at, disk.file("pid").into());
    asking = disk.stillpoint(words);
    let mut tool = Played::begin(&mut asking);
    assert!(tool.waits());
    let _second = disk.holder("flock", &disk.file("pid/new"));
    first.go_on();
    first.succeeds();
    assert_eq!(tool.line(), "in");
}

/// Device and inode of the kernel's list are the same for a file in each of two subvolumes.
#[test]
fn files_of_two_subvolumes_are_told_apart() {
    let Some(image) = Image::btrfs() else { return };
    let disk = Disk::on(image);
    for name in ["a", "b"] {
        subvolume(&disk.file(name));
        File::create(disk.file(name).join("file")).unwrap();
    }
    let [a, b] = ["a/file", "b/file"].map(|name| disk.file(name));
    let [in_a, in_b] = [&a, &b].map(|path| fs::metadata(path).unwrap());
    assert!(in_a.ino() == in_b.ino() && in_a.dev() != in_b.dev());
    for how in ["classic", "flock", "description", "left"] {
        let ignoring = ["--adopted-ignore", b.to_str().unwrap()];
        let on_b = disk.holder(how, &b);
        disk.ask(&[]).assert_complaint(75, &[&format!("on {}", b.display())]);
        disk.is_granted(&ignoring);
        let on_a = disk.holder(how, &a);
        disk.ask(&ignoring).assert_complaint(75, &[&format!("on {}", a.display())]);
        drop(on_b);
        disk.ask(&ignoring).assert_complaint(75, &[&format!("on {}", a.display())]);
        drop(on_a);
        disk.is_granted(&[]);
    }
}

/// There the kernel's list does not show what is locked by a process that has ended.
#[test]
fn in_a_container_descriptors_are_looked_at() {
    let Some(disk) = Disk::new() else { return };
    let container = Container::start();
    let program = disk.holders_program();
    for how in ["left", "flock", "classic", "description"] {
        let file = disk.file("file");
        let mut holder = Played::begin(container.program(&program).arg(how).arg(&file));
        assert_eq!(holder.line(), "held");
        let asking = disk.asking(&[]);
        let mut command = container.program(asking.get_program());
        disk.surround(command.args(asking.get_args()));
        let named = format!(" on {}", file.display());
        run(&mut command).assert_complaint(75, &["WRITE lock of holder[", &named]);
        holder.go_on();
        holder.succeeds();
        run(&mut command).assert_code(0);
    }
}
