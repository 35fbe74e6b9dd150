//! What it costs to start a command under a share, beside flock(1).

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use stillpoint::Barrier;

use crate::contenders;
use crate::measure::{Effort, median};
use crate::report::{Report, Row, Target, Time};

/// The command, as it was built with this bench.
pub const STILLPOINT: &str = env!("CARGO_BIN_EXE_stillpoint");

pub fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    const WHAT: &str = "`run -s BARRIER true`";
    if !Path::new(STILLPOINT).exists() {
        report.skip(WHAT, "the command is not built");
        return Ok(());
    }
    let folder = effort.folder()?;
    let path = contenders::barrier(&folder);
    Barrier::create(&path)?;
    let file = folder.join("flock");
    // As it is installed. What a linker has written lies in memory in small pieces, a page each, of which the kernel
    // maps each by itself: a fifteenth of the whole, which flock(1) does not pay either.
    let installed = effort.folder_on_disk()?.join("stillpoint");
    std::fs::copy(STILLPOINT, &installed)?;
    let mut own = Command::new(&installed);
    own.args(["run", "-s"]).arg(&path).arg("true");
    let mut peer = Command::new("flock");
    peer.arg("-s").arg(&file).arg("true");
    let mut bare = Command::new("true");
    let mut commands = [(&mut own, Vec::new()), (&mut peer, Vec::new()), (&mut bare, Vec::new())];
    for (command, _) in &mut commands {
        command.stdin(Stdio::null());
        for (name, _) in std::env::vars_os()
            .filter(|(name, _)| name.as_encoded_bytes().starts_with(b"STILLPOINT_"))
        {
            command.env_remove(name);
        }
        if let Err(error) = command.status() {
            report.skip(WHAT, &format!("cannot run {}: {error}", command.get_program().display()));
            return Ok(());
        }
    }
    for _ in 0..effort.pick(200, 1000) {
        for (command, times) in &mut commands {
            let started = Instant::now();
            let status = command.status()?;
            times.push(started.elapsed().as_nanos() as f64);
            anyhow::ensure!(status.success(), "{command:?} ended with {status}");
        }
    }
    let [own, peer, bare] = commands.map(|(_, times)| median(times));
    report.add(Row {
        what: WHAT.into(),
        measured: Time::Took(own),
        peer: Some(("`flock -s FILE true`".into(), Time::Took(peer))),
        target: Target::Ratio(1.1),
        note: format!("`true` alone {}", Time::Took(bare)),
    });
    Ok(())
}
