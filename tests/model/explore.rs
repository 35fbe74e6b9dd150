//! Explores a model to its end: what holds must hold in every state, and what is known to be bad must be
//! caught.

use crate::graph;
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

/// The way home is searched in graphs of at most so many states: they are kept in memory whole.
const MOST: usize = 30_000_000;

/// A model of which all states can be visited.
pub trait Explored:
    Model<
        State: Copy + Debug + Hash + PartialEq + Send + Sync,
        Action: Copy + Debug + PartialEq + Send + Sync,
    > + Clone
    + Send
    + Sync
    + 'static
{
    fn name(&self) -> &'static str;

    /// What is left out of it, where it is known to be bad.
    fn variant(&self) -> Option<String>;

    fn first(&self) -> Self::State;

    /// What the action makes of a state, and the name of the step that it is.
    fn next(
        &self,
        state: &Self::State,
        action: &Self::Action,
    ) -> Option<(Self::State, &'static str)>;

    /// Whether everybody who can do anything has done what they began.
    fn is_at_rest(&self, state: &Self::State) -> bool;

    /// Whether one may count on it that this happens.
    fn is_sure(&self, state: &Self::State, action: &Self::Action) -> bool;

    /// A step, as a line of a path.
    fn line(&self, state: &Self::State, action: &Self::Action, name: &str) -> String;
}

/// Explores the scene to its end: every property holds in every state, and from each there is a way
/// home.
pub fn holds(scene: impl Explored) {
    let (name, started) = (scene.name(), Instant::now());
    let failure = HasDiscoveries::AnyFailures;
    let checker = scene.clone().checker().threads(2).finish_when(failure).spawn_bfs().join();
    let states = checker.unique_state_count();
    let mut found = checker.discoveries();
    for property in scene.properties() {
        match (property.expectation, found.remove(property.name)) {
            (Expectation::Sometimes, None) => panic!("{name}: never {}", property.name),
            (Expectation::Sometimes, Some(_)) | (_, None) => {}
            (_, Some(path)) => {
                let told = told(&scene, &path.into_actions());
                panic!("{name}: {} fails:\n{told}", property.name)
            }
        }
    }
    let home = if states <= MOST {
        let graph = graph::explore(&scene);
        assert_eq!(graph.states, states, "both searches meet the same states");
        if let Some(way) = graph.lost {
            panic!("{name}: no way home after\n{}", told(&scene, &way));
        }
        "a way home from each"
    } else {
        "too many to search for the way home"
    };
    let (transitions, depth) = (checker.state_count(), checker.max_depth());
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{name}: {states} states, {home}; {transitions} transitions, {depth} steps deep, {seconds:.1} s"
    );
}

/// The scene's variant must violate the property.
pub fn caught(scene: impl Explored, property: &'static str) {
    let only = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let checker = scene.clone().checker().finish_when(only).spawn_bfs().join();
    let path = checker.discovery(property).map(stateright::Path::into_actions);
    report(&scene, &format!("{property} fails"), path);
}

/// The scene's variant must leave somebody without a way home.
pub fn lost(scene: impl Explored) {
    let path = graph::explore(&scene).lost;
    report(&scene, "no way home", path);
}

fn report<M: Explored>(scene: &M, what: &str, path: Option<Vec<M::Action>>) {
    let (name, variant) = (scene.name(), scene.variant().expect("a variant of the scene"));
    let Some(actions) = path else {
        panic!("{name} holds with {variant}, where this was foretold: {what}");
    };
    println!("{name} with {variant}: {what} after {} steps", actions.len());
    if std::env::var_os("STILLPOINT_MODEL_PATHS").is_some() {
        println!("{}", told(scene, &actions));
    }
}

/// A path, by the names of its steps.
fn told<M: Explored>(scene: &M, actions: &[M::Action]) -> String {
    let mut state = scene.first();
    let mut lines = Vec::new();
    for action in actions {
        let (next, name) = scene.next(&state, action).expect("it happened before");
        lines.push(format!("  {}", scene.line(&next, action, name)));
        state = next;
    }
    format!("{}\n{state:#?}", lines.join("\n"))
}
