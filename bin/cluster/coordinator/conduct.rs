//! The part of a coordinator that waits: it hands what the store tells to the [`Round`], and writes what that asks for.
//! A write is under way beside everything else, so that an end is seen at once.

use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::select;
use tokio::time::{Instant, sleep, sleep_until};

use super::abort::{abort, read};
use super::begin::Begun;
use super::round::{Action, Input, Round, failed};
use super::{Ended, Request, Told};
use crate::record::epoch::Phase;
use crate::record::identity::{self, Name};
use crate::record::keys::Place;
use crate::record::value::{decode_ours, encode};
use crate::record::verdict::{Outcome, Verdict};
use crate::store::{Event, Guard, Revision, Store, StoreError, Txn};
use crate::words::exit::Exit;
use crate::words::failure::Failure;

/// How long a verdict is tried for: the facts are durable, and an engine without quorum comes back.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long who was interrupted tries for it: the epoch's key goes with its lease, and all gates open.
const LAST_PATIENCE: Duration = Duration::from_secs(3);
/// Long enough for the election of a leader. Members keep their own limits meanwhile.
const PHASE_PATIENCE: Duration = Duration::from_secs(10);

/// A phase that is being written: what came of it, and the revision that put it, unless it is not to be any more.
type Write = Pin<Box<dyn Future<Output = (Phase, Result<Option<Revision>, StoreError>)> + Send>>;

/// Leads an epoch that has begun to its verdict.
pub async fn conduct<S: Store>(
    store: &S,
    request: &Request,
    mut begun: Begun,
    interrupted: impl Future<Output = String> + Send,
    told: &mut (impl FnMut(Told<'_>) + Send),
) -> Result<Ended, Failure> {
    let start = Instant::now();
    let mut round = Round::new(of(&begun), request.mode, request.limits, begun.members.clone());
    let mut interrupted = pin!(interrupted);
    let mut is_interrupted = false;
    let mut written = begun.written;
    let mut write: Option<Write> = None;
    let mut inputs = Vec::new();
    if !begun.unfit.is_empty() {
        inputs.push(Input::Interrupted(failed(Exit::CONFLICT, begun.unfit.join("; "))));
    }
    let outcome = 'epoch: loop {
        for input in inputs.drain(..) {
            let is_word = matches!(input, Input::Report(..));
            let action = round.take(input, start.elapsed());
            if is_word {
                told(Told::Awaited(&round.awaited()));
            }
            match action {
                None => {}
                Some(Action::Write(phase)) => {
                    write = Some(write_phase(store, request, &begun, written, phase));
                }
                Some(Action::Complete) => break 'epoch Ok(()),
                Some(Action::Abort(reason)) => break 'epoch Err(reason),
            }
        }
        let deadline = start + round.deadline().unwrap_or_default();
        select! {
            biased;
            event = begun.hosts.next() => match event {
                Ok(event) => inputs.extend(of_hosts(request, &begun, event)),
                Err(error) => inputs.push(Input::Interrupted(failed(error.exit(), error.to_string()))),
            },
            event = begun.epochs.next() => match event {
                Ok(event) => inputs.extend(is_gone(&begun, event).then_some(Input::Gone)),
                Err(error) => inputs.push(Input::Interrupted(failed(error.exit(), error.to_string()))),
            },
            () = begun.lease.lost() => inputs.push(Input::Gone),
            why = &mut interrupted, if !is_interrupted => {
                is_interrupted = true;
                inputs.push(Input::Interrupted(failed(Exit::CONFLICT, why)));
            }
            (phase, result) = finished(&mut write) => {
                write = None;
                inputs.push(match result {
                    Ok(Some(revision)) => {
                        written = revision;
                        told(Told::Phase(phase));
                        Input::Written(phase)
                    }
                    Ok(None) => Input::Gone,
                    Err(error) => {
                        let why = format!("the phase {phase} was not written: {error}");
                        Input::Interrupted(failed(error.exit(), why))
                    }
                });
            }
            () = sleep_until(deadline) => inputs.push(Input::Tick),
        }
    };
    drop(write);
    let ending = async {
        match outcome {
            Ok(()) => complete(store, request, &begun, &round, written).await,
            Err(reason) => {
                let store = store.patient(PATIENCE);
                let (of, why) = (of(&begun), reason.text.clone());
                let verdict =
                    abort(&store, &request.keys, &of, reason, &request.by, &request.when).await;
                verdict.map_err(|failure| {
                    Failure::new(failure.exit, format!("{why}; and no verdict could be written, which `stillpoint-cluster recover` does later: {failure}"))
                })
            }
        }
    };
    let given_up = async {
        if !is_interrupted {
            interrupted.await;
        }
        sleep(LAST_PATIENCE).await;
    };
    let verdict = select! {
        biased;
        verdict = ending => verdict?,
        () = given_up => {
            return Err(Failure::new(Exit::UNAVAILABLE, format!("interrupted, and the store does not answer: epoch {} has no verdict known here, and if it has none `stillpoint-cluster recover` writes it", begun.id)));
        }
    };
    let Begun { id, lease, .. } = begun;
    // It holds no key any more, and if it cannot be ended it ends itself.
    drop(lease.revoke().await);
    Ok(Ended { epoch: id, verdict })
}

async fn finished(write: &mut Option<Write>) -> (Phase, Result<Option<Revision>, StoreError>) {
    match write {
        Some(write) => write.await,
        None => pending().await,
    }
}

fn of(begun: &Begun) -> identity::Begun {
    identity::Begun { id: begun.id, nonce: begun.epoch.nonce.clone() }
}

/// Only while the epoch is as it was left, and the roster as it was at the beginning.
fn unchanged(request: &Request, begun: &Begun, written: Revision) -> Txn {
    Txn::new()
        .guard(Guard::Modified(request.keys.epoch(), written))
        .guard(Guard::Modified(request.keys.roster_version(), begun.roster))
}

fn write_phase<S: Store>(
    store: &S,
    request: &Request,
    begun: &Begun,
    written: Revision,
    phase: Phase,
) -> Write {
    let (store, key) = (store.patient(PHASE_PATIENCE), request.keys.epoch());
    let id = begun.id;
    let txn = unchanged(request, begun, written)
        .put_leased(key.clone(), encode(&begun.epoch.at(phase)), &begun.lease)
        .read(key.clone());
    Box::pin(async move {
        let result = store.commit(txn).await.map(|outcome| {
            let entry = outcome.views.first().and_then(|view| view.get(&key));
            let ours = entry.filter(|entry| outcome.committed && entry.created == id.0 as i64);
            ours.map(|entry| entry.modified)
        });
        (phase, result)
    })
}

/// What an event below the hosts' keys says. What was before the beginning is known.
fn of_hosts(request: &Request, begun: &Begun, event: Event) -> Vec<Input> {
    let is_news = |revision: Revision| revision > begun.id.0 as i64;
    let of = |key: &str, value: Option<&[u8]>| match request.keys.place(key)? {
        Place::Live(host) => Some(Input::Live(host, value.map(decode_ours))),
        Place::Report(host) => Some(Input::Report(host, decode_ours(value?))),
        _ => None,
    };
    match event {
        Event::Put(entry) if is_news(entry.modified) => {
            of(&entry.key, Some(&entry.value)).into_iter().collect()
        }
        Event::Delete { key, revision } if is_news(revision) => {
            of(&key, None).into_iter().collect()
        }
        Event::Put(_) | Event::Delete { .. } => Vec::new(),
        Event::Resynced(view) => {
            let there = view.entries.iter().filter_map(|entry| of(&entry.key, Some(&entry.value)));
            let gone = |host: &&Name| view.get(&request.keys.live(host)).is_none();
            let gone = begun.members.keys().filter(gone);
            // Reports first: a certificate outlives its agent.
            let (reports, mut rest): (Vec<_>, Vec<_>) =
                there.partition(|input| matches!(input, Input::Report(..)));
            rest.extend(gone.map(|host| Input::Live(host.clone(), None)));
            reports.into_iter().chain(rest).collect()
        }
    }
}

/// Whether the epoch's key is no longer this one.
fn is_gone(begun: &Begun, event: Event) -> bool {
    let id = begun.id.0 as i64;
    match event {
        Event::Put(entry) => entry.created > id,
        Event::Delete { revision, .. } => revision > id,
        Event::Resynced(view) => view.entries.iter().all(|entry| entry.created != id),
    }
}

/// Writes that the epoch is complete, unless something has changed or somebody has given it up; returns what is
/// written.
async fn complete<S: Store>(
    store: &S,
    request: &Request,
    begun: &Begun,
    round: &Round,
    written: Revision,
) -> Result<Verdict, Failure> {
    let (keys, id) = (&request.keys, begun.id);
    let (store, key) = (store.patient(PATIENCE), keys.verdict(id));
    let verdict = Verdict {
        nonce: begun.epoch.nonce.clone(),
        outcome: match begun.epoch.missing.is_empty() {
            true => Outcome::Complete,
            false => Outcome::Partial,
        },
        reason: None,
        mode: Some(request.mode),
        members: round.parts(),
        missing: begun.epoch.missing.clone(),
        by: request.by.clone(),
        when: request.when.clone(),
    };
    let txn = unchanged(request, begun, written)
        .guard(Guard::Absent(key.clone()))
        .put(key.clone(), encode(&verdict))
        .delete(keys.epoch())
        .read(key.clone());
    let outcome = store.commit(txn).await.map_err(|error| {
        Failure::new(error.exit(), format!("every member of epoch {id} has its certificate, and nobody knows whether the verdict was written: {error}; `stillpoint-cluster list` shows it later, or `recover` writes it"))
    })?;
    match read(&outcome, &key)? {
        Some(verdict) => Ok(verdict),
        None => {
            let why = failed(
                Exit::CONFLICT,
                "the epoch was given up, or the roster changed, before its verdict".to_owned(),
            );
            abort(&store, keys, &of(begun), why, &request.by, &request.when).await
        }
    }
}
