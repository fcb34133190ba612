//! One file from a neighbour into a part: resumed by Range where it broke off, given up for now after four tries that
//! brought nothing.

use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderMap, StatusCode, header};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::error::{Error, Kind, Result};
use crate::http::client::{Allow, Client, GetOptions};
use crate::intake::glance::{Glance, Says};
use crate::intake::staging::Part;

/// What became of a fetch.
#[derive(Debug)]
pub enum Fetched {
    /// All bytes are here; they are to be finished.
    Whole(Box<Part>),
    /// Not now, and why: the neighbour does not answer, or does not give it at the moment. Dropped, the part stays for the
    /// next time.
    Later(String, Option<Box<Part>>),
    /// It was ended with its reason, which stands on the board.
    Refused,
}

/// Fetches `url` into `part`.
///
/// # Errors
/// Those of the disk: `Full`, `Offline`.
///
/// # Cancel
/// What is here stays for the next time.
pub async fn fetch(
    client: &Client,
    url: &str,
    allow: &Allow,
    mut part: Part,
    stop: &CancellationToken,
) -> Result<Fetched> {
    let (mut last, mut tries) = (String::new(), Tries { number: 0, most: part.offset() });
    while let Some(pause) = PAUSES.get(tries.number) {
        tokio::select! {
            () = stop.cancelled() => return Ok(Fetched::Later("konpo is stopping".into(), None)),
            () = tokio::time::sleep(*pause) => {}
        }
        let broke = match once(client, url, allow, &mut part).await {
            Ok(Got::All) => match part.is_whole().await {
                Ok(()) => return Ok(Fetched::Whole(Box::new(part))),
                Err(error) if error.kind() == Kind::Unreachable => error,
                Err(error) => return Err(error),
            },
            Ok(Got::Refusal(status)) => {
                let why = format!("the neighbour does not give the file ({status})");
                return Ok(Fetched::Later(why, Some(Box::new(part))));
            }
            Err(Broke::Here(error)) if error.kind() == Kind::Full && !part.is_announced() => {
                // It would fill the disk again and again, and everybody else's songs would wait for it.
                part.refuse("full", &format!("it does not say how long it is, and {error}")).await?;
                return Ok(Fetched::Refused);
            }
            Err(Broke::Here(error)) => return Err(error),
            // An address may be allowed tomorrow, when the other network is plugged in: nothing is refused for good.
            Err(Broke::There(error)) if error.kind() != Kind::Unreachable => {
                part.waits(&error.to_string());
                return Ok(Fetched::Later(error.to_string(), Some(Box::new(part))));
            }
            Err(Broke::There(error)) => error,
        };
        debug!(error = %broke, url, here = part.offset(), "a transfer broke off");
        last = broke.to_string();
        part.waits(&last);
        tries.broke(part.offset());
    }
    part.flush().await?;
    Ok(Fetched::Later(last, Some(Box::new(part))))
}

/// Counts the tries that brought nothing new.
struct Tries {
    number: usize,
    /// So many bytes were here at most.
    most: u64,
}

impl Tries {
    /// Notes that a try broke off with so many bytes here. A server that gives a piece at a time is asked as long as new
    /// ones come; one whose file is another one at every try starts over and brings none.
    fn broke(&mut self, here: u64) {
        self.number = if here > self.most { 1 } else { self.number + 1 };
        self.most = self.most.max(here);
    }
}

enum Got {
    All,
    /// A status says nothing of the file itself: a sleeping phone answers so, and one whose permission is missing.
    Refusal(StatusCode),
}

/// What a try broke on: our disk and database say nothing of the neighbour's file.
#[derive(Debug)]
enum Broke {
    There(Error),
    Here(Error),
}

async fn once(client: &Client, url: &str, allow: &Allow, part: &mut Part) -> Result<Got, Broke> {
    if part.has_all() {
        return Ok(Got::All);
    }
    // Its last bytes here must come again: another file under the same URL is noticed so, also where the server ignores
    // tags, and bytes that a power cut took from the end.
    let known = part.etag().map(str::to_owned);
    let again = part.offset().min(OVERLAP);
    let options =
        GetOptions { from: part.offset() - again, if_range: known, ..GetOptions::copy(allow.clone()) };
    let mut reply = client.get(url, &options).await.map_err(Broke::There)?;
    let (size, mut repeated) = match reply.status {
        StatusCode::OK => {
            // The whole came: the file is another one now, or the server knows no ranges.
            if part.offset() > 0 {
                part.restart().await.map_err(Broke::Here)?;
            }
            (reply.length, Vec::new())
        }
        StatusCode::PARTIAL_CONTENT => {
            let (first, size) = reply.range.unwrap_or((0, None));
            if first != options.from {
                return another(part, "the server sent another part than was asked for").await;
            }
            // Some servers do not know If-Range.
            let tag = validator(&reply.headers);
            if options.if_range.is_some() && tag.is_some() && tag != options.if_range {
                return another(part, "the file is another one now").await;
            }
            let size = size.or(reply.length.map(|length| first + length));
            (size, part.tail(again as usize).await.map_err(Broke::Here)?)
        }
        StatusCode::RANGE_NOT_SATISFIABLE => return another(part, "the file is shorter now").await,
        // minidlna 1.3.0 says so of a range that begins at the end.
        StatusCode::BAD_REQUEST if options.from > 0 => {
            return another(part, "the server does not give the rest").await;
        }
        status => return Ok(Got::Refusal(status)),
    };
    match part.begin(size, validator(&reply.headers)).await {
        Err(error) if error.kind() == Kind::Invalid => return another(part, error.what()).await,
        Err(error) if error.kind() == Kind::Unsupported => return Err(Broke::There(error)),
        begun => begun.map_err(Broke::Here)?,
    }
    if reply.headers.contains_key(header::TRANSFER_ENCODING) {
        part.tells_its_end();
    }
    while let Some(mut chunk) = reply.chunk().await.map_err(Broke::There)? {
        let both = repeated.len().min(chunk.len());
        if chunk.split_to(both) != repeated[..both] {
            return another(part, "the file is another one now").await;
        }
        repeated.drain(..both);
        if !chunk.is_empty() {
            part.write(chunk).await.map_err(|error| match error.kind() {
                // More came than was announced, or than is ever taken.
                Kind::Damaged | Kind::Unsupported => Broke::There(error),
                _ => Broke::Here(error),
            })?;
        }
    }
    Ok(Got::All)
}

/// Looks at a few bytes of a file: whether it was bought. A neighbour that knows no ranges is believed to say no more than
/// its first bytes do.
///
/// # Errors
/// `Unreachable`.
pub async fn is_bought(client: &Client, url: &str, allow: &Allow, size: u64) -> Result<bool> {
    let mut glance = Glance::new(size);
    loop {
        let (at, count) = match glance.says() {
            Says::More(at, count) => (at, count),
            said => return Ok(said == Says::Bought),
        };
        let options = GetOptions { from: at, count: Some(count), ..GetOptions::copy(allow.clone()) };
        let mut reply = client.get(url, &options).await?;
        let first = match (reply.status, reply.range) {
            (StatusCode::PARTIAL_CONTENT, Some((first, _))) => first,
            (StatusCode::OK, _) => 0,
            // The file ends before its head says so.
            (StatusCode::RANGE_NOT_SATISFIABLE, _) => return Ok(false),
            (status, _) => {
                let what = format!("the neighbour does not give the file ({status})");
                return Err(Error::new(Kind::Unreachable, what));
            }
        };
        if first != at {
            return Ok(false);
        }
        let mut piece = BytesMut::new();
        while (piece.len() as u64) < count
            && let Some(chunk) = reply.chunk().await?
        {
            piece.extend_from_slice(&chunk);
        }
        piece.truncate(count as usize);
        if piece.is_empty() {
            return Ok(false);
        }
        glance.add(at, piece.freeze());
    }
}

/// What is here is of no use: the next try starts over.
async fn another(part: &mut Part, why: &str) -> Result<Got, Broke> {
    part.restart().await.map_err(Broke::Here)?;
    Err(Broke::There(Error::new(Kind::Unreachable, format!("{why}: it starts over"))))
}

/// What If-Range may name: a strong entity tag, else the date (RFC 9110, 13.1.5).
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let tag = text(header::ETAG).filter(|tag| !tag.starts_with("W/"));
    tag.or(text(header::LAST_MODIFIED)).map(str::to_owned)
}

/// Bytes that must come again.
const OVERLAP: u64 = 64 << 10;
/// Before each try; a phone that moves from one access point to the next is back within the second pause.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15)];

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::extract::State;
    use axum::response::{IntoResponse, Response};
    use axum::routing::get;

    use super::*;
    use crate::http::hosts::Hosts;
    use crate::intake::Intake;
    use crate::intake::tests::{in_folder, item, phone};

    /// A server of one file that knows ranges, and whether it gives a tag.
    #[derive(Clone)]
    struct Source {
        bytes: Vec<u8>,
        tag: Option<&'static str>,
        ranges: Arc<Mutex<Vec<String>>>,
        knows_ranges: bool,
        /// It gives 90,000 bytes at a time.
        in_pieces: bool,
        /// It announces no length.
        in_chunks: bool,
    }

    async fn give(State(source): State<Arc<Mutex<Source>>>, headers: HeaderMap) -> Response {
        let Source { bytes, tag, ranges, knows_ranges, in_pieces, in_chunks } =
            source.lock().expect("whole").clone();
        if bytes.is_empty() {
            return StatusCode::NOT_FOUND.into_response();
        }
        let range = headers.get(header::RANGE).map(|range| range.to_str().expect("text").to_owned());
        let from = range
            .as_deref()
            .map(|r| r["bytes=".len()..].split('-').next().expect("text").parse().expect("a number"));
        ranges.lock().expect("whole").extend(range);
        let from: usize = from.filter(|_| knows_ranges).unwrap_or(0);
        let length = bytes.len();
        let end = if in_pieces { (from + 90_000).min(length) } else { length };
        let body = bytes[from..end].to_vec();
        let mut answer = match from {
            0 if in_chunks => {
                let body = futures_util::stream::iter(vec![Ok::<_, std::convert::Infallible>(body)]);
                axum::body::Body::from_stream(body).into_response()
            }
            0 if !in_pieces => body.into_response(),
            _ => {
                let range = format!("bytes {from}-{}/{length}", end - 1);
                (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, range)], body).into_response()
            }
        };
        if let Some(tag) = tag {
            answer.headers_mut().insert(header::ETAG, http::HeaderValue::from_static(tag));
        }
        answer
    }

    struct Rig {
        url: String,
        source: Arc<Mutex<Source>>,
        intake: Intake,
        allow: Allow,
        _folder: tempfile::TempDir,
        _up: tokio_util::sync::DropGuard,
    }

    impl Rig {
        async fn new(bytes: &[u8], tag: Option<&'static str>) -> Rig {
            let source = Source {
                bytes: bytes.to_vec(),
                tag,
                ranges: Arc::default(),
                knows_ranges: true,
                in_pieces: false,
                in_chunks: false,
            };
            let source = Arc::new(Mutex::new(source));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
            let port = listener.local_addr().expect("bound").port();
            let stop = CancellationToken::new();
            let app = Router::new().route("/22.wav", get(give)).with_state(source.clone());
            tokio::spawn(crate::http::server::serve(listener, app, Hosts::new(&[]), stop.clone()));
            let folder = tempfile::tempdir().expect("a folder");
            let allow = Allow::Near { peer: [127, 0, 0, 1].into(), networks: Vec::new() };
            let intake = in_folder(folder.path()).await;
            let url = format!("http://127.0.0.1:{port}/22.wav");
            Rig { url, source, intake, allow, _folder: folder, _up: stop.drop_guard() }
        }

        async fn part(&self) -> Part {
            let item = item("22", "Song", self.source.lock().expect("whole").bytes.len());
            self.intake.pull_item(&phone(), item).await.expect("opened")
        }

        /// A part whose first half came from `bytes`.
        async fn half(&self, bytes: &[u8], tag: Option<&str>) -> Part {
            let mut part = self.part().await;
            part.begin(Some(bytes.len() as u64), tag.map(str::to_owned)).await.expect("room");
            part.write(bytes[..bytes.len() / 2].to_vec().into()).await.expect("written");
            part
        }

        async fn once(&self, part: &mut Part) -> Result<Got> {
            let tried = once(&Client::new(), &self.url, &self.allow, part).await;
            tried.map_err(|(Broke::Here(error) | Broke::There(error))| error)
        }

        fn asked(&self) -> Vec<String> {
            self.source.lock().expect("whole").ranges.lock().expect("whole").clone()
        }
    }

    fn noise(seed: u32) -> Vec<u8> {
        (0..200_000u32).map(|n| (n.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8).collect()
    }

    #[tokio::test]
    async fn a_file_comes_whole_and_goes_on_where_it_broke_off() {
        let bytes = noise(1);
        for (tag, from) in [(Some("\"a\""), 100_000 - OVERLAP), (None, 100_000 - OVERLAP)] {
            let rig = Rig::new(&bytes, tag).await;
            let mut part = rig.half(&bytes, tag).await;
            assert!(matches!(rig.once(&mut part).await, Ok(Got::All)));
            assert_eq!(part.tail(200_000).await.expect("read"), bytes);
            assert_eq!(rig.asked(), [format!("bytes={from}-")]);
            part.finish().await.expect("whole");
        }
    }

    #[tokio::test]
    async fn a_server_that_knows_no_ranges_sends_the_whole_again() {
        let bytes = noise(1);
        for tag in [Some("\"a\""), None] {
            let rig = Rig::new(&bytes, tag).await;
            rig.source.lock().expect("whole").knows_ranges = false;
            let mut part = rig.half(&bytes, tag).await;
            assert!(matches!(rig.once(&mut part).await, Ok(Got::All)));
            assert_eq!(part.offset(), 200_000);
            assert_eq!(part.tail(200_000).await.expect("read"), bytes);
        }
    }

    #[tokio::test]
    async fn two_files_are_never_spliced() {
        let (old, new) = (noise(1), noise(77_777));
        // The server ignores If-Range but says its tag; and one that has no tags at all.
        for (before, now) in [(Some("\"a\""), Some("\"b\"")), (None, None)] {
            let rig = Rig::new(&new, now).await;
            let mut part = rig.half(&old, before).await;
            let error = rig.once(&mut part).await.err().expect("another file");
            assert_eq!((error.kind(), part.offset()), (Kind::Unreachable, 0), "{error}");
            assert!(matches!(rig.once(&mut part).await, Ok(Got::All)));
            assert_eq!(part.tail(200_000).await.expect("read"), new);
        }
    }

    #[tokio::test]
    async fn a_status_says_nothing_of_the_file() {
        let rig = Rig::new(b"", None).await;
        let part = rig.part().await;
        let stop = CancellationToken::new();
        let fetched =
            fetch(&Client::new(), &rig.url, &rig.allow, part, &stop).await.expect("no trouble of ours");
        let Fetched::Later(why, Some(part)) = fetched else { panic!("{fetched:?}") };
        assert!(why.contains("404"), "{why}");
        drop(part);
        let again = rig.intake.is_new(&phone().id, vec![item("22", "Song", 0)]).await.expect("read");
        assert_eq!(again.len(), 1, "it is asked for again");
    }

    #[tokio::test]
    async fn a_phone_that_sleeps_says_nothing_of_what_was_bought() {
        let rig = Rig::new(b"", None).await;
        let asked = is_bought(&Client::new(), &rig.url, &rig.allow, 1_000_000).await;
        assert_eq!(asked.expect_err("it is asked again later").kind(), Kind::Unreachable);
        let rig = Rig::new(&noise(1), None).await;
        assert!(!is_bought(&Client::new(), &rig.url, &rig.allow, 200_000).await.expect("looked at"));
    }

    #[tokio::test]
    async fn trouble_of_our_own_disk_is_not_held_against_the_file() {
        let rig = Rig::new(&noise(1), None).await;
        let (mut part, stop) = (rig.part().await, CancellationToken::new());
        part.begin(Some(200_000), None).await.expect("room");
        // The music disk goes in the middle.
        let music = rig._folder.path().join("music");
        std::fs::rename(&music, rig._folder.path().join("away")).expect("moved");
        let failed = fetch(&Client::new(), &rig.url, &rig.allow, part, &stop).await;
        assert_eq!(failed.expect_err("our trouble").kind(), Kind::Offline);
        std::fs::rename(rig._folder.path().join("away"), &music).expect("moved back");
        let again = rig.intake.is_new(&phone().id, vec![item("22", "Song", 200_000)]).await.expect("read");
        assert_eq!(again.len(), 1, "it is asked for again");
    }

    #[tokio::test]
    async fn a_forbidden_place_is_not_asked_and_not_held_against_the_song() {
        let rig = Rig::new(&noise(1), None).await;
        let (part, stop) = (rig.part().await, CancellationToken::new());
        let elsewhere = Allow::Near { peer: [10, 0, 0, 9].into(), networks: Vec::new() };
        let fetched =
            fetch(&Client::new(), &rig.url, &elsewhere, part, &stop).await.expect("no trouble of ours");
        let Fetched::Later(why, Some(part)) = fetched else { panic!("{fetched:?}") };
        assert!(why.contains("neither the device itself nor on our network"), "{why}");
        drop(part);
        assert!(rig.asked().is_empty());
        let song = item("22", "Song", 200_000);
        assert_eq!(rig.intake.is_new(&phone().id, vec![song]).await.expect("read").len(), 1);
    }

    #[test]
    fn a_file_that_is_another_one_at_every_try_is_given_up_for_now() {
        let mut tries = Tries { number: 0, most: 0 };
        for (here, number) in [(90, 1), (180, 1), (0, 2), (90, 3), (0, 4)] {
            tries.broke(here);
            assert_eq!(tries.number, number, "{here}");
        }
        assert!(PAUSES.get(tries.number).is_none());
    }

    #[tokio::test]
    async fn pieces_are_asked_for_until_the_song_is_whole_whatever_the_listing_said() {
        for (pieces, listed) in [(true, 200_000), (false, 999_999)] {
            let rig = Rig::new(&noise(1), None).await;
            {
                let mut source = rig.source.lock().expect("whole");
                (source.in_pieces, source.in_chunks) = (pieces, !pieces);
            }
            let part = rig.intake.pull_item(&phone(), item("22", "Song", listed)).await.expect("opened");
            let stop = CancellationToken::new();
            let fetched = fetch(&Client::new(), &rig.url, &rig.allow, part, &stop).await.expect("fetched");
            let Fetched::Whole(mut part) = fetched else { panic!("{pieces} {fetched:?}") };
            assert_eq!(part.tail(200_000).await.expect("read"), noise(1));
        }
    }
}
