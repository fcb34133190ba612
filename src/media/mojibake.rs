//! Words of old tags that were written in a Japanese charset, or in UTF-8, into fields that are Latin-1 by their standard
//! (ID3v1, ID3v2 encoding 0, RIFF INFO, AIFF): recognised over all words of an album together, and read again (reference
//! purchases 7.3). Pure; the bytes in the file and the words as they were read stay what they are.
//!
//! A wrong repair is worse than none: words that could be European are left alone.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{EUC_JP, SHIFT_JIS};

use crate::track::tagged::Charset;

/// Returns the charset that the Latin-1 words of one album are really in; `None` when they are what they say, and when it
/// is not certain. Words with a character beyond Latin-1 were no single bytes, and are passed over.
pub fn judge<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<Charset> {
    let mut album: Vec<Vec<u8>> =
        words.into_iter().filter(|word| !word.is_ascii()).filter_map(bytes).collect();
    // An album repeats its names: each counts once.
    album.sort_unstable();
    album.dedup();
    album.truncate(MOST_WORDS);
    if album.is_empty() {
        return None;
    }
    [Charset::Utf8, Charset::EucJp, Charset::ShiftJis].into_iter().find(|charset| match charset {
        Charset::Utf8 => album.iter().all(|word| is_utf8(word)),
        Charset::EucJp => weigh(&album, euc_jp).is_some_and(|weight| weight.is_euc_jp(&album)),
        Charset::ShiftJis => weigh(&album, shift_jis).is_some_and(|weight| weight.is_shift_jis()),
    })
}

/// Returns words as they were meant; `None` when nothing is to be repaired in them, or they are not in this charset.
pub fn repair(word: &str, charset: Charset) -> Option<String> {
    if word.is_ascii() {
        return None;
    }
    let all = bytes(word)?;
    let text = match charset {
        Charset::Utf8 => Cow::Borrowed(std::str::from_utf8(whole_utf8(&all)).ok()?),
        Charset::EucJp => EUC_JP.decode_without_bom_handling_and_without_replacement(whole(&all, euc_jp)?)?,
        Charset::ShiftJis => {
            SHIFT_JIS.decode_without_bom_handling_and_without_replacement(whole(&all, shift_jis)?)?
        }
    };
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Returns the bytes that Latin-1 words were read from.
fn bytes(word: &str) -> Option<Vec<u8>> {
    word.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// No European text has only such letters side by side that they are UTF-8 (RFC 3629, 3). C1 controls stand in no text.
fn is_utf8(word: &[u8]) -> bool {
    std::str::from_utf8(whole_utf8(word))
        .is_ok_and(|text| !text.chars().any(|c| matches!(c, '\u{80}'..='\u{9f}')))
}

/// Leaves out the half of a character at the end of a field of fixed length.
fn whole_utf8(word: &[u8]) -> &[u8] {
    match std::str::from_utf8(word) {
        Err(error) if error.error_len().is_none() && CUT.contains(&word.len()) => {
            &word[..error.valid_up_to()]
        }
        _ => word,
    }
}

fn whole(word: &[u8], step: Step) -> Option<&[u8]> {
    let mut at = 0;
    while at < word.len() {
        match step(&word[at..]) {
            Some((_, length)) => at += length,
            None if at + 1 == word.len() && CUT.contains(&word.len()) => return Some(&word[..at]),
            None => return None,
        }
    }
    Some(word)
}

/// One character of a charset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// A letter or digit of ASCII.
    Letter,
    /// Another sign of ASCII.
    Plain,
    Kana,
    /// A kanji of level 1 of JIS X 0208: those in daily use.
    Common,
    /// Any other kanji.
    Rare,
    /// A full-width letter, a sign, punctuation.
    Sign,
    /// Half-width katakana: one byte each in CP932.
    Half,
}

/// What a run of bytes begins with, and in how many bytes; `None` when it is none of the charset.
type Step = fn(&[u8]) -> Option<(Sort, usize)>;

fn ascii(byte: u8) -> Option<(Sort, usize)> {
    Some((if byte.is_ascii_alphanumeric() { Sort::Letter } else { Sort::Plain }, 1))
}

/// CP932, as the WHATWG Encoding Standard has Shift_JIS.
fn shift_jis(bytes: &[u8]) -> Option<(Sort, usize)> {
    match *bytes {
        [byte @ 0..=0x7f, ..] => ascii(byte),
        [0xa1..=0xdf, ..] => Some((Sort::Half, 1)),
        // Level 1 begins at 889F and ends at 9872.
        [lead, trail, ..] => {
            let code = u16::from_be_bytes([lead, trail]);
            Some((sort(SHIFT_JIS, &bytes[..2], (0x889f..=0x9872).contains(&code))?, 2))
        }
        _ => None,
    }
}

fn euc_jp(bytes: &[u8]) -> Option<(Sort, usize)> {
    match *bytes {
        [byte @ 0..=0x7f, ..] => ascii(byte),
        [0x8e, 0xa1..=0xdf, ..] => Some((Sort::Half, 2)),
        [0x8f, _, _, ..] => Some((sort(EUC_JP, &bytes[..3], false)?, 3)),
        // Level 1 is rows 16 to 47.
        [lead @ 0xa1..=0xfe, _, ..] => Some((sort(EUC_JP, &bytes[..2], (0xb0..=0xcf).contains(&lead))?, 2)),
        _ => None,
    }
}

fn sort(charset: &'static encoding_rs::Encoding, bytes: &[u8], common: bool) -> Option<Sort> {
    let text = charset.decode_without_bom_handling_and_without_replacement(bytes)?;
    Some(match text.chars().next()? {
        'ぁ'..='ん' | 'ァ'..='ヶ' | 'ー' | 'ゝ' | 'ゞ' | 'ヽ' | 'ヾ' => Sort::Kana,
        '\u{4e00}'..='\u{9fff}' | '々' if common => Sort::Common,
        '々' => Sort::Common,
        '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '〆' => Sort::Rare,
        // Signs of JIS X 0208 and of NEC. The user's own characters (F040 to F9FC) mean nothing in a tag.
        '\u{80}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' => return None,
        _ => Sort::Sign,
    })
}

/// What the words of an album look like in one charset. Counts characters.
#[derive(Debug, Default)]
struct Weight {
    kana: usize,
    common: usize,
    rare: usize,
    half: usize,
    /// Double-byte characters that stand beside another, or alone in their words: what nobody writes by accident.
    sure: usize,
    /// Lone ones with an ASCII letter beside them: an accent or an apostrophe inside a word.
    stray: usize,
    /// Half-width katakana with an ASCII letter beside them.
    mixed: usize,
    /// Of those that are sure: bytes 80 to 9F, which Latin-1 has no letter for.
    controls: usize,
}

/// Reads all words; `None` when one of them is not in this charset.
fn weigh(album: &[Vec<u8>], step: Step) -> Option<Weight> {
    let mut weight = Weight::default();
    for word in album {
        let mut sorts = Vec::with_capacity(word.len());
        let (word, mut at) = (whole(word, step)?, 0);
        while at < word.len() {
            let (sort, length) = step(&word[at..])?;
            sorts.push((sort, word[at]));
            at += length;
        }
        weight.add(&sorts);
    }
    Some(weight)
}

impl Weight {
    fn add(&mut self, sorts: &[(Sort, u8)]) {
        let double = |at: Option<usize>| {
            let sort = at.and_then(|at| sorts.get(at)).map(|(sort, _)| *sort);
            matches!(sort, Some(Sort::Kana | Sort::Common | Sort::Rare | Sort::Sign))
        };
        let letter =
            |at: Option<usize>| at.and_then(|at| sorts.get(at)).is_some_and(|it| it.0 == Sort::Letter);
        for (at, (sort, first)) in sorts.iter().enumerate() {
            let (before, behind) = (at.checked_sub(1), Some(at + 1));
            let beside_letter = letter(before) || letter(behind);
            match sort {
                Sort::Letter | Sort::Plain => continue,
                Sort::Half => {
                    self.half += 1;
                    self.mixed += usize::from(beside_letter);
                    continue;
                }
                Sort::Kana => self.kana += 1,
                Sort::Common => self.common += 1,
                Sort::Rare => self.rare += 1,
                Sort::Sign => {}
            }
            if double(before) || double(behind) || !beside_letter {
                self.sure += 1;
                self.controls += usize::from(matches!(first, 0x80..=0x9f));
            } else {
                self.stray += 1;
            }
        }
    }

    fn japanese(&self) -> usize {
        self.kana + self.common + self.rare
    }

    /// Whether it reads as Japanese: kanji of daily use and kana, not accents that happen to make a character.
    fn is_plausible(&self) -> bool {
        self.kana + self.common > self.rare
            && self.stray * 2 <= self.sure
            && self.half <= self.japanese()
            && self.mixed * 8 <= self.japanese()
    }

    /// Rule 1 of the reference: the bytes 80 to 9F, used as no Western charset uses them.
    fn is_shift_jis(&self) -> bool {
        self.is_plausible() && self.controls > 0 && self.controls * 3 >= self.sure
    }

    /// Chinese and Korean in the same bytes have no kana; where there are few, statistics decide (rule 3).
    fn is_euc_jp(&self, album: &[Vec<u8>]) -> bool {
        if !self.is_plausible() || self.sure < 2 {
            return false;
        }
        let all = self.japanese();
        self.kana >= 3 && self.kana * 3 >= all || (self.kana > 0 || all >= 4) && likeliest(album) == EUC_JP
    }
}

/// Asks the statistics of Firefox. Never with a top-level domain: `jp` turns Western names into Japanese.
fn likeliest(album: &[Vec<u8>]) -> &'static encoding_rs::Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    for word in album {
        detector.feed(word, false);
        detector.feed(b"\n", false);
    }
    detector.feed(b"", true);
    detector.guess(None, Utf8Detection::Allow)
}

/// Different words of an album that are weighed; a few tracks tell as much as a thousand.
const MOST_WORDS: usize = 400;
/// Bytes of the fields of ID3v1, which cut a character in half: 30, and a comment in front of a track number, 28.
const CUT: std::ops::RangeInclusive<usize> = 28..=30;

#[cfg(test)]
mod set;
