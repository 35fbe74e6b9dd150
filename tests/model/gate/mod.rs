//! The room `gate` of the product, over this machine's own memory and with nothing between its steps.

#[path = "../../../src/gate/fence.rs"]
pub mod fence;
#[allow(dead_code, reason = "the litmus enters and closes, and no more")]
#[path = "../../../src/gate/protocol.rs"]
pub mod protocol;
pub mod sync;
