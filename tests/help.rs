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

fn verbs() -> Vec<String> {
    let help = stillpoint(&["-h"]);
    let verbs: Vec<String> = section(&help, "Commands:")
        .iter()
        .map(|line| line.split_whitespace().next().unwrap().to_string())
        .collect();
    assert!(verbs.len() >= 6, "{verbs:?}");
    verbs
}

/// The flags that the help of a verb names, aliases included.
fn flags_in_help(verb: &str) -> BTreeSet<String> {
    let help = stillpoint(&[verb, "-h"]);
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
    let listed = stillpoint(&["-h"]);
    for (verb, line) in verbs().iter().zip(section(&listed, "Commands:")) {
        let said = line.trim().strip_prefix(verb.as_str()).unwrap().trim();
        for asked in ["-h", "--help"] {
            let help = stillpoint(&[verb, asked]);
            assert_eq!(help.lines().next(), Some(said), "{verb} {asked}");
        }
        let help = stillpoint(&[verb, "--help"]);
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
        assert_eq!(help.contains("--user"), verb != "completions", "{verb}");
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
            // The part of the script that is about this verb: a flag may be known to others only.
            let of_verb: Vec<&str> =
                script.lines().filter(|line| line.contains(verb.as_str())).collect();
            assert!(!of_verb.is_empty(), "{shell}: no {verb}");
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
