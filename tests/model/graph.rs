//! The way home: from every state, everybody who can do anything gets to where nothing is left to do
//! that they have begun, by steps that one may count on.
//!
//! The whole graph is collected, and searched backwards from the states at rest. What is never met
//! there has no way home: a deadlock, or a circle that nobody leaves. Kills, stops, favours and what
//! a program might choose to do are in the graph, but not on the way.

use crate::explore::Explored;
use std::collections::HashMap;

pub struct Graph<Action> {
    pub states: usize,
    /// The way to the first state, in the order of the search, that has no way home.
    pub lost: Option<Vec<Action>>,
}

/// Where a state was first reached from, and how.
type Origin<Action> = (u32, Option<Action>);

pub fn explore<M: Explored>(scene: &M) -> Graph<M::Action> {
    let first = scene.first();
    let hasher = ahash::RandomState::with_seed(1);
    let mut number: HashMap<u64, u32> = HashMap::from([(hasher.hash_one(first), 0)]);
    let mut origins: Vec<Origin<M::Action>> = vec![(0, None)];
    let mut homes: Vec<u32> = Vec::new();
    let mut sure: Vec<(u32, u32)> = Vec::new();
    let mut frontier = vec![(0, first)];
    let mut actions = Vec::new();
    while !frontier.is_empty() {
        for (from, state) in std::mem::take(&mut frontier) {
            if scene.is_at_rest(&state) {
                homes.push(from);
            }
            actions.clear();
            scene.actions(&state, &mut actions);
            for action in &actions {
                let Some(next) = scene.next_state(&state, *action) else { continue };
                let fresh = origins.len() as u32;
                let to = *number.entry(hasher.hash_one(next)).or_insert(fresh);
                if to == fresh {
                    origins.push((from, Some(*action)));
                    frontier.push((to, next));
                }
                if to != from && scene.is_sure(&state, action) {
                    sure.push((from, to));
                }
            }
        }
    }
    drop(number);
    let home = backwards(origins.len(), &sure, homes);
    let lost = home.iter().position(|home| !home).map(|at| way(&origins, at));
    Graph { states: origins.len(), lost }
}

/// Marks what leads to the given states.
fn backwards(states: usize, edges: &[(u32, u32)], mut open: Vec<u32>) -> Vec<bool> {
    let mut starts = vec![0_u32; states + 1];
    edges.iter().for_each(|(_, to)| starts[*to as usize + 1] += 1);
    for at in 0..states {
        starts[at + 1] += starts[at];
    }
    let mut fill = starts.clone();
    let mut sources = vec![0; edges.len()];
    for (from, to) in edges {
        let at = &mut fill[*to as usize];
        sources[*at as usize] = *from;
        *at += 1;
    }
    let mut found = vec![false; states];
    open.iter().for_each(|state| found[*state as usize] = true);
    while let Some(to) = open.pop() {
        let range = starts[to as usize] as usize..starts[to as usize + 1] as usize;
        for from in &sources[range] {
            if !std::mem::replace(&mut found[*from as usize], true) {
                open.push(*from);
            }
        }
    }
    found
}

/// How a state is reached.
fn way<Action: Copy>(origins: &[Origin<Action>], mut at: usize) -> Vec<Action> {
    let mut actions = Vec::new();
    while let (from, Some(action)) = origins[at] {
        actions.push(action);
        at = from as usize;
    }
    actions.reverse();
    actions
}
