//! Seeds: the code of agents and coordinators itself, over a store in memory and a clock that stands still unless
//! everybody waits. A seed says what goes wrong and when: agents and coordinators killed, stopped and cut off, one way
//! or both, answers lost, requests late, leases lost by mistake, watches that begin anew, gates opened, snapshots that
//! fail, hosts that join and leave, an epoch that is given up by somebody else.
//!
//! Whatever happens, what is called complete is judged by its data: writers send each other messages all the time,
//! and a receipt without its send is an orphan. When everything is mended, the group makes a complete
//! snapshot again.
//!
//! ```sh
//! cargo nextest run -p stillpoint-cluster simulation
//! STILLPOINT_SEEDS=5000 cargo nextest run -p stillpoint-cluster simulation
//! STILLPOINT_SEED=17 cargo test -p stillpoint-cluster --test cluster simulation::seeds -- --nocapture
//! ```

mod host;
mod oracle;
mod world;

use std::time::Duration;

use tokio::time::sleep;

use host::Flaw;
use oracle::Witness;
use world::World;

/// In CI.
const SEEDS: u64 = 100;

struct Ran {
    journal: Vec<String>,
    wrong: Vec<String>,
    epochs: usize,
    complete: usize,
}

/// A run of that seed.
fn run(seed: u64, flaw: Flaw) -> Ran {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut world = World::new(seed, flaw).await;
        let witness = Witness::of(&world.store);
        let snapshots = 3 + world.chance.below(6);
        let calm = 1 + world.chance.below(8);
        for _ in 0..snapshots {
            world.conduct();
            for _ in 0..1 + world.chance.below(12) {
                let wait = Duration::from_millis(world.chance.below(300));
                sleep(wait).await;
                if world.chance.one_in(calm) {
                    world.fault().await;
                }
            }
            let long = if world.chance.one_in(2) { 3000 } else { 100 };
            let wait = Duration::from_millis(world.chance.below(long));
            sleep(wait).await;
        }
        world.heal().await;
        let before = witness.complete();
        world.conduct();
        sleep(Duration::from_secs(10)).await;
        let mut wrong = witness.judge(&world);
        if witness.complete() == before {
            wrong.push("no complete snapshot, though nothing is wrong any more".to_owned());
        }
        let ran = Ran {
            journal: world.journal.lines(),
            wrong,
            epochs: witness.epochs(),
            complete: witness.complete(),
        };
        world.end();
        ran
    })
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn seeds() {
    if let Some(seed) = number("STILLPOINT_SEED") {
        let ran = run(seed, Flaw::None);
        ran.journal.iter().for_each(|line| println!("{line}"));
        assert!(ran.wrong.is_empty(), "{:#?}", ran.wrong);
        return;
    }
    let (mut epochs, mut complete) = (0, 0);
    for seed in 0..number("STILLPOINT_SEEDS").unwrap_or(SEEDS) {
        let ran = run(seed, Flaw::None);
        assert!(ran.wrong.is_empty(), "STILLPOINT_SEED={seed}: {:#?}", ran.wrong);
        (epochs, complete) = (epochs + ran.epochs, complete + ran.complete);
    }
    println!("{complete} of {epochs} epochs were complete");
    assert!(complete > epochs / 10 && complete < epochs, "{complete} of {epochs}");
}

/// A seed is a run: what is found once can be looked at again.
#[test]
fn a_seed_is_the_same_run_each_time() {
    for seed in [1, 2, 3] {
        let (once, again) = (run(seed, Flaw::None).journal, run(seed, Flaw::None).journal);
        assert_eq!(once, again);
    }
}

/// Whether some seed shows it.
fn is_seen(flaw: Flaw, sign: &str) -> bool {
    (0..SEEDS).any(|seed| run(seed, flaw).wrong.iter().any(|line| line.contains(sign)))
}

#[test]
fn hosts_without_gates_are_seen() {
    assert!(is_seen(Flaw::NoGate, "which has sent"));
}

#[test]
fn certificates_that_prove_nothing_are_seen() {
    assert!(is_seen(Flaw::NoCertificate, "which has sent"));
}
