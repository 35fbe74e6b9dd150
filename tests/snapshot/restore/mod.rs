//! `stillpoint restore`: what comes back, where it goes, and what it never does.

mod bad_days;
mod recipes;
mod replacing;
mod whole;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Done, must, names, run};
use crate::scene::Scene;

/// Everything that a tree has, as text: kinds, modes, owners, sizes, times, links, targets, and what files hold.
pub fn described(tree: &Path) -> String {
    let script = r#"cd "$1" && find . -mindepth 1 -printf '%p %y %m %U %G %T@ %l\n' | LC_ALL=C sort &&
        find . -type f -printf '%p %n %s\n' | LC_ALL=C sort &&
        find . -type f -exec sha256sum {} + | LC_ALL=C sort &&
        { getfattr -Rhd -m - . 2>/dev/null || :; }"#;
    let done = must(Command::new("sh").args(["-ec", script, "sh"]).arg(tree));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// What `cp` must not lose.
pub fn furnish(store: &Path) {
    let script = r#"cd "$1"; mkdir -p jo/Maildir/cur eve
        printf letter > jo/Maildir/cur/one; ln jo/Maildir/cur/one jo/Maildir/cur/two
        ln -s ../../eve jo/Maildir/link; ln -s /etc/passwd eve/passwd; mkfifo eve/pipe
        truncate -s 8M eve/holes; printf end >> eve/holes
        printf x > "$(printf 'eve/new\nline')"; printf x > 'eve/-dash'; printf x > 'eve/a blank'
        chown 1234:567 jo/Maildir/cur/one; chmod 2750 jo; chmod 4711 eve/-dash
        touch -h -d '2001-02-03 04:05:06.789' jo/Maildir/link jo/Maildir/cur eve 'eve/a blank'"#;
    must(Command::new("sh").args(["-ec", script, "sh"]).arg(store));
}

/// `restore` with these words.
pub fn restore(scene: &Scene, words: &[&str]) -> Done {
    run(scene.stillpoint().arg("restore").args(words))
}

/// The names beside the store that an earlier state of it was kept by.
pub fn kept(folder: &Path, name: &str) -> Vec<PathBuf> {
    let begin = format!("{name}.before-");
    let is_kept = |name: &String| name.starts_with(&begin);
    names(folder).into_iter().filter(is_kept).map(|name| folder.join(name)).collect()
}

/// Nothing half restored is left.
pub fn nothing_is_left(folder: &Path) {
    let left: Vec<String> =
        names(folder).into_iter().filter(|name| name.ends_with(".restoring")).collect();
    assert_eq!(left, [""; 0]);
}

pub fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
