//! Text for finding and ordering: folding for search, sort keys. Display text is never changed.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Returns the text as searches compare it: NFKC, lower case, accents off Latin, Greek and Cyrillic letters, katakana as
/// hiragana, white space as one blank.
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = false;
    let lower = text.nfkc().flat_map(char::to_lowercase).collect::<String>();
    for c in lower.nfd().filter(|&c| !is_accent(c)).nfc() {
        let c = hiragana(c);
        if c.is_whitespace() || c.is_control() {
            blank = !out.is_empty();
            continue;
        }
        if std::mem::take(&mut blank) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// Returns the key by which names are ordered: folded, and English articles moved out of the way.
pub fn sort_key(text: &str) -> String {
    let folded = fold(text);
    for article in ["the ", "a ", "an "] {
        if let Some(rest) = folded.strip_prefix(article).filter(|rest| !rest.is_empty()) {
            return rest.to_owned();
        }
    }
    folded
}

/// The marks of European letters. The voiced marks of kana are combining too, and they are letters of their own.
fn is_accent(c: char) -> bool {
    is_combining_mark(c) && matches!(c, '\u{300}'..='\u{36f}')
}

/// Katakana as hiragana (Unicode blocks 30A0 and 3040 stand 0x60 apart).
fn hiragana(c: char) -> char {
    match c {
        'ァ'..='ヶ' => char::from_u32(c as u32 - 0x60).unwrap_or(c),
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sounds_alike_is_found_alike() {
        for (text, want) in [
            ("Björk", "bjork"),
            ("ＡＢＣ　ｄ", "abc d"),
            ("カラオケ", "からおけ"),
            ("ｶﾞｷﾞ", "がぎ"),
            ("ヴァ", "ゔぁ"),
            ("  a\t b ", "a b"),
            ("Й", "и"),
            ("ﬁn", "fin"),
        ] {
            assert_eq!(fold(text), want, "{text:?}");
        }
    }

    #[test]
    fn articles_do_not_order() {
        assert_eq!(sort_key("The Beatles"), "beatles");
        assert_eq!(sort_key("A"), "a");
        assert_eq!(sort_key("Them"), "them");
    }
}
