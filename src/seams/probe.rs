//! `konpo probe`: what files are, in words for a person or as JSON. Personal data only when it is asked for.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::media::sniff::{Sniffed, sniff, tags_of_locked};
use crate::media::sound::Sound;
use crate::media::{purchase, tags};
use crate::seams::print;
use crate::track::{Protection, Purchase, PurchaseLevel, Tags};

/// How `konpo probe` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    /// JSON, one object a line.
    pub json: bool,
    /// With names, e-mail addresses, account and transaction numbers of the buyer.
    pub personal: bool,
}

/// Says what files are. Returns whether all of them are sound that konpo knows.
///
/// # Errors
/// Those of printing; a file that cannot be read is a line of its own.
pub fn probe(files: &[PathBuf], how: How) -> Result<bool> {
    let mut all = true;
    for path in files {
        let found = look(path);
        all &= found.is_ok();
        print::line(said(path, found, how))?;
    }
    Ok(all)
}

/// What one file is and says.
struct Facts {
    sniffed: Sniffed,
    tags: Tags,
    purchases: Vec<Purchase>,
}

fn look(path: &Path) -> Result<Facts> {
    let file = File::open(path).map_err(|error| Error::io("open the file", error))?;
    let extension = path.extension().and_then(|e| e.to_str());
    let mut sound = Sound::file(file, extension).map_err(|error| Error::io("read the file", error))?;
    let sniffed = sniff(&mut sound)?;
    let (tags, raw) = if sniffed.protection.is_locked() {
        (tags_of_locked(&sniffed), Vec::new())
    } else {
        tags::read(&mut sound, &sniffed)?
    };
    let purchases = purchase::purchases(&sniffed, &raw);
    Ok(Facts { sniffed, tags, purchases })
}

/// Returns what is printed of one file.
fn said(path: &Path, found: Result<Facts>, how: How) -> String {
    let mut facts = match found {
        Ok(facts) => facts,
        Err(error) if how.json => {
            return json!({ "file": path, "verdict": "unreadable", "error": error.to_string() }).to_string();
        }
        Err(error) => return format!("{}: {error}", path.display()),
    };
    // Whether there is something to show is no secret.
    let personal = !facts.sniffed.personal.is_empty() || facts.purchases.iter().any(Purchase::is_personal);
    if !how.personal {
        facts.purchases = facts.purchases.iter().map(Purchase::without_personal).collect();
        facts.sniffed.protection = facts.sniffed.protection.without_personal();
    }
    if how.json { in_json(path, &facts, personal).to_string() } else { in_words(path, &facts, personal) }
}

/// What may be done with the file.
fn verdict(facts: &Facts) -> &'static str {
    match &facts.sniffed.protection {
        protection if protection.is_locked() => "locked",
        Protection::CarrierCopyGuard => "stays here",
        _ if !facts.sniffed.format.codec.is_decodable() => "no decoder",
        _ => "plays",
    }
}

fn in_json(path: &Path, facts: &Facts, personal: bool) -> Value {
    let Facts { sniffed, tags, purchases } = facts;
    let protection = &sniffed.protection;
    let unsupported = verdict(facts) == "no decoder";
    json!({
        "file": path,
        "verdict": verdict(facts),
        "container": sniffed.format.container,
        "codec": sniffed.format.codec,
        "format": sniffed.format,
        "duration_ms": sniffed.format.duration(),
        "protection": protection,
        "code": if unsupported { Some("unsupported.codec") } else { protection.code() },
        "headline": if unsupported { NO_DECODER } else { protection.headline() },
        "advice": if unsupported { CONVERT } else { protection.advice() },
        "detail": protection.detail(),
        "tags": tags,
        "purchases": purchases,
        "has_personal": personal,
        "personal": sniffed.personal,
    })
}

fn in_words(path: &Path, facts: &Facts, personal: bool) -> String {
    let Facts { sniffed, tags, purchases } = facts;
    let format = &sniffed.format;
    let mut lines = vec![path.display().to_string()];
    let shape = [
        format.rate.map(|rate| format!("{} Hz", rate.hz())),
        format
            .channels
            .map(|count| if count == 1 { "1 channel".into() } else { format!("{count} channels") }),
        format.bits.map(|bits| if bits == 1 { "1 bit".into() } else { format!("{bits} bits") }),
        format.duration().map(|length| format!("{}:{:02}", length.0 / 60_000, length.0 / 1000 % 60)),
    ];
    let form = format!("{} in {}", format.codec.name(), format.container.name());
    lines.push(format!(
        "  {}",
        [form].into_iter().chain(shape.into_iter().flatten()).collect::<Vec<_>>().join(", ")
    ));
    let titles: Vec<&str> =
        [&tags.artist, &tags.album, &tags.title].into_iter().flatten().map(String::as_str).collect();
    if !titles.is_empty() {
        lines.push(format!("  {}", titles.join(" – ")));
    }
    let protection = &sniffed.protection;
    match (verdict(facts), protection.code()) {
        ("no decoder", _) => lines.push(format!("  {NO_DECODER} (unsupported.codec). {CONVERT}")),
        (_, None) => lines.push(format!("  {}", protection.headline())),
        (verdict, Some(code)) => {
            let detail = protection.detail().map_or(String::new(), |detail| format!(" ({detail})"));
            let word = if verdict == "locked" { "Locked" } else { "Plays here" };
            lines.push(format!("  {word}: {}{detail} [{code}]", protection.headline()));
            lines.push(format!("  {}", protection.advice()));
        }
    }
    lines.extend(purchases.iter().flat_map(bought));
    if personal {
        lines.push("  The file tells who bought it; `--personal` shows it, and nobody but the owner sees it elsewhere".into());
    }
    lines.join("\n")
}

fn bought(purchase: &Purchase) -> Vec<String> {
    let trust = match purchase.level {
        PurchaseLevel::Receipt => "receipt: the owner holds the order",
        PurchaseLevel::Embedded => "embedded: the store wrote it into the file",
        PurchaseLevel::Claimed => "claimed: a mark that anybody can write",
    };
    let country = purchase.country.as_ref().map_or(String::new(), |country| format!(" ({country})"));
    let date = purchase.bought_at.as_deref().unwrap_or("date not told");
    let mut lines = vec![format!("  Bought at {}{country}, {date} [{trust}]", purchase.store)];
    let facts = [
        ("item", &purchase.item_id),
        ("album", &purchase.album_id),
        ("ISRC", &purchase.isrc),
        ("price", &purchase.price),
        ("account", &purchase.account),
        ("transaction", &purchase.transaction_id),
        ("order", &purchase.order_id),
    ];
    let facts: Vec<String> =
        facts.iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?))).collect();
    if !facts.is_empty() {
        lines.push(format!("    {}", facts.join(", ")));
    }
    let shortened = |text: &str| text.chars().filter(|c| !c.is_control()).take(LONGEST).collect::<String>();
    lines.extend(
        purchase.evidence.iter().map(|fact| format!("    {} = {}", fact.place, shortened(&fact.text))),
    );
    lines
}

/// Reference purchases 2.7, `unsupported.codec`.
const NO_DECODER: &str = "Not protected, but konpo has no decoder for it";
const CONVERT: &str = "Install ffmpeg, or convert it to FLAC.";
/// Letters of a fact that are printed.
const LONGEST: usize = 120;
