//! Tags that lofty does not know: those of 3GPP, ID3v2 inside MP4, and Sony's.

use std::fs;
use std::path::Path;
use std::process::Command;

use konpo::track::Tags;
use serde_json::Value;

use super::{check, python, tags, tone};
use crate::mint;

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Returns what exiftool reads; ffprobe passes over the tags of 3GPP.
fn exiftool(file: &Path) -> impl Fn(&str) -> Option<String> {
    let output = Command::new("exiftool").args(["-j", "-charset", "utf8"]).arg(file).output();
    let output = output.expect("libimage-exiftool-perl is installed");
    let all: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    move |name| match &all[0][name] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[test]
fn a_phone_file_of_ffmpeg_is_read_as_exiftool_reads_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let words =
        ["title=夜明けの電車", "artist=山田花子", "album=遠い窓", "genre=J-Pop", "date=2008", "track=3"];
    let mut args = vec!["-c:a", "aac"];
    words.iter().for_each(|word| args.extend(["-metadata", word]));
    for name in ["a.3gp", "a.3g2"] {
        let file = tone(folder.path(), name, &args);
        let found = tags(&file);
        let other = exiftool(&file);
        assert_eq!(
            (found.title.clone(), found.artist.clone()),
            (other("Title"), other("Performer")),
            "{name}"
        );
        assert_eq!(
            (found.date.clone(), found.genres.first().cloned()),
            (other("Year"), other("Genre")),
            "{name}"
        );
        // exiftool shows the byte behind the album's name, which is the track, as a character of it.
        let album = other("Album")
            .map(|album| album.trim_end_matches(|c: char| c.is_control() || c == '.').to_owned());
        assert_eq!((found.title.as_deref(), &found.album), (Some("夜明けの電車"), &album), "{name}");
        assert_eq!(found.track, Some(3), "{name}");
    }
}

#[test]
fn assets_of_3gpp_are_read_in_either_encoding() {
    let asset = |name: &[u8], text: &[u8]| mint::boxed(name, &[&[0, 0, 0, 0, 0x29, 0xc9][..], text].concat());
    let marked = |text: &str| [&[0xfe, 0xff][..], &wide(text), &[0, 0]].concat();
    let little: Vec<u8> = "遠い窓\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let assets = [
        asset(b"titl", &marked("夜明けの電車")),
        // A second language.
        asset(b"titl", b"Train at dawn\0"),
        asset(b"perf", "山田花子\0".as_bytes()),
        asset(b"auth", &marked("佐藤")),
        asset(b"albm", &[&[0xff, 0xfe][..], &little, &[7]].concat()),
        asset(b"gnre", b"J-Pop\0"),
        mint::boxed(b"yrrc", &[0, 0, 0, 0, 0x07, 0xd8]),
        asset(b"dscp", "はじめて".as_bytes()),
    ];
    let plain = mint::data("tone-aac.m4a");
    let at = plain.windows(4).rposition(|name| name == b"udta").expect("tags of Apple") - 4;
    // Apple's list is put out of sight.
    let mut file = plain.clone();
    file[at + 4..at + 8].copy_from_slice(b"free");
    let file = mint::insert(&file, &[b"moov"], &mint::boxed(b"udta", &assets.concat()));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.3gp");
    fs::write(&path, &file).expect("written");
    let want = Tags {
        title: some("夜明けの電車"),
        artist: some("山田花子"),
        artists: vec!["山田花子".into()],
        composers: vec!["佐藤".into()],
        album: some("遠い窓"),
        track: Some(7),
        genres: vec!["J-Pop".into()],
        date: some("2008"),
        comment: some("はじめて"),
        ..Tags::default()
    };
    assert_eq!(tags(&path), want);
    // Apple's list, where there is one, is believed first.
    let both = mint::insert(&plain, &[b"moov", b"udta"], &asset(b"titl", b"Other\0"));
    fs::write(&path, both).expect("written");
    assert_eq!(tags(&path).title.as_deref(), Some("夜"));
    // Whatever breaks off leaves the rest.
    for cut in (0..assets.concat().len()).step_by(5) {
        let broken = &assets.concat()[..cut];
        let mut cut = file[..file.len() - assets.concat().len()].to_vec();
        cut.extend_from_slice(broken);
        fs::write(&path, cut).expect("written");
        let mut sound =
            konpo::media::sound::Sound::file(fs::File::open(&path).expect("a file"), None).expect("a sound");
        // The gate may refuse it; nothing may break.
        let _refused_or_read = konpo::library::read::look(&mut sound).is_ok();
    }
}

#[test]
fn id3_inside_of_mp4_is_read_as_mutagen_reads_it() {
    let frame = |name: &[u8], text: &str| mint::frame(name, &[&[1, 0xfe, 0xff][..], &wide(text)].concat());
    let picture = mint::frame(b"APIC", &[&b"\0image/jpeg\0\x03\0"[..], &[0xff; 300_000]].concat());
    let frames = [
        frame(b"TIT2", "夜明けの電車"),
        picture,
        frame(b"TPE1", "山田花子"),
        frame(b"TALB", "遠い窓"),
        frame(b"TSOP", "やまだはなこ"),
        mint::frame(b"TRCK", b"\x003/12"),
        mint::frame(b"TSRC", b"\0JPX010700001"),
    ];
    let tag = mint::tag(b"ID3", &frames.concat());
    let handler = mint::boxed(b"hdlr", &[&[0; 8][..], b"ID32", &[0; 13]].concat());
    let id32 = mint::boxed(b"ID32", &[&[0, 0, 0, 0, 0x2a, 0x0e][..], &tag].concat());
    let meta = mint::boxed(b"meta", &[&[0; 4][..], &handler, &id32].concat());
    let plain = mint::data("tone-aac.m4a");
    let mut bytes = plain.clone();
    let at = plain.windows(4).rposition(|name| name == b"udta").expect("tags of Apple");
    bytes[at..at + 4].copy_from_slice(b"free");
    let bytes = mint::insert(&bytes, &[b"moov"], &meta);
    let folder = tempfile::tempdir().expect("a folder");
    let (file, bare) = (folder.path().join("a.mp4"), folder.path().join("a.id3"));
    fs::write(&file, bytes).expect("written");
    fs::write(&bare, tag).expect("written");
    let found = tags(&file);
    let program = "import sys\nfrom mutagen.id3 import ID3\nt = ID3(sys.argv[1])\n\
                   for n in ['TIT2', 'TPE1', 'TALB', 'TSOP', 'TRCK', 'TSRC']: print(t[n].text[0])";
    let said = python(program, &bare);
    let ours = [&found.title, &found.artist, &found.album, &found.artist_sort]
        .map(|word| word.clone().unwrap_or_default());
    let ours = [&ours[..], &["3/12".to_owned(), found.isrc.clone().unwrap_or_default()]].concat();
    assert_eq!(ours, said.lines().collect::<Vec<_>>());
    assert_eq!((found.track, found.tracks), (Some(3), Some(12)));
}

#[test]
fn an_openmg_file_tells_what_sonicstage_wrote() {
    let text = |name: &[u8], value: &str| mint::frame(name, &[&[2][..], &wide(value)].concat());
    let own = |name: &str, value: &str| {
        mint::frame(b"TXXX", &[&[2][..], &wide(name), &[0, 0], &wide(value)].concat())
    };
    let frames = [
        text(b"TIT2", "夜明けの電車"),
        text(b"TPE1", "山田花子"),
        text(b"TALB", "遠い窓"),
        text(b"TCON", "J-Pop"),
        text(b"TCOM", "佐藤"),
        own("OMG_TRACK", "3"),
        own("OMG_TRLDA", "2008/07/17 00:00:00"),
        own("OMG_ATPE1", "Various"),
        own("OMG_TIT2S", "よあけのでんしゃ"),
        own("OMG_TPE1S", "やまだはなこ"),
        own("OMG_ALBMS", "とおいまど"),
        own("OMG_ATP1S", "various"),
        mint::frame(
            b"GEOB",
            &[&[2][..], b"binary\0\0\0", &wide("OMG_TDFCA"), &[0, 0], &[0xff; 100_000]].concat(),
        ),
        own("OMG_AGENR", "Rock"),
    ];
    let mut bytes = mint::tag(b"ea3", &frames.concat());
    let plain = mint::oma(0xffff, 3, &mint::mp3_frames());
    let behind = plain.windows(3).position(|magic| magic == b"EA3").expect("a header");
    bytes.extend_from_slice(&plain[behind..]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.oma");
    fs::write(&file, bytes).expect("written");
    let want = Tags {
        title: some("夜明けの電車"),
        artist: some("山田花子"),
        artists: vec!["山田花子".into()],
        album: some("遠い窓"),
        album_artist: some("Various"),
        track: Some(3),
        date: some("2008-07-17"),
        genres: vec!["J-Pop".into()],
        composers: vec!["佐藤".into()],
        title_sort: some("よあけのでんしゃ"),
        artist_sort: some("やまだはなこ"),
        album_sort: some("とおいまど"),
        album_artist_sort: some("various"),
        ..Tags::default()
    };
    check(&file, &want);
}
