//! libstillpoint(3) against the header and the library.

use crate::common::{must, root};
use crate::header::{declared, defined};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

pub fn page() -> String {
    fs::read_to_string(root().join("man/libstillpoint.3")).unwrap()
}

/// The examples of the page, by the file's name that a comment in each of them says. A word is none.
pub fn examples() -> Vec<(String, String)> {
    let page = page();
    let displays = page.split(".Bd -literal -offset indent\n").skip(1);
    let named = displays.map(|display| {
        let display = display.split_once("\n.Ed").unwrap().0;
        let (name, text) = display.split_once('\n').unwrap();
        let name = name.strip_prefix(".\\\" ").unwrap_or_else(|| panic!("unnamed: {display}"));
        (name.to_string(), text.replace("\\e", "\\") + "\n")
    });
    named.filter(|(name, _)| name.contains('.')).collect()
}

/// Those that are macros alone: the function behind has another name.
const MACROS: [&str; 2] = ["stillpoint_assert_not_held", "stillpoint_assert_idle"];

/// The functions that the lines beginning so name.
fn named(lines: &str, start: &str) -> BTreeSet<String> {
    let calls = lines.lines().filter_map(|line| line.strip_prefix(start));
    calls.filter_map(|call| call.split_whitespace().next()).map(str::to_string).collect()
}

#[test]
fn page_header_and_library_have_the_same_functions() {
    let mut wanted = declared();
    assert_eq!(wanted, defined());
    wanted.extend(MACROS.map(str::to_string));
    let page = page();
    // A declaration follows its type.
    let declarations: Vec<&str> = page.split("\n.Ft ").skip(1).collect();
    let of_page: BTreeSet<String> = declarations
        .iter()
        .flat_map(|text| named(text.split("\n.Ft ").next().unwrap(), ".Fn "))
        .collect();
    assert_eq!(of_page, wanted);
}

#[test]
fn the_page_declares_what_the_header_declares() {
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let header = must(
        Command::new("gcc")
            .args(["-E", "-P", "-DNDEBUG", "-DSTILLPOINT_NO_INLINE"])
            .arg(root().join("bin/libstillpoint/stillpoint.h")),
    );
    let header = squeezed(&String::from_utf8(header.stdout).unwrap());
    let page = page();
    for declaration in page.split("\n.Ft ").skip(1) {
        let (kind, rest) = declaration.split_once("\n.Fn ").unwrap();
        let (name, arguments) = rest.lines().next().unwrap().split_once(' ').unwrap();
        if MACROS.contains(&name) {
            continue;
        }
        let arguments: Vec<&str> = arguments.split('"').filter(|text| text.len() > 1).collect();
        // The page calls uint32_t so; the compiler has resolved nothing, either.
        let wanted = squeezed(&format!("{kind}{name}({});", arguments.join(",")));
        assert!(header.contains(&wanted), "the header has no {wanted}");
    }
}

/// Every errno that the library has a text of its own for, or gives by name.
#[test]
fn every_errno_is_explained() {
    let failure = fs::read_to_string(root().join("bin/libstillpoint/failure.rs")).unwrap();
    let page = page();
    let explained = |errno: &str| page.contains(&format!(".It Bq Er {errno}\n"));
    let mut count = 0;
    for (at, _) in failure.match_indices("Errno::E") {
        let name: String = failure[at + 7..].chars().take_while(char::is_ascii_uppercase).collect();
        // A barrier that exists is opened; EIO stands for what has no errno.
        if !["EEXIST", "EIO"].contains(&name.as_str()) {
            assert!(explained(&name), "{name} is not in the page");
            count += 1;
        }
    }
    assert!(count > 15, "{count}");
}
