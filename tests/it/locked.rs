//! No locked file reaches a decoder: neither symphonia nor lofty nor a child `ffmpeg` is opened on one.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use konpo::error::Kind;
use konpo::media::decode::Decoder;
use konpo::media::sniff::sniff;
use konpo::media::sound::Sound;
use konpo::media::{picture, tags};

use crate::arrows::sources;
use crate::counted::Counted;
use crate::formats::sounds::{ffmpeg, folder};
use crate::mint::{self, locks, rows};

#[test]
fn nothing_reads_a_byte_of_a_locked_file_behind_the_gate() {
    let (mut locked, mut plain) = (0, 0);
    for row in rows::all() {
        let read = Arc::new(AtomicU64::new(0));
        let bytes = Counted(Cursor::new(row.bytes.clone()), read.clone());
        let mut sound = Sound::new(bytes, Some(row.bytes.len() as u64), Some(row.extension));
        let sniffed = sniff(&mut sound).unwrap_or_else(|error| panic!("{}: {error}", row.of));
        if !sniffed.protection.is_locked() {
            plain += 1;
            continue;
        }
        locked += 1;
        read.store(0, Ordering::Relaxed);
        assert_eq!(
            tags::read(&mut sound, &sniffed).expect_err(row.of).kind(),
            Kind::Unsupported,
            "{}",
            row.of
        );
        let cover = picture::embedded(&mut sound, &sniffed);
        assert_eq!(cover.expect_err(row.of).kind(), Kind::Unsupported, "{}", row.of);
        let opened = Decoder::open(sound, &sniffed);
        assert_eq!(opened.err().expect(row.of).kind(), Kind::Unsupported, "{}", row.of);
        assert_eq!(read.load(Ordering::Relaxed), 0, "{}: something read it behind the gate", row.of);
    }
    assert!(locked >= 50 && plain >= 100, "{locked} locked, {plain} plain");
}

/// What a decoder would be opened on if the gate did not stand there: scrambled MP3 in OpenMG, FairPlay, Windows Media,
/// common encryption. Each would give sound, or noise.
fn scrambled() -> [(&'static str, Vec<u8>); 6] {
    let (_folder, wav, _) = folder(44_100, 44_100);
    let made = |extension: &str, args: &[&str]| {
        let file = wav.with_extension(extension);
        ffmpeg(&wav, args, &file);
        fs::read(&file).expect("made")
    };
    let key = "00112233445566778899aabbccddeeff";
    let cenc = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", key, "-encryption_kid", key];
    let licensed = locks::extended("2.0.0.0", "http://licence.example/");
    [
        ("mp3.oma", mint::oma(0xfffe, 3, &mint::mp3_frames())),
        ("atrac3.oma", locks::oma(1, 1, 0, 0x2030, &["OMG_LSI"], &locks::silence(40))),
        ("fairplay.m4p", mint::itunes_locked()),
        ("drm.wma", locks::asf_with(&made("wma", &["-c:a", "wmav2", "-b:a", "128k"]), &licensed)),
        ("cenc.mp4", made("mp4", &[&["-c:a", "aac"], &cenc[..]].concat())),
        ("head.mp4", mint::cenc()),
    ]
}

#[test]
fn ffmpeg_itself_is_no_gate() {
    let folder = tempfile::tempdir().expect("a folder");
    // Its exit status says nothing: it plays what is locked as if it were not (reference purchases 9, trap 1).
    for (name, bytes) in
        scrambled().into_iter().filter(|(name, _)| matches!(*name, "fairplay.m4p" | "drm.wma"))
    {
        let file = folder.path().join(name);
        fs::write(&file, bytes).expect("room");
        let mut command = Command::new("ffmpeg");
        let done = command.args(["-v", "quiet", "-i"]).arg(&file).args(["-f", "null", "-"]).status();
        assert!(done.expect("ffmpeg is installed").success(), "{name}");
    }
}

/// Puts an `ffmpeg` that only notes its call in front of the others. Returns the path and the note.
fn spied(folder: &Path) -> (String, PathBuf) {
    let (spy, note) = (folder.join("ffmpeg"), folder.join("called"));
    fs::write(&spy, format!("#!/bin/sh\necho \"$@\" >> '{}'\nexit 1\n", note.display())).expect("room");
    fs::set_permissions(&spy, fs::Permissions::from_mode(0o755)).expect("our own file");
    let path = std::env::var("PATH").expect("a path");
    (format!("{}:{path}", folder.display()), note)
}

#[test]
fn a_scrambled_file_starts_no_ffmpeg_and_makes_no_sound() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, note) = spied(folder.path());
    let konpo = |arguments: &[&str], file: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_konpo"));
        command.args(arguments).arg(file).env("PATH", &path).output().expect("konpo starts")
    };
    // The spy is there: plain ATRAC3 goes to it.
    let plain = folder.path().join("plain.oma");
    fs::write(&plain, locks::oma(1, 0xffff, 0, 0x2030, &[], &locks::silence(40))).expect("room");
    konpo(&["play", "--output", "silent"], &plain);
    assert!(note.exists(), "the spy is not asked for what only ffmpeg decodes");
    fs::remove_file(&note).expect("our own file");
    for (name, bytes) in scrambled() {
        let file = folder.path().join(name);
        fs::write(&file, bytes).expect("room");
        let played = konpo(&["play", "--output", "silent"], &file);
        assert!(!played.status.success(), "{name} was played");
        konpo(&["probe"], &file);
        konpo(&["probe", "--json"], &file);
        assert!(!note.exists(), "{name} reached ffmpeg: {}", fs::read_to_string(&note).unwrap_or_default());
    }
}

#[test]
fn decoders_and_tag_readers_are_opened_behind_the_gate_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for path in sources(&root) {
        let text = fs::read_to_string(&path).expect("a source file");
        let inside = path.strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
        if inside.contains("tests") {
            continue;
        }
        // A use, not a word of a comment.
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code: Vec<&str> = code.take_while(|line| !line.starts_with("#[cfg(test)]")).collect();
        for name in ["symphonia::", "symphonia_core::", "lofty::", "find(\"ffmpeg\")", "Command::new("] {
            if code.iter().any(|line| line.contains(name)) {
                seen += 1;
                let behind = inside.starts_with("media/decode/") || inside.starts_with("media/tags/");
                // lofty's own limits on memory are no reading.
                assert!(behind, "src/{inside} uses {name}: only what stands behind the gate may");
            }
        }
    }
    assert!(seen >= 4, "{seen} uses are found");
    for (file, entry) in [
        ("media/decode/mod.rs", "pub fn open(sound: Sound, sniffed: &Sniffed)"),
        ("media/tags/mod.rs", "pub fn read_unsettled("),
        ("media/picture.rs", "pub fn embedded(sound: &mut Sound, sniffed: &Sniffed)"),
    ] {
        let text = fs::read_to_string(root.join(file)).expect("a source file");
        let body = text.split_once(entry).unwrap_or_else(|| panic!("{file} has no {entry}")).1;
        let first =
            body.split_once("{\n").and_then(|(_, body)| body.lines().next()).unwrap_or_default().trim();
        assert_eq!(first, "sniffed.gate()?;", "{file}: {entry} does something before the gate");
    }
}

#[test]
fn a_hostile_head_costs_little() {
    let deep = |name: &[u8]| (0..4000).fold(Vec::new(), |inside: Vec<u8>, _| mint::boxed(name, &inside));
    let ftyp = mint::boxed(b"ftyp", b"M4A \0\0\0\0M4A ");
    let many = |name: &[u8]| mint::boxed(b"moov", &mint::boxed(name, &[0; 4]).repeat(50_000));
    let private = mint::buys::private("a", b"b");
    let item = [&1u32.to_le_bytes()[..], &[0; 4], b"ab\0x"].concat();
    let items = item.repeat(30_000);
    let size = (items.len() as u32 + 32).to_le_bytes();
    let mark = |flags: u32| {
        [&b"APETAGEX\xd0\x07\0\0"[..], &size, &u32::MAX.to_le_bytes(), &flags.to_le_bytes(), &[0; 8]].concat()
    };
    let object = mint::asf_object([9; 16], &[]);
    let mut wide = mint::asf(&object.repeat(50_000));
    wide[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
    let extensions = (0..40).fold(object, |inside, _| locks::header_extension(&inside));
    let unsynchronised = {
        let mut file = mint::tag(b"ID3", &[0xff, 0].repeat(1 << 20));
        file[5] = 0x80;
        [file, mint::mp3_frames()].concat()
    };
    for (name, bytes) in [
        ("boxes in boxes", [ftyp.clone(), deep(b"udta")].concat()),
        ("moov in moov", [ftyp.clone(), deep(b"moov")].concat()),
        ("many boxes", [ftyp.clone(), many(b"free")].concat()),
        ("many systems", [ftyp.clone(), many(b"pssh")].concat()),
        ("many tags of phones", [ftyp, many(b"titl")].concat()),
        ("many objects", wide),
        ("objects in objects", locks::asf_of(&[extensions])),
        ("many frames", [mint::tag(b"ID3", &private.repeat(50_000)), mint::mp3_frames()].concat()),
        ("many items", [mint::mp3_frames(), mark(0xa000_0000), items, mark(0x8000_0000)].concat()),
        ("zeros put in", unsynchronised),
        ("packets of no length", [&b"MPCK"[..], &b"AP\x03".repeat(50_000)].concat()),
    ] {
        let read = Arc::new(AtomicU64::new(0));
        let length = bytes.len() as u64;
        let mut sound = Sound::new(Counted(Cursor::new(bytes), read.clone()), Some(length), None);
        let began = std::time::Instant::now();
        // What it is said to be does not matter here.
        let _either_way = sniff(&mut sound);
        let (took, count) = (began.elapsed(), read.load(Ordering::Relaxed));
        assert!(took < std::time::Duration::from_secs(20), "{name} took {took:?}");
        assert!(count <= 8 << 20, "{name}: {count} bytes were read of {length}");
    }
}
