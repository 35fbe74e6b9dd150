//! A place with a barrier, a protected file system, and programs that are adopted.

use crate::common::{Place, ms, until};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use stillpoint::{Barrier, Error, ExclusiveGuard, ExclusiveOptions, Status};
use tempfile::TempDir;

/// The library, which lies beside the command wherever that was built.
pub fn library() -> PathBuf {
    let programs = Path::new(env!("CARGO_BIN_EXE_stillpoint")).parent().unwrap();
    let library = programs.join("libstillpoint_adopt.so");
    assert!(library.exists(), "{} is not built: cargo build --workspace", library.display());
    library
}

/// What is protected is the file system of `place`; the barrier is on another one.
pub struct Scene {
    place: Place,
    pub barrier: Barrier,
    folder: TempDir,
}

impl Scene {
    pub fn new() -> Scene {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let barrier = Barrier::create(folder.path().join("adopted.barrier")).unwrap();
        let scene = Scene { place: Place::new(), barrier, folder };
        scene.configure("");
        scene
    }

    /// Writes the settings, with these lines more.
    pub fn configure(&self, more: &str) {
        let (barrier, store) = (self.barrier.path().display(), self.place.folder().display());
        let text = format!("# of a test\n\n barrier {barrier}\nprotect\t{store} \n{more}");
        fs::write(self.settings(), text).unwrap();
    }

    pub fn settings(&self) -> PathBuf {
        self.elsewhere("adopt.conf")
    }

    /// A path on the protected file system.
    pub fn file(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    /// A path that is not protected.
    pub fn elsewhere(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn status(&self) -> Status {
        Status::read(self.barrier.path()).unwrap()
    }

    pub fn is_closed(&self) -> bool {
        self.status().generation % 2 == 1
    }

    pub fn until_somebody_waits(&self) {
        until("somebody waits", || {
            self.status().writers.iter().any(|writer| writer.waiting.is_some())
        });
    }

    /// A program that is adopted.
    pub fn adopted(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("LD_PRELOAD", library()).env("STILLPOINT_ADOPT_CONFIG", self.settings());
        command.current_dir(self.place.folder());
        command
    }

    /// Compiles `tests/adopt/NAME.c`.
    pub fn compile(&self, name: &str, flags: &[&str]) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/adopt/{name}.c"));
        let program = self.elsewhere(name);
        let mut compiler = Command::new("gcc");
        compiler.args(["-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"]);
        compiler.arg(source).arg("-o").arg(&program).args(flags);
        let output = compiler.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        program
    }

    /// The exclusive side, with the question whether the kernel holds write locks on what is protected.
    pub fn exclusive(&self, patience: u64, drain: u64) -> Result<ExclusiveGuard, Error> {
        let device = device(self.place.folder());
        let mut predicate = || !is_locked(&device, self.place.folder());
        let options =
            ExclusiveOptions::default().patience(ms(patience)).drain(ms(drain)).hold(None);
        self.barrier.exclusive(&mut options.predicate(&mut predicate))
    }

    /// Whether it is granted soon.
    pub fn is_quiet(&self) -> bool {
        match self.exclusive(0, 250) {
            Ok(pause) => pause.release().is_ok(),
            Err(Error::NotQuiet { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The device of the file system, as the kernel's lists have it.
fn device(path: &Path) -> String {
    let device = fs::metadata(path).unwrap().dev();
    format!("{:02x}:{:02x}", nix::sys::stat::major(device), nix::sys::stat::minor(device))
}

/// Whether a file below the folder is locked to write. Others use the same file system.
fn is_locked(device: &str, folder: &Path) -> bool {
    let inodes: Vec<u64> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.metadata().ok()?.ino()))
        .collect();
    // The kernel hands it out a page at a time: a lock that is given back in between may hide another one.
    let lists: String = (0..5).map(|_| list()).collect();
    lists.lines().filter(|line| !line.contains("->")).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let file = fields.get(5).and_then(|file| file.rsplit_once(':'));
        fields.get(3) == Some(&"WRITE")
            && file.is_some_and(|(on, inode)| {
                on == device && inode.parse().is_ok_and(|inode| inodes.contains(&inode))
            })
    })
}

/// The kernel's list of locks, in pieces as large as it gives.
fn list() -> String {
    let (mut file, mut list) = (fs::File::open("/proc/locks").unwrap(), Vec::new());
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece).unwrap() {
            0 => return String::from_utf8(list).unwrap(),
            length => list.extend(&piece[..length]),
        }
    }
}

/// A program that says what it does and waits to be told to go on.
pub struct Played {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Played {
    pub fn begin(command: &mut Command) -> Played {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Played { child, input, output }
    }

    /// What it says next; nothing at its end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().into()
    }

    /// All that it still says.
    pub fn rest(&mut self) -> String {
        let mut said = String::new();
        self.output.read_to_string(&mut said).unwrap();
        said.trim_end().into()
    }

    pub fn go_on(&mut self) {
        let _ = self.input.as_mut().unwrap().write_all(b"\n");
    }

    /// Whether it has nothing to say for a while.
    pub fn waits(&mut self) -> bool {
        use nix::poll::{PollFd, PollFlags, poll};
        use std::os::fd::AsFd;
        let output = self.output.get_ref().as_fd();
        poll(&mut [PollFd::new(output, PollFlags::POLLIN)], 300u16).unwrap() == 0
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    #[track_caller]
    pub fn succeeds(&mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
