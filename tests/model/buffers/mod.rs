//! Shares without a fence, under the memory of x86 (x86-TSO): each thread has a queue of stores, which reach memory in
//! their order and at any time, and a load sees its own queue first. A full fence and a locked instruction wait until the queue is
//! empty.
//!
//! Here the gate is closed by a locked instruction, so the tool needs no queue; the words and flags of
//! writers have one. The call (membarrier(2)) empties the queues of registered processes, one thread at a time with other steps
//! between, and passes over all others. It may fail. Stands for `Gate::publish_unfenced`, `Closed::fence`,
//! `member/fences.rs`, `exclusive/held.rs` and `exclusive/closing.rs`.
//!
//! | file | |
//! |---|---|
//! | `machine` | what a state is, and its steps |
//! | `scenes` | who takes part, and the tests that all of it holds |
//! | `variants` | one thing left out, and the tests that this is caught |
//!
//! # Why it holds
//!
//! Let t be the moment at which the call empties a writer's queue; it lies behind the closing and before the first look. A writer
//! whose load of the gate came before t had stored its word before that load, so the word has left the queue by t,
//! and the looks see it. One whose load comes after t finds the gate closed. A writer that is not registered has
//! a fence of its own between the two. Who goes in at a closed gate, under a cover, has one too, since its cover may
//! end between two looks, long after t.
//!
//! # Bounds
//!
//! Two writers of two shares, one tool of two pauses with a courteous reopening in each, two stores on their way. On
//! weakly ordered processors more may happen, and the call is a full fence on those as well: not modelled.

mod machine;
mod scenes;
mod variants;
