//! PostgreSQL, which recovers from any instant: it is in a control group that is frozen, and nothing is asked of it.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::User;

use crate::common::{Group, must, until};
use crate::servers::{Server, Session, by_number, folder};

/// The programs, of the newest version that is here, and the group.
pub struct PostgreSql {
    programs: PathBuf,
    group: Group,
}

impl PostgreSql {
    /// `None`: it is not here, or nothing can be frozen.
    pub fn find() -> Option<PostgreSql> {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let programs = versions.map(|version| version.path().join("bin")).max()?;
        let group = Group::any().filter(|_| programs.join("initdb").exists())?;
        Some(PostgreSql { programs, group })
    }

    /// What freezes it.
    pub fn flag(&self) -> String {
        format!("--freeze-cgroup={}:now", self.group.folder().display())
    }

    pub fn install(&self, data: &Path) {
        let own = User::from_name("postgres").unwrap().unwrap();
        chown(folder(data.to_owned()), Some(own.uid.as_raw()), Some(own.gid.as_raw())).unwrap();
        let mut initdb = as_its_user(Command::new("setpriv"), &self.programs.join("initdb"));
        must(initdb.args(["--auth=trust", "--no-sync", "-D"]).arg(data).current_dir(data));
    }

    /// In the group, or, on a copy, outside of it.
    pub fn start(&self, data: &Path, sockets: PathBuf, is_copy: bool) -> Server {
        let own = User::from_name("postgres").unwrap().unwrap();
        let _ = fs::create_dir(&sockets);
        chown(&sockets, Some(own.uid.as_raw()), Some(own.gid.as_raw())).unwrap();
        let setpriv = match is_copy {
            true => Command::new("setpriv"),
            false => self.group.program("setpriv"),
        };
        let mut program = as_its_user(setpriv, &self.programs.join("postgres"));
        program.arg("-D").arg(data).arg("-k").arg(&sockets).args(["-c", "listen_addresses="]);
        program.args(["-c", "max_connections=40", "-c", "shared_buffers=16MB"]);
        program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // As a backup of one that runs has it.
        if is_copy {
            let _ = fs::remove_file(data.join("postmaster.pid"));
        }
        let server = Server::start(&mut program, sockets);
        until("PostgreSQL answers", || {
            client(&server.socket).args(["-c", "select 1"]).output().unwrap().status.success()
        });
        server
    }

    /// What the rows of a copy say.
    pub fn numbers(&self, data: &Path, sockets: PathBuf) -> Vec<u64> {
        let server = self.start(data, sockets, true);
        let output = must(client(&server.socket).args(["-c", "select number, n from t"]));
        server.kill();
        by_number(&String::from_utf8(output.stdout).unwrap())
    }
}

fn as_its_user(mut setpriv: Command, program: &Path) -> Command {
    setpriv.args(["--pdeathsig", "KILL", "--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    setpriv.arg(program);
    setpriv
}

fn client(sockets: &Path) -> Command {
    let mut client = Command::new("psql");
    client.args(["-qAtX", "-U", "postgres", "-h"]).arg(sockets);
    client
}

pub fn session(server: &Server) -> Session {
    Session::of(&mut client(&server.socket))
}
