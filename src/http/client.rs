//! The one HTTP client: HTTP/1.1, with TLS where an app's URL asks for it, one rule for where a URL may point, deadlines, limits.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::error::{Error, Kind, Result};
use crate::http::first_line::FirstLine;
use crate::http::near::Near;
use crate::http::tls;

/// Where a URL may point. Asked of the address itself, after names were resolved, and again at each redirect.
#[derive(Debug, Clone)]
pub enum Allow {
    /// What a device of the neighbourhood gave: the device's own address, or one on a network of ours; loopback only for a
    /// device that is itself there.
    Near {
        /// The device that gave the URL.
        peer: IpAddr,
        /// Our own networks: address and prefix length.
        networks: Vec<(IpAddr, u8)>,
    },
    /// What a person's app gave to be played: anywhere but this box itself (reference upnp 4.3).
    Wide {
        /// Our own addresses.
        own: Vec<IpAddr>,
    },
}

impl Allow {
    /// Returns whether this address may be asked.
    pub fn allows(&self, address: IpAddr) -> bool {
        // An IPv4 address in IPv6 clothes is judged as what it is.
        let address = address.to_canonical();
        let plain = !address.is_loopback() && !address.is_unspecified() && !address.is_multicast();
        match self {
            Allow::Near { peer, .. } if address == *peer => true,
            Allow::Near { networks, .. } => {
                plain && networks.iter().any(|&(network, prefix)| same_network(network, address, prefix))
            }
            Allow::Wide { own } => {
                let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0);
                plain && !broadcast && !own.contains(&address)
            }
        }
    }

    /// Returns whether a connection between these two addresses may stay. The kernel talks to the machine itself from the
    /// very address it talks to: so an own address that nobody listed is known as well.
    fn stands(&self, here: IpAddr, there: IpAddr) -> bool {
        !matches!(self, Allow::Wide { .. }) || here.to_canonical() != there.to_canonical()
    }

    fn refusal(&self, host: &str) -> Error {
        let why = match self {
            Allow::Near { .. } => "is neither the device itself nor on our network",
            Allow::Wide { .. } => "is this box itself, or no place to play from",
        };
        Error::new(Kind::Invalid, format!("{host} {why}"))
    }
}

fn same_network(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(u32::from(prefix))).unwrap_or(0);
            u32::from(a) & mask == u32::from(b) & mask
        }
        _ => false,
    }
}

/// How a file is asked for.
#[derive(Debug, Clone)]
pub struct GetOptions {
    /// Start from this byte; 0 asks for the whole.
    pub from: u64,
    /// Ask for this many bytes only.
    pub count: Option<u64>,
    /// Only if the file is still the one with this entity tag or date.
    pub if_range: Option<String>,
    /// Further headers.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// Where the URL may point.
    pub allow: Allow,
    /// How long a connection may take.
    pub connect: Duration,
    /// How long no byte may come.
    pub stall: Duration,
}

impl GetOptions {
    /// Returns the usual deadlines of a copy from a phone: connect 5 s, stall 30 s.
    pub fn copy(allow: Allow) -> GetOptions {
        GetOptions {
            from: 0,
            count: None,
            if_range: None,
            headers: vec![("transfermode.dlna.org", "Background".into())],
            allow,
            connect: Duration::from_secs(5),
            stall: Duration::from_secs(30),
        }
    }

    /// Returns the deadline of a short talk with a device: connect 3 s (reference upnp 8.1); the whole of it has one of its
    /// caller's.
    pub fn talk(allow: Allow) -> GetOptions {
        GetOptions { headers: Vec::new(), connect: Duration::from_secs(3), ..GetOptions::copy(allow) }
    }
}

/// The client. Holds no connections: a phone's radio sleeps better without.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// The one device that is asked, whatever a URL names.
    only: Option<Near>,
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Bytes of this body as announced.
    pub length: Option<u64>,
    /// The first byte's place in the file, and the file's size when known (`Content-Range`).
    pub range: Option<(u64, Option<u64>)>,
    body: Incoming,
    stall: Duration,
    url: String,
    _driver: Driver,
}

/// Ends the connection's task when nobody reads any more.
#[derive(Debug)]
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Client {
    /// Returns a client.
    pub fn new() -> Client {
        Client::default()
    }

    /// Returns a client that asks one device and nobody else: where it is and whether in private is known already, so the
    /// hosts of URLs say nothing. It must be allowed all the same.
    pub fn of(device: Near) -> Client {
        Client { only: Some(device) }
    }

    /// Asks for a URL and follows at most three redirects, each of which must be allowed as well.
    ///
    /// # Errors
    /// `Invalid` for a URL that is none or not allowed, `Unreachable` when nobody answers in time.
    pub async fn get(&self, url: &str, options: &GetOptions) -> Result<Reply> {
        let mut url = url.to_owned();
        for _ in 0..=MOST_REDIRECTS {
            let reply = self.once(&url, options, &Method::GET, None).await?;
            if !reply.status.is_redirection() || reply.status == StatusCode::NOT_MODIFIED {
                return Ok(reply);
            }
            let to = reply.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
            let to =
                to.ok_or_else(|| Error::new(Kind::Damaged, format!("get {url}: a redirect to nowhere")))?;
            url = join(&url, to)?;
        }
        Err(Error::new(Kind::Invalid, format!("get {url}: more than {MOST_REDIRECTS} redirects")))
    }

    /// Sends a body of XML; a redirect is an answer like any other. Of the options only the headers, the deadlines and the
    /// rule count.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post(&self, url: &str, body: String, options: &GetOptions) -> Result<Reply> {
        self.once(url, options, &Method::POST, Some(body.into())).await
    }

    /// Tells a subscriber of an event (UPnP Device Architecture 1.0, 4.2.1): `NOTIFY`, otherwise as [`Client::post`].
    /// Returns the status, or `None` when the event was sent but not answered.
    ///
    /// # Errors
    /// As [`Client::get`], when nobody could be told.
    pub async fn notify(&self, url: &str, body: Bytes, options: &GetOptions) -> Result<Option<StatusCode>> {
        let method = Method::from_bytes(b"NOTIFY");
        let method = method.map_err(|error| Error::with(Kind::Internal, "name a method", error))?;
        let uri = parse(url)?;
        let stream = self.connect(url, &uri, options).await?;
        let answer = self.ask(stream, (url, &uri), options, &method, Some(body)).await;
        Ok(answer.ok().map(|reply| reply.status))
    }

    async fn once(
        &self,
        url: &str,
        options: &GetOptions,
        method: &Method,
        body: Option<Bytes>,
    ) -> Result<Reply> {
        let uri = parse(url)?;
        let stream = self.connect(url, &uri, options).await?;
        self.ask(stream, (url, &uri), options, method, body).await
    }

    async fn ask(
        &self,
        stream: FirstLine<Box<dyn Line>>,
        (url, uri): (&str, &Uri),
        options: &GetOptions,
        method: &Method,
        body: Option<Bytes>,
    ) -> Result<Reply> {
        let wrong = |why: &str| Error::new(Kind::Invalid, format!("get {url}: {why}"));
        let broke = |e: hyper::Error| Error::with(Kind::Unreachable, format!("get {url}"), e);
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_headers(100)
            .max_buf_size(LARGEST_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(broke)?;
        let driver = Driver(tokio::spawn(async move {
            // What breaks is seen by whoever reads the body.
            let _seen_there = connection.await;
        }));
        let request = request(uri, options, method, body).map_err(|_| wrong("it cannot be asked"))?;
        let late =
            || Error::new(Kind::Unreachable, format!("get {url}: no answer within {:?}", options.stall));
        let answer = timeout(options.stall, sender.send_request(request)).await.map_err(|_| late())?;
        let (parts, body) = answer.map_err(broke)?.into_parts();
        let length =
            parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.trim().parse().ok());
        let range = parts.headers.get(header::CONTENT_RANGE).and_then(|v| content_range(v.to_str().ok()?));
        Ok(Reply {
            status: parts.status,
            headers: parts.headers,
            length,
            range,
            body,
            stall: options.stall,
            url: url.to_owned(),
            _driver: driver,
        })
    }
}

impl Reply {
    /// Returns the next bytes, or `None` at the end.
    ///
    /// # Errors
    /// `Unreachable` when none come in time or the connection breaks; a body shorter than announced is a break.
    ///
    /// # Cancel
    /// A dropped future loses nothing that was returned.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            let what = || format!("read {}", self.url);
            let late =
                |_| Error::new(Kind::Unreachable, format!("{}: nothing came for {:?}", what(), self.stall));
            let frame = timeout(self.stall, self.body.frame()).await;
            match frame.map_err(late)? {
                None => return Ok(None),
                Some(Err(error)) => {
                    return Err(Error::with(Kind::Unreachable, format!("read {}", self.url), error));
                }
                Some(Ok(frame)) => {
                    // Trailers are of no use here.
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// Returns the whole body.
    ///
    /// # Errors
    /// As [`Reply::chunk`], and `Damaged` beyond `most` bytes.
    pub async fn whole(mut self, most: usize) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if all.len() + chunk.len() > most {
                let what = format!("read {}: more than {most} bytes", self.url);
                return Err(Error::new(Kind::Damaged, what));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }
}

fn parse(url: &str) -> Result<Uri> {
    url.parse().map_err(|_| Error::new(Kind::Invalid, format!("get {url}: this is no URL")))
}

/// A connection, private or not.
trait Line: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Line for T {}

impl Client {
    /// Connects to where a URL points, if it may point there.
    async fn connect(&self, url: &str, uri: &Uri, options: &GetOptions) -> Result<FirstLine<Box<dyn Line>>> {
        let wrong = |why: &str| Error::new(Kind::Invalid, format!("get {url}: {why}"));
        let known = self.only.as_ref().is_some_and(Near::is_private);
        let private = match (uri.scheme_str(), &options.allow) {
            (Some("http"), _) => false,
            (Some("https"), Allow::Wide { .. }) => true,
            (Some("https"), Allow::Near { .. }) if known => true,
            // Devices of the neighbourhood cannot prove their names.
            (_, Allow::Near { .. }) => return Err(wrong("only http:// can be asked")),
            _ => return Err(wrong("only http:// and https:// can be asked")),
        };
        let host = uri.host().ok_or_else(|| wrong("it names no host"))?.trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if private { 443 } else { 80 });
        let inside = |error: Error| Error::with(error.kind(), format!("get {url}"), error);
        let address = match &self.only {
            Some(only) if options.allow.allows(only.at().ip()) => only.at(),
            Some(_) => return Err(inside(options.allow.refusal(host))),
            None => resolve(host, port, &options.allow).await.map_err(inside)?,
        };
        let slow = || {
            Error::new(Kind::Unreachable, format!("get {url}: no connection within {:?}", options.connect))
        };
        let broke = |e: std::io::Error| Error::with(Kind::Unreachable, format!("get {url}"), e);
        let stream = timeout(options.connect, TcpStream::connect(address)).await.map_err(|_| slow())?;
        let stream = stream.map_err(broke)?;
        let here = stream.local_addr().map_err(broke)?.ip();
        if !options.allow.stands(here, address.ip()) {
            return Err(options.allow.refusal(host));
        }
        let line: Box<dyn Line> = match &self.only {
            _ if !private => Box::new(stream),
            Some(only) => match only.greet(stream).await.map_err(|silent| inside(silent.into()))? {
                Some(wrapped) => Box::new(wrapped),
                None => return Err(wrong("it is not talked to in private")),
            },
            None => {
                let wrapped = timeout(options.connect, tls::wrap(stream, host)).await.map_err(|_| slow())?;
                Box::new(wrapped.map_err(inside)?)
            }
        };
        Ok(FirstLine::new(line))
    }
}

async fn resolve(host: &str, port: u16, allow: &Allow) -> Result<SocketAddr> {
    let found: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![(address, port).into()],
        Err(_) => {
            let looked = timeout(RESOLVE_WITHIN, tokio::net::lookup_host((host, port))).await;
            let unknown = || Error::new(Kind::Unreachable, format!("the name {host} is not known here"));
            looked.map_err(|_| unknown())?.map_err(|_| unknown())?.collect()
        }
    };
    let allowed = found.iter().find(|address| allow.allows(address.ip()));
    allowed.copied().ok_or_else(|| allow.refusal(host))
}

fn request(
    uri: &Uri,
    options: &GetOptions,
    method: &Method,
    body: Option<Bytes>,
) -> http::Result<Request<Full<Bytes>>> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close");
    for (name, value) in &options.headers {
        request = request.header(*name, value.as_ref());
    }
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "text/xml; charset=\"utf-8\"");
    }
    if let Some(count) = options.count {
        let last = (options.from + count).saturating_sub(1);
        request = request.header(header::RANGE, format!("bytes={}-{last}", options.from));
    } else if options.from > 0 {
        request = request.header(header::RANGE, format!("bytes={}-", options.from));
        if let Some(tag) = &options.if_range {
            request = request.header(header::IF_RANGE, tag);
        }
    }
    request.body(Full::from(body.unwrap_or_default()))
}

/// Reads `Content-Range: bytes first-last/size` (RFC 9110, 14.4).
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, size.trim().parse().ok()))
}

/// Resolves a reference against the URL it came with, as far as servers of phones write them: what may not stand in a URL
/// is escaped (RFC 3986, 2.1).
pub fn join(base: &str, reference: &str) -> Result<String> {
    let reference = &escaped(reference);
    let wrong = || Error::new(Kind::Invalid, format!("{reference:?} at {base} is no URL"));
    let is_scheme = |scheme: &str| scheme.bytes().all(|b| b.is_ascii_alphabetic());
    if reference.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme)) {
        return Ok(reference.to_owned());
    }
    let uri: Uri = base.parse().map_err(|_| wrong())?;
    let authority = uri.authority().ok_or_else(wrong)?;
    let scheme = uri.scheme_str().unwrap_or("http");
    if let Some(rest) = reference.strip_prefix("//") {
        return Ok(format!("{scheme}://{rest}"));
    }
    if reference.starts_with('/') {
        return Ok(format!("{scheme}://{authority}{reference}"));
    }
    if reference.is_empty() {
        return Ok(base.to_owned());
    }
    let folder = uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    Ok(format!("{scheme}://{authority}{folder}/{reference}"))
}

fn escaped(reference: &str) -> String {
    let mut out = String::with_capacity(reference.len());
    for byte in reference.trim().bytes() {
        match byte {
            b' ' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0..0x20 | 0x7f.. => {
                out.push_str(&format!("%{byte:02X}"));
            }
            _ => out.push(char::from(byte)),
        }
    }
    out
}

/// Some servers of phones answer only those who name DLNA and UPnP (reference upnp 8.1).
pub const USER_AGENT: &str = concat!("Linux UPnP/1.0 konpo/", env!("CARGO_PKG_VERSION"), " DLNADOC/1.50");
const MOST_REDIRECTS: usize = 3;
const LARGEST_HEAD: usize = 64 << 10;
const RESOLVE_WITHIN: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::response::Redirect;
    use axum::routing::get;
    use tokio_util::sync::CancellationToken;

    fn local() -> Allow {
        Allow::Near { peer: IpAddr::from([127, 0, 0, 1]), networks: vec![(IpAddr::from([10, 0, 0, 2]), 24)] }
    }

    async fn server(app: Router) -> (u16, CancellationToken) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("bound").port();
        let stop = CancellationToken::new();
        let hosts = crate::http::hosts::Hosts::new(&[]);
        tokio::spawn(crate::http::server::serve(listener, app, hosts, stop.clone()));
        (port, stop)
    }

    #[test]
    fn a_url_points_to_its_device_or_our_network() {
        let allow = |peer: [u8; 4], address: [u8; 4]| {
            let networks = vec![(IpAddr::from([10, 0, 0, 2]), 24)];
            Allow::Near { peer: peer.into(), networks }.allows(address.into())
        };
        assert!(allow([10, 0, 0, 9], [10, 0, 0, 9]) && allow([10, 0, 0, 9], [10, 0, 0, 77]));
        assert!(!allow([10, 0, 0, 9], [10, 0, 1, 1]) && !allow([10, 0, 0, 9], [127, 0, 0, 1]));
        assert!(!allow([10, 0, 0, 9], [0, 0, 0, 0]) && !allow([10, 0, 0, 9], [8, 8, 8, 8]));
        assert!(allow([127, 0, 0, 1], [127, 0, 0, 1]));
    }

    #[test]
    fn what_an_app_gives_points_anywhere_but_here() {
        let allow = Allow::Wide { own: vec![IpAddr::from([10, 0, 0, 2])] };
        let allows = |text: &str| allow.allows(text.parse().expect("an address"));
        for there in ["10.0.0.9", "8.8.8.8", "2001:db8::1", "192.168.1.4"] {
            assert!(allows(there), "{there}");
        }
        for here in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "10.0.0.2",
            "::ffff:10.0.0.2",
            "::ffff:127.0.0.1",
            "0.0.0.0",
            "0.0.0.7",
            "::",
            "255.255.255.255",
            "224.0.0.1",
            "ff02::1",
        ] {
            assert!(!allows(here), "{here}");
        }
        let [a, b] = [[10, 0, 0, 2], [10, 0, 0, 3]].map(IpAddr::from);
        assert!(allow.stands(a, b) && !allow.stands(a, a));
    }

    #[test]
    fn references_are_joined_as_servers_write_them() {
        let joined = |reference| join("http://10.0.0.9:80/a/desc.xml", reference).expect("a URL");
        assert_eq!(joined("x.flac"), "http://10.0.0.9:80/a/x.flac");
        assert_eq!(joined("/x.flac"), "http://10.0.0.9:80/x.flac");
        assert_eq!(joined("http://10.0.0.9/y"), "http://10.0.0.9/y");
        assert_eq!(joined("/My Song é.mp3?a=%20"), "http://10.0.0.9:80/My%20Song%20%C3%A9.mp3?a=%20");
    }

    #[tokio::test]
    async fn a_part_is_asked_for_and_understood() {
        let echo = |headers: HeaderMap| async move {
            let range = headers[header::RANGE].to_str().expect("text").to_owned();
            let tag = headers[header::IF_RANGE].to_str().expect("text").to_owned();
            ([(header::CONTENT_RANGE, "bytes 5-9/10")], format!("{range} {tag}"))
        };
        let (port, stop) = server(Router::new().route("/", get(echo))).await;
        let options = GetOptions { from: 5, if_range: Some("\"x\"".into()), ..GetOptions::copy(local()) };
        let reply =
            Client::new().get(&format!("http://127.0.0.1:{port}/"), &options).await.expect("answered");
        assert_eq!(reply.range, Some((5, Some(10))));
        assert_eq!(reply.whole(100).await.expect("read"), b"bytes=5- \"x\"");
        stop.cancel();
    }

    #[tokio::test]
    async fn a_redirect_to_a_forbidden_place_is_refused() {
        let away = get(|| async { Redirect::temporary("http://127.0.0.2:1/secret") });
        let (port, stop) = server(Router::new().route("/", away)).await;
        let url = format!("http://127.0.0.1:{port}/");
        let error = Client::new().get(&url, &GetOptions::copy(local())).await.expect_err("refused");
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains("neither the device itself nor on our network"), "{error}");
        let round = get(|| async { Redirect::temporary("/") });
        let (port, stop_two) = server(Router::new().route("/", round)).await;
        let url = format!("http://127.0.0.1:{port}/");
        let error = Client::new().get(&url, &GetOptions::copy(local())).await.expect_err("endless");
        assert!(error.to_string().contains("more than 3 redirects"), "{error}");
        stop.cancel();
        stop_two.cancel();
    }

    #[tokio::test]
    async fn a_body_beyond_its_limit_is_damaged() {
        let (port, stop) = server(Router::new().route("/", get(|| async { "x".repeat(1000) }))).await;
        let url = format!("http://127.0.0.1:{port}/");
        let reply = Client::new().get(&url, &GetOptions::copy(local())).await.expect("answered");
        assert_eq!(reply.length, Some(1000));
        assert_eq!(reply.whole(999).await.expect_err("too long").kind(), Kind::Damaged);
        stop.cancel();
    }
}
