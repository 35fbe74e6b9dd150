//! Where the cursor stands on a command line: what a word may become there, read from the arguments of the verbs by the
//! name of their value, so that a new verb is completed without a word here. Shared with `stillpoint-cluster`.

use std::collections::BTreeSet;

use clap::{Arg, ArgAction, Command};

/// Where the cursor stands.
#[derive(Debug)]
pub struct Place<'a> {
    /// What the value that belongs here is called, as `BARRIER`.
    pub kinds: Vec<String>,
    /// What of the word belongs to an option: `--barrier=`.
    pub before: &'a str,
    /// The rest of it, as far as it is typed.
    pub typed: &'a str,
}

impl<'a> Place<'a> {
    /// Behind these words.
    pub fn of(cli: &Command, before: &[&str], typed: &'a str) -> Option<Place<'a>> {
        let Walked { command, option, positional } = walk(cli, before)?;
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

    /// The lines of a shell's script for these names. What it could not tell apart is left out.
    pub fn lines(&self, names: impl IntoIterator<Item = String>) -> String {
        let names = names.into_iter();
        let names = names.filter(|name| name.starts_with(self.typed) && !name.contains('\n'));
        names.map(|name| format!("{}{name}\n", self.before)).collect()
    }
}

/// The verbs, or the options, that a word may become, for whose script does not know them.
pub fn words(cli: &Command, before: &[&str], typed: &str) -> BTreeSet<String> {
    let Some(Walked { command, option: None, positional }) = walk(cli, before) else {
        return BTreeSet::new();
    };
    let all: Vec<String> = match typed.starts_with('-') {
        true => {
            let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
            shown.filter_map(Arg::get_long).map(|long| format!("--{long}")).collect()
        }
        false if positional == 0 => {
            let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
            verbs.map(|verb| verb.get_name().to_owned()).collect()
        }
        false => Vec::new(),
    };
    all.into_iter().filter(|word| word.starts_with(typed)).collect()
}

/// For fish, which keeps what an option takes apart from other words: the options whose values have names.
pub fn options(cli: &Command) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut commands = vec![cli];
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands());
        let asked = command.get_opts().filter(|arg| !kinds(arg).is_empty() && !arg.is_hide_set());
        found.extend(asked.filter_map(Arg::get_long).map(str::to_owned));
    }
    found
}

/// What some words have led to.
struct Walked<'a> {
    command: &'a Command,
    /// The option whose value comes next.
    option: Option<&'a Arg>,
    /// How many words there were that belong to none.
    positional: usize,
}

fn walk<'a>(cli: &'a Command, words: &[&str]) -> Option<Walked<'a>> {
    let mut walked = Walked { command: cli, option: None, positional: 0 };
    for word in words {
        if *word == "--" {
            return None;
        } else if word.starts_with('-') && *word != "-" {
            walked.option = taking(walked.command, word);
        } else if let Some(arg) = walked.option {
            walked.option = several(arg).then_some(arg);
        } else if let Some(verb) = walked.command.find_subcommand(word) {
            walked.command = verb;
        } else {
            walked.positional += 1;
        }
    }
    Some(walked)
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
        "BARRIER" | "UNIT" | "JOB" | "HOST" => true,
        "NAME" | "SNAPSHOT" => arg.is_positional(),
        _ => false,
    });
    known.map(str::to_owned).collect()
}
