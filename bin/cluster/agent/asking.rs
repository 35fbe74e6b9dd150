//! The verdict of what this host has certified: read until there is one, or until it is sure that there will be none.

use std::time::Duration;

use tokio::time::sleep;

use super::settings::Settings;
use crate::record::epoch::{Beginning, Epoch};
use crate::record::identity::Begun;
use crate::record::report::Failed;
use crate::record::value::decode;
use crate::record::verdict::Verdict;
use crate::store::{Store, StoreError};
use crate::words::exit::Exit;

/// Between two looks, doubled each time.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LONGEST_LOOK: Duration = Duration::from_secs(30);

/// The verdict, when there is one.
pub async fn verdict<S: Store>(store: &S, settings: &Settings, begun: &Begun) -> Option<Verdict> {
    let key = settings.keys.verdict(begun.id);
    let mut pause = FIRST_LOOK;
    loop {
        match store.range(&key).await {
            Ok(view) => match view.get(&key).map(|entry| decode::<Verdict>(&entry.value)) {
                Some(Ok(verdict)) if verdict.nonce == begun.nonce => return Some(verdict),
                Some(Ok(_)) => return lost(settings, begun),
                Some(Err(unreadable)) => settings.log.say(&format!("{key}: {unreadable}")),
                None => match unsaid(store, settings, begun).await {
                    Ok(Unsaid::Waiting) => {}
                    Ok(Unsaid::Never) => {
                        return Some(Verdict::aborted(
                            &begun.nonce,
                            given_up(),
                            &settings.machine,
                            "",
                        ));
                    }
                    Ok(Unsaid::Lost) => return lost(settings, begun),
                    Err(error) => settings.log.say(&format!("{key}: {error}")),
                },
            },
            Err(error) => settings.log.say(&format!("{key}: {error}")),
        }
        sleep(pause).await;
        pause = (2 * pause).min(LONGEST_LOOK);
    }
}

/// Why there is no verdict.
enum Unsaid {
    /// It may yet come.
    Waiting,
    /// The epoch's key is gone, so nothing but aborted can ever be said of it.
    Never,
    /// The store does not know of the epoch: each one but the last that began has a verdict.
    Lost,
}

/// What it means that there is none. The order counts: what is gone before there was a verdict cannot get one that is
/// any better.
async fn unsaid<S: Store>(
    store: &S,
    settings: &Settings,
    begun: &Begun,
) -> Result<Unsaid, StoreError> {
    let keys = &settings.keys;
    let epoch = store.range(&keys.epoch()).await?;
    let is_ours = |epoch: &Epoch| epoch.nonce == begun.nonce;
    if let Some(entry) = epoch.get(&keys.epoch()) {
        let shown = decode::<Epoch>(&entry.value);
        if entry.created as u64 == begun.id.0 && shown.is_ok_and(|epoch| is_ours(&epoch)) {
            return Ok(Unsaid::Waiting);
        }
    }
    let key = keys.verdict(begun.id);
    if store.range(&key).await?.get(&key).is_some() {
        // It came in between, and is read the next time.
        return Ok(Unsaid::Waiting);
    }
    let last = store.range(&keys.begun()).await?;
    let last = last.get(&keys.begun());
    let is_last = last.is_some_and(|entry| {
        let beginning = decode::<Beginning>(&entry.value);
        entry.modified as u64 == begun.id.0
            && beginning.is_ok_and(|beginning| beginning.nonce == begun.nonce)
    });
    Ok(if is_last { Unsaid::Never } else { Unsaid::Lost })
}

fn given_up() -> Failed {
    Failed {
        text: "the epoch was given up before there was a verdict".to_owned(),
        exit: Exit::CONFLICT.code(),
    }
}

/// Nobody knows: it may have been complete, and this host's part of it is not thrown away for that.
fn lost(settings: &Settings, begun: &Begun) -> Option<Verdict> {
    settings.log.say(&format!(
        "epoch {}: the store does not know any more what became of it, since it was restored from a backup or is long past; `stillpoint settle --group {} --epoch {}` says it here, if somebody does know",
        begun.id, settings.group, begun.id
    ));
    None
}
