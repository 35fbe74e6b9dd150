//! Roles: this test program again, as a process with a part in the torture.

use crate::arena::{Arena, STATIONS};
use crate::{crowd, foreman, runs, tool, trouble, writer};
use nix::sys::prctl::set_pdeathsig;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The number of the harness among the processes: the first.
pub const HARNESS: u32 = 1;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Two threads that take shares in every way there is, all the time.
    Writer,
    /// Five threads that do so now and then.
    Calm,
    /// A writer that runs short of memory.
    Tight,
    /// A few shares, under somebody's cover.
    Covered,
    /// Takes the exclusive side again and again.
    Tool,
    /// Runs the real command, which runs the next two.
    Runner,
    /// Judges the pause of `run -x` that it runs under.
    JudgeUnderRun,
    /// More threads than there are slots, along with others of its kind.
    Crowd,
    /// Forks inside shares, all the time.
    Forker,
    /// Takes all the memory it may have, and more.
    Hog,
    /// Has people of his own, in a pid namespace or a control group.
    Foreman,
}

const ROLES: [Role; 11] = [
    Role::Writer,
    Role::Calm,
    Role::Tight,
    Role::Covered,
    Role::Tool,
    Role::Runner,
    Role::JudgeUnderRun,
    Role::Crowd,
    Role::Forker,
    Role::Hog,
    Role::Foreman,
];

const ROLE: &str = "STILLPOINT_TORTURE_ROLE";
const STATION: &str = "STILLPOINT_TORTURE_STATION";

impl Role {
    /// The command that plays it, at one of the places at which tools are watched.
    pub fn command(self, arena: &Arena, station: Option<usize>) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("the path of this test"));
        command.args(["--exact", crate::TEST, "--nocapture", "--test-threads=1"]);
        let (name, folder) = arena.environment();
        command.env(name, folder).env(ROLE, format!("{self:?}"));
        match station {
            Some(station) => command.env(STATION, station.to_string()),
            None => command.env_remove(STATION),
        };
        // What the terminal sends is for the harness alone.
        command.env_remove(stillpoint::HELD).stdout(Stdio::null()).process_group(0);
        command
    }

    /// What the environment says that this process is.
    pub fn inherited() -> Option<Role> {
        let name = std::env::var(ROLE).ok()?;
        ROLES.into_iter().find(|role| format!("{role:?}") == name)
    }

    /// Plays it to the end.
    pub fn play(self, arena: &Arena) {
        let station = std::env::var(STATION).ok().and_then(|station| station.parse().ok());
        let station = station.filter(|station| *station < STATIONS);
        std::thread::scope(|scope| {
            let over = std::sync::mpsc::channel::<()>();
            let watch = over.1;
            scope.spawn(move || end_with_the_harness(arena, &watch));
            // The kernel spares the foreman when memory is short, and only him.
            let score = if self == Role::Foreman { "-1000" } else { "0" };
            let _ = std::fs::write("/proc/self/oom_score_adj", score);
            // A thread that executed this program has lost what its process was started with. Commands
            // outlive whoever ran them.
            if !matches!(self, Role::Covered | Role::JudgeUnderRun | Role::Foreman) {
                set_pdeathsig(nix::sys::signal::Signal::SIGKILL).expect("prctl(2)");
            }
            let process = arena.new_process(None);
            match self {
                Role::Writer | Role::Calm | Role::Tight => writer::run(arena, process, self),
                Role::Covered => writer::run_covered(arena, process),
                Role::Tool => tool::run(arena, process, station),
                Role::Runner => runs::run(arena, process),
                Role::JudgeUnderRun => runs::judge(arena, process),
                Role::Crowd => crowd::run(arena, process),
                Role::Forker => writer::run(arena, process, self),
                Role::Hog => trouble::memory::eat(arena),
                Role::Foreman => foreman::run(arena, process, station),
            }
            drop(over.0);
        });
    }
}

/// Nobody outlives the harness for long, however that ended.
fn end_with_the_harness(arena: &Arena, over: &std::sync::mpsc::Receiver<()>) {
    use std::sync::mpsc::RecvTimeoutError;
    while over.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
        if !arena.lives(HARNESS) {
            std::process::exit(0);
        }
    }
}
