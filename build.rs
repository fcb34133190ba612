//! Hands the linker the order of the functions of the program and the form of its relocations, and nothing else.

use std::env;
use std::path::Path;
use std::process::Command;

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
    if is("HOST", &env::var("TARGET").expect("cargo sets it")) && glibc().is_some_and(|it| it >= SHORT_SINCE)
    {
        // 8 KB in place of 800 KB that are read at the start and stay in memory. Linkers that do not know it say so.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Returns the version of this system's glibc; an older one does not start a program that is linked for a newer one.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let (major, minor) = std::str::from_utf8(&said).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

/// The first glibc whose loader knows DT_RELR.
const SHORT_SINCE: (u32, u32) = (2, 36);

const ORDER: &str = "packaging/text-order.ld";
