//! A folder of modules, its rooms on their storeys, and whether its files keep to them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::modules::{Module, modules, name_of};
use crate::paths::{Name, named};

/// The plan of a folder. Its own file (`main.rs`, `lib.rs`, `mod.rs`) is the roof: it names every room, and no
/// room names what is in it.
pub struct House {
    /// Of the crate, from the top of the repository.
    pub root: &'static str,
    /// The module in it that this is the plan of, as `snapshot`; empty for the crate itself.
    pub module: &'static str,
    /// From the lowest to the highest. Rooms on one storey do not know of each other.
    pub storeys: &'static [&'static [&'static str]],
    pub exceptions: &'static [Exception],
}

/// What runs up, and why it has to.
pub struct Exception {
    /// From the folder of the house.
    pub file: &'static str,
    /// What it names, or the module that this is in.
    pub names: &'static str,
    pub reason: &'static str,
}

impl House {
    /// Every file names only what lies on lower storeys, or in its own room.
    #[track_caller]
    pub fn check(&self) {
        let faults = self.faults();
        assert!(faults.is_empty(), "{}/{}:\n{}", self.root, self.module, faults.join("\n"));
    }

    /// The diagram in a file shows the storeys, the highest first. What stands behind the last wall is said of
    /// them.
    #[track_caller]
    pub fn check_diagram(&self, file: &str) {
        let text = fs::read_to_string(self.folder().join(file)).unwrap();
        let storeys = text.lines().filter_map(|line| line.strip_prefix("//! | "));
        let storeys =
            storeys.map(|line| line.rsplit_once("|  ").expect("a wall, and what is said").0);
        let mut storeys: Vec<Vec<&str>> =
            storeys.map(|rooms| rooms.split('|').map(str::trim).collect()).collect();
        storeys.reverse();
        assert_eq!(storeys, self.storeys);
    }

    /// Each room that is a folder says what it is.
    #[track_caller]
    pub fn check_heads(&self) {
        for room in self.storeys.iter().copied().flatten() {
            let folder = self.folder().join(room);
            if !folder.is_dir() {
                continue;
            }
            let text = fs::read_to_string(folder.join("mod.rs")).unwrap();
            let head: String = text.lines().map_while(|line| line.strip_prefix("//!")).collect();
            for said in ["Uses ", "Right about "] {
                assert!(head.contains(said), "{}/mod.rs: {said}what?", folder.display());
            }
        }
    }

    fn name(&self) -> Name {
        name_of(Path::new(self.module))
    }

    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(self.root).join(self.module)
    }

    fn faults(&self) -> Vec<String> {
        let (mut faults, mut excused, mut rooms) = (Vec::new(), Vec::new(), BTreeSet::new());
        for Module { file, name, text } in modules(&self.folder()) {
            let Some(room) = name.first() else { continue };
            rooms.insert(room.clone());
            let here = [self.name(), name.clone()].concat();
            for name in named(&text, &here) {
                let Some(other) = self.room_of(&name) else { continue };
                if other == *room || self.storey(&other) < self.storey(room) {
                    continue;
                }
                let name = name.join("::");
                let is_excused = |exception: &&Exception| {
                    file == *exception.file && is_in(&name, exception.names)
                };
                match self.exceptions.iter().find(is_excused) {
                    Some(exception) => excused.push(exception.names),
                    None => faults.push(format!("{}: {room} names {name}", file.display())),
                }
            }
        }
        let planned: BTreeSet<String> =
            self.storeys.iter().copied().flatten().map(|room| room.to_string()).collect();
        let unplanned = rooms.difference(&planned).map(|room| format!("{room}: not in the plan"));
        let missing = planned.difference(&rooms).map(|room| format!("{room}: not there"));
        let needless = self.exceptions.iter().filter(|one| !excused.contains(&one.names));
        let needless = needless.map(|Exception { file, names, reason }| {
            format!("{file}: does not name {names} any more ({reason})")
        });
        faults.extend(unplanned.chain(missing).chain(needless));
        faults
    }

    /// The room that a name is in, the roof's being empty; `None` for what is not of this house.
    fn room_of(&self, name: &[String]) -> Option<String> {
        let inside = name.strip_prefix(self.name().as_slice())?;
        let first = inside.first().cloned().unwrap_or_default();
        Some(if self.storey(&first) < self.storeys.len() { first } else { String::new() })
    }

    /// The roof, and what is not known, is above all.
    fn storey(&self, room: &str) -> usize {
        let found = self.storeys.iter().position(|rooms| rooms.contains(&room));
        found.unwrap_or(self.storeys.len())
    }
}

fn is_in(name: &str, module: &str) -> bool {
    name.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn what_runs_up_is_found_and_what_is_excused_is_needed() {
    const ROOT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/house");
    let write = |file: &str, text: &str| {
        let file = Path::new(ROOT).join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    let _ = fs::remove_dir_all(ROOT);
    write("main.rs", "mod high; mod left; mod right; use low::A;");
    write("low/mod.rs", "mod part; use crate::high::B;");
    write("low/part.rs", "use super::A; use crate::{Roof, low::C}; use std::fs;");
    write(
        "left.rs",
        "use crate::right::D; use crate::low::part;\n#[cfg(test)]\nmod tests { use crate::high; }",
    );
    write("right.rs", "");
    write("high.rs", "fn f() { super::low::g() }");
    let mut house = House {
        root: ROOT,
        module: "",
        storeys: &[&["low"], &["left", "right"], &["high"]],
        exceptions: &[],
    };
    let expected = [
        "left.rs: left names right::D",
        "low/mod.rs: low names high::B",
        "low/part.rs: low names Roof",
    ];
    assert_eq!(house.faults(), expected);
    house.storeys = &[&["low"], &["right"], &["left"], &["higher"]];
    house.exceptions = &[
        Exception { file: "low/mod.rs", names: "high", reason: "one" },
        Exception { file: "low/part.rs", names: "Roof", reason: "two" },
        Exception { file: "left.rs", names: "right", reason: "three" },
    ];
    let expected = [
        "high: not in the plan",
        "higher: not there",
        "left.rs: does not name right any more (three)",
    ];
    assert_eq!(house.faults(), expected);

    // The same in a house within the house.
    write("low/upper.rs", "use super::part::E; use crate::high::F;");
    write("low/part.rs", "use super::upper::G; use crate::low::upper::H;");
    let inner =
        House { root: ROOT, module: "low", storeys: &[&["part"], &["upper"]], exceptions: &[] };
    let expected = ["part.rs: part names low::upper::G", "part.rs: part names low::upper::H"];
    assert_eq!(inner.faults(), expected);
}
