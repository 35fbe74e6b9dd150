//! What a word on the command line may be called: the barriers, snapshots, jobs and units that are there.
//!
//! The scripts of the shells ask for the word under the cursor, and say those before it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::place::Place;
use crate::barrier::folder;
use crate::catalogue::Catalogue;
use crate::catalogue::manifest::Status;
use crate::job;
use crate::process::{cluster, tool, units};

/// A line for each name that the last of the words may become. What cannot be read has none.
pub fn of(cli: &clap::Command, words: &[OsString]) -> String {
    let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let Some((typed, before)) = words.split_last() else { return String::new() };
    if let ["cluster", rest @ ..] = before {
        return of_cluster(rest, typed);
    }
    let Some(place) = Place::of(cli, before, typed) else { return String::new() };
    place.lines(place.kinds.iter().flat_map(|kind| named(kind, &words)))
}

/// What that program says, its verbs and options included: no script of ours knows them.
fn of_cluster(before: &[&str], typed: &str) -> String {
    let Some(program) = cluster::find() else { return String::new() };
    let mut command = Command::new(program);
    command.args(["completions", "--words"]).args(before).arg(typed).stdin(Stdio::null());
    tool::run(&mut command).unwrap_or_default()
}

/// All names of a kind.
fn named(kind: &str, words: &[&str]) -> Vec<String> {
    match kind {
        "BARRIER" => barriers(words.contains(&"--user")),
        "JOB" => job::file::names().unwrap_or_default(),
        "UNIT" => units::services(Path::new("/")),
        "NAME" | "SNAPSHOT" => snapshots(words),
        _ => Vec::new(),
    }
}

fn barriers(user: bool) -> Vec<String> {
    let paths = folder::all(user).unwrap_or_default();
    paths.iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect()
}

fn snapshots(words: &[&str]) -> Vec<String> {
    let after = words.iter().skip_while(|word| **word != "--catalog").nth(1).copied();
    let joined = words.iter().find_map(|word| word.strip_prefix("--catalog="));
    let catalogue = Catalogue::locate(after.or(joined).map(PathBuf::from).as_deref());
    let found = catalogue.read().map(|contents| contents.manifests).unwrap_or_default();
    found.into_iter().filter(|it| it.status == Status::Complete).map(|it| it.name).collect()
}
