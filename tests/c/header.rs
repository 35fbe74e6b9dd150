//! The header in the languages that it is for, and the library beneath it.

use crate::common::{must, root};
use crate::harness::{WARNINGS, include, library};
use std::collections::BTreeSet;
use std::process::Command;

#[test]
fn it_compiles_without_a_warning_in_c_and_in_cxx() {
    let languages = [
        ("gcc", "c", "c11"),
        ("gcc", "c", "c17"),
        ("gcc", "c", "gnu11"),
        ("g++", "c++", "c++17"),
        ("g++", "c++", "c++20"),
    ];
    let settings: [&[&str]; 4] =
        [&[], &["-DNDEBUG"], &["-D_FILE_OFFSET_BITS=64"], &["-D_GNU_SOURCE", "-Wconversion"]];
    for (compiler, language, standard) in languages {
        for setting in settings {
            must(
                (Command::new(compiler).args(["-x", language]).arg(format!("-std={standard}")))
                    .args(WARNINGS)
                    .args(setting)
                    .args(["-Wshadow", "-fsyntax-only", "-I"])
                    .arg(include())
                    .arg(root().join("tests/c/header.c")),
            );
        }
    }
}

/// The functions that the header declares.
pub fn declared() -> BTreeSet<String> {
    let header = include().join("stillpoint.h");
    let output = must(Command::new("gcc").args(["-E", "-P", "-DNDEBUG"]).arg(header));
    let text = String::from_utf8(output.stdout).unwrap();
    let functions = text.match_indices("stillpoint_").filter_map(|(at, _)| {
        let (name, _) = text[at..].split_once(|c: char| c != '_' && !c.is_alphanumeric())?;
        text[at + name.len()..].starts_with('(').then(|| name.to_string())
    });
    functions.collect()
}

/// What the library gives to others, whatever it is.
pub fn defined() -> BTreeSet<String> {
    let symbols = must(Command::new("nm").args(["-D", "--defined-only"]).arg(library()));
    let text = String::from_utf8(symbols.stdout).unwrap();
    text.lines().map(|line| line.split_whitespace().last().unwrap().to_string()).collect()
}

#[test]
fn the_library_defines_what_the_header_declares_and_nothing_else() {
    let (declared, defined) = (declared(), defined());
    assert!(declared.len() >= 24, "{declared:?}");
    assert_eq!(declared, defined);
}

/// The entries of one kind in the library's dynamic section.
fn dynamic(kind: &str) -> Vec<String> {
    let section = must(Command::new("readelf").args(["-dW"]).arg(library()));
    let text = String::from_utf8(section.stdout).unwrap();
    let lines = text.lines().filter(|line| line.contains(kind));
    lines.map(|line| line.split(['[', ']']).nth(1).unwrap_or(line).trim().to_string()).collect()
}

#[test]
fn the_library_is_found_by_its_name_and_needs_only_the_c_library() {
    assert_eq!(dynamic("(SONAME)"), ["libstillpoint.so.0"]);
    for needed in dynamic("(NEEDED)") {
        // libgcc's part for unwinding is of the compiler, and in every base system.
        let known = ["libc.so.", "libgcc_s.so.", "ld-linux", "libpthread.so.", "libdl.so."];
        assert!(known.iter().any(|known| needed.starts_with(known)), "{needed}");
    }
    assert!(dynamic("(FLAGS_1)").iter().any(|flags| flags.contains("NODELETE")));
    assert!(dynamic("(TEXTREL)").is_empty());
}
