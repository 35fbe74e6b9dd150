//! Exit statuses: those of `stillpoint`, for those of its causes that a group can have.

pub use super::status::Exit;

impl Exit {
    /// The status that a host gave with its reason: each of them is documented, and none is success.
    pub fn of_host(status: u8) -> Exit {
        match status {
            0 => Exit::INTERNAL,
            status => Exit::new(status),
        }
    }
}

/// The same numbers, as they are shown behind the options.
pub const STATUSES: &str = "\
Exit status:
   64  usage: arguments or configuration make no sense
   66  no such file, job or host; no host has joined; no epoch is complete
   69  the store does not answer, or stillpoint is not installed
   70  internal error
   71  a system call failed
   73  cannot create: the name is another machine's
   75  a member is not there or not quiet, or another epoch is under way
   77  permission denied, here or by the store
  124  a pause did not last until its release
  and, of a snapshot that was aborted by a host, and of an agent whose host cannot have a part in any,
  the status that its own command gave;
  of a snapshot that was interrupted, 128 + n, ended by signal n itself";
