//! Containers that lofty does not read, tagged by ffmpeg and mutagen: Ogg FLAC, Matroska, WebM, Core Audio, True Audio,
//! AIFF's own chunks, DSDIFF.

use super::{ffprobe, python, tags, tone};
use crate::mint;

const SAID: [&str; 10] = [
    "-metadata",
    "title=夜",
    "-metadata",
    "artist=Aimer",
    "-metadata",
    "album=Test",
    "-metadata",
    "track=3/12",
    "-metadata",
    "date=2026-11-21",
];

#[test]
fn what_ffmpeg_writes_into_rare_containers_is_read_as_ffprobe_reads_it() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, coder) in [
        ("a.oga", "flac"),
        ("a.mka", "flac"),
        ("b.mka", "libopus"),
        ("a.webm", "libopus"),
        ("a.caf", "pcm_s16be"),
        ("a.tta", "tta"),
    ] {
        let file = tone(folder.path(), name, &[&["-c:a", coder][..], &SAID].concat());
        let (found, said) = (tags(&file), ffprobe(&file));
        for (what, mine) in [("title", &found.title), ("artist", &found.artist), ("album", &found.album)] {
            assert!(mine.is_some() && *mine == said(what), "{name}: {what}: {mine:?}, {:?}", said(what));
        }
        assert_eq!((found.track, found.tracks), (Some(3), Some(12)), "{name}");
        assert_eq!(found.date.as_deref(), Some("2026-11-21"), "{name}");
        assert_eq!(found.artists, ["Aimer"], "{name}");
    }
    let words = ["-metadata", "title=夜", "-metadata", "author=Aimer", "-metadata", "comment=a tone"];
    let found = tags(&tone(folder.path(), "a.aiff", &words));
    assert_eq!((found.title.as_deref(), found.artist.as_deref()), (Some("夜"), Some("Aimer")));
    assert_eq!(found.comment.as_deref(), Some("a tone"));
}

#[test]
fn a_tag_behind_one_bit_sound_is_read_as_mutagen_wrote_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.dff");
    std::fs::write(&file, mint::dff(282_240)).expect("written");
    let told = python(
        "import sys, mutagen.dsdiff as d, mutagen.id3 as i
f = d.DSDIFF(sys.argv[1])
f.add_tags()
f.tags.add(i.TIT2(encoding=3, text='夜')); f.tags.add(i.TPE1(encoding=1, text=['Aimer', 'milet']))
f.tags.add(i.TRCK(encoding=0, text='3/12'))
f.save()
print(d.DSDIFF(sys.argv[1]).tags['TIT2'])",
        &file,
    );
    let found = tags(&file);
    assert_eq!(found.title.as_deref(), Some(told.trim()));
    assert_eq!(found.artists, ["Aimer", "milet"]);
    assert_eq!((found.track, found.tracks), (Some(3), Some(12)));
}
