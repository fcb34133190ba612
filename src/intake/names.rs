//! What files on their way in are called: by people, and in the staging folder. Pure.

use crate::offer::RemoteItem;

/// Returns the name a neighbour's file goes by: its title, and the extension of its URL or type.
pub fn name_of(item: &RemoteItem) -> String {
    let path = item.url.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let extension = extension_of(last).or_else(|| extension_of_type(&item.mime));
    let title: String = item.title.chars().take(LONGEST_TITLE).collect();
    let title = if title.trim().is_empty() { last.to_owned() } else { title };
    match extension {
        Some(extension) if extension_of(&title).is_none_or(|own| !own.eq_ignore_ascii_case(extension)) => {
            format!("{title}.{extension}")
        }
        _ => title,
    }
}

/// Returns the extension of files of a media type; `None` for one that is no music.
pub fn extension_of_type(mime: &str) -> Option<&'static str> {
    let mime = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    EXTENSIONS.iter().find(|(known, _)| *known == mime).map(|(_, extension)| *extension)
}

/// Returns a new name for a part file. It keeps the extension, a hint for the reader of the bytes.
pub fn part_name(original: &str) -> String {
    let extension = extension_of(original).unwrap_or("part").to_ascii_lowercase();
    format!("{}.{extension}", uuid::Uuid::new_v4().simple())
}

/// Returns a new name for a part file that comes from the drop folder.
pub fn part_name_of_inbox(original: &str) -> String {
    format!("{FROM_INBOX}{}", part_name(original))
}

fn extension_of(name: &str) -> Option<&str> {
    let (stem, extension) = name.rsplit_once('.')?;
    let plain =
        (1..=5).contains(&extension.len()) && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (plain && !stem.is_empty()).then_some(extension)
}

/// Part files of the drop folder are told by their name even when the journal is lost.
pub const FROM_INBOX: &str = "inbox-";
const LONGEST_TITLE: usize = 160;
/// IANA media types and the ones phones use, with the extension of their files.
const EXTENSIONS: [(&str, &str); 16] = [
    ("audio/mpeg", "mp3"),
    ("audio/mp3", "mp3"),
    ("audio/flac", "flac"),
    ("audio/x-flac", "flac"),
    ("audio/mp4", "m4a"),
    ("audio/x-m4a", "m4a"),
    ("audio/m4a", "m4a"),
    ("audio/aac", "aac"),
    ("audio/ogg", "ogg"),
    ("application/ogg", "ogg"),
    ("audio/opus", "opus"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("audio/aiff", "aiff"),
    ("audio/x-aiff", "aiff"),
    ("audio/x-ms-wma", "wma"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn item(title: &str, url: &str, mime: &str) -> RemoteItem {
        RemoteItem {
            object_id: "1".into(),
            url: url.into(),
            size: None,
            mime: mime.into(),
            title: title.into(),
            artist: None,
            album: None,
            track: None,
            duration: None,
            views: Vec::new(),
        }
    }

    #[test]
    fn a_file_is_named_by_its_title_and_what_it_is() {
        for (title, url, mime, want) in [
            ("Song", "http://a/b/22.flac", "audio/x-flac", "Song.flac"),
            ("Song", "http://a/b/22", "audio/mpeg; charset=x", "Song.mp3"),
            ("Song.mp3", "http://a/22.mp3?x=1.wav", "audio/mpeg", "Song.mp3"),
            ("", "http://a/b/22.ogg", "", "22.ogg"),
            ("Vol. 2", "http://a/b", "", "Vol. 2"),
        ] {
            assert_eq!(name_of(&item(title, url, mime)), want, "{title:?} {url:?}");
        }
    }
}
