//! Who is let in without a question, how much one sender may bring in a day, which names are files at all. Pure.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use crate::offer::Right;
use crate::offer::push::{LeftOut, Push, Sent};
use crate::units::{ByteCount, UnixTime};

/// What is decided about a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is let in.
    Take,
    /// Somebody is asked.
    Ask,
    /// It is refused, with these words.
    Refuse(&'static str),
}

/// Decides about a sender (product.md, "Other people's phones").
pub fn decide(push: Push, right: Right, window: bool) -> Decision {
    match push {
        Push::Never => Decision::Refuse("this box takes nothing from phones"),
        _ if right >= Right::Member => Decision::Take,
        Push::Always => Decision::Take,
        Push::Ask | Push::Window if window => Decision::Take,
        Push::Ask => Decision::Ask,
        Push::Window => Decision::Refuse("the beam window is closed: somebody at the box must open it"),
        Push::Paired => Decision::Refuse("only paired devices may send here"),
    }
}

/// What each sender brought today. The oldest senders are forgotten when there are too many.
#[derive(Debug, Default)]
pub struct Quotas {
    day: i64,
    used: HashMap<String, (u64, u64)>,
}

impl Quotas {
    /// Returns why a sender may not bring so much more today; `None` when it may.
    pub fn refusal(
        &self,
        sender: &str,
        right: Right,
        files: u64,
        bytes: ByteCount,
        now: UnixTime,
    ) -> Option<String> {
        let (most_files, most_bytes) = most(right);
        let used =
            self.used.get(&*account(sender)).filter(|_| self.day == day(now)).copied().unwrap_or_default();
        if used.0.saturating_add(files) > most_files {
            return Some(format!(
                "one sender may bring {most_files} files a day, and {} came already",
                used.0
            ));
        }
        if used.1.saturating_add(bytes.0) > most_bytes {
            let (most, came) = (ByteCount(most_bytes), ByteCount(used.1));
            return Some(format!("one sender may bring {most} a day, and {came} came already"));
        }
        None
    }

    /// Notes what a sender was let in with.
    pub fn note(&mut self, sender: &str, files: u64, bytes: ByteCount, now: UnixTime) {
        if self.day != day(now) {
            (self.day, self.used) = (day(now), HashMap::new());
        }
        let sender = account(sender);
        if self.used.len() >= MOST_SENDERS && !self.used.contains_key(&*sender) {
            // Whoever brought least loses least by being forgotten.
            let least = self.used.iter().min_by_key(|(_, used)| used.1).map(|(sender, _)| sender.clone());
            least.and_then(|least| self.used.remove(&least));
        }
        let used = self.used.entry(sender.into_owned()).or_default();
        *used = (used.0.saturating_add(files), used.1.saturating_add(bytes.0));
    }

    /// Gives back what was let in and never came.
    pub fn give_back(&mut self, sender: &str, files: u64, bytes: ByteCount) {
        if let Some(used) = self.used.get_mut(&*account(sender)) {
            *used = (used.0.saturating_sub(files), used.1.saturating_sub(bytes.0));
        }
    }
}

/// Returns on whose account a sender is: all of a machine that makes itself many addresses is on one.
fn account(sender: &str) -> Cow<'_, str> {
    match sender.strip_prefix("addr:").and_then(|address| address.parse().ok()) {
        Some(address @ IpAddr::V6(_)) => format!("addr:{}", crate::offer::whence::share(address)).into(),
        _ => sender.into(),
    }
}

fn day(now: UnixTime) -> i64 {
    now.0.div_euclid(86_400)
}

/// Files and bytes a day.
fn most(right: Right) -> (u64, u64) {
    if right >= Right::Member { (50_000, 1 << 40) } else { (5_000, 100 << 30) }
}

/// Returns what is wrong with the name of a file; `None` when it can be taken.
///
/// A name is a relative path with `/`; folders are only told, never made. A part of it that leads elsewhere, on whatever
/// system, and a control in it are the mark of somebody who means harm.
pub fn unfit(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split(['/', '\\']).collect();
    let climbs = parts.iter().any(|part| matches!(part.trim_end_matches(['.', ' ']), "" if !part.is_empty()));
    let drive = matches!(name.as_bytes(), [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic());
    let empty = name.split('/').any(str::is_empty) || name.starts_with('\\');
    if empty || climbs || drive || name.contains(char::is_control) {
        let shown: String = name.chars().take(60).filter(|letter| is_shown(*letter)).collect();
        return Some(format!("{shown:?} is no name of a file"));
    }
    None
}

/// Returns a name as it is kept: without marks that turn the direction of writing, each part within 255 bytes (NAME_MAX,
/// limits.h; reference beam, a.4) with its extension, folders only as far as there is room. Other systems allow more.
pub fn kept(name: &str) -> String {
    let plain: String = name.chars().filter(|letter| letter.is_control() || is_shown(*letter)).collect();
    let mut parts: Vec<String> = plain.split('/').map(cut).collect();
    while parts.len() > 1 && parts.iter().map(|part| part.len() + 1).sum::<usize>() > LONGEST_PATH {
        parts.remove(0);
    }
    parts.join("/")
}

/// Cuts a part of a name before its extension.
fn cut(part: &str) -> String {
    if part.len() <= LONGEST_PART {
        return part.to_owned();
    }
    let end = part.rfind('.').map_or("", |at| &part[at..]);
    let end = if end.len() <= LONGEST_EXTENSION { end } else { "" };
    let mut at = LONGEST_PART - end.len();
    while !part.is_char_boundary(at) {
        at -= 1;
    }
    part[..at].trim_end().to_owned() + end
}

/// Controls are not shown, nor marks that turn the direction of writing (Unicode UAX #9): `exe.mp3` would read otherwise
/// than it is.
fn is_shown(letter: char) -> bool {
    let turns = matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !letter.is_control() && !turns
}

/// Returns a stranger's words as a person may read them, at most so many letters.
pub fn shown(text: &str, most: usize) -> String {
    text.chars().filter(|letter| is_shown(*letter)).take(most).collect()
}

/// Returns whether a file is no music by its type and name, so that nobody needs to send it. A doubtful one is looked into.
pub fn is_no_music(file: &Sent) -> bool {
    let extension = file.name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).unwrap_or_default();
    if AUDIO.contains(&extension.as_str()) {
        return false;
    }
    let mime = file.mime.to_ascii_lowercase();
    let kind = mime.split(['/', ';']).next().unwrap_or_default().trim();
    matches!(kind, "image" | "text" | "pdf" | "apk")
        || mime == "application/pdf"
        || NO_MUSIC.contains(&extension.as_str())
}

/// Why a file is not asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftWhy {
    /// It is no music by its type and name.
    NoMusic,
    /// It is longer than the most, in bytes.
    TooLarge(u64),
}

impl LeftWhy {
    /// Returns the file as it is told.
    pub fn told(self, name: String) -> LeftOut {
        let (code, reason) = match self {
            LeftWhy::NoMusic => ("not_audio", "it is no music".to_owned()),
            LeftWhy::TooLarge(most) => {
                ("too_large", format!("files above {} are not taken", ByteCount(most)))
            }
        };
        LeftOut { name, code: code.to_owned(), reason }
    }
}

/// Returns why a file is not asked for; `None`: it is to come.
pub fn left_out(file: &Sent, most: u64) -> Option<LeftWhy> {
    if is_no_music(file) {
        Some(LeftWhy::NoMusic)
    } else {
        (file.size.0 > most).then_some(LeftWhy::TooLarge(most))
    }
}

/// Returns whether a file is an archive by its name: what is in it needs room beside it.
pub fn is_archive(file: &Sent) -> bool {
    file.name.rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case("zip"))
}

const AUDIO: [&str; 22] = [
    "flac", "mp3", "m4a", "m4b", "m4p", "mp4", "aac", "ogg", "oga", "opus", "wav", "aiff", "aif", "wma",
    "ape", "wv", "dsf", "dff", "caf", "oma", "mka", "alac",
];
const NO_MUSIC: [&str; 12] =
    ["jpg", "jpeg", "png", "gif", "heic", "webp", "pdf", "txt", "apk", "exe", "doc", "docx"];
/// Senders whose day is remembered.
const MOST_SENDERS: usize = 1000;
/// Bytes of a name with its folders, and of each part (NAME_MAX, limits.h).
const LONGEST_PATH: usize = 4096;
const LONGEST_PART: usize = 255;
/// What is longer behind a dot is no extension.
const LONGEST_EXTENSION: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent(name: &str, mime: &str, size: u64) -> Sent {
        Sent { name: name.into(), size: ByteCount(size), mime: mime.into(), sha256: None }
    }

    #[test]
    fn the_policy_is_what_the_owner_set() {
        use Decision::{Ask, Refuse, Take};
        let told = |push, right, window| match decide(push, right, window) {
            Refuse(_) => Refuse(""),
            other => other,
        };
        for (push, stranger, in_window, member) in [
            (Push::Ask, Ask, Take, Take),
            (Push::Window, Refuse(""), Take, Take),
            (Push::Paired, Refuse(""), Refuse(""), Take),
            (Push::Always, Take, Take, Take),
            (Push::Never, Refuse(""), Refuse(""), Refuse("")),
        ] {
            assert_eq!(told(push, Right::Room, false), stranger, "{push:?}");
            assert_eq!(told(push, Right::Room, true), in_window, "{push:?} in a window");
            assert_eq!(told(push, Right::Member, false), member, "{push:?} paired");
            assert_eq!(told(push, Right::Owner, true), member, "{push:?} owner");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_no_names() {
        for name in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x.mp3",
            "a/../../x.mp3",
            "a/..",
            "./x.mp3",
            "a//x.mp3",
            "a/",
            "..\\x.mp3",
            "a\\..\\..\\x.mp3",
            "\\\\server\\share\\x.mp3",
            "C:\\x.mp3",
            "c:/x.mp3",
            "x\0.mp3",
            "x\n.mp3",
            "... /x.mp3",
            ".. ",
        ] {
            assert!(unfit(name).is_some(), "{name:?}");
        }
        for name in [
            "x.mp3",
            "夜/アルバム/01 曲.flac",
            "AC\\DC.mp3",
            "..x.mp3",
            "x..",
            ".hidden",
            "a b/c.d",
            "x: y.mp3",
        ] {
            let known = unfit(name);
            assert!(known.is_none(), "{name:?}: {known:?}");
            assert_eq!(kept(name), name);
        }
    }

    #[test]
    fn names_that_other_systems_allow_are_kept_shorter() {
        let kanji = "あ".repeat(90);
        for (name, want) in [
            (format!("{kanji}.flac"), format!("{}.flac", "あ".repeat(83))),
            (format!("{kanji}/{kanji}"), format!("{0}/{0}", "あ".repeat(85))),
            (
                format!("{}.{}", "x".repeat(250), "y".repeat(20)),
                format!("{}.{}", "x".repeat(250), "y".repeat(4)),
            ),
            ("x\u{202e}3pm.exe".into(), "x3pm.exe".into()),
            ("\u{2068}Anna\u{2069} Küche.mp3".into(), "Anna Küche.mp3".into()),
        ] {
            assert_eq!(kept(&name), want, "{name}");
        }
        let deep = format!("{}song.mp3", format!("{}/", "f".repeat(250)).repeat(40));
        assert!(kept(&deep).len() <= LONGEST_PATH && kept(&deep).ends_with("/song.mp3"));
        assert!(unfit(&kept("\u{202e}")).is_some(), "nothing is left of it");
    }

    #[test]
    fn pictures_and_texts_need_not_be_sent() {
        for (name, mime) in
            [("a.jpg", "image/jpeg"), ("a", "image"), ("a.txt", ""), ("b.pdf", "application/pdf")]
        {
            assert!(is_no_music(&sent(name, mime, 1)), "{name} {mime}");
        }
        for (name, mime) in [
            ("a.flac", "audio/flac"),
            ("a.m4a", "video/mp4"),
            ("a.mp3", "text/plain"),
            ("a", "application/octet-stream"),
            ("a.zip", "application/zip"),
            ("a", ""),
        ] {
            assert!(!is_no_music(&sent(name, mime, 1)), "{name} {mime}");
        }
    }

    #[test]
    fn a_sender_brings_so_much_a_day_and_tomorrow_again() {
        let mut quotas = Quotas::default();
        let (day, gb) = (UnixTime(86_400 * 20_000), 1 << 30);
        let may = |quotas: &Quotas, now, files, bytes| {
            quotas.refusal("a", Right::Room, files, ByteCount(bytes), now).is_none()
        };
        assert!(may(&quotas, day, 5000, 100 * gb) && !may(&quotas, day, 5001, 0));
        quotas.note("a", 4000, ByteCount(99 * gb), day);
        assert!(may(&quotas, day, 1000, gb) && !may(&quotas, day, 1001, 0) && !may(&quotas, day, 1, gb + 1));
        assert!(quotas.refusal("b", Right::Room, 5000, ByteCount(gb), day).is_none(), "another sender");
        assert!(quotas.refusal("a", Right::Member, 5000, ByteCount(200 * gb), day).is_none(), "paired");
        quotas.give_back("a", 1, ByteCount(gb));
        assert!(may(&quotas, day, 1001, 2 * gb));
        assert!(may(&quotas, UnixTime(day.0 + 86_400), 5000, 100 * gb), "tomorrow");
        for n in 0..3 * MOST_SENDERS {
            quotas.note(&format!("s{n}"), 1, ByteCount(1), day);
        }
        assert_eq!(quotas.used.len(), MOST_SENDERS);
        assert!(!may(&quotas, day, 5000, 0), "who brought most is remembered");
    }

    #[test]
    fn many_addresses_of_one_machine_are_on_one_account() {
        let (mut quotas, day) = (Quotas::default(), UnixTime(86_400 * 20_000));
        quotas.note("addr:fd00::1", 5000, ByteCount(1), day);
        let refused = |sender: &str| quotas.refusal(sender, Right::Room, 1, ByteCount(1), day).is_some();
        assert!(refused("addr:fd00::1") && refused("addr:fd00::2:3"), "of one network");
        assert!(!refused("addr:fd00:0:0:1::1") && !refused("addr:10.77.0.1") && !refused("cookie:fd00::1"));
        quotas.give_back("addr:fd00::9", 1, ByteCount(1));
        assert!(quotas.refusal("addr:fd00::1", Right::Room, 1, ByteCount(1), day).is_none());
    }

    proptest! {
        #[test]
        fn a_name_that_is_taken_stays_below_its_folder(name in "[a./\\\\ :\u{3042}\u{202e}]{0,12}") {
            let name = kept(&name);
            if unfit(&name).is_none() {
                for path in [name.clone(), name.replace('\\', "/")] {
                    let path = std::path::Path::new(&path);
                    prop_assert!(!path.is_absolute());
                    prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))), "{name:?}");
                }
                prop_assert!(!name.is_empty());
            }
        }
    }
}
