//! `/etc/stillpoint/adopt.conf`: what programs are adopted to.
//!
//! A file, since set-user-ID programs and daemons that clear their environment lose variables. One setting a line:
//!
//! ```text
//! barrier NAME|PATH      the barrier; once
//! protect PATH           the file system that PATH lies on; as often as needed
//! ignore PATH            a file, or a folder of files, that is locked for a program's life
//! without-barrier go-on|fail
//! ```
//!
//! The environment can only take away: `STILLPOINT_ADOPT=off`, or a list of those protected paths that this program
//! is adopted for. `STILLPOINT_ADOPT_CONFIG` names another file, for tests and trials; in a program that may
//! more than whoever started it neither counts.

use crate::log::{About, say};
use barrier::variable;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const FILE: &str = "/etc/stillpoint/adopt.conf";
/// Where barriers with a name are, whatever the environment says.
const FOLDER: &str = "/run/stillpoint";

/// What the file says.
#[derive(Debug, Default)]
pub struct Settings {
    pub barrier: PathBuf,
    pub protected: Vec<PathBuf>,
    pub ignored: Vec<PathBuf>,
    /// Without the barrier no write lock is given.
    pub fails_without: bool,
}

impl Settings {
    /// Reads them. `None`: this program is not adopted.
    pub fn read() -> Option<Settings> {
        let narrowed = variable("STILLPOINT_ADOPT");
        if narrowed.as_deref() == Some(OsStr::new("off")) {
            return None;
        }
        let file = variable("STILLPOINT_ADOPT_CONFIG").map_or_else(|| FILE.into(), PathBuf::from);
        let text = match std::fs::read(&file) {
            Ok(text) => text,
            Err(error) => {
                say(
                    About::Settings,
                    &format!("{}: {error}: write locks do not wait", file.display()),
                );
                return None;
            }
        };
        let mut settings = Settings::parse(&text, &file);
        if let Some(paths) = narrowed {
            let asked: Vec<&Path> = paths
                .as_bytes()
                .split(|byte| *byte == b':')
                .map(|path| Path::new(OsStr::from_bytes(path)))
                .collect();
            settings.protected.retain(|path| asked.contains(&path.as_path()));
        }
        if settings.barrier.as_os_str().is_empty() {
            say(
                About::Settings,
                &format!("{}: names no barrier: write locks do not wait", file.display()),
            );
            return None;
        }
        (!settings.protected.is_empty()).then_some(settings)
    }

    fn parse(text: &[u8], file: &Path) -> Settings {
        let mut settings = Settings::default();
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
            let (key, value) = (&line[..end], line[end..].trim_ascii());
            let path = || PathBuf::from(OsStr::from_bytes(value));
            match (key, value) {
                (b"barrier", [b'/', ..]) => settings.barrier = path(),
                (b"barrier", [_, ..]) if !value.contains(&b'/') => {
                    let mut name = path().into_os_string();
                    name.push(".barrier");
                    settings.barrier = Path::new(FOLDER).join(name);
                }
                (b"protect", [b'/', ..]) => settings.protected.push(path()),
                (b"ignore", [b'/', ..]) => settings.ignored.push(path()),
                (b"without-barrier", b"go-on") => settings.fails_without = false,
                (b"without-barrier", b"fail") => settings.fails_without = true,
                _ => {
                    let (file, number) = (file.display(), number + 1);
                    let line = String::from_utf8_lossy(line);
                    say(About::Settings, &format!("{file}:{number}: not understood: {line}"));
                }
            }
        }
        settings
    }
}
