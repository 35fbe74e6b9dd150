//! What a process may do to itself: fork in several ways, exec, close descriptors, be confined.

use crate::actor::{Actor, Answer, Relay};
use crate::filter;
use crate::serve;
use nix::libc;
use nix::sched::{CloneFlags, clone};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Uid, chdir, chroot, execv, fork, setgid, setgroups, setuid};
use std::ffi::CString;
use std::fs::{File, read_dir, read_link};
use std::io::{BufReader, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::IntoRawFd;
use std::process::{Command, Stdio};

/// The commands that concern the whole process.
pub fn act(actor: &mut Actor, words: &[&str]) -> Answer {
    match *words {
        ["fork", name] => forked(actor, name),
        ["fork-twice", name] => forked_twice(actor, name),
        ["fork-sleeper"] => sleeper(),
        ["vfork-true"] => vforked(),
        ["spawn-true"] => Ok(format!("spawned {}", Command::new("true").status()?)),
        ["exec"] => exec(),
        ["forbid-membarrier", how] => {
            let answer = match how {
                "by-error" => filter::Answer::Error(nix::libc::EPERM),
                _ => filter::Answer::Kills,
            };
            filter::Filter { call: nix::libc::SYS_membarrier, first: None, answer }.install()?;
            Ok("forbidden".into())
        }
        ["covered", name] => covered(actor, name),
        ["close-from", first] => {
            // SAFETY: closes descriptors that others in this process may use: the point of it.
            unsafe { libc::close_range(first.parse().unwrap_or(3), u32::MAX, 0) };
            Ok("closed".into())
        }
        ["take-descriptor", path] => {
            Ok(format!("descriptor {}", File::create(path)?.into_raw_fd()))
        }
        ["give-descriptor", number] => {
            nix::unistd::close(number.parse::<i32>().unwrap_or(-1))?;
            Ok("given".into())
        }
        ["descriptors-of", path] => descriptors_of(path),
        ["chroot", folder] => {
            chroot(folder)?;
            chdir("/")?;
            Ok("confined".into())
        }
        ["setuid", user] => {
            let user = user.parse().unwrap_or(65534);
            setgroups(&[])?;
            setgid(Gid::from_raw(user))?;
            setuid(Uid::from_raw(user))?;
            Ok("confined".into())
        }
        ["lock-life-bytes", path, first, count] => lock_life_bytes(path, first, count),
        ["exit"] => std::process::exit(0),
        _ => Ok(format!("error unknown {}", words.join(" "))),
    }
}

/// A child with the same memory, which answers commands of its own.
fn forked(actor: &mut Actor, name: &str) -> Answer {
    let (input, commands) = pipe()?;
    let (answers, output) = pipe()?;
    // SAFETY: the child goes on as this thread; what it uses of the others' is the library under
    // test, whose promise that is.
    match unsafe { fork() }? {
        ForkResult::Child => {
            drop((commands, answers));
            serve(actor, BufReader::new(input), output);
            std::process::exit(0)
        }
        ForkResult::Parent { child } => {
            let answer = format!("forked {child}");
            relay(actor, name, commands, answers);
            Ok(answer)
        }
    }
}

/// A grandchild whose parent is gone, as daemon(3) makes it.
fn forked_twice(actor: &mut Actor, name: &str) -> Answer {
    let (input, commands) = pipe()?;
    let (mut answers, mut output) = pipe()?;
    // SAFETY: as above.
    match unsafe { fork() }? {
        ForkResult::Child => {
            drop((commands, answers));
            // SAFETY: as above.
            if let Ok(ForkResult::Child) = unsafe { fork() } {
                let _ = output.write_all(&std::process::id().to_ne_bytes());
                serve(actor, BufReader::new(input), output);
                std::process::exit(0);
            }
            // SAFETY: ends the process in the middle, on purpose.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            waitpid(child, None)?;
            drop((input, output));
            let mut number = [0; 4];
            answers.read_exact(&mut number)?;
            relay(actor, name, commands, answers);
            Ok(format!("forked {}", u32::from_ne_bytes(number)))
        }
    }
}

fn relay(actor: &mut Actor, name: &str, commands: PipeWriter, answers: PipeReader) {
    let relay = Relay { commands: Box::new(commands), answers: Box::new(BufReader::new(answers)) };
    actor.relays.insert(name.into(), relay);
}

/// A child that does nothing, and outlives its parent (by a minute at most).
fn sleeper() -> Answer {
    // SAFETY: the child only sleeps.
    match unsafe { fork() }? {
        ForkResult::Child => {
            nix::unistd::alarm::set(60);
            loop {
                nix::unistd::pause();
            }
        }
        ForkResult::Parent { child } => Ok(format!("forked {child}")),
    }
}

/// What vfork(2) does: a child on this very memory, until it execs.
fn vforked() -> Answer {
    let program = CString::new("/bin/true").expect("no zero in it");
    let mut stack = vec![0; 64 * 1024];
    let child = Box::new(|| {
        let _ = execv(&program, &[&program]);
        127
    });
    let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
    // SAFETY: the child has a stack of its own and only execs; this thread waits for that.
    let child = unsafe { clone(child, &mut stack, flags, Some(libc::SIGCHLD)) }?;
    match waitpid(child, None)? {
        WaitStatus::Exited(_, 0) => Ok("vforked".into()),
        other => Ok(format!("error vfork {other:?}")),
    }
}

/// Begins anew as the same program, with the same standard input and output.
fn exec() -> Answer {
    let program = CString::new("/proc/self/exe").expect("no zero in it");
    match execv(&program, &[&program])? {}
}

/// A process under what this one holds, as `run` and `snapshot` start it.
fn covered(actor: &mut Actor, name: &str) -> Answer {
    let mut child = Command::new(std::env::current_exe()?)
        .env("STILLPOINT_HELD", actor.cover())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (commands, answers) = (child.stdin.take(), child.stdout.take());
    let (Some(commands), Some(answers)) = (commands, answers) else {
        return Ok("error no pipes".into());
    };
    let relay = Relay { commands: Box::new(commands), answers: Box::new(BufReader::new(answers)) };
    actor.relays.insert(name.into(), relay);
    let mut ready = String::new();
    let relay = actor.relays.get_mut(name).expect("just inserted");
    relay.answers.read_line(&mut ready)?;
    Ok(ready.trim_end().to_string())
}

/// The descriptors of this process that lead to the file.
fn descriptors_of(path: &str) -> Answer {
    let mut found: Vec<String> = (read_dir("/proc/self/fd")?.flatten())
        .filter(|entry| read_link(entry.path()).is_ok_and(|target| target.as_os_str() == path))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    Ok(format!("descriptors {}", found.join(",")))
}

/// Takes the life bytes of slots, as that many processes would.
fn lock_life_bytes(path: &str, first: &str, count: &str) -> Answer {
    let number = |text: &str| text.parse::<i64>().unwrap_or(0);
    let file = File::options().read(true).write(true).open(path)?;
    let range = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0x4000_1000 + number(first),
        l_len: number(count),
        l_pid: 0,
    };
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_SETLK(&range))?;
    let _kept_open = file.into_raw_fd();
    Ok("locked".into())
}
