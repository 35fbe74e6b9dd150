//! The pause for a real btrfs snapshot with 100 MB of dirty data, and what the command adds to the
//! bare tool: inside the pause, where writers wait for it, and outside, where nobody does.
//!
//! A snapshot commits a transaction, and that writes the dirty data out first. `stillpoint snapshot`
//! syncs before it closes the gate, so that the writers do not stand still meanwhile.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use stillpoint::{Barrier, ExclusiveOptions};

use crate::commands::STILLPOINT;
use crate::contenders;
use crate::measure::{Effort, median, percentile};
use crate::report::{Report, Row, Target, Time};

const DIRTY: usize = 100_000_000;

pub fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    const WHAT: &str = "pause for a btrfs snapshot, 100 MB dirty";
    let place = match Mounted::new(effort) {
        Ok(place) => place,
        Err(error) => {
            report.skip(WHAT, &format!("{error:#}"));
            return Ok(());
        }
    };
    let folder = effort.folder()?;
    let path = contenders::barrier(&folder);
    let barrier = Barrier::create(&path)?;
    let mut file = File::create(place.store().join("data"))?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..effort.pick(5, 20) {
        let name = format!("with-{round}");
        make_dirty(&mut file)?;
        with.push(by_command(&path, &place, &folder, &name)?.pause);
        place.remove(&name)?;

        let name = format!("without-{round}");
        make_dirty(&mut file)?;
        let pause = barrier.exclusive(&mut ExclusiveOptions::default())?;
        place.snapshot(&name)?;
        without.push(pause.release()?.pause.as_nanos() as f64);
        place.remove(&name)?;
    }
    let longest = percentile(with.clone(), 100.0);
    report.add(Row {
        what: WHAT.into(),
        measured: Time::Took(median(with)),
        peer: Some(("without syncing first".into(), Time::Took(median(without)))),
        target: Target::AtMost(20e6),
        note: format!("`stillpoint snapshot --btrfs`, longest {}", Time::Took(longest)),
    });
    overhead(effort, report, &place, &folder, &path)
}

/// With nothing dirty, so that the tool itself takes as little as it can.
fn overhead(
    effort: &Effort,
    report: &mut Report,
    place: &Mounted,
    folder: &Path,
    barrier: &Path,
) -> anyhow::Result<()> {
    let (mut bare, mut inside, mut outside) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..effort.pick(5, 20) {
        let name = format!("bare-{round}");
        let since = Instant::now();
        place.snapshot(&name)?;
        let tool = since.elapsed().as_nanos() as f64;
        place.remove(&name)?;

        let name = format!("command-{round}");
        let command = by_command(barrier, place, folder, &name)?;
        place.remove(&name)?;
        bare.push(tool);
        inside.push((command.pause - tool).max(0.0));
        outside.push(command.total - command.pause);
    }
    let peer = ("`btrfs subvolume snapshot` alone".to_string(), Time::Took(median(bare)));
    for (what, measured, target, note) in [
        ("inside the pause", inside, 1e6, "the pause less the bare tool"),
        (
            "outside the pause",
            outside,
            10e6,
            "the checks, three durable manifests, a durable rename",
        ),
    ] {
        report.add(Row {
            what: format!("what `stillpoint snapshot --btrfs` adds, {what}"),
            measured: Time::Took(median(measured)),
            peer: Some(peer.clone()),
            target: Target::AtMost(target),
            note: note.into(),
        });
    }
    Ok(())
}

/// How long the command took, in nanoseconds.
struct Taken {
    pause: f64,
    total: f64,
}

fn make_dirty(file: &mut File) -> std::io::Result<()> {
    // Different each time, and nothing that compresses away.
    let mut state = crate::measure::now() | 1;
    let block: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(1 << 17)
    .flatten()
    .collect();
    file.seek(SeekFrom::Start(0))?;
    for _ in 0..DIRTY.div_ceil(block.len()) {
        file.write_all(&block)?;
    }
    Ok(())
}

/// The pause is what the command itself reports.
fn by_command(barrier: &Path, place: &Mounted, folder: &Path, name: &str) -> anyhow::Result<Taken> {
    let mut command = Command::new(STILLPOINT);
    command
        .args(["snapshot", "--json", "--min-open", "0", "--name", name, "--catalog"])
        .arg(folder.join("catalog"));
    command.arg(barrier).arg("--btrfs").arg(place.store()).arg("--to").arg(place.snapshots());
    let since = Instant::now();
    let output = succeed(&mut command)?;
    let total = since.elapsed().as_nanos() as f64;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let pause = report.pointer("/pause/pause_ms").or_else(|| report.get("pause_ms"));
    let pause = pause.and_then(serde_json::Value::as_f64);
    let pause = pause.ok_or_else(|| anyhow::anyhow!("no pause in the report: {report}"))? * 1e6;
    Ok(Taken { pause, total })
}

/// A btrfs of our own in an image on a loop device; gone when dropped.
struct Mounted {
    at: PathBuf,
}

impl Mounted {
    fn new(effort: &Effort) -> anyhow::Result<Mounted> {
        anyhow::ensure!(nix::unistd::geteuid().is_root(), "only root may mount a file system");
        let folder = effort.folder_on_disk()?;
        let (image, at) = (folder.join("image"), folder.join("mounted"));
        File::create(&image)?.set_len(3 << 30)?;
        std::fs::create_dir(&at)?;
        succeed(Command::new("mkfs.btrfs").arg("--quiet").arg(&image))?;
        // Unmounting detaches a loop device that mount(8) has set up.
        succeed(
            Command::new("mount").args(["-t", "btrfs", "-o", "loop,noatime"]).arg(&image).arg(&at),
        )?;
        let place = Mounted { at };
        succeed(Command::new("btrfs").args(["-q", "subvolume", "create"]).arg(place.store()))?;
        std::fs::create_dir(place.snapshots())?;
        Ok(place)
    }

    fn store(&self) -> PathBuf {
        self.at.join("store")
    }

    fn snapshots(&self) -> PathBuf {
        self.at.join("snapshots")
    }

    fn snapshot(&self, name: &str) -> anyhow::Result<()> {
        let to = self.snapshots().join(name);
        succeed(
            Command::new("btrfs")
                .args(["-q", "subvolume", "snapshot", "-r"])
                .arg(self.store())
                .arg(to),
        )
        .map(drop)
    }

    /// Removes a snapshot, and writes that down: the next one shall not pay for it.
    fn remove(&self, name: &str) -> anyhow::Result<()> {
        let path = self.snapshots().join(name);
        succeed(Command::new("btrfs").args(["-q", "subvolume", "delete"]).arg(path))?;
        succeed(Command::new("btrfs").args(["filesystem", "sync"]).arg(&self.at)).map(drop)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for _ in 0..50 {
            if Command::new("umount")
                .arg(&self.at)
                .output()
                .is_ok_and(|output| output.status.success())
            {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        eprintln!("{} is still mounted", self.at.display());
    }
}

fn succeed(command: &mut Command) -> anyhow::Result<Output> {
    let program = command.get_program().display().to_string();
    let output =
        command.output().map_err(|error| anyhow::anyhow!("cannot run {program}: {error}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(
        output.status.success(),
        "{program}: {}",
        complaint.lines().last().unwrap_or("it failed")
    );
    Ok(output)
}
