//! What is known of a job's runs, and the lock that lets it run but once at a time.
//!
//! The record is replaced as a whole, before the first step and after the last: one that has begun and not ended, of
//! which nobody has the lock, was cut short.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::barrier::state::place;
use crate::catalogue::verdict::Verdict;
use crate::files::aside::Aside;
use crate::files::{folder, open};
use crate::words::exit::{Exit, Failure, reason};
use crate::words::seconds::timestamp;

const SCHEMA: u32 = 1;
const LONGEST: u64 = 1 << 16;
/// How often to ask for a lock that may be had by a question only, and how long to wait between.
const MOMENTS: u32 = 10;
const MOMENT: Duration = Duration::from_millis(10);

/// The last run of a job, and the last one that went well.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub schema: u32,
    pub job: String,
    pub pid: u32,
    pub began: String,
    /// `null`: it is under way, or was cut short.
    pub ended: Option<String>,
    /// The status of the first thing that went wrong, or 0.
    pub exit: Option<u8>,
    /// The step that went wrong first: before, snapshot, after, verify, prune or metrics.
    pub failed: Option<String>,
    pub reason: Option<String>,
    /// The name of what it took.
    pub snapshot: Option<String>,
    /// When a run last ended with 0.
    pub succeeded: Option<String>,
    /// Verdicts that no manifest could be told yet, as somebody read the snapshot all the time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undelivered: Vec<Verdict>,
}

/// The right to run a job.
#[derive(Debug)]
pub struct Turn {
    _file: File,
}

impl Turn {
    /// Fails at once if the job is running.
    pub fn take(job: &str) -> Result<Turn, Failure> {
        let (folder, path) = (place::jobs(), path(job, ".lock"));
        let cannot = |error: io::Error| {
            let exit = match error.kind() {
                io::ErrorKind::PermissionDenied => Exit::DENIED,
                _ => Exit::CANNOT_CREATE,
            };
            let message = format!(
                "{}: {}; the record of a job is kept there, or below $STILLPOINT_STATE_DIR",
                path.display(),
                reason(&error)
            );
            Failure::new(exit, message)
        };
        folder::make(&folder).map_err(cannot)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = open::anything(&path, &mut options).map_err(cannot)?;
        open::require_regular(&file).map_err(cannot)?;
        // Whoever asks whether it is running has it for a moment.
        let mut locked = fs2::FileExt::try_lock_exclusive(&file);
        for _ in 0..MOMENTS {
            if locked.is_ok() {
                break;
            }
            std::thread::sleep(MOMENT);
            locked = fs2::FileExt::try_lock_exclusive(&file);
        }
        match locked {
            Ok(()) => Ok(Turn { _file: file }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let record = Record::load(job).ok().flatten().filter(|one| one.ended.is_none());
                let since = record.map_or_else(String::new, |record| {
                    format!(" since {} (process {})", record.began, record.pid)
                });
                let message =
                    format!("job {job}: is running{since}; nothing is done twice at a time");
                Err(Failure::new(Exit::CONFLICT, message))
            }
            Err(error) => Err(cannot(error)),
        }
    }
}

/// Does somebody run it? `None` if that cannot be told.
pub fn is_running(job: &str) -> Option<bool> {
    let file = match open::file_itself(&path(job, ".lock"), OpenOptions::new().read(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(false),
        opened => opened.ok()?,
    };
    match fs2::FileExt::try_lock_shared(&file) {
        Ok(()) => Some(false),
        Err(error) => (error.kind() == io::ErrorKind::WouldBlock).then_some(true),
    }
}

impl Record {
    /// Of a run that begins now, after these.
    pub fn begun(job: &str, last: Option<&Record>) -> Record {
        Record {
            schema: SCHEMA,
            job: job.to_owned(),
            pid: std::process::id(),
            began: timestamp(SystemTime::now()),
            ended: None,
            exit: None,
            failed: None,
            reason: None,
            snapshot: None,
            succeeded: last.and_then(|last| last.succeeded.clone()),
            undelivered: last.map(|last| last.undelivered.clone()).unwrap_or_default(),
        }
    }

    /// What is known of the last run; `None`: it was never run.
    pub fn load(job: &str) -> Result<Option<Record>, Failure> {
        let path = path(job, ".json");
        let mut text = String::new();
        let opened = open::file_itself(&path, OpenOptions::new().read(true));
        match opened.and_then(|file| file.take(LONGEST).read_to_string(&mut text)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::system(path.display(), error)),
            Ok(_) => {}
        }
        let record: Option<Record> = serde_json::from_str(&text).ok();
        match record.filter(|record| record.schema == SCHEMA) {
            Some(record) => Ok(Some(record)),
            None => {
                let message = format!(
                    "{}: is damaged, or of a newer version; remove it, and the next run makes another",
                    path.display()
                );
                Err(Failure::new(Exit::DATA, message))
            }
        }
    }

    /// Writes it, durably.
    pub fn store(&self) -> Result<(), Failure> {
        let (folder, path) = (place::jobs(), path(&self.job, ".json"));
        let written = (|| {
            folder::make(&folder)?;
            let mut text = serde_json::to_vec_pretty(self)?;
            text.push(b'\n');
            Aside::write(&folder, 0o644, &text)?.replace_durably(&path)
        })();
        written.map_err(|error: io::Error| {
            let message =
                format!("{}: the record cannot be written: {}", path.display(), reason(&error));
            Failure::new(Exit::CANNOT_CREATE, message)
        })
    }
}

fn path(job: &str, ending: &str) -> PathBuf {
    Path::new(&place::jobs()).join(format!("{job}{ending}"))
}
