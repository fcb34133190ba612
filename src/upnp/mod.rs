//! The UPnP face: root devices, their descriptions, control and events, on the port of the page. Holds no music state.
//! A device is a [`Device`] whose services each have a handler; more than one may stand on the same port.

pub mod av;
pub mod content_directory;
mod control;
pub mod describe;
pub mod formats;
mod gena;
pub mod handed;
mod icons;
mod media;
pub mod openhome;
pub mod own;
pub mod quirks;
pub mod refusals;
pub mod service;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http::uri::Authority;
use http::{HeaderValue, StatusCode, header};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use crate::error::Result;
use crate::hifi::Hifi;
use crate::http::problem::Problem;
use crate::http::server::{Local, Peer};
use crate::http::written::Written;
use crate::lan::Lan;
use crate::lan::interfaces::Interface;
use crate::upnp::av::connection::{self, Role};
use crate::upnp::av::registrar;
use crate::upnp::av::renderer;
use crate::upnp::av::rendering::{self, RenderingControl};
use crate::upnp::av::transport::{self, AvTransport};
use crate::upnp::content_directory::{ContentDirectory, table, updates};
use crate::upnp::describe::Device;
use crate::upnp::gena::{Asked, Events};
use crate::upnp::openhome::Named;
use crate::upnp::own::Mark;
use crate::upnp::quirks::Clients;
use crate::upnp::service::{Handler, Service};
use crate::wire::ssdp::SERVER;

/// A service and who fulfils it.
pub struct Offered {
    /// What it is.
    pub service: &'static Service,
    /// Who fulfils it.
    pub handler: Arc<dyn Handler>,
}

/// A root device as it is served.
struct Root {
    role: &'static str,
    /// Its name may change.
    device: Mutex<Device>,
    offered: Vec<Offered>,
}

impl Root {
    fn device(&self) -> MutexGuard<'_, Device> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The face. Cheap to clone.
#[derive(Clone)]
pub struct Upnp {
    roots: Arc<Vec<Root>>,
    events: Events,
    networks: watch::Receiver<Vec<Interface>>,
    following: Arc<Mutex<Vec<JoinHandle<()>>>>,
    /// What is served beside the devices: files and covers.
    beside: Router,
}

impl Upnp {
    /// Serves these devices; `networks` are those we live on. Nothing is announced yet.
    pub fn start(
        devices: Vec<(Device, Vec<Offered>)>,
        networks: watch::Receiver<Vec<Interface>>,
        stop: CancellationToken,
    ) -> Upnp {
        let root = |(mut device, offered): (Device, Vec<Offered>)| {
            device.services = offered.iter().map(|offered| offered.service).collect();
            Root { role: device.role, device: Mutex::new(device), offered }
        };
        let roots = Arc::new(devices.into_iter().map(root).collect());
        let events = Events::new(stop.clone());
        let task = tokio::spawn(follow(events.clone(), networks.clone(), stop));
        Upnp { roots, events, networks, following: Arc::new(Mutex::new(vec![task])), beside: Router::new() }
    }

    /// Serves more routes under the same rules, for neighbours only and by our address, and joins a task in the end.
    pub fn beside(self, routes: Router, task: JoinHandle<()>) -> Upnp {
        self.following.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        Upnp { beside: self.beside.merge(routes), ..self }
    }

    /// Announces every device. Once what it stands on is ready: control points ask at once.
    ///
    /// # Errors
    /// Those of [`Lan::advertise`].
    pub fn announce(&self, lan: &Lan) -> Result<()> {
        lan.advertise(self.roots.iter().map(|root| root.device().advertised()).collect())
    }

    /// Gives every device another name, as long as the stop token stands, and announces that: those who know the box read its
    /// description again.
    pub async fn follow_name(self, mut name: watch::Receiver<Arc<str>>, lan: Lan, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = name.changed() => if changed.is_err() { return },
            }
            let called = name.borrow_and_update().clone();
            self.roots.iter().for_each(|root| called.as_ref().clone_into(&mut root.device().name));
            if let Err(error) = self.announce(&lan) {
                warn!(%error, "the new name is not announced");
            }
        }
    }

    /// Returns its part of the HTTP service, below `/upnp`. Whoever serves it puts peer and own address into each request's
    /// extensions.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/upnp/icons/{name}", get(icon))
            .route("/upnp/{role}/description.xml", get(description))
            .route("/upnp/{role}/{service}/scpd.xml", get(scpd))
            .route("/upnp/{role}/{service}/control", any(control))
            .route("/upnp/{role}/{service}/event", any(event))
            .with_state(self.clone())
            .merge(self.beside.clone())
            .layer(middleware::from_fn_with_state(self.clone(), guard))
    }

    /// Returns how many subscriptions there are.
    pub fn subscriptions(&self) -> usize {
        self.events.len()
    }

    /// Waits until every task ended; the stop token must have fallen.
    pub async fn stopped(&self) {
        let tasks = std::mem::take(&mut *self.following.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // It ends by the token; a panic in it is told by the runtime.
            let _ended = task.await;
        }
        self.events.stopped().await;
    }

    fn find(&self, role: &str, service: &str) -> Option<&Offered> {
        let root = self.roots.iter().find(|root| root.role == role)?;
        root.offered.iter().find(|offered| offered.service.path == service)
    }

    fn is_near(&self, peer: IpAddr) -> bool {
        let IpAddr::V4(peer) = peer.to_canonical() else { return false };
        let known = self.networks.borrow();
        peer.is_loopback()
            || peer.is_private()
            || peer.is_link_local()
            || known.iter().any(|network| network.reaches(peer))
    }
}

/// Returns the media server of a box of this name and product: what it is, its services, and the routes of its files. The task
/// that follows the shelf ends with the stop token.
pub fn media_server(
    hifi: &Hifi,
    name: &str,
    product: &str,
    udn: Uuid,
    stop: CancellationToken,
) -> ((Device, Vec<Offered>), Router, JoinHandle<()>) {
    let clients = Arc::new(Clients::default());
    let (changes, values) = watch::channel(updates::initial(0));
    let task = tokio::spawn(updates::follow(hifi.clone(), changes, stop));
    let directory = ContentDirectory::new(hifi.clone(), name, udn, clients.clone(), values);
    let device = Device {
        role: "server",
        kind: "urn:schemas-upnp-org:device:MediaServer:1",
        classes: &["DMS-1.50", "M-DMS-1.50"],
        words: "The records of a hi-fi component",
        udn,
        name: name.to_owned(),
        product: product.to_owned(),
        services: Vec::new(),
    };
    let offered = vec![
        Offered {
            service: &connection::SERVICE,
            handler: Arc::new(connection::handler(Role::Sends(formats::SERVED.join(",")))),
        },
        Offered { service: &registrar::SERVICE, handler: Arc::new(registrar::handler()) },
        Offered { service: &table::SERVICE, handler: Arc::new(directory) },
    ];
    ((device, offered), media::router(hifi.clone(), clients, Mark::of(udn)), task)
}

/// Returns the renderer of a box: apps put music on and work the knobs, by UPnP AV and by OpenHome, whose services stand on
/// the same device (reference upnp 0, row 2). The tasks that tell subscribers end with the stop token.
pub fn media_renderer(
    hifi: &Hifi,
    named: Named,
    udn: Uuid,
    mark: Mark,
    stop: CancellationToken,
) -> ((Device, Vec<Offered>), [JoinHandle<()>; 2]) {
    let told = renderer::Told::new(hifi, mark);
    let transport = AvTransport::new(hifi.clone(), mark, told.transport.subscribe());
    let rendering = RenderingControl::new(hifi.clone(), told.rendering.subscribe());
    let task = tokio::spawn(renderer::follow(hifi.clone(), mark, told, stop.clone()));
    let device = Device {
        role: "renderer",
        kind: "urn:schemas-upnp-org:device:MediaRenderer:1",
        classes: &["DMR-1.50"],
        words: "A hi-fi component that plays what apps put on",
        udn,
        name: named.name.borrow().to_string(),
        product: named.product.clone(),
        services: Vec::new(),
    };
    let (openhome, told) = openhome::services(hifi, named, mark, stop);
    let mut offered = vec![
        Offered {
            service: &connection::SERVICE,
            handler: Arc::new(connection::handler(Role::Takes(formats::taken()))),
        },
        Offered { service: &rendering::table::SERVICE, handler: Arc::new(rendering) },
        Offered { service: &transport::table::SERVICE, handler: Arc::new(transport) },
    ];
    offered.extend(openhome);
    ((device, offered), [task, told])
}

/// Ends the subscriptions of networks that are gone (reference upnp 1.5).
async fn follow(events: Events, mut networks: watch::Receiver<Vec<Interface>>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = networks.changed() => if changed.is_err() { return },
        }
        let now = networks.borrow_and_update().clone();
        events.keep(|address| address.is_loopback() || now.iter().any(|network| network.reaches(address)));
    }
}

/// Only neighbours are served, and only by our address: a name in `Host` may be another site's that points here (DNS
/// rebinding: reference upnp 4.3). Whether the address is ours is asked by the server.
async fn guard(State(upnp): State<Upnp>, request: Request, next: Next) -> Response {
    let host =
        request.headers().get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let literal = host.is_some_and(|host| host.host().parse::<Ipv4Addr>().is_ok());
    let near = request.extensions().get::<Peer>().is_some_and(|peer| upnp.is_near(peer.0.ip()));
    let mut response = match (literal, near) {
        (true, true) => next.run(request).await,
        (false, _) => {
            let words = "UPnP devices are asked by their address";
            Problem::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", words).into_response()
        }
        (_, false) => {
            let words = "UPnP devices are for this network only";
            Problem::new(StatusCode::FORBIDDEN, "not_near", words).into_response()
        }
    };
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static(SERVER));
    response
}

async fn icon(Path(name): Path<String>) -> Response {
    let found = tokio::task::spawn_blocking(move || icons::find(&name)).await.ok().flatten();
    match found {
        Some((mime, bytes)) => ([(header::CONTENT_TYPE, mime)], bytes).into_response(),
        None => lost(),
    }
}

async fn description(State(upnp): State<Upnp>, Path(role): Path<String>) -> Response {
    let root = upnp.roots.iter().find(|root| root.role == role);
    root.map_or_else(lost, |root| text(StatusCode::OK, root.device().description()))
}

async fn scpd(State(upnp): State<Upnp>, Path((role, service)): Path<(String, String)>) -> Response {
    let found = upnp.find(&role, &service);
    found.map_or_else(lost, |offered| text(StatusCode::OK, describe::scpd(offered.service)))
}

async fn control(
    State(upnp): State<Upnp>,
    Path((role, service)): Path<(String, String)>,
    request: Request,
) -> Response {
    let Some(offered) = upnp.find(&role, &service) else { return lost() };
    let host = upnp.host(&request);
    let (parts, body) = request.into_parts();
    control::answer(offered, host, parts, body).await
}

async fn event(
    State(upnp): State<Upnp>,
    Path((role, service)): Path<(String, String)>,
    request: Request,
) -> Response {
    let Some(offered) = upnp.find(&role, &service) else { return lost() };
    let (path, extensions) = (request.uri().path(), request.extensions());
    let (Some(Peer(peer)), Some(Local(local))) = (extensions.get(), extensions.get()) else { return lost() };
    match request.method().as_str() {
        "SUBSCRIBE" => {
            let written = extensions.get::<Written>().cloned();
            let (headers, host) = (request.headers(), upnp.host(&request));
            let asked = Asked { service: path, headers, peer: peer.ip(), local: *local, host, written };
            upnp.events.subscribe(asked, offered.handler.variables())
        }
        "UNSUBSCRIBE" => upnp.events.unsubscribe(path, request.headers()),
        _ => {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "SUBSCRIBE or UNSUBSCRIBE").into_response()
        }
    }
}

impl Upnp {
    /// The address of ours that was asked; what came from this box itself is answered with one that others reach, too.
    fn host(&self, request: &Request) -> SocketAddrV4 {
        let local =
            request.extensions().get::<Local>().map(|local| (local.0.ip().to_canonical(), local.0.port()));
        let first = || self.networks.borrow().first().map(|network| network.address);
        match local {
            Some((IpAddr::V4(address), port)) if !address.is_loopback() => SocketAddrV4::new(address, port),
            Some((address, port)) => {
                let own = match address {
                    IpAddr::V4(address) => address,
                    IpAddr::V6(_) => Ipv4Addr::LOCALHOST,
                };
                SocketAddrV4::new(first().unwrap_or(own), port)
            }
            None => SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
        }
    }
}

fn text(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/xml; charset=\"utf-8\"");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn lost() -> Response {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here").into_response()
}
