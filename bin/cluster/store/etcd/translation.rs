//! Transactions, views and events in the words of the client library.

use etcd_client::{
    Compare, CompareOp, Event as Told, EventType, GetOptions, GetResponse, KeyValue, PutOptions,
    Txn as Request, TxnOp, TxnOpResponse, TxnResponse,
};

use crate::store::error::{StoreError, Trouble};
use crate::store::transaction::{Guard, Outcome, Txn, Write};
use crate::store::view::{Entry, Event, Revision, View};

pub(super) fn all_under(name: &str) -> Option<GetOptions> {
    name.ends_with('/').then(|| GetOptions::new().with_prefix())
}

pub(super) fn request(txn: &Txn) -> Request {
    let guards: Vec<Compare> = txn.guards.iter().map(compare).collect();
    let reads = txn.reads.iter().map(|name| TxnOp::get(name.as_str(), all_under(name)));
    let reads: Vec<TxnOp> = reads.collect();
    let writes = txn.writes.iter().map(operation);
    let all: Vec<TxnOp> = writes.chain(reads.iter().cloned()).collect();
    Request::new().when(guards).and_then(all).or_else(reads)
}

fn compare(guard: &Guard) -> Compare {
    match guard {
        Guard::Absent(name) => {
            let none = Compare::create_revision(name.as_str(), CompareOp::Equal, 0);
            if name.ends_with('/') { none.with_prefix() } else { none }
        }
        Guard::Created(key, revision) => {
            Compare::create_revision(key.as_str(), CompareOp::Equal, *revision)
        }
        Guard::Modified(key, revision) => {
            Compare::mod_revision(key.as_str(), CompareOp::Equal, *revision)
        }
    }
}

fn operation(write: &Write) -> TxnOp {
    match write {
        Write::Put { key, value, lease } => {
            let options = lease.map(|lease| PutOptions::new().with_lease(lease));
            TxnOp::put(key.as_str(), value.as_slice(), options)
        }
        Write::Delete { key } => TxnOp::delete(key.as_str(), None),
    }
}

pub(super) fn outcome(answer: TxnResponse) -> Result<Outcome, Trouble> {
    let revision = answer.header().map(|header| header.revision()).ok_or_else(headless)?;
    let mut views = Vec::new();
    for answer in answer.op_responses() {
        if let TxnOpResponse::Get(read) = answer {
            views.push(view(&read, Some(revision))?);
        }
    }
    Ok(Outcome { committed: answer.succeeded(), revision, views })
}

/// Inside a transaction the revision is that of the whole.
pub(super) fn view(answer: &GetResponse, revision: Option<Revision>) -> Result<View, Trouble> {
    let own = || answer.header().map(|header| header.revision());
    let revision = revision.or_else(own).ok_or_else(headless)?;
    let entries: Result<Vec<Entry>, Trouble> = answer.kvs().iter().map(entry).collect();
    Ok(View { revision, entries: entries? })
}

pub(super) fn event(told: &Told) -> Result<Event, Trouble> {
    let kv = told.kv().ok_or_else(headless)?;
    Ok(match told.event_type() {
        EventType::Put => Event::Put(entry(kv)?),
        EventType::Delete => Event::Delete { key: key(kv)?, revision: kv.mod_revision() },
    })
}

fn entry(kv: &KeyValue) -> Result<Entry, Trouble> {
    Ok(Entry {
        key: key(kv)?,
        value: kv.value().to_vec(),
        created: kv.create_revision(),
        modified: kv.mod_revision(),
    })
}

fn key(kv: &KeyValue) -> Result<String, Trouble> {
    let strange = |_| StoreError::Invalid("a key under our names is no text".to_string());
    String::from_utf8(kv.key().to_vec()).map_err(|error| Trouble::Final(strange(error)))
}

fn headless() -> Trouble {
    Trouble::Lost("an answer lacks what every answer has".to_string())
}
