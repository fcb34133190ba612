//! Every route: method, path, least right, words, handler. The router and the OpenAPI document come from this one table.

use axum::extract::DefaultBodyLimit;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, delete, get, head, options, patch, post, put};
use axum::{Json, Router, middleware};
use http::StatusCode;
use serde_json::{Value, json};

use crate::http::bodies::{self, Bodies};
use crate::http::problem::Problem;
use crate::offer::Right;
use crate::track::correction::MOST_PICTURE;
use crate::web::upload::{form, raw, tus};
use crate::web::{
    Web, api, art, beam, corrections, events, export, guard, joins, library, neighbours, page, plain,
    purchases, send, settings,
};

/// One route.
pub struct Route {
    /// `get`, `post`, `put`, `patch`, `delete`, `head` or `options`; a `get` answers HEAD too.
    pub method: &'static str,
    /// The path, parameters in braces.
    pub path: &'static str,
    /// The least right.
    pub right: Right,
    /// What it does.
    pub summary: &'static str,
    /// Names of query parameters.
    pub query: &'static [&'static str],
    /// The status of success and its media type, empty when there is no body.
    pub answer: (u16, &'static str),
    handler: MethodRouter<Web>,
}

impl Route {
    fn new(
        method: &'static str,
        path: &'static str,
        right: Right,
        summary: &'static str,
        handler: MethodRouter<Web>,
    ) -> Route {
        Route { method, path, right, summary, query: &[], answer: (200, JSON), handler }
    }

    fn list(path: &'static str, right: Right, summary: &'static str, handler: MethodRouter<Web>) -> Route {
        let query = &["offset", "limit", "sort", "q", "artist", "album", "genre", "in"];
        Route { query, ..Route::new("get", path, right, summary, handler) }
    }

    fn answers(self, status: u16, media: &'static str) -> Route {
        Route { answer: (status, media), ..self }
    }
}

/// Returns every route of the API.
pub fn table() -> Vec<Route> {
    use Right::{Member, Owner, Room};
    let all = [
        Route::new("get", "/", Room, "The page", get(page::page)).answers(200, "text/html"),
        Route::new("get", "/assets/{file}", Room, "What the page is made of", get(page::asset))
            .answers(200, "*/*"),
        Route::new("get", "/plain", Room, "What plays, without JavaScript", get(plain::page))
            .answers(200, "text/html"),
        Route::new("get", "/api/me", Room, "What the one who asks may", get(api::me)),
        Route::new("get", "/api/state", Room, "The box: what plays, the queue, the knob", get(api::state)),
        Route::new(
            "get",
            "/api/events",
            Room,
            "Server-sent events: state, queue, library, board",
            get(events::events),
        )
        .answers(200, "text/event-stream"),
        Route::new("post", "/api/command", Room, "One command to the box", post(api::command)),
        Route::list("/api/library/tracks", Room, "Tracks", get(library::tracks)),
        Route::list("/api/library/albums", Room, "Albums", get(library::albums)),
        Route::list("/api/library/artists", Room, "Artists", get(library::artists)),
        Route::list("/api/library/genres", Room, "Genres", get(library::genres)),
        Route::list("/api/library/recent", Room, "Newest arrivals", get(library::recent)),
        Route::list("/api/library/album_artists", Room, "Artists of albums", get(library::kind)),
        Route::list("/api/library/composers", Room, "Composers", get(library::kind)),
        Route::list("/api/library/years", Room, "Years", get(library::kind)),
        Route::list("/api/library/folders", Room, "Music folders, or those in one", get(library::kind)),
        Route::list("/api/library/playlists", Room, "Playlists", get(library::kind)),
        Route::list("/api/library/played", Room, "Tracks, the one heard last first", get(library::kind)),
        Route::list("/api/library/most_played", Room, "Tracks, those heard most first", get(library::kind)),
        Route::list("/api/library/favourites", Room, "Tracks that were marked", get(library::kind)),
        Route {
            query: &["of"],
            ..Route::new(
                "get",
                "/api/library/headings",
                Room,
                "Where the names under each letter begin in a list: of=artists, albums, tracks …",
                get(library::headings),
            )
        },
        Route::list(
            "/api/library/search",
            Room,
            "Tracks that match, artists and albums beside",
            get(library::search),
        ),
        Route::new("get", "/api/tracks/{id}", Room, "One track", get(library::track)),
        Route::new("delete", "/api/tracks/{id}", Owner, "Moves a track to the trash", delete(library::trash))
            .answers(204, ""),
        Route::new("put", "/api/tracks/{id}/favourite", Member, "Marks a favourite", put(library::favourite))
            .answers(204, ""),
        Route::new(
            "delete",
            "/api/tracks/{id}/favourite",
            Member,
            "Marks a favourite no more",
            delete(library::favourite),
        )
        .answers(204, ""),
        Route::new(
            "put",
            "/api/tracks/{id}/correction",
            Owner,
            "Corrects a track: these words and no others; the file is not touched",
            put(corrections::replace),
        )
        .answers(204, ""),
        Route::new(
            "delete",
            "/api/tracks/{id}/correction",
            Owner,
            "Shows what the file says again",
            delete(corrections::remove),
        )
        .answers(204, ""),
        Route::new(
            "post",
            "/api/covers",
            Owner,
            "Keeps a picture (the whole body) as a cover that corrections can name",
            post(corrections::picture).layer(DefaultBodyLimit::max(MOST_PICTURE)),
        ),
        Route::new("post", "/api/corrections", Owner, "Corrects several tracks", post(corrections::several))
            .answers(204, ""),
        Route {
            query: &["by", "sort", "store", "device", "person", "year", "locked", "offset", "limit"],
            ..Route::new(
                "get",
                "/api/purchases",
                Member,
                "What was bought, by=date, store, device or person: a member's own, the owner everybody's",
                get(purchases::purchases),
            )
        },
        Route {
            query: &["album", "playlist", "tracks", "purchases", "all", "receipts", "leave"],
            ..Route::new(
                "get",
                "/api/export.zip",
                Member,
                "Music out as an archive: an album, a playlist, tracks, a member's own purchases; for the owner all",
                get(export::archive),
            )
        }
        .answers(200, "application/zip"),
        Route::new(
            "get",
            "/api/media/{file}",
            Room,
            "A music file, byte ranges; for all but the owner without what names its buyer",
            get(library::media),
        )
        .answers(200, "audio/*"),
        Route {
            query: &["or"],
            ..Route::new(
                "get",
                "/api/art/{id}/{file}",
                Room,
                "The cover of a track: 160.jpg, 300.jpg or 600.jpg, no edge longer than that; or=disc: a drawing without one",
                get(art::cover),
            )
        }
        .answers(200, "image/jpeg"),
        Route::new(
            "get",
            "/api/neighbours",
            Member,
            "Phones and players on the network",
            get(neighbours::list),
        ),
        Route::new("post", "/api/neighbours", Owner, "Adds a device by its address", post(neighbours::add))
            .answers(202, ""),
        Route::new(
            "delete",
            "/api/neighbours",
            Owner,
            "Forgets an address that was added",
            delete(neighbours::forget),
        )
        .answers(204, ""),
        Route::new(
            "post",
            "/api/neighbours/{id}/{what}",
            Owner,
            "look, pull, always, ask or never; look and pull take the PIN of a phone that asks for one",
            post(neighbours::ask),
        )
        .answers(202, ""),
        Route::new(
            "post",
            "/api/links",
            Member,
            "Fetches what a phone on the network shares at a link",
            post(neighbours::link),
        )
        .answers(202, ""),
        Route::new("post", "/api/search", Owner, "Looks for devices again", post(neighbours::search))
            .answers(202, ""),
        Route::new(
            "get",
            "/api/offers",
            Member,
            "Senders that wait for a yes, what they brought, files on their way in and what became of the last ones",
            get(beam::offers),
        ),
        Route::new("get", "/api/settings", Owner, "What is set, and where", get(settings::shown)),
        Route::new(
            "put",
            "/api/settings",
            Owner,
            "Sets values at once and for good; null: the default again",
            put(settings::change),
        ),
        Route::new("get", "/api/outputs", Owner, "Sound outputs that can be chosen", get(settings::outputs)),
        Route::new("post", "/api/tokens", Owner, "Makes a token with the owner's right", post(api::token)),
        Route::new("get", "/api/health", Room, "Whether the box is well", get(api::health)),
        Route::new("get", "/api/openapi.json", Room, "This document", get(document)),
        Route::new("get", "/metrics", Room, "Figures for Prometheus", get(api::metrics))
            .answers(200, "text/plain"),
    ];
    all.into_iter().chain(pairing()).chain(sends()).chain(uploads()).collect()
}

/// What senders bring, and who may.
fn pairing() -> [Route; 18] {
    use Right::{Member, Owner, Room};
    [
        Route::new(
            "post",
            "/api/offers/{id}/{what}",
            Member,
            "accept or reject a sender",
            post(beam::answer),
        )
        .answers(204, ""),
        Route::new("post", "/api/beam", Member, "For ten minutes nobody is asked for", post(beam::open)),
        Route::new("delete", "/api/beam", Member, "Senders are asked for again", delete(beam::close))
            .answers(204, ""),
        Route::new("post", "/api/beam/{id}/undo", Member, "Takes back what came at once", post(beam::undo)),
        Route::new("get", "/api/setup", Room, "Whether the first device becomes the owner", get(beam::setup)),
        Route::new(
            "post",
            "/api/setup",
            Room,
            "The first device becomes the owner, while that door is open",
            post(beam::become_owner),
        ),
        Route::new("post", "/api/setup/open", Owner, "Opens that door again", post(beam::open_setup)),
        Route::new("post", "/api/pin", Owner, "A new PIN, by which devices are paired", post(beam::pin)),
        Route::new("delete", "/api/pin", Owner, "Takes the PIN back", delete(beam::clear_pin))
            .answers(204, ""),
        Route::new("post", "/api/pair", Room, "Pairs the device that says the PIN", post(beam::pair)),
        Route::new(
            "post",
            "/api/invitations",
            Owner,
            "An address, and its QR code, that pairs the one device that opens it",
            post(beam::invite),
        ),
        Route::new("get", "/b/{token}", Room, "The page, for a device that was invited", get(page::page))
            .answers(200, "text/html"),
        Route::new("get", "/B/{token}", Room, "The same, as QR codes have it", get(page::page))
            .answers(200, "text/html"),
        Route::new("get", "/api/devices", Owner, "Paired devices", get(beam::devices)),
        Route::new("put", "/api/devices/{id}", Owner, "What happens to its songs", put(beam::set_device))
            .answers(204, ""),
        Route::new(
            "delete",
            "/api/devices/{id}",
            Owner,
            "Pairs a device no more",
            delete(beam::forget_device),
        )
        .answers(204, ""),
        Route::new(
            "get",
            "/api/joins",
            Member,
            "Apps with LocalSend on the device that asks",
            get(joins::list),
        ),
        Route::new("post", "/api/joins/{id}", Member, "Makes one of them the same device", post(joins::join))
            .answers(204, ""),
    ]
}

/// Music that goes back out to phones.
fn sends() -> [Route; 4] {
    use Right::Member;
    [
        Route::new(
            "get",
            "/api/receivers",
            Member,
            "Phones and computers that take files; asks anew who is there",
            get(send::receivers),
        ),
        Route::new("get", "/api/sends", Member, "What goes out, and went out lately", get(send::list)),
        Route::new(
            "post",
            "/api/sends",
            Member,
            "Sends an album, a playlist or tracks to a phone; for all but the owner without what names a buyer",
            post(send::begin),
        ),
        Route::new("delete", "/api/sends/{id}", Member, "Stops what goes out", delete(send::stop))
            .answers(204, ""),
    ]
}

/// Files that come over HTTP. Whoever may not send is told so by the door, in words.
fn uploads() -> Vec<Route> {
    use Right::Room;
    let one = "/api/uploads/{id}";
    vec![
        Route::new("get", "/beam", Room, "A plain form to send music by", get(form::page))
            .answers(200, "text/html"),
        Route {
            query: &["name", "from", "pin"],
            ..Route::new(
                "post",
                "/beam",
                Room,
                "Sends a file (the whole body) or a form's files",
                post(raw::beam),
            )
        }
        .answers(201, "text/plain"),
        Route {
            query: &["name", "from", "pin"],
            ..Route::new("put", "/beam", Room, "Sends a file (the whole body)", put(raw::beam))
        }
        .answers(201, "text/plain"),
        Route {
            query: &["from", "pin"],
            ..Route::new("put", "/beam/{name}", Room, "Sends a file, as curl -T does", put(raw::put))
        }
        .answers(201, "text/plain"),
        Route::new("options", "/api/uploads", Room, "tus 1.0.0: what is spoken", options(tus::about))
            .answers(204, ""),
        Route::new("post", "/api/uploads", Room, "tus: begins a file", post(tus::create)).answers(201, ""),
        Route::new(
            "get",
            "/api/uploads/{id}/verdict",
            Room,
            "What became of a file, for whoever sent it, in its language",
            get(tus::verdict),
        ),
        Route::new("options", one, Room, "tus: what is spoken", options(tus::about)).answers(204, ""),
        Route::new("head", one, Room, "tus: how many bytes are here", head(tus::head)).answers(200, ""),
        Route::new("patch", one, Room, "tus: the next bytes", patch(tus::patch)).answers(204, ""),
        Route::new("delete", one, Room, "tus: gives it up", delete(tus::delete)).answers(204, ""),
        Route::new("post", one, Room, "tus: PATCH or DELETE by X-HTTP-Method-Override", post(tus::instead))
            .answers(204, ""),
    ]
}

/// Returns the API as a service; whoever serves it puts the peer into each request's extensions.
pub fn router(web: Web) -> Router {
    let (mut router, bodies) = (Router::new(), Bodies::default());
    for route in table() {
        let require = middleware::from_fn_with_state(route.right, guard::require);
        let handler = match most_of(route.path) {
            Some(most) => {
                let collect = middleware::from_fn_with_state((bodies.clone(), most), bodies::collect);
                route.handler.layer(collect)
            }
            None => route.handler,
        };
        router = router.route(route.path, handler.layer(require));
    }
    let lost = || async {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here").into_response()
    };
    let identify = middleware::from_fn_with_state(web.clone(), guard::identify);
    router.fallback(lost).layer(identify).with_state(web)
}

/// Returns how long the body of a route may be; `None`: it is a file, which is not read whole.
fn most_of(path: &str) -> Option<usize> {
    let is_file = path.starts_with("/beam") || path.starts_with("/api/uploads");
    (!is_file).then_some(if path == "/api/covers" { MOST_PICTURE } else { MOST_MESSAGE })
}

async fn document() -> Json<Value> {
    Json(openapi())
}

/// Returns the OpenAPI 3.1 document of the table.
pub fn openapi() -> Value {
    let mut paths = serde_json::Map::new();
    for route in table() {
        let in_path = route.path.split(['{', '}']).skip(1).step_by(2);
        let parameter = |name: &str, place: &str| json!({ "name": name, "in": place, "required": place == "path", "schema": { "type": "string" } });
        let parameters: Vec<Value> = in_path
            .map(|name| parameter(name, "path"))
            .chain(route.query.iter().map(|name| parameter(name, "query")))
            .collect();
        let mut success = json!({ "description": "done" });
        if !route.answer.1.is_empty() {
            success["content"] = json!({ route.answer.1: {} });
        }
        let mut operation = json!({
            "summary": route.summary,
            "parameters": parameters,
            "x-right": route.right,
            "responses": {
                route.answer.0.to_string(): success,
                "default": { "description": "why not", "content": { "application/problem+json": {} } },
            },
        });
        if matches!(route.method, "post" | "put") && route.answer == (200, JSON) {
            operation["requestBody"] = json!({ "content": { "application/json": {} } });
        }
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "konpo", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
    })
}

const JSON: &str = "application/json";
/// Bytes of a body in JSON.
const MOST_MESSAGE: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_every_route_once() {
        let document = openapi();
        let paths = document["paths"].as_object().expect("an object");
        let named: usize = paths.values().map(|path| path.as_object().expect("an object").len()).sum();
        assert_eq!(named, table().len());
        assert_eq!(document["paths"]["/api/tracks/{id}"]["delete"]["x-right"], "owner");
        let parameters = &document["paths"]["/api/neighbours/{id}/{what}"]["post"]["parameters"];
        assert_eq!(parameters.as_array().map(Vec::len), Some(2));
    }
}
