//! Words of old tags in another charset than they say: the album tells, whatever the one file would.

use encoding_rs::{EUC_JP, Encoding, SHIFT_JIS, WINDOWS_1252};

use super::*;
use crate::mint;
use crate::track::tagged::Charset;

/// Writes an MP3 whose words are bytes of a charset in frames that say Latin-1; the number makes its sound its own.
fn mp3(shelf: &Shelf, path: &str, charset: &'static Encoding, number: u8, words: [&str; 3]) {
    let frames = [b"TIT2", b"TPE1", b"TALB"].into_iter().zip(words);
    let frames: Vec<u8> = frames
        .flat_map(|(name, word)| mint::frame(name, &[&[0][..], &charset.encode(word).0].concat()))
        .collect();
    let mut sound = mint::mp3_frames();
    // A byte of the sound of a late frame.
    let last = sound.len() - 10;
    sound[last] = number;
    let to = shelf.at(path);
    fs::create_dir_all(to.parent().expect("a folder")).expect("made");
    fs::write(to, [mint::tag(b"ID3", &frames), sound].concat()).expect("written");
}

#[test]
fn an_album_tells_the_charset_of_its_shortest_titles() {
    let shelf = Shelf::new();
    // 空 alone is no sign of EUC-JP: B6 F5 could be European letters. Its album is.
    for (number, title) in (1..).zip(["空", "雨のち晴れ", "さよならの丘"]) {
        mp3(&shelf, &format!("euc/{number}.mp3"), EUC_JP, number, [title, "Sky", "Blue"]);
    }
    for (number, title) in (11..).zip(["愛", "雨のち晴れ"]) {
        mp3(&shelf, &format!("windows/{number}.mp3"), SHIFT_JIS, number, [title, "Love", "Red"]);
    }
    // Two albums in one folder do not speak for each other.
    mp3(&shelf, "mixed/1.mp3", EUC_JP, 21, ["夜明けのうた", "やまだ", "ひとつめ"]);
    mp3(&shelf, "mixed/2.mp3", WINDOWS_1252, 22, ["Été", "Hélène", "Déjà"]);
    let library = shelf.open();
    look(&library);
    let mut found: Vec<String> = titles(&library, &Filter::All).into_iter().map(|(_, title)| title).collect();
    found.sort();
    let mut want = ["空", "雨のち晴れ", "さよならの丘", "愛", "雨のち晴れ", "夜明けのうた", "Été"];
    want.sort_unstable();
    assert_eq!(found, want);
    let all = titles(&library, &Filter::All);
    let (id, _) = all.iter().find(|(_, title)| title == "空").expect("listed");
    let track = wait(library.get(&[*id])).expect("read").remove(0).expect("there");
    let repaired = track.tags.repaired.as_ref().expect("kept beside");
    assert_eq!((repaired.charset, &repaired.raw["TITLE"][0][..]), (Charset::EucJp, "\u{b6}\u{f5}"));
    // Searched and ordered as it is shown.
    let filter = Filter::Contains(Field::Title, "さよなら".into());
    assert_eq!(titles(&library, &filter).len(), 1);
    library.close().expect("closed");
}
