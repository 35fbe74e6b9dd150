//! A host: its agent, the snapshot tool that the agent drives, and the gate.

use super::model::Event;
use super::scene::{Mode, Scene};
use super::state::{
    Broken, Change, Child, Epoch, Host, Id, Manifest, Phase, Report, State, Step, Verdict,
};
use super::variants::Variant;

pub fn step(scene: &Scene, s: &mut State, i: usize, event: Event) -> Option<&'static str> {
    let host = &mut s.hosts[i];
    let runs = host.incarnation != 0;
    Some(match event {
        Event::Told if runs && host.told < s.count => {
            let change = s.changes[host.told as usize]?;
            host.told += 1;
            obey(scene, host, change);
            "the agent is told of a change of the epoch"
        }
        Event::Resynced if runs && host.told < s.count => {
            host.told = s.count;
            let now = s.epoch;
            look(scene, host, now);
            "the agent's watch begins anew"
        }
        Event::Tool if runs => tool(scene, host)?,
        Event::Fails if runs && host.child != Child::None && host.child < Child::Certified => {
            s.failures = s.failures.checked_sub(1)?;
            host.fail();
            "the snapshot tool fails"
        }
        Event::Sent | Event::Copied if host.sent.step != Step::None => {
            let report = std::mem::take(&mut host.sent);
            if event == Event::Copied {
                s.copies = s.copies.checked_sub(1)?;
                host.late = report;
            }
            apply(s, i, report)
        }
        Event::Late if host.late.step != Step::None => {
            let report = std::mem::take(&mut host.late);
            // The key was put since the sender looked: by the report itself.
            if scene.is(Variant::UnguardedReports) {
                apply(s, i, report);
            }
            "a copy of a report comes late"
        }
        Event::Settled if runs => settle(scene, s, i)?,
        Event::Crash if runs => {
            s.crashes = s.crashes.checked_sub(1)?;
            host.drop_child();
            host.incarnation = 0;
            "the agent is killed"
        }
        Event::Restarts if host.exists && !runs && host.live == 0 => {
            host.incarnation = host.fresh();
            host.live = host.incarnation;
            host.told = s.count;
            if scene.forgets {
                host.last = 0;
            }
            let now = s.epoch;
            look(scene, host, now);
            "an agent starts"
        }
        Event::Opens if host.closed => {
            host.closed = false;
            "the gate is opened by somebody"
        }
        // Of one that is dead, in the end; of one that lives, by mistake.
        Event::LosesLease if host.live != 0 => {
            if runs {
                s.losses = s.losses.checked_sub(1)?;
            }
            host.live = 0;
            "the agent's lease is lost"
        }
        // Refused while there is an epoch.
        Event::Moves
            if host.exists && (s.epoch.is_none() || scene.is(Variant::MovesInMidEpoch)) =>
        {
            s.moves = s.moves.checked_sub(1)?;
            host.member = !host.member;
            "the host joins or leaves"
        }
        Event::Renews if runs && host.live == 0 => {
            host.live = host.incarnation;
            "the agent takes a new lease"
        }
        _ => return None,
    })
}

/// What the agent makes of what it was told.
fn obey(scene: &Scene, host: &mut Host, change: Change) {
    match change {
        Change::Put(Epoch { id, phase })
            if scene.same(id, host.epoch) && host.child != Child::None =>
        {
            host.phase = host.phase.max(phase);
        }
        Change::Put(Epoch { id, phase }) => {
            host.leave_child();
            let new = id.revision > host.last;
            let obeys = new && phase == scene.begins || scene.is(Variant::ObeysTwice) && !new;
            host.last = host.last.max(id.revision);
            if obeys {
                (host.epoch, host.phase, host.child) = (id, phase, Child::Prepared);
                if phase == Phase::Prepare {
                    host.say(Step::Prepared);
                }
            }
        }
        Change::Delete => host.leave_child(),
    }
}

/// The agent reads the key.
fn look(scene: &Scene, host: &mut Host, now: Option<Epoch>) {
    match now {
        Some(epoch) => obey(scene, host, Change::Put(epoch)),
        None => host.leave_child(),
    }
}

/// The next step of the snapshot tool.
fn tool(scene: &Scene, host: &mut Host) -> Option<&'static str> {
    if host.child == Child::None {
        return None;
    }
    let ready_when_quiet = scene.mode == Mode::Early;
    let (index, nonce) = (host.epoch.index(), host.epoch.nonce);
    Some(match host.child {
        Child::Prepared if host.phase >= Phase::Pause && !host.closed => {
            host.closed = true;
            host.child = Child::Quiet;
            if ready_when_quiet {
                host.say(Step::Ready);
            }
            "the tool closes the gate, and it is quiet"
        }
        Child::Quiet => {
            host.child = Child::Snapping;
            let part = &mut host.parts[index];
            if part.nonce == nonce {
                (part.begun, part.taken) = (true, false);
            }
            "the tool begins its snapshot"
        }
        Child::Snapping => {
            host.child = Child::Snapped;
            let part = &mut host.parts[index];
            part.taken |= part.nonce == nonce;
            if !ready_when_quiet {
                host.say(Step::Ready);
            }
            "the snapshot is whole"
        }
        Child::Snapped if host.phase >= Phase::Release || scene.is(Variant::OpensBeforeRelease) => {
            let certified = std::mem::take(&mut host.closed);
            if certified || scene.is(Variant::TrustsItsTimer) {
                host.child = Child::Certified;
                let part = &mut host.parts[index];
                (part.manifest, part.of, part.of_nonce) =
                    (Manifest::Waiting, host.incarnation, nonce);
                host.say(Step::Certified);
            } else {
                host.fail();
            }
            "the tool opens the gate by a swap"
        }
        _ => return None,
    })
}

/// A report's transaction: refused unless the epoch is that of the report still.
fn apply(s: &mut State, i: usize, report: Report) -> &'static str {
    if !s.is_of(report.epoch) {
        return "a report is refused";
    }
    s.hosts[i].report = report;
    "a report is put"
}

/// The agent reads the verdict of what it has certified.
fn settle(scene: &Scene, s: &mut State, i: usize) -> Option<&'static str> {
    let begun = s.begun();
    let host = &mut s.hosts[i];
    let waits = |index: &usize| host.parts[*index].manifest == Manifest::Waiting;
    let index = (0..s.verdicts.len()).find(waits)?;
    let part = &mut host.parts[index];
    let (verdict, nonce) = s.verdicts[index];
    let named = part.noted == part.of && (nonce == part.of_nonce || scene.is(Variant::IdAlone));
    // Read not after the verdict: without its key, no epoch becomes complete. But a store that has not
    // begun it may have forgotten anything.
    let id = Id { revision: index as u8 + 1, nonce: part.of_nonce };
    let over = s.epoch.is_none_or(|epoch| !scene.same(epoch.id, id)) && begun == Some(id);
    part.manifest = match verdict {
        Verdict::Complete if named => Manifest::Clean,
        Verdict::Complete | Verdict::Aborted => Manifest::Discarded,
        Verdict::None if scene.is(Variant::CleanWhenCertified) => Manifest::Clean,
        Verdict::None if scene.is(Variant::CleanWhenDeleted) && over => Manifest::Clean,
        Verdict::None if over || scene.is(Variant::DiscardsInDoubt) => Manifest::Discarded,
        Verdict::None => return None,
    };
    if part.manifest == Manifest::Clean && (verdict != Verdict::Complete || nonce != part.of_nonce)
    {
        s.broken = Some(Broken::Unproved);
    }
    Some("the manifest is settled")
}

impl Host {
    fn say(&mut self, step: Step) {
        self.sent = Report { epoch: self.epoch, step, incarnation: self.incarnation };
    }

    /// The gate is opened, by the swap that no longer matters, and the snapshot is thrown away.
    fn fail(&mut self) {
        self.closed = false;
        self.child = Child::Failed;
        self.say(Step::Failed);
    }

    /// The epoch is over, or another one begins.
    fn leave_child(&mut self) {
        if self.child != Child::None {
            self.closed = false;
        }
        self.drop_child();
    }

    /// End of file for the tool; the gate opens when the system gets there. What was certified stays.
    fn drop_child(&mut self) {
        (self.child, self.epoch, self.phase) = (Child::None, Id::default(), Phase::Prepare);
    }
}
