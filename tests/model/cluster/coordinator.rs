//! Coordinators, and whoever recovers what they left: all of it transactions on the store.

use super::model::Event;
use super::scene::Scene;
use super::state::{
    Broken, Coordinator, Epoch, Id, Manifest, Part, Phase, Report, State, Step, Verdict,
};
use super::variants::Variant;

pub fn step(scene: &Scene, s: &mut State, c: usize, event: Event) -> Option<&'static str> {
    Some(match (s.coordinators[c], event) {
        (Coordinator::Idle, Event::Begin) if s.epoch.is_none() && s.begun < scene.epochs => {
            // The one before has its verdict first.
            if s.begun().is_some_and(|last| s.verdicts[last.index()].0 == Verdict::None) {
                return None;
            }
            // Everybody of the roster was seen alive; it need not be true.
            if !s.hosts.iter().all(|host| !host.member || host.live != 0) {
                return None;
            }
            s.begun += 1;
            let id = Id { revision: s.begun, nonce: s.nonce };
            s.leaked[id.index()] = false;
            for host in &mut s.hosts {
                let part = &mut host.parts[id.index()];
                let noted = if host.member { host.live } else { 0 };
                let (manifest, of, of_nonce) = (part.manifest, part.of, part.of_nonce);
                *part = Part { nonce: id.nonce, noted, manifest, of, of_nonce, ..Part::default() };
            }
            s.put_epoch(Some(Epoch { id, phase: scene.begins }));
            s.coordinators[c] = Coordinator::Leads(id, scene.begins);
            "BEGIN"
        }
        (Coordinator::Leads(id, phase), Event::Commit) if is_full(scene, s, id, phase) => {
            let unchanged = s.epoch == Some(Epoch { id, phase });
            match phase {
                Phase::Prepare | Phase::Pause if !unchanged => return None,
                Phase::Prepare => lead(s, c, id, Phase::Pause),
                Phase::Pause => lead(s, c, id, Phase::Release),
                Phase::Release => {
                    if !unchanged && !scene.is(Variant::UnguardedVerdict) {
                        return None;
                    }
                    decide(scene, s, id, Verdict::Complete);
                    s.coordinators[c] = Coordinator::Idle;
                    "COMPLETE"
                }
            }
        }
        // It has seen a failure, lost its lease, waited long enough, or whatever.
        (Coordinator::Leads(id, _), Event::Abort) => {
            decide(scene, s, id, Verdict::Aborted);
            s.coordinators[c] = Coordinator::Idle;
            "ABORT"
        }
        (Coordinator::Leads(..), Event::Crash) => {
            s.crashes = s.crashes.checked_sub(1)?;
            s.coordinators[c] = Coordinator::Dead;
            "the coordinator is killed"
        }
        (Coordinator::Dead, Event::Restarts) => {
            s.coordinators[c] = Coordinator::Idle;
            "another coordinator"
        }
        _ => return None,
    })
}

/// A coordinator is told of a host's report.
pub fn see(scene: &Scene, s: &mut State, i: usize, revision: u8) -> Option<&'static str> {
    let id = s.led(revision)?;
    // A clone's reports stand in the place of its host's.
    let clone = s.hosts.iter().find(|host| host.exists && !host.member);
    let clone = clone.filter(|_| scene.is(Variant::AnyIncarnation)).map(|clone| clone.report);
    let host = &mut s.hosts[i];
    let part = &mut host.parts[id.index()];
    let mut report = clone.filter(|report| report.epoch == id).unwrap_or(host.report);
    let ours = scene.same(report.epoch, id) || scene.is(Variant::ReportOfAnyEpoch);
    let known = report.incarnation == part.noted || clone.is_some() || scene.is(Variant::Counts);
    if scene.is(Variant::LossSubtracts) && host.live == 0 {
        report = Report { epoch: id, step: Step::Certified, incarnation: part.noted };
    }
    let member = part.noted != 0 || scene.is(Variant::Counts);
    if !member || !ours || !known || report.step <= part.seen {
        return None;
    }
    let step = report.step;
    part.seen = step;
    Some("the coordinator is told of a report")
}

/// Whoever comes finishes what nobody leads any more.
pub fn recover(scene: &Scene, s: &mut State, revision: u8) -> Option<&'static str> {
    if revision > s.begun || s.epoch.is_some_and(|epoch| epoch.id.revision == revision) {
        return None;
    }
    let before = *s;
    let nonce = s.hosts[s.hosts.len() - 1].parts[revision as usize - 1].nonce;
    decide(scene, s, Id { revision, nonce }, Verdict::Aborted);
    (*s != before).then_some("RECOVER")
}

fn lead(s: &mut State, c: usize, id: Id, phase: Phase) -> &'static str {
    s.put_epoch(Some(Epoch { id, phase }));
    s.coordinators[c] = Coordinator::Leads(id, phase);
    if phase == Phase::Pause { "PAUSE" } else { "RELEASE" }
}

/// Whether every member has reported what this phase waits for.
fn is_full(scene: &Scene, s: &State, id: Id, phase: Phase) -> bool {
    let wanted = match phase {
        Phase::Prepare => Step::Prepared,
        Phase::Pause => Step::Ready,
        Phase::Release if scene.is(Variant::NoCertificate) => Step::Ready,
        Phase::Release => Step::Certified,
    };
    let index = id.index();
    let members = s.hosts.iter().filter(|host| host.parts[index].noted != 0);
    if scene.is(Variant::Counts) {
        let ready = s.hosts.iter().filter(|host| host.parts[index].seen >= wanted);
        return ready.count() >= members.count();
    }
    members.map(|host| host.parts[index].seen).all(|seen| seen >= wanted && seen != Step::Failed)
}

/// The verdict is created once; whoever finds one has it.
fn decide(scene: &Scene, s: &mut State, id: Id, verdict: Verdict) {
    let index = id.index();
    let was = s.verdicts[index].0;
    if was == Verdict::None || scene.is(Variant::VerdictTwice) {
        s.verdicts[index] = (verdict, id.nonce);
        if was != Verdict::None && was != verdict {
            s.broken = Some(Broken::Flipped);
        }
        if verdict == Verdict::Complete {
            let mut members = s.hosts.iter().map(|host| (host.member, host.parts[index]));
            let discarded = |(_, part): &(bool, Part)| {
                part.noted != 0 && part.manifest == Manifest::Discarded && part.of_nonce == id.nonce
            };
            if members.clone().any(|part| discarded(&part)) {
                s.broken = Some(Broken::Discarded);
            }
            if members.any(|(member, part)| member && (part.noted == 0 || !part.taken)) {
                s.broken = Some(Broken::Missing);
            }
        }
    }
    if s.is_of(id) {
        s.put_epoch(None);
    }
}

/// Nothing that was put since is known any more, and the same revisions come again. Coordinators do not
/// survive it; hosts do, and what they have sent.
pub fn restore(s: &mut State) {
    s.put_epoch(None);
    (s.begun, s.verdicts) = (0, Default::default());
    s.coordinators.fill(Coordinator::Idle);
    s.nonce += 1;
    for host in &mut s.hosts {
        (host.report, host.live) = (Report::default(), 0);
    }
}
