//! What every engine must do: each of these is run on the one in memory and on the real one.

use std::time::Duration;

use stillpoint_cluster::store::{
    Entry, Event, Guard, Outcome, Revision, Store, StoreError, Txn, View, Watch,
};
use tokio::time::timeout;

/// An engine to be looked at: empty where its names begin with `root`.
pub struct Engine<S> {
    pub store: S,
    pub root: String,
}

/// Hands all demands to another macro, behind what else it is given.
macro_rules! with_demands {
    ($macro:ident, $($given:tt)*) => {
        $macro! {
            $($given)*;
            a_guard_that_does_not_hold_lets_nothing_be_written
            reads_are_of_one_revision_and_see_the_writes
            a_name_is_a_key_or_all_below_it
            a_key_that_is_made_again_has_a_new_creation
            only_one_of_two_makes_a_key
            what_is_too_much_is_refused
            a_watch_tells_all_changes_in_order
            a_watch_tells_what_was_before_it
            a_lease_takes_its_keys_with_it
            a_lease_is_kept_alive_for_as_long_as_it_is_held
            a_key_with_a_lease_that_is_gone_is_refused
        }
    };
}

/// A test for each demand, on the engine that `$engine` makes.
macro_rules! test_each {
    ($runtime:meta, $engine:expr; $($demand:ident)*) => {
        $(
            #[$runtime]
            async fn $demand() {
                $crate::conformance::$demand($engine).await;
            }
        )*
    };
}

/// All demands at once, on engines that `$engine` makes; their names, and what became of each.
macro_rules! spawn_all {
    ($engine:expr; $($demand:ident)*) => {
        [$((stringify!($demand), tokio::spawn($crate::conformance::$demand($engine)))),*]
    };
}

pub const SOON: Duration = Duration::from_secs(20);

impl<S: Store> Engine<S> {
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.root)
    }

    pub async fn put(&self, name: &str, value: &str) -> Revision {
        let outcome = self.store.commit(Txn::new().put(self.key(name), value)).await.unwrap();
        assert!(outcome.committed);
        outcome.revision
    }

    pub async fn commit(&self, txn: Txn) -> Outcome {
        self.store.commit(txn).await.unwrap()
    }

    pub async fn view(&self, name: &str) -> View {
        self.store.range(&self.key(name)).await.unwrap()
    }

    pub async fn value(&self, name: &str) -> Option<String> {
        self.view(name).await.get(&self.key(name)).map(text)
    }
}

pub fn text(entry: &Entry) -> String {
    String::from_utf8(entry.value.clone()).unwrap()
}

pub async fn next(watch: &mut Watch) -> Event {
    timeout(SOON, watch.next()).await.expect("nothing is told").unwrap()
}

/// The last part of the key, and the value or `-`.
pub fn told(event: &Event) -> String {
    let name = |key: &String| key.rsplit('/').next().unwrap().to_string();
    match event {
        Event::Put(entry) => format!("{}={}", name(&entry.key), text(entry)),
        Event::Delete { key, .. } => format!("{}-", name(key)),
        Event::Resynced(view) => {
            let entries: Vec<String> = view
                .entries
                .iter()
                .map(|one| format!("{}={}", name(&one.key), text(one)))
                .collect();
            format!("all: {}", entries.join(" "))
        }
        other => panic!("{other:?}"),
    }
}

pub async fn all_told(watch: &mut Watch, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(told(&next(watch).await));
    }
    all
}

pub async fn a_guard_that_does_not_hold_lets_nothing_be_written(it: Engine<impl Store>) {
    let one = it.put("one", "1").await;
    let created = it.view("one").await.entries[0].created;
    let two = it.put("one", "2").await;
    let key = it.key("one");
    let refused = [
        Guard::Absent(key.clone()),
        Guard::Absent(it.root.clone()),
        Guard::Modified(key.clone(), one),
        Guard::Created(key.clone(), two),
        Guard::Created(it.key("other"), two),
        Guard::Modified(it.key("other"), two),
    ];
    for guard in refused {
        let txn = Txn::new().guard(guard.clone()).put(&key, "3").put(it.key("more"), "3");
        let outcome = it.commit(txn.guard(Guard::Modified(key.clone(), two)).read(&key)).await;
        assert!(!outcome.committed, "{guard:?}");
        assert_eq!(text(outcome.views[0].get(&key).unwrap()), "2");
        assert_eq!(it.value("more").await, None);
    }
    let held = Txn::new()
        .guard(Guard::Created(key.clone(), created))
        .guard(Guard::Modified(key.clone(), two))
        .guard(Guard::Absent(it.key("other")))
        .guard(Guard::Absent(it.key("other/")))
        .guard(Guard::Modified(it.key("other"), 0));
    assert!(it.commit(held.put(&key, "3").put(it.key("more"), "3")).await.committed);
    assert_eq!(it.value("one").await.unwrap(), "3");
    assert_eq!(it.value("more").await.unwrap(), "3");
}

pub async fn reads_are_of_one_revision_and_see_the_writes(it: Engine<impl Store>) {
    it.put("a/1", "x").await;
    it.put("b/1", "y").await;
    let txn = Txn::new().put(it.key("a/2"), "new").delete(it.key("b/1"));
    let txn = txn.read(it.key("a/")).read(it.key("b/")).read(it.key("a/2")).read(it.key("none"));
    let outcome = it.commit(txn).await;
    assert!(outcome.committed);
    assert!(outcome.views.iter().all(|view| view.revision == outcome.revision));
    let counts: Vec<usize> = outcome.views.iter().map(|view| view.entries.len()).collect();
    assert_eq!(counts, [2, 0, 1, 0]);
    let made = &outcome.views[2].entries[0];
    assert_eq!((made.created, made.modified), (outcome.revision, outcome.revision));
    assert_eq!(it.view("a/").await.entries, outcome.views[0].entries);
}

pub async fn a_name_is_a_key_or_all_below_it(it: Engine<impl Store>) {
    for name in ["v/1", "v/12", "v/1/x", "v", "w"] {
        it.put(name, name).await;
    }
    let names = async |name: &str| {
        let entries = it.view(name).await.entries;
        entries.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(names("v/1").await, ["v/1"]);
    assert_eq!(names("v/").await, ["v/1", "v/1/x", "v/12"]);
    assert_eq!(names("v/2").await, [""; 0]);
    assert_eq!(names("none/").await, [""; 0]);
}

pub async fn a_key_that_is_made_again_has_a_new_creation(it: Engine<impl Store>) {
    let first = it.put("epoch", "1").await;
    let again = it.put("epoch", "2").await;
    let entry = it.view("epoch").await.entries[0].clone();
    assert_eq!((entry.created, entry.modified), (first, again));
    it.commit(Txn::new().delete(it.key("epoch"))).await;
    let new = it.put("epoch", "2").await;
    let entry = it.view("epoch").await.entries[0].clone();
    assert_eq!((entry.created, entry.modified), (new, new));
    assert!(new > again);
    // Nothing is changed by removing what is not there.
    assert!(it.commit(Txn::new().delete(it.key("none"))).await.committed);
    assert_eq!(it.view("epoch").await.entries, [entry]);
}

pub async fn only_one_of_two_makes_a_key(it: Engine<impl Store>) {
    let make = |value: &'static str| {
        let txn = Txn::new().guard(Guard::Absent(it.key("verdict"))).put(it.key("verdict"), value);
        let store = it.store.clone();
        tokio::spawn(async move { (value, store.commit(txn).await.unwrap().committed) })
    };
    let tasks: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h"].into_iter().map(make).collect();
    let mut winners = Vec::new();
    for task in tasks {
        let (value, won) = task.await.unwrap();
        winners.extend(won.then_some(value));
    }
    assert_eq!(winners, [it.value("verdict").await.unwrap()]);
}

pub async fn what_is_too_much_is_refused(it: Engine<impl Store>) {
    let many = |count: usize| {
        (0..count).fold(Txn::new(), |txn, number| txn.put(it.key(&format!("n/{number}")), ""))
    };
    assert!(it.commit(many(128)).await.committed);
    let refused = it.store.commit(many(129)).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    let twice = Txn::new().put(it.key("one"), "1").put(it.key("one"), "2");
    let refused = it.store.commit(twice).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
}

pub async fn a_watch_tells_all_changes_in_order(it: Engine<impl Store>) {
    let before = it.put("h/a", "0").await;
    let mut below = it.store.watch(&it.key("h/"), before);
    let mut one = it.store.watch(&it.key("h/b"), before);
    timeout(SOON, below.opened()).await.unwrap();
    timeout(SOON, one.opened()).await.unwrap();
    it.put("h/a", "1").await;
    it.put("elsewhere", "1").await;
    it.commit(Txn::new().put(it.key("h/b"), "2").put(it.key("h/bb"), "2")).await;
    let gone = it.commit(Txn::new().delete(it.key("h/b")).put(it.key("h/a"), "3")).await.revision;
    let mut events = Vec::new();
    for _ in 0..5 {
        events.push(next(&mut below).await);
    }
    let mut all: Vec<String> = events.iter().map(told).collect();
    // Of one revision, in whichever order the engine likes.
    all[1..3].sort();
    all[3..5].sort();
    assert_eq!(all, ["a=1", "b=2", "bb=2", "a=3", "b-"]);
    let deleted = events.iter().find(|event| matches!(event, Event::Delete { .. })).unwrap();
    assert_eq!(*deleted, Event::Delete { key: it.key("h/b"), revision: gone });
    assert_eq!(all_told(&mut one, 2).await, ["b=2", "b-"]);
    for _ in 0..300 {
        it.put("h/c", "x").await;
    }
    let last = it.put("h/c", "y").await;
    let mut revision = gone;
    for _ in 0..301 {
        let Event::Put(entry) = next(&mut below).await else { panic!() };
        assert!(entry.modified > revision);
        revision = entry.modified;
    }
    assert_eq!(revision, last);
}

pub async fn a_watch_tells_what_was_before_it(it: Engine<impl Store>) {
    let first = it.put("h/a", "0").await;
    it.put("h/a", "1").await;
    it.put("h/b", "1").await;
    let mut late = it.store.watch(&it.key("h/"), first);
    assert_eq!(all_told(&mut late, 2).await, ["a=1", "b=1"]);
    it.put("h/a", "2").await;
    assert_eq!(all_told(&mut late, 1).await, ["a=2"]);
}

pub async fn a_lease_takes_its_keys_with_it(it: Engine<impl Store>) {
    let lease = it.store.lease(Duration::from_secs(2)).await.unwrap();
    let both = Txn::new().put_leased(it.key("h/a/live"), "1", &lease);
    let before = it.commit(both.put_leased(it.key("h/a/more"), "1", &lease)).await.revision;
    it.put("h/a/report", "1").await;
    let mut watch = it.store.watch(&it.key("h/"), before);
    lease.revoke().await.unwrap();
    let mut all = all_told(&mut watch, 3).await;
    all.sort();
    assert_eq!(all, ["live-", "more-", "report=1"]);
    assert_eq!(it.value("h/a/live").await, None);
    assert_eq!(it.value("h/a/report").await.unwrap(), "1");

    // Dropped, it runs out by itself.
    let lease = it.store.lease(Duration::from_secs(1)).await.unwrap();
    it.commit(Txn::new().put_leased(it.key("h/a/live"), "2", &lease)).await;
    assert_eq!(all_told(&mut watch, 1).await, ["live=2"]);
    drop(lease);
    assert_eq!(all_told(&mut watch, 1).await, ["live-"]);
}

pub async fn a_lease_is_kept_alive_for_as_long_as_it_is_held(it: Engine<impl Store>) {
    let lease = it.store.lease(Duration::from_secs(1)).await.unwrap();
    let before = it.commit(Txn::new().put_leased(it.key("live"), "1", &lease)).await.revision;
    let mut watch = it.store.watch(&it.key("live"), before);
    let silence = timeout(Duration::from_secs(6), watch.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    let lost = timeout(Duration::from_millis(10), lease.lost()).await;
    assert!(lost.is_err());
}

pub async fn a_key_with_a_lease_that_is_gone_is_refused(it: Engine<impl Store>) {
    let lease = it.store.lease(Duration::from_secs(5)).await.unwrap();
    let live = Txn::new().put_leased(it.key("live"), "1", &lease);
    lease.revoke().await.unwrap();
    assert_eq!(it.store.commit(live).await, Err(StoreError::LeaseGone));
    assert_eq!(it.value("live").await, None);
}
