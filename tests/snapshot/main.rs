//! The verb `snapshot`, on real file systems where that can be had.
//!
//! btrfs and xfs come from image files on loop devices, which takes root. Without root those tests
//! say so and pass; where `CI` is set they fail instead.

#[path = "../common/mod.rs"]
mod common;

mod aside;
mod bad_days;
mod btrfs;
mod catalogue;
mod clock;
mod command;
mod coordinated;
mod copy;
mod cover;
mod cover_means;
mod current;
mod dirty;
mod ended_jobs;
mod every_step;
mod foreign;
mod frozen;
mod full_disk;
mod groups;
mod hidden_writers;
mod interrupted;
mod jobs;
mod kept_jobs;
mod latest;
mod limits;
mod list;
mod looking_jobs;
mod looks;
mod metrics;
mod mounted;
mod names;
mod participant_processes;
mod participants;
mod pins;
mod place;
mod power;
mod prune;
mod reflink;
mod refused;
mod removal;
mod replaced;
mod report;
mod restore;
mod scene;
mod series;
mod sources;
mod stillness;
mod strangers;
mod subvolume;
mod subvolumes;
mod surroundings;
mod volumes;
mod writers;
