//! Filters of system calls, seccomp(2), as container runtimes and systemd's SystemCallFilter= install them.

use nix::libc;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What becomes of a call.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// It fails with this error.
    Error(i32),
    /// It ends the process.
    Kills,
}

/// A call that is refused, perhaps only where its first argument is this.
#[derive(Clone, Copy, Debug)]
pub struct Filter {
    pub call: i64,
    pub first: Option<u32>,
    pub answer: Answer,
}

impl Filter {
    /// Installs it in this thread and in what that starts. Allocates nothing.
    pub fn install(self) -> io::Result<()> {
        let statement =
            |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
        let is = |value: u32, otherwise: u8| libc::sock_filter {
            jf: otherwise,
            ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value)
        };
        // struct seccomp_data begins with the number; the arguments begin behind 16 bytes, of which the low half counts.
        let low = if cfg!(target_endian = "big") { 4 } else { 0 };
        let load = |at: u32| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at);
        let refused = match self.answer {
            Answer::Error(error) => libc::SECCOMP_RET_ERRNO | error as u32,
            Answer::Kills => libc::SECCOMP_RET_KILL_PROCESS,
        };
        let answer = |value| statement(libc::BPF_RET | libc::BPF_K, value);
        let mut program = [
            load(0),
            is(self.call as u32, 3),
            load(16 + low),
            self.first.map_or(statement(libc::BPF_JMP | libc::BPF_JA, 0), |first| is(first, 1)),
            answer(refused),
            answer(libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        // SAFETY: the program is live while the kernel copies it; prctl(2) is a system call and no more.
        let installed = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0
        };
        if installed { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Has a command install it before it begins.
    pub fn of(self, command: &mut Command) {
        // SAFETY: allocates nothing and calls nothing but prctl(2).
        unsafe { command.pre_exec(move || self.install()) };
    }
}
