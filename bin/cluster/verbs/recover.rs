//! `recover`: an epoch whose coordinator died gets its verdict.

use super::context::{Context, when};
use super::shown;
use crate::coordinator::recover::{Found, recover};
use crate::record::identity::EpochId;
use crate::record::verdict::Verdict;
use crate::words::exit::Exit;
use crate::words::failure::Failure;
use crate::words::lines::{print, say};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Give up an epoch that is under way, too: every host opens its gate
    #[arg(long)]
    give_up: bool,

    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let store = context.store()?;
    let found = recover(&store, &context.keys, arguments.give_up, &context.by(), &when()).await?;
    let show = |what: &str, epoch: EpochId, verdict: &Verdict| {
        if !arguments.json {
            say(format!("epoch {epoch} {what} {}", verdict.outcome.word()));
            return Ok(());
        }
        let json = shown::verdict(&context.configuration.group, epoch, verdict);
        let text = serde_json::to_string_pretty(&json).unwrap_or_default() + "\n";
        print(&text).map(drop)
    };
    match found {
        Found::Nothing => say("no epoch has ever begun"),
        Found::Settled(epoch, verdict) => show("has its verdict:", epoch, &verdict)?,
        Found::Recovered(epoch, verdict) => show("has its verdict now:", epoch, &verdict)?,
    }
    Ok(Exit::SUCCESS)
}
