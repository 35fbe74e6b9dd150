//! What is asked of a snapshot, as the command line says it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgGroup, Args, ValueEnum};

use super::foreign::wanted::{Also, parse_also};
use super::place::sources::SourceChanged;
use super::provider::{btrfs, command, copy, lvm, reflink, zfs};
use crate::catalogue::manifest::Manifest;
use crate::files::names::without_links;
use crate::stilling::Wanted;
use crate::words::exit::{Exit, Failure};
use crate::words::seconds::{self, Limit};

/// How long the gate stays closed at most once quiet, but for `--copy`.
const HOLD: Duration = Duration::from_secs(10);

const USAGE: &str = "\
stillpoint snapshot [OPTIONS] BARRIER... --btrfs SUBVOL... --to DIR
       stillpoint snapshot [OPTIONS] BARRIER... --reflink DIR --to DIR
       stillpoint snapshot [OPTIONS] BARRIER... --copy DIR --to DIR --hold SECS
       stillpoint snapshot [OPTIONS] BARRIER... --zfs DATASET...
       stillpoint snapshot [OPTIONS] BARRIER... --lvm VG/LV... [--size SIZE]
       stillpoint snapshot [OPTIONS] BARRIER... -- COMMAND...";

/// Take a snapshot while no writer is inside
#[derive(Args, Debug)]
#[command(override_usage = USAGE)]
#[command(group(ArgGroup::new("provider").required(true).args(["btrfs", "reflink", "copy", "zfs", "lvm", "command"])))]
pub struct Arguments {
    /// The barriers to close, all of them at one moment
    #[arg(value_name = "BARRIER", required_unless_present_any = ["btrfs", "zfs", "lvm", "cyrus"])]
    pub barriers: Vec<OsString>,

    /// Snapshot these btrfs subvolumes, read-only, into the folder of --to
    #[arg(long, value_name = "SUBVOL", num_args = 1.., requires = "to")]
    pub btrfs: Vec<PathBuf>,

    /// Copy this folder with shared blocks (xfs, btrfs, bcachefs) into the folder of --to
    #[arg(long, value_name = "DIR", requires = "to")]
    pub reflink: Option<PathBuf>,

    /// Copy this folder into the folder of --to; needs --hold
    #[arg(long, value_name = "DIR", requires_all = ["to", "hold"])]
    pub copy: Option<PathBuf>,

    /// Snapshot these ZFS datasets, as DATASET@NAME
    #[arg(long, value_name = "DATASET", num_args = 1..)]
    pub zfs: Vec<String>,

    /// Snapshot these LVM volumes, as VG/LV-NAME
    #[arg(long, value_name = "VG/LV", num_args = 1..)]
    pub lvm: Vec<String>,

    /// With --lvm: what may change while the snapshot lives, such as 10G; not for thin pools
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = lvm::parse_size, requires = "lvm")]
    pub size: Option<u64>,

    /// The folder that gets the snapshot, as DIR/NAME; it must be there
    #[arg(long, value_name = "DIR", conflicts_with_all = ["zfs", "lvm", "command"])]
    pub to: Option<PathBuf>,

    /// Let this link lead to the newest clean one: changed in one step after each
    #[arg(long, value_name = "LINK", requires = "to", conflicts_with_all = ["zfs", "lvm", "command"])]
    pub current: Option<PathBuf>,

    /// Run this command in the pause
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,

    /// Wait at most this long, with the gate open, for long operations to end, in each attempt
    #[arg(long, value_name = "SECS", default_value = "10", allow_hyphen_values = true, value_parser = seconds::parse)]
    pub patience: Duration,

    /// Keep the gate closed at most this long for the writers to leave, in each attempt
    #[arg(long, value_name = "SECS", default_value = "2", allow_hyphen_values = true, value_parser = seconds::parse)]
    pub drain: Duration,

    /// Keep the gate closed at most this long once quiet; none: no limit [default: 10, none for --copy]
    #[arg(long, value_name = "SECS", allow_hyphen_values = true, value_parser = seconds::parse_limit)]
    pub hold: Option<Limit>,

    /// How often to try to get quiet
    #[arg(long, value_name = "N", default_value = "3", allow_hyphen_values = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub attempts: u32,

    /// Leave the gate open at least this long between two pauses [default: 9 times the last one, at most 10]
    #[arg(long, value_name = "SECS", allow_hyphen_values = true, value_parser = seconds::parse)]
    pub min_open: Option<Duration>,

    /// Write out the dirty data of this path's file system first; for a command
    #[arg(long, value_name = "PATH", conflicts_with_all = ["btrfs", "reflink", "copy", "zfs", "lvm"])]
    pub sync: Option<PathBuf>,

    /// Only if something is mounted at this place
    #[arg(long, value_name = "PATH")]
    pub require_mount: Vec<PathBuf>,

    /// What to do when a source, or the folder of the snapshots, is another one than before
    #[arg(long, value_name = "ACTION", default_value = "warn", overrides_with = "source_changed")]
    pub source_changed: SourceChanged,

    /// Lock Cyrus IMAP too, as its configuration says [default: /etc/imapd.conf]
    #[arg(long, value_name = "IMAPD.CONF", num_args = 0..=1, default_missing_value = "/etc/imapd.conf")]
    pub cyrus: Option<PathBuf>,

    /// With --cyrus: this Cyrus takes its global lock, whatever can be found out
    #[arg(long, requires = "cyrus")]
    pub cyrus_unchecked: bool,

    /// Lock this file of another program too
    #[arg(long, value_name = "fcntl|flock:PATH", value_parser = also_parser())]
    pub also: Vec<Also>,

    /// No snapshot while a process that is not covered has files open for writing in the sources
    #[arg(long)]
    pub require_covered: bool,

    /// What to do when a writer was lost inside the barrier
    #[arg(long, value_name = "ACTION", default_value = "warn", overrides_with = "on_dirty")]
    pub on_dirty: OnDirty,

    /// The folder of the manifests [default: $STILLPOINT_CATALOG, else /var/lib/stillpoint/catalog]
    #[arg(long, value_name = "DIR")]
    pub catalog: Option<PathBuf>,

    /// The durable state of the barrier, if it was created with one of its own; for one barrier
    #[arg(long, value_name = "PATH|none")]
    pub state: Option<PathBuf>,

    /// The name of the snapshot [default: the time in UTC]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Who closes the gate, as `status` and the manifest shall say
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,

    /// Check everything, say what would be done, and leave the gate alone
    #[arg(long)]
    pub dry_run: bool,

    /// Make this host's part of a snapshot of many: each step is told on standard input
    #[arg(long, conflicts_with_all = ["dry_run", "json"])]
    pub coordinated: bool,

    /// Keep the data of a failed snapshot, as DIR/NAME.failed or DIR/NAME.revoked
    #[arg(long)]
    pub keep_failed: bool,

    #[command(flatten)]
    pub wanted: Wanted,

    /// Write metrics of this run, for Prometheus's textfile collector
    #[arg(long, value_name = "FILE")]
    pub metrics_textfile: Option<PathBuf>,

    /// Look for barrier names in $XDG_RUNTIME_DIR/stillpoint
    #[arg(long)]
    pub user: bool,

    /// Print the manifest as JSON instead of the snapshot's path
    #[arg(long)]
    pub json: bool,
}

/// What to do about a dirty barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnDirty {
    /// Keep the snapshot and say that it is not clean
    Warn,
    /// The same, and exit 65
    Keep,
    /// No snapshot, exit 65
    Fail,
}

impl Arguments {
    /// The limit of the hold; `None` for none.
    pub fn hold(&self) -> Option<Duration> {
        self.hold.map_or(Some(HOLD), Limit::duration)
    }

    /// What is read, as a manifest names it, if it is there.
    pub fn sources(&self) -> Vec<PathBuf> {
        let volumes = [&self.zfs, &self.lvm].into_iter().flatten();
        let volumes = volumes.map(|name| name.strip_prefix("/dev/").unwrap_or(name).into());
        let folders =
            self.folders().map(|path| path.canonicalize().unwrap_or_else(|_| without_links(path)));
        volumes.chain(folders).collect()
    }

    /// How well it went when it did.
    pub fn exit_of(&self, record: Option<&Manifest>) -> Exit {
        let is_dirty = record.is_some_and(|manifest| manifest.reason.is_some());
        match is_dirty && self.on_dirty == OnDirty::Keep {
            true => Exit::DATA,
            false => Exit::SUCCESS,
        }
    }

    /// What is read that is a path.
    pub fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        self.btrfs.iter().chain(&self.reflink).chain(&self.copy).chain(&self.sync)
    }

    /// An option that takes several words, or may take one, has taken BARRIER if that stood behind it.
    pub fn without_barrier(&self) -> Failure {
        let text = |path: &PathBuf| path.display().to_string();
        let further = [
            ("--btrfs", self.btrfs.iter().skip(1).next_back().map(text)),
            ("--zfs", self.zfs.iter().skip(1).next_back().cloned()),
            ("--lvm", self.lvm.iter().skip(1).next_back().cloned()),
            ("--cyrus", self.cyrus.as_ref().map(text)),
        ];
        let taken = further.into_iter().find_map(|(option, word)| Some((option, word?)));
        Failure::usage(match taken {
            Some((option, word)) => format!(
                "BARRIER is missing: {word} was taken for a word of {option}; put BARRIER before the options"
            ),
            None => "BARRIER is missing: put it before the options".to_owned(),
        })
    }

    /// Does anything say how a snapshot is made? The file of a job that only freezes does not.
    pub fn have_provider(&self) -> bool {
        let lists = [self.btrfs.is_empty(), self.zfs.is_empty(), self.lvm.is_empty()];
        self.reflink.is_some()
            || self.copy.is_some()
            || lists.contains(&false)
            || !self.command.is_empty()
    }

    /// The name of the provider that is asked for.
    pub fn provider(&self) -> &'static str {
        match self {
            Arguments { reflink: Some(_), .. } => reflink::NAME,
            Arguments { copy: Some(_), .. } => copy::NAME,
            Arguments { btrfs, .. } if !btrfs.is_empty() => btrfs::NAME,
            Arguments { zfs, .. } if !zfs.is_empty() => zfs::NAME,
            Arguments { lvm, .. } if !lvm.is_empty() => lvm::NAME,
            _ => command::NAME,
        }
    }
}

fn also_parser() -> impl TypedValueParser<Value = Also> {
    OsStringValueParser::new().try_map(|text| parse_also(&text))
}
