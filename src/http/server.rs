//! The HTTP/1.1 server: accepts, limits, and stops. Puts the peer into each request's extensions, over TCP also the address
//! of ours that was asked, and what waits until the answer is on the wire.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::middleware;
use http::{HeaderValue, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpStream, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;
use tracing::{debug, warn};

use crate::http::crowd::{Asked, Crowd, Place, Served};
use crate::http::door::Door;
use crate::http::hosts::{self, Hosts};
use crate::http::linger::linger;
use crate::http::own_tls::fingerprint;
use crate::http::patient::Patient;
use crate::http::written::Counted;

/// The address of a TCP caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The address and port of ours that a TCP caller asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local(pub SocketAddr);

/// The SHA-256 of the certificate whose key a caller over TLS proved to have, lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate(pub Arc<str>);

/// The caller speaks over TLS: nobody between hears what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Private;

/// Who is at the other end of the local socket, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCred {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Serves the app over TCP until the stop token falls, then lets connections end within half a second.
pub async fn serve(door: impl Into<Door>, app: Router, hosts: Hosts, stop: CancellationToken) {
    let door = door.into();
    let app = app.layer(middleware::from_fn_with_state(hosts, hosts::check));
    let room = Room::new(stop);
    loop {
        let (stream, peer) = tokio::select! {
            () = room.stop.cancelled() => break,
            accepted = door.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    room.pause_after(&error).await;
                    continue;
                }
            },
        };
        // One that nobody is at the other end of any more has no address.
        let Ok(local) = stream.local_addr() else { continue };
        let Some(place) = room.place(Some(peer.ip())) else { continue };
        // A small answer waits for nothing (RFC 896 off).
        let _not_supported_is_fine = stream.set_nodelay(true);
        let app = app.clone();
        let (stream, writes) = Counted::new(stream);
        room.connection(place, stream, move |mut request| {
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(Local(local));
            request.extensions_mut().insert(writes.next());
            app.clone().call(request)
        });
    }
    room.end().await;
}

/// Serves the app on one port over TLS and plain TCP until the stop token falls: a first byte of 0x16 begins TLS (RFC 8446,
/// 5.1, handshake). A caller over TLS has [`Private`], one with a certificate [`PeerCertificate`] too among its requests'
/// extensions. The app itself says under which names it is answered ([`hosts::check`]), for its errors have a form of
/// their own.
pub async fn serve_either(door: impl Into<Door>, app: Router, tls: TlsAcceptor, stop: CancellationToken) {
    let door = door.into();
    let room = Room::new(stop);
    loop {
        let (stream, peer) = tokio::select! {
            () = room.stop.cancelled() => break,
            accepted = door.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    room.pause_after(&error).await;
                    continue;
                }
            },
        };
        let Some(place) = room.place(Some(peer.ip())) else { continue };
        let _not_supported_is_fine = stream.set_nodelay(true);
        let (app, tls, stop) = (app.clone(), tls.clone(), room.stop.clone());
        room.tasks.spawn(async move {
            let greeted = tokio::select! {
                () = stop.cancelled() => return,
                () = place.turned_out.cancelled() => return,
                greeted = tokio::time::timeout(HEADERS_WITHIN, greet(stream, &tls)) => greeted,
            };
            let answer = move |private: Option<Private>, certificate: Option<PeerCertificate>| {
                move |mut request: http::Request<Body>| {
                    request.extensions_mut().insert(Peer(peer));
                    let _it_is_new = private.and_then(|mark| request.extensions_mut().insert(mark));
                    certificate
                        .clone()
                        .into_iter()
                        .for_each(|known| drop(request.extensions_mut().insert(known)));
                    app.clone().call(request)
                }
            };
            match greeted {
                Ok(Ok(Greeted::Plain(stream))) => connection(stop, place, stream, answer(None, None)).await,
                Ok(Ok(Greeted::Private(stream, known))) => {
                    connection(stop, place, *stream, answer(Some(Private), known)).await
                }
                Ok(Err(error)) => debug!(%error, %peer, "a connection could not be made private"),
                Err(_) => debug!(%peer, "a caller said nothing"),
            }
        });
    }
    room.end().await;
}

/// A connection whose first byte is known.
enum Greeted {
    Plain(TcpStream),
    Private(Box<TlsStream<BufReader<TcpStream>>>, Option<PeerCertificate>),
}

async fn greet(stream: TcpStream, tls: &TlsAcceptor) -> std::io::Result<Greeted> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first[0] != HANDSHAKE {
        return Ok(Greeted::Plain(stream));
    }
    // rustls asks for 4 KiB at a time, whatever there is: a quarter of a record of a file.
    let stream = tls.accept(BufReader::with_capacity(READ_AT_ONCE, stream)).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let known = certificate.map(|certificate| PeerCertificate(fingerprint(certificate).into()));
    Ok(Greeted::Private(Box::new(stream), known))
}

/// Serves the app over the local socket until the stop token falls.
pub async fn serve_unix(listener: UnixListener, app: Router, stop: CancellationToken) {
    let room = Room::new(stop);
    loop {
        let stream = tokio::select! {
            () = room.stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    room.pause_after(&error).await;
                    continue;
                }
            },
        };
        let Ok(cred) = stream.peer_cred() else { continue };
        let Some(place) = room.place(None) else { continue };
        let peer = PeerCred { uid: cred.uid(), gid: cred.gid() };
        let app = app.clone();
        room.connection(place, stream, move |mut request| {
            request.extensions_mut().insert(peer);
            app.clone().call(request)
        });
    }
    room.end().await;
}

/// The connections of one listener.
struct Room {
    crowd: Crowd,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Room {
    fn new(stop: CancellationToken) -> Room {
        Room { crowd: Crowd::default(), tasks: TaskTracker::new(), stop }
    }

    fn place(&self, address: Option<IpAddr>) -> Option<Arc<Place>> {
        let place = self.crowd.admit(address, Instant::now());
        if place.is_none() {
            debug!(?address, "a connection is refused: everybody is being served");
        }
        place.map(Arc::new)
    }

    /// Out of file descriptors is over when a connection ends; trying at once would only burn the processor.
    async fn pause_after(&self, error: &std::io::Error) {
        warn!(%error, "a connection could not be accepted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    fn connection<S, F, R>(&self, place: Arc<Place>, stream: S, answer: F)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Fn(http::Request<Body>) -> R + Send + Unpin + 'static,
        R: Future<Output = Result<http::Response<Body>, std::convert::Infallible>> + Send + 'static,
    {
        self.tasks.spawn(connection(self.stop.clone(), place, stream, answer));
    }

    async fn end(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Serves one connection until it ends, its place is taken, or shortly after the stop.
async fn connection<S, F, R>(stop: CancellationToken, place: Arc<Place>, stream: S, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(http::Request<Body>) -> R + Send + Unpin + 'static,
    R: Future<Output = Result<http::Response<Body>, std::convert::Infallible>> + Send + 'static,
{
    let (turned_out, held) = (place.turned_out.clone(), place.clone());
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        // While a body is still to come, it is not yet clear that anything is asked.
        let serving = hyper::body::Body::is_end_stream(request.body()).then(|| place.serve());
        let answered = answer(request.map(|body| Body::new(Asked::new(body, place.clone()))));
        let place = place.clone();
        Box::pin(async move {
            let serving_until = |body| Body::new(Served::new(body, serving.unwrap_or_else(|| place.serve())));
            answered.await.map(|mut response| {
                // What comes from senders is never taken for anything else than it says (Fetch standard, 3.6).
                response
                    .headers_mut()
                    .insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                response.map(serving_until)
            })
        })
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_headers(MOST_HEADERS)
        .max_buf_size(LARGEST_HEAD);
    let mut connection = builder.serve_connection(TokioIo::new(Patient::new(stream)), service);
    let ended = tokio::select! {
        ended = poll_fn(|context| connection.poll_without_shutdown(context)) => ended,
        () = turned_out.cancelled() => return,
        () = stop.cancelled() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            let ending = poll_fn(|context| connection.poll_without_shutdown(context));
            match tokio::time::timeout(ENDS_WITHIN, ending).await {
                Ok(ended) => ended,
                Err(_) => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection broke off");
        return;
    }
    let still_sends = held.has_unread();
    let stream = connection.into_parts().io.into_inner();
    tokio::select! {
        () = turned_out.cancelled() => {}
        () = linger(stream, still_sends, &stop) => {}
    }
}

/// A caller that does not finish its headers is let go.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// Bytes that are read of a private connection at once: four records.
const READ_AT_ONCE: usize = 64 << 10;
/// The type of a TLS record that begins a handshake.
const HANDSHAKE: u8 = 0x16;
/// More headers are refused with 431.
const MOST_HEADERS: usize = 100;
/// Largest head of a request; hyper refuses more with 431.
const LARGEST_HEAD: usize = 64 << 10;
/// How long a request may still run after the stop.
const ENDS_WITHIN: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn ask(port: u16, text: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
        stream.write_all(text.as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        answer
    }

    #[tokio::test]
    async fn a_foreign_host_is_misdirected_and_the_stop_ends_all() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("bound").port();
        let app = Router::new().route("/", get(|| async { "hello" }));
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, app, Hosts::new(&[]), stop.clone()));
        let ours =
            ask(port, &format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"))
                .await;
        assert!(ours.starts_with("HTTP/1.1 200") && ours.ends_with("hello"), "{ours}");
        assert!(ours.contains("x-content-type-options: nosniff"), "{ours}");
        let foreign = ask(port, "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await;
        assert!(
            foreign.starts_with("HTTP/1.1 421")
                && foreign.contains("application/problem+json")
                && foreign.contains("nosniff"),
            "{foreign}"
        );
        let none = ask(port, "GET / HTTP/1.0\r\n\r\n").await;
        assert!(none.starts_with("HTTP/1.0 421"), "{none}");
        // An idle connection does not hold the end.
        let idle = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(2), serving).await.expect("in time").expect("in order");
        drop(idle);
    }
}
