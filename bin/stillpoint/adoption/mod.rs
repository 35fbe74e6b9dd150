//! What it takes to adopt programs: the library, the settings, what servers have to be told, and what to change where
//! that is not so.
//!
//! Uses `stilling` and below. Right about advice: whoever does what is advised has a program that is adopted.

pub mod advice;
pub mod configuration;
pub mod library;
pub mod program;
pub mod servers;
pub mod settings;
