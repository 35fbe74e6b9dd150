//! What one enter and leave costs when every core does nothing else.
//!
//! Each writer has a cache line of its own, so it should cost what it costs one thread alone. Two
//! threads that share one physical core slow each other down whatever they do, and so do other
//! tenants of the machine: a loop that shares nothing at all shows by how much, and the ratio is taken
//! over it. Costs are counted in a core's time, so waiting for a core is not among them; a round in
//! which somebody had no core for more than a tenth of it says nothing about cores that are busy with
//! this together, and is taken again.

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
            let round = loads.iter_mut().map(Load::cost).collect::<anyhow::Result<Vec<f64>>>()?;
            if round.iter().all(|cost| cost.is_finite()) {
                costs.iter_mut().zip(round).for_each(|(costs, cost)| costs.push(cost));
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
            target: Target::Ratio(1.15),
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
struct Load(Vec<Worker>);

impl Load {
    fn start(name: &str, folder: &std::path::Path, processes: &[usize]) -> anyhow::Result<Load> {
        let start = |threads: &usize| Worker::start("cost", name, folder, &[*threads as u64]);
        processes.iter().map(start).collect::<Result<_, _>>().map(Load)
    }

    /// What a pair costs now, on average; not a number if somebody had to wait for a core.
    fn cost(&mut self) -> anyhow::Result<f64> {
        self.0.iter_mut().try_for_each(Worker::tell)?;
        let mut costs = Vec::new();
        for worker in &mut self.0 {
            let answer = worker.numbers()?;
            costs.push(if answer[1] > 0.9 { answer[0] } else { f64::NAN });
        }
        Ok(costs.iter().sum::<f64>() / costs.len() as f64)
    }
}
