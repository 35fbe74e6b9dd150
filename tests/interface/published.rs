//! What is published: what it takes to build the library and the command and to read about them, and none of the
//! tests, their data and their plots.

use crate::common::must;
use crate::{cargo, scratch};
use serde_json::Value;
use std::collections::BTreeSet;

fn said(cargo: &mut std::process::Command) -> String {
    String::from_utf8(must(cargo).stdout).unwrap()
}

#[test]
fn nothing_is_published_that_a_user_has_no_use_for() {
    let mut list = cargo();
    list.args(["package", "--package", "stillpoint", "--list", "--locked", "--offline"]);
    let list = said(list.arg("--allow-dirty"));
    let files: BTreeSet<&str> = list.lines().collect();
    for needed in ["src/lib.rs", "bin/stillpoint/main.rs", "man/stillpoint.7", "LICENSE-MIT"] {
        assert!(files.contains(needed), "{needed} is missing");
    }
    let made = ["Cargo.lock", "Cargo.toml", "Cargo.toml.orig", ".cargo_vcs_info.json"];
    let read = ["CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];
    let strange: Vec<_> = files
        .iter()
        .filter(|file| !made.contains(file) && !read.contains(file))
        .filter(|file| !["src/", "bin/stillpoint/", "man/"].iter().any(|at| file.starts_with(at)))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
}

/// Cargo unpacks it, and builds it.
#[test]
fn it_builds_by_itself() {
    let mut package = cargo();
    package.args(["package", "--package", "stillpoint", "--locked", "--offline", "--allow-dirty"]);
    package.arg("--target-dir").arg(scratch().join("published"));
    package.env("CARGO_PROFILE_DEV_DEBUG", "0");
    let said = String::from_utf8(must(&mut package).stderr).unwrap();
    assert!(said.contains("Verifying stillpoint"), "{said}");
    // It says where it is published, if anywhere; and the tests stay at home.
    let meant = ["manifest has no documentation, homepage or repository", "warning: ignoring "];
    let told = said.lines().filter(|line| line.starts_with("warning: "));
    let told: Vec<_> = told.filter(|line| !meant.iter().any(|one| line.contains(one))).collect();
    assert!(told.is_empty(), "{told:?}");
}

/// A registry takes no more than five keywords of twenty letters.
#[test]
fn a_registry_takes_what_is_said_of_it() {
    let mut metadata = cargo();
    metadata.args(["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"]);
    let metadata: Value = serde_json::from_str(&said(&mut metadata)).unwrap();
    let mut published = 0;
    for package in metadata["packages"].as_array().unwrap() {
        if package["publish"] == serde_json::json!([]) {
            continue;
        }
        published += 1;
        let words = |name: &str| package[name].as_array().unwrap().clone();
        let keywords = words("keywords");
        assert!((1..=5).contains(&keywords.len()), "{keywords:?}");
        assert!(keywords.iter().all(|word| word.as_str().unwrap().len() <= 20), "{keywords:?}");
        assert!((1..=5).contains(&words("categories").len()));
        for said in ["description", "license", "readme", "rust_version"] {
            assert!(package[said].as_str().is_some_and(|said| !said.is_empty()), "no {said}");
        }
    }
    assert_eq!(published, 1, "the library with its command, and not the C library or a test");
}
