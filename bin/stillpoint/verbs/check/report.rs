//! What the check prints: as a plug-in of Nagios, or an object.
//!
//! A bar begins the numbers there, on any line, so there is none in a text.

use std::io::{Write, stdout};

use anyhow::Context;
use serde_json::json;

use super::finding::{Finding, Findings, Level, Measure};
use crate::words::output::escaped;

pub fn text(findings: &Findings) -> anyhow::Result<()> {
    let sorted = findings.sorted();
    let (worst, state) = (findings.worst(), findings.state());
    let said = match sorted.first() {
        Some(first) if worst > Level::Unseen => {
            let others = sorted.iter().filter(|one| one.level > Level::Unseen).count() - 1;
            let others = if others > 0 { format!(" (and {others} more)") } else { String::new() };
            format!("{}{others}", line(first))
        }
        _ => {
            let barriers = findings.findings.iter().filter(|one| one.check == "barrier").count();
            let s = if barriers == 1 { "" } else { "s" };
            format!("{barriers} barrier{s}, nothing wrong")
        }
    };
    let measures: Vec<String> = findings.measures.iter().map(measure).collect();
    let numbers =
        if measures.is_empty() { String::new() } else { format!(" | {}", measures.join(" ")) };
    let mut text = format!("STILLPOINT {} - {said}{numbers}\n", state.name());
    for finding in sorted {
        text.push_str(&format!("{}: {}\n", finding.level.name(), line(finding)));
    }
    print(&text)
}

fn line(finding: &Finding) -> String {
    let subject = match finding.subject.is_empty() {
        true => String::new(),
        false => format!("{}: ", finding.subject),
    };
    escaped(&format!("{subject}{}", finding.message)).replace('|', "/")
}

/// `'label'=value[UNIT];[warn];[crit];0`.
fn measure(measure: &Measure) -> String {
    let label: String = escaped(&measure.label).replace(['\'', '=', '|'], "_");
    let limit = |limit: Option<f64>| limit.map(|limit| limit.to_string()).unwrap_or_default();
    let (warning, critical) = (limit(measure.warning), limit(measure.critical));
    format!("'{label}'={}{};{warning};{critical};0", measure.value, measure.unit)
}

pub fn json(findings: &Findings) -> anyhow::Result<()> {
    let all: Vec<_> = findings
        .sorted()
        .iter()
        .map(|one| {
            json!({
                "level": one.level.name().to_lowercase(),
                "check": one.check,
                "subject": one.subject,
                "message": one.message,
            })
        })
        .collect();
    let measures: Vec<_> = findings
        .measures
        .iter()
        .map(|one| json!({ "label": one.label, "value": one.value, "unit": one.unit }))
        .collect();
    let state = findings.state();
    let object = json!({
        "schema": 1,
        "level": state.name().to_lowercase(),
        "exit": state.exit().code(),
        "findings": all,
        "measures": measures,
    });
    print(&(object.to_string() + "\n"))
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut output = stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).context("standard output")
}
