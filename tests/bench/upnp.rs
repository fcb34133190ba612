//! The media server beside minidlna 1.3.0 on the same shelf in one run, and gerbera 1.1.0 on 3,000 tracks (Browse only):
//! pages at three depths, searches, many who page at once, one and many who read files, memory. 5,000 made-up files, or
//! 100,000 with `KONPO_ALL=1`; then it ends with 1 when a goal is missed. Needs root, as the peers do.
//!
//!     cargo bench --bench upnp -- [COUNT]

#[path = "shelf/bits.rs"]
mod bits;
#[path = "shelf/flac.rs"]
mod flac;
#[path = "shelf/generate.rs"]
#[allow(dead_code)]
mod generate;
#[path = "shelf/m4a.rs"]
#[allow(dead_code)]
mod m4a;
#[path = "shelf/mp3.rs"]
#[allow(dead_code)]
mod mp3;
#[path = "shelf/names.rs"]
mod names;
#[path = "shelf/song.rs"]
mod song;
#[path = "../peers/support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use konpo::wire::soap::{Reply, parse_reply};
use konpo::wire::{description, didl};
use support::control_point::call;
use support::fixtures::{Random, long_wav};
use support::net::{Host, Lan};
use support::phone::Phone;
use support::process::Process;
use support::servers::Server;
use support::wait_for;
use tempfile::TempDir;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    // `cargo test --benches` and `cargo bench` both come here; only the latter measures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let all = std::env::var_os("KONPO_ALL").is_some();
    let count = match words.first() {
        Some(count) => count.parse().expect("a count"),
        None => [5_000, 100_000][usize::from(all)],
    };
    let music = collection(count);
    let lan = Lan::new();
    let phone = lan.host("phone");
    let konpo = Daemon::start(&lan.host("konpo"), music.path(), count + 1);
    let ours = measure(&phone, Served { of: "konpo", list: "tracks".into(), ..konpo.served() }, count);
    let minidlna = lan.host("minidlna");
    let mut other = Phone::start_as(&minidlna, music.path(), "shelf", UUID, 900);
    let at = SocketAddr::from((minidlna.address, 8201));
    let served =
        Served { of: "minidlna", at, control: "/ctl/ContentDir".into(), list: "1$4".into(), process: 0 };
    whole(&phone, &served, count + 1);
    other.hush();
    whole(&phone, &served, count + 1);
    let its = measure(&phone, Served { process: other.id(), ..served }, count);
    drop(other);
    let mut good = table(&format!("{count} tracks"), "minidlna 1.3", &ours, &its, count >= 100_000);
    let resident = ours.iter().find(|(row, ..)| *row == MEMORY).map_or(f64::NAN, |(_, value, ..)| *value);
    println!(
        "resident {resident:.1} MB of {MOST_MEMORY} MB{}",
        if resident < MOST_MEMORY { "" } else { "  MISSED" }
    );
    good &= resident < MOST_MEMORY;
    walk(&phone, &Served { list: "tracks".into(), ..konpo.served() }, count + 1);
    drop(konpo);
    let small = collection(GERBERA);
    let konpo = Daemon::start(&lan.host("konpo2"), small.path(), GERBERA + 1);
    at_rest(konpo.process.id());
    let ours = pages(&phone, &Served { of: "konpo", list: "tracks".into(), ..konpo.served() }, GERBERA);
    let machine = lan.host("gerbera");
    let _gerbera = Server::gerbera(&machine, "Gerbera", small.path());
    let served = gerbera(&phone, &machine);
    let its = pages(&phone, &served, GERBERA);
    table(&format!("{GERBERA} tracks"), "gerbera 1.1", &ours, &its, false);
    if good || !all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Where a ContentDirectory is asked, and what holds all tracks there.
#[derive(Clone)]
struct Served {
    of: &'static str,
    at: SocketAddr,
    control: String,
    list: String,
    /// 0: not known.
    process: u32,
}

/// A figure: its name, the value, its unit, and whether more is better.
type Row = (&'static str, f64, &'static str, bool);

/// Makes songs, and one file to be streamed.
fn collection(count: usize) -> TempDir {
    // gerbera passes over names that begin with a dot.
    let named = tempfile::Builder::new().prefix("music").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    let folder = named.expect("a folder");
    generate::small(folder.path(), count);
    let path = folder.path().join("Long.wav");
    long_wav(&path, LONG);
    // Its title behind the sound, by which all find it.
    let info = [&b"LIST\x12\0\0\0INFOINAM\x06\0\0\0Long\0\0"[..]].concat();
    let size = fs::metadata(&path).expect("made").len() + info.len() as u64 - 8;
    let file = fs::File::options().append(true).open(&path).expect("there");
    (&file).write_all(&info).expect("written");
    let file = fs::File::options().write(true).open(&path).expect("there");
    file.write_all_at(&(size as u32).to_le_bytes(), 4).expect("written");
    folder
}

/// konpo on its own data, from the shelf being whole.
struct Daemon {
    process: Process,
    at: SocketAddr,
    _data: TempDir,
}

impl Daemon {
    fn start(host: &Host, music: &Path, tracks: usize) -> Daemon {
        let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let mut command = host.command(env!("CARGO_BIN_EXE_konpo"));
        command.args(["serve", "--port", "8200", "--output", "silent", "--music"]).arg(music);
        command.arg("--data").arg(data.path()).env("KONPO_LOG", "warn");
        let process = Process::start("konpo", command, &data.path().join("said"));
        let at = SocketAddr::from((host.address, 8200));
        let daemon = Daemon { process, at, _data: data };
        wait_for("konpo has every track", BOUND, || {
            // Until it listens nobody answers.
            let said = daemon.process.said();
            said.contains("konpo ready").then_some(())
        });
        whole(host, &Served { of: "konpo", list: "tracks".into(), ..daemon.served() }, tracks);
        daemon
    }

    fn served(&self) -> Served {
        Served {
            of: "konpo",
            at: self.at,
            control: "/upnp/server/content-directory/control".into(),
            list: String::new(),
            process: self.process.id(),
        }
    }
}

/// Waits until a server lists so many tracks.
fn whole(host: &Host, served: &Served, tracks: usize) {
    wait_for("every track is listed", BOUND, || {
        let served = served.clone();
        let asked = host.within(move || browse(&served, 0, 1).ok().map(|answer| answer.total));
        asked.join().expect("asked").filter(|total| *total >= tracks).map(drop)
    });
}

/// Finds gerbera's list of all songs.
fn gerbera(phone: &Host, machine: &Host) -> Served {
    let at = SocketAddr::from((machine.address, 49300));
    let found = phone.within(move || {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < BOUND, "gerbera does not list its songs");
            std::thread::sleep(Duration::from_millis(500));
            let Ok((_, body)) = http(at, "GET /description.xml HTTP/1.1", "") else { continue };
            let Ok(read) = description::parse(&body) else { continue };
            let Some((_, service)) = read.content_directory() else { continue };
            let path =
                service.control.rsplit_once(&at.to_string()).map_or(&*service.control, |(_, path)| path);
            let control = format!("/{}", path.trim_start_matches('/'));
            let mut served = Served { of: "gerbera", at, control, list: "0".into(), process: 0 };
            let inside = |served: &Served, name: &str| {
                let containers = didl::parse(&browse(served, 0, 50).ok()?.text).ok()?.containers;
                containers.into_iter().find(|container| container.title == name).map(|container| container.id)
            };
            let Some(audio) = inside(&served, "Audio") else { continue };
            served.list = audio;
            let Some(songs) = inside(&served, "All Audio") else { continue };
            served.list = songs;
            // It lists while it scans.
            if browse(&served, 0, 1).is_ok_and(|answer| answer.total >= GERBERA) {
                return served;
            }
        }
    });
    found.join().expect("asked")
}

/// Asks once and returns status and body.
fn http(at: SocketAddr, head: &str, body: &str) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(5))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let text =
        format!("{head}\r\nHost: {at}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n").unwrap_or(bytes.len().saturating_sub(4));
    let status =
        String::from_utf8_lossy(&bytes[..end.min(20)]).split(' ').nth(1).and_then(|s| s.parse().ok());
    Ok((status.unwrap_or(0), bytes.split_off((end + 4).min(bytes.len()))))
}

/// An answer, and how many milliseconds it took until its last byte was here: reading it is the client's time.
struct Answer {
    total: usize,
    text: String,
    took: f64,
}

fn act(served: &Served, action: &str, given: &[(&str, &str)]) -> Result<Answer, String> {
    let (head, body) = call(&served.control, CONTENT_DIRECTORY, action, given);
    let begun = Instant::now();
    let (_, bytes) = http(served.at, &head, &body).map_err(|error| error.to_string())?;
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    match parse_reply(&bytes).map_err(|error| error.to_string())? {
        Reply::Done(mut values) => {
            let total = values.get("TotalMatches").and_then(|total| total.parse().ok()).unwrap_or(0);
            Ok(Answer { total, text: values.remove("Result").unwrap_or_default(), took })
        }
        Reply::Fault(fault) => Err(format!("{fault:?}")),
    }
}

fn browse(served: &Served, start: usize, count: usize) -> Result<Answer, String> {
    let (start, count) = (start.to_string(), count.to_string());
    let given = [
        ("ObjectID", served.list.as_str()),
        ("BrowseFlag", "BrowseDirectChildren"),
        ("Filter", "*"),
        ("StartingIndex", &start),
        ("RequestedCount", &count),
        ("SortCriteria", ""),
    ];
    act(served, "Browse", &given)
}

fn search(served: &Served, criteria: &str) -> Result<Answer, String> {
    let given = [
        ("ContainerID", "0"),
        ("SearchCriteria", criteria),
        ("Filter", "*"),
        ("StartingIndex", "0"),
        ("RequestedCount", "30"),
        ("SortCriteria", ""),
    ];
    act(served, "Search", &given)
}

/// Pages of 30 at three depths: median milliseconds.
fn pages(phone: &Host, served: &Served, count: usize) -> Vec<Row> {
    let depths: [(&'static str, usize); 3] = [
        ("page at the start", 0),
        ("page in the middle", count / 2),
        ("page at 99 %", (count / 100 * 99).min(count - 40)),
    ];
    let served = served.clone();
    let asked = phone.within(move || {
        depths.map(|(name, start)| {
            let rounds = if served.of == "gerbera" { FEWER } else { ROUNDS };
            let times = (0..rounds).map(|at| {
                let ask = || browse(&served, start + at % 7, 30);
                let whole = |answer: &Result<Answer, String>| answer.as_ref().is_ok_and(|a| a.total > 0);
                // minidlna's counts fail while its scanner ends.
                let answer = (0..20).map(|_| ask()).find(whole).unwrap_or_else(ask);
                let Answer { total, text, took } =
                    answer.unwrap_or_else(|error| panic!("{}: {error}", served.of));
                assert!(total >= count && text.matches("<item").count() == 30, "{}: {total}", served.of);
                took
            });
            (name, middle(times.collect()), "ms", false)
        })
    });
    asked.join().expect("measured").to_vec()
}

/// Pages through all tracks by 7, 100 and as many as come at once, and by one through a part: each track once, none left out.
fn walk(phone: &Host, served: &Served, count: usize) {
    for (by, most) in [(1, 500), (7, usize::MAX), (100, usize::MAX), (0, usize::MAX)] {
        let served = served.clone();
        let seen = phone.within(move || {
            let (mut seen, begun) = (std::collections::HashSet::new(), Instant::now());
            loop {
                let Answer { total, text, .. } = browse(&served, seen.len(), by).expect("answered");
                let before = seen.len();
                let ids = text.split("<item id=\"").skip(1).filter_map(|item| item.split('"').next());
                seen.extend(ids.map(str::to_owned));
                assert!(seen.len() > before, "a page by {by} from {before} has nothing new of {total}");
                if seen.len() >= total.min(most) {
                    return (seen.len(), begun.elapsed());
                }
            }
        });
        let (seen, took) = seen.join().expect("paged");
        println!("paged by {by}: {seen} tracks in {:.1} s", took.as_secs_f64());
        assert!(seen == count || seen == most, "{seen} of {count}");
    }
}

/// Everything of one server.
fn measure(phone: &Host, served: Served, count: usize) -> Vec<Row> {
    at_rest(served.process);
    let mut rows = pages(phone, &served, count);
    rows.push(searches(phone, &served));
    rows.push(crowd(phone, &served, count));
    rows.extend(streams(phone, &served));
    if served.process != 0 {
        at_rest(served.process);
        rows.push((MEMORY, resident(served.process), "MB", false));
    }
    rows
}

/// Searches for parts of titles: median milliseconds of a page of 30.
fn searches(phone: &Host, served: &Served) -> Row {
    let served = served.clone();
    let asked = phone.within(move || {
        let mut random = Random(7);
        let letters = ["an", "er", "lo", "ve", "st", "in", "ou", "ar", "th", "on"];
        let times = (0..ROUNDS).map(|_| {
            let mut part = || letters[random.below(letters.len() as u64) as usize];
            let text = format!("{}{}", part(), &part()[..1]);
            let criteria =
                format!("upnp:class derivedfrom \"object.item.audioItem\" and dc:title contains \"{text}\"");
            search(&served, &criteria).unwrap_or_else(|error| panic!("{}: {error}", served.of)).took
        });
        middle(times.collect())
    });
    ("search, title contains", asked.join().expect("measured"), "ms", false)
}

/// 32 who page through everything at once: pages a second.
fn crowd(phone: &Host, served: &Served, count: usize) -> Row {
    let begun = Instant::now();
    let readers: Vec<_> = (0..CROWD)
        .map(|number| {
            let served = served.clone();
            phone.within(move || {
                let mut random = Random(number + 1);
                for _ in 0..PAGES {
                    let start = random.below((count - 30) as u64) as usize;
                    // minidlna lets those wait whom it does not reach in time; they come again until they are served.
                    let begun = Instant::now();
                    while let Err(error) = browse(&served, start, 30) {
                        assert!(begun.elapsed() < BOUND, "{}: {error}", served.of);
                    }
                }
            })
        })
        .collect();
    readers.into_iter().for_each(|reader| reader.join().expect("paged"));
    ("32 who page at once", (CROWD * PAGES) as f64 / begun.elapsed().as_secs_f64(), "pages/s", true)
}

/// The long file, by one from its start, and by 32 in parts of 256 KiB anywhere: megabytes a second.
fn streams(phone: &Host, served: &Served) -> Vec<Row> {
    let (at, of) = (served.at, served.of);
    let served = served.clone();
    let path = phone.within(move || {
        let wanted = "upnp:class derivedfrom \"object.item\" and dc:title contains \"Long\"";
        let listed = didl::parse(&search(&served, wanted).expect("found").text).expect("a listing").items;
        let long = listed
            .iter()
            .flat_map(|item| &item.resources)
            .find(|way| way.size.is_some_and(|size| size.0 >= LONG));
        let url = &long.unwrap_or_else(|| panic!("{of} lists no long file")).url;
        url.splitn(4, '/').nth(3).map(|path| format!("/{path}")).expect("a path")
    });
    let path = path.join().expect("found");
    let whole = path.clone();
    let one = phone.within(move || {
        let begun = Instant::now();
        let (status, bytes) = http(at, &format!("GET {whole} HTTP/1.1"), "").expect("served");
        assert!(status == 200 && bytes.len() as u64 >= LONG, "{of}: {status}, {} bytes", bytes.len());
        bytes.len() as f64 / 1e6 / begun.elapsed().as_secs_f64()
    });
    let one = one.join().expect("read");
    let begun = Instant::now();
    let readers: Vec<_> = (0..CROWD)
        .map(|number| {
            let path = path.clone();
            phone.within(move || {
                let mut random = Random(number + 1);
                for _ in 0..PAGES {
                    let from = random.below(LONG - PART);
                    let head = format!("GET {path} HTTP/1.1\r\nRange: bytes={from}-{}", from + PART - 1);
                    let (status, bytes) = http(at, &head, "").expect("served");
                    assert!(
                        status == 206 && bytes.len() as u64 == PART,
                        "{of}: {status}, {} bytes",
                        bytes.len()
                    );
                }
            })
        })
        .collect();
    readers.into_iter().for_each(|reader| reader.join().expect("read"));
    let many = (CROWD * PAGES * PART) as f64 / 1e6 / begun.elapsed().as_secs_f64();
    vec![("one who reads a file", one, "MB/s", true), ("32 who read parts", many, "MB/s", true)]
}

/// Prints both and returns whether the goals hold: deep pages and searches ten times as fast, nothing slower by a tenth.
fn table(what: &str, name: &str, ours: &[Row], its: &[Row], is_large: bool) -> bool {
    println!("\n{what:<30}{:>14}{name:>16}{:>10}", "konpo", "times");
    let mut good = true;
    for (row, value, unit, more) in ours {
        let Some((_, other, ..)) = its.iter().find(|(known, ..)| known == row) else { continue };
        let times = if *more { value / other } else { other / value };
        let goal = match *row {
            "search, title contains" => 10.0,
            // What depth costs shows on a large shelf.
            "page in the middle" | "page at 99 %" if is_large => 10.0,
            _ => 0.9,
        };
        let word = if times >= goal { "" } else { "  MISSED" };
        good &= times >= goal;
        println!("{row:<30}{value:>9.2} {unit:<8}{other:>9.2} {unit:<8}{times:>7.1}{word}");
    }
    good
}

/// Returns VmRSS of a process in MB.
fn resident(id: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().unwrap_or(0.0);
    kib * 1024.0 / 1e6
}

/// Waits until a server has nothing more to do for itself: it took less than 5 % of a processor for 5 s.
fn at_rest(process: u32) {
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).to_owned();
        let number = |at: usize| fields.split(' ').nth(at).and_then(|text| text.parse::<u64>().ok());
        number(11).unwrap_or(0) + number(12).unwrap_or(0)
    };
    let begun = Instant::now();
    let (mut since, mut before) = (Instant::now(), ticks());
    while since.elapsed() < Duration::from_secs(5) && begun.elapsed() < BOUND {
        std::thread::sleep(Duration::from_secs(1));
        let now = ticks();
        if now > before + 5 {
            since = Instant::now();
        }
        before = now;
    }
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How often a page or a search is asked for.
const ROUNDS: usize = 51;
/// gerbera takes 0.4 s for a page.
const FEWER: usize = 9;
/// Who ask at once, and how often each does.
const CROWD: u64 = 32;
const PAGES: u64 = 20;
/// Bytes of a part of a file, and of the file.
const PART: u64 = 256 << 10;
const LONG: u64 = 100_000_000;
/// Tracks that gerbera gets: of more it cannot scan in time.
const GERBERA: usize = 3_000;
const BOUND: Duration = Duration::from_secs(600);
const UUID: &str = "4d696e69-444c-164e-9d41-0123456789ac";
/// The row of memory, and how much it may be (the owner's issue, c).
const MEMORY: &str = "resident memory after all";
const MOST_MEMORY: f64 = 35.0;
const CONTENT_DIRECTORY: &str = "urn:schemas-upnp-org:service:ContentDirectory:1";
