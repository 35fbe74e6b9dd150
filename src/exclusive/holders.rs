//! Waiting for more than shares: how gates are closed for a tool with a predicate.
//!
//! The predicate speaks of what no share stands for: locks that the kernel lists, of programs that take a share
//! only while they ask for one. Who holds such a lock may need another one first, so the gate admits holders while
//! it is closing (see `shared::admitted`). Nobody inside, then the predicate true, then the gate shut, and nobody let
//! in since before the first of these: then nobody took anything while the predicate was asked, and nobody will.
//!
//! Who waits at the gate without being known for a holder may keep a holder waiting, over a lock to read, or as its
//! client. Such chains are not looked for: a closing that takes too long is given up, and tried again when the gate
//! has been open for as long as it was closed.

use crate::error::Error;
use crate::exclusive::closing::{Announced, COURTESY, Closing, tell};
use crate::exclusive::drain::drain;
use crate::exclusive::options::{ExclusiveOptions, GateChange};
use crate::gate::protocol::Gate;
use crate::gate::sync::step;
use crate::report::watch::{Phase, Watch};
use std::time::{Duration, Instant};

/// The longest that a closing lasts but the first, if there is patience for another.
const CLOSING: Duration = Duration::from_millis(200);
/// The shortest time that the gate is open between two closings.
const OPEN: Duration = Duration::from_millis(20);
/// Between two askings of the predicate.
const ASKING: Duration = Duration::from_millis(1);

impl Announced {
    /// Closes the gates until the predicate is true. How often that was.
    pub(super) fn close_for(
        &mut self,
        options: &mut ExclusiveOptions<'_>,
        predicate: &mut dyn FnMut() -> bool,
        watch: &mut Watch<'_>,
    ) -> Result<(Closing, u32), Error> {
        let began = Instant::now();
        let (mut closings, mut most) = (0, COURTESY);
        loop {
            let remaining =
                options.patience.saturating_add(options.drain).saturating_sub(began.elapsed());
            let patient = !options.patience.is_zero() && remaining > most;
            let limit =
                if patient { most.min(options.drain) } else { options.drain.min(remaining) };
            tell(options, GateChange::AboutToClose)?;
            closings += 1;
            let mut closing = self.close_admitting(limit, watch)?;
            if closing.quiet {
                closing.quiet = self.shut_when(predicate, &mut closing, limit, watch)?;
            }
            if closing.quiet {
                return Ok((closing, closings));
            }
            if !patient {
                return Err(self.failed(&closing, watch));
            }
            self.open();
            step("exclusive: reopened");
            tell(options, GateChange::Reopened)?;
            let open = closing.at.elapsed().max(OPEN);
            let reopened = Instant::now();
            while reopened.elapsed() < open {
                watch.tick(Phase::Predicate, self.held[0].barrier.path(), Vec::new)?;
                std::thread::sleep(OPEN / 4);
            }
            most = CLOSING;
        }
    }

    /// Closes and drains one barrier after another, admitting holders.
    fn close_admitting(
        &mut self,
        limit: Duration,
        watch: &mut Watch<'_>,
    ) -> Result<Closing, Error> {
        self.close_each(limit, watch, |gate, generation| gate.admit(generation))
    }

    /// Asks until nobody has taken anything meanwhile, at most until the limit has passed since the closing.
    fn shut_when(
        &mut self,
        predicate: &mut dyn FnMut() -> bool,
        closing: &mut Closing,
        limit: Duration,
        watch: &mut Watch<'_>,
    ) -> Result<bool, Error> {
        let deadline = closing.at + limit;
        loop {
            let mut admissions = Vec::new();
            for held in self.own() {
                admissions.push(held.attachment()?.gate().admissions());
            }
            let each = self.held.iter().zip(&closing.fenced).zip(&mut closing.insiders);
            for ((held, closed), insiders) in each {
                let Some(closed) = closed else { continue };
                let drained = drain(held, closed, deadline, watch)?;
                let known = |index| insiders.iter().any(|insider| insider.index == index);
                let new: Vec<_> =
                    drained.insiders.into_iter().filter(|insider| !known(insider.index)).collect();
                insiders.extend(new);
                if !drained.quiet {
                    return Ok(false);
                }
            }
            step("exclusive: about to ask");
            if predicate() {
                step("exclusive: the predicate is true");
                let gates: Vec<&Gate> =
                    self.own().flat_map(|held| held.attachment().map(|here| here.gate())).collect();
                // Each of them, whatever the others say.
                let since =
                    gates.iter().zip(&admissions).filter(|(gate, count)| !gate.shut(**count));
                if since.count() == 0 {
                    step("exclusive: shut");
                    return Ok(true);
                }
                for held in self.own() {
                    held.attachment()?.gate().admit(held.generation);
                }
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            watch.tick(Phase::Predicate, self.held[0].barrier.path(), Vec::new)?;
            std::thread::sleep(ASKING);
        }
    }
}
