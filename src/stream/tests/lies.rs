//! Servers that lie, creep, lead in circles or change the file: an error in time, and never more memory.

use std::time::Instant;

use super::server::{Peer, Request, Server};
use super::*;

/// Returns the error of reading what this server gives, and how long it took.
async fn refused(script: impl Fn(&Request, Peer) + Send + Sync + 'static) -> (Error, Duration) {
    let server = Server::start(script);
    let begun = Instant::now();
    let error = read_all(&server.url).await.0.expect_err("refused");
    println!("after {:?} and {} requests: {error}", begun.elapsed(), server.asked().len());
    (error, begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changed_is_noticed() {
    let whole = content(200_000);
    let (error, _) = refused(move |request, mut peer| {
        if request.number == 0 {
            return peer.broken(&whole, 0, 100_000);
        }
        peer.say("HTTP/1.1 200 OK\r\nETag: \"two\"\r\nContent-Length: 200000\r\n\r\n");
        peer.say(&whole);
    })
    .await;
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(error.to_string().contains("the file changed while it was played"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_range_is_never_taken_for_the_right_one() {
    let whole = content(200_000);
    let (error, _) = refused(move |request, mut peer| match request.number {
        0 => peer.broken(&whole, 0, 100_000),
        _ => {
            peer.part(&whole, 100_001..200_000);
        }
    })
    .await;
    assert!(error.to_string().contains("other bytes than asked for"), "{error}");
    let (error, _) = refused(|_, mut peer| {
        peer.say("HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\nContent-Range: bytes 7-16/17\r\n\r\n0123456789");
    })
    .await;
    assert!(error.to_string().contains("other bytes than asked for"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn four_gigabytes_that_are_not_there_end_in_an_error() {
    let whole = content(1 << 20);
    for status in [
        "200 OK\r\nAccept-Ranges: bytes",
        "200 OK",
        "206 Partial Content\r\nContent-Range: bytes 0-4294967295/4294967296",
    ] {
        let whole = whole.clone();
        let (error, took) = refused(move |request, mut peer| {
            if request.from() > 0 && status.contains("ange") {
                peer.say("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n");
                return;
            }
            peer.say(format!("HTTP/1.1 {status}\r\nContent-Length: 4294967296\r\n\r\n"));
            peer.say(&whole);
        })
        .await;
        assert!(matches!(error.kind(), Kind::Damaged | Kind::Unreachable), "{error}");
        assert!(took < Duration::from_secs(30), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_was_announced_is_not_read() {
    let whole = content(50_000);
    let served = whole.clone();
    let server = Server::start(move |_, mut peer| {
        peer.say("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-49999/50000\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..3 {
            peer.say(format!("{:x}\r\n", served.len()));
            peer.say(&served);
            peer.say("\r\n");
        }
    });
    assert!(read_all(&server.url).await.0.expect("whole") == whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_drips_is_not_waited_for() {
    let (error, took) = refused(|_, mut peer| {
        peer.say("HTTP/1.1 200 OK\r\n");
        while peer.say("X") && peer.pause(Duration::from_millis(20)) {}
    })
    .await;
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_drips_is_given_up() {
    let whole = content(1 << 20);
    let (error, took) = refused(move |request, mut peer| {
        let from = request.from();
        peer.broken(&whole, from, 100);
        let mut at = from + 100;
        while peer.say(&whole[at..=at]) && peer.pause(Duration::from_millis(20)) {
            at += 1;
        }
    })
    .await;
    assert_eq!(error.kind(), Kind::Unreachable);
    assert!(error.to_string().contains("less than any music needs"), "{error}");
    assert!(took < Duration::from_secs(60), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_redirects_and_forbidden_places_are_refused() {
    let (error, _) = refused(|request, mut peer| {
        peer.say(format!("HTTP/1.1 302 Found\r\nLocation: /{}\r\nContent-Length: 0\r\n\r\n", request.number));
    })
    .await;
    assert!(error.to_string().contains("more than 3 redirects"), "{error}");
    let (error, _) = refused(|_, mut peer| {
        peer.say("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2/x\r\nContent-Length: 0\r\n\r\n");
    })
    .await;
    assert_eq!(error.kind(), Kind::Invalid);
    let (error, _) = refused(|_, mut peer| {
        peer.say("HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/x\r\nContent-Length: 0\r\n\r\n");
    })
    .await;
    assert!(error.to_string().contains("only http:// can be asked"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_app_gives_may_not_point_back_at_the_box() {
    let server = Server::file(content(1000));
    let streams = Streams::with(Client::new(), || Allow::Wide { own: Vec::new() }, SHORT);
    for url in [
        server.url.clone(),
        server.url.replace("127.0.0.1", "localhost"),
        server.url.replace("127.0.0.1", "0.0.0.0"),
    ] {
        let (ask, _) = ask(&url);
        let opener = streams.clone();
        let opened =
            tokio::task::spawn_blocking(move || opener.open(ask).map(|_| ())).await.expect("no panic");
        let error = opened.expect_err("refused");
        assert!(error.to_string().contains("is this box itself"), "{error}");
    }
    assert!(server.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_in_words_and_at_once() {
    for (status, kind) in [
        ("404 Not Found", Kind::NotFound),
        ("403 Forbidden", Kind::NotAllowed),
        ("503 Busy", Kind::Unreachable),
    ] {
        let (error, took) = refused(move |_, mut peer| {
            peer.say(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
        })
        .await;
        assert_eq!(error.kind(), kind);
        assert!(took < Duration::from_secs(9));
    }
    // Nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let error = read_all(&format!("http://{free}/x")).await.0.expect_err("refused");
    assert_eq!(error.kind(), Kind::Unreachable);
    let error = read_all("ftp://127.0.0.1/x").await.0.expect_err("refused");
    assert_eq!(error.kind(), Kind::Invalid);
}
