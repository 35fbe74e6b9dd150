//! What a store must look like: its files are right only together.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The length of a line of the index.
const RECORD: usize = 39;

/// Every contradiction in the store; none means that it is consistent.
pub fn contradictions(store: &Path) -> Vec<String> {
    let mut mailboxes = mailboxes(store);
    mailboxes.sort();
    assert!(!mailboxes.is_empty(), "no mailbox in {}", store.display());
    mailboxes.iter().flat_map(|name| in_mailbox(&store.join(name), name)).collect()
}

/// The messages of a mailbox that its index knows.
pub fn messages(store: &Path, mailbox: &str) -> Vec<String> {
    let mailbox = store.join(mailbox);
    let lines = fs::read_to_string(mailbox.join("index")).unwrap().len() / RECORD;
    (1..=lines)
        .map(|number| mailbox.join("messages").join(number.to_string()))
        .map(|path| String::from_utf8(fs::read(path).unwrap()).unwrap())
        .collect()
}

fn mailboxes(store: &Path) -> Vec<String> {
    let entries = fs::read_dir(store).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn in_mailbox(mailbox: &Path, name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut files: BTreeMap<u32, Vec<u8>> = fs::read_dir(mailbox.join("messages"))
        .unwrap()
        .map(|entry| entry.unwrap())
        // While it is read, a live mailbox changes.
        .filter_map(|entry| Some((entry.file_name(), fs::read(entry.path()).ok()?)))
        .map(|(number, bytes)| (number.to_str().unwrap().parse().unwrap(), bytes))
        .collect();
    let count = files.len();
    let bytes: usize = files.values().map(Vec::len).sum();

    let index = fs::read_to_string(mailbox.join("index")).unwrap();
    let lines = index.as_bytes().chunks(RECORD).zip(1..);
    for (line, number) in lines {
        let line = String::from_utf8_lossy(line);
        let Some(message) = files.remove(&number) else {
            wrong.push(format!("{name}: the index knows a message that is missing: {number}"));
            continue;
        };
        let right = format!("{number:010} {:010} {:016x}\n", message.len(), checksum(&message));
        if line != right {
            wrong.push(format!("{name}: the index says {line:?} where {right:?} is right"));
        }
    }
    for number in files.keys() {
        wrong.push(format!("{name}: the index does not know message {number}"));
    }
    let quota = fs::read_to_string(mailbox.join("quota")).unwrap();
    let right = format!("{count:010} {bytes:016}\n");
    if quota != right {
        wrong.push(format!("{name}: the quota says {quota:?} where {right:?} is right"));
    }
    wrong
}

/// FNV-1a, 64 bits.
fn checksum(bytes: &[u8]) -> u64 {
    let add = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, add)
}
