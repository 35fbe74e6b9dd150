//! What verbs begin with: the configuration, the store, who this machine is.

use std::io;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::configuration::{Configuration, DEFAULT};
use crate::agent::notebook::{FileNotebook, Remembered};
use crate::record::identity::Name;
use crate::record::keys::Keys;
use crate::store::Store;
use crate::store::etcd::Etcd;
use crate::words::exit::Exit;
use crate::words::failure::Failure;
use crate::words::random;

/// For who has the notebook to give it back, unless he is an agent.
const MOMENT: Duration = Duration::from_secs(1);
/// For who waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What every verb takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// The file that says which group this is and where its store is
    #[arg(long, value_name = "FILE", default_value = DEFAULT, global = true)]
    pub config: PathBuf,
}

/// What a verb works with.
pub struct Context {
    pub configuration: Configuration,
    pub keys: Keys,
    /// What this host is called.
    pub host: Name,
    /// What the machine calls itself.
    pub machine: String,
}

impl Context {
    pub fn new(common: &Common) -> Result<Context, Failure> {
        let configuration = Configuration::read(&common.config)?;
        let machine = nix::unistd::gethostname()
            .map_or_else(|_| "unknown".to_owned(), |name| name.to_string_lossy().into_owned());
        let host = match &configuration.host {
            Some(host) => host.clone(),
            None => machine.parse().map_err(|wrong| {
                let text = format!(
                    "{}: {wrong}; give this host one, as host = \"a\"",
                    common.config.display()
                );
                Failure::new(Exit::USAGE, text)
            })?,
        };
        let keys = Keys::new(&configuration.group);
        Ok(Context { configuration, keys, host, machine })
    }

    /// The store, with a patience that fits somebody who waits.
    pub fn store(&self) -> Result<Etcd, Failure> {
        Ok(Etcd::new(self.configuration.store())?.patient(PATIENCE))
    }

    /// Who asks, for people.
    pub fn by(&self) -> String {
        format!("{} (pid {})", self.machine, std::process::id())
    }

    /// This host's notes, for who only looks.
    pub fn peek(&self) -> Result<Option<Remembered>, Failure> {
        let folder = &self.configuration.state;
        let remembered = FileNotebook::peek(folder, &self.configuration.group);
        let remembered = remembered.map_err(|error| self.of_notes(&error))?;
        remembered.map(|remembered| self.checked(remembered)).transpose()
    }

    /// This host's notebook, for this process alone; one that is not there is begun. Verbs have it for moments, and are
    /// waited for.
    pub fn notebook(&self) -> Result<(FileNotebook, Remembered), Failure> {
        let Configuration { state, group, .. } = &self.configuration;
        let since = Instant::now();
        let opened = loop {
            match FileNotebook::open(state, group) {
                Err(error) if is_taken(&error) && since.elapsed() < MOMENT => sleep(MOMENT / 20),
                opened => break opened,
            }
        };
        let (notebook, remembered) = opened.map_err(|error| self.of_notes(&error))?;
        let remembered = match remembered {
            Some(remembered) => self.checked(remembered)?,
            None => {
                let new = Remembered::new(random::number(), group.clone(), self.host.clone());
                notebook.write(&new).map_err(|error| self.of_notes(&error))?;
                new
            }
        };
        Ok((notebook, remembered))
    }

    /// A host that is called otherwise now is not what the roster knows.
    fn checked(&self, remembered: Remembered) -> Result<Remembered, Failure> {
        match remembered.host == self.host {
            true => Ok(remembered),
            false => Err(Failure::new(
                Exit::USAGE,
                format!(
                    "this host is {} in the group {}, and is called {} now: write host = \"{}\" in the configuration, or leave by the old name, remove {}, and join by the new one",
                    remembered.host,
                    remembered.group,
                    self.host,
                    remembered.host,
                    self.configuration.state.join(format!("{}.json", remembered.group)).display()
                ),
            )),
        }
    }

    fn of_notes(&self, error: &io::Error) -> Failure {
        let place = self.configuration.state.join(format!("{}.json", self.configuration.group));
        let place = place.display();
        match error.kind() {
            _ if is_taken(error) => {
                Failure::new(Exit::CONFLICT, format!("{place}: an agent of this host runs already"))
            }
            io::ErrorKind::PermissionDenied => {
                Failure::new(Exit::DENIED, format!("{place}: {error}"))
            }
            io::ErrorKind::InvalidData => Failure::new(
                Exit::USAGE,
                format!(
                    "{place}: {error}; what this host has obeyed stands in it: mend it, or leave the group, remove it and join again"
                ),
            ),
            _ => Failure::new(Exit::SYSTEM, format!("{place}: {error}")),
        }
    }
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// The time, for people.
pub fn when() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
