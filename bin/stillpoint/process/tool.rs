//! The tools that providers rest on: are they there, and what do they say, outside the pause.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::{AccessFlags, access};

use crate::words::exit::{Exit, Failure, reason};

/// Where tools are looked for when nobody says.
pub const STANDARD: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Where else they are looked for: what cron(8) and many a login give in PATH lacks root's own.
const ROOTS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// So long who only looks waits for a tool that may hang.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A command whose messages are the same everywhere. What is not in PATH is started by its full name, and finds
/// the PATH that we have.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let program = program.as_ref();
    let mut command = match elsewhere(program) {
        Some(place) => {
            let mut command = Command::new(place);
            command.arg0(program);
            command
        }
        None => Command::new(program),
    };
    if path().is_none() {
        command.env("PATH", STANDARD);
    }
    command.env("LC_ALL", "C").stdin(Stdio::null());
    // LVM complains of what our caller has left open in us.
    command.env("LVM_SUPPRESS_FD_WARNINGS", "1");
    command
}

/// Runs a tool to its end and returns what it printed; its first complaint is the error.
pub fn ask(program: &str, arguments: &[&str]) -> Result<String, Failure> {
    run(command(program).args(arguments))
}

/// The same for a command that is already put together.
pub fn run(command: &mut Command) -> Result<String, Failure> {
    let program = name(command);
    let output = command.output().map_err(|error| missing(&program, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(Exit::UNAVAILABLE, said(&program, &complaint)))
}

/// As [`ask`], of a tool that may hang: it is ended after so long. What it prints goes to a file, as what it leaves behind
/// may keep a pipe open.
pub fn ask_within(program: &str, arguments: &[&str], limit: Duration) -> Result<String, Failure> {
    let cannot = |error: io::Error| Failure::system(format_args!("cannot ask {program}"), error);
    let mut output = tempfile::tempfile().map_err(cannot)?;
    let mut command = command(program);
    command.args(arguments).stderr(Stdio::null()).stdout(output.try_clone().map_err(cannot)?);
    let mut child = command.spawn().map_err(|error| missing(program, &error))?;
    let started = Instant::now();
    let ended = loop {
        match child.try_wait().map_err(cannot)? {
            Some(ended) => break ended,
            None if started.elapsed() < limit => std::thread::sleep(Duration::from_millis(5)),
            None => {
                let _ = child.kill();
                let message = format!("{program} does not answer");
                return Err(Failure::new(Exit::UNAVAILABLE, message));
            }
        }
    };
    if !ended.success() {
        return Err(Failure::new(Exit::UNAVAILABLE, format!("{program} failed: {ended}")));
    }
    let mut said = Vec::new();
    output.rewind().and_then(|()| output.read_to_end(&mut said)).map_err(cannot)?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// What writes out the dirty data of a path's file system.
pub fn sync(path: &Path) -> Command {
    let mut command = command("sync");
    command.args(["-f", "--"]).arg(path);
    command
}

/// A tool that will be needed later is there.
pub fn require(program: &str) -> Result<(), Failure> {
    match find(program, &ROOTS) {
        Some(_) => Ok(()),
        None => Err(missing(program, &io::ErrorKind::NotFound.into())),
    }
}

/// The error for a tool that cannot be started.
pub fn missing(program: &str, error: &io::Error) -> Failure {
    let message = match error.kind() {
        io::ErrorKind::NotFound => {
            let roots = ROOTS.join(", ");
            format!(
                "{program} was not found in PATH, nor in {roots}; install it or add its folder to PATH"
            )
        }
        _ => format!("{program} cannot be run: {}", reason(error)),
    };
    Failure::new(Exit::UNAVAILABLE, message)
}

/// What execvp(3) will find.
pub enum Lookup {
    Found,
    NotExecutable,
    Missing,
}

/// Looks for a program without starting it: writers need not stop for a misspelt name.
pub fn look_up(program: &OsStr) -> Lookup {
    look_up_at(match program.as_encoded_bytes().contains(&b'/') {
        true => vec![PathBuf::from(program)],
        false => in_path(program, env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into())),
    })
}

fn look_up_at(places: Vec<PathBuf>) -> Lookup {
    if places.iter().any(|place| is_executable(place)) {
        return Lookup::Found;
    }
    match places.iter().any(|place| place.exists()) {
        true => Lookup::NotExecutable,
        false => Lookup::Missing,
    }
}

/// Where a program is: in PATH, else in one of these folders.
pub fn find(program: &str, folders: &[&str]) -> Option<PathBuf> {
    let elsewhere = folders.iter().map(|folder| Path::new(folder).join(program));
    let search = path().unwrap_or_else(|| STANDARD.into());
    in_path(OsStr::new(program), search)
        .into_iter()
        .chain(elsewhere)
        .find(|place| is_executable(place))
}

/// Where it is if not in PATH.
fn elsewhere(program: &OsStr) -> Option<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return None;
    }
    match path() {
        Some(search)
            if in_path(program, search.clone()).iter().any(|place| is_executable(place)) =>
        {
            None
        }
        _ => find(program.to_str()?, &ROOTS),
    }
}

/// What a command's program is called, wherever it is.
pub fn name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

fn path() -> Option<OsString> {
    env::var_os("PATH").filter(|path| !path.is_empty())
}

fn in_path(program: &OsStr, search: OsString) -> Vec<PathBuf> {
    env::split_paths(&search).map(|folder| folder.join(program)).collect()
}

fn is_executable(place: &Path) -> bool {
    place.is_file() && access(place, AccessFlags::X_OK).is_ok()
}

/// The first line that a tool complained with, with its name in front. What it warned of before
/// is not why it failed.
pub fn said(program: &str, complaint: &str) -> String {
    let lines = || complaint.lines().filter(|line| !line.trim().is_empty());
    let is_notice = |line: &&str| {
        let line = line.trim();
        line.starts_with("WARNING:") || line.starts_with("TEST MODE:")
    };
    let line = lines()
        .find(|line| !is_notice(line))
        .or_else(|| lines().next())
        .unwrap_or("failed without a message");
    let line = line.trim().trim_start_matches("ERROR: ");
    match line.starts_with(&format!("{program}:")) {
        true => line.to_owned(),
        false => format!("{program}: {line}"),
    }
}
