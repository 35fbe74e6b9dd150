//! Shares that tasks wait for, without a runtime: polled by hand, woken by a counter.

use crate::common::{Participant, Place, at_once, until};
use std::future::Future;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use stillpoint::{Barrier, EnteringShared, ErrorKind, OwnedShared};

#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Woken {
    fn count(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll(future: &mut EnteringShared, woken: &Arc<Woken>) -> Option<OwnedShared> {
    let waker = Waker::from(woken.clone());
    match Pin::new(future).poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(share) => Some(share.unwrap()),
        Poll::Pending => None,
    }
}

/// Threads of the library's own in this process.
fn helpers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name == "stillpoint\n").count()
}

/// A barrier, and a tool that has its exclusive side.
fn paused() -> (Place, Barrier, Participant) {
    let place = Place::new();
    let barrier = place.barrier();
    let mut tool = Participant::at(&place.barrier_path());
    tool.expect_like("exclusive patience=0 drain=5000", "granted");
    (place, barrier, tool)
}

#[test]
fn it_is_ready_at_an_open_gate() {
    let place = Place::new();
    let barrier = place.barrier();
    let woken = Arc::default();
    let share = poll(&mut barrier.shared_owned_async(), &woken).unwrap();
    assert_eq!(place.status().writers[0].shares, 1);
    assert_eq!((helpers(), woken.count()), (0, 0));
    drop(share);
    assert!(!place.status().writers[0].inside);
}

#[test]
fn who_would_not_wait_gets_an_owned_share_or_none() {
    let place = Place::new();
    let barrier = place.barrier();
    drop(barrier.try_shared_owned().unwrap());
    let pause = barrier.exclusive(&mut at_once(1000)).unwrap();
    let refused = barrier.try_shared_owned().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    pause.release().unwrap();
}

#[test]
fn it_is_woken_when_the_gate_opens() {
    let place = Place::new();
    let barrier = place.barrier();
    let mut tool = Participant::at(&place.barrier_path());
    for _ in 0..3 {
        tool.expect_like("exclusive patience=0 drain=5000", "granted");
        let all: Vec<Arc<Woken>> = (0..50).map(|_| Arc::default()).collect();
        let mut futures: Vec<_> = all.iter().map(|_| barrier.shared_owned_async()).collect();
        for (future, woken) in futures.iter_mut().zip(&all) {
            // The second time it listens anew.
            assert!(poll(future, woken).is_none() && poll(future, woken).is_none());
        }
        until("one waits for all of them", || helpers() == 1);
        assert!(all.iter().all(|woken| woken.count() == 0));
        tool.expect_like("release", "released");
        until("each is woken", || all.iter().all(|woken| woken.count() == 1));
        let shares = futures.iter_mut().zip(&all).map(|(future, woken)| poll(future, woken));
        let shares: Vec<_> = shares.map(Option::unwrap).collect();
        assert_eq!(place.status().writers[0].shares, 50);
        drop(shares);
        until("the helper ends", || helpers() == 0);
    }
}

/// Nothing is left of it: neither in the barrier nor of the task.
#[test]
fn dropping_it_gives_everything_up() {
    let (_place, barrier, mut tool) = paused();
    let (woken, other) = (Arc::default(), Arc::default());
    let mut future = barrier.shared_owned_async();
    let mut stays = barrier.shared_owned_async();
    assert!(poll(&mut future, &woken).is_none() && poll(&mut stays, &other).is_none());
    drop(future);
    assert_eq!(Arc::strong_count(&woken), 1, "its waker is still known");
    tool.expect_like("release", "released");
    until("the other is woken", || other.count() == 1);
    assert_eq!(woken.count(), 0);
    assert!(poll(&mut stays, &other).is_some());
    // Without one who waits, the helper ends with the gate still closed.
    tool.expect_like("exclusive patience=0 drain=5000", "granted");
    let mut future = barrier.shared_owned_async();
    assert!(poll(&mut future, &woken).is_none());
    until("the helper has begun", || helpers() == 1);
    drop(future);
    until("the helper ends", || helpers() == 0);
    tool.expect_like("release", "released");
}

/// The only one who waits is a task, and nobody else ends what a dead tool has left.
#[test]
fn a_dead_holder_keeps_no_task_out() {
    let (_place, barrier, tool) = paused();
    let (woken, mut future) = (Arc::default(), barrier.shared_owned_async());
    assert!(poll(&mut future, &woken).is_none());
    drop(tool);
    until("it is woken", || woken.count() == 1);
    assert!(poll(&mut future, &woken).is_some());
}

/// Whoever waits in a file that is replaced is woken, and gets in where the barrier is now.
#[test]
fn a_task_comes_over() {
    let (place, barrier, _tool) = paused();
    let (woken, mut future) = (Arc::default(), barrier.shared_owned_async());
    assert!(poll(&mut future, &woken).is_none());
    let descriptor = barrier.gate_descriptor().unwrap();
    assert!(!is_readable(&descriptor));
    // None is made beside a pause; it is moved there.
    let new = Barrier::create(place.path("new.barrier")).unwrap();
    std::fs::rename(new.path(), place.barrier_path()).unwrap();
    drop(new);
    barrier.check().unwrap();
    until("it is woken", || woken.count() == 1);
    until("so is who has the descriptor", || is_readable(&descriptor));
    let share = poll(&mut future, &woken).unwrap();
    assert_eq!(place.status().writers.len(), 1);
    drop(share);
}

fn is_readable(descriptor: &impl AsFd) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut asked = [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
    poll(&mut asked, PollTimeout::ZERO).unwrap() == 1
}

/// A thread without shares of its own may run tasks that have some.
#[test]
fn a_task_is_told_that_somebody_wants_the_exclusive_side() {
    let place = Place::new();
    let barrier = place.barrier();
    let share = barrier.shared_owned().unwrap();
    assert!(!barrier.should_yield());
    let mut tool = Participant::at(&place.barrier_path());
    tool.say("exclusive patience=0 drain=20000");
    until("it is told", || barrier.should_yield());
    drop(share);
    assert!(tool.hear().starts_with("granted"));
}
