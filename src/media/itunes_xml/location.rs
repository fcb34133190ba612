//! Where a track lies on the machine of a library, which is hardly this one.

use unicode_normalization::UnicodeNormalization;

use crate::media::playlist::percent_decoded;

/// A place of a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A full path on the library's machine, decoded, in NFC, its parts between `/`: `/Users/x/Music/a.m4a`,
    /// `C:/Users/x/a.mp3`, `//server/share/a.m4a`. It never ends with `/` and has no part `.` or `..`.
    File(String),
    /// A URL of another kind, as it is written.
    Url(String),
}

impl Location {
    /// Reads a URL (RFC 8089; iTunes writes `file://localhost/`). `None` when it means nothing.
    pub fn of(url: &str) -> Option<Location> {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme)?;
        let known = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !known || scheme.is_empty() {
            return None;
        }
        if !scheme.eq_ignore_ascii_case("file") {
            return Some(Location::Url(url.to_owned()));
        }
        let (host, path) = url[scheme.len() + 3..].split_once('/')?;
        let path = String::from_utf8(percent_decoded(path.as_bytes())).ok()?;
        let path: String = path.nfc().collect();
        // Windows' iTunes 4 ended the URLs of files with a slash.
        let path = path.trim_end_matches('/');
        let odd = |part: &str| matches!(part, "." | "..") || part.contains('\0');
        if path.trim_start_matches('/').is_empty() || path.split('/').any(odd) {
            return None;
        }
        let drive = matches!(path.as_bytes(), [letter, b':', b'/', ..] if letter.is_ascii_alphabetic());
        let local = host.is_empty() || host.eq_ignore_ascii_case("localhost");
        Some(Location::File(match (local, drive) {
            (true, true) => path.to_owned(),
            // `file://localhost//server/share/…`: a share of Windows.
            (true, false) if path.starts_with('/') => format!("//{}", path.trim_start_matches('/')),
            (true, false) => format!("/{path}"),
            (false, _) => format!("//{host}/{path}"),
        }))
    }

    /// Returns the name of the file, `None` for a URL.
    pub fn name(&self) -> Option<&str> {
        let Location::File(path) = self else { return None };
        path.rsplit('/').next()
    }

    /// Returns the last folders and the name of the file, as [`last_of`] does.
    pub fn tail(&self) -> Option<&str> {
        let Location::File(path) = self else { return None };
        last_of(path)
    }
}

/// Returns the last two folders and the name of a path: `Artist/Album/01 Song.m4a` of a library that iTunes keeps in order,
/// whatever lies above it on the machine it came from. `None` where the path has fewer folders.
pub fn last_of(path: &str) -> Option<&str> {
    let from = path.rmatch_indices('/').nth(1).and_then(|(at, _)| {
        let above = &path[..at];
        (!above.is_empty()).then(|| above.rfind('/').map_or(0, |slash| slash + 1))
    })?;
    Some(&path[from..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls_of_all_machines_become_paths() {
        let check =
            |url: &str, want: &str| assert_eq!(Location::of(url), Some(Location::File(want.into())), "{url}");
        check(
            "file://localhost/Users/hanako/Music/iTunes/01%20Song.m4a",
            "/Users/hanako/Music/iTunes/01 Song.m4a",
        );
        check("file:///Users/hanako/a%23b%3Fc+d%25.mp3", "/Users/hanako/a#b?c+d%.mp3");
        check("file://localhost/C:/Documents%20and%20Settings/h/a.mp3/", "C:/Documents and Settings/h/a.mp3");
        check("file:///D:/Music", "D:/Music");
        check("file://localhost//nas/music/a.m4a", "//nas/music/a.m4a");
        check("FILE://nas/music/a.m4a", "//nas/music/a.m4a");
        // macOS takes letters and their marks apart.
        check("file:///m/%E3%81%8B%E3%82%99.m4a", "/m/が.m4a");
        check("file:///m/100%.mp3", "/m/100%.mp3");
    }

    #[test]
    fn what_is_no_path_is_none() {
        for url in [
            "",
            "a.mp3",
            "/m/a.mp3",
            "file://",
            "file:///",
            "file:///m/../etc/passwd",
            "file:///m/a%00b",
            "file:///m/%ff.mp3",
            "://x/y",
            "file:///m/%2e%2e/x",
        ] {
            assert_eq!(Location::of(url), None, "{url}");
        }
        assert_eq!(
            Location::of("http://radio.example/x"),
            Some(Location::Url("http://radio.example/x".into()))
        );
    }

    #[test]
    fn the_last_folders_are_told_whatever_lies_above_them() {
        let tail = |url: &str| Location::of(url).expect("a place").tail().map(str::to_owned);
        let of_windows = "file://localhost/C:/Users/h/Music/iTunes/iTunes%20Media/Music/A/B/01%20C.m4a";
        assert_eq!(tail(of_windows).as_deref(), Some("A/B/01 C.m4a"));
        assert_eq!(tail("file:///a/b/c.mp3").as_deref(), Some("a/b/c.mp3"));
        assert_eq!(tail("file:///b/c.mp3"), None);
        assert_eq!(tail("http://x/y/z/a.mp3"), None);
        assert_eq!((last_of("a/b/c"), last_of("b/c"), last_of("c")), (Some("a/b/c"), None, None));
    }

    proptest! {
        #[test]
        fn a_path_has_no_odd_parts(url in "(file://)?[a-zC:/%.0-9é]{0,30}") {
            if let Some(Location::File(path)) = Location::of(&url) {
                prop_assert!(!path.ends_with('/') && !path.split('/').any(|part| part == ".."), "{}", path);
            }
        }
    }
}
