//! A mail server in C (see `daemon/`) that takes part in a barrier, driven over its socket.

mod client;
mod deliveries;
mod faults;
mod oracle;
mod protocol;
mod scene;
mod snapshots;
