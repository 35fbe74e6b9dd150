//! A host's own side of a group snapshot: what its agent asks for, step by step.
//!
//! A [`Session`] is one snapshot. It is told each step and says when it is done; dropped, it opens its gate at once
//! and what it took is not kept. Its certificate is the success of its own release, so nothing that a host says
//! rests on clocks, leases or what others say.
//!
//! Uses `record`. Right about the local barrier: no other room closes or opens one.

pub mod child;
pub mod in_process;
pub mod simulated;

use std::future::Future;
use std::time::Duration;

use crate::record::epoch::Mode;
use crate::record::identity::{Begun, EpochId, Name};
use crate::record::live::Counts;
use crate::record::report::{Certificate, Failed, Taken};
use crate::record::verdict::Verdict;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// The group.
    pub group: Name,
    /// This host.
    pub host: Name,
    /// Which epoch it is for.
    pub epoch: EpochId,
    /// The number of its coordinator, for a catalogue that may meet another one of that id.
    pub nonce: String,
    /// When the gate is opened: with others, or as soon as this host has its own.
    pub mode: Mode,
    /// How long others wait until it is prepared.
    pub prepare: Duration,
    /// How long it may take to become quiet.
    pub drain: Duration,
    /// How long the pause may last then.
    pub hold: Duration,
}

impl Order {
    /// What the snapshot is called in the host's catalogue.
    pub fn name(&self) -> String {
        snapshot_name(&self.group, self.epoch)
    }

    /// The epoch with its coordinator's number.
    pub fn begun(&self) -> Begun {
        Begun { id: self.epoch, nonce: self.nonce.clone() }
    }
}

/// What the snapshots of an epoch are called.
pub fn snapshot_name(group: &Name, epoch: EpochId) -> String {
    format!("{group}-{epoch}")
}

/// A machine with a barrier.
pub trait Host: Clone + Send + Sync + 'static {
    /// One snapshot of it.
    type Session: Session;

    /// Does all that takes long and stops nobody.
    fn prepare(&self, order: &Order) -> impl Future<Output = Result<Self::Session, Failed>> + Send;

    /// What its barriers look like now.
    fn counts(&self) -> impl Future<Output = Vec<Counts>> + Send;

    /// Tells the host's catalogue of a verdict that came when its session was gone.
    fn settle(
        &self,
        epoch: EpochId,
        verdict: &Verdict,
    ) -> impl Future<Output = Result<(), Failed>> + Send;
}

/// One snapshot. Dropping it opens the gate at once.
pub trait Session: Send + 'static {
    /// Closes the gate; done when nobody is inside.
    fn freeze(&mut self) -> impl Future<Output = Result<(), Failed>> + Send;

    /// Takes the snapshot.
    fn snapshot(&mut self) -> impl Future<Output = Result<Taken, Failed>> + Send;

    /// Opens the gate; success is the certificate.
    fn release(&mut self) -> impl Future<Output = Result<Certificate, Failed>> + Send;

    /// Hears the verdict, once there is a certificate.
    fn settle(self, verdict: &Verdict) -> impl Future<Output = Result<(), Failed>> + Send;
}
