//! `--source`, `--provider`, `--label`: which series of snapshots a verb is about.
//!
//! One barrier may have several: a file system that is snapshotted every hour, and a command that dumps a
//! database under the same barrier. Each of them tells something only by itself: what is new in one says
//! nothing of the other.

use std::path::{Path, PathBuf};

use crate::catalogue::manifest::Manifest;
use crate::files::names::without_links;

/// All series that it does not rule out.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Filter {
    /// Only snapshots of this source and of no other; given again, of exactly these
    #[arg(long, value_name = "SOURCE")]
    source: Vec<PathBuf>,

    /// Only snapshots that this made
    #[arg(long, value_name = "PROVIDER", value_parser = PROVIDERS)]
    provider: Option<String>,

    /// Only snapshots with this label; '' for those without
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
}

/// As manifests name them.
const PROVIDERS: [&str; 6] = ["btrfs", "reflink", "copy", "zfs", "lvm", "command"];

impl Filter {
    pub fn is_empty(&self) -> bool {
        self.source.is_empty() && self.provider.is_none() && self.label.is_none()
    }

    pub fn takes(&self, manifest: &Manifest) -> bool {
        let provider = self.provider.as_ref().is_none_or(|name| *name == manifest.provider);
        let label = self
            .label
            .as_deref()
            .is_none_or(|label| label == manifest.label.as_deref().unwrap_or_default());
        provider && label && self.takes_sources(&manifest.sources)
    }

    fn takes_sources(&self, sources: &[PathBuf]) -> bool {
        let given: Vec<_> = self.source.iter().map(|source| meanings(source)).collect();
        given.is_empty()
            || (given.iter().all(|given| sources.iter().any(|source| given.contains(source)))
                && sources.iter().all(|source| given.iter().any(|given| given.contains(source))))
    }

    /// Were those asked for that a command made, and that have no data of their own?
    pub fn is_for_commands(&self) -> bool {
        self.provider.as_deref() == Some("command")
    }

    /// For messages: ` from /srv/mail by btrfs labelled "x"`.
    pub fn describe(&self) -> String {
        let sources: Vec<String> =
            self.source.iter().map(|source| source.display().to_string()).collect();
        let mut text = String::new();
        if !sources.is_empty() {
            text += &format!(" from {}", sources.join(", "));
        }
        if let Some(provider) = &self.provider {
            text += &format!(" by {provider}");
        }
        match self.label.as_deref() {
            Some("") => text += " without a label",
            Some(label) => text += &format!(" labelled {label:?}"),
            None => {}
        }
        text
    }
}

/// What a source may be called in a manifest: a folder without symbolic links, a dataset, a logical volume.
fn meanings(source: &Path) -> Vec<PathBuf> {
    let mut meanings = vec![source.to_owned(), without_links(source)];
    meanings.extend(source.canonicalize());
    meanings.extend(source.strip_prefix("/dev").ok().map(Path::to_owned));
    meanings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(provider: &str, sources: &[&str], label: Option<&str>) -> Manifest {
        let sources: Vec<PathBuf> = sources.iter().map(PathBuf::from).collect();
        let mut manifest = Manifest::begun("x".into(), provider, &sources);
        manifest.label = label.map(str::to_owned);
        manifest
    }

    fn of_sources(sources: &[&str]) -> Filter {
        Filter { source: sources.iter().map(PathBuf::from).collect(), ..Filter::default() }
    }

    #[test]
    fn a_source_is_known_by_each_of_its_names_and_several_only_together() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap().join("real");
        let link = folder.path().join("link");
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let (real, link) = (real.to_str().unwrap(), link.to_str().unwrap());
        assert!(of_sources(&[link]).takes(&snapshot("copy", &[real], None)));
        std::fs::remove_dir(real).unwrap();
        assert!(of_sources(&[&format!("{real}/")]).takes(&snapshot("copy", &[real], None)));
        assert!(of_sources(&["tank/mail"]).takes(&snapshot("zfs", &["tank/mail"], None)));
        assert!(of_sources(&["/dev/vg/mail"]).takes(&snapshot("lvm", &["vg/mail"], None)));

        let both = snapshot("btrfs", &["/a", "/b"], None);
        assert!(of_sources(&["/b", "/a"]).takes(&both) && of_sources(&[]).takes(&both));
        assert!(!of_sources(&["/a"]).takes(&both));
        assert!(!of_sources(&["/a", "/b"]).takes(&snapshot("btrfs", &["/a"], None)));
        assert!(!of_sources(&["/a"]).takes(&snapshot("command", &[], None)));
    }

    #[test]
    fn a_label_is_asked_for_by_its_text_or_by_none() {
        let labelled = |label: &str| Filter { label: Some(label.into()), ..Filter::default() };
        let (with, without) =
            (snapshot("copy", &["/a"], Some("x")), snapshot("copy", &["/a"], None));
        assert!(labelled("x").takes(&with) && !labelled("x").takes(&without));
        assert!(labelled("").takes(&without) && !labelled("").takes(&with));
        assert!(!labelled("y").takes(&with));
    }
}
