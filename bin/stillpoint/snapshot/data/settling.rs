//! The verdict on a group's snapshot, carried out on one part of it.
//!
//! It is written down first; from then on whoever comes by ([`sweep`]) finishes what we may not get to: the data gets its
//! name, or goes. So a verdict that was begun to be carried out is carried out, and no other one can be.

use std::io;

use super::sweep;
use crate::catalogue::entry::Entry;
use crate::catalogue::group::{Sentence, Standing};
use crate::catalogue::manifest::Manifest;
use crate::words::exit::{Exit, Failure};

/// Also one that is known already, and whose end is still to come.
pub fn settle(
    entry: &mut Entry,
    manifest: &mut Manifest,
    sentence: &Sentence,
) -> Result<(), Failure> {
    let cannot = |manifest: &Manifest| {
        let name = manifest.name.clone();
        move |error| Failure::system(format_args!("{name}: carrying out the verdict"), error)
    };
    let on = manifest.group.as_ref().map(|group| sentence.on(group, &manifest.name));
    let sentence = &on.unwrap_or_else(|| Ok(sentence.clone())).map_err(|what| {
        let message = format!("{}: is no part of it: {what}; nothing was changed", manifest.name);
        Failure::new(Exit::DATA, message)
    })?;
    match manifest.stands_to(sentence.verdict()) {
        Standing::Known => {}
        Standing::Awaited => {
            let mut told = manifest.clone();
            told.hear(sentence);
            match entry.write(&told) {
                // Nothing can be written where the disk is full, which is the very time to remove something.
                Err(error) if told.is_aborted() && is_full(&error) => {}
                written => written.map_err(cannot(manifest))?,
            }
            *manifest = told;
        }
        Standing::Contradicted => return Err(contradiction(manifest, sentence)),
    }
    if manifest.is_unfinished() {
        sweep::finish(entry, manifest).map(drop).map_err(cannot(manifest))?;
    }
    Ok(())
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn contradiction(manifest: &Manifest, sentence: &Sentence) -> Failure {
    let known = manifest.group.as_ref().and_then(|group| group.verdict);
    let is = match known {
        Some(verdict) => format!("is {} already", verdict.word()),
        None if manifest.group.is_none() => "is of no group".to_owned(),
        None => "has no certificate here".to_owned(),
    };
    let message = format!(
        "{}: {is} and cannot become {}; nothing was changed",
        manifest.name,
        sentence.verdict().word()
    );
    Failure::new(Exit::DATA, message)
}
