//! What a manifest says of the processes that had files open for writing where the data was taken from.

use serde::{Deserialize, Serialize};

/// How a writer was stilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It takes shares of a barrier that was closed.
    Linked,
    /// Its write locks wait for such a barrier, and were asked for.
    Adopted,
    /// In a control group that was frozen.
    Frozen,
    /// A participant speaks for it.
    Participant,
    /// It takes a lock of another program that was held.
    Foreign,
    /// Not at all, as far as can be told.
    None,
}

/// One such process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverRecord {
    pub how: How,
    pub pid: u32,
    pub comm: String,
    /// The unit of systemd that it runs in.
    pub unit: Option<String>,
    /// Which participant speaks for it.
    pub participant: Option<String>,
    /// Why it is not covered, as far as that can be told.
    pub why: Option<String>,
    /// Some of the files.
    pub files: Vec<String>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    pub writers: Vec<CoverRecord>,
    /// What could not be looked at, in words.
    pub unseen: Option<String>,
}

impl Sight {
    /// Whether every one is covered; `None`: that cannot be told.
    pub fn covered(&self) -> Option<bool> {
        match (self.uncovered().next(), &self.unseen) {
            (Some(_), _) => Some(false),
            (None, Some(_)) => None,
            (None, None) => Some(true),
        }
    }

    pub fn uncovered(&self) -> impl Iterator<Item = &CoverRecord> {
        self.writers.iter().filter(|writer| writer.how == How::None)
    }

    /// What was seen at another time as well. Of one that was seen twice, the worse counts.
    pub fn add(&mut self, other: Sight) {
        for writer in other.writers {
            let is_same =
                |known: &&mut CoverRecord| (known.pid, &known.comm) == (writer.pid, &writer.comm);
            match self.writers.iter_mut().find(is_same) {
                Some(known) if writer.how == How::None => *known = writer,
                Some(_) => {}
                None => self.writers.push(writer),
            }
        }
        self.unseen = self.unseen.take().or(other.unseen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(pid: u32, how: How) -> CoverRecord {
        let (unit, participant, why) = (None, None, None);
        CoverRecord { how, pid, comm: "a".into(), unit, participant, why, files: Vec::new() }
    }

    #[test]
    fn one_look_that_finds_it_uncovered_is_enough() {
        let sight = |writers: &[(u32, How)], unseen: Option<&str>| Sight {
            writers: writers.iter().map(|(pid, how)| writer(*pid, *how)).collect(),
            unseen: unseen.map(str::to_owned),
        };
        let both = |first: &[(u32, How)], second: &[(u32, How)], unseen| {
            let mut sum = sight(first, None);
            sum.add(sight(second, unseen));
            sum.covered()
        };
        assert_eq!(both(&[], &[], None), Some(true));
        assert_eq!(both(&[(1, How::Linked)], &[(2, How::Frozen)], None), Some(true));
        assert_eq!(both(&[(1, How::Linked)], &[(1, How::None)], None), Some(false));
        assert_eq!(both(&[(1, How::None)], &[(1, How::Linked)], None), Some(false));
        assert_eq!(both(&[], &[(2, How::None)], Some("3")), Some(false));
        assert_eq!(both(&[(1, How::Linked)], &[], Some("3")), None);
    }
}
