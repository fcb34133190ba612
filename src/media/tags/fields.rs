//! Fields by name, as any container gives them, to normalised [`Tags`]. Pure.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::media::mojibake;
use crate::media::raw::isrc;
use crate::track::Tags;
use crate::track::tagged::{Charset, MusicBrainz, Repaired, Trim};
use crate::units::{Frames, Gain};

/// Texts by the upper-case names of Vorbis comments (`TITLE`, `ARTIST`, `ALBUMARTIST`, …), in the file's order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Fields(BTreeMap<String, Vec<Word>>);

/// One value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    text: String,
    /// Read byte by byte as Latin-1, and not ASCII: it may be of another charset.
    latin: bool,
}

impl Fields {
    /// Returns whether nothing was said.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a value. NUL separates several (ID3v2.4.0 structure, 4.2); blank ones are left out, as are overlong ones.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        value.split('\0').for_each(|part| self.put(name, part.trim(), false));
    }

    /// Adds a value that was read as Latin-1. Letters of other charsets may end like blanks of Latin-1.
    pub(super) fn push_latin(&mut self, name: &str, value: &str) {
        let blank = |c: char| c.is_ascii_whitespace();
        value.split('\0').for_each(|part| self.put(name, part.trim_matches(blank), !part.is_ascii()));
    }

    /// Adds a value that has no charset: UTF-8 when it is, else one byte each. It ends at a NUL.
    pub(super) fn push_bytes(&mut self, name: &str, value: &[u8]) {
        let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
        match std::str::from_utf8(&value[..end]) {
            Ok(text) => self.push(name, text),
            Err(_) => self.push_latin(name, &value[..end].iter().map(|&b| char::from(b)).collect::<String>()),
        }
    }

    fn put(&mut self, name: &str, text: &str, latin: bool) {
        if text.is_empty() || text.len() > LONGEST || self.0.len() >= MOST_NAMES {
            return;
        }
        let values = self.0.entry(name.to_uppercase()).or_default();
        if values.len() < MOST_VALUES && !values.iter().any(|value| value.text == text) {
            values.push(Word { text: text.to_owned(), latin });
        }
    }

    /// Adds the values of another part of the same tag behind those that are there.
    pub(super) fn add(&mut self, other: Fields) {
        for (name, words) in other.0 {
            words.into_iter().for_each(|word| self.put(&name, &word.text, word.latin));
        }
    }

    /// Gives the values of one name to another that has none.
    pub(super) fn give(&mut self, from: &str, to: &str) {
        if let Some(words) = self.0.remove(from) {
            self.0.entry(to.to_owned()).or_insert(words);
        }
    }

    /// Takes over what an ID3v1 tag says beyond this one: nothing but ASCII when this one has Unicode, which a program that
    /// knows the language wrote.
    pub(super) fn fill_old(&mut self, mut old: Fields) {
        if self.0.values().flatten().any(|word| !word.latin && !word.text.is_ascii()) {
            old.0.values_mut().for_each(|words| words.retain(|word| !word.latin));
            old.0.retain(|_, words| !words.is_empty());
        }
        self.fill(old);
    }

    /// Returns the words that may be of another charset than Latin-1, of the fields that people write.
    pub(super) fn latin(&self) -> impl Iterator<Item = &str> {
        let words = TOLD.iter().filter_map(|name| self.0.get(*name)).flatten();
        words.filter(|word| word.latin).map(|word| word.text.as_str())
    }

    /// Returns the first value of the album as it was read; empty without one.
    pub(super) fn album(&self) -> &str {
        self.0.get("ALBUM").and_then(|words| words.first()).map_or("", |word| &word.text)
    }

    /// Returns the fields with the words of Latin-1 read in this charset, and those words as they were, by field.
    pub(super) fn repaired(&self, charset: Charset) -> (Fields, Repaired) {
        let (mut fields, mut raw) = (self.clone(), BTreeMap::<String, Vec<String>>::new());
        for (name, words) in &mut fields.0 {
            for word in words.iter_mut().filter(|word| word.latin) {
                if let Some(text) = mojibake::repair(&word.text, charset) {
                    let was = std::mem::replace(word, Word { text, latin: false });
                    raw.entry(name.clone()).or_default().push(was.text);
                }
            }
        }
        (fields, Repaired { charset, raw })
    }

    /// Takes over the names that are not there yet: the first tag of a file wins, a later one fills gaps.
    pub(super) fn fill(&mut self, other: Fields) {
        for (name, values) in other.0 {
            self.0.entry(name).or_insert(values);
        }
    }

    fn all(&self, names: &[&str]) -> Vec<String> {
        let words = names.iter().find_map(|name| self.0.get(*name)).into_iter().flatten();
        words.map(|word| word.text.trim()).filter(|text| !text.is_empty()).map(str::to_owned).collect()
    }

    fn first(&self, names: &[&str]) -> Option<&str> {
        let of = |name: &&str| {
            self.0.get(*name)?.iter().map(|word| word.text.trim()).find(|text| !text.is_empty())
        };
        names.iter().find_map(of)
    }

    fn text(&self, names: &[&str]) -> Option<String> {
        self.first(names).map(str::to_owned)
    }

    /// Returns several values as one credit.
    fn credit(&self, names: &[&str]) -> Option<String> {
        Some(self.all(names).join(", ")).filter(|joined| !joined.is_empty())
    }

    /// Returns the tags. `has_picture` stays for the caller to set.
    pub(super) fn tags(&self) -> Tags {
        let (track, tracks) = self.place(&["TRACKNUMBER", "TRACK"], &["TRACKTOTAL", "TOTALTRACKS"]);
        let (disc, discs) = self.place(&["DISCNUMBER", "DISC"], &["DISCTOTAL", "TOTALDISCS"]);
        let mut artists = self.all(&["ARTISTS"]);
        if artists.is_empty() {
            artists = self.all(&["ARTIST"]);
        }
        let checked = self.first(&["ITUNNORM"]).and_then(sound_check);
        Tags {
            title: self.text(&["TITLE"]),
            artist: self.credit(&["ARTIST"]).or_else(|| self.credit(&["ARTISTS"])),
            artists,
            album: self.text(&["ALBUM"]),
            album_artist: self.credit(&["ALBUMARTIST", "ALBUM ARTIST", "ALBUM_ARTIST"]),
            compilation: self
                .first(&["COMPILATION"])
                .is_some_and(|flag| flag == "1" || flag.eq_ignore_ascii_case("true")),
            track,
            tracks,
            disc,
            discs,
            date: self.all(&["DATE", "YEAR", "ORIGINALDATE"]).iter().find_map(|text| date(text)),
            genres: self.all(&["GENRE"]),
            composers: self.all(&["COMPOSER"]),
            title_sort: self.text(&["TITLESORT"]),
            artist_sort: self.text(&["ARTISTSORT"]),
            album_sort: self.text(&["ALBUMSORT"]),
            album_artist_sort: self.text(&["ALBUMARTISTSORT"]),
            composer_sort: self.text(&["COMPOSERSORT"]),
            comment: self.text(&["COMMENT", "DESCRIPTION"]),
            isrc: self.all(&["ISRC"]).iter().find_map(|text| isrc(text)),
            barcode: self.all(&["BARCODE", "UPC"]).iter().find_map(|text| barcode(text)),
            musicbrainz: self.musicbrainz(),
            trim: self.first(&["ITUNSMPB"]).and_then(trim),
            track_gain: self.gain("REPLAYGAIN_TRACK_GAIN", "R128_TRACK_GAIN").or(checked.map(|it| it.0)),
            album_gain: self.gain("REPLAYGAIN_ALBUM_GAIN", "R128_ALBUM_GAIN"),
            track_peak: self.first(&["REPLAYGAIN_TRACK_PEAK"]).and_then(peak).or(checked.and_then(|it| it.1)),
            album_peak: self.first(&["REPLAYGAIN_ALBUM_PEAK"]).and_then(peak),
            has_picture: false,
            repaired: None,
        }
    }

    /// Reference purchases 7.8: MUSICBRAINZ_TRACKID is the recording.
    fn musicbrainz(&self) -> Option<Box<MusicBrainz>> {
        let ids = |name: &str| -> Vec<Uuid> {
            // ID3v2.3 has no list: programs write several with a slash between.
            let all = self.all(&[name]);
            let parts = all.iter().flat_map(|text| text.split(['/', ';', ',', ' ']));
            parts.filter_map(|id| Uuid::try_parse(id.trim()).ok()).collect()
        };
        let one = |name: &str| ids(name).first().copied();
        let found = MusicBrainz {
            recording: one("MUSICBRAINZ_TRACKID"),
            track: one("MUSICBRAINZ_RELEASETRACKID"),
            release: one("MUSICBRAINZ_ALBUMID"),
            release_group: one("MUSICBRAINZ_RELEASEGROUPID"),
            work: one("MUSICBRAINZ_WORKID"),
            artists: ids("MUSICBRAINZ_ARTISTID"),
            album_artists: ids("MUSICBRAINZ_ALBUMARTISTID"),
        };
        (found != MusicBrainz::default()).then(|| Box::new(found))
    }

    /// Returns number and total, from `3/12` or two fields; zero means unknown.
    fn place(&self, number: &[&str], total: &[&str]) -> (Option<u32>, Option<u32>) {
        let (of, total_of) = match self.first(number).map(|text| text.split_once('/').unwrap_or((text, ""))) {
            Some((of, total)) => (count(of), count(total)),
            None => (None, None),
        };
        (of, total_of.or_else(|| self.first(total).and_then(count)))
    }

    /// ReplayGain 2.0 in decibels, else R128 of RFC 7845 5.2.1 (Q7.8, against -23 LUFS: 5 dB below ReplayGain's -18).
    fn gain(&self, decibels: &str, r128: &str) -> Option<Gain> {
        let tagged = self.first(&[decibels]).and_then(gain);
        tagged.or_else(|| {
            let steps: i16 = self.first(&[r128])?.parse().ok()?;
            Some(Gain(i32::from(steps)).and(Gain::from_db(5)))
        })
    }
}

fn count(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|count| (1..=MOST_COUNT).contains(count))
}

/// Reads `-6.00 dB`, `+1,5 dB` or a bare number.
fn gain(text: &str) -> Option<Gain> {
    let text = text.trim();
    let number =
        text.get(..text.len().saturating_sub(2)).filter(|_| text.to_ascii_lowercase().ends_with("db"));
    let db: f64 = number.unwrap_or(text).trim().replace(',', ".").parse().ok()?;
    (db.abs() <= MOST_DB).then(|| Gain((db * 256.0).round() as i32))
}

/// Reads iTunes' Sound Check: ten words of eight hex digits, left and right in turn. The first two are the loudness against
/// 1000, in energy; the seventh and eighth the peaks against 32,768. The louder channel counts.
fn sound_check(text: &str) -> Option<(Gain, Option<f64>)> {
    let words: Vec<u32> = text
        .split_whitespace()
        .take(SOUND_CHECK)
        .map(|word| u32::from_str_radix(word, 16).ok().filter(|_| word.len() == 8))
        .collect::<Option<_>>()?;
    let [left, right, _, _, _, _, left_peak, right_peak, _, _] = *words.first_chunk::<SOUND_CHECK>()?;
    let loudness = f64::from(left.max(right));
    // Nothing in it: an empty note, or silence.
    let db = (loudness > 0.0).then(|| -10.0 * (loudness / 1_000.0).log10())?;
    let peak = f64::from(left_peak.max(right_peak)) / 32_768.0;
    let peak = Some(peak).filter(|peak| *peak > 0.0 && *peak <= MOST_PEAK);
    (db.abs() <= MOST_DB).then_some((Gain((db * 256.0).round() as i32), peak))
}

fn peak(text: &str) -> Option<f64> {
    let peak: f64 = text.trim().replace(',', ".").parse().ok()?;
    (peak > 0.0 && peak <= MOST_PEAK).then_some(peak)
}

/// Reads `YYYY[-MM[-DD]]` with any separator or none, dropping a time of day and what no calendar has.
fn date(text: &str) -> Option<String> {
    let digits =
        |range: std::ops::Range<usize>| text.get(range).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
    let year = digits(0..4).filter(|year| *year != "0000")?;
    let rest = &text[4..];
    let (month, day) = match rest.bytes().next() {
        Some(b'-' | b'/' | b'.') => (digits(5..7), digits(8..10)),
        Some(b'0'..=b'9') => (digits(4..6), digits(6..8)),
        _ => (None, None),
    };
    let within = |part: Option<&str>, most: u8| {
        part.filter(|part| part.parse::<u8>().is_ok_and(|n| (1..=most).contains(&n))).map(str::to_owned)
    };
    Some(match (within(month, 12), within(day, 31)) {
        (Some(month), Some(day)) => format!("{year}-{month}-{day}"),
        (Some(month), None) => format!("{year}-{month}"),
        _ => year.to_owned(),
    })
}

/// Reads a bar code: UPC, EAN or GTIN, 8 to 14 digits.
fn barcode(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    ((8..=14).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// Reads iTunSMPB: ` 00000000 DDDDDDDD PPPPPPPP SSSSSSSSSSSSSSSS …` in hex: what the encoder added in front and behind, and
/// the frames between (reference purchases 7.6).
fn trim(text: &str) -> Option<Trim> {
    let mut fields = text.split_whitespace().skip(1).take(3).map(|field| u64::from_str_radix(field, 16).ok());
    let (front, back, frames) = (fields.next()??, fields.next()??, fields.next()??);
    let (front, back) = (u32::try_from(front).ok()?, u32::try_from(back).ok()?);
    (frames > 0 && i64::try_from(frames).is_ok()).then_some(Trim { front, back, frames: Frames(frames) })
}

/// Fields whose words tell the charset of an album.
const TOLD: [&str; 8] =
    ["TITLE", "ARTIST", "ALBUM", "COMMENT", "ARTISTS", "ALBUMARTIST", "COMPOSER", "GENRE"];
/// Words of a Sound Check.
const SOUND_CHECK: usize = 10;
/// Bytes of one value; lyrics and worse do not belong into the tags.
const LONGEST: usize = 4096;
/// Different names that are kept.
const MOST_NAMES: usize = 256;
/// Values of one name.
const MOST_VALUES: usize = 64;
/// A track or disc number.
const MOST_COUNT: u32 = 9999;
/// More gain than any loudness scan gives.
const MOST_DB: f64 = 100.0;
/// More overshoot than any float file has.
const MOST_PEAK: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields(list: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        list.iter().for_each(|(name, value)| fields.push(name, value));
        fields
    }

    #[test]
    fn dates_are_cut_to_what_a_calendar_has() {
        let check =
            |text: &str, expected: Option<&str>| assert_eq!(date(text).as_deref(), expected, "{text}");
        check("2026", Some("2026"));
        check("2026-11", Some("2026-11"));
        check("2026-11-21", Some("2026-11-21"));
        check("2026-11-21T04:00:00Z", Some("2026-11-21"));
        check("2026/11/21", Some("2026-11-21"));
        check("20261121", Some("2026-11-21"));
        check("2026-00-00", Some("2026"));
        check("2026-13-01", Some("2026"));
        check("0000", None);
        check("98", None);
        check("二〇二六", None);
    }

    #[test]
    fn loudness_is_read_in_256ths_of_a_decibel() {
        assert_eq!(gain("-6.00 dB"), Some(Gain(-1536)));
        assert_eq!(gain("+1,5 DB"), Some(Gain(384)));
        assert_eq!(gain("0"), Some(Gain(0)));
        assert_eq!(gain("nan dB"), None);
        assert_eq!(gain("loud"), None);
        assert_eq!(peak("0.988553"), Some(0.988553));
        assert_eq!(peak("inf"), None);
        assert_eq!(fields(&[("R128_TRACK_GAIN", "-256")]).tags().track_gain, Some(Gain::from_db(4)));
        let both = fields(&[("R128_TRACK_GAIN", "-256"), ("replaygain_track_gain", "-3 dB")]);
        assert_eq!(both.tags().track_gain, Some(Gain::from_db(-3)));
    }

    #[test]
    fn sound_check_of_itunes_counts_where_nothing_better_is_written() {
        let note =
            "000004E2 000003E8 00003C2A 00003F11 0001E4D2 0001E4D2 00004000 00002000 00024CA8 00024CA8";
        // The louder channel: 1250 of 1000 is -0.97 dB.
        assert_eq!(sound_check(note), Some((Gain(-248), Some(0.5))));
        assert_eq!(sound_check(&note.replace("000004E2", "00000000")), Some((Gain::UNITY, Some(0.5))));
        for wrong in ["", "000004E2", "0 0 0 0 0 0 0 0 0 0", &note.replace("000004E2", "hello!!!")] {
            assert_eq!(sound_check(wrong), None, "{wrong}");
        }
        assert_eq!(sound_check(&["00000000"; 10].join(" ")), None);
        let tags = fields(&[("iTunNORM", note)]).tags();
        assert_eq!((tags.track_gain, tags.track_peak), (Some(Gain(-248)), Some(0.5)));
        let tags = fields(&[("iTunNORM", note), ("REPLAYGAIN_TRACK_GAIN", "-6 dB")]).tags();
        assert_eq!(tags.track_gain, Some(Gain::from_db(-6)));
    }

    #[test]
    fn codes_are_printed_without_hyphens() {
        assert_eq!(isrc("jp-b60-06-00123").as_deref(), Some("JPB600600123"));
        assert_eq!(isrc("USRC17607839").as_deref(), Some("USRC17607839"));
        assert_eq!(isrc("USRC1760783"), None);
        assert_eq!(isrc("日本RC17607839"), None);
    }

    #[test]
    fn numbers_come_from_one_field_or_two() {
        let tags = fields(&[("TRACKNUMBER", "3/12"), ("DISCNUMBER", "2"), ("DISCTOTAL", " 2 ")]).tags();
        assert_eq!((tags.track, tags.tracks, tags.disc, tags.discs), (Some(3), Some(12), Some(2), Some(2)));
        let tags = fields(&[("TRACKNUMBER", "0/0"), ("DISCNUMBER", "A")]).tags();
        assert_eq!((tags.track, tags.tracks, tags.disc, tags.discs), (None, None, None, None));
    }

    #[test]
    fn several_artists_are_a_list_and_one_credit() {
        let tags = fields(&[("ARTIST", "Aimer\0 milet \0")]).tags();
        assert_eq!(tags.artist.as_deref(), Some("Aimer, milet"));
        assert_eq!(tags.artists, ["Aimer", "milet"]);
        let tags =
            fields(&[("ARTIST", "Simon & Garfunkel"), ("ARTISTS", "Simon"), ("ARTISTS", "Garfunkel")]).tags();
        assert_eq!(tags.artist.as_deref(), Some("Simon & Garfunkel"));
        assert_eq!(tags.artists, ["Simon", "Garfunkel"]);
        assert_eq!(fields(&[("ARTIST", "Hey! Say! JUMP")]).tags().artists, ["Hey! Say! JUMP"]);
    }

    #[test]
    fn the_first_tag_wins_and_later_ones_fill() {
        let mut first = fields(&[("TITLE", "夜に駆ける")]);
        first.fill(fields(&[("TITLE", "Yoru ni kake"), ("ALBUM", "THE BOOK")]));
        let tags = first.tags();
        assert_eq!((tags.title.as_deref(), tags.album.as_deref()), (Some("夜に駆ける"), Some("THE BOOK")));
    }

    proptest! {
        #[test]
        fn no_text_makes_an_empty_or_a_strange_field(text in "\\PC*", name in "DATE|ISRC|ARTIST|TRACKNUMBER|REPLAYGAIN_TRACK_GAIN|REPLAYGAIN_TRACK_PEAK|R128_TRACK_GAIN|ITUNNORM") {
            let tags = fields(&[(&name, &text)]).tags();
            prop_assert!(tags.artist.is_none_or(|artist| !artist.trim().is_empty()));
            prop_assert!(tags.isrc.is_none_or(|isrc| isrc.len() == 12));
            prop_assert!(tags.date.is_none_or(|date| matches!(date.len(), 4 | 7 | 10)));
        }
    }
}
