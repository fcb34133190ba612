//! Hands the linker the order of the functions of the program and the form of its relocations, and nothing else.

use std::env;
use std::fmt::Write as _;
use std::fs;
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
    if let Some(asked) = lld() {
        // A script with INSERT adds to the layout that the linker has anyway. An order by exact symbols
        // (--symbol-ordering-file) would not hold: their hashes change with every compiler.
        let order = Path::new(&set("OUT_DIR")).join("text-order.ld");
        let text = fs::read_to_string(ORDER).expect("the order can be read");
        fs::write(&order, script(&text)).expect("the script can be written");
        for arg in asked.into_iter().chain([format!("-Wl,-T,{}", order.display())]) {
            println!("cargo::rustc-link-arg-bins={arg}");
        }
    }
    if is("HOST", &set("TARGET")) && glibc().is_some_and(|it| it >= SHORT_SINCE) {
        // 8 KB in place of 800 KB that are read at the start and stay in memory. Linkers that do not know it say so.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

fn set(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

/// Returns what the compiler's driver is to be told so that it links with Rust's own lld: nothing on x86-64, where rustc
/// tells it by itself since 1.90. `None` where that lld is missing or another linker was chosen. GNU ld takes minutes to look
/// through the patterns; without them the program keeps 13 MB more in memory.
fn lld() -> Option<Vec<String>> {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    if env::var_os("RUSTC_LINKER").is_some() || ["link", "ld="].iter().any(|it| flags.contains(it)) {
        return None;
    }
    let said = |what: &[&str]| {
        let said = Command::new(set("RUSTC")).args(what).output().map(|it| it.stdout).unwrap_or_default();
        String::from_utf8_lossy(&said).trim().to_owned()
    };
    let own =
        Path::new(&said(&["--print", "sysroot"])).join("lib/rustlib").join(set("HOST")).join("bin/gcc-ld");
    if !own.join("ld.lld").exists() {
        return None;
    }
    let minor = said(&["--version"]).split('.').nth(1).and_then(|it| it.parse::<u32>().ok());
    let tells = set("TARGET") == X86_64 && minor.is_some_and(|it| it >= LLD_SINCE);
    Some(if tells { Vec::new() } else { vec!["-fuse-ld=lld".into(), format!("-B{}", own.display())] })
}

/// Returns the linker's script for an order: a list of patterns for each group.
fn script(order: &str) -> String {
    let mut text = String::from("SECTIONS {\n  .text.run : {\n");
    for group in order.split("\n\n").skip(1) {
        text.push_str("    *(");
        for name in group.lines() {
            let hashes = name.matches(HASH).count();
            for short in 0..=hashes {
                write!(text, "\n      .text.{}", pattern(name, short)).expect("text takes everything");
            }
        }
        text.push_str(")\n");
    }
    // What its author calls cold lies in sections of another name; of these few, every third byte runs.
    text.push_str("    *(.text.unlikely.*)\n  }\n}\nINSERT BEFORE .text;\n");
    text
}

/// Returns the pattern of a name or its beginning in a build where the n-th hash, counted from 1, has a digit less than the
/// others; 0 is none of them. Two short ones in a name are rare.
///
/// A hash has eleven digits, of 62 each, and in one of twenty-two crates ten; a reference back counts bytes from behind
/// `_R` (rustc's book, symbol mangling v0, "Path: crate root" and "Back references").
fn pattern(name: &str, short: usize) -> String {
    let (mut pattern, mut places, mut hashes) = (String::new(), Vec::new(), 0);
    let mut letters = name.chars();
    while let Some(letter) = letters.next() {
        places.push(pattern.len().saturating_sub(2));
        match letter {
            HASH => {
                hashes += 1;
                let digits = if hashes == short { DIGITS - 1 } else { DIGITS };
                write!(pattern, "Cs{}_", "?".repeat(digits)).expect("text takes everything");
            }
            BACK => {
                let number: String = letters.by_ref().take_while(|it| *it != ';').collect();
                let to: usize = number.parse().expect("the order names a letter");
                write!(pattern, "B{}_", base_62(places[to])).expect("text takes everything");
            }
            letter => pattern.push(letter),
        }
    }
    pattern
}

/// Returns a number as names have it: nothing for 0, else the digits of the one before.
fn base_62(number: usize) -> String {
    let (mut rest, mut digits) = (number.checked_sub(1), Vec::new());
    while let Some(some) = rest {
        digits.push(char::from(BASE_62[some % 62]));
        rest = Some(some / 62).filter(|it| *it > 0);
    }
    digits.iter().rev().collect()
}

/// Returns the version of this system's glibc; an older one does not start a program that is linked for a newer one.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let (major, minor) = std::str::from_utf8(&said).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

/// The first glibc whose loader knows DT_RELR.
const SHORT_SINCE: (u32, u32) = (2, 36);

const X86_64: &str = "x86_64-unknown-linux-gnu";

/// The first Rust 1.x that links with its lld by itself there.
const LLD_SINCE: u32 = 90;

const ORDER: &str = "packaging/text-order.txt";

/// Stands for the hash of a crate.
const HASH: char = '#';

/// Begins what refers back to a letter.
const BACK: char = '@';

/// Digits of a hash.
const DIGITS: usize = 11;

const BASE_62: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
