//! The hooks of `scripts/hooks`, called as their hosts call them, and the units of `scripts/systemd`.
//!
//! * `orders`: the hosts that call before and after a snapshot of their own, in every order they can;
//! * `overlaps`: the same with several snapshots, hosts or barriers at once;
//! * `settings`: where they come from, and what is missing where a hook runs;
//! * `hosts`: what is particular to one of them;
//! * `backup`: the tools that read a snapshot of ours;
//! * `jobs`: hooks that are told of a job;
//! * `pins`: that what they read stays, whatever becomes of them;
//! * `real`: real tools, on a real btrfs;
//! * `surroundings`: the shells, tools and locales that all but the real ones run in;
//! * `systemd`: units, checked and played.

#[path = "../common/mod.rs"]
mod common;

mod backup;
mod calls;
mod host;
mod hosts;
mod jobs;
mod orders;
mod overlaps;
mod pins;
mod real;
mod settings;
mod surroundings;
mod systemd;
