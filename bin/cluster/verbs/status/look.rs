//! What there is of a group, read at one moment, and how people are shown it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::coordinator::recover::recent;
use crate::record::epoch::Epoch;
use crate::record::identity::{EpochId, Name};
use crate::record::keys::Place;
use crate::record::live::Live;
use crate::record::report::Report;
use crate::record::roster::Member;
use crate::record::value::decode;
use crate::record::verdict::Verdict;
use crate::store::etcd::Etcd;
use crate::store::{Store, Txn, View};
use crate::verbs::context::Context;
use crate::verbs::shown::table;
use crate::words::exit::Exit;
use crate::words::failure::Failure;

/// How many epochs are shown.
const SHOWN: usize = 5;

/// All that is shown.
#[derive(Debug, Serialize)]
pub struct Status {
    schema: u32,
    group: Name,
    pub revision: i64,
    epoch: Option<Under>,
    hosts: Vec<HostStatus>,
    epochs: Vec<Past>,
}

#[derive(Debug, Serialize)]
struct Under {
    id: EpochId,
    #[serde(flatten)]
    epoch: Option<Epoch>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct HostStatus {
    host: Name,
    member: Option<Member>,
    live: Option<Live>,
    report: Option<Report>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Past {
    id: EpochId,
    verdict: Option<Verdict>,
}

/// What there is now.
pub async fn status(context: &Context, store: &Etcd) -> Result<Status, Failure> {
    let keys = &context.keys;
    let txn = Txn::new().read(keys.epoch()).read(keys.rosters()).read(keys.hosts());
    let outcome = store.commit(txn).await?;
    let [epoch, roster, hosts] = outcome.views.as_slice() else {
        return Err(Failure::new(Exit::INTERNAL, "the store left a read out"));
    };
    let epoch = epoch.get(&keys.epoch()).map(|entry| {
        let decoded = decode::<Epoch>(&entry.value);
        let error = decoded.as_ref().err().map(ToString::to_string);
        Under { id: EpochId(entry.created as u64), epoch: decoded.ok(), error }
    });
    let mut epochs = Vec::new();
    for id in recent(store, keys).await?.into_iter().take(SHOWN) {
        let key = keys.verdict(id);
        let view = store.range(&key).await?;
        let verdict = view.get(&key).and_then(|entry| decode(&entry.value).ok());
        epochs.push(Past { id, verdict });
    }
    Ok(Status {
        schema: 1,
        group: context.configuration.group.clone(),
        revision: outcome.revision,
        epoch,
        hosts: hosts_of(context, roster, hosts),
        epochs,
    })
}

fn hosts_of(context: &Context, roster: &View, hosts: &View) -> Vec<HostStatus> {
    let keys = &context.keys;
    let entries = || roster.entries.iter().chain(&hosts.entries);
    let mut names: Vec<Name> = entries()
        .filter_map(|entry| match keys.place(&entry.key)? {
            Place::Roster(host) | Place::Live(host) => Some(host),
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    let of = |host: Name| {
        let mut error = None;
        let member = read(roster, keys.roster(&host), &mut error);
        let live = read(hosts, keys.live(&host), &mut error);
        let report = read(hosts, keys.report(&host), &mut error);
        HostStatus { host, member, live, report, error }
    };
    names.into_iter().map(of).collect()
}

/// The value of a key, if it is there and this version understands it.
fn read<T: DeserializeOwned>(view: &View, key: String, error: &mut Option<String>) -> Option<T> {
    let decoded = decode(&view.get(&key)?.value);
    decoded.map_err(|unreadable| *error = Some(format!("{key}: {unreadable}"))).ok()
}

/// For people.
pub fn text(status: &Status) -> String {
    let mut text = match &status.epoch {
        None => format!("{}: no epoch is under way\n", status.group),
        Some(under) => match (&under.epoch, &under.error) {
            (Some(epoch), _) => format!(
                "{}: epoch {} of {} is under way: {}, {}\n",
                status.group, under.id, epoch.coordinator, epoch.mode, epoch.phase
            ),
            (None, error) => format!(
                "{}: epoch {} is under way: {}\n",
                status.group,
                under.id,
                error.as_deref().unwrap_or_default()
            ),
        },
    };
    if status.hosts.is_empty() {
        return text + "no host has joined\n";
    }
    let heads = ["HOST", "MEMBER", "AGENT", "GATE", "WRITERS", "INSIDE", "LAST REPORT"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(status.hosts.iter().map(row));
    text += &table(&rows);
    for host in &status.hosts {
        let rival = host.live.as_ref().and_then(|live| Some(live.rivalry(live.rival.as_ref()?)));
        let barriers = host.live.iter().flat_map(|live| &live.barriers);
        let uncounted = barriers.filter_map(|one| one.error.clone());
        for what in rival.into_iter().chain(host.error.clone()).chain(uncounted) {
            text += &format!("{}: {what}\n", host.host);
        }
    }
    for past in &status.epochs {
        let said = match &past.verdict {
            None if status.epoch.as_ref().is_some_and(|under| under.id == past.id) => continue,
            None => "has no verdict; `stillpoint-cluster recover` gives it one".to_owned(),
            Some(verdict) => {
                let why =
                    verdict.reason.as_ref().map_or(String::new(), |why| format!(": {}", why.text));
                format!("{} {}{why}", verdict.outcome.word(), verdict.when)
            }
        };
        text += &format!("epoch {}: {said}\n", past.id);
    }
    text
}

fn row(host: &HostStatus) -> Vec<String> {
    let counts = host.live.as_ref().map(|live| &live.barriers);
    let counts = counts.filter(|barriers| !barriers.is_empty());
    let sum = |of: fn(&crate::record::live::Counts) -> u64| {
        counts.map_or("-".to_owned(), |all| all.iter().map(of).sum::<u64>().to_string())
    };
    let gate = counts.map_or("-", |all| match all {
        _ if all.iter().any(|one| one.error.is_some()) => "unknown",
        _ if all.iter().any(|one| one.closed) => "closed",
        _ if all.iter().any(|one| one.dirty) => "open, dirty",
        _ => "open",
    });
    let report = host.report.as_ref();
    let report =
        report.map_or("-".to_owned(), |report| format!("{} {}", report.epoch, report.said));
    vec![
        host.host.to_string(),
        if host.member.is_some() { "yes" } else { "no" }.to_owned(),
        host.live.as_ref().map_or("none".to_owned(), |live| match live.rival {
            None => format!("{} {}", live.machine, live.incarnation),
            Some(_) => "two of them".to_owned(),
        }),
        gate.to_owned(),
        sum(|one| one.writers),
        sum(|one| one.shares),
        report,
    ]
}
