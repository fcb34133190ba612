use proptest::prelude::*;

use super::*;

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Major Version</key><integer>1</integer>
	<key>Application Version</key><string>12.9.5.5</string>
	<key>Features</key><integer>5</integer>
	<key>Show Content Ratings</key><true/>
	<key>Music Folder</key><string>file://localhost/C:/Users/hanako/Music/iTunes/iTunes%20Media/</string>
	<key>Library Persistent ID</key><string>0123456789ABCDEF</string>
	<key>Tracks</key>
	<dict>
"#;

const TRACKS: &str = r#"		<key>1842</key>
		<dict>
			<key>Track ID</key><integer>1842</integer>
			<key>Size</key><integer>7654321</integer>
			<key>Total Time</key><integer>215040</integer>
			<key>Disc Number</key><integer>1</integer>
			<key>Disc Count</key><integer>2</integer>
			<key>Track Number</key><integer>3</integer>
			<key>Track Count</key><integer>12</integer>
			<key>Year</key><integer>2008</integer>
			<key>Date Added</key><date>2008-07-17T09:12:45Z</date>
			<key>Play Count</key><integer>42</integer>
			<key>Play Date</key><integer>3555555555</integer>
			<key>Play Date UTC</key><date>2016-09-01T10:11:12Z</date>
			<key>Rating</key><integer>80</integer>
			<key>Album Rating</key><integer>60</integer>
			<key>Album Rating Computed</key><true/>
			<key>Loved</key><true/>
			<key>Normalization</key><integer>1234</integer>
			<key>Compilation</key><true/>
			<key>Persistent ID</key><string>A1B2C3D4E5F60718</string>
			<key>Track Type</key><string>File</string>
			<key>Protected</key><true/>
			<key>Purchased</key><true/>
			<key>Name</key><string>夜明け &#38; 朝</string>
			<key>Artist</key><string>山田花子</string>
			<key>Sort Artist</key><string>やまだはなこ</string>
			<key>Kind</key><string>Protected AAC audio file</string>
			<key>Location</key><string>file://localhost/C:/Users/hanako/Music/iTunes/iTunes%20Media/Music/x/03%20%E5%A4%9C.m4p</string>
		</dict>
		<key>1843</key>
		<dict>
			<key>Track ID</key><integer>1843</integer>
			<key>Size</key><integer>-1</integer>
			<key>Total Time</key><integer>99999999999999</integer>
			<key>Rating</key><integer>60</integer><key>Rating Computed</key><true/>
			<key>Persistent ID</key><string>no id</string>
			<key>Unknown</key><dict><key>Name</key><string>not its name</string><key>x</key><array><true/></array></dict>
			<key>Name</key><string> </string>
			<key>Track Type</key><string>URL</string>
			<key>Location</key><string>http://radio.example/stream</string>
		</dict>
"#;

const LISTS: &str = r#"	</dict>
	<key>Playlists</key>
	<array>
		<dict>
			<key>Name</key><string>Library</string><key>Master</key><true/>
			<key>Playlist Persistent ID</key><string>00000000000000AA</string>
			<key>Playlist Items</key>
			<array><dict><key>Track ID</key><integer>1842</integer></dict><dict><key>Track ID</key><integer>1843</integer></dict></array>
		</dict>
		<dict>
			<key>Name</key><string>購入した項目</string><key>Distinguished Kind</key><integer>19</integer>
			<key>Purchased Music</key><true/>
			<key>Parent Persistent ID</key><string>00000000000000BB</string>
			<key>Playlist Items</key>
			<array><dict><key>Track ID</key><integer>1843</integer></dict><dict><key>Track ID</key><integer>1842</integer></dict><dict><key>Track ID</key><integer>1843</integer></dict></array>
		</dict>
		<dict>
			<key>Name</key><string>Empty</string><key>Folder</key><true/>
			<key>Smart Info</key><data>AQEAAwAAAAI=</data>
		</dict>
	</array>
</dict>
</plist>
"#;

fn entries(text: &str) -> (Vec<Entry>, Option<Error>) {
    let (mut found, mut error) = (Vec::new(), None);
    for entry in read(text.as_bytes()) {
        assert!(error.is_none(), "nothing comes behind an error");
        match entry {
            Ok(entry) => found.push(entry),
            Err(broke) => error = Some(broke),
        }
    }
    (found, error)
}

fn first() -> Track {
    Track {
        number: Some(TrackNumber(1842)),
        persistent_id: Some(PersistentId(0xa1b2_c3d4_e5f6_0718)),
        name: Some("夜明け & 朝".into()),
        artist: Some("山田花子".into()),
        artist_sort: Some("やまだはなこ".into()),
        kind: Some("Protected AAC audio file".into()),
        size: Some(ByteCount(7_654_321)),
        total_time: Some(Millis(215_040)),
        disc: Some(1),
        discs: Some(2),
        track: Some(3),
        tracks: Some(12),
        year: Some(2008),
        added: Some(UnixTime(1_216_285_965)),
        plays: 42,
        played: UnixTime::parse("2016-09-01T10:11:12Z"),
        rating: Some(80),
        loved: true,
        purchased: true,
        protected: true,
        compilation: true,
        normalization: Some(1234),
        location: Some(Location::File("C:/Users/hanako/Music/iTunes/iTunes Media/Music/x/03 夜.m4p".into())),
        ..Track::default()
    }
}

#[test]
fn a_library_is_told_track_by_track_and_list_by_list() {
    let (found, error) = entries(&[HEAD, TRACKS, LISTS].concat());
    assert!(error.is_none());
    let [Entry::Library(library), Entry::Track(one), Entry::Track(two), lists @ ..] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(library.version.as_deref(), Some("12.9.5.5"));
    assert_eq!(library.persistent_id, Some(PersistentId(0x0123_4567_89ab_cdef)));
    assert_eq!(**one, first());
    assert_eq!(one.location.as_ref().and_then(Location::tail), Some("Music/x/03 夜.m4p"));
    // Sizes and lengths that lie, ratings that nobody gave, and names of something else are none.
    let url = Location::Url("http://radio.example/stream".into());
    let number = Some(TrackNumber(1843));
    assert_eq!(**two, Track { number, place: Place::Url, location: Some(url), ..Track::default() });
    let lists: Vec<&List> = lists
        .iter()
        .map(|entry| match entry {
            Entry::List(list) => list,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lists.len(), 3);
    assert!(lists[0].master && lists[0].persistent_id == Some(PersistentId(0xaa)));
    assert_eq!(lists[1].tracks, [1843, 1842, 1843].map(TrackNumber));
    assert!(
        lists[1].purchased
            && lists[1].distinguished == Some(19)
            && lists[1].parent == Some(PersistentId(0xbb))
    );
    assert!(lists[2].folder && lists[2].smart && lists[2].tracks.is_empty());
}

#[test]
fn a_file_that_breaks_off_keeps_what_was_read() {
    let whole = [HEAD, TRACKS, LISTS].concat();
    let mut counts = Vec::new();
    let end = whole.rfind("</dict>").expect("an end");
    for cut in (0..end).filter(|&cut| whole.is_char_boundary(cut)).step_by(7) {
        let (found, error) = entries(&whole[..cut]);
        let error = error.unwrap_or_else(|| panic!("no word about a cut at {cut}"));
        assert!(matches!(error.kind(), Kind::Damaged | Kind::Unsupported), "{error}");
        counts.push(found.len());
        if let Some(Entry::Track(track)) = found.get(1) {
            assert_eq!(**track, first(), "a track is told when it is whole");
        }
    }
    assert!(counts.is_sorted() && *counts.last().expect("cuts") == 6);
}

#[test]
fn other_files_are_refused_in_words() {
    for text in [
        "<plist><array/></plist>",
        "<plist><dict><key>CFBundleName</key><string>x</string></dict></plist>",
        "bplist00",
        "hdfm\0\0\0\u{1}",
        "<html></html>",
    ] {
        let (found, error) = entries(text);
        assert!(found.is_empty());
        assert_eq!(error.expect("it is refused").kind(), Kind::Unsupported, "{text}");
    }
    let (found, error) =
        entries(&[&HEAD.replace("<key>Tracks</key>\n\t<dict>", ""), "</dict></plist>"].concat());
    assert!(error.is_none() && matches!(&found[..], [Entry::Library(_)]), "an empty library is one");
}

proptest! {
    #[test]
    fn no_wound_breaks_it(at in 0usize..4000, bytes in proptest::collection::vec(any::<u8>(), 1..8)) {
        let mut text = [HEAD, TRACKS, LISTS].concat().into_bytes();
        let at = at.min(text.len() - bytes.len());
        text.splice(at..at + bytes.len(), bytes);
        let told = read(&text[..]).filter(|entry| entry.is_ok()).count();
        prop_assert!(told <= 9);
    }
}
