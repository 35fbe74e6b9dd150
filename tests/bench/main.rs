//! What the barrier costs, beside the locks that it might be replaced by.
//!
//! ```text
//! cargo bench --bench compare -- [--quick] [--json] [--check] [GROUP...]
//! cargo bench --bench compare -- --publish|--add|--redraw
//! ```
//!
//! Every figure is a ratio, or stands beside its peer's, measured in this very run: absolute times
//! say more about the machine than about the barrier. Contenders take turns, round by round, so that
//! whatever else the machine does strikes all of them, and the median of the rounds is what counts.
//! Nothing is pinned to a core. A row whose target is missed says so; the exit status is 0 all the
//! same, unless `--check` asks otherwise.
//!
//! Processes are this program again, with `--worker` (see `worker`).

mod adoption;
mod c_library;
mod commands;
mod contenders;
mod figures;
mod growth;
mod joining;
mod library;
mod measure;
mod pairs;
mod pauses;
mod pthread;
mod quiet;
mod recovery;
mod report;
mod scaling;
mod snapshots;
mod worker;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::figures::processors;
use crate::measure::Effort;
use crate::report::Report;

/// Compare the barrier with other locks, and with its own targets.
#[derive(Parser)]
#[command(name = "compare")]
struct Arguments {
    /// Fewer rounds and shorter caps, for CI
    #[arg(long)]
    quick: bool,

    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,

    /// Exit with 1 if a row misses its target
    #[arg(long)]
    check: bool,

    /// Write the results into the repository: the data, and what is shown of it
    #[arg(long, conflicts_with = "groups")]
    publish: bool,

    /// Write into the repository what one enter and leave costs on this processor, beside the others, and measure
    /// nothing else
    #[arg(long, conflicts_with_all = ["publish", "redraw", "groups"])]
    add: bool,

    /// Measure nothing, and make what is shown from the data that is there
    #[arg(long, conflicts_with_all = ["publish", "quick", "json", "check", "groups"])]
    redraw: bool,

    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,

    /// Only these groups: pairs, joining, scaling, pauses, quiet, recovery, commands, adoption,
    /// snapshots, growth
    #[arg(value_parser = GROUPS.map(|(name, _)| name))]
    groups: Vec<String>,
}

type Group = fn(&Effort, &mut Report) -> anyhow::Result<()>;

const GROUPS: [(&str, Group); 10] = [
    ("pairs", pairs::measure),
    ("joining", joining::measure),
    ("scaling", scaling::measure),
    ("pauses", pauses::measure),
    ("quiet", quiet::measure),
    ("recovery", recovery::measure),
    ("commands", commands::measure),
    ("adoption", adoption::measure),
    ("snapshots", snapshots::measure),
    ("growth", growth::measure),
];

fn main() -> anyhow::Result<ExitCode> {
    let given: Vec<String> = std::env::args().collect();
    if given.get(1).is_some_and(|first| first == "--worker") {
        worker::run(&given[2..])?;
        return Ok(ExitCode::SUCCESS);
    }
    let arguments = Arguments::parse();
    if arguments.redraw {
        redraw()?;
        return Ok(ExitCode::SUCCESS);
    }
    let effort = Effort::new(arguments.quick)?;
    let mut report = Report::new(&effort);
    let asked = if arguments.add { &["pairs".to_owned()] } else { &arguments.groups[..] };
    for (name, group) in GROUPS {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            eprintln!("Measuring {name} ...");
            group(&effort, &mut report)?;
        }
    }
    report.finish();
    print!("{}", if arguments.json { report.json()? } else { report.markdown() });
    if arguments.publish {
        anyhow::ensure!(report.skipped().is_empty(), "nothing is published: a row is missing");
        let data = figures::data(root());
        std::fs::create_dir_all(data.parent().expect("it lies in a folder"))?;
        std::fs::write(data, report.json()?)?;
    }
    if arguments.publish || arguments.add {
        let this = processors::Processor::of(report.results())?;
        let all = processors::with(processors::read(root())?, this);
        std::fs::write(processors::data(root()), processors::json(&all)?)?;
        redraw()?;
    }
    Ok(ExitCode::from(u8::from(arguments.check && report.misses() > 0)))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn redraw() -> anyhow::Result<()> {
    for (path, text) in figures::files(root())? {
        std::fs::write(&path, text)?;
        eprintln!("Wrote {}", path.display());
    }
    Ok(())
}
