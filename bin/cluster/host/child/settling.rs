//! Saying a verdict on the host: to the run that waits for it, or to the catalogue when that run is gone.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::{Child, failed, status};
use crate::record::identity::EpochId;
use crate::record::report::Failed;
use crate::record::verdict::{Outcome, Verdict};
use crate::words::exit::Exit;

/// The next try comes after so long, and each that follows after twice as long.
const FIRST: Duration = Duration::from_millis(200);
/// A run that is ending, or a reader, keeps it waiting; a disk may be full.
const TRIES: u32 = 10;

/// The verdict as a run hears it.
pub fn word(verdict: &Verdict) -> String {
    match verdict.outcome {
        Outcome::Aborted => format!("aborted {}", reason(verdict)),
        outcome => format!("{} {}", outcome.word(), members(verdict)),
    }
}

/// On one line.
fn reason(verdict: &Verdict) -> String {
    let reason = verdict.reason.as_ref().map_or("nobody says why", |reason| &reason.text);
    reason.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn members(verdict: &Verdict) -> Value {
    let parts = verdict.members.iter().map(|(name, part)| (name.as_str(), &part.snapshot));
    json!({ "members": parts.collect::<BTreeMap<_, _>>() })
}

/// Says it to the catalogue, again and again for a while.
pub async fn settle(host: &Child, epoch: EpochId, verdict: &Verdict) -> Result<(), Failed> {
    let mut pause = FIRST;
    for _ in 0..TRIES {
        match once(host, epoch, verdict).await {
            Err(failed) if is_for_now(failed.exit) => sleep(pause).await,
            // What was never certified here is no part of anything, and is gone or goes by itself.
            Err(failed) if failed.exit == Exit::MISSING.code() && !verdict.is_good() => {
                return Ok(());
            }
            settled => return settled,
        }
        pause *= 2;
    }
    once(host, epoch, verdict).await
}

fn is_for_now(exit: u8) -> bool {
    [Exit::CONFLICT, Exit::SYSTEM, Exit::UNAVAILABLE].iter().any(|one| one.code() == exit)
}

async fn once(host: &Child, epoch: EpochId, verdict: &Verdict) -> Result<(), Failed> {
    let (group, number) = (host.0.group.as_str(), epoch.to_string());
    let fixed = ["settle", "--group", group, "--epoch", &number, "--nonce", &verdict.nonce];
    let more = host.0.work.catalogue();
    let mut program = host.program(fixed.into_iter().chain(more.iter().map(String::as_str)));
    match verdict.outcome {
        Outcome::Aborted => program.arg(format!("--reason={}", reason(verdict))),
        _ => program.arg("--members=-"),
    };
    program.arg(verdict.outcome.word()).kill_on_drop(true);
    program.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = program.spawn().map_err(|error| host.cannot_run(&error))?;
    if let Some(mut input) = child.stdin.take() {
        // Who reads nothing has said why, or has no need to.
        let _ = input.write_all(members(verdict).to_string().as_bytes()).await;
    }
    let ended = child.wait_with_output().await.map_err(|error| host.cannot_run(&error))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let said = said.lines().last().unwrap_or("stillpoint settle has failed").to_owned();
    Err(match status(ended.status) {
        Some(exit) => Failed { text: said, exit },
        None => failed(Exit::SYSTEM, said),
    })
}
