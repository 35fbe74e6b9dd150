//! What a parent can leave in its children that most do not.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc::{CLOSE_RANGE_CLOEXEC, close_range};
use nix::sys::prctl::set_no_new_privs;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, close, mkdtemp};

/// One of them.
pub struct Property {
    pub name: String,
    give: Box<dyn Fn(&mut Command)>,
}

impl Property {
    /// Lets `command` be started with it.
    pub fn give(&self, command: &mut Command) {
        (self.give)(command);
    }

    pub fn closes(&self, descriptor: i32) -> bool {
        self.name == format!("closed {descriptor}") || self.name == "closed 0 to 2"
    }
}

fn property(
    name: impl Into<String>,
    give: impl Fn(&mut Command) -> &mut Command + 'static,
) -> Property {
    let give = move |command: &mut Command| {
        give(command);
    };
    Property { name: name.into(), give: Box::new(give) }
}

/// One that the child gives itself, between fork and exec.
fn in_child(
    name: impl Into<String>,
    change: impl Fn() -> io::Result<()> + Send + Sync + Copy + 'static,
) -> Property {
    // SAFETY: `change` makes system calls only.
    property(name, move |command| unsafe { command.pre_exec(change) })
}

pub const SIGNALS: [Signal; 10] = [
    Signal::SIGCHLD,
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGALRM,
    Signal::SIGPIPE,
    Signal::SIGTSTP,
    Signal::SIGXFSZ,
    Signal::SIGUSR1,
];

pub fn blocked(signals: &'static [Signal]) -> Property {
    let set: SigSet = signals.iter().copied().collect();
    in_child(format!("blocked {signals:?}"), move || {
        Ok(sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?)
    })
}

pub fn ignored(signals: &'static [Signal]) -> Property {
    in_child(format!("ignored {signals:?}"), move || {
        for number in signals {
            // SAFETY: ignoring runs no code.
            unsafe { signal(*number, SigHandler::SigIgn) }?;
        }
        Ok(())
    })
}

fn closed(name: &str, descriptors: &'static [i32]) -> Property {
    in_child(format!("closed {name}"), move || {
        for descriptor in descriptors {
            close(*descriptor)?;
        }
        Ok(())
    })
}

pub fn limited(resource: Resource, limit: u64) -> Property {
    in_child(format!("{resource:?} {limit}"), move || {
        // What was left open in the test itself would count.
        // SAFETY: marks descriptors of a process that is about to exec.
        unsafe { close_range(3, u32::MAX, CLOSE_RANGE_CLOEXEC as i32) };
        Ok(setrlimit(resource, limit, limit)?)
    })
}

fn without(name: &'static str) -> Property {
    property(format!("without {name}"), move |command| command.env_remove(name))
}

/// The folder that it was started in is gone.
fn nowhere() -> Property {
    in_child("nowhere", || {
        let folder = mkdtemp("/dev/shm/stillpoint-nowhere-XXXXXX")?;
        chdir(&folder)?;
        std::fs::remove_dir(folder)
    })
}

/// All that a command shall find as if it had been started without us.
pub fn all() -> Vec<Property> {
    let one_by_one = || SIGNALS.iter().map(std::slice::from_ref);
    let mut all: Vec<Property> = one_by_one().map(blocked).collect();
    all.push(blocked(&SIGNALS));
    all.extend(one_by_one().map(ignored));
    all.push(ignored(&SIGNALS));
    all.extend([
        property("none", |command| command),
        closed("0", &[0]),
        closed("1", &[1]),
        closed("2", &[2]),
        closed("0 to 2", &[0, 1, 2]),
        limited(Resource::RLIMIT_NOFILE, 16),
        limited(Resource::RLIMIT_FSIZE, 1 << 16),
        limited(Resource::RLIMIT_CPU, 30),
        limited(Resource::RLIMIT_NPROC, 0),
        limited(Resource::RLIMIT_AS, 1 << 26),
        limited(Resource::RLIMIT_CORE, 0),
        in_child("umask 777", || {
            umask(Mode::all());
            Ok(())
        }),
        in_child("no_new_privs", || Ok(set_no_new_privs()?)),
        in_child("nice", || {
            // SAFETY: takes a number and gives one.
            unsafe { nix::libc::nice(7) };
            Ok(())
        }),
        without("HOME"),
        without("PATH"),
        without("SHELL"),
        property("an empty PATH", |command| command.env("PATH", "")),
        property("no environment at all", |command| {
            let kept: Vec<_> = command
                .get_envs()
                .filter(|(name, _)| name.as_encoded_bytes().starts_with(b"STILLPOINT_"))
                .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
                .collect();
            command.env_clear().envs(kept)
        }),
        nowhere(),
    ]);
    all
}
