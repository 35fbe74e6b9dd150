//! The manifest: one JSON file that says what a snapshot is, how it was made, and whether it may
//! be trusted.
//!
//! It is written before the gate closes (*begun*), once the certificate is there (*certified*) and
//! once the data stands under its final name (*complete*); or it ends as *failed* or *revoked*. One
//! whose data is being removed on purpose says so (*pruning*) before the first byte goes.
//!
//! The order of snapshots is that of their sequence numbers, never that of their times: a clock that
//! jumps makes no old one the newest.
//! A reader needs nothing but a JSON parser: every field is always present, with `null` for what
//! is not known, times are RFC 3339 in UTC and lengths are milliseconds.

mod data;
mod whole;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stillpoint::PauseReport;

use crate::catalogue::age::Moment;
use crate::catalogue::clock::ClockRecord;
use crate::catalogue::cover::{CoverRecord, Sight};
use crate::catalogue::group::GroupRecord;
use crate::catalogue::identity::Identity;
use crate::catalogue::origin::Origin;
use crate::catalogue::record::{
    BarrierRecord, DirtyRecord, ForeignRecord, ParticipantRecord, PauseRecord, SizeRecord,
    VerifiedRecord, WriterRecord,
};
use crate::catalogue::volume::{System, Volume};
use crate::words::seconds::{milliseconds, timestamp};

/// The version of the format; a reader leaves manifests of a later one alone.
pub const SCHEMA: u32 = 1;

/// How far a snapshot has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Under way, or ended without a word: then its data is worth nothing.
    Begun,
    /// The pause held; the data waits under its temporary name to be renamed.
    Certified,
    /// The data stands under its final name.
    Complete,
    /// Not made; the data is removed.
    Failed,
    /// The gate was opened before the data was whole; the data is removed.
    Revoked,
    /// Its data is being removed; this record goes last.
    Pruning,
}

/// What one snapshot is and how it came about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub schema: u32,
    pub name: String,
    /// Larger than those of all that were begun before; 0 if nobody gave it one.
    #[serde(default)]
    pub sequence: u64,
    pub status: Status,
    /// Complete, made while no writer was lost, and nothing was left to recover.
    pub clean: bool,
    /// Why it failed, or why it is not clean.
    pub reason: Option<String>,
    pub label: Option<String>,
    pub provider: String,
    pub sources: Vec<PathBuf>,
    /// What they were called, if links led to them; else empty.
    #[serde(default)]
    pub named: Vec<PathBuf>,
    /// Where each of the sources was; empty if they are no paths, `null` if nobody looked.
    #[serde(default)]
    pub origins: Option<Vec<Origin>>,
    /// They were elsewhere when the snapshot before was taken, and nobody said that this is meant.
    #[serde(default)]
    pub source_changed: bool,
    /// Where its sources were when it was put in their place; `null` if it never was.
    #[serde(default)]
    pub replaced: Option<Vec<Origin>>,
    /// The program that was run. Everybody may read a manifest, and its arguments may be secrets.
    pub command: Option<Vec<String>>,
    /// How many arguments it had.
    #[serde(default)]
    pub arguments: Option<usize>,
    /// Where the data stands once complete.
    pub path: Option<PathBuf>,
    /// Where the data stands until then.
    pub partial: Option<PathBuf>,
    /// Where the data of a failed one was kept when that was asked for.
    pub kept: Option<PathBuf>,
    /// The link that is to lead to it, if it is clean and none was begun after it.
    #[serde(default)]
    pub current: Option<PathBuf>,
    /// What the data in a folder is known by: the folder as soon as it was made, before anything is in it;
    /// since it was certified, or kept, all its parts.
    #[serde(default)]
    pub identity: Vec<Identity>,
    /// The folder that it was begun in: a copy of this manifest elsewhere is not what a run holds.
    #[serde(default)]
    pub catalog: Option<Identity>,
    /// The folder that its data is put into: what stands there is not gone if this is not to be seen.
    #[serde(default)]
    pub folder: Option<Identity>,
    /// What it is instead of a folder.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    pub barriers: Vec<BarrierRecord>,
    /// Locks of other programs that were held too.
    #[serde(default)]
    pub foreign: Vec<ForeignRecord>,
    /// Stores with a quiesce of their own that were told to stand still.
    #[serde(default)]
    pub participants: Vec<ParticipantRecord>,
    /// Processes that had files open for writing in the sources, and how each was stilled.
    #[serde(default)]
    pub writers: Vec<CoverRecord>,
    /// What could not be looked at, in words.
    #[serde(default)]
    pub unseen: Option<String>,
    /// All of them were stilled; `null` if that cannot be told, or nobody looked.
    #[serde(default)]
    pub covered: Option<bool>,
    /// The verdict of who looked at it last; `null` if nobody did.
    #[serde(default)]
    pub verified: Option<VerifiedRecord>,
    /// Of many hosts at one moment; `null` if it is of this one alone.
    #[serde(default)]
    pub group: Option<GroupRecord>,
    /// `null` if its provider cannot tell.
    #[serde(default)]
    pub size: Option<SizeRecord>,
    pub began: String,
    /// When no writer was inside any more.
    pub quiet: Option<String>,
    pub ended: Option<String>,
    /// The machine's own clock at that moment, or when it began; `null` where it cannot be told.
    #[serde(default)]
    pub clock: Option<ClockRecord>,
    pub presync_ms: Option<f64>,
    pub attempts: u32,
    pub pause: Option<PauseRecord>,
    /// The pause held from the grant to the release.
    pub certificate: bool,
    /// Who was inside when the last attempt was given up.
    pub inside: Vec<WriterRecord>,
    pub version: String,
    pub pid: u32,
}

impl Manifest {
    /// The record of a snapshot that is about to be tried.
    pub fn begun(name: String, provider: &str, sources: &[PathBuf]) -> Manifest {
        Manifest {
            schema: SCHEMA,
            name,
            sequence: 0,
            status: Status::Begun,
            clean: false,
            reason: None,
            label: None,
            provider: provider.to_owned(),
            sources: sources.to_owned(),
            named: Vec::new(),
            origins: None,
            source_changed: false,
            replaced: None,
            command: None,
            arguments: None,
            path: None,
            partial: None,
            kept: None,
            current: None,
            identity: Vec::new(),
            catalog: None,
            folder: None,
            volumes: Vec::new(),
            barriers: Vec::new(),
            foreign: Vec::new(),
            participants: Vec::new(),
            writers: Vec::new(),
            unseen: None,
            covered: None,
            verified: None,
            group: None,
            size: None,
            began: timestamp(SystemTime::now()),
            quiet: None,
            ended: None,
            clock: None,
            presync_ms: None,
            attempts: 0,
            pause: None,
            certificate: false,
            inside: Vec::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
        }
    }

    /// Records a pause, as far as it came. The certificate is the caller's to give.
    pub fn record_pause(&mut self, report: &PauseReport) {
        let ended = !report.pause.is_zero();
        self.quiet = Some(timestamp(report.quiet_at));
        self.clock = ClockRecord::now().map(|clock| clock.earlier(report.hold));
        self.pause = Some(PauseRecord {
            drain_ms: milliseconds(report.drain),
            hold_ms: ended.then(|| milliseconds(report.hold)),
            pause_ms: ended.then(|| milliseconds(report.pause)),
            closings: report.closings,
            writers: report.writers,
            waited_for: report.waited_for.iter().map(WriterRecord::from).collect(),
        });
        for (index, barrier) in self.barriers.iter_mut().enumerate() {
            barrier.generation = report.generations.get(index).copied();
            barrier.at_grant = report.dirty_at_grant.get(index).map(DirtyRecord::from);
            barrier.at_release = report.dirty_at_release.get(index).map(DirtyRecord::from);
        }
    }

    /// Adds what was seen of those who write to the sources.
    pub fn record_sight(&mut self, seen: Sight) {
        let mut sight = self.sight();
        sight.add(seen);
        self.covered = sight.covered();
        (self.writers, self.unseen) = (sight.writers, sight.unseen);
    }

    /// What was seen so far.
    pub fn sight(&self) -> Sight {
        Sight { writers: self.writers.clone(), unseen: self.unseen.clone() }
    }

    /// Ends the record: nothing was made, or nothing that may be used.
    pub fn end(&mut self, status: Status, reason: Option<String>) {
        self.status = status;
        self.ended = Some(timestamp(SystemTime::now()));
        if reason.is_some() {
            self.reason = reason;
        }
        if status != Status::Complete {
            self.clean = false;
        }
    }

    /// Where a program finds it; nothing if only its command knows.
    pub fn places(&self) -> Vec<String> {
        let path = self.path.iter().map(|path| path.display().to_string());
        let system = System::of_provider(&self.provider);
        let volumes = system
            .into_iter()
            .flat_map(|system| self.volumes.iter().map(move |volume| volume.shown(system)));
        path.chain(volumes).collect()
    }

    /// May a reader be sent to it?
    pub fn is_usable(&self) -> bool {
        self.status == Status::Complete && self.is_present() != Some(false)
    }

    /// Has somebody looked at it, and found it good?
    pub fn is_verified(&self) -> bool {
        self.verified.as_ref().is_some_and(|verdict| verdict.ok)
    }

    /// Or has somebody looked at it, and found it bad?
    pub fn is_refuted(&self) -> bool {
        self.verified.as_ref().is_some_and(|verdict| !verdict.ok)
    }

    /// Was it taken under this barrier?
    pub fn concerns(&self, barrier: &Path) -> bool {
        self.barriers.iter().any(|record| record.barrier == barrier)
    }

    /// Its place in the order in which all were begun. Equal numbers: begun at one moment; then any order
    /// will do, if it is always the same.
    pub fn place(&self) -> (u64, &str, &str) {
        (self.sequence, &self.began, &self.name)
    }

    /// The moment that its data is of, as the clock told it then.
    pub fn taken_at(&self) -> Option<Timestamp> {
        self.quiet.as_ref().unwrap_or(&self.began).parse().ok()
    }

    /// The same, by every clock.
    pub fn moment(&self) -> Moment<'_> {
        Moment { wall: self.taken_at(), machine: self.clock.as_ref() }
    }

    /// Nobody works on it, so somebody died over it: it waits to be ended, or to be removed. Not so one that waits for
    /// the verdict of its group.
    pub fn is_unfinished(&self) -> bool {
        match self.status {
            Status::Begun | Status::Certified | Status::Pruning => !self.awaits_verdict(),
            Status::Complete | Status::Failed | Status::Revoked => self.is_half_removed(),
        }
    }

    /// The file's content.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a manifest has only string keys");
        text.push('\n');
        text
    }

    /// Reads a manifest of a format that is understood here.
    pub fn parse(text: &str) -> Result<Manifest, String> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let version: Version = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if version.schema > SCHEMA {
            return Err(format!("schema {} is newer than this program", version.schema));
        }
        let mut manifest: Manifest =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        manifest.clean &= manifest.is_of_a_whole();
        match manifest.names_its_own_data() {
            true => Ok(manifest),
            false => Err("it names data that cannot be its own".to_owned()),
        }
    }
}

/// A path that can stand in a manifest: JSON holds text only.
pub fn recordable(path: &Path) -> Result<(), String> {
    match path.to_str() {
        Some(_) => Ok(()),
        None => Err(format!(
            "{}: the path is not valid UTF-8 and cannot be recorded in a manifest; use another one",
            path.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_believed_only_about_data_of_its_own_name() {
        let believed = |name: &str, path: &str, partial: &str| {
            let mut manifest = Manifest::begun(name.to_owned(), "copy", &[]);
            manifest.path = Some(path.into());
            manifest.partial = Some(partial.into());
            Manifest::parse(&manifest.to_json()).is_ok()
        };
        assert!(believed("a", "/to/a", "/to/.a.partial"));
        assert!(believed("a", "/to/a", "/to/.a.0123456789abcdef.partial"));
        assert!(!believed("a", "/to/a", "/to/.a.b.partial"));
        assert!(!believed("a", "/to/b", "/to/.a.partial"));
        assert!(!believed("a", "/to/a", "/from/.a.partial"));
        assert!(!believed("", "/srv/mail", "/srv/..partial"));
        assert!(!believed("..", "/srv/..", "/srv/....partial"));
    }

    #[test]
    fn what_was_kept_of_a_failed_one_is_believed_only_beside_its_place() {
        let believed = |kept: &str| {
            let mut manifest = Manifest::begun("a".into(), "copy", &[]);
            manifest.path = Some("/to/a".into());
            manifest.partial = Some("/to/.a.partial".into());
            manifest.kept = Some(kept.into());
            Manifest::parse(&manifest.to_json()).is_ok()
        };
        assert!(believed("/to/a.failed") && believed("/to/a.revoked"));
        assert!(!believed("/to/b.failed") && !believed("/srv/mail") && !believed("/srv/a.failed"));
    }

    #[test]
    fn a_manifest_from_before_locks_of_others_is_read() {
        let mut manifest: serde_json::Value =
            serde_json::from_str(&Manifest::begun("a".into(), "copy", &[]).to_json()).unwrap();
        assert!(manifest.as_object_mut().unwrap().remove("foreign").is_some(), "always present");
        assert!(Manifest::parse(&manifest.to_string()).unwrap().foreign.is_empty());
    }

    #[test]
    fn numbers_are_read_as_they_were_written() {
        let mut manifest = Manifest::begun("a".into(), "copy", &[]);
        manifest.presync_ms = Some(4.189025452468217e21);
        let text = manifest.to_json();
        assert_eq!(Manifest::parse(&text).unwrap().to_json(), text);
    }
}
