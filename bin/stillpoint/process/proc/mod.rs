//! What /proc shows of processes.
//!
//! The kernel makes its files up while they are read, and there are as many as there are processes: so each is opened
//! only where what it says is needed, and read in as few pieces as the kernel hands out. Any process may end while it is
//! looked at: what cannot be read any more belongs to nobody.

pub mod mounts;
mod process;
mod stat;
pub mod text;

pub use self::process::{Process, all};
pub use self::stat::Stat;
pub use self::text::{mount_of, read};
