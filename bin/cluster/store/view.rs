//! What is read, and what is told by a watch.

/// The engine's count of its changes. It never goes back, unless an old backup is restored.
pub type Revision = i64;

/// A key and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The key, whole.
    pub key: String,
    /// What was put last.
    pub value: Vec<u8>,
    /// The revision that made it; a key that is deleted and put again has a new one.
    pub created: Revision,
    /// The revision that put it last.
    pub modified: Revision,
}

/// What was under a name at one revision, in the order of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct View {
    /// At which this was the whole truth.
    pub revision: Revision,
    /// One of each key.
    pub entries: Vec<Entry>,
}

impl View {
    /// The entry of that key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// One change, or word that changes are not known one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A key has a new value.
    Put(Entry),
    /// A key is gone: deleted, or its lease has run out.
    Delete {
        /// Which.
        key: String,
        /// Since when.
        revision: Revision,
    },
    /// The engine no longer knows every change since the last event (it was compacted, or an old backup was restored,
    /// and the revision may have gone back). This is what there is now; what is not in it is gone.
    Resynced(View),
}

/// Whether the key is under the name.
pub fn covers(name: &str, key: &str) -> bool {
    match name.ends_with('/') {
        true => key.starts_with(name),
        false => key == name,
    }
}
