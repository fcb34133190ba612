//! A shelf of 1,000 songs, one bought with its buyer's name in it and one locked, with the media server on it.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use konpo::hifi::quiet::QuietConfig;
use konpo::hifi::urls::Urls;
use konpo::hifi::{Hifi, HifiConfig, Parts, Running};
use konpo::intake::{Intake, IntakeConfig, Take};
use konpo::library::{Library, LibraryConfig};
use konpo::offer::{Caller, Via};
use konpo::player::mixer::Wish;
use konpo::player::{Knob, Player, PlayerConfig};
use konpo::query::{Field, Filter, Item, Query, Sort, What, Window};
use konpo::signal::{Device, GainMode};
use konpo::track::TrackId;
use konpo::units::{ByteCount, Gain, Volume};
use konpo::upnp;
use konpo::upnp::content_directory::table::SERVICE;
use konpo::upnp::service::{Call, Handler, Value};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;

use crate::mint;

/// Songs that can be played: 1,000, and the bought one.
pub const TRACKS: usize = 1001;

/// Titles that break writers of XML.
pub const HOSTILE: [&str; 6] = [
    "& < > \" '",
    "]]><![CDATA[",
    "</DIDL-Lite><item id=\"1\">",
    "bell \u{1} and \u{b} and\nlines",
    "夢 🎵 עברית",
    "&amp;quot; &#0; &nbsp;",
];

/// What a song's tags say.
pub struct Song {
    pub path: String,
    pub title: String,
    pub artist: String,
    pub album_artist: String,
    pub album: String,
    pub genre: String,
    pub year: u32,
    pub number: u32,
}

/// 20 artists with 5 albums of 10 songs; every tenth song is sung by a guest.
pub fn songs() -> Vec<Song> {
    let song = |at: usize| {
        let (artist, album, number) = (at / 50, at / 10, at % 10 + 1);
        let album_artist = format!("Artist {artist}");
        Song {
            path: format!("{artist}/{album}/{number}.mp3"),
            title: HOSTILE.get(at).map_or_else(|| format!("Song {at}"), |title| (*title).to_owned()),
            artist: if number == 10 { format!("Guest {}", at / 100) } else { album_artist.clone() },
            album_artist,
            album: format!("Album {album}"),
            genre: format!("Genre {}", album % 3),
            year: 1990 + (album % 20) as u32,
            number: number as u32,
        }
    };
    (0..1000).map(song).collect()
}

fn text(value: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(value.encode_utf16());
    std::iter::once(1).chain(units.flat_map(u16::to_le_bytes)).collect()
}

fn mp3(song: &Song, frames: &[u8]) -> Vec<u8> {
    let (year, number) = (song.year.to_string(), song.number.to_string());
    let fields = [
        (b"TIT2", &song.title),
        (b"TPE1", &song.artist),
        (b"TPE2", &song.album_artist),
        (b"TALB", &song.album),
        (b"TCON", &song.genre),
        (b"TCOM", &song.genre),
        (b"TYER", &year),
        (b"TRCK", &number),
    ];
    let tags: Vec<u8> = fields.iter().flat_map(|(name, value)| mint::frame(*name, &text(value))).collect();
    [mint::tag(b"ID3", &tags), frames.to_vec()].concat()
}

fn fill(music: &Path) {
    let frames = mint::mp3_frames();
    for song in songs() {
        let path = music.join(&song.path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, mp3(&song, &frames)).expect("written");
    }
    std::fs::write(music.join("bought.m4a"), mint::itunes_plus()).expect("written");
    std::fs::write(music.join("locked.m4p"), other_song(mint::itunes_locked())).expect("written");
}

/// Gives a song of the store another title, artist and number: the free one of the same would unlock it.
fn other_song(mut file: Vec<u8>) -> Vec<u8> {
    let pairs: [(&[u8], &[u8]); 3] =
        [(b"Aimer", b"Other"), (b"Test", b"Song"), (&123_456u32.to_be_bytes(), &654_321u32.to_be_bytes())];
    for (from, to) in pairs {
        let places: Vec<usize> =
            (0..file.len() - from.len()).filter(|&at| file[at..].starts_with(from)).collect();
        assert!(!places.is_empty(), "{from:?} is not there");
        places.into_iter().for_each(|at| file[at..at + to.len()].copy_from_slice(to));
    }
    file
}

/// An answer's arguments.
#[derive(Debug)]
pub struct Answer(HashMap<String, String>);

impl Answer {
    pub fn number(&self, name: &str) -> u64 {
        self.0[name].parse().expect("a number")
    }
}

impl Deref for Answer {
    type Target = HashMap<String, String>;
    fn deref(&self) -> &HashMap<String, String> {
        &self.0
    }
}

/// The media server on a box.
pub struct Server {
    handler: Arc<dyn Handler>,
    files: axum::Router,
    hifi: Hifi,
    library: Library,
    intake: Intake,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    stop: CancellationToken,
    folder: TempDir,
    bought: i64,
    locked: i64,
}

impl Server {
    pub async fn start() -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        fill(&folder.path().join("music"));
        Server::on(folder).await
    }

    async fn on(folder: TempDir) -> Server {
        let config = LibraryConfig {
            music: vec![folder.path().join("music")],
            data: folder.path().join("data"),
            keep_free: Some(ByteCount(0)),
        };
        let library =
            tokio::task::spawn_blocking(move || Library::open(config)).await.expect("ran").expect("opened");
        let stop = CancellationToken::new();
        let taking = IntakeConfig::new(Take::Music);
        let intake = Intake::start(taking, library.clone(), stop.clone()).await.expect("started");
        let silent = PlayerConfig {
            device: "silent".into(),
            knob: Knob::Box,
            mixer: Wish::Software,
            gain: Gain::SILENT,
        };
        let (player, events) = Player::start(silent).expect("started");
        let parts = Parts {
            library: library.clone(),
            player,
            events,
            device: Device::closed("silent", true),
            board: intake.board(),
            urls: Urls::none(),
            pushes: intake.pushes(),
        };
        let quiet = QuietConfig::default();
        let knob = HifiConfig { fixed_volume: false, max_volume: Volume::MAX, gains: GainMode::Off, quiet };
        let Running { hifi, mut tasks } = Hifi::start(parts, knob, stop.clone()).await.expect("started");
        library.start_scanning().expect("started");
        wait("the scan", || {
            let shelf = library.shelf();
            !shelf.scanning && shelf.passes > 0 && shelf.tracks > TRACKS as u64
        })
        .await;
        let udn = uuid::Uuid::from_u128(7);
        let ((_, offered), files, task) = upnp::media_server(&hifi, "Test <1>", "konpo", udn, stop.clone());
        tasks.push(task);
        let offered =
            offered.into_iter().find(|offered| offered.service.kind == SERVICE.kind).expect("there");
        // Neither is of the made artists.
        let other = |playable: &str| {
            let not = |text: &str| Filter::Not(Box::new(Filter::Starts(Field::Artist, text.into())));
            let all = vec![Filter::Is(Field::Playable, playable.into()), not("artist "), not("guest ")];
            let window = Window { offset: 0, limit: 1 };
            Query { what: What::Tracks, filter: Filter::And(all), sort: Sort::Album, window }
        };
        let first = async |query: Query| match library.browse(&query).await.expect("answered").items.first() {
            Some(Item::Track(track)) => track.id.0,
            other => panic!("{other:?}"),
        };
        let (bought, locked) = (first(other("yes")).await, first(other("no")).await);
        Server { handler: offered.handler, files, hifi, library, intake, tasks, stop, folder, bought, locked }
    }

    /// Ends it and starts it again on the same shelf, which is looked through anew.
    pub async fn again(self) -> Server {
        Server::on(self.close().await).await
    }

    pub async fn end(self) {
        self.close().await.close().expect("removed");
    }

    async fn close(self) -> TempDir {
        self.stop.cancel();
        self.intake.stopped().await;
        drop((self.handler, self.files, self.hifi));
        for task in self.tasks {
            task.await.expect("in order");
        }
        let library = self.library;
        tokio::task::spawn_blocking(move || library.close()).await.expect("no panic").expect("closed");
        self.folder
    }

    pub fn bought(&self) -> i64 {
        self.bought
    }

    pub fn locked(&self) -> i64 {
        self.locked
    }

    /// Calls an action as the stack does, with its checks before and after.
    pub async fn call(
        &self,
        action: &str,
        given: &[(String, String)],
        headers: &HeaderMap,
    ) -> Result<Answer, u16> {
        let given = given.iter().cloned().collect();
        let (action, given) = SERVICE.check(action, &given).map_err(|fault| fault.code)?;
        let call = Call {
            action,
            given,
            caller: Caller::room(Via::Upnp),
            host: SocketAddrV4::new(Ipv4Addr::new(192, 168, 7, 1), 8200),
            peer: PEER,
            headers,
        };
        let answer = self.handler.act(call).await.map_err(|fault| fault.code)?;
        let ordered = SERVICE.ordered(action, &answer).expect("every argument");
        Ok(Answer(ordered.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }

    pub async fn ask(
        &self,
        action: &str,
        given: &[(&str, &str)],
        headers: &HeaderMap,
    ) -> Result<Answer, u16> {
        let given: Vec<(String, String)> =
            given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.call(action, &given, headers).await
    }

    pub async fn browse(&self, id: &str, flag: &str, start: usize, count: u32) -> Result<Answer, u16> {
        let (start, count) = (start.to_string(), count.to_string());
        let given = [
            ("ObjectID", id),
            ("BrowseFlag", flag),
            ("Filter", "*"),
            ("StartingIndex", &start),
            ("RequestedCount", &count),
            ("SortCriteria", ""),
        ];
        self.ask("Browse", &given, &HeaderMap::new()).await
    }

    pub async fn browse_sorted(&self, id: &str, order: &str) -> Result<Answer, u16> {
        let given = [("ObjectID", id), ("BrowseFlag", "BrowseDirectChildren"), ("SortCriteria", order)];
        self.ask("Browse", &given, &HeaderMap::new()).await
    }

    pub async fn browse_filtered(&self, id: &str, filter: &str) -> Result<Answer, u16> {
        let given = [
            ("ObjectID", id),
            ("BrowseFlag", "BrowseDirectChildren"),
            ("Filter", filter),
            ("RequestedCount", "5"),
        ];
        self.ask("Browse", &given, &HeaderMap::new()).await
    }

    pub async fn browse_as(&self, agent: &'static str) {
        let headers = HeaderMap::from_iter([(http::header::USER_AGENT, HeaderValue::from_static(agent))]);
        let given = [("ObjectID", "0"), ("BrowseFlag", "BrowseMetadata")];
        self.ask("Browse", &given, &headers).await.expect("answered");
    }

    pub async fn search(&self, id: &str, criteria: &str, start: usize, count: u32) -> Result<Answer, u16> {
        let (start, count) = (start.to_string(), count.to_string());
        let given = [
            ("ContainerID", id),
            ("SearchCriteria", criteria),
            ("Filter", "*"),
            ("StartingIndex", &start),
            ("RequestedCount", &count),
            ("SortCriteria", ""),
        ];
        self.ask("Search", &given, &HeaderMap::new()).await
    }

    /// Asks for a file; the answer's status, headers and bytes.
    pub async fn get(
        &self,
        method: &str,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> (StatusCode, HeaderMap, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
        for &(name, value) in headers {
            let value = HeaderValue::from_str(value).expect("a value");
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        let peer = konpo::http::server::Peer((PEER, 4000).into());
        request.extensions_mut().insert(peer);
        let response = self.files.clone().call(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes().to_vec();
        (parts.status, parts.headers, bytes)
    }

    /// What subscribers are told: SystemUpdateID and ContainerUpdateIDs.
    pub fn told(&self) -> (u32, BTreeMap<Arc<str>, u32>) {
        let values = self.handler.variables().borrow().clone();
        let find =
            |name: &str| values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        match (find("SystemUpdateID"), find("ContainerUpdateIDs")) {
            (Some(Value::Text(id)), Some(Value::Pairs(pairs))) => {
                (id.parse().expect("a number"), BTreeMap::clone(&pairs))
            }
            other => panic!("{other:?}"),
        }
    }

    /// As [`Server::told`], once it is newer and names a container.
    pub async fn told_after(&self, id: u32, container: &str) -> (u32, BTreeMap<Arc<str>, u32>) {
        wait("what is told", || self.told().0 > id && self.told().1.contains_key(container)).await;
        self.told()
    }

    /// Takes a track off the shelf.
    pub async fn remove(&self, track: i64) {
        self.library.trash(TrackId(track)).await.expect("removed");
    }

    /// Puts one more song on the disk and waits until it is shown.
    pub async fn add(&self, path: &str, title: &str, album: &str) {
        let before = self.library.shelf().tracks;
        let song = Song {
            path: path.into(),
            title: title.into(),
            album: album.into(),
            album_artist: "Newcomer".into(),
            artist: "Newcomer".into(),
            genre: "Genre 1".into(),
            year: 2020,
            number: 1,
        };
        let path = self.folder.path().join("music").join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, mp3(&song, &mint::mp3_frames().repeat(2))).expect("written");
        self.library.rescan();
        wait("the new song", || self.library.shelf().tracks > before).await;
    }
}

async fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what} does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 7, 2));
