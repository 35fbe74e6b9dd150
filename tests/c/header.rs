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
        ("gcc", "c", "gnu89"),
        ("g++", "c++", "c++11"),
        ("g++", "c++", "c++17"),
        ("g++", "c++", "c++20"),
    ];
    let settings: [&[&str]; 5] = [
        &[],
        &["-DNDEBUG"],
        &["-DSTILLPOINT_NO_INLINE"],
        &["-D_FILE_OFFSET_BITS=64"],
        &["-D_GNU_SOURCE", "-Wconversion"],
    ];
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

/// The functions that the header declares: the interface.
pub fn declared() -> BTreeSet<String> {
    declared_with(&["-DSTILLPOINT_NO_INLINE"])
}

fn declared_with(settings: &[&str]) -> BTreeSet<String> {
    let header = include().join("stillpoint.h");
    let mut compiler = Command::new("gcc");
    let output = must(compiler.args(["-E", "-P", "-DNDEBUG"]).args(settings).arg(header));
    let text = String::from_utf8(output.stdout).unwrap();
    let functions = text.match_indices("stillpoint_").filter_map(|(at, _)| {
        let (name, _) = text[at..].split_once(|c: char| c != '_' && !c.is_alphanumeric())?;
        text[at + name.len()..].starts_with('(').then(|| name.to_string())
    });
    functions.collect()
}

/// What is between the header and the library alone ends so.
fn is_private(name: &str) -> bool {
    name.ends_with('_')
}

/// What the library gives to others, whatever it is.
fn exported() -> BTreeSet<String> {
    let symbols = must(Command::new("nm").args(["-D", "--defined-only"]).arg(library()));
    let text = String::from_utf8(symbols.stdout).unwrap();
    text.lines().map(|line| line.split_whitespace().last().unwrap().to_string()).collect()
}

/// The interface, as the library has it.
pub fn defined() -> BTreeSet<String> {
    exported().into_iter().filter(|name| !is_private(name)).collect()
}

#[test]
fn the_library_defines_what_the_header_declares_and_nothing_else() {
    let (declared, defined) = (declared(), defined());
    assert!(declared.len() >= 24, "{declared:?}");
    assert_eq!(declared, defined);
}

/// Those that are inline are no part of the library.
#[test]
fn what_the_header_calls_for_itself_is_there() {
    let inline = ["stillpoint_enter_", "stillpoint_leave_", "stillpoint_try_enter_"];
    let mut called = declared_with(&[]);
    called.retain(|name| is_private(name) && !inline.contains(&name.as_str()));
    let private: BTreeSet<_> = exported().into_iter().filter(|name| is_private(name)).collect();
    assert_eq!(called, private);
    assert_eq!(private.len(), 3);
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
