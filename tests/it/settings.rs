//! The shipped settings are the documented defaults.

use std::path::Path;

use konpo::config::{Config, ReplayGain};
use konpo::units::calendar::TimeOfDay;

#[test]
fn every_documented_key_has_its_default() {
    let shipped = shipped();
    assert_eq!(Config::parse(&shipped, "konpo.toml").expect("shipped as it is"), Config::default());
    let mut all = Config::parse(&spoken(&shipped), "konpo.toml").expect("each key alone is right");
    // Not set, these have no fixed default; what stands there is what is usual.
    assert_eq!((all.name.take().as_deref(), all.http.port.take()), (Some("Stereo"), Some(8200)));
    assert_eq!(all.output.replaygain.take(), Some(ReplayGain::Auto));
    assert_eq!(all.library.keep_free_mb.take(), Some(2000));
    let night = (all.quiet.from.take(), all.quiet.to.take());
    assert_eq!(night, (TimeOfDay::new(22, 0), TimeOfDay::new(7, 0)));
    assert_eq!(all, Config::default());
}

#[test]
fn every_key_is_documented() {
    let spoken = spoken(&shipped());
    for section in known(&refusal("nothing_of_that_name = 1\n")) {
        if section == "name" {
            continue;
        }
        assert!(spoken.contains(&format!("\n[{section}]\n")), "[{section}] is not documented");
        for key in known(&refusal(&format!("[{section}]\nnothing_of_that_name = 1\n"))) {
            assert!(spoken.contains(&format!("\n{key} = ")), "{section}.{key} is not documented");
        }
    }
}

fn shipped() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/konpo.toml");
    std::fs::read_to_string(path).expect("the shipped settings")
}

/// The same with every key set.
fn spoken(shipped: &str) -> String {
    let set = |line: &str| {
        let key =
            line.strip_prefix('#').filter(|rest| rest.starts_with(|sign: char| sign.is_ascii_lowercase()));
        key.unwrap_or(line).to_owned() + "\n"
    };
    shipped.lines().map(set).collect()
}

fn refusal(text: &str) -> String {
    Config::parse(text, "konpo.toml").expect_err("an unknown key").to_string()
}

/// Returns the names that a refusal of an unknown key lists: "expected one of `a`, `b`".
fn known(refusal: &str) -> Vec<String> {
    let (_, list) = refusal.split_once("expected").unwrap_or_else(|| panic!("{refusal}"));
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
