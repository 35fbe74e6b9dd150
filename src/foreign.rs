//! Shell scripts that hold the barrier with `flock -s FILE command`.
//!
//! The exclusive side takes flock(2) on the barrier file, with the gate still open, so such a script
//! counts as a share: best effort, because flock lets readers starve it, and a script that dies leaves
//! no mark. The kernel's list of locks, proc_locks(5), names who holds it.

use crate::file::Identity;
use crate::report::Writer;

/// Who holds flock(2) on the file, as far as this process may see.
pub(crate) fn holders(file: Identity) -> Vec<Writer> {
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    locks.lines().filter_map(|line| holder(line, file)).map(Writer::of_process).collect()
}

/// `1: FLOCK  ADVISORY  READ 1234 08:02:5678 0 EOF`; waiters have an arrow after the number.
fn holder(line: &str, file: Identity) -> Option<u32> {
    let mut fields = line.split_whitespace();
    let (_, kind) = (fields.next()?, fields.next()?);
    let pid = fields.nth(2)?;
    let mut place = fields.next()?.split(':');
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let (major, minor) = (number(place.next()?)?, number(place.next()?)?);
    let inode: u64 = place.next()?.parse().ok()?;
    let device = nix::sys::stat::makedev(major, minor);
    #[allow(clippy::unnecessary_cast, reason = "its width differs between platforms")]
    let same = device as u64 == file.device && inode == file.inode;
    (kind == "FLOCK" && same).then(|| pid.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_locks() {
        let device = nix::sys::stat::makedev(0xfe, 0x01);
        let file = Identity { device, inode: 77 };
        assert_eq!(holder("1: FLOCK  ADVISORY  READ 1234 fe:01:77 0 EOF", file), Some(1234));
        assert_eq!(holder("1: FLOCK  ADVISORY  READ 1234 fe:01:78 0 EOF", file), None);
        assert_eq!(holder("2: OFDLCK ADVISORY  READ -1 fe:01:77 0 EOF", file), None);
        assert_eq!(holder("2: -> FLOCK  ADVISORY  WRITE 9 fe:01:77 0 EOF", file), None);
        assert_eq!(holder("garbage", file), None);
    }
}
