//! Whatever the connection does, the bytes are those of the file.

use std::io::{Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::server::Server;
use super::*;
use crate::stream::pipe::MOST;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_and_sought_as_a_file() {
    let whole = content(9 << 20);
    let server = Server::file(whole.clone());
    let (done, _) = with(&server.url, move |sound| {
        let mut sound = sound.expect("opened");
        assert_eq!(sound.byte_len(), Some(whole.len() as u64));
        let mut some = vec![0; 5000];
        // To the tail, back to the start, a little ahead, far ahead, back again.
        for at in [0, whole.len() - 5000, 10, 100_000, 6 << 20, (6 << 20) - 70_000, 3, 8 << 20] {
            sound.seek(SeekFrom::Start(at as u64)).expect("a place");
            sound.read_exact(&mut some).expect("there");
            assert!(some == whole[at..at + 5000], "other bytes at {at}");
        }
        sound.seek(SeekFrom::End(-3)).expect("a place");
        assert_eq!(sound.read(&mut some).expect("there"), 3);
        assert_eq!(sound.read(&mut some).expect("the end"), 0);
        sound.seek(SeekFrom::Start(0)).expect("a place");
        let mut all = Vec::new();
        sound.read_to_end(&mut all).expect("there");
        all == whole
    })
    .await;
    assert!(done);
    let asked = server.asked();
    assert_eq!(asked[0].range.as_deref(), Some("bytes=0-"));
    assert!(
        asked
            .iter()
            .skip(1)
            .all(|request| request.from() == 0 || request.if_range.as_deref() == Some("\"one\""))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn breaks_at_any_byte_are_mended_where_they_were() {
    let whole = content(600_000);
    for seed in 1..6usize {
        let (served, count) = (whole.clone(), AtomicUsize::new(seed));
        let server = Server::start(move |request, mut peer| {
            let state = count.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            peer.broken(&served, request.from().min(served.len() - 1), state % 90_000 + 1);
            if state % 2 == 0 {
                peer.reset();
            }
        });
        let (all, _) = read_all(&server.url).await;
        assert!(all.expect("mended") == whole, "seed {seed}");
        println!("seed {seed}: {} requests for 600,000 bytes", server.asked().len());
        assert!(server.asked().len() > 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_is_left_for_a_new_connection() {
    let whole = content(300_000);
    let served = whole.clone();
    let server = Server::start(move |request, mut peer| {
        if request.number == 0 {
            peer.broken(&served, 0, 150_000);
            return peer.hang();
        }
        peer.part(&served, request.from()..served.len());
    });
    let (all, _) = read_all(&server.url).await;
    assert!(all.expect("mended") == whole);
    let asked = server.asked();
    assert_eq!((asked[1].from(), asked[1].if_range.as_deref()), (150_000, Some("\"one\"")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_ranges_is_read_in_one_piece_and_again() {
    let whole = content(5 << 20);
    let served = whole.clone();
    let server = Server::start(move |request, mut peer| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", served.len());
        let count = if request.number == 0 { 4_700_001 } else { served.len() };
        let _gone = peer.say(head) && peer.say(&served[..count]);
    });
    let expected = whole.clone();
    let (length, _) = with(&server.url, move |sound| {
        let mut sound = sound.expect("opened");
        let mut all = Vec::new();
        sound.read_to_end(&mut all).expect("mended");
        assert!(all == expected);
        sound.byte_len()
    })
    .await;
    assert_eq!((length, server.asked().len()), (None, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_without_a_length_end_where_they_end() {
    let whole = content(100_000);
    let served = whole.clone();
    let server = Server::start(move |_, mut peer| {
        peer.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for part in served.chunks(777) {
            peer.say(format!("{:x}\r\n", part.len()));
            peer.say(part);
            peer.say("\r\n");
        }
        peer.say("0\r\n\r\n");
    });
    assert!(read_all(&server.url).await.0.expect("whole") == whole);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_smaller_than_asked_for_is_followed_by_the_next() {
    let whole = content(400_000);
    let served = whole.clone();
    let server = Server::start(move |request, mut peer| {
        let from = request.from();
        peer.part(&served, from..(from + 65_536).min(served.len()));
    });
    assert!(read_all(&server.url).await.0.expect("whole") == whole);
    assert_eq!(server.asked().len(), 400_000usize.div_ceil(65_536));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_read_gives_its_connection_back_and_goes_on_later() {
    // More than the kernel takes on both sides.
    let whole = content(40 << 20);
    let served = whole.clone();
    let (tell, told) = std::sync::mpsc::channel();
    let server = Server::start(move |request, mut peer| {
        let sent = peer.part(&served, request.from()..served.len());
        // The test may be over.
        let _late = tell.send((request.number, sent));
    });
    let (all, _) = with(&server.url, move |sound| {
        let mut sound = sound.expect("opened");
        let (number, sent) = told.recv_timeout(Duration::from_secs(10)).expect("given back");
        assert_eq!((number, sent), (0, false));
        let mut all = Vec::new();
        sound.read_to_end(&mut all).expect("there");
        all
    })
    .await;
    assert!(all == whole);
    let second = server.asked()[1].from();
    println!("{second} bytes were fetched ahead, at most {MOST} are");
    assert!(second > MOST / 2 && second <= MOST + (128 << 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_while_nobody_waits_may_come_back_late() {
    let whole = content(2 << 20);
    let served = whole.clone();
    let (tell, told) = std::sync::mpsc::channel();
    let away = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let back = away.clone();
    let server = Server::start(move |request, mut peer| match request.number {
        0 => peer.broken(&served, 0, 1 << 20),
        number if away.load(Ordering::Relaxed) => {
            peer.say("HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n");
            let _late = tell.send(number);
        }
        _ => {
            peer.part(&served, request.from()..served.len());
        }
    });
    let (all, _) = with(&server.url, move |sound| {
        let mut sound = sound.expect("opened");
        // It is asked for a few times, then left in peace.
        let mut tries = 0;
        while told.recv_timeout(Duration::from_millis(500)).is_ok() {
            tries += 1;
        }
        assert!((5..=6).contains(&tries), "{tries}");
        back.store(false, Ordering::Relaxed);
        let mut all = Vec::new();
        sound.read_to_end(&mut all).expect("it is back");
        all
    })
    .await;
    assert!(all == whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stop_token_ends_opening_and_reading_at_once() {
    let whole = content(200_000);
    let server = Server::start(move |request, mut peer| {
        if request.path != "/silent" {
            peer.broken(&whole, 0, 100_000);
        }
        peer.hang();
    });
    for path in ["/silent", "/song"] {
        let streams = Streams::with(
            Client::new(),
            || Allow::Near { peer: Ipv4Addr::LOCALHOST.into(), networks: Vec::new() },
            Patience::USUAL,
        );
        let (ask, _) = ask(&server.url.replace("/song", path));
        let (stop, opener) = (ask.stop.clone(), streams.clone());
        let begun = server.asked().len();
        let reader = tokio::task::spawn_blocking(move || {
            opener
                .open(ask)
                .map_err(|error| error.to_string())?
                .read_to_end(&mut Vec::new())
                .map_err(|e| e.to_string())
        });
        while server.asked().len() == begun {
            tokio::task::yield_now().await;
        }
        let fell = std::time::Instant::now();
        stop.cancel();
        let error = reader.await.expect("no panic").expect_err("stopped");
        println!("{path}: stopped after {:?}: {error}", fell.elapsed());
        assert!(fell.elapsed() < Duration::from_secs(9));
        streams.stopped().await;
    }
}

/// A decoder looks at the head again after the tags were read; by then a fast server has sent much more.
#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_a_stream_without_ranges_can_be_read_again_however_fast_it_comes() {
    let whole = content(9 << 20);
    let served = whole.clone();
    let server = Server::start(move |_, mut peer| {
        peer.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", served.len()));
        peer.say(&served);
    });
    let (again, _) = with(&server.url, move |sound| {
        let mut sound = sound.expect("opened");
        let mut some = vec![0; 1000];
        sound.seek(SeekFrom::Start(500_000)).expect("a place");
        sound.read_exact(&mut some).expect("there");
        // All that may be held has come.
        std::thread::sleep(Duration::from_millis(300));
        sound.seek(SeekFrom::Start(0)).expect("a place");
        let mut all = Vec::new();
        sound.read_to_end(&mut all).map(|_| all == whole)
    })
    .await;
    assert!(again.expect("the head is still there"));
    assert_eq!(server.asked().len(), 1);
}
