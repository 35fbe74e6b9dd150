//! MariaDB and Redis, each with its files in one of the stores and its socket elsewhere; and as they are started on a copy.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::signal::Signal;

use crate::common::{Running, must, start, until};

/// A server that has been started, and its socket.
pub struct Server {
    pub socket: PathBuf,
    process: Running,
}

impl Server {
    pub fn start(program: &mut Command, socket: PathBuf) -> Server {
        Server { process: start(program), socket }
    }

    /// It has nothing to keep.
    pub fn kill(mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.end();
    }
}

/// Prepares an empty one.
pub fn install_mariadb(data: &Path) {
    let mut install = Command::new("mariadb-install-db");
    install.arg("--no-defaults").arg(format!("--datadir={}", data.display()));
    install.args(["--user=root", "--auth-root-authentication-method=normal", "--skip-test-db"]);
    must(install.arg("--innodb-log-file-size=8M"));
}

pub fn mariadb(data: &Path, socket: PathBuf) -> Server {
    let mut program = program("mariadbd");
    program.args([
        "--no-defaults",
        "--user=root",
        "--skip-networking",
        "--innodb-log-file-size=8M",
    ]);
    program.args([
        "--innodb-buffer-pool-size=32M",
        "--skip-log-bin",
        "--aria-recover-options=BACKUP,QUICK",
    ]);
    program.arg(format!("--datadir={}", data.display()));
    program.arg(format!("--socket={}", socket.display()));
    program.arg(format!("--log-error={}.log", socket.display()));
    program.arg(format!("--pid-file={}.pid", socket.display()));
    let server = Server { process: start(&mut program), socket };
    until("MariaDB answers", || {
        let mut ping = Command::new("mariadb-admin");
        ping.arg("--no-defaults").arg(option(&server.socket)).arg("ping");
        ping.output().unwrap().status.success()
    });
    server
}

pub fn redis(data: &Path, socket: PathBuf) -> Server {
    let mut program = program("redis-server");
    program.args(["--port", "0", "--appendonly", "yes", "--save", "", "--unixsocket"]).arg(&socket);
    program.arg("--dir").arg(data);
    let server = Server { process: start(&mut program), socket };
    until("Redis answers", || {
        let mut ping = Command::new("redis-cli");
        let said = ping.arg("-s").arg(&server.socket).arg("ping").output().unwrap();
        said.stdout == b"PONG\n"
    });
    server
}

/// It ends with this test, however that ends.
fn program(name: &str) -> Command {
    let mut program = Command::new("setpriv");
    program.args(["--pdeathsig", "KILL", name]);
    program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    program
}

fn option(socket: &Path) -> String {
    format!("--socket={}", socket.display())
}

/// A client of MariaDB or SQLite, which reads statements and prints rows.
pub struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Session {
    pub fn mariadb(server: &Server) -> Session {
        let mut client = Command::new("mariadb");
        client.args([
            "--no-defaults",
            "--user=root",
            "--skip-column-names",
            "--unbuffered",
            "--batch",
        ]);
        Session::of(client.arg(option(&server.socket)))
    }

    /// `program` is sqlite3.
    pub fn sqlite(mut program: Command, database: &Path) -> Session {
        let mut session = Session::of(program.arg(database));
        session.say(".timeout 60000");
        session
    }

    pub fn of(command: &mut Command) -> Session {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Session { child, input, output: BufReader::new(output) }
    }

    pub fn say(&mut self, statement: &str) {
        writeln!(self.input, "{statement}").unwrap();
    }

    /// Does it, and returns when it is done: the first line that it prints, or that of `select 'done'`.
    #[track_caller]
    pub fn ask(&mut self, statement: &str) -> String {
        self.say(&format!("{statement}; select 'done';"));
        let mut said = String::new();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "no answer to {statement}");
            if line.trim_end() == "done" {
                return said;
            }
            said += &line;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `select number, n` says, by the number.
pub fn by_number(rows: &str) -> Vec<u64> {
    let mut numbers: Vec<(u64, u64)> = rows
        .lines()
        .map(|row| {
            let (number, n) = row.split_once(['\t', '|']).unwrap();
            (number.parse().unwrap(), n.parse().unwrap())
        })
        .collect();
    numbers.sort_unstable();
    numbers.into_iter().map(|(_, n)| n).collect()
}

/// Folders of servers are theirs.
pub fn folder(path: PathBuf) -> PathBuf {
    fs::create_dir(&path).unwrap();
    path
}
