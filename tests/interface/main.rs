//! What the crate promises to those who depend on it: that its interface may grow, that it names no
//! crate whose versions are not its own, and that what is published builds by itself (`published`).
//!
//! `rust` builds it with the oldest compiler that is promised, and with Debian's.
//!
//! The interface is read from what rustdoc(1) knows of it, in its own words (JSON).

#[path = "../common/mod.rs"]
mod common;
mod published;
mod rust;

use crate::common::must;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Those that are complete by what they are: two numbers that are compared, and what names a lock.
const COMPLETE: [&str; 2] = ["Dirty", "FileLock"];

fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TERM_COLOR", "never");
    cargo
}

fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// All that rustdoc knows of the library. It is in a form that only unstable versions give without
/// being told that this is meant.
fn interface() -> Value {
    let folder = scratch().join("interface");
    let mut document = cargo();
    document.args(["rustdoc", "--lib", "--no-default-features", "--locked", "--target-dir"]);
    document.arg(&folder).args(["--", "-Z", "unstable-options", "--output-format", "json"]);
    must(document.env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTDOCFLAGS"));
    let text = std::fs::read(folder.join("doc/stillpoint.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Calls `found` with the id of each type and trait that is named below the value.
fn named(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(fields) => {
            if let (Some(id), true) = (fields.get("id"), fields.contains_key("path")) {
                found(&id.to_string());
            }
            fields.values().for_each(|field| named(field, found));
        }
        Value::Array(values) => values.iter().for_each(|value| named(value, found)),
        _ => {}
    }
}

#[test]
fn the_interface_names_no_type_of_another_crate_and_can_grow() {
    let known = interface();
    let crate_of = |id: &str| {
        let number = known["paths"].get(id)?["crate_id"].to_string();
        known["external_crates"].get(&number)?["name"].as_str()
    };
    let mut foreign = BTreeSet::new();
    let mut closed = BTreeSet::new();
    let mut items = 0;
    for item in known["index"].as_object().unwrap().values() {
        items += 1;
        let name = item["name"].as_str().unwrap_or_default();
        named(&item["inner"], &mut |id| {
            let of = crate_of(id).unwrap_or("stillpoint");
            if !["stillpoint", "std", "core", "alloc"].contains(&of) {
                foreign.insert(format!("{of}: {} in {name}", known["paths"][id]["path"]));
            }
        });
        let own = item["crate_id"] == 0 && item["visibility"] == "public";
        let fields = &item["inner"]["struct"]["kind"]["plain"];
        let all_public = fields["has_stripped_fields"] == false;
        let can_grow = item["attrs"].to_string().contains("non_exhaustive");
        if own && !can_grow && (all_public || !item["inner"]["enum"].is_null()) {
            closed.insert(name.to_string());
        }
    }
    assert!(items > 300, "only {items} items are known: has the form changed?");
    assert_eq!(foreign, BTreeSet::new());
    assert_eq!(closed, COMPLETE.map(str::to_string).into());
}
