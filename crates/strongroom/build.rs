//! Functions that came out alike are kept once in the release build, so that less of the program lies in memory. The
//! linker that Rust brings along for Linux does that on request; where another one links, nothing is asked of it.

use std::{env::var, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if is("PROFILE", "release") && is("TARGET", "x86_64-unknown-linux-gnu") && links_by_its_own() {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}

fn is(name: &str, value: &str) -> bool {
    var(name).is_ok_and(|known| known == value)
}

/// Whether nobody chose a linker, and Rust's own is there.
fn links_by_its_own() -> bool {
    let chosen = var("RUSTC_LINKER").is_ok()
        || var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("link"));
    let rustc = var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let sysroot = Command::new(rustc).args(["--print", "sysroot"]).output();
    let lies_there = sysroot.is_ok_and(|told| {
        let root = String::from_utf8_lossy(&told.stdout).trim().to_owned();
        Path::new(&root)
            .join("lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld/ld.lld")
            .exists()
    });
    !chosen && lies_there
}
