//! Music out, as one archive.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as Params, State};
use axum::response::Response;
use http::Method;
use serde::Deserialize;

use crate::error::{Error, Kind};
use crate::hifi::export::{Leaving, Opened};
use crate::http::overlay::Overlay;
use crate::http::zip::{Files, ReadAt};
use crate::offer::Caller;
use crate::query::GroupId;
use crate::query::export::{Export, Wanted};
use crate::track::TrackId;
use crate::units::UnixTime;
use crate::web::Web;
use crate::web::answer::Failure;

/// What is taken out: one of the first five.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExportParams {
    album: Option<String>,
    playlist: Option<String>,
    tracks: Option<String>,
    purchases: Option<String>,
    all: Option<String>,
    receipts: Option<String>,
    leave: Option<String>,
}

impl ExportParams {
    fn export(self) -> Result<Export, Error> {
        let invalid = |what: String| Error::new(Kind::Invalid, what);
        let group = |name: &str, text: &str| {
            text.parse::<GroupId>()
                .map_err(|_| invalid(format!("{name} is {text:?}, must be the id that a list told")))
        };
        let (receipts, leave) = (is_set(self.receipts.as_deref()), is_set(self.leave.as_deref()));
        let mut wanted = Vec::new();
        if let Some(id) = &self.album {
            wanted.push(Wanted::Album(group("album", id)?));
        }
        if let Some(id) = &self.playlist {
            wanted.push(Wanted::Playlist(group("playlist", id)?));
        }
        if let Some(ids) = &self.tracks {
            let ids: Result<Vec<TrackId>, _> =
                ids.split(',').map(|id| id.trim().parse().map(TrackId)).collect();
            wanted.push(Wanted::Tracks(
                ids.map_err(|_| invalid("tracks must be numbers with , between".into()))?,
            ));
        }
        wanted.extend(is_set(self.purchases.as_deref()).then_some(Wanted::Purchases));
        wanted.extend(is_set(self.all.as_deref()).then_some(Wanted::All));
        let mut wanted = wanted.into_iter();
        match (wanted.next(), wanted.next()) {
            (Some(wanted), None) => Ok(Export { wanted, receipts, leave }),
            _ => Err(invalid("say one of album, playlist, tracks, purchases and all".into())),
        }
    }
}

/// `?all`, `?all=true` and `?all=1`, but not `?all=false`.
fn is_set(value: Option<&str>) -> bool {
    value.is_some_and(|value| !matches!(value, "false" | "0" | "no" | "off"))
}

/// `GET` and `HEAD /api/export.zip`.
pub async fn archive(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    method: Method,
    given: Result<Params<ExportParams>, QueryRejection>,
) -> Result<Response, Failure> {
    let Params(params) = given.map_err(|error| Error::new(Kind::Invalid, error.body_text()))?;
    let export = params.export()?;
    let turn = web.archives.take(Instant::now())?;
    let session = web.hifi.of(caller);
    // A client that goes away meanwhile does not make room for another plan before this one is made.
    let planned = tokio::spawn(async move { session.export(export).await.map(|leaving| (turn, leaving)) });
    let planned = planned.await.map_err(|error| Error::with(Kind::Internal, "plan an export", error))?;
    let (turn, leaving) = planned?;
    let title = leaving.title().to_owned();
    Ok(turn.answer(&method, Arc::new(Out(leaving)), &title))
}

/// What goes out, as the files of an archive.
struct Out(Leaving);

impl Files for Out {
    fn count(&self) -> usize {
        self.0.count()
    }

    fn about(&self, at: usize) -> (&str, u64, UnixTime) {
        self.0.about(at)
    }

    fn open(&self, at: usize) -> io::Result<Box<dyn ReadAt>> {
        let size = self.about(at).1;
        let opened = self.0.open(at).map_err(io::Error::other)?;
        let (file, from) = match opened {
            Opened::Whole(file) if file.metadata()?.len() != size => {
                return Err(io::Error::other("a file was changed since its length was told"));
            }
            Opened::Whole(file) => (file, 0),
            Opened::Served(served) if served.size.0 != size => {
                return Err(io::Error::other("a file was changed since its length was told"));
            }
            Opened::Served(served) => {
                return Ok(Box::new(Overlay::new(
                    served.file,
                    size,
                    served.modified,
                    served.changed,
                    served.blanks,
                )));
            }
            Opened::Part(file, from) => (file, from),
        };
        Ok(Box::new(Window { file, from }))
    }
}

/// A file from some byte on.
struct Window {
    file: File,
    from: u64,
}

impl ReadAt for Window {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(&self.file, buf, self.from + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_taken_out_at_a_time() {
        let read = |query: &str| {
            let uri: http::Uri = format!("/x?{query}").parse().expect("a query");
            let Params(params) = Params::<ExportParams>::try_from_uri(&uri).expect("parameters");
            params.export().map_err(|error| error.kind())
        };
        let all = Export { wanted: Wanted::All, receipts: false, leave: true };
        assert_eq!(read("all&leave=true&receipts=false"), Ok(all));
        let tracks = Wanted::Tracks(vec![TrackId(3), TrackId(7)]);
        assert_eq!(read("tracks=3,7").map(|export| export.wanted), Ok(tracks));
        assert_eq!(read("album=1f").map(|export| export.wanted), Ok(Wanted::Album(GroupId(0x1f))));
        for wrong in ["", "all=false", "all&purchases", "tracks=", "tracks=a", "album=zz"] {
            assert_eq!(read(wrong), Err(Kind::Invalid), "{wrong}");
        }
    }
}
