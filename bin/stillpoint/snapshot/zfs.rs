//! `--zfs`: snapshots of datasets, by zfs(8).
//!
//! All datasets of a pool are named in one call, which ZFS makes one transaction of. Across pools it
//! promises nothing; there it is the barrier that makes several calls one moment. What was written
//! through a mapping may still be in the page cache, which ZFS does not look into: writers have to
//! msync(2) what they want to be in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;

use super::mounts::Mounts;
use super::provider::{Provider, Target};
use super::volumes;
use crate::catalogue::volume::{System, Volume, is_dataset, is_word};
use crate::exit::{Exit, Failure};
use crate::tool;

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
    pub fn new(datasets: &[String], snapshot: &str) -> Result<Zfs, Failure> {
        tool::require("zfs")?;
        tool::require("zpool")?;
        let mut zfs = Zfs { datasets: Vec::new(), volumes: Vec::new(), mounted: Vec::new() };
        for dataset in datasets {
            if !is_dataset(dataset) {
                let message = format!("--zfs {dataset:?}: no name of a dataset, such as tank/mail");
                return Err(Failure::usage(message));
            }
            let volume = System::Zfs.volume(dataset, snapshot);
            if !is_word(snapshot) || volume.partial.len() > LONGEST {
                let message = format!(
                    "--name {snapshot:?}: ZFS takes letters, digits and _.-, 255 with the dataset; give another one"
                );
                return Err(Failure::usage(message));
            }
            if zfs.datasets.contains(&PathBuf::from(dataset)) {
                continue;
            }
            zfs.mounted.extend(mounted(dataset)?);
            zfs.datasets.push(dataset.into());
            zfs.volumes.push(volume);
        }
        Ok(zfs)
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
        let mut checked = Vec::new();
        for volume in &self.volumes {
            let dataset = volume.name.split('@').next().unwrap_or_default();
            let pool = pool(dataset);
            if !checked.contains(&pool) {
                check_pool(pool)?;
                checked.push(pool);
            }
            check_privilege(dataset)?;
            for name in [&volume.name, &volume.partial] {
                if volumes::exists(System::Zfs, name).map_err(|error| unavailable(name, &error))? {
                    let message = format!("{name}: exists already; give another --name");
                    return Err(Failure::new(Exit::CANNOT_CREATE, message));
                }
            }
        }
        Ok(())
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
        commands.into_iter().map(|(_, command)| command).collect()
    }
}

fn pool(name: &str) -> &str {
    name.split(['/', '@']).next().unwrap_or_default()
}

fn unavailable(name: &str, error: &std::io::Error) -> Failure {
    Failure::new(Exit::UNAVAILABLE, format!("{name}: cannot be looked up: {error}"))
}

/// Where a dataset is mounted, if it is.
fn mounted(dataset: &str) -> Result<Option<PathBuf>, Failure> {
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
    Ok(place.filter(|_| is_mounted == Some("yes")).map(|place| Path::new(place).to_owned()))
}

fn check_pool(pool: &str) -> Result<(), Failure> {
    let health = tool::ask("zpool", &["list", "-H", "-o", "health", pool])?;
    match health.trim() {
        "ONLINE" | "DEGRADED" => Ok(()),
        other => {
            let message = format!("{pool}: the pool is {other}; see `zpool status {pool}`");
            Err(Failure::new(Exit::UNAVAILABLE, message))
        }
    }
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
    match ["snapshot", "rename", "destroy", "mount"].iter().find(|wanted| !has(wanted)) {
        None => Ok(()),
        Some(missing) => {
            let message = format!(
                "{dataset}: this user may not {missing} it; run as root, or `zfs allow USER snapshot,rename,destroy,mount {dataset}`"
            );
            Err(Failure::new(Exit::UNAVAILABLE, message))
        }
    }
}
