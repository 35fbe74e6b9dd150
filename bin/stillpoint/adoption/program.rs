//! Whether a program can be adopted, as its file tells.
//!
//! The dynamic linker loads the library, so there must be one; it must be libc's, of the same machine; and in a
//! set-user-ID program it loads only what such a one may have.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::library::Library;

/// Why a program does not get the library, or does not call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// There is no dynamic linker in it.
    Static,
    /// It calls the kernel by itself.
    Go,
    /// Its dynamic linker is not that of our libc, or it is for another machine.
    OtherLibc,
    /// Set-user-ID, set-group-ID or with capabilities.
    Privileged,
}

impl Bar {
    pub fn text(self) -> &'static str {
        match self {
            Bar::Static => "it is linked statically, so nothing can be preloaded",
            Bar::Go => "it is a Go program, which calls the kernel by itself",
            Bar::OtherLibc => "it is made for another libc or machine than the library is",
            Bar::Privileged => {
                "it is set-user-ID, or the like, and gets only libraries that are so themselves"
            }
        }
    }
}

/// `None`: nothing speaks against it, as far as can be seen.
pub fn bar(program: &Path, library: Option<&Library>) -> Option<Bar> {
    let file = resolve(program, 0)?;
    let found = linkage(&file);
    if found.is_some() {
        return found;
    }
    let is_loaded = library.is_some_and(Library::is_for_privileged);
    (is_privileged(&file) && !is_loaded).then_some(Bar::Privileged)
}

/// Where a command is that has no slash in it.
pub fn find(command: &OsStr) -> Option<PathBuf> {
    if command.as_bytes().contains(&b'/') {
        return Some(command.into());
    }
    let search = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    std::env::split_paths(&search).map(|folder| folder.join(command)).find(|path| path.is_file())
}

/// A script's interpreter is what runs.
fn resolve(program: &Path, depth: u32) -> Option<PathBuf> {
    let mut head = [0; 256];
    let length = File::open(program).ok()?.read(&mut head).ok()?;
    let Some(line) = head[..length].strip_prefix(b"#!").filter(|_| depth < 4) else {
        return Some(program.to_owned());
    };
    let line = line.split(|byte| *byte == b'\n').next()?.trim_ascii();
    let interpreter = line.split(u8::is_ascii_whitespace).next()?;
    resolve(Path::new(OsStr::from_bytes(interpreter)), depth + 1)
}

pub fn is_privileged(program: &Path) -> bool {
    fs::metadata(program).is_ok_and(|found| found.permissions().mode() & 0o6000 != 0)
}

/// What elf(5) says of it.
fn linkage(program: &Path) -> Option<Bar> {
    const DYNAMIC_LINKER: u32 = 3;
    const NOTE: u32 = 4;
    let file = File::open(program).ok()?;
    let head = head(&file)?;
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    // Width, order of bytes, and machine.
    let kind = |head: &[u8; 64]| (head[4], head[5], head[18], head[19]);
    if File::open("/proc/self/exe")
        .ok()
        .and_then(|own| self::head(&own))
        .map(|own| kind(&own))
        .is_some_and(|own| own != kind(&head))
    {
        return Some(Bar::OtherLibc);
    }
    if cfg!(not(target_pointer_width = "64")) {
        return None;
    }
    let half = |at: usize| u64::from(u16::from_ne_bytes([head[at], head[at + 1]]));
    let start = u64::from_ne_bytes(head[32..40].try_into().ok()?);
    let (size, count) = (half(54), half(56));
    let mut linker = None;
    for index in 0..count {
        let mut entry = [0; 56];
        file.read_exact_at(&mut entry, start + index * size).ok()?;
        let long = |at: usize| u64::from_ne_bytes(entry[at..at + 8].try_into().unwrap_or_default());
        let mut content = vec![0; long(32).min(4096) as usize];
        match u32::from_ne_bytes(entry[..4].try_into().unwrap_or_default()) {
            NOTE => {
                file.read_exact_at(&mut content, long(8)).ok()?;
                if content.windows(4).any(|name| name == b"Go\0\0") {
                    return Some(Bar::Go);
                }
            }
            DYNAMIC_LINKER => {
                file.read_exact_at(&mut content, long(8)).ok()?;
                linker = Some(content);
            }
            _ => {}
        }
    }
    let is_musl = |linker: &Vec<u8>| linker.windows(8).any(|part| part == b"/ld-musl");
    match linker {
        None => Some(Bar::Static),
        Some(linker) if is_musl(&linker) != cfg!(target_env = "musl") => Some(Bar::OtherLibc),
        Some(_) => None,
    }
}

fn head(file: &File) -> Option<[u8; 64]> {
    let mut head = [0; 64];
    file.read_exact_at(&mut head, 0).ok().map(|()| head)
}
