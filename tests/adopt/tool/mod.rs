//! The tool's side: `--adopted`, with the command itself.

mod chain;
mod disk;
mod in_the_way;
mod verbs;
