//! What becomes of a cost as more take part: the curves of the plots.
//!
//! Time to quiet: the exclusive side is asked for among more and more busy writers, and the longest
//! wait of a few is shown; the first one that is given up ends it, so a lock that lets its writers
//! starve the tool costs the bench no more than that. Nobody can be quiet sooner than the last share
//! ends, so the longest share that any writer held stands beside.
//!
//! Cost of a pair: as in `scaling`, but on more threads and processes than there are cores, so it is
//! counted in a core's time. What it costs to take turns on a core is then the same for all.

use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::contenders;
use crate::figures::{Curve, Point};
use crate::measure::{Effort, median};
use crate::quiet::Waits;
use crate::report::{Report, Time};
use crate::scaling::Load;

pub fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    // Each worker has two pipes.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    report.growth().quiet = quiet(effort)?;
    let threads = ["stillpoint", "parking_lot", "pthread", "flock", "OFD"];
    report.growth().threads = pairs(effort, &threads, |many| vec![many])?;
    let processes = ["stillpoint", "pthread", "flock", "OFD", "Cyrus"];
    report.growth().processes = pairs(effort, &processes, |many| vec![1; many])?;
    Ok(())
}

fn quiet(effort: &Effort) -> anyhow::Result<Vec<Curve>> {
    const TRIES: usize = 10;
    let cap = Duration::from_secs(effort.pick(1, 5));
    let mut longest_shares =
        Curve { name: "longest share of any writer".into(), points: Vec::new() };
    let mut curves = Vec::new();
    for name in ["stillpoint", "pthread-writers", "pthread", "flock", "fcntl"] {
        let mut points = Vec::new();
        for many in [2u64, 4, 8, 16, 32, 64, 128, 256, 512] {
            let waits = Waits::of(name, &effort.folder()?, many as usize, TRIES, cap, cap)?;
            points.push(Point { many, time: waits.percentile(100.0) });
            if name == "stillpoint" {
                let time = Time::Took(waits.longest_share);
                longest_shares.points.push(Point { many, time });
            }
        }
        curves.push(Curve { name: contenders::title(name).into(), points });
    }
    curves.insert(0, longest_shares);
    Ok(curves)
}

/// The cost of enter and leave for 1, 2, 4, 8 and 16, who are spread over processes like that.
fn pairs(
    effort: &Effort,
    names: &[&str],
    spread: fn(usize) -> Vec<usize>,
) -> anyhow::Result<Vec<Curve>> {
    let mut curves: Vec<Curve> = names
        .iter()
        .map(|name| Curve { name: contenders::title(name).into(), points: Vec::new() })
        .collect();
    for many in [1, 2, 4, 8, 16] {
        let folder = effort.folder()?;
        let start = |name: &&str| Load::start(name, &folder, &spread(many));
        let mut loads = names.iter().map(start).collect::<Result<Vec<_>, _>>()?;
        let mut costs = vec![Vec::new(); names.len()];
        for _ in 0..effort.pick(5, 15) {
            for (load, costs) in loads.iter_mut().zip(&mut costs) {
                costs.push(load.round()?.cost);
            }
        }
        for (curve, costs) in curves.iter_mut().zip(costs) {
            let time = Time::Took(median(costs));
            curve.points.push(Point { many: many as u64, time });
        }
    }
    Ok(curves)
}
