//! How the kernel shows devices and paths in its lists.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Major and minor number.
pub type Device = (u32, u32);

/// A device as the kernel writes it: in decimal where mounts are listed, in hexadecimal elsewhere.
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
