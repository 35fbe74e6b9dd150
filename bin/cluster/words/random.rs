//! Numbers that nobody else has.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;

/// 128 random bits, in hexadecimal digits.
pub fn number() -> String {
    let mut bytes = [0; 16];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.expect("/dev/urandom gives numbers");
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
