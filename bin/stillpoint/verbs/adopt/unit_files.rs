//! The files of a unit of systemd, as it reads them: systemd.unit(5).
//!
//! They are read from the root that is asked about, so that it does not matter whether a systemd runs, or whose.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::process::units::FOLDERS;
use crate::words::exit::{Exit, Failure};

/// The unit's own file, then its drop-ins. An error: there is no such unit.
pub fn of(unit: &str, root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let names = names(unit);
    let places = |name: &str| FOLDERS.map(|folder| root.join(folder).join(name));
    let own = names.iter().flat_map(|name| places(name)).find(|place| place.is_file());
    let Some(own) = own else {
        let message = format!("{unit}: there is no such unit; systemctl list-unit-files names all");
        return Err(Failure::new(Exit::MISSING, message));
    };
    let mut drop_ins = BTreeMap::new();
    for folder in names.iter().flat_map(|name| places(&format!("{name}.d"))) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if Path::new(&name).extension().is_some_and(|end| end == "conf") {
                drop_ins.entry(name).or_insert(entry.path());
            }
        }
    }
    Ok(std::iter::once(own).chain(drop_ins.into_values()).collect())
}

/// Its own, and that of the template that it is an instance of.
fn names(unit: &str) -> Vec<String> {
    let template = unit.split_once('@').and_then(|(name, instance)| {
        let (_, kind) = instance.rsplit_once('.')?;
        Some(format!("{name}@.{kind}"))
    });
    std::iter::once(unit.to_owned()).chain(template.filter(|template| template != unit)).collect()
}

/// Their text, without drop-ins of this name.
pub fn without(files: &[PathBuf], name: &str) -> String {
    let others = files.iter().filter(|file| !file.ends_with(name));
    let texts = others.map(|file| fs::read(file).unwrap_or_default());
    texts.map(|text| String::from_utf8_lossy(&text).into_owned() + "\n").collect()
}

/// The values of a key, in order.
pub fn values(text: &str, key: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let settings = joined.lines().filter_map(|line| line.trim().split_once('='));
    let of_key = settings.filter(|(name, _)| name.trim() == key);
    of_key.map(|(_, value)| value.trim().to_owned()).collect()
}
