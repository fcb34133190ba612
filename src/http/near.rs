//! Talking to a device of the neighbourhood that listens by itself: a phone, a computer. With TLS it must have the
//! certificate that it announced, and is shown ours; what is not it gets no byte of any request.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{CertificateError, Error as TlsError};

use crate::error::{Error, Kind, Result};
use crate::http::own_tls::Own;

/// A device that is talked to. Cheap to clone; what was agreed about TLS is used again.
#[derive(Clone)]
pub struct Near {
    at: SocketAddr,
    private: Option<TlsConnector>,
}

impl fmt::Debug for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Near").field("at", &self.at).field("private", &self.is_private()).finish()
    }
}

/// What it answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Silent {
    /// Whoever listens there has another certificate than the one announced.
    NotItself,
    /// It cannot be reached, or broke off.
    Away(Error),
}

impl From<Silent> for Error {
    fn from(silent: Silent) -> Error {
        match silent {
            Silent::NotItself => Error::new(Kind::NotAllowed, NOT_ITSELF),
            Silent::Away(error) => error,
        }
    }
}

impl Near {
    /// Returns a device at an address; with the SHA-256 of its certificate (hex) it is talked to in private.
    ///
    /// # Errors
    /// As [`Own::connector`].
    pub fn new(own: &Own, at: SocketAddr, pinned: Option<&str>) -> Result<Near> {
        let private = pinned.map(|pinned| own.connector(pinned)).transpose()?;
        Ok(Near { at, private })
    }

    /// Returns a device at an address that is talked to in plain HTTP.
    pub fn plain(at: SocketAddr) -> Near {
        Near { at, private: None }
    }

    /// Returns where it is.
    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// Returns whether it is talked to in private, with the certificate that it announced.
    pub fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// Begins to talk in private on a fresh connection; `None` when plain HTTP is spoken with it.
    ///
    /// # Errors
    /// [`Silent::NotItself`] when the other end has another certificate.
    pub(super) async fn greet<T>(&self, stream: T) -> Result<Option<TlsStream<T>>, Silent>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(connector) = &self.private else { return Ok(None) };
        let name = ServerName::IpAddress(self.at.ip().into());
        let greeted = timeout(CONNECTED_WITHIN, connector.connect(name, stream)).await;
        let stream = greeted.map_err(|_| self.away("it does not finish its greeting"))?;
        stream
            .map(Some)
            .map_err(|error| if is_stranger(&error) { Silent::NotItself } else { self.broke(error) })
    }

    /// Posts a body and waits for the whole answer, of at most `most` bytes, without a limit of time.
    ///
    /// # Errors
    /// [`Silent`]; nobody listens within 5 s, or the connection breaks.
    ///
    /// # Cancel
    /// A dropped future closes the connection.
    pub async fn post<B>(&self, path: &str, kind: &str, body: B, most: usize) -> Result<Answer, Silent>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = timeout(CONNECTED_WITHIN, TcpStream::connect(self.at)).await;
        let stream = stream.map_err(|_| self.away("nobody answers"))?.map_err(|error| self.broke(error))?;
        // The last bytes of a file wait for nothing (RFC 896 off).
        let _not_supported_is_fine = stream.set_nodelay(true);
        let request = self.request(path, kind, body)?;
        if !self.is_private() {
            return self.ask(stream, request, most).await;
        }
        match self.greet(stream).await? {
            Some(stream) => self.ask(stream, request, most).await,
            None => Err(self.away("it is not talked to in private")),
        }
    }

    /// Posts a few bytes of JSON; else as [`Near::post`].
    ///
    /// # Errors
    /// As [`Near::post`].
    pub async fn post_json(&self, path: &str, json: Vec<u8>, most: usize) -> Result<Answer, Silent> {
        self.post(path, "application/json", Full::new(Bytes::from(json)), most).await
    }

    fn request<B>(&self, path: &str, kind: &str, body: B) -> Result<Request<B>, Silent> {
        let request = Request::post(path)
            .header(header::HOST, written(self.at))
            .header(header::CONTENT_TYPE, kind)
            .header(header::CONNECTION, "close")
            .body(body);
        request.map_err(|error| Silent::Away(Error::with(Kind::Internal, "write a request", error)))
    }

    async fn ask<S, B>(&self, stream: S, request: Request<B>, most: usize) -> Result<Answer, Silent>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut builder = http1::Builder::new();
        let shaken = builder
            .max_headers(MOST_HEADERS)
            .max_buf_size(LARGEST_HEAD)
            .handshake(TokioIo::new(stream))
            .await;
        let (mut sender, connection) = shaken.map_err(|error| self.broke(error))?;
        let asking = async {
            let (parts, body) =
                sender.send_request(request).await.map_err(|error| self.broke(error))?.into_parts();
            let body = Limited::new(body, most).collect().await.map_err(|error| self.broke(error))?;
            Ok(Answer { status: parts.status, body: body.to_bytes().to_vec() })
        };
        tokio::pin!(asking, connection);
        tokio::select! {
            answer = &mut asking => answer,
            // What broke is told by the request as well, and an answer may have come just before.
            _ended = &mut connection => asking.await,
        }
    }

    fn away(&self, why: &str) -> Silent {
        Silent::Away(Error::new(Kind::Unreachable, format!("reach {}: {why}", self.at)))
    }

    fn broke(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Silent {
        Silent::Away(Error::with(Kind::Unreachable, format!("talk to {}", self.at), error))
    }
}

/// Writes an address as URLs have it: the number of a link means nothing at the other end of it (RFC 6874, 1).
pub fn written(at: SocketAddr) -> String {
    match at {
        SocketAddr::V4(_) => at.to_string(),
        SocketAddr::V6(six) => format!("[{}]:{}", six.ip(), six.port()),
    }
}

/// Whether a greeting failed because the certificate is another one than the one pinned.
fn is_stranger(error: &std::io::Error) -> bool {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    matches!(tls, Some(TlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure)))
}

/// What is said of a device that is not the one it says.
pub const NOT_ITSELF: &str = "its certificate is not the one it announced";
/// For the connection, and again for the greeting of TLS: phones that sleep wake up within a second or not at all.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
const MOST_HEADERS: usize = 100;
const LARGEST_HEAD: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::server;
    use axum::Router;
    use axum::routing::post;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio_util::sync::CancellationToken;

    fn own() -> Own {
        let made = rcgen::generate_simple_self_signed(Vec::new()).expect("made");
        Own::read(&made.cert.pem(), &made.signing_key.serialize_pem()).expect("read")
    }

    #[test]
    fn a_host_is_written_without_its_link() {
        let written = |text: &str| written(text.parse().expect("an address"));
        assert_eq!(written("[fe80::1%3]:53317"), "[fe80::1]:53317");
        assert_eq!(written("10.0.0.1:53317"), "10.0.0.1:53317");
    }

    #[tokio::test]
    async fn a_device_is_told_only_when_it_is_the_one_announced() {
        let (phone, ours, other) = (own(), own(), own());
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let app = Router::new().route(
            "/x",
            post(move |body: String| {
                count.fetch_add(1, Ordering::Relaxed);
                async move { body.repeat(2) }
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let at = listener.local_addr().expect("bound");
        let stop = CancellationToken::new();
        let acceptor = phone.acceptor().expect("set up");
        let serving = tokio::spawn(server::serve_either(listener, app, acceptor, stop.clone()));
        for pinned in [Some(phone.fingerprint()), None] {
            let near = Near::new(&ours, at, pinned).expect("set up");
            let answer = near.post_json("/x", b"ab".to_vec(), 4).await.expect("answered");
            assert_eq!((answer.status, answer.body.as_slice()), (StatusCode::OK, &b"abab"[..]));
            let long = near.post_json("/x", b"abc".to_vec(), 4).await;
            assert!(matches!(long, Err(Silent::Away(_))), "{long:?}");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 4);
        let near = Near::new(&ours, at, Some(other.fingerprint())).expect("set up");
        let stranger = near.post_json("/x", b"ab".to_vec(), 4).await;
        assert!(matches!(stranger, Err(Silent::NotItself)), "{stranger:?}");
        assert_eq!(asked.load(Ordering::Relaxed), 4, "a stranger is told nothing");
        stop.cancel();
        serving.await.expect("in order");
        let gone = near.post_json("/x", Vec::new(), 4).await;
        assert!(matches!(gone, Err(Silent::Away(_))), "{gone:?}");
    }
}
