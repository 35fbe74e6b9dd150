//! What is frozen, with which limits, and who else stands still: as the command line says, or the file of a job.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::around::Around;
use crate::barrier::exclusive::{DRAIN, HOLD, Patience};
use crate::job::Job;
use crate::snapshot::foreign::ForeignLocks;
use crate::snapshot::plan;
use crate::stilling::Wanted;
use crate::stilling::cover::Places;
use crate::words::exit::{Failure, STATUSES};
use crate::words::seconds::{self, Limit};

/// How long to try to get quiet, unless told otherwise: how long a host waits is the host's to say, and no job's.
const PATIENCE: Duration = Duration::from_secs(12);

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    /// Name or path of the barrier
    #[arg(required_unless_present = "job")]
    barrier: Option<OsString>,

    /// All barriers of this job, with its limits and those it stills beside them; prints a line for each
    #[arg(long, value_name = "JOB", conflicts_with_all = ["barrier", "state", "user", "adopted", "adopted_ignore", "freeze_unit", "freeze_cgroup", "with"])]
    job: Option<String>,

    /// Open the gate by itself after this long [default: 60]
    #[arg(long, value_name = "SECS|none", allow_hyphen_values = true, value_parser = seconds::parse_limit)]
    hold: Option<Limit>,

    /// Keep the gate closed at most this long at a time for the writers to leave [default: 2]
    #[arg(long, value_name = "SECS", allow_hyphen_values = true, value_parser = seconds::parse)]
    drain: Option<Duration>,

    /// Fail after this long; 0 does not wait [default: 12]
    #[arg(short = 'w', long = "timeout", visible_alias = "wait", value_name = "SECS", allow_hyphen_values = true, value_parser = seconds::parse)]
    timeout: Option<Duration>,

    /// Who closes the gate, as `status` shall say
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,

    /// Where its durable state is kept, as given to `create`, or none
    #[arg(long, value_name = "PATH|none")]
    state: Option<PathBuf>,

    #[command(flatten)]
    wanted: Wanted,

    /// Look for the name in $XDG_RUNTIME_DIR/stillpoint
    #[arg(long)]
    user: bool,
}

/// All of it, understood.
pub struct Freezing {
    /// In the order in which they are closed.
    pub barriers: Vec<OsString>,
    pub user: bool,
    pub state: Option<PathBuf>,
    pub label: String,
    pub patience: Patience,
    pub drain: Duration,
    pub hold: Limit,
    pub others: Wanted,
    /// Locks of other programs, held as long as the first barrier is closed.
    pub foreign: ForeignLocks,
    /// Where nobody may write who is not covered, if that is asked for, and whether Cyrus is.
    pub covered: Option<(Places, bool)>,
    /// What is run before and after, and kept of it: of a job.
    pub around: Option<Around>,
    /// Each token is printed with its barrier.
    pub names_barriers: bool,
}

impl Freezing {
    /// Refuses what cannot be done before anything is frozen. The time to get in begins now.
    pub fn new(arguments: Arguments) -> Result<Freezing, Failure> {
        let Arguments { barrier, job, hold, drain, timeout, label, state, wanted, user } =
            arguments;
        let patience = Patience::new(Some(timeout.unwrap_or(PATIENCE)));
        let freezing = match job {
            None => Freezing {
                barriers: barrier.into_iter().collect(),
                user,
                state,
                label: label.unwrap_or_else(|| "freeze".to_owned()),
                patience,
                drain: drain.unwrap_or(DRAIN),
                hold: hold.unwrap_or(HOLD),
                others: wanted,
                foreign: ForeignLocks::default(),
                covered: None,
                around: None,
                names_barriers: false,
            },
            Some(name) => {
                let mut job = Job::read(&name)?;
                check(&job)?;
                let around = Some(Around::new(&mut job));
                let said = job.snapshot;
                let foreign =
                    ForeignLocks::find(said.cyrus.as_deref(), said.cyrus_unchecked, &said.also)?;
                let covered = said.require_covered.then(|| plan::places(&said)).transpose()?;
                Freezing {
                    foreign,
                    covered: covered.map(|places| (places, said.cyrus.is_some())),
                    barriers: said.barriers,
                    user: false,
                    state: said.state,
                    label: label.or(said.label).unwrap_or(job.name),
                    patience,
                    drain: drain.unwrap_or(said.drain),
                    hold: hold.or(said.hold).unwrap_or(HOLD),
                    others: said.wanted,
                    around,
                    names_barriers: true,
                }
            }
        };
        freezing.others.check(freezing.hold.duration())?;
        Ok(freezing)
    }

    /// Where they are.
    pub fn paths(&self) -> Result<Vec<PathBuf>, stillpoint::Error> {
        let path = |barrier: &OsString| stillpoint::barrier_path(barrier, self.user);
        self.barriers.iter().map(path).collect()
    }
}

/// Each barrier is named on a line of its own.
fn check(job: &Job) -> Result<(), Failure> {
    let file = job.path.display();
    for barrier in &job.snapshot.barriers {
        if barrier.as_bytes().contains(&b'\n') {
            let message = format!("{file}: barriers: {barrier:?}: no line can be printed for it");
            return Err(Failure::usage(message));
        }
    }
    Ok(())
}
