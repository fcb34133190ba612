//! Builds every part, connects them, starts the faces, waits for the stop, tears down in reverse.

use std::io::IsTerminal;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::beam::localsend::{LocalSend, LocalSendConfig};
use crate::beam::share::Shared;
use crate::beam::{Beam, BeamConfig, Policy};
use crate::cli::Settled;
use crate::config::{Knob, Output, Pull, Take};
use crate::error::{Error, Kind, Result};
use crate::hifi::urls::{UrlAsk, Urls};
use crate::hifi::{Hifi, Parts, Running};
use crate::http::client::{Allow, Client};
use crate::http::door::{Door, LetsIn};
use crate::http::hosts::Hosts;
use crate::http::own_tls;
use crate::http::port::{self, Listening};
use crate::http::server;
use crate::identity::Identity;
use crate::intake::{Intake, IntakeConfig};
use crate::lan::{Lan, LanConfig};
use crate::library::{Library, LibraryConfig};
use crate::offer::{Caller, Right};
use crate::player::mixer::Wish;
use crate::player::{self, Player, PlayerConfig};
use crate::seams::print;
use crate::send::{Outbox, SendConfig};
use crate::settings::{self, Settings};
use crate::signal::Device;
use crate::stream::{self, Streams};
use crate::units::Gain;
use crate::upnp::openhome::Named;
use crate::upnp::own::{Mark, Own};
use crate::upnp::{self, Upnp};
use crate::web::{self, Web, routes};
use crate::words::Words;

/// Runs the component until the stop token falls.
///
/// # Errors
/// Whatever keeps it from starting: settings, locks of a second daemon, the disk, a port that is taken.
pub async fn run(settled: Settled, stop: CancellationToken) -> Result<()> {
    let Settled { config, layers, complaint, music, data } = settled;
    let (name_in, name) = watch::channel(Arc::from(config.name()));
    info!(name = config.name(), version = env!("CARGO_PKG_VERSION"), data = %data.display(), "starting");
    std::fs::create_dir_all(&data)
        .map_err(|error| Error::io(format!("make the folder of data {}", data.display()), error))?;

    let shelf = LibraryConfig { music, data: data.clone(), keep_free: config.library.keep_free() };
    let library = blocking(move || Library::open(shelf)).await?;
    let mut identity = Identity::open(&data)?;
    let opened = tokio::select! {
        opened = open_port(config.http.port, &mut identity, &data) => opened?,
        () = stop.cancelled() => return blocking(move || library.close()).await,
    };
    let Listening { listener, port, moved } = opened;

    let (output, device) = output(&config.output);
    let knob = settings::knob(&config);
    let (player, events) = Player::start(output)?;

    // What feeds the box stops before the box, and the box before the shelf.
    let sources = stop.child_token();
    let faces = stop.child_token();
    let hifi_stop = CancellationToken::new();
    let take = match config.intake.take {
        Take::Music => crate::intake::Take::Music,
        Take::Purchased => crate::intake::Take::Purchased,
    };
    let (push, on_arrival) = (config.intake.push, config.intake.on_arrival);
    let taking = IntakeConfig { take, push, on_arrival };
    let intake = Intake::start(taking, library.clone(), sources.clone()).await?;
    let lan = LanConfig {
        interfaces: config.lan.interfaces.clone(),
        http_port: port,
        name: name.clone(),
        own_udns: ["server", "renderer"].map(|role| identity.udn(role).to_string()).into(),
    };
    let lan = Lan::start(lan, sources.clone()).await?;
    let hosts = hosts(&config.http.names, &lan);
    let here = lan.clone();
    let own = move || Allow::Wide { own: here.all_addresses() };
    let streams = Streams::new(Client::new(), own);
    let urls = urls(streams.clone(), Own::new(Mark::of(identity.udn("server")), hosts.clone(), port));
    let (board, pushes) = (intake.board(), intake.pushes());
    let parts = Parts { library: library.clone(), player, events, device, board, urls, pushes };
    let Running { hifi, tasks: hifi_tasks } = Hifi::start(parts, knob, hifi_stop.clone()).await?;
    let pulling = BeamConfig { pull: policy(config.intake.pull), take };
    let beam = Beam::start(pulling, lan.clone(), Client::new(), intake.clone(), sources).await?;

    let settings = Settings::new(layers, data.clone(), name_in, hifi.clone(), intake.clone());
    let short = match config.http.port_80 && port != port::SHORT {
        true => short().await,
        false => None,
    };
    let shown = if short.is_some() { port::SHORT } else { port };
    let web = Web::new(hifi.clone(), intake.clone(), settings).at(shown);
    let socket = web::socket_path(&data);
    let app = routes::router(web);
    let upnp =
        config.upnp.enabled.then(|| devices(&hifi, (&name, &config.upnp), &identity, &lan, faces.clone()));
    let near = upnp.iter().fold(app.clone(), |app, upnp| app.merge(upnp.router()));
    let (lan_name, shares) = (name.clone(), beam.shares());
    let phones = Phones { name: lan_name, port: config.localsend.port, data: &data, shares };
    let (localsend, unheard) =
        phones.meet(&mut identity, (&lan, &intake, &hosts), &library, faces.clone()).await;
    let networks = lan.networks();
    let lets_in: LetsIn = Arc::new(move |from| networks.lets_in(from));
    let door = Door::beside(listener, lets_in.clone());
    let mut served = vec![
        tokio::spawn(server::serve(door, near, hosts.clone(), faces.clone())),
        tokio::spawn(server::serve_unix(control_socket(&socket)?, app.clone(), faces.clone())),
        tokio::spawn(follow_addresses(lan.clone(), hosts.clone(), faces.clone())),
    ];

    if let Some(short) = short {
        let short = Door::beside(short, lets_in);
        served.push(tokio::spawn(server::serve(short, app.clone(), hosts.clone(), faces.clone())));
    }
    let moved =
        moved.map(|(old, holder)| Words::new("port_moved", &[&old.to_string(), &holder, &port.to_string()]));
    for words in moved.into_iter().chain(unheard).chain(complaint.map(Words::from)) {
        hifi.say(words, Right::Room).await;
    }
    let address = lan.addresses().first().copied().unwrap_or(Ipv4Addr::LOCALHOST);
    library.start_scanning()?;
    match upnp.as_ref().map(|upnp| upnp.announce(&lan)) {
        // The stop came first; what was started ends in order.
        Some(Err(error)) if error.kind() == Kind::Stopped => {}
        announced => announced.transpose().map(drop)?,
    }
    if let Some(upnp) = &upnp {
        served.push(tokio::spawn(upnp.clone().follow_name(name, lan.clone(), faces.clone())));
    }
    announce(format_args!("konpo ready http://{address}:{port}/"));
    invite(&intake, &web::page_at(address.into(), shown))?;
    notify(&[NotifyState::Ready]);

    stop.cancelled().await;
    notify(&[NotifyState::Stopping]);
    let ended = async {
        join("faces", &mut served).await;
        if let Some(upnp) = &upnp {
            upnp.stopped().await;
        }
        if let Some(localsend) = &localsend {
            localsend.0.stopped().await;
            localsend.1.stopped().await;
        }
        beam.stopped().await;
        lan.stopped().await;
        intake.stopped().await;
        hifi_stop.cancel();
        join("the box", &mut { hifi_tasks }).await;
        streams.stopped().await;
        // The last handles go before the shelf closes.
        drop((hifi, beam, intake, localsend));
        blocking(move || library.close()).await
    };
    match tokio::time::timeout(STOPS_WITHIN, ended).await {
        Ok(result) => result?,
        Err(_) => warn!("not everything stopped in time; the next start mends what was left"),
    }
    let _removed_or_gone = std::fs::remove_file(&socket);
    info!("stopped");
    Ok(())
}

/// Returns the media server and the renderer, which are found only once they are announced.
fn devices(
    hifi: &Hifi,
    (name, config): (&watch::Receiver<Arc<str>>, &crate::config::Upnp),
    identity: &Identity,
    lan: &Lan,
    stop: CancellationToken,
) -> Upnp {
    let server_udn = identity.udn("server");
    let called = name.borrow().clone();
    let (server, files, updates) =
        upnp::media_server(hifi, &called, &config.product, server_udn, stop.clone());
    if !config.renderer {
        return Upnp::start(vec![server], lan.interfaces(), stop).beside(files, updates);
    }
    let named = Named { name: name.clone(), product: config.product.clone(), lumin: config.lumin_compat };
    let mark = Mark::of(server_udn);
    let (renderer, telling) = upnp::media_renderer(hifi, named, identity.udn("renderer"), mark, stop.clone());
    let upnp = Upnp::start(vec![server, renderer], lan.interfaces(), stop).beside(files, updates);
    telling.into_iter().fold(upnp, |upnp, task| upnp.beside(axum::Router::new(), task))
}

/// Where phones send to.
struct Phones<'a> {
    name: watch::Receiver<Arc<str>>,
    port: u16,
    data: &'a Path,
    /// Where it is told who shares files by a link.
    shares: mpsc::Sender<Shared>,
}

impl Phones<'_> {
    /// Starts LocalSend, unless its port is 0: what comes in and what goes out. Without it the box is whole but for this: the
    /// words tell why it is off.
    async fn meet(
        self,
        identity: &mut Identity,
        (lan, intake, hosts): (&Lan, &Intake, &Hosts),
        library: &Library,
        stop: CancellationToken,
    ) -> (Option<(LocalSend, Outbox)>, Option<Words>) {
        let Phones { name, port, data, shares } = self;
        if port == 0 {
            return (None, None);
        }
        let started = async {
            let (certificate, key) = identity.certificate(data)?;
            let own = own_tls::Own::read(&certificate, &key)?;
            let config = LocalSendConfig { alias: name.clone(), port, own: own.clone(), shares };
            let localsend =
                LocalSend::start(config, lan, intake.clone(), hosts.clone(), stop.clone()).await?;
            let config = SendConfig { alias: name, port, own };
            let outbox = Outbox::start(config, lan.networks(), library.clone(), intake.clone(), stop)?;
            Ok::<_, Error>((localsend, outbox))
        };
        match started.await {
            Ok(both) => (Some(both), None),
            Err(error) => {
                warn!(%error, "phones with LocalSend cannot send");
                let other = || Words::new("localsend_off", &[&error.to_string()]);
                let taken = || Words::new("localsend_port", &[&port.to_string()]);
                (None, Some(if error.kind() == Kind::Busy { taken() } else { other() }))
            }
        }
    }
}

/// Returns how URLs become sound. One of our own media path is the track itself and never fetched.
fn urls(streams: Streams, own: Own) -> Urls {
    let open = move |ask: UrlAsk| streams.open(stream::Ask { url: ask.url, stop: ask.stop, told: ask.told });
    let ours = move |url: &str| own.track(url);
    Urls { open: std::sync::Arc::new(open), ours: std::sync::Arc::new(ours) }
}

/// Returns what the motor is started with, and what is known of its device before it plays.
fn output(config: &Output) -> (PlayerConfig, Device) {
    let name = config.device.clone();
    let knob = if config.volume == Knob::Fixed { player::Knob::Fixed } else { player::Knob::Box };
    let device = Device::closed(name.as_str(), name == "silent");
    (PlayerConfig { device: name, knob, mixer: Wish::of(&config.mixer), gain: Gain::SILENT }, device)
}

fn policy(pull: Pull) -> Policy {
    match pull {
        Pull::Always => Policy::Always,
        Pull::Ask => Policy::Ask,
        Pull::Never => Policy::Never,
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::with(Kind::Internal, "work on the shelf", error))?
}

async fn join(what: &str, tasks: &mut Vec<JoinHandle<()>>) {
    for task in tasks.drain(..) {
        if let Err(error) = task.await {
            warn!(%error, what, "a part ended badly");
        }
    }
}

/// Opens the port of the page and remembers it, unless it was said.
async fn open_port(explicit: Option<u16>, identity: &mut Identity, data: &Path) -> Result<Listening> {
    let opened = port::listen(explicit, identity.http_port).await?;
    if explicit.is_none() && identity.http_port != Some(opened.port) {
        identity.http_port = Some(opened.port);
        identity.save(data)?;
    }
    Ok(opened)
}

/// Opens the control socket. The lock on the shelf is held, so a socket that is there is left from a crash.
fn control_socket(path: &Path) -> Result<UnixListener> {
    let failed = |error| Error::io(format!("open the control socket {}", path.display()), error);
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    // Who connects is asked of the kernel; the mode only keeps other groups out.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(listener)
}

/// Returns the names and addresses under which the box is asked, those of now: an app that is told at the start that nobody
/// lives here gives up its upload.
fn hosts(names: &[String], lan: &Lan) -> Hosts {
    let hosts = Hosts::new(names);
    hosts.set_addresses(lan.all_addresses());
    hosts.set_labels(lan.labels().borrow().clone());
    hosts
}

/// Keeps the names under which the page may be asked for in step with the addresses of the box.
async fn follow_addresses(lan: Lan, hosts: Hosts, stop: CancellationToken) {
    let (mut networks, mut labels) = (lan.networks(), lan.labels());
    loop {
        // What changes from now on is looked at again.
        networks.four.mark_unchanged();
        networks.six.mark_unchanged();
        hosts.set_addresses(networks.addresses());
        hosts.set_labels(labels.borrow_and_update().clone());
        let changed = tokio::select! {
            () = stop.cancelled() => return,
            changed = networks.four.changed() => changed,
            changed = networks.six.changed() => changed,
            changed = labels.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Opens port 80 as well; where that is not to be had, the log says why.
async fn short() -> Option<TcpListener> {
    match port::short().await {
        Ok(listener) => Some(listener),
        Err(why) => {
            info!(why, "the address of the page needs its port");
            None
        }
    }
}

/// Tells in the log, and on a terminal with a code for the phone's camera, the address that pairs one phone: who reads them is
/// trusted with that. The phone becomes the owner's while there is none.
fn invite(intake: &Intake, page: &str) -> Result<()> {
    let (token, lasts) = intake.invite(&Caller::itself())?;
    let url = web::beam::invitation(page, &token);
    info!(url, minutes = lasts.as_secs() / 60, "this address pairs one phone, once");
    if !std::io::stdout().is_terminal() {
        return Ok(());
    }
    let code = qrcode::QrCode::new(web::beam::coded(&url))
        .map_or(String::new(), |code| code.render::<qrcode::render::unicode::Dense1x2>().build() + "\n");
    let minutes = lasts.as_secs() / 60;
    announce(format_args!(
        "{code}Point a phone's camera at it, or open {url}\nIt pairs one phone, once, within {minutes} minutes."
    ));
    Ok(())
}

/// Prints a line; the box goes on where that cannot be.
fn announce(text: std::fmt::Arguments<'_>) {
    if let Err(error) = print::line(text) {
        warn!(%error, "standard output takes nothing");
    }
}

fn notify(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd could not be told");
    }
}

/// SIGTERM and SIGINT finish within 2 s.
const STOPS_WITHIN: Duration = Duration::from_millis(1700);
