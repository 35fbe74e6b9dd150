//! Keeps the library loaded: threads that end after dlclose(3) would otherwise run code that is gone. What it calls
//! is looked up when it is loaded, and not on the small stack of a signal handler.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libstillpoint_adopt.so");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,now");
}
