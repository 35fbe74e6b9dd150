//! What an agent must not forget: on the host's own disk, written before it is acted upon.
//!
//! The greatest epoch that was obeyed is the fence against a store that gives numbers out again. When the gate was
//! opened last is kept by the clock that no one sets, with the boot that it counts from. What was settled last is told to
//! others, also by the next agent.

use std::fs::{self, File, OpenOptions};
use std::future::Future;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};
use tokio::task::spawn_blocking;

use crate::record::identity::{Begun, EpochId, Incarnation, Name};
use crate::record::value::{decode, encode};

/// What is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The number of the host.
    pub uuid: String,
    /// Of which group.
    pub group: Name,
    /// By which name.
    pub host: Name,
    /// The greatest epoch that was obeyed.
    #[serde(default)]
    pub last: EpochId,
    /// Those that were begun here and whose verdict has not been told to the catalogue.
    #[serde(default)]
    pub waiting: Vec<Begun>,
    /// The last of them whose verdict the catalogue was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Begun>,
    /// When the gate was opened last, by the clock of that boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<Opened>,
    /// The agent that wrote this last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<Incarnation>,
}

/// A moment of a boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Which boot.
    pub boot: String,
    /// Since its beginning; not said while the gate may be closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
}

impl Remembered {
    /// Of a host that has obeyed nothing.
    pub fn new(uuid: String, group: Name, host: Name) -> Remembered {
        Remembered {
            uuid,
            group,
            host,
            last: EpochId(0),
            waiting: Vec::new(),
            settled: None,
            opened: None,
            incarnation: None,
        }
    }

    /// The catalogue has been told of this epoch's verdict.
    pub fn settle(&mut self, epoch: EpochId) {
        let told = self.waiting.iter().position(|begun| begun.id == epoch);
        if let Some(told) = told.map(|place| self.waiting.remove(place)) {
            self.settled = self.settled.take().max(Some(told));
        }
    }

    /// How long the gate must still stay open.
    pub fn must_stay_open(&self, boot: &str, now: Duration, min_open: Duration) -> Duration {
        match &self.opened {
            // Nobody was kept waiting while the machine was down.
            Some(opened) if opened.boot == boot => match opened.at_ms {
                Some(at) => {
                    (Duration::from_millis(at) + min_open).saturating_sub(now).min(min_open)
                }
                None => min_open,
            },
            _ => Duration::ZERO,
        }
    }
}

/// Where it is kept.
pub trait Notebook: Send + Sync + 'static {
    /// Keeps it; it is safe when this returns.
    fn keep(&self, remembered: &Remembered) -> impl Future<Output = io::Result<()>> + Send;

    /// The time since the boot began, that of a suspended machine included.
    fn now(&self) -> Duration;
}

/// The notes of a running agent, which changes them by way of the notebook only.
#[derive(Debug)]
pub struct Notes<N> {
    notebook: Arc<N>,
    remembered: Arc<Mutex<Remembered>>,
    settled: Arc<watch::Sender<Option<Begun>>>,
}

impl<N> Clone for Notes<N> {
    fn clone(&self) -> Notes<N> {
        Notes {
            notebook: self.notebook.clone(),
            remembered: self.remembered.clone(),
            settled: self.settled.clone(),
        }
    }
}

impl<N: Notebook> Notes<N> {
    /// Those in this notebook.
    pub fn new(notebook: N, remembered: Remembered) -> Notes<N> {
        let settled = Arc::new(watch::Sender::new(remembered.settled.clone()));
        let remembered = Arc::new(Mutex::new(remembered));
        Notes { notebook: Arc::new(notebook), remembered, settled }
    }

    /// What was settled last, whenever that is another one.
    pub fn settled(&self) -> watch::Receiver<Option<Begun>> {
        self.settled.subscribe()
    }

    /// As they are now.
    pub async fn read(&self) -> Remembered {
        self.remembered.lock().await.clone()
    }

    /// Changes them for good. What could not be kept is not believed either.
    pub async fn change(&self, change: impl FnOnce(&mut Remembered, Duration)) -> io::Result<()> {
        let mut remembered = self.remembered.lock().await;
        let mut next = remembered.clone();
        change(&mut next, self.notebook.now());
        if *remembered != next {
            self.notebook.keep(&next).await?;
            self.settled.send_if_modified(|settled| {
                let is_news = *settled != next.settled;
                settled.clone_from(&next.settled);
                is_news
            });
            *remembered = next;
        }
        Ok(())
    }

    /// The time since the boot began.
    pub fn now(&self) -> Duration {
        self.notebook.now()
    }
}

/// A file, and a lock that keeps a second agent from it.
#[derive(Debug)]
pub struct FileNotebook {
    path: PathBuf,
    /// The folder, for what makes a new name safe.
    folder: File,
    _lock: Flock<File>,
}

impl FileNotebook {
    /// The notebook of that name, for this process alone, and what is in it.
    ///
    /// # Errors
    /// `WouldBlock`: another process has it.
    pub fn open(folder: &Path, name: &Name) -> io::Result<(FileNotebook, Option<Remembered>)> {
        fs::create_dir_all(folder)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(folder.join(format!("{name}.lock")))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock);
        let lock = lock.map_err(|(_, errno)| io::Error::from(errno))?;
        let path = folder.join(format!("{name}.json"));
        let remembered = FileNotebook::read(&path)?;
        Ok((FileNotebook { path, folder: File::open(folder)?, _lock: lock }, remembered))
    }

    /// What is in the notebook of that name, for who only looks.
    pub fn peek(folder: &Path, name: &Name) -> io::Result<Option<Remembered>> {
        FileNotebook::read(&folder.join(format!("{name}.json")))
    }

    /// What is in it. A damaged one is no empty one: what was obeyed would be forgotten.
    fn read(path: &Path) -> io::Result<Option<Remembered>> {
        match fs::read(path) {
            Ok(bytes) => decode(&bytes).map(Some).map_err(|unreadable| {
                io::Error::new(io::ErrorKind::InvalidData, unreadable.to_string())
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps it, aside first.
    pub fn write(&self, remembered: &Remembered) -> io::Result<()> {
        write(&self.path, &self.folder, &encode(remembered))
    }
}

fn write(path: &Path, folder: &File, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    folder.sync_all()
}

impl Notebook for FileNotebook {
    async fn keep(&self, remembered: &Remembered) -> io::Result<()> {
        let (path, folder, bytes) =
            (self.path.clone(), self.folder.try_clone()?, encode(remembered));
        spawn_blocking(move || write(&path, &folder, &bytes)).await.map_err(io::Error::other)?
    }

    fn now(&self) -> Duration {
        clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
    }
}

/// One that is gone with its process, for tests and figures: the clock is the runtime's.
#[derive(Clone, Debug)]
pub struct MemoryNotebook {
    start: tokio::time::Instant,
    /// What was kept last.
    pub kept: Arc<std::sync::Mutex<Option<Remembered>>>,
}

impl Default for MemoryNotebook {
    fn default() -> MemoryNotebook {
        MemoryNotebook { start: tokio::time::Instant::now(), kept: Arc::default() }
    }
}

impl Notebook for MemoryNotebook {
    async fn keep(&self, remembered: &Remembered) -> io::Result<()> {
        *self.kept.lock().unwrap_or_else(|poison| poison.into_inner()) = Some(remembered.clone());
        Ok(())
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}
