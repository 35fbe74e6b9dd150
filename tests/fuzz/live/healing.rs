//! After the edits: everything heals by being used, and then a pause is a pause again.

use crate::scene::{HEADER, LIMIT, Scene};
use crate::steps::refused;
use hostile::{COUNTED, Edit, GATE, SLOT_SIZE, SLOTS_AT, slot_at};
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};
use stillpoint::ErrorKind;

/// How often the proof may be refused: each process may remember the generation of an earlier gate
/// that the edits brought back, take it for standing still, and revoke.
const REVOKED: u32 = 6;
/// How long a proof lasts: a writer that could get in would.
const PROOF: Duration = Duration::from_micros(20);

impl Scene {
    /// The documented ways back, in the order in which users come upon them.
    pub fn heal(&self, edits: &[Edit]) {
        // The header and the pacing do not heal, but bar newcomers, and delay.
        self.put_back(0..HEADER);
        self.forget_pacing();
        // A count cannot be told from a wrong one while its process lives; nobody counts now.
        for slot in [COUNTED, COUNTED + 1] {
            let word = slot_at(slot)..slot_at(slot) + 4;
            let touches =
                |range: std::ops::Range<u32>| range.start < word.end && word.start < range.end;
            if edits.iter().any(|edit| touches(edit.range())) && self.word(slot_at(slot)) & 1 == 1 {
                self.set_word(slot_at(slot), 0);
            }
        }
        let asked = self.board.asked();
        let began = Instant::now();
        // A gate that garbage closed is opened by the next tool, or by who waits there long enough.
        if self.gate_is_closed() {
            drop(self.pause(Duration::ZERO));
        }
        drop(self.barrier.shared_timeout(LIMIT).expect("the gate opens"));
        drop(self.barrier.shared_owned_timeout(LIMIT).expect("the gate opens"));
        while !self.board.all_have_had_one_since(asked) {
            assert!(began.elapsed() < LIMIT, "a writer hangs");
            assert!(self.board.process_lives(), "the writer process has ended");
            std::thread::sleep(Duration::from_micros(20));
        }
    }

    /// A pause must be granted, and be one.
    pub fn prove(&self) {
        let mut refusals = 0;
        loop {
            self.forget_pacing();
            let known = [ErrorKind::Revoked];
            let mut options = crate::scene::at_once(LIMIT);
            if let Some(pause) = refused(self.barrier.exclusive(&mut options), &known) {
                let at_grant = self.board.inside();
                let own = self.barrier.try_shared().is_ok();
                std::thread::sleep(PROOF);
                fence(Ordering::SeqCst);
                let at_release = self.board.inside();
                if refused(pause.release(), &known).is_some() {
                    assert!(!own, "a share was granted in a certified pause");
                    let inside = at_grant.iter().any(|mark| mark & 1 == 1);
                    assert!(!inside, "somebody is inside in a certified pause: {at_grant:?}");
                    assert_eq!(at_grant, at_release, "somebody moved in a certified pause");
                    return;
                }
            }
            refusals += 1;
            assert!(refusals < REVOKED, "no pause lasts");
        }
    }

    /// Makes the file again what it was, but for what its users have moved: no run begins with what
    /// another left.
    pub fn restore(&self, edits: &[Edit]) {
        self.put_back_records();
        for edit in edits {
            let range = edit.range();
            // Word by word: those of the gate and of the slots are their users'.
            for at in (range.start & !3..range.end).step_by(4) {
                let is_gate = (GATE..GATE + 8).contains(&at);
                let is_word = at >= SLOTS_AT && (at - SLOTS_AT).is_multiple_of(SLOT_SIZE);
                if !is_gate && !is_word {
                    self.put_back(at as usize..at as usize + 4);
                }
            }
        }
    }
}
