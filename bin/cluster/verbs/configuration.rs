//! The file that says which group this is, where its store is, and what this host does.
//!
//! What stands in it and is not known is an error with its line: a limit that was misspelt would be no limit.

use std::fmt::{self, Formatter};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::host::child::Work;
use crate::record::identity::Name;
use crate::store::etcd::{Settings, Tls, User};
use crate::words::exit::Exit;
use crate::words::failure::Failure;
use crate::words::likeness::nearest;
use crate::words::seconds;

/// Where it is, unless another one is named.
pub const DEFAULT: &str = "/etc/stillpoint/cluster.toml";
const STATE: &str = "/var/lib/stillpoint/cluster";

/// What the file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Configuration {
    /// Which group this host belongs to.
    pub group: Name,
    /// The members of etcd.
    pub endpoints: Vec<String>,
    /// What this host is called in the group; what the machine calls itself, if it is not said.
    pub host: Option<Name>,
    /// Where the agent keeps what it must not forget.
    #[serde(default = "state")]
    pub state: PathBuf,
    /// The job that makes this host's snapshots.
    job: Option<Spanned<String>>,
    /// Instead of it: the words behind `stillpoint snapshot`.
    snapshot: Option<Spanned<Vec<String>>>,
    /// For https.
    pub tls: Option<Tls>,
    /// Who this is to etcd.
    pub user: Option<User>,
    /// How long things may take.
    #[serde(default)]
    pub limits: Limits,
    /// What Prometheus is told.
    #[serde(default)]
    pub metrics: Metrics,
}

/// How long things may take.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Limits {
    /// All that a host does before its gate is closed.
    pub prepare: Seconds,
    /// From closing to quiet.
    pub drain: Seconds,
    /// From quiet to opening.
    pub hold: Seconds,
    /// Until the last certificate is in, after the release.
    pub certificates: Seconds,
    /// Between two closings, at least; as long as hold, if it is not said.
    min_open: Option<Seconds>,
    /// How long an agent may be silent.
    pub agent_lease: Seconds,
    /// How long an epoch outlives its coordinator.
    pub coordinator_lease: Seconds,
    /// How often agents say what their barriers look like.
    pub counts: Seconds,
}

/// What Prometheus is told.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Metrics {
    /// For the textfile collector of the node exporter.
    pub textfile: Option<PathBuf>,
}

/// A time, more than 0 and not more than a day: a number of seconds, or a text with units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seconds(pub Duration);

/// The longest.
const DAY: Duration = Duration::from_secs(86_400);

impl Seconds {
    /// As it is typed.
    pub fn parse(text: &str) -> Result<Seconds, String> {
        match seconds::parse(text)? {
            time if time > Duration::ZERO && time <= DAY => Ok(Seconds(time)),
            _ => Err("expected seconds, more than 0 and not more than 86400".to_owned()),
        }
    }

    /// The same, or 0, as is what a record of milliseconds cannot say.
    pub fn or_none(text: &str) -> Result<Seconds, String> {
        match seconds::parse(text) {
            Ok(time) if time < Duration::from_millis(1) => Ok(Seconds(Duration::ZERO)),
            _ => Seconds::parse(text),
        }
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Seconds, D::Error> {
        deserializer.deserialize_any(Typed)
    }
}

/// What stands there is read as if it had been typed.
struct Typed;

impl Typed {
    fn read<E: de::Error>(text: &str) -> Result<Seconds, E> {
        Seconds::parse(text).map_err(|wrong| E::custom(format!("{text}: {wrong}")))
    }
}

impl Visitor<'_> for Typed {
    type Value = Seconds;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("seconds, as 2 or 0.25, or a text with units, as \"1m30s\"")
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Seconds, E> {
        Typed::read(&seconds.to_string())
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Seconds, E> {
        Typed::read(&seconds.to_string())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Seconds, E> {
        Typed::read(text)
    }
}

impl Default for Limits {
    fn default() -> Limits {
        let seconds = |count| Seconds(Duration::from_secs(count));
        Limits {
            prepare: seconds(60),
            drain: seconds(2),
            hold: seconds(8),
            certificates: seconds(30),
            min_open: None,
            agent_lease: seconds(4),
            coordinator_lease: seconds(5),
            counts: seconds(15),
        }
    }
}

impl Limits {
    /// Between two closings.
    pub fn min_open(&self) -> Duration {
        self.min_open.unwrap_or(self.hold).0
    }
}

fn state() -> PathBuf {
    STATE.into()
}

impl Configuration {
    /// Reads a file.
    ///
    /// # Errors
    /// It is not there, or something in it is wrong: one line, with its place.
    pub fn read(path: &Path) -> Result<Configuration, Failure> {
        let text = fs::read_to_string(path).map_err(|error| {
            let exit = match error.kind() {
                std::io::ErrorKind::NotFound => Exit::MISSING,
                std::io::ErrorKind::PermissionDenied => Exit::DENIED,
                _ => Exit::SYSTEM,
            };
            let text = format!("{}: {error}; --config names another file, and stillpoint-cluster(8) says what stands in it", path.display());
            Failure::new(exit, text)
        })?;
        Configuration::parse(&text)
            .map_err(|wrong| Failure::new(Exit::USAGE, format!("{}{wrong}", path.display())))
    }

    /// A text, or `:LINE: what is wrong`.
    fn parse(text: &str) -> Result<Configuration, String> {
        let line = |at: usize| 1 + text[..at.min(text.len())].matches('\n').count();
        let configuration: Configuration = toml::from_str(text).map_err(|error| {
            let place = error.span().map_or(String::new(), |span| format!(":{}", line(span.start)));
            format!("{place}: {}", said(error.message()))
        })?;
        let limits = &configuration.limits;
        let wrong = match (&configuration.job, &configuration.snapshot) {
            (Some(_), Some(snapshot)) => Some((
                snapshot.span().start,
                "snapshot: job is given too; one of them makes the snapshots".to_owned(),
            )),
            (_, Some(snapshot)) if snapshot.get_ref().is_empty() => {
                Some((snapshot.span().start, "snapshot: the list is empty".to_owned()))
            }
            (Some(job), _) if job.get_ref().is_empty() => {
                Some((job.span().start, "job: the name is empty".to_owned()))
            }
            _ => None,
        };
        if let Some((at, wrong)) = wrong {
            return Err(format!(":{}: {wrong}", line(at)));
        }
        if configuration.endpoints.is_empty() {
            return Err(
                ": endpoints is empty; name the members of etcd, as [\"https://one:2379\"]"
                    .to_owned(),
            );
        }
        if limits.coordinator_lease.0 > limits.hold.0 {
            return Err(": coordinator-lease must not be longer than hold in [limits]: gates would open long before anybody learns that the coordinator is dead".to_owned());
        }
        Ok(configuration)
    }

    /// What makes this host's snapshots, if anything does.
    pub fn work(&self) -> Option<Work> {
        match (&self.job, &self.snapshot) {
            (Some(job), _) => Some(Work::Job(job.get_ref().clone())),
            (None, Some(words)) => Some(Work::Snapshot(words.get_ref().clone())),
            (None, None) => None,
        }
    }

    /// How the store is reached.
    pub fn store(&self) -> Settings {
        let mut settings = Settings::new(self.endpoints.clone());
        settings.tls = self.tls.clone();
        settings.user = self.user.clone();
        settings
    }
}

/// What the parser says, in our words where there are better ones.
fn said(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.as_slice() {
        [name, known @ ..] if message.starts_with("unknown field") => {
            match nearest(name, known.iter().copied()) {
                Some(near) => format!("{name}: there is no such key; did you mean {near}?"),
                None => {
                    format!("{name}: there is no such key here; there are {}", known.join(", "))
                }
            }
        }
        [name] if message.starts_with("missing field") => {
            let what = match *name {
                "group" => "which group this host belongs to, as group = \"mail\"",
                "endpoints" => "the members of etcd, as endpoints = [\"https://one:2379\"]",
                _ => "it must be given",
            };
            format!("{name} is missing: {what}")
        }
        _ => message.replace('\n', ", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRIEF: &str = "group = 'mail'\nendpoints = ['http://one:2379']\n";

    fn wrong(text: &str) -> String {
        Configuration::parse(text).unwrap_err()
    }

    #[test]
    fn all_of_it_is_understood() {
        let text = format!(
            "{BRIEF}host = 'a'\nstate = '/s'\njob = 'mail'\n\
             [tls]\nca = '/ca'\ncertificate = '/c'\nkey = '/k'\nserver-name = 'x'\n\
             [user]\nname = 'u'\npassword-file = '/p'\n\
             [limits]\nprepare = 1\ndrain = '500ms'\nhold = 8\ncertificates = 3\nmin-open = 1\nagent-lease = 2\ncoordinator-lease = 2\ncounts = 5\n\
             [metrics]\ntextfile = '/m'\n"
        );
        let configuration = Configuration::parse(&text).unwrap();
        assert_eq!(configuration.work(), Some(Work::Job("mail".to_owned())));
        assert_eq!(configuration.limits.drain.0, Duration::from_millis(500));
        assert_eq!(configuration.limits.min_open(), Duration::from_secs(1));
        let brief = Configuration::parse(BRIEF).unwrap();
        assert_eq!(brief.limits.min_open(), Duration::from_secs(8));
        assert_eq!(brief.work(), None);
        let words = Configuration::parse(&format!("{BRIEF}snapshot = ['mail', '--', 'true']\n"));
        let words = words.unwrap().work();
        assert_eq!(words, Some(Work::Snapshot(["mail", "--", "true"].map(str::to_owned).to_vec())));
    }

    #[test]
    fn every_mistake_is_one_line_that_says_what_to_do() {
        for (more, line) in [
            ("endpoint = 'x'\n", ":3: endpoint: there is no such key; did you mean endpoints?"),
            (
                "[limits]\nmin_open = 3\n",
                ":4: min_open: there is no such key; did you mean min-open?",
            ),
            (
                "[limits]\nhold = 0\n",
                ":4: 0: expected seconds, more than 0 and not more than 86400",
            ),
            (
                "[limits]\nhold = '2 days'\n",
                ":4: 2 days: expected seconds, more than 0 and not more than 86400",
            ),
            ("[limits]\nhold = -1\n", ":4: -1: must not be negative"),
            (
                "[limits]\nhold = 'soon'\n",
                ":4: soon: expected seconds, as 2 or 0.25, or a time with units, as 1m30s",
            ),
            (
                "[limits]\nhold = true\n",
                ":4: invalid type: boolean `true`, expected seconds, as 2 or 0.25, or a text with units, as \"1m30s\"",
            ),
            (
                "host = 'a/b'\n",
                ":3: \"a/b\" cannot be a name: only letters, digits and . _ - may stand in it",
            ),
            (
                "job = 'm'\nsnapshot = ['x']\n",
                ":4: snapshot: job is given too; one of them makes the snapshots",
            ),
            ("snapshot = []\n", ":3: snapshot: the list is empty"),
            ("group = 'x'\n", ":3: duplicate key"),
        ] {
            assert_eq!(wrong(&format!("{BRIEF}{more}")), line);
        }
        assert_eq!(
            wrong("endpoints = []\n"),
            ":1: group is missing: which group this host belongs to, as group = \"mail\""
        );
        assert!(wrong("group = 'm'\nendpoints = []\n").starts_with(": endpoints is empty"));
        assert!(
            wrong(&format!("{BRIEF}[limits]\nhold = 2\n"))
                .starts_with(": coordinator-lease must not")
        );
    }
}
