//! UITS documents in private frames, and the comment of Amazon beside them (reference purchases 1.2).

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use quick_xml::reader::Reader;

use crate::media::purchase::{Tags, evidence, hosts};
use crate::media::raw::{is_number, isrc};
use crate::track::{Evidence, Purchase, PurchaseLevel};

/// What a UITS document says; what it does not is empty.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Uits {
    /// The store.
    pub distributor: String,
    /// When it was bought, ISO 8601; the epoch stands for not known.
    pub time: String,
    /// The album's number, a bar code.
    pub product: String,
    /// The recording's number, and its kind (`ISRC`).
    pub asset: (String, String),
    /// The transaction.
    pub transaction: String,
    /// The buyer.
    pub user: String,
    /// The hash of the audio frames, and its kind (`SHA256`).
    pub media: (String, String),
    /// Where the store or the label is.
    pub url: String,
    /// Further facts by their kind, as `TransactionType`.
    pub extra: Vec<(String, String)>,
}

/// Returns what private frames and comments prove: a UITS document whatever frame it is in, and Amazon's own marks.
pub(super) fn of(tags: &Tags<'_>) -> Vec<Purchase> {
    let mut found = Vec::new();
    for (tag, owner, bytes) in tags.private() {
        let document = uits(bytes);
        let store = match (&document, owner) {
            (_, "www.amazon.com") => Some("amazon".to_owned()),
            (_, "Google/UITS") => Some("google".to_owned()),
            (Some(document), _) => hosts::store_named(&document.distributor).or(Some("unknown".into())),
            (None, _) => None,
        };
        if let Some(store) = store {
            found.push(by_document(store, &tag.place, tag.personal.is_some(), &document.unwrap_or_default()));
        }
    }
    let comment = tags.comments().find_map(|(tag, text)| {
        let id = text.strip_prefix("Amazon.com Song ID:")?.trim().to_owned();
        is_number(&id).then_some((tag, id))
    });
    found.extend(comment.map(|(tag, id)| Purchase {
        item_id: Some(id),
        evidence: vec![evidence(tag)],
        ..Purchase::at("amazon", PurchaseLevel::Embedded)
    }));
    // Re-downloads of Amazon in FLAC.
    let merchant =
        tags.named(&["MERCHANTNAME"]).find(|(_, text)| text.to_ascii_lowercase().contains("amazon"));
    let address = tags.at(&["vc:URL"]).find(|(_, text)| hosts::store_of(text) == Some("amazon"));
    let facts: Vec<Evidence> = merchant.iter().chain(&address).map(|(tag, _)| evidence(tag)).collect();
    if !facts.is_empty() {
        found.push(Purchase { evidence: facts, ..Purchase::at("amazon", PurchaseLevel::Embedded) });
    }
    found
}

fn by_document(store: String, place: &str, personal: bool, uits: &Uits) -> Purchase {
    let fact = |name: &str, text: &str, personal| Evidence {
        place: format!("{place}/{name}"),
        text: text.to_owned(),
        personal,
    };
    let all = [
        ("Distributor", &uits.distributor, false),
        ("Time", &uits.time, false),
        ("ProductID", &uits.product, false),
        ("AssetID", &uits.asset.0, false),
        ("Media", &uits.media.0, false),
        ("URL", &uits.url, false),
        ("TID", &uits.transaction, true),
        ("UID", &uits.user, true),
    ];
    let mut facts: Vec<Evidence> =
        all.into_iter().filter(|(_, text, _)| !text.is_empty()).map(|(n, t, p)| fact(n, t, p)).collect();
    facts.extend(uits.extra.iter().map(|(kind, text)| fact(&format!("Extra/{kind}"), text, false)));
    if facts.is_empty() {
        facts.push(fact("", "", personal));
    }
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let code = Some(&uits.asset).filter(|(_, kind)| kind.eq_ignore_ascii_case("ISRC") || kind.is_empty());
    Purchase {
        bought_at: known(&uits.time).filter(|time| !time.starts_with("1970-01-01")),
        album_id: known(&uits.product),
        isrc: code.and_then(|(code, _)| isrc(code)),
        transaction_id: known(&uits.transaction),
        account: known(&uits.user),
        evidence: facts,
        ..Purchase::at(store, PurchaseLevel::Embedded)
    }
}

/// Reads a UITS document; `None` for anything else. No entities beyond the five, no DTD, at most 64 kB.
pub fn uits(bytes: &[u8]) -> Option<Uits> {
    let text = std::str::from_utf8(bytes.get(..bytes.len().min(LARGEST_UITS))?).ok()?;
    let mut reader = Reader::from_str(text.trim_matches(['\0', '\u{feff}']));
    let mut uits = Uits::default();
    let (mut name, mut kind, mut seen, mut said) = (String::new(), String::new(), false, String::new());
    for _ in 0..MOST_EVENTS {
        match reader.read_event().ok()? {
            Event::Start(tag) => {
                let full = tag.name();
                let full: &str = full.as_ref();
                name = full.rsplit(':').next().unwrap_or(full).to_owned();
                seen |= name == "UITS";
                kind.clear();
                for attribute in tag.attributes().with_checks(false).flatten() {
                    if matches!(attribute.key.as_ref(), "type" | "algorithm") {
                        kind = attribute.value.into_owned();
                    }
                }
                said.clear();
            }
            Event::Text(piece) => said.push_str(&piece),
            Event::CData(piece) => said.push_str(&piece),
            Event::GeneralRef(entity) => {
                let character = entity.resolve_char_ref().ok().flatten().map(String::from);
                said.push_str(&character.or_else(|| resolve_predefined_entity(&entity).map(str::to_owned))?);
            }
            Event::End(_) => {
                uits.take(&name, &kind, said.trim());
                name.clear();
                said.clear();
            }
            Event::DocType(_) => return None,
            Event::Eof => return seen.then_some(uits),
            _ => {}
        }
    }
    None
}

impl Uits {
    fn take(&mut self, name: &str, kind: &str, text: &str) {
        let (text, kind) = (text.to_owned(), kind.to_owned());
        match name {
            "Distributor" => self.distributor = text,
            "Time" => self.time = text,
            "ProductID" => self.product = text,
            "AssetID" => self.asset = (text, kind),
            "TID" => self.transaction = text,
            "UID" => self.user = text,
            "Media" => self.media = (text, kind),
            "URL" => self.url = text,
            "Extra" if self.extra.len() < MOST_EXTRA => self.extra.push((kind, text)),
            _ => {}
        }
    }
}

const LARGEST_UITS: usize = 64 << 10;
const MOST_EVENTS: usize = 2000;
const MOST_EXTRA: usize = 16;
