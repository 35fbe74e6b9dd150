//! What is read back from disk: a snapshot's manifest, a catalogue of them, a durable state.
//!
//! The command's own modules are compiled into this program, where the command has them in
//! `bin/stillpoint`. Any text may be refused and none may panic. What is accepted must be read the
//! same again once it was written, and what a manifest calls its data, which is removed on its word,
//! must be its own by a rule that is written down here a second time.

#![no_main]

#[allow(dead_code, reason = "the command uses what is not read back")]
#[path = "../../bin/stillpoint/barrier"]
mod barrier {
    pub mod lost;
    pub mod state;
}
#[allow(dead_code, reason = "as above")]
#[path = "../../bin/stillpoint/catalogue/mod.rs"]
mod catalogue;
#[allow(dead_code, reason = "as above")]
#[path = "../../bin/stillpoint/files/mod.rs"]
mod files;
#[allow(dead_code, reason = "as above")]
#[path = "../../bin/stillpoint/process"]
mod process {
    pub mod tool;
}
#[allow(dead_code, reason = "as above")]
#[path = "../../bin/stillpoint/words"]
mod words {
    pub mod advice;
    pub mod exit;
    pub mod lines;
    pub mod live;
    pub mod output;
    pub mod seconds;
    pub mod status;
    pub mod terminal;
}

use arbitrary::Arbitrary;
use barrier::state::State;
use catalogue::Catalogue;
use catalogue::manifest::{Manifest, Status};
use catalogue::record::{BarrierRecord, DirtyRecord};
use catalogue::volume::Volume;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stillpoint::{Dirty, PauseReport, Writer};
use words::seconds;

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    /// A manifest as somebody else wrote it.
    Manifest(&'a [u8]),
    /// A durable state, likewise.
    State(&'a [u8]),
    /// A folder of files.
    Catalogue(Vec<(Name<'a>, Content<'a>)>),
    /// A manifest that is written here.
    Own(Box<Own<'a>>),
    /// A state that is written here.
    OwnState { uuid: u128, boot_id: u128, epoch: u32, acknowledged: u32, retired: bool },
}

/// What a file in a catalogue is called.
#[derive(Arbitrary, Debug)]
enum Name<'a> {
    Manifest(&'a str),
    /// What was written aside and never took its name over.
    Aside(&'a str),
    Any(&'a str),
}

/// What stands in its place.
#[derive(Arbitrary, Debug)]
enum Content<'a> {
    Folder,
    Bytes(&'a [u8]),
    /// A manifest of this name, which need not be the file's.
    Manifest(&'a str, u8),
}

/// What a snapshot may have to record.
#[derive(Arbitrary, Debug)]
struct Own<'a> {
    name: &'a str,
    provider: &'a str,
    folder: &'a str,
    command: Option<Vec<String>>,
    label: Option<String>,
    reason: Option<String>,
    presync: Option<Duration>,
    times: [Duration; 4],
    numbers: [u32; 4],
    waited_for: Vec<Waited>,
    certified: bool,
    ended: bool,
}

#[derive(Arbitrary, Debug)]
struct Waited {
    pid: u32,
    comm: String,
    label: String,
    held: Duration,
    wait_channel: Option<String>,
}

thread_local! {
    static FOLDER: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
}

fuzz_target!(|input: Input| {
    let folder = FOLDER.with_borrow_mut(|folder| {
        folder.get_or_insert_with(|| hostile::folder("manifests")).clone()
    });
    match input {
        Input::Manifest(bytes) => foreign_manifest(&String::from_utf8_lossy(bytes)),
        Input::State(bytes) => foreign_state(&folder, bytes),
        Input::Catalogue(files) => catalogue(&folder.join("catalogue"), &files),
        Input::Own(own) => {
            own_volume(&own);
            own_manifest(&own);
        }
        Input::OwnState { uuid, boot_id, epoch, acknowledged, retired } => {
            let id = |number: u128| format!("{number:032x}");
            let state = State::open(&id(uuid), &id(boot_id), Dirty { epoch, acknowledged }, &[]);
            own_state(&folder, &if retired { state.retired() } else { state });
        }
    }
});

fn foreign_manifest(text: &str) {
    let Ok(manifest) = Manifest::parse(text) else { return };
    // Whoever reads it with nothing but a JSON parser must see the same, unless a field that is
    // ignored here disturbs him.
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        assert!(value["schema"].as_u64().is_some_and(|schema| schema <= 1), "{text}");
        assert_eq!(value["name"].as_str(), Some(manifest.name.as_str()));
    }
    judge(&manifest);
}

/// What holds for every manifest that is believed.
fn judge(manifest: &Manifest) {
    let (name, path, partial) = (&manifest.name, &manifest.path, &manifest.partial);
    assert_eq!(path.is_some(), partial.is_some());
    if let (Some(path), Some(partial)) = (path, partial) {
        let folder = path.parent().expect("data stands in a folder");
        assert!(folder.is_absolute(), "{manifest:?}");
        assert_eq!(path.file_name(), Some(name.as_ref()), "{manifest:?}");
        assert_eq!(partial.parent(), Some(folder), "{manifest:?}");
        let hidden = partial.file_name().expect("it has a name").to_string_lossy();
        assert!(is_temporary(&hidden, &format!(".{name}")), "{manifest:?}");
    }
    if let Some(kept) = &manifest.kept {
        let folder = path.as_deref().and_then(Path::parent).expect("it had a place of its own");
        let names = ["failed", "revoked"].map(|how| folder.join(format!("{name}.{how}")));
        assert!(names.contains(kept), "{manifest:?}");
    }
    for volume in &manifest.volumes {
        assert!(path.is_none() && manifest.kept.is_none(), "{manifest:?}");
        // What a tool would take for an option, a list or a whole dataset is none of ours.
        let separator = if manifest.provider == "zfs" { '@' } else { '-' };
        let origin = volume.name.strip_suffix(&format!("{separator}{name}")).expect("our name");
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.:+/-".contains(c);
        assert!(!origin.starts_with('-') && origin.chars().all(allowed), "{manifest:?}");
        assert!(!name.is_empty() && name.chars().all(allowed), "{manifest:?}");
        assert!(origin.contains('/') || manifest.provider == "zfs", "{manifest:?}");
        assert!(is_temporary(&volume.partial, &volume.name), "{manifest:?}");
        let failed = |kept: &String| {
            ["failed", "revoked"].iter().any(|how| *kept == format!("{}.{how}", volume.name))
        };
        assert!(volume.kept.as_ref().is_none_or(failed), "{manifest:?}");
    }
    let text = manifest.to_json();
    let again = Manifest::parse(&text).expect("we wrote it");
    assert_eq!(again.to_json(), text);
    assert_eq!(again.status, manifest.status);
}

/// With or without sixteen digits of its own.
fn is_temporary(partial: &str, name: &str) -> bool {
    let rest = partial.strip_prefix(name).and_then(|rest| rest.strip_suffix(".partial"));
    rest.is_some_and(|rest| {
        let digits = rest.strip_prefix('.').unwrap_or_default();
        rest.is_empty()
            || digits.len() == 16
                && digits.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    })
}

fn own_manifest(own: &Own<'_>) {
    let mut manifest = Manifest::begun(own.name.to_owned(), own.provider, &[own.folder.into()]);
    manifest.label.clone_from(&own.label);
    manifest.command.clone_from(&own.command);
    manifest.presync_ms = own.presync.map(seconds::milliseconds);
    let plain = Path::new(own.name).file_name() == Some(own.name.as_ref());
    if plain {
        let folder = Path::new("/").join(own.folder);
        manifest.path = Some(folder.join(own.name));
        manifest.partial = Some(folder.join(format!(".{}.partial", own.name)));
    }
    let [drain, hold, pause, quiet_at] = own.times;
    let [generation, epoch, acknowledged, closings] = own.numbers;
    let dirty = Dirty { epoch, acknowledged };
    manifest.barriers = vec![BarrierRecord {
        barrier: own.folder.into(),
        uuid: format!("{generation:032x}"),
        boot_id: format!("{epoch:032x}"),
        durable: own.certified,
        generation: None,
        at_grant: None,
        at_release: None,
        lost: Vec::new(),
    }];
    let mut report = PauseReport::default();
    (report.drain, report.hold, report.pause) = (drain, hold, pause);
    report.closings = closings;
    report.writers = own.waited_for.len();
    report.waited_for = own.waited_for.iter().map(Waited::writer).collect();
    report.dirty_at_grant = vec![dirty];
    report.dirty_at_release = vec![dirty];
    report.generations = vec![generation];
    report.quiet_at = report.quiet_at.checked_add(quiet_at).unwrap_or(report.quiet_at);
    manifest.record_pause(&report);
    manifest.certificate = own.certified;
    if own.ended {
        let status = if own.certified { Status::Complete } else { Status::Failed };
        manifest.end(status, own.reason.clone());
    }
    assert_eq!(manifest.barriers[0].at_grant, Some(DirtyRecord { epoch, acknowledged }));
    judge(&manifest);
}

/// A dataset or logical volume of any name: refused, or its own.
fn own_volume(own: &Own<'_>) {
    let (provider, separator) = if own.certified { ("zfs", '@') } else { ("lvm", '-') };
    let mut manifest = Manifest::begun(own.name.to_owned(), provider, &[own.folder.into()]);
    let name = format!("{}{separator}{}", own.folder, own.name);
    let kept = own.label.as_ref().map(|how| format!("{name}.{how}"));
    manifest.volumes =
        vec![Volume { partial: format!("{name}.partial"), name, kept, identity: None }];
    if let Ok(manifest) = Manifest::parse(&manifest.to_json()) {
        judge(&manifest);
    }
}

impl Waited {
    fn writer(&self) -> Writer {
        let mut writer = Writer::default();
        (writer.pid, writer.tid) = (self.pid, self.pid);
        writer.comm = self.comm.clone();
        writer.label = self.label.clone();
        writer.held = self.held;
        writer.wait_channel = self.wait_channel.clone();
        writer
    }
}

fn foreign_state(folder: &Path, bytes: &[u8]) {
    let path = folder.join("foreign.state");
    std::fs::write(&path, bytes).expect("it is written");
    let Ok(state) = State::load(&path) else { return };
    let state = state.expect("there is a file");
    let is_id = |id: &str| id.len() == 32 && u128::from_str_radix(id, 16).is_ok();
    assert!(is_id(&state.uuid) && is_id(&state.boot_id), "{state:?}");
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        assert_eq!(value["schema"], 1);
        assert_eq!(value["state"] == "open", state.is_open());
    }
    own_state(folder, &state);
}

fn own_state(folder: &Path, state: &State) {
    let path = folder.join("own.state");
    assert!(state.store(&path).is_ok());
    assert_eq!(State::load(&path).ok().flatten().as_ref(), Some(state));
}

/// Reads a folder, but removes no data: what may be removed is judged by [`judge`].
fn catalogue(folder: &Path, files: &[(Name<'_>, Content<'_>)]) {
    let _ = std::fs::remove_dir_all(folder);
    let catalogue = Catalogue::locate(Some(folder));
    catalogue.create().expect("a folder of our own");
    for (name, content) in files.iter().take(8) {
        let name = match name {
            Name::Manifest(name) => format!("{name}.json"),
            Name::Aside(name) => format!(".{name}.json.new"),
            Name::Any(name) => name.to_string(),
        };
        // What cannot be the name of a file cannot be there, and is not.
        let path = folder.join(name.replace(['/', '\0'], "_"));
        let _ = match content {
            Content::Folder => std::fs::create_dir(&path),
            Content::Bytes(bytes) => std::fs::write(&path, bytes),
            Content::Manifest(name, status) => std::fs::write(&path, small_manifest(name, *status)),
        };
    }
    let manifests = catalogue.manifests().expect("the folder is read");
    for (path, manifest) in &manifests {
        if let Ok(manifest) = manifest {
            judge(manifest);
            let _ = catalogue.is_taken(&manifest.name);
        }
        assert_eq!(path.parent(), Some(folder));
    }
    catalogue.remove_leftovers().expect("the folder is read");
    for (mut entry, mut manifest) in catalogue.unfinished().expect("the folder is read").abandoned {
        let path = entry.path();
        assert!(manifests.iter().any(|(known, _)| *known == path), "{}", path.display());
        manifest.end(Status::Failed, None);
        entry.write(&manifest).expect("it is written");
    }
    assert!(catalogue.unfinished().expect("the folder is read").abandoned.is_empty());
}

fn small_manifest(name: &str, status: u8) -> String {
    let mut manifest = Manifest::begun(name.to_owned(), "copy", &[]);
    manifest.path = Some(Path::new("/to").join(name));
    manifest.partial = Some(Path::new("/to").join(format!(".{name}.partial")));
    manifest.status = match status % 6 {
        0 => Status::Begun,
        1 => Status::Certified,
        2 => Status::Complete,
        3 => Status::Failed,
        4 => Status::Revoked,
        _ => Status::Pruning,
    };
    manifest.to_json()
}
