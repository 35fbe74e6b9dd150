//! What a program pays for being adopted that knows nothing of it: SQLite's own shell, one insert for each transaction.
//!
//! Each figure stands beside that of the same program by itself, and beside that of one with a library that has nothing
//! in it: to load any library at all takes time too, and that is no cost of ours.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use nix::unistd::geteuid;
use stillpoint::Barrier;

use crate::commands::STILLPOINT;
use crate::contenders;
use crate::measure::{Effort, median, percentile};
use crate::report::{Report, Row, Target, Time};

const TRANSACTIONS: usize = 2000;
const WRITERS: usize = 4;
const NOBODY: u32 = 65534;
/// How SQLite keeps what it may have to take back, and what its transactions may take with us.
const JOURNALS: [(&str, &str, f64); 2] =
    [("delete", "rollback journal", 1.01), ("wal", "write-ahead log", 1.03)];

pub fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    match Place::new(effort) {
        Ok(place) => {
            transactions(effort, report, &place)?;
            starts(effort, report, &place)?;
            time_to_quiet(effort, report, &place)
        }
        Err(error) => {
            report.skip("adopted programs", &format!("{error:#}"));
            Ok(())
        }
    }
}

/// What a program has before libc.
#[derive(Clone, Copy)]
enum Preloaded {
    Nothing,
    Empty,
    Adopted,
}

const ALL: [Preloaded; 3] = [Preloaded::Nothing, Preloaded::Empty, Preloaded::Adopted];

/// The libraries, the barrier and the settings, which lie on another file system than what is protected.
struct Place {
    own: PathBuf,
    store: PathBuf,
    /// The store is a file system by itself: others may have locks where it would lie else.
    is_mounted: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount").arg("--lazy").arg(&self.store).status();
        }
    }
}

impl Place {
    fn new(effort: &Effort) -> anyhow::Result<Place> {
        let (own, store) = (effort.folder_on_disk()?, effort.folder()?);
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4g", "none"]).arg(&store);
        let is_mounted = geteuid().is_root() && mount.status().is_ok_and(|done| done.success());
        let place = Place { own, store, is_mounted };
        let (own, store) = (&place.own, &place.store);
        let device = |path: &Path| nix::sys::stat::stat(path).map(|found| found.st_dev);
        ensure!(device(own)? != device(store)?, "barrier and store take two file systems");
        // For every user.
        for folder in own.ancestors().take(2) {
            fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        }
        let program = std::env::current_exe()?;
        let built = program.ancestors().nth(2).context("this program lies in a folder")?;
        let built = built.join("libstillpoint_adopt.so");
        let (empty, adopted) = (place.library("empty"), place.library("stillpoint_adopt"));
        fs::copy(&built, adopted)
            .with_context(|| format!("{} is not built: cargo build --release", built.display()))?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-x", "c", "/dev/null", "-o"]).arg(empty);
        ensure!(compiler.status().is_ok_and(|status| status.success()), "there is no cc");
        ensure!(Command::new("sqlite3").arg("-version").output().is_ok(), "there is no sqlite3");
        let barrier = Barrier::create(contenders::barrier(&place.own))?;
        fs::set_permissions(barrier.path(), Permissions::from_mode(0o666))?;
        let (barrier, store) = (barrier.path().display(), place.store.display());
        fs::write(place.settings(), format!("barrier {barrier}\nprotect {store}\n"))?;
        Ok(place)
    }

    fn library(&self, name: &str) -> PathBuf {
        self.own.join(format!("lib{name}.so"))
    }

    fn settings(&self) -> PathBuf {
        self.own.join("adopt.conf")
    }

    fn command(&self, program: &str, preloaded: Preloaded) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent");
        match preloaded {
            Preloaded::Nothing => &mut command,
            Preloaded::Empty => command.env("LD_PRELOAD", self.library("empty")),
            Preloaded::Adopted => command
                .env("LD_PRELOAD", self.library("stillpoint_adopt"))
                .env("STILLPOINT_ADOPT_CONFIG", self.settings()),
        };
        command
    }

    /// SQLite's shell on a new database.
    fn sqlite(&self, name: &str, journal: &str, preloaded: Preloaded) -> anyhow::Result<Command> {
        let database = self.store.join(name);
        for ending in ["", "-journal", "-wal", "-shm"] {
            let _ = fs::remove_file(self.store.join(format!("{name}{ending}")));
        }
        let made = format!("pragma journal_mode = {journal}; create table t (a, b)");
        let output =
            self.command("sqlite3", Preloaded::Nothing).arg(&database).arg(made).output()?;
        ensure!(output.status.success(), "sqlite3: {}", String::from_utf8_lossy(&output.stderr));
        let mut command = self.command("sqlite3", preloaded);
        command.args(["-batch", "-bail"]).arg(database).stdout(Stdio::null());
        Ok(command)
    }
}

fn transactions(effort: &Effort, report: &mut Report, place: &Place) -> anyhow::Result<()> {
    let script = place.own.join("script");
    fs::write(&script, "insert into t values (1, 'two');\n".repeat(TRANSACTIONS))?;
    for (journal, called, most) in JOURNALS {
        let mut times = [const { Vec::new() }; ALL.len()];
        for _ in 0..effort.pick(11, 61) {
            for (preloaded, times) in ALL.into_iter().zip(&mut times) {
                let mut command = place.sqlite("measured", journal, preloaded)?;
                times.push(time(command.stdin(File::open(&script)?))?);
            }
        }
        let [bare, empty, adopted] = times.map(median);
        let more = |time: f64| (time / bare - 1.0) * 100.0;
        let note = format!("{:+.1} %, with an empty library {:+.1} %", more(adopted), more(empty));
        for (peer, time, target) in [
            ("`sqlite3` alone", bare, Target::Ratio(most)),
            ("with an empty library", empty, Target::None),
        ] {
            report.add(Row {
                what: format!(
                    "adopted SQLite, {TRANSACTIONS} inserts, each a transaction, {called}"
                ),
                measured: Time::Took(adopted),
                peer: Some((peer.into(), Time::Took(time))),
                target,
                note: note.clone(),
            });
        }
    }
    Ok(())
}

/// Root may become another user, who may not be able to join any more: it joins at once.
fn starts(effort: &Effort, report: &mut Report, place: &Place) -> anyhow::Result<()> {
    let is_root = geteuid().is_root();
    let users: &[(&str, Option<u32>)] = match is_root {
        true => &[("as an ordinary user", Some(NOBODY)), ("as root", None)],
        false => &[("as an ordinary user", None)],
    };
    for (who, user) in users {
        let mut times = [const { Vec::new() }; ALL.len()];
        for _ in 0..effort.pick(200, 1000) {
            for (preloaded, times) in ALL.into_iter().zip(&mut times) {
                let mut command = place.command("true", preloaded);
                user.map(|user| command.uid(user).gid(user));
                times.push(time(&mut command)?);
            }
        }
        let [bare, empty, adopted] = times.map(median);
        report.add(Row {
            what: format!("what adoption adds to the start of a program, {who}"),
            measured: Time::Took((adopted - bare).max(0.0)),
            peer: Some(("an empty library".into(), Time::Took((empty - bare).max(0.0)))),
            target: Target::AtMost(150e3),
            note: format!("`true` alone {}", Time::Took(bare)),
        });
    }
    Ok(())
}

fn time(command: &mut Command) -> anyhow::Result<f64> {
    let started = Instant::now();
    let status = command.status()?;
    let took = started.elapsed().as_nanos() as f64;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(took)
}

/// Writers that never rest, each on a database of its own.
fn time_to_quiet(effort: &Effort, report: &mut Report, place: &Place) -> anyhow::Result<()> {
    let rounds = effort.pick(20, 100);
    let mut writers = Writers(Vec::new());
    for index in 0..WRITERS {
        let (journal, ..) = JOURNALS[index % JOURNALS.len()];
        let mut script = ordinary(&Command::new("yes"));
        script.arg("insert into t values (1, 'two');").stdout(Stdio::piped());
        let mut script = script.stderr(Stdio::null()).spawn()?;
        let input = script.stdout.take().context("it was piped")?;
        writers.0.push(script);
        let sqlite = place.sqlite(&format!("busy-{index}"), journal, Preloaded::Adopted)?;
        let mut sqlite = ordinary(&sqlite);
        writers.0.push(sqlite.stdin(input).stdout(Stdio::null()).spawn()?);
    }
    let (mut drains, mut missed) = (Vec::new(), 0);
    for _ in 0..rounds {
        match drain(place)? {
            Some(drain) => drains.push(drain),
            None => missed += 1,
        }
    }
    ensure!(writers.are_all_there(), "a writer has ended");
    let longest = percentile(drains.clone(), 100.0);
    let middle = median(drains);
    report.add(Row {
        what: format!("quiet, {WRITERS} adopted SQLite writers that never rest"),
        measured: Time::Took(middle),
        peer: None,
        target: Target::Held("<= 20 ms, none given up", middle <= 20e6 && missed == 0),
        note: format!("median of {rounds}, longest {}; {missed} given up", Time::Took(longest)),
    });
    Ok(())
}

/// From closing to quiet, as the command reports it; `None`: it has given up.
fn drain(place: &Place) -> anyhow::Result<Option<f64>> {
    const GIVEN_UP: i32 = 75;
    let mut command = place.command(STILLPOINT, Preloaded::Nothing);
    command.env("STILLPOINT_ADOPT_CONFIG", place.settings());
    command.args(["snapshot", "--json", "--min-open", "0", "--catalog"]);
    command.arg(place.own.join("catalog")).arg("--adopted").arg(&place.store);
    command.arg(contenders::barrier(&place.own)).args(["--", "true"]);
    let output = ordinary(&command).output()?;
    if output.status.code() == Some(GIVEN_UP) {
        return Ok(None);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "stillpoint: {}", complaint.trim_end());
    let manifest: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let drain = manifest.pointer("/pause/drain_ms").or_else(|| manifest.get("drain_ms"));
    let drain = drain.and_then(serde_json::Value::as_f64);
    Ok(Some(drain.with_context(|| format!("no drain in the report: {manifest}"))? * 1e6))
}

/// The same, with no priority: at that of `--realtime`, who never rests would leave nothing to the others.
fn ordinary(command: &Command) -> Command {
    let mut ordinary = Command::new("chrt");
    ordinary
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .args(["--other", "0"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        value.map(|value| ordinary.env(name, value));
    }
    ordinary
}

/// Ended when this is dropped, and what feeds them.
struct Writers(Vec<Child>);

impl Writers {
    fn are_all_there(&mut self) -> bool {
        self.0.iter_mut().all(|child| matches!(child.try_wait(), Ok(None)))
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
