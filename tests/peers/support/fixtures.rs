//! Music made on the spot from noise: every file has a payload of its own; names and buyers are made up.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::run;

/// One signal: interleaved stereo, left-justified in 32 bits.
#[derive(Clone)]
pub struct Signal {
    /// Frames in a second.
    pub rate: u32,
    /// 16 or 24.
    pub bits: u16,
    /// The samples.
    pub samples: Vec<i32>,
}

/// Returns white noise at a tenth of full scale, the same for the same seed.
pub fn noise(seed: u64, rate: u32, bits: u16, frames: usize) -> Signal {
    let mut random = Random((seed << 1 | 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mask = !0 << (32 - bits);
    let samples = (0..frames * 2).map(|_| ((random.next() >> 32) as i32 / 10) & mask).collect();
    Signal { rate, bits, samples }
}

impl Signal {
    /// Returns the frames of `range`.
    pub fn cut(&self, range: std::ops::Range<usize>) -> Signal {
        Signal { samples: self.samples[range.start * 2..range.end * 2].to_vec(), ..self.clone() }
    }

    /// Returns it as the bytes of a WAV file (RIFF, WAVE_FORMAT_PCM).
    pub fn wav(&self) -> Vec<u8> {
        let width = u32::from(self.bits / 8);
        let data: Vec<u8> = self
            .samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes().into_iter().skip(4 - usize::from(self.bits / 8)))
            .collect();
        let length = u32::try_from(data.len()).expect("a short file");
        let mut wav = Vec::with_capacity(data.len() + 44);
        wav.extend_from_slice(b"RIFF");
        wav.extend_from_slice(&(length + 36).to_le_bytes());
        wav.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
        wav.extend_from_slice(&self.rate.to_le_bytes());
        wav.extend_from_slice(&(self.rate * width * 2).to_le_bytes());
        wav.extend_from_slice(&u16::try_from(width * 2).expect("small").to_le_bytes());
        wav.extend_from_slice(&self.bits.to_le_bytes());
        wav.extend_from_slice(b"data");
        wav.extend_from_slice(&length.to_le_bytes());
        wav.extend_from_slice(&data);
        wav
    }

    /// Returns it as the bytes of a WAV file that says its title, artist and album (RIFF INFO).
    pub fn tagged_wav(&self, title: &str, artist: &str, album: &str) -> Vec<u8> {
        let mut words = b"INFO".to_vec();
        for (name, text) in [(b"INAM", title), (b"IART", artist), (b"IPRD", album)] {
            // Zero-terminated, and of an even length.
            let length = (text.len() + 2) / 2 * 2;
            words.extend_from_slice(name);
            words.extend_from_slice(&u32::try_from(length).expect("short").to_le_bytes());
            words.extend_from_slice(text.as_bytes());
            words.resize(words.len() + length - text.len(), 0);
        }
        let mut wav = self.wav();
        wav.extend_from_slice(b"LIST");
        wav.extend_from_slice(&u32::try_from(words.len()).expect("short").to_le_bytes());
        wav.extend_from_slice(&words);
        let whole = u32::try_from(wav.len() - 8).expect("a short file");
        wav[4..8].copy_from_slice(&whole.to_le_bytes());
        wav
    }

    /// Writes it through ffmpeg to `path` with `arguments` and `tags`.
    pub fn encode(&self, path: &Path, arguments: &[&str], tags: &[(&str, &str)]) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let source = path.with_extension("source.wav");
        fs::write(&source, self.wav()).expect("a source");
        ffmpeg(&source, path, arguments, tags);
        fs::remove_file(&source).expect("the source goes");
    }

    /// Writes it as FLAC of its own depth.
    pub fn flac(&self, path: &Path, tags: &[(&str, &str)]) {
        let format = if self.bits == 16 { "s16" } else { "s32" };
        let bits = self.bits.to_string();
        self.encode(path, &["-c:a", "flac", "-sample_fmt", format, "-bits_per_raw_sample", &bits], tags);
    }
}

/// Writes a WAV file of noise, 16-bit stereo, of so many bytes and some.
pub fn long_wav(path: &Path, bytes: u64) {
    let mut head = noise(1, 44_100, 16, 1).wav();
    head.truncate(44);
    let data = u32::try_from(bytes / 8 * 8).expect("below 4 GB");
    head[4..8].copy_from_slice(&(data + 36).to_le_bytes());
    head[40..44].copy_from_slice(&data.to_le_bytes());
    let mut file = std::io::BufWriter::new(fs::File::create(path).expect("a file"));
    let mut random = Random(bytes | 1);
    file.write_all(&head).expect("written");
    for _ in 0..data / 8 {
        file.write_all(&random.next().to_le_bytes()).expect("written");
    }
    file.flush().expect("written");
}

/// A small generator: xorshift64*, enough for noise and for moments to kill at.
pub struct Random(pub u64);

impl Random {
    /// Returns the next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Returns a number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }
}

fn ffmpeg(source: &Path, path: &Path, arguments: &[&str], tags: &[(&str, &str)]) {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y", "-i"]).arg(source).args(["-map_metadata", "-1"]);
    for (name, value) in tags {
        command.arg("-metadata").arg(format!("{name}={value}"));
    }
    // Without it ffmpeg writes its version into the file.
    command.args(["-fflags", "+bitexact"]).args(arguments).arg(path);
    run(command);
}

/// Runs a few lines over a file; Debian's own python has Debian's mutagen.
fn python(lines: &str, path: &Path) {
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", lines]).arg(path);
    run(command);
}

/// Gives a FLAC file a title and an artist that no program would write, NUL included.
pub fn name(path: &Path, title: &str, artist: &str) {
    let words = serde_json::json!({"title": title, "artist": artist}).to_string();
    // A JSON string is a Python string as well.
    let words = serde_json::Value::String(words);
    python(&format!("import json\nwords = json.loads({words})\n{FLAC_NAME}"), path);
}

/// Fills `folder` with the music of a phone and returns what lies there.
pub fn phone_library(folder: &Path) -> Vec<PathBuf> {
    let short = |seed| noise(seed, 44_100, 16, 44_100 * 2);
    let harbour = |title, track| {
        [("title", title), ("artist", "The Lamplighters"), ("album", "Harbour"), ("track", track)]
    };
    let at = |name: &str| folder.join(name);
    short(1).flac(&at("Harbour/01 First Light.flac"), &harbour("First Light", "1"));
    noise(2, 96_000, 24, 96_000 * 2).flac(&at("Harbour/02 High Water.flac"), &harbour("High Water", "2"));
    short(3).encode(
        &at("Harbour/03 Gull.mp3"),
        &["-c:a", "libmp3lame", "-b:a", "192k"],
        &harbour("Gull", "3"),
    );
    short(4).encode(&at("Harbour/04 Rope.m4a"), &["-c:a", "aac"], &harbour("Rope", "4"));
    short(5).encode(&at("Harbour/05 Anchor.m4a"), &["-c:a", "alac"], &harbour("Anchor", "5"));
    short(6).encode(&at("Harbour/06 Pier.ogg"), &["-c:a", "libvorbis"], &harbour("Pier", "6"));
    short(7).encode(&at("Harbour/07 Salt.wav"), &["-c:a", "pcm_s16le"], &harbour("Salt", "7"));
    // minidlna lists no .aiff; under this name it does, and the content is what counts.
    let aiff = ["-c:a", "pcm_s16be", "-f", "aiff", "-write_id3v2", "1"];
    short(8).encode(&at("Harbour/08 Tide.wav"), &aiff, &harbour("Tide", "8"));
    let dawn = [("title", "夜明け前"), ("artist", "港町楽団"), ("album", "灯台"), ("track", "1")];
    short(9).flac(&at("港町楽団/夜明け前.flac"), &dawn);
    let sun = [("title", "Sunny 🌞 Day"), ("artist", "Emoji 🎷 Trio"), ("album", "☀️")];
    short(10).encode(&at("Sunny 🌞 Day.mp3"), &["-c:a", "libmp3lame", "-b:a", "128k"], &sun);
    bought_m4a(&at("Bought/Plus.m4a"), 11, Kind::Plus);
    bought_m4a(&at("Bought/Locked.m4a"), 12, Kind::FairPlay);
    let twin = [("title", "Twin"), ("artist", "The Twins"), ("album", "Both")];
    short(13).flac(&at("Twins/Twin.flac"), &twin);
    let other =
        [("title", "Twin"), ("artist", "The Twins"), ("album", "Both"), ("track", "4"), ("comment", "again")];
    ffmpeg(&at("Twins/Twin.flac"), &at("Twins/Twin again.flac"), &["-c:a", "copy"], &other);
    let camp = [
        ("title", "Ember"),
        ("artist", "Fir"),
        ("comment", "Visit https://fir.bandcamp.com"),
        ("album", "Wood"),
    ];
    short(14).flac(&at("Bought/Ember.flac"), &camp);
    let river = [("title", "River"), ("artist", "Stone"), ("album", "Bridge")];
    short(15).encode(
        &at("Bought/River.mp3"),
        &["-c:a", "libmp3lame", "-b:a", "256k", "-id3v2_version", "3"],
        &river,
    );
    python(AMAZON_COMMENT, &at("Bought/River.mp3"));
    short(16).encode(
        &at("Late/Moth.mp3"),
        &["-c:a", "libmp3lame", "-q:a", "2"],
        &[("title", "Moth"), ("artist", "Late")],
    );
    super::shelf::files(folder).into_keys().map(|path| folder.join(path)).collect()
}

/// How a bought file is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Free, with the marks of the store and of the buyer.
    Plus,
    /// Locked: a stub, its body is clear; only the gate is under test.
    FairPlay,
}

/// Writes a file as the iTunes Store sold them; the free and the locked one are two songs.
pub fn bought_m4a(path: &Path, seed: u64, kind: Kind) {
    match kind {
        Kind::Plus => bought_song(path, seed, kind, "Plus One", ITEM),
        Kind::FairPlay => bought_song(path, seed, kind, "Under Lock", LOCKED_ITEM),
    }
}

/// Writes a song as the iTunes Store sold it under this number.
pub fn bought_song(path: &Path, seed: u64, kind: Kind, title: &str, item: u32) {
    let tags = [("title", title), ("artist", "Hanako Yamada Band"), ("album", "Bought")];
    noise(seed, 44_100, 16, 88_200).encode(path, &["-c:a", "aac", "-b:a", "256k"], &tags);
    python(&ITUNES_ATOMS.replace("281234567", &item.to_string()), path);
    let file = fs::read(path).expect("a file");
    let (child, entry) = match kind {
        Kind::Plus => (purchase_box(b"pinf", item), None),
        Kind::FairPlay => (purchase_box(b"sinf", item), Some(*b"drms")),
    };
    let mut file = insert_in_entry(file, &child, entry);
    if kind == Kind::FairPlay {
        file[8..12].copy_from_slice(b"M4P ");
    }
    fs::write(path, file).expect("a file");
}

/// Appends `child` to the sample entry `mp4a`, grows the boxes around it (ISO/IEC 14496-12, 8.5) and renames the entry.
fn insert_in_entry(mut file: Vec<u8>, child: &[u8], entry: Option<[u8; 4]>) -> Vec<u8> {
    let length = |file: &[u8], at: usize| {
        usize::try_from(u32::from_be_bytes(file[at..at + 4].try_into().expect("four"))).expect("fits")
    };
    let (mut at, mut starts) = (0, Vec::new());
    for name in [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"mp4a"] {
        while &file[at + 4..at + 8] != name {
            at += length(&file, at);
        }
        starts.push(at);
        // stsd has version, flags and a count before its entries.
        at += if name == b"stsd" { 16 } else { 8 };
    }
    let start = *starts.last().expect("the entry");
    let end = start + length(&file, start);
    for start in starts {
        let grown = u32::try_from(length(&file, start) + child.len()).expect("fits");
        file[start..start + 4].copy_from_slice(&grown.to_be_bytes());
    }
    if let Some(entry) = entry {
        file[start + 4..start + 8].copy_from_slice(&entry);
    }
    file.splice(end..end, child.iter().copied());
    file
}

/// Returns `pinf` or `sinf` with the store's scheme, the buyer and the rights.
fn purchase_box(name: &[u8; 4], item: u32) -> Vec<u8> {
    let mut buyer = b"Hanako Yamada".to_vec();
    buyer.resize(256, 0);
    let mut rights = Vec::new();
    for (right, value) in
        [(b"veID", 10_u32), (b"plat", 0), (b"tran", 0x0123_4567), (b"song", item), (b"tool", 0)]
    {
        rights.extend_from_slice(right);
        rights.extend_from_slice(&value.to_be_bytes());
    }
    rights.extend_from_slice(&[0; 8]);
    let facts =
        [boxed(b"user", &0x00ab_cdef_u32.to_be_bytes()), boxed(b"name", &buyer), boxed(b"righ", &rights)];
    let scheme = [&[0; 4][..], b"itun", &[0; 4]].concat();
    boxed(name, &[boxed(b"frma", b"mp4a"), boxed(b"schm", &scheme), boxed(b"schi", &facts.concat())].concat())
}

fn boxed(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).expect("small");
    [&length.to_be_bytes()[..], name, body].concat()
}

/// The store's number of the bought item.
pub const ITEM: u32 = 281_234_567;
/// The store's number of the locked one.
pub const LOCKED_ITEM: u32 = 281_234_568;

const FLAC_NAME: &str = "
import sys
from mutagen.flac import FLAC
file = FLAC(sys.argv[1])
for key, value in words.items():
    file[key] = value
file.save()
";
const ITUNES_ATOMS: &str = "
import sys
from mutagen.mp4 import MP4
file = MP4(sys.argv[1])
file.tags['apID'] = ['hanako@example.com']
file.tags['ownr'] = ['Hanako Yamada']
file.tags['purd'] = ['2007-10-16 12:34:56']
file.tags['cnID'] = [281234567]
file.tags['plID'] = [281234500]
file.tags['atID'] = [7654321]
file.tags['sfID'] = [143462]
file.tags['akID'] = [0]
file.save()
";

const AMAZON_COMMENT: &str = "
import sys
from mutagen.id3 import ID3, COMM
file = ID3(sys.argv[1])
file.add(COMM(encoding=0, lang='eng', desc='', text=['Amazon.com Song ID: 212345678']))
file.save(v2_version=3)
";
