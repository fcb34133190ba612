//! Being found (README 3.1; reference beam, a.2): announces on every network at the start, when a network changes, and
//! every 30 seconds, and answers the announcements of others with `register`. One task.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::beam::localsend::messages::{self, Device};
use crate::beam::localsend::server::Desk;
use crate::error::{Error, Kind, Result};
use crate::http::own_tls::Own;
use crate::lan::group::Group;
use crate::lan::interfaces::Interface;

/// What announces.
pub struct Announcer {
    desk: Desk,
    own: Arc<Own>,
    group: Group,
    interfaces: watch::Receiver<Vec<Interface>>,
    /// Announcements to come.
    due: Vec<Instant>,
    /// Who was answered when.
    answered: HashMap<Ipv4Addr, Instant>,
    answers: JoinSet<Option<()>>,
}

impl Announcer {
    /// Opens the socket.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn open(desk: Desk, own: Arc<Own>, interfaces: watch::Receiver<Vec<Interface>>) -> Result<Announcer> {
        let group = Group::open(GROUP).map_err(|error| Error::io("listen for LocalSend devices", error))?;
        let (due, answered) = (Vec::new(), HashMap::new());
        Ok(Announcer { desk, own, group, interfaces, due, answered, answers: JoinSet::new() })
    }

    /// Runs until the stop token falls.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut buffer = vec![0; LARGEST];
        self.moved();
        let mut renamed = self.desk.alias.clone();
        loop {
            let next = self.due.iter().min().copied().unwrap_or_else(|| Instant::now() + EVERY);
            tokio::select! {
                () = stop.cancelled() => break,
                changed = self.interfaces.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.moved();
                }
                // A sender that is gone renames nobody.
                Ok(()) = renamed.changed() => self.moved(),
                () = tokio::time::sleep_until(next.into()) => self.announce(),
                heard = self.group.receive(&mut buffer) => match heard {
                    Ok((length, from)) => self.hear(&buffer[..length], from),
                    Err(error) => {
                        debug!(%error, "an announcement could not be read");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                },
                Some(answered) = self.answers.join_next(), if !self.answers.is_empty() => {
                    // Who cannot be reached is told by datagram, as 1.17 does.
                    if answered.is_ok_and(|answered| answered.is_none()) {
                        self.send(Some(false));
                    }
                }
            }
        }
        self.answers.shutdown().await;
    }

    /// Lives on the networks that there are now, under the name of now, and says so three times, for datagrams get lost.
    fn moved(&mut self) {
        let interfaces = self.interfaces.borrow_and_update().clone();
        self.group.live_on(&interfaces);
        let now = Instant::now();
        self.due = BURST.iter().map(|&after| now + after).collect();
    }

    fn announce(&mut self) {
        let now = Instant::now();
        self.due.retain(|&due| due > now);
        self.send(Some(true));
        if self.due.is_empty() {
            self.due.push(now + EVERY);
        }
    }

    fn send(&self, announce: Option<bool>) {
        match serde_json::to_vec(&self.desk.introduction(announce)) {
            Ok(datagram) => self.group.send(&datagram),
            Err(error) => warn!(%error, "an announcement could not be written"),
        }
    }

    /// Answers somebody who announces itself: not more often than once in two seconds, and few at a time.
    fn hear(&mut self, datagram: &[u8], from: SocketAddrV4) {
        let Some(device) = messages::announcement(datagram, &self.desk.fingerprint) else { return };
        let now = Instant::now();
        self.answered.retain(|_, at| now.saturating_duration_since(*at) < ANSWERED_EVERY);
        let crowded = self.answers.len() >= MOST_ANSWERS || self.answered.len() >= MOST_ANSWERED;
        if crowded || self.answered.contains_key(from.ip()) {
            return;
        }
        self.answered.insert(*from.ip(), now);
        let Ok(body) = serde_json::to_vec(&self.desk.introduction(None)) else { return };
        let (own, to) = (self.own.clone(), SocketAddrV4::new(*from.ip(), device.port));
        self.answers.spawn(async move {
            match tokio::time::timeout(ANSWERED_WITHIN, introduce(&own, to, &device, body)).await {
                Ok(Ok(())) => Some(()),
                Ok(Err(error)) => {
                    debug!(%error, %to, "a device could not be answered");
                    None
                }
                Err(_) => None,
            }
        });
    }
}

/// Tells a device who we are. With TLS it must have the certificate that it announced.
async fn introduce(own: &Own, to: SocketAddrV4, device: &Device, body: Vec<u8>) -> Result<()> {
    let unreachable = |error| Error::with(Kind::Unreachable, format!("reach {to}"), error);
    let stream = TcpStream::connect(to).await.map_err(unreachable)?;
    if device.protocol.as_deref() == Some("http") {
        return post(stream, to, body).await;
    }
    let connector = own.connector(&device.fingerprint)?;
    let name = ServerName::IpAddress(IpAddr::V4(*to.ip()).into());
    post(connector.connect(name, stream).await.map_err(unreachable)?, to, body).await
}

async fn post<S>(stream: S, to: SocketAddrV4, body: Vec<u8>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broke = |error: hyper::Error| Error::with(Kind::Unreachable, format!("talk to {to}"), error);
    let request = Request::post("/api/localsend/v2/register")
        .header(header::HOST, to.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| Error::with(Kind::Internal, "write a request", error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broke)?;
    let sending = sender.send_request(request);
    tokio::pin!(sending, connection);
    let answer = tokio::select! {
        answer = &mut sending => answer,
        ended = &mut connection => {
            // The answer came just before.
            ended.map_err(broke)?;
            sending.await
        }
    };
    let answer = answer.map_err(broke)?;
    if answer.status().is_success() {
        return Ok(());
    }
    Err(Error::new(Kind::Unreachable, format!("{to} answered {}", answer.status())))
}

/// README 1: in 224.0.0.0/24, for some phones drop other groups.
const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 167), 53317);
/// The app waits 100, 500 and 2000 ms before its three datagrams (reference beam, a.1).
const BURST: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(600), Duration::from_millis(2600)];
/// Apps announce only when they are opened; a box that repeats itself is found sooner.
const EVERY: Duration = Duration::from_secs(30);
const ANSWERED_EVERY: Duration = Duration::from_secs(2);
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
const MOST_ANSWERS: usize = 8;
const MOST_ANSWERED: usize = 256;
const LARGEST: usize = 8192;
