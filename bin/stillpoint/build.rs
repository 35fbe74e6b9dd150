//! Links the unwinder into the command instead of loading libgcc_s.so when it starts: one library
//! less to find, map and relocate is a fifteenth of what `stillpoint run -s true` takes altogether.
//!
//! rustc asks for libgcc_s by its name, before anything that is added here; so what the linker finds by that name
//! is a script of its own (ld(1), "INPUT") that names the archive.
//!
//! Only with glibc, only when not cross-compiling, and only where the compiler has the archive;
//! elsewhere the command is linked as usual and starts a little later.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=bin/stillpoint/build.rs");
    let of_target = |name| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    let glibc = of_target("OS") == "linux" && of_target("ENV") == "gnu";
    let linked_already = of_target("FEATURE").split(',').any(|feature| feature == "crt-static");
    if glibc && !linked_already && env::var("HOST") == env::var("TARGET") && has_archive() {
        let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where")).join("lib");
        fs::create_dir_all(&folder).expect("a folder of this build");
        fs::write(folder.join("libgcc_s.so"), "INPUT(-l:libgcc_eh.a)\n").expect("a file of it");
        println!("cargo::rustc-link-arg-bins=-L{}", folder.display());
    }
}

fn has_archive() -> bool {
    // Without one, cc prints the bare name.
    Command::new("cc")
        .arg("-print-file-name=libgcc_eh.a")
        .output()
        .is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_absolute())
}
