//! Locks of other programs: Cyrus's own, by a program that locks as it does, and those of `--also`.

mod cyrus;
mod files;
mod limits;
mod real;
mod waiting;

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Running, must, start, until};
use crate::scene::Scene;

/// imapd.conf beyond `configdirectory`, and where Cyrus then locks.
const LAYOUTS: [(&str, &str); 6] = [
    ("", "conf/lock/$GLOBAL.lock"),
    ("hashimapspool: yes\n", "conf/lock/q/$GLOBAL.lock"),
    ("hashimapspool: yes\nfulldirhash: yes\n", "conf/lock/W/$GLOBAL.lock"),
    ("mboxname_lockpath: {configdirectory}/../run\n", "conf/../run/$GLOBAL.lock"),
    ("mboxname_lockpath: {configdirectory}/run\nhashimapspool: 1\n", "conf/run/q/$GLOBAL.lock"),
    (
        "mboxname_lockpath: {configdirectory}/run\nhashimapspool: on\nfulldirhash: t\n",
        "conf/run/W/$GLOBAL.lock",
    ),
];

/// The files of each writer, which agree whenever he does not hold the lock.
const PAIRS: [[&str; 2]; 2] = [["a", "b"], ["c", "d"]];

struct Cyrus {
    scene: Scene,
    program: PathBuf,
    lock: PathBuf,
}

impl Cyrus {
    fn new(layout: (&str, &str)) -> Cyrus {
        let scene = Scene::new();
        fs::create_dir(scene.path("conf")).unwrap();
        let text = format!("configdirectory: {}\n{}", scene.path("conf").display(), layout.0);
        fs::write(scene.path("imapd.conf"), text).unwrap();
        let program = scene.path("cyrus_writer");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshot/cyrus_writer.c");
        must(
            Command::new("gcc")
                .args(["-Wall", "-Werror", "-D_GNU_SOURCE", "-o"])
                .arg(&program)
                .arg(source),
        );
        let lock = scene.path(layout.1);
        let cyrus = Cyrus { scene, program, lock };
        cyrus.knows(&["configdirectory:", "global_lock: yes"]);
        cyrus
    }

    /// What cyr_info says of the options that this Cyrus knows; nothing: it fails.
    fn knows(&self, options: &[&str]) {
        let told = match options {
            [] => "echo 'fatal error: no' >&2; exit 75".to_owned(),
            options => format!("printf '%s\\n' '{}'", options.join("' '")),
        };
        let script = format!(
            r#"case "$1 $3" in "-C conf-default") {told};; "-C version") echo cyrus-imapd 3.0;; *) exit 64;; esac"#
        );
        self.scene.stand_in("cyr_info", &script);
    }

    /// Two writers side by side, which the shared lock does not part.
    fn writing(&self) -> [Running; 2] {
        PAIRS.map(|pair| {
            let [first, second] = pair.map(|file| self.scene.path("store").join(file));
            let mut writer = Command::new(&self.program);
            let writer = start(writer.arg("write").arg(&self.lock).args([&first, &second]));
            until("the first numbers", || second.exists());
            writer
        })
    }

    /// Holds Cyrus's lock shared until it is dropped.
    fn holding(&self, lock: &Path) -> Running {
        self.locking("hold", lock)
    }

    /// Starts the program with a lock; returns once it has it.
    fn locking(&self, how: &str, lock: &Path) -> Running {
        let said = self.scene.path("said");
        let mut holder = Command::new(&self.program);
        holder.arg(how).arg(lock).stdin(std::process::Stdio::piped());
        let holder = start(holder.stdout(File::create(&said).unwrap()));
        until("lock", || fs::read(&said).is_ok_and(|said| said == b"locked\n"));
        holder
    }

    fn flag(&self) -> OsString {
        let mut flag = OsString::from("--cyrus=");
        flag.push(self.scene.path("imapd.conf"));
        flag
    }

    /// A copy under these options.
    fn copy(&self, name: &str, options: &[&str]) -> Command {
        let mut copy = self.scene.copy(&["--hold", "10", "--min-open", "0", "--name", name]);
        copy.args(options);
        copy
    }

    /// Whether two files of one writer disagree in a snapshot.
    fn is_torn(&self, name: &str) -> bool {
        let read =
            |file: &str| fs::read(self.scene.path("snapshots").join(name).join(file)).unwrap();
        PAIRS.iter().any(|[first, second]| read(first) != read(second))
    }

    /// Whether somebody keeps a Cyrus process out.
    fn is_locked(&self) -> bool {
        let file = File::open(&self.lock).unwrap();
        !stillpoint::lock_holders(&file).is_empty()
    }
}
