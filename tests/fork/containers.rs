//! Containers, which show their processes a boot id of their own: the same kernel is never taken for another
//! boot where anything proves it, and where nothing does, once per container at most. Needs root.

use crate::common::{BOOT_IDS, Container, Image, Participant, Place, STILLPOINT, is_root};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use stillpoint::{Barrier, Status};

/// A barrier in memory and one on a disk, each with its name; none without root.
fn barriers(place: &Place, disk: &Option<Image>) -> Vec<(&'static str, PathBuf)> {
    let Some(disk) = disk else { return Vec::new() };
    let paths = [("tmpfs", place.barrier_path()), ("ext4", disk.path().join("mail.barrier"))];
    paths.iter().for_each(|(_, path)| drop(Barrier::create(path).unwrap()));
    paths.into()
}

fn epoch(path: &Path) -> u32 {
    Status::read(path).unwrap().dirty.epoch
}

fn outside(arguments: &[&str]) -> Output {
    let mut command = std::process::Command::new(STILLPOINT);
    command.args(arguments).output().unwrap()
}

/// By itself: killed, it would be for the first process of all to bury, and the container waits for that.
fn end(mut participant: Participant) {
    participant.say("exit");
    participant.wait();
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    // That a barrier lies on a disk is said each time.
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(complaints.lines().all(|line| line.contains("lies on a disk")), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

/// Whoever has left its pause to a command is no member, and keeps a container's writers out all the same.
#[test]
fn a_pause_outside_keeps_writers_inside_waiting() {
    let (place, disk) = (Place::new(), Image::ext4());
    for (kind, path) in barriers(&place, &disk) {
        let container = Container::start();
        let mut holder = Participant::at(&path);
        holder.expect_like("exclusive hold=none keep=yes", "granted");
        holder.expect("into-process", "left to the process");
        let share = ["run", "-s", "-w", "0.3", path.to_str().unwrap(), "true"];
        let refused = container.run(&share);
        assert_eq!(refused.status.code(), Some(75), "{kind}: {refused:?}");
        let complaint = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(complaint.contains("the gate stayed closed"), "{kind}: {complaint}");
        holder.kill();
        succeeds(&container.run(&share));
        assert_eq!(epoch(&path), 0, "{kind}");
    }
}

#[test]
fn members_on_either_side_prove_the_boot_to_the_other() {
    let (place, disk) = (Place::new(), Image::ext4());
    for (kind, path) in barriers(&place, &disk) {
        let container = Container::start();
        let catalog = place.path(kind);
        let name = path.to_str().unwrap();
        let snapshot = ["snapshot", "--catalog", catalog.to_str().unwrap(), name, "--", "true"];
        let member = Participant::at(&path);
        succeeds(&container.run(&["run", "-s", name, "true"]));
        succeeds(&container.run(&snapshot));
        let inside = Container::start();
        let member_inside = inside.participant(&path);
        drop(member);
        // Nobody but a container has it open now, and another one comes, and the host.
        succeeds(&Container::start().run(&["run", "-x", name, "true"]));
        succeeds(&outside(&snapshot));
        end(member_inside);
        drop(inside);
        succeeds(&outside(&["run", "-s", name, "true"]));
        succeeds(&container.run(&["run", "-s", name, "true"]));
        assert_eq!(epoch(&path), 0, "{kind}");
    }
}

#[test]
fn what_is_frozen_on_one_side_is_thawed_on_the_other() {
    let (place, disk) = (Place::new(), Image::ext4());
    for (kind, path) in barriers(&place, &disk) {
        let container = Container::start();
        let name = path.to_str().unwrap();
        let freeze = ["freeze", "--hold", "30", name];
        let token = succeeds(&outside(&freeze));
        succeeds(&container.run(&["thaw", "--token", &token, name]));
        let token = succeeds(&container.run(&freeze));
        succeeds(&outside(&["thaw", "--token", &token, name]));
        assert_eq!(epoch(&path), 0, "{kind}");
    }
}

/// Where nothing proves the boot, an id that is new costs a mark, once.
#[test]
fn coming_and_going_with_nobody_there() {
    let (place, disk) = (Place::new(), Image::ext4());
    for (kind, path) in barriers(&place, &disk) {
        let containers = [Container::start(), Container::start()];
        let name = path.to_str().unwrap();
        for _ in 0..3 {
            assert!(outside(&["run", "-s", name, "true"]).status.success());
            for container in &containers {
                assert!(container.run(&["run", "-x", name, "true"]).status.success());
            }
        }
        let marks = if kind == "tmpfs" { 0 } else { containers.len() as u32 };
        assert_eq!(epoch(&path), marks, "{kind}");
    }
}

/// The first makes it ready; the others, each with another id, find it so.
#[test]
fn many_that_meet_at_what_another_boot_left_clear_it_once() {
    let Some(disk) = Image::ext4() else { return };
    let path = disk.path().join("mail.barrier");
    let containers = [Container::start(), Container::start(), Container::start()];
    for round in 0..5 {
        drop(Barrier::create(&path).unwrap());
        let file = File::options().write(true).open(&path).unwrap();
        BOOT_IDS.iter().for_each(|at| file.write_all_at(&[7; 16], *at).unwrap());
        let mut all: Vec<Participant> = containers
            .iter()
            .flat_map(|container| [container; 3])
            .map(|container| Participant::start_by(|program| container.program(program), |_| {}))
            .collect();
        all.push(Participant::start());
        let open = format!("open {}", path.display());
        all.iter_mut().for_each(|one| one.say(&open));
        for one in &all {
            let answer = one.hear();
            assert!(answer.starts_with("open "), "{answer}");
        }
        assert_eq!(epoch(&path), 1, "round {round}");
        all.into_iter().for_each(end);
        std::fs::remove_file(&path).unwrap();
    }
}

fn without_proc(disk: &Image) -> Participant {
    let mut confined = Participant::start();
    confined.expect(&format!("chroot {}", disk.path().display()), "confined");
    confined.expect_like("open /mail.barrier", "open");
    confined
}

/// A process without /proc cannot tell and changes nothing; but that it is there proves nothing either.
#[test]
fn one_that_cannot_tell_vouches_for_nobody() {
    let Some(disk) = Image::ext4() else { return };
    let path = disk.path().join("mail.barrier");
    drop(Barrier::create(&path).unwrap());
    let mut confined = without_proc(&disk);
    confined.expect("shared", "inside 1");
    confined.expect("leave", "depth 0");
    assert_eq!(epoch(&path), 0);
    // The host's id is known here: the boot never ended.
    drop(Participant::at(&path));
    assert_eq!(epoch(&path), 0);
    drop(confined);
    let file = File::options().write(true).open(&path).unwrap();
    BOOT_IDS.iter().for_each(|at| file.write_all_at(&[7; 16], *at).unwrap());
    let confined = without_proc(&disk);
    let first = Participant::at(&path);
    assert_eq!(epoch(&path), 1, "what another boot left was overlooked");
    let container = Container::start();
    let second = container.participant(&path);
    assert_eq!(epoch(&path), 1, "the first could tell");
    [first, second, confined].into_iter().for_each(end);
}

/// No harm is done where a script has the file locked; it proves nothing.
#[test]
fn a_script_that_locks_the_file_proves_nothing() {
    if !is_root() {
        return;
    }
    let Some(disk) = Image::ext4() else { return };
    let path = disk.path().join("mail.barrier");
    drop(Barrier::create(&path).unwrap());
    let file = File::options().write(true).open(&path).unwrap();
    BOOT_IDS.iter().for_each(|at| file.write_all_at(&[7; 16], *at).unwrap());
    file.lock_shared().unwrap();
    succeeds(&outside(&["run", "-s", path.to_str().unwrap(), "true"]));
    assert_eq!(epoch(&path), 1);
}
