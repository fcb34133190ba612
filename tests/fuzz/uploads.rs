//! What uploads bring: the headers of tus, forms with files, archives. What is taken is bounded: a name of an archive stays
//! below its folder, and no more comes out of one than it says.

use std::io::Cursor;
use std::path::{Component, Path};

use konpo::media::archive;
use konpo::wire::multipart::{self, Event, Form};
use konpo::wire::tus;

use crate::Target;

pub const TARGETS: [Target; 3] = [
    Target {
        name: "tus",
        read: headers,
        words: &[
            b"filename ",
            b"filetype ",
            b",",
            b" ",
            b"YQ==",
            b"5aSc44Gu5q2MLmZsYWM=",
            b"=",
            b"sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
            b"sha256 ",
            b"18446744073709551616",
            b"\n",
        ],
        largest: 20_000,
        memory: 1 << 20,
    },
    Target {
        name: "form",
        read: form,
        words: &[
            b"--XX\r\n",
            b"\r\n--XX",
            b"--XX--",
            b"\r\n\r\n",
            b"Content-Disposition: form-data; name=\"file\"; filename=\"a.flac\"",
            b"filename*=UTF-8''%E5%A4%9C",
            b"\\\"",
            b"%22",
            b"Content-Type: audio/flac",
            b"\xff",
        ],
        largest: 60_000,
        memory: 2 << 20,
    },
    Target {
        name: "archive",
        read: unpack,
        words: &[
            b"PK\x01\x02",
            b"PK\x03\x04",
            b"PK\x05\x06",
            b"PK\x06\x06",
            b"PK\x06\x07",
            b"../",
            b"..\\",
            b"C:\\",
            b"\x01\x00\x10\x00",
            b"\xff\xff\xff\xff",
            b"\x95\x5c",
        ],
        largest: 60_000,
        // A directory of 60 kB twice, and a block on its way out.
        memory: 4 << 20,
    },
];

fn headers(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let mut next = || lines.next().unwrap_or_default();
    let metadata = tus::metadata(next()).map(|read| read.text("filename").map(|name| name.len().min(9)));
    let (checksum, number) = (tus::checksum(next()), tus::bytes(next()));
    if let Ok(number) = number {
        assert!(number < 1_000_000_000_000_000_000, "18 digits at most");
    }
    format!("{:?} {:?} {}", metadata.map_err(|e| e.to_string()), checksum.is_ok(), number.is_ok())
}

/// The first byte says how large the pieces are: whatever they are, the same comes out.
fn form(bytes: &[u8]) -> String {
    let Some((&step, bytes)) = bytes.split_first() else { return "none".into() };
    let (whole, pieces) = (events(bytes, bytes.len().max(1)), events(bytes, usize::from(step).max(1)));
    assert_eq!(whole, pieces, "in pieces of {step}");
    let content = String::from_utf8_lossy(bytes);
    format!("{whole:?} {:?}", multipart::boundary(&content).map(|boundary| boundary.len()))
}

/// Returns the parts with the bytes of each, and how it ended.
fn events(bytes: &[u8], step: usize) -> (Vec<(Option<usize>, usize)>, String) {
    let (mut form, mut parts) = (Form::new("XX"), Vec::new());
    for piece in bytes.chunks(step) {
        form.push(piece);
        loop {
            match form.read() {
                Ok(Some(Event::Part(head))) => parts.push((head.file.map(|name| name.len()), 0)),
                Ok(Some(Event::Data(data))) => {
                    if let Some((_, count)) = parts.last_mut() {
                        *count += data.len();
                    }
                }
                Ok(Some(Event::PartEnd)) => {}
                Ok(Some(Event::End)) => return (parts, "ended".into()),
                Ok(None) => break,
                // How much of a part was told before it was wrong depends on the pieces.
                Err(error) => return (Vec::new(), error.to_string()),
            }
        }
    }
    (Vec::new(), "broke off".into())
}

fn unpack(bytes: &[u8]) -> String {
    let mut file = Cursor::new(bytes);
    let entries = match archive::directory(&mut file) {
        Ok(entries) => entries,
        Err(error) => return error.to_string(),
    };
    let mut words = String::new();
    for entry in entries.iter().take(20) {
        let inside = Path::new(&entry.name).components().all(|part| matches!(part, Component::Normal(_)));
        assert!(inside, "{:?} leads elsewhere", entry.name);
        let mut came = 0;
        let went = archive::unpack(&mut file, entry, |block| {
            came += block.len() as u64;
            Ok(())
        });
        assert!(came <= entry.size, "more came out than {} bytes", entry.size);
        words += &went.map_or_else(|error| error.to_string(), |()| "whole".into());
    }
    words
}
