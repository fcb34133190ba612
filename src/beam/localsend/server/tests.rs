//! The routes without a network: requests go straight into the router.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use http_body_util::BodyExt;
use sha2::Digest;
use tempfile::TempDir;
use tower_service::Service;

use super::*;
use crate::beam::localsend::sessions::{Sessions, Who as Who_};
use crate::intake::tests::with_config;
use crate::intake::{IntakeConfig, Take};
use crate::offer::Caller;
use crate::offer::push::Push;

struct Bench {
    app: Router,
    intake: Intake,
    sessions: Arc<Sessions>,
    folder: TempDir,
}

/// Who asks: the last number of the address, and a certificate.
#[derive(Debug, Clone, Copy)]
struct Who(u8, Option<&'static str>);

const YUKI: Who = Who(9, None);
/// Speaks without TLS.
const PLAIN: Who = Who(98, None);
/// Asks under another name than the box's.
const STRAYED: Who = Who(99, None);

impl Bench {
    async fn new(push: Push) -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let intake =
            with_config(folder.path(), IntakeConfig { push, ..IntakeConfig::new(Take::Music) }).await;
        let sessions = Arc::new(Sessions::default());
        let (_name, alias) = tokio::sync::watch::channel("Living Room".into());
        let fingerprint = "AB".into();
        let (port, bodies) = (53317, Bodies::default());
        let (unproved, _nobody_asks) = mpsc::channel(1);
        let desk = Desk {
            alias,
            fingerprint,
            port,
            intake: intake.clone(),
            sessions: sessions.clone(),
            bodies,
            unproved,
        };
        Bench { app: router(desk, Hosts::new(&[])), intake, sessions, folder }
    }

    async fn ask(&self, who: Who, method: &str, path: &str, body: Body) -> (u16, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/localsend/{path}"))
            .header(header::HOST, if who.0 == STRAYED.0 { "evil.example" } else { "localhost" })
            .body(body)
            .expect("right");
        request.extensions_mut().insert(Peer(SocketAddr::from(([10, 77, 0, who.0], 4000))));
        if who.0 != PLAIN.0 {
            request.extensions_mut().insert(Private);
        }
        if let Some(sum) = who.1 {
            request.extensions_mut().insert(PeerCertificate(sum.into()));
        }
        let answer = self.app.clone().call(request).await.expect("infallible");
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn prepare(&self, who: Who, files: Value) -> (u16, Value) {
        self.prepare_with(who, files, "").await
    }

    async fn prepare_with(&self, who: Who, files: Value, query: &str) -> (u16, Value) {
        let body = json!({ "info": { "alias": "Yuki", "version": "2.1", "fingerprint": "x", "port": 53317, "protocol": "https" }, "files": files });
        self.ask(who, "POST", &format!("v2/prepare-upload{query}"), Body::from(body.to_string())).await
    }

    async fn upload(&self, who: Who, session: &Value, file: &str, body: impl Into<Body>) -> u16 {
        let token = session["files"][file].as_str().unwrap_or("none");
        let id = session["sessionId"].as_str().unwrap_or("none");
        let path = format!("v2/upload?sessionId={id}&fileId={file}&token={token}");
        self.ask(who, "POST", &path, body.into()).await.0
    }

    fn staged(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("music/.konpo/staging")).expect("there").count()
    }
}

fn file(name: &str, bytes: &[u8]) -> Value {
    let sum: String = sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "id": name, "fileName": name, "size": bytes.len(), "fileType": "audio/flac", "sha256": sum })
}

fn song(n: usize) -> Vec<u8> {
    format!("no song at all, number {n}").into_bytes()
}

#[tokio::test]
async fn it_says_who_it_is_to_old_and_new_apps() {
    let bench = Bench::new(Push::Ask).await;
    for path in ["v1/info", "v2/info?fingerprint=cd"] {
        let (status, info) = bench.ask(YUKI, "GET", path, Body::empty()).await;
        let want = json!({ "alias": "Living Room", "version": "2.2", "deviceModel": "konpo", "deviceType": "headless", "fingerprint": "AB", "download": false });
        assert_eq!((status, info), (200, want), "{path}");
    }
    assert_eq!(bench.ask(YUKI, "GET", "v2/info?fingerprint=ab", Body::empty()).await.0, 412, "our own");
    for (body, want) in [
        (r#"{"alias":"a","fingerprint":"cd","port":1,"protocol":"http"}"#, 200),
        (r#"{"alias":"a","fingerprint":"AB"}"#, 412),
        (r#"{"alias":7}"#, 400),
        ("", 400),
    ] {
        assert_eq!(bench.ask(YUKI, "POST", "v2/register", Body::from(body)).await.0, want, "{body}");
    }
    // Who takes files is listed when it is plain, or proves by its certificate who it is; our own and what cannot be reached never.
    let listed = || {
        let all = bench.intake.receivers();
        all.iter().map(|one| (one.name.clone(), one.address.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(listed(), [("a".to_owned(), "10.77.0.9:1".to_owned())]);
    let knows = Who(8, Some("ef01"));
    for (who, fingerprint, port) in
        [(knows, "EF01", 7), (knows, "ef02", 8), (YUKI, "ef01", 9), (knows, "ef01", 0)]
    {
        let body = json!({ "alias": "K\u{7}e\u{202e}n", "fingerprint": fingerprint, "port": port, "protocol": "https" });
        assert_eq!(bench.ask(who, "POST", "v2/register", Body::from(body.to_string())).await.0, 200);
    }
    assert_eq!(listed().len(), 2);
    assert_eq!(listed()[0], ("Ken".to_owned(), "10.77.0.8:7".to_owned()));
    for (method, path, want) in [
        ("POST", "v3/register", 404),
        ("GET", "v2/nothing", 404),
        ("POST", "v2/prepare-download", 403),
        ("GET", "v2/download", 403),
        ("GET", "v2/upload", 405),
    ] {
        assert_eq!(bench.ask(YUKI, method, path, Body::empty()).await.0, want, "{path}");
    }
}

#[tokio::test]
async fn files_come_in_and_a_token_is_good_once() {
    let bench = Bench::new(Push::Always).await;
    let (status, session) = bench
        .prepare(YUKI, json!({ "1": file("夜/a.flac", &song(1)), "2": file("夜/a.flac", &song(2)) }))
        .await;
    assert_eq!((status, session["files"].as_object().map(Map::len)), (200, Some(2)), "{session}");
    assert_eq!(
        bench.prepare(YUKI, json!({ "3": file("b.flac", &song(3)) })).await.0,
        409,
        "one session for a sender"
    );
    assert_eq!(
        bench.prepare(Who(10, None), json!({ "3": file("b.flac", &song(3)) })).await.0,
        200,
        "another sender"
    );
    assert_eq!(bench.upload(Who(11, None), &session, "1", song(1)).await, 403, "another address");
    assert_eq!(bench.upload(YUKI, &session, "3", song(3)).await, 403, "a file nobody knows");
    assert_eq!(bench.ask(YUKI, "POST", "v2/upload?sessionId=x", Body::empty()).await.0, 400);
    assert_eq!(bench.upload(YUKI, &session, "1", song(1)).await, 200);
    assert_eq!(bench.upload(YUKI, &session, "1", song(1)).await, 403, "twice");
    assert_eq!(bench.upload(YUKI, &session, "2", song(2)).await, 200);
    assert_eq!(bench.staged(), 2, "the same name twice");
    assert_eq!(bench.upload(YUKI, &session, "2", song(2)).await, 403, "it is over");
    assert_eq!(
        bench.prepare(YUKI, json!({ "3": file("b.flac", &song(3)) })).await.0,
        200,
        "and the next begins"
    );
}

#[tokio::test]
async fn a_wrong_sum_may_be_sent_three_times() {
    let bench = Bench::new(Push::Always).await;
    let (_, session) =
        bench.prepare(YUKI, json!({ "1": file("a.flac", &song(1)), "2": file("b.flac", &song(2)) })).await;
    let wrong = || vec![b'x'; song(1).len()];
    assert_eq!(bench.upload(YUKI, &session, "1", wrong()).await, 422);
    assert_eq!(bench.upload(YUKI, &session, "1", wrong()).await, 422);
    assert_eq!(bench.upload(YUKI, &session, "1", wrong()).await, 422);
    assert_eq!(bench.upload(YUKI, &session, "1", song(1)).await, 403, "it was tried three times");
    assert_eq!(bench.upload(YUKI, &session, "2", song(1)[..5].to_vec()).await, 500, "too short");
    let (_, again) =
        bench.prepare(YUKI, json!({ "1": file("a.flac", &song(1)), "2": file("b.flac", &song(2)) })).await;
    let mut long = song(1);
    long.push(0);
    assert_eq!(bench.upload(YUKI, &again, "1", long).await, 500, "too long");
    let breaks = futures_util::stream::iter([Ok(song(2)[..5].to_vec()), Err("cut")]);
    assert_eq!(bench.upload(YUKI, &again, "2", Body::from_stream(breaks)).await, 500, "broke off");
    for _ in 0..200 {
        if bench.staged() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} files are left", bench.staged());
}

/// Yuki begins to send a song of a session and goes on for ever.
async fn half_a_song(bench: &Arc<Bench>, session: &Value) -> tokio::task::JoinHandle<u16> {
    let (other, given) = (bench.clone(), session.clone());
    let endless = futures_util::stream::iter([Ok::<_, std::io::Error>(song(1)[..5].to_vec())])
        .chain(futures_util::stream::pending());
    let coming =
        tokio::spawn(async move { other.upload(YUKI, &given, "1", Body::from_stream(endless)).await });
    while bench.staged() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    coming
}

#[tokio::test]
async fn a_cancel_ends_its_own_session_whatever_is_under_way() {
    let bench = Arc::new(Bench::new(Push::Always).await);
    let (_, session) = bench.prepare(YUKI, json!({ "1": file("a.flac", &song(1)) })).await;
    let id = session["sessionId"].as_str().expect("a session").to_owned();
    let coming = half_a_song(&bench, &session).await;
    let cancel = format!("v2/cancel?sessionId={id}");
    assert_eq!(bench.ask(Who(10, None), "POST", &cancel, Body::empty()).await.0, 200, "always");
    assert_eq!(
        bench.prepare(YUKI, json!({ "1": file("a.flac", &song(1)) })).await.0,
        409,
        "but only the sender ends it"
    );
    assert_eq!(bench.ask(YUKI, "POST", &cancel, Body::empty()).await.0, 200);
    assert_eq!(coming.await.expect("no panic"), 500);
    assert_eq!(bench.upload(YUKI, &session, "1", song(1)).await, 403);
    assert_eq!(bench.prepare(YUKI, json!({ "1": file("a.flac", &song(1)) })).await.0, 200);
}

#[tokio::test]
async fn a_question_is_held_open_answered_and_taken_back() {
    let bench = Arc::new(Bench::new(Push::Ask).await);
    for (n, end) in ["yes", "no", "cancelled", "gone"].into_iter().enumerate() {
        // A no holds for a while.
        let who = Who(20 + n as u8, None);
        let other = bench.clone();
        let waiting =
            tokio::spawn(async move { other.prepare(who, json!({ "1": file("a.flac", &song(1)) })).await });
        let mut waited = 0;
        let request = loop {
            bench.intake.tests_publish();
            if let Some(request) = bench.intake.board().borrow().asks.first().cloned() {
                break request;
            }
            waited += 1;
            assert!(waited < 1000, "nobody is asked");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert_eq!(
            bench.prepare(who, json!({ "1": file("a.flac", &song(1)) })).await.0,
            409,
            "while it waits"
        );
        match end {
            "yes" | "no" => {
                bench.intake.answer(&Caller::itself(), request.id, end == "yes").expect("answered")
            }
            // Of 2.2: without a session.
            "cancelled" => assert_eq!(bench.ask(who, "POST", "v2/cancel", Body::empty()).await.0, 200),
            _ => waiting.abort(),
        }
        match end {
            "yes" => assert_eq!(waiting.await.expect("no panic").0, 200),
            "gone" => assert!(waiting.await.is_err()),
            _ => assert_eq!(waiting.await.expect("no panic").0, 403),
        }
        bench.intake.tests_publish();
        assert!(bench.intake.board().borrow().asks.is_empty(), "{end}");
        bench.sessions.end_all();
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_code() {
    let bench = Bench::new(Push::Always).await;
    for files in [
        json!({}),
        json!([]),
        json!({ "1": { "fileName": "a" } }),
        json!({ "1": file("../a.flac", b"x") }),
        json!({ "1": file("/etc/a", b"x") }),
    ] {
        let (status, body) = bench.prepare(YUKI, files.clone()).await;
        assert_eq!((status, body["message"].is_string()), (400, true), "{files}: {body}");
    }
    assert_eq!(bench.ask(YUKI, "POST", "v2/prepare-upload", Body::from("{")).await.0, 400);
    assert_eq!(
        bench.ask(YUKI, "POST", "v2/prepare-upload", Body::from(vec![b' '; LARGEST_JSON + 1])).await.0,
        413
    );
    assert_eq!(bench.prepare(YUKI, json!({ "1": file("a.jpg", b"x") })).await.0, 204, "nothing to be sent");
    let text = json!({ "1": { "id": "1", "fileName": "x.txt", "size": 5, "fileType": "text/plain", "preview": "hello" } });
    assert_eq!(bench.prepare(YUKI, text).await.0, 204, "a text is shown");
    let never = Bench::new(Push::Never).await;
    assert_eq!(never.prepare(YUKI, json!({ "1": file("a.flac", b"x") })).await.0, 403);
    let huge =
        json!({ "1": { "id": "1", "fileName": "a.wav", "size": 7_u64 << 30, "fileType": "audio/wav" } });
    let many: Map<String, Value> = (0..100).map(|n| (n.to_string(), huge["1"].clone())).collect();
    let (status, body) = bench.prepare(YUKI, many.into()).await;
    assert_eq!(status, 500, "there is no room: {body}");
    let mut request = Request::post("/api/localsend/v2/cancel")
        .header(header::HOST, "localhost")
        .header(header::ORIGIN, "http://evil.example")
        .body(Body::empty())
        .expect("right");
    request.extensions_mut().insert(Peer(SocketAddr::from(([10, 77, 0, 9], 4000))));
    assert_eq!(bench.app.clone().call(request).await.expect("infallible").status(), 403);
}

#[tokio::test]
async fn pins_are_asked_for_counted_and_pair() {
    let bench = Bench::new(Push::Paired).await;
    let files = || json!({ "1": file("a.flac", &song(1)) });
    let yuki = Who(9, Some("aa"));
    let (pin, _) = bench.intake.set_pin(&Caller::itself()).expect("set");
    for _ in 0..5 {
        assert_eq!(bench.prepare(yuki, files()).await.0, 401, "missing is not counted");
    }
    for _ in 0..3 {
        assert_eq!(bench.prepare_with(yuki, files(), "?pin=x").await.0, 401);
    }
    assert_eq!(bench.prepare_with(yuki, files(), &format!("?pin={pin}")).await.0, 429);
    assert_eq!(bench.prepare_with(Who(10, Some("bb")), files(), &format!("?pin={pin}")).await.0, 200);
    assert_eq!(bench.intake.devices(&Caller::itself()).await.expect("read").len(), 1);
    assert_eq!(
        bench.prepare_with(Who(11, Some("cc")), files(), &format!("?pin={pin}")).await.0,
        403,
        "it was good for one device"
    );
    // Whoever has no certificate is let in, and not known the next time; a PIN that others hear is not looked at.
    let (pin, _) = bench.intake.set_pin(&Caller::itself()).expect("a new one");
    let said = format!("?pin={pin}");
    let (status, body) = bench.prepare_with(PLAIN, files(), &said).await;
    assert!(status == 401 && body["message"].as_str().is_some_and(|words| words.contains("https")), "{body}");
    assert_eq!(bench.prepare_with(Who(11, None), files(), &said).await.0, 200);
    assert_eq!(bench.intake.devices(&Caller::itself()).await.expect("read").len(), 1);
}

#[tokio::test]
async fn errors_of_every_kind_say_why_as_the_apps_read_it() {
    let bench = Bench::new(Push::Always).await;
    let long = || Body::from(vec![b' '; LARGEST_JSON + 1]);
    for (who, method, path, body, want) in [
        (YUKI, "POST", "v2/prepare-upload?pin=1&pin=2", Body::empty(), 400),
        (YUKI, "GET", "v2/info?fingerprint=1&fingerprint=2", Body::empty(), 400),
        (YUKI, "POST", "v2/prepare-upload", long(), 413),
        (YUKI, "POST", "v2/register", Body::from(vec![b' '; LARGEST_REGISTER + 1]), 413),
        (YUKI, "GET", "v2/upload", Body::empty(), 405),
        (YUKI, "POST", "v2/upload", Body::empty(), 400),
        (STRAYED, "GET", "v2/info", Body::empty(), 421),
    ] {
        let (status, said) = bench.ask(who, method, path, body).await;
        let words = said["message"].as_str().unwrap_or_default();
        assert!(status == want && words.len() > 5, "{method} {path}: {status} {said}");
        assert!(!words.contains('{'), "{words}");
    }
    assert_eq!(
        bench.ask(YUKI, "GET", "v3/nonce", Body::empty()).await,
        (404, Value::Null),
        "and nothing else"
    );
}

#[tokio::test]
async fn many_questions_at_once_are_read_few_at_a_time_and_nobody_else_waits() {
    let bench = Arc::new(Bench::new(Push::Always).await);
    // Each brings most of 8 MiB and never its end.
    let endless = || {
        let some = (0..40).map(|_| Ok::<_, std::io::Error>(vec![b' '; 64 << 10]));
        Body::from_stream(futures_util::stream::iter(some).chain(futures_util::stream::pending()))
    };
    let asks = |who: Who| {
        let bench = bench.clone();
        tokio::spawn(async move { bench.ask(who, "POST", "v2/prepare-upload", endless()).await.0 })
    };
    let of_one: Vec<_> = (0..64).map(|_| asks(YUKI)).collect();
    let of_many: Vec<_> = (100..150).map(|n| asks(Who(n, None))).collect();
    let mut answered = 0;
    for _ in 0..4000 {
        answered = of_one.iter().filter(|one| one.is_finished()).count();
        if answered >= 62 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(answered >= 62, "only two of one address are read: {answered} were answered");
    let (status, said) = bench.prepare(Who(10, None), json!({ "1": file("a.flac", &song(1)) })).await;
    assert_eq!(status, 200, "somebody else is answered meanwhile: {said}");
    of_one.iter().for_each(|one| one.abort());
    let mut refused = 0;
    for one in of_one {
        refused += usize::from(one.await.is_ok_and(|status| status == 409));
    }
    assert_eq!(refused, 62);
    of_many.iter().for_each(|one| one.abort());
    for one in of_many {
        assert!(one.await.is_err_and(|error| error.is_cancelled()));
    }
    let (status, said) = bench.prepare(Who(11, None), json!({ "1": file("b.flac", &song(2)) })).await;
    assert_eq!(status, 200, "{said}");
}

#[tokio::test]
async fn a_phone_that_lost_its_network_begins_anew_and_a_refused_question_ends_nothing() {
    let bench = Arc::new(Bench::new(Push::Always).await);
    let (_, session) =
        bench.prepare(YUKI, json!({ "1": file("a.flac", &song(1)), "2": file("b.flac", &song(2)) })).await;
    let coming = half_a_song(&bench, &session).await;
    let id = session["sessionId"].as_str().expect("a session").to_owned();
    let address = Whence::from(std::net::IpAddr::from([10, 77, 0, 9]));
    let says = |alias: &str| (alias.to_owned(), "x".to_owned());
    let yuki = || Who_ { address, certificate: None, says: says("Yuki") };
    let ken = || Who_ { address, certificate: None, says: says("Ken") };
    let soon = Instant::now() + Duration::from_secs(1);
    let later = Instant::now() + Duration::from_secs(60);
    assert!(bench.sessions.wait(yuki(), soon).is_none(), "it sends");
    drop(bench.sessions.wait(ken(), soon).expect("another device behind the same address"));
    drop(bench.sessions.wait(yuki(), later).expect("nothing came since, though nobody ended it"));
    assert!(bench.sessions.find(&id, address).is_some(), "a question alone ends nothing");
    // A question whose network went is replaced by the same device's, by no other's.
    let first = bench.sessions.wait(yuki(), later).expect("it asks");
    assert!(bench.sessions.wait(yuki(), later + Duration::from_secs(1)).is_none(), "twice at once");
    assert!(
        bench.sessions.wait(ken(), later + Duration::from_secs(9)).is_none(),
        "one question for an address"
    );
    let second = bench.sessions.wait(yuki(), later + Duration::from_secs(9)).expect("anew");
    assert!(first.cancelled.is_cancelled() && !second.cancelled.is_cancelled());
    drop(first);
    assert!(bench.sessions.wait(ken(), later + Duration::from_secs(9)).is_none(), "the second still waits");
    drop(second);
    // One that is let in ends what the same device left.
    let files = vec![Sent { name: "c.flac".into(), size: ByteCount(5), mime: String::new(), sha256: None }];
    let sender = Sender { way: "localsend", key: None, name: "Yuki".into(), address: address.address };
    let delivery = bench.intake.offer(sender, files, None).await.expect("let in");
    bench.sessions.open(yuki(), delivery, vec![("1".into(), 0)], later);
    assert!(bench.sessions.find(&id, address).is_none());
    assert_eq!(coming.await.expect("no panic"), 500);
}

#[tokio::test]
async fn names_that_mean_harm_are_refused_or_mended_and_nothing_lies_in_staging() {
    use crate::hostile_names::{climbing, odd};
    let bench = Bench::new(Push::Always).await;
    for name in climbing() {
        let (status, said) = bench.prepare(YUKI, json!({ "1": file(&name, b"x") })).await;
        assert!(status == 400 && said["message"].is_string(), "{name:?}: {status} {said}");
    }
    let mut taken = 0;
    for name in odd() {
        let files = json!({ "1": { "id": "1", "fileName": name, "size": 1, "fileType": "audio/flac" } });
        let (status, session) = bench.prepare(YUKI, files).await;
        // 204: by its name it is no music, and need not be sent.
        assert!([200, 204, 400].contains(&status), "{name:?}: {status} {session}");
        if status == 200 {
            taken += 1;
            assert_eq!(bench.upload(YUKI, &session, "1", "x").await, 200, "{name:?}");
        }
    }
    assert!(taken > 150, "{taken}");
    let parts: Vec<String> = std::fs::read_dir(bench.folder.path().join("music/.konpo/staging"))
        .expect("there")
        .map(|part| part.expect("there").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(parts.len(), taken, "nobody works here");
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '.';
    assert!(parts.iter().all(|part| part.len() <= 40 && part.chars().all(plain)), "{parts:?}");
    let top = std::fs::read_dir(bench.folder.path()).expect("there").count();
    assert_eq!(top, 2, "music and data");
}
