//! A process of our own that stays when its caller has gone, or is stopped: it keeps nothing of the
//! caller's. Hosts wait for the end of what they read, and the keyboard reaches a whole session.

use std::fs::File;
use std::io;
use std::os::fd::RawFd;

use nix::unistd;

/// Closes every descriptor but these and the standard ones.
pub fn close_all_but(kept: &[RawFd]) -> io::Result<()> {
    let open = open_descriptors()?;
    for descriptor in open.into_iter().filter(|descriptor| !kept.contains(descriptor)) {
        // The one that the folder was read through is closed by now.
        let _ = unistd::close(descriptor);
    }
    Ok(())
}

/// Every descriptor that is open but the standard ones, and one that was.
pub fn open_descriptors() -> io::Result<Vec<RawFd>> {
    let entries = std::fs::read_dir("/proc/self/fd")?;
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(numbers.filter(|descriptor| *descriptor > 2).collect())
}

/// Leaves the caller's session, its folder and its standard descriptors.
pub fn leave_session() -> io::Result<()> {
    unistd::setsid()?;
    unistd::chdir("/")?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    unistd::dup2_stdin(&null)?;
    unistd::dup2_stdout(&null)?;
    Ok(unistd::dup2_stderr(&null)?)
}
