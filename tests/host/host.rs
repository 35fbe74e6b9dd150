//! A host: a barrier, a btrfs with all stores in one subvolume, and programs that are adopted.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Image, NOBODY, STILLPOINT, folder_in_memory, must, programs, run, subvolume};

pub struct Host {
    /// Barriers, settings and the catalogue: on another file system than the stores.
    place: TempDir,
    image: Image,
}

/// How a copy is taken.
#[derive(Clone, Copy, Debug)]
pub enum How {
    Copy,
    Btrfs,
}

/// A copy of all stores, which may be written to; gone when this is.
pub struct Taken {
    pub stores: PathBuf,
    /// What the tool says of it.
    pub manifest: Value,
}

impl Host {
    pub fn new() -> Option<Host> {
        let host = Host { place: folder_in_memory(), image: Image::btrfs_of(2 << 30)? };
        fs::set_permissions(host.image.path().parent().unwrap(), Permissions::from_mode(0o755))
            .unwrap();
        subvolume(&host.stores());
        for folder in ["snapshots", "checked"] {
            fs::create_dir(host.image.path().join(folder)).unwrap();
        }
        fs::create_dir(host.place("catalog")).unwrap();
        must(host.stillpoint().args(["create", "--mode", "0660", "--group", "nogroup", "host"]));
        let barrier = host.place("host.barrier");
        let settings =
            format!("barrier {}\nprotect {}\n", barrier.display(), host.stores().display());
        fs::write(host.place("adopt.conf"), settings).unwrap();
        Some(host)
    }

    pub fn place(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub fn stores(&self) -> PathBuf {
        self.image.path().join("stores")
    }

    /// A folder for a store of nobody's.
    pub fn store(&self, name: &str) -> PathBuf {
        let store = self.stores().join(name);
        fs::create_dir(&store).unwrap();
        chown(&store, Some(NOBODY), Some(NOBODY)).unwrap();
        store
    }

    pub fn stillpoint(&self) -> Command {
        let mut command = Command::new(STILLPOINT);
        command
            .env("STILLPOINT_DIR", self.place.path())
            .env("STILLPOINT_STATE_DIR", self.place.path())
            .env("STILLPOINT_CATALOG", self.place("catalog"));
        command
    }

    pub fn adopted(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("LD_PRELOAD", programs().join("libstillpoint_adopt.so"))
            .env("STILLPOINT_ADOPT_CONFIG", self.place("adopt.conf"))
            .stdin(Stdio::null());
        command
    }

    /// Takes a copy, with what stills others; or what the tool says why not.
    pub fn take(&self, how: How, stilling: &[&str]) -> Result<Taken, String> {
        let mut command = self.stillpoint();
        command.args(["snapshot", "host", "--json", "--min-open", "0", "--attempts", "1"]);
        command.args(["--hold", "20", "--to"]).arg(self.image.path().join("snapshots"));
        command.arg(if let How::Btrfs = how { "--btrfs" } else { "--copy" }).arg(self.stores());
        let done = run(command.args(stilling));
        if done.code() != 0 {
            return Err(done.stderr);
        }
        let manifest: Value = serde_json::from_str(&done.stdout).unwrap();
        let path = Path::new(manifest["path"].as_str().unwrap());
        let stores = self.image.path().join("checked/stores");
        match how {
            How::Copy => must(Command::new("mv").arg(path).arg(&stores)),
            How::Btrfs => {
                let mut btrfs = Command::new("btrfs");
                must(btrfs.args(["subvolume", "snapshot"]).arg(path).arg(&stores));
                must(Command::new("btrfs").args(["subvolume", "delete"]).arg(path))
            }
        };
        Ok(Taken::of(stores, manifest))
    }

    /// What anybody does who knows of no barrier: one store after the other, and something else between them.
    pub fn copy(&self, stores: &[&str], between: impl Fn()) -> Taken {
        let copy = self.image.path().join("checked/stores");
        fs::create_dir(&copy).unwrap();
        for store in stores {
            // Files that come and go meanwhile are not its fault.
            let _ = Command::new("cp").arg("-a").arg(self.stores().join(store)).arg(&copy).output();
            between();
        }
        Taken::of(copy, Value::Null)
    }
}

impl Taken {
    /// Files of Dovecot that are locks by their name hold the number of a process that lives here, and would not where
    /// this is restored.
    fn of(stores: PathBuf, manifest: Value) -> Taken {
        must(Command::new("find").arg(&stores).args(["-name", "*.lock", "-delete"]));
        Taken { stores, manifest }
    }

    /// For how long the gate was closed, and for how long of it all was still, in milliseconds.
    pub fn pause(&self) -> [f64; 2] {
        ["pause_ms", "hold_ms"].map(|name| self.manifest["pause"][name].as_f64().unwrap())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let subvolume =
            Command::new("btrfs").args(["subvolume", "delete"]).arg(&self.stores).output();
        if !subvolume.is_ok_and(|output| output.status.success()) {
            let _ = fs::remove_dir_all(&self.stores);
        }
    }
}
