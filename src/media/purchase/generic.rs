//! Frames and fields of no particular store (reference purchases 1.4), and those that konpo writes into exported copies.

use crate::media::purchase::hosts::store_named;
use crate::media::purchase::{Tags, add, evidence, fill};
use crate::media::raw::{RawTag, RawValue};
use crate::media::sniff::id3::{end_of_text, latin, text_of};
use crate::track::{Evidence, Purchase, PurchaseLevel};

/// Adds what generic fields tell. Fields that name no store tell of the buy that is known already.
pub fn add_to(found: &mut Vec<Purchase>, tags: &Tags<'_>) {
    for new in [ownership(tags), by_konpo(tags), fields(tags)].into_iter().flatten() {
        let only = found.len() == 1;
        match found.first_mut() {
            Some(known) if only && new.store == UNKNOWN => {
                // A free field does not strengthen a proof.
                let level = known.level;
                fill(known, new);
                known.level = level;
            }
            _ => add(found, new),
        }
    }
    // An offer, a licence and a time of tagging prove nothing alone.
    if let Some(first) = found.first_mut() {
        let beside = tags.0.iter().filter(|tag| BESIDE.contains(&tag.place.as_str()));
        let facts = beside.map(|tag| match (&tag.value, tag.place.as_str()) {
            (RawValue::Bytes(bytes), "id3:COMR") => Evidence { text: offer(bytes), ..evidence(tag) },
            _ => evidence(tag),
        });
        let facts: Vec<Evidence> = facts.filter(|fact| !fact.text.is_empty()).collect();
        fill(first, Purchase { evidence: facts, ..Purchase::at("", PurchaseLevel::Claimed) });
    }
}

/// `OWNE`: encoding, price in Latin-1, date of eight digits, seller (ID3v2.3.0, 4.24).
fn ownership(tags: &Tags<'_>) -> Option<Purchase> {
    let (tag, bytes) = tags.0.iter().find_map(|tag| match &tag.value {
        RawValue::Bytes(bytes) if tag.place == "id3:OWNE" && !bytes.is_empty() => Some((*tag, bytes)),
        _ => None,
    })?;
    let rest = &bytes[1..];
    let end = end_of_text(0, rest);
    let amount = price(&latin(&rest[..end.start]));
    let rest = rest.get(end.end..)?;
    let bought_at = rest.get(..8).and_then(day);
    let seller = text_of(bytes[0], rest.get(8..).unwrap_or_default());
    let seller = seller.trim_matches('\0').trim();
    let told = [amount.as_deref(), bought_at.as_deref(), Some(seller)];
    let text = told.into_iter().flatten().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(", ");
    Some(Purchase {
        bought_at,
        price: amount,
        evidence: vec![Evidence { text, ..evidence(tag) }],
        ..Purchase::at(store_named(seller).unwrap_or_else(|| UNKNOWN.into()), PurchaseLevel::Embedded)
    })
}

/// What konpo writes into an exported copy when its owner asks for it: another konpo reads it back at the level it had.
fn by_konpo(tags: &Tags<'_>) -> Option<Purchase> {
    let field = |name: &str| tags.named(&[&format!("KONPO_PURCHASE_{name}")]).next().map(|(_, text)| text);
    let store = field("STORE")?;
    let level = match field("LEVEL").as_deref() {
        Some("receipt") => PurchaseLevel::Receipt,
        Some("embedded") => PurchaseLevel::Embedded,
        _ => PurchaseLevel::Claimed,
    };
    let ours = |tag: &&RawTag| {
        crate::media::purchase::free_name(&tag.place).is_some_and(|name| name.starts_with("KONPO_PURCHASE_"))
    };
    let amount = field("PRICE").map(|amount| match field("CURRENCY") {
        Some(currency) => format!("{currency} {amount}"),
        None => amount,
    });
    Some(Purchase {
        bought_at: field("DATE"),
        price: amount,
        order_id: field("ORDER"),
        evidence: tags.0.iter().copied().filter(ours).map(evidence).collect(),
        ..Purchase::at(store, level)
    })
}

/// Free text that taggers' presets and conversions leave, and the owner of a file.
fn fields(tags: &Tags<'_>) -> Option<Purchase> {
    let of = |names: &[&str]| tags.named(names).next();
    let date = of(&["PURCHASE_DATE", "PURCHASEDATE", "PURCHASE DATE"]);
    let (item, amount) = (of(&["PURCHASE_ITEM"]), of(&["PURCHASE_PRICE"]));
    let store = of(&["PURCHASE_STORE", "MERCHANTNAME", "STORE"]);
    let named = ["PURCHASE_OWNER", "PURCHASEOWNER", "PURCHASE OWNER", "ACCOUNT_ID", "APID", "OWNR"];
    let is_person = |(tag, _): &(&RawTag, String)| tag.personal.is_some();
    let owner =
        of(&named).or_else(|| tags.named(&["FILEOWNER"]).chain(tags.at(&["id3:TOWN"])).find(is_person));
    let all = [&date, &item, &amount, &store, &owner];
    let facts: Vec<Evidence> =
        all.iter().filter_map(|found| found.as_ref()).map(|(tag, _)| evidence(tag)).collect();
    if facts.is_empty() {
        return None;
    }
    let words = |found: Option<(&RawTag, String)>| found.map(|(_, text)| text);
    let starts_with_year =
        |text: &String| text.len() <= 40 && text.bytes().take_while(u8::is_ascii_digit).count() >= 4;
    let store = words(store).and_then(|text| store_named(&text));
    Some(Purchase {
        bought_at: words(date).map(|text| day(text.as_bytes()).unwrap_or(text)).filter(starts_with_year),
        item_id: words(item),
        price: words(amount).map(|text| price(&text).unwrap_or(text)),
        account: words(owner),
        evidence: facts,
        ..Purchase::at(store.unwrap_or_else(|| UNKNOWN.into()), PurchaseLevel::Claimed)
    })
}

/// `COMR`: encoding, prices, a date, an address, how it is received, seller, description (ID3v2.3.0, 4.25).
fn offer(bytes: &[u8]) -> String {
    let Some((encoding, rest)) = bytes.split_first() else { return String::new() };
    let prices = end_of_text(0, rest);
    let until = rest.get(prices.end..prices.end + 8).and_then(day);
    let rest_of = rest.get(prices.end + 8..).unwrap_or_default();
    let address = end_of_text(0, rest_of);
    let sellers = rest_of.get(address.end + 1..).unwrap_or_default();
    let seller = text_of(*encoding, &sellers[..end_of_text(*encoding, sellers).start]);
    let told = [
        latin(&rest[..prices.start]),
        until.map(|day| format!("until {day}")).unwrap_or_default(),
        latin(&rest_of[..address.start]),
        seller,
    ];
    told.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
}

/// `YYYYMMDD` with dashes.
fn day(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text)
        .ok()
        .filter(|text| text.len() == 8 && crate::media::raw::is_number(text))?;
    let (year, rest) = text.split_at(4);
    let (month, day) = rest.split_at(2);
    (year != "0000").then(|| format!("{year}-{month}-{day}"))
}

/// Three letters of ISO 4217, then a number with a point.
fn price(text: &str) -> Option<String> {
    let (currency, amount) = text.trim().split_at_checked(3)?;
    let amount = amount.trim();
    let is_amount = !amount.is_empty() && amount.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (currency.bytes().all(|b| b.is_ascii_uppercase()) && is_amount).then(|| format!("{currency} {amount}"))
}

/// A buy of which no field names the store.
const UNKNOWN: &str = "unknown";
/// What stands beside a proof: an offer, a licence, times of tagging and encoding, a label.
const BESIDE: [&str; 5] = ["id3:COMR", "id3:USER", "id3:TDTG", "id3:TDEN", "id3:WPUB"];
