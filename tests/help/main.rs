//! The help of the command, its manual and its completions say the same.

#[path = "../common/mod.rs"]
mod common;

mod cluster;
mod manual;
mod page;

use std::collections::BTreeSet;
use std::process::Command;

use crate::common::{STILLPOINT, must};
use crate::page::Page;

/// Verbs with the flags of those who stand still without a share, which have a page of their own.
const WITH_OTHERS: [&str; 3] = ["freeze", "run", "snapshot"];
/// Documented by every command.
const COMMON: [&str; 2] = ["--help", "-h"];

fn stillpoint(arguments: &[&str]) -> String {
    String::from_utf8(must(Command::new(STILLPOINT).args(arguments)).stdout).unwrap()
}

/// The lines of one section of a help text.
fn section<'a>(help: &'a str, title: &str) -> Vec<&'a str> {
    let lines = help.lines().skip_while(|line| *line != title).skip(1);
    lines.take_while(|line| !line.is_empty()).collect()
}

/// Each verb, and what the list of verbs says of it. One that has verbs of its own is known by those.
fn listed() -> Vec<(String, String)> {
    let mut listed = Vec::new();
    for (verb, said) in listed_under(&[]) {
        match listed_under(&[&verb]) {
            own if own.is_empty() => listed.push((verb, said)),
            own => {
                listed.extend(own.into_iter().map(|(own, said)| (format!("{verb} {own}"), said)))
            }
        }
    }
    assert!(listed.len() >= 6, "{listed:?}");
    listed
}

fn listed_under(words: &[&str]) -> Vec<(String, String)> {
    let help = stillpoint(&[words, &["-h"]].concat());
    let split = |line: &&str| {
        let (verb, said) = line.trim().split_once(' ').unwrap();
        (verb.to_owned(), said.trim().to_owned())
    };
    section(&help, "Commands:").iter().map(split).collect()
}

fn verbs() -> Vec<String> {
    listed().into_iter().map(|(verb, _)| verb).collect()
}

/// The help of a verb.
fn help(verb: &str, asked: &str) -> String {
    stillpoint(&verb.split(' ').chain([asked]).collect::<Vec<_>>())
}

/// The flags that the help of a verb names, aliases included.
fn flags_in_help(verb: &str) -> BTreeSet<String> {
    flags_in(verb, &help(verb, "-h"))
}

fn flags_in(verb: &str, help: &str) -> BTreeSet<String> {
    let mut flags = BTreeSet::new();
    for line in section(help, "Options:") {
        let line = line.trim();
        if !line.starts_with('-') {
            continue;
        }
        let end = line.find("  ").unwrap_or(line.len());
        assert!(line.len() > end, "{verb}: no help on the line of {line}");
        let (names, text) = line.split_at(end);
        flags.extend(
            names.split([',', ' ', '.']).filter(|word| word.starts_with('-')).map(str::to_string),
        );
        if let Some((_, aliases)) = text.split_once("[alias") {
            let (_, aliases) = aliases.split_once(": ").unwrap();
            let aliases = aliases.split(']').next().unwrap();
            flags.extend(aliases.split(", ").map(str::to_string));
        }
    }
    assert!(!flags.is_empty(), "{help}");
    flags
}

/// A struct of arguments may be documented too, and that is not what its verb does.
#[test]
fn help_of_a_verb_says_what_the_verb_does() {
    for (verb, said) in listed() {
        for asked in ["-h", "--help"] {
            assert_eq!(help(&verb, asked).lines().next(), Some(said.as_str()), "{verb} {asked}");
        }
        let help = help(&verb, "--help");
        let more = help.split("\n\n").nth(1).unwrap();
        assert!(!more.starts_with("Usage:"), "{verb}: says no more than the list of verbs does");
    }
}

/// The last line of it.
#[test]
fn help_of_a_verb_names_its_page() {
    for verb in verbs() {
        for asked in ["-h", "--help"] {
            let named = format!("Manual: stillpoint-{}(1)", verb.replace(' ', "-"));
            assert_eq!(help(&verb, asked).lines().last(), Some(named.as_str()), "{verb} {asked}");
        }
    }
}

#[test]
fn help_and_manual_name_the_same_flags() {
    for verb in verbs() {
        let mut flags = flags_in_help(&verb);
        flags.retain(|flag| !COMMON.contains(&flag.as_str()));
        let mut described = Page::of(&verb).flags();
        if WITH_OTHERS.contains(&verb.as_str()) {
            described.extend(Page::read("stillpoint-others.7").flags());
        }
        assert_eq!(flags, described, "{verb}");
        let has_barrier = help(&verb, "-h").contains("BARRIER>") && !verb.starts_with("adopt");
        assert!(!has_barrier || flags.contains("--user"), "{verb}");
    }
}

/// The exit statuses that a help text names.
fn statuses_in(help: &str) -> BTreeSet<u8> {
    let number =
        |line: &str| line.split_whitespace().next().and_then(|word| word.parse::<u8>().ok());
    section(help, "Exit status:").into_iter().filter_map(number).collect()
}

/// A page says what a status means there, and names none that the command does not know.
#[test]
fn help_and_manual_name_the_same_exit_statuses() {
    let told = statuses_in(&stillpoint(&["--help"]));
    assert_eq!(told, Page::read("stillpoint.1").statuses());
    assert!(told.contains(&75) && told.contains(&124));
    // Verbs that judge have the few numbers below: yes and no, or those of monitoring plug-ins.
    let judged = 0..=3;
    for verb in verbs() {
        let here = Page::of(&verb).statuses();
        let strange: Vec<_> =
            here.iter().filter(|it| !judged.contains(*it) && !told.contains(it)).collect();
        assert!(strange.is_empty(), "{verb}: {strange:?}");
        // To a plug-in, wrong usage is one of its four.
        assert!(here.contains(&64) || here.contains(&3), "{verb}");
    }
}

#[test]
fn completions_know_every_flag_of_every_verb() {
    complete_every_flag(stillpoint, verbs().iter().map(|verb| (verb.clone(), flags_in_help(verb))));
}

/// The scripts for all shells have these verbs and flags.
fn complete_every_flag(
    program: fn(&[&str]) -> String,
    verbs: impl Iterator<Item = (String, BTreeSet<String>)>,
) {
    let scripts = [("bash", ""), ("zsh", ""), ("elvish", ""), ("powershell", ""), ("fish", "-l ")];
    let scripts = scripts.map(|(shell, prefix)| (shell, prefix, program(&["completions", shell])));
    for (verb, flags) in verbs {
        for (shell, prefix, script) in &scripts {
            for word in verb.split(' ') {
                assert!(script.lines().any(|line| line.contains(word)), "{shell}: no {verb}");
            }
            for flag in flags.iter().filter(|flag| flag.starts_with("--")) {
                let written = match *prefix {
                    "" => flag.clone(),
                    prefix => flag.replacen("--", prefix, 1),
                };
                assert!(script.contains(&written), "{shell}: no {flag} of {verb}");
            }
        }
    }
}
