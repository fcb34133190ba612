//! Holds every `crate::name` of `src/` against the arrows of the design: who may know whom.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules that nobody may be kept from, and that know nobody but each other.
const GROUND: [&str; 6] = ["units", "track", "query", "offer", "error", "signal"];

/// Each module beside the ground, and whom it may use beside the ground and itself.
const ARROWS: [(&str, &[&str]); 18] = [
    ("wire", &[]),
    ("media", &[]),
    ("library", &["media"]),
    ("intake", &["media", "library"]),
    ("lan", &["wire"]),
    ("http", &["wire"]),
    ("beam", &["intake", "wire", "lan", "http"]),
    // It serves what faces wish through intake, as `beam` does.
    ("send", &["intake", "library", "wire", "lan", "http"]),
    ("stream", &["media", "http", "lan"]),
    ("player", &["media"]),
    ("hifi", &["media", "library", "player", "intake"]),
    ("upnp", &["hifi", "intake", "wire", "lan", "http"]),
    ("mpd", &["hifi", "intake", "wire", "lan", "http"]),
    ("settings", &["config", "hifi", "intake"]),
    ("web", &["hifi", "intake", "settings", "wire", "lan", "http"]),
    ("panel", &["hifi", "intake", "wire", "lan", "http"]),
    ("config", &[]),
    ("identity", &[]),
];

/// The wiring and the seams: they may use everything.
const WIRING: [&str; 7] = ["run", "seams", "main", "lib", "cli", "ctl", "ctl_text"];
/// What makes files and names for tests.
const BUILDERS: [&str; 2] = ["mint", "hostile_names"];

#[test]
fn every_use_follows_the_arrows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in sources(&root) {
        let inside = path.strip_prefix(&root).expect("below src");
        let text = fs::read_to_string(&path).expect("a source file");
        for (line, name) in uses(&text) {
            seen += 1;
            if let Err(why) = allowed(&module_of(inside), &name) {
                wrong.push(format!("src/{}:{line}: {why}", inside.display()));
            }
        }
    }
    assert!(seen > 50, "only {seen} uses found");
    assert!(wrong.is_empty(), "arrows that the design does not have:\n{}", wrong.join("\n"));
}

#[test]
fn uses_are_found_in_every_form() {
    let text = "use crate::units::Millis;\nuse crate::{track::Track, wire};\nuse crate::{\n    lan,\n    http::{client, range},\n};\n\
                fn f() -> crate::error::Result<()> { g(crate::offer::Board) }\n// crate::nothing\nlet s = my_crate::x;\n";
    let found: Vec<(usize, String)> = uses(text);
    let names: Vec<(usize, &str)> = found.iter().map(|(line, name)| (*line, name.as_str())).collect();
    let expected =
        [(1, "units"), (2, "track"), (2, "wire"), (4, "lan"), (5, "http"), (7, "error"), (7, "offer")];
    assert_eq!(names, expected);
}

#[test]
fn a_wrong_arrow_is_named() {
    assert!(allowed("player", "library").is_err());
    assert!(allowed("web", "upnp").is_err());
    assert!(allowed("units", "track").is_err());
    assert!(allowed("stranger", "units").is_err());
    assert!(allowed("hifi", "library").is_ok());
    assert!(allowed("track", "units").is_ok());
}

fn allowed(module: &str, name: &str) -> Result<(), String> {
    // The builders of test files, which only test modules see.
    if module == name || WIRING.contains(&module) || BUILDERS.contains(&name) {
        return Ok(());
    }
    if GROUND.contains(&module) {
        // `units` stands alone; the other plain data may mention each other.
        let plain = GROUND.contains(&name) && module != "units" || name == "units" || name == "error";
        return if plain { Ok(()) } else { Err(format!("{module} is ground and must not know {name}")) };
    }
    let Some((_, may)) = ARROWS.iter().find(|(from, _)| *from == module) else {
        return Err(format!("{module} has no row in the table of arrows"));
    };
    if GROUND.contains(&name) || may.contains(&name) {
        return Ok(());
    }
    Err(format!("{module} must not know {name}"))
}

/// The first part of a path below `src`: `hifi/rules.rs` is of `hifi`.
fn module_of(inside: &Path) -> String {
    let first = inside.components().next().expect("a path").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Returns the Rust sources below a folder.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Returns each name that follows `crate::`, with its line; also those inside `crate::{…}`.
fn uses(text: &str) -> Vec<(usize, String)> {
    // Comments become spaces, so that offsets and lines stay.
    let code: String = text
        .lines()
        .map(|line| line.split_once("//").map_or(line, |(code, _)| code).to_owned() + "\n")
        .collect();
    let mut found = Vec::new();
    for (at, word) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        if before.is_alphanumeric() || before == '_' || before == '$' {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + word.len()..];
        match rest.strip_prefix('{') {
            Some(list) => found.extend(names_of_list(list, line)),
            None => found.extend(name(rest).map(|name| (line, name))),
        }
    }
    found
}

/// Returns the first names of a list `a::b, c, d::{e, f}}`, each with its line.
fn names_of_list(list: &str, mut line: usize) -> Vec<(usize, String)> {
    let (mut depth, mut fresh, mut found) = (0_u32, true, Vec::new());
    for (at, sign) in list.char_indices() {
        match sign {
            '\n' => line += 1,
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            _ if fresh && !sign.is_whitespace() => {
                fresh = false;
                found.extend(name(&list[at..]).map(|name| (line, name)));
            }
            _ => {}
        }
    }
    found
}

/// Returns the module's name that `text` starts with; a macro or a type of the root is none.
fn name(text: &str) -> Option<String> {
    let name: String = text.chars().take_while(|sign| sign.is_ascii_alphanumeric() || *sign == '_').collect();
    let lower = name.chars().next().is_some_and(|sign| sign.is_ascii_lowercase());
    (lower && !text[name.len()..].starts_with('!')).then_some(name)
}
