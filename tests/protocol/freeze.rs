//! A pause that one process keeps and another one ends: what the two tell each other, and when.

use crate::common::{FREEZE, Over, Place, at_once, ms, until};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use stillpoint::{
    Barrier, Ending, Error, ErrorKind, ExclusiveOptions, Keeper, PauseReport, Thawed,
};

const ASKED: u64 = FREEZE + 20;
const THAWED: u64 = FREEZE + 24;

fn keeper(barrier: &Barrier, hold: u64) -> Keeper {
    let mut options = ExclusiveOptions::default().hold(ms(hold));
    Keeper::new(barrier.exclusive(&mut options).unwrap()).unwrap()
}

fn serve(keeper: Keeper) -> Result<PauseReport, Error> {
    keeper.serve(&AtomicBool::new(false))
}

/// A thaw that succeeds says that nobody was let in since the grant; one that looked too early for the
/// keeper's word would fail now and then, one that believed anything else would see a write.
#[test]
fn whoever_is_told_that_it_held_finds_nothing_changed() {
    let place = Place::new();
    let (barrier, path) = (place.barrier(), place.barrier_path());
    let (writes, over) = (AtomicU32::new(0), Over::default());
    std::thread::scope(|scope| {
        let _over = over.when_dropped();
        for _ in 0..2 {
            scope.spawn(|| {
                let barrier = Barrier::open(&path).unwrap();
                while !over.is_set() {
                    let _share = barrier.shared().unwrap();
                    writes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..300 {
            let keeper = keeper(&barrier, 20_000);
            let before = writes.load(Ordering::Relaxed);
            let token = keeper.token().clone();
            let kept = scope.spawn(|| serve(keeper));
            assert_eq!(writes.load(Ordering::Relaxed), before);
            assert_eq!(barrier.thaw(Some(&token)).unwrap(), Thawed::Now);
            kept.join().unwrap().unwrap();
            assert_eq!(barrier.thaw(Some(&token)).unwrap(), Thawed::Before);
            let after = writes.load(Ordering::Relaxed);
            until("a writer goes on", || writes.load(Ordering::Relaxed) != after);
        }
    });
    assert_eq!(place.status().stats.revocations, 0);
}

/// A tool that has waited for X takes it at once and closes the gate again, before anybody who waits
/// for the keeper's word has had a look.
#[test]
fn the_next_tool_does_not_hide_that_it_held() {
    let place = Place::new();
    let (barrier, path) = (place.barrier(), place.barrier_path());
    let over = Over::default();
    std::thread::scope(|scope| {
        let _over = over.when_dropped();
        scope.spawn(|| {
            let barrier = Barrier::open(&path).unwrap();
            while !over.is_set() {
                let _ = barrier.exclusive(&mut at_once(1000)).map(|pause| pause.release());
            }
        });
        for _ in 0..40 {
            let keeper = keeper(&barrier, 20_000);
            let token = keeper.token().clone();
            let kept = scope.spawn(|| serve(keeper));
            assert_eq!(barrier.thaw(Some(&token)).unwrap(), Thawed::Now);
            kept.join().unwrap().unwrap();
        }
    });
}

#[test]
fn a_request_that_comes_after_the_limit_is_refused_on_both_sides() {
    let place = Place::new();
    let barrier = place.barrier();
    let keeper = keeper(&barrier, 1);
    std::thread::sleep(ms(10));
    // The keeper has not looked at its limit yet, and the gate is closed as it was.
    let verdicts = std::thread::scope(|scope| {
        let thaw = scope.spawn(|| barrier.thaw(None).map(drop));
        until("somebody asks", || place.word(ASKED) != 0);
        [serve(keeper).map(drop), thaw.join().unwrap()]
    });
    for verdict in verdicts {
        assert_eq!(verdict.unwrap_err().kind(), ErrorKind::Revoked);
    }
    assert!(!place.status().closed);
    assert_eq!(barrier.thaw(None).unwrap_err().kind(), ErrorKind::Revoked);
}

/// The gate opens at once, and nobody is told that it held: whether they had moved before, or say so when it is open.
#[test]
fn a_pause_whose_others_did_not_stand_still_did_not_hold() {
    let place = Place::new();
    let barrier = place.barrier();
    for (first, then) in [(false, true), (true, false), (true, true)] {
        let held = first && then;
        let keeper = keeper(&barrier, 20_000);
        let token = keeper.token().clone();
        let (kept, thawed) = std::thread::scope(|scope| {
            let thaw = scope.spawn(|| barrier.thaw(Some(&token)));
            let mut asked = Vec::new();
            let others = |end| {
                asked.push(end);
                assert_eq!(place.status().closed, end == Ending::Asked);
                if end == Ending::Asked { first } else { then }
            };
            let kept = keeper.serve_if(&AtomicBool::new(false), others);
            assert_eq!(asked, [Ending::Asked, Ending::Opened][..1 + usize::from(first)]);
            (kept, thaw.join().unwrap())
        });
        assert!(!place.status().closed);
        assert_eq!((kept.is_ok(), thawed.is_ok()), (held, held), "{kept:?} {thawed:?}");
        assert_eq!(barrier.thaw(Some(&token)).is_ok(), held);
    }
}

/// Whoever asked waits for the answer however long it takes others to say it, and nobody else does.
#[test]
fn writers_go_on_while_others_are_asked() {
    let place = Place::new();
    let barrier = place.barrier();
    for held in [true, false] {
        let keeper = keeper(&barrier, 20_000);
        let token = keeper.token().clone();
        std::thread::scope(|scope| {
            let thaws: [_; 2] = std::array::from_fn(|_| scope.spawn(|| barrier.thaw(Some(&token))));
            let others = |end| {
                if end == Ending::Opened {
                    drop(barrier.shared().unwrap());
                    // Longer than it takes to doubt a keeper that says nothing.
                    std::thread::sleep(ms(1500));
                    assert!(
                        thaws.iter().all(|thaw| !thaw.is_finished()),
                        "answered for the others"
                    );
                }
                end == Ending::Asked || held
            };
            let kept = keeper.serve_if(&AtomicBool::new(false), others);
            assert_eq!(kept.is_ok(), held);
            for thaw in thaws {
                assert_eq!(thaw.join().unwrap().is_ok(), held);
            }
        });
    }
}

#[test]
fn what_was_asked_of_another_pause_ends_no_later_one() {
    let place = Place::new();
    let barrier = place.barrier();
    // The generation that is going to be frozen, asked for long ago by a slot of garbage.
    place.set_word(ASKED, 1);
    let keeper = keeper(&barrier, 20_000);
    let over = AtomicBool::new(true);
    assert_eq!(keeper.serve(&over).unwrap_err().kind(), ErrorKind::Cancelled);
}

#[test]
fn garbage_in_the_words_of_freeze_costs_an_error() {
    let place = Place::new();
    let barrier = place.barrier();
    for garbage in [1, 2, u32::MAX] {
        for word in 0..7 {
            place.set_word(FREEZE + 4 * word, garbage);
        }
        place.set_word(THAWED, !garbage);
        assert_eq!(barrier.thaw(None).unwrap_err().kind(), ErrorKind::Revoked);
        assert!(!barrier.is_frozen());
        // And the next one finds everything in order.
        let keeper = keeper(&barrier, 20_000);
        assert!(barrier.is_frozen());
        std::thread::scope(|scope| {
            let kept = scope.spawn(|| serve(keeper));
            assert_eq!(barrier.thaw(None).unwrap(), Thawed::Now);
            kept.join().unwrap().unwrap();
        });
    }
}

#[test]
fn a_token_is_32_digits() {
    let text = "00112233445566778899aabbccddeeff";
    let token: stillpoint::Token = text.parse().unwrap();
    assert_eq!(token.to_string(), text);
    for garbage in
        ["", "0", &text[1..], "00112233445566778899aabbccddeefg", "é0112233445566778899aabbccddeef"]
    {
        assert!(garbage.parse::<stillpoint::Token>().is_err(), "{garbage}");
    }
}
