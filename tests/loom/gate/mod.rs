//! The room `gate` of the product, over the model checker's atomics.

#[path = "../../../src/gate/fence.rs"]
pub mod fence;
#[allow(dead_code, reason = "the product uses what the models leave out")]
#[path = "../../../src/gate/protocol.rs"]
pub mod protocol;
pub mod sync;
