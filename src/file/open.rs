//! The barrier file: where it is, and what is checked before it is trusted. `founding` makes one.
//!
//! It is never resized, replaced or removed while anybody has it open. Everything that is opened
//! is opened afresh by its path, without following a last symbolic link, and compared with the file
//! that the process already knows (device and inode): a replaced barrier is noticed, not used.

use crate::error::Error;
use crate::error::name::{barrier_folder, named};
use crate::file::layout::{
    FILE_SIZE, INCOMPAT_UNFENCED, MAGIC, MAJOR, SLOT_SIZE, SLOTS, SLOTS_OFFSET,
};
use crate::system::standard;
use nix::libc;
use nix::sys::statfs::{Statfs, fstatfs, statfs};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Which file it is, wherever it may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl Identity {
    pub(crate) fn of(meta: &fs::Metadata) -> Identity {
        Identity { device: meta.dev(), inode: meta.ino() }
    }
}

/// The folder of a barrier.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// The same path without dependence on the working directory. Symbolic links in it stay: who changes where one
/// leads puts another file in the barrier's place.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Error> {
    let name = path.file_name().ok_or_else(|| Error::not_a_barrier(path, IS_FOLDER))?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    match fs::metadata(folder).and_then(|_| std::path::absolute(folder)) {
        Ok(folder) => Ok(folder.join(name)),
        Err(source) => Err(match source.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => Error::Missing {
                path: path.to_path_buf(),
                folder: Some(folder.to_path_buf()).filter(|folder| !is_made_when_missing(folder)),
            },
            _ => opening_failed(path, source, ENTERING),
        }),
    }
}

/// Whether `create` makes this folder.
fn is_made_when_missing(folder_of_barrier: &Path) -> bool {
    [false, true]
        .iter()
        .any(|user| barrier_folder(*user).is_ok_and(|known| known == folder_of_barrier))
}

const IS_FOLDER: &str = "it is a folder; give the path of a barrier, or a name without a slash";
const ENTERING: &str = "this user may not enter its folder";
const READING: &str = "it takes permission to read it";
const WRITING: &str =
    "writers and tools need read and write permission, through the barrier's group";
const MAKING: &str = "only who may write to its folder can make it";

/// `needs`: what it takes, if this user may not do it.
fn opening_failed(path: &Path, source: io::Error, needs: &'static str) -> Error {
    match source.raw_os_error() {
        Some(libc::ENOENT) => Error::Missing { path: path.into(), folder: None },
        Some(libc::ENOTDIR) => {
            Error::Missing { path: path.into(), folder: path.parent().map(Path::to_path_buf) }
        }
        Some(libc::ELOOP) => {
            let reason = "it is a symbolic link, which is not followed; give the path it leads to";
            Error::not_a_barrier(path, reason)
        }
        Some(libc::EISDIR) => Error::not_a_barrier(path, IS_FOLDER),
        Some(libc::ENXIO | libc::ENODEV) => Error::not_a_barrier(path, IS_SPECIAL),
        _ => Error::refused("open", path, source, needs),
    }
}

const IS_SPECIAL: &str = "it is no regular file; give the path of a barrier";

/// Makes the folder of barriers, for every user to look into, whatever the umask: what lies there has
/// permissions of its own. One user's runtime folder is the system's to make.
pub(crate) fn make_folder(folder: &Path, user: bool) -> io::Result<()> {
    let above = folder.ancestors().filter(|folder| !folder.as_os_str().is_empty());
    let above = above.take(if user { 1 } else { usize::MAX });
    let missing: Vec<&Path> = above.take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        match fs::create_dir(folder) {
            Ok(()) => fs::set_permissions(folder, Permissions::from_mode(0o755))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The error of a barrier that could not be made.
pub(crate) fn making_failed(path: &Path, source: io::Error) -> Error {
    not_made(opening_failed(path, source, MAKING))
}

/// The same, for what was found out on the way.
pub(crate) fn not_made(error: Error) -> Error {
    match error {
        Error::System { path, source, .. } => Error::Create { path, source },
        Error::Denied { path, source, .. }
            if source.kind() == io::ErrorKind::ReadOnlyFilesystem =>
        {
            Error::Create { path, source }
        }
        Error::Missing { path, folder } => {
            let folder = folder.as_deref().or(path.parent()).unwrap_or(Path::new("/")).display();
            let reason = format!("there is no folder {folder}; make that first");
            Error::Create { path, source: io::Error::new(io::ErrorKind::NotFound, reason) }
        }
        error => error,
    }
}

/// What it takes to open a barrier, as far as this user lacks it.
fn opening_needs(path: &Path, writable: bool) -> &'static str {
    let folder = folder_of(path);
    let enters = nix::unistd::eaccess(folder, nix::unistd::AccessFlags::X_OK).is_ok();
    match (enters, writable) {
        (false, _) => ENTERING,
        (true, true) => WRITING,
        (true, false) => READING,
    }
}

/// Opens the file afresh: a new open file description, with no lock and no history. `known` is the
/// file that it must be.
pub(crate) fn open_fresh(
    path: &Path,
    writable: bool,
    known: Option<Identity>,
) -> Result<(File, Identity), Error> {
    let _standard = standard::keep();
    let file = OpenOptions::new()
        .read(true)
        .write(writable)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(|source| opening_failed(path, source, opening_needs(path, writable)))?;
    let meta = file.metadata().map_err(|source| Error::system("fstat", path, source))?;
    if !meta.is_file() {
        return Err(Error::not_a_barrier(path, IS_SPECIAL));
    }
    let identity = Identity::of(&meta);
    match known {
        Some(known) if known != identity => Err(Error::Replaced { path: path.into() }),
        // Removed since it was opened.
        _ if meta.nlink() == 0 => Err(Error::Missing { path: path.into(), folder: None }),
        _ => Ok((file, identity)),
    }
}

/// Which file the path leads to, without following a last symbolic link; `None`: to none.
pub(crate) fn identity_at(path: &Path) -> Result<Option<Identity>, Error> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(Identity::of(&meta))),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(Error::system("lstat", path, error)),
        },
    }
}

/// The parts of the header that decide whether a file may be used, copied once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeaderCopy {
    pub(crate) uuid: [u32; 4],
    pub(crate) boot_id: [u32; 4],
    pub(crate) readmit: u32,
    /// Writers may enter without a fence.
    pub(crate) unfenced: bool,
}

const HEADER_WORDS: usize = 19;

const OTHER_CONTENTS: &str = "it has other contents; give the path of a barrier, or one to `stillpoint create` where nothing is";

fn overwritten(path: &Path) -> String {
    let create = format!("`stillpoint create {}`", named(path));
    format!(
        "it does not begin as one; if it was one, {create} makes it anew, once nobody uses it any more"
    )
}

/// The advice for what was a barrier once.
pub(crate) fn make_anew(path: &Path) -> String {
    format!("stop who uses it, remove it, and use `stillpoint create {}`", named(path))
}

/// Checks the file's shape: size, magic, version, geometry. What it says of its boot is not judged.
pub(crate) fn check_header(file: &File, path: &Path) -> Result<HeaderCopy, Error> {
    let size = file.metadata().map_err(|source| Error::system("fstat", path, source))?.len();
    if size == 0 {
        let create = format!("`stillpoint create {}`", named(path));
        let reason = format!("it is empty; {create} makes one of it, once nobody uses it any more");
        return Err(Error::not_a_barrier(path, reason));
    }
    let mut bytes = [0; HEADER_WORDS * 4];
    match file.read_exact_at(&mut bytes, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(Error::not_a_barrier(path, OTHER_CONTENTS));
        }
        result => result.map_err(|source| Error::system("pread", path, source))?,
    }
    if bytes[..8] != MAGIC {
        if bytes[..7] == MAGIC[..7] {
            let found = format!("layout {:?}", char::from(bytes[7]));
            return Err(Error::Version { path: path.into(), found });
        }
        return Err(match size == u64::from(FILE_SIZE) {
            true => Error::not_a_barrier(path, overwritten(path)),
            false => Error::not_a_barrier(path, OTHER_CONTENTS),
        });
    }
    let mut words = [0; HEADER_WORDS];
    for (word, four) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_ne_bytes([four[0], four[1], four[2], four[3]]);
    }
    if words[2] != MAJOR {
        let found = format!("layout {}.{}", words[2], words[3]);
        return Err(Error::Version { path: path.into(), found });
    }
    let unknown = words[4] & !INCOMPAT_UNFENCED;
    if unknown != 0 {
        let found = format!("features {unknown:#x}");
        return Err(Error::Version { path: path.into(), found });
    }
    if words[6..10] != [SLOTS, SLOT_SIZE, SLOTS_OFFSET, FILE_SIZE] {
        return Err(Error::not_a_barrier(
            path,
            format!("its geometry is wrong; {}", make_anew(path)),
        ));
    }
    if size != u64::from(FILE_SIZE) {
        let reason = format!(
            "it is {size} bytes long instead of {FILE_SIZE}: it was cut or grown; {}",
            make_anew(path)
        );
        return Err(Error::not_a_barrier(path, reason));
    }
    let four = |at: usize| [words[at], words[at + 1], words[at + 2], words[at + 3]];
    let unfenced = words[4] & INCOMPAT_UNFENCED != 0;
    Ok(HeaderCopy { uuid: four(10), boot_id: four(14), readmit: words[18], unfenced })
}

/// Whether an empty file is there, a regular one.
pub(crate) fn is_empty_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == 0)
}

/// File systems on which either locks or shared memory do not reach every process that sees the
/// file. The numbers stand in statfs(2) and linux/magic.h.
const UNSUPPORTED: [(i64, &str); 16] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xfe53_4d42, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x794c_7630, "overlayfs"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0bd0_0bd0, "Lustre"),
    (0x786f_4256, "a VirtualBox folder"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x4750_4653, "GPFS"),
];

/// What is wrong with a file system of this magic number, if anything.
pub(crate) fn unsupported(magic: i64) -> Option<&'static str> {
    // The kernel's numbers have 32 bits; a 64-bit word may carry them with the sign extended.
    let magic = magic & 0xffff_ffff;
    UNSUPPORTED.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

/// Refuses file systems that cannot carry a barrier.
pub(crate) fn check_file_system(file: &File, path: &Path) -> Result<(), Error> {
    let found = fstatfs(file).map_err(|errno| Error::system("fstatfs", path, errno))?;
    #[allow(clippy::unnecessary_cast, reason = "its width differs between platforms")]
    match unsupported(found.filesystem_type().0 as i64) {
        None => Ok(()),
        Some(name) => Err(Error::Unsupported {
            path: path.into(),
            reason: format!("it lies on {name}, where not every process sees its locks and memory"),
        }),
    }
}

/// Whether the file system writes what was written before to another place, as btrfs does.
pub(crate) fn writes_elsewhere(file: &File) -> bool {
    fstatfs(file).is_ok_and(|found| magic(&found) == 0x9123_683e)
}

fn magic(found: &Statfs) -> i64 {
    #[allow(clippy::unnecessary_cast, reason = "its width differs between platforms")]
    let magic = found.filesystem_type().0 as i64;
    // The kernel's numbers have 32 bits; a 64-bit word may carry them with the sign extended.
    magic & 0xffff_ffff
}

/// tmpfs(5), and ramfs, which has no name in nix.
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// Whether the file lies on a file system that nobody can freeze, and that ends with the boot. What cannot
/// be asked may be frozen.
pub(crate) fn is_in_memory(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| is_memory(&found))
}

pub(crate) fn is_memory(found: &Statfs) -> bool {
    IN_MEMORY.contains(&magic(found))
}

/// Refuses a folder in which anybody may replace the barrier, which belongs to `owner`, if it is there.
pub(crate) fn check_folder(
    path: &Path,
    owner: impl FnOnce() -> Result<Option<u32>, Error>,
) -> Result<(), Error> {
    let folder = folder_of(path);
    let meta = fs::metadata(folder).map_err(|source| opening_failed(path, source, ENTERING))?;
    if meta.mode() & 0o002 == 0 {
        return Ok(());
    }
    let insecure = |reason: &str| {
        let reason = format!("{} {reason}", folder.display());
        Err(Error::Insecure { path: path.into(), reason })
    };
    if meta.mode() & 0o1000 == 0 {
        return insecure(
            "is writable by everybody: anybody could replace the barrier; use another folder",
        );
    }
    let user = nix::unistd::geteuid().as_raw();
    match owner()? {
        Some(owner) if owner != user && owner != 0 => insecure(
            "is writable by everybody and the barrier belongs to neither root nor this user; use another folder",
        ),
        _ => Ok(()),
    }
}

/// 32 hexadecimal digits.
pub(crate) fn hex(words: [u32; 4]) -> String {
    words.iter().map(|word| format!("{word:08x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_and_stacked_file_systems_are_refused() {
        assert_eq!(unsupported(0x6969), Some("NFS"));
        assert_eq!(unsupported(0x794c_7630), Some("overlayfs"));
        assert_eq!(unsupported(0x6573_5546), Some("FUSE"));
        assert_eq!(unsupported(i64::from(0xff53_4d42_u32 as i32)), Some("CIFS"));
        for local in [0x0102_1994, 0xef53, 0x9123_683e, 0x5846_5342] {
            assert_eq!(unsupported(local), None);
        }
    }
}
