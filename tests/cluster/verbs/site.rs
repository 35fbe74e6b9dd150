//! A group as its administrator has it: an etcd, and hosts with a configuration file each.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use serde_json::Value;

use crate::child::machine::{Machine, stillpoint};
use crate::common::process::{Done, Running, run, start, without_our_variables};
use crate::common::time::{ms, until};
use crate::servers::Servers;

/// One member that is its own leader soon.
const HASTY: [&str; 2] = ["--heartbeat-interval=20", "--election-timeout=200"];

/// Limits that a test can wait for.
const LIMITS: &str = "prepare = 20\ndrain = 2\nhold = 6\nmin-open = 0.05\nagent-lease = 5\ncoordinator-lease = 3\ncounts = 0.2";

/// Nothing takes anywhere near as long on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The store of a group. Its hosts end before it does.
pub fn engine() -> Option<Servers> {
    Servers::start_with(1, &HASTY.map(str::to_owned))
}

/// A host.
pub struct Host {
    pub machine: Machine,
    agent: Option<Running>,
    /// The agent that ran here before this one.
    before: Value,
    /// Words before the program, for this host alone.
    pub within: Vec<String>,
}

impl Host {
    /// A host of the group, with this in its configuration besides.
    pub fn new(servers: &Servers, name: &str, more: &str) -> Host {
        let host = Host {
            machine: Machine::new(name),
            agent: None,
            before: Value::Null,
            within: Vec::new(),
        };
        let more = if more.contains("[limits]") {
            more.to_owned()
        } else {
            format!("{more}\n[limits]\n{LIMITS}\n")
        };
        host.configure(&servers.endpoints(), &more);
        host
    }

    pub fn configure(&self, endpoints: &[String], more: &str) {
        let work = if more.contains("snapshot = ") { "" } else { "job = 'mail'\n" };
        let name = &self.machine.name;
        let host =
            if more.contains("host = ") { String::new() } else { format!("host = '{name}'\n") };
        let state = self.machine.path("agent");
        let text = format!(
            "group = 'mail'\nendpoints = {endpoints:?}\n{host}{work}state = '{}'\n{more}",
            state.display()
        );
        fs::write(self.configuration(), text).unwrap();
    }

    /// Its part is made by this script, which takes as long as it likes.
    pub fn scripted(servers: &Servers, name: &str, script: &str) -> Host {
        let host = Host::new(servers, name, "");
        let barrier = host.machine.barrier();
        let words = [&barrier, "--hold", "9", "--min-open", "0", "--", "sh", "-c", script];
        let more = format!("snapshot = {words:?}\n[limits]\n{LIMITS}\n");
        host.configure(&servers.endpoints(), &more);
        host
    }

    pub fn configuration(&self) -> PathBuf {
        self.machine.path("cluster.toml")
    }

    /// `stillpoint-cluster` on this host.
    pub fn command(&self, words: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_stillpoint-cluster").to_owned();
        let mut all = self.within.iter().cloned().chain([program]);
        let mut command = Command::new(all.next().unwrap());
        command.args(all).arg("--config").arg(self.configuration()).args(words);
        self.surround(&mut command);
        command
    }

    /// With what a command finds on this host.
    pub fn surround(&self, command: &mut Command) {
        without_our_variables(command, &[]);
        let path = std::env::var("PATH").unwrap();
        let own = stillpoint();
        let own = own.parent().unwrap().display();
        command.env("PATH", format!("{own}:{path}")).envs(self.machine.environment());
        command.stdin(Stdio::null());
    }

    pub fn run(&self, words: &[&str]) -> Done {
        run(self.command(words))
    }

    /// What it prints, of a verb that succeeds.
    #[track_caller]
    pub fn must(&self, words: &[&str]) -> String {
        let done = self.run(words);
        done.assert_code(0);
        done.stdout
    }

    /// The same, read as JSON.
    #[track_caller]
    pub fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.must(words)).unwrap()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.machine.path("agent.log")).unwrap_or_default()
    }

    pub fn start_agent(&mut self) {
        let command = self.command(&["agent"]);
        self.start_agent_by(command);
    }

    /// By a command that was changed.
    pub fn start_agent_by(&mut self, command: Command) {
        let log = File::options().create(true).append(true).open(self.machine.path("agent.log"));
        let log = log.unwrap();
        // It ends with the thread that starts it.
        let mut ending = Command::new("setpriv");
        ending.args(["--pdeathsig", "KILL"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => ending.env(name, value),
                None => ending.env_remove(name),
            };
        }
        ending.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.before = self.incarnation();
        self.agent = Some(start(ending));
    }

    /// Of the agent that wrote down last that it is there.
    fn incarnation(&self) -> Value {
        let notes = fs::read(self.machine.path("agent/mail.json")).unwrap_or_default();
        let notes: Value = serde_json::from_slice(&notes).unwrap_or_default();
        notes["incarnation"].clone()
    }

    pub fn agent(&mut self) -> &mut Running {
        self.agent.as_mut().expect("an agent")
    }

    /// kill -9.
    pub fn kill_agent(&mut self) {
        // With whatever it is started by.
        killpg(self.agent().pid, Signal::SIGKILL).unwrap();
        self.agent().end();
        self.agent = None;
    }

    /// Until the store has it as a member, and the agent that runs here now.
    #[track_caller]
    pub fn until_it_takes_part(&self) {
        let name = self.machine.name.as_str();
        let is_there = || {
            let now = self.incarnation();
            let status = self.run(&["status", "--json"]).stdout;
            let status: Value = serde_json::from_str(&status).unwrap_or_default();
            let hosts = status["hosts"].as_array().cloned().unwrap_or_default();
            hosts.iter().any(|host| {
                let life = &host["live"]["incarnation"];
                let is_own = life.is_object() && *life == now && *life != self.before;
                host["host"] == name && !host["member"].is_null() && is_own
            })
        };
        until(&format!("{name} takes part"), is_there);
    }

    /// Until its agent has said this.
    #[track_caller]
    pub fn until_said(&self, text: &str) {
        let since = Instant::now();
        while !self.log().contains(text) {
            assert!(since.elapsed() < PATIENCE, "no {text:?} in its log:\n{}", self.log());
            sleep(ms(10));
        }
    }

    /// Whether no run of its job is under way.
    pub fn is_idle(&self) -> bool {
        !self.machine.verb(&["job", "list", "--json"]).contains("\"running\": true")
    }

    /// The newest complete snapshot in its own catalogue.
    pub fn latest(&self) -> Option<String> {
        self.machine.latest()
    }
}

/// Hosts that have joined and whose agents are there.
pub fn group(servers: &Servers, names: &[&str]) -> Vec<Host> {
    let mut hosts: Vec<Host> = names.iter().map(|name| Host::new(servers, name, "")).collect();
    populate(&mut hosts);
    hosts
}

/// Has them join, and starts their agents.
#[track_caller]
pub fn populate(hosts: &mut [Host]) {
    for host in hosts.iter_mut() {
        host.must(&["join"]);
        host.start_agent();
    }
    until_all_take_part(hosts);
}

/// Until a coordinator counts on each of them.
#[track_caller]
pub fn until_all_take_part(hosts: &[Host]) {
    hosts.iter().for_each(Host::until_it_takes_part);
}

/// Until nothing of a snapshot is under way on any of them: nothing is done twice at a time.
pub fn until_idle(hosts: &[Host]) {
    until("nothing is under way", || hosts.iter().all(Host::is_idle));
}

/// Takes snapshots until one is complete, which it is as soon as all agents are there again; its name.
#[track_caller]
pub fn until_complete(host: &Host) -> String {
    let since = Instant::now();
    loop {
        let done = host.run(&["snapshot"]);
        if done.code() == 0 {
            return done.stdout.trim_end().to_owned();
        }
        assert!(since.elapsed() < PATIENCE, "never complete: {done:#?}");
    }
}

/// Until nobody's snapshot of this name is under way any more, and all have it or none has.
#[track_caller]
pub fn until_settled(hosts: &[Host], name: &str) {
    for host in hosts {
        let what = format!("{name} is settled on {}", host.machine.name);
        until(&what, || host.machine.is_settled(name) && host.is_idle());
    }
}

/// Until what was told by a host's script that it is inside, while this goes on.
#[track_caller]
pub fn until_there(path: &Path, meanwhile: &mut Running) {
    let since = Instant::now();
    while !path.exists() {
        assert!(since.elapsed() < PATIENCE, "no {}", path.display());
        assert!(meanwhile.is_running(), "it has ended before: {}", meanwhile.end());
        sleep(ms(5));
    }
}
