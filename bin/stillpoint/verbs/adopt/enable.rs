//! `stillpoint adopt enable` and `disable`: the drop-in that makes systemd start a unit with the library.
//!
//! What the unit, its other drop-ins among it, preloads already is kept. It starts after the barrier's unit, and so stops
//! before it: a barrier that somebody still has open at the end of the machine is dirty at its next start. The file says whose it is, and only one with
//! nothing else in it is written over or removed. A drop-in that comes later may take away what it says, and is named.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::unit_files;
use crate::adoption::library::{self, Library, VARIABLE};
use crate::adoption::servers;
use crate::adoption::settings::Settings;
use crate::files::aside::Aside;
use crate::job::file;
use crate::words::adoption::FILE;
use crate::words::exit::{Exit, Failure, STATUSES, reason};
use crate::words::lines::{say, warn};

const DROP_IN: &str = "stillpoint-adopt.conf";
const MARK: &str = "# Written by `stillpoint adopt enable`; `stillpoint adopt disable` removes it.";
/// How its lines begin, in their order.
const LINES: [&str; 7] = [
    MARK,
    "[Unit]",
    "Wants=stillpoint@",
    "After=stillpoint@",
    "[Service]",
    "Environment=\"LD_PRELOAD=",
    "ReadWritePaths=-",
];

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    /// Print what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// The system whose root is here, as of an image
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,

    /// The unit, a service unless it says otherwise
    #[arg(value_name = "UNIT")]
    unit: String,
}

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Disabling {
    /// The system whose root is here, as of an image
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,

    /// The unit, a service unless it says otherwise
    #[arg(value_name = "UNIT")]
    unit: String,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let library = Library::find()?;
    let unit = unit(&arguments.unit)?;
    let files = unit_files::of(&unit, &arguments.root)?;
    let text = unit_files::without(&files, DROP_IN);
    let place = place(&unit, &arguments.root);
    refuse_strangers(&place)?;
    let barrier = barrier(&arguments.root);
    let content = drop_in(&text, &library, barrier.as_deref());
    if arguments.dry_run {
        print!("# {}\n{content}", place.display());
        return Ok(Exit::SUCCESS);
    }
    write(&place, &content)?;
    say(&format!("wrote {}", place.display()));
    if let Some(file) = undone_by(&files) {
        warn(&format!(
            "{}: takes {VARIABLE} away again, so the unit starts without the library; add it there",
            file.display()
        ));
    }
    tell(&unit, &library, &arguments.root);
    Ok(Exit::SUCCESS)
}

pub fn disable(arguments: &Disabling) -> anyhow::Result<Exit> {
    let unit = unit(&arguments.unit)?;
    let place = place(&unit, &arguments.root);
    refuse_strangers(&place)?;
    match fs::remove_file(&place) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            say(&format!("{unit} is not enabled: there is no {}", place.display()));
        }
        Err(error) => return Err(Failure::system(place.display(), error).into()),
        Ok(()) => {
            // Others may have files there.
            let _ = place.parent().map(fs::remove_dir);
            say(&format!("removed {}; {}", place.display(), restart(&unit)));
            if let Some(setting) = servers::setting(Path::new(&unit), None) {
                say(&format!("before that, take back what was set for it: {setting}"));
            }
        }
    }
    Ok(Exit::SUCCESS)
}

/// A unit's name with its kind.
fn unit(name: &str) -> Result<String, Failure> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    if name.is_empty() || name.starts_with(['-', '.']) || !name.chars().all(is_good) {
        return Err(Failure::usage(format!("{name:?} is no name of a unit")));
    }
    let kinds = [".service", ".socket", ".mount", ".swap", ".slice", ".scope", ".target", ".timer"];
    let kinds = [&kinds[..], &[".path", ".device", ".automount"]].concat();
    match kinds.iter().find(|kind| name.ends_with(**kind)) {
        Some(&".service") => Ok(name.to_owned()),
        Some(kind) => Err(Failure::usage(format!(
            "{name}: a unit of kind {kind} starts no program; name the service"
        ))),
        None => Ok(format!("{name}.service")),
    }
}

fn place(unit: &str, root: &Path) -> PathBuf {
    root.join("etc/systemd/system").join(format!("{unit}.d")).join(DROP_IN)
}

/// The content of the file.
fn drop_in(unit: &str, library: &Library, barrier: Option<&Path>) -> String {
    let standing = standing(unit);
    let value = library.before(standing.as_deref().map(OsStr::new));
    let value = escaped(&value.to_string_lossy());
    let mut text = format!("{MARK}\n");
    if let Some(name) = barrier.and_then(name) {
        // Programs that start without it go without; one that is not enabled is started for them.
        let unit = escaped(&format!("stillpoint@{}.service", file::instance(name)));
        text.push_str(&format!("[Unit]\nWants={unit}\nAfter={unit}\n"));
    }
    text.push_str(&format!("[Service]\nEnvironment=\"{VARIABLE}={value}\"\n"));
    // Else all is read-only to the unit, the barrier too.
    let folder = barrier.and_then(Path::parent);
    if let (Some("strict"), Some(folder)) =
        (unit_files::values(unit, "ProtectSystem").pop().as_deref(), folder)
    {
        text.push_str(&format!("ReadWritePaths=-{}\n", escaped(&folder.to_string_lossy())));
    }
    text
}

/// What a barrier is called, if it has a unit.
fn name(barrier: &Path) -> Option<&str> {
    let name = barrier.file_name()?.to_str()?.strip_suffix(".barrier");
    name.filter(|_| barrier.parent() == Some(Path::new("/run/stillpoint")))
}

/// What systemd would take for more than the character: systemd.syntax(7), systemd.unit(5).
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%")
}

/// What the unit preloads by now.
fn standing(unit: &str) -> Option<String> {
    let mut value = None;
    for setting in unit_files::values(unit, "Environment") {
        if setting.is_empty() {
            value = None;
        }
        for word in words(&setting) {
            let found = word.strip_prefix(VARIABLE).and_then(|rest| rest.strip_prefix('='));
            value = found.map(|found| found.replace("%%", "%")).or(value);
        }
    }
    value
}

/// The words of a setting, without their quotes.
fn words(value: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut any) = (Vec::new(), String::new(), None, false);
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', _) => word.extend(characters.next()),
            (_, Some(open)) if character == open => quote = None,
            ('"' | '\'', None) => (quote, any) = (Some(character), true),
            (space, None) if space.is_whitespace() => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            _ => word.push(character),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}

/// The barrier that programs of this system are adopted to.
fn barrier(root: &Path) -> Option<PathBuf> {
    let file = root.join(FILE.trim_start_matches('/'));
    Settings::read(Some(&file)).ok()?.said.barrier
}

fn refuse_strangers(place: &Path) -> Result<(), Failure> {
    let what = match fs::read_to_string(place) {
        Ok(text) if !text.starts_with(MARK) => "it; remove it first",
        Ok(text) if !is_ours(&text) => "more into it; move that to a file of its own there first",
        _ => return Ok(()),
    };
    let message = format!("{}: somebody else has written {what}", place.display());
    Err(Failure::new(Exit::CANNOT_CREATE, message))
}

/// As [`drop_in`] makes it, and no more.
fn is_ours(text: &str) -> bool {
    let mut known = LINES.iter();
    let is = |line: &str, known: &str| match known.ends_with(['=', '@', '-']) {
        true => line.starts_with(known),
        false => line == known,
    };
    text.lines().all(|line| known.any(|one| is(line, one)))
}

/// The last file that has the unit start without what ours says: one that is read later and sets the variable itself, or
/// any that removes it in the end.
fn undone_by(files: &[PathBuf]) -> Option<&PathBuf> {
    let text =
        |file: &Path| String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
    let is_later = |file: &Path| file.file_name().is_some_and(|name| name > DROP_IN);
    files.iter().rev().find(|file| {
        let text = text(file);
        let removes = unit_files::values(&text, "UnsetEnvironment")
            .iter()
            .flat_map(|value| words(value))
            .any(|word| word == VARIABLE);
        let sets = || {
            let settings = unit_files::values(&text, "Environment");
            let is_emptied = settings.iter().any(String::is_empty);
            match standing(&text) {
                Some(value) => !library::is_in(OsStr::new(&value)),
                None => is_emptied,
            }
        };
        removes
            || file.parent().is_some_and(|folder| folder.extension().is_some())
                && is_later(file)
                && sets()
    })
}

fn write(place: &Path, content: &str) -> Result<(), Failure> {
    let folder = place.parent().unwrap_or(Path::new("/"));
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::PermissionDenied => Failure::system(place.display(), error),
        _ => Failure::new(Exit::CANNOT_CREATE, format!("{}: {}", place.display(), reason(&error))),
    };
    fs::create_dir_all(folder).map_err(failed)?;
    Aside::write(folder, 0o644, content.as_bytes())
        .and_then(|aside| aside.replace_durably(place))
        .map_err(failed)
}

/// What is left to be done.
fn tell(unit: &str, library: &Library, root: &Path) {
    say(&restart(unit));
    if let Some(setting) = servers::setting(Path::new(unit), Some(library)) {
        say(&setting);
    }
    let file = root.join(FILE.trim_start_matches('/'));
    match Settings::usable(Some(&file)) {
        Err(failure) => warn(&failure.to_string()),
        Ok(_) => say("stillpoint adopt check PATH tells whether it is adopted then"),
    }
}

fn restart(unit: &str) -> String {
    format!("to make it count: systemctl daemon-reload, then systemctl restart {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_unit_preloads_is_kept() {
        let library = Library { path: "/opt/libstillpoint_adopt.so".into() };
        let made =
            |unit: &str| drop_in(unit, &library, Some(Path::new("/run/stillpoint/a.barrier")));
        let line = |unit: &str| made(unit).lines().nth(5).unwrap().to_owned();
        assert_eq!(line("[Service]\n"), r#"Environment="LD_PRELOAD=/opt/libstillpoint_adopt.so""#);
        let with = "[Service]\nEnvironment=A=b 'LD_PRELOAD=x.so y%%.so'\n";
        let kept = r#"Environment="LD_PRELOAD=/opt/libstillpoint_adopt.so:x.so:y%%.so""#;
        assert_eq!(line(with), kept);
        assert_eq!(line(&format!("{with}Environment=\n")), line(""));
        assert_eq!(made("ProtectSystem=full").lines().count(), 6);
        assert!(made("").contains(
            "\n[Unit]\nWants=stillpoint@a.service\nAfter=stillpoint@a.service\n[Service]\n"
        ));
        assert!(!drop_in("", &library, Some(Path::new("/srv/a.barrier"))).contains("[Unit]"));
        assert!(made("ProtectSystem=strict").ends_with("\nReadWritePaths=-/run/stillpoint\n"));
    }

    #[test]
    fn a_file_is_ours_that_has_nothing_else_in_it() {
        let library = Library { path: "/opt/libstillpoint_adopt.so".into() };
        let made = drop_in("ProtectSystem=strict", &library, Some(Path::new("/run/s/a.barrier")));
        assert!(is_ours(&made));
        assert!(is_ours(&drop_in("", &library, None)));
        let with_unit = drop_in("", &library, Some(Path::new("/run/stillpoint/a.barrier")));
        assert!(is_ours(&with_unit));
        // As it was written before the unit was wanted.
        assert!(is_ours(&with_unit.replace("Wants=stillpoint@a.service\n", "")));
        assert!(!is_ours(&with_unit.replace("Wants=", "Requires=")));
        assert!(!is_ours(&format!("{made}LimitNOFILE=5\n")));
        let other = made.replace("ReadWritePaths=-/run/s", "LimitNOFILE=5");
        assert!(other != made && !is_ours(&other));
        assert!(!is_ours(&made.replace("[Service]", "[Service]x")));
        assert!(!is_ours(&format!("{MARK} No longer.\n")));
    }

    #[test]
    fn a_unit_is_a_service() {
        assert_eq!(unit("dovecot").unwrap(), "dovecot.service");
        assert_eq!(unit("postfix@-.service").unwrap(), "postfix@-.service");
        assert_eq!(unit("php8.2-fpm").unwrap(), "php8.2-fpm.service");
        for wrong in ["", "-x", "../x", "a/b", "a b", "x.socket"] {
            assert!(unit(wrong).is_err(), "{wrong}");
        }
    }
}
