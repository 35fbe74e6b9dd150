//! What the check prints: a table and what to do, or an object.

use std::io::{Write, stdout};

use anyhow::Context;
use serde_json::json;

use super::Findings;
use crate::catalogue::cover::CoverRecord;
use crate::catalogue::manifest::SCHEMA;
use crate::stilling::locks::Lasting;
use crate::words::output::escaped;
use crate::words::table::{Cell, table};

pub fn json(findings: &Findings) -> anyhow::Result<()> {
    let object = json!({
        "schema": SCHEMA,
        "path": findings.path.display().to_string(),
        "covered": findings.sight.covered(),
        "writers": findings.sight.writers,
        "unseen": findings.sight.unseen,
        "faults": findings.faults,
        "locks": findings.locks.iter().map(|lock| &lock.text).collect::<Vec<_>>(),
        "advice": findings.advice,
    });
    print(&(object.to_string() + "\n"))
}

const HEAD: [&str; 5] = ["PID", "COMMAND", "UNIT", "COVER", "FILES"];

pub fn text(findings: &Findings) -> anyhow::Result<()> {
    let mut text = String::new();
    let writers = &findings.sight.writers;
    if !writers.is_empty() {
        text.push_str(&table("", HEAD, writers.iter().map(row).collect(), None, &[]));
    }
    if writers.is_empty() {
        let path = findings.path.display().to_string();
        text.push_str(&format!("nobody has files open for writing below {}\n", escaped(&path)));
    }
    let lasts = |lock: &Lasting| {
        let what = match lock.is_of_sqlite {
            true => "it guards a database: leave it counted, and freeze who has it",
            false => {
                "if it is for life, and guards no data, leave it out: --adopted-ignore, and ignore in the settings"
            }
        };
        format!("{}: held each time that it was looked at; {what}", lock.text)
    };
    let locks: Vec<String> = findings.locks.iter().map(lasts).collect();
    for line in findings.advice.iter().chain(&locks).chain(&findings.faults) {
        text.push_str(&escaped(line));
        text.push('\n');
    }
    print(&text)
}

fn row(writer: &CoverRecord) -> [Cell; 5] {
    [
        writer.pid.to_string(),
        writer.comm.clone(),
        writer.unit.clone().unwrap_or_else(|| "-".to_owned()),
        json!(writer.how).as_str().unwrap_or_default().to_owned(),
        writer.files.join(" "),
    ]
    .map(Cell::new)
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut output = stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).context("standard output")
}
