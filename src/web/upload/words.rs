//! What became of a file, in one plain sentence: English, or Japanese for whom asks for it. The only words of this API that
//! go straight to a person who has no app of ours.

use http::HeaderMap;
use serde::Serialize;

use crate::intake::door::policy;
use crate::offer::Verdict;
use crate::track::Protection;
use crate::web::upload::text;
use crate::words::japanese;

/// The language of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Japanese.
    Japanese,
}

impl Language {
    /// Returns the first of the two that the asker names (RFC 9110, 12.5.4; weights are passed over: browsers write the best
    /// first).
    pub fn of(headers: &HeaderMap) -> Language {
        let wanted = text(headers, "accept-language").unwrap_or_default();
        let first =
            wanted.split(',').map(str::trim).find(|one| one.starts_with("ja") || one.starts_with("en"));
        if first.is_some_and(|one| one.starts_with("ja")) { Language::Japanese } else { Language::English }
    }

    /// Returns the words of this language.
    pub fn choose<'a>(self, english: &'a str, japanese: &'a str) -> &'a str {
        match self {
            Language::English => english,
            Language::Japanese => japanese,
        }
    }
}

/// Returns the name of a file as a person may read it: a mark that turns the direction of writing would show another one.
pub fn shown(name: &str) -> String {
    policy::shown(name, LONGEST_NAME)
}

/// What became of a file.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The name it came with.
    pub file: String,
    /// `stored`, `known`, `locked`, `unpacked`, `coming`, or the code of a refusal.
    pub code: String,
    /// The words for its sender.
    pub words: String,
    #[serde(skip)]
    status: u16,
}

impl Outcome {
    /// Returns what became of a file that is here. `None`: the shelf has not looked at it yet.
    pub fn of(file: &str, verdict: Option<&Verdict>, language: Language) -> Outcome {
        let (status, code, words) = match verdict {
            Some(Verdict::Stored { .. }) => {
                (201, "stored", language.choose("{} is on the shelf.", "「{}」が棚に入りました。").to_owned())
            }
            Some(Verdict::Merged { .. }) => (200, "known", language.choose(KNOWN.0, KNOWN.1).to_owned()),
            Some(Verdict::Locked { protection, .. }) => (201, "locked", locked(protection, language)),
            Some(Verdict::Read { told }) => (
                201,
                "unpacked",
                language.choose("{}: ", "「{}」を展開しました：").to_owned() + &sentence(told, language),
            ),
            Some(Verdict::Refused { code, reason }) => {
                let status = if matches!(code.as_str(), "full") { 507 } else { 415 };
                let words =
                    language.choose("{} was not taken: ", "「{}」は受け取れませんでした：").to_owned()
                        + &sentence(reason, language);
                return Outcome { status, ..Outcome::new(file, code, &words) };
            }
            None => (
                202,
                "coming",
                language
                    .choose(
                        "{} is here and will be on the shelf in a moment.",
                        "「{}」を受け取りました。まもなく棚に入ります。",
                    )
                    .to_owned(),
            ),
        };
        Outcome { status, ..Outcome::new(file, code, &words) }
    }

    /// Returns that a file was not sent, because the shelf has it.
    pub fn known(file: &str, language: Language) -> Outcome {
        Outcome { status: 200, ..Outcome::new(file, "known", language.choose(KNOWN.0, KNOWN.1)) }
    }

    /// Returns that a file was not taken.
    pub fn refused(file: &str, status: u16, why: &str, language: Language) -> Outcome {
        let words = language.choose("{} was not taken: ", "「{}」は受け取れませんでした：").to_owned()
            + &sentence(why, language);
        Outcome { status, ..Outcome::new(file, "refused", &words) }
    }

    fn new(file: &str, code: &str, words: &str) -> Outcome {
        let shown = shown(file);
        let words = words.replacen("{}", &shown, 1);
        Outcome { file: shown, code: code.to_owned(), words, status: 200 }
    }

    /// Returns the status of an answer that is about this file alone.
    pub fn status(&self) -> u16 {
        self.status
    }
}

fn locked(protection: &Protection, language: Language) -> String {
    let kept =
        language.choose("{} is kept, but cannot be played: ", "「{}」を保管しましたが、再生できません：");
    format!("{kept}{} {}", said(protection.headline(), language), said(protection.advice(), language))
}

/// The same as the end of a sentence.
fn sentence(text: &str, language: Language) -> String {
    let said = said(text, language);
    said.trim_end_matches(['.', '。']).to_owned() + language.choose(".", "。")
}

/// Returns words of the box in the language of whoever asks, as far as they are known in it.
fn said(text: &str, language: Language) -> String {
    let translated = if language == Language::Japanese { japanese(text) } else { None };
    translated.unwrap_or_else(|| text.to_owned())
}

const KNOWN: (&str, &str) = ("{} was on the shelf already.", "「{}」は棚にすでにあります。");
const LONGEST_NAME: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::TrackId;

    #[test]
    fn one_sentence_says_what_became_of_a_file() {
        let said = |verdict: Option<&Verdict>, language| {
            let outcome = Outcome::of("夜{}\n.flac", verdict, language);
            (outcome.status(), outcome.words)
        };
        let stored = Verdict::Stored { track: TrackId(1) };
        assert_eq!(said(Some(&stored), Language::English), (201, "夜{}.flac is on the shelf.".into()));
        assert_eq!(said(Some(&stored), Language::Japanese), (201, "「夜{}.flac」が棚に入りました。".into()));
        let refused = Verdict::Refused { code: "not_audio".into(), reason: "it is not music".into() };
        assert_eq!(
            said(Some(&refused), Language::English),
            (415, "夜{}.flac was not taken: it is not music.".into())
        );
        let empty = Verdict::Refused { code: "empty".into(), reason: "the file is empty".into() };
        let words = said(Some(&empty), Language::Japanese).1;
        assert_eq!(words, "「夜{}.flac」は受け取れませんでした：ファイルが空です。");
        assert_eq!(said(None, Language::English).0, 202);
    }

    #[test]
    fn the_language_is_the_first_of_ours_that_is_named() {
        for (wanted, want) in [
            ("ja", Language::Japanese),
            ("ja-JP,en;q=0.8", Language::Japanese),
            ("de,en-GB;q=0.8,ja;q=0.7", Language::English),
            ("", Language::English),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("accept-language", wanted.parse().expect("a value"));
            assert_eq!(Language::of(&headers), want, "{wanted}");
        }
    }
}
