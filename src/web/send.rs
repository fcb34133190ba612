//! Music back out to phones: who is there, what goes out.

use axum::Extension;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};
use crate::hifi::Session;
use crate::offer::Caller;
use crate::offer::out::{Receiver, SendId, Sending};
use crate::query::export::Wanted;
use crate::query::{Field, Filter, GroupId, Item, Query, Sort, What, Window};
use crate::track::TrackId;
use crate::web::Web;
use crate::web::answer::{Answer, Failure, ok};
use crate::web::json::ListJson;

/// `GET /api/receivers`: who takes files. Asks anew: apps that are open show up on the board within a second.
pub async fn receivers(State(web): State<Web>) -> Answer<ListJson<Receiver>> {
    web.intake.look_for_receivers();
    let items = web.intake.receivers();
    ok(ListJson { total: items.len() as u64, items })
}

/// `GET /api/sends`: what goes out and went out lately, newest first.
pub async fn list(State(web): State<Web>) -> Answer<ListJson<Sending>> {
    let items = web.intake.board().borrow().sends.clone();
    ok(ListJson { total: items.len() as u64, items })
}

/// The body of `POST /api/sends`: to whom, and one of album, playlist and tracks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSending {
    /// Id, address or name of a receiver.
    to: String,
    /// Id or name of an album.
    #[serde(default)]
    album: Option<String>,
    /// Id or name of a playlist.
    #[serde(default)]
    playlist: Option<String>,
    /// Numbers of tracks.
    #[serde(default)]
    tracks: Option<Vec<TrackId>>,
    /// The PIN that the receiver asks for.
    #[serde(default)]
    pin: Option<String>,
}

/// What began.
#[derive(Debug, Serialize)]
pub struct Begun {
    id: SendId,
}

/// `POST /api/sends`: sends something; how far it is stands on the board.
pub async fn begin(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    body: Result<Json<NewSending>, JsonRejection>,
) -> Answer<Begun> {
    let Json(new) = body.map_err(|error| Error::new(Kind::Invalid, error.body_text()))?;
    let session = web.hifi.of(caller.clone());
    let wanted = match (new.album, new.playlist, new.tracks) {
        (Some(album), None, None) => Wanted::Album(group(&session, What::Albums, &album).await?),
        (None, Some(list), None) => Wanted::Playlist(group(&session, What::Playlists, &list).await?),
        (None, None, Some(tracks)) => Wanted::Tracks(tracks),
        _ => return Err(Error::new(Kind::Invalid, "say one of album, playlist and tracks").into()),
    };
    let pin = new.pin.map(|pin| pin.trim().to_owned()).filter(|pin| !pin.is_empty());
    ok(Begun { id: web.intake.send_out(&caller, &new.to, wanted, pin).await? })
}

/// `DELETE /api/sends/{id}`: stops what goes out.
pub async fn stop(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    let id = id.parse().map_err(|_| Error::new(Kind::NotFound, format!("nothing goes out as {id:?}")))?;
    web.intake.stop_sending(&caller, SendId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the album or playlist that a person means: by its id, else by its name when no other is called so.
async fn group(session: &Session, what: What, text: &str) -> Result<GroupId, Error> {
    if let Ok(id) = text.parse::<GroupId>()
        && session.groups(what, vec![id], Filter::All).await?.iter().any(Option::is_some)
    {
        return Ok(id);
    }
    let is_album = what == What::Albums;
    let filter = if is_album { Filter::Is(Field::Album, text.to_owned()) } else { Filter::All };
    let window = Window { offset: 0, limit: Window::MOST };
    let page = session.browse(&Query { what, filter, sort: Sort::Album, window }).await?;
    let named = page.items.into_iter().filter_map(|item| match item {
        Item::Group(group) => Some(group),
        Item::Track(_) => None,
    });
    let mut named = named.filter(|group| is_album || group.name.to_lowercase() == text.to_lowercase());
    match (named.next(), named.next()) {
        (Some(group), None) => Ok(group.id),
        (None, _) => Err(Error::new(Kind::NotFound, format!("nothing here is called {text}"))),
        _ => {
            Err(Error::new(Kind::Invalid, format!("several are called {text}: say the id that a list told")))
        }
    }
}
