//! What a word on the command line may be called: the barriers, snapshots, jobs and units that are there.
//!
//! The scripts of the shells ask for the word under the cursor, and say those before it. What belongs there is read
//! from the arguments of the verbs, by the name of their value, so that a new verb is completed without a word here.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};

use crate::barrier::folder;
use crate::catalogue::Catalogue;
use crate::catalogue::manifest::Status;
use crate::job;
use crate::process::units;

/// A line for each name that the last of the words may become. What cannot be read has none.
pub fn of(cli: &Command, words: &[OsString]) -> String {
    let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let Some((typed, before)) = words.split_last() else { return String::new() };
    let Some(place) = Place::of(cli, before, typed) else { return String::new() };
    let names = place.kinds.iter().flat_map(|kind| named(kind, &words));
    let names = names.filter(|name| name.starts_with(place.typed) && !name.contains('\n'));
    names.map(|name| format!("{}{name}\n", place.before)).collect()
}

/// For fish, which keeps what an option takes apart from other words.
pub fn of_options(cli: &Command) -> String {
    let mut lines = BTreeSet::new();
    let mut commands = vec![cli];
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands());
        let asked = command.get_opts().filter(|arg| !kinds(arg).is_empty() && !arg.is_hide_set());
        for long in asked.filter_map(Arg::get_long) {
            lines.insert(format!(
                "complete -c stillpoint -l {long} -r -f -k -a '(__stillpoint_names)'\n"
            ));
        }
    }
    lines.into_iter().collect()
}

/// Where the cursor stands.
struct Place<'a> {
    kinds: Vec<String>,
    /// What of the word belongs to an option: `--barrier=`.
    before: &'a str,
    typed: &'a str,
}

impl<'a> Place<'a> {
    fn of(cli: &Command, before: &[&str], typed: &'a str) -> Option<Place<'a>> {
        let mut command = cli;
        // The option whose value comes next, and how many words there were that belong to none.
        let (mut option, mut positional) = (None, 0);
        for word in before {
            if *word == "--" {
                return None;
            } else if word.starts_with('-') && *word != "-" {
                option = taking(command, word);
            } else if let Some(arg) = option {
                option = several(arg).then_some(arg);
            } else if let Some(verb) = command.find_subcommand(word) {
                command = verb;
            } else {
                positional += 1;
            }
        }
        if let Some((name, value)) = typed.split_once('=').filter(|_| typed.starts_with("--")) {
            let arg = long(command, name)?;
            return Some(Place { kinds: kinds(arg), before: &typed[..=name.len()], typed: value });
        }
        if typed.starts_with('-') {
            return None;
        }
        let kinds = match option {
            Some(arg) => kinds(arg),
            None => kinds_at(command, positional)?,
        };
        Some(Place { kinds, before: "", typed })
    }
}

/// The option that takes the next word.
fn taking<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let takes = |arg: &&Arg| arg.get_num_args().is_some_and(|many| many.min_values() > 0);
    if word.starts_with("--") {
        return long(command, word).filter(takes);
    }
    let short = |letter| command.get_opts().find(|arg| arg.get_short() == Some(letter));
    // Of a group of letters, the first that takes a value takes the rest.
    let mut letters = word.chars().skip(1);
    let found = letters.by_ref().find_map(|letter| short(letter).filter(takes));
    found.filter(|_| letters.next().is_none())
}

fn long<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let name = word.strip_prefix("--")?;
    command.get_opts().find(|arg| {
        let others = arg.get_all_aliases().unwrap_or_default();
        arg.get_long() == Some(name) || others.contains(&name)
    })
}

/// Whether it takes more than one word at once.
fn several(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|many| many.max_values() > 1)
}

/// Of the word with this number among those that belong to no option.
fn kinds_at(command: &Command, number: usize) -> Option<Vec<String>> {
    let arguments: Vec<&Arg> = command.get_positionals().filter(|arg| !arg.is_last_set()).collect();
    let last = arguments.len().checked_sub(1)?;
    let arg = arguments[number.min(last)];
    let repeated = several(arg) || matches!(arg.get_action(), ArgAction::Append);
    let further = number.saturating_sub(last);
    (further == 0 || repeated).then(|| kinds_of(arg, further))
}

/// What its value is called.
fn kinds(arg: &Arg) -> Vec<String> {
    kinds_of(arg, 0)
}

/// What the value with this number is called. The `NAME` of an option is a new one.
fn kinds_of(arg: &Arg, number: usize) -> Vec<String> {
    let names = arg.get_value_names().unwrap_or_default();
    let names = names.get(number).or(names.last()).into_iter().flat_map(|name| name.split('|'));
    let known = names.filter(|name| match *name {
        "BARRIER" | "UNIT" | "JOB" => true,
        "NAME" | "SNAPSHOT" => arg.is_positional(),
        _ => false,
    });
    known.map(str::to_owned).collect()
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
