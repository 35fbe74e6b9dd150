//! Compiles C programs against the header and the library of this build, and runs them.

use crate::common::{Place, must, programs, root, skip, without_our_variables};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What every C program here must be free of.
pub const WARNINGS: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread"];

/// How a program is built and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    Plain,
    /// With gcc's sanitizers for addresses, leaks and undefined behaviour.
    Sanitized,
    /// Under valgrind's memcheck.
    Valgrind,
}

/// A folder for programs, with the library as an installation would lay it out, and a place for
/// barriers.
pub struct Workshop {
    folder: TempDir,
    pub place: Place,
}

/// Where `stillpoint.h` is.
pub fn include() -> PathBuf {
    root().join("bin/libstillpoint")
}

/// The library, which lies beside the command wherever that was built.
pub fn library() -> PathBuf {
    let library = programs().join("libstillpoint.so");
    assert!(library.exists(), "{} is not built: cargo build --workspace", library.display());
    library
}

impl Workshop {
    pub fn new() -> Workshop {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let libraries = folder.path().join("lib");
        fs::create_dir(&libraries).unwrap();
        for name in ["libstillpoint.so", "libstillpoint.so.0"] {
            symlink(library(), libraries.join(name)).unwrap();
        }
        Workshop { folder, place: Place::new() }
    }

    /// Compiles `tests/c/NAME.c` and links it with the library.
    pub fn compile(&self, name: &str, flags: &[&str]) -> PathBuf {
        self.compile_source(&root().join(format!("tests/c/{name}.c")), flags)
    }

    /// The same, for a source anywhere.
    pub fn compile_source(&self, source: &Path, flags: &[&str]) -> PathBuf {
        let stem = source.file_stem().unwrap().to_string_lossy();
        self.compile_program(&stem, &[source.to_owned()], flags)
    }

    /// The same, for a program of several sources.
    pub fn compile_program(&self, name: &str, sources: &[PathBuf], flags: &[&str]) -> PathBuf {
        let program = self.folder.path().join(format!("{name}{}", flags.concat().replace('/', "")));
        let mut compiler = Command::new("gcc");
        compiler.args(["-std=c11", "-g", "-O1"]).args(WARNINGS).arg("-I").arg(include());
        compiler.args(flags).args(sources).arg("-o").arg(&program);
        must(compiler.args(self.linking()));
        program
    }

    /// What links a program with the library.
    pub fn linking(&self) -> [std::ffi::OsString; 3] {
        ["-L".into(), self.folder.path().join("lib").into(), "-lstillpoint".into()]
    }

    /// A program of this workshop, to be run with the library of this build and the command in its
    /// path, and with nothing of the user's surroundings.
    pub fn command(&self, program: &Path) -> Command {
        self.prepare(Command::new(program))
    }

    fn prepare(&self, mut command: Command) -> Command {
        without_our_variables(&mut command, &[]);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", programs().display()));
        command.env("LD_LIBRARY_PATH", self.folder.path().join("lib"));
        command
    }

    /// Compiles `tests/c/NAME.c` as the variant wants it, ready to be run on the place for barriers.
    /// `None`: this machine cannot, which has been said.
    pub fn suite(&self, name: &str, variant: Variant) -> Option<Command> {
        let mut command = match variant {
            Variant::Plain => self.command(&self.compile(name, &[])),
            Variant::Sanitized => {
                let program = self.compile(name, &["-fsanitize=address,undefined"]);
                let mut command = self.command(&program);
                command.env("UBSAN_OPTIONS", "halt_on_error=1");
                // A thread that is cancelled leaves marks on its stack that the sanitizer's own handling of
                // alternate stacks takes for a fault.
                command.env("ASAN_OPTIONS", "use_sigaltstack=0");
                command
            }
            Variant::Valgrind => {
                if Command::new("valgrind").arg("--version").output().is_err() {
                    skip("valgrind is missing");
                    return None;
                }
                let mut command = self.prepare(Command::new("valgrind"));
                command.env("UNDER_VALGRIND", "1");
                // Leaks are the sanitizer's to find: a forked child leaves its parent's side of the
                // barrier where it is, on purpose, and valgrind asks the child too.
                command.args(["--quiet", "--error-exitcode=99", "--leak-check=no"]);
                command.arg(self.compile(name, &[]));
                command
            }
        };
        command.arg(self.place.folder());
        if !cfg!(debug_assertions) {
            command.env("OPTIMISED_LIBRARY", "1");
        }
        Some(command)
    }
}
