//! The file is removed under its users, or renamed, and made again: they come over by themselves, or
//! nothing is granted beside them. It takes root to see who has a file mapped, and to bring him over.

use crate::common::{GENERATION, Participant, Place, at_once, field, is_root};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use stillpoint::{Barrier, ErrorKind, Kind, Status};

const ONCE: &str = "exclusive patience=0 drain=50 wait=300";

/// Another file at its place.
fn replace(place: &Place) -> Barrier {
    fs::remove_file(place.barrier_path()).unwrap();
    place.barrier()
}

/// A member that has the fast path, and is outside.
fn member(place: &Place) -> Participant {
    let mut member = Participant::at(&place.barrier_path());
    member.expect("shared", "inside 1");
    member.expect("leave", "depth 0");
    member
}

/// The tool has the exclusive side, of the barrier that the writer asks.
fn excludes(tool: &mut Participant, writer: &mut Participant) {
    tool.expect_like(ONCE, "granted");
    writer.expect_like("try-shared", "error WouldBlock");
    tool.expect("release", "released grown=0");
}

#[test]
fn writers_of_every_kind_come_over() {
    if !is_root() {
        return;
    }
    for (enter, inside, leave, outside) in [
        ("shared", "inside 1", "leave", "depth 0"),
        ("owned", "owned 1", "disown", "owned 0"),
        ("command-share watched", "inside", "end-command-share", "ended"),
        ("@before shared", "inside 1", "@before leave", "depth 0"),
        ("@after shared", "inside 1", "@after leave", "depth 0"),
        (">before shared", "inside 1", ">before leave", "depth 0"),
        (">after shared", "inside 1", ">after leave", "depth 0"),
    ] {
        let place = Place::new();
        place.make_barrier();
        let mut writer = member(&place);
        writer.expect("thread before", "thread before");
        writer.expect_like("@before shared", "inside");
        writer.expect_like("@before leave", "depth");
        writer.expect_like("fork before", "forked");
        writer.expect_like(">before shared", "inside");
        writer.expect_like(">before leave", "depth");
        let barrier = replace(&place);
        writer.expect("thread after", "thread after");
        writer.expect_like("fork after", "forked");
        for _ in 0..2 {
            writer.expect(enter, inside);
            let error = barrier.exclusive(&mut at_once(50)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotQuiet, "{enter}: {error}");
            writer.expect(leave, outside);
            barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
        }
        assert_eq!(place.epoch(), 0, "{enter}");
    }
}

#[test]
fn whoever_is_inside_is_waited_for_and_nests_where_he_is() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.make_barrier();
    let mut writer = Participant::at(&place.barrier_path());
    writer.expect("shared", "inside 1");
    let barrier = replace(&place);
    let mut tool = Participant::at(&place.barrier_path());
    for depth in 2..4 {
        writer.expect("shared", &format!("inside {depth}"));
        let answer = tool.expect_like(ONCE, "error Stragglers");
        assert!(answer.contains(&format!("[{}]", writer.pid())), "{answer}");
    }
    // Nobody else is kept waiting for that.
    drop(barrier.try_shared().unwrap());
    ["depth 2", "depth 1", "depth 0"].iter().for_each(|depth| writer.expect("leave", depth));
    excludes(&mut tool, &mut writer);
    assert_eq!(place.status().stragglers, Some(Vec::new()));
}

/// What was lost in the old file is not forgiven in the new one.
#[test]
fn losses_are_carried_over() {
    if !is_root() {
        return;
    }
    for killed_before in [true, false] {
        let place = Place::new();
        place.make_barrier();
        let (_left, mut lost) = (member(&place), member(&place));
        lost.expect("shared", "inside 1");
        if killed_before {
            lost.kill();
        }
        let barrier = replace(&place);
        if !killed_before {
            assert_eq!(place.epoch(), 0);
            lost.kill();
        }
        let pause = barrier.exclusive(&mut at_once(1000)).unwrap();
        assert!(pause.report().dirty_at_grant[0].is_dirty(), "{killed_before}");
        pause.release().unwrap();
        let named = &place.status().lost[0];
        assert_eq!(named.pid, lost.pid());
        assert!(named.place.contains("actor.rs:"), "{named:?}");
        barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
        assert_eq!(place.epoch(), 1, "once");
    }
}

#[test]
fn a_pause_whose_file_goes_has_no_certificate() {
    for made_again in [false, true] {
        let place = Place::new();
        let barrier = place.barrier();
        let mut tool = Participant::at(&place.barrier_path());
        tool.expect_like("exclusive", "granted");
        let again = fs::read(place.barrier_path()).unwrap();
        fs::remove_file(place.barrier_path()).unwrap();
        if made_again {
            fs::write(place.barrier_path(), again).unwrap();
        }
        let answer = tool.expect_like("release", "error Revoked");
        assert!(answer.contains("moved, removed or replaced"), "{answer}");
        drop(barrier);
    }
}

/// The first of them who has to look where the file is tells the others.
#[test]
fn they_notice_by_themselves() {
    for tell in ["thread", "command", "tool"] {
        let place = Place::new();
        place.make_barrier();
        let mut writer = member(&place);
        writer.expect("thread idle", "thread idle");
        writer.expect("@idle shared", "inside 1");
        writer.expect("@idle leave", "depth 0");
        // By a copy, of which nobody else knows that it is one.
        let aside = place.path("aside");
        fs::copy(place.barrier_path(), &aside).unwrap();
        fs::rename(&aside, place.barrier_path()).unwrap();
        match tell {
            "thread" => {
                writer.expect("thread new", "thread new");
                writer.expect("@new shared", "inside 1");
                writer.expect("@new leave", "depth 0");
            }
            "command" => {
                writer.expect("command-share watched", "inside");
                writer.expect("end-command-share", "ended");
            }
            _ => {
                writer.expect_like("exclusive wait=2000", "granted");
                writer.expect("release", "released grown=0");
            }
        }
        for thread in ["", "@idle "] {
            writer.expect(&format!("{thread}shared"), "inside 1");
            assert!(is_inside(&place, writer.pid()), "{tell}");
            writer.expect(&format!("{thread}leave"), "depth 0");
        }
    }
}

/// A process finds out when it asks.
#[test]
fn whoever_asks_is_told() {
    let place = Place::new();
    place.make_barrier();
    let mut writer = member(&place);
    writer.expect("check", "in place");
    fs::rename(place.barrier_path(), place.path("aside")).unwrap();
    writer.expect_like("check", "error Missing");
    // A child, whose first share cannot join, is told what stands in the way.
    writer.expect_like("fork child", "forked");
    writer.expect_like(">child shared", "error Missing");
    fs::copy(place.path("aside"), place.barrier_path()).unwrap();
    writer.expect("check", "in place");
    writer.expect("shared", "inside 1");
    assert!(place.status().writers.iter().any(|one| one.inside && one.pid == writer.pid()));
    writer.expect(">child shared", "inside 1");
    assert!(place.status().writers.iter().any(|one| one.inside && one.pid != writer.pid()));
}

/// Renamed, replaced by another, in a folder that was made again: it is the place that counts.
#[test]
fn however_it_was_lost() {
    if !is_root() {
        return;
    }
    for way in ["renamed", "folder", "folder renamed"] {
        let place = Place::new();
        let folder = place.path("folder");
        fs::create_dir(&folder).unwrap();
        let path = folder.join("mail.barrier");
        drop(Barrier::create(&path).unwrap());
        let mut writer = Participant::at(&path);
        writer.expect("shared", "inside 1");
        match way {
            "renamed" => fs::rename(&path, folder.join("other.barrier")).unwrap(),
            "folder" => fs::remove_dir_all(&folder).unwrap(),
            _ => fs::rename(&folder, place.path("aside")).unwrap(),
        }
        let _ = fs::create_dir(&folder);
        let barrier = Barrier::create(&path).unwrap();
        let error = barrier.exclusive(&mut at_once(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stragglers, "{way}: {error}");
        writer.expect("leave", "depth 0");
        barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
        writer.expect("shared", "inside 1");
        let error = barrier.exclusive(&mut at_once(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotQuiet, "{way}: {error}");
    }
}

/// Found to be alone, moved aside, and put back over another one.
#[test]
fn a_barrier_that_comes_back_knows_who_came_meanwhile() {
    if !is_root() {
        return;
    }
    for folder_too in [false, true] {
        let place = Place::new();
        let (folder, moved) = (place.path("folder"), place.path("moved"));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("mail.barrier");
        let barrier = Barrier::create(&path).unwrap();
        // So long that the folder's last change is not taken for one that may yet come.
        std::thread::sleep(Duration::from_millis(150));
        barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
        let aside = if folder_too { moved.join("mail.barrier") } else { folder.join("aside") };
        if folder_too {
            fs::rename(&folder, &moved).unwrap();
            fs::create_dir(&folder).unwrap();
        } else {
            fs::rename(&path, &aside).unwrap();
        }
        drop(Barrier::create(&path).unwrap());
        let mut writer = Participant::at(&path);
        writer.expect("shared", "inside 1");
        fs::rename(&aside, &path).unwrap();
        let mut tool = Participant::at(&path);
        let answer = tool.expect_like(ONCE, "error Stragglers");
        assert!(answer.contains(&format!("[{}]", writer.pid())), "{folder_too}: {answer}");
        writer.expect("leave", "depth 0");
        excludes(&mut tool, &mut writer);
    }
}

#[test]
fn a_barrier_is_not_retired_beside_stragglers() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.make_barrier();
    let mut writer = Participant::at(&place.barrier_path());
    writer.expect("shared", "inside 1");
    let barrier = replace(&place);
    assert_eq!(barrier.retire().unwrap_err().kind(), ErrorKind::Stragglers);
    assert!(place.barrier_path().exists());
    writer.expect("leave", "depth 0");
    Barrier::open(place.barrier_path()).unwrap().retire().unwrap();
    // The one that was brought over finds none.
    writer.expect_like("shared", "error Missing");
}

/// A gate that is closed for good where the file is in its place: only garbage can have done that.
#[test]
fn a_barrier_in_its_place_is_not_taken_for_a_removed_one() {
    let place = Place::new();
    let barrier = place.barrier();
    for share in ["shared", "owned", "command-share watched", "exclusive"] {
        let mut user = Participant::at(&place.barrier_path());
        place.set_word(GENERATION, u32::MAX);
        let answer = user.ask(share);
        assert!(!answer.starts_with("error"), "{share}: {answer}");
        drop(user);
    }
    place.set_word(GENERATION, u32::MAX);
    barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
    place.set_word(GENERATION, u32::MAX);
    drop(barrier.shared().unwrap());
}

/// Generations go on past the one that means for good.
#[test]
fn no_pause_is_for_good() {
    let place = Place::new();
    let barrier = place.barrier();
    place.set_word(GENERATION, u32::MAX - 3);
    for generation in [u32::MAX - 2, 1, 3] {
        let pause = barrier.exclusive(&mut at_once(1000)).unwrap();
        assert_eq!(pause.report().generations, [generation]);
        pause.release().unwrap();
    }
}

/// Whoever makes one brings over who is outside there, before any tool comes.
#[test]
fn making_one_brings_them_over() {
    if !is_root() {
        return;
    }
    for create in [false, true] {
        let place = Place::new();
        place.make_barrier();
        let mut writer = member(&place);
        fs::remove_file(place.barrier_path()).unwrap();
        let options = Barrier::options().create(create);
        let path = place.barrier_path();
        let _made = if create { options.open(path) } else { options.found(path) }.unwrap();
        writer.expect("shared", "inside 1");
        assert!(is_inside(&place, writer.pid()), "{create}");
    }
}

fn is_inside(place: &Place, pid: u32) -> bool {
    place.status().writers.iter().any(|writer| writer.inside && writer.pid == pid)
}

/// Another file at the place of the barrier, of which nobody knows yet that it is another. What was there
/// is renamed.
fn copy_over(place: &Place, aside: &str) {
    fs::copy(place.barrier_path(), place.path("copy")).unwrap();
    fs::rename(place.barrier_path(), place.path(aside)).unwrap();
    fs::rename(place.path("copy"), place.barrier_path()).unwrap();
}

/// However often a tool looks, because of somebody in another file.
#[test]
fn losses_are_carried_over_once() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.make_barrier();
    let (_left, mut lost) = (member(&place), member(&place));
    copy_over(&place, "first");
    lost.expect("shared", "inside 1");
    lost.kill();
    let mut inside = Participant::at(&place.barrier_path());
    inside.expect("shared", "inside 1");
    let barrier = replace(&place);
    for _ in 0..2 {
        let error = barrier.exclusive(&mut at_once(200)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stragglers, "{error}");
        assert_eq!(place.epoch(), 1);
    }
}

/// A thread that finds no slot where it came to counts there, and leaves there.
#[test]
fn a_thread_may_count_where_it_came_to() {
    let place = Place::new();
    let barrier = place.barrier();
    copy_over(&place, "first");
    come_over(&barrier);
    let aside = place.path("aside");
    fs::rename(place.barrier_path(), &aside).unwrap();
    let share = barrier.shared().unwrap();
    fs::rename(&aside, place.barrier_path()).unwrap();
    let counted = place.status().writers.into_iter().find(|writer| writer.inside).unwrap();
    assert_eq!((counted.kind, counted.shares), (Kind::Process, 1));
    drop(share);
    barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
}

/// Lets a thread of its own come over, which has been in the file before.
fn come_over(barrier: &Barrier) {
    let thread = || drop(barrier.shared().unwrap());
    std::thread::scope(|scope| scope.spawn(thread).join().unwrap());
}

/// What a thread holds is known whichever of the files it holds it in.
#[test]
fn a_thread_knows_what_it_holds() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let barrier = place.barrier();
    let deadlock = |what: &str| {
        let error = barrier.exclusive(&mut at_once(50)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadlock, "{what}: {error}");
    };
    copy_over(&place, "first");
    come_over(&barrier);
    let pause = barrier.exclusive(&mut at_once(1000)).unwrap();
    deadlock("a pause where it came to");
    pause.release().unwrap();
    let share = barrier.shared_owned().unwrap();
    assert!(barrier.leaked_share_of_process().is_some());
    drop(share);
    assert_eq!(barrier.leaked_share_of_process(), None);
    let share = barrier.shared().unwrap();
    copy_over(&place, "second");
    // It has been where it will come to.
    let there = Barrier::open(place.barrier_path()).unwrap();
    drop(there.shared().unwrap());
    come_over(&barrier);
    assert_eq!((barrier.depth(), there.depth()), (1, 0));
    deadlock("a share where it was");
    let nested = barrier.shared().unwrap();
    assert_eq!((barrier.depth(), there.depth()), (2, 0));
    drop(nested);
    drop(share);
    assert_eq!(barrier.depth(), 0);
    barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
}

/// Who finds no barrier where he is to go waits a moment: somebody is about to make another.
#[test]
fn the_next_one_is_waited_for() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.make_barrier();
    let mut writer = member(&place);
    drop(replace(&place));
    let aside = place.path("aside");
    fs::rename(place.barrier_path(), &aside).unwrap();
    writer.say("shared");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(writer.heard(), None);
    fs::rename(&aside, place.barrier_path()).unwrap();
    assert_eq!(writer.hear(), "inside 1");
    assert!(is_inside(&place, writer.pid()));
}

/// A thread that ends gives back its seats in each of the files.
#[test]
fn threads_that_came_over_end() {
    let place = Place::new();
    let barrier = place.barrier();
    let (before, after) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            drop(barrier.shared().unwrap());
            before.wait();
            after.wait();
            drop(barrier.shared().unwrap());
        });
        before.wait();
        copy_over(&place, "first");
        come_over(&barrier);
        after.wait();
        thread.join().unwrap();
    });
    for path in [place.path("first"), place.barrier_path()] {
        let writers = Status::read(&path).unwrap().writers;
        let kinds: Vec<Kind> = writers.iter().map(|writer| writer.kind).collect();
        assert_eq!(kinds, [Kind::Process], "{}", path.display());
    }
    assert_eq!(place.epoch(), 0);
}

/// A file that was renamed, and takes its place back.
#[test]
fn a_file_that_comes_back_is_not_come_back_to() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.make_barrier();
    let mut writer = member(&place);
    copy_over(&place, "first");
    writer.expect("thread new", "thread new");
    writer.expect("@new shared", "inside 1");
    writer.expect("@new leave", "depth 0");
    fs::rename(place.path("first"), place.barrier_path()).unwrap();
    let mut tool = Participant::at(&place.barrier_path());
    tool.expect_like("exclusive wait=2000", "granted");
    writer.expect_like("command-share watched", "error Replaced");
    writer.expect_like("exclusive wait=100", "error Replaced");
    writer.expect_like("shared", "error Replaced");
    tool.expect("release", "released grown=0");
}

/// Who was brought over keeps a hold of the file that he came from. Once it was seen to be left, who cannot
/// reach it need not wait for his end.
#[test]
fn who_cannot_reach_a_file_knows_that_it_was_left() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let for_all = || drop(Barrier::options().mode(0o666).found(place.barrier_path()).unwrap());
    for_all();
    let mut writer = member(&place);
    fs::remove_file(place.barrier_path()).unwrap();
    for_all();
    assert_eq!(place.status().stragglers, Some(Vec::new()));
    let mut tool = Participant::start();
    tool.expect("setuid 65533", "confined");
    tool.open(&place.barrier_path());
    excludes(&mut tool, &mut writer);
}

/// Where the folder is at another path for the writer.
#[test]
fn it_is_the_folder_that_counts() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.make_barrier();
    let there = tempfile::tempdir().unwrap();
    let script = r#"mount --bind "$1" "$2" && exec "$0""#;
    let mut writer = Participant::start_by(
        |program| {
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", script]).arg(program);
            command.args([place.folder(), there.path()]);
            command
        },
        |_| {},
    );
    writer.open(&there.path().join("mail.barrier"));
    writer.expect("shared", "inside 1");
    let barrier = replace(&place);
    let error = barrier.exclusive(&mut at_once(50)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stragglers, "{error}");
    writer.expect("leave", "depth 0");
    barrier.exclusive(&mut at_once(1000)).unwrap().release().unwrap();
    writer.expect("shared", "inside 1");
    assert!(is_inside(&place, writer.pid()));
}

/// Writers of every kind in several processes, and the file removed and made again, many times.
#[test]
fn nothing_is_torn_however_often_it_is_replaced() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let store = place.path("store");
    fs::create_dir(&store).unwrap();
    place.make_barrier();
    let mut writers: Vec<Participant> = (0..3).map(|_| member(&place)).collect();
    let update = format!("update-until-told {}", store.display());
    writers.iter_mut().for_each(|writer| writer.say(&update));
    let limits = || at_once(0).wait(Duration::from_secs(20)).drain(Duration::from_secs(20));
    for round in 0..15 {
        let barrier = replace(&place);
        let pause = barrier.exclusive(&mut limits()).unwrap();
        let torn = torn(&store);
        pause.release().unwrap();
        assert!(torn.is_empty(), "round {round}: {torn:?}");
    }
    for writer in &mut writers {
        writer.say("depth");
        let answer = writer.hear();
        assert_eq!(field(&answer, "depth"), "0");
        for kind in ["thread", "process", "new-thread", "command"] {
            assert_ne!(field(&answer, kind), "0", "{answer}");
        }
        assert_eq!(writer.hear(), "depth 0");
    }
    assert_eq!(place.epoch(), 0);
    let status = Status::read(place.barrier_path()).unwrap();
    assert!(status.writers.iter().all(|writer| !writer.inside), "{status:?}");
}

/// The files whose two numbers differ.
fn torn(store: &Path) -> Vec<String> {
    let files = fs::read_dir(store).unwrap().flatten();
    let torn = files.filter(|entry| {
        let mut numbers = [[0; 8]; 2];
        let file = fs::File::open(entry.path()).unwrap();
        numbers.iter_mut().zip([0, 8]).for_each(|(number, at)| {
            let _ = file.read_exact_at(number, at);
        });
        numbers[0] != numbers[1]
    });
    torn.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The same under signal handlers that take shares wherever they strike.
#[test]
fn handlers_come_over_wherever_they_strike() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.make_barrier();
    let mut writer = member(&place);
    writer.expect_like("alarms 200", "alarms=");
    writer.say("churn-until-told");
    for _ in 0..15 {
        let barrier = replace(&place);
        let mut limits = at_once(20_000).wait(Duration::from_secs(20));
        barrier.exclusive(&mut limits).unwrap().release().unwrap();
    }
    writer.say("alarms 0");
    let churned = writer.hear();
    assert_eq!(field(&churned, "depth"), "0", "{churned}");
    let alarms = writer.hear();
    assert_eq!(field(&alarms, "failures"), "0", "{alarms}");
    assert_eq!(place.epoch(), 0);
}

/// Who came over does not keep users who see nothing of him waiting, once he is inside nowhere but here.
#[test]
fn whoever_came_over_says_so() {
    let place = Place::new();
    place.make_barrier();
    let mut writer = Participant::at(&place.barrier_path());
    writer.expect("thread before", "thread before");
    for (inside, outside) in [("shared", "leave"), ("owned", "disown")] {
        writer.expect_like(&format!("@before {inside}"), "");
        copy_over(&place, inside);
        writer.expect("thread after", "thread after");
        writer.expect("@after shared", "inside 1");
        writer.expect("@after leave", "depth 0");
        let old = fs::metadata(place.path(inside)).unwrap();
        assert!(is_signed(&old), "{inside}: it may be inside there still");
        writer.expect_like(&format!("@before {outside}"), "");
        assert!(!is_signed(&old), "{inside}: it never will be again");
    }
}

/// Whether somebody says that he uses this file.
fn is_signed(file: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let ending = format!(":{}", file.ino());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let lines = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut ours = lines.filter(|line| line[1] == "OFDLCK" && line[5].ends_with(&ending));
    ours.any(|line| line[7].parse::<i64>().is_ok_and(|last| last >= 0x5000_0000))
}
