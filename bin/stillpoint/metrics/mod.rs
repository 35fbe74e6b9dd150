//! What Prometheus is told, and how it gets there.
//!
//! Uses `snapshot` and below. Right about who writes what: what can be read at any time is told by `status` alone, what only
//! a run knows by that run alone, and a file for the collector is the old one or the new one, whole.

pub mod run;
pub mod series;
pub mod textfile;
