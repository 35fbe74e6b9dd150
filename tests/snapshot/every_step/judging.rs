//! What holds of every snapshot, whatever happened.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::{names, until};
use crate::scene::Scene;

use super::ensure;

/// Nobody works on anything any more: what the victim had started may outlive it.
pub fn settle(scene: &Scene) {
    until("end of what is under way", || {
        rows(scene).iter().all(|row| row["under_way"] != true && row["pinned"] != true)
    });
}

pub fn rows(scene: &Scene) -> Vec<Value> {
    serde_json::from_str(&scene.verb(["list", "--json"]).stdout).unwrap()
}

/// In folders, which are removed one after another.
const FILES: [&str; 3] = ["letter-0", "folder/letter-1", "folder/inner/letter-2"];

pub fn fill(store: &Path) {
    fs::create_dir_all(store.join("folder/inner")).unwrap();
    for file in FILES {
        fs::write(store.join(file), file).unwrap();
    }
}

/// Is this all of the store?
pub fn is_whole(place: &Path) -> bool {
    let text = |file| fs::read_to_string(place.join(file));
    FILES.iter().all(|file| text(file).is_ok_and(|text| text == *file))
}

/// What holds of every snapshot whatever happened to `victim`, of which there may be nothing.
pub fn nothing_is_half(scene: &Scene, to: &Path) -> Result<(), String> {
    for name in names(to).iter().filter(|name| !name.starts_with('.')) {
        ensure(is_whole(&to.join(name)), || format!("{name} is not whole"))?;
    }
    for row in rows(scene).iter().filter(|row| row["path"].is_string()) {
        let name = row["name"].as_str().unwrap();
        let read = scene.verb(["use", name, "--", "printenv", "STILLPOINT_SNAPSHOT_PATH"]);
        let place = read.stdout.trim_end();
        let right = match read.code() {
            0 => is_whole(Path::new(place)),
            code => code == 66,
        };
        ensure(right, || format!("use of {name}: {read:#?}"))?;
    }
    Ok(())
}

/// After the next run there is nothing half made or half removed.
pub fn nothing_is_left(scene: &Scene, to: &Path) -> Result<(), String> {
    let left = |folder: &Path| names(folder).into_iter().find(|name| name.starts_with('.'));
    for folder in [to.to_owned(), scene.path("catalog")] {
        ensure(left(&folder).is_none(), || {
            format!("left in {}: {:?}", folder.display(), names(&folder))
        })?;
    }
    Ok(())
}

/// Nor does any manifest say what is not so.
pub fn is_clean(scene: &Scene, to: &Path) -> Result<(), String> {
    nothing_is_left(scene, to)?;
    for row in rows(scene) {
        let data = row["path"].as_str().map(PathBuf::from);
        let right = match row["status"].as_str() {
            Some("complete") => data.is_none_or(|data| is_whole(&data)),
            Some("failed") => data.is_none_or(|data| !data.exists()),
            _ => false,
        };
        ensure(right, || format!("a manifest is wrong: {row:#}"))?;
    }
    Ok(())
}
