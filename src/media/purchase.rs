//! What a file proves of a buy (reference purchases 1 and 2): a list of evidence by store, never a flag.
//!
//! A mark that a store writes is `Embedded`, an address or a free field is `Claimed`. What a ripper leaves behind lowers all
//! but boxes that no rip can have.

mod generic;
pub mod hosts;
mod itunes;
mod locks;
mod marks;
mod storefronts;
pub mod uits;

use crate::media::raw::{RawTag, RawValue, isrc};
use crate::media::sniff::Sniffed;
use crate::track::{Evidence, Purchase, PurchaseLevel};

/// Returns what a file proves, strongest first and one for each store, from its boxes and raw tags; `more` are tags that
/// another reader found.
pub fn purchases(sniffed: &Sniffed, more: &[RawTag]) -> Vec<Purchase> {
    let all: Vec<&RawTag> = sniffed.raw.iter().chain(more).collect();
    let tags = Tags(&all);
    let mut found: Vec<Purchase> = Vec::new();
    let sure = itunes::of(sniffed, &tags).into_iter().chain(uits::of(&tags)).chain(marks::of(&tags));
    let more = locks::of(sniffed, &tags).into_iter().chain(marks::links(&tags));
    for purchase in sure.chain(more) {
        add(&mut found, purchase);
    }
    generic::add_to(&mut found, &tags);
    if is_of_a_rip(&tags) {
        lower(&mut found);
    }
    for purchase in &mut found {
        purchase.isrc = purchase.isrc.take().or_else(|| isrc_of(&sniffed.raw)).or_else(|| isrc_in(&tags));
    }
    found.sort_by_key(|purchase| std::cmp::Reverse(purchase.level));
    found
}

/// Returns the recording code in raw tags: the store's own (`xid `: vendor, `isrc`, code), or a tag for it.
pub fn isrc_of(raw: &[RawTag]) -> Option<String> {
    let all: Vec<&RawTag> = raw.iter().collect();
    isrc_in(&Tags(&all))
}

fn isrc_in(tags: &Tags<'_>) -> Option<String> {
    let by_store = tags.text("mp4:ilst/xid ").and_then(|text| {
        let mut parts = text.rsplitn(3, ':');
        let (code, scheme) = (parts.next()?.to_owned(), parts.next()?);
        (scheme == "isrc").then_some(code)
    });
    let tagged =
        || ["id3:TSRC", "vc:ISRC", "ape:ISRC", "asf:WM/ISRC"].iter().find_map(|place| tags.text(place));
    by_store.as_deref().and_then(isrc).or_else(|| isrc(&tagged()?))
}

/// The raw tags of a file.
struct Tags<'a>(&'a [&'a RawTag]);

impl<'a> Tags<'a> {
    /// Returns the text at a place, when it says something.
    fn text(&self, place: &str) -> Option<String> {
        self.at(&[place]).next().map(|(_, text)| text)
    }

    /// Returns the tags at some places whose text says something, in the order of the file.
    fn at<'b>(&'b self, places: &'b [&str]) -> impl Iterator<Item = (&'a RawTag, String)> + 'b {
        let there = self.0.iter().filter(|tag| places.contains(&tag.place.as_str()));
        there.filter_map(|tag| said(tag).map(|text| (*tag, text)))
    }

    /// Returns the free fields of one of these names (in capitals), in whatever form the file has them.
    fn named<'b>(&'b self, names: &'b [&str]) -> impl Iterator<Item = (&'a RawTag, String)> + 'b {
        let there =
            self.0.iter().filter(|tag| free_name(&tag.place).is_some_and(|name| names.contains(&&*name)));
        there.filter_map(|tag| said(tag).map(|text| (*tag, text)))
    }

    /// Returns the comments.
    fn comments(&self) -> impl Iterator<Item = (&'a RawTag, String)> {
        let there = self.0.iter().filter(|tag| COMMENTS.contains(&tag.place.as_str()));
        there.filter_map(|tag| said(tag).map(|text| (*tag, text)))
    }

    /// Returns the private frames with their owners.
    fn private(&self) -> impl Iterator<Item = (&'a RawTag, &'a str, &'a [u8])> {
        self.0.iter().filter_map(|tag| match &tag.value {
            RawValue::Bytes(bytes) => Some((*tag, tag.place.strip_prefix("id3:PRIV/")?, bytes.as_slice())),
            _ => None,
        })
    }
}

fn said(tag: &RawTag) -> Option<String> {
    let text = tag.text()?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

/// Returns the name of a free field in capitals: TXXX, a Vorbis comment, an APE item, a `----` atom.
fn free_name(place: &str) -> Option<String> {
    let name = place
        .strip_prefix("id3:TXXX/")
        .or_else(|| place.strip_prefix("id3:TXX/"))
        .or_else(|| place.strip_prefix("vc:"))
        .or_else(|| place.strip_prefix("ape:"))
        .or_else(|| place.strip_prefix("caf:"))
        .or_else(|| place.strip_prefix("mkv:")?.split_once('/').map(|(_, name)| name))
        .or_else(|| place.strip_prefix("mp4:ilst/----:")?.split_once(':').map(|(_, name)| name))?;
    Some(name.to_ascii_uppercase())
}

/// Returns a tag as evidence.
fn evidence(tag: &RawTag) -> Evidence {
    Evidence {
        place: tag.place.clone(),
        text: tag.text().unwrap_or_default(),
        personal: tag.personal.is_some(),
    }
}

/// Adds a buy: what is known of the same store already is filled, never replaced.
fn add(found: &mut Vec<Purchase>, new: Purchase) {
    match found.iter_mut().find(|known| known.store == new.store) {
        Some(known) => fill(known, new),
        None => found.push(new),
    }
}

fn fill(known: &mut Purchase, new: Purchase) {
    let fields = [
        (&mut known.country, new.country),
        (&mut known.bought_at, new.bought_at),
        (&mut known.item_id, new.item_id),
        (&mut known.album_id, new.album_id),
        (&mut known.transaction_id, new.transaction_id),
        (&mut known.account, new.account),
        (&mut known.isrc, new.isrc),
        (&mut known.price, new.price),
        (&mut known.order_id, new.order_id),
    ];
    for (field, value) in fields {
        *field = field.take().or(value);
    }
    known.level = known.level.max(new.level);
    for fact in new.evidence {
        if !known.evidence.contains(&fact) && known.evidence.len() < MOST_EVIDENCE {
            known.evidence.push(fact);
        }
    }
}

/// Reference purchases 1.3, "Counter-evidence": what rippers and taggers of rips write.
fn is_of_a_rip(tags: &Tags<'_>) -> bool {
    let ripped = tags.named(&["ACCURATERIPRESULT", "ACCURATERIPDISCID"]).next().is_some();
    ripped || tags.named(&["MEDIA"]).any(|(_, text)| text.eq_ignore_ascii_case("CD"))
}

/// A store's mark in a rip is a claim, and an address in one is nothing. Boxes of a sample entry no rip has.
fn lower(found: &mut Vec<Purchase>) {
    found.retain(|purchase| purchase.level > PurchaseLevel::Claimed);
    let in_boxes =
        |fact: &Evidence| ["mp4:pinf", "mp4:sinf", "oma:"].iter().any(|box_| fact.place.starts_with(box_));
    for purchase in found.iter_mut().filter(|purchase| !purchase.evidence.iter().any(in_boxes)) {
        purchase.level = PurchaseLevel::Claimed;
    }
}

/// Where files carry comments for people.
const COMMENTS: [&str; 8] = [
    "id3:COMM",
    "id3:COM",
    "vc:COMMENT",
    "vc:DESCRIPTION",
    "mp4:ilst/©cmt",
    "ape:COMMENT",
    "mp4:udta/dscp",
    "asf:Description",
];
const MOST_EVIDENCE: usize = 64;

#[cfg(test)]
mod tests;
