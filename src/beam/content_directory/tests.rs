use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;

use super::*;
use crate::http::hosts::Hosts;

/// A media server with `songs` songs in the folder `1`.
#[derive(Default)]
struct Phone {
    songs: usize,
    searches: bool,
    /// The search answers 500 so often before it works.
    ill: AtomicUsize,
    /// Every page with this song is no XML.
    poisoned: Option<usize>,
    /// It sends its first page again and again.
    ignores_start: bool,
    /// It says how many there are.
    counts: bool,
    calls: AtomicUsize,
}

impl Phone {
    fn song(&self, number: usize) -> String {
        format!(
            "<item id=\"1${number}\"><dc:title>Song {number} &amp;amp; Dance</dc:title>\
             <upnp:class>object.item.audioItem.musicTrack</upnp:class>\
             <res size=\"9\" protocolInfo=\"http-get:*:audio/mpeg:*\">/media/{number}.mp3</res></item>"
        )
    }

    /// Answers one call with a status and a body.
    fn answer(&self, action: &str, body: &str) -> (StatusCode, String) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let argument = |name: &str| {
            let (_, rest) = body.split_once(&format!("<{name}>"))?;
            Some(rest.split_once('<')?.0.to_owned())
        };
        let number = |name: &str| argument(name).and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
        let arguments = match action {
            "GetSystemUpdateID" => "<Id>5</Id>".to_owned(),
            "GetSearchCapabilities" if self.searches => {
                "<SearchCaps>dc:title, upnp:class</SearchCaps>".to_owned()
            }
            "GetSearchCapabilities" => "<SearchCaps></SearchCaps>".to_owned(),
            "Search" if self.ill.load(Ordering::Relaxed) > 0 => {
                self.ill.fetch_sub(1, Ordering::Relaxed);
                return (StatusCode::INTERNAL_SERVER_ERROR, "<s:Fault/>".into());
            }
            "Browse" if argument("ObjectID").as_deref() == Some("0") => {
                let folder = "<container id=\"1\"><dc:title>Music</dc:title>\
                              <upnp:class>object.container</upnp:class></container>";
                // The same folder twice, and one that leads back.
                let back = folder.replace("id=\"1\"", "id=\"0\"");
                self.page(&format!("{folder}{folder}{back}"), 3, 3)
            }
            _ => {
                let start = if self.ignores_start { 0 } else { number("StartingIndex") };
                let end = (start + number("RequestedCount")).min(self.songs);
                if self.poisoned.is_some_and(|bad| (start..end).contains(&bad)) {
                    return (StatusCode::OK, "<s:Envelope><s:Body><broken".into());
                }
                let songs: String = (start..end).map(|number| self.song(number)).collect();
                self.page(&songs, end.saturating_sub(start), self.songs)
            }
        };
        let envelope = format!(
            "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
             <u:{action}Response xmlns:u=\"urn:schemas-upnp-org:service:ContentDirectory:2\">{arguments}\
             </u:{action}Response></s:Body></s:Envelope>"
        );
        (StatusCode::OK, envelope)
    }

    fn page(&self, things: &str, returned: usize, total: usize) -> String {
        let didl = format!("<DIDL-Lite xmlns:dc=\"d\" xmlns:upnp=\"u\">{things}</DIDL-Lite>");
        let total = if self.counts { total } else { 0 };
        format!(
            "<Result>{}</Result><NumberReturned>{returned}</NumberReturned><TotalMatches>{total}</TotalMatches>",
            quick_xml::escape::escape(&didl)
        )
    }

    async fn up(self) -> (Server, Arc<Phone>, DropGuard) {
        let phone = Arc::new(self);
        let called = |State(phone): State<Arc<Phone>>, headers: HeaderMap, body: String| async move {
            let action = headers["soapaction"].to_str().expect("text").trim_matches('"').to_owned();
            let (service, action) = action.split_once('#').expect("a service and an action");
            assert_eq!(service, "urn:schemas-upnp-org:service:ContentDirectory:2", "its own version");
            phone.answer(action, &body)
        };
        let app = Router::new()
            .route("/desc.xml", get(|| async { DESCRIPTION }))
            .route("/control", post(called))
            .with_state(phone.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("bound").port();
        let stop = CancellationToken::new();
        tokio::spawn(crate::http::server::serve(listener, app, Hosts::new(&[]), stop.clone()));
        let (server, about) =
            Server::load(&format!("http://127.0.0.1:{port}/desc.xml")).await.expect("loaded");
        assert_eq!((about.udn.as_str(), about.name.as_str()), ("abc-1", "Yuki's phone"));
        (server, phone, stop.drop_guard())
    }
}

const DESCRIPTION: &str = "<root xmlns=\"urn:schemas-upnp-org:device-1-0\"><device>\
    <deviceType>urn:schemas-upnp-org:device:MediaServer:1</deviceType><friendlyName>Yuki's phone</friendlyName>\
    <manufacturer>M</manufacturer><modelName>N</modelName><UDN>uuid:ABC-1</UDN><serviceList><service>\
    <serviceType>urn:schemas-upnp-org:service:ContentDirectory:2</serviceType>\
    <serviceId>urn:upnp-org:serviceId:ContentDirectory</serviceId><SCPDURL>/scpd</SCPDURL>\
    <controlURL>/control</controlURL><eventSubURL>/event</eventSubURL></service></serviceList></device></root>";

async fn listed(phone: Phone) -> (Listing, usize) {
    let (mut server, phone, _up) = phone.up().await;
    let listing = server.list().await.expect("listed");
    (listing, phone.calls.load(Ordering::Relaxed))
}

#[tokio::test]
async fn everything_is_found_by_search_page_by_page() {
    let (listing, calls) =
        listed(Phone { songs: 120, searches: true, counts: true, ..Phone::default() }).await;
    assert_eq!((listing.items.len(), listing.lost), (120, 0));
    assert_eq!(listing.mark, Mark { update: 5, total: Some(120), faulted: false });
    assert!(listing.items[7].resources[0].url.ends_with("/media/7.mp3"), "{:?}", listing.items[7]);
    assert!(listing.items[7].resources[0].url.starts_with("http://127.0.0.1:"));
    // The two marks, the capabilities, three pages.
    assert_eq!(calls, 6);
}

#[tokio::test]
async fn a_server_without_search_is_walked_and_loops_end() {
    let (listing, calls) = listed(Phone { songs: 60, ..Phone::default() }).await;
    assert_eq!((listing.items.len(), listing.lost, listing.mark.total), (60, 0, None));
    // Identity, capabilities, the root and its end, two pages and their end: no total is said.
    assert_eq!(calls, 7);
}

#[tokio::test]
async fn a_poisoned_thing_costs_only_itself() {
    let phone = Phone { songs: 200, searches: true, counts: true, poisoned: Some(70), ..Phone::default() };
    let (listing, calls) = listed(phone).await;
    assert_eq!((listing.items.len(), listing.lost), (199, 1));
    assert!(listing.items.iter().all(|item| item.id != "1$70"));
    assert!(calls < 30, "{calls}: pages grow again");
}

#[tokio::test]
async fn a_search_that_faults_is_walked_around_and_says_so() {
    let phone = Phone { songs: 10, searches: true, counts: true, ill: 1.into(), ..Phone::default() };
    let (listing, _) = listed(phone).await;
    assert_eq!(listing.items.len(), 10);
    assert!(listing.mark.faulted, "it is read again soon");
    let phone = Phone { songs: 10, searches: true, counts: true, ill: 1000.into(), ..Phone::default() };
    let (listing, calls) = listed(phone).await;
    assert_eq!(listing.items.len(), 10);
    assert!(calls < 20, "{calls}: it is given up soon");
}

#[tokio::test]
async fn a_server_that_ignores_where_a_page_starts_is_read_once() {
    let phone = Phone { songs: 200, searches: true, ignores_start: true, ..Phone::default() };
    let (listing, _) = listed(phone).await;
    assert_eq!(listing.items.len(), 50);
}

#[tokio::test]
async fn what_cannot_be_used_says_why() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let error = Server::load(&format!("http://127.0.0.1:{port}/")).await.expect_err("nobody is there");
    assert_eq!((error.kind(), error.what()), (Kind::Unreachable, "it cannot be reached"));
    let error = Server::load("no address").await.expect_err("none");
    assert_eq!(error.kind(), Kind::Unsupported);
}
