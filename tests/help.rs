//! The help of the command, its man page and its completions say the same.

mod common;

use std::collections::BTreeSet;
use std::process::Command;

use crate::common::{STILLPOINT, has, must, root};

const MAN: &str = include_str!("../man/stillpoint.1");

/// Verbs with the flags of those who stand still without a share.
const WITH_OTHERS: [&str; 3] = ["freeze", "run", "snapshot"];
/// Documented once for all verbs, or by every command.
const COMMON: [&str; 3] = ["--user", "--help", "-h"];

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
    let help = help(verb, "-h");
    let mut flags = BTreeSet::new();
    for line in section(&help, "Options:") {
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

/// The flags that the man page describes under a verb.
fn flags_in_man(verb: &str) -> BTreeSet<String> {
    flags_in(&format!(".Ss {verb}"))
}

/// The flags that are described below this heading.
fn flags_in(title: &str) -> BTreeSet<String> {
    let lines = MAN.lines().skip_while(|line| *line != title).skip(1);
    let lines = lines.take_while(|line| !line.starts_with(".Ss ") && !line.starts_with(".Sh "));
    let mut flags = BTreeSet::new();
    for names in lines.filter_map(|line| line.strip_prefix(".It Fl ")) {
        let names = names.split_whitespace().take_while(|word| !["Ar", "Cm", "Op"].contains(word));
        let names = names.filter(|word| *word != "," && *word != "-");
        flags.extend(names.map(|name| format!("-{name}")));
    }
    flags
}

fn without_common(mut flags: BTreeSet<String>) -> BTreeSet<String> {
    flags.retain(|flag| !COMMON.contains(&flag.as_str()));
    flags
}

#[test]
fn help_and_man_page_name_the_same_verbs() {
    let described: BTreeSet<_> = MAN.lines().filter_map(|line| line.strip_prefix(".Ss ")).collect();
    let verbs = verbs();
    assert_eq!(described, verbs.iter().map(String::as_str).collect());
    let synopsis = MAN.split(".Sh DESCRIPTION").next().unwrap();
    for verb in &verbs {
        assert!(synopsis.contains(&format!(".Cm {verb}\n")), "no {verb} in the synopsis");
    }
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

#[test]
fn help_and_man_page_name_the_same_flags() {
    for verb in verbs() {
        let help = flags_in_help(&verb);
        let mut described = flags_in_man(&verb);
        if WITH_OTHERS.contains(&verb.as_str()) {
            described.extend(flags_in(".Sh OTHERS IN THE PAUSE"));
        }
        assert_eq!(without_common(help.clone()), described, "{verb}");
        let without = ["completions", "adopt", "participant"];
        let has_barriers = !without.contains(&verb.split(' ').next().unwrap());
        assert_eq!(help.contains("--user"), has_barriers, "{verb}");
    }
}

#[test]
fn help_and_man_page_name_the_same_exit_statuses() {
    let number =
        |line: &str| line.split_whitespace().next().and_then(|word| word.parse::<u8>().ok());
    let help = stillpoint(&["--help"]);
    let told: BTreeSet<_> = section(&help, "Exit status:").into_iter().filter_map(number).collect();
    let (_, man) = MAN.split_once(".Sh EXIT STATUS").unwrap();
    let man = man.split(".Sh ").next().unwrap();
    let described = man.lines().filter_map(|line| line.strip_prefix(".It ")).filter_map(number);
    assert_eq!(told, described.collect());
    assert!(told.contains(&75) && told.contains(&124));
}

#[test]
fn completions_know_every_flag_of_every_verb() {
    let scripts = [
        ("bash", "", stillpoint(&["completions", "bash"])),
        ("zsh", "", stillpoint(&["completions", "zsh"])),
        ("elvish", "", stillpoint(&["completions", "elvish"])),
        ("powershell", "", stillpoint(&["completions", "powershell"])),
        ("fish", "-l ", stillpoint(&["completions", "fish"])),
    ];
    for verb in verbs() {
        for (shell, prefix, script) in &scripts {
            for word in verb.split(' ') {
                assert!(script.lines().any(|line| line.contains(word)), "{shell}: no {verb}");
            }
            for flag in flags_in_help(&verb).iter().filter(|flag| flag.starts_with("--")) {
                let written = match *prefix {
                    "" => flag.clone(),
                    prefix => flag.replacen("--", prefix, 1),
                };
                assert!(script.contains(&written), "{shell}: no {flag} of {verb}");
            }
        }
    }
}

#[test]
fn the_man_page_is_well_formed() {
    if has(&["mandoc"]) {
        let mut mandoc = Command::new("mandoc");
        must(mandoc.args(["-T", "lint", "-W", "warning"]).arg(root().join("man/stillpoint.1")));
    }
}
