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
//!
//! The library that is preloaded reads the file by this parser, and so does the command, which has to know what the
//! library has read. So it needs nothing but std.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where it is.
pub const FILE: &str = "/etc/stillpoint/adopt.conf";
/// Where it is instead.
pub const CONFIG: &str = "STILLPOINT_ADOPT_CONFIG";
/// What is taken away from it.
pub const NARROWED: &str = "STILLPOINT_ADOPT";

/// Where barriers with a name are, whatever the environment says.
const FOLDER: &str = "/run/stillpoint";

/// What the file says.
#[derive(Clone, Debug, Default)]
pub struct Adoption {
    pub barrier: Option<PathBuf>,
    pub protected: Vec<PathBuf>,
    pub ignored: Vec<PathBuf>,
    /// Without the barrier no write lock is given.
    pub fails_without: bool,
}

impl Adoption {
    /// Reads a text; each line that is not understood is told, with its number.
    pub fn parse(text: &[u8], mut tell: impl FnMut(usize, &str)) -> Adoption {
        let mut adoption = Adoption::default();
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
            let (key, value) = (&line[..end], line[end..].trim_ascii());
            let path = || PathBuf::from(OsStr::from_bytes(value));
            match (key, value) {
                (b"barrier", [_, ..]) => match barrier(value) {
                    Some(path) => adoption.barrier = Some(path),
                    None => tell(number + 1, &String::from_utf8_lossy(line)),
                },
                (b"protect", [b'/', ..]) => adoption.protected.push(path()),
                (b"ignore", [b'/', ..]) => adoption.ignored.push(path()),
                (b"without-barrier", b"go-on") => adoption.fails_without = false,
                (b"without-barrier", b"fail") => adoption.fails_without = true,
                _ => tell(number + 1, &String::from_utf8_lossy(line)),
            }
        }
        adoption
    }

    /// Takes away what `STILLPOINT_ADOPT` says. False: the program is not adopted.
    pub fn narrow(&mut self, to: &OsStr) -> bool {
        let asked: Vec<&Path> = to
            .as_bytes()
            .split(|byte| *byte == b':')
            .map(|path| Path::new(OsStr::from_bytes(path)))
            .collect();
        self.protected.retain(|path| asked.contains(&path.as_path()));
        to != OsStr::new("off") && !self.protected.is_empty()
    }
}

/// Where a barrier is that is called so there: a path is absolute, a name has no slash.
pub fn barrier(name: &[u8]) -> Option<PathBuf> {
    let path = Path::new(OsStr::from_bytes(name));
    match name {
        [b'/', ..] => Some(path.to_owned()),
        _ if name.is_empty() || name.contains(&b'/') => None,
        _ => {
            let mut file = path.as_os_str().to_owned();
            file.push(".barrier");
            Some(Path::new(FOLDER).join(file))
        }
    }
}
