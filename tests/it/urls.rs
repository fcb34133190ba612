//! URLs through the whole box: the queue, the guest deck, a server of the test's own, the silent output.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use konpo::hifi::command::{At, Command, NewEntry, Playable, Refused};
use konpo::hifi::quiet::QuietConfig;
use konpo::hifi::state::{Source, State, Transport};
use konpo::hifi::urls::{UrlAsk, Urls};
use konpo::hifi::{Hifi, HifiConfig, Parts, Running};
use konpo::http::client::{Allow, Client};
use konpo::intake::{Intake, IntakeConfig, Take};
use konpo::library::{Library, LibraryConfig};
use konpo::offer::{Caller, Right};
use konpo::player::mixer::Wish;
use konpo::player::{Knob, Player, PlayerConfig};
use konpo::signal::{Device, GainMode};
use konpo::stream::{self, Streams};
use konpo::units::{ByteCount, Gain, Millis, Volume};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A server on a free port: `/tone…` is a quarter of a second of sound, `/long…` two minutes, `/stalls` sends half a second
/// of two minutes and then nothing more, `/silent` never answers, anything else is not there.
struct Server {
    at: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let log = asked.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let log = log.clone();
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
                    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
                    log.lock().expect("no panic").push(path.clone());
                    while !lines.next()?.ok()?.is_empty() {}
                    match path.as_str() {
                        path if path.starts_with("/tone") => {
                            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", TONE.len());
                            stream.write_all(head.as_bytes()).ok()?;
                            stream.write_all(TONE).ok()?;
                        }
                        "/stalls" => {
                            let wav = wav(120);
                            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", wav.len());
                            stream.write_all(head.as_bytes()).ok()?;
                            stream.write_all(&wav[..88_200]).ok()?;
                            drop(lines.next());
                        }
                        path if path.starts_with("/long") => {
                            let wav = wav(120);
                            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", wav.len());
                            stream.write_all(head.as_bytes()).ok()?;
                            stream.write_all(&wav).ok()?;
                        }
                        // Until the other side hangs up.
                        "/silent" => drop(lines.next()),
                        _ => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").ok()?,
                    }
                    Some(())
                });
            }
        });
        Server { at, asked }
    }

    fn entries(&self, names: &[&str]) -> Vec<NewEntry> {
        let entry = |name: &&str| NewEntry {
            what: Playable::Url(format!("{}/{name}", self.at).into()),
            shown: Arc::default(),
            said: None,
            hints: Default::default(),
        };
        names.iter().map(entry).collect()
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

/// The box with the silent output, on a shelf of its own.
pub struct Bench {
    /// The box.
    pub hifi: Hifi,
    /// Its shelf.
    pub library: Library,
    streams: Streams,
    stop: CancellationToken,
    intake: Intake,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    _folder: TempDir,
}

impl Bench {
    pub async fn new() -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let config = LibraryConfig {
            music: vec![folder.path().join("music")],
            data: folder.path().join("data"),
            keep_free: Some(ByteCount(0)),
        };
        let library = tokio::task::spawn_blocking(move || Library::open(config)).await;
        let library = library.expect("no panic").expect("opened");
        let stop = CancellationToken::new();
        let intake = Intake::start(IntakeConfig::new(Take::Music), library.clone(), stop.clone()).await;
        let intake = intake.expect("started");
        let silent = PlayerConfig {
            device: "silent".into(),
            knob: Knob::Box,
            mixer: Wish::Software,
            gain: Gain::SILENT,
        };
        let (player, events) = Player::start(silent).expect("a thread");
        let device = Device::closed("silent", true);
        let here = || Allow::Near { peer: Ipv4Addr::LOCALHOST.into(), networks: Vec::new() };
        let streams = Streams::new(Client::new(), here);
        let opens = streams.clone();
        let open =
            move |ask: UrlAsk| opens.open(stream::Ask { url: ask.url, stop: ask.stop, told: ask.told });
        let urls = Urls { open: Arc::new(open), ..Urls::none() };
        let parts = Parts {
            library: library.clone(),
            player,
            events,
            device,
            board: intake.board(),
            urls,
            pushes: intake.pushes(),
        };
        let quiet = QuietConfig::default();
        let knob = HifiConfig { fixed_volume: false, max_volume: Volume::MAX, gains: GainMode::Off, quiet };
        let Running { hifi, tasks } = Hifi::start(parts, knob, stop.clone()).await.expect("started");
        Bench { hifi, streams, stop, intake, tasks, library, _folder: folder }
    }

    pub async fn send(&self, command: Command) {
        self.hifi.of(Caller::itself()).send(command).await.expect("not stopping").expect("not refused");
    }

    /// Waits for a snapshot.
    pub async fn until(&self, what: &str, is: impl Fn(&State) -> bool) -> Arc<State> {
        let mut states = self.hifi.of(Caller::itself()).watch();
        let found = tokio::time::timeout(Duration::from_secs(20), states.wait_for(|state| is(state))).await;
        match found {
            Ok(state) => state.expect("the box runs").clone(),
            Err(_) => panic!("not in time: {what}: {:?}", self.hifi.of(Caller::itself()).state()),
        }
    }

    pub async fn end(self) {
        self.stop.cancel();
        self.intake.stopped().await;
        for task in self.tasks {
            task.await.expect("in order");
        }
        self.streams.stopped().await;
        drop(self.hifi);
        let library = self.library;
        tokio::task::spawn_blocking(move || library.close()).await.expect("no panic").expect("closed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_urls_plays_through_skips_what_is_not_there_and_stops() {
    let (bench, server) = (Bench::new().await, Server::start());
    let entries = server.entries(&["tone1", "missing", "tone2"]);
    bench.send(Command::Add { entries, at: At::End, play: true }).await;
    let state = bench.until("the end", |s| s.transport == Transport::Stopped && s.starts == 2).await;
    let words: Vec<&str> = state.notices.iter().map(|notice| notice.words.as_str()).collect();
    assert_eq!(words.len(), 1, "{words:?}");
    assert!(words[0].starts_with("missing cannot be played") && words[0].contains("404"), "{words:?}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_unreachable_urls_stop_the_box() {
    let (bench, server) = (Bench::new().await, Server::start());
    bench.send(Command::SetRepeat(konpo::hifi::command::Repeat::All)).await;
    let entries = server.entries(&["no", "nor", "neither"]);
    bench.send(Command::Add { entries, at: At::End, play: true }).await;
    let state = bench.until("silence", |s| s.transport == Transport::Stopped && !s.notices.is_empty()).await;
    assert_eq!(state.starts, 0);
    assert!(server.asked().len() <= 6, "{:?}", server.asked());
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_url_is_fetched_while_the_first_one_sounds() {
    let (bench, server) = (Bench::new().await, Server::start());
    let entries = server.entries(&["tone1", "tone2"]);
    bench.send(Command::Add { entries, at: At::End, play: true }).await;
    bench.until("the first", |s| s.starts == 1).await;
    bench.until("the second", |s| s.starts == 2).await;
    bench.until("the end", |s| s.transport == Transport::Stopped).await;
    // Each was asked for once: the second one was at hand when its turn came.
    assert_eq!(server.asked(), ["/tone1", "/tone2"]);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_does_not_keep_the_box_from_anything() {
    let (bench, server) = (Bench::new().await, Server::start());
    let entries = server.entries(&["silent", "tone"]);
    bench.send(Command::Add { entries, at: At::End, play: true }).await;
    while server.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    let begun = std::time::Instant::now();
    bench.send(Command::Next).await;
    bench.until("the next one", |s| s.starts == 1).await;
    println!("the next one sounded {:?} after the key", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(15));
    bench.send(Command::Previous).await;
    while server.asked().iter().filter(|path| *path == "/silent").count() < 2 {
        tokio::task::yield_now().await;
    }
    let begun = std::time::Instant::now();
    bench.send(Command::Stop).await;
    bench.end().await;
    println!("all ended {:?} after the stop", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_and_its_next_play_and_then_all_is_silent() {
    let (bench, server) = (Bench::new().await, Server::start());
    let [queued, one, two] = ["tone0", "tone1", "tone2"].map(|name| server.entries(&[name]).remove(0));
    bench.send(Command::Add { entries: vec![queued], at: At::End, play: false }).await;
    let deck = vec![Command::SetGuest(Some(one)), Command::SetGuestNext(Some(two)), Command::Play(None)];
    bench.send(Command::Batch(deck)).await;
    let state = bench.until("the end", |s| s.starts == 2 && s.transport == Transport::Stopped).await;
    let Source::Guest { now, next: None, .. } = &state.source else { panic!("{:?}", state.source) };
    assert!(matches!(&now.what, Playable::Url(url) if url.ends_with("/tone2")), "{now:?}");
    assert_eq!(
        (state.queue.entries.len(), server.asked()),
        (1, vec!["/tone1".to_owned(), "/tone2".to_owned()])
    );
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stalls_in_the_middle_keeps_the_box_from_nothing() {
    let (bench, server) = (Bench::new().await, Server::start());
    let entries = server.entries(&["stalls", "long"]);
    bench.send(Command::Add { entries, at: At::End, play: true }).await;
    bench.until("its start", |s| s.starts == 1).await;
    // The motor tells every 5 s where it is: at the end of all that came.
    let dry = |s: &State| s.position.anchor > Millis(900) && s.position.anchor < Millis(1_001);
    bench.until("it tells where it stands", dry).await;
    let begun = std::time::Instant::now();
    bench.send(Command::Next).await;
    bench.until("the next one", |s| s.starts == 2).await;
    println!("the next one sounded {:?} after the key", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(15));
    let begun = std::time::Instant::now();
    bench.send(Command::Previous).await;
    bench.until("the one that stalls", |s| s.starts == 3).await;
    bench.send(Command::Stop).await;
    bench.end().await;
    assert!(begun.elapsed() < Duration::from_secs(30));
}

/// Returns a mono WAV of so many seconds: 16 bits at 44.1 kHz, no sample of which is silent.
fn wav(seconds: u32) -> Vec<u8> {
    let bytes = seconds * 88_200;
    let mut wav = Vec::with_capacity(bytes as usize + 44);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(bytes + 36).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend_from_slice(&44_100u32.to_le_bytes());
    wav.extend_from_slice(&88_200u32.to_le_bytes());
    wav.extend_from_slice(b"\x02\0\x10\0data");
    wav.extend_from_slice(&bytes.to_le_bytes());
    wav.extend((0..bytes / 2).flat_map(|n| (n as i16 | 1).to_le_bytes()));
    wav
}

#[tokio::test(flavor = "multi_thread")]
async fn another_output_takes_the_sound_over_where_it_is_and_only_the_owner_may_choose() {
    let (bench, server) = (Bench::new().await, Server::start());
    let entries = server.entries(&["long"]);
    bench.send(Command::Add { entries, at: At::End, play: true }).await;
    bench.until("its start", |s| s.starts == 1).await;
    let box_ = bench.hifi.of(Caller::itself());
    let refused = async |name: &str| box_.send(Command::SetOutput(name.into())).await.expect("not stopping");
    assert_eq!(refused("alsa:hw:CARD=Nobody,DEV=7").await, Err(Refused::NoDevice));
    let within = Command::Batch(vec![Command::Pause, Command::SetOutput("nothing".into())]);
    assert_eq!(box_.send(within).await.expect("not stopping"), Err(Refused::NoDevice));
    let room = Caller { right: Right::Room, ..Caller::itself() };
    let asked = bench.hifi.of(room).send(Command::SetOutput("silent".into())).await.expect("not stopping");
    assert_eq!(asked, Err(Refused::NotAllowed));
    bench.send(Command::SetOutput("silent".into())).await;
    let state = bench.until("it goes on", |s| s.device.open && s.position.anchor > Millis(300)).await;
    assert_eq!((&*state.output, state.starts, state.transport), ("silent", 1, Transport::Playing));
    bench.send(Command::Stop).await;
    bench.end().await;
}

const TONE: &[u8] = include_bytes!("../data/tone.flac");
