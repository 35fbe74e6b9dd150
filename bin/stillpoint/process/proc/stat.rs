//! The line that proc_pid_stat(5) has of a process, or of a thread.

use std::path::Path;

use super::text::read;

/// A thread of the kernel: `PF_KTHREAD`.
const OF_KERNEL: u64 = 0x0020_0000;

/// What of it is wanted here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    pub number: u32,
    pub comm: String,
    pub state: char,
    pub parent: u32,
    pub group: i32,
    flags: u64,
    /// After the boot, in clock ticks; no two of one number have it in common.
    pub started: u64,
}

impl Stat {
    /// Of the process or thread that this folder is about.
    pub fn read(folder: &Path) -> Option<Stat> {
        parse(&String::from_utf8_lossy(&read(folder.join("stat")).ok()?))
    }

    /// Nothing of it runs any more, but somebody has not heard of that yet.
    pub fn is_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    pub fn is_of_kernel(&self) -> bool {
        self.flags & OF_KERNEL != 0
    }
}

fn parse(line: &str) -> Option<Stat> {
    // The name may hold anything.
    let (before, after) = line.rsplit_once(") ")?;
    let (number, comm) = before.split_once(" (")?;
    let fields: Vec<&str> = after.trim_end().split(' ').collect();
    Some(Stat {
        number: number.parse().ok()?,
        comm: comm.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        flags: fields.get(6)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let line = "42 (a) R 1 (b) Z 7 9 9 0 -1 2129984 0 0 0 0 0 21 0 0 20 0 1 0 2440 0 0\n";
        let stat = parse(line).unwrap();
        assert_eq!((stat.number, stat.comm.as_str()), (42, "a) R 1 (b"));
        assert_eq!((stat.state, stat.parent, stat.group, stat.started), ('Z', 7, 9, 2440));
        assert!(stat.is_ended() && stat.is_of_kernel());
        assert_eq!(parse("42 (a"), None);
    }
}
