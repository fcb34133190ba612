//! Who may read what, through the router: rights of every route, and no byte that names a buyer to anybody but the owner.

mod files;
mod fixtures;
mod media_server;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use konpo::http::server::PeerCred;
use konpo::library::NewCopy;
use konpo::media::sniff::sniff;
use konpo::media::sound::Sound;
use konpo::offer::{Key, Right};
use konpo::track::blank::Blank;
use konpo::web::routes::table;
use tower_service::Service;

use crate::api::{Bench, arrival, shelve};
use crate::mint::{self, buys};
use crate::rights::fixtures::{NUMBERS, PERSONAL, awkward, long_ogg, numbers_told, of_rows, told};

/// Who asks: nobody known, a paired device by its cookie, an owner's device by its cookie, the local socket.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Who {
    Room,
    Member,
    Owner,
    Local,
}

const OTHERS: [Who; 2] = [Who::Room, Who::Member];
const ALL: [Who; 4] = [Who::Room, Who::Member, Who::Owner, Who::Local];

impl Who {
    fn right(self) -> Right {
        match self {
            Who::Room => Right::Room,
            Who::Member => Right::Member,
            Who::Owner | Who::Local => Right::Owner,
        }
    }

    fn cookie(self) -> Option<&'static str> {
        match self {
            Who::Member => Some("the-phone"),
            Who::Owner => Some("the-owners-phone"),
            _ => None,
        }
    }
}

/// A box with a paired device and an owner's device.
async fn paired() -> Bench {
    let bench = Bench::new().await.expect("started");
    for who in [Who::Member, Who::Owner] {
        let cookie = who.cookie().expect("a device");
        let key = Key::Cookie(blake3::hash(cookie.as_bytes()).to_hex().to_string());
        bench.library.add_device(key, "a device".into(), who.right()).await.expect("paired");
    }
    bench
}

/// The answer, and all that was said; of a stream its first events.
async fn ask(
    bench: &mut Bench,
    who: Who,
    method: &str,
    path: &str,
    headers: &[(header::HeaderName, &str)],
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    if let Some(cookie) = who.cookie() {
        request = request.header(header::COOKIE, format!("a=b; konpo={cookie}"));
    }
    let mut request = request.body(Body::empty()).expect("a request");
    if who == Who::Local {
        request.extensions_mut().insert(PeerCred { uid: 0, gid: 0 });
    }
    let (head, mut body) = bench.app.call(request).await.expect("infallible").into_parts();
    if head.headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "text/event-stream") {
        let bytes = body.collect().await.expect("a body").to_bytes().to_vec();
        return (head.status, head.headers, bytes);
    }
    let mut bytes = Vec::new();
    // State, queue, library, and for a paired device the board.
    for _ in 0..3 + usize::from(who.right() >= Right::Member) {
        let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await.expect("an event");
        let frame = frame.expect("a stream").expect("in order").into_data().expect("bytes");
        bytes.extend_from_slice(&frame);
    }
    (head.status, head.headers, bytes)
}

fn example(path: &str, id: usize, size: &str) -> String {
    let file = if path.contains("/art/") { size.to_owned() } else { format!("{id}.bin") };
    path.replace("{id}", &id.to_string())
        .replace("{file}", &file)
        .replace("{what}", "look")
        .replace("{token}", "X")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_exactly_those_below_its_right() {
    let mut bench = paired().await;
    let mut tried = 0;
    for route in table() {
        for who in ALL {
            let may = who.right() >= route.right;
            // Asking the neighbourhood needs somebody who serves it; the right is decided before.
            if may
                && route.right == Right::Owner
                && (route.path.contains("neighbours") || route.path == "/api/search")
            {
                continue;
            }
            let method = route.method.to_ascii_uppercase();
            let path = example(route.path, 77, "160.jpg");
            let (status, _, body) = ask(&mut bench, who, &method, &path, &[]).await;
            assert_eq!(status == StatusCode::FORBIDDEN, !may, "{who:?} {method} {path}: {status}");
            if !may {
                let body = String::from_utf8_lossy(&body).into_owned();
                assert!(body.contains("\"not_allowed\""), "{who:?} {method} {path}: {body}");
            }
            tried += 1;
        }
    }
    assert!(tried >= 4 * table().len() - 20, "only {tried} were tried");
    println!("{tried} pairs of a route and a right");
    bench.end().await;
}

/// Lines of the log, at every level, that name a buyer. One log serves all tests of this program.
fn logged() -> &'static Mutex<BTreeSet<String>> {
    static FOUND: OnceLock<Mutex<BTreeSet<String>>> = OnceLock::new();
    struct Watch;
    impl Write for Watch {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            if !told(line).is_empty() {
                let mut found = logged().lock().unwrap_or_else(PoisonError::into_inner);
                found.insert(String::from_utf8_lossy(line).into_owned());
            }
            Ok(line.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    FOUND.get_or_init(|| {
        let all = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(|| Watch);
        assert!(all.try_init().is_ok(), "another test keeps a log");
        Mutex::default()
    })
}

/// What is written in a picture; in the music file it stays.
const SIGNED: &[u8] = b"painter@example.com";

/// A JPEG that says whose it is.
fn signed_cover() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture =
        image::DynamicImage::ImageRgb8(image::RgbImage::from_pixel(64, 64, image::Rgb([200, 8, 8])));
    picture.write_to(&mut bytes, image::ImageFormat::Jpeg).expect("encoded");
    let bytes = bytes.into_inner();
    let words = SIGNED;
    let comment = [&[0xff, 0xfe, 0, words.len() as u8 + 2][..], words].concat();
    [&bytes[..2], &comment, &bytes[2..]].concat()
}

/// What is asked of a route behind its path.
fn queries(path: &str, parameters: &[&str], songs: usize) -> Vec<String> {
    if path.ends_with("/export.zip") {
        let ids: Vec<String> = (1..=songs).map(|id| id.to_string()).collect();
        let tracks = format!("?tracks={}", ids.join(","));
        let receipts = format!("{tracks}&receipts");
        return vec![tracks, receipts, "?all".into(), "?all&leave&receipts".into(), "?purchases".into()];
    }
    if path.ends_with("/purchases") {
        return vec!["?limit=500".into()];
    }
    let words = ["?limit=500", "?q=user%40example.com", "?q=song"];
    let words = if parameters.contains(&"q") { &words[..] } else { &[""] };
    words.iter().map(|query| (*query).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_names_a_buyer_to_anybody_but_the_owner() {
    // Before anything is read.
    logged();
    let mut bench = paired().await;
    // Some of the files are one song.
    let (mut count, mut songs) = (0, 0);
    for file in of_rows().into_iter().chain(awkward()).filter(|file| file.sounds || !file.served) {
        count += 1;
        let new = arrival(&bench.library, count, &format!("{count}.{}", file.extension), &file.bytes);
        // Most have the same sound, which would make them one track.
        let added = bench.library.add(NewCopy { fingerprint: None, ..new }).await.expect("added");
        songs = songs.max(added.track.0 as usize);
    }
    let apic = mint::frame(b"APIC", &[b"\0image/jpeg\0\x03\0", &signed_cover()[..]].concat());
    let frames = [mint::frame(b"TIT2", b"\0Covered"), apic, buys::user_text("APID", "user@example.com")];
    count += 1;
    let covered = [mint::tag(b"ID3", &frames.concat()), mint::mp3_frames().repeat(3)].concat();
    shelve(&bench.library, count, "covered.mp3", &covered).await;
    songs += 1;
    let count = count as usize;
    let (mut asked, mut covers, mut archives, mut told_to_owner) = (0, 0, 0, BTreeSet::new());
    for route in table() {
        // An owner's POST and DELETE change the box; those of others are refused in words, or do nothing without a body.
        for who in if route.method == "get" { &ALL[..] } else { &OTHERS[..] } {
            let ids =
                if route.path.contains("{id}") || route.path.contains("{file}") { 1..=count } else { 1..=1 };
            for id in ids {
                let path = example(route.path, id, "300.jpg");
                let queries = queries(route.path, route.query, songs);
                for query in queries {
                    let path = format!("{path}{query}");
                    let method = route.method.to_ascii_uppercase();
                    let (status, headers, body) = ask(&mut bench, *who, &method, &path, &[]).await;
                    let head = format!("{headers:?}");
                    asked += 1;
                    if route.path.contains("/art/") {
                        assert!(
                            memchr::memmem::find(&body, SIGNED).is_none(),
                            "{path}: the picture was not made anew"
                        );
                    }
                    covers += usize::from(route.path.contains("/art/") && status == StatusCode::OK);
                    let is_members = who.right() == Right::Member && status == StatusCode::OK;
                    if route.path.ends_with(".zip") && is_members {
                        archives += usize::from(body.len() > 100_000);
                    }
                    if who.right() == Right::Owner {
                        told_to_owner.extend(told(&body));
                        told_to_owner.extend(numbers_told(&body));
                        continue;
                    }
                    assert_eq!(numbers_told(&body), [""; 0], "{who:?} {method} {path} ({status})");
                    assert_eq!(told(&body), [""; 0], "{who:?} {method} {path} ({status})");
                    assert_eq!(told(head.as_bytes()), [""; 0], "{who:?} {method} {path}: {head}");
                    // That somebody is found is told as well; lists of names do not look at words.
                    let looks = ["/api/library/tracks", "/api/library/search"].contains(&route.path);
                    let found =
                        looks && query.contains("%40") && memchr::memmem::find(&body, b"\"id\"").is_some();
                    assert!(!found, "{who:?} finds a buyer by {path}");
                }
            }
        }
    }
    assert!(covers >= 3, "the cover was served {covers} times");
    // All that a member may take out: an archive keeps the bytes as they are.
    assert!(archives >= 1, "{archives} archives of all songs were served to a member");
    // The owner reads all of it, in one place or another.
    let wanted: BTreeSet<&str> = PERSONAL.into_iter().chain(NUMBERS).collect();
    let missing: Vec<&&str> = wanted.iter().filter(|word| !told_to_owner.contains(**word)).collect();
    assert!(missing.is_empty(), "the owner does not read {missing:?}");
    let lines = logged().lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(lines.is_empty(), "the log names a buyer: {lines:#?}");
    println!("{count} files, {asked} answers");
    bench.end().await;
}

/// Where a file's blanks lie.
fn blanks_of(bytes: &[u8]) -> Vec<Blank> {
    let mut sound = Sound::new(std::io::Cursor::new(bytes.to_vec()), Some(bytes.len() as u64), None);
    konpo::media::blank::blanks(&mut sound).expect("a file for everybody")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_split_of_a_range_over_the_buyers_bytes_gives_the_served_form() {
    let mut bench = paired().await;
    let owner = "Hanako Yamada of a street with a long name, user@example.com";
    let filler = "x".repeat(255 - 80);
    let ogg = buys::ogg(&[("TITLE", &filler), ("PURCHASE_OWNER", owner)], 255);
    let files = [("a.ogg", ogg), ("b.m4a", mint::itunes_plus()), ("c.mp3", mint::amazon())];
    for (number, (name, bytes)) in (1..).zip(files) {
        shelve(&bench.library, number, name, &bytes).await;
        let path = format!("/api/media/{number}.bin");
        let (status, headers, whole) = ask(&mut bench, Who::Room, "GET", &path, &[]).await;
        assert_eq!((status, whole.len()), (StatusCode::OK, bytes.len()), "{name}");
        assert_eq!(headers[header::ACCEPT_RANGES], "bytes");
        let blanks = blanks_of(&bytes);
        assert!(blanks.len() >= 2 || name == "c.mp3", "{name}: {blanks:?}");
        for blank in blanks {
            let (from, to) = ((blank.offset.0 - 2) as usize, (blank.end() as usize + 2).min(bytes.len()));
            for split in (from + 1..to).take(120) {
                let mut both = Vec::new();
                for (first, last) in [(from, split - 1), (split, to - 1)] {
                    let range = format!("bytes={first}-{last}");
                    let (status, _, part) =
                        ask(&mut bench, Who::Member, "GET", &path, &[(header::RANGE, &range)]).await;
                    assert_eq!(status, StatusCode::PARTIAL_CONTENT, "{name} {range}");
                    both.extend(part);
                }
                assert_eq!(both, whole[from..to], "{name}: split at {split}");
            }
        }
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_form_has_its_own_tag_and_answers_ranges_and_head() {
    let mut bench = paired().await;
    let bytes = mint::itunes_plus();
    shelve(&bench.library, 1, "a.m4a", &bytes).await;
    shelve(&bench.library, 2, "b.flac", &mint::data("tone.flac")).await;
    let mut forms = Vec::new();
    for who in ALL {
        let (status, headers, body) = ask(&mut bench, who, "GET", "/api/media/1.m4a", &[]).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body == bytes, who.right() == Right::Owner, "{who:?}");
        let etag = headers[header::ETAG].to_str().expect("text").to_owned();
        let (status, of_head, nothing) = ask(&mut bench, who, "HEAD", "/api/media/1.m4a", &[]).await;
        assert_eq!((status, nothing.len()), (StatusCode::OK, 0));
        for name in [header::ETAG, header::CONTENT_LENGTH, header::CONTENT_TYPE, header::VARY] {
            assert_eq!(of_head.get(&name), headers.get(&name), "{who:?}: {name}");
        }
        let known = ask(&mut bench, who, "GET", "/api/media/1.m4a", &[(header::IF_NONE_MATCH, &etag)]).await;
        assert_eq!((known.0, known.2.len()), (StatusCode::NOT_MODIFIED, 0));
        forms.push((who, etag, body));
    }
    assert_eq!(forms[0].1, forms[1].1, "room and member read the same form");
    assert_eq!(forms[2].1, forms[3].1, "both owners read the same form");
    assert_ne!(forms[0].1, forms[2].1, "the owner's form has the same tag");
    // A part goes on only with the form it was begun with.
    for (who, own, body) in &forms {
        for (_, etag, _) in &forms {
            let headers = [(header::RANGE, "bytes=100-"), (header::IF_RANGE, etag.as_str())];
            let (status, _, part) = ask(&mut bench, *who, "GET", "/api/media/1.m4a", &headers).await;
            let want = if etag == own {
                (StatusCode::PARTIAL_CONTENT, &body[100..])
            } else {
                (StatusCode::OK, &body[..])
            };
            assert_eq!((status, &part[..]), want, "{who:?} with {etag}");
            let known = [(header::IF_NONE_MATCH, etag.as_str())];
            let (status, ..) = ask(&mut bench, *who, "GET", "/api/media/1.m4a", &known).await;
            assert_eq!(status == StatusCode::NOT_MODIFIED, etag == own, "{who:?} with {etag}");
        }
    }
    // What names nobody has one form.
    let mut plain = BTreeSet::new();
    for who in ALL {
        let (_, headers, body) = ask(&mut bench, who, "GET", "/api/media/2.flac", &[]).await;
        assert_eq!(body, mint::data("tone.flac"), "{who:?}");
        plain.insert(headers[header::ETAG].to_str().expect("text").to_owned());
    }
    assert_eq!(plain.len(), 1, "{plain:?}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_may_not_leave_is_refused_in_words_and_the_owners() {
    let two = awkward().into_iter().find(|file| !file.served).expect("one of them");
    let files = [
        ("locked.m4p", mint::itunes_locked(), "protect"),
        ("phone.3g2", mint::locks::copy_guarded(&mint::data("tone-aac.m4a")), ""),
        ("two.ogg", two.bytes, "not known"),
    ];
    for (name, bytes, words) in files {
        // On a shelf of its own: a free song would unlock a locked one of the same name.
        let mut bench = paired().await;
        shelve(&bench.library, 1, name, &bytes).await;
        for who in ALL {
            for method in ["GET", "HEAD"] {
                let (status, headers, body) = ask(&mut bench, who, method, "/api/media/1.bin", &[]).await;
                if who.right() == Right::Owner {
                    assert_eq!(status, StatusCode::OK, "{name} {who:?}");
                    assert!(method == "HEAD" || body == bytes, "{name}: the owner's bytes are others");
                    continue;
                }
                assert_eq!(status, StatusCode::FORBIDDEN, "{name} {who:?}");
                if method == "GET" {
                    let said = String::from_utf8_lossy(&body).into_owned();
                    assert!(
                        said.contains("only the owner may read this file")
                            && said.to_lowercase().contains(words),
                        "{name}: {said}"
                    );
                    assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
                }
            }
        }
        bench.end().await;
    }
}

/// The one file of music below a folder.
fn the_file(folder: &Path, extension: &str) -> Option<PathBuf> {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                return Some(path);
            }
        }
    }
    None
}

fn music(bench: &Bench) -> PathBuf {
    let staging = bench.library.staging_dir().expect("online");
    staging.ancestors().nth(2).expect("a music folder").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_tagged_anew_in_place_is_looked_at_again() {
    let mut bench = paired().await;
    // Of the same length, and the buyer stands elsewhere.
    let first = buys::flac(&[("TITLE", "Song"), ("PURCHASE_OWNER", "user@example.com")]);
    let then = buys::flac(&[("PURCHASE_OWNER", "user@example.com"), ("TITLE", "Song")]);
    assert_eq!(first.len(), then.len());
    shelve(&bench.library, 1, "a.flac", &first).await;
    let path = the_file(&music(&bench), "flac").expect("it is there");
    let (_, before, body) = ask(&mut bench, Who::Room, "GET", "/api/media/1.flac", &[]).await;
    assert_eq!(told(&body), [""; 0]);
    let modified = std::fs::metadata(&path).and_then(|about| about.modified()).expect("a time");
    std::fs::write(&path, &then).expect("room");
    // Some programs put the time back.
    std::fs::File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_modified(modified))
        .expect("ours");
    let (status, after, body) = ask(&mut bench, Who::Room, "GET", "/api/media/1.flac", &[]).await;
    assert_eq!((status, body.len()), (StatusCode::OK, then.len()));
    assert_eq!(told(&body), [""; 0]);
    assert_ne!(before[header::ETAG], after[header::ETAG], "another form has the same tag");
    let (_, _, body) = ask(&mut bench, Who::Owner, "GET", "/api/media/1.flac", &[]).await;
    assert_eq!(body, then);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adopted_files_are_served_without_their_buyer_too() {
    let mut bench = paired().await;
    let folder = music(&bench).join("Adopted");
    std::fs::create_dir_all(&folder).expect("room");
    let mut put = 0;
    for (number, file) in of_rows().into_iter().chain(awkward()).enumerate() {
        let name = format!("{number}.{}", file.extension);
        // Some have no sound that a scan takes for music; what has to be read of others is more than a scan reads.
        if file.sounds && file.bytes.len() < 1 << 20 {
            std::fs::write(folder.join(&name), &file.bytes).expect("room");
            put += 1;
        }
    }
    std::fs::write(folder.join("long.ogg"), long_ogg()).expect("room");
    put += 1;
    bench.library.start_scanning().expect("a thread");
    let mut progress = bench.library.scanning();
    let done = progress.wait_for(|progress| progress.passes >= 1 && !progress.scanning);
    tokio::time::timeout(Duration::from_secs(60), done).await.expect("in time").expect("it runs");
    let mut revision = bench.library.revision();
    let wait = revision.wait_for(|_| bench.library.shelf().tracks >= put);
    let listed = tokio::time::timeout(Duration::from_secs(60), wait).await;
    listed
        .unwrap_or_else(|_| panic!("{} of {put} tracks are listed", bench.library.shelf().tracks))
        .expect("it runs");
    for who in OTHERS {
        let (_, _, body) = ask(&mut bench, who, "GET", "/api/library/tracks?limit=500", &[]).await;
        assert_eq!(told(&body), [""; 0]);
        let list: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let ids: Vec<i64> =
            list["items"].as_array().into_iter().flatten().filter_map(|item| item["id"].as_i64()).collect();
        assert_eq!(ids.len() as u64, put);
        for id in ids {
            let (status, _, body) = ask(&mut bench, who, "GET", &format!("/api/media/{id}.bin"), &[]).await;
            assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
            assert_eq!(told(&body), [""; 0], "track {id}");
            let mut sound = Sound::new(std::io::Cursor::new(body.clone()), Some(body.len() as u64), None);
            sniff(&mut sound).expect("it is music all the same");
        }
    }
    println!("{put} adopted files");
    bench.end().await;
}
