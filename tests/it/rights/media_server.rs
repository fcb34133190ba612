//! What the media server lists and serves names no buyer, whoever asks: it stands for the room.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use konpo::http::server::Peer;
use konpo::library::NewCopy;
use konpo::offer::{Caller, Via};
use konpo::upnp;
use konpo::upnp::content_directory::table::SERVICE;
use konpo::upnp::service::{Call, Handler};
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use super::paired;
use crate::api::arrival;
use crate::rights::fixtures::{awkward, of_rows, told};

/// Calls an action as an app does; the values of the answer.
async fn ask(handler: &Arc<dyn Handler>, action: &str, given: &[(&str, &str)]) -> Vec<String> {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (action, given) = SERVICE.check(action, &given).expect("as the table says");
    let call = Call {
        action,
        given,
        caller: Caller::room(Via::Upnp),
        host: SocketAddrV4::new(Ipv4Addr::new(192, 168, 7, 1), 8200),
        peer: PEER,
        headers: &HeaderMap::new(),
    };
    let answer = handler.act(call).await.expect("answered");
    let ordered = SERVICE.ordered(action, &answer).expect("every argument");
    ordered.into_iter().map(|(_, value)| value.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_media_server_names_no_buyer() {
    let bench = paired().await;
    let (mut count, mut songs) = (0, 0);
    for file in of_rows().into_iter().chain(awkward()).filter(|file| file.sounds || !file.served) {
        count += 1;
        let new = arrival(&bench.library, count, &format!("{count}.{}", file.extension), &file.bytes);
        let added = bench.library.add(NewCopy { fingerprint: None, ..new }).await.expect("added");
        songs = songs.max(added.track.0);
    }
    let stop = CancellationToken::new();
    let udn = uuid::Uuid::from_u128(7);
    let ((_, offered), files, task) = upnp::media_server(&bench.hifi, "Box", "konpo", udn, stop.clone());
    let directory = offered.into_iter().find(|offered| offered.service.kind == SERVICE.kind);
    let directory = directory.expect("the service").handler;

    let mut listed = 0;
    for id in
        ["0", "tracks", "albums", "artists", "everyone", "genres", "composers", "years", "folders", "recent"]
    {
        for filter in ["*", "", "dc:description,upnp:longDescription,desc,res,upnp:author"] {
            let given = [("ObjectID", id), ("BrowseFlag", "BrowseDirectChildren"), ("Filter", filter)];
            let values = ask(&directory, "Browse", &given).await;
            listed += values[0].matches("<item ").count();
            assert_eq!(told(values.concat().as_bytes()), [""; 0], "{id} {filter}");
        }
    }
    assert!(listed > 60, "{listed} rows of tracks were listed");
    for property in ["dc:title", "upnp:artist", "dc:creator", "upnp:album", "dc:description", "upnp:author"] {
        for person in ["user@example.com", "Hanako Yamada"] {
            let criteria = format!("{property} contains \"{person}\"");
            let values =
                ask(&directory, "Search", &[("ContainerID", "0"), ("SearchCriteria", &criteria)]).await;
            assert_eq!(values[2], "0", "{criteria}");
        }
    }
    let (mut served, mut refused) = (0, 0);
    for id in 1..=songs {
        for (path, range) in [
            (format!("/media/{id}.bin"), None),
            (format!("/media/{id}.bin"), Some("bytes=100-")),
            (format!("/media/{id}/cover/600.jpg"), None),
        ] {
            let mut request = Request::builder().uri(&path);
            if let Some(range) = range {
                request = request.header("range", range);
            }
            let mut request = request.body(Body::empty()).expect("a request");
            request.extensions_mut().insert(Peer((PEER, 4000).into()));
            let (head, body) = files.clone().call(request).await.expect("infallible").into_parts();
            let bytes = body.collect().await.expect("a body").to_bytes();
            let head_text = format!("{:?}", head.headers);
            assert_eq!(told(&bytes), [""; 0], "{path} {range:?} ({})", head.status);
            assert_eq!(told(head_text.as_bytes()), [""; 0], "{path}");
            match head.status {
                StatusCode::OK | StatusCode::PARTIAL_CONTENT => served += 1,
                StatusCode::FORBIDDEN => refused += 1,
                _ => {}
            }
        }
    }
    println!("{listed} rows listed, {served} answers with bytes, {refused} refused");
    assert!(served > 40 && refused > 0, "{served} answers with bytes, {refused} refused");
    stop.cancel();
    task.await.expect("in order");
    drop((directory, files));
    bench.end().await;
}

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 7, 2));
