//! The path rule: one sanitizer for names from everywhere, and the place of a new file. Pure.

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use crate::track::{Container, Tags};
use crate::units::UnixTime;

/// Returns a name that every file system takes: NFC, no controls, none of `\/:*?"<>|`, no leading dot, no trailing dot
/// or space, no reserved DOS name, at most [`LONGEST`] bytes cut at a grapheme. Never empty.
pub fn component(name: &str) -> String {
    let clean: String = name
        .nfc()
        .map(|c| if c.is_control() || "\\/:*?\"<>|".contains(c) || is_invisible(c) { '_' } else { c })
        .collect();
    let clean = clean.trim().trim_end_matches(['.', ' ']);
    let mut clean = match clean.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => clean.to_owned(),
    };
    if clean.is_empty() {
        clean.push('_');
    }
    let stem = clean.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    if is_dos_device(&stem) {
        clean.insert(0, '_');
    }
    cut(&clean, LONGEST)
}

/// Returns a file name: stem and extension, the extension kept when the stem is cut. `suffix` as ` (2)` goes between.
pub fn file_name(stem: &str, suffix: &str, extension: Option<&str>) -> String {
    let tail = match extension.map(component) {
        Some(extension) => format!("{suffix}.{extension}"),
        None => suffix.to_owned(),
    };
    let stem = component(stem);
    let stem = cut(&stem, LONGEST.saturating_sub(tail.len()));
    format!("{}{tail}", stem.trim_end_matches(['.', ' ']))
}

/// Returns the folders and the stem of a new track below the music folder (design, "Path").
pub fn place(tags: &Tags, original: &str, received: UnixTime) -> (Vec<String>, String) {
    let title = tags.title.as_deref();
    let artist = tags.artist.as_deref().or(tags.album_artist.as_deref());
    // A title alone names no folder either: nobody looks for it under a made-up artist (product.md, "When a song lands").
    if artist.is_none() && (title.is_none() || tags.album.is_none()) {
        let month = received.rfc3339()[..7].to_owned();
        return (vec!["Beamed".into(), month], title.unwrap_or_else(|| stem_of(original)).to_owned());
    }
    let owner = match (tags.compilation, tags.album_artist.as_deref()) {
        (_, Some(album_artist)) => album_artist,
        (true, None) => "Various Artists",
        (false, None) => artist.unwrap_or("Various Artists"),
    };
    let stem = title.unwrap_or_else(|| stem_of(original));
    let Some(album) = tags.album.as_deref() else {
        return (vec![component(owner), "Singles".into()], stem.to_owned());
    };
    let disc = tags.disc.filter(|&d| d > 1 || tags.discs.is_some_and(|n| n > 1));
    let number = match (disc, tags.track) {
        (Some(disc), Some(track)) => format!("{disc}-{track:02} "),
        (None, Some(track)) => format!("{track:02} "),
        _ => String::new(),
    };
    (vec![component(owner), component(album)], format!("{number}{stem}"))
}

/// Returns the extension of a new file, without the dot: that of its bytes, else the one it came with.
pub fn extension(container: Container, codec: crate::track::Codec, original: &str) -> Option<String> {
    let came = original.rsplit_once('.').map(|(_, extension)| extension);
    let came = came.filter(|e| (1..=5).contains(&e.len()) && e.bytes().all(|b| b.is_ascii_alphanumeric()));
    let came = came.map(str::to_ascii_lowercase);
    if container == Container::Mp4 {
        // m4a, m4p, m4b, mp4, 3gp and 3g2 are one container: the name it came with says more.
        let known = came.filter(|e| ["m4a", "m4p", "m4b", "mp4", "3gp", "3g2"].contains(&e.as_str()));
        return Some(known.unwrap_or_else(|| "m4a".into()));
    }
    container.extension(codec).map(str::to_owned).or(came)
}

/// Returns the name by which two folders are the same: NFC, lower case.
pub fn folder_key(name: &str) -> String {
    name.nfc().collect::<String>().to_lowercase()
}

fn stem_of(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= 5 => stem,
        _ => name,
    }
}

/// Marks that change the direction or width of text without being seen; they disguise extensions.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Names that Windows keeps for devices, with or without an extension.
fn is_dos_device(stem: &str) -> bool {
    let numbered = |name: &str| {
        stem.strip_prefix(name).is_some_and(|n| n.len() == 1 && n.bytes().all(|b| (b'1'..=b'9').contains(&b)))
    };
    matches!(stem, "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

/// Cuts at a grapheme, so that no letter loses its accent.
fn cut(text: &str, most: usize) -> String {
    let mut out = String::new();
    for grapheme in text.graphemes(true) {
        if out.len() + grapheme.len() > most {
            break;
        }
        out.push_str(grapheme);
    }
    if out.is_empty() { "_".into() } else { out }
}

/// The most bytes of one component: below 255 of every file system, with room for what `cp` and sync tools append.
const LONGEST: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::Codec;
    use proptest::prelude::*;

    fn tags(title: &str, artist: &str, album: &str) -> Tags {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Tags { title: some(title), artist: some(artist), album: some(album), ..Tags::default() }
    }

    #[test]
    fn names_from_everywhere_become_plain_files() {
        for (name, want) in [
            ("../../etc/x", "_._.._etc_x"),
            ("AC/DC", "AC_DC"),
            ("a\0b\u{7}c", "a_b_c"),
            ("CON", "_CON"),
            ("con.flac", "_con.flac"),
            ("COM1", "_COM1"),
            ("COMET", "COMET"),
            (".hidden", "_hidden"),
            ("What... ", "What"),
            ("", "_"),
            ("...", "_"),
            ("か\u{3099}", "が"),
            ("gpj.\u{202e}flac", "gpj._flac"),
        ] {
            assert_eq!(component(name), want, "{name:?}");
        }
    }

    #[test]
    fn a_long_title_is_cut_at_a_grapheme_and_keeps_its_extension() {
        let name = file_name(&"👩‍👩‍👧".repeat(40), " (2)", Some("flac"));
        assert!(name.len() <= LONGEST && name.ends_with(" (2).flac"), "{name}");
        assert_eq!(name.matches("👧").count(), name.matches("👩").count() / 2);
    }

    #[test]
    fn tracks_lie_where_a_person_looks_for_them() {
        let at = |tags: &Tags| {
            let (folders, stem) = place(tags, "orig.name.mp3", UnixTime(0));
            format!("{}/{stem}", folders.join("/"))
        };
        let mut album = tags("Song", "Singer", "Album");
        (album.track, album.disc, album.discs) = (Some(3), Some(1), Some(2));
        assert_eq!(at(&album), "Singer/Album/1-03 Song");
        album.discs = None;
        assert_eq!(at(&album), "Singer/Album/03 Song");
        album.compilation = true;
        assert_eq!(at(&album), "Various Artists/Album/03 Song");
        assert_eq!(at(&tags("Song", "Singer", "")), "Singer/Singles/Song");
        assert_eq!(at(&tags("", "", "Album")), "Beamed/1970-01/orig.name");
        assert_eq!(at(&tags("Song", "", "")), "Beamed/1970-01/Song");
        assert_eq!(at(&tags("Song", "", "Album")), "Various Artists/Album/Song");
        assert_eq!(at(&tags("", "Singer", "Album")), "Singer/Album/orig.name");
    }

    #[test]
    fn the_bytes_name_the_extension() {
        let flac = extension(Container::Flac, Codec::Flac, "x.mp3");
        assert_eq!(flac.as_deref(), Some("flac"));
        let plus = extension(Container::Mp4, Codec::AacLc, "x.M4P");
        assert_eq!(plus.as_deref(), Some("m4p"));
        assert_eq!(extension(Container::Mp4, Codec::AacLc, "x.exe").as_deref(), Some("m4a"));
        assert_eq!(extension(Container::Unknown, Codec::Other, "x.dm").as_deref(), Some("dm"));
        assert_eq!(extension(Container::Unknown, Codec::Other, "no dot"), None);
    }

    proptest! {
        #[test]
        fn every_name_is_safe(name in any::<String>(), extension in "[a-z]{0,6}") {
            for safe in [component(&name), file_name(&name, " (2)", Some(&extension))] {
                prop_assert!(!safe.is_empty() && safe.len() <= LONGEST);
                prop_assert!(!safe.starts_with('.') && !safe.ends_with([' ', '.']));
                prop_assert!(!safe.contains(['/', '\\', '\0']) && safe != ".." );
                prop_assert!(!safe.chars().any(char::is_control));
            }
        }
    }
}
