//! The ready-made participants of `scripts/participants`, spoken to over pipes, with the real servers of this
//! machine: private instances on a Unix socket each, under writers that never rest.
//!
//! * `driven`: one that runs, under a shell of the list, and is told what to do line by line;
//! * `store`: what every one of them must do, whatever it stills;
//! * `databases`: MariaDB, Redis, PostgreSQL and SQLite, and their bad days;
//! * `stand_ins`: what is not here, played: a guest's agent, a container's barrier.

#[path = "../common/mod.rs"]
mod common;

mod databases;
mod driven;
mod mariadb;
mod stand_ins;
mod store;
