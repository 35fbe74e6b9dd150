//! What one enter and leave costs when every core does nothing else.
//!
//! Each writer has a cache line of its own, so it should cost what it costs one thread alone. Two
//! threads that share one physical core slow each other down whatever they do, and so do other
//! tenants of the machine: a loop that shares nothing at all shows by how much, and the ratio is taken
//! over it. Costs are counted in a core's time, so waiting for a core is not among them; a round in
//! which somebody had no core for more than a tenth of it says nothing about cores that are busy with
//! this together, and is taken again.

use std::path::Path;

use crate::measure::{Effort, median};
use crate::report::{Report, Row, Target, Time};
use crate::worker::Worker;

pub fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    let rounds = effort.pick(15, 31);
    let shapes = [("threads", vec![cores]), ("processes", vec![1; cores])];
    for ((shape, many), peer) in shapes.into_iter().zip(["parking_lot", "pthread"]) {
        let folder = effort.folder()?;
        let mut loads = Vec::new();
        for name in ["plain", "stillpoint", peer] {
            loads.push(Load::start(name, &folder, &[1])?);
            loads.push(Load::start(name, &folder, &many)?);
        }
        let mut costs = vec![Vec::new(); loads.len()];
        let mut attempts = 0;
        while costs[0].len() < rounds && attempts < 4 * rounds {
            attempts += 1;
            let rounds = loads.iter_mut().map(Load::round).collect::<Result<Vec<_>, _>>()?;
            if rounds.iter().all(|round| round.undisturbed) {
                costs.iter_mut().zip(rounds).for_each(|(costs, round)| costs.push(round.cost));
            }
        }
        let kept = costs[0].len();
        if kept < 3 {
            report.skip(
                &format!("enter+leave, {cores} {shape}"),
                "the cores are busy with other work",
            );
            continue;
        }
        let costs: Vec<f64> = costs.into_iter().map(median).collect();
        let slower = |first: usize| costs[first + 1] / costs[first];
        report.add(Row {
            what: format!("enter+leave, {cores} {shape} on {cores} cores"),
            measured: Time::Took(costs[3] / slower(0)),
            peer: Some(("one thread".into(), Time::Took(costs[2]))),
            target: Target::Ratio(1.1),
            note: format!(
                "{} before it is taken over a loop that shares nothing, which slowed down {:.2} x; \
                 {peer} slowed down {:.1} x; {kept} of {attempts} rounds had the cores to themselves",
                Time::Took(costs[3]),
                slower(0),
                slower(4)
            ),
        });
    }
    Ok(())
}

/// Workers that enter and leave at the same time.
pub struct Load(Vec<Worker>);

/// What one round of a load came to.
pub struct Round {
    /// What a pair cost on average, in nanoseconds of a core's time.
    pub cost: f64,
    /// Whether nobody had to wait for a core.
    pub undisturbed: bool,
}

impl Load {
    pub fn start(name: &str, folder: &Path, processes: &[usize]) -> anyhow::Result<Load> {
        let start = |threads: &usize| Worker::start("cost", name, folder, &[*threads as u64]);
        processes.iter().map(start).collect::<Result<_, _>>().map(Load)
    }

    pub fn round(&mut self) -> anyhow::Result<Round> {
        self.0.iter_mut().try_for_each(Worker::tell)?;
        let (mut costs, mut undisturbed) = (Vec::new(), true);
        for worker in &mut self.0 {
            let answer = worker.numbers()?;
            costs.push(answer[0]);
            undisturbed &= answer[1] > 0.9;
        }
        Ok(Round { cost: costs.iter().sum::<f64>() / costs.len() as f64, undisturbed })
    }
}
