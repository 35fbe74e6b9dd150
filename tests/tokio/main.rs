//! Shares across an await, on a runtime with two workers: a pause stops none of them.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use stillpoint::{Barrier, ExclusiveOptions};
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

const TASKS: usize = 200;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The example: a set of writes that takes several awaits, and whoever cannot begin it lets others run.
async fn deliver(barrier: &Barrier, sets: &AtomicU64) -> Result<(), stillpoint::Error> {
    let share = barrier.shared_owned_async().await?;
    sleep(ms(2)).await; // the message
    sleep(ms(2)).await; // the index
    // Inside, as all that is looked for in a pause.
    sets.fetch_add(1, Ordering::Relaxed);
    drop(share);
    Ok(())
}

/// Tasks that deliver until they are told to stop, and a timer that says how often it has ticked.
struct Load {
    over: Arc<AtomicBool>,
    sets: Arc<AtomicU64>,
    ticks: Arc<AtomicU64>,
}

fn load(runtime: &Runtime, barrier: &Barrier) -> Load {
    let load = Load { over: Arc::default(), sets: Arc::default(), ticks: Arc::default() };
    for _ in 0..TASKS {
        let (barrier, over, sets) = (barrier.clone(), load.over.clone(), load.sets.clone());
        runtime.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                deliver(&barrier, &sets).await.unwrap();
            }
        });
    }
    let (over, ticks) = (load.over.clone(), load.ticks.clone());
    runtime.spawn(async move {
        while !over.load(Ordering::Relaxed) {
            sleep(ms(5)).await;
            ticks.fetch_add(1, Ordering::Relaxed);
        }
    });
    load
}

fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(ms(1));
    }
}

#[test]
fn a_pause_is_granted_and_the_runtime_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let barrier = Barrier::create(folder.path().join("mail.barrier")).unwrap();
    let runtime = runtime();
    let load = load(&runtime, &barrier);
    let (sets, ticks) =
        (|| load.sets.load(Ordering::Relaxed), || load.ticks.load(Ordering::Relaxed));
    for _ in 0..3 {
        let before = sets();
        until("all tasks are at work", || sets() > before + 2 * TASKS as u64);
        let once = ExclusiveOptions::default();
        let mut once = once.patience(Duration::ZERO).drain(Duration::from_secs(10));
        let pause = barrier.exclusive(&mut once).unwrap();
        // All tasks wait now, and nothing else does.
        let (written, ticked) = (sets(), ticks());
        until("the runtime's timer goes on", || ticks() >= ticked + 20);
        assert_eq!(sets(), written, "somebody wrote in a pause");
        pause.release().unwrap();
    }
    load.over.store(true, Ordering::Relaxed);
    drop(runtime);
    assert_eq!(barrier.dirty().epoch, 0);
}

/// A time-out of the runtime's own ends the wait, and nothing is held then.
#[test]
fn a_wait_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let barrier = Barrier::create(folder.path().join("mail.barrier")).unwrap();
    let pause = barrier.exclusive(&mut ExclusiveOptions::default()).unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        let waiting = barrier.shared_owned_async();
        assert!(tokio::time::timeout(ms(30), waiting).await.is_err());
    });
    pause.release().unwrap();
    let pause = barrier.exclusive(&mut ExclusiveOptions::default()).unwrap();
    assert!(pause.release().unwrap().waited_for.is_empty());
}

/// The library brings no runtime along, whatever is asked of it.
#[test]
fn no_runtime_is_in_the_librarys_tree() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", "stillpoint", "--all-features"])
        .args(["--edges", "normal,build", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{tree:?}");
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.contains("nix v"), "{tree}");
    for runtime in ["tokio", "async-io", "smol", "futures", "mio"] {
        assert!(!tree.lines().any(|line| line.starts_with(runtime)), "{tree}");
    }
}
