//! What the box says to people: a sentence in English, with a code and what is told in it, and the same in Japanese.
//!
//! Whoever says something writes it in English where it happens; [`Words::from`] finds the sentence in the table again, so
//! that it has a code for programs and a translation for people whatever it came through.

mod more;
mod table;

use std::sync::LazyLock;

/// A code, the sentence in English, the sentence in Japanese.
pub type Sentence = (&'static str, &'static str, &'static str);

/// Words for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The sentence in English.
    pub text: String,
    /// Which sentence it is; empty for one that has no code.
    pub code: &'static str,
    /// What is told in it, in the order of its places.
    pub about: Vec<String>,
}

impl Words {
    /// Returns the sentence of a code, with what is told in its places. Without such a sentence: the code and what is told.
    pub fn new(code: &'static str, about: &[&str]) -> Words {
        let known = sentences().find(|(known, ..)| *known == code);
        let told = || format!("{code} {}", about.join(" "));
        let text = known.map_or_else(told, |(_, text, _)| filled(text, about));
        Words { text, code, about: about.iter().map(|told| (*told).to_owned()).collect() }
    }
}

/// Reads a sentence back: its code and what is told in it, where it is one of the table.
impl From<String> for Words {
    fn from(text: String) -> Words {
        let found = read(&text);
        let about = |told: &[&str]| told.iter().map(|one| (*one).to_owned()).collect();
        match found {
            Some(((code, ..), told)) => Words { code, about: about(&told), text },
            None => Words { text, code: "", about: Vec::new() },
        }
    }
}

/// Returns every sentence that the box says.
pub fn sentences() -> impl Iterator<Item = Sentence> {
    table::all().copied()
}

/// Returns a sentence in Japanese, with what caused it as far as that is known; `None` for one that is not in the table.
pub fn japanese(text: &str) -> Option<String> {
    in_japanese(text, DEEPEST)
}

fn in_japanese(text: &str, deep: usize) -> Option<String> {
    let deeper = deep.checked_sub(1)?;
    if let Some(((_, english, japanese), told)) = read(text) {
        // What stands behind a colon is a sentence of its own; anything else is a name.
        let said = told.iter().enumerate().map(|(at, one)| {
            let own = english.contains(&format!(": {{{at}}}"));
            own.then(|| in_japanese(one, deeper)).flatten().unwrap_or_else(|| (*one).to_owned())
        });
        let said: Vec<String> = said.collect();
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        return Some(filled(japanese, &said));
    }
    text.match_indices(": ").take(MOST_REASONS).find_map(|(at, _)| {
        let (what, why) = (&text[..at], &text[at + 2..]);
        match (in_japanese(what, 1), in_japanese(why, deeper)) {
            (None, None) => None,
            (what_said, why_said) => Some(format!(
                "{}：{}",
                what_said.as_deref().unwrap_or(what),
                why_said.as_deref().unwrap_or(why)
            )),
        }
    })
}

/// Returns the sentence that a text is, and what is told in its places: the one with the most words of its own.
fn read(text: &str) -> Option<(Sentence, Vec<&str>)> {
    BY_LENGTH.iter().find_map(|sentence| Some((*sentence, places(sentence.1, text)?)))
}

/// Returns what stands in the places of a template; `None` when the text is another one. Every place holds something, and only
/// one at the end a sentence of its own.
fn places<'a>(template: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let mut parts = template.split('{');
    let mut rest = text.strip_prefix(parts.next()?)?;
    let mut told = Vec::new();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let literal = part.split_once('}')?.1;
        let end = match (literal.is_empty(), parts.peek()) {
            (true, None) => rest.len(),
            (false, None) => rest.strip_suffix(literal)?.len(),
            _ => rest.find(literal).filter(|end| *end > 0)?,
        };
        let is_last = literal.is_empty() && parts.peek().is_none();
        told.push(rest.get(..end).filter(|one| !one.is_empty() && (is_last || !one.contains(": ")))?);
        rest = rest.get(end + literal.len()..)?;
    }
    rest.is_empty().then_some(told)
}

/// Fills the places, from the last on: what is told may hold braces itself.
fn filled(template: &str, about: &[&str]) -> String {
    let mut left = template;
    let mut text = String::with_capacity(template.len());
    while let Some(at) = left.find('{') {
        text.push_str(&left[..at]);
        let end = left[at..].find('}').map_or(left.len(), |end| at + end + 1);
        let number = left[at + 1..end].trim_end_matches('}').parse::<usize>();
        match number.ok().and_then(|number| about.get(number)) {
            Some(told) => text.push_str(told),
            None => text.push_str(&left[at..end]),
        }
        left = &left[end..];
    }
    text + left
}

/// The sentences, those with the most letters of their own first.
static BY_LENGTH: LazyLock<Vec<Sentence>> = LazyLock::new(|| {
    let mut all: Vec<Sentence> = sentences().collect();
    all.sort_by_key(|(_, english, _)| std::cmp::Reverse(english.len()));
    all
});

/// Reasons of reasons that are translated, and places at which one is looked for.
const DEEPEST: usize = 4;
const MOST_REASONS: usize = 4;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_sentence_tells_what_it_is_given_as_it_is() {
        let words = Words::new("unlocked_by", &["{1} of a kind", "Ken"]);
        assert_eq!(words.text, "unlocked: {1} of a kind by Ken was copy-protected and can be played now");
        assert_eq!((words.code, words.about.len()), ("unlocked_by", 2));
        assert_eq!(Words::from("Hello".to_owned()).code, "");
        assert_eq!(Words::new("none_such", &["a", "b"]).text, "none_such a b");
    }

    #[test]
    fn every_sentence_is_read_back_and_is_said_in_both_languages_with_the_same_places() {
        let mut codes = BTreeSet::new();
        for (code, english, japanese) in sentences() {
            assert!(codes.insert(code), "{code} twice");
            let places = (0..9).filter(|at| english.contains(&format!("{{{at}}}"))).count();
            let told: Vec<String> = (0..places).map(|at| format!("<{at}>")).collect();
            let told: Vec<&str> = told.iter().map(String::as_str).collect();
            let words = Words::new(code, &told);
            assert!(told.iter().all(|one| words.text.contains(one)) && !words.text.contains('{'), "{code}");
            assert_eq!(Words::from(words.text.clone()), words, "{code}");
            let said = super::japanese(&words.text).unwrap_or_else(|| panic!("{code} has no Japanese"));
            assert!(said.chars().any(|letter| letter > '\u{3000}') && !said.contains('{'), "{code}: {said}");
            let lost: Vec<&&str> = told.iter().filter(|one| !said.contains(**one)).collect();
            // Who cannot do anything with a number is not told one.
            assert!(lost.is_empty() || SILENT.contains(&code), "{code} loses {lost:?}: {japanese}");
        }
    }

    const SILENT: [&str; 3] = ["send_locked_out", "door_undo_over", "door_nobody"];

    #[test]
    fn reasons_of_reasons_are_translated_and_names_are_left() {
        for (english, want) in [
            ("text cannot be played: the file is empty", Some("「text」を再生できません：ファイルが空です")),
            (
                "the file is empty cannot be played: the FLAC file breaks off in its head",
                Some("「the file is empty」を再生できません：FLACファイルが途中で切れています"),
            ),
            ("open the archive: the file is empty", Some("open the archive：ファイルが空です")),
            (
                "the archive is damaged: a file breaks off",
                Some("ZIPが壊れています：ファイルが途中で切れています"),
            ),
            ("Permission denied (os error 13)", None),
            ("", None),
        ] {
            assert_eq!(japanese(english).as_deref(), want, "{english}");
        }
        let many = "a: ".repeat(10_000);
        assert_eq!(japanese(&many), None, "it ends");
    }
}
