//! Links the unwinder into the command instead of loading libgcc_s.so when it starts: one library
//! less to find, map and relocate is a tenth of what `stillpoint run -s true` takes altogether.
//!
//! Only with glibc, only when not cross-compiling, and only where the compiler has the archive;
//! elsewhere the command is linked as usual and starts a little later.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=bin/stillpoint/build.rs");
    let of_target = |name| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    let glibc = of_target("OS") == "linux" && of_target("ENV") == "gnu";
    let linked_already = of_target("FEATURE").split(',').any(|feature| feature == "crt-static");
    if glibc && !linked_already && env::var("HOST") == env::var("TARGET") && has_archive() {
        // Whole, since what needs it comes earlier on the linker's command line.
        println!(
            "cargo::rustc-link-arg-bins=-Wl,--whole-archive,-l:libgcc_eh.a,--no-whole-archive"
        );
    }
}

fn has_archive() -> bool {
    // Without one, cc prints the bare name.
    Command::new("cc")
        .arg("-print-file-name=libgcc_eh.a")
        .output()
        .is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_absolute())
}
