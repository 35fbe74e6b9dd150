//! `stillpoint job init`: the file of a new job, with what is found on this machine.
//!
//! What is found is proposed, as far as it can be known; what cannot is there as a comment.

use std::ffi::OsStr;
use std::io::{self, BufRead, IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, FsType, XFS_SUPER_MAGIC, statfs};

use crate::job::file;
use crate::process::{proc, tool};
use crate::words::exit::{Exit, Failure, STATUSES};
use crate::words::lines::say;

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    /// The barrier to close [default: the name of the job]
    #[arg(long, value_name = "NAME")]
    barrier: Option<String>,

    /// What is snapshotted: a folder, or a btrfs subvolume
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,

    /// The folder that gets the snapshots
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,

    /// Take no snapshot, and say only what stands still while a host takes one
    #[arg(long, conflicts_with = "to")]
    freeze_only: bool,

    /// Print the file instead of writing it
    #[arg(long)]
    print: bool,

    /// The name of the new job
    job: String,
}

/// Programs that are known to write, and what stills them.
const WRITERS: [(&str, &str); 6] = [
    ("dovecot", "adopted"),
    ("cyrmaster", "cyrus"),
    ("master", "adopted"),
    ("mariadbd", "mariadb"),
    ("mysqld", "mysql"),
    ("postgres", "postgresql"),
];

pub fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    file::check_name(&arguments.job)?;
    if !arguments.print && file::path(&arguments.job).exists() {
        // Before anything is asked.
        file::write_new(&arguments.job, "")?;
    }
    let barrier = arguments.barrier.clone();
    let barrier = barrier.map_or_else(
        || ask("Which barrier shall be closed?", Some(&arguments.job), is_barrier),
        Ok,
    )?;
    let freezes = arguments.freeze_only
        || arguments.source.is_none()
            && arguments.to.is_none()
            && ask(
                "Who takes the snapshot: this job, or a host that calls a hook?",
                Some(JOB),
                is_who,
            )? == HOST;
    let text = match freezes {
        true => freezing(&barrier, arguments.source.as_deref())?,
        false => {
            let (source, to) = places(arguments)?;
            taking(&barrier, &source, &to)
        }
    };
    if arguments.print {
        stdout().write_all(text.as_bytes()).context("standard output")?;
        return Ok(Exit::SUCCESS);
    }
    let path = file::write_new(&arguments.job, &text)?;
    writeln!(stdout(), "{}", path.display()).context("standard output")?;
    let name = file::instance(&arguments.job);
    // No option of the verb.
    let end = if name.starts_with('-') { "-- " } else { "" };
    say(&match freezes {
        true => format!(
            "read it, then try `stillpoint job check {end}'{name}'`; a host's hook freezes by it with JOB='{name}' in \
             /etc/stillpoint/hooks.conf, see stillpoint-hooks(7)"
        ),
        false => format!(
            "read it, then try `stillpoint job check {end}'{name}'` and `stillpoint job run {end}'{name}'`; with systemd, \
             `systemctl daemon-reload` and `systemctl enable --now 'stillpoint-job@{name}.timer'` do it by its schedule"
        ),
    });
    Ok(Exit::SUCCESS)
}

/// What is read, and the folder that gets the snapshots.
fn places(arguments: &Arguments) -> anyhow::Result<(PathBuf, PathBuf)> {
    let source = arguments.source.clone();
    let source = source.map_or_else(
        || ask("Which folder is snapshotted?", None, is_folder).map(PathBuf::from),
        Ok,
    )?;
    let source = std::path::absolute(&source)?;
    let to = arguments.to.clone();
    let to = to.map_or_else(
        || {
            let proposed = beside(&source);
            ask("Which folder gets the snapshots?", proposed.as_deref(), is_folder)
                .map(PathBuf::from)
        },
        Ok,
    )?;
    let to = std::path::absolute(&to)?;
    Ok((source, to))
}

/// Asks on a terminal, until the answer can be meant.
fn ask(
    question: &str,
    proposed: Option<&str>,
    check: impl Fn(&str) -> Result<(), String>,
) -> anyhow::Result<String> {
    if !io::stdin().is_terminal() {
        let message = "--barrier, and --source and --to or --freeze-only, are needed where nobody can be asked";
        return Err(Failure::usage(message).into());
    }
    let shown = proposed.map(|proposed| format!(" [{proposed}]")).unwrap_or_default();
    loop {
        eprint!("{question}{shown} ");
        let mut answer = Vec::new();
        if io::stdin().lock().read_until(b'\n', &mut answer).context("standard input")? == 0 {
            eprintln!();
            return Err(Failure::usage("nothing is written: there was no answer").into());
        }
        let answer = String::from_utf8(answer).unwrap_or_else(|_| "\u{fffd}".to_owned());
        let answer = match (answer.trim(), proposed) {
            ("", None) => continue,
            ("", Some(proposed)) => proposed,
            (answer, _) => answer,
        };
        match check(answer) {
            Ok(()) => return Ok(answer.to_owned()),
            Err(why) => say(&why),
        }
    }
}

fn is_barrier(answer: &str) -> Result<(), String> {
    is_text(answer)?;
    stillpoint::barrier_path(OsStr::new(answer), false).map(drop).map_err(|error| error.to_string())
}

/// The answers to who takes the snapshot.
const JOB: &str = "job";
const HOST: &str = "host";

fn is_who(answer: &str) -> Result<(), String> {
    match [JOB, HOST].contains(&answer) {
        true => Ok(()),
        false => Err(format!("{JOB} or {HOST}, please")),
    }
}

fn is_folder(answer: &str) -> Result<(), String> {
    is_text(answer)?;
    match Path::new(answer).is_dir() {
        true => Ok(()),
        false => Err(format!("{answer}: there is no such folder; make it, or name another")),
    }
}

/// What a key that does something else leaves is no name.
fn is_text(answer: &str) -> Result<(), String> {
    match answer.chars().any(|c| c.is_control() || c == '\u{fffd}') {
        true => Err("that has characters in it that cannot be seen; type it again".to_owned()),
        false => Ok(()),
    }
}

fn beside(source: &Path) -> Option<String> {
    Some(source.parent()?.join("snapshots").to_str()?.to_owned())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn comment(is_meant: bool) -> &'static str {
    if is_meant { "" } else { "# " }
}

/// A job that takes a snapshot.
fn taking(barrier: &str, source: &Path, to: &Path) -> String {
    let (provider, why, hold) = provider(source);
    let head = head(barrier);
    let others = others(source, true);
    format!(
        "{head}\
         \n\
         [snapshot]\n\
         # {why}\n\
         {provider} = [{}]\n\
         to = {}\n\
         \n\
         [limits]\n\
         # How long writers may be kept waiting, in seconds.\n\
         drain = 2\n\
         {}hold = 10\n\
         \n\
         {others}\
         \n\
         [retention]\n\
         hourly = 24\n\
         daily = 14\n\
         weekly = 8\n\
         monthly = 12\n\
         \n\
         [hooks]\n\
         # before = \"\"\n\
         # after = \"\"\n\
         # on-failure = \"echo \\\"$STILLPOINT_JOB: $STILLPOINT_JOB_REASON\\\" | mail -s 'no snapshot' root\"\n\
         \n\
         [verify]\n\
         # command = \"test -d \\\"$STILLPOINT_SNAPSHOT_PATH\\\"\"\n\
         \n\
         [metrics]\n\
         # textfile = \"/var/lib/prometheus/node-exporter/stillpoint.prom\"\n\
         \n\
         [schedule]\n\
         on-calendar = \"hourly\"\n\
         randomized-delay = \"5min\"\n",
        quoted_path(source),
        quoted_path(to),
        comment(hold),
    )
}

/// A job that only freezes.
fn freezing(barrier: &str, source: Option<&Path>) -> anyhow::Result<String> {
    let example = Path::new("/srv/mail");
    let (head, others) = match source {
        Some(source) => (head(barrier), others(&std::path::absolute(source)?, true)),
        None => (head(barrier), others(example, false)),
    };
    Ok(format!(
        "{head}\
         # It takes no snapshot: a host does, and its hook freezes by this job, see stillpoint-hooks(7).\n\
         \n\
         [limits]\n\
         # How long writers may be kept waiting before all are still, and from then on, in seconds.\n\
         drain = 2\n\
         hold = 60\n\
         \n\
         {others}"
    ))
}

fn head(barrier: &str) -> String {
    format!(
        "# A job of stillpoint: stillpoint-job(5) explains each key, `stillpoint job check` tries them.\n\
         barriers = [{}]\n",
        quoted(barrier)
    )
}

/// Those who write there, as far as they are known to need something. The place is that of an example, or meant.
fn others(source: &Path, is_meant: bool) -> String {
    let running: Vec<&str> = running();
    let stilled = |how: &str| running.iter().any(|program| WRITERS.contains(&(program, how)));
    let databases: Vec<String> = WRITERS[3..]
        .iter()
        .filter(|(program, _)| running.contains(program))
        .map(|(_, participant)| quoted(participant))
        .collect();
    let with = if databases.is_empty() { "\"mariadb\"".to_owned() } else { databases.join(", ") };
    format!(
        "[others]\n\
         # Writers that know nothing of the barrier: see stillpoint-adopt(8).\n\
         {}adopted = [{}]\n\
         {}cyrus = true\n\
         # Databases, and whatever else has a quiesce of its own: stillpoint-participants(7).\n\
         {}with = [{with}]\n",
        comment(is_meant && stilled("adopted")),
        quoted_path(source),
        comment(stilled("cyrus")),
        comment(!databases.is_empty()),
    )
}

/// The best that the file system can do, why, and whether a hold has to be given.
fn provider(source: &Path) -> (&'static str, &'static str, bool) {
    let kind: Option<FsType> = statfs(source).ok().map(|found| found.filesystem_type());
    match kind {
        Some(BTRFS_SUPER_MAGIC) if tool::require("btrfs").is_ok() => {
            ("btrfs", "On btrfs: a read-only snapshot of the subvolume.", false)
        }
        Some(BTRFS_SUPER_MAGIC | XFS_SUPER_MAGIC) => {
            ("reflink", "A copy that shares its blocks; writers wait while it is made.", false)
        }
        _ => (
            "copy",
            "A plain copy, which writers wait for: lvm or zfs would be quicker, if it lies on one.",
            true,
        ),
    }
}

fn running() -> Vec<&'static str> {
    let comms: Vec<String> =
        proc::all().unwrap_or_default().into_iter().map(|process| process.comm()).collect();
    let is_there = |program: &&str| comms.iter().any(|comm| comm == program);
    WRITERS.map(|(program, _)| program).into_iter().filter(is_there).collect()
}
