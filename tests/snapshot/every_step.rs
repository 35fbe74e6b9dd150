//! Death, an interrupt and a full disk at every step of `snapshot`, `prune` and `use`.
//!
//! A verb is run once under strace(1) to learn which system calls it makes. Then, for each call that
//! can change something, from the first one that has to do with the catalogue on (or with what else
//! the play is about), it is run again in a scene of its own and killed when it enters that call; and
//! for each call that a disk without space can refuse, again with that call failing, and with that call
//! and all later ones of its kind failing. What is left is judged from outside:
//!
//! * writers go on;
//! * `latest` names a snapshot, and what it names is whole: the earlier one, or the new one;
//! * nothing that is not whole stands under the name of a snapshot, and `use` reads nothing else;
//! * the next run cleans up: no data under a temporary name, no text written aside, every manifest
//!   complete with whole data, or failed without.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common::many::{check, report};
use crate::common::strace::{self, Call};
use crate::common::{Done, Image, must, names, run, subvolume, until};
use crate::scene::Scene;

/// Calls that leave everything as it is, here and on disk: death at one is death at the next other.
const IDLE: &[&str] = &[
    "access",
    "arch_prctl",
    "brk",
    "close",
    "exit_group",
    "fstat",
    "fstatfs",
    "getdents64",
    "getpid",
    "getrandom",
    "gettid",
    "ioctl",
    "lseek",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "newfstatat",
    "pipe2",
    "prctl",
    "pread64",
    "prlimit64",
    "read",
    "readlink",
    "recvfrom",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sendto",
    "sigaltstack",
    "statfs",
    "statx",
];

/// Calls that take space.
const TAKING: &[&str] = &[
    "fsync",
    "ftruncate",
    "mkdir",
    "openat",
    "rename",
    "renameat",
    "renameat2",
    "syncfs",
    "write",
];

/// The same that read or open for reading too: those that fail once stay so only by themselves.
const ONCE: &str = "openat";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Blow {
    Killed,
    /// As by Ctrl-C.
    Interrupted,
    Full,
    FullFromThenOn,
}

/// One blow at one call.
struct Case {
    call: Call,
    blow: Blow,
    number: usize,
}

impl Case {
    fn name(&self) -> String {
        format!(
            "{:?} at {} number {}: {}",
            self.blow, self.call.name, self.call.nth, self.call.text
        )
    }

    fn injection(&self) -> String {
        let Call { name, nth, .. } = &self.call;
        match self.blow {
            Blow::Killed => format!("inject={name}:signal=SIGKILL:when={nth}"),
            Blow::Interrupted => format!("inject={name}:signal=SIGINT:when={nth}"),
            Blow::Full => format!("inject={name}:error=ENOSPC:when={nth}"),
            Blow::FullFromThenOn => format!("inject={name}:error=ENOSPC:when={nth}+"),
        }
    }
}

/// What is played: a scene with an earlier snapshot, `good`, and a verb in it.
pub trait Play: Sync {
    /// The path that the first call of interest has to do with.
    fn begins_at(&self, scene: &Scene) -> PathBuf {
        scene.path("catalog")
    }

    /// What goes wrong all the time.
    fn always(&self) -> Option<&str> {
        None
    }

    /// Whether it is interrupted too.
    fn can_be_interrupted(&self) -> bool {
        false
    }

    fn scene(&self, number: usize) -> Scene;
    fn verb(&self, scene: &Scene, number: usize) -> Command;
    fn judge(&self, scene: &Scene, number: usize, done: &Done) -> Result<(), String>;
}

/// Runs the verb under strace, with one fault or none.
fn play(play: &dyn Play, number: usize, injection: Option<&str>) -> (Scene, Done, Vec<Call>) {
    let scene = play.scene(number);
    let verb = play.verb(&scene, number);
    let trace = scene.path("trace");
    let mut command = scene.environment(Command::new("strace"));
    strace::options(&mut command, &trace, None);
    for injection in injection.into_iter().chain(play.always()) {
        command.args(["-e", injection]);
    }
    command.arg(verb.get_program()).args(verb.get_args());
    let done = run(&mut command);
    let calls = strace::read(&trace);
    (scene, done, calls)
}

/// Every blow at every call of the verb, each judged.
pub fn strike_all(what: &str, act: &dyn Play) {
    if !strace::works() {
        return crate::common::skip("strace cannot inject faults here");
    }
    let (scene, done, calls) = play(act, 0, None);
    if act.always().is_none() {
        done.assert_code(0);
    }
    act.judge(&scene, 0, &done).expect("without any fault");
    let mut cases = cases(&calls, &act.begins_at(&scene).display().to_string());
    cases.retain(|case| case.blow != Blow::Interrupted || act.can_be_interrupted());
    assert!(!cases.is_empty(), "{what}: nothing is tried");
    let struck = std::sync::atomic::AtomicUsize::new(0);
    let strike = |case: &Case| {
        let (scene, done, calls) = play(act, case.number, Some(&case.injection()));
        let hit = match case.blow {
            Blow::Killed => done.signal() == Some(9),
            // It may be too late to change anything.
            Blow::Interrupted => {
                matches!((done.signal(), done.status.code()), (Some(2), _) | (_, Some(0)))
            }
            Blow::Full | Blow::FullFromThenOn => calls.iter().any(|call| call.struck),
        };
        struck.fetch_add(usize::from(hit), std::sync::atomic::Ordering::Relaxed);
        let in_order = match case.blow {
            Blow::Killed => true,
            Blow::Interrupted => hit,
            Blow::Full | Blow::FullFromThenOn => matches!(done.code(), 0 | 64..=77 | 126),
        };
        if !in_order {
            return Err(format!("it neither succeeded nor failed in good order: {done:#?}"));
        }
        act.judge(&scene, case.number, &done).map_err(|what| format!("{what}\n{done:#?}"))
    };
    let violations = check(&cases, Case::name, strike);
    let struck = struck.into_inner();
    report(
        &format!("{what}: {struck} of {} deaths and full disks struck", cases.len()),
        &violations,
    );
    assert!(struck * 10 >= cases.len() * 9, "only {struck} of {} struck", cases.len());
}

fn cases(calls: &[Call], first: &str) -> Vec<Case> {
    let mut known = BTreeSet::new();
    for call in calls.iter().skip_while(|call| !call.text.contains(first)) {
        let name = call.name.as_str();
        let locks = name != "fcntl" || call.text.contains("F_OFD_SETLK");
        if !IDLE.contains(&name) && locks {
            known.insert((Blow::Killed, name, call.nth));
            known.insert((Blow::Interrupted, name, call.nth));
        }
        // Without opening it, nobody writes to it.
        if TAKING.contains(&name) && !call.text.contains("O_PATH") {
            known.insert((Blow::Full, name, call.nth));
        }
        if TAKING.contains(&name) && name != ONCE {
            known.insert((Blow::FullFromThenOn, name, call.nth));
        }
    }
    let find = |name: &str, nth| {
        calls.iter().find(|call| call.name == name && call.nth == nth).expect("it is one of them")
    };
    let cases = known.into_iter().zip(1..);
    cases
        .map(|((blow, name, nth), number)| Case { call: find(name, nth).clone(), blow, number })
        .collect()
}

pub fn ensure(so: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if so { Ok(()) } else { Err(what()) }
}

/// Nobody works on anything any more: what the victim had started may outlive it.
fn settle(scene: &Scene) {
    until("end of what is under way", || {
        rows(scene).iter().all(|row| row["under_way"] != true && row["pinned"] != true)
    });
}

fn rows(scene: &Scene) -> Vec<Value> {
    serde_json::from_str(&scene.verb(["list", "--json"]).stdout).unwrap()
}

/// In folders, which are removed one after another.
const FILES: [&str; 3] = ["letter-0", "folder/letter-1", "folder/inner/letter-2"];

fn fill(store: &Path) {
    fs::create_dir_all(store.join("folder/inner")).unwrap();
    for file in FILES {
        fs::write(store.join(file), file).unwrap();
    }
}

/// Is this all of the store?
fn is_whole(place: &Path) -> bool {
    let text = |file| fs::read_to_string(place.join(file));
    FILES.iter().all(|file| text(file).is_ok_and(|text| text == *file))
}

/// What holds of every snapshot whatever happened to `victim`, of which there may be nothing.
fn nothing_is_half(scene: &Scene, to: &Path) -> Result<(), String> {
    for name in names(to).iter().filter(|name| !name.starts_with('.')) {
        ensure(is_whole(&to.join(name)), || format!("{name} is not whole"))?;
    }
    for row in rows(scene).iter().filter(|row| row["path"].is_string()) {
        let name = row["name"].as_str().unwrap();
        let read = scene.verb(["use", name, "--", "printenv", "STILLPOINT_SNAPSHOT_PATH"]);
        let place = read.stdout.trim_end();
        let right = match read.code() {
            0 => is_whole(Path::new(place)),
            code => code == 66,
        };
        ensure(right, || format!("use of {name}: {read:#?}"))?;
    }
    Ok(())
}

/// After the next run there is nothing half made or half removed.
fn nothing_is_left(scene: &Scene, to: &Path) -> Result<(), String> {
    let left = |folder: &Path| names(folder).into_iter().find(|name| name.starts_with('.'));
    for folder in [to.to_owned(), scene.path("catalog")] {
        ensure(left(&folder).is_none(), || {
            format!("left in {}: {:?}", folder.display(), names(&folder))
        })?;
    }
    Ok(())
}

/// Nor does any manifest say what is not so.
fn is_clean(scene: &Scene, to: &Path) -> Result<(), String> {
    nothing_is_left(scene, to)?;
    for row in rows(scene) {
        let data = row["path"].as_str().map(PathBuf::from);
        let right = match row["status"].as_str() {
            Some("complete") => data.is_none_or(|data| is_whole(&data)),
            Some("failed") => data.is_none_or(|data| !data.exists()),
            _ => false,
        };
        ensure(right, || format!("a manifest is wrong: {row:#}"))?;
    }
    Ok(())
}

/// `snapshot`, by copy or btrfs.
struct Taking {
    btrfs: Option<Image>,
}

impl Taking {
    fn subvolume() -> Option<Taking> {
        let image = Image::btrfs()?;
        subvolume(&image.path().join("store"));
        fill(&image.path().join("store"));
        must(Command::new("sync").arg("-f").arg(image.path()));
        Some(Taking { btrfs: Some(image) })
    }

    fn to(&self, scene: &Scene, number: usize) -> PathBuf {
        match &self.btrfs {
            Some(image) => image.path().join(format!("snapshots-{number}")),
            None => scene.path("snapshots"),
        }
    }

    fn take(&self, scene: &Scene, number: usize, name: &str) -> Command {
        let mut command = scene.stillpoint();
        command.args(["snapshot", "mail", "--min-open", "0", "--hold", "10", "--name", name]);
        match &self.btrfs {
            Some(image) => command.arg("--btrfs").arg(image.path().join("store")),
            None => command.arg("--copy").arg(scene.path("store")),
        };
        command.arg("--to").arg(self.to(scene, number));
        command
    }
}

impl Play for Taking {
    fn can_be_interrupted(&self) -> bool {
        self.btrfs.is_none()
    }

    fn scene(&self, number: usize) -> Scene {
        let scene = Scene::new();
        fill(&scene.path("store"));
        if self.btrfs.is_some() {
            let _ = fs::create_dir(self.to(&scene, number));
        }
        run(&mut self.take(&scene, number, "good")).assert_code(0);
        scene
    }

    fn verb(&self, scene: &Scene, number: usize) -> Command {
        self.take(scene, number, "new")
    }

    fn judge(&self, scene: &Scene, number: usize, done: &Done) -> Result<(), String> {
        let to = self.to(scene, number);
        settle(scene);
        scene.assert_writers_go_on();
        let newest = if done.code() == 0 { &["new"][..] } else { &["good", "new"] };
        for words in [&[][..], &["--any"]] {
            let named = scene.latest(words);
            let right = named
                .as_deref()
                .is_some_and(|name| newest.contains(&name) && is_whole(&to.join(name)));
            ensure(right, || format!("latest names {named:?}"))?;
        }
        nothing_is_half(scene, &to)?;
        scene.snapshot(["mail", "--min-open", "0", "--name", "next", "--", "true"]).assert_code(0);
        nothing_is_half(scene, &to)?;
        is_clean(scene, &to)
    }
}

#[test]
fn of_a_snapshot_by_copy() {
    strike_all("snapshot --copy", &Taking { btrfs: None });
}

/// A power cut takes what was not synced; no death of a process shows that, but the order of the
/// calls does. Each text is synced before it gets its name, each name before anything that rests on
/// it, and the data before the first word of a certificate.
#[test]
fn each_step_is_durable_before_the_next() {
    if !strace::works() {
        return crate::common::skip("strace cannot trace here");
    }
    let (_scene, done, calls) = play(&Taking { btrfs: None }, 0, None);
    done.assert_code(0);
    let steps: Vec<&str> = calls.iter().filter_map(durable_step).collect();
    let manifest = ["text synced", "manifest named", "catalogue synced"];
    let data = ["data synced"];
    let publish = ["data named", "target synced"];
    // Begun, twice, as the folder is known then; the pre-sync, the copy and its sync; certified; published;
    // complete.
    let begun = [manifest, manifest].concat();
    let expected = [&begun[..], &data, &data, &manifest, &publish, &manifest].concat();
    assert_eq!(steps, expected);

    let pruning = Pruning { taking: Taking { btrfs: None }, full: false };
    let (_scene, done, calls) = play(&pruning, 0, None);
    done.assert_code(0);
    let steps: Vec<&str> = calls.iter().filter_map(durable_step).collect();
    let one = [&manifest[..], &publish, &["manifest removed", "catalogue synced"]].concat();
    assert_eq!(steps, [one.as_slice(), &one].concat());
}

fn durable_step(call: &Call) -> Option<&'static str> {
    let about = |part: &str| call.text.contains(part);
    match call.name.as_str() {
        "fsync" if about(".json.new>") => Some("text synced"),
        "fsync" if about("/catalog>") => Some("catalogue synced"),
        "fsync" if about("/snapshots>") => Some("target synced"),
        "syncfs" => Some("data synced"),
        "renameat" if about(".json.new") => Some("manifest named"),
        "renameat2" => Some("data named"),
        "unlinkat" if about(".json") => Some("manifest removed"),
        _ => None,
    }
}

/// Two things go wrong: the name cannot be made durable, and it cannot be taken back either. Then
/// the data is whole under it, and must not be called failed.
#[test]
fn of_a_name_that_can_neither_be_kept_nor_taken_back() {
    if !strace::works() {
        return crate::common::skip("strace cannot inject faults here");
    }
    let act = Taking { btrfs: None };
    let (.., calls) = play(&act, 0, None);
    let durable =
        calls.iter().find(|call| call.name == "fsync" && call.text.contains("/snapshots>"));
    let nth = durable.expect("the folder is synced").nth;
    let scene = act.scene(1);
    let mut command = scene.environment(Command::new("strace"));
    strace::options(&mut command, &scene.path("trace"), None);
    command.args(["-e", &format!("inject=fsync:error=ENOSPC:when={nth}+")]);
    command.args(["-e", "inject=renameat2:error=ENOSPC:when=2+"]);
    let verb = act.verb(&scene, 1);
    let done = run(command.arg(verb.get_program()).args(verb.get_args()));
    done.assert_refused(73, "new is whole; the next snapshot completes it");
    assert_eq!(scene.latest(&[]).as_deref(), Some("good"));
    act.judge(&scene, 1, &done).unwrap();
    assert_eq!(scene.latest(&[]).as_deref(), Some("new"));
    scene.verb(["use", "new", "--", "true"]).assert_code(0);
}

#[test]
fn of_a_snapshot_of_a_subvolume() {
    let Some(taking) = Taking::subvolume() else { return };
    strike_all("snapshot --btrfs", &taking);
}

/// `prune`, with two snapshots to remove, and the record of one that failed.
struct Pruning {
    taking: Taking,
    /// There is no room for as much as a mark.
    full: bool,
}

impl Play for Pruning {
    fn always(&self) -> Option<&str> {
        self.full.then_some("inject=write:error=ENOSPC")
    }

    fn scene(&self, number: usize) -> Scene {
        let scene = self.taking.scene(number);
        for name in ["other", "newest"] {
            run(&mut self.taking.take(&scene, number, name)).assert_code(0);
        }
        scene
    }

    fn verb(&self, scene: &Scene, _number: usize) -> Command {
        let mut command = scene.stillpoint();
        command.args(["prune", "--keep", "1", "--json"]);
        command
    }

    fn judge(&self, scene: &Scene, number: usize, done: &Done) -> Result<(), String> {
        let to = self.taking.to(scene, number);
        settle(scene);
        scene.assert_writers_go_on();
        for words in [&[][..], &["--any"]] {
            let named = scene.latest(words);
            ensure(named.as_deref() == Some("newest"), || format!("latest names {named:?}"))?;
        }
        nothing_is_half(scene, &to)?;
        let only_the_newest =
            || ensure(names(&to) == ["newest"], || format!("not removed: {:?}", names(&to)));
        if done.code() == 0 {
            only_the_newest()?;
        }
        // The next run of either verb goes on with what was begun.
        scene.snapshot(["mail", "--min-open", "0", "--name", "next", "--", "true"]).assert_code(0);
        nothing_is_left(scene, &to)?;
        if !self.full {
            // Without a mark a record may stay whose data is gone, as if somebody had removed it.
            is_clean(scene, &to)?;
        }
        scene.verb(["prune", "--keep", "1"]).assert_code(0);
        only_the_newest()?;
        ensure(rows(scene).len() == 2, || format!("records are left: {:#?}", rows(scene)))?;
        is_clean(scene, &to)
    }
}

#[test]
fn of_pruning_copies() {
    strike_all("prune", &Pruning { taking: Taking { btrfs: None }, full: false });
}

#[test]
fn of_pruning_on_a_full_disk() {
    strike_all("prune, full", &Pruning { taking: Taking { btrfs: None }, full: true });
}

#[test]
fn of_pruning_subvolumes() {
    let Some(taking) = Taking::subvolume() else { return };
    strike_all("prune, btrfs", &Pruning { taking, full: false });
}

/// `use` of a snapshot that is then pruned.
struct Using;

impl Play for Using {
    fn scene(&self, _number: usize) -> Scene {
        let scene = Scene::new();
        fill(&scene.path("store"));
        scene.take("old");
        scene.take("good");
        scene
    }

    fn verb(&self, scene: &Scene, _number: usize) -> Command {
        let mut command = scene.stillpoint();
        let read = r#"test -e "$STILLPOINT_SNAPSHOT_PATH/letter-0""#;
        command.args(["use", "old", "--", "sh", "-c", read]);
        command
    }

    fn judge(&self, scene: &Scene, _number: usize, _done: &Done) -> Result<(), String> {
        let to = scene.path("snapshots");
        settle(scene);
        ensure(names(&to) == ["good", "old"], || format!("{:?}", names(&to)))?;
        nothing_is_half(scene, &to)?;
        scene.verb(["prune", "--keep", "1"]).assert_code(0);
        ensure(names(&to) == ["good"], || format!("a pin was left behind: {:?}", names(&to)))?;
        is_clean(scene, &to)
    }
}

#[test]
fn of_using() {
    strike_all("use", &Using);
}
