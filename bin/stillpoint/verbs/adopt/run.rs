//! `stillpoint adopt run`: becomes a command that is adopted.
//!
//! Nothing is left between the shell and the command: its status, its signals and its terminal are its own.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::adoption::library::{Library, VARIABLE};
use crate::adoption::program;
use crate::adoption::settings::Settings;
use crate::process::{child, inherited};
use crate::words::adoption::{self, CONFIG, NARROWED};
use crate::words::exit::{Exit, Failure, STATUSES};
use crate::words::lines::warn;

#[derive(clap::Args)]
#[command(after_help = STATUSES)]
pub struct Arguments {
    /// Read this file instead of /etc/stillpoint/adopt.conf, for a trial; set-user-ID programs do not
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Only if this is the barrier that the file names
    #[arg(long, value_name = "BARRIER")]
    barrier: Option<OsString>,

    /// Of the paths that the file protects, only these
    #[arg(long, value_name = "PATH")]
    protect: Vec<PathBuf>,

    /// The command and its arguments
    #[arg(value_name = "COMMAND", num_args = 1.., required = true, trailing_var_arg = true)]
    words: Vec<OsString>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let library = Library::find()?;
    let settings = Settings::usable(arguments.config.as_deref())?;
    let barrier = settings.said.barrier.as_deref().unwrap_or(Path::new(""));
    if let Some(asked) = &arguments.barrier {
        require_barrier(&settings, barrier, asked)?;
    }
    let [program, words @ ..] = arguments.words.as_slice() else {
        return Err(Failure::usage("there is no command to run").into());
    };
    let mut command = Command::new(program);
    command.args(words);
    inherited::hand_on(&mut command);
    command.env(VARIABLE, library.before(std::env::var_os(VARIABLE).as_deref()));
    match arguments.protect.as_slice() {
        [] => command.env_remove(NARROWED),
        paths => command.env(NARROWED, narrowed(&settings, paths)?),
    };
    if let Some(file) = &arguments.config {
        let file =
            std::path::absolute(file).map_err(|error| Failure::system(file.display(), error))?;
        command.env(CONFIG, file);
    }
    if !barrier.exists() {
        let barrier = barrier.display();
        warn(&format!(
            "{barrier} is not there: write locks do not wait until it is; stillpoint create makes it"
        ));
    }
    let file = program::find(program);
    if let Some(bar) = file.and_then(|file| program::bar(&file, Some(&library))) {
        let program = program.to_string_lossy();
        warn(&format!("{program} is not adopted: {}; see stillpoint-adopt(8)", bar.text()));
    }
    Err(child::exec(&mut command).into())
}

fn require_barrier(settings: &Settings, barrier: &Path, asked: &OsStr) -> Result<(), Failure> {
    if adoption::barrier(asked.as_bytes()).as_deref() == Some(barrier) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--barrier {}: {} adopts to {}, and only one barrier can be adopted to",
        asked.to_string_lossy(),
        settings.file.display(),
        barrier.display()
    )))
}

/// The variable's value: it names paths as the file does.
fn narrowed(settings: &Settings, paths: &[PathBuf]) -> Result<OsString, Failure> {
    let protected = &settings.said.protected;
    if let Some(path) = paths.iter().find(|path| !protected.contains(path)) {
        return Err(Failure::usage(format!(
            "--protect {}: {} protects no such path, and options only take away",
            path.display(),
            settings.file.display()
        )));
    }
    Ok(paths.iter().map(|path| path.as_os_str()).collect::<Vec<_>>().join(OsStr::new(":")))
}
