//! Words of old programs in the charset of their machine: an album on the shelf, found where it stood.

use std::fs;
use std::path::Path;

use encoding_rs::{EUC_JP, SHIFT_JIS, WINDOWS_1252};
use konpo::track::tagged::Charset;

use super::tags;
use crate::mint;

/// Writes an MP3 with the words of an ID3v2.3 tag that says Latin-1.
fn mp3(path: &Path, charset: &'static encoding_rs::Encoding, words: [&str; 3]) {
    let frames = [b"TIT2", b"TPE1", b"TALB"].into_iter().zip(words).map(|(name, word)| {
        let (bytes, _, _) = charset.encode(word);
        mint::frame(name, &[&[0][..], &bytes].concat())
    });
    let frames: Vec<u8> = frames.flatten().collect();
    fs::write(path, [mint::tag(b"ID3", &frames), mint::mp3_frames()].concat()).expect("written");
}

#[test]
fn a_file_alone_is_judged_by_its_own_words_and_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.mp3");
    for (charset, words, want) in [
        (SHIFT_JIS, ["夜明けの電車", "山田花子", "遠い窓"], Some(Charset::ShiftJis)),
        (EUC_JP, ["夜明けの電車", "やまだ花子", "遠い窓"], Some(Charset::EucJp)),
        (encoding_rs::UTF_8, ["夜明けの電車", "山田花子", "遠い窓"], Some(Charset::Utf8)),
        (WINDOWS_1252, ["Ágætis morgunn", "Jürgen Müßig", "Été"], None),
    ] {
        mp3(&file, charset, words);
        let before = fs::read(&file).expect("a file");
        let found = tags(&file);
        let shown =
            [&found.title, &found.artist, &found.album].map(|word| word.as_deref().unwrap_or_default());
        assert_eq!(shown, words);
        assert_eq!(found.repaired.as_ref().map(|repaired| repaired.charset), want);
        if let Some(repaired) = &found.repaired {
            // The bytes of the file, a character each.
            let (bytes, _, _) = charset.encode(words[0]);
            let raw: String = bytes.iter().map(|&byte| char::from(byte)).collect();
            assert_eq!(repaired.raw["TITLE"], [raw]);
            assert_eq!(repaired.raw.len(), 3);
        }
        assert_eq!(fs::read(&file).expect("a file"), before);
    }
}

#[test]
fn unicode_beside_an_old_id3v1_tag_is_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.mp3");
    let title = mint::frame(
        b"TIT2",
        &[&[1, 0xff, 0xfe][..], &"夜".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()].concat(),
    );
    let mut old = b"TAG".to_vec();
    for word in ["夜", "山田花子", "遠い窓"] {
        let (mut bytes, _, _) = SHIFT_JIS.encode(word);
        bytes.to_mut().resize(30, 0);
        old.extend_from_slice(&bytes);
    }
    old.extend_from_slice(b"2003");
    old.resize(128, 0);
    fs::write(&file, [mint::tag(b"ID3", &title), mint::mp3_frames(), old.clone()].concat()).expect("written");
    let found = tags(&file);
    assert_eq!((found.title.as_deref(), found.artist.as_deref()), (Some("夜"), None));
    assert_eq!(found.date.as_deref(), Some("2003"));
    // Alone it is repaired, also where a field cut a letter in half.
    fs::write(&file, [mint::mp3_frames(), old].concat()).expect("written");
    let found = tags(&file);
    assert_eq!((found.artist.as_deref(), found.album.as_deref()), (Some("山田花子"), Some("遠い窓")));
}

#[test]
fn the_list_of_a_wav_in_the_charset_of_windows_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.wav");
    let chunk = |name: &[u8], body: &[u8]| {
        let mut chunk = [name, &(body.len() as u32).to_le_bytes(), body].concat();
        chunk.resize(chunk.len().next_multiple_of(2), 0);
        chunk
    };
    for (charset, words, want) in [
        (SHIFT_JIS, ["夜明けの電車", "山田花子"], Some(Charset::ShiftJis)),
        (encoding_rs::UTF_8, ["夜明けの電車", "山田花子"], None),
        (WINDOWS_1252, ["Été", "Jürgen"], None),
    ] {
        let of = |name: &[u8], word: &str| chunk(name, &[&charset.encode(word).0[..], &[0]].concat());
        let list = chunk(b"LIST", &[b"INFO".to_vec(), of(b"INAM", words[0]), of(b"IART", words[1])].concat());
        let mut wav = mint::wav(1000);
        wav.extend_from_slice(&list);
        let size = (wav.len() as u32 - 8).to_le_bytes();
        wav[4..8].copy_from_slice(&size);
        fs::write(&file, wav).expect("written");
        let found = tags(&file);
        assert_eq!([found.title.as_deref(), found.artist.as_deref()], words.map(Some));
        assert_eq!(found.repaired.map(|repaired| repaired.charset), want);
    }
}
