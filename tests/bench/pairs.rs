//! What one enter and leave costs a thread that has the lock to itself.

use std::os::fd::AsRawFd;
use std::time::Duration;

use stillpoint::Barrier;

use crate::c_library::{Counted, NestedInC, WriteLock};
use crate::contenders::{self, Contender};
use crate::library::{Header, Library};
use crate::measure::{Effort, file_system, pair_costs};
use crate::report::{Report, Row, Target, Time};

const STRETCH: Duration = Duration::from_millis(1);

pub fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    let (memory, disk) = (effort.folder()?, effort.folder_on_disk()?);
    let rounds = effort.pick(51, 301);
    let cyrus_on_disk = format!("open+fcntl+close as Cyrus, {}", file_system(&disk));
    let cyrus_in_memory = format!("open+fcntl+close as Cyrus, {}", file_system(&memory));
    let peers = [
        (
            "parking_lot RwLock".into(),
            contenders::open("parking_lot", &memory)?,
            Target::Ratio(0.6),
        ),
        ("std RwLock".into(), contenders::open("std", &memory)?, Target::None),
        (
            "process-shared pthread_rwlock".into(),
            contenders::open("pthread", &memory)?,
            Target::None,
        ),
        (
            "the same, writers first".into(),
            contenders::open("pthread-writers", &memory)?,
            Target::None,
        ),
        ("robust pthread_mutex".into(), contenders::open("mutex", &memory)?, Target::None),
        // A system call is cheap there, and a fence dear.
        (
            "flock (fs2)".into(),
            contenders::open("flock", &memory)?,
            Target::Cheaper(if is_intel() { 70.0 } else { 300.0 }),
        ),
        ("fcntl".into(), contenders::open("fcntl", &memory)?, Target::None),
        ("OFD lock".into(), contenders::open("OFD", &memory)?, Target::None),
        (cyrus_on_disk, contenders::open("Cyrus", &disk)?, Target::Cheaper(250.0)),
        (cyrus_in_memory, contenders::open("Cyrus", &memory)?, Target::Cheaper(250.0)),
    ];
    let barrier = Barrier::create(contenders::barrier(&memory))?;
    let mut all: Vec<&dyn Contender> = vec![&barrier];
    all.extend(peers.iter().map(|(_, contender, _)| contender.as_ref()));
    let costs = pair_costs(&all, rounds, STRETCH);
    let own = costs[0];
    for ((name, _, target), cost) in peers.into_iter().zip(&costs[1..]) {
        report.add(Row {
            what: "enter+leave, one thread".into(),
            measured: Time::Took(own),
            peer: Some((name, Time::Took(*cost))),
            target,
            note: String::new(),
        });
    }

    let fenced = Barrier::options().fences(true).found(memory.join("fenced.barrier"))?;
    let costs = pair_costs(&[&barrier, &fenced], rounds, STRETCH);
    report.add(Row {
        what: "enter+leave, no fence of its own".into(),
        measured: Time::Took(costs[0]),
        peer: Some(("the same with fences".into(), Time::Took(costs[1]))),
        // How dear a fence is differs between processors.
        target: Target::Ratio(if is_intel() { 0.6 } else { 0.8 }),
        note: match barrier.is_unfenced() {
            true => "the other barrier was made by create --fences".into(),
            false => "this kernel offers no call to do without".into(),
        },
    });

    let nested = Nested(&barrier);
    let costs = pair_costs(&[&nested, &barrier], rounds, STRETCH);
    report.add(Row {
        what: "nested enter+leave".into(),
        measured: Time::Took(costs[0]),
        peer: Some(("the outer one".into(), Time::Took(costs[1]))),
        target: Target::AtMost(2.0),
        note: String::new(),
    });

    let library = Library::open(&memory.join("c.barrier"), Header::Inline)?;
    let calls = Library::open(&memory.join("calls.barrier"), Header::Calls)?;
    let costs = pair_costs(&[&library, &barrier, &calls], rounds, STRETCH);
    report.add(Row {
        what: "enter+leave, from C".into(),
        measured: Time::Took(costs[0]),
        peer: Some(("the Rust interface".into(), Time::Took(costs[1]))),
        target: Target::Ratio(1.25),
        note: String::new(),
    });
    report.add(Row {
        what: "enter+leave, from C by calls (STILLPOINT_NO_INLINE)".into(),
        measured: Time::Took(costs[2]),
        peer: Some(("the Rust interface".into(), Time::Took(costs[1]))),
        target: Target::None,
        note: String::new(),
    });

    let nested = NestedInC(&library);
    let costs = pair_costs(&[&nested, &library], rounds, STRETCH);
    report.add(Row {
        what: "nested enter+leave, from C".into(),
        measured: Time::Took(costs[0]),
        peer: Some(("the outer one, from C".into(), Time::Took(costs[1]))),
        target: Target::None,
        note: String::new(),
    });

    let counted = Counted(&library);
    let costs = pair_costs(&[&counted, &library], rounds, STRETCH);
    report.add(Row {
        what: "begin+end of a counted share, from C".into(),
        measured: Time::Took(costs[0]),
        peer: Some(("enter+leave, from C".into(), Time::Took(costs[1]))),
        target: Target::None,
        note: String::new(),
    });

    let mailbox = std::fs::File::create(memory.join("mailbox"))?;
    let descriptor = mailbox.as_raw_fd();
    let wrapped = WriteLock { descriptor, library: Some(&library) };
    let bare = WriteLock { descriptor, library: None };
    let costs = pair_costs(&[&wrapped, &bare], rounds, STRETCH);
    report.add(Row {
        what: "a write lock that brings a share, from C".into(),
        measured: Time::Took(costs[0]),
        peer: Some(("flock alone".into(), Time::Took(costs[1]))),
        target: Target::Ratio(1.03),
        note: String::new(),
    });
    Ok(())
}

fn is_intel() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|about| about.contains("GenuineIntel"))
}

/// Pairs inside a share.
struct Nested<'a>(&'a Barrier);

impl Contender for Nested<'_> {
    fn pairs(&self, count: u64) {
        Contender::share(self.0, &mut || self.0.pairs(count));
    }

    fn share(&self, inside: &mut dyn FnMut()) {
        Contender::share(self.0, inside);
    }

    fn exclusive(&self, inside: &mut dyn FnMut()) {
        Contender::exclusive(self.0, inside);
    }
}
