//! `join`, `leave` and `evict`: who belongs to the group.

use std::time::Duration;

use stillpoint::{ErrorKind, Status, WriterStatus};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::context::{Context, when};
use crate::agent::notebook::Remembered;
use crate::host::child::Child;
use crate::record::identity::Name;
use crate::roster::{self, Changed, Request};
use crate::store::Store;
use crate::words::exit::Exit;
use crate::words::failure::Failure;
use crate::words::lines::say;

/// For what has just taken a snapshot to be gone.
const ENDING: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub struct Waiting {
    /// How long to wait for the end of an epoch that is under way
    #[arg(long, value_name = "SECS", default_value_t = 60)]
    wait: u64,
}

#[derive(Debug, clap::Args)]
pub struct Join {
    #[command(flatten)]
    waiting: Waiting,

    /// The store is a new one: forget the epochs that were obeyed in the old one
    ///
    /// Only if nobody uses the old store any more. An old store that comes back could have this host obey an epoch
    /// twice.
    #[arg(long)]
    forget: bool,

    /// In the place of a machine of this name: it is this one, whose state was lost, or one that is certainly dead
    ///
    /// A machine that is only unreachable still has its writers, and what they write is in no snapshot of the group
    /// from now on. Refused while its agent is there.
    #[arg(long)]
    fenced: bool,
}

#[derive(Debug, clap::Args)]
pub struct Leave {
    #[command(flatten)]
    waiting: Waiting,
}

#[derive(Debug, clap::Args)]
pub struct Evict {
    #[command(flatten)]
    waiting: Waiting,

    /// It is certain that no writer of this host reaches the data any more
    ///
    /// Its power is cut, or its storage is taken from it. A host that is only unreachable still has its writers, and
    /// what they write is in no snapshot of the group from now on.
    #[arg(long)]
    fenced: bool,

    /// Which
    host: Name,
}

fn request(context: &Context, host: Name, waiting: &Waiting) -> Request {
    Request {
        keys: context.keys.clone(),
        host,
        wait: Duration::from_secs(waiting.wait),
        by: context.by(),
        when: when(),
    }
}

pub async fn join(context: &Context, arguments: &Join) -> Result<Exit, Failure> {
    let remembered = match arguments.forget {
        true => forgotten(context)?,
        false => remembered(context)?,
    };
    let store = context.store()?;
    // One that is older than what this host has obeyed would have all its epochs refused.
    let now = store.range(&context.keys.begun()).await?.revision;
    if remembered.last.0 as i64 > now {
        return Err(Failure::new(
            Exit::CONFLICT,
            format!(
                "this host has obeyed epoch {}, and the store is at revision {now} only: restore it with --bump-revision, or, if it is a new one for good, `join --forget`",
                remembered.last
            ),
        ));
    }
    let request = request(context, context.host.clone(), &arguments.waiting);
    let (uuid, machine) = (&remembered.uuid, &context.machine);
    let changed = match arguments.fenced {
        true => roster::take_over(&store, &request, uuid, machine).await?,
        false => roster::join(&store, &request, uuid, machine).await?,
    };
    told(changed, &context.host, "is a member now", "is a member already");
    Ok(Exit::SUCCESS)
}

/// What this host remembers, which begins here if nothing ever ran on it. An agent that is started meanwhile begins it
/// as well.
fn remembered(context: &Context) -> Result<Remembered, Failure> {
    if let Some(remembered) = context.peek()? {
        return Ok(remembered);
    }
    match context.notebook() {
        Ok((_, remembered)) => Ok(remembered),
        Err(failure) => context.peek()?.ok_or(failure),
    }
}

/// The same without the epochs that were obeyed.
fn forgotten(context: &Context) -> Result<Remembered, Failure> {
    let (notebook, mut remembered) = context.notebook()?;
    remembered.last = Default::default();
    remembered.waiting = Vec::new();
    remembered.settled = None;
    let kept = notebook.write(&remembered);
    kept.map_err(|error| Failure::new(Exit::SYSTEM, error.to_string()))?;
    Ok(remembered)
}

pub async fn leave(context: &Context, arguments: &Leave) -> Result<Exit, Failure> {
    let store = context.store()?;
    let uuid = context.peek()?.map(|remembered| remembered.uuid);
    let request = request(context, context.host.clone(), &arguments.waiting);
    // What takes the snapshot of an epoch has the barrier open, too.
    roster::until_idle(&store, &request).await?;
    has_no_writer(context).await?;
    let changed = roster::leave(&store, &request, uuid.as_deref()).await?;
    told(changed, &context.host, "has left", "is no member");
    Ok(Exit::SUCCESS)
}

/// Nobody writes on this host, as far as its barriers know. Who cannot look at one does not know.
async fn has_no_writer(context: &Context) -> Result<(), Failure> {
    let configuration = &context.configuration;
    let Some(work) = configuration.work() else { return Ok(()) };
    for barrier in Child::new(configuration.group.clone(), work).barriers().await? {
        let since = Instant::now();
        loop {
            match users(&barrier).await? {
                users if users.is_empty() => break,
                _ if since.elapsed() < ENDING => sleep(LOOK).await,
                users => {
                    return Err(Failure::new(
                        Exit::CONFLICT,
                        format!(
                            "{barrier} is open in {}, and the group's snapshots would go on without what is written there; end that, `stillpoint retire {barrier}`, and leave then",
                            users.join(", ")
                        ),
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Who has the barrier open. One that is not there is open nowhere.
async fn users(barrier: &str) -> Result<Vec<String>, Failure> {
    let name = barrier.to_owned();
    let looked = spawn_blocking(move || Status::read(&name)).await;
    match looked.map_err(|error| Failure::new(Exit::INTERNAL, error.to_string()))? {
        Ok(status) => {
            let shown = |one: &WriterStatus| format!("{} (pid {})", one.label, one.pid);
            let mut users: Vec<String> = status.writers.iter().map(shown).collect();
            users.dedup();
            Ok(users)
        }
        Err(error) if error.kind() == ErrorKind::Missing => Ok(Vec::new()),
        Err(error) => {
            let text = format!("{error}; whether there are writers cannot be told");
            Err(Failure::new(Exit::CONFLICT, text))
        }
    }
}

pub async fn evict(context: &Context, arguments: &Evict) -> Result<Exit, Failure> {
    let host = &arguments.host;
    if !arguments.fenced {
        return Err(Failure::new(
            Exit::USAGE,
            format!(
                "{host}: a host whose agent is silent may still have writers, and the group's snapshots would go on without them; `evict --fenced {host}` says that it has none"
            ),
        ));
    }
    let store = context.store()?;
    let request = request(context, host.clone(), &arguments.waiting);
    let changed = roster::evict(&store, &request).await?;
    told(changed, host, "is put out", "is no member");
    Ok(Exit::SUCCESS)
}

fn told(changed: Changed, host: &Name, done: &str, was_so: &str) {
    match changed {
        Changed::Done => say(format!("{host} {done}")),
        Changed::WasSo => say(format!("{host} {was_so}")),
    }
}
