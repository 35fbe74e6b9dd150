//! Which group a unit of systemd is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::process::tool;
use crate::words::exit::{Exit, Failure};

/// What a name of a unit may end with that has processes.
const KINDS: [&str; 6] = [".service", ".scope", ".slice", ".socket", ".mount", ".swap"];

/// The names that its group may have, the likeliest first. systemd is asked where it runs; else they follow from
/// its rules.
pub fn groups(unit: &OsStr) -> Result<Vec<PathBuf>, Failure> {
    let unit = full(unit)?;
    let mut show = tool::command("systemctl");
    show.args(["show", "--property=ControlGroup", "--value", "--", &unit]);
    match tool::run(&mut show) {
        Ok(said) => {
            let group = said.trim();
            if group.is_empty() {
                let message = format!(
                    "{unit}: has no control group: it does not run, or there is no such unit; start it, or leave it away"
                );
                return Err(Failure::new(Exit::MISSING, message));
            }
            Ok(vec![group.into()])
        }
        // No systemd, or nobody that answers for it.
        Err(_) => Ok(guessed(&unit)),
    }
}

/// With the ending that systemctl(1) would add.
fn full(unit: &OsStr) -> Result<String, Failure> {
    let text = unit.to_str().filter(|text| !text.contains('/') && !text.starts_with('.'));
    let Some(text) = text else {
        let message = format!(
            "{}: is no name of a unit; name a group by its path with --freeze-cgroup",
            OsStr::from_bytes(unit.as_bytes()).to_string_lossy()
        );
        return Err(Failure::usage(message));
    };
    let is_full = KINDS.iter().any(|kind| text.ends_with(kind));
    Ok(if is_full { text.to_owned() } else { format!("{text}.service") })
}

/// Where systemd would put it if nobody has said otherwise: systemd.slice(5), systemd.unit(5).
fn guessed(unit: &str) -> Vec<PathBuf> {
    if let Some(slice) = unit.strip_suffix(".slice") {
        return vec![slices(slice)];
    }
    let system = Path::new("system.slice");
    let mut places = vec![system.join(unit)];
    if let Some((template, _)) = unit.split_once('@') {
        let escaped = template.replace('-', "\\x2d");
        places.push(system.join(format!("system-{escaped}.slice")).join(unit));
    }
    if unit.ends_with(".scope") {
        places.push(Path::new("machine.slice").join(unit));
    }
    places
}

/// `a-b` is `a.slice/a-b.slice`, and `-` the first group of all.
fn slices(slice: &str) -> PathBuf {
    if slice == "-" {
        return "/".into();
    }
    let ends = slice.match_indices('-').map(|(at, _)| at).chain([slice.len()]);
    ends.map(|end| format!("{}.slice", &slice[..end])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places() {
        let places = |unit: &str| {
            let found = guessed(&full(OsStr::new(unit)).unwrap());
            found.iter().map(|place| place.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(places("dovecot"), ["system.slice/dovecot.service"]);
        assert_eq!(places("a.b"), ["system.slice/a.b.service"]);
        assert_eq!(places("x.socket"), ["system.slice/x.socket"]);
        assert_eq!(places("a-b-c.slice"), ["a.slice/a-b.slice/a-b-c.slice"]);
        assert_eq!(places("-.slice"), ["/"]);
        assert_eq!(places("v.scope"), ["system.slice/v.scope", "machine.slice/v.scope"]);
        let expected = [
            "system.slice/pg-x@15-main.service",
            "system.slice/system-pg\\x2dx.slice/pg-x@15-main.service",
        ];
        assert_eq!(places("pg-x@15-main"), expected);
        for garbage in ["a/b", "/sys/fs/cgroup/a", "..", "."] {
            assert!(full(OsStr::new(garbage)).is_err(), "{garbage}");
        }
    }
}
