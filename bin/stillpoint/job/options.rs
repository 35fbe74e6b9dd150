//! The keys that are options of `stillpoint snapshot`, read by what reads these.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args, Command, FromArgMatches};

use super::keys::Kind;
use super::written::{Entry, Mistakes, Value};
use crate::snapshot::arguments::Arguments;
use crate::words::usage;

pub const PROVIDERS: [&str; 6] = ["btrfs", "reflink", "copy", "zfs", "lvm", "command"];

/// What is asked of the snapshot; `None` if that cannot be understood.
pub fn arguments(
    entries: &[Entry],
    defaults: &[OsString],
    command: &[String],
    mistakes: &mut Mistakes,
) -> Option<Arguments> {
    let before = mistakes.is_empty();
    check_provider(entries, mistakes);
    check_needs(entries, mistakes);
    let parser = Arguments::augment_args(Command::new("stillpoint snapshot"))
        .no_binary_name(true)
        .mut_group("provider", |group| group.required(false));
    let mut options: Vec<&Entry> =
        entries.iter().filter(|entry| entry.key.option().is_some()).collect();
    options.retain(|entry| match words(&parser, entry) {
        Ok(_) => true,
        Err(what) => {
            mistakes.add(entry.line, format!("{}: {what}", entry.key.name));
            false
        }
    });
    // Each round finds one that is wrong.
    loop {
        let mut line = vec![OsString::from("barrier")];
        line.extend_from_slice(defaults);
        line.extend(options.iter().filter_map(|entry| words(&parser, entry).ok()).flatten());
        line.push("--".into());
        line.extend(command.iter().map(OsString::from));
        if command.is_empty() {
            line.pop();
        }
        let parsed = parser.clone().try_get_matches_from(line);
        let error = match parsed.and_then(|matches| Arguments::from_arg_matches(&matches)) {
            Ok(arguments) => return Some(arguments),
            Err(error) => error,
        };
        let wrong = options.iter().position(|entry| is_about(&error, entry));
        let Some(wrong) = wrong.filter(|_| is_of_a_value(&error)) else {
            // Said already, in the words of the file, if something is missing.
            if before && mistakes.is_empty() {
                let at = wrong.map_or(0, |wrong| options[wrong].line);
                mistakes.add(at, usage::line("stillpoint", &error));
            }
            return None;
        };
        let entry = options.remove(wrong);
        mistakes.add(entry.line, format!("{}: {}", entry.key.name, reason(&error, &entry.value)));
    }
}

/// What makes no sense alone.
const NEEDS: [(&str, &[&str]); 3] = [
    ("size", &["lvm"]),
    ("cyrus-unchecked", &["cyrus"]),
    ("adopted-ignore", &["adopted", "freeze-unit", "freeze-cgroup"]),
];

fn check_needs(entries: &[Entry], mistakes: &mut Mistakes) {
    let find = |name: &str| entries.iter().find(|entry| entry.key.option() == Some(name));
    for (name, needed) in NEEDS {
        if let Some(entry) = find(name).filter(|_| !needed.iter().any(|name| find(name).is_some()))
        {
            let one = if needed.len() > 1 { "one of " } else { "" };
            mistakes.add(entry.line, format!("{name}: needs {one}{}", needed.join(", ")));
        }
    }
}

/// The key as its option, with what stands behind it.
fn words(parser: &Command, entry: &Entry) -> Result<Vec<OsString>, String> {
    let name = entry.key.option().unwrap_or_default();
    let option = parser.get_arguments().find(|option| option.get_long() == Some(name));
    let option = option.ok_or_else(|| "there is no such option".to_owned())?;
    let takes = option.get_num_args().unwrap_or_else(|| 1.into());
    let takes_none = takes.min_values() == 0 || matches!(option.get_action(), ArgAction::SetTrue);
    match &entry.value {
        Value::Switch(_) if !takes_none => Err("expected a text or a number".to_owned()),
        Value::Switch(true) => Ok(vec![format!("--{name}").into()]),
        Value::Switch(false) => Ok(Vec::new()),
        _ if matches!(option.get_action(), ArgAction::SetTrue) => {
            Err("expected true or false".to_owned())
        }
        value => {
            let relative = |word: &&String| entry.key.kind == Kind::Place && !is_absolute(word);
            match value.words().iter().find(relative) {
                Some(word) => Err(format!(
                    "{word}: expected a whole path, from / on, since a job is started from anywhere"
                )),
                None => {
                    Ok(value.words().iter().map(|word| format!("--{name}={word}").into()).collect())
                }
            }
        }
    }
}

/// `--state none` is no path.
fn is_absolute(word: &str) -> bool {
    Path::new(word).is_absolute() || word == "none"
}

/// What a parser of options would say with their dashes.
fn check_provider(entries: &[Entry], mistakes: &mut Mistakes) {
    let find = |name: &str| {
        entries.iter().find(|entry| {
            entry.key.name == name && matches!(entry.key.section, "snapshot" | "limits")
        })
    };
    let given: Vec<&Entry> = PROVIDERS.into_iter().filter_map(find).collect();
    match given.as_slice() {
        [] => check_freezing(entries, mistakes),
        [one] => {
            let name = one.key.name;
            if matches!(name, "btrfs" | "reflink" | "copy") && find("to").is_none() {
                mistakes.add(
                    one.line,
                    format!("{name}: to is missing: the folder that gets the snapshots"),
                );
            }
            if name == "copy" && find("hold").is_none() {
                mistakes.add(one.line, "copy: hold is missing in [limits]: how long writers may be kept waiting while it copies".to_owned());
            }
        }
        [.., last] => {
            let names: Vec<&str> = given.iter().map(|entry| entry.key.name).collect();
            mistakes.add(
                last.line,
                format!("{}: give one of them; two jobs can have two", names.join(" and ")),
            );
        }
    }
}

/// A job without a provider only freezes. One that says what only a snapshot has was to have one.
fn check_freezing(entries: &[Entry], mistakes: &mut Mistakes) {
    let of_a_snapshot: Vec<&Entry> =
        entries.iter().filter(|entry| entry.key.is_of_a_snapshot()).collect();
    if let Some(first) = of_a_snapshot.first() {
        let names: Vec<&str> = of_a_snapshot.iter().map(|entry| entry.key.name).collect();
        let what = format!(
            "nothing says how the snapshot is made: give one of {} in [snapshot]; a job that only freezes has no {}",
            PROVIDERS.join(", "),
            names.join(", ")
        );
        mistakes.add(first.line, what);
    }
    let find = |name: &str| entries.iter().find(|entry| entry.key.name == name);
    if let (Some(entry), None) = (find("require-covered"), find("adopted")) {
        let what =
            "require-covered: where to look is missing, as no snapshot is read: give adopted";
        mistakes.add(entry.line, what);
    }
}

fn is_of_a_value(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ValueValidation
            | ErrorKind::InvalidValue
            | ErrorKind::InvalidUtf8
            | ErrorKind::TooManyValues
            | ErrorKind::WrongNumberOfValues
    ) || is_repeated(error)
}

/// An option that was given twice conflicts with itself.
fn is_repeated(error: &clap::Error) -> bool {
    error.kind() == ErrorKind::ArgumentConflict
        && error.get(ContextKind::PriorArg) == error.get(ContextKind::InvalidArg)
}

fn is_about(error: &clap::Error, entry: &Entry) -> bool {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return false;
    };
    let option = option.trim_start_matches("--").split([' ', '=', '[']).next();
    option == entry.key.option()
}

fn reason(error: &clap::Error, value: &Value) -> String {
    if is_repeated(error) {
        return "expected one value, not a list".to_owned();
    }
    let given = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(given)) if value.words().len() > 1 => format!("{given}: "),
        _ => String::new(),
    };
    let valid = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) => Some(valid.join(", ")),
        _ => None,
    };
    match (std::error::Error::source(error), valid) {
        (Some(source), _) => format!("{given}{source}"),
        (None, Some(valid)) => format!("{given}expected one of {valid}"),
        (None, None) => usage::line("stillpoint", error),
    }
}
