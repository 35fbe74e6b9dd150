//! Jobs: what is to be done again and again, each in a file of its own.
//!
//! `/etc/stillpoint/jobs.d/NAME.toml` says all of it: barriers, what makes the snapshot, limits, what is kept, what is
//! run before, after and when it fails. One that says nothing of how a snapshot is made only freezes, for a host that
//! takes it. Its keys are the options of the verbs, and are read by what reads these
//! ([`options`]), so that a job can do what a command line can, and nothing is checked twice.
//!
//! Uses `snapshot` and below. Right about a mistake: nothing is done by a file that is not understood to its end, and
//! all that is wrong with it is said, with its line.

pub mod catalogues;
pub mod commands;
pub mod file;
mod keys;
mod options;
pub mod record;
mod rivals;
mod written;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use self::keys::TOP;
use self::written::{Entry, Mistakes, Value};
use crate::catalogue::manifest::Manifest;
use crate::catalogue::retention::Keep;
use crate::files::names::without_links;
use crate::snapshot::arguments::Arguments;
use crate::words::exit::{Exit, Failure};
use crate::words::{seconds, span};

/// What a job does.
#[derive(Debug)]
pub struct Job {
    pub name: String,
    /// The file that says so.
    pub path: PathBuf,
    /// As `stillpoint snapshot` would be told. Its label is the name of the job, unless it has another one.
    pub snapshot: Arguments,
    /// What is kept; `None`: nothing is removed.
    pub keep: Option<Keep>,
    pub hooks: Hooks,
    /// What is run on the finished snapshot, and whose status is its verdict.
    pub verify: Option<Vec<String>>,
    /// How long that may take; `None`: for ever.
    pub verify_timeout: Option<Duration>,
    pub schedule: Schedule,
}

/// Commands around it: a program and its arguments, each.
#[derive(Debug, Default)]
pub struct Hooks {
    /// Its failure is that of the job, and no snapshot is taken.
    pub before: Option<Vec<String>>,
    /// However it went, if `before` was started.
    pub after: Option<Vec<String>>,
    pub on_failure: Option<Vec<String>>,
    /// How long each may take; `None`: for ever.
    pub timeout: Option<Duration>,
}

/// When it is run, in the words of systemd.timer(5).
#[derive(Debug, Default)]
pub struct Schedule {
    pub on_calendar: Vec<String>,
    pub randomized_delay: Option<String>,
    pub persistent: Option<bool>,
}

impl Job {
    /// Reads a job, by its name. A failure tells of the first mistake.
    pub fn read(name: &str) -> Result<Job, Failure> {
        Job::examine(name).map_err(|mut failures| {
            let more = failures.len().saturating_sub(1);
            let first = failures.swap_remove(0);
            match more {
                0 => first,
                more => Failure::new(
                    first.exit,
                    format!(
                        "{first} (and {more} more; `stillpoint job check {name}` tells them all)"
                    ),
                ),
            }
        })
    }

    /// The same, with all that is wrong.
    pub fn examine(name: &str) -> Result<Job, Vec<Failure>> {
        let name = file::name(name).map_err(|failure| vec![failure])?;
        let text = file::text(&name).map_err(|failure| vec![failure])?;
        let path = file::path(&name);
        let mut mistakes = Mistakes::default();
        let job = Job::parse(name, path.clone(), &text, &mut mistakes);
        match job.filter(|_| mistakes.is_empty()) {
            Some(job) => Ok(job),
            None => {
                let lines = mistakes.lines(&path).into_iter();
                Err(lines.map(|line| Failure::new(Exit::DATA, line)).collect())
            }
        }
    }

    /// Does it take no snapshot, and say only what stands still while a host takes one?
    pub fn only_freezes(&self) -> bool {
        !self.snapshot.have_provider()
    }

    /// What it is for, for who has it do something else.
    pub fn freezing_only(&self) -> Failure {
        let name = &self.name;
        let message = format!(
            "{}: this job only freezes, for a host that takes the snapshot: `stillpoint freeze --job {name}`, or JOB={name} for \
             its hook; to take one, it needs one of {} in [snapshot]",
            self.path.display(),
            options::PROVIDERS.join(", ")
        );
        Failure::usage(message)
    }

    /// Is it this job that has taken it?
    pub fn takes(&self, manifest: &Manifest) -> bool {
        let arguments = &self.snapshot;
        if self.only_freezes() {
            return false;
        }
        let is_under = |name: &OsString| {
            let path = stillpoint::barrier_path(name, arguments.user);
            path.is_ok_and(|path| manifest.concerns(&without_links(&path)))
        };
        (&manifest.label, manifest.provider.as_str()) == (&arguments.label, arguments.provider())
            && arguments.barriers.iter().all(is_under)
    }

    fn parse(name: String, path: PathBuf, text: &str, mistakes: &mut Mistakes) -> Option<Job> {
        let entries = written::read(text, mistakes);
        if entries.is_empty() && !mistakes.is_empty() {
            return None;
        }
        let find = |section: &str, name: &str| {
            entries.iter().find(|entry| (entry.key.section, entry.key.name) == (section, name))
        };
        let command = |section, name| find(section, name).map(|entry| words(&entry.value));
        let barriers: Vec<OsString> = find(TOP, "barriers")
            .map_or(&[][..], |entry| entry.value.words())
            .iter()
            .map(OsString::from)
            .collect();
        if barriers.is_empty() {
            mistakes.add(0, "barriers is missing: which to close, as barriers = [\"mail\"], before the first section");
        }
        // Nobody reads the warnings of what runs by itself.
        let mut defaults = vec!["--on-dirty=keep".into(), "--source-changed=fail".into()];
        defaults.extend(find("snapshot", "label").is_none().then(|| label(&name)));
        let made_by = command("snapshot", "command").unwrap_or_default();
        if let Some(entry) = find(TOP, "state").filter(|_| barriers.len() > 1) {
            let what = "state: is that of one barrier, and there are several; leave it out, or make a job for each";
            mistakes.add(entry.line, what);
        }
        let keep = keep(&entries, mistakes);
        let mut snapshot = options::arguments(&entries, &defaults, &made_by, mistakes)?;
        snapshot.barriers = barriers;
        let schedule = Schedule {
            on_calendar: find("schedule", "on-calendar")
                .map_or_else(Vec::new, |entry| entry.value.words().to_vec()),
            randomized_delay: find("schedule", "randomized-delay")
                .and_then(|entry| entry.value.words().first().cloned()),
            persistent: find("schedule", "persistent")
                .map(|entry| entry.value == Value::Switch(true)),
        };
        for entry in entries.iter().filter(|entry| entry.key.section == "schedule") {
            // It becomes a line of a unit.
            if entry.value.words().iter().any(|word| word.chars().any(char::is_control)) {
                mistakes.add(
                    entry.line,
                    format!("{}: must not hold a control character", entry.key.name),
                );
            }
        }
        let hooks = Hooks {
            before: command("hooks", "before"),
            after: command("hooks", "after"),
            on_failure: command("hooks", "on-failure"),
            timeout: timeout(&entries, "hooks", mistakes),
        };
        let verify_timeout = timeout(&entries, "verify", mistakes);
        Some(Job {
            name,
            path,
            snapshot,
            keep,
            hooks,
            verify: command("verify", "command"),
            verify_timeout,
            schedule,
        })
    }
}

fn label(name: &str) -> OsString {
    format!("--label={name}").into()
}

/// A command's words. A text is the shell's.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Word(text) => ["/bin/sh", "-c", text].map(str::to_owned).to_vec(),
        value => value.words().to_vec(),
    }
}

/// How long a command of this section may take.
fn timeout(entries: &[Entry], section: &str, mistakes: &mut Mistakes) -> Option<Duration> {
    let is_it = |entry: &&Entry| (entry.key.section, entry.key.name) == (section, "timeout");
    let entry = entries.iter().find(is_it)?;
    let word = entry.value.words().first().map_or("", String::as_str);
    match seconds::parse(word) {
        Ok(Duration::ZERO) => mistakes.add(entry.line, "timeout: must be more than 0"),
        Ok(timeout) => return Some(timeout),
        Err(what) => mistakes.add(entry.line, format!("timeout: {what}")),
    }
    None
}

fn keep(entries: &[Entry], mistakes: &mut Mistakes) -> Option<Keep> {
    let mut keep = Keep::default();
    let mut is_given = false;
    for entry in entries.iter().filter(|entry| entry.key.section == "retention") {
        is_given = true;
        let word = entry.value.words().first().map_or("", String::as_str);
        if entry.key.name == "within" {
            match span::parse(word) {
                Ok(span) => keep.within = Some(span),
                Err(what) => mistakes.add(entry.line, format!("within: {what}")),
            }
            continue;
        }
        let count = word.parse().ok();
        match entry.key.name {
            "keep" => keep.count = count,
            "hourly" => keep.hourly = count,
            "daily" => keep.daily = count,
            "weekly" => keep.weekly = count,
            "monthly" => keep.monthly = count,
            "yearly" => keep.yearly = count,
            _ => {}
        }
    }
    is_given.then_some(keep)
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command};

    use super::keys::KEYS;
    use super::*;
    use crate::snapshot::arguments::OnDirty;

    /// What is wrong with a text, a line each.
    fn wrong(text: &str) -> Vec<String> {
        let mut mistakes = Mistakes::default();
        let job = Job::parse("mail".into(), "f".into(), text, &mut mistakes);
        assert_eq!(job.is_none() || !mistakes.is_empty(), !mistakes.is_empty());
        mistakes.lines("f".as_ref())
    }

    fn right(text: &str) -> Job {
        let mut mistakes = Mistakes::default();
        let job = Job::parse("mail".into(), "f".into(), text, &mut mistakes);
        assert_eq!(mistakes.lines("f".as_ref()), [""; 0]);
        job.unwrap()
    }

    const BRIEF: &str =
        "barriers = 'mail'\n[snapshot]\nbtrfs = '/srv/mail'\nto = '/srv/snapshots'\n";

    /// What an option says may be said in a file, but for what is of one run only.
    #[test]
    fn each_option_is_a_key_and_each_key_an_option() {
        let parser = Arguments::augment_args(Command::new("x"));
        let mut options: Vec<&str> =
            parser.get_arguments().filter_map(|one| one.get_long()).collect();
        let of_one_run = ["name", "dry-run", "json", "user", "coordinated"];
        options.retain(|option| !of_one_run.contains(option));
        let mut keys: Vec<&str> = KEYS.iter().filter_map(|key| key.option()).collect();
        options.sort_unstable();
        keys.sort_unstable();
        assert_eq!(keys, options);
    }

    #[test]
    fn all_of_it_is_understood() {
        let job = right(
            "barriers = ['mail', '/run/x.barrier']\ncatalog = '/c'\n\
             [snapshot]\nbtrfs = ['/srv/mail', '/srv/db']\nto = '/srv/snapshots'\non-dirty = 'fail'\nkeep-failed = true\n\
             [limits]\npatience = 0\ndrain = 0.5\nhold = '1m30s'\nattempts = 2\n\
             [others]\ncyrus = true\nalso = ['flock:/a b', 'fcntl:/c']\nfreeze-unit = ['dovecot.service']\nwith = 'sqlite /db'\nrequire-covered = false\n\
             [retention]\nkeep = 3\nhourly = 24\nwithin = '2d'\n\
             [hooks]\nbefore = 'test \"$1\"'\nafter = ['logger', 'a b']\ntimeout = '1h'\n\
             [verify]\ncommand = 'true'\ntimeout = 90\n\
             [metrics]\ntextfile = '/m/mail.prom'\n\
             [schedule]\non-calendar = ['hourly', '*:30']\nrandomized-delay = '5min'\npersistent = false\n",
        );
        let options = &job.snapshot;
        assert_eq!(options.barriers, ["mail", "/run/x.barrier"]);
        assert_eq!(options.btrfs.len(), 2);
        assert_eq!((options.on_dirty, options.keep_failed), (OnDirty::Fail, true));
        assert_eq!(
            (options.attempts, options.patience.as_secs(), options.drain.as_millis()),
            (2, 0, 500)
        );
        assert_eq!(options.hold().unwrap().as_secs(), 90);
        assert_eq!(options.cyrus.as_deref(), Some("/etc/imapd.conf".as_ref()));
        assert_eq!(
            (options.also.len(), options.wanted.with.len(), options.wanted.freeze_unit.len()),
            (2, 1, 1)
        );
        assert!(!options.require_covered);
        assert_eq!(job.hooks.timeout.map(|one| one.as_secs()), Some(3600));
        assert_eq!(job.verify_timeout.map(|one| one.as_secs()), Some(90));
        let keep = job.keep.unwrap();
        assert_eq!((keep.count, keep.hourly, keep.daily), (Some(3), Some(24), None));
        assert_eq!(job.hooks.before.unwrap(), ["/bin/sh", "-c", "test \"$1\""]);
        assert_eq!(job.hooks.after.unwrap(), ["logger", "a b"]);
        assert_eq!(job.schedule.on_calendar, ["hourly", "*:30"]);
        assert_eq!(job.schedule.persistent, Some(false));
    }

    #[test]
    fn one_that_says_nothing_of_a_snapshot_only_freezes() {
        let job = right(
            "barriers = ['mail', 'news']\n[snapshot]\nlabel = 'x'\n[limits]\ndrain = 1\nhold = 'none'\n\
             [others]\nadopted = '/srv/mail'\nrequire-covered = true\nwith = 'mariadb'\n[hooks]\nbefore = 'true'\n",
        );
        assert!(job.only_freezes());
        assert_eq!(job.snapshot.barriers.len(), 2);
        assert_eq!(job.snapshot.label.as_deref(), Some("x"));
        assert!(right("barriers = 'mail'\n").only_freezes() && !right(BRIEF).only_freezes());
        for provider in ["zfs = 'a/b'", "lvm = 'a/b'", "command = 'x'"] {
            let text = format!("barriers = 'mail'\n[snapshot]\n{provider}\n");
            assert!(!right(&text).only_freezes(), "{provider}");
        }
    }

    #[test]
    fn what_runs_by_itself_fails_where_a_person_would_be_warned() {
        let options = right(BRIEF).snapshot;
        assert_eq!(options.label.as_deref(), Some("mail"));
        assert_eq!(options.on_dirty, OnDirty::Keep);
        assert_eq!(format!("{:?}", options.source_changed), "Fail");
        assert_eq!(right(&format!("{BRIEF}label = 'x'\n")).snapshot.label.as_deref(), Some("x"));
        assert!(right(BRIEF).keep.is_none());
    }

    #[test]
    fn a_command_is_words_or_the_shell_s() {
        let of = |command: &str| {
            right(&format!("barriers = 'mail'\n[snapshot]\ncommand = {command}\n")).snapshot.command
        };
        assert_eq!(of("['dump', '--all', '--', '-x']"), ["dump", "--all", "--", "-x"]);
        assert_eq!(of("'dump >x'"), ["/bin/sh", "-c", "dump >x"]);
    }

    #[test]
    fn every_mistake_is_one_line_that_says_what_to_do() {
        let with = |more: &str| wrong(&format!("{BRIEF}{more}"));
        for (text, line) in [
            (
                "",
                "f: barriers is missing: which to close, as barriers = [\"mail\"], before the first section",
            ),
            (
                "barriers = 'm'\ncatalog = '/c'\n[snapshot]\nlabel = 'x'\nto = '/x'\n[limits]\nhold = 2\npatience = 1\n[schedule]\non-calendar = 'daily'\n",
                "f:2: nothing says how the snapshot is made: give one of btrfs, reflink, copy, zfs, lvm, command in [snapshot]; \
                 a job that only freezes has no catalog, to, patience, on-calendar",
            ),
            (
                "barriers = 'm'\n[others]\nrequire-covered = true\n",
                "f:3: require-covered: where to look is missing, as no snapshot is read: give adopted",
            ),
            (
                "barriers = ['a', 'b']\nstate = '/s'\n",
                "f:2: state: is that of one barrier, and there are several; leave it out, or make a job for each",
            ),
            ("barriers = [\n", "f:1: unclosed array, expected `]`"),
            ("barriers = 'mail\n", "f:1: invalid literal string, expected `'`"),
            ("barriers 'mail'\n", "f:1: key with no value, expected `=`"),
        ] {
            assert!(wrong(text).contains(&line.to_owned()), "{text:?} {:?}", wrong(text));
        }
        for (more, line) in [
            (
                "btfrs = '/x'\n",
                "f:5: btfrs: there is no such key in [snapshot]; did you mean btrfs?",
            ),
            (
                "on_dirty = 'keep'\n",
                "f:5: on_dirty: there is no such key in [snapshot]; did you mean on-dirty?",
            ),
            (
                "drain = 2\n",
                "f:5: drain: there is no such key in [snapshot]; it belongs in [limits]",
            ),
            (
                "barriers = 'x'\n",
                "f:5: barriers: there is no such key in [snapshot]; it belongs before the first section",
            ),
            ("[limit]\n", "f:5: [limit]: there is no such section; did you mean [limits]?"),
            ("[keep]\n", "f:5: [keep]: there is no such section; keep is a key, in [retention]"),
            (
                "[hooks]\nbefor = 'x'\n",
                "f:6: befor: there is no such key in [hooks]; did you mean before?",
            ),
            (
                "[limits]\ndrain = 'soon'\n",
                "f:6: drain: expected seconds, as 2 or 0.25, or a time with units, as 1m30s",
            ),
            ("[limits]\ndrain = [1, 2]\n", "f:6: drain: expected one value, not a list"),
            ("[limits]\nattempts = 0\n", "f:6: attempts: 0 is not in 1..=4294967295"),
            ("[limits]\nattempts = true\n", "f:6: attempts: expected a text or a number"),
            ("on-dirty = 'ignore'\n", "f:5: on-dirty: expected one of warn, keep, fail"),
            ("keep-failed = 'yes'\n", "f:5: keep-failed: expected true or false"),
            ("zfs = 'tank/mail'\n", "f:5: btrfs and zfs: give one of them; two jobs can have two"),
            (
                "[retention]\ndaily = 0\n",
                "f:6: daily: expected how many are kept, a number that is not 0",
            ),
            (
                "[retention]\ndaily = '14'\n",
                "f:6: daily: expected how many are kept, a number that is not 0",
            ),
            (
                "[retention]\nwithin = '14'\n",
                "f:6: within: expected a unit: h, d, w, mo or y, as 14d",
            ),
            ("[hooks]\nbefore = []\n", "f:6: before: the list is empty; leave the key out"),
            ("[hooks]\ntimeout = 0\n", "f:6: timeout: must be more than 0"),
            (
                "[verify]\ntimeout = 'soon'\n",
                "f:6: timeout: expected seconds, as 2 or 0.25, or a time with units, as 1m30s",
            ),
            ("[verify]\ncommand = ['']\n", "f:6: command: the first text in the list is empty"),
            ("[hooks]\nbefore = ' '\n", "f:6: before: the text is empty; leave the key out"),
            (
                "[hooks]\nbefore = 7\n",
                "f:6: before: expected a text for the shell, or a list of the program and its arguments, as [\"program\", \"argument\"]",
            ),
            (
                "[metrics]\ntextfile = 'mail.prom'\n",
                "f:6: textfile: mail.prom: expected a whole path, from / on, since a job is started from anywhere",
            ),
            ("[schedule]\npersistent = 'yes'\n", "f:6: persistent: expected true or false"),
            (
                "[schedule]\non-calendar = \"daily\\nExecStart=x\"\n",
                "f:6: on-calendar: must not hold a control character",
            ),
            (
                "[others]\nadopted-ignore = '/x'\n",
                "f:6: adopted-ignore: needs one of adopted, freeze-unit, freeze-cgroup",
            ),
            ("to = '/x'\n", "f:5: duplicate key"),
        ] {
            assert_eq!(with(more), [line], "{more}");
        }
        let brief = "barriers = 'm'\n[snapshot]\n";
        assert_eq!(
            wrong(&format!("{brief}copy = '/a'\n")),
            [
                "f:3: copy: to is missing: the folder that gets the snapshots",
                "f:3: copy: hold is missing in [limits]: how long writers may be kept waiting while it copies"
            ]
        );
        assert_eq!(
            wrong(&format!(
                "{brief}btrfs = 'a'\nto = '/b'\nsize = '1G'\n[metric]\n[limits]\nhold = 'x'\ndrain = -1\n"
            )),
            [
                "f:3: btrfs: a: expected a whole path, from / on, since a job is started from anywhere",
                "f:5: size: needs lvm",
                "f:6: [metric]: there is no such section; did you mean [metrics]?",
                "f:8: hold: expected seconds, as 2 or 0.25, or a time with units, as 1m30s, or none",
                "f:9: drain: must not be negative"
            ]
        );
    }
}
