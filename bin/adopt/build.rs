//! Keeps the library loaded: threads that end after dlclose(3) would otherwise run code that is gone. What it calls
//! is looked up when it is loaded, and not on the small stack of a signal handler.
//!
//! What unwinds a panic is linked into it. The shared libgcc_s asks the processor what it can do whenever a program
//! starts, and in a virtual machine each such question is one for the host: more time than all else here takes.

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libstillpoint_adopt.so");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,now");
    // Rust asks for gcc_s by name; the linker finds this first.
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("set by cargo"));
    std::fs::write(folder.join("libgcc_s.so"), "INPUT(-lgcc_eh)\n").expect("a folder for output");
    println!("cargo::rustc-link-search=native={}", folder.display());
}
