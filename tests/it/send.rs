//! Music goes back out to a phone that speaks LocalSend as the reference has it, with TLS, on this machine alone. The phone
//! here does what each test wants; real ones stand in `tests/peers`.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use http::StatusCode;
use konpo::error::Kind;
use konpo::http::own_tls::Own;
use konpo::http::server::{PeerCertificate, serve_either};
use konpo::intake::Intake;
use konpo::lan::interfaces::Interface;
use konpo::lan::networks::Networks;
use konpo::offer::out::{Receiver, ReceiverId, SendId, SendState, Sending};
use konpo::offer::{Caller, Right, Via};
use konpo::query::export::Wanted;
use konpo::send::{Outbox, SendConfig};
use konpo::track::TrackId;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::{Bench, shelve};
use crate::mint;

fn own() -> Own {
    let made = rcgen::generate_simple_self_signed(Vec::new()).expect("made");
    Own::read(&made.cert.pem(), &made.signing_key.serialize_pem()).expect("read")
}

/// What the phone does.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Does {
    /// It takes everything.
    #[default]
    Takes,
    /// It answers the question so.
    Refuses(u16, &'static str),
    /// Somebody looks at the question, and for ever.
    Thinks,
    /// It takes all but the first file.
    Skips,
    /// So many times it finds other bytes in the first file.
    Doubts(u32),
    /// It says this of the first file.
    Fails(u16, &'static str),
    /// It takes bytes and never says that it has them.
    Hangs,
}

#[derive(Default)]
struct Desk {
    does: Does,
    /// Questions, with what stood in their query.
    asked: Vec<(HashMap<String, String>, Value)>,
    certificates: Vec<Option<String>>,
    /// Files by our ids of them.
    got: BTreeMap<String, Vec<u8>>,
    uploads: u32,
    cancelled: Vec<Option<String>>,
}

struct Phone {
    receiver: Receiver,
    desk: Arc<Mutex<Desk>>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

type Shared = State<Arc<Mutex<Desk>>>;

fn desk(desk: &Arc<Mutex<Desk>>) -> MutexGuard<'_, Desk> {
    desk.lock().expect("nobody panicked")
}

async fn prepare(
    State(state): Shared,
    certificate: Option<Extension<PeerCertificate>>,
    Query(query): Query<HashMap<String, String>>,
    Json(question): Json<Value>,
) -> Response {
    let does = {
        let mut desk = desk(&state);
        desk.certificates.push(certificate.map(|Extension(PeerCertificate(sum))| sum.to_string()));
        desk.asked.push((query, question.clone()));
        desk.does
    };
    let ids = question["files"].as_object().expect("files").keys().cloned();
    let tokens = |ids: Vec<String>| {
        let tokens: serde_json::Map<String, Value> =
            ids.into_iter().map(|id| (id.clone(), format!("t/{id}+").into())).collect();
        Json(json!({ "sessionId": "one & only", "files": tokens })).into_response()
    };
    match does {
        Does::Refuses(status, body) => {
            (StatusCode::from_u16(status).expect("a status"), body).into_response()
        }
        Does::Thinks => {
            Notify::new().notified().await;
            unreachable!("nobody notifies")
        }
        Does::Skips => tokens(ids.skip(1).collect()),
        _ => tokens(ids.collect()),
    }
}

async fn upload(State(state): Shared, Query(query): Query<HashMap<String, String>>, body: Bytes) -> Response {
    let id = query["fileId"].clone();
    assert_eq!((query["sessionId"].as_str(), &query["token"]), ("one & only", &format!("t/{id}+")));
    let (does, tries) = {
        let mut desk = desk(&state);
        desk.uploads += 1;
        (desk.does, desk.uploads)
    };
    match does {
        Does::Doubts(times) if id == "00001" && tries <= times => {
            StatusCode::UNPROCESSABLE_ENTITY.into_response()
        }
        Does::Fails(status, body) if id == "00001" => {
            (StatusCode::from_u16(status).expect("a status"), body).into_response()
        }
        Does::Hangs => {
            Notify::new().notified().await;
            unreachable!("nobody notifies")
        }
        _ => {
            desk(&state).got.insert(id, body.to_vec());
            StatusCode::OK.into_response()
        }
    }
}

async fn cancel(State(state): Shared, Query(query): Query<HashMap<String, String>>) -> StatusCode {
    desk(&state).cancelled.push(query.get("sessionId").cloned());
    StatusCode::OK
}

impl Phone {
    async fn new(name: &str, does: Does) -> Phone {
        let own = own();
        let state = Arc::new(Mutex::new(Desk { does, ..Desk::default() }));
        let limit = axum::extract::DefaultBodyLimit::max(64 << 20);
        let app = Router::new()
            .route("/api/localsend/v2/prepare-upload", post(prepare))
            .route("/api/localsend/v2/upload", post(upload))
            .route("/api/localsend/v2/cancel", post(cancel))
            .layer(limit)
            .with_state(state.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let stop = CancellationToken::new();
        let acceptor = own.acceptor().expect("set up");
        let serving = tokio::spawn(serve_either(listener, app, acceptor, stop.clone()));
        let receiver = Receiver {
            id: ReceiverId(name.to_lowercase().into()),
            name: name.into(),
            model: "Hand".into(),
            kind: "mobile".into(),
            address,
            certificate: Some(own.fingerprint().to_lowercase()),
            fingerprint: own.fingerprint().to_lowercase(),
            trouble: None,
        };
        Phone { receiver, desk: state, stop, serving }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        desk(&self.desk)
    }
}

struct House {
    bench: Bench,
    outbox: Outbox,
    stop: CancellationToken,
    ours: String,
}

impl House {
    /// A box with three songs, of which the second names its buyer and the third is locked, and a fourth.
    async fn new() -> House {
        let bench = Bench::new().await.expect("started");
        shelve(&bench.library, 1, "tone.flac", &mint::data("tone.flac")).await;
        shelve(&bench.library, 2, "plus.m4a", &mint::itunes_plus()).await;
        shelve(&bench.library, 3, "locked.wma", &mint::wm_drm("http://licence.example/")).await;
        shelve(&bench.library, 4, "tone.mp3", &mint::data("tone.mp3")).await;
        let (own, stop) = (own(), CancellationToken::new());
        let ours = own.fingerprint().to_lowercase();
        let alias = tokio::sync::watch::channel("Living Room".into()).1;
        let config = SendConfig { alias, port: 53317, own };
        let lo = Interface { name: "lo".into(), index: 1, address: Ipv4Addr::LOCALHOST, prefix: 8 };
        let networks = Networks::fixed(vec![lo], Vec::new());
        let outbox =
            Outbox::start(config, networks, bench.library.clone(), bench.intake.clone(), stop.clone());
        House { bench, outbox: outbox.expect("the first"), stop, ours }
    }

    fn intake(&self) -> &Intake {
        &self.bench.intake
    }

    async fn send(&self, right: Right, to: &Phone, tracks: &[i64]) -> SendId {
        self.send_with(right, to, tracks, None).await.expect("taken up")
    }

    async fn send_with(
        &self,
        right: Right,
        to: &Phone,
        tracks: &[i64],
        pin: Option<&str>,
    ) -> Result<SendId, Kind> {
        self.intake().heard_receiver(to.receiver.clone());
        let caller = Caller { right, device: None, via: Via::Web };
        let wanted = Wanted::Tracks(tracks.iter().copied().map(TrackId).collect());
        let sent = self.intake().send_out(&caller, &to.receiver.name, wanted, pin.map(str::to_owned)).await;
        sent.map_err(|error| error.kind())
    }

    /// Waits until something that goes out is so far.
    async fn until(&self, id: SendId, is: impl Fn(&Sending) -> bool) -> Sending {
        let mut board = self.intake().board();
        let found = board.wait_for(|board| board.sends.iter().any(|one| one.id == id && is(one)));
        let found = tokio::time::timeout(Duration::from_secs(60), found).await;
        let board = found.unwrap_or_else(|_| panic!("{:?}", self.intake().board().borrow().sends));
        let board = board.expect("the box runs").clone();
        board.sends.iter().find(|one| one.id == id).expect("found").clone()
    }

    async fn over(&self, id: SendId) -> Sending {
        self.until(id, |sending| sending.state.is_over()).await
    }

    async fn stop(&self, id: SendId) -> Result<(), Kind> {
        let caller = Caller { right: Right::Member, device: None, via: Via::Web };
        self.intake().stop_sending(&caller, id).await.map_err(|error| error.kind())
    }

    async fn end(self) {
        self.stop.cancel();
        self.outbox.stopped().await;
        drop(self.outbox);
        self.bench.end().await;
    }
}

fn code(sending: &Sending) -> (&str, &str) {
    match &sending.state {
        SendState::Failed { code, reason } => (code, reason),
        SendState::Sent => ("sent", ""),
        SendState::Stopped => ("stopped", ""),
        _ => ("under way", ""),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn songs_go_out_byte_for_byte_with_their_sums_and_what_is_locked_is_named() {
    let (house, phone) = (House::new().await, Phone::new("Yuki", Does::Takes).await);
    let sending = house.over(house.send(Right::Owner, &phone, &[4, 3, 1, 2]).await).await;
    assert_eq!(code(&sending), ("sent", ""), "{sending:?}");
    assert_eq!((sending.files, sending.sent, sending.skipped, sending.left_count), (3, 3, 0, 1));
    assert!(sending.left[0].contains("track 3): ") && sending.left[0].len() > 30, "{:?}", sending.left);
    assert_eq!(sending.bytes, sending.sent_bytes);
    {
        let desk = phone.desk();
        assert_eq!(desk.certificates, [Some(house.ours.clone())], "we show our certificate");
        let (query, question) = &desk.asked[0];
        assert!(query.is_empty());
        let info = &question["info"];
        assert_eq!((&info["alias"], &info["port"]), (&json!("Living Room"), &json!(53317)), "{info}");
        assert_eq!((&info["version"], &info["protocol"]), (&json!("2.2"), &json!("https")));
        let sources = [mint::data("tone.mp3"), mint::data("tone.flac"), mint::itunes_plus()];
        for (at, bytes) in sources.iter().enumerate() {
            let id = format!("{:05}", at + 1);
            let file = &question["files"][&id];
            let sum: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!((&file["id"], &file["sha256"]), (&json!(id), &json!(sum)), "{file}");
            assert_eq!(
                (&file["size"], desk.got.get(&id) == Some(bytes)),
                (&json!(bytes.len()), true),
                "{file}"
            );
        }
        assert_eq!(question["files"]["00002"]["fileType"], "audio/flac");
        assert!(question["files"]["00003"]["fileName"].as_str().expect("a name").contains('/'), "{question}");
    }
    // One alone comes without folders; one that is locked does not come at all.
    house.over(house.send(Right::Owner, &phone, &[1]).await).await;
    let name = phone.desk().asked[1].1["files"]["00001"]["fileName"].clone();
    assert!(name.as_str().is_some_and(|name| name.ends_with(".flac") && !name.contains('/')), "{name}");
    let locked = house.over(house.send(Right::Owner, &phone, &[3]).await).await;
    assert!(code(&locked).0 == "nothing" && code(&locked).1.contains("track 3): "), "{locked:?}");
    let gone = house.over(house.send(Right::Owner, &phone, &[99]).await).await;
    assert_eq!(code(&gone), ("nothing", "there is no track 99"));
    assert_eq!(phone.desk().asked.len(), 2);
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_than_the_owner_send_files_without_what_names_the_buyer() {
    let (house, phone) = (House::new().await, Phone::new("Yuki", Does::Takes).await);
    let told = |bytes: &[u8]| memchr::memmem::find(bytes, b"user@example.com").is_some();
    assert!(told(&mint::itunes_plus()), "it names its buyer");
    let sending = house.over(house.send(Right::Member, &phone, &[2]).await).await;
    assert_eq!(code(&sending), ("sent", ""), "{sending:?}");
    {
        let desk = phone.desk();
        let (got, sum) = (&desk.got["00001"], &desk.asked[0].1["files"]["00001"]["sha256"]);
        assert!(got.len() == mint::itunes_plus().len() && !told(got));
        let want: String = Sha256::digest(got).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(*sum, want, "the sum is of what goes out");
    }
    assert_eq!(house.send_with(Right::Room, &phone, &[1], None).await, Err(Kind::NotAllowed));
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_told_in_plain_words() {
    let house = House::new().await;
    for (does, pin, want, words) in [
        (Does::Refuses(401, ""), None, "pin", "Yuki asks for a PIN"),
        (Does::Refuses(401, ""), Some(" 1&2 "), "pin", "this is not the PIN of Yuki"),
        (Does::Refuses(403, ""), None, "declined", "Yuki said no"),
        (Does::Refuses(409, ""), None, "busy", "busy with another transfer"),
        (Does::Refuses(429, ""), None, "locked_out", "too many wrong PINs"),
        (Does::Refuses(500, r#"{"message":"Disk full"}"#), None, "failed", "Yuki: Disk full"),
        (Does::Refuses(500, "<html>"), None, "failed", "its app answers 500"),
        (Does::Refuses(404, ""), None, "failed", "its app answers 404"),
        (Does::Refuses(200, "what?"), None, "failed", "read what it wants"),
        (Does::Refuses(204, ""), None, "sent", ""),
        (Does::Skips, None, "sent", ""),
        (Does::Fails(500, r#"{"message":"No room"}"#), None, "part", "1 of 2 went out. "),
        (Does::Fails(403, ""), None, "part", "not expected there any more"),
    ] {
        let phone = Phone::new("Yuki", does).await;
        let id = house.send_with(Right::Owner, &phone, &[1, 4], pin).await.expect("taken up");
        let sending = house.over(id).await;
        assert_eq!(code(&sending).0, want, "{does:?}: {sending:?}");
        assert!(code(&sending).1.contains(words), "{does:?}: {sending:?}");
        let skipped = match does {
            Does::Refuses(204, _) => 2,
            Does::Skips => 1,
            _ => 0,
        };
        assert_eq!(sending.skipped, skipped, "{does:?}");
        assert_eq!(sending.unsent.len(), usize::from(want == "part"), "{does:?}");
        let desk = phone.desk();
        assert_eq!(desk.asked[0].0.get("pin").map(String::as_str), pin, "{does:?}");
        // What it was promised and does not get is taken back.
        let told: &[Option<String>] = if want == "part" { &[Some("one & only".into())] } else { &[] };
        assert_eq!(desk.cancelled, told, "{does:?}");
    }
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_arrives_wrong_is_sent_three_times_at_most() {
    let house = House::new().await;
    for (times, want, uploads) in [(2, "sent", 3), (9, "failed", 3)] {
        let phone = Phone::new("Yuki", Does::Doubts(times)).await;
        let sending = house.over(house.send(Right::Owner, &phone, &[1]).await).await;
        assert_eq!((code(&sending).0, phone.desk().uploads), (want, uploads), "{sending:?}");
        let whole = mint::data("tone.flac").len() as u64;
        assert_eq!(sending.sent_bytes.0, if want == "sent" { whole } else { 0 }, "{sending:?}");
    }
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_stopped_at_every_moment_from_both_ends() {
    let house = House::new().await;
    // Here, while somebody there looks at the question, and while bytes go out.
    for (does, known) in [(Does::Thinks, None), (Does::Hangs, Some("one & only".to_owned()))] {
        let phone = Phone::new("Yuki", does).await;
        let id = house.send(Right::Owner, &phone, &[1, 4]).await;
        let so_far = |sending: &Sending| match does {
            Does::Thinks => sending.state == SendState::Waiting,
            _ => sending.state == SendState::Sending,
        };
        house.until(id, so_far).await;
        assert_eq!(house.send_with(Right::Owner, &phone, &[1], None).await, Err(Kind::Busy), "one at a time");
        house.stop(id).await.expect("it runs");
        assert_eq!(code(&house.over(id).await), ("stopped", ""));
        assert_eq!(phone.desk().cancelled, [known], "{does:?}");
        assert_eq!(house.stop(id).await, Err(Kind::NotFound), "it is over");
    }
    // There, by its name of the session and from its address only.
    let phone = Phone::new("Yuki", Does::Hangs).await;
    let id = house.send(Right::Owner, &phone, &[1]).await;
    house.until(id, |sending| sending.state == SendState::Sending).await;
    let elsewhere = [10, 77, 0, 1].into();
    let here = phone.receiver.address.ip();
    for (session, address) in [("one & only", elsewhere), ("another", here)] {
        let refused = house.intake().stopped_there(session.into(), address).await.expect_err("not its own");
        assert_eq!(refused.kind(), Kind::NotFound);
    }
    house.intake().stopped_there("one & only".into(), here).await.expect("its own");
    assert_eq!(code(&house.over(id).await), ("stopped_there", "somebody stopped it at Yuki"));
    // The phone dies.
    let phone = Phone::new("Yuki", Does::Hangs).await;
    let id = house.send(Right::Owner, &phone, &[1]).await;
    house.until(id, |sending| sending.state == SendState::Sending).await;
    phone.stop.cancel();
    phone.serving.await.expect("in order");
    let sending = house.over(id).await;
    assert_eq!(code(&sending), ("away", "Yuki broke off: 0 of 1 went out"));
    // konpo ends.
    let phone = Phone::new("Yuki", Does::Thinks).await;
    let id = house.send(Right::Owner, &phone, &[1]).await;
    house.until(id, |sending| sending.state == SendState::Waiting).await;
    house.stop.cancel();
    tokio::time::timeout(Duration::from_secs(30), house.outbox.stopped()).await.expect("it waits for nobody");
    assert_eq!(house.send_with(Right::Owner, &phone, &[1], None).await, Err(Kind::Stopped));
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_to_somebody_else_nor_off_our_network() {
    let house = House::new().await;
    let mut phone = Phone::new("Yuki", Does::Takes).await;
    phone.receiver.certificate = Some(own().fingerprint().to_lowercase());
    let sending = house.over(house.send(Right::Owner, &phone, &[1]).await).await;
    assert!(code(&sending).0 == "not_itself" && code(&sending).1.contains("nothing was sent"), "{sending:?}");
    // A phone with plain HTTP is not told a PIN that everybody can read.
    phone.receiver.certificate = None;
    let id = house.send_with(Right::Owner, &phone, &[1], Some("123456")).await.expect("taken up");
    assert!(code(&house.over(id).await).1.contains("could be read"));
    assert!(phone.desk().asked.is_empty(), "not a byte");
    assert_eq!(code(&house.over(house.send(Right::Owner, &phone, &[1]).await).await), ("sent", ""));
    phone.receiver.address = SocketAddr::from(([203, 0, 113, 7], 53317));
    let sending = house.over(house.send(Right::Owner, &phone, &[1]).await).await;
    assert_eq!(code(&sending), ("not_near", "Yuki is not on our network any more"));
    house.end().await;
}
