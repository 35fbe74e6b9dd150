//! How /proc is read, and how it writes paths and devices.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What most of these files fit into.
const PIECE: usize = 4096;

/// A whole file. They have no size that could be asked for first.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(PIECE);
    File::open(path)?.take(u64::MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// Major and minor number.
pub type Device = (u32, u32);

/// In decimal where mounts are listed, in hexadecimal elsewhere.
pub fn device(text: &str, base: u32) -> Option<Device> {
    let (major, minor) = text.split_once(':')?;
    Some((u32::from_str_radix(major, base).ok()?, u32::from_str_radix(minor, base).ok()?))
}

/// What would end the field or the line is written in octal, as `\040`.
pub fn path(field: &[u8]) -> PathBuf {
    let mut text = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        let octal = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let octal = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal.filter(|_| *first == b'\\') {
            Some(byte) => {
                text.push(byte);
                rest = &after[3..];
            }
            None => {
                text.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(text).into()
}

/// As the kernel shows the path of a file that was removed.
pub fn without_removed(path: &OsStr) -> Option<&OsStr> {
    path.as_bytes().strip_suffix(b" (deleted)").map(OsStr::from_bytes)
}

/// The mount that proc_pid_fdinfo(5) names.
pub fn mount_number(about: &str) -> Option<u64> {
    about.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()
}

/// That of a file of our own.
pub fn mount_of(file: impl AsFd) -> Option<u64> {
    let about = read(format!("/proc/self/fdinfo/{}", file.as_fd().as_raw_fd())).ok()?;
    mount_number(&String::from_utf8_lossy(&about))
}
