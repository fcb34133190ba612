//! The same song, tagged by mutagen, ffmpeg or the bytes of a standard, in every container: what konpo reads is what was
//! written and what those programs read.

mod old;
mod other;
mod rest;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use konpo::library::read::look;
use konpo::media::sound::Sound;
use konpo::track::Tags;
use konpo::track::tagged::{MusicBrainz, Trim};
use konpo::units::{Frames, Gain};
use serde_json::Value;

/// Returns what Debian's python, which has mutagen, prints.
fn python(program: &str, file: &Path) -> String {
    let output = Command::new("/usr/bin/python3").args(["-c", program]).arg(file).output();
    let output = output.expect("python3-mutagen is installed");
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Makes a tone of a third of a second.
fn tone(folder: &Path, name: &str, args: &[&str]) -> PathBuf {
    let file = folder.join(name);
    let output = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "sine=frequency=440:duration=0.3:sample_rate=44100",
            "-ac",
            "2",
        ])
        .args(args)
        .arg(&file)
        .output()
        .expect("ffmpeg is installed");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    file
}

/// Returns the tags as konpo reads them.
fn tags(file: &Path) -> Tags {
    let extension = file.extension().and_then(|extension| extension.to_str());
    let mut sound = Sound::file(fs::File::open(file).expect("a file"), extension).expect("a sound");
    let (facts, _) = look(&mut sound).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    facts.tags
}

/// Returns what ffprobe reads under a name, large or small.
fn ffprobe(file: &Path) -> impl Fn(&str) -> Option<String> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "format_tags:stream_tags", "-of", "json"])
        .arg(file)
        .output()
        .expect("ffprobe is installed");
    let all: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    move |name| {
        let groups = [&all["format"]["tags"], &all["streams"][0]["tags"]];
        let mut found = groups.into_iter().filter_map(Value::as_object).flatten();
        found
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .and_then(|(_, value)| value.as_str().map(str::to_owned))
    }
}

/// What every writer here writes.
fn song() -> Tags {
    let id = |n: u8| format!("01234567-89ab-cdef-0123-4567890000{n:02}").parse().expect("an id");
    let some = |text: &str| Some(text.to_owned());
    Tags {
        title: some("夜明けの電車"),
        artist: some("山田花子, Jürgen"),
        artists: vec!["山田花子".into(), "Jürgen".into()],
        album: some("遠い窓"),
        album_artist: some("Various"),
        compilation: true,
        track: Some(3),
        tracks: Some(12),
        disc: Some(2),
        discs: Some(2),
        date: some("2008-07-17"),
        genres: vec!["J-Pop".into()],
        composers: vec!["佐藤".into()],
        title_sort: some("よあけのでんしゃ"),
        artist_sort: some("やまだはなこ"),
        album_sort: some("とおいまど"),
        album_artist_sort: some("various"),
        composer_sort: some("さとう"),
        comment: some("はじめて"),
        isrc: some("JPX010700001"),
        barcode: some("4988000000001"),
        musicbrainz: Some(Box::new(MusicBrainz {
            recording: Some(id(1)),
            track: Some(id(2)),
            release: Some(id(3)),
            release_group: Some(id(4)),
            work: None,
            artists: vec![id(5), id(6)],
            album_artists: vec![id(7)],
        })),
        track_gain: Some(Gain(-1536)),
        track_peak: Some(0.5),
        ..Tags::default()
    }
}

/// Compares with the song, and what ffprobe reads with both.
fn check(file: &Path, want: &Tags) {
    let found = tags(file);
    assert_eq!(&found, want, "{}", file.display());
    let other = ffprobe(file);
    let words = [("title", &found.title), ("album", &found.album), ("album_artist", &found.album_artist)];
    for (name, word) in words {
        // What ffprobe does not know it does not say.
        if let Some(said) = other(name) {
            assert_eq!(Some(said), *word, "{}: {name}", file.display());
        }
    }
    assert!(other("title").is_some(), "{}: ffprobe reads no title", file.display());
}

const IDS: &str = "ids = ['01234567-89ab-cdef-0123-4567890000%02d' % n for n in range(10)]\n";

#[test]
fn vorbis_comments_and_ape_items_tell_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = format!(
        "import sys, mutagen\n{IDS}f = mutagen.File(sys.argv[1])\nif f.tags is None: f.add_tags()\nape = 'apev2' in type(f.tags).__module__\n\
         def put(name, *values): f.tags[name] = list(values)\n\
         put('Title', '夜明けの電車'); put('Artist', '山田花子', 'Jürgen'); put('Album', '遠い窓'); put('Album Artist' if ape else 'AlbumArtist', 'Various')\n\
         put('Compilation', '1'); put('Track' if ape else 'TrackNumber', '3/12'); put('Disc' if ape else 'DiscNumber', '2/2')\n\
         put('Year' if ape else 'Date', '2008-07-17'); put('Genre', 'J-Pop'); put('Composer', '佐藤'); put('TitleSort', 'よあけのでんしゃ')\n\
         put('ArtistSort', 'やまだはなこ'); put('AlbumSort', 'とおいまど'); put('AlbumArtistSort', 'various'); put('ComposerSort', 'さとう')\n\
         put('Comment', 'はじめて'); put('ISRC', 'JP-X01-07-00001'); put('Barcode', '4988000000001')\n\
         put('replaygain_track_gain', '-6.00 dB'); put('replaygain_track_peak', '0.500000')\n\
         put('musicbrainz_trackid', ids[1]); put('musicbrainz_releasetrackid', ids[2]); put('musicbrainz_albumid', ids[3])\n\
         put('musicbrainz_releasegroupid', ids[4]); put('musicbrainz_artistid', ids[5], ids[6]); put('musicbrainz_albumartistid', ids[7])\n\
         f.save()"
    );
    for (name, args) in [
        ("a.flac", &["-c:a", "flac"][..]),
        ("a.ogg", &["-c:a", "libvorbis"]),
        ("a.opus", &["-c:a", "libopus"]),
        ("a.wv", &["-c:a", "wavpack"]),
    ] {
        let file = tone(folder.path(), name, args);
        python(&program, &file);
        check(&file, &song());
    }
}

const ID3: &str = "import mutagen.id3; globals().update(vars(mutagen.id3))\n\
    def put(t, version):\n \
     e = 1 if version == 3 else 3\n \
     for F, v in [(TIT2, '夜明けの電車'), (TALB, '遠い窓'), (TPE2, 'Various'), (TCMP, '1'), (TRCK, '3/12'), (TPOS, '2/2'), (TDRC, '2008-07-17'),\
      (TCON, 'J-Pop'), (TCOM, '佐藤'), (TSOT, 'よあけのでんしゃ'), (TSOP, 'やまだはなこ'), (TSOA, 'とおいまど'), (TSO2, 'various'), (TSOC, 'さとう'),\
      (TSRC, 'JPX010700001')]: t.add(F(encoding=e, text=[v]))\n \
     t.add(TPE1(encoding=e, text=['山田花子', 'Jürgen']))\n \
     t.add(COMM(encoding=e, lang='jpn', desc='', text=['はじめて']))\n \
     t.add(COMM(encoding=0, lang='eng', desc='iTunSMPB', text=[' 00000000 00000210 000007D4 00000000000028E0 00000000']))\n \
     t.add(UFID(owner='http://musicbrainz.org', data=ids[1].encode()))\n \
     for d, v in [('MusicBrainz Release Track Id', [ids[2]]), ('MusicBrainz Album Id', [ids[3]]), ('MusicBrainz Release Group Id', [ids[4]]),\
      ('MusicBrainz Artist Id', [ids[5], ids[6]]), ('MusicBrainz Album Artist Id', [ids[7]]), ('BARCODE', ['4988000000001']),\
      ('replaygain_track_gain', ['-6.00 dB']), ('replaygain_track_peak', ['0.500000'])]: t.add(TXXX(encoding=e, desc=d, text=v))\n";

#[test]
fn id3_tells_everything_wherever_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let trim = Some(Trim { front: 0x210, back: 0x7d4, frames: Frames(0x28e0) });
    for (name, version, args) in [
        ("24.mp3", 4, &["-c:a", "libmp3lame", "-write_id3v2", "0"][..]),
        ("23.mp3", 3, &["-c:a", "libmp3lame", "-write_id3v2", "0"]),
        ("a.aiff", 4, &[]),
        ("a.wav", 4, &[]),
    ] {
        let file = tone(folder.path(), name, args);
        let program = format!(
            "import sys, mutagen\n{IDS}{ID3}f = mutagen.File(sys.argv[1])\nif f.tags is None: f.add_tags()\nput(f.tags, {version})\n\
             f.tags.update_to_v23() if {version} == 3 else None\nf.save(v2_version={version}, v23_sep=None) if {version} == 3 else f.save()"
        );
        python(&program, &file);
        let mut want = Tags { trim, ..song() };
        if version == 3 {
            // Frames of ID3v2.4; mutagen writes none of them into ID3v2.3.
            (want.title_sort, want.artist_sort, want.album_sort) = (None, None, None);
        }
        // ffprobe reads no ID3 in WAV; mutagen, which wrote it, does.
        if name == "a.wav" {
            assert_eq!(tags(&file), want);
        } else {
            check(&file, &want);
        }
    }
    let file = folder.path().join("a.dsf");
    fs::write(&file, crate::mint::dsf(1 << 18)).expect("written");
    python(
        &format!(
            "import sys\nfrom mutagen.dsf import DSF\n{IDS}{ID3}f = DSF(sys.argv[1])\nf.tags is None and f.add_tags()\nput(f.tags, 4)\nf.save()"
        ),
        &file,
    );
    check(&file, &Tags { trim, ..song() });
}

#[test]
fn the_list_of_an_m4a_tells_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = tone(folder.path(), "a.m4a", &["-c:a", "aac"]);
    let program = format!(
        "import sys\nfrom mutagen.mp4 import MP4\n{IDS}f = MP4(sys.argv[1])\n\
         for k, v in {{'\\xa9nam': '夜明けの電車', '\\xa9alb': '遠い窓', 'aART': 'Various', '\\xa9day': '2008-07-17T07:00:00Z', '\\xa9gen': 'J-Pop',\
          '\\xa9wrt': '佐藤', 'sonm': 'よあけのでんしゃ', 'soar': 'やまだはなこ', 'soal': 'とおいまど', 'soaa': 'various', 'soco': 'さとう', '\\xa9cmt': 'はじめて',\
          'xid ': 'Vendor:isrc:JPX010700001'}}.items(): f[k] = [v]\n\
         f['\\xa9ART'] = ['山田花子', 'Jürgen']; f['cpil'] = True; f['trkn'] = [(3, 12)]; f['disk'] = [(2, 2)]\n\
         def free(n, *v): f['----:com.apple.iTunes:' + n] = [x.encode() for x in v]\n\
         free('MusicBrainz Track Id', ids[1]); free('MusicBrainz Release Track Id', ids[2]); free('MusicBrainz Album Id', ids[3])\n\
         free('MusicBrainz Release Group Id', ids[4]); free('MusicBrainz Artist Id', ids[5], ids[6]); free('MusicBrainz Album Artist Id', ids[7])\n\
         free('BARCODE', '4988000000001'); free('replaygain_track_gain', '-6.00 dB'); free('replaygain_track_peak', '0.500000')\n\
         free('iTunSMPB', ' 00000000 00000400 00000354 00000000000033AC 00000000'); f.save()"
    );
    python(&program, &file);
    let trim = Some(Trim { front: 0x400, back: 0x354, frames: Frames(0x33ac) });
    check(&file, &Tags { trim, ..song() });
}

#[test]
fn windows_media_tells_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = tone(folder.path(), "a.wma", &["-c:a", "wmav2"]);
    let program = format!(
        "import sys\nimport mutagen.asf; globals().update(vars(mutagen.asf))\n{IDS}f = ASF(sys.argv[1])\n\
         for k, v in {{'Title': '夜明けの電車', 'WM/AlbumTitle': '遠い窓', 'WM/AlbumArtist': 'Various', 'WM/Year': '2008-07-17', 'WM/Genre': 'J-Pop',\
          'WM/Composer': '佐藤', 'WM/TitleSortOrder': 'よあけのでんしゃ', 'WM/ArtistSortOrder': 'やまだはなこ', 'WM/AlbumSortOrder': 'とおいまど',\
          'WM/AlbumArtistSortOrder': 'various', 'WM/ComposerSortOrder': 'さとう', 'Description': 'はじめて', 'WM/ISRC': 'JPX010700001', 'WM/Barcode': '4988000000001',\
          'WM/TrackNumber': '3/12', 'WM/PartOfSet': '2/2', 'replaygain_track_gain': '-6.00 dB', 'replaygain_track_peak': '0.500000',\
          'MusicBrainz/Track Id': ids[1], 'MusicBrainz/Release Track Id': ids[2], 'MusicBrainz/Album Id': ids[3],\
          'MusicBrainz/Release Group Id': ids[4], 'MusicBrainz/Album Artist Id': ids[7]}}.items(): f[k] = [ASFUnicodeAttribute(v)]\n\
         f['Author'] = ['山田花子', 'Jürgen']; f['WM/IsCompilation'] = [ASFBoolAttribute(True)]\n\
         f['MusicBrainz/Artist Id'] = [ids[5], ids[6]]\n\
         f['WM/Picture'] = [ASFByteArrayAttribute(b'x' * 70000)]; f['WM/Long'] = ['y' * 40000]; f.save()"
    );
    python(&program, &file);
    let found = tags(&file);
    check(&file, &Tags { has_picture: found.has_picture, ..song() });
}
