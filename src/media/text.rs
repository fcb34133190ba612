//! Text for finding and ordering: folding for search, readings in Latin letters, sort keys, headings. Display text is never
//! changed.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Returns the text as searches compare it: NFKC, lower case, accents off Latin, Greek and Cyrillic letters, katakana as
/// hiragana, long vowel marks and middle dots left out, white space as one blank.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return fold_ascii(text);
    }
    // What is left out joins letters that compose (a dot between a letter and its accent): once more, until nothing does.
    let mut folded = fold_once(text);
    for _ in 0..MOST_FOLDS {
        let again = fold_once(&folded);
        if again == folded {
            break;
        }
        folded = again;
    }
    folded
}

fn fold_ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = false;
    for byte in text.bytes() {
        if byte.is_ascii_whitespace() || byte.is_ascii_control() {
            blank = !out.is_empty();
            continue;
        }
        if std::mem::take(&mut blank) {
            out.push(' ');
        }
        out.push(byte.to_ascii_lowercase() as char);
    }
    out
}

fn fold_once(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = false;
    let lower = text.nfkc().flat_map(char::to_lowercase).collect::<String>();
    for c in lower.nfd().filter(|&c| !is_accent(c)).nfc() {
        let c = hiragana(c);
        if c.is_whitespace() || c.is_control() {
            blank = !out.is_empty();
            continue;
        }
        let is_long = c == 'ー' && !blank && out.chars().next_back().is_some_and(is_kana);
        if is_long || matches!(c, '・' | '·' | '‧') {
            continue;
        }
        if std::mem::take(&mut blank) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// Returns the key by which names are ordered: folded, English articles moved out of the way, kana by their base letter
/// first and as they are written second (かい, がい, かう), the second part behind U+0001 where it differs.
pub fn sort_key(text: &str) -> String {
    let folded = fold(text);
    let mut rest = folded.as_str();
    for article in ["the ", "a ", "an "] {
        if let Some(name) = folded.strip_prefix(article).filter(|name| !name.is_empty()) {
            rest = name;
            break;
        }
    }
    if !rest.chars().any(|c| base(c) != c) {
        return rest.to_owned();
    }
    let mut key: String = rest.chars().map(base).collect();
    key.push('\u{1}');
    key.push_str(rest);
    key
}

/// Under what a name stands in a list: あかさたな by its first kana, A–Z, 0–9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Heading {
    /// Signs.
    Sign,
    /// A digit.
    Number,
    /// A Latin letter, upper case.
    Letter(char),
    /// The first kana of a row of the table of fifty sounds.
    Kana(char),
    /// A kanji whose reading is not known.
    Kanji,
    /// A letter of another script.
    Other,
}

impl fmt::Display for Heading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Heading::Sign => f.write_str("#"),
            Heading::Number => f.write_str("0–9"),
            Heading::Letter(letter) => write!(f, "{letter}"),
            Heading::Kana(kana) => write!(f, "{kana}"),
            Heading::Kanji => f.write_str("漢字"),
            Heading::Other => f.write_str("…"),
        }
    }
}

/// Returns the heading of a sort key.
pub fn heading(sort_key: &str) -> Heading {
    match sort_key.chars().next().map_or('#', base) {
        c @ 'a'..='z' => Heading::Letter(c.to_ascii_uppercase()),
        '0'..='9' => Heading::Number,
        c @ 'あ'..='ん' => {
            let row = ROWS.iter().rev().find(|row| **row <= c).copied().unwrap_or('あ');
            Heading::Kana(row)
        }
        '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' | '々' | '〆' => {
            Heading::Kanji
        }
        c if c.is_alphabetic() => Heading::Other,
        c if c.is_numeric() => Heading::Number,
        _ => Heading::Sign,
    }
}

/// The first kana of each row, in Unicode's order.
const ROWS: [char; 10] = ['あ', 'か', 'さ', 'た', 'な', 'は', 'ま', 'や', 'ら', 'わ'];

/// Returns the Hepburn form of the kana in a folded text, other characters as they are; `None` without kana.
pub fn romaji(text: &str) -> Option<String> {
    if !text.chars().any(is_kana) {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut doubled = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (latin, length) = syllable(rest, c);
        rest = &rest[length..];
        if c == 'っ' {
            doubled = true;
            continue;
        }
        if std::mem::take(&mut doubled)
            && let Some(first) =
                latin.chars().next().filter(|first| !"aiueon".contains(*first) && first.is_ascii())
        {
            out.push(if latin.starts_with("ch") { 't' } else { first });
        }
        out.push_str(&latin);
    }
    Some(out)
}

/// Returns the Latin form of what the text begins with, and how many bytes of it that is.
fn syllable(text: &str, first: char) -> (String, usize) {
    let length = first.len_utf8();
    let Some(own) = single(first) else { return (first.to_string(), length) };
    let Some(second) = text[length..].chars().next() else { return (own.to_owned(), length) };
    let both = length + second.len_utf8();
    let glide = match second {
        'ゃ' => "ya",
        'ゅ' => "yu",
        'ょ' => "yo",
        'ぁ' | 'ぃ' | 'ぅ' | 'ぇ' | 'ぉ' => single(second).unwrap_or_default(),
        _ => return (own.to_owned(), length),
    };
    let vowel = &glide[glide.len() - 1..];
    let stem = match (first, second) {
        ('し' | 'ち' | 'じ' | 'ぢ', 'ゃ' | 'ゅ' | 'ょ' | 'ぇ') => {
            return (format!("{}{vowel}", &own[..own.len() - 1]), both);
        }
        ('う', 'ぃ' | 'ぇ' | 'ぉ') => "w",
        ('て' | 'で' | 'と' | 'ど', 'ぃ' | 'ぅ') => &own[..1],
        ('ふ' | 'ゔ', 'ぁ' | 'ぃ' | 'ぇ' | 'ぉ') => &own[..1],
        ('つ', 'ぁ' | 'ぃ' | 'ぇ' | 'ぉ') => "ts",
        (_, 'ゃ' | 'ゅ' | 'ょ') if own.ends_with('i') && own.len() > 1 => {
            return (format!("{}{glide}", &own[..own.len() - 1]), both);
        }
        _ => return (own.to_owned(), length),
    };
    (format!("{stem}{vowel}"), both)
}

/// Hepburn of one kana; small vowels as large ones.
fn single(kana: char) -> Option<&'static str> {
    const FROM: u32 = 'ぁ' as u32;
    const TABLE: [&str; 86] = [
        "a", "a", "i", "i", "u", "u", "e", "e", "o", "o", "ka", "ga", "ki", "gi", "ku", "gu", "ke", "ge",
        "ko", "go", "sa", "za", "shi", "ji", "su", "zu", "se", "ze", "so", "zo", "ta", "da", "chi", "ji", "",
        "tsu", "zu", "te", "de", "to", "do", "na", "ni", "nu", "ne", "no", "ha", "ba", "pa", "hi", "bi",
        "pi", "fu", "bu", "pu", "he", "be", "pe", "ho", "bo", "po", "ma", "mi", "mu", "me", "mo", "ya", "ya",
        "yu", "yu", "yo", "yo", "ra", "ri", "ru", "re", "ro", "wa", "wa", "i", "e", "o", "n", "vu", "ka",
        "ke",
    ];
    TABLE.get((kana as u32).checked_sub(FROM)? as usize).copied()
}

fn is_kana(c: char) -> bool {
    matches!(c, 'ぁ'..='ゖ')
}

/// Returns the large, unvoiced form of a kana.
fn base(c: char) -> char {
    const SMALL: [(char, char); 12] = [
        ('ぁ', 'あ'),
        ('ぃ', 'い'),
        ('ぅ', 'う'),
        ('ぇ', 'え'),
        ('ぉ', 'お'),
        ('っ', 'つ'),
        ('ゃ', 'や'),
        ('ゅ', 'ゆ'),
        ('ょ', 'よ'),
        ('ゎ', 'わ'),
        ('ゕ', 'か'),
        ('ゖ', 'け'),
    ];
    if !is_kana(c) {
        return c;
    }
    let large = SMALL.iter().find(|(small, _)| *small == c).map_or(c, |(_, large)| *large);
    // Unicode builds a voiced kana of its base and a mark.
    large.nfd().next().unwrap_or(large)
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

/// One is enough for all text that people write.
const MOST_FOLDS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            ("スーパー・カー", "すぱか"),
            ("ｽｰﾊﾟｰ･ｶｰ", "すぱか"),
            ("ーA", "ーa"),
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

    #[test]
    fn kana_are_ordered_as_in_a_dictionary() {
        let mut names = [
            "がい",
            "かう",
            "かい",
            "ガールズ",
            "安室",
            "Abba",
            "はかせ",
            "ばら",
            "ハカセ",
            "きゃく",
            "きやく",
        ];
        names.sort_by_key(|name| sort_key(name));
        let want = [
            "Abba",
            "かい",
            "がい",
            "かう",
            "ガールズ",
            "きやく",
            "きゃく",
            "はかせ",
            "ハカセ",
            "ばら",
            "安室",
        ];
        assert_eq!(names, want);
    }

    #[test]
    fn readings_are_written_as_hepburn_did() {
        for (text, want) in [
            ("よるにかける", "yorunikakeru"),
            ("しゃしん", "shashin"),
            ("がっき", "gakki"),
            ("まっちゃ", "matcha"),
            ("ふぁいぶ", "faibu"),
            ("てぃ", "ti"),
            ("うぃ", "wi"),
            ("ちぇ", "che"),
            ("きょうと 2", "kyouto 2"),
            ("じゅんびつ", "junbitsu"),
        ] {
            assert_eq!(romaji(text).as_deref(), Some(want), "{text}");
        }
        assert_eq!(romaji("abc 安室"), None);
    }

    #[test]
    fn names_stand_under_their_first_letter() {
        let under = |name: &str| heading(&sort_key(name)).to_string();
        for (name, want) in [
            ("がくと", "か"),
            ("ぱふゅーむ", "は"),
            ("ヴァン", "あ"),
            ("んだ", "わ"),
            ("The Who", "W"),
            ("Ärzte", "A"),
            ("2Pac", "0–9"),
            ("宇多田", "漢字"),
            ("Кино", "…"),
            ("!!!", "#"),
            ("", "#"),
        ] {
            assert_eq!(under(name), want, "{name}");
        }
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in "\\PC*") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn what_folds_alike_orders_alike(a in "[a-zA-Zァ-ヶぁ-ん ーがぎ]{0,8}", b in "[a-zA-Zァ-ヶぁ-ん ーがぎ]{0,8}") {
            if fold(&a) == fold(&b) {
                prop_assert_eq!(sort_key(&a), sort_key(&b));
            }
        }

        #[test]
        fn two_letters_of_a_name_find_it(name in "[ぁ-んァ-ヺ一-龠a-zA-Zé]{2,12}", at in 0usize..11) {
            let letters: Vec<char> = name.chars().collect();
            let at = at.min(letters.len() - 2);
            let needle: String = letters[at..at + 2].iter().collect();
            prop_assert!(fold(&name).contains(&fold(&needle)), "{} in {}", needle, name);
        }

        #[test]
        fn no_kana_is_left(text in "[ぁ-ゖ]{1,12}") {
            prop_assert!(!romaji(&text).unwrap_or_default().chars().any(is_kana));
        }

        #[test]
        fn every_text_has_a_heading(text in "\\PC*") {
            prop_assert!(!heading(&sort_key(&text)).to_string().is_empty());
        }
    }
}
