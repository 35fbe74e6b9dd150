//! Which groups are to be frozen: `--freeze-unit`, `--freeze-cgroup`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// How a value ends that asks for nothing but the freezing.
const NOW: &[u8] = b":now";

/// A value of either option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freezable {
    pub name: OsString,
    /// Whatever its processes hold locked: their data is right at any instant.
    pub now: bool,
}

/// As `NAME` or `NAME:now`.
pub fn parse(text: &OsStr) -> Result<Freezable, String> {
    let bytes = text.as_bytes();
    let (name, now) = match bytes.strip_suffix(NOW) {
        Some(name) => (name, true),
        None => (bytes, false),
    };
    match name {
        [] => Err("expected a name, or NAME:now".to_owned()),
        _ if name.contains(&0) => Err("it has a zero byte in it".to_owned()),
        name => Ok(Freezable { name: OsStr::from_bytes(name).into(), now }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_now() {
        let parse = |text: &str| {
            parse(OsStr::new(text)).map(|found| (found.name.into_string().unwrap(), found.now))
        };
        assert_eq!(parse("dovecot"), Ok(("dovecot".into(), false)));
        assert_eq!(parse("postgresql@15-main.service:now"), {
            Ok(("postgresql@15-main.service".into(), true))
        });
        assert_eq!(parse("a:now:now"), Ok(("a:now".into(), true)));
        assert_eq!(parse("now"), Ok(("now".into(), false)));
        for garbage in ["", ":now"] {
            assert!(parse(garbage).is_err(), "{garbage}");
        }
    }
}
