//! Every order of events, for the two machines alone: what they never do, whatever comes first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stillpoint_cluster::agent::machine::{Action, Agent, Done, Input, Member};
use stillpoint_cluster::coordinator::round::{self, Limits, Round};
use stillpoint_cluster::record::epoch::{Epoch, Mode, Phase};
use stillpoint_cluster::record::identity::{Begun, EpochId, Incarnation, Name};
use stillpoint_cluster::record::live::Live;
use stillpoint_cluster::record::report::{Certificate, Failed, Report, Said, Step, Taken};
use stillpoint_cluster::record::verdict::Verdict;

use crate::group::name;

const LAST: EpochId = EpochId(10);

fn epoch(mode: Mode, phase: Phase, nonce: &str) -> Epoch {
    Epoch {
        phase,
        mode,
        prepare_ms: 1,
        drain_ms: 1,
        hold_ms: 1,
        coordinator: String::new(),
        nonce: nonce.to_owned(),
        missing: Vec::new(),
    }
}

fn failed() -> Failed {
    Failed { text: "x".to_owned(), exit: 70 }
}

fn certified() -> Done {
    Done::Certified(Taken::default(), Certificate::default())
}

/// All that can happen to an agent that has obeyed epoch 10.
fn inputs(mode: Mode) -> Vec<Input> {
    let id = EpochId(11);
    let mut inputs = vec![
        Input::NoEpoch,
        Input::Membership(Some(Member { since: EpochId(5) })),
        Input::Membership(None),
        Input::Refused(id),
        Input::Done(id, Err(failed())),
        Input::Done(id, Ok(Done::Prepared)),
        Input::Done(id, Ok(Done::Quiet)),
        Input::Done(id, Ok(Done::Snapped)),
        Input::Done(id, Ok(certified())),
        Input::Epoch(EpochId(9), Ok(epoch(mode, Phase::Prepare, "n9"))),
        Input::Verdict(id, Verdict::aborted("n11", failed(), "", "")),
    ];
    for phase in [Phase::Prepare, Phase::Pause, Phase::Release] {
        inputs.push(Input::Epoch(id, Ok(epoch(mode, phase, "n11"))));
        // Of a store that was restored, and the next one.
        inputs.push(Input::Epoch(id, Ok(epoch(mode, phase, "other"))));
        inputs.push(Input::Epoch(EpochId(12), Ok(epoch(mode, phase, "n12"))));
    }
    inputs
}

/// What may have been asked of a session of epoch 11.
#[derive(Clone, Default)]
struct Seen {
    /// Whose epoch 11 it is, once it was obeyed.
    nonce: String,
    started: BTreeSet<EpochId>,
    is_dropped: bool,
    has_paused: bool,
    is_quiet: bool,
    is_whole: bool,
    has_released: bool,
    /// What was reported, in its order.
    said: Vec<&'static str>,
    is_certified: bool,
    phases: BTreeSet<Phase>,
}

fn check(mode: Mode, input: &Input, actions: &[Action], seen: &mut Seen) {
    let id = EpochId(11);
    for action in actions {
        if let Action::Start(_, epoch) = action {
            seen.nonce = epoch.nonce.clone();
        }
    }
    match input {
        Input::Epoch(other, Ok(epoch)) if *other == id && epoch.nonce == seen.nonce => {
            seen.phases.insert(epoch.phase);
        }
        Input::Done(_, Ok(Done::Quiet)) if seen.has_paused => seen.is_quiet = true,
        Input::Done(_, Ok(Done::Snapped)) if seen.is_quiet => seen.is_whole = true,
        Input::Done(_, Ok(Done::Certified(..))) if seen.has_released && !seen.is_dropped => {
            seen.is_certified = true;
        }
        _ => {}
    }
    for action in actions {
        match action {
            Action::Start(id, epoch) => {
                assert!(*id > LAST, "obeyed again");
                assert!(seen.started.insert(*id), "obeyed twice");
                assert_eq!(epoch.phase, Phase::Prepare);
            }
            Action::Pause(other) if *other == id => {
                assert!(!seen.is_dropped && !seen.has_paused);
                assert!(seen.phases.contains(&Phase::Pause));
                assert_eq!(seen.said, ["p"]);
                seen.has_paused = true;
            }
            Action::Release(other) if *other == id => {
                assert!(!seen.is_dropped && seen.is_whole && !seen.has_released);
                assert!(seen.phases.contains(&Phase::Release));
                assert_eq!(seen.said, ["p", "r"]);
                seen.has_released = true;
            }
            Action::Drop(other, _) if *other == id => {
                assert!(!seen.is_certified, "a certificate was thrown away");
                let is_told = matches!(input, Input::Done(..));
                assert!(!seen.has_released || is_told, "what may be one was thrown away");
                assert!(!seen.is_dropped);
                seen.is_dropped = true;
            }
            Action::Report(begun, said) if begun.id == id && begun.nonce == seen.nonce => {
                seen.said.push(match said {
                    Said::Prepared => "p",
                    Said::Ready => {
                        assert!(if mode == Mode::Early { seen.is_quiet } else { seen.is_whole });
                        "r"
                    }
                    Said::Certified { .. } => {
                        assert!(seen.is_certified && seen.has_released);
                        "c"
                    }
                    Said::Failed(_) => "f",
                })
            }
            // Or may be, and nobody has heard of it.
            Action::Settle(..) => assert!(seen.is_certified || seen.has_released),
            _ => {}
        }
    }
}

/// From a state that a sequence led to, every sequence of `depth` more.
fn walk(mode: Mode, agent: &Agent, seen: &Seen, depth: usize) -> usize {
    if depth == 0 {
        return 1;
    }
    let walked = |input: Input| {
        let (mut agent, mut seen) = (agent.clone(), seen.clone());
        let actions = agent.take(input.clone());
        check(mode, &input, &actions, &mut seen);
        walk(mode, &agent, &seen, depth - 1)
    };
    inputs(mode).into_iter().map(walked).sum()
}

#[test]
fn an_agent_obeys_once_in_order_and_throws_no_certificate_away() {
    for mode in [Mode::HoldAll, Mode::Early] {
        let id = EpochId(11);
        let at = |phase| Input::Epoch(id, Ok(epoch(mode, phase, "n11")));
        let done = |done| Input::Done(id, Ok(done));
        // The straight way; from each place on it everything else.
        let mut way = vec![
            Input::Membership(Some(Member { since: EpochId(5) })),
            at(Phase::Prepare),
            done(Done::Prepared),
            at(Phase::Pause),
            done(Done::Quiet),
        ];
        // Who is ready when it is quiet may be released before its snapshot is whole, or after.
        let release = [done(Done::Snapped), at(Phase::Release)];
        match mode {
            Mode::HoldAll => way.extend(release),
            Mode::Early => way.extend(release.into_iter().rev()),
        }
        way.push(done(certified()));
        let (mut agent, mut seen) = (Agent::new(LAST, Vec::new()), Seen::default());
        for input in way {
            walk(mode, &agent, &seen, 3);
            let actions = agent.take(input.clone());
            check(mode, &input, &actions, &mut seen);
        }
        assert!(seen.is_certified);
        walk(mode, &agent, &seen, 3);
    }
}

#[test]
fn what_is_learnt_in_any_order_is_obeyed() {
    let mut agent = Agent::new(LAST, Vec::new());
    let id = EpochId(11);
    assert!(agent.take(Input::Epoch(id, Ok(epoch(Mode::Early, Phase::Prepare, "n")))).is_empty());
    let actions = agent.take(Input::Membership(Some(Member { since: LAST })));
    assert!(matches!(actions.as_slice(), [Action::Start(started, _)] if *started == id));
    // One that began before this agent was there counts on another one.
    let mut agent = Agent::new(LAST, Vec::new());
    agent.take(Input::Epoch(id, Ok(epoch(Mode::Early, Phase::Prepare, "n"))));
    assert!(agent.take(Input::Membership(Some(Member { since: EpochId(12) }))).is_empty());
}

fn incarnation(agent: &str) -> Incarnation {
    Incarnation { boot: "boot".to_owned(), agent: agent.to_owned() }
}

fn certificate() -> Said {
    Said::Certified { snapshot: Taken::default(), certificate: Certificate::default() }
}

fn report(said: Said, change: impl FnOnce(&mut Report)) -> Report {
    let mut report =
        Report { epoch: EpochId(11), nonce: "n".to_owned(), incarnation: incarnation("one"), said };
    change(&mut report);
    report
}

fn live(agent: &str) -> Live {
    Live {
        settled: None,
        incarnation: incarnation(agent),
        uuid: String::new(),
        machine: String::new(),
        version: String::new(),
        barriers: Vec::new(),
        rival: None,
    }
}

fn round_of(mode: Mode) -> Round {
    let limit = Duration::from_secs(1);
    let limits = Limits { prepare: limit, drain: limit, hold: limit, certificates: limit };
    let begun = Begun { id: EpochId(11), nonce: "n".to_owned() };
    let members = ["a", "b"].map(|host| (name(host), incarnation("one")));
    Round::new(begun, mode, limits, members)
}

fn round_inputs() -> Vec<round::Input> {
    let mut inputs = vec![
        round::Input::Gone,
        round::Input::Tick,
        round::Input::Written(Phase::Pause),
        round::Input::Written(Phase::Release),
    ];
    for host in ["a", "b"] {
        let host: Name = name(host);
        let of = |report| round::Input::Report(host.clone(), Ok(report));
        for said in [Said::Prepared, Said::Ready, certificate()] {
            inputs.push(of(report(said, |_| ())));
        }
        // Of another epoch, of another one of this number, of another agent.
        inputs.push(of(report(certificate(), |report| report.epoch = EpochId(10))));
        inputs.push(of(report(certificate(), |report| report.nonce = "m".to_owned())));
        inputs.push(of(report(certificate(), |report| report.incarnation = incarnation("two"))));
        inputs.push(of(report(Said::Failed(failed()), |_| ())));
        inputs.push(round::Input::Live(host.clone(), None));
        inputs.push(round::Input::Live(host.clone(), Some(Ok(live("one")))));
        inputs.push(round::Input::Live(host.clone(), Some(Ok(live("two")))));
    }
    inputs
}

/// Which hosts have said what counts.
#[derive(Clone, Default)]
struct Heard {
    /// How far each member is, by its own word.
    far: BTreeMap<Name, Step>,
    is_over: bool,
}

fn check_round(
    input: &round::Input,
    action: Option<&round::Action>,
    heard: &mut Heard,
    round: &Round,
) {
    if let round::Input::Report(host, Ok(report)) = input {
        let is_ours = report.epoch == EpochId(11)
            && report.nonce == "n"
            && report.incarnation == incarnation("one");
        let step = match report.said {
            Said::Prepared => Some(Step::Prepared),
            Said::Ready => Some(Step::Ready),
            Said::Certified { .. } => Some(Step::Certified),
            Said::Failed(_) => None,
        };
        if let Some(step) = step.filter(|_| is_ours) {
            let far = heard.far.entry(host.clone()).or_insert(step);
            *far = step.max(*far);
        }
    }
    let Some(action) = action else {
        return;
    };
    assert!(!heard.is_over, "it goes on after its end");
    let are_all = |step| ["a", "b"].iter().all(|host| heard.far.get(*host) >= Some(&step));
    match action {
        round::Action::Complete => {
            assert!(are_all(Step::Certified));
            assert!(round.parts().values().all(|part| part.certificate.is_some()));
            heard.is_over = true;
        }
        round::Action::Abort(_) => heard.is_over = true,
        round::Action::Write(Phase::Release) => assert!(are_all(Step::Ready)),
        round::Action::Write(phase) => assert!(*phase == Phase::Pause && are_all(Step::Prepared)),
    }
}

fn walk_round(round: &Round, heard: &Heard, depth: usize) {
    if depth == 0 {
        return;
    }
    for input in round_inputs() {
        let (mut round, mut heard) = (round.clone(), heard.clone());
        let action = round.take(input.clone(), Duration::ZERO);
        check_round(&input, action.as_ref(), &mut heard, &round);
        walk_round(&round, &heard, depth - 1);
    }
}

#[test]
fn a_round_is_complete_with_every_certificate_of_its_own_and_not_before() {
    for mode in [Mode::HoldAll, Mode::Early] {
        let of = |host: &str, said| round::Input::Report(name(host), Ok(report(said, |_| ())));
        let mut way = vec![of("a", Said::Prepared), of("b", Said::Prepared)];
        way.push(round::Input::Written(Phase::Pause));
        way.extend([of("a", Said::Ready), of("b", Said::Ready)]);
        way.push(round::Input::Written(Phase::Release));
        way.extend([of("b", certificate()), of("a", certificate())]);
        let (mut round, mut heard) = (round_of(mode), Heard::default());
        let mut last = None;
        for input in way {
            walk_round(&round, &heard, 2);
            last = round.take(input.clone(), Duration::ZERO);
            check_round(&input, last.as_ref(), &mut heard, &round);
        }
        assert_eq!(last, Some(round::Action::Complete));
        walk_round(&round, &heard, 2);
    }
}

#[test]
fn an_end_says_who_and_why() {
    let mut round = round_of(Mode::HoldAll);
    round.take(round::Input::Report(name("a"), Ok(report(Said::Prepared, |_| ()))), Duration::ZERO);
    let late = round.take(round::Input::Tick, Duration::from_secs(2));
    let Some(round::Action::Abort(reason)) = late else { panic!("{late:?}") };
    assert_eq!(reason.text, "b: no word of prepared within 1 s");
    let mut round = round_of(Mode::HoldAll);
    let gone = round.take(round::Input::Live(name("b"), None), Duration::ZERO);
    let Some(round::Action::Abort(reason)) = gone else { panic!("{gone:?}") };
    assert_eq!(
        reason.text,
        "b: its agent has not been heard of, or was stopped, before it had its certificate"
    );
}
