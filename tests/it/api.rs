//! Every route against the OpenAPI document and against every right, without a network: requests go straight into the router.

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use konpo::config::layers::Layers;
use konpo::error::Result;
use konpo::hifi::quiet::QuietConfig;
use konpo::hifi::urls::Urls;
use konpo::hifi::{Hifi, HifiConfig, Parts, Running};
use konpo::http::server::PeerCred;
use konpo::intake::{Intake, IntakeConfig, Take};
use konpo::library::{Library, LibraryConfig, NewCopy};
use konpo::offer::{OfferId, Provenance, Right};
use konpo::player::mixer::Wish;
use konpo::player::{Knob, Player, PlayerConfig};
use konpo::settings::Settings;
use konpo::signal::{Device, GainMode};
use konpo::track::Sha256;
use konpo::units::{ByteCount, Gain, UnixTime, Volume};
use konpo::web::Web;
use konpo::web::routes::{openapi, router, table};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use crate::mint;

/// A box without a network, on the silent output.
pub(crate) struct Bench {
    pub(crate) app: axum::Router,
    pub(crate) hifi: Hifi,
    stop: CancellationToken,
    pub(crate) intake: Intake,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    pub(crate) library: Library,
    pub(crate) folder: TempDir,
}

/// The settings of a box that konpo.toml gives a name.
pub(crate) fn named(name: &str, data: PathBuf, hifi: &Hifi, intake: &Intake) -> Settings {
    let layers = Layers::parse(&format!("name = {name:?}\n"), "konpo.toml").expect("a name");
    Settings::new(layers, data, watch::channel(name.into()).0, hifi.clone(), intake.clone())
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Who {
    Room,
    Owner,
    Token,
}

impl Bench {
    pub(crate) async fn new() -> Result<Bench> {
        let quiet = QuietConfig::default();
        Bench::with(HifiConfig { fixed_volume: false, max_volume: Volume::MAX, gains: GainMode::Off, quiet })
            .await
    }

    pub(crate) async fn with(knob: HifiConfig) -> Result<Bench> {
        let folder = tempfile::tempdir().expect("a folder");
        let config = LibraryConfig {
            music: vec![folder.path().join("music")],
            data: folder.path().join("data"),
            keep_free: Some(ByteCount(0)),
        };
        let library = tokio::task::spawn_blocking(move || Library::open(config)).await.expect("no panic")?;
        let stop = CancellationToken::new();
        let intake = Intake::start(IntakeConfig::new(Take::Music), library.clone(), stop.clone()).await?;
        let silent = PlayerConfig {
            device: "silent".into(),
            knob: Knob::Box,
            mixer: Wish::Software,
            gain: Gain::SILENT,
        };
        let (player, events) = Player::start(silent)?;
        let device = Device::closed("silent", true);
        let parts = Parts {
            library: library.clone(),
            player,
            events,
            device,
            board: intake.board(),
            urls: Urls::none(),
            pushes: intake.pushes(),
        };
        let Running { hifi, tasks } = Hifi::start(parts, knob, stop.clone()).await?;
        let settings = named("Test <1>", folder.path().join("data"), &hifi, &intake);
        let app = router(Web::new(hifi.clone(), intake.clone(), settings));
        Ok(Bench { app, hifi, stop, intake, tasks, library, folder })
    }

    pub(crate) async fn ask(
        &mut self,
        who: Who,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        if who == Who::Token {
            request = request.header(header::AUTHORIZATION, "Bearer wrong");
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let mut request = request.body(body).expect("a request");
        if who == Who::Owner {
            request.extensions_mut().insert(PeerCred { uid: 0, gid: 0 });
        }
        let response = self.app.call(request).await.expect("infallible");
        let status = response.status();
        let streams = response.headers().get(header::CONTENT_TYPE).is_some_and(|t| t == "text/event-stream");
        if streams {
            return (status, Value::Null);
        }
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.intake.stopped().await;
        for task in self.tasks {
            task.await.expect("in order");
        }
        let library = self.library;
        tokio::task::spawn_blocking(move || library.close()).await.expect("no panic").expect("closed");
    }
}

fn example(path: &str) -> String {
    path.replace("{id}", "1").replace("{file}", "1.flac").replace("{what}", "look").replace("{token}", "X")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_gives_a_caller_more_than_its_right() {
    let mut bench = Bench::new().await.expect("started");
    for route in table() {
        for who in [Who::Room, Who::Token, Who::Owner] {
            // Asking the neighbourhood needs somebody who serves it; the right is decided before.
            if who == Who::Owner && (route.path.starts_with("/api/neighbours") || route.path == "/api/search")
            {
                continue;
            }
            let method = route.method.to_ascii_uppercase();
            let (status, body) = bench.ask(who, &method, &example(route.path), None).await;
            let has = if who == Who::Owner { Right::Owner } else { Right::Room };
            let refused = status == StatusCode::FORBIDDEN;
            assert_eq!(refused, has < route.right, "{who:?} {method} {}: {status} {body}", route.path);
            if refused {
                assert_eq!(body["code"], "not_allowed", "{}", route.path);
            }
        }
    }
    // What was bought is not told by an order either.
    for (who, want) in [(Who::Room, StatusCode::FORBIDDEN), (Who::Owner, StatusCode::OK)] {
        for list in ["tracks", "albums"] {
            let (status, body) =
                bench.ask(who, "GET", &format!("/api/library/{list}?sort=bought"), None).await;
            assert_eq!(status, want, "{who:?} {list}: {body}");
        }
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_and_the_router_know_the_same_routes() {
    let mut bench = Bench::new().await.expect("started");
    let (status, served) = bench.ask(Who::Room, "GET", "/api/openapi.json", None).await;
    assert_eq!((status, &served), (StatusCode::OK, &openapi()));
    for (path, methods) in served["paths"].as_object().expect("paths") {
        let (status, _) = bench.ask(Who::Owner, "TRACE", &example(path), None).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{path} is not in the router");
        assert!(!methods.as_object().expect("methods").is_empty());
    }
    let (status, body) = bench.ask(Who::Owner, "GET", "/api/nothing", None).await;
    assert_eq!((status, body["code"].as_str()), (StatusCode::NOT_FOUND, Some("not_found")));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_answered_after_the_state_shows_it() {
    let mut bench = Bench::new().await.expect("started");
    let (status, done) =
        bench.ask(Who::Room, "POST", "/api/command", Some(json!({ "set_volume": 12 }))).await;
    assert_eq!(status, StatusCode::OK);
    let (_, state) = bench.ask(Who::Room, "GET", "/api/state", None).await;
    assert_eq!((&state["volume"], state["rev"].as_u64() >= done["rev"].as_u64()), (&json!(12), true));
    for (command, status, code) in [
        (json!("play_something"), StatusCode::CONFLICT, "empty_queue"),
        (json!({ "play": 77 }), StatusCode::NOT_FOUND, "no_such_entry"),
        (
            json!({ "add": { "entries": [{ "what": { "shelf": 5 } }] } }),
            StatusCode::NOT_FOUND,
            "no_such_track",
        ),
        (json!({ "set_volume": 101 }), StatusCode::BAD_REQUEST, "invalid"),
        (json!("explode"), StatusCode::BAD_REQUEST, "invalid"),
    ] {
        let (said, body) = bench.ask(Who::Room, "POST", "/api/command", Some(command.clone())).await;
        assert_eq!((said, body["code"].as_str()), (status, Some(code)), "{command} {body}");
    }
    for bad in
        ["/api/library/tracks?limit=0", "/api/library/tracks?limit=99999", "/api/library/tracks?colour=red"]
    {
        let (status, body) = bench.ask(Who::Room, "GET", bad, None).await;
        assert_eq!((status, body["code"].as_str()), (StatusCode::BAD_REQUEST, Some("invalid")), "{bad}");
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plain_page_runs_nothing_and_loads_nothing() {
    let mut bench = Bench::new().await.expect("started");
    let request = Request::builder().uri("/plain").header(header::HOST, "localhost").body(Body::empty());
    let response = bench.app.call(request.expect("a request")).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
    let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().expect("text").to_owned();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    let page = String::from_utf8(bytes.to_vec()).expect("text");
    assert!(page.contains("<h1>Test &lt;1&gt;</h1>") && page.contains("Nothing is chosen."), "{page}");
    assert!(!page.contains("<script"), "{page}");
    bench.end().await;
}

/// Puts a file on the shelf as the worker does.
pub(crate) async fn shelve(library: &Library, event: i64, name: &str, bytes: &[u8]) {
    library.add(arrival(library, event, name, bytes)).await.expect("added");
}

/// A file that is ready for the shelf.
pub(crate) fn arrival(library: &Library, event: i64, name: &str, bytes: &[u8]) -> NewCopy {
    let staged = library.staging_dir().expect("online").join(format!("{event}.part"));
    std::fs::write(&staged, bytes).expect("written");
    let facts = konpo::library::read::facts(&staged).expect("a file that konpo knows");
    NewCopy {
        event: OfferId(event),
        original_name: name.into(),
        tags: facts.tags,
        format: facts.format,
        protection: facts.protection,
        personal: facts.personal,
        purchases: facts.purchases,
        sha256: Sha256([event as u8; 32]),
        quick: facts.quick,
        fingerprint: facts.fingerprint,
        size: ByteCount(bytes.len() as u64),
        duration: facts.duration,
        provenance: Provenance {
            way: "inbox".into(),
            device: String::new(),
            device_name: String::new(),
            original_name: name.into(),
            remote: String::new(),
        },
        received: UnixTime(0),
        joined: None,
        staged,
    }
}

/// The box of another item.
fn other_account() -> Vec<u8> {
    let mut account = mint::account(b"sinf");
    let item = 123_456_u32.to_be_bytes();
    let at = account.windows(4).position(|window| window == item).expect("the item");
    account[at..at + 4].copy_from_slice(&654_321_u32.to_be_bytes());
    account
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_owner_reads_who_bought_a_song() {
    let mut bench = Bench::new().await.expect("started");
    // The same item is one track: first what sounds, then the locked file beside it.
    shelve(&bench.library, 1, "plus.m4a", &mint::itunes_plus()).await;
    shelve(&bench.library, 2, "locked.m4p", &mint::itunes_locked()).await;
    let other =
        mint::renamed(&mint::insert(&mint::data("tone-he-aac.m4a"), &mint::ENTRY, &other_account()), b"drms");
    shelve(&bench.library, 3, "other.m4p", &other).await;
    let personal = ["user@example.com", "Hanako Yamada", "4711", "777001"];
    let mut shown_to_owner = String::new();
    for path in [
        "/api/library/tracks",
        "/api/library/recent",
        "/api/library/search?q=a",
        "/api/tracks/1",
        "/api/tracks/2",
    ] {
        let (status, body) = bench.ask(Who::Room, "GET", path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        let body = body.to_string();
        for name in personal {
            assert!(!body.contains(name), "{path} shows {name} to the room: {body}");
        }
        shown_to_owner.push_str(&bench.ask(Who::Owner, "GET", path, None).await.1.to_string());
    }
    for name in personal {
        assert!(shown_to_owner.contains(name), "the owner does not see {name}");
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_owner_opens_the_owners_doors() {
    let mut bench = Bench::new().await.expect("started");
    let (status, made) = bench.ask(Who::Owner, "POST", "/api/tokens", None).await;
    assert_eq!(status, StatusCode::OK);
    let token = made["token"].as_str().expect("a token").to_owned();
    let request = Request::builder()
        .method(Method::GET)
        .uri("/api/purchases")
        .header(header::HOST, "localhost")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::empty())
        .expect("a request");
    let response = bench.app.call(request).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
    let kept = Arc::new(bench.library.clone());
    let raw = konpo::offer::Key::Cookie(token);
    assert!(kept.device_by_key(raw).await.expect("read").is_none(), "the token itself is not kept");
    bench.end().await;
}
