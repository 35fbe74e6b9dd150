//! Where systemd looks for its units: systemd.unit(5).
//!
//! They are read from a root that is asked about, so that it does not matter whether a systemd runs, or whose.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What is found earlier hides what is called so later.
pub const FOLDERS: [&str; 9] = [
    "etc/systemd/system",
    "run/systemd/transient",
    "run/systemd/generator.early",
    "run/systemd/system",
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
    "run/systemd/generator.late",
];

/// The services that have a file, without templates.
pub fn services(root: &Path) -> Vec<String> {
    let folders = FOLDERS.iter().filter_map(|folder| fs::read_dir(root.join(folder)).ok());
    let names = folders.flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let services = names.filter(|name| name.ends_with(".service") && !name.contains("@."));
    services.collect::<BTreeSet<_>>().into_iter().collect()
}
