//! A container as LXC and systemd-nspawn make them: mounts, processes, users and clocks of its own, and
//! a boot id of its own, mounted over the kernel's. The file systems are those of the host.

use super::Participant;
use super::STILLPOINT;
use super::process::children;
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// Its first process waits for the end of its input, and with it everybody in the container ends.
const INIT: &str = r#"
    mount --bind "$1" /proc/sys/kernel/random/boot_id
    echo up
    exec cat"#;

pub struct Container {
    unshare: Child,
    /// Its first process, as the host numbers it.
    init: Pid,
    _boot_id: tempfile::NamedTempFile,
}

impl Container {
    /// Starts one. Needs root.
    pub fn start() -> Container {
        let boot_id = tempfile::NamedTempFile::new().unwrap();
        std::fs::copy("/proc/sys/kernel/random/uuid", boot_id.path()).unwrap();
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc"]);
        unshare.args(["--time", "--monotonic", "1000000", "--boottime", "1000000"]);
        unshare.args(["sh", "-euc", INIT, "sh"]).arg(boot_id.path());
        let mut unshare = unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut up = String::new();
        let mut output = BufReader::new(unshare.stdout.take().unwrap());
        output.read_line(&mut up).unwrap();
        assert_eq!(up, "up\n", "no container");
        let init = children(Pid::from_raw(unshare.id() as i32))[0];
        Container { unshare, init, _boot_id: boot_id }
    }

    /// This program in the container.
    pub fn program(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--mount", "--pid", "--time", "--preserve-credentials"]);
        command.arg("--target").arg(self.init.to_string()).arg("--").arg(program);
        command
    }

    /// The command in the container, to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.program(STILLPOINT);
        command.args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// A participant in it that has opened the barrier.
    pub fn participant(&self, path: &Path) -> Participant {
        let mut participant = Participant::start_by(|program| self.program(program), |_| {});
        participant.open(path);
        participant
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        drop(self.unshare.stdin.take());
        let _ = self.unshare.wait();
    }
}
