//! A btrfs with subvolumes and a folder for their snapshots.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::common::{Done, Image, run, subvolume};
use crate::scene::Scene;

pub struct Subvolumes {
    pub scene: Scene,
    pub image: Image,
    /// Where the snapshots go.
    pub to: PathBuf,
}

impl Subvolumes {
    /// These, with nothing in them.
    pub fn named(names: &[&str]) -> Option<Subvolumes> {
        let image = Image::btrfs()?;
        names.iter().for_each(|name| subvolume(&image.path().join(name)));
        let to = image.path().join("snapshots");
        fs::create_dir(&to).unwrap();
        Some(Subvolumes { scene: Scene::new(), image, to })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.image.path().join(name)
    }

    /// What takes a snapshot of these, with more options.
    pub fn command(&self, sources: &[&str], options: &[&str]) -> Command {
        let mut command = self.scene.stillpoint();
        command.args(["snapshot", "mail", "--min-open", "0"]).args(options).arg("--btrfs");
        command.args(sources.iter().map(|name| self.path(name))).arg("--to").arg(&self.to);
        command
    }

    pub fn snapshot(&self, sources: &[&str], options: &[&str]) -> Done {
        run(self.command(sources, options))
    }

    /// A whole, clean snapshot of this name.
    pub fn take(&self, name: &str, sources: &[&str]) -> PathBuf {
        self.snapshot(sources, &["--name", name]).assert_code(0);
        self.to.join(name)
    }
}
