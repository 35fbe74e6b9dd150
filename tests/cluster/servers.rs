//! Real servers of etcd, on addresses of the loopback device that are this test's own, in memory, and gone when the
//! test is, however it ends.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::skip::skip;

/// Until three of them are one.
const START: Duration = Duration::from_secs(30);

/// The members of an etcd.
pub struct Servers {
    pub folder: TempDir,
    members: Vec<Member>,
    /// What each is started with, besides.
    options: Vec<String>,
    /// What etcdctl needs to be let in.
    credentials: Vec<String>,
    token: String,
}

struct Member {
    name: String,
    address: Ipv4Addr,
    client: u16,
    peer: u16,
    child: Option<Child>,
}

/// A program of Debian's etcd, as `scripts/test` unpacks it.
#[track_caller]
pub fn program(package: &str, name: &str) -> Option<PathBuf> {
    let installed = Path::new("/usr/bin").join(name);
    let target = std::env::current_exe().unwrap();
    let target = target.ancestors().nth(3).unwrap().join("unpacked");
    let unpacked = target.join(package).join("usr/bin").join(name);
    let found = [installed, unpacked].into_iter().find(|path| path.exists());
    if found.is_none() {
        skip(&format!("{name} is missing: scripts/test --prepare unpacks it"));
    }
    found
}

impl Servers {
    /// Three, of which one is the leader; `None` if there are none here, which has been said.
    #[track_caller]
    pub fn start() -> Option<Servers> {
        Servers::start_with(3, &[])
    }

    #[track_caller]
    pub fn start_with(count: usize, options: &[String]) -> Option<Servers> {
        Servers::start_secure(count, options, &[])
    }

    /// Which ask for what `credentials` tells etcdctl(1).
    #[track_caller]
    pub fn start_secure(count: usize, options: &[String], credentials: &[&str]) -> Option<Servers> {
        Servers::start_at(None, count, options, credentials)
    }

    /// At an address that others can reach, if the loopback device will not do.
    #[track_caller]
    pub fn start_at(
        address: Option<Ipv4Addr>,
        count: usize,
        options: &[String],
        credentials: &[&str],
    ) -> Option<Servers> {
        program("etcd-server", "etcd")?;
        program("etcd-client", "etcdctl")?;
        let mut servers = Servers {
            folder: folder(),
            members: Vec::new(),
            options: options.to_vec(),
            credentials: credentials.iter().map(|one| one.to_string()).collect(),
            token: "first".to_string(),
        };
        servers.members = (0..count).map(|number| Member::new(number, address)).collect();
        servers.start_all();
        Some(servers)
    }

    fn start_all(&mut self) {
        for member in 0..self.members.len() {
            self.start_member(member);
        }
        self.wait_for_leader();
    }

    pub fn endpoints(&self) -> Vec<String> {
        (0..self.members.len()).map(|member| self.endpoint(member)).collect()
    }

    pub fn endpoint(&self, member: usize) -> String {
        let scheme = if self.has_tls() { "https" } else { "http" };
        let Member { address, client, .. } = self.members[member];
        format!("{scheme}://{address}:{client}")
    }

    fn has_tls(&self) -> bool {
        self.options.iter().any(|option| option.starts_with("--cert-file"))
    }

    /// (Re)starts one, with the data that it has.
    pub fn start_member(&mut self, member: usize) {
        let peers = self.members.iter().map(|member| format!("{}={}", member.name, member.peer()));
        let peers = peers.collect::<Vec<_>>().join(",");
        let client = self.endpoint(member);
        let Member { name, .. } = &self.members[member];
        let peer = self.members[member].peer();
        let log = self.folder.path().join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log).unwrap();
        // It ends with the thread that starts it.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program("etcd-server", "etcd").unwrap());
        command.args(["--name", name, "--initial-cluster-state", "new"]);
        command.args(["--initial-cluster-token", &self.token, "--initial-cluster", &peers]);
        command.arg("--data-dir").arg(self.data(member));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(&self.options).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.members[member].child = Some(command.spawn().unwrap());
    }

    pub fn data(&self, member: usize) -> PathBuf {
        self.folder.path().join(&self.members[member].name)
    }

    /// The first of those that run which is the leader in its own view.
    pub fn wait_for_leader(&mut self) -> usize {
        let begin = Instant::now();
        while begin.elapsed() < START {
            let running = (0..self.members.len()).filter(|one| self.members[*one].child.is_some());
            if let Some(leader) = running.into_iter().find(|one| self.is_leader(*one)) {
                return leader;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let logs = self.members.iter().map(|member| format!("{}.log", member.name));
        let logs = logs.map(|log| fs::read_to_string(self.folder.path().join(log)).unwrap());
        panic!("no leader: {}", logs.collect::<String>());
    }

    fn is_leader(&self, member: usize) -> bool {
        let status = self.ctl_at(member, &["endpoint", "status", "--write-out", "json"]);
        let Ok(status) = serde_json::from_slice::<serde_json::Value>(&status.stdout) else {
            return false;
        };
        let status = &status[0]["Status"];
        status["leader"].is_u64()
            && status["leader"] != 0
            && status["leader"] == status["header"]["member_id"]
    }

    /// etcdctl(1), with all of them.
    #[track_caller]
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.ctl_to(&self.endpoints().join(","), arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn ctl_at(&self, member: usize, arguments: &[&str]) -> Output {
        self.ctl_to(&self.endpoint(member), arguments)
    }

    pub fn ctl_to(&self, endpoints: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program("etcd-client", "etcdctl").unwrap());
        command.env("ETCDCTL_API", "3").args(["--endpoints", endpoints]);
        command.args(["--dial-timeout", "1s", "--command-timeout", "3s"]);
        command.args(&self.credentials).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// A script that calls etcdctl(1), with all of them, in a folder.
    #[track_caller]
    pub fn shell(&self, script: &str, folder: &Path) {
        let program = program("etcd-client", "etcdctl").unwrap();
        let mut command = Command::new("sh");
        command.args(["-e", "-c", script]).current_dir(folder);
        command.env("ETCDCTL_API", "3").env("ETCDCTL_ENDPOINTS", self.endpoints().join(","));
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", program.parent().unwrap().display()));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
    }

    pub fn signal(&self, member: usize, signal: Signal) {
        let child = self.members[member].child.as_ref().unwrap();
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
    }

    /// kill -9.
    pub fn kill(&mut self, member: usize) {
        self.members[member].end();
    }

    /// A backup.
    #[track_caller]
    pub fn save(&self, backup: &Path) {
        let output = self.ctl_at(0, &["snapshot", "save", backup.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
    }

    /// Starts all of them anew with what is in a snapshot that `etcdctl snapshot save` has made.
    pub fn restore(&mut self, snapshot: &Path) {
        (0..self.members.len()).for_each(|member| self.kill(member));
        self.token += "+";
        let peers = self.members.iter().map(|member| format!("{}={}", member.name, member.peer()));
        let peers = peers.collect::<Vec<_>>().join(",");
        for member in 0..self.members.len() {
            let data = self.data(member);
            fs::remove_dir_all(&data).unwrap();
            let peer = self.members[member].peer();
            let arguments = ["snapshot", "restore", snapshot.to_str().unwrap()];
            let more = ["--name", &self.members[member].name, "--initial-cluster", &peers];
            let token = ["--initial-cluster-token", &self.token];
            let rest = ["--initial-advertise-peer-urls", &peer, "--data-dir"];
            let data = [data.to_str().unwrap()];
            let all = [&arguments[..], &more, &token, &rest, &data].concat();
            let output = self.ctl_at(member, &all);
            assert!(output.status.success(), "{output:?}");
        }
        self.start_all();
    }
}

impl Member {
    fn new(number: usize, address: Option<Ipv4Addr>) -> Member {
        // Nobody else's in 127.0.0.0/8, so that no port is taken between here and its use.
        let random = std::hash::BuildHasher::hash_one(
            &std::collections::hash_map::RandomState::new(),
            number,
        );
        let [a, b, c, ..] = random.to_le_bytes();
        let address = address.unwrap_or(Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254)));
        let ports = [0, 1].map(|_| TcpListener::bind((address, 0)).unwrap());
        let [client, peer] = ports.map(|listener| listener.local_addr().unwrap().port());
        Member { name: format!("m{number}"), address, client, peer, child: None }
    }

    fn peer(&self) -> String {
        format!("http://{}:{}", self.address, self.peer)
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.end();
    }
}

fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    TempDir::with_prefix_in("stillpoint-etcd-", folder).unwrap()
}
