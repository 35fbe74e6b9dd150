//! What the verb prints: the snapshot's path alone on standard output, or with `--json` the
//! manifest, or, when it did not come to one, an object that says why.

use anyhow::Context;
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::catalogue::manifest::{Manifest, SCHEMA};
use crate::process::ending::from_error;
use crate::selection::shown;
use crate::snapshot::arguments::Arguments;
use crate::words::exit::Exit;
use crate::words::lines::say;
use crate::words::output::is_journal;

pub fn print(
    arguments: &Arguments,
    manifest: Option<&Manifest>,
    error: Option<&anyhow::Error>,
) -> anyhow::Result<()> {
    if arguments.json {
        return line(&report(arguments, manifest, error).to_string());
    }
    match (manifest, error) {
        (Some(manifest), None) if arguments.dry_run => {
            say(&format!("would {}", intention(manifest)));
            Ok(())
        }
        (Some(manifest), None) => line(&shown::line(manifest)),
        _ => Ok(()),
    }
}

/// One line on how it went, for the journal, with what is worth searching for.
pub fn log(manifest: &Manifest, error: Option<&anyhow::Error>) {
    if !is_journal() {
        return;
    }
    let pause = manifest.pause.as_ref();
    let milliseconds = |what: Option<f64>| what.map_or("-".to_owned(), |what| format!("{what:.3}"));
    let reason = error.map(|error| format!("{error:#}")).or_else(|| manifest.reason.clone());
    say(&format!(
        "snapshot name={} status={} clean={} provider={} attempts={} pause_ms={} drain_ms={} waited_for={} covered={} reason={:?}",
        manifest.name,
        json!(manifest.status).as_str().unwrap_or_default(),
        manifest.clean,
        manifest.provider,
        manifest.attempts,
        milliseconds(pause.and_then(|pause| pause.pause_ms)),
        milliseconds(pause.map(|pause| pause.drain_ms)),
        pause.map_or(0, |pause| pause.waited_for.len()),
        manifest.covered.map_or("-", |covered| if covered { "true" } else { "false" }),
        reason.unwrap_or_default(),
    ));
}

fn report(
    arguments: &Arguments,
    manifest: Option<&Manifest>,
    error: Option<&anyhow::Error>,
) -> Value {
    let mut report = match manifest {
        Some(manifest) => json!(manifest),
        None => json!({ "schema": SCHEMA, "status": "failed" }),
    };
    if arguments.dry_run {
        report["dry_run"] = json!(true);
        report["status"] = json!(if error.is_none() { "planned" } else { "failed" });
    }
    let exit = error.map_or(Exit::SUCCESS, |error| from_error(error, Exit::CONFLICT));
    if let Some(error) = error {
        report["reason"] = json!(format!("{error:#}"));
        // Refused before it was begun.
        if report["status"] == "begun" {
            report["status"] = json!("failed");
        }
    }
    report["exit"] = json!(exit.code());
    report
}

/// What a dry run found that it could do.
fn intention(manifest: &Manifest) -> String {
    let barriers: Vec<String> =
        manifest.barriers.iter().map(|barrier| barrier.barrier.display().to_string()).collect();
    let work = match &manifest.command {
        None => {
            let sources: Vec<String> =
                manifest.sources.iter().map(|source| source.display().to_string()).collect();
            format!(
                "make {} from {} by --{}",
                manifest.places().join(", "),
                sources.join(", "),
                manifest.provider
            )
        }
        Some(command) => {
            let more = if manifest.arguments == Some(0) { "" } else { " ..." };
            format!("run {}{more}", command.join(" "))
        }
    };
    format!("close {} and {work}", barriers.join(", "))
}

fn line(text: &str) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{text}").and_then(|()| output.flush()).context("standard output")
}
