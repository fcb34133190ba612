//! The renderer on a box with a silent output that a test hears, a shelf of one song, and a server of the test's own.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::HeaderMap;
use konpo::hifi::command::Command;
use konpo::hifi::quiet::QuietConfig;
use konpo::hifi::state::State;
use konpo::hifi::urls::{UrlAsk, Urls};
use konpo::hifi::{Hifi, HifiConfig, Parts, Running};
use konpo::http::client::{Allow, Client};
use konpo::http::hosts::Hosts;
use konpo::intake::{Intake, IntakeConfig, Take};
use konpo::library::{Library, LibraryConfig};
use konpo::offer::{Caller, Via};
use konpo::player::mixer::Wish;
use konpo::player::silent::{Silent, SilentControl};
use konpo::player::source::decoders;
use konpo::player::{Knob, Player, PlayerConfig};
use konpo::signal::{Device, GainMode};
use konpo::stream::{self, Streams};
use konpo::units::{ByteCount, Gain, Volume};
use konpo::upnp::av::transport::view;
use konpo::upnp::openhome::Named;
use konpo::upnp::own::{Mark, Own};
use konpo::upnp::service::{Call, Value, Values, at_host};
use konpo::upnp::{self, Offered};
use konpo::wire::strict::is_whole;
use konpo::wire::xml::unescape;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// The box with its renderer.
pub struct Rig {
    pub hifi: Hifi,
    pub sound: SilentControl,
    pub mark: Mark,
    offered: Vec<Offered>,
    library: Library,
    streams: Streams,
    intake: Intake,
    stop: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    _folder: TempDir,
}

/// What an action answered.
pub type Answer = HashMap<String, String>;

impl Rig {
    /// A box with the knob.
    pub async fn new() -> Rig {
        Rig::with(Knob::Box).await
    }

    pub async fn with(knob: Knob) -> Rig {
        let folder = tempfile::tempdir().expect("a folder");
        let music = folder.path().join("music");
        std::fs::create_dir_all(&music).expect("made");
        std::fs::write(music.join("song.flac"), TONE).expect("written");
        let data = folder.path().join("data");
        let config = LibraryConfig { music: vec![music], data, keep_free: Some(ByteCount(0)) };
        let library = tokio::task::spawn_blocking(move || Library::open(config)).await;
        let library = library.expect("no panic").expect("opened");
        let stop = CancellationToken::new();
        let intake = Intake::start(IntakeConfig::new(Take::Music), library.clone(), stop.clone()).await;
        let intake = intake.expect("started");
        let sound = SilentControl::default();
        let silent =
            PlayerConfig { device: "silent".into(), knob, mixer: Wish::Software, gain: Gain::SILENT };
        let output = Box::new(Silent::controlled(sound.clone()));
        let (player, events) = Player::with(silent, output, decoders()).expect("a thread");
        let here = || Allow::Near { peer: Ipv4Addr::LOCALHOST.into(), networks: Vec::new() };
        let streams = Streams::new(Client::new(), here);
        let opens = streams.clone();
        let open =
            move |ask: UrlAsk| opens.open(stream::Ask { url: ask.url, stop: ask.stop, told: ask.told });
        let mark = Mark::of(uuid::Uuid::from_u128(7));
        let own = Own::new(mark, Hosts::new(&[]), PORT);
        let urls = Urls { open: Arc::new(open), ours: Arc::new(move |url: &str| own.track(url)) };
        let device = Device::closed("silent", true);
        let parts = Parts {
            library: library.clone(),
            player,
            events,
            device,
            board: intake.board(),
            urls,
            pushes: intake.pushes(),
        };
        let fixed_volume = knob == Knob::Fixed;
        let quiet = QuietConfig::default();
        let config = HifiConfig { fixed_volume, max_volume: Volume::MAX, gains: GainMode::Off, quiet };
        let Running { hifi, mut tasks } = Hifi::start(parts, config, stop.clone()).await.expect("started");
        library.start_scanning().expect("started");
        let udn = uuid::Uuid::from_u128(8);
        let named = Named {
            name: tokio::sync::watch::channel("Box".into()).1,
            product: "konpo".into(),
            lumin: false,
        };
        let ((_, offered), telling) = upnp::media_renderer(&hifi, named, udn, mark, stop.clone());
        tasks.extend(telling);
        let shelf = library.clone();
        until("the scan", || (shelf.shelf().tracks == 1).then_some(())).await;
        Rig { hifi, sound, mark, offered, library, streams, intake, stop, tasks, _folder: folder }
    }

    /// Calls an action as the stack does, with its checks before and after.
    pub async fn call(&self, service: &str, action: &str, given: &[(&str, &str)]) -> Result<Answer, u16> {
        let offered = self.offered.iter().find(|offered| offered.service.path == service).expect("a service");
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (action, given) = offered.service.check(action, &given).map_err(|fault| fault.code)?;
        let headers = HeaderMap::new();
        let call = Call {
            action,
            given,
            caller: Caller::room(Via::Upnp),
            host: HOST,
            peer: IpAddr::V4(Ipv4Addr::new(192, 168, 7, 2)),
            headers: &headers,
        };
        let answer = offered.handler.act(call).await.map_err(|fault| fault.code)?;
        let ordered = offered.service.ordered(action, &answer).expect("every argument");
        Ok(ordered.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Calls an action of AVTransport that must not be refused.
    pub async fn av(&self, action: &str, given: &[(&str, &str)]) -> Answer {
        match self.call("transport", action, given).await {
            Ok(answer) => answer,
            Err(code) => panic!("{action} {given:?}: {code}"),
        }
    }

    /// As [`Rig::av`], of RenderingControl.
    pub async fn rc(&self, action: &str, given: &[(&str, &str)]) -> Answer {
        match self.call("rendering", action, given).await {
            Ok(answer) => answer,
            Err(code) => panic!("{action} {given:?}: {code}"),
        }
    }

    pub async fn set(&self, url: &str, metadata: &str) {
        self.av("SetAVTransportURI", &[("CurrentURI", url), ("CurrentURIMetaData", metadata)]).await;
    }

    pub async fn set_next(&self, url: &str, metadata: &str) {
        self.av("SetNextAVTransportURI", &[("NextURI", url), ("NextURIMetaData", metadata)]).await;
    }

    pub async fn play(&self) {
        self.av("Play", &[("Speed", "1")]).await;
    }

    /// Puts a URL on and plays it until it sounds.
    pub async fn start(&self, url: &str) {
        self.set(url, "").await;
        self.play().await;
        self.until("PLAYING").await;
    }

    pub async fn state(&self) -> String {
        self.av("GetTransportInfo", &[]).await["CurrentTransportState"].clone()
    }

    /// Waits until the transport is in this state, and who subscribes is told so, which follows by a moment.
    pub async fn until(&self, state: &str) {
        let begun = Instant::now();
        while self.state().await != state || self.told_state() != state {
            let now = self.snapshot();
            assert!(begun.elapsed() < LONGEST, "not {state} in time: {now:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The state that somebody who subscribes now is told first.
    fn told_state(&self) -> String {
        let transport = self.offered.iter().find(|offered| offered.service.path == "transport");
        let values = transport.expect("a service").handler.variables();
        let Value::LastChange(all) = last_change(&values.borrow()) else { panic!("{values:?}") };
        let told = all.variables.iter().find(|told| told.name == "TransportState");
        told.expect("a variable of it").value.clone()
    }

    /// Waits until this URL is the current one.
    pub async fn until_uri(&self, url: &str) {
        let begun = Instant::now();
        while self.av("GetPositionInfo", &[]).await["TrackURI"] != url {
            assert!(begun.elapsed() < LONGEST, "{url} is not current in time");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The box itself.
    pub fn snapshot(&self) -> State {
        self.hifi.of(Caller::itself()).state()
    }

    /// Another face's command.
    pub async fn send(&self, command: Command) {
        self.hifi.of(Caller::itself()).send(command).await.expect("not stopping").expect("not refused");
    }

    /// What a subscriber of a service is told from now on.
    pub fn listen(&self, service: &str) -> Listener {
        let offered = self.offered.iter().find(|offered| offered.service.path == service).expect("a service");
        let mut values = offered.handler.variables();
        let told = Arc::<Mutex<Vec<Event>>>::default();
        let keeps = told.clone();
        let mut before = None::<Value>;
        let mut hear = move |values: &Values| {
            let now = last_change(values);
            let Value::LastChange(all) = &now else { panic!("{now:?}") };
            if let Some(text) = all.since(before.as_ref()) {
                assert!(is_whole(&text, "Event"), "{text}");
                keeps.lock().expect("no panic").push(read(&at_host(text, HOST)));
            }
            before = Some(now);
        };
        // The first event is of this moment, not of when the task has its turn.
        hear(&values.borrow_and_update());
        let task = tokio::spawn(async move {
            while values.changed().await.is_ok() {
                hear(&values.borrow_and_update());
            }
        });
        Listener { told, task }
    }

    /// Waits until what a subscriber of AVTransport was told, put together, is what the box is, in every variable.
    pub async fn knows_all(&self, told: &Listener) {
        let at = view::Reached { host: HOST, mark: self.mark };
        until("every variable is told", || {
            let known: HashMap<String, String> = told.told().into_iter().flatten().collect();
            let all = view::last_change(&self.snapshot(), at, 0).variables;
            all.iter().all(|is| known.get(is.name) == Some(&is.value)).then_some(())
        })
        .await;
    }

    /// The URL of the one song of the shelf as the media server gives it, at some address.
    pub fn own(&self, host: &str) -> String {
        self.mark.url(host.parse().expect("an address"), konpo::track::TrackId(1), "flac")
    }

    pub async fn end(self) {
        self.stop.cancel();
        self.intake.stopped().await;
        drop(self.offered);
        for task in self.tasks {
            task.await.expect("in order");
        }
        self.streams.stopped().await;
        drop(self.hifi);
        let library = self.library;
        tokio::task::spawn_blocking(move || library.close()).await.expect("no panic").expect("closed");
    }
}

/// Where the box is asked.
const HOST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 168, 7, 1), PORT);

/// The variables of one event.
pub type Event = Vec<(String, String)>;

/// A subscriber.
pub struct Listener {
    told: Arc<Mutex<Vec<Event>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Listener {
    /// What was told so far.
    pub fn told(&self) -> Vec<Event> {
        self.told.lock().expect("no panic").clone()
    }

    /// The last value that was told of a variable.
    pub fn last(&self, name: &str) -> Option<String> {
        let told = self.told();
        let all = told.iter().flatten().rev();
        all.into_iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    /// All values that were told of a variable, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        let told = self.told();
        told.iter().flatten().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    }

    /// Waits until a variable was told to have this value.
    pub async fn until(&self, name: &str, value: &str) {
        until(&format!("{name} {value:?}"), || (self.last(name).as_deref() == Some(value)).then_some(()))
            .await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begun.elapsed() < LONGEST, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn last_change(values: &Values) -> Value {
    let found = values.iter().find(|(name, _)| *name == "LastChange");
    found.map(|(_, value)| value.clone()).expect("LastChange")
}

/// Reads a document of LastChange, which the caller knows to be whole.
fn read(text: &str) -> Event {
    let inside = text.split_once("<InstanceID val=\"0\">").expect("instance 0").1;
    inside
        .split("<")
        .filter_map(|tag| {
            let (head, value) = tag.split_once("val=\"")?;
            let name = head.split(' ').next()?.to_owned();
            Some((name, unescape(value.split('"').next()?)))
        })
        .collect()
}

/// A server of sounds: `/<milliseconds>/<rate>/<number>.wav` is a stereo WAV whose frames tell number and place;
/// `/silent` never answers; a file that was put in is given; anything else is not there.
pub struct Web {
    pub at: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    pub fn start(files: HashMap<String, Vec<u8>>) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (log, files) = (asked.clone(), Arc::new(files));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (log, files) = (log.clone(), files.clone());
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
                    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
                    log.lock().expect("no panic").push(path.clone());
                    let mut from = None;
                    loop {
                        let line = lines.next()?.ok()?.to_ascii_lowercase();
                        if line.is_empty() {
                            break;
                        }
                        let range =
                            line.strip_prefix("range: bytes=").and_then(|rest| rest.split('-').next());
                        from = range.and_then(|from| from.parse::<usize>().ok()).or(from);
                    }
                    if path == "/silent" {
                        drop(lines.next());
                        return None;
                    }
                    let body = files.get(&path).cloned().or_else(|| wav_of(&path));
                    let Some(body) = body else {
                        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").ok();
                    };
                    let (whole, rest) = (body.len(), &body[from.unwrap_or(0).min(body.len())..]);
                    let first = match from {
                        Some(from) => {
                            format!(
                                "206 Partial Content\r\nContent-Range: bytes {from}-{}/{whole}",
                                whole - 1
                            )
                        }
                        None => "200 OK\r\nAccept-Ranges: bytes".to_owned(),
                    };
                    let head = format!(
                        "HTTP/1.1 {first}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                        rest.len()
                    );
                    stream.write_all(head.as_bytes()).ok()?;
                    stream.write_all(rest).ok()
                });
            }
        });
        Web { at, asked }
    }

    /// The URL of so many milliseconds at a rate; the frames carry the number.
    pub fn wav(&self, millis: u32, rate: u32, number: u16) -> String {
        format!("{}/{millis}/{rate}/{number}.wav", self.at)
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

fn wav_of(path: &str) -> Option<Vec<u8>> {
    let mut parts = path.trim_start_matches('/').trim_end_matches(".wav").split('/');
    let mut number = || parts.next()?.parse::<u32>().ok();
    let (millis, rate, number) = (number()?, number()?, number()?);
    let frames = frames_of(millis, rate);
    let mut wav = Vec::with_capacity(frames as usize * 4 + 44);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(frames * 4 + 36).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    wav.extend_from_slice(&rate.to_le_bytes());
    wav.extend_from_slice(&(rate * 4).to_le_bytes());
    wav.extend_from_slice(b"\x04\0\x10\0data");
    wav.extend_from_slice(&(frames * 4).to_le_bytes());
    wav.extend((0..frames).flat_map(|at| {
        let (left, right) = frame(number, at);
        [left.to_le_bytes(), right.to_le_bytes()].concat()
    }));
    Some(wav)
}

/// How many frames a sound has.
pub fn frames_of(millis: u32, rate: u32) -> u32 {
    (u64::from(millis) * u64::from(rate) / 1000) as u32
}

/// The frame of a sound at a place; never silent.
pub fn frame(number: u32, at: u32) -> (i16, i16) {
    (((at & 0x3fff) << 1 | 1) as i16, ((number & 0xff) << 7 | (at >> 14) & 0x7f) as i16)
}

/// Metadata as apps write it.
pub fn didl(title: &str, url: &str) -> String {
    format!(
        "<DIDL-Lite xmlns=\"urn:schemas-upnp-org:metadata-1-0/DIDL-Lite/\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\" \
         xmlns:upnp=\"urn:schemas-upnp-org:metadata-1-0/upnp/\">\n\t<item id=\"1\" parentID=\"0\" restricted=\"1\">\
         <dc:title>{title}</dc:title><upnp:class>object.item.audioItem.musicTrack</upnp:class>\
         <res protocolInfo=\"http-get:*:audio/wav:*\">{url}</res></item></DIDL-Lite>"
    )
}

pub const TONE: &[u8] = include_bytes!("../../data/tone.flac");
const PORT: u16 = 8200;
const LONGEST: Duration = Duration::from_secs(60);
