//! What Prometheus is told: that the manual page, the alerts and the dashboard speak of metrics that there are, and that
//! the alerts fire when they should and not else, by promtool where it would be long to wait, and by a real Prometheus and
//! a real node exporter, both on the loopback device only.

#[path = "../common/mod.rs"]
mod common;

mod dashboard;
mod names;
mod real;
mod rights;
mod rules;
mod servers;

use std::path::{Path, PathBuf};

use crate::common::{programs, skip};

/// A program of a package that `scripts/test` unpacks, as it would start a server where it is installed.
#[track_caller]
fn unpacked(package: &str, program: &str) -> Option<PathBuf> {
    let installed = Path::new("/usr/bin").join(program);
    let unpacked = programs().parent().unwrap().join("unpacked").join(package).join("usr/bin");
    let found = [installed, unpacked.join(program)].into_iter().find(|path| path.exists());
    if found.is_none() {
        skip(&format!("{program} is missing: scripts/test unpacks it"));
    }
    found
}
