//! What is said, and with which exit status.
//!
//! Uses nothing. Right about the numbers being those that the command `stillpoint` documents, and about saying things as
//! it does: what both say is in files of that command, which are compiled into this one.

pub mod exit;
pub mod failure;
#[path = "../../stillpoint/words/likeness.rs"]
pub mod likeness;
pub mod lines;
#[path = "../../stillpoint/words/output.rs"]
pub mod output;
pub mod random;
#[path = "../../stillpoint/words/screen.rs"]
pub mod screen;
#[path = "../../stillpoint/words/seconds.rs"]
pub mod seconds;
#[path = "../../stillpoint/words/status.rs"]
pub mod status;
#[path = "../../stillpoint/words/table.rs"]
pub mod table;
#[path = "../../stillpoint/words/terminal.rs"]
pub mod terminal;
#[path = "../../stillpoint/words/usage.rs"]
pub mod usage;
