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

async fn load(location: &str) -> Result<(Server, About)> {
    let allow = Allow::Near { peer: [127, 0, 0, 1].into(), networks: Vec::new() };
    Server::load(&Client::new(), location, allow, Reader::Rupnp).await
}

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
    /// What becomes of every answer on its way.
    twist: Option<fn(String) -> Vec<u8>>,
    /// What becomes of its description.
    describes: Option<fn(&str) -> String>,
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
            let (status, text) = phone.answer(action, &body);
            (status, phone.twist.map_or_else(|| text.clone().into_bytes(), |twist| twist(text.clone())))
        };
        let description = phone.describes.map_or(DESCRIPTION.to_owned(), |describe| describe(DESCRIPTION));
        let app = Router::new()
            .route("/desc.xml", get(|| async { description }))
            .route("/control", post(called))
            .with_state(phone.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("bound").port();
        let stop = CancellationToken::new();
        tokio::spawn(crate::http::server::serve(listener, app, Hosts::new(&[]), stop.clone()));
        let (server, about) = load(&format!("http://127.0.0.1:{port}/desc.xml")).await.expect("loaded");
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
    assert_eq!((listing.items.len(), listing.lost), (50, 0), "it does not say how many there are");
    let phone = Phone { songs: 200, searches: true, ignores_start: true, counts: true, ..Phone::default() };
    let (listing, _) = listed(phone).await;
    assert_eq!((listing.items.len(), listing.lost), (200, 0), "asked for all at once");
}

#[tokio::test]
async fn counts_that_lie_upwards_end_the_listing() {
    for twist in [
        (|text| text.replace("<NumberReturned>0", "<NumberReturned>1").into_bytes()) as fn(String) -> Vec<u8>,
        |text| text.replace("<NumberReturned>", "<NumberReturned>184467440737095516").into_bytes(),
    ] {
        let phone = Phone { songs: 60, searches: true, twist: Some(twist), ..Phone::default() };
        let (listing, calls) = listed(phone).await;
        assert_eq!(listing.items.len(), 60);
        assert!(calls < 12, "{calls}");
    }
}

#[tokio::test]
async fn what_cannot_be_used_says_why() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let error = load(&format!("http://127.0.0.1:{port}/")).await.expect_err("nobody is there");
    assert_eq!((error.kind(), error.what()), (Kind::Unreachable, "it cannot be reached"));
    let error = load("no address").await.expect_err("none");
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[tokio::test]
async fn a_device_that_rupnp_cannot_load_is_read_by_our_own_reader() {
    for describe in [
        // gerbera 1.1.0 of Debian: a URL without its slash.
        (|text: &str| text.replace("/scpd", "scpd.xml")) as fn(&str) -> String,
        |text| text.replace("<SCPDURL>/scpd</SCPDURL>", "<SCPDURL/>"),
        |text| text.replace("<eventSubURL>/event</eventSubURL>", ""),
        |text| text.replace("<controlURL>/control", "<controlURL>control"),
        |text| format!("<!DOCTYPE root [<!ENTITY x \"y\">]>{text}"),
        |text| text.replace("<manufacturer>M", "<manufacturer>M & Söhne"),
        |text| {
            text.replace("<SCPDURL>/scpd", "<SCPDURL>scpd")
                .replace("<device>", "<URLBase>http://192.0.2.1:9/</URLBase><device>")
        },
    ] {
        let phone = Phone { songs: 20, counts: true, describes: Some(describe), ..Phone::default() };
        let (mut server, phone, _up) = phone.up().await;
        assert_eq!(server.reader(), Reader::Own, "{}", describe(DESCRIPTION));
        assert_eq!(server.list().await.expect("listed").items.len(), 20);
        // As many calls as by rupnp: identity, capabilities, the root and its page.
        assert_eq!(phone.calls.load(Ordering::Relaxed), 4);
    }
}

#[tokio::test]
async fn an_absolute_control_url_is_followed_on_the_device_and_nowhere_else() {
    let away = |text: &str| text.replace(">/control<", ">http://192.0.2.1/control<");
    let phone = Phone { songs: 20, describes: Some(away), ..Phone::default() };
    let (mut server, _phone, _up) = phone.up().await;
    let error = server.list().await.expect_err("it leads elsewhere");
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("neither the device itself nor on our network"), "{error}");
}

#[tokio::test]
async fn answers_that_are_no_xml_are_mended_and_our_own_reader_is_remembered() {
    for (name, twist) in [
        (
            "a bare ampersand",
            (|text| text.replace("Dance", "R&B & Soul").into_bytes()) as fn(String) -> Vec<u8>,
        ),
        ("Latin-1", |text| {
            text.replace("Dance", "\u{1}@").bytes().map(|b| if b == b'@' { 0xE9 } else { b }).collect()
        }),
        ("control characters", |text| text.replace("Dance", "\u{1}\u{b}D").into_bytes()),
        ("inline elements", |text| {
            quick_xml::escape::unescape(&text).map(|t| t.into_owned()).unwrap_or(text).into_bytes()
        }),
        ("an undeclared prefix", |text| text.replace(" xmlns:u=", " x:u=").into_bytes()),
        ("a DTD", |text| format!("<!DOCTYPE x>{text}").into_bytes()),
        ("a wrong count", |text| text.replace("<NumberReturned>20", "<NumberReturned>7").into_bytes()),
    ] {
        let phone = Phone { songs: 20, twist: Some(twist), ..Phone::default() };
        let (mut server, _phone, _up) = phone.up().await;
        let listing = server.list().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((listing.items.len(), listing.lost), (20, 0), "{name}");
        let title = &listing.items[3].title;
        assert!(title.starts_with("Song 3") && !title.contains('\u{1}'), "{name}: {title}");
    }
}

#[tokio::test]
async fn what_a_server_cuts_off_is_asked_for_again_from_there() {
    // At most ten things of every page come whole.
    let cut = |text: String| match text.match_indices("&lt;item").nth(10) {
        Some((at, _)) => {
            let end = text.find("</Result>").unwrap_or(at);
            format!("{}{}", &text[..at + 20], &text[end..]).into_bytes()
        }
        None => text.into_bytes(),
    };
    let phone = Phone { songs: 45, searches: true, counts: true, twist: Some(cut), ..Phone::default() };
    let (listing, calls) = listed(phone).await;
    assert_eq!((listing.items.len(), listing.lost), (45, 0));
    assert!(calls < 15, "{calls}");
}

#[tokio::test]
async fn a_page_beyond_all_measure_is_given_up_in_words() {
    let endless =
        |text: String| text.replace("</Result>", &format!("{}</Result>", " ".repeat(5 << 20))).into_bytes();
    let phone = Phone { songs: 10, searches: true, twist: Some(endless), ..Phone::default() };
    let (mut server, _phone, _up) = phone.up().await;
    let error = server.list().await.expect_err("too much");
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(error.to_string().contains("more than"), "{error}");
}

#[tokio::test]
async fn a_server_with_more_than_a_house_holds_is_refused_in_words() {
    let phone = Phone { songs: 1_000_000, searches: true, ..Phone::default() };
    let (mut server, _phone, _up) = phone.up().await;
    server.most_things = 1000;
    let error = server.list().await.expect_err("too many");
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("more than 1000 things"), "{error}");
}

#[tokio::test]
async fn a_refusal_is_told_with_its_code() {
    let refuses = |text: String| {
        if !text.contains("SearchCaps") && !text.contains("<Id>") {
            let fault = "<s:Envelope xmlns:s=\"x\"><s:Body><s:Fault><detail><UPnPError><errorCode>720</errorCode>\
                <errorDescription>Cannot process the request</errorDescription></UPnPError></detail></s:Fault></s:Body></s:Envelope>";
            return fault.as_bytes().to_vec();
        }
        text.into_bytes()
    };
    let (mut server, _phone, _up) = Phone { songs: 10, twist: Some(refuses), ..Phone::default() }.up().await;
    let error = server.list().await.expect_err("it refuses");
    assert_eq!(error.to_string(), "it refuses Browse (720: Cannot process the request)");
}
