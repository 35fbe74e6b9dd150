//! Writers that take no share themselves: how they are made to stand still while the gate is closed.
//!
//! Each kind has a room of its own; this one puts them together for whoever wants the exclusive side. Everything that
//! can be refused is refused before the gate closes. Then, in this order: the gate is closed and nobody is inside;
//! what is asked of the kernel is true ([`Others::are_still`]); the pause is granted; stores with a quiesce of their own
//! are told, as writers inside may have been waiting for them.
//! At the end they are asked whether they have stood still all the time, the gate opens, and only then they go on.
//!
//! Uses `catalogue` and below. Right about the certificate: what did not stand still from before the first byte to
//! after the last takes it away.

pub mod cover;
pub mod locks;
pub mod participant;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use stillpoint::ExclusiveGuard;

use self::cover::Means;
use self::locks::Locks;
use self::participant::Participants;
use self::participant::named::{self, With};
use crate::barrier::exclusive::Others;
use crate::catalogue::record::WriterRecord;
use crate::words::exit::Failure;
use crate::words::seconds::FOREVER;

/// What is asked for.
#[derive(clap::Args, Debug, Default)]
pub struct Wanted {
    /// Wait until nobody holds a write lock on the file system of PATH
    #[arg(long, value_name = "PATH")]
    pub adopted: Vec<PathBuf>,

    /// But for locks on this file, or on files in this folder, which are kept for a program's life
    #[arg(long, value_name = "PATH", requires = "adopted")]
    pub adopted_ignore: Vec<PathBuf>,

    /// Still a store that has a quiesce of its own, by its participant: 'NAME [ARGUMENT...]', or '/PROGRAM [ARGUMENT...]'
    #[arg(long, value_name = "PARTICIPANT", value_parser = with_parser())]
    pub with: Vec<With>,
}

fn with_parser() -> impl TypedValueParser<Value = With> {
    OsStringValueParser::new().try_map(|text| named::parse(&text))
}

impl Wanted {
    /// Nothing is.
    pub fn is_empty(&self) -> bool {
        self.adopted.is_empty() && self.with.is_empty()
    }

    /// Refuses what cannot work, with this limit of the hold, and starts nothing.
    pub fn check(&self, hold: Option<Duration>) -> Result<(), Failure> {
        if hold.is_none() && !self.with.is_empty() {
            let message = "participants must know when to go on by themselves: --with needs a --hold other than none";
            return Err(Failure::usage(message));
        }
        Participants::find(&self.with).map(drop)
    }
}

/// What is done about it. Dropped, it lets everybody go on.
#[derive(Debug)]
pub struct Stilling {
    /// Paths on the file systems whose locks are asked for.
    adopted: Vec<PathBuf>,
    locks: Option<Locks>,
    participants: Participants,
}

impl Stilling {
    /// Refuses what cannot work, and starts what must run before the gate closes. `_sources`: what the snapshot reads.
    pub fn prepare(wanted: &Wanted, _sources: &[PathBuf]) -> Result<Stilling, Failure> {
        let Wanted { adopted, adopted_ignore, .. } = wanted;
        let locks = (!adopted.is_empty()).then(|| Locks::on(adopted, adopted_ignore));
        let locks = locks.transpose()?;
        let mut participants = Participants::find(&wanted.with)?;
        participants.start()?;
        Ok(Stilling { adopted: adopted.clone(), locks, participants })
    }

    /// By what it stills whom, for who looks at all that write. Participants are ready by then.
    pub fn means(&self) -> Means {
        Means {
            adopted: self.adopted.clone(),
            participants: self.participants.covers(),
            ..Means::default()
        }
    }

    /// Who kept it from being had, for the manifest.
    pub fn inside(&self) -> Vec<WriterRecord> {
        self.locks.iter().flat_map(Locks::records).collect()
    }

    /// Before each closing: those that are told are there and listen.
    pub fn get_ready(&mut self) -> Result<(), Failure> {
        self.participants.get_ready()
    }

    /// In the pause: tells those that are told. They have as long to stand still as a writer may be kept waiting.
    pub fn freeze(&mut self, drain: Duration, guard: &ExclusiveGuard) -> Result<(), Failure> {
        let limit = guard.remaining().unwrap_or(FOREVER);
        self.participants.freeze(drain.min(limit), limit)
    }

    /// Whether all have stood still until now. Quick: writers wait meanwhile.
    pub fn check(&mut self) -> Result<(), Failure> {
        self.participants.check()
    }

    /// Lets all go on. The gate is open by then. An error if one finds that it was not still.
    pub fn thaw(&mut self) -> Result<(), Failure> {
        self.participants.thaw()
    }
}

impl Others for Stilling {
    fn are_asked(&self) -> bool {
        self.locks.is_some()
    }

    fn are_still(&mut self) -> bool {
        self.locks.as_mut().is_none_or(Locks::are_free)
    }

    fn let_go(&mut self) {
        if let Some(locks) = &mut self.locks {
            locks.look();
        }
    }

    fn in_the_way(&self) -> Vec<String> {
        self.locks.iter().filter_map(Locks::in_the_way).collect()
    }
}

impl Drop for Stilling {
    fn drop(&mut self) {
        let _ = self.thaw();
    }
}
