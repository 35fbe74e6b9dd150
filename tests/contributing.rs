//! CONTRIBUTING.md tells the truth: what it names is there, and what it says to run can be run.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::common::{must, root};

fn page() -> String {
    fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap()
}

/// The lines of its blocks.
fn commands() -> Vec<String> {
    let page = page();
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.flat_map(str::lines).map(str::to_string).collect()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(root().join(program));
    String::from_utf8(must(command.args(arguments).current_dir(root())).stdout).unwrap()
}

/// What is called so in Cargo.toml.
fn targets() -> BTreeSet<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let tests = manifest.split("[[test]]\nname = \"").skip(1);
    tests.map(|test| test.split('"').next().unwrap().to_string()).collect()
}

#[test]
fn what_is_to_be_run_can_be() {
    let jobs = said("scripts/test", &["--list"]);
    let commands = commands();
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[..] {
            ["scripts/test", "--list" | "--prepare"] => {}
            ["scripts/test", job] => assert!(jobs.lines().any(|known| known == job), "{job}"),
            ["scripts/mutants", ref names @ ..] => {
                let listed = [&["--list"], names].concat();
                assert!(said("scripts/mutants", &listed).contains("--test "), "{command}");
            }
            ["cargo", "build" | "fmt" | "clippy", ..] => {}
            ["cargo", "test", "--test", target] | ["cargo", "nextest", "run", "--test", target] => {
                assert!(targets().contains(target), "{command}");
            }
            ["cargo", "nextest", "run", "--test", target, "-E", tests] => {
                assert!(targets().contains(target), "{command}");
                let module = tests.trim_matches('\'').trim_start_matches("test(");
                let module = module.trim_end_matches(')').trim_end_matches("::");
                let file = root().join(format!("tests/{target}/{module}.rs"));
                assert!(file.exists(), "{command}: no {}", file.display());
            }
            _ => panic!("nobody knows whether this can be run: {command}"),
        }
    }
}

#[test]
fn what_it_names_is_there() {
    let page = page();
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    let paths = named.iter().filter(|name| !name.contains([' ', '\n']));
    let paths: Vec<_> = paths.filter(|name| name.contains('/') || name.ends_with(".md")).collect();
    assert!(paths.len() > 20, "{paths:?}");
    for path in paths {
        assert!(root().join(path).exists(), "there is no {path}");
    }
}

/// Every suite has its place in it.
#[test]
fn it_names_every_suite() {
    let page = page();
    for folder in fs::read_dir(root().join("tests")).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(page.contains(&format!("`tests/{name}`")), "tests/{name} is not named");
    }
}
