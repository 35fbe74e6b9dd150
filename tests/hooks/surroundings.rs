//! What a hook finds on somebody else's machine: another shell as `sh`, another `awk`, a locale with a
//! decimal comma, the umask of a careful host, next to no environment.
//!
//! The hosts of a test get them in turn; `STILLPOINT_TEST_SURROUNDINGS` gives all of them the same, and
//! `scripts/test hooks` goes through the list.

use crate::common::command::Place;
use crate::common::{comma, run, skip};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One kind of machine.
#[derive(Debug)]
pub struct Surroundings {
    name: &'static str,
    sh: &'static str,
    awk: &'static str,
    /// What a small system has one program for.
    applets: &'static [&'static str],
    /// The umask of borgmatic's hooks, no standard input, no home.
    is_bare: bool,
}

const NOTHING: &[&str] = &[];

/// What the hooks and their common part call.
const APPLETS: &[&str] = &[
    "cat", "cksum", "date", "dirname", "ln", "mkdir", "mv", "printf", "readlink", "rm", "sed",
    "sleep", "tr",
];

const ALL: &[Surroundings] = &[
    Surroundings { name: "dash", sh: "dash", awk: "mawk", applets: NOTHING, is_bare: false },
    Surroundings {
        name: "busybox",
        sh: "busybox",
        awk: "busybox",
        applets: APPLETS,
        is_bare: true,
    },
    Surroundings { name: "bash", sh: "bash", awk: "gawk", applets: NOTHING, is_bare: true },
    Surroundings {
        name: "mksh",
        sh: "mksh",
        awk: "original-awk",
        applets: NOTHING,
        is_bare: false,
    },
];

impl Surroundings {
    /// Those of the next host of this test, on a machine that has them.
    pub fn next() -> Option<&'static Surroundings> {
        static HOSTS: AtomicUsize = AtomicUsize::new(0);
        let all =
            ALL.iter().filter(|surroundings| surroundings.are_wanted() && surroundings.are_here());
        let all: Vec<&Surroundings> = all.collect();
        // Not all tests begin with the same.
        let test = std::thread::current().name().map_or(0, str::len);
        let next = HOSTS.fetch_add(1, Ordering::Relaxed) + test;
        all.get(next.checked_rem(all.len())?).copied()
    }

    fn are_wanted(&self) -> bool {
        let wanted = std::env::var("STILLPOINT_TEST_SURROUNDINGS").unwrap_or_default();
        assert!(
            wanted.is_empty() || ALL.iter().any(|surroundings| surroundings.name == wanted),
            "there are no surroundings {wanted:?}"
        );
        wanted.is_empty() || wanted == self.name
    }

    fn are_here(&self) -> bool {
        let missing = [self.sh, self.awk].into_iter().find(|program| find(program).is_none());
        if let Some(program) = missing {
            skip(&format!("{program} is missing"));
        }
        missing.is_none()
    }

    /// `hook` as this machine runs it, with room for its arguments.
    pub fn command(&self, place: &Place, hook: &Path) -> Command {
        let tools = self.tools(place);
        let mut command = place.program("/bin/sh");
        let surround = match self.is_bare {
            true => r#"umask 077; exec "$@" <&-"#,
            false => r#"exec "$@""#,
        };
        command.args(["-c", surround, "sh"]).arg(tools.join("sh")).arg(hook);
        if self.is_bare {
            command.env_remove("HOME");
        }
        comma::surround(&mut command);
        command
    }

    /// A folder with this machine's programs, to be looked into first.
    pub fn tools(&self, place: &Place) -> PathBuf {
        let folder = place.path("tools");
        if fs::create_dir(&folder).is_ok() {
            let link = |name: &str, program: &str| {
                symlink(find(program).unwrap(), folder.join(name)).unwrap();
            };
            link("sh", self.sh);
            link("awk", self.awk);
            self.applets
                .iter()
                .filter(|applet| has(applet))
                .for_each(|applet| link(applet, "busybox"));
        }
        folder
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let places = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(program));
    places.into_iter().find(|place| place.exists())
}

/// Builds of busybox differ in what they have.
fn has(applet: &str) -> bool {
    static LIST: OnceLock<String> = OnceLock::new();
    let list = LIST.get_or_init(|| {
        let list = Command::new("busybox").arg("--list").output().unwrap();
        String::from_utf8(list.stdout).unwrap()
    });
    list.lines().any(|line| line == applet)
}

/// What all this is for: here the usual awk writes and reads a comma.
#[test]
fn the_comma_is_there() {
    let place = Place::new();
    let Some(dash) = ALL.iter().find(|one| one.name == "dash").filter(|one| one.are_here()) else {
        return;
    };
    let mut command = dash.command(&place, Path::new("-c"));
    command.arg("awk 'BEGIN { print 1.5 }'").env("PATH", dash.tools(&place));
    if comma::locales().is_some() {
        assert_eq!(run(command).stdout, "1,5\n");
    }
}
