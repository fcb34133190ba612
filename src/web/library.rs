//! The shelf over HTTP: lists, search, one track, its file.

use axum::Extension;
use axum::extract::{Path, Query as Params, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use serde::Deserialize;

use crate::error::{Error, Kind};
use crate::http::overlay::Overlay;
use crate::http::range;
use crate::offer::Caller;
use crate::query::{Field, Filter, Query, Section, Sort, What, Window};
use crate::track::TrackId;
use crate::web::Web;
use crate::web::answer::{Answer, Failure, ok};
use crate::web::json::{ItemJson, ListJson, SearchJson, TrackJson};
use crate::wire::media_type;

/// `offset`, `limit`, `sort`, and filters of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListParams {
    offset: u64,
    limit: Option<u32>,
    sort: Option<Sort>,
    q: Option<String>,
    artist: Option<String>,
    album: Option<String>,
    genre: Option<String>,
    #[serde(rename = "in")]
    within: Option<String>,
}

impl ListParams {
    fn window(&self) -> Result<Window, Error> {
        let limit = self.limit.unwrap_or(Window::FIRST.limit);
        if !(1..=Window::MOST).contains(&limit) {
            let what = format!("limit is {limit}, must be 1 to {}", Window::MOST);
            return Err(Error::new(Kind::Invalid, what));
        }
        Ok(Window { offset: self.offset, limit })
    }

    fn filter(&self) -> Result<Filter, Error> {
        let within = self.within.as_deref().map(within).transpose()?;
        let is = |field, text: &Option<String>| text.clone().map(|text| Filter::Is(field, text));
        let all =
            [is(Field::Artist, &self.artist), is(Field::Album, &self.album), is(Field::Genre, &self.genre)];
        let mut all: Vec<Filter> = all.into_iter().flatten().collect();
        if let Some(q) = self.q.clone().filter(|q| !q.trim().is_empty()) {
            // Every word must be found somewhere.
            all.extend(q.split_whitespace().map(|word| Filter::Contains(Field::Any, word.to_owned())));
        }
        let Some(within) = within else {
            return Ok(if all.is_empty() { Filter::All } else { Filter::And(all) });
        };
        if all.is_empty() {
            return Ok(within);
        }
        all.push(within);
        Ok(Filter::And(all))
    }
}

/// Parameters of a query string, or what is wrong with them.
pub type Given = Result<Params<ListParams>, axum::extract::rejection::QueryRejection>;

/// Reads `album:4f2a…`: the kind and the `id` of what a list named.
fn within(text: &str) -> Result<Filter, Error> {
    let wrong =
        || Error::new(Kind::Invalid, format!("in is {text:?}, must be a kind and an id, such as album:1f"));
    let (kind, id) = text.split_once(':').ok_or_else(wrong)?;
    let what = match kind {
        "album" => What::Albums,
        "artist" => What::Artists,
        "album_artist" => What::AlbumArtists,
        "genre" => What::Genres,
        "composer" => What::Composers,
        "year" => What::Years,
        "folder" => What::Folders,
        "playlist" => What::Playlists,
        _ => return Err(wrong()),
    };
    Ok(Filter::In(what, id.parse().map_err(|_| wrong())?))
}

async fn list(web: &Web, caller: Caller, given: Given, what: What, sort: Sort) -> Answer<ListJson<ItemJson>> {
    let params = params(given)?;
    let query =
        Query { what, filter: params.filter()?, sort: params.sort.unwrap_or(sort), window: params.window()? };
    ok(web.hifi.of(caller).browse(&query).await?.into())
}

fn params(given: Given) -> Result<ListParams, Error> {
    given.map(|Params(params)| params).map_err(|error| Error::new(Kind::Invalid, error.body_text()))
}

/// `GET /api/library/tracks`.
pub async fn tracks(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    given: Given,
) -> Answer<ListJson<ItemJson>> {
    list(&web, caller, given, What::Tracks, Sort::Album).await
}

/// `GET /api/library/albums`.
pub async fn albums(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    given: Given,
) -> Answer<ListJson<ItemJson>> {
    list(&web, caller, given, What::Albums, Sort::Album).await
}

/// `GET /api/library/artists`.
pub async fn artists(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    given: Given,
) -> Answer<ListJson<ItemJson>> {
    list(&web, caller, given, What::Artists, Sort::Artist).await
}

/// `GET /api/library/genres`.
pub async fn genres(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    given: Given,
) -> Answer<ListJson<ItemJson>> {
    list(&web, caller, given, What::Genres, Sort::Title).await
}

/// `GET /api/library/{kind}`: names of one kind, or tracks in an order of their own.
pub async fn kind(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    given: Given,
) -> Answer<ListJson<ItemJson>> {
    let (what, sort, only) = match uri.path().rsplit('/').next().unwrap_or_default() {
        "album_artists" => (What::AlbumArtists, Sort::Artist, None),
        "composers" => (What::Composers, Sort::Title, None),
        "years" => (What::Years, Sort::Title, None),
        "folders" => (What::Folders, Sort::Listed, None),
        "playlists" => (What::Playlists, Sort::Listed, None),
        "played" => (What::Tracks, Sort::Played, Some(Field::Played)),
        "most_played" => (What::Tracks, Sort::MostPlayed, Some(Field::Played)),
        "favourites" => (What::Tracks, Sort::Favoured, Some(Field::Favourite)),
        other => return Err(Error::new(Kind::NotFound, format!("there is no list {other:?}")).into()),
    };
    let params = params(given)?;
    let filter = match (only, params.filter()?) {
        (None, filter) => filter,
        (Some(field), Filter::All) => Filter::Exists(field),
        (Some(field), filter) => Filter::And(vec![Filter::Exists(field), filter]),
    };
    let query = Query { what, filter, sort: params.sort.unwrap_or(sort), window: params.window()? };
    ok(web.hifi.of(caller).browse(&query).await?.into())
}

/// `GET /api/library/headings?of=`: where the names under あかさたな, A–Z and 0–9 begin.
pub async fn headings(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    given: Result<Params<HeadingParams>, axum::extract::rejection::QueryRejection>,
) -> Answer<ListJson<Section>> {
    let Params(params) = given.map_err(|error| Error::new(Kind::Invalid, error.body_text()))?;
    let items = web.hifi.of(caller).sections(params.of).await;
    ok(ListJson { total: items.len() as u64, items })
}

/// `of`: the kind of list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadingParams {
    of: What,
}

/// `PUT` and `DELETE /api/tracks/{id}/favourite`.
pub async fn favourite(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    method: Method,
) -> Result<StatusCode, Failure> {
    web.hifi.of(caller).set_favourite(track_id(&id)?, method == Method::PUT).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/library/recent`.
pub async fn recent(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    given: Given,
) -> Answer<ListJson<ItemJson>> {
    list(&web, caller, given, What::Tracks, Sort::Added).await
}

/// `GET /api/library/search?q=`.
pub async fn search(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    given: Given,
) -> Answer<SearchJson> {
    let params = params(given)?;
    let session = web.hifi.of(caller);
    let filter = params.filter()?;
    let ask = |what, window| Query { what, filter: filter.clone(), sort: Sort::Album, window };
    let beside = Window { offset: 0, limit: BESIDE };
    let tracks = session.browse(&ask(What::Tracks, params.window()?)).await?.into();
    let artists = session.browse(&ask(What::Artists, beside)).await?;
    let albums = session.browse(&ask(What::Albums, beside)).await?;
    let items = |page: crate::query::Page<crate::query::Item>| ListJson::from(page).items;
    ok(SearchJson { tracks, artists: items(artists), albums: items(albums) })
}

/// `GET /api/tracks/{id}`.
pub async fn track(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer<TrackJson> {
    let session = web.hifi.of(caller);
    let track = session.track(track_id(&id)?).await?;
    ok(TrackJson::with_story(&track, session.story(track.id).await?))
}

/// `DELETE /api/tracks/{id}`: to the trash.
pub async fn trash(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    web.hifi.of(caller).trash(track_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET` and `HEAD /api/media/{id}.{ext}`: the file, for all but the owner without what names its buyer.
pub async fn media(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let stem = name.split_once('.').map_or(name.as_str(), |(stem, _)| stem);
    let open = web.hifi.of(caller).open_media(track_id(stem)?).await?;
    let mime = media_type::of_extension(open.extension.as_deref().unwrap_or(""));
    let file = Overlay::new(open.file, open.size.0, open.modified, open.changed, open.blanks);
    let mut response = range::file_response(&headers, &method, file, &open.etag, mime);
    // The same address has another form for the owner.
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Authorization, Cookie"));
    Ok(response)
}

/// Reads the number of a track in a path.
///
/// # Errors
/// `NotFound` for anything else.
pub fn track_id(text: &str) -> Result<TrackId, Error> {
    text.parse().map(TrackId).map_err(|_| Error::new(Kind::NotFound, format!("there is no track {text:?}")))
}

/// How many artists and albums stand beside the tracks of a search.
const BESIDE: u32 = 20;
