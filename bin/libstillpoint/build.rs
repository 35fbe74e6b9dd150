//! Gives the library its name for the dynamic linker, and keeps it loaded: threads that end after
//! dlclose(3) would otherwise run code that is gone.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libstillpoint.so.0");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
