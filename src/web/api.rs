//! State, commands, health and figures.

use std::fmt::Write;
use std::time::Instant;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::header;
use serde::Serialize;

use crate::error::{Error, Kind};
use crate::hifi::command::Command;
use crate::hifi::state::Transport;
use crate::offer::{Caller, DeviceId, Key, Right, ShelfProgress};
use crate::query::{Filter, Query, Sort, What, Window};
use crate::web::Web;
use crate::web::answer::{Answer, Failure, ok};
use crate::web::json::StateJson;

/// `GET /api/state`.
pub async fn state(State(web): State<Web>, Extension(caller): Extension<Caller>) -> Json<StateJson> {
    let state = web.hifi.of(caller).state();
    Json(StateJson::whole(&state, Instant::now()))
}

/// Who asks, as the box knows it.
#[derive(Debug, Serialize)]
pub struct Me {
    /// What it may.
    right: Right,
    /// Which paired device it is; `null` for one that is not.
    device: Option<DeviceId>,
    /// What the box is called.
    name: String,
}

/// `GET /api/me`.
pub async fn me(State(web): State<Web>, Extension(caller): Extension<Caller>) -> Json<Me> {
    Json(Me { right: caller.right, device: caller.device, name: web.settings.name().to_string() })
}

/// The answer of a command: the revision of the state that shows its effect.
#[derive(Debug, Serialize)]
pub struct Done {
    rev: u64,
}

/// `POST /api/command`.
pub async fn command(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    body: Result<Json<Command>, JsonRejection>,
) -> Answer<Done> {
    let Json(command) = body.map_err(|error| Error::new(Kind::Invalid, error.body_text()))?;
    let rev = web.hifi.of(caller).send(command).await??;
    ok(Done { rev })
}

/// Whether the box is well.
#[derive(Debug, Serialize)]
pub struct Health {
    status: &'static str,
    name: String,
    version: &'static str,
    uptime_s: u64,
    music_disk: &'static str,
    sound_device: &'static str,
    shelf: ShelfProgress,
    /// Why no music can come in now, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

/// `GET /api/health`.
pub async fn health(State(web): State<Web>, Extension(caller): Extension<Caller>) -> Json<Health> {
    let device = web.hifi.of(caller).state().device;
    let online = web.hifi.shelf_online().await;
    let sound_device = match (&device.trouble, device.silent) {
        (Some(_), _) => "trouble",
        (None, true) => "silent",
        (None, false) => "ok",
    };
    let trouble = web.intake.board().borrow().trouble.clone();
    let well = online && device.trouble.is_none() && trouble.is_none();
    Json(Health {
        status: if well { "ok" } else { "degraded" },
        trouble,
        name: web.settings.name().to_string(),
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: web.started.elapsed().as_secs(),
        music_disk: if online { "online" } else { "offline" },
        sound_device,
        shelf: ShelfProgress { unreadable: Vec::new(), ..web.hifi.shelf() },
    })
}

/// `GET /metrics`: Prometheus text exposition format 0.0.4. Nothing in it names a person or a track.
pub async fn metrics(State(web): State<Web>) -> Result<Response, Failure> {
    let session = web.hifi.of(Caller::itself());
    let state = session.state();
    let none = Window { offset: 0, limit: 1 };
    let all = Query { what: What::Tracks, filter: Filter::All, sort: Sort::Added, window: none };
    let tracks = session.browse(&all).await?.total;
    let board = web.intake.board().borrow().clone();
    let mut text = String::new();
    let mut put = |name: &str, kind: &str, help: &str, value: f64| {
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    };
    put("konpo_uptime_seconds", "gauge", "Time since start.", web.started.elapsed().as_secs_f64());
    put("konpo_tracks", "gauge", "Tracks on the shelf.", tracks as f64);
    put("konpo_library_revision", "counter", "Changes of the shelf.", state.library_rev as f64);
    let playing = f64::from(u8::from(state.transport == Transport::Playing));
    put("konpo_playing", "gauge", "Whether sound runs.", playing);
    put("konpo_track_starts_total", "counter", "Tracks started since start.", state.starts as f64);
    put("konpo_underruns_total", "counter", "Gaps in the sound since start.", state.device.underruns as f64);
    put("konpo_queue_entries", "gauge", "Entries of the queue.", state.queue.entries.len() as f64);
    put("konpo_neighbours", "gauge", "Devices in the neighbourhood.", board.neighbours.len() as f64);
    put("konpo_arrivals_pending", "gauge", "Files on their way in.", board.pending as f64);
    put("konpo_resident_bytes", "gauge", "Resident memory.", resident_bytes() as f64);
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, text).into_response())
}

/// A new token: shown once, kept as its hash.
#[derive(Debug, Serialize)]
pub struct Token {
    token: String,
}

/// `POST /api/tokens`: a token with the owner's right, for scripts and `konpo ctl --url`.
pub async fn token(State(web): State<Web>) -> Answer<Token> {
    let token = uuid::Uuid::new_v4().simple().to_string();
    let key = Key::Cookie(blake3::hash(token.as_bytes()).to_hex().to_string());
    web.intake.pair(key, "a token", Right::Owner).await?;
    ok(Token { token })
}

/// Resident memory of this process in bytes, 0 when the kernel does not say (proc(5), statm).
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|field| field.parse().ok()).unwrap_or(0);
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
    pages * page.unsigned_abs()
}

/// The least right of a caller that may read the board: names of phones and of files that others sent.
pub const BOARD_RIGHT: Right = Right::Member;
