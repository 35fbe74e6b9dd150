//! The lock's own code under a model checker: every interleaving, and every value that the memory
//! model lets a load return.
//!
//! `src/gate/protocol.rs` is compiled into this test beside a `sync` of loom's atomics in place of std's, so what
//! is checked is what runs. The models differ in who takes part; each asserts that exclusion holds and,
//! by not hanging, that no wake-up is lost. A model that holds proves little until it has been seen
//! to fail: `needed` takes away one fence or one step at a time and insists on the failure that the
//! documentation of that fence or step predicts.
//!
//! All writers here have fences of their own. One that leaves its fence out differs by that alone, and what takes its place, a call of
//! the tool's that has other threads pass one, cannot be told to the checker: `tests/model/buffers` has that.
//!
//! ```sh
//! cargo test --profile quick --test loom
//! ```

mod covered;
mod exclusion;
mod gate;
mod holders;
mod needed;
mod readmission;
mod revocation;
mod scene;
mod superseded;
mod wakeups;
