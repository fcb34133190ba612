//! Playlists: M3U, M3U8 and PLS, as players write them. Pure.
//!
//! M3U has no standard; what is read here is what Winamp began and others kept: a line per entry, `#EXTINF:` before it.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// A playlist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Playlist {
    /// What it calls itself.
    pub name: Option<String>,
    /// Its entries, in order.
    pub entries: Vec<Entry>,
    /// It was longer than what is read of it.
    pub cut: bool,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it names.
    pub location: Location,
    /// What it is called.
    pub title: Option<String>,
    /// How long it sounds, in seconds, where it says so.
    pub seconds: Option<u32>,
}

/// What an entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file: bytes of a path, relative or absolute.
    Path(Vec<u8>),
    /// An address on the network.
    Url(String),
}

/// The form of a playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lines in whatever encoding.
    M3u,
    /// Lines in UTF-8.
    M3u8,
    /// `[playlist]`, `File1=`.
    Pls,
}

/// Reads a playlist. What cannot be read is left out.
pub fn parse(bytes: &[u8], form: Form) -> Playlist {
    let cut = bytes.len() > LONGEST;
    let mut bytes = &bytes[..bytes.len().min(LONGEST)];
    if cut {
        // Half a path is another path.
        bytes = &bytes[..bytes.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(0)];
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii);
    let lines = lines.filter(|line| !line.is_empty());
    let mut playlist = match form {
        Form::M3u | Form::M3u8 => m3u(lines),
        Form::Pls => pls(lines),
    };
    playlist.cut |= cut;
    playlist.entries.retain(|entry| !matches!(&entry.location, Location::Path(path) if path.is_empty()));
    playlist
}

fn m3u<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Playlist {
    let mut playlist = Playlist::default();
    let mut said: (Option<u32>, Option<String>) = (None, None);
    for line in lines {
        if line.len() > LONGEST_LINE {
            // What was said in front of it was said of it.
            (playlist.cut, said) = (true, (None, None));
        } else if let Some(info) = line.strip_prefix(b"#EXTINF:") {
            let info = text(info);
            let (seconds, title) = info.split_once(',').unwrap_or((info.as_str(), ""));
            // Attributes may stand between the seconds and the comma.
            let seconds =
                seconds.split_ascii_whitespace().next().and_then(|number| number.parse::<f64>().ok());
            said = (seconds.filter(|s| (0.0..1e9).contains(s)).map(|s| s as u32), filled(title));
        } else if let Some(name) = line.strip_prefix(b"#PLAYLIST:") {
            playlist.name = filled(&text(name));
        } else if !line.starts_with(b"#") {
            if playlist.entries.len() >= MOST_ENTRIES {
                playlist.cut = true;
                break;
            }
            let (seconds, title) = std::mem::take(&mut said);
            playlist.entries.push(Entry { location: location(line), title, seconds });
        }
    }
    playlist
}

/// What was said of one number: file, title, length.
type Said = (Option<Location>, Option<String>, Option<u32>);

fn pls<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Playlist {
    let mut playlist = Playlist::default();
    let mut found: BTreeMap<u32, Said> = BTreeMap::new();
    for line in lines {
        if line.len() > LONGEST_LINE {
            playlist.cut = true;
            continue;
        }
        let Some(at) = line.iter().position(|&byte| byte == b'=') else { continue };
        let (key, value) = (text(line[..at].trim_ascii()).to_ascii_lowercase(), line[at + 1..].trim_ascii());
        if key == "x-gnome-title" {
            playlist.name = filled(&text(value));
        }
        let digits = key.trim_start_matches(|c: char| c.is_ascii_lowercase());
        let Ok(number) = digits.parse::<u32>() else { continue };
        if found.len() >= MOST_ENTRIES && !found.contains_key(&number) {
            playlist.cut = true;
            continue;
        }
        match &key[..key.len() - digits.len()] {
            "file" => found.entry(number).or_default().0 = Some(location(value)),
            "title" => found.entry(number).or_default().1 = filled(&text(value)),
            "length" => found.entry(number).or_default().2 = text(value).parse().ok(),
            _ => {}
        }
    }
    let entry = |(location, title, seconds)| Some(Entry { location: location?, title, seconds });
    playlist.entries = found.into_values().filter_map(entry).collect();
    playlist
}

fn filled(text: &str) -> Option<String> {
    Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Text is UTF-8, else what Windows wrote in the West.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::WINDOWS_1252.decode(bytes).0.into_owned(),
    }
}

fn location(line: &[u8]) -> Location {
    let lower = line[..line.len().min(8)].to_ascii_lowercase();
    if lower.starts_with(b"http://") || lower.starts_with(b"https://") {
        return Location::Url(text(line));
    }
    if lower.starts_with(b"file:") {
        // RFC 8089: `file:///path`, `file://localhost/path`, `file:/path`.
        let rest = &line[5..];
        let path = match rest.strip_prefix(b"//") {
            Some(rest) => rest.iter().position(|&byte| byte == b'/').map_or(rest, |at| &rest[at..]),
            None => rest,
        };
        return Location::Path(percent_decoded(path));
    }
    let windows = !line.contains(&b'/') && line.contains(&b'\\');
    let slash = |&byte: &u8| if windows && byte == b'\\' { b'/' } else { byte };
    Location::Path(line.iter().map(slash).collect())
}

pub(in crate::media) fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        // A number may have a sign in front, the digits of a byte may not.
        let hex = bytes.get(at + 1..at + 3).filter(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        let hex = hex.and_then(|pair| std::str::from_utf8(pair).ok());
        match hex.filter(|_| bytes[at] == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

/// Returns the full paths that an entry may mean, best first: as it stands, beside the playlist, below each music folder.
/// None lies outside of the music folders.
pub fn resolve(entry: &[u8], folder: &Path, roots: &[PathBuf]) -> Vec<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let entry = Path::new(std::ffi::OsStr::from_bytes(entry));
    let bases = std::iter::once(folder).chain(roots.iter().map(PathBuf::as_path));
    // `join` takes an absolute entry as it stands.
    let mut found: Vec<PathBuf> = Vec::new();
    for base in bases {
        let Some(path) = plain(&base.join(entry)) else { continue };
        if roots.iter().any(|root| path.starts_with(root) && path != *root) && !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// Returns a path without `.` and `..`; `None` for one that leads above the top.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                if !out.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            part => out.push(part),
        }
    }
    Some(out)
}

/// Bytes that are read.
const LONGEST: usize = 4 << 20;
/// Bytes of one line.
const LONGEST_LINE: usize = 4096;
/// Entries of one list.
const MOST_ENTRIES: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> Location {
        Location::Path(text.into())
    }

    #[test]
    fn lists_of_all_players_are_read() {
        let check = |bytes: &[u8], form, want: &[(Location, Option<&str>, Option<u32>)]| {
            let found = parse(bytes, form).entries;
            let found: Vec<_> =
                found.iter().map(|e| (e.location.clone(), e.title.as_deref(), e.seconds)).collect();
            assert_eq!(found, want, "{}", String::from_utf8_lossy(bytes));
        };
        check(
            b"\xef\xbb\xbf#EXTM3U\r\n#EXTINF:200,A - B\r\na/b.mp3\r\n\r\n# c\r\n/x.flac\r\n",
            Form::M3u8,
            &[(path("a/b.mp3"), Some("A - B"), Some(200)), (path("/x.flac"), None, None)],
        );
        check(
            b"#EXTINF:-1 tvg-id=\"x\",Radio\nhttp://a.example/s",
            Form::M3u,
            &[(Location::Url("http://a.example/s".into()), Some("Radio"), None)],
        );
        check(
            b"A\\B\\c d.mp3\rfile:///m/%E5%A4%9C.mp3",
            Form::M3u,
            &[(path("A/B/c d.mp3"), None, None), (path("/m/夜.mp3"), None, None)],
        );
        check(
            b"#EXTINF:1,Bj\xf6rk\nBj\xf6rk.mp3",
            Form::M3u,
            &[(Location::Path(b"Bj\xf6rk.mp3".to_vec()), Some("Björk"), Some(1))],
        );
        check(
            b"[playlist]\nTitle2=Two\nFILE2=b.mp3\nfile1=a.mp3\nLength1=7\nNumberOfEntries=2\n",
            Form::Pls,
            &[(path("a.mp3"), None, Some(7)), (path("b.mp3"), Some("Two"), None)],
        );
        assert_eq!(parse(b"#PLAYLIST: Mine \na", Form::M3u8).name.as_deref(), Some("Mine"));
    }

    #[test]
    fn an_entry_is_looked_for_where_it_may_lie() {
        let roots = [PathBuf::from("/m"), PathBuf::from("/n")];
        let found = |entry: &str| resolve(entry.as_bytes(), Path::new("/m/Playlists"), &roots);
        assert_eq!(found("../A/b.mp3"), [Path::new("/m/A/b.mp3")]);
        assert_eq!(found("A/b.mp3"), ["/m/Playlists/A/b.mp3", "/m/A/b.mp3", "/n/A/b.mp3"].map(PathBuf::from));
        assert_eq!(found("/n/b.mp3"), [Path::new("/n/b.mp3")]);
        assert_eq!(found("/etc/passwd"), [""; 0].map(PathBuf::from));
        assert_eq!(found("../../../etc/passwd"), [""; 0].map(PathBuf::from));
    }

    fn named(bytes: &[u8], form: Form) -> (Vec<(String, Option<String>)>, bool) {
        let list = parse(bytes, form);
        let name = |entry: Entry| match entry.location {
            Location::Path(path) => (String::from_utf8_lossy(&path).into_owned(), entry.title),
            Location::Url(url) => (url, entry.title),
        };
        (list.entries.into_iter().map(name).collect(), list.cut)
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out_with_what_was_said_of_it() {
        let long = "x".repeat(LONGEST_LINE + 1);
        let list = format!("#EXTINF:9,Long\n{long}\nb.mp3\n");
        assert_eq!(named(list.as_bytes(), Form::M3u), (vec![("b.mp3".into(), None)], true));
        let list = format!("[playlist]\nFile1={long}\nTitle1=Long\nFile2=b.mp3\n");
        assert_eq!(named(list.as_bytes(), Form::Pls), (vec![("b.mp3".into(), None)], true));
    }

    #[test]
    fn half_a_line_at_the_cut_names_no_file() {
        let mut list = b"a.mp3\n".to_vec();
        list.resize(LONGEST - 5, b'\n');
        list.extend_from_slice(b"b.mp3.flac\n");
        assert_eq!(named(&list, Form::M3u), (vec![("a.mp3".into(), None)], true));
    }

    #[test]
    fn a_percent_sign_before_anything_but_two_digits_stands_for_itself() {
        for (line, want) in [
            ("file:///m/100%+1.mp3", "/m/100%+1.mp3"),
            ("file:///m/%4", "/m/%4"),
            ("file:///m/%25%zz", "/m/%%zz"),
        ] {
            assert_eq!(named(line.as_bytes(), Form::M3u).0, [(want.into(), None)]);
        }
    }

    #[test]
    fn an_entry_that_names_nothing_is_left_out() {
        assert_eq!(named(b"file://\na.mp3\n", Form::M3u).0, [("a.mp3".into(), None)]);
        assert_eq!(named(b"File1=\nFile2=a.mp3\n", Form::Pls).0, [("a.mp3".into(), None)]);
    }

    proptest! {
        #[test]
        fn nothing_outside_of_the_music_is_meant(entry in proptest::collection::vec(any::<u8>(), 0..60), dots in "(\\.\\./){0,4}[a-z/]{0,12}") {
            let roots = [PathBuf::from("/m"), PathBuf::from("/n/o")];
            for entry in [entry.as_slice(), dots.as_bytes()] {
                for place in resolve(entry, Path::new("/m/Playlists"), &roots) {
                    prop_assert!(roots.iter().any(|root| place.starts_with(root)), "{:?}", place);
                    prop_assert!(!place.components().any(|part| part == Component::ParentDir));
                }
            }
        }

        #[test]
        fn whatever_stands_there_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            for form in [Form::M3u, Form::M3u8, Form::Pls] {
                prop_assert!(parse(&bytes, form).entries.len() <= bytes.len());
            }
        }
    }
}
