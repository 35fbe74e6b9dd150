//! Where it stands: the keys of a group.
//!
//! A host writes below `h/HOST/` only, so its role in etcd may be given that prefix and nothing else. The epoch and
//! the verdicts are written by coordinators, the roster by whoever lets hosts in.

use super::identity::{EpochId, Name};

/// The keys of one group.
#[derive(Clone, Debug)]
pub struct Keys {
    prefix: String,
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The number that each change of the roster raises.
    RosterVersion,
    /// That a host belongs to the group.
    Roster(Name),
    /// That a host was put out of the group.
    Evicted(Name),
    /// That a host's agent is there.
    Live(Name),
    /// That another agent wants to be that host's.
    Rival(Name),
    /// What a host last reported.
    Report(Name),
    /// The epoch under way.
    Epoch,
    /// The last epoch that began.
    Begun,
    /// How an epoch ended.
    Verdict(EpochId),
}

impl Keys {
    /// Those of this group.
    pub fn new(group: &Name) -> Keys {
        Keys { prefix: format!("/stillpoint/{group}/") }
    }

    /// What all of them begin with.
    pub fn all(&self) -> &str {
        &self.prefix
    }

    /// What begins the keys of members.
    pub fn rosters(&self) -> String {
        self.key("roster/")
    }

    /// Put in each transaction that changes the roster: one guard stands for all its members.
    pub fn roster_version(&self) -> String {
        self.key("rosterver")
    }

    /// A member.
    pub fn roster(&self, host: &Name) -> String {
        self.key(&format!("roster/{host}"))
    }

    /// Who was put out, by whom.
    pub fn evicted(&self, host: &Name) -> String {
        self.key(&format!("evicted/{host}"))
    }

    /// What begins the keys that hosts write.
    pub fn hosts(&self) -> String {
        self.key("h/")
    }

    /// What begins the keys that this host writes.
    pub fn host(&self, host: &Name) -> String {
        self.key(&format!("h/{host}/"))
    }

    /// Leased by the agent.
    pub fn live(&self, host: &Name) -> String {
        self.key(&format!("h/{host}/live"))
    }

    /// Leased by an agent that found the host's name taken.
    pub fn rival(&self, host: &Name) -> String {
        self.key(&format!("h/{host}/rival"))
    }

    /// Written over by each report.
    pub fn report(&self, host: &Name) -> String {
        self.key(&format!("h/{host}/rep"))
    }

    /// Leased by the coordinator.
    pub fn epoch(&self) -> String {
        self.key("epoch")
    }

    /// Put where the epoch is made, and left: nobody has to guess what began.
    pub fn begun(&self) -> String {
        self.key("begun")
    }

    /// What begins the keys of verdicts.
    pub fn verdicts(&self) -> String {
        self.key("verdict/")
    }

    /// Made once. The digits are filled up, so that keys are in the order of their epochs.
    pub fn verdict(&self, epoch: EpochId) -> String {
        self.key(&format!("verdict/{:020}", epoch.0))
    }

    /// What this key holds, if it is one of ours.
    pub fn place(&self, key: &str) -> Option<Place> {
        let rest = key.strip_prefix(&self.prefix)?;
        Some(match rest.split('/').collect::<Vec<_>>().as_slice() {
            ["rosterver"] => Place::RosterVersion,
            ["roster", host] => Place::Roster(host.parse().ok()?),
            ["evicted", host] => Place::Evicted(host.parse().ok()?),
            ["h", host, "live"] => Place::Live(host.parse().ok()?),
            ["h", host, "rival"] => Place::Rival(host.parse().ok()?),
            ["h", host, "rep"] => Place::Report(host.parse().ok()?),
            ["epoch"] => Place::Epoch,
            ["begun"] => Place::Begun,
            ["verdict", epoch] => Place::Verdict(epoch.parse().ok()?),
            _ => return None,
        })
    }

    fn key(&self, rest: &str) -> String {
        format!("{}{rest}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_read_as_what_it_was_written_for() {
        let keys = Keys::new(&"mail".parse().unwrap());
        let host: Name = "a".parse().unwrap();
        for (key, place) in [
            (keys.roster_version(), Place::RosterVersion),
            (keys.roster(&host), Place::Roster(host.clone())),
            (keys.evicted(&host), Place::Evicted(host.clone())),
            (keys.live(&host), Place::Live(host.clone())),
            (keys.rival(&host), Place::Rival(host.clone())),
            (keys.report(&host), Place::Report(host.clone())),
            (keys.epoch(), Place::Epoch),
            (keys.begun(), Place::Begun),
            (keys.verdict(EpochId(7)), Place::Verdict(EpochId(7))),
        ] {
            assert!(key.starts_with(keys.all()));
            assert_eq!(keys.place(&key), Some(place), "{key}");
        }
        for strange in ["/stillpoint/mails/epoch", "/stillpoint/mail/h/a/b/live", "epoch"] {
            assert_eq!(keys.place(strange), None);
        }
    }

    #[test]
    fn a_host_writes_below_its_prefix_only() {
        let keys = Keys::new(&"mail".parse().unwrap());
        let host: Name = "a".parse().unwrap();
        for key in [keys.live(&host), keys.rival(&host), keys.report(&host)] {
            assert!(key.starts_with(&keys.host(&host)));
        }
        assert!(!keys.live(&"ab".parse().unwrap()).starts_with(&keys.host(&host)));
    }

    #[test]
    fn verdicts_are_in_the_order_of_their_epochs() {
        let keys = Keys::new(&"mail".parse().unwrap());
        assert!(keys.verdict(EpochId(9)) < keys.verdict(EpochId(10)));
        assert!(keys.verdict(EpochId(10)) < keys.verdict(EpochId(u64::MAX)));
    }
}
