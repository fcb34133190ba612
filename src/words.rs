//! What the box says to people: a sentence in English, with a code and what is told in it, by which a face says the same in
//! another language.

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
        let known = SENTENCES.iter().find(|(known, _)| *known == code);
        let mut text =
            known.map_or_else(|| format!("{code} {}", about.join(" ")), |(_, text)| (*text).to_owned());
        // From the last place on: what is told may hold braces itself.
        let places: Vec<String> = (0..about.len()).map(|at| format!("{{{at}}}")).collect();
        for (place, told) in places.iter().zip(about).rev() {
            if let Some(at) = text.find(place.as_str()) {
                text.replace_range(at..at + place.len(), told);
            }
        }
        Words { text, code, about: about.iter().map(|told| (*told).to_owned()).collect() }
    }
}

impl From<String> for Words {
    fn from(text: String) -> Words {
        Words { text, code: "", about: Vec::new() }
    }
}

/// Every sentence with a code.
pub const SENTENCES: [(&str, &str); 15] = [
    ("kept_quiet", "what {0} sent stays on the shelf: these are quiet hours"),
    ("kept_standby", "what {0} sent stays on the shelf: the box is in standby"),
    ("queue_full", "a song from {0} stays on the shelf: the queue is full"),
    ("last_track", "Quiet hours: konpo stops behind this track."),
    ("clock_unknown", "The clock was not set since power-on, so quiet hours apply until it is."),
    ("unlocked", "unlocked: {0} was copy-protected and can be played now"),
    ("unlocked_by", "unlocked: {0} by {1} was copy-protected and can be played now"),
    ("unlocked_many", "unlocked: {0} songs that were copy-protected can be played now"),
    ("cannot_play", "{0} cannot be played: {1}"),
    ("wrote", "{0} writes: {1}"),
    ("queue_lost", "The queue of last time could not be read; it starts empty."),
    ("takes_again", "music can come in again"),
    ("test_failed", "The test sound cannot be played: {0}"),
    ("port_moved", "Port {0} is taken by {1}: the page is at port {2} now"),
    ("localsend_port", "Port {0} is taken by another program: phones with LocalSend cannot send"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_tells_what_it_is_given_as_it_is() {
        let words = Words::new("unlocked_by", &["{1} of a kind", "Ken"]);
        assert_eq!(words.text, "unlocked: {1} of a kind by Ken was copy-protected and can be played now");
        assert_eq!((words.code, words.about.len()), ("unlocked_by", 2));
        assert_eq!(Words::from("Hello".to_owned()).code, "");
        for (code, text) in SENTENCES {
            let places = (0..9).filter(|at| text.contains(&format!("{{{at}}}"))).count();
            let told: Vec<String> = (0..places).map(|at| format!("<{at}>")).collect();
            let told: Vec<&str> = told.iter().map(String::as_str).collect();
            let said = Words::new(code, &told).text;
            assert!(told.iter().all(|one| said.contains(one)) && !said.contains('{'), "{code}: {said}");
        }
    }
}
