//! `stillpoint run`: a command inside the barrier, with flock(1)'s letters.
//!
//! The command inherits a descriptor of the lock, so that the barrier knows it is inside even
//! after somebody killed this process. At its end the lock is given up explicitly: what the
//! command left running in the background does not keep it.

use std::ffi::{OsStr, OsString};
use std::os::fd::IntoRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::alarm;
use stillpoint::{Barrier, CommandShareOptions, ExclusiveGuard, HELD, Waiting};

use crate::barrier::exclusive::{DRAIN, Exclusive, HOLD, Patience};
use crate::barrier::state::State;
use crate::process::child;
use crate::process::child::ended::Ended;
use crate::process::signals::Signals;
use crate::process::{ending, inherited};
use crate::stilling::{Limits, Stilling, Wanted};
use crate::words::exit::{self, Exit, Failure};
use crate::words::lines;
use crate::words::seconds::{self, Limit};
use crate::words::waiting::WaitingLine;

#[derive(clap::Args, Debug)]
#[command(
    after_help = exit::STATUSES,
    args_override_self = true,
    infer_long_args = true,
    override_usage = "stillpoint run [OPTIONS] BARRIER COMMAND...\n       stillpoint run [OPTIONS] -c STRING BARRIER"
)]
pub struct Arguments {
    /// Take the shared side: the command is a writer
    #[arg(short, long, overrides_with = "exclusive")]
    shared: bool,

    /// Take the exclusive side: no writer is inside meanwhile (the default)
    #[arg(short = 'x', short_alias = 'e', long, overrides_with = "shared")]
    exclusive: bool,

    /// Fail rather than wait
    #[arg(short, long = "nonblock", visible_aliases = ["nb", "nonblocking"])]
    nonblocking: bool,

    /// Fail after waiting this long; 0 is as -n
    #[arg(short = 'w', long = "timeout", visible_alias = "wait", value_name = "SECS", allow_hyphen_values = true, value_parser = seconds::parse)]
    timeout: Option<Duration>,

    /// Exit status when the barrier could not be had in time
    #[arg(
        short = 'E',
        long = "conflict-exit-code",
        value_name = "CODE",
        allow_hyphen_values = true,
        default_value_t = Exit::CONFLICT.code()
    )]
    conflict: u8,

    /// Run this with the shell; may also follow BARRIER
    #[arg(short = 'c', long = "command", value_name = "STRING")]
    string: Option<OsString>,

    /// Do not let the command inherit the lock's descriptor
    #[arg(short = 'o', long, conflicts_with = "no_fork")]
    close: bool,

    /// Become the command instead of waiting for it
    #[arg(short = 'F', long)]
    pub no_fork: bool,

    /// Say how long it took to get in, and what is run
    #[arg(long)]
    verbose: bool,

    /// Create the barrier if it is missing
    #[arg(long)]
    create: bool,

    /// With -x, end the command after this long, or none [default: 60]
    #[arg(long, value_name = "SECS|none", allow_hyphen_values = true, value_parser = seconds::parse_limit, conflicts_with = "shared")]
    hold: Option<Limit>,

    /// Who we are, for those who wait for us [default: the command's name]
    #[arg(long)]
    label: Option<String>,

    /// Where its durable state is kept, as given to `create`, or none
    #[arg(long, value_name = "PATH|none")]
    state: Option<PathBuf>,

    #[command(flatten)]
    wanted: Wanted,

    /// Look for the name in $XDG_RUNTIME_DIR/stillpoint
    #[arg(long)]
    user: bool,

    /// Name or path of the barrier, then the command and its arguments
    #[arg(
        value_names = ["BARRIER", "COMMAND"],
        num_args = 1..,
        required = true,
        trailing_var_arg = true
    )]
    words: Vec<OsString>,
}

impl Arguments {
    /// What scripts say at each of their steps: at most which side, and whether to wait, by their letters, then
    /// BARRIER and the command. Read as they stand, since to build all options first takes a fifth of the instructions
    /// of `run -s true`; all else is clap's.
    pub fn plain(words: impl Iterator<Item = OsString>) -> Option<Arguments> {
        let mut words = words.peekable();
        let (mut shared, mut exclusive, mut nonblocking) = (false, false, false);
        loop {
            match words.peek()?.as_encoded_bytes() {
                b"-s" => (shared, exclusive) = (true, false),
                b"-x" => (shared, exclusive) = (false, true),
                b"-n" => nonblocking = true,
                [] | [b'-', ..] => return None,
                _ => break,
            }
            words.next();
        }
        Some(Arguments {
            shared,
            exclusive,
            nonblocking,
            timeout: None,
            conflict: Exit::CONFLICT.code(),
            string: None,
            close: false,
            no_fork: false,
            verbose: false,
            create: false,
            hold: None,
            label: None,
            state: None,
            wanted: Wanted::default(),
            user: false,
            words: words.collect(),
        })
    }
}

pub fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let conflict = Exit::new(arguments.conflict);
    run_inside(arguments).map_err(|error| ending::with_conflict(error, conflict))
}

fn run_inside(arguments: Arguments) -> anyhow::Result<Exit> {
    let [barrier, words @ ..] = arguments.words.as_slice() else {
        return Err(Failure::usage("there is no barrier to run in").into());
    };
    if !arguments.wanted.is_empty() && (arguments.shared || arguments.no_fork) {
        let message = "others are made to stand still by -x only, and by a process that stays: not with -s or -F";
        return Err(Failure::usage(message).into());
    }
    let mut command = command(arguments.string.as_deref(), words)?;
    inherited::hand_on(&mut command);
    let signals = Signals::watch()?;
    let label = match &arguments.label {
        Some(label) => label.clone(),
        None => base_name(&command),
    };
    let mut options = Barrier::options().user(arguments.user).label(&label);
    if arguments.create {
        options = options.create(true);
    }
    State::require(arguments.state.as_deref())?;
    let name = barrier;
    let barrier = options.open(name)?;
    let run = Run {
        arguments: &arguments,
        name,
        barrier: &barrier,
        command,
        label,
        signals,
        patience: Patience::new(match arguments.nonblocking {
            true => Some(Duration::ZERO),
            false => arguments.timeout,
        }),
    };
    match arguments.shared {
        true => run.shared(),
        false => run.exclusive(),
    }
}

struct Run<'a> {
    arguments: &'a Arguments,
    /// The barrier as the user named it.
    name: &'a OsStr,
    barrier: &'a Barrier,
    command: Command,
    label: String,
    signals: Signals,
    patience: Patience,
}

impl Run<'_> {
    fn shared(mut self) -> anyhow::Result<Exit> {
        let share = self.enter()?;
        self.announce("shared");
        self.command.env(HELD, share.cover());
        if self.arguments.no_fork {
            // Held until this process image, now the command's, ends.
            let _ = share.into_process().into_raw_fd();
            return Err(child::exec(&mut self.command).into());
        }
        self.signals.check()?;
        let descriptor = [share.descriptor()];
        let inherited = if self.arguments.close { &[] } else { &descriptor[..] };
        let ended = child::run_as_ours(&mut self.command, inherited, &mut self.signals);
        let is_loss = match &ended {
            Ok(ended) => matches!(ended, Ended::Killed(_)),
            Err(failure) => failure.is_loss,
        };
        if is_loss {
            // A writer that died inside: nobody knows what it left undone.
            self.barrier.raise_dirty(std::process::id(), &self.label);
            State::keep_dirt_of(self.name, self.arguments.user, self.state(), self.barrier);
        }
        stillpoint::leave_maps();
        share.end();
        Ok(ended?.exit())
    }

    fn enter(&self) -> anyhow::Result<stillpoint::CommandShare> {
        let mut progress = WaitingLine::new();
        let mut show = |waiting: &Waiting<'_>| progress.show(waiting);
        let share = self.barrier.shared_for_command(
            &mut CommandShareOptions::default()
                .wait(self.patience.left())
                .watched(!self.arguments.no_fork)
                .progress(&mut show)
                .cancel(self.signals.cancel()),
        );
        Ok(share?)
    }

    fn exclusive(mut self) -> anyhow::Result<Exit> {
        let side = Exclusive {
            barriers: &[self.barrier],
            label: &self.label,
            patience: &self.patience,
            drain: DRAIN,
            hold: self.arguments.hold.unwrap_or(HOLD),
            inherited: !self.arguments.close,
        };
        self.arguments.wanted.check(side.hold.duration())?;
        let mut stilling = Stilling::prepare(&self.arguments.wanted, &[], Limits::of(&side))?;
        stilling.check_barriers(&[self.barrier.path()])?;
        stilling.get_ready()?;
        let guard = side.quiesce(&self.signals, &mut stilling)?;
        stilling.freeze(DRAIN, &guard)?;
        self.announce("exclusive");
        if self.arguments.no_fork {
            return self.become_command(guard);
        }
        let ended = side.run(guard, &mut self.command, &mut self.signals, &mut stilling);
        let was_still = stilling.thaw();
        // What the drain, or the release, has met.
        State::keep_dirt_of(self.name, self.arguments.user, self.state(), self.barrier);
        let ended = ended?;
        was_still?;
        Ok(ended.exit())
    }

    /// -F: nobody stays behind to end the command at the limit, so an alarm, which survives exec,
    /// does that. Nobody stays to open the gate either: the first writer to find the lock free does.
    fn become_command(mut self, guard: ExclusiveGuard) -> anyhow::Result<Exit> {
        self.command.env(HELD, guard.cover());
        if let Some(left) = guard.remaining() {
            // Whole seconds, downwards: before the writers lose their patience.
            alarm::set(left.as_secs().clamp(1, u64::from(u32::MAX)) as u32);
            inherited::arm(&mut self.command, Signal::SIGALRM);
        }
        for descriptor in guard.into_process() {
            let _ = descriptor.into_raw_fd();
        }
        Err(child::exec(&mut self.command).into())
    }

    fn state(&self) -> Option<&Path> {
        self.arguments.state.as_deref()
    }

    fn announce(&self, side: &str) {
        if self.arguments.verbose {
            lines::say(&format!(
                "{}: {side} after {}; running {}",
                self.barrier.path().display(),
                seconds::display(self.patience.elapsed()),
                self.label,
            ));
        }
    }
}

/// The command to run: COMMAND, or STRING for the shell, before BARRIER or, as with flock(1),
/// behind it.
fn command(string: Option<&OsStr>, words: &[OsString]) -> Result<Command, Failure> {
    match (string, words) {
        (Some(string), []) => Ok(by_shell(string)),
        (Some(_), _) => Err(Failure::usage("a command and -c exclude each other")),
        (None, [dashes, program, rest @ ..]) if dashes == "--" => Ok(by_words(program, rest)),
        (None, [flag, rest @ ..]) if flag == "-c" || flag == "--command" => match rest {
            [string] => Ok(by_shell(string)),
            _ => Err(Failure::usage(format!(
                "{} takes exactly one argument, the string for the shell",
                flag.to_string_lossy()
            ))),
        },
        (None, [program, rest @ ..]) if program != "--" => Ok(by_words(program, rest)),
        (None, _) => Err(Failure::usage("there is no command to run")),
    }
}

fn by_words(program: &OsStr, arguments: &[OsString]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn by_shell(string: &OsStr) -> Command {
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
    let mut command = Command::new(shell.unwrap_or_else(|| "/bin/sh".into()));
    command.arg("-c").arg(string);
    command
}

fn base_name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    use clap::{Args, FromArgMatches};

    /// One to three words, of those in which the two could differ.
    #[test]
    fn plain_words_are_read_as_clap_reads_them() {
        const WORDS: [&str; 16] = [
            "-s", "-x", "-n", "-sn", "-", "--", "-c", "--shared", "-w", "--help", "-h", "", "mail",
            "true", "run", "1",
        ];
        let by_clap = |words: &[&str]| -> Result<Arguments, clap::Error> {
            let alone = Arguments::augment_args(clap::Command::new("run"));
            let found = alone.try_get_matches_from([&["run"], words].concat())?;
            Arguments::from_arg_matches(&found)
        };
        let mut plain = 0;
        for (length, number) in (1..=3)
            .flat_map(|length| (0..WORDS.len().pow(length)).map(move |number| (length, number)))
        {
            let words =
                (0..length).map(|place| WORDS[number / WORDS.len().pow(place) % WORDS.len()]);
            let words: Vec<&str> = words.collect();
            if let Some(read) = Arguments::plain(words.iter().map(OsString::from)) {
                let expected = by_clap(&words).unwrap();
                assert_eq!(format!("{read:?}"), format!("{expected:?}"), "{words:?}");
                plain += 1;
            }
        }
        assert!(plain > 1000, "{plain}");
    }
}
