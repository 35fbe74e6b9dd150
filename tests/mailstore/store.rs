//! A small mail store whose files are right only together.
//!
//! Every mailbox is a folder of three things: `messages/` with one file per message, `index` with
//! one line per message (number, length, checksum), and `quota` with how many messages and bytes
//! there are. A delivery changes all three by separate system calls, as a real mail server does,
//! so a copy made in the middle of one is torn: that is the invariant, and [`check`] is its oracle.
//!
//! Nothing here calls fsync, for a snapshot sees completed writes whether or not they are on
//! disk, and nothing writes aside what a real server would not: a message appears under its own
//! name and grows, so from its creation to the new quota the mailbox contradicts itself. A writer
//! that delivers without rest is inside that stretch nearly all the time, and with eight of them
//! some writer practically always is.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::hash::Hasher;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A mailbox that has grown to this many messages drops its older half: the store stays small.
const FULL: usize = 64;

/// One `write(2)` of a message.
const PIECE: usize = 1024;

/// Makes an empty store of `mailboxes` mailboxes; folders that exist already are left alone.
pub fn init(store: &Path, mailboxes: usize) -> io::Result<()> {
    for number in 0..mailboxes {
        let mailbox = store.join(number.to_string());
        fs::create_dir_all(mailbox.join("messages"))?;
        for (name, content) in [("index", String::new()), ("quota", quota(0, 0))] {
            match File::create_new(mailbox.join(name)) {
                Ok(mut file) => file.write_all(content.as_bytes())?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Fixed width, so that the file is rewritten in place by one `pwrite(2)`.
fn quota(messages: usize, bytes: u64) -> String {
    format!("{messages:10} messages {bytes:16} bytes\n")
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// What the index says about one message.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry {
    number: u64,
    length: u64,
    checksum: u64,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {} {:016x}", self.number, self.length, self.checksum)
    }
}

fn parse(line: &str) -> Option<Entry> {
    let mut words = line.strip_suffix('\n')?.split(' ');
    let entry = Entry {
        number: words.next()?.parse().ok()?,
        length: words.next()?.parse().ok()?,
        checksum: u64::from_str_radix(words.next()?, 16).ok()?,
    };
    words.next().is_none().then_some(entry)
}

/// One mailbox, open for deliveries; its lock keeps a second writer out.
pub struct Mailbox {
    path: PathBuf,
    index: File,
    quota: File,
    entries: VecDeque<Entry>,
    next: u64,
}

impl Mailbox {
    /// Opens mailbox `number`, which must be consistent and have no other writer.
    pub fn open(store: &Path, number: usize) -> io::Result<Mailbox> {
        let path = store.join(number.to_string());
        let quota = OpenOptions::new().read(true).write(true).open(path.join("quota"))?;
        fs2::FileExt::try_lock_exclusive(&quota)
            .map_err(|error| io::Error::new(error.kind(), "another writer has it"))?;
        if let Some(violation) = check_mailbox(&path, &number.to_string())?.first() {
            return Err(io::Error::other(violation.clone()));
        }
        let lines = fs::read_to_string(path.join("index"))?;
        let entries: VecDeque<Entry> = lines.split_inclusive('\n').filter_map(parse).collect();
        Ok(Mailbox {
            index: OpenOptions::new().append(true).open(path.join("index"))?,
            quota,
            next: entries.back().map_or(1, |last| last.number + 1),
            entries,
            path,
        })
    }

    /// One set of writes that belong together: a new message and, when the mailbox is full, the
    /// end of its older half. To be called inside a share.
    pub fn deliver(&mut self) -> io::Result<()> {
        let message = compose(self.next);
        let entry =
            Entry { number: self.next, length: message.len() as u64, checksum: checksum(&message) };
        let mut file = File::create_new(self.message(entry.number))?;
        for piece in message.chunks(PIECE) {
            file.write_all(piece)?;
        }
        self.index.write_all(entry.to_string().as_bytes())?;
        self.entries.push_back(entry);
        self.next += 1;
        if self.entries.len() >= FULL {
            self.expunge()?;
        }
        let bytes = self.entries.iter().map(|entry| entry.length).sum();
        let line = quota(self.entries.len(), bytes);
        self.quota.write_all_at(line.as_bytes(), 0)
    }

    fn expunge(&mut self) -> io::Result<()> {
        for entry in self.entries.drain(..FULL / 2) {
            fs::remove_file(self.path.join("messages").join(entry.number.to_string()))?;
        }
        let aside = self.path.join("index.new");
        let mut index = OpenOptions::new().append(true).create_new(true).open(&aside)?;
        let lines: String = self.entries.iter().map(Entry::to_string).collect();
        index.write_all(lines.as_bytes())?;
        fs::rename(aside, self.path.join("index"))?;
        self.index = index;
        Ok(())
    }

    fn message(&self, number: u64) -> PathBuf {
        self.path.join("messages").join(number.to_string())
    }
}

/// A message of 2 to 16 KiB, different for every number.
fn compose(number: u64) -> Vec<u8> {
    let seed = checksum(&number.to_ne_bytes());
    let mut message =
        format!("Message-ID: <{number}@mailstore>\nSubject: {seed:016x}\n\n").into_bytes();
    let length = 2048 + (seed % 14336) as usize;
    while message.len() < length {
        let line = checksum(&message[message.len() - 16..]);
        message.extend_from_slice(format!("{line:016x} {line:016x} {line:016x}\n").as_bytes());
    }
    message
}

/// Every contradiction in the store; none means that it is consistent.
pub fn check(store: &Path) -> io::Result<Vec<String>> {
    let mut mailboxes: Vec<String> = Vec::new();
    for entry in fs::read_dir(store)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.parse::<usize>().is_ok() {
            mailboxes.push(name);
        }
    }
    mailboxes.sort_by_key(|name| name.parse::<usize>().ok());
    if mailboxes.is_empty() {
        return Err(io::Error::other("no mailbox in it"));
    }
    let mut violations = Vec::new();
    for name in mailboxes {
        violations.extend(check_mailbox(&store.join(&name), &name)?);
    }
    Ok(violations)
}

fn check_mailbox(path: &Path, name: &str) -> io::Result<Vec<String>> {
    let mut violations = Vec::new();
    let mut messages = BTreeMap::new();
    for entry in fs::read_dir(path.join("messages"))? {
        let entry = entry?;
        let number = entry.file_name().to_string_lossy().into_owned();
        messages.insert(number, fs::read(entry.path())?);
    }
    let count = messages.len();
    let bytes = messages.values().map(|message| message.len() as u64).sum();

    let lines = fs::read_to_string(path.join("index"))?;
    for line in lines.split_inclusive('\n') {
        let Some(entry) = parse(line) else {
            violations.push(format!("mailbox {name}: half an index line: {line:?}"));
            continue;
        };
        match messages.remove(&entry.number.to_string()) {
            None => violations
                .push(format!("mailbox {name}: index entry without message: {}", entry.number)),
            Some(message) if message.len() as u64 != entry.length => violations.push(format!(
                "mailbox {name}: message {} has {} bytes, the index says {}",
                entry.number,
                message.len(),
                entry.length
            )),
            Some(message) if checksum(&message) != entry.checksum => violations
                .push(format!("mailbox {name}: wrong checksum of message {}", entry.number)),
            Some(_) => {}
        }
    }
    for number in messages.keys() {
        violations.push(format!("mailbox {name}: message without index entry: {number}"));
    }
    if path.join("index.new").exists() {
        violations.push(format!("mailbox {name}: index half rewritten"));
    }
    let said = fs::read_to_string(path.join("quota"))?;
    if said != quota(count, bytes) {
        violations.push(format!(
            "mailbox {name}: counter differs: {} said, {} found",
            said.split_whitespace().collect::<Vec<_>>().join(" "),
            quota(count, bytes).split_whitespace().collect::<Vec<_>>().join(" ")
        ));
    }
    Ok(violations)
}
