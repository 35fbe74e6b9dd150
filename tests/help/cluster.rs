//! `stillpoint-cluster`, whose verbs share a page: that has each of them, with its flags, in a part of its own.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use super::page::Page;
use super::{COMMON, complete_every_flag, flags_in, section, statuses_in};
use crate::common::{must, programs, skip};

/// The program, which is built with the workspace.
fn program() -> Option<PathBuf> {
    let program = programs().join("stillpoint-cluster");
    if !program.exists() {
        skip("stillpoint-cluster is not built: cargo build --workspace");
        return None;
    }
    Some(program)
}

fn say(words: &[&str]) -> String {
    let program = program().unwrap();
    String::from_utf8(must(Command::new(program).args(words)).stdout).unwrap()
}

/// Each verb, and what the list of verbs says of it.
fn listed() -> Vec<(String, String)> {
    let help = say(&["-h"]);
    let split = |line: &&str| {
        let (verb, said) = line.trim().split_once(' ').unwrap();
        (verb.to_owned(), said.trim().to_owned())
    };
    let listed: Vec<_> = section(&help, "Commands:").iter().map(split).collect();
    assert!(listed.len() >= 9, "{listed:?}");
    listed
}

/// Those that are the verb's own.
fn flags(verb: &str) -> BTreeSet<String> {
    let mut flags = flags_in(verb, &say(&[verb, "-h"]));
    flags.retain(|flag| !COMMON.contains(&flag.as_str()) && flag != "--config");
    flags
}

fn page() -> Page {
    Page::read("stillpoint-cluster.8")
}

#[test]
fn every_verb_and_flag_is_in_the_page_and_no_other() {
    if program().is_none() {
        return;
    }
    let page = page();
    let (description, synopsis) = (page.section("DESCRIPTION"), page.section("SYNOPSIS"));
    let parts: Vec<&[&str]> = description.split(|line| line.starts_with(".Ss ")).collect();
    assert_eq!(page.flags_among(parts[0]), BTreeSet::from(["--config".to_owned()]));
    let titles = description.iter().filter_map(|line| line.strip_prefix(".Ss "));
    let titles: Vec<&str> = titles.collect();
    let verbs: Vec<String> = listed().into_iter().map(|(verb, _)| verb).collect();
    assert_eq!(titles, verbs, "in the order of the list");
    for (verb, part) in verbs.iter().zip(&parts[1..]) {
        let flags = flags(verb);
        assert_eq!(page.flags_among(part), flags, "{verb}");
        let named = format!(".Cm {verb}");
        let usage = synopsis.iter().skip_while(|line| **line != named).skip(1);
        let usage: Vec<&str> = usage
            .take_while(|line| !line.starts_with(".Nm "))
            .flat_map(|line| line.split(' '))
            .collect();
        let used: BTreeSet<String> = usage
            .iter()
            .zip(usage.iter().skip(1))
            .filter(|(word, _)| word.ends_with("Fl"))
            .map(|(_, flag)| format!("-{flag}"))
            .collect();
        assert_eq!(used, flags, "{verb} in the synopsis");
    }
}

#[test]
fn help_of_a_verb_says_what_it_does_and_how_it_ends() {
    if program().is_none() {
        return;
    }
    for (verb, said) in listed() {
        for asked in ["-h", "--help"] {
            let help = say(&[&verb, asked]);
            assert_eq!(help.lines().next(), Some(said.as_str()), "{verb} {asked}");
            let mut described = page().statuses();
            described.remove(&0);
            assert_eq!(statuses_in(&help), described, "{verb} {asked}");
            assert_eq!(
                help.lines().last(),
                Some("Manual: stillpoint-cluster(8)"),
                "{verb} {asked}"
            );
        }
    }
    assert!(page().statuses().contains(&69));
}

#[test]
fn completions_know_every_flag_of_every_verb() {
    if program().is_none() {
        return;
    }
    complete_every_flag(say, listed().into_iter().map(|(verb, _)| (verb.clone(), flags(&verb))));
}
