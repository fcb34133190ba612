//! Marks of stores that have no form of their own: comments, free fields, private frames, links (reference purchases 1.3).

use crate::media::purchase::hosts::store_of;
use crate::media::purchase::{Tags, evidence};
use crate::media::raw::{RawTag, is_number};
use crate::track::{Purchase, PurchaseLevel};

/// Returns the buys that a store wrote into the file.
pub fn of(tags: &Tags<'_>) -> Vec<Purchase> {
    let found = [bandcamp(tags), qobuz(tags), beatport(tags), google(tags), emusic(tags), mora(tags)];
    found.into_iter().chain([ototoy(tags)]).flatten().collect()
}

fn at(store: &str, proof: &[&RawTag]) -> Option<Purchase> {
    let evidence: Vec<_> = proof.iter().map(|tag| evidence(tag)).collect();
    (!evidence.is_empty()).then(|| Purchase { evidence, ..Purchase::at(store, PurchaseLevel::Embedded) })
}

/// `Visit https://artist.bandcamp.com` in the comment.
fn bandcamp(tags: &Tags<'_>) -> Option<Purchase> {
    let visit = |text: &str| text.strip_prefix("Visit ").is_some_and(|url| store_of(url) == Some("bandcamp"));
    at("bandcamp", &tags.comments().filter(|(_, text)| visit(text)).map(|(tag, _)| tag).collect::<Vec<_>>())
}

/// `QBZ:TID`, which survives a conversion to Apple Lossless, or the store's address in `URL`.
fn qobuz(tags: &Tags<'_>) -> Option<Purchase> {
    let item = tags.named(&["QBZ:TID"]).next();
    let address = tags.at(&["vc:URL"]).find(|(_, text)| store_of(text) == Some("qobuz"));
    let proof: Vec<&RawTag> = item.iter().chain(&address).map(|(tag, _)| *tag).collect();
    let album = tags.named(&["UPC", "BARCODE"]).next().map(|(_, text)| text);
    Some(Purchase { item_id: item.map(|(_, text)| text), album_id: album, ..at("qobuz", &proof)? })
}

/// `Purchased at Beatport.com` in any comment, `FILEOWNER=track-…`, or the store's name as the encoder.
fn beatport(tags: &Tags<'_>) -> Option<Purchase> {
    let bought = "purchased at beatport.com";
    let comment = tags.comments().find(|(_, text)| text.to_ascii_lowercase().starts_with(bought));
    let number = |text: &str| text.strip_prefix("track-").filter(|id| is_number(id)).map(str::to_owned);
    let mut owners = tags.named(&["FILEOWNER"]).chain(tags.at(&["id3:TOWN"]));
    let owner = owners.find(|(_, text)| number(text).is_some());
    let mut coders = tags.named(&["ENCODED_BY", "ENCODED-BY", "ENCODER"]).chain(tags.at(&["id3:TENC"]));
    let coder = coders.find(|(_, text)| text.eq_ignore_ascii_case("beatport"));
    let item = owner.as_ref().and_then(|(_, text)| number(text));
    // The track's number alone is no name of a store.
    let link = tags.named(&["TRACK_URL", "LABEL_URL"]).find(|(_, text)| store_of(text) == Some("beatport"));
    if comment.is_none() && coder.is_none() && (owner.is_none() || link.is_none()) {
        return None;
    }
    let proof: Vec<&RawTag> =
        [comment, owner, coder, link].into_iter().flatten().map(|(tag, _)| tag).collect();
    Some(Purchase { item_id: item, ..at("beatport", &proof)? })
}

/// Google Play Music: private frames of its own; a UITS document among them is read with the others.
fn google(tags: &Tags<'_>) -> Option<Purchase> {
    let frames: Vec<_> = tags
        .private()
        .filter(|(_, owner, _)| matches!(*owner, "Google/StoreId" | "Google/StoreLabelCode"))
        .collect();
    let number = frames.iter().find(|(_, owner, _)| *owner == "Google/StoreId").and_then(|(_, _, bytes)| {
        let text = std::str::from_utf8(bytes).ok()?.trim_end_matches('\0');
        let plain = !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_graphic());
        plain.then(|| text.to_owned())
    });
    let proof: Vec<&RawTag> = frames.into_iter().map(|(tag, ..)| tag).collect();
    Some(Purchase { item_id: number, ..at("google", &proof)? })
}

fn emusic(tags: &Tags<'_>) -> Option<Purchase> {
    let frames = tags.private().filter(|(_, owner, _)| *owner == "contentgroup@emusic.com");
    at("emusic", &frames.map(|(tag, ..)| tag).collect::<Vec<_>>())
}

/// mora: three sets of tags in one MP4, or a comment with the licence of JASRAC and the label.
fn mora(tags: &Tags<'_>) -> Option<Purchase> {
    let first = |prefix: &str| tags.0.iter().copied().find(|tag| tag.place.starts_with(prefix));
    let sets = [first("mp4:ID32"), first("mp4:udta/"), first("mp4:ilst/")];
    if let [Some(a), Some(b), Some(c)] = sets {
        return at("mora", &[a, b, c]);
    }
    let licence = |text: &str| text.strip_prefix("JASRAC / ").is_some_and(|label| !label.trim().is_empty());
    at("mora", &tags.comments().filter(|(_, text)| licence(text)).map(|(tag, _)| tag).collect::<Vec<_>>())
}

fn ototoy(tags: &Tags<'_>) -> Option<Purchase> {
    let named = tags.comments().filter(|(_, text)| text.contains("OTOTOY"));
    at("ototoy", &named.map(|(tag, _)| tag).collect::<Vec<_>>())
}

/// Returns the stores that addresses in the file belong to. Anybody may have written them: claims.
pub fn links(tags: &Tags<'_>) -> Vec<Purchase> {
    let addresses =
        tags.0.iter().filter(|tag| LINKS.contains(&tag.place.as_str()) || tag.place.starts_with("id3:WXX"));
    let whole = addresses.filter_map(|tag| Some((*tag, store_of(&tag.text()?)?)));
    let in_words = tags
        .comments()
        .filter_map(|(tag, text)| Some((tag, text.split_whitespace().take(MOST_WORDS).find_map(store_of)?)));
    let claim = |(tag, store): (&RawTag, &str)| Purchase {
        evidence: vec![evidence(tag)],
        ..Purchase::at(store, PurchaseLevel::Claimed)
    };
    whole.chain(in_words).map(claim).collect()
}

/// Links to where a file comes from. `WORS` names a radio station and `WPUB` a label: no shops.
const LINKS: [&str; 13] = [
    "id3:WOAF",
    "id3:WAF",
    "id3:WCOM",
    "id3:WCM",
    "id3:WPAY",
    "id3:WOAS",
    "id3:WAS",
    "vc:URL",
    "vc:TRACK_URL",
    "vc:CONTACT",
    "ape:FILE",
    "ape:BUYURL",
    "mp4:ilst/©url",
];
const MOST_WORDS: usize = 200;
