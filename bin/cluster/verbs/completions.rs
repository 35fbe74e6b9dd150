//! `completions`: a completion script for a shell, as `stillpoint` makes its own.
//!
//! Which hosts there are, the script asks for when a word is to be completed, and the store is asked for it then; one
//! that does not answer has none. `stillpoint cluster` asks for verbs and options as well.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use clap_complete::Shell;

#[path = "../../stillpoint/verbs/completions/place.rs"]
mod place;
#[path = "../../stillpoint/verbs/completions/script.rs"]
mod script;

use self::place::Place;
use super::command;
use super::context::{Common, Context};
use crate::record::keys;
use crate::store::Store;
use crate::words::exit::Exit;
use crate::words::failure::Failure;
use crate::words::lines::{PROGRAM, print};

/// Somebody has pressed a key.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(override_usage = "stillpoint-cluster completions SHELL")]
pub struct Arguments {
    /// The shell to print it for
    #[arg(required_unless_present_any = ["names", "words"])]
    shell: Option<Shell>,

    /// Print the names that the last word may become, for such a script
    #[arg(long, hide = true, num_args = 0.., value_name = "WORD", allow_hyphen_values = true)]
    names: Option<Vec<OsString>>,

    /// The same, with verbs and options, for the script of stillpoint
    #[arg(long, hide = true, num_args = 0.., value_name = "WORD", allow_hyphen_values = true, conflicts_with = "names")]
    words: Option<Vec<OsString>>,
}

pub async fn run(common: &Common, arguments: &Arguments) -> Result<Exit, Failure> {
    let mut cli = command();
    cli.build();
    let text = match (&arguments.shell, &arguments.names, &arguments.words) {
        (_, Some(words), _) => completed(common, &cli, words, false).await,
        (_, _, Some(words)) => completed(common, &cli, words, true).await,
        (Some(shell), ..) => script::script(*shell, PROGRAM, &mut cli)
            .map_err(|error| Failure::new(Exit::INTERNAL, error.to_string()))?,
        (None, ..) => String::new(),
    };
    print(&text)?;
    Ok(Exit::SUCCESS)
}

/// A line for each word that the last of these may become.
async fn completed(
    common: &Common,
    cli: &clap::Command,
    words: &[OsString],
    with_verbs: bool,
) -> String {
    let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let Some((typed, before)) = words.split_last() else { return String::new() };
    let mut text = String::new();
    if with_verbs {
        text.extend(place::words(cli, before, typed).iter().map(|word| format!("{word}\n")));
    }
    let Some(place) = Place::of(cli, before, typed) else { return text };
    if place.kinds.iter().any(|kind| kind == "HOST") {
        text += &place.lines(hosts(&named(common, before)).await.unwrap_or_default());
    }
    text
}

/// The configuration that the line names.
fn named(common: &Common, words: &[&str]) -> Common {
    let after = words.iter().skip_while(|word| **word != "--config").nth(1).copied();
    let joined = words.iter().find_map(|word| word.strip_prefix("--config="));
    after.or(joined).map_or_else(|| common.clone(), |file| Common { config: file.into() })
}

/// The members of the group.
async fn hosts(common: &Common) -> Option<Vec<String>> {
    let context = Context::new(common).ok()?;
    let store = context.store().ok()?.patient(PATIENCE);
    let roster = store.range(&context.keys.rosters()).await.ok()?;
    let of = |key: &str| match context.keys.place(key)? {
        keys::Place::Roster(host) => Some(host.to_string()),
        _ => None,
    };
    Some(roster.entries.iter().filter_map(|entry| of(&entry.key)).collect())
}
