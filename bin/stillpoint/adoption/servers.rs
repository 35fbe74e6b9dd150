//! Servers that start their programs with an environment of their own, and the setting that lets the library through.

use std::path::Path;

use super::library::Library;

/// A server, by the folder or the name of its programs.
struct Server {
    name: &'static str,
    /// Parts of the path of its programs.
    programs: &'static [&'static str],
    /// What to set; `LIBRARY` stands for the library.
    setting: &'static str,
}

const SERVERS: [Server; 3] = [
    Server {
        name: "dovecot",
        programs: &["dovecot", "doveadm", "dovecot-lda"],
        setting: "in dovecot.conf: import_environment = $import_environment LD_PRELOAD=LIBRARY",
    },
    Server {
        name: "exim",
        programs: &["exim4", "exim"],
        setting: "in Exim's configuration: keep_environment = LD_PRELOAD, beside what it keeps",
    },
    Server {
        name: "postfix",
        programs: &["postfix"],
        setting: "postconf -e \"import_environment = $(postconf -h import_environment) LD_PRELOAD=LIBRARY\" \
                  \"export_environment = $(postconf -h export_environment) LD_PRELOAD=LIBRARY\"",
    },
];

/// What the server has to be told that a program, or a unit of this name, belongs to.
pub fn setting(program: &Path, library: Option<&Library>) -> Option<String> {
    let is_part = |part: &str| {
        program.components().any(|component| {
            let component = component.as_os_str().to_string_lossy();
            component == part || component.split(['@', '.']).next() == Some(part)
        })
    };
    let server = SERVERS.iter().find(|server| server.programs.iter().any(|part| is_part(part)))?;
    let library = library
        .map_or_else(|| super::library::NAME.into(), |found| found.preloaded().to_string_lossy());
    Some(format!(
        "{} clears the environment of its programs; {}",
        server.name,
        server.setting.replace("LIBRARY", &library)
    ))
}
