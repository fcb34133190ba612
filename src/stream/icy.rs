//! Titles inside a live stream: after every so many bytes of sound one byte of length and a text follow. Pure.
//! Rule: SHOUTcast's `Icy-MetaData: 1` and `icy-metaint`, as Icecast 2.4 answers them too.

use encoding_rs::WINDOWS_1252;

/// Parts sound and texts of one connection.
#[derive(Debug)]
pub(super) struct Icy {
    /// Bytes of sound between two texts, at least 1.
    every: usize,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// So many bytes of sound are still to come.
    Sound(usize),
    /// The byte that tells the length of the text is to come.
    Length,
    /// So many bytes of the text are still to come.
    Text(usize, Vec<u8>),
}

impl Icy {
    /// Returns the state at the start of an answer; `None` for an interval that is none.
    pub(super) fn new(every: usize) -> Option<Icy> {
        (every > 0).then_some(Icy { every, step: Step::Sound(every) })
    }

    /// Takes what came, cut anywhere. Appends the sound to `sound` and returns the last title that was complete in it;
    /// an empty one means that none is said any more.
    pub(super) fn take(&mut self, mut bytes: &[u8], sound: &mut Vec<u8>) -> Option<String> {
        let mut title = None;
        while let Some(&next) = bytes.first() {
            match &mut self.step {
                Step::Sound(left) => {
                    let (now, later) = bytes.split_at(bytes.len().min(*left));
                    sound.extend_from_slice(now);
                    bytes = later;
                    *left -= now.len();
                    if *left == 0 {
                        self.step = Step::Length;
                    }
                }
                Step::Length => {
                    bytes = &bytes[1..];
                    // In units of 16 bytes, so at most 4,080; 0 says that nothing changed.
                    self.step = match usize::from(next) * 16 {
                        0 => Step::Sound(self.every),
                        length => Step::Text(length, Vec::with_capacity(length)),
                    };
                }
                Step::Text(left, text) => {
                    let (now, later) = bytes.split_at(bytes.len().min(*left));
                    text.extend_from_slice(now);
                    bytes = later;
                    *left -= now.len();
                    if *left == 0 {
                        title = title_of(text).or(title);
                        self.step = Step::Sound(self.every);
                    }
                }
            }
        }
        title
    }
}

/// Returns the `StreamTitle` of a text like `StreamTitle='Artist - Title';StreamUrl='';`, padded with zeros. A title may
/// hold `'` and even `';`: it ends where the text does or another field begins.
fn title_of(text: &[u8]) -> Option<String> {
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    let text = words(&text[..end]);
    let (_, rest) = text.split_once("StreamTitle='")?;
    let ends = |at: &usize| {
        let behind = &rest[at + 2..];
        let name = behind.split_once("='").map_or("", |(name, _)| name);
        let field = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        behind.trim().is_empty() || field
    };
    let end = rest.match_indices("';").map(|(at, _)| at).find(ends).or_else(|| rest.rfind('\''));
    Some(clean(&rest[..end.unwrap_or(rest.len())]))
}

/// Returns bytes of a header or text as words: UTF-8, else as Windows wrote them in the West.
pub(super) fn words(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    }
}

/// Returns words fit to be shown: one line, at most [`LONGEST`] characters.
pub(super) fn clean(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.trim().chars().take(LONGEST).collect()
}

/// Characters of a title that are shown.
const LONGEST: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(text: &[u8]) -> Vec<u8> {
        let units = text.len().div_ceil(16);
        let mut block = vec![units as u8];
        block.extend_from_slice(text);
        block.resize(1 + units * 16, 0);
        block
    }

    #[test]
    fn titles_are_read_as_stations_write_them() {
        let check = |text: &[u8], title: &str| assert_eq!(title_of(text).as_deref(), Some(title));
        check(b"StreamTitle='Artist - Song';", "Artist - Song");
        check(b"StreamTitle='Don't Stop';StreamUrl='http://x/';\0\0", "Don't Stop");
        check(b"StreamTitle='A ';' b';StreamUrl='';", "A ';' b");
        check(b"StreamTitle='';", "");
        check(b"StreamTitle='cut off", "cut off");
        check(b"StreamUrl='';StreamTitle=' two\nlines ';", "two lines");
        check(b"StreamTitle='Bj\xf6rk';", "Björk");
        check("StreamTitle='坂本龍一';".as_bytes(), "坂本龍一");
        assert_eq!(title_of(b"StreamUrl='x';"), None);
    }

    proptest! {
        /// Cut anywhere, also inside a length or a text, the sound comes out whole and the last title is told.
        #[test]
        fn cuts_do_not_matter(
            every in 1usize..40, blocks in 1usize..6, cuts in prop::collection::vec(0usize..400, 0..8),
        ) {
            let (mut wire, mut sound) = (Vec::new(), Vec::new());
            for n in 0..blocks {
                let part: Vec<u8> = (0..every).map(|i| (n * 31 + i) as u8).collect();
                sound.extend_from_slice(&part);
                wire.extend_from_slice(&part);
                let text = if n % 2 == 0 { block(format!("StreamTitle='Song {n}';").as_bytes()) } else { vec![0] };
                wire.extend(text);
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(wire.len())).collect();
            cuts.extend([0, wire.len()]);
            cuts.sort_unstable();
            let mut icy = Icy::new(every).expect("more than 0");
            let (mut heard, mut title) = (Vec::new(), None);
            for pair in cuts.windows(2) {
                title = icy.take(&wire[pair[0]..pair[1]], &mut heard).or(title);
            }
            prop_assert_eq!(heard, sound);
            prop_assert_eq!(title, Some(format!("Song {}", (blocks - 1) / 2 * 2)));
        }
    }
}
