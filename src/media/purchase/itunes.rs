//! The iTunes Store (reference purchases 1.1).

use crate::media::purchase::{Tags, evidence, storefronts};
use crate::media::sniff::Sniffed;
use crate::track::{Evidence, Purchase, PurchaseLevel};

/// Rule of 1.1: `apID`, `ownr`, `purd`, `cnID` with `sfID`, `pinf`, or `drms` with scheme `itun`. What the boxes of the
/// sample entry say outranks the atoms, which taggers copy.
pub fn of(sniffed: &Sniffed, tags: &Tags<'_>) -> Option<Purchase> {
    let atom = |name: &str| tags.text(&format!("mp4:ilst/{name}"));
    let (account, owner, date) = (atom("apID"), atom("ownr"), atom("purd"));
    let (item, store_front) = (atom("cnID"), atom("sfID"));
    let by_atoms =
        account.is_some() || owner.is_some() || date.is_some() || (item.is_some() && store_front.is_some());
    let boxes = sniffed.purchase.as_ref();
    if !by_atoms && boxes.is_none() {
        return None;
    }
    let of_store = tags
        .0
        .iter()
        .filter(|tag| tag.place.strip_prefix("mp4:ilst/").is_some_and(|name| STORE_ATOMS.contains(&name)));
    let mut facts: Vec<Evidence> = boxes.map(|purchase| purchase.evidence.clone()).unwrap_or_default();
    facts.extend(of_store.map(|tag| evidence(tag)));
    Some(Purchase {
        country: store_front.and_then(|front| storefronts::country(&front)).map(str::to_owned),
        bought_at: date,
        item_id: boxes.and_then(|purchase| purchase.item_id.clone()).or(item),
        album_id: atom("plID"),
        transaction_id: boxes.and_then(|purchase| purchase.transaction_id.clone()),
        account: account.or(owner).or_else(|| boxes?.account.clone()),
        evidence: facts,
        ..Purchase::at("itunes", PurchaseLevel::Embedded)
    })
}

const STORE_ATOMS: [&str; 14] = [
    "apID", "ownr", "purd", "akID", "sfID", "cnID", "plID", "atID", "geID", "cmID", "xid ", "flvr", "cprt",
    "stik",
];
