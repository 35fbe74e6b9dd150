//! What there is to say of one series of snapshots.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use crate::catalogue::identity::Presence;
use crate::catalogue::manifest::{Manifest, Status};
use crate::words::waiting::who;

/// What a snapshot is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Clean,
    NotClean,
    Failed,
    Gone,
    Unfinished,
}

impl State {
    pub const ALL: [State; 5] =
        [State::Clean, State::NotClean, State::Failed, State::Gone, State::Unfinished];

    fn of(manifest: &Manifest) -> State {
        match (manifest.status, manifest.clean) {
            (Status::Complete, _)
                if matches!(manifest.presence(), Presence::Gone | Presence::Replaced) =>
            {
                State::Gone
            }
            (Status::Complete, true) => State::Clean,
            (Status::Complete, false) => State::NotClean,
            (Status::Failed | Status::Revoked, _) => State::Failed,
            (Status::Pruning, _) => State::Gone,
            (Status::Begun | Status::Certified, _) => State::Unfinished,
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            State::Clean => "clean",
            State::NotClean => "not clean",
            State::Failed => "failed",
            State::Gone => "pruned or gone",
            State::Unfinished => "unfinished",
        }
    }

    /// Its class in the page's style.
    pub fn class(self) -> &'static str {
        match self {
            State::Clean => "clean",
            State::NotClean => "dirty",
            State::Failed => "failed",
            State::Gone => "gone",
            State::Unfinished => "unfinished",
        }
    }
}

/// One snapshot.
pub struct Shot<'a> {
    pub manifest: &'a Manifest,
    pub state: State,
    pub taken: Option<Timestamp>,
    pub pause_ms: Option<f64>,
    pub drain_ms: Option<f64>,
}

/// Who was waited for, how often, and how long at the longest.
pub struct Waited {
    pub who: String,
    pub times: usize,
    pub longest_ms: f64,
}

/// Snapshots that replace each other, in their order.
pub struct Series<'a> {
    pub shots: Vec<Shot<'a>>,
    pub waited: Vec<Waited>,
}

impl<'a> Series<'a> {
    /// Of the manifests of one, which are not none.
    pub fn of(manifests: &[&'a Manifest]) -> Series<'a> {
        let shots = manifests.iter().map(|manifest| {
            let pause = manifest.pause.as_ref();
            let finite = |number: f64| Some(number).filter(|number| number.is_finite());
            Shot {
                manifest,
                state: State::of(manifest),
                taken: manifest.taken_at(),
                pause_ms: pause.and_then(|pause| pause.pause_ms).and_then(finite),
                drain_ms: pause.map(|pause| pause.drain_ms).and_then(finite),
            }
        });
        Series { shots: shots.collect(), waited: waited(manifests) }
    }

    pub fn newest(&self) -> &'a Manifest {
        self.shots.last().expect("a series has a snapshot").manifest
    }

    pub fn newest_clean(&self) -> Option<&Shot<'a>> {
        self.shots.iter().rev().find(|shot| shot.state == State::Clean)
    }

    pub fn count(&self, state: State) -> usize {
        self.shots.iter().filter(|shot| shot.state == state).count()
    }
}

/// The verdict on its data; nothing if nobody looked.
pub fn verified(manifest: &Manifest) -> Option<String> {
    let value = json!(manifest)["verified"].take();
    let ok = value["ok"].as_bool()?;
    let (at, by) = (value["at"].as_str().unwrap_or("?"), value["by"].as_str().unwrap_or("?"));
    Some(format!("{} at {at} by {by}", if ok { "good" } else { "bad" }))
}

/// By what they call themselves, as a process has another number each time. The most often first.
fn waited(manifests: &[&Manifest]) -> Vec<Waited> {
    let mut found: BTreeMap<(&str, &str), Waited> = BTreeMap::new();
    for manifest in manifests {
        let waited = manifest.pause.iter().flat_map(|pause| &pause.waited_for);
        for writer in waited.chain(&manifest.inside) {
            let one = found.entry((&writer.comm, &writer.label)).or_insert_with(|| {
                let name = who(1, &writer.comm, &writer.label).replace("[1]", "");
                Waited { who: name, times: 0, longest_ms: 0.0 }
            });
            one.times += 1;
            one.longest_ms = one.longest_ms.max(writer.held_ms);
        }
    }
    let mut found: Vec<Waited> = found.into_values().collect();
    found.sort_by(|a, b| b.times.cmp(&a.times).then(b.longest_ms.total_cmp(&a.longest_ms)));
    found
}
