//! `konpo ctl`: speaks the HTTP API over the local socket (as the owner) or over TCP, and prints the answer.

mod beam;
mod correct;
mod send;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Subcommand;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};
use crate::wire::query;

/// Where the daemon is.
#[derive(Debug, Clone)]
pub enum Daemon {
    /// Its local socket.
    Socket(PathBuf),
    /// Its page, and the token that stands for a paired device.
    Url {
        /// `http://host:port`.
        url: String,
        /// A token of `konpo ctl token`.
        token: Option<String>,
    },
}

/// What to ask the daemon.
#[derive(Debug, Clone, Subcommand)]
pub enum Ask {
    /// What plays
    Status,
    /// Play, or play this entry of the queue
    Play {
        /// Number of the entry
        id: Option<u32>,
    },
    /// Play the queue, or something from the shelf when it is empty
    Something,
    /// Hold the sound
    Pause,
    /// Pause or play
    Toggle,
    /// Stop
    Stop,
    /// The next track
    Next,
    /// The track before, or this one again
    Previous,
    /// Move in the track
    Seek {
        /// Seconds from its start
        seconds: f64,
    },
    /// Give the sound device to another program, until play or resume
    Yield,
    /// Take the sound device back and go on
    Resume,
    /// Look through the music folders again
    Rescan,
    /// Set the knob
    Volume {
        /// 0 to 100
        volume: u8,
    },
    /// Silence
    Mute,
    /// End the silence
    Unmute,
    /// Add tracks of the shelf to the queue
    Add {
        /// Numbers of tracks
        #[arg(required = true)]
        ids: Vec<i64>,
        /// Play the first of them at once
        #[arg(long)]
        play: bool,
        /// Behind the one that plays
        #[arg(long)]
        next: bool,
    },
    /// Add URLs to the queue: files on any web server, radio stations
    AddUrl {
        /// http://…
        #[arg(required = true)]
        urls: Vec<String>,
        /// Play the first of them at once
        #[arg(long)]
        play: bool,
        /// Behind the one that plays
        #[arg(long)]
        next: bool,
    },
    /// Play a URL beside the queue, which waits meanwhile
    PlayUrl {
        /// http://…
        url: String,
        /// Behind the URL that plays, without a gap
        #[arg(long)]
        next: bool,
    },
    /// The queue and how it is played.
    #[command(flatten)]
    Mode(Mode),
    /// The queue
    Queue,
    /// Tracks of the shelf
    Tracks,
    /// Tracks that match
    Search {
        /// Words of title, artist or album
        words: Vec<String>,
    },
    /// One track, and how it came here
    Track {
        /// Its number
        id: i64,
    },
    /// What was bought, with what is locked and what to do about it
    Purchases(Purchases),
    /// Phones and players on the network
    Neighbours,
    /// Count what a neighbour has
    Look {
        /// Its id
        id: String,
        /// The PIN that its app asks for
        #[arg(long)]
        pin: Option<String>,
    },
    /// Take everything new from a neighbour
    Pull {
        /// Its id
        id: String,
        /// The PIN that its app asks for
        #[arg(long)]
        pin: Option<String>,
    },
    /// Take everything new that a phone shares by a LocalSend link
    FetchLink {
        /// As the phone shows it: http://192.168.1.20:53317
        link: String,
        /// The PIN that its app asks for
        #[arg(long)]
        pin: Option<String>,
    },
    /// Take everything new whenever a neighbour appears
    Always {
        /// Its id
        id: String,
    },
    /// Leave a neighbour alone
    Never {
        /// Its id
        id: String,
    },
    /// Add a device by its address
    AddDevice {
        /// Host, host:port or the URL of its description
        address: String,
    },
    /// Forget a device that was added by its address
    ForgetDevice {
        /// The address as it was added
        address: String,
    },
    /// Files on their way in, and what became of the last ones
    Arrivals,
    /// What phones bring by themselves, and who may.
    #[command(flatten)]
    Beam(beam::Beam),
    /// Music back to phones.
    #[command(flatten)]
    Send(send::Out),
    /// Correct words that tracks show; the files are not touched
    Correct(Box<correct::Correct>),
    /// What is set, and where: by default, on the page, in konpo.toml, on the command line
    Settings,
    /// Make a token with the owner's right, for `--url` and scripts
    Token,
}

/// What to ask of the queue and how it is played.
#[derive(Debug, Clone, Subcommand)]
pub enum Mode {
    /// Turn the knob
    Turn {
        /// By so many steps; below 0 is down
        #[arg(allow_negative_numbers = true)]
        steps: i16,
    },
    /// Move entries of the queue
    Move {
        /// Numbers of entries, in their new order
        #[arg(required = true)]
        ids: Vec<u32>,
        /// The place of the first of them, counted from 0 without them
        #[arg(long)]
        to: u32,
    },
    /// Take entries out of the queue
    Remove {
        /// Numbers of entries
        #[arg(required = true)]
        ids: Vec<u32>,
    },
    /// Empty the queue
    Clear,
    /// Play on another output until konpo starts again
    Output {
        /// auto, or a name as `konpo outputs` prints it
        name: String,
    },
    /// Play the queue again and again, or one entry
    Repeat {
        /// off, all or one
        #[arg(value_parser = ["off", "all", "one"])]
        what: String,
    },
    /// Play the queue in any order, each entry once a round
    Shuffle {
        /// Which.
        #[command(flatten)]
        switch: Switch,
    },
    /// Stop behind every entry
    Single {
        /// Which.
        #[command(flatten)]
        switch: Switch,
    },
    /// Take entries out of the queue once they were played
    Consume {
        /// Which.
        #[command(flatten)]
        switch: Switch,
    },
    /// Stop behind the entry that plays
    StopAfter {
        /// Which.
        #[command(flatten)]
        switch: Switch,
    },
    /// End the music after some time
    Sleep {
        /// Minutes; 0 ends the timer
        minutes: u64,
        /// Finish the track that plays then, instead of fading out
        #[arg(long)]
        finish: bool,
    },
    /// Keep quiet hours as they are set, keep them now, or not until they end
    Quiet {
        /// auto, on or off
        #[arg(value_parser = ["auto", "on", "off"])]
        mode: String,
    },
}

/// `on` or `off`.
#[derive(Debug, Clone, clap::Args)]
pub struct Switch {
    /// on or off
    #[arg(value_parser = ["on", "off"], default_value = "on")]
    on: String,
}

impl Switch {
    fn is_on(&self) -> bool {
        self.on == "on"
    }
}

impl Ask {
    /// Returns method, path and body of the request.
    fn request(&self) -> Result<(Method, String, Option<Value>)> {
        let command = |body: Value| Ok((Method::POST, "/api/command".to_owned(), Some(body)));
        let read = |path: &str| Ok((Method::GET, path.to_owned(), None));
        let neighbour = |id: &str, what: &str| {
            Ok((Method::POST, format!("/api/neighbours/{}/{what}", query::value(id)), None))
        };
        let with_pin = |request: Result<(Method, String, Option<Value>)>, pin: &Option<String>| {
            let (method, path, body) = request?;
            let Some(pin) = pin else { return Ok((method, path, body)) };
            let mut body = body.unwrap_or_else(|| json!({}));
            body["pin"] = json!(pin);
            Ok((method, path, Some(body)))
        };
        match self {
            Ask::Status | Ask::Queue => read("/api/state"),
            Ask::Play { id } => command(json!({ "play": id })),
            Ask::Something => command(json!("play_something")),
            Ask::Pause => command(json!("pause")),
            Ask::Toggle => command(json!("toggle")),
            Ask::Stop => command(json!("stop")),
            Ask::Next => command(json!("next")),
            Ask::Previous => command(json!("previous")),
            Ask::Seek { seconds } if !(0.0..1e9).contains(seconds) => {
                Err(Error::new(Kind::Invalid, format!("seek to {seconds}: must be 0 or more seconds")))
            }
            Ask::Seek { seconds } => command(json!({ "seek": (seconds * 1000.0).round() as u64 })),
            Ask::Yield => command(json!("yield")),
            Ask::Resume => command(json!("resume")),
            Ask::Rescan => command(json!("rescan")),
            Ask::Volume { volume } => command(json!({ "set_volume": volume })),
            Ask::Mute => command(json!({ "set_mute": true })),
            Ask::Unmute => command(json!({ "set_mute": false })),
            Ask::Add { ids, play, next } => {
                let entries: Vec<Value> = ids.iter().map(|id| json!({ "what": { "shelf": id } })).collect();
                let at = if *next { "next" } else { "end" };
                command(json!({ "add": { "entries": entries, "at": at, "play": play } }))
            }
            Ask::AddUrl { urls, play, next } => {
                let entries: Vec<Value> = urls.iter().map(|url| json!({ "what": { "url": url } })).collect();
                let at = if *next { "next" } else { "end" };
                command(json!({ "add": { "entries": entries, "at": at, "play": play } }))
            }
            Ask::PlayUrl { url, next: true } => {
                command(json!({ "set_guest_next": { "what": { "url": url } } }))
            }
            Ask::PlayUrl { url, next: false } => {
                let guest = json!({ "set_guest": { "what": { "url": url } } });
                command(json!({ "batch": [guest, { "play": null }] }))
            }
            Ask::Mode(mode) => command(mode.command()),
            Ask::Tracks => read("/api/library/tracks?limit=1000"),
            Ask::Search { words } => {
                read(&format!("/api/library/search?q={}", query::value(&words.join(" "))))
            }
            Ask::Track { id } => read(&format!("/api/tracks/{id}")),
            Ask::Purchases(asked) => read(&asked.path()),
            Ask::Neighbours => read("/api/neighbours"),
            Ask::Look { id, pin } => with_pin(neighbour(id, "look"), pin),
            Ask::Pull { id, pin } => with_pin(neighbour(id, "pull"), pin),
            Ask::FetchLink { link, pin } => {
                with_pin(Ok((Method::POST, "/api/links".into(), Some(json!({ "link": link })))), pin)
            }
            Ask::Always { id } => neighbour(id, "always"),
            Ask::Never { id } => neighbour(id, "never"),
            Ask::AddDevice { address } => {
                Ok((Method::POST, "/api/neighbours".into(), Some(json!({ "address": address }))))
            }
            Ask::ForgetDevice { address } => {
                Ok((Method::DELETE, "/api/neighbours".into(), Some(json!({ "address": address }))))
            }
            Ask::Arrivals => read("/api/offers"),
            Ask::Beam(beam) => Ok(beam.request()),
            Ask::Send(send) => Ok(send.request()),
            Ask::Correct(correct) => Ok((Method::POST, "/api/corrections".into(), Some(correct.body()?))),
            Ask::Settings => read("/api/settings"),
            Ask::Token => Ok((Method::POST, "/api/tokens".into(), None)),
        }
    }
}

impl Mode {
    fn command(&self) -> Value {
        match self {
            Mode::Turn { steps } => json!({ "move_volume": steps }),
            Mode::Move { ids, to } => json!({ "move": { "ids": ids, "to": to } }),
            Mode::Remove { ids } => json!({ "remove": ids }),
            Mode::Repeat { what } => json!({ "set_repeat": what }),
            Mode::Shuffle { switch } => json!({ "set_shuffle": switch.is_on() }),
            Mode::Single { switch } => json!({ "set_single": switch.is_on() }),
            Mode::Consume { switch } => json!({ "set_consume": switch.is_on() }),
            Mode::StopAfter { switch } => json!({ "stop_after": switch.is_on() }),
            Mode::Sleep { minutes: 0, .. } => json!({ "sleep": null }),
            Mode::Sleep { minutes, finish } => {
                let end = if *finish { "finish_track" } else { "fade" };
                json!({ "sleep": { "after": minutes.saturating_mul(60_000), "end": end } })
            }
            Mode::Quiet { mode } => json!({ "set_quiet": mode }),
            Mode::Clear => json!("clear"),
            Mode::Output { name } => json!({ "set_output": name }),
        }
    }
}

/// Asks the daemon and returns what to print: its JSON, or lines for a person.
///
/// # Errors
/// `Unreachable` when there is no daemon, else what the daemon says.
pub async fn run(daemon: &Daemon, ask: &Ask, as_json: bool) -> Result<String> {
    let (method, path, mut body) = ask.request()?;
    let told = async {
        if let (Ask::Correct(correct), Some(body)) = (ask, &mut body)
            && let Some(picture) = correct.picture()?
        {
            let kept = send(daemon, Method::POST, "/api/covers", Some(Sent::Picture(picture))).await?;
            body["set"]["cover"] = kept["cover"].clone();
        }
        send(daemon, method, &path, body.map(Sent::Json)).await
    };
    let answer = tokio::time::timeout(PATIENCE, told).await;
    let value = answer.map_err(|_| Error::new(Kind::Unreachable, "the daemon does not answer"))??;
    if as_json {
        return Ok(value.to_string());
    }
    Ok(crate::ctl_text::show(ask, &value))
}

/// The body of a request.
enum Sent {
    Json(Value),
    Picture(Vec<u8>),
}

async fn send(daemon: &Daemon, method: Method, path: &str, body: Option<Sent>) -> Result<Value> {
    let mut request = Request::builder().method(method).uri(path);
    let bytes = match body {
        None => Bytes::new(),
        Some(Sent::Json(body)) => {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Bytes::from(body.to_string())
        }
        Some(Sent::Picture(bytes)) => Bytes::from(bytes),
    };
    match daemon {
        Daemon::Socket(socket) => {
            let what = || format!("reach the daemon at {}", socket.display());
            let stream = tokio::net::UnixStream::connect(socket)
                .await
                .map_err(|error| Error::with(Kind::Unreachable, what(), error))?;
            exchange(TokioIo::new(stream), request.header(header::HOST, "localhost"), bytes).await
        }
        Daemon::Url { url, token } => {
            let wrong = || Error::new(Kind::Invalid, format!("{url:?} is not like http://host:port"));
            let uri: http::Uri = url.parse().map_err(|_| wrong())?;
            let host = uri.host().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
            let port = uri.port_u16().unwrap_or(80);
            let stream =
                tokio::net::TcpStream::connect((host.trim_matches(['[', ']']), port)).await.map_err(
                    |error| Error::with(Kind::Unreachable, format!("reach the daemon at {url}"), error),
                )?;
            let mut request = request.header(header::HOST, format!("{host}:{port}"));
            if let Some(token) = token {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            exchange(TokioIo::new(stream), request, bytes).await
        }
    }
}

async fn exchange<I>(io: I, request: http::request::Builder, body: Bytes) -> Result<Value>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let broke = |error: hyper::Error| Error::with(Kind::Unreachable, "talk to the daemon", error);
    let request = request
        .body(Full::new(body))
        .map_err(|error| Error::with(Kind::Invalid, "write the request", error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(broke)?;
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(broke)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MOST_ANSWER).collect().await;
    let body = body.map_err(|error| Error::with(Kind::Unreachable, "read the daemon's answer", error))?;
    driver.abort();
    let bytes = body.to_bytes();
    let value = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes) };
    let value = value.map_err(|error| Error::with(Kind::Internal, "read the daemon's answer", error))?;
    if status.is_success() {
        return Ok(value);
    }
    let detail = value["detail"].as_str().or(value["title"].as_str()).unwrap_or("no reason given");
    Err(Error::new(Kind::Invalid, format!("the daemon refuses ({}): {detail}", status.as_u16())))
}

/// Percent-encodes everything but unreserved characters (RFC 3986, 2.3).
/// Which purchases, and in which order.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Purchases {
    /// Grouped by date, store, device or person
    #[arg(long, value_parser = ["date", "store", "device", "person"])]
    by: Option<String>,
    /// newest, oldest or album
    #[arg(long, value_parser = ["newest", "oldest", "album"])]
    sort: Option<String>,
    /// Only of this store, e.g. itunes
    #[arg(long)]
    store: Option<String>,
    /// Only what this device brought
    #[arg(long)]
    device: Option<String>,
    /// Only of this buyer
    #[arg(long)]
    person: Option<String>,
    /// Only of this year
    #[arg(long)]
    year: Option<u16>,
    /// Only what is locked (true) or not (false)
    #[arg(long)]
    locked: Option<bool>,
    /// Leave out so many at the start
    #[arg(long, default_value_t = 0)]
    offset: u64,
    /// Show at most so many, 1 to 1000
    #[arg(long, default_value_t = 1000)]
    limit: u32,
}

impl Purchases {
    fn path(&self) -> String {
        let year = self.year.map(|year| year.to_string());
        let locked = self.locked.map(|locked| locked.to_string());
        let asked = [
            ("by", &self.by),
            ("sort", &self.sort),
            ("store", &self.store),
            ("device", &self.device),
            ("person", &self.person),
            ("year", &year),
            ("locked", &locked),
        ];
        let mut path = format!("/api/purchases?offset={}&limit={}", self.offset, self.limit);
        for (name, value) in asked {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", query::value(value)));
            }
        }
        path
    }
}

/// How long a person waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest answer: a queue of 10,000 entries is about 3 MB.
const MOST_ANSWER: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_those_of_the_api() {
        let request = |ask: Ask| ask.request().expect("fine");
        let switch = |on: &str| Switch { on: on.into() };
        let (method, path, body) = request(Ask::Add { ids: vec![7], play: true, next: false });
        assert_eq!((method, path.as_str()), (Method::POST, "/api/command"));
        let command: crate::hifi::command::Command =
            serde_json::from_value(body.expect("a body")).expect("a command");
        assert!(matches!(command, crate::hifi::command::Command::Add { play: true, .. }));
        let (_, path, _) = request(Ask::Look { id: "udn:a/b ?".into(), pin: None });
        assert_eq!(path, "/api/neighbours/udn%3Aa%2Fb%20%3F/look");
        assert!(Ask::Seek { seconds: f64::NAN }.request().is_err());
        let entry = r#"(Some(NewEntry { what: Url("http://x/"), shown: "#;
        let (next, now) = (format!("SetGuestNext{entry}"), format!("Batch([SetGuest{entry}"));
        for (ask, want) in [
            (Ask::Play { id: None }, "Play(None)"),
            (Ask::Play { id: Some(3) }, "Play(Some(QueueId(3)))"),
            (Ask::Something, "PlaySomething"),
            (Ask::Seek { seconds: 1.5 }, "Seek(Millis(1500))"),
            (Ask::Volume { volume: 30 }, "SetVolume(Volume(30))"),
            (Ask::Unmute, "SetMute(false)"),
            (Ask::PlayUrl { url: "http://x/".into(), next: true }, &next),
            (Ask::PlayUrl { url: "http://x/".into(), next: false }, &now),
            (Ask::Mode(Mode::Clear), "Clear"),
            (Ask::Mode(Mode::Turn { steps: -5 }), "MoveVolume(-5)"),
            (Ask::Mode(Mode::Move { ids: vec![3], to: 0 }), "Move { ids: [QueueId(3)], to: 0 }"),
            (Ask::Mode(Mode::Remove { ids: vec![3] }), "Remove([QueueId(3)])"),
            (Ask::Mode(Mode::Repeat { what: "one".into() }), "SetRepeat(One)"),
            (Ask::Mode(Mode::Shuffle { switch: switch("on") }), "SetShuffle(true)"),
            (Ask::Mode(Mode::Single { switch: switch("off") }), "SetSingle(false)"),
            (Ask::Mode(Mode::Consume { switch: switch("on") }), "SetConsume(true)"),
            (Ask::Mode(Mode::StopAfter { switch: switch("on") }), "StopAfter(true)"),
            (Ask::Mode(Mode::Sleep { minutes: 0, finish: false }), "Sleep(None)"),
            (
                Ask::Mode(Mode::Sleep { minutes: 2, finish: true }),
                "Sleep(Some(Sleep { after: Millis(120000), end: FinishTrack }))",
            ),
            (Ask::Mode(Mode::Quiet { mode: "off".into() }), "SetQuiet(Off)"),
            (Ask::Mode(Mode::Output { name: "silent".into() }), "SetOutput(\"silent\")"),
            (Ask::Yield, "Yield"),
            (Ask::Resume, "Resume"),
        ] {
            let (_, _, body) = request(ask);
            let command: crate::hifi::command::Command =
                serde_json::from_value(body.expect("a body")).expect("a command");
            let told = format!("{command:?}");
            assert!(told == want || want.contains("Url") && told.starts_with(want), "{told}");
        }
    }
}
