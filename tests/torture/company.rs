//! The company: the processes that play the roles, replaced whenever they end.
//!
//! Only one's own children are struck, by ids that stay theirs until they have been waited for.

use crate::arena::{Arena, STATIONS};
use crate::cgroup::Group;
use crate::common::chance::Chance;
use crate::figures::Deed;
use crate::role::Role;
use crate::{foreman, interrupt, namespace};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::Pid;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// How many are replaced before something else has its turn.
const MOST: u32 = 10;

/// One process.
pub struct Member {
    pub role: Role,
    pub station: Option<usize>,
    /// When it goes on, if it is stopped.
    pub stopped_until: Option<Instant>,
    /// When it is to be killed, if it is not kept up.
    pub until: Option<Instant>,
    child: Child,
    killed: bool,
}

impl Member {
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it was not waited for yet");
    }

    /// Kills it. It may take a while to die: while it is frozen, for one.
    pub fn kill(&mut self) {
        self.killed = true;
        self.signal(Signal::SIGKILL);
    }

    /// Whether it was killed already.
    pub fn is_doomed(&self) -> bool {
        self.killed
    }
}

/// All of them.
pub struct Company<'a> {
    pub arena: &'a Arena,
    pub members: Vec<Member>,
    pub chance: Chance,
    /// The control groups of the foremen's stations.
    pub groups: [Option<Group>; STATIONS],
    /// Whether the kernel may kill them.
    pub short_of_memory: bool,
}

impl<'a> Company<'a> {
    pub fn new(arena: &'a Arena, number: u32) -> Company<'a> {
        let chance = Chance::of(arena.seed(), number);
        let groups = std::array::from_fn(|_| None);
        Company { arena, members: Vec::new(), chance, groups, short_of_memory: false }
    }

    /// Adds one that is kept up.
    pub fn hire(&mut self, role: Role, station: Option<usize>) {
        let member = self.start(role, station);
        self.members.push(member);
    }

    /// Adds one for a while.
    pub fn hire_for(&mut self, time: Duration, role: Role, station: Option<usize>) {
        let mut member = self.start(role, station);
        member.until = Some(Instant::now() + time);
        self.members.push(member);
    }

    fn start(&self, role: Role, station: Option<usize>) -> Member {
        self.arena.count(Deed::Namespace, u32::from(role == Role::Foreman && station.is_none()));
        let child = match station {
            None if role == Role::Foreman => namespace::spawn(self.arena),
            _ => self.command(role, station).spawn(),
        };
        let child = child.expect("a process");
        Member { role, station, stopped_until: None, until: None, child, killed: false }
    }

    /// The command that plays a role, and is killed when this process ends.
    fn command(&self, role: Role, station: Option<usize>) -> Command {
        let mut command = role.command(self.arena, station);
        if let Some(group) = station.and_then(|station| self.groups[station].as_ref()) {
            command.env(foreman::GROUP, group.folder());
        }
        let follow = || Ok(set_pdeathsig(Signal::SIGKILL)?);
        // SAFETY: it only calls prctl(2).
        unsafe { command.pre_exec(follow) };
        command
    }

    /// Waits for whoever has ended, and replaces him if he is kept up; kills whose time has come.
    pub fn reap(&mut self) {
        for member in &mut self.members {
            if !member.killed && member.until.is_some_and(|until| until <= Instant::now()) {
                member.kill();
                self.arena.count(Deed::Kill, 1);
            }
        }
        for pid in (0..MOST).map_while(|_| ended_child()) {
            match self.members.iter().position(|member| member.pid() == pid) {
                Some(at) => {
                    let mut member = self.members.swap_remove(at);
                    let status = member.child.wait().expect("it has ended");
                    self.judge(&member, status);
                    if member.until.is_none() && !self.arena.is_over() {
                        self.hire(member.role, member.station);
                    }
                }
                // An orphan that came here.
                None => drop(waitpid(pid, None)),
            }
        }
    }

    /// Nobody ends but well, or by a signal that was meant for him.
    fn judge(&self, member: &Member, status: ExitStatus) {
        let killed = status.signal() == Some(Signal::SIGKILL as i32)
            && (member.killed || self.short_of_memory);
        if !status.success() && !killed && !interrupt::has_come() {
            self.arena.complain(&format!("a process as {:?} ended with {status}", member.role));
        }
    }

    /// Waits until nobody is left, orphans included. Everything is over by now, and nobody is stopped.
    pub fn finish(&mut self, end: Instant) {
        let mut late = false;
        loop {
            self.reap();
            if waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT)
                .is_err()
            {
                return;
            }
            if Instant::now() > end && !std::mem::replace(&mut late, true) {
                for member in &mut self.members {
                    self.arena.complain(&format!("a process as {:?} did not end", member.role));
                    member.kill();
                }
            }
            assert!(Instant::now() < end + Duration::from_secs(10), "somebody's child did not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Company<'_> {
    fn drop(&mut self) {
        // Nothing is left of it unless the harness itself has failed.
        for member in &mut self.members {
            member.kill();
        }
    }
}

fn ended_child() -> Option<Pid> {
    let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::All, peek).ok()?.pid()
}
