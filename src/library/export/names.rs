//! Names of files that go out: safe on every file system, each once, also where letter case does not count.

use std::collections::HashSet;
use std::path::Path;

use crate::library::find::groups::id_of_bytes;
use crate::library::place::{component, file_name, folder_key, place};
use crate::track::Tags;
use crate::units::UnixTime;

/// The names that are taken.
#[derive(Debug, Default)]
pub struct Names {
    /// Hashes of the whole paths.
    taken: HashSet<i64>,
}

impl Names {
    /// Takes a name in a folder (parts between `/`, empty for none), with ` (2)` behind its stem where it is taken.
    pub fn take(&mut self, folder: &str, stem: &str, extension: Option<&str>) -> String {
        let mut number = 1u32;
        loop {
            let suffix = if number == 1 { String::new() } else { format!(" ({number})") };
            let path = within(folder, &file_name(stem, &suffix, extension));
            if self.taken.insert(id_of_bytes(folder_key(&path).as_bytes()).0) {
                return path;
            }
            number += 1;
        }
    }
}

/// Returns a path in a folder; parts between `/`.
pub fn within(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Returns the folder and the stem of a track by its words: `Artist/Album (Year)` and `1-03 Title`.
pub fn by_words(tags: &Tags, original: &str, added: UnixTime) -> (String, String) {
    let (mut folders, stem) = place(tags, original, added);
    let year = tags.date.as_deref().and_then(|date| date.get(..4));
    // Of an album: what has no artist lies where it came, and a single is of no album.
    let of_album = tags.album.is_some() && folders.first().is_some_and(|first| first != "Beamed");
    if let (Some(year), Some(album)) = (year.filter(|_| of_album), folders.last_mut()) {
        album.push_str(&format!(" ({year})"));
    }
    let folders: Vec<String> = folders.iter().map(|folder| component(folder)).collect();
    (folders.join("/"), stem)
}

/// Returns the folder and the stem of a file by the path it has on the shelf, each part made safe.
pub fn by_path(path: &Path) -> (String, String) {
    let parts = path.parent().into_iter().flat_map(Path::components);
    let folders: Vec<String> = parts.map(|part| component(&part.as_os_str().to_string_lossy())).collect();
    (folders.join("/"), path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
}

/// Returns a path as it is seen from a folder; parts between `/`.
pub fn relative(folder: &str, path: &str) -> String {
    let split =
        |text: &str| text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (from, to) = (split(folder), split(path));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count().min(to.len().saturating_sub(1));
    let up = std::iter::repeat_n("..".to_owned(), from.len() - common);
    let seen = up.chain(to[common..].iter().cloned()).collect::<Vec<_>>().join("/");
    // A line that begins so is a remark in a playlist.
    if seen.starts_with('#') { format!("./{seen}") } else { seen }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_given_once_whatever_the_case_of_its_letters() {
        let mut names = Names::default();
        assert_eq!(names.take("A/B", "Song", Some("flac")), "A/B/Song.flac");
        assert_eq!(names.take("a/b", "SONG", Some("flac")), "a/b/SONG (2).flac");
        assert_eq!(names.take("A/B", "song", Some("FLAC")), "A/B/song (3).FLAC");
        assert_eq!(names.take("", "../x", None), "_._x");
    }

    #[test]
    fn music_lies_where_its_words_say() {
        let some = |text: &str| Some(text.to_owned());
        let tags = Tags {
            title: some("正しい街"),
            artist: some("椎名林檎"),
            album: some("無罪/モラトリアム"),
            date: some("1999-02-24"),
            track: Some(1),
            ..Tags::default()
        };
        let (folder, stem) = by_words(&tags, "x.flac", UnixTime(0));
        assert_eq!((folder.as_str(), stem.as_str()), ("椎名林檎/無罪_モラトリアム (1999)", "01 正しい街"));
        let (folder, stem) = by_path(Path::new("CD: 1/con/03 Song.live.mp3"));
        assert_eq!((folder.as_str(), stem.as_str()), ("CD_ 1/_con", "03 Song.live"));
    }

    #[test]
    fn playlists_name_files_as_seen_from_where_they_lie() {
        for (folder, path, want) in [
            ("", "A/B/x.flac", "A/B/x.flac"),
            ("A/B", "A/B/x.flac", "x.flac"),
            ("Playlists", "A/x.flac", "../A/x.flac"),
            ("A/B", "A/C/x.flac", "../C/x.flac"),
            ("", "#1.flac", "./#1.flac"),
        ] {
            assert_eq!(relative(folder, path), want, "{path} seen from {folder}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_safe_and_each_is_another(given in prop::collection::vec(("\\PC{0,12}", "\\PC{0,12}"), 0..20)) {
            let mut names = Names::default();
            let mut seen = HashSet::new();
            for (folder, stem) in given {
                let (folder, _) = by_path(&Path::new(&folder).join("x"));
                let name = names.take(&folder, &stem, Some("flac"));
                prop_assert!(seen.insert(folder_key(&name)), "{name}");
                prop_assert!(name.split('/').all(|part| !part.is_empty() && part != ".." && part != "." && part.len() <= 200));
                prop_assert!(!name.starts_with('/') && !name.contains(['\\', '\0', ':']));
            }
        }
    }
}
