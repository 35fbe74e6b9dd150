//! `--zfs`: snapshots of datasets, by zfs(8).
//!
//! All datasets of a pool are named in one call, which ZFS makes one transaction of. Across pools it
//! promises nothing; there it is the barrier that makes several calls one moment. What was written
//! through a mapping may still be in the page cache, which ZFS does not look into: writers have to
//! msync(2) what they want to be in it, and all is synced once more in the pause. Nor does it look into
//! the file systems that lie on its volumes. A dataset below another one is not in its snapshot.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;

use super::Provider;
use crate::catalogue::record::SizeRecord;
use crate::catalogue::volume::{System, Volume, is_dataset, is_word};
use crate::process::tool;
use crate::snapshot::place::folder::named_twice;
use crate::snapshot::place::mounts::Mounts;
use crate::snapshot::place::target::Target;
use crate::snapshot::place::volume;
use crate::snapshot::place::volume::{check_pool, pool};
use crate::words::exit::{Exit, Failure};

pub const NAME: &str = "zfs";

/// ZFS takes no longer name, its `@` and what stands before it included.
const LONGEST: usize = 255;

/// The datasets of one snapshot.
pub struct Zfs {
    datasets: Vec<PathBuf>,
    volumes: Vec<Volume>,
    /// Where they are mounted.
    mounted: Vec<PathBuf>,
}

impl Zfs {
    pub fn new(
        datasets: &[String],
        snapshot: &str,
        token: &str,
        mounts: &Mounts,
    ) -> Result<Zfs, Failure> {
        tool::require("zfs")?;
        tool::require("zpool")?;
        let mut zfs = Zfs { datasets: Vec::new(), volumes: Vec::new(), mounted: Vec::new() };
        for dataset in datasets {
            if !is_dataset(dataset) {
                let message = format!("--zfs {dataset:?}: no name of a dataset, such as tank/mail");
                return Err(Failure::usage(message));
            }
            let volume = System::Zfs.volume(dataset, snapshot, token);
            if !is_word(snapshot) || volume.partial.len() > LONGEST {
                let message = format!(
                    "--name {snapshot:?}: ZFS takes letters, digits and _.-, 255 with the dataset; give another one"
                );
                return Err(Failure::usage(message));
            }
            if zfs.datasets.contains(&PathBuf::from(dataset)) {
                return Err(named_twice("--zfs", dataset.as_ref(), dataset.as_ref()));
            }
            zfs.mounted.extend(mounted(dataset, mounts)?);
            zfs.datasets.push(dataset.into());
            zfs.volumes.push(volume);
        }
        Ok(zfs)
    }
}

impl Zfs {
    /// What would be missing, if it was not asked for.
    fn check_children(&self) -> Result<(), Failure> {
        for dataset in &self.datasets {
            let name = dataset.to_string_lossy();
            let fields = ["list", "-H", "-o", "name", "-t", "filesystem,volume", "-d", "1", &*name];
            let list = tool::ask("zfs", &fields)?;
            let missing = |child: &&str| !self.datasets.contains(&PathBuf::from(*child));
            let missing: Vec<&str> = list.lines().filter(missing).collect();
            if !missing.is_empty() {
                let message = format!(
                    "{name}: the datasets below it would be missing from its snapshot: {}; name them with --zfs too",
                    missing.join(", ")
                );
                return Err(Failure::new(Exit::UNAVAILABLE, message));
            }
        }
        Ok(())
    }
}

impl Provider for Zfs {
    fn name(&self) -> &'static str {
        NAME
    }

    fn sources(&self) -> &[PathBuf] {
        &self.datasets
    }

    fn volumes(&self) -> &[Volume] {
        &self.volumes
    }

    fn file_systems(&self) -> Vec<PathBuf> {
        self.mounted.clone()
    }

    fn check(&self, _target: Option<&Target>, _mounts: &Mounts) -> Result<(), Failure> {
        self.check_children()?;
        let mut checked = Vec::new();
        for volume in &self.volumes {
            let dataset = volume.name.split('@').next().unwrap_or_default();
            let pool = pool(dataset);
            if !checked.contains(&pool) {
                check_pool(dataset)?;
                checked.push(pool);
            }
            check_privilege(dataset)?;
            volume::check_free(System::Zfs, volume)?;
        }
        Ok(())
    }

    fn size(&self, _target: Option<&Target>) -> Option<SizeRecord> {
        let names: Vec<&str> = self.volumes.iter().map(|volume| &*volume.partial).collect();
        let fields = ["get", "-H", "-p", "-o", "value", "referenced"];
        let answer = tool::ask("zfs", &[&fields[..], &names].concat()).ok()?;
        let numbers: Option<Vec<u64>> = answer.lines().map(|line| line.parse().ok()).collect();
        let bytes = numbers.filter(|numbers| numbers.len() == names.len())?.into_iter().sum();
        Some(SizeRecord { bytes: Some(bytes), ..SizeRecord::default() })
    }

    fn commands(&self, _target: Option<&Target>) -> Vec<Command> {
        let mut commands: Vec<(&str, Command)> = Vec::new();
        for volume in &self.volumes {
            let pool = pool(&volume.name);
            let found = commands.iter().position(|(other, _)| *other == pool);
            let index = found.unwrap_or_else(|| {
                let mut command = tool::command("zfs");
                command.arg("snapshot");
                commands.push((pool, command));
                commands.len() - 1
            });
            commands[index].1.arg(&volume.partial);
        }
        let sync = self.mounted.iter().map(|path| tool::sync(path));
        sync.chain(commands.into_iter().map(|(_, command)| command)).collect()
    }
}

/// Where a dataset is mounted, or the file system on a volume.
fn mounted(dataset: &str, mounts: &Mounts) -> Result<Vec<PathBuf>, Failure> {
    let fields =
        ["list", "-H", "-p", "-t", "filesystem,volume", "-o", "mounted,available,mountpoint"];
    let line = tool::ask("zfs", &[&fields[..], &[dataset]].concat()).map_err(|failure| {
        let exit = match failure.to_string().contains("does not exist") {
            true => Exit::MISSING,
            false => Exit::UNAVAILABLE,
        };
        Failure::new(exit, format!("{failure}; `zfs list` shows what there is"))
    })?;
    let mut fields = line.trim_end().split('\t');
    let (is_mounted, available, place) = (fields.next(), fields.next(), fields.next());
    if available == Some("0") {
        let message = format!("{dataset}: no space available; free some or raise its quota");
        return Err(Failure::new(Exit::CANNOT_CREATE, message));
    }
    let place = place.filter(|_| is_mounted == Some("yes")).map(PathBuf::from);
    let on_volume = Path::new("/dev/zvol").join(dataset).metadata();
    let on_volume = on_volume.map(|device| mounts.of_device(device.rdev())).unwrap_or_default();
    Ok(place.into_iter().chain(on_volume).collect())
}

/// Others than root need `zfs allow`.
fn check_privilege(dataset: &str) -> Result<(), Failure> {
    if geteuid().is_root() {
        return Ok(());
    }
    let allowed = tool::ask("zfs", &["allow", dataset])?;
    let has = |wanted: &str| {
        allowed.split(|c: char| c.is_whitespace() || c == ',').any(|word| word == wanted)
    };
    match ["snapshot", "rename", "create", "destroy", "mount"].iter().find(|wanted| !has(wanted)) {
        None => Ok(()),
        Some(missing) => {
            let message = format!(
                "{dataset}: this user may not {missing} it; run as root, or `zfs allow USER snapshot,rename,create,destroy,mount {dataset}`"
            );
            Err(Failure::new(Exit::UNAVAILABLE, message))
        }
    }
}
