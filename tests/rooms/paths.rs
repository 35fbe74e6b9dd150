//! The modules that a file names.
//!
//! No more of the language is understood than that takes: comments and quoted text are left out, modules that
//! are written into the file are entered, and the braces of a `use` are taken apart.

/// A name in the crate, from its root: `["catalogue", "manifest", "Manifest"]`.
pub type Name = Vec<String>;

/// All that a file names by a path that begins with `crate`, `super` or `self`; it is this module itself.
pub fn named(text: &str, module: &[String]) -> Vec<Name> {
    let words = words(text);
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let mut found = Vec::new();
    let mut module = module.to_vec();
    // The modules in the file that we are in lie so deep.
    let (mut depth, mut inside) = (0, Vec::new());
    let mut at = 0;
    while at < words.len() {
        match [word(at), word(at + 1), word(at + 2)] {
            ["mod", name, "{"] => {
                module.push(name.to_owned());
                inside.push(depth);
                at += 2;
            }
            ["$", "crate", _] => at += 2,
            ["crate" | "super" | "self", "::", _] => {
                let mut from = module.clone();
                match word(at) {
                    "crate" => from.clear(),
                    "super" => drop(from.pop()),
                    _ => {}
                }
                at += 2;
                while [word(at), word(at + 1)] == ["super", "::"] {
                    from.pop();
                    at += 2;
                }
                at = tree(&words, at, from, &mut found);
            }
            ["{", ..] => (depth, at) = (depth + 1, at + 1),
            ["}", ..] => {
                (depth, at) = (depth - 1, at + 1);
                if inside.last() == Some(&depth) {
                    inside.pop();
                    module.pop();
                }
            }
            _ => at += 1,
        }
    }
    found
}

/// What follows a `::`: the rest of one path, or of several in braces. Returns where it ends.
fn tree(words: &[String], mut at: usize, mut from: Name, found: &mut Vec<Name>) -> usize {
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    loop {
        match word(at) {
            "{" => {
                at += 1;
                while !matches!(word(at), "}" | "") {
                    at = tree(words, at, from.clone(), found);
                    if word(at) == "as" {
                        at += 2;
                    }
                    if word(at) == "," {
                        at += 1;
                    }
                }
                return at + 1;
            }
            name if is_name(name) => {
                if name != "self" {
                    from.push(name.to_owned());
                }
                at += 1;
                // Else the types of a generic function follow.
                if word(at) == "::" && word(at + 1) != "<" {
                    at += 1;
                    continue;
                }
            }
            // `*`: all that is there.
            _ => at += 1,
        }
        found.push(from);
        return at;
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::`, and every other character by itself, without comments, texts and the spaces between.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => quoted(rest),
            '\'' => character(rest),
            'r' if rest.starts_with("r\"") || rest.starts_with("r#\"") => raw(rest),
            // A word of the language as a name.
            'r' if rest.starts_with("r#") => 2,
            ':' if rest.starts_with("::") => {
                words.push("::".to_owned());
                2
            }
            c if c.is_alphanumeric() || c == '_' => {
                let is_part = |c: char| c.is_alphanumeric() || c == '_';
                let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                words.push(rest[..length].to_owned());
                length
            }
            c => {
                if !c.is_whitespace() {
                    words.push(c.to_string());
                }
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    words
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    let end = text[1..].find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

fn raw(text: &str) -> usize {
    let end = if text.starts_with("r#") { "\"#" } else { "\"" };
    let begin = if text.starts_with("r#") { 3 } else { 2 };
    text[begin..].find(end).map_or(text.len(), |found| begin + found + end.len())
}

/// A character, or no more than the mark of a lifetime.
fn character(text: &str) -> usize {
    let mut all = text.char_indices().skip(1);
    match (all.next(), all.next(), all.next()) {
        (Some((_, '\\')), Some((at, _)), _) => {
            text[at + 1..].find('\'').map_or(text.len(), |end| at + 1 + end + 1)
        }
        (Some(_), Some((at, '\'')), _) => at + 1,
        _ => 1,
    }
}

#[test]
fn paths_are_read_whatever_their_form() {
    let text = r##"
        //! See [`this`](crate::comment).
        use crate::exit::{self, Exit, Failure as Error, deep::{A, b::*}};
        pub(crate) use super::manifest::Manifest;
        use super::super::top;
        fn f<'a>(x: &'a str) -> char { crate::call::<u8>("crate::text{", '{'); $crate::macros!(); '\'' }
        mod tests { use super::*; fn g() { self::h(); } }
        const C: &str = r#"use crate::raw;"#;
        use crate::last;
    "##;
    let module = ["a", "b"].map(str::to_owned);
    let found: Vec<String> = named(text, &module).iter().map(|name| name.join("::")).collect();
    let expected = [
        "exit",
        "exit::Exit",
        "exit::Failure",
        "exit::deep::A",
        "exit::deep::b",
        "a::manifest::Manifest",
        "top",
        "call",
        "a::b",
        "a::b::tests::h",
        "last",
    ];
    assert_eq!(found, expected);
}
