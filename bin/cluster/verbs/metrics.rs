//! What Prometheus is told of an agent, by a file for the textfile collector of the node exporter.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::agent::Counted;
use crate::record::identity::Name;

/// The samples of an agent.
pub fn text(group: &Name, host: &Name, counted: &Counted) -> String {
    let mut text = String::new();
    let mut add = |name: &str, kind: &str, help: &str, samples: &[(&str, f64)]| {
        let _ = writeln!(text, "# HELP stillpoint_cluster_{name} {help}");
        let _ = writeln!(text, "# TYPE stillpoint_cluster_{name} {kind}");
        for (more, value) in samples {
            let _ = writeln!(
                text,
                "stillpoint_cluster_{name}{{group=\"{group}\",host=\"{host}\"{more}}} {value}"
            );
        }
    };
    let number = |count: u64| count as f64;
    add(
        "member",
        "gauge",
        "Whether the host takes part: it is in the roster, and nobody else is this host.",
        &[("", f64::from(u8::from(counted.member)))],
    );
    add(
        "epochs_begun_total",
        "counter",
        "Epochs that were obeyed since the agent started.",
        &[("", number(counted.begun))],
    );
    add(
        "epochs_failed_total",
        "counter",
        "Epochs in which this host could not do its part.",
        &[("", number(counted.failed))],
    );
    add(
        "verdicts_total",
        "counter",
        "Verdicts that were heard.",
        &[
            (",verdict=\"complete\"", number(counted.complete)),
            (",verdict=\"partial\"", number(counted.partial)),
            (",verdict=\"aborted\"", number(counted.aborted)),
        ],
    );
    add(
        "verdicts_awaited",
        "gauge",
        "Certificates of this host without a verdict yet.",
        &[("", number(counted.waiting))],
    );
    add("last_epoch", "gauge", "The last epoch that was obeyed.", &[("", number(counted.last.0))]);
    add(
        "last_complete_epoch",
        "gauge",
        "The last epoch of this agent whose verdict was complete; 0: none.",
        &[("", number(counted.last_complete.0))],
    );
    if let Some(pause) = counted.pause_ms {
        add(
            "pause_seconds",
            "gauge",
            "How long this host's gate was closed in the last epoch that it has a certificate of.",
            &[("", pause as f64 / 1000.0)],
        );
    }
    text
}

/// Writes the file aside, under a name that the collector does not read, and renames it.
pub fn write(file: &Path, text: &str) -> io::Result<()> {
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
        let text = text(&group, &host, &counted);
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
