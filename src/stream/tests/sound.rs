//! What is decoded from a URL is what is decoded from the file.

use std::io::{Cursor, SeekFrom};
use std::path::Path;

use super::server::Server;
use super::*;
use crate::media::decode::{Block, Decoder, Samples};
use crate::media::sniff::sniff;
use std::io::Seek;

fn decode(mut sound: Sound) -> Result<(usize, Vec<f32>)> {
    let sniffed = sniff(&mut sound)?;
    sound.seek(SeekFrom::Start(0)).map_err(|error| Error::io("go to the start", error))?;
    let mut decoder = Decoder::open(sound, &sniffed)?;
    let length = decoder.duration().map_or(0, |frames| frames.0 as usize);
    let (mut block, mut all) = (Block::default(), Vec::new());
    while decoder.next(&mut block)? {
        match &block.samples {
            Samples::Int(samples) => all.extend(samples.iter().map(|&sample| sample as f32)),
            Samples::Float(samples) => all.extend_from_slice(samples),
        }
    }
    Ok((length, all))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_sounds_the_same_with_and_without_ranges() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let names =
        ["tone.flac", "tone-24.flac", "tone.mp3", "tone.ogg", "tone.aiff", "tone-aac.m4a", "tone-alac.m4a"];
    for name in names {
        let whole = std::fs::read(folder.join(name)).expect("a fixture");
        let size = whole.len() as u64;
        let (_, expected) = decode(Sound::new(Cursor::new(whole.clone()), Some(size), None)).expect(name);
        let server = Server::file(whole.clone());
        let (heard, _) = with(&server.url, |sound| decode(sound?)).await;
        assert!(heard.expect(name).1 == expected, "{name} with ranges");
        let sized = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
        for head in [sized, "HTTP/1.0 200 OK\r\n\r\n".to_owned()] {
            let endless = !head.contains("Length");
            let whole = whole.clone();
            let server = Server::start(move |_, mut peer| {
                peer.say(&head);
                peer.say(&whole);
            });
            let (heard, _) = with(&server.url, |sound| decode(sound?)).await;
            if endless && name.ends_with(".m4a") {
                // The index of these files lies behind their sound; a stream cannot be asked for it first.
                let error = heard.expect_err("no index");
                assert_eq!(error.kind(), Kind::Unsupported);
                assert!(error.to_string().contains("does not give parts"), "{error}");
                continue;
            }
            let (length, heard) = heard.expect(name);
            println!("{name}: {} samples, endless: {endless}, told length {length}", heard.len());
            assert!(heard == expected, "{name}: {} of {}", heard.len(), expected.len());
            assert!(length <= expected.len(), "{name}: {length}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_that_tells_no_length_has_none() {
    let whole =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tone.mp3")).expect("a fixture");
    // From the middle on, as a station is met: no tag and no Xing header.
    let tail = whole[whole.len() / 2..].to_vec();
    let server = Server::start(move |_, mut peer| {
        peer.say("ICY 200 OK\r\nicy-br: 128\r\n\r\n");
        for _ in 0..10 {
            peer.say(&tail);
        }
    });
    let (heard, _) = with(&server.url, |sound| decode(sound?)).await;
    let (length, heard) = heard.expect("sound");
    assert_eq!(length, 0);
    assert!(heard.len() > 44_100, "{} samples", heard.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_wav_sounds_to_its_end_whatever_its_head_says() {
    let samples: Vec<u8> = (0..88_200u32).flat_map(|n| ((n % 400) as i16 * 50).to_le_bytes()).collect();
    for said in [u32::MAX, 0x7fff_ffff, 0x7fff_ff00] {
        let mut wav =
            b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x02\0\x44\xac\0\0\x10\xb1\x02\0\x04\0\x10\0data"
                .to_vec();
        wav.extend_from_slice(&said.to_le_bytes());
        wav.extend_from_slice(&samples);
        let server = Server::start(move |_, mut peer| {
            peer.say("HTTP/1.0 200 OK\r\nContent-Type: audio/wav\r\n\r\n");
            peer.say(&wav);
        });
        let (heard, _) = with(&server.url, |sound| decode(sound?)).await;
        assert_eq!(heard.expect("sound").1.len(), 88_200, "said {said:x}");
    }
}
