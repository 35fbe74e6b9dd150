//! A locale with a decimal comma, in which some tools write and read numbers that others do not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::skip::skip;

const NAME: &str = "de_DE.UTF-8";

/// Lets `command` and all that it starts speak German, unless that cannot be had here.
pub fn surround(command: &mut Command) {
    if let Some(folder) = locales() {
        command.env("LOCPATH", folder).envs(["LANG", "LC_ALL"].map(|name| (name, NAME)));
    }
}

/// The folder of the locale, made once for all tests.
pub fn locales() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("locales");
        fs::create_dir_all(&folder).unwrap();
        let lock = fs::File::create(folder.join("lock")).unwrap();
        lock.lock().unwrap();
        let made = folder.join(NAME);
        made.exists().then_some(()).or_else(|| make(&made))?;
        Some(folder)
    });
    folder.as_deref()
}

fn make(locale: &Path) -> Option<()> {
    let new = tempfile::TempDir::new_in(locale.parent()?).unwrap();
    let mut localedef = Command::new("localedef");
    localedef.args(["-i", "de_DE", "-f", "UTF-8"]).arg(new.path().join(NAME));
    if !localedef.output().is_ok_and(|done| done.status.success()) {
        skip("localedef of the package locales cannot make de_DE.UTF-8");
        return None;
    }
    fs::rename(new.path().join(NAME), locale).unwrap();
    Some(())
}
