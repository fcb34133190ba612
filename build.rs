//! Hands the linker the order of the functions of the program, and nothing else.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={ORDER}");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|it| it == value);
    // The linkers of other systems have no such scripts. Tests and `cargo check` gain nothing from it.
    if !is("PROFILE", "release") || !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu")
    {
        return;
    }
    // A script with INSERT adds to the layout that the linker has anyway; rust-lld and GNU ld both know it. An order by
    // exact symbols (--symbol-ordering-file) would be lld's only, and their hashes change with every compiler.
    let folder = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", Path::new(&folder).join(ORDER).display());
}

const ORDER: &str = "packaging/text-order.ld";
