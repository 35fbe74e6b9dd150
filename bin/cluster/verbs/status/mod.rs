//! `status`: the hosts, what their barriers look like, the epoch under way and the last ones.

mod look;
mod watch;

use self::look::{status, text};
use super::context::Context;
use crate::words::exit::Exit;
use crate::words::failure::Failure;
use crate::words::lines::print;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Show it again whenever something changes, until interrupted
    #[arg(long)]
    watch: bool,

    /// Print JSON; with --watch one object a line
    #[arg(long)]
    json: bool,
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<Exit, Failure> {
    let store = context.store()?;
    if arguments.watch {
        return watch::watch(context, &store, arguments.json).await;
    }
    let status = status(context, &store).await?;
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&status).unwrap_or_default() + "\n",
        false => text(&status),
    };
    print(&text)?;
    Ok(Exit::SUCCESS)
}
