//! Readers of what lies on the music disk: playlists, tags, lines of the history. Beside never panicking they keep promises,
//! and a promise that is broken here panics, so that it is a finding.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::mem::discriminant;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use konpo::library::ledger::{self, AdoptedLine, Entry};
use konpo::library::read;
use konpo::media::playlist::{self, Form, Location, Playlist};
use konpo::media::sniff::{Sniffed, sniff};
use konpo::media::sound::Sound;
use konpo::media::{fingerprint, picture, tags, text};
use konpo::track::{Tags, TrackId};

use crate::Target;

pub const TARGETS: [Target; 3] = [
    Target {
        name: "playlist",
        read: playlists,
        words: &[
            b"#EXTM3U\r\n",
            b"#EXTINF:",
            b"#EXTINF:-1 a=\"b,c\",",
            b"#PLAYLIST:",
            b"[playlist]\n",
            b"\nFile1=",
            b"\nfile4294967296=",
            b"\nTitle1=",
            b"\nLength1=",
            b"file://",
            b"file:///music/%2e%2e/%2F",
            b"HTTP://",
            b"../",
            b"..\\",
            b"/music/",
            b"/",
            b"\\",
            b"%00",
            b"\xef\xbb\xbf",
            b"\r",
            b"\n",
        ],
        largest: 60_000,
        memory: 64 << 20,
    },
    Target {
        name: "tags",
        read: tagged,
        words: &[
            b"ID3\x03\0\0",
            b"ID3\x04\0\x40",
            b"TIT2\0\0\0\x05\0\0\x01\xff\xfe\x42\x30",
            b"TXXX",
            b"TCON",
            b"TRCK",
            b"TAG",
            b"APETAGEX\xd0\x07\0\0",
            b"fLaC",
            b"OggS",
            b"OpusTags",
            b"\x03vorbis",
            b"ARTIST=",
            b"TRACKNUMBER=4294967296/0",
            b"R128_TRACK_GAIN=-32768",
            b"REPLAYGAIN_TRACK_PEAK=1e999",
            b"udta",
            b"meta",
            b"ilst",
            b"----",
            b"trkn",
            b"LIST",
            b"INFOINAM",
            b"NAME",
            "スーパー・カー".as_bytes(),
            "ｶﾞ･ｰ".as_bytes(),
            "ゔぁっー".as_bytes(),
            "İa\u{307}\u{b7}\u{301}".as_bytes(),
            "\0か・\u{3099}ハー\u{309a}".as_bytes(),
            b"\0",
        ],
        largest: 200_000,
        memory: 64 << 20,
    },
    Target {
        name: "ledger",
        read: lines,
        words: &[
            b"\"kind\":\"adopted\"",
            b"\"kind\":\"arrived\"",
            b"\"raw\":\"ff+f0\"",
            b"\"track\":-9223372036854775808",
            b"\"size\":18446744073709551615",
            b"\"format\":null",
            b"\"fingerprint\":null",
            b"\"trashed\":\"",
            b"\"rate\":0",
            b"\"frames\":1e30",
            b"{\"kind\":\"cenc\"}",
            b"[[[[[[[[",
            b"{\"",
            b"\":",
            b"}",
            b",",
            b"\\ud83d",
            b"\\u0000",
            b"\n",
        ],
        largest: 60_000,
        memory: 64 << 20,
    },
];

/// Reads the bytes as each form. Entries are within the limits, and none means a file outside of the music folders.
fn playlists(bytes: &[u8]) -> String {
    let read = [Form::M3u, Form::M3u8, Form::Pls].map(|form| playlist::parse(bytes, form));
    read.iter().map(|list| format!("{:?} ", of_playlist(list))).collect()
}

fn of_playlist(list: &Playlist) -> impl Debug {
    let (folder, roots) = (Path::new("/music/Playlists"), ["/music", "/mnt/second"].map(PathBuf::from));
    let filled = |text: &Option<String>| text.as_ref().is_none_or(|text| !text.trim().is_empty());
    assert!(filled(&list.name), "a blank name");
    assert!(list.entries.len() <= 100_000, "more entries than the limit");
    let (mut urls, mut titles, mut lengths) = (0, 0, 0);
    let mut places = [0usize; 4];
    for entry in &list.entries {
        assert!(filled(&entry.title), "a blank title");
        titles += usize::from(entry.title.is_some());
        lengths += usize::from(entry.seconds.is_some());
        let Location::Path(said) = &entry.location else {
            urls += 1;
            continue;
        };
        assert!(said.len() <= 4096, "a path longer than a line");
        let found = playlist::resolve(said, folder, &roots);
        for place in &found {
            assert!(roots.iter().any(|root| place.starts_with(root)), "a path outside of the music folders");
            assert!(!place.components().any(|part| part == Component::ParentDir), "a path that climbs");
        }
        places[found.len().min(3)] += 1;
    }
    let few = |count: usize| count.min(2);
    (list.name.is_some(), list.cut, few(urls), few(titles), few(lengths), places.map(few))
}

/// Reads tags behind the gate, first and after everything else that reads the file, from memory and by way of a bounded
/// look: all four tell the same. What is found is folded.
fn tagged(bytes: &[u8]) -> String {
    let mut sound = whole(bytes);
    let sniffed = match sniff(&mut sound) {
        Ok(sniffed) => sniffed,
        Err(error) => return format!("{:?}", error.kind()),
    };
    if sniffed.protection.is_locked() {
        assert!(tags::read(&mut sound, &sniffed).is_err(), "the tags of a locked file are read");
        return format!("locked {:?}", discriminant(&sniffed.protection));
    }
    let first = tags_of(&mut sound, &sniffed);
    let quick = fingerprint::quick_key(&mut sound, &sniffed.audio).is_ok();
    let cover = picture::embedded(&mut sound, &sniffed).is_ok_and(|found| found.is_some());
    let print = fingerprint::fingerprint(&mut sound, &sniffed).is_ok();
    same(&tags_of(&mut sound, &sniffed), &first, "tags read last");

    let mut peek =
        Sound::peek(file(bytes), bytes.len() as u64, None, u64::MAX).expect("a file that can be read");
    let looked = sniff(&mut peek).expect("what memory gave a file gives");
    assert_eq!(looked, sniffed, "a file is sniffed as memory is");
    same(&tags_of(&mut peek, &looked), &first, "tags of a file");
    looks_are_reads(bytes);
    // A look that ends too early may tell less, in whatever way.
    let mut peek = Sound::peek(file(bytes), bytes.len() as u64, None, bytes.len() as u64 / 2)
        .expect("a file that can be read");
    let bounded = read::look(&mut peek).map_err(|error| error.kind()).map(|_| ());

    let format = (sniffed.format.container, sniffed.format.codec);
    format!("{format:?} {quick} {cover} {print} {bounded:?} {}", of_tags(&first))
}

/// A bounded look at a file that is longer than its head gives what the file holds, wherever the input leads it.
fn looks_are_reads(bytes: &[u8]) {
    let long: Vec<u8> = bytes.iter().copied().cycle().take(LONG).collect();
    let mut peek =
        Sound::peek(file(&long), long.len() as u64, None, u64::MAX).expect("a file that can be read");
    let mut memory = whole(&long);
    let mut buffers = [vec![0; LONG], vec![0; LONG]];
    for step in bytes.chunks_exact(4).take(40) {
        let number = u64::from(u16::from_le_bytes([step[0], step[1]]));
        // Every second one goes to where the head ends and the chunks begin.
        let to = if step[3] & 1 == 0 { number * 3 / 2 } else { (64 << 10) + number % 64 };
        let count = if step[3] & 2 == 0 { usize::from(step[2]) } else { usize::from(step[2]) * 100 };
        for sound in [&mut peek, &mut memory] {
            sound.seek(SeekFrom::Start(to)).expect("a place in a file");
        }
        // A second one goes on where the first one ended.
        for _ in 0..2 {
            let [of_peek, of_memory] = &mut buffers;
            let found = fill(&mut peek, &mut of_peek[..count]);
            let want = fill(&mut memory, &mut of_memory[..count]);
            assert!(of_peek[..found] == of_memory[..want], "a look gives what the file does not hold");
        }
    }
}

/// Reads until the buffer is full or the end is reached, in however many pieces.
fn fill(sound: &mut Sound, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    while filled < buffer.len() {
        match sound.read(&mut buffer[filled..]).expect("nothing is too much") {
            0 => break,
            count => filled += count,
        }
    }
    filled
}

fn whole(bytes: &[u8]) -> Sound {
    Sound::new(Cursor::new(bytes.to_vec()), Some(bytes.len() as u64), None)
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("room for an input");
    file.write_all(bytes).expect("room for an input");
    file
}

fn tags_of(sound: &mut Sound, sniffed: &Sniffed) -> Tags {
    tags::read(sound, sniffed).expect("tags of a plain file are no error").0
}

fn same(found: &Tags, first: &Tags, what: &str) {
    assert!(found == first, "{what} differ");
}

fn of_tags(tags: &Tags) -> String {
    let one = [&tags.title, &tags.artist, &tags.album, &tags.album_artist, &tags.comment];
    let sorts = [&tags.title_sort, &tags.artist_sort, &tags.album_sort, &tags.album_artist_sort];
    let lists = [&tags.artists, &tags.genres, &tags.composers];
    for number in [tags.track, tags.tracks, tags.disc, tags.discs].into_iter().flatten() {
        assert!((1..=9999).contains(&number), "a number no disc has");
    }
    assert!(tags.isrc.as_ref().is_none_or(|code| code.len() == 12), "a code of another length");
    assert!(
        tags.date.as_ref().is_none_or(|date| matches!(date.len(), 4 | 7 | 10)),
        "a date of another length"
    );
    let texts = one.into_iter().chain(sorts).flatten().chain(lists.into_iter().flatten());
    let kinds: BTreeMap<(bool, String), ()> = texts.map(|text| (of_text(text), ())).collect();
    let there: Vec<bool> = one.into_iter().chain(sorts).map(Option::is_some).collect();
    let numbers = [tags.track, tags.tracks, tags.disc, tags.discs].map(|number| number.is_some());
    let gains = [tags.track_gain.is_some(), tags.album_gain.is_some(), tags.track_peak.is_some()];
    let more = (tags.date.as_ref().map(String::len), tags.isrc.is_some(), tags.has_picture, tags.compilation);
    format!("{there:?} {:?} {numbers:?} {gains:?} {more:?} {kinds:?}", lists.map(|list| list.len().min(3)))
}

/// Folds a text, and returns whether it has a reading, and its heading.
fn of_text(shown: &str) -> (bool, String) {
    assert!(!shown.trim().is_empty(), "a blank text");
    let folded = text::fold(shown);
    assert!(text::fold(&folded) == folded, "folding twice is not folding once: {shown:?}");
    let key = text::sort_key(shown);
    assert!(text::sort_key(&folded) == key, "what folds alike does not order alike: {shown:?}");
    let reading = text::romaji(&folded);
    let is_kana = |c| matches!(c, 'ぁ'..='ゖ');
    assert!(!reading.iter().any(|reading| reading.contains(is_kana)), "kana is left in a reading: {shown:?}");
    (reading.is_some(), text::heading(&key).to_string())
}

/// Reads lines of the history. What is read is what would be written again.
fn lines(bytes: &[u8]) -> String {
    let read = bytes.split(|byte| *byte == b'\n').take(50).map(|line| match ledger::parse_line(line) {
        Ok(Entry::Line(line)) => {
            again(&*line, &Entry::Line(line.clone()));
            let more = (line.trashed.is_some(), line.format.is_some(), line.duration_ms.is_some());
            let found = (line.purchases.len().min(3), line.personal.len().min(3), line.protection.code());
            format!("{:?} {} {more:?} {found:?}", line.kind, line.fingerprint.is_some())
        }
        Ok(Entry::Newer(_)) => "newer".to_owned(),
        Ok(Entry::Corrected(line)) => {
            again(&line, &Entry::Corrected(line.clone()));
            format!("corrected {}", line.words.iter().count().min(3))
        }
        Ok(Entry::Adopted(line)) => {
            again(&line, &Entry::Adopted(line.clone()));
            let path = line.full_path();
            let made = AdoptedLine::new(TrackId(line.track), &path, line.size, line.quick, line.added);
            assert!(made.full_path() == path, "a path that is written reads back as another");
            format!(
                "adopted {:?} {} {}",
                line.raw.is_some(),
                line.trashed.is_some(),
                path == Path::new(&line.path)
            )
        }
        Ok(Entry::Past(line)) => {
            again(&*line, &Entry::Past(line.clone()));
            let past = &line.past;
            format!("bought {:?} {} {:?}", past.purchase.level, past.track.is_some(), past.name().is_some())
        }
        // The words of the reader name places in the line; only what they say of its form counts.
        Err(error) => format!("{:?}", error.kind()),
    });
    let mut kinds: Vec<String> = read.collect();
    kinds.sort();
    kinds.dedup();
    format!("{kinds:?}")
}

fn again(line: &impl Serialize, entry: &Entry) {
    let written = serde_json::to_vec(line).expect("plain data");
    let read = ledger::parse_line(&written).expect("what was written");
    assert!(read == *entry, "a line that is written reads back as another");
    assert!(!written.contains(&b'\n'), "a line of two lines");
    assert!(read.track() == entry.track() && read.event() == entry.event(), "another track or event");
}

/// Bytes of a file that is longer than what a look reads at once: a head and two chunks.
const LONG: usize = 100_000;
