//! `list` and `latest`: the epochs that were. From the store, or, when that does not answer, from what this host's own
//! catalogue was told of them, which also knows whether its part is still there.

use serde_json::{Value, json};

use super::context::Context;
use super::shown;
use crate::coordinator::recover::recent;
use crate::host::child::{Child, Work};
use crate::host::snapshot_name;
use crate::record::identity::EpochId;
use crate::record::value::decode;
use crate::record::verdict::{Outcome, Verdict};
use crate::store::Store;
use crate::words::exit::Exit;
use crate::words::failure::Failure;
use crate::words::lines::{print, say, warn};

#[derive(Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, clap::Args)]
pub struct Latest {
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, clap::Args)]
struct Source {
    /// Ask this host's own catalogue only
    #[arg(long)]
    local: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// An epoch, the newest first.
struct Past {
    epoch: EpochId,
    /// Of which nothing is known yet if there is none.
    outcome: Option<Outcome>,
    /// What is wrong with it all the same.
    doubts: Vec<String>,
    /// Nothing of it is left where it was asked.
    is_gone: bool,
    json: Value,
}

/// What was found, and why the store was not asked for it, if it should have been.
struct Known {
    past: Vec<Past>,
    silence: Option<Failure>,
}

pub async fn list(context: &Context, arguments: &List) -> Result<Exit, Failure> {
    let Known { past, .. } = known(context, &arguments.source).await?;
    let text = match arguments.source.json {
        true => {
            let values: Vec<&Value> = past.iter().rev().map(|past| &past.json).collect();
            serde_json::to_string_pretty(&values).unwrap_or_default() + "\n"
        }
        false => {
            let mut rows =
                vec![["NAME", "VERDICT", "WHEN", "MEMBERS", "WHY"].map(str::to_owned).to_vec()];
            for past in past.iter().rev() {
                let text = |key: &str| past.json[key].as_str().unwrap_or("-").to_owned();
                let members = past.json["members"].as_object().map_or(0, serde_json::Map::len);
                let reason = past.json["reason"]["text"].as_str().map(str::to_owned);
                let why: Vec<String> = reason.into_iter().chain(past.doubts.clone()).collect();
                rows.push(vec![
                    text("name"),
                    past.outcome.map_or("none yet", Outcome::word).to_owned(),
                    text("when"),
                    if members == 0 { "-".to_owned() } else { members.to_string() },
                    why.join("; "),
                ]);
            }
            shown::table(&rows)
        }
    };
    print(&text)?;
    Ok(Exit::SUCCESS)
}

pub async fn latest(context: &Context, arguments: &Latest) -> Result<Exit, Failure> {
    let Known { past, silence } = known(context, &arguments.source).await?;
    let group = &context.configuration.group;
    let complete = past.iter().filter(|past| past.outcome == Some(Outcome::Complete));
    let (gone, there): (Vec<&Past>, Vec<&Past>) = complete.partition(|past| past.is_gone);
    let Some(latest) = there.first() else {
        // Nobody knows, if the store does not say it and this host does not.
        return Err(silence.unwrap_or_else(|| {
            Failure::new(Exit::MISSING, format!("{group}: no epoch is complete{}", lost(&gone)))
        }));
    };
    let passed = gone.iter().filter(|past| past.epoch > latest.epoch);
    for past in passed.chain([latest]) {
        for doubt in &past.doubts {
            warn(format!("{}: {doubt}", snapshot_name(group, past.epoch)));
        }
    }
    let text = match arguments.source.json {
        true => serde_json::to_string_pretty(&latest.json).unwrap_or_default() + "\n",
        false => snapshot_name(group, latest.epoch) + "\n",
    };
    print(&text)?;
    Ok(Exit::SUCCESS)
}

fn lost(gone: &[&Past]) -> String {
    match gone.len() {
        0 => String::new(),
        count => format!(" whose part is here ({count} whose part is gone)"),
    }
}

async fn known(context: &Context, source: &Source) -> Result<Known, Failure> {
    if source.local {
        return Ok(Known { past: local(context).await?, silence: None });
    }
    let silence = match of_store(context).await {
        Err(failure) if failure.exit == Exit::UNAVAILABLE => failure,
        past => return Ok(Known { past: past?, silence: None }),
    };
    // Who makes no snapshots here has nothing to say instead.
    if context.configuration.work().is_none() {
        return Err(silence);
    }
    let past = local(context).await.map_err(|failure| {
        Failure::new(silence.exit, format!("{silence}; nor does this host's catalogue: {failure}"))
    })?;
    say(format!("{silence}; this is what this host's own catalogue knows"));
    Ok(Known { past, silence: Some(silence) })
}

async fn of_store(context: &Context) -> Result<Vec<Past>, Failure> {
    let (store, keys) = (context.store()?, &context.keys);
    let group = &context.configuration.group;
    let mut past = Vec::new();
    for epoch in recent(&store, keys).await? {
        let key = keys.verdict(epoch);
        let view = store.range(&key).await?;
        past.push(match view.get(&key).map(|entry| decode::<Verdict>(&entry.value)) {
            Some(Ok(verdict)) => Past {
                epoch,
                outcome: Some(verdict.outcome),
                doubts: shown::unclean(&verdict),
                is_gone: false,
                json: shown::verdict(group, epoch, &verdict),
            },
            Some(Err(unreadable)) => {
                return Err(Failure::new(Exit::INTERNAL, format!("{key}: {unreadable}")));
            }
            None => Past {
                epoch,
                outcome: None,
                doubts: Vec::new(),
                is_gone: false,
                json: json!({ "schema": 1, "group": group, "epoch": epoch, "name": snapshot_name(group, epoch), "outcome": null }),
            },
        });
    }
    Ok(past)
}

/// What `stillpoint list` says of parts of this group. Who has no work here has what is in the usual place.
async fn local(context: &Context) -> Result<Vec<Past>, Failure> {
    let configuration = &context.configuration;
    let work = configuration.work().unwrap_or(Work::Snapshot(Vec::new()));
    let manifests = Child::new(configuration.group.clone(), work).manifests().await?;
    Ok(parts(configuration.group.as_str(), manifests))
}

fn parts(group: &str, manifests: Vec<Value>) -> Vec<Past> {
    let mut past: Vec<Past> = manifests
        .into_iter()
        .filter(|manifest| manifest["group"]["name"] == group)
        .filter_map(|manifest| {
            let part = &manifest["group"];
            let epoch = EpochId(part["epoch"].as_u64()?);
            let verdict: Option<Outcome> = serde_json::from_value(part["verdict"].clone()).ok();
            // Nothing is complete without the certificate of this host.
            let outcome = verdict.or((manifest["status"] == "failed").then_some(Outcome::Aborted));
            let text = |key: &str| manifest[key].as_str();
            let is_gone = manifest["status"] == "complete" && manifest["present"] == false;
            let is_unclean = manifest["status"] == "complete" && manifest["clean"] == false;
            let why = text("reason").filter(|_| is_unclean);
            let doubts = [
                why.map(|why| format!("this host's part is not clean: {why}")),
                is_gone.then(|| "this host's part is gone".to_owned()),
            ];
            // As in the verdict: what is told of one that came to nothing.
            let reason = text("reason").filter(|_| outcome == Some(Outcome::Aborted));
            let json = json!({
                "schema": 1,
                "group": group,
                "epoch": epoch,
                "name": manifest["name"],
                "outcome": outcome,
                "reason": reason.map(|text| json!({ "text": text })),
                "when": text("quiet").or(text("began")),
                "mode": part["mode"],
                "members": part["members"],
                "manifest": manifest,
            });
            let doubts = doubts.into_iter().flatten().collect();
            Some(Past { epoch, outcome, doubts, is_gone, json })
        })
        .collect();
    past.sort_by_key(|past| std::cmp::Reverse(past.epoch));
    past
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalogue_knows_the_epochs_of_its_group_the_newest_first() {
        let manifest = |name: &str, group: Value| json!({ "name": name, "group": group });
        let manifests = vec![
            manifest("mail-7", json!({ "name": "mail", "epoch": 7, "verdict": "complete" })),
            manifest("mail-19", json!({ "name": "mail", "epoch": 19, "verdict": null })),
            manifest("mail-12", json!({ "name": "mail", "epoch": 12, "verdict": "aborted" })),
            manifest("other-99", json!({ "name": "other", "epoch": 99, "verdict": "complete" })),
            manifest("daily", Value::Null),
            json!({ "name": "old" }),
            json!({ "name": "mail-15", "status": "failed", "group": { "name": "mail", "epoch": 15, "verdict": null } }),
        ];
        let past = parts("mail", manifests);
        let shown: Vec<_> = past.iter().map(|past| (past.epoch.0, past.outcome)).collect();
        assert!(past.iter().all(|past| past.doubts.is_empty() && !past.is_gone));
        let aborted = Some(Outcome::Aborted);
        assert_eq!(shown, [(19, None), (15, aborted), (12, aborted), (7, Some(Outcome::Complete))]);
    }
}
