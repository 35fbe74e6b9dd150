//! The modules of a folder, a file each.

use std::fs;
use std::path::{Path, PathBuf};

use crate::paths::Name;

pub struct Module {
    /// From the folder.
    pub file: PathBuf,
    /// Likewise; that of the folder itself is empty.
    pub name: Name,
    /// Without its tests.
    pub text: String,
}

/// How the tests at the end of a file begin.
const TESTS: &str = "#[cfg(test)]\nmod tests {";

/// All in a folder and below; what builds them is none.
pub fn modules(folder: &Path) -> Vec<Module> {
    let module = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split(TESTS).next().unwrap().to_owned();
        let file = file.strip_prefix(folder).unwrap().to_owned();
        Module { name: name_of(&file), file, text }
    };
    files(folder).into_iter().map(module).collect()
}

/// The name of the module that a file is, counted from where its path begins.
pub fn name_of(file: &Path) -> Name {
    let parts = file.with_extension("");
    let mut parts: Vec<String> =
        parts.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| ["mod", "main", "lib"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension() == Some("rs".as_ref()) && !path.ends_with("build.rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}
