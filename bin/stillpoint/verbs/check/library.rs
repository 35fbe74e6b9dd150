//! Which version of the library runs where: a daemon goes on with the file that it was started with.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use nix::unistd::geteuid;

use super::finding::{Findings, Level};
use crate::process::proc::{Process, all};
use crate::words::waiting::who;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Of those who take part in these barriers.
pub fn check(barriers: &BTreeSet<PathBuf>, findings: &mut Findings) {
    let processes = all().unwrap_or_default();
    if processes.is_empty() {
        let what = "no process can be seen without /proc".to_owned();
        return findings.add(Level::Unseen, "library", "", what);
    }
    let names: Vec<String> = barriers.iter().map(|path| path.display().to_string()).collect();
    let (mut denied, mut current) = (0_usize, 0_usize);
    for process in processes.into_iter().filter(|process| !process.is_of_kernel()) {
        match mapped(process, &names) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => denied += 1,
            Ok(Some(Library { name, is_removed })) => {
                let is_other = version(&name).is_some_and(|version| version != VERSION);
                if !is_removed && !is_other {
                    current += 1;
                    continue;
                }
                let program = who(process.0, &process.comm(), "");
                let what = match is_removed {
                    true => format!("runs with a {name} that was replaced since; start it again"),
                    false => format!("runs with {name}, and this is {VERSION}; start it again"),
                };
                findings.add(Level::Warning, "library", &program, what);
            }
            _ => {}
        }
    }
    if current > 0 {
        let what = format!("{current} of who takes part have the library as it is installed");
        findings.add(Level::Ok, "library", "", what);
    }
    if denied > 0 {
        // More than root nobody may.
        let advice = if geteuid().is_root() { "" } else { "; root may" };
        let what = format!("processes that could not be looked into: {denied}{advice}");
        findings.add(Level::Unseen, "library", "", what);
    }
}

struct Library {
    name: String,
    is_removed: bool,
}

/// One of ours in the memory of who takes part: proc_pid_maps(5). An old one counts.
fn mapped(process: Process, barriers: &[String]) -> io::Result<Option<Library>> {
    let mut maps = BufReader::new(File::open(process.file("maps"))?);
    let (mut line, mut found, mut takes_part) = (Vec::new(), None, false);
    while maps.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        let path = text.find('/').map_or("", |start| text[start..].trim_end());
        let whole = path.strip_suffix(" (deleted)");
        takes_part |= barriers.iter().any(|barrier| barrier == whole.unwrap_or(path));
        let name = whole.unwrap_or(path).rsplit('/').next().unwrap_or_default();
        let is_ours = name.starts_with("libstillpoint") && name.contains(".so");
        if is_ours && found.as_ref().is_none_or(|found: &Library| !found.is_removed) {
            found = Some(Library { name: name.to_owned(), is_removed: whole.is_some() });
        }
        line.clear();
    }
    Ok(found.filter(|_| takes_part))
}

/// Behind `.so.`, if it is a whole one.
fn version(name: &str) -> Option<&str> {
    name.split_once(".so.").map(|(_, version)| version).filter(|version| version.contains('.'))
}
