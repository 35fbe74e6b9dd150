//! strace(1): which system calls a process makes, and one of them failing or killing it.
//!
//! A fault is *the n-th call of a name*, counted by strace for each thread from the moment at which it
//! was attached, so the same number strikes the same call in every run of a deterministic act. Where
//! it did strike is read from the trace, never assumed.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A call that a process entered, as strace shows it.
#[derive(Clone, Debug)]
pub struct Call {
    pub name: String,
    /// The how-manieth of this name, in its thread.
    pub nth: u32,
    pub text: String,
    /// Whether it was struck.
    pub struck: bool,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// It fails with this error, and does nothing.
    Fails(&'static str),
    /// The process is killed when it enters it: after all that came before, before the call itself.
    Kills,
}

/// Which call, and what happens to it.
#[derive(Clone, Debug)]
pub struct Fault {
    pub name: String,
    pub nth: u32,
    pub trouble: Trouble,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Fault { name, nth, .. } = self;
        match self.trouble {
            Trouble::Fails(errno) => write!(f, "{name} number {nth} fails with {errno}"),
            Trouble::Kills => write!(f, "killed at {name} number {nth}"),
        }
    }
}

/// The options that make strace do it.
pub fn options(command: &mut Command, output: &std::path::Path, fault: Option<&Fault>) {
    command.args(["-y", "-s", "0", "-e", "signal=none", "-o"]).arg(output);
    if let Some(Fault { name, nth, trouble }) = fault {
        let what = match trouble {
            Trouble::Fails(errno) => format!("error={errno}"),
            Trouble::Kills => "signal=SIGKILL".into(),
        };
        command.args(["-e", &format!("inject={name}:{what}:when={nth}")]);
    }
}

/// Whether this machine can.
pub fn works() -> bool {
    let mut probe = Command::new("strace");
    probe.args(["-e", "inject=close:error=EIO:when=1000", "true"]).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// One that is attached to a process and the threads and processes that it makes from now on.
pub struct Strace {
    child: Child,
    output: PathBuf,
    /// Its messages: closed any earlier, they would end it.
    _messages: Box<dyn Read + Send>,
}

impl Strace {
    /// Returns when every thread of the process is traced.
    pub fn attach(pid: u32, output: PathBuf, fault: Option<&Fault>) -> Result<Strace, String> {
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &pid.to_string()]).stdin(Stdio::null()).stderr(Stdio::piped());
        options(&mut command, &output, fault);
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let mut messages = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        messages.read_line(&mut line).map_err(|error| error.to_string())?;
        let strace = Strace { child, output, _messages: Box::new(messages) };
        match line.contains(" attached") {
            true => Ok(strace),
            false => Err(format!("strace: {}", line.trim_end())),
        }
    }

    /// What was called. Everything that it traced has ended.
    pub fn finish(mut self) -> Vec<Call> {
        let _ = self.child.wait();
        read(&self.output)
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The calls of a trace, in the order in which they were entered.
pub fn read(output: &std::path::Path) -> Vec<Call> {
    let text = fs::read_to_string(output).unwrap_or_default();
    let mut counts = std::collections::HashMap::new();
    let mut calls: Vec<Call> = Vec::new();
    for line in text.lines() {
        let (thread, rest) = match line.split_once(' ') {
            Some((thread, rest)) if thread.bytes().all(|byte| byte.is_ascii_digit()) => {
                (thread, rest.trim_start())
            }
            _ => ("", line),
        };
        // What was struck may be said only where the call is resumed.
        if rest.starts_with("<... ") && rest.contains("(INJECTED)") {
            let name = rest["<... ".len()..].split(' ').next().unwrap_or("");
            let mut begun = calls.iter_mut().rev();
            if let Some(call) = begun.find(|call| call.name == name) {
                call.struck = true;
            }
        }
        let Some((name, arguments)) = rest.split_once('(') else { continue };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            continue;
        }
        let nth = counts.entry((thread.to_string(), name.to_string())).or_insert(0);
        *nth += 1;
        let (nth, struck) = (*nth, arguments.contains("(INJECTED)"));
        calls.push(Call { name: name.into(), nth, text: rest.into(), struck });
    }
    calls
}
