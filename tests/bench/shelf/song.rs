//! What the writers of files are given: one song with its names, its place and the seed of its sound.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use super::support::process::run;

/// One file to be written.
#[derive(Clone)]
pub struct Song {
    /// Below the music folder, with its extension.
    pub path: PathBuf,
    /// How it is encoded.
    pub kind: Kind,
    /// Its names; a key stands once, with all its values.
    pub tags: Vec<(Key, Vec<String>)>,
    /// Number and count of tracks.
    pub track: (u8, u8),
    /// Number and count of discs.
    pub disc: (u8, u8),
    /// Whether its album is a compilation.
    pub compilation: bool,
    /// A JPEG picture.
    pub cover: Option<Arc<[u8]>>,
    /// What its sound grows from: another one for every file.
    pub seed: u64,
}

/// A kind of file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// FLAC, 16 bit, 44.1 kHz.
    Flac,
    /// MPEG-1 Layer III.
    Mp3,
    /// AAC-LC or ALAC in MP4.
    M4a,
}

impl Kind {
    /// Returns the extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Kind::Flac => "flac",
            Kind::Mp3 => "mp3",
            Kind::M4a => "m4a",
        }
    }
}

/// A text field, in the words of the three dialects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The Vorbis comment; also the description of a free ID3 or iTunes field.
    pub vorbis: &'static str,
    /// The ID3v2 frame, `TXXX` for a free one.
    pub id3: &'static str,
    /// The iTunes atom, `----` for a free one.
    pub itunes: &'static [u8; 4],
}

const fn key(vorbis: &'static str, id3: &'static str, itunes: &'static [u8; 4]) -> Key {
    Key { vorbis, id3, itunes }
}

/// The song.
pub const TITLE: Key = key("TITLE", "TIT2", b"\xa9nam");
/// How the song is sorted.
pub const TITLE_SORT: Key = key("TITLESORT", "TSOT", b"sonm");
/// Who plays it.
pub const ARTIST: Key = key("ARTIST", "TPE1", b"\xa9ART");
/// How the artist is sorted.
pub const ARTIST_SORT: Key = key("ARTISTSORT", "TSOP", b"soar");
/// The album.
pub const ALBUM: Key = key("ALBUM", "TALB", b"\xa9alb");
/// How the album is sorted.
pub const ALBUM_SORT: Key = key("ALBUMSORT", "TSOA", b"soal");
/// Whose album it is.
pub const ALBUM_ARTIST: Key = key("ALBUMARTIST", "TPE2", b"aART");
/// How the album's artist is sorted.
pub const ALBUM_ARTIST_SORT: Key = key("ALBUMARTISTSORT", "TSO2", b"soaa");
/// Who wrote it.
pub const COMPOSER: Key = key("COMPOSER", "TCOM", b"\xa9wrt");
/// Genres.
pub const GENRE: Key = key("GENRE", "TCON", b"\xa9gen");
/// A year, or a day.
pub const DATE: Key = key("DATE", "TDRC", b"\xa9day");
/// ReplayGain of the song.
pub const TRACK_GAIN: Key = key("REPLAYGAIN_TRACK_GAIN", "TXXX", b"----");
/// Its peak.
pub const TRACK_PEAK: Key = key("REPLAYGAIN_TRACK_PEAK", "TXXX", b"----");
/// ReplayGain of the album.
pub const ALBUM_GAIN: Key = key("REPLAYGAIN_ALBUM_GAIN", "TXXX", b"----");
/// Its peak.
pub const ALBUM_PEAK: Key = key("REPLAYGAIN_ALBUM_PEAK", "TXXX", b"----");

/// Returns a small JPEG of ffmpeg's test picture. [`picture`] makes many of it.
pub fn pattern() -> Vec<u8> {
    let side = format!("testsrc2=size={PICTURE_SIDE}x{PICTURE_SIDE}");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", &side, "-frames:v", "1"]);
    command.args(["-c:v", "mjpeg", "-q:v", "8", "-flags", "+bitexact", "-f", "image2pipe", "-"]);
    run(command)
}

/// Returns a picture whose bytes are others for another seed: a comment stands behind its first mark (ITU-T T.81, B.2.4.5).
pub fn picture(pattern: &[u8], seed: u64) -> Arc<[u8]> {
    let (mark, rest) = pattern.split_at(2);
    [mark, &[0xFF, 0xFE, 0, 10], &seed.to_le_bytes(), rest].concat().into()
}

/// Width and height of a picture.
pub const PICTURE_SIDE: u32 = 64;
