//! Server-sent events (WHATWG HTML, 9.2): the newest snapshot whenever it changed, never a backlog.
//! A slow client misses what lay between and ends right.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde::Serialize;
use tokio::sync::watch;

use crate::hifi::state::{Changes, State as Box_};
use crate::offer::{Board, Caller};
use crate::web::Web;
use crate::web::api::BOARD_RIGHT;
use crate::web::json::StateJson;

/// What one client was told last, and what it waits for.
struct Told {
    state: watch::Receiver<Arc<Box_>>,
    board: watch::Receiver<Arc<Board>>,
    caller: Caller,
    last: Option<Box_>,
    pending: std::collections::VecDeque<Event>,
    board_told: bool,
}

/// `GET /api/events`: `state` (without the queue's entries), `queue`, `library`, and for paired devices `board`.
pub async fn events(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let told = Told {
        state: web.hifi.of(caller.clone()).watch(),
        board: web.intake.board(),
        caller,
        last: None,
        pending: std::collections::VecDeque::new(),
        board_told: false,
    };
    let stream = stream::unfold(told, |mut told| async move {
        let event = told.next().await?;
        Some((Ok(event), told))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

impl Told {
    /// Returns the next event, or `None` when konpo stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if self.last.is_none() {
                self.tell_state();
                self.tell_board();
                continue;
            }
            let may_read_board = self.caller.right >= BOARD_RIGHT;
            tokio::select! {
                changed = self.state.changed() => {
                    changed.ok()?;
                    self.tell_state();
                }
                changed = self.board.changed(), if may_read_board => {
                    changed.ok()?;
                    self.board_told = false;
                    self.tell_board();
                }
            }
        }
    }

    fn tell_state(&mut self) {
        let state = self.state.borrow_and_update().seen_by(&self.caller);
        let changes = match &self.last {
            Some(last) => Changes::between(last, &state),
            None => Changes::QUEUE | Changes::LIBRARY | Changes::PLAYER,
        };
        if !changes.is_empty() {
            self.push("state", &StateJson::brief(&state, Instant::now()));
        }
        if changes.intersects(Changes::QUEUE) {
            let queue = serde_json::json!({
                "version": state.queue.version, "length": state.queue.entries.len(),
            });
            self.push("queue", &queue);
        }
        if changes.intersects(Changes::LIBRARY) {
            self.push("library", &serde_json::json!({ "rev": state.library_rev }));
        }
        self.last = Some(state);
    }

    fn tell_board(&mut self) {
        if self.board_told || self.caller.right < BOARD_RIGHT {
            return;
        }
        self.board_told = true;
        let board = self.board.borrow_and_update().clone();
        self.push("board", board.as_ref());
    }

    fn push(&mut self, name: &str, data: &impl Serialize) {
        match serde_json::to_string(data) {
            Ok(json) => self.pending.push_back(Event::default().event(name).data(json)),
            Err(error) => tracing::error!(%error, name, "an event could not be written as JSON"),
        }
    }
}

/// Below the idle limit of common proxies and phones.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
