//! The harness: keeps writers and tools running, kills and stops them at random.
//!
//! Only its own children are struck, by ids that stay theirs until it has waited for them.

use crate::arena::Arena;
use crate::chance::Chance;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::Pid;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

const ROLES: [&str; 9] =
    ["writer", "writer", "writer", "writer", "writer", "writer", "tool", "tool", "tool"];

/// This test again, as a process with a part in it.
pub fn again(arena: &Arena, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this test"));
    let test = "writers_and_tools_that_are_killed_and_stopped";
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.envs(arena.environment(role)).env_remove("STILLPOINT_HELD").stdout(Stdio::null());
    command
}

struct Victim {
    role: &'static str,
    child: Child,
    /// When it goes on, if it is stopped.
    stopped_until: Option<Instant>,
}

impl Victim {
    fn new(arena: &Arena, role: &'static str) -> Victim {
        let child = again(arena, role).spawn().expect("a process");
        Victim { role, child, stopped_until: None }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it was not waited for yet");
    }
}

pub struct Harness<'a> {
    arena: &'a Arena,
    victims: Vec<Victim>,
    chance: Chance,
    pub kills: u64,
    pub stops: u64,
}

impl<'a> Harness<'a> {
    pub fn new(arena: &'a Arena) -> Harness<'a> {
        // Orphans of the killed come here, and are waited for.
        set_child_subreaper(true).expect("prctl(2)");
        let victims = ROLES.map(|role| Victim::new(arena, role)).into();
        let chance = Chance::new(std::process::id().into());
        Harness { arena, victims, chance, kills: 0, stops: 0 }
    }

    /// Strikes somebody, after a moment.
    pub fn strike(&mut self) {
        std::thread::sleep(self.chance.up_to_ms(30));
        self.reap();
        self.arena.settle();
        for victim in &mut self.victims {
            if victim.stopped_until.is_some_and(|until| until <= Instant::now()) {
                victim.stopped_until = None;
                victim.signal(Signal::SIGCONT);
            }
        }
        let chosen = self.chance.below(self.victims.len() as u64) as usize;
        let stop = self.chance.one_in(4);
        let victim = &mut self.victims[chosen];
        if stop {
            victim.signal(Signal::SIGSTOP);
            victim.stopped_until = Some(Instant::now() + self.chance.up_to_ms(60));
            self.stops += 1;
        } else {
            victim.signal(Signal::SIGKILL);
            victim.child.wait().expect("it dies");
            *victim = Victim::new(self.arena, victim.role);
            self.kills += 1;
        }
    }

    /// Waits for whoever has ended by himself, and replaces him if he was one of the victims.
    fn reap(&mut self) {
        let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Some(pid) = waitid(Id::All, peek).ok().and_then(|status| status.pid()) {
            match self.victims.iter_mut().find(|victim| victim.pid() == pid) {
                Some(victim) => {
                    let status = victim.child.wait().expect("it has ended");
                    judge(self.arena, victim.role, status);
                    *victim = Victim::new(self.arena, victim.role);
                }
                None => {
                    let _ = waitpid(pid, None);
                }
            }
        }
    }

    /// Asks everybody to end, and waits until nobody is left.
    pub fn finish(&mut self, patience: Duration) {
        self.arena.counters().over.store(1, SeqCst);
        let end = Instant::now() + patience;
        for mut victim in self.victims.drain(..) {
            victim.signal(Signal::SIGCONT);
            loop {
                if let Some(status) = victim.child.try_wait().expect("it can be waited for") {
                    judge(self.arena, victim.role, status);
                    break;
                }
                if Instant::now() > end {
                    self.arena.complain(&format!("a {} did not end", victim.role));
                    let _ = victim.child.kill();
                    let _ = victim.child.wait();
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        while self.arena.is_populated() {
            assert!(Instant::now() < end, "somebody's child did not end");
            self.reap();
            std::thread::sleep(Duration::from_millis(5));
        }
        self.reap();
        self.arena.settle();
    }
}

/// Nobody ends but well, or by a signal of the harness.
fn judge(arena: &Arena, role: &str, status: ExitStatus) {
    if !status.success() {
        arena.complain(&format!("a {role} ended with {status}"));
    }
}
