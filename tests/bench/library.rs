//! The C library, and a program in C that uses it: loaded here, so that both are measured beside others in one process.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use nix::libc;
use tempfile::TempDir;

type Handle = *mut c_void;
type Open = unsafe extern "C" fn(*const c_char, c_uint, *const c_char, *mut Handle) -> c_int;
type Pairs = unsafe extern "C" fn(Handle, u64) -> c_int;
type Begin = unsafe extern "C" fn(Handle, *mut u64, *const c_char, c_uint) -> c_int;
type End = unsafe extern "C" fn(Handle, u64) -> c_int;
type LockFile = unsafe extern "C" fn(Handle, c_int, c_int, *const c_char, c_uint) -> c_int;

/// `STILLPOINT_CREATE`.
const CREATE: c_uint = 1;
/// What the header's macros pass on.
pub const FILE: &CStr = c"bench.c";

/// How a program is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// As it is.
    Inline,
    /// `STILLPOINT_NO_INLINE`: entering and leaving are calls.
    Calls,
}

/// The library with a barrier open, and a program. Never unloaded.
pub struct Library {
    pub handle: Handle,
    pairs: Pairs,
    nested_pairs: Pairs,
    pub begin: Begin,
    pub end: End,
    lock_file: LockFile,
}

// SAFETY: the library's functions may be called from any thread.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl Library {
    /// Loads what was built beside this program, and opens a barrier by it.
    pub fn open(barrier: &Path, header: Header) -> anyhow::Result<Library> {
        let program = std::env::current_exe()?;
        let folder = program.ancestors().nth(2).context("this program lies in a folder")?;
        let path = folder.join("libstillpoint.so");
        ensure!(path.exists(), "{} is not built: cargo build --release", path.display());
        let library = load(&path)?;
        let find = |name| symbol(library, name);
        let program = load(&compile(folder, header)?.path().join("program.so"))?;
        // SAFETY: the types are those of the header.
        let open: Open = unsafe { std::mem::transmute(find(c"stillpoint_open")?) };
        let mut handle = std::ptr::null_mut();
        let barrier = CString::new(barrier.as_os_str().as_encoded_bytes())?;
        // SAFETY: valid strings, and a place for the handle.
        let opened = unsafe { open(barrier.as_ptr(), CREATE, c"bench".as_ptr(), &raw mut handle) };
        ensure!(opened == 0, "stillpoint_open: {opened}");
        // SAFETY: the types are those of the header.
        unsafe {
            Ok(Library {
                handle,
                pairs: std::mem::transmute::<*mut c_void, Pairs>(symbol(
                    program,
                    c"program_pairs",
                )?),
                nested_pairs: std::mem::transmute::<*mut c_void, Pairs>(symbol(
                    program,
                    c"program_nested_pairs",
                )?),
                begin: std::mem::transmute::<*mut c_void, Begin>(find(c"stillpoint_begin_at")?),
                end: std::mem::transmute::<*mut c_void, End>(find(c"stillpoint_end")?),
                lock_file: std::mem::transmute::<*mut c_void, LockFile>(find(
                    c"stillpoint_flock_at",
                )?),
            })
        }
    }

    /// Enters and leaves, so many times.
    pub fn pairs(&self, count: u64) {
        // SAFETY: an open handle.
        assert_eq!(unsafe { (self.pairs)(self.handle, count) }, 0);
    }

    /// The same inside a share.
    pub fn nested_pairs(&self, count: u64) {
        // SAFETY: an open handle.
        assert_eq!(unsafe { (self.nested_pairs)(self.handle, count) }, 0);
    }

    /// flock(2) with a share for as long as the lock is to write.
    #[inline(always)]
    pub fn flock(&self, descriptor: c_int, operation: c_int) -> c_int {
        // SAFETY: an open handle, a number, and a string that is never freed.
        unsafe { (self.lock_file)(self.handle, descriptor, operation, FILE.as_ptr(), 1) }
    }
}

/// Compiles the program as one that is linked with the library, but for being loaded here: its thread-local variables
/// are where a program's own are.
fn compile(folder: &Path, header: Header) -> anyhow::Result<TempDir> {
    let made = tempfile::tempdir()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = Command::new("gcc");
    compiler.args(["-std=c11", "-O2", "-shared", "-fPIC", "-ftls-model=initial-exec"]);
    if header == Header::Calls {
        compiler.arg("-DSTILLPOINT_NO_INLINE");
    }
    compiler
        .arg("-I")
        .arg(root.join("bin/libstillpoint"))
        .arg("-o")
        .arg(made.path().join("program.so"));
    compiler.arg(root.join("tests/bench/program.c")).arg("-L").arg(folder).arg("-lstillpoint");
    ensure!(compiler.status().context("gcc")?.success(), "{compiler:?}");
    Ok(made)
}

/// For everybody: the program finds the library by its name.
fn load(path: &Path) -> anyhow::Result<*mut c_void> {
    let name = CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: a valid string; what either does when it is loaded is nothing.
    let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    ensure!(!library.is_null(), "{} cannot be loaded", path.display());
    Ok(library)
}

fn symbol(library: *mut c_void, name: &CStr) -> anyhow::Result<*mut c_void> {
    // SAFETY: a library that was loaded, and a valid string.
    let found = unsafe { libc::dlsym(library, name.as_ptr()) };
    ensure!(!found.is_null(), "there is no {name:?}");
    Ok(found)
}
