//! What Prometheus is told of an agent, by a file for the textfile collector of the node exporter.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use crate::agent::{Counted, Totals};
use crate::record::identity::Name;
use crate::words::lines::say;

/// How soon a change is in the file.
const PACE: Duration = Duration::from_secs(1);
/// It is written so often though nothing has changed: an alert counts how old its time is.
const UNCHANGED: Duration = Duration::from_secs(15);

/// Keeps the file as it should be, until it is dropped.
pub async fn keep(file: &Path, group: &Name, host: &Name, totals: &Totals) {
    let (mut written, mut at) = (String::new(), Instant::now());
    let mut has_failed = false;
    loop {
        let samples = samples(group, host, &totals.read());
        if samples != written || at.elapsed() >= UNCHANGED {
            let result = write(file, &format!("{}{samples}", age(group, host, SystemTime::now())));
            if let (Err(error), false) = (&result, has_failed) {
                say(format!("{}: cannot write the metrics: {error}", file.display()));
            }
            has_failed = result.is_err();
            (written, at) = (samples, Instant::now());
        }
        sleep(PACE).await;
    }
}

/// A metric: its name, its kind, and what it means. stillpoint-metrics(7) has the same list.
struct Metric(&'static str, &'static str, &'static str);

const REPORT: Metric = Metric(
    "stillpoint_cluster_report_timestamp_seconds",
    "gauge",
    "When the agent wrote this: it lives.",
);
const MEMBER: Metric = Metric(
    "stillpoint_cluster_member",
    "gauge",
    "1 if the host takes part: it is in the roster, the store answers, and nobody else is this host.",
);
const BEGUN: Metric = Metric(
    "stillpoint_cluster_epochs_begun_total",
    "counter",
    "Epochs that were obeyed since the agent started.",
);
const FAILED: Metric = Metric(
    "stillpoint_cluster_epochs_failed_total",
    "counter",
    "Epochs in which this host could not do its part.",
);
const VERDICTS: Metric =
    Metric("stillpoint_cluster_verdicts_total", "counter", "Verdicts that were heard.");
const AWAITED: Metric = Metric(
    "stillpoint_cluster_verdicts_awaited",
    "gauge",
    "Certificates of this host without a verdict yet.",
);
const LAST: Metric =
    Metric("stillpoint_cluster_last_epoch", "gauge", "The last epoch that was obeyed.");
const LAST_COMPLETE: Metric = Metric(
    "stillpoint_cluster_last_complete_epoch",
    "gauge",
    "The last epoch of this agent whose verdict was complete; 0: none.",
);
const PAUSE: Metric = Metric(
    "stillpoint_cluster_pause_seconds",
    "gauge",
    "How long this host's gate was closed in the last epoch that it has a certificate of.",
);

impl Metric {
    /// A line for each sample, whose labels are those of the host and these.
    fn text(&self, group: &Name, host: &Name, samples: &[(&str, f64)]) -> String {
        let Metric(name, kind, help) = self;
        let mut text = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (more, value) in samples {
            let labels = format!("group=\"{group}\",host=\"{host}\"{more}");
            let _ = writeln!(text, "{name}{{{labels}}} {value}");
        }
        text
    }
}

/// The sample that is another one each time.
fn age(group: &Name, host: &Name, now: SystemTime) -> String {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    REPORT.text(group, host, &[("", since.as_secs_f64())])
}

/// The samples of an agent.
fn samples(group: &Name, host: &Name, counted: &Counted) -> String {
    let of = |metric: Metric, samples: &[(&str, f64)]| metric.text(group, host, samples);
    let number = |metric: Metric, count: u64| of(metric, &[("", count as f64)]);
    let verdicts = [
        (",verdict=\"complete\"", counted.complete as f64),
        (",verdict=\"partial\"", counted.partial as f64),
        (",verdict=\"aborted\"", counted.aborted as f64),
    ];
    let pause = counted.pause_ms.map(|pause| of(PAUSE, &[("", pause as f64 / 1000.0)]));
    [
        number(MEMBER, counted.member.into()),
        number(BEGUN, counted.begun),
        number(FAILED, counted.failed),
        of(VERDICTS, &verdicts),
        number(AWAITED, counted.waiting),
        number(LAST, counted.last.0),
        number(LAST_COMPLETE, counted.last_complete.0),
        pause.unwrap_or_default(),
    ]
    .concat()
}

/// Writes the file aside, under a name that the collector does not read, and renames it.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let mut aside = file.as_os_str().to_owned();
    aside.push(".new");
    let mut new = OpenOptions::new().create(true).truncate(true).write(true).open(&aside)?;
    // The collector is another user.
    new.set_permissions(Permissions::from_mode(0o644))?;
    new.write_all(text.as_bytes())?;
    drop(new);
    fs::rename(&aside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sample_has_its_help_and_type_and_says_whose_it_is() {
        let (group, host) = ("mail".parse().unwrap(), "a".parse().unwrap());
        let counted =
            Counted { member: true, complete: 3, pause_ms: Some(250), ..Counted::default() };
        let text = age(&group, &host, SystemTime::UNIX_EPOCH + Duration::from_millis(1_500));
        assert!(text.ends_with("seconds{group=\"mail\",host=\"a\"} 1.5\n"), "{text}");
        let text = samples(&group, &host, &counted);
        assert!(text.contains("\nstillpoint_cluster_member{group=\"mail\",host=\"a\"} 1\n"));
        assert!(text.contains("{group=\"mail\",host=\"a\",verdict=\"complete\"} 3\n"));
        assert!(text.contains("pause_seconds{group=\"mail\",host=\"a\"} 0.25\n"));
        let mut named = "";
        for line in text.lines() {
            match line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE ")) {
                Some(head) => named = head.split(' ').next().unwrap(),
                None => assert!(line.starts_with(named), "{line}"),
            }
        }
    }
}
