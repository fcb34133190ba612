//! What a file proves of a buy: iTunes, Amazon, Bandcamp (reference purchases 1.1 to 1.3). A list of evidence, never a flag.

use quick_xml::events::Event;
use quick_xml::reader::Reader;

use crate::media::raw::{RawTag, RawValue};
use crate::media::sniff::Sniffed;
use crate::track::{Evidence, Purchase, PurchaseLevel};

/// Returns what a file proves, from its boxes and raw tags; `more` are tags that another reader found.
pub fn purchases(sniffed: &Sniffed, more: &[RawTag]) -> Vec<Purchase> {
    let tags: Vec<&RawTag> = sniffed.raw.iter().chain(more).collect();
    let found = [itunes(sniffed, &tags), amazon(&tags), bandcamp(&tags)];
    found.into_iter().flatten().collect()
}

fn text(tags: &[&RawTag], place: &str) -> Option<String> {
    let found = tags.iter().find(|tag| tag.place == place)?.text()?;
    let found = found.trim();
    (!found.is_empty()).then(|| found.to_owned())
}

fn evidence(tag: &RawTag) -> Evidence {
    Evidence {
        place: tag.place.clone(),
        text: tag.text().unwrap_or_default(),
        personal: tag.personal.is_some(),
    }
}

/// Rule of 1.1: `apID`, `ownr`, `purd`, `cnID` with `sfID`, `pinf`, or `drms` with scheme `itun`.
fn itunes(sniffed: &Sniffed, tags: &[&RawTag]) -> Option<Purchase> {
    let atom = |name: &str| text(tags, &format!("mp4:ilst/{name}"));
    let (account, owner, date) = (atom("apID"), atom("ownr"), atom("purd"));
    let (item, store_front) = (atom("cnID"), atom("sfID"));
    let by_atoms =
        account.is_some() || owner.is_some() || date.is_some() || (item.is_some() && store_front.is_some());
    let boxes = sniffed.purchase.as_ref();
    if !by_atoms && boxes.is_none() {
        return None;
    }
    let of_store =
        |tag: &&&RawTag| tag.place.strip_prefix("mp4:ilst/").is_some_and(|name| STORE_ATOMS.contains(&name));
    let mut facts: Vec<Evidence> = boxes.map(|purchase| purchase.evidence.clone()).unwrap_or_default();
    facts.extend(tags.iter().filter(of_store).map(|tag| evidence(tag)));
    Some(Purchase {
        store: "itunes".into(),
        country: store_front.and_then(|front| country(&front)),
        bought_at: date,
        item_id: item.or_else(|| boxes?.item_id.clone()),
        album_id: atom("plID"),
        transaction_id: boxes.and_then(|purchase| purchase.transaction_id.clone()),
        account: account.or(owner).or_else(|| boxes?.account.clone()),
        level: PurchaseLevel::Embedded,
        evidence: facts,
    })
}

/// The country of a storefront; some files append `-1,2` or the like.
fn country(store_front: &str) -> Option<String> {
    let digits: String = store_front.chars().take_while(char::is_ascii_digit).collect();
    let known = [
        ("143441", "US"),
        ("143462", "JP"),
        ("143444", "GB"),
        ("143443", "DE"),
        ("143442", "FR"),
        ("143465", "CN"),
        ("143466", "KR"),
        ("143463", "HK"),
        ("143470", "TW"),
        ("143455", "CA"),
        ("143460", "AU"),
    ];
    known.iter().find(|(front, _)| *front == digits).map(|(_, country)| (*country).to_owned())
}

/// A comment `Amazon.com Song ID: …`, or a UITS document in `PRIV` (1.2).
fn amazon(tags: &[&RawTag]) -> Option<Purchase> {
    let comments = tags.iter().filter(|tag| tag.place == "id3:COMM" || tag.place == "id3:COM");
    let comment = comments
        .filter_map(|tag| {
            Some((tag, tag.text()?.trim().strip_prefix("Amazon.com Song ID:")?.trim().to_owned()))
        })
        .find(|(_, id)| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()));
    let document = tags.iter().find_map(|tag| match &tag.value {
        RawValue::Bytes(bytes) if tag.place.starts_with("id3:PRIV/") => Some((tag, uits(bytes)?)),
        _ => None,
    });
    let from_amazon = |uits: &Uits| uits.distributor.to_ascii_lowercase().contains("amazon");
    let document = document.filter(|(tag, uits)| tag.place == "id3:PRIV/www.amazon.com" || from_amazon(uits));
    if comment.is_none() && document.is_none() {
        return None;
    }
    let mut facts: Vec<Evidence> = comment.iter().map(|(tag, _)| evidence(tag)).collect();
    if let Some((tag, uits)) = &document {
        let fact = |name: &str, text: &str, personal| Evidence {
            place: format!("{}/{name}", tag.place),
            text: text.to_owned(),
            personal,
        };
        let all = [
            ("Distributor", &uits.distributor, false),
            ("Time", &uits.time, false),
            ("ProductID", &uits.product, false),
            ("AssetID", &uits.asset, false),
            ("Media", &uits.media, false),
            ("TID", &uits.transaction, true),
            ("UID", &uits.user, true),
        ];
        facts.extend(all.into_iter().filter(|(_, t, _)| !t.is_empty()).map(|(n, t, p)| fact(n, t, p)));
    }
    let uits = document.map(|(_, uits)| uits).unwrap_or_default();
    let known = |text: String| (!text.is_empty()).then_some(text);
    Some(Purchase {
        store: "amazon".into(),
        country: None,
        // The epoch stands in real files for "not known" (1.2).
        bought_at: known(uits.time).filter(|time| !time.starts_with("1970-01-01")),
        item_id: comment.map(|(_, id)| id).or(known(uits.asset)),
        album_id: known(uits.product),
        transaction_id: known(uits.transaction),
        account: known(uits.user),
        level: PurchaseLevel::Embedded,
        evidence: facts,
    })
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Uits {
    distributor: String,
    time: String,
    product: String,
    asset: String,
    transaction: String,
    user: String,
    media: String,
}

/// Reads a UITS document; `None` for anything else. No entities beyond the five, no DTD, at most 64 kB.
fn uits(bytes: &[u8]) -> Option<Uits> {
    let text = std::str::from_utf8(bytes.get(..bytes.len().min(LARGEST_UITS))?).ok()?;
    let mut reader = Reader::from_str(text.trim_matches(['\0', '\u{feff}']));
    let mut uits = Uits::default();
    let (mut name, mut seen) = (String::new(), false);
    for _ in 0..MOST_EVENTS {
        match reader.read_event().ok()? {
            Event::Start(tag) => {
                let full = tag.name();
                let full: &str = full.as_ref();
                name = full.rsplit(':').next().unwrap_or(full).to_owned();
                seen |= name == "UITS";
            }
            Event::Text(piece) => {
                let field = match name.as_str() {
                    "Distributor" => &mut uits.distributor,
                    "Time" => &mut uits.time,
                    "ProductID" => &mut uits.product,
                    "AssetID" => &mut uits.asset,
                    "TID" => &mut uits.transaction,
                    "UID" => &mut uits.user,
                    "Media" => &mut uits.media,
                    _ => continue,
                };
                field.push_str(piece.trim());
            }
            Event::End(_) => name.clear(),
            Event::DocType(_) => return None,
            Event::Eof => return seen.then_some(uits),
            _ => {}
        }
    }
    None
}

/// `Visit https://artist.bandcamp.com` in the comment (1.3). The host is compared, never a part of the text.
fn bandcamp(tags: &[&RawTag]) -> Option<Purchase> {
    let places = ["id3:COMM", "id3:COM", "vc:COMMENT", "vc:DESCRIPTION", "mp4:ilst/©cmt"];
    let comments = tags.iter().filter(|tag| places.contains(&tag.place.as_str()));
    let mut found = comments.filter_map(|tag| {
        let text = tag.text()?;
        let url = text.trim().strip_prefix("Visit ")?.trim().to_owned();
        let host = host_of(&url)?;
        (host == "bandcamp.com" || host.ends_with(".bandcamp.com")).then(|| evidence(tag))
    });
    let fact = found.next()?;
    Some(Purchase {
        store: "bandcamp".into(),
        country: None,
        bought_at: None,
        item_id: None,
        album_id: None,
        transaction_id: None,
        account: None,
        level: PurchaseLevel::Embedded,
        evidence: vec![fact],
    })
}

fn host_of(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    matches!(uri.scheme_str(), Some("http" | "https")).then(|| uri.host().map(str::to_ascii_lowercase))?
}

const STORE_ATOMS: [&str; 14] = [
    "apID", "ownr", "purd", "akID", "sfID", "cnID", "plID", "atID", "geID", "cmID", "xid ", "flvr", "cprt",
    "stik",
];
const LARGEST_UITS: usize = 64 << 10;
const MOST_EVENTS: usize = 2000;
