//! `stillpoint participant check`: the rules, one after another, and what became of each.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Context;
use clap::builder::{OsStringValueParser, TypedValueParser};
use serde_json::json;

use super::rules::{RULES, outcome};
use crate::process::signals::Signals;
use crate::stilling::participant::named::{self, With};
use crate::words::exit::Exit;
use crate::words::seconds;

const STATUS: &str = "\
Exit status:
   0  it keeps to all of the rules
   1  it does not
  64, 69 and others  as those of `stillpoint`";

const BROKEN: Exit = Exit::new(1);

#[derive(clap::Args)]
#[command(after_help = STATUS)]
pub struct Arguments {
    /// A participant, as the words of --with
    #[arg(value_name = "PARTICIPANT", value_parser = OsStringValueParser::new().try_map(|text| named::parse(&text)))]
    participant: With,

    /// How long it may take to get ready, and to freeze
    #[arg(long, value_name = "SECS", default_value = "10", allow_hyphen_values = true, value_parser = seconds::parse)]
    patience: Duration,

    /// Print the outcome as one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let signals = Signals::watch()?;
    // One that is not there breaks no rule.
    arguments.participant.command()?;
    let mut outcomes = Vec::new();
    for rule in RULES {
        let outcome = outcome(rule, &arguments.participant, arguments.patience);
        signals.check()?;
        if !arguments.json {
            print(&match &outcome {
                Ok(note) if note.is_empty() => format!("ok     {}", rule.name),
                Ok(note) => format!("ok     {} ({note})", rule.name),
                Err(what) => format!("FAILS  {}: {what}", rule.name),
            })?;
        }
        outcomes.push((rule.name, outcome));
    }
    let conforms = outcomes.iter().all(|(_, outcome)| outcome.is_ok());
    if arguments.json {
        let rules = outcomes.iter().map(|(rule, outcome)| {
            let said = outcome.as_ref().unwrap_or_else(|what| what);
            json!({ "rule": rule, "ok": outcome.is_ok(), "said": said })
        });
        let rules: Vec<_> = rules.collect();
        let name = arguments.participant.name();
        print(&json!({ "participant": name, "conforms": conforms, "rules": rules }).to_string())?;
    }
    Ok(if conforms { Exit::SUCCESS } else { BROKEN })
}

fn print(line: &str) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).context("standard output")
}
