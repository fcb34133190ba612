//! Stations: no length, titles between the sound, SHOUTcast's own first line, playlists in front.

use std::io::{Read, Seek, SeekFrom};

use super::server::{Peer, Request, Server};
use super::*;

/// Returns sound with a text after every `every` bytes, as a station sends it.
fn with_titles(sound: &[u8], every: usize, titles: &[&str]) -> Vec<u8> {
    let mut wire = Vec::new();
    for (n, part) in sound.chunks(every).enumerate() {
        wire.extend_from_slice(part);
        if part.len() < every {
            break;
        }
        let text =
            titles.get(n).map(|title| format!("StreamTitle='{title}';StreamUrl='';")).unwrap_or_default();
        let units = text.len().div_ceil(16);
        wire.push(units as u8);
        wire.extend_from_slice(text.as_bytes());
        wire.resize(wire.len() + units * 16 - text.len(), 0);
    }
    wire
}

fn said(heard: &Heard) -> Vec<(Option<String>, Option<String>)> {
    let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
    heard.lock().expect("no panic").iter().map(|on_air| (text(&on_air.name), text(&on_air.title))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn titles_are_parted_from_the_sound_wherever_it_is_cut() {
    let sound = content(40_000);
    let wire = with_titles(&sound, 8192, &["One", "Two's", "", "坂本"]);
    for head in ["ICY 200 OK", "HTTP/1.0 200 OK"] {
        // Parts that end inside a length, a text and the sound.
        for cut in [1000, 8192, 8193, 8200, 40_100] {
            let wire = wire.clone();
            let server = Server::start(move |request, mut peer| {
                if request.number > 0 {
                    peer.say("HTTP/1.0 404 Gone\r\n\r\n");
                    return;
                }
                assert!(request.icy);
                peer.say(format!("{head}\r\nicy-name: Radio Test\r\nicy-metaint: 8192\r\n\r\n"));
                for part in wire.chunks(cut) {
                    peer.say(part);
                }
            });
            let (all, heard) = read_all(&server.url).await;
            assert!(all.expect("an end") == sound, "{head}, cut at {cut}");
            let name = Some("Radio Test".to_owned());
            let titles: Vec<_> = [None, Some("One"), Some("Two's"), None, Some("坂本")]
                .map(|title| (name.clone(), title.map(str::to_owned)))
                .into();
            assert_eq!(said(&heard), titles);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_that_breaks_off_is_asked_again_and_goes_on() {
    let sound = content(300_000);
    let served = sound.clone();
    let server = Server::start(move |request, mut peer| {
        let head = "HTTP/1.0 200 OK\r\nicy-br: 128\r\nicy-metaint: 16000\r\n\r\n";
        match request.number {
            0 => {
                peer.say(head);
                peer.say(with_titles(&served[..150_000], 16_000, &["Before"]));
                peer.reset();
            }
            // The encoder restarts.
            1 => {
                peer.say("HTTP/1.0 404 File Not Found\r\n\r\n");
            }
            _ => {
                peer.say(head);
                peer.say(with_titles(&served[150_000..], 16_000, &["After"]));
                peer.hang();
            }
        }
    });
    let (all, heard) = with(&server.url, move |stream| {
        let mut stream = stream.expect("opened");
        assert_eq!(stream.byte_len(), None);
        let mut all = vec![0; 290_000];
        stream.read_exact(&mut all).expect("it goes on");
        all
    })
    .await;
    // A reset may take bytes with it that were on their way, never change any.
    assert!(all.len() == 290_000 && sound.starts_with(&all[..100_000]));
    let titles: Vec<_> = said(&heard).into_iter().filter_map(|(_, title)| title).collect();
    assert_eq!(titles, ["Before", "After"]);
    assert!(server.asked().iter().all(|request| request.from() == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_station_that_falls_silent_is_given_up() {
    let server = Server::start(|_, mut peer| {
        peer.say("HTTP/1.0 200 OK\r\nicy-name: Silent\r\n\r\n");
        peer.hang();
    });
    let error = read_all(&server.url).await.0.expect_err("nothing comes");
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.to_string().contains("nothing came"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_of_a_stream_can_be_looked_at_again() {
    let whole = content(2 << 20);
    let served = whole.clone();
    let server = Server::start(move |_, mut peer| {
        peer.say("HTTP/1.0 200 OK\r\n\r\n");
        peer.say(&served);
    });
    let (same, _) = with(&server.url, move |sound| {
        let mut sound = sound.expect("opened");
        let mut some = vec![0; 1 << 20];
        sound.read_exact(&mut some).expect("there");
        sound.seek(SeekFrom::Start(u64::MAX - 128)).expect("a place");
        assert_eq!(sound.read(&mut some[..128]).expect("nothing there"), 0);
        sound.seek(SeekFrom::Start(0)).expect("a place");
        let mut all = Vec::new();
        sound.read_to_end(&mut all).expect("there");
        all == whole
    })
    .await;
    assert!(same);
}

fn playlist(kind: &'static str, text: &'static str) -> impl Fn(&Request, Peer) + Send + Sync + 'static {
    move |request, mut peer| {
        if request.path == "/radio/live.mp3" {
            peer.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsound");
            return;
        }
        peer.say(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_leads_to_its_first_entry() {
    let lists = [
        ("audio/x-scpls", "[playlist]\nNumberOfEntries=1\nFile1=/radio/live.mp3\n"),
        ("audio/x-mpegurl; charset=utf-8", "#EXTM3U\n#EXTINF:-1,Radio\nradio/live.mp3\n"),
    ];
    for (kind, text) in lists {
        let server = Server::start(playlist(kind, text));
        assert_eq!(read_all(&server.url).await.0.expect("found"), b"sound", "{kind}");
    }
    let hls = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\nradio/live.mp3\n";
    let server = Server::start(playlist("application/vnd.apple.mpegurl", hls));
    let error = read_all(&server.url).await.0.expect_err("refused");
    assert_eq!(error.kind(), Kind::Unsupported);
    let server = Server::start(playlist("audio/x-mpegurl", "round.m3u\n"));
    assert!(read_all(&server.url).await.0.expect_err("round").to_string().contains("only to playlists"));
    let server = Server::start(playlist("audio/x-mpegurl", "#EXTM3U\n"));
    assert!(read_all(&server.url).await.0.expect_err("empty").to_string().contains("empty"));
}
