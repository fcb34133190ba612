//! A box with three songs of silence on its shelf, OpenHome's services on it and the page beside them, without a network.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use konpo::hifi::quiet::QuietConfig;
use konpo::hifi::state::State;
use konpo::hifi::urls::Urls;
use konpo::hifi::{Hifi, HifiConfig, Parts, Running, Session};
use konpo::http::hosts::Hosts;
use konpo::intake::{Intake, IntakeConfig, Take};
use konpo::library::{Library, LibraryConfig};
use konpo::offer::{Caller, Via};
use konpo::player::mixer::Wish;
use konpo::player::{Knob, Player, PlayerConfig};
use konpo::signal::{Device, GainMode};
use konpo::track::TrackId;
use konpo::units::{ByteCount, Gain, Volume};
use konpo::upnp::av::transport::view;
use konpo::upnp::openhome::Named;
use konpo::upnp::own::{Mark, Own};
use konpo::upnp::service::{Call, HERE, Value};
use konpo::upnp::{self, Offered};
use konpo::web::Web;
use konpo::web::routes::router;
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use crate::api::shelve;

/// Where the box is asked.
pub const HOST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 168, 7, 1), 8200);
/// Seconds of each song.
pub const LENGTH: u32 = 20;

/// An answer's arguments.
#[derive(Debug)]
pub struct Answer(HashMap<String, String>);

impl Answer {
    pub fn number(&self, name: &str) -> u32 {
        self.0[name].parse().expect("a number")
    }
}

impl Deref for Answer {
    type Target = HashMap<String, String>;
    fn deref(&self) -> &HashMap<String, String> {
        &self.0
    }
}

pub struct Room {
    offered: Vec<Offered>,
    pub hifi: Hifi,
    page: axum::Router,
    library: Library,
    intake: Intake,
    tasks: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    folder: TempDir,
}

impl Room {
    pub async fn start() -> Room {
        let quiet = QuietConfig::default();
        Room::with(HifiConfig { fixed_volume: false, max_volume: Volume::MAX, gains: GainMode::Off, quiet })
            .await
    }

    pub async fn with(knob: HifiConfig) -> Room {
        let folder = tempfile::tempdir().expect("a folder");
        let room = Room::on(folder, knob, false).await;
        for number in 1..=3 {
            shelve(&room.library, i64::from(number), &format!("{number}.wav"), &wav(number)).await;
        }
        room
    }

    async fn on(folder: TempDir, knob: HifiConfig, lumin: bool) -> Room {
        let config = LibraryConfig {
            music: vec![folder.path().join("music")],
            data: folder.path().join("data"),
            keep_free: Some(ByteCount(0)),
        };
        let library =
            tokio::task::spawn_blocking(move || Library::open(config)).await.expect("ran").expect("opened");
        let stop = CancellationToken::new();
        let taking = IntakeConfig::new(Take::Music);
        let intake = Intake::start(taking, library.clone(), stop.clone()).await.expect("started");
        let silent = PlayerConfig {
            device: "silent".into(),
            knob: Knob::Box,
            mixer: Wish::Software,
            gain: Gain::SILENT,
        };
        let (player, events) = Player::start(silent).expect("started");
        let hosts = Hosts::new(&[]);
        hosts.set_addresses(vec![(*HOST.ip()).into()]);
        let own = Own::new(mark(), hosts, HOST.port());
        let urls = Urls { ours: Arc::new(move |url| own.track(url)), ..Urls::none() };
        let device = Device::closed("silent", true);
        let parts = Parts {
            library: library.clone(),
            player,
            events,
            device,
            board: intake.board(),
            urls,
            pushes: intake.pushes(),
        };
        let Running { hifi, mut tasks } = Hifi::start(parts, knob, stop.clone()).await.expect("started");
        let named = Named { name: "Living Room".into(), product: "konpo".into(), lumin };
        let udn = uuid::Uuid::from_u128(8);
        let ((_, offered), telling) = upnp::media_renderer(&hifi, named, udn, mark(), stop.clone());
        tasks.extend(telling);
        let page = router(Web::new(hifi.clone(), intake.clone(), "Living Room"));
        Room { offered, hifi, page, library, intake, tasks, stop, folder }
    }

    /// Ends it and starts it again on the same disk, in order.
    pub async fn again(self) -> Room {
        let folder = self.close().await;
        let quiet = QuietConfig::default();
        let knob = HifiConfig { fixed_volume: false, max_volume: Volume::MAX, gains: GainMode::Off, quiet };
        Room::on(folder, knob, false).await
    }

    pub async fn end(self) {
        self.close().await.close().expect("removed");
    }

    async fn close(self) -> TempDir {
        self.stop.cancel();
        self.intake.stopped().await;
        drop((self.offered, self.page, self.hifi));
        for task in self.tasks {
            task.await.expect("in order");
        }
        let library = self.library;
        tokio::task::spawn_blocking(move || library.close()).await.expect("no panic").expect("closed");
        self.folder
    }

    /// A service by its path; of OpenHome's by the rest of it.
    fn find(&self, service: &str) -> Option<&Offered> {
        let is = |path: &str| path == service || path.strip_prefix("oh-") == Some(service);
        // UPnP AV has a transport, too: it stands first.
        self.offered.iter().rev().find(|offered| is(offered.service.path))
    }

    pub fn has(&self, service: &str) -> bool {
        self.find(service).is_some()
    }

    /// OpenHome's.
    pub fn services(&self) -> impl Iterator<Item = &Offered> {
        self.offered.iter().filter(|offered| offered.service.path.starts_with("oh-"))
    }

    /// Calls an action as the stack does, with its checks before and after.
    pub async fn call(&self, service: &str, action: &str, given: &[(&str, &str)]) -> Result<Answer, u16> {
        self.act(self.find(service).expect("a service"), action, given).await
    }

    async fn act(&self, offered: &Offered, action: &str, given: &[(&str, &str)]) -> Result<Answer, u16> {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (action, given) = offered.service.check(action, &given).map_err(|fault| fault.code)?;
        let headers = HeaderMap::new();
        let call = Call {
            action,
            given,
            caller: Caller::room(Via::Upnp),
            host: HOST,
            peer: PEER,
            headers: &headers,
        };
        let answer = offered.handler.act(call).await.map_err(|fault| fault.code)?;
        let ordered = offered.service.ordered(action, &answer).expect("every argument");
        Ok(Answer(ordered.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }

    /// Calls an action of UPnP AV's own services on the same device.
    pub async fn av(&self, service: &str, action: &str, given: &[(&str, &str)]) -> Result<Answer, u16> {
        self.act(self.of_av(service), action, given).await
    }

    fn of_av(&self, service: &str) -> &Offered {
        let kind = format!("urn:schemas-upnp-org:service:{service}:1");
        self.offered.iter().find(|offered| offered.service.kind == kind).expect("a service")
    }

    /// What subscribers of UPnP AV are told of a variable now.
    pub fn told_av(&self, service: &str, name: &str) -> String {
        let values = self.of_av(service).handler.variables().borrow().clone();
        let Some((_, Value::LastChange(all))) = values.first() else { panic!("{values:?}") };
        all.variables.iter().find(|told| told.name == name).expect("told").value.clone()
    }

    /// Returns whether subscribers of AVTransport are told of the box as it is now, in every variable.
    pub fn is_told_all_av(&self) -> bool {
        let values = self.of_av("AVTransport").handler.variables().borrow().clone();
        let Some((_, Value::LastChange(told))) = values.first() else { panic!("{values:?}") };
        let is = view::last_change(&self.state(), view::Reached { host: HERE, mark: mark() }, 0).variables;
        is.len() == told.variables.len()
            && is
                .iter()
                .zip(&told.variables)
                .all(|(is, told)| (is.name, &is.value) == (told.name, &told.value))
    }

    /// As [`Room::call`] with the one argument `Value`; it must be taken.
    pub async fn set(&self, service: &str, action: &str, value: impl ToString) {
        let value = value.to_string();
        let done = self.call(service, action, &[("Value", &value)]).await;
        assert!(done.is_ok(), "{action} {value}: {done:?}");
    }

    /// An action that takes nothing and must be taken.
    pub async fn press(&self, service: &str, action: &str) {
        let done = self.call(service, action, &[]).await;
        assert!(done.is_ok(), "{action}: {done:?}");
    }

    /// The answer to an action that answers one value.
    pub async fn get(&self, service: &str, action: &str) -> String {
        let answer = self.call(service, action, &[]).await.unwrap_or_else(|code| panic!("{action}: {code}"));
        assert_eq!(answer.len(), 1, "{action}");
        answer.values().next().expect("one").clone()
    }

    pub async fn insert(&self, after: u32, url: &str, metadata: &str) -> Result<u32, u16> {
        let after = after.to_string();
        let given = [("AfterId", &*after), ("Uri", url), ("Metadata", metadata)];
        Ok(self.call("playlist", "Insert", &given).await?.number("NewId"))
    }

    /// The ids as an app reads them.
    pub async fn ids(&self) -> Vec<u32> {
        decoded(&self.call("playlist", "IdArray", &[]).await.expect("answered")["Array"])
    }

    /// What subscribers of a service are told of a variable now.
    pub fn told(&self, service: &str, name: &str) -> String {
        let values = self.find(service).expect("a service").handler.variables().borrow().clone();
        match values.iter().find(|(known, _)| *known == name) {
            Some((_, Value::Text(text))) => text.clone(),
            other => panic!("{name}: {other:?}"),
        }
    }

    /// Returns how many seconds of the song are over, as an app asks.
    pub async fn seconds(&self) -> u64 {
        self.call("time", "Time", &[]).await.expect("answered").number("Seconds").into()
    }

    /// Waits until subscribers are told at least this second, and returns the one they are told.
    pub async fn told_seconds(&self, least: u64) -> u64 {
        let told = || self.told("time", "Seconds").parse().expect("a number");
        wait(&format!("second {least} is told"), || told() >= least).await;
        told()
    }

    /// Waits until subscribers are told this value.
    pub async fn is_told(&self, service: &str, name: &str, want: &str) {
        wait(&format!("{service} {name} {want}"), || self.told(service, name) == want).await;
    }

    pub fn state(&self) -> State {
        self.session(Via::Web).state()
    }

    pub fn session(&self, via: Via) -> Session {
        self.hifi.of(Caller::room(via))
    }

    /// Sends a command as the page does.
    pub async fn page(&mut self, command: Json) {
        let request = Request::builder().method("POST").uri("/api/command").header(header::HOST, "localhost");
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(command.to_string())).expect("a request");
        let response = self.page.call(request).await.expect("infallible");
        assert_eq!(response.status(), StatusCode::OK, "{command}");
    }

    /// The box as the page shows it.
    pub async fn shown(&mut self) -> Json {
        let request = Request::builder().uri("/api/state").header(header::HOST, "localhost");
        let response =
            self.page.call(request.body(Body::empty()).expect("a request")).await.expect("infallible");
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        serde_json::from_slice(&bytes).expect("JSON")
    }

    /// The page's stream of events.
    pub async fn events(&mut self) -> Body {
        let request = Request::builder().uri("/api/events").header(header::HOST, "localhost");
        let response =
            self.page.call(request.body(Body::empty()).expect("a request")).await.expect("infallible");
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body()
    }

    /// The URL under which our media server hands out a song.
    pub fn url(&self, track: i64) -> String {
        mark().url(HOST, TrackId(track), "wav")
    }
}

/// Reads events until one holds this text.
pub async fn hears(events: &mut Body, text: &str) {
    let read = async {
        let mut all = String::new();
        while !all.contains(text) {
            let frame = events.frame().await.expect("it goes on").expect("readable");
            all.push_str(&String::from_utf8_lossy(frame.data_ref().expect("data")));
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(60), read).await;
    assert!(heard.is_ok(), "the page does not hear {text}");
}

pub async fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "not: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Reads ids of four bytes, the highest first, in base64 (RFC 4648, 4).
pub fn decoded(text: &str) -> Vec<u32> {
    let six = |sign: u8| match sign {
        b'A'..=b'Z' => sign - b'A',
        b'a'..=b'z' => sign - b'a' + 26,
        b'0'..=b'9' => sign - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => 0,
    };
    let bytes: Vec<u8> = text
        .as_bytes()
        .chunks(4)
        .flat_map(|four| {
            let word = four.iter().fold(0u32, |word, sign| word << 6 | u32::from(six(*sign)));
            let padding = four.iter().filter(|sign| **sign == b'=').count();
            word.to_be_bytes()[1..4 - padding].to_vec()
        })
        .collect();
    assert_eq!(bytes.len() % 4, 0, "{text}");
    bytes.chunks(4).map(|four| four.iter().fold(0, |id, byte| id << 8 | u32::from(*byte))).collect()
}

/// Silence with a first sample of its own, 8 kHz, 16 bits, one channel.
fn wav(number: u16) -> Vec<u8> {
    let data = LENGTH * 8_000 * 2;
    let mut file = Vec::with_capacity(44 + data as usize);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + data).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16u32.to_le_bytes());
    for word in [1u16, 1] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(&8_000u32.to_le_bytes());
    file.extend_from_slice(&16_000u32.to_le_bytes());
    for word in [2u16, 16] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(b"data");
    file.extend_from_slice(&data.to_le_bytes());
    file.extend_from_slice(&number.to_le_bytes());
    file.resize(44 + data as usize, 0);
    file
}

fn mark() -> Mark {
    Mark::of(uuid::Uuid::from_u128(7))
}

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 7, 2));
