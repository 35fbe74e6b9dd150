//! The keys of a job's file, and how they are grouped.
//!
//! A key that says something of the snapshot is the long option of that name, and its value is what stands behind
//! the option: nobody learns them twice, and none is read in two ways. The others are of the job alone.

use crate::words::likeness::nearest;

/// What a key's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What stands behind an option of `stillpoint snapshot`.
    Option,
    /// The same; paths, which must not depend on where the job is started from.
    Place,
    /// A list of names.
    Names,
    /// A text for the shell, or a list of words that are run as they stand.
    Command,
    /// A number that is not 0.
    Count,
    /// A span of retention.
    Span,
    /// Seconds, or a text with units.
    Time,
    /// A text, or a list of texts.
    Texts,
    Text,
    Switch,
}

/// A key, and the section that it stands in.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub section: &'static str,
    pub name: &'static str,
    pub kind: Kind,
}

/// Those before the first section have none.
pub const TOP: &str = "";

pub const SECTIONS: [&str; 8] =
    ["snapshot", "limits", "others", "retention", "hooks", "verify", "metrics", "schedule"];

const fn key(section: &'static str, name: &'static str, kind: Kind) -> Key {
    Key { section, name, kind }
}

pub const KEYS: [Key; 49] = [
    key(TOP, "barriers", Kind::Names),
    key(TOP, "state", Kind::Place),
    key(TOP, "catalog", Kind::Place),
    key("snapshot", "btrfs", Kind::Place),
    key("snapshot", "reflink", Kind::Place),
    key("snapshot", "copy", Kind::Place),
    key("snapshot", "zfs", Kind::Option),
    key("snapshot", "lvm", Kind::Option),
    key("snapshot", "size", Kind::Option),
    key("snapshot", "command", Kind::Command),
    key("snapshot", "to", Kind::Place),
    key("snapshot", "current", Kind::Place),
    key("snapshot", "sync", Kind::Place),
    key("snapshot", "require-mount", Kind::Place),
    key("snapshot", "source-changed", Kind::Option),
    key("snapshot", "on-dirty", Kind::Option),
    key("snapshot", "label", Kind::Option),
    key("snapshot", "keep-failed", Kind::Option),
    key("limits", "patience", Kind::Option),
    key("limits", "drain", Kind::Option),
    key("limits", "hold", Kind::Option),
    key("limits", "attempts", Kind::Option),
    key("limits", "min-open", Kind::Option),
    key("others", "cyrus", Kind::Place),
    key("others", "cyrus-unchecked", Kind::Option),
    key("others", "also", Kind::Option),
    key("others", "adopted", Kind::Place),
    key("others", "adopted-ignore", Kind::Place),
    key("others", "freeze-unit", Kind::Option),
    key("others", "freeze-cgroup", Kind::Option),
    key("others", "with", Kind::Option),
    key("others", "require-covered", Kind::Option),
    key("retention", "keep", Kind::Count),
    key("retention", "hourly", Kind::Count),
    key("retention", "daily", Kind::Count),
    key("retention", "weekly", Kind::Count),
    key("retention", "monthly", Kind::Count),
    key("retention", "yearly", Kind::Count),
    key("retention", "within", Kind::Span),
    key("hooks", "before", Kind::Command),
    key("hooks", "after", Kind::Command),
    key("hooks", "on-failure", Kind::Command),
    key("hooks", "timeout", Kind::Time),
    key("verify", "command", Kind::Command),
    key("verify", "timeout", Kind::Time),
    key("metrics", "textfile", Kind::Place),
    key("schedule", "on-calendar", Kind::Texts),
    key("schedule", "randomized-delay", Kind::Text),
    key("schedule", "persistent", Kind::Switch),
];

impl Key {
    pub fn find(section: &str, name: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.section == section && key.name == name)
    }

    /// The option of `stillpoint snapshot` that it is, if it is one.
    pub fn option(&self) -> Option<&'static str> {
        match (self.section, self.name) {
            ("metrics", "textfile") => Some("metrics-textfile"),
            _ if matches!(self.kind, Kind::Option | Kind::Place) => Some(self.name),
            _ => None,
        }
    }

    /// Does it say something of a snapshot that the job takes, or of when it does? Where only the gates are closed, for a
    /// host that takes one, it would be in vain.
    pub fn is_of_a_snapshot(&self) -> bool {
        match self.section {
            TOP => self.name == "catalog",
            "snapshot" => self.name != "label",
            "limits" => !matches!(self.name, "drain" | "hold"),
            "others" | "hooks" => false,
            _ => true,
        }
    }

    /// What to do about a key that is none.
    pub fn advice(section: &str, name: &str) -> String {
        let place = |section: &str| match section {
            TOP => "before the first section".to_owned(),
            section => format!("in [{section}]"),
        };
        if let Some(key) = KEYS.iter().find(|key| key.name == name) {
            return format!("it belongs {}", place(key.section));
        }
        let here = || KEYS.iter().filter(|key| key.section == section);
        let elsewhere = || KEYS.iter().filter(|key| key.section != section);
        if let Some(name) = nearest(name, here().map(|key| key.name)) {
            return format!("did you mean {name}?");
        }
        if let Some(name) = nearest(name, elsewhere().map(|key| key.name)) {
            let key = KEYS.iter().find(|key| key.name == name);
            return format!("did you mean {name}, {}?", place(key.map_or(TOP, |key| key.section)));
        }
        let names: Vec<&str> = here().map(|key| key.name).collect();
        format!("there are {}", names.join(", "))
    }

    /// The same for a section.
    pub fn section_advice(section: &str) -> String {
        if let Some(key) = KEYS.iter().find(|key| key.name == section) {
            return match key.section {
                TOP => format!("{section} is a key, and stands before the first section"),
                inside => format!("{section} is a key, in [{inside}]"),
            };
        }
        match nearest(section, SECTIONS.into_iter()) {
            Some(name) => format!("did you mean [{name}]?"),
            None => format!("there are {}", SECTIONS.map(|name| format!("[{name}]")).join(", ")),
        }
    }
}
