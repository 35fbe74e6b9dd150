//! The protocol of a group of hosts: one consistent pause, or none. Stands for `bin/cluster`, in its
//! `agent` and `coordinator`, as its transactions and the swaps of gates follow one another. What both have
//! has one name: phases, and what a host reports (`record::report::Said`); how far its snapshot tool is
//! stands in `agent::part`.
//!
//! The store is linearizable, everything else is asynchronous: what an agent or a coordinator knows may be
//! any time old, a report may arrive when its sender is dead, and a step may be as far from the next as one
//! likes, which is what a hang or a partition is. A gate may open at any moment, for whatever reason; a
//! lease may be lost at any moment, also of one that lives; any agent or coordinator may be killed between
//! any two steps.
//!
//! | file | |
//! |---|---|
//! | `state` | the store's keys, and what each host knows; states that differ only in who is who are one |
//! | `agent`, `coordinator` | the steps of a host, and of who leads an epoch, recovers it or restores the store |
//! | `model`, `scene`, `scenes` | who may do what, and the tests that all of it holds |
//! | `properties` | what must hold, by what was written behind a snapshot and where it shows |
//! | `variants` | the protocol with one thing left out, and the tests that this is caught |
//!
//! # Why there are only three phases
//!
//! Let t be the moment at which RELEASE is committed. Each gate was closed before its host reported that it
//! is ready, so before t, and is opened by one swap after it, which proves that nobody was let in between:
//! at t all gates are closed at once, and each snapshot shows its host as it was then. It does not matter
//! whether a snapshot is whole before t (hold-all) or after it (early), only that it lies inside its own gate's
//! closing. So the modes differ in one thing: whether a host reports that it is ready when it is quiet, or when
//! its snapshot is whole. That all are prepared before the first gate closes serves the writers, not the proof.
//!
//! # Bounds
//!
//! Two hosts, or three; one epoch, or two with two coordinators; faults are counted out, but for gates that
//! open and leases of coordinators that are lost, which happen as often as they like. Closing a gate and the
//! wait for quiet are one step (the model of the barrier has them), so is a transaction. Time is not modelled,
//! nor `--allow-missing`. A restored store ends its coordinators.

mod agent;
mod coordinator;
mod model;
mod properties;
mod scene;
mod scenes;
mod state;
mod variants;
