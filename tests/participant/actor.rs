//! What one thread of a participant holds, and the commands that change it.

use crate::{processes, signals, storm, updates};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, Write};
use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use stillpoint::{
    Barrier, CommandShare, CommandShareOptions, Cover, Error, ExclusiveGuard, ExclusiveOptions,
    Keeper, OwnedShared, SharedGuard, WriteLock,
};

/// A thread's guards, and the threads and processes that it made.
#[derive(Default)]
pub struct Actor {
    pub barrier: Option<&'static Barrier>,
    shares: Vec<SharedGuard<'static>>,
    owned: Vec<OwnedShared>,
    write_locks: Vec<WriteLock<'static, 'static>>,
    command_share: Option<CommandShare>,
    pause: Option<ExclusiveGuard>,
    threads: HashMap<String, Worker>,
    pub relays: HashMap<String, Relay>,
}

/// A thread that answers commands.
struct Worker {
    commands: Sender<String>,
    answers: Receiver<String>,
    handle: JoinHandle<()>,
}

/// A process that answers commands through pipes.
pub struct Relay {
    pub commands: Box<dyn Write>,
    pub answers: Box<dyn BufRead>,
}

/// An answer, or what went wrong.
pub type Answer = Result<String, Failure>;

/// What went wrong, as a line.
pub struct Failure(String);

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure(format!("error {:?} {error}", error.kind()))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure(format!("error io {error}"))
    }
}

impl From<nix::Error> for Failure {
    fn from(error: nix::Error) -> Failure {
        Failure(format!("error errno {error}"))
    }
}

impl Actor {
    /// Does what the line says.
    pub fn answer(&mut self, line: &str) -> String {
        let answer = if let Some(rest) = line.strip_prefix('@') {
            self.ask_thread(rest)
        } else if let Some(rest) = line.strip_prefix('>') {
            self.ask_process(rest)
        } else {
            self.act(line)
        };
        answer.unwrap_or_else(|Failure(text)| text.replace('\n', " "))
    }

    fn lock_to_write(
        &mut self,
        path: &str,
        lock: fn(&'static Barrier, &'static File) -> Result<WriteLock<'static, 'static>, Error>,
    ) -> Answer {
        // Never closed: locks by it may be inherited by children.
        let file: &'static File = Box::leak(Box::new(File::create(path)?));
        self.write_locks.push(lock(self.barrier(), file)?);
        Ok(format!("locked {}", self.depth()))
    }

    fn act(&mut self, line: &str) -> Answer {
        let words: Vec<&str> = line.split_whitespace().collect();
        match *words.as_slice() {
            ["open", path, ref label @ ..] => self.open(path, label.first().copied()),
            ["create", path] => {
                let made = Barrier::create(path)?;
                Ok(format!("created {}", self.keep(made).uuid()))
            }
            ["visit", path] => {
                let barrier = Barrier::open(path)?;
                drop(barrier.shared()?);
                Ok("visited".into())
            }
            ["retire", path] => {
                Ok(format!("retired epoch={}", Barrier::open(path)?.retire()?.0.epoch))
            }
            ["shared"] => self.enter(|barrier| barrier.shared()),
            ["try-shared"] => self.enter(|barrier| barrier.try_shared()),
            ["timed-shared", limit] => {
                self.enter(|barrier| barrier.shared_timeout(milliseconds(limit)))
            }
            ["leave"] => {
                drop(self.shares.pop());
                Ok(format!("depth {}", self.depth()))
            }
            ["forget"] => {
                self.shares.drain(..).for_each(std::mem::forget);
                Ok("forgotten".into())
            }
            ["depth"] => Ok(format!("depth {}", self.depth())),
            ["owned"] => {
                self.owned.push(self.barrier().shared_owned()?);
                Ok(format!("owned {}", self.owned.len()))
            }
            ["disown"] => {
                self.owned.pop();
                Ok(format!("owned {}", self.owned.len()))
            }
            ["write-lock", path] => {
                self.lock_to_write(path, |barrier, file| WriteLock::acquire(barrier, file))
            }
            ["try-write-lock", path] => {
                self.lock_to_write(path, |barrier, file| WriteLock::try_acquire(barrier, file))
            }
            ["write-unlock"] => {
                self.write_locks.pop();
                Ok(format!("depth {}", self.depth()))
            }
            ["panic-inside"] => self.panic_inside(),
            ["check"] => Ok(self.barrier().check().map(|()| "in place".to_string())?),
            ["join"] => Ok(self.barrier().join().map(|()| "joined".to_string())?),
            ["is-covered"] => Ok(match self.barrier().is_covered() {
                Some(Cover::Shared) => "covered shared".into(),
                Some(Cover::Exclusive) => "covered exclusive".into(),
                _ => "covered no".to_string(),
            }),
            ["command-share", watched] => {
                let share = self.barrier().shared_for_command(
                    &mut CommandShareOptions::default().watched(watched == "watched"),
                )?;
                self.command_share = Some(share);
                Ok("inside".into())
            }
            ["cover"] => Ok(format!("cover {}", self.cover().to_string_lossy())),
            ["end-command-share"] => {
                self.command_share = None;
                Ok("ended".into())
            }
            ["exclusive", ref settings @ ..] => self.exclusive(settings),
            ["into-process"] => {
                // Left to descriptors that nobody closes but the kernel.
                std::mem::forget(self.command_share.take().map(CommandShare::into_process));
                std::mem::forget(self.pause.take().map(ExclusiveGuard::into_process));
                Ok("left to the process".into())
            }
            ["release"] => self.release(),
            ["keep"] => {
                let keeper = Keeper::new(self.pause.take().expect("no pause"))?;
                keeper.serve(&AtomicBool::new(false))?;
                Ok("thawed".into())
            }
            ["listen"] => self.listen(),
            ["is-revoked"] => Ok(format!(
                "revoked {}",
                self.pause.as_ref().is_none_or(ExclusiveGuard::is_revoked)
            )),
            ["thread", name] => self.start_thread(name),
            ["end-thread", name] => self.end_thread(name),
            ["fork-among-joins", count] => {
                storm::fork_among_joins(self.barrier(), count.parse().unwrap_or(0))
            }
            ["churn-until-told"] => signals::churn(self.barrier()),
            ["update-until-told", folder] => updates::until_told(self.barrier(), folder),
            ["mark-in", path] => signals::mark_in(path),
            ["alarms", microseconds] => {
                signals::start(self.barrier(), microseconds.parse().unwrap_or(0))
            }
            _ => processes::act(self, &words),
        }
    }

    pub fn barrier(&self) -> &'static Barrier {
        self.barrier.expect("no barrier was opened")
    }

    fn depth(&self) -> u32 {
        self.barrier().depth()
    }

    fn open(&mut self, path: &str, label: Option<&str>) -> Answer {
        let options = Barrier::options().label(label.unwrap_or("participant"));
        let create = std::env::var_os("STILLPOINT_CREATE").is_some();
        let opened = options.create(create).open(path)?;
        Ok(format!("open {}", self.keep(opened).uuid()))
    }

    /// Never closed: guards of it may be inherited by children.
    fn keep(&mut self, barrier: Barrier) -> &'static Barrier {
        self.barrier.insert(Box::leak(Box::new(barrier)))
    }

    fn enter(
        &mut self,
        enter: impl FnOnce(&'static Barrier) -> Result<SharedGuard<'static>, Error>,
    ) -> Answer {
        self.shares.push(enter(self.barrier())?);
        Ok(format!("inside {}", self.depth()))
    }

    /// What a command would find in `STILLPOINT_HELD` under what this thread holds.
    pub fn cover(&self) -> OsString {
        let pause = self.pause.as_ref().map(ExclusiveGuard::cover);
        let share = self.command_share.as_ref().map(CommandShare::cover);
        pause.or(share).unwrap_or_default()
    }

    fn panic_inside(&mut self) -> Answer {
        let barrier = self.barrier();
        std::panic::set_hook(Box::new(|_| {}));
        let caught = std::panic::catch_unwind(|| {
            let _share = barrier.shared();
            panic!("inside");
        });
        let caught = if caught.is_err() { "caught" } else { "missed" };
        Ok(format!("{caught} depth {}", self.depth()))
    }

    fn exclusive(&mut self, settings: &[&str]) -> Answer {
        let mut options = ExclusiveOptions::default();
        for (name, value) in settings.iter().filter_map(|text| text.split_once('=')) {
            options = match name {
                "patience" => options.patience(milliseconds(value)),
                "drain" => options.drain(milliseconds(value)),
                "hold" => options.hold((value != "none").then(|| milliseconds(value))),
                "wait" => options.wait(milliseconds(value)),
                "keep" => options.keep_descriptor(true),
                "label" => options.label(value.to_string()),
                _ => return Err(Failure(format!("error usage {name}"))),
            };
        }
        let pause = self.barrier().exclusive(&mut options)?;
        let report = pause.report();
        let names: Vec<String> =
            (report.waited_for.iter()).map(|writer| writer.pid.to_string()).collect();
        let answer = format!(
            "granted generation={} closings={} writers={} covered={} drain={} waited_for={}",
            report.generations[0],
            report.closings,
            report.writers,
            pause.covered(),
            report.drain.as_millis(),
            names.join(",")
        );
        self.pause = Some(pause);
        Ok(answer)
    }

    fn release(&mut self) -> Answer {
        let pause = self.pause.take().expect("no pause");
        let report = pause.release()?;
        let grown = report.dirty_at_release[0].epoch - report.dirty_at_grant[0].epoch;
        Ok(format!("released grown={grown}"))
    }

    /// Waits for the gate as an event loop does.
    fn listen(&mut self) -> Answer {
        let descriptor = self.barrier().gate_descriptor()?;
        poll(&mut [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
        Ok("heard".into())
    }

    fn start_thread(&mut self, name: &str) -> Answer {
        let barrier = self.barrier;
        let (commands, to_do) = channel::<String>();
        let (done, answers) = channel();
        let handle = std::thread::Builder::new().name(name.into()).spawn(move || {
            let mut actor = Actor { barrier, ..Actor::default() };
            for line in to_do {
                if done.send(actor.answer(&line)).is_err() {
                    return;
                }
            }
        })?;
        let worker = Worker { commands, answers, handle };
        self.threads.insert(name.into(), worker);
        Ok(format!("thread {name}"))
    }

    fn end_thread(&mut self, name: &str) -> Answer {
        if let Some(worker) = self.threads.remove(name) {
            drop(worker.commands);
            let _ = worker.handle.join();
        }
        Ok(format!("ended {name}"))
    }

    fn ask_thread(&mut self, rest: &str) -> Answer {
        let (name, command) = rest.split_once(' ').unwrap_or((rest, ""));
        let worker = (self.threads.get(name)).ok_or_else(|| Failure("error no thread".into()))?;
        let _ = worker.commands.send(command.into());
        (worker.answers.recv()).map_err(|_| Failure("error the thread is gone".into()))
    }

    fn ask_process(&mut self, rest: &str) -> Answer {
        let (name, command) = rest.split_once(' ').unwrap_or((rest, ""));
        let relay =
            (self.relays.get_mut(name)).ok_or_else(|| Failure("error no process".into()))?;
        writeln!(relay.commands, "{command}")?;
        relay.commands.flush()?;
        let mut answer = String::new();
        relay.answers.read_line(&mut answer)?;
        Ok(answer.trim_end().to_string())
    }
}

fn milliseconds(text: &str) -> Duration {
    Duration::from_millis(text.parse().unwrap_or(0))
}
