//! Files that name each other, over however many others: none of them can be understood before the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::modules::modules;
use crate::paths::{Name, named};

/// Those in a circle, and those that name one of them.
pub fn circles(root: &str) -> BTreeSet<String> {
    let modules = modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join(root));
    let texts: BTreeMap<Name, String> =
        modules.into_iter().map(|module| (module.name, module.text)).collect();
    // What is at the root names all, and is named by none that keeps to a plan.
    let file_of = |mut name: &[String]| {
        while !name.is_empty() && !texts.contains_key(name) {
            name = name.split_last()?.1;
        }
        Some(name.to_vec())
    };
    let mut open: BTreeMap<&Name, BTreeSet<Name>> = BTreeMap::new();
    for (name, text) in texts.iter().filter(|(name, _)| !name.is_empty()) {
        let others = named(text, name).into_iter().filter_map(|other| file_of(&other));
        open.insert(name, others.filter(|other| other != name).collect());
    }
    // Whoever names only what is settled is settled.
    loop {
        let names: BTreeSet<Name> = open.keys().copied().cloned().collect();
        open.retain(|_, others| others.iter().any(|other| names.contains(other)));
        if open.len() == names.len() {
            return names.iter().map(|name| name.join("::")).collect();
        }
    }
}

#[test]
fn a_circle_is_found_however_long() {
    const ROOT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/circle");
    let write = |file: &str, text: &str| fs::write(Path::new(ROOT).join(file), text).unwrap();
    let _ = fs::remove_dir_all(ROOT);
    fs::create_dir_all(Path::new(ROOT).join("a")).unwrap();
    write("main.rs", "mod a; mod b; mod c; mod d;");
    write("a/mod.rs", "mod part; use crate::b::B;");
    write("a/part.rs", "use super::A;");
    write("b.rs", "use crate::c::C;");
    write("c.rs", "use crate::a::part::D; #[cfg(test)]\nmod tests { use crate::d::E; }");
    write("d.rs", "use crate::c::C;");
    assert_eq!(Vec::from_iter(circles(ROOT)), ["a", "a::part", "b", "c", "d"]);
    write("a/part.rs", "#[cfg(test)]\nmod tests { use super::A; }");
    assert!(circles(ROOT).is_empty());
}
