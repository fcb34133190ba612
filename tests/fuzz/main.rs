//! Mutated bytes against everything that reads bytes of strangers: SSDP datagrams, device descriptions, SOAP answers,
//! listings, what control points send (`requests`), phones (`senders`) and browsers (`uploads`), music files at the gate with
//! the covers in them, marks of stores and locks (`marks`), pictures, and what else lies on a music disk (`shelf`). Begins
//! from the kept corpus, and keeps what behaves in a new way as a start for more. A panic, an input that takes more than two
//! seconds of the processor or more memory than its reader may (64 MiB, more for pictures) is a finding: it is written down
//! and named, and the program fails. One that never ends is noticed by a second thread; one that ends the program at once (a
//! stack that overflows) lies in the file that is named at the start.
//!
//!     cargo test --test fuzz -- [--seconds N] [--seed N] [--half 0|1] [TARGET…]
//!     cargo test --test fuzz -- --list
#![allow(unsafe_code)] // A global allocator is an unsafe trait; it only counts and passes on.

mod decode;
mod directory;
mod marks;
#[path = "../support/mint.rs"]
#[allow(dead_code)]
mod mint;
mod plist;
mod requests;
mod senders;
mod shelf;
mod uploads;

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Cursor;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use konpo::library::art;
use konpo::media::sniff::sniff;
use konpo::media::sound::Sound;
use konpo::media::{picture, purchase, tags};
use konpo::wire::{description, didl, soap, ssdp};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// One reader of strangers' bytes. Returns words about how it went: other words are another behaviour.
struct Target {
    name: &'static str,
    read: fn(&[u8]) -> String,
    /// What its readers look for.
    words: &'static [&'static [u8]],
    /// Inputs are not grown beyond this.
    largest: usize,
    /// Bytes that one reading may take.
    memory: usize,
}

const TARGETS: [Target; 6] = [
    Target {
        name: "ssdp",
        read: |bytes| match ssdp::parse(bytes) {
            Some(ssdp::Message::Here(here)) => format!(
                "here {} {} {} {:?}",
                here.udn.len().min(9),
                here.server.is_empty(),
                here.max_age.as_secs().checked_ilog2().unwrap_or(0),
                here.boot_id.map(|id| id.min(2))
            ),
            Some(ssdp::Message::Gone { udn }) => format!("gone {}", udn.len().min(9)),
            Some(ssdp::Message::Search { mx, .. }) => format!("search {:?}", mx.map(|mx| mx.min(6))),
            None => "none".into(),
        },
        words: &[
            b"NOTIFY * HTTP/1.1\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"USN:",
            b"NTS: ssdp:byebye",
            b"max-age=",
            b"uuid:",
            b"::",
            b"\r\n\r\n",
        ],
        largest: 9000,
        memory: 64 << 20,
    },
    Target {
        name: "description",
        read: |bytes| match description::parse(bytes) {
            Ok(read) => format!(
                "{} {:?}",
                read.devices.len(),
                read.content_directory().map(|(d, s)| (d.name.len().min(3), s.control.len().min(3)))
            ),
            Err(error) => error.to_string(),
        },
        words: &[
            b"<device>",
            b"</device>",
            b"<service>",
            b"<URLBase>",
            b"<!DOCTYPE x [<!ENTITY y \"z\">]>",
            b"<![CDATA[",
            b"]]>",
            b"&amp;",
            b"&y;",
            b"&#x0;",
            b"<!--",
            b"-->",
        ],
        largest: 300_000,
        memory: 64 << 20,
    },
    Target {
        name: "soap",
        read: |bytes| match soap::parse_reply(bytes) {
            Ok(soap::Reply::Done(values)) => {
                let mut names: Vec<_> =
                    values.iter().map(|(name, value)| (name.len().min(20), value.is_empty())).collect();
                names.sort_unstable();
                format!("{names:?}")
            }
            Ok(soap::Reply::Fault(fault)) => {
                format!("fault {} {}", fault.code.min(1000), fault.words.is_empty())
            }
            Err(error) => error.to_string(),
        },
        words: &[
            b"<s:Body>",
            b"</s:Body>",
            b"<Result>",
            b"</Result>",
            b"<s:Fault>",
            b"<errorCode>",
            b"<![CDATA[",
            b"]]>",
            b"&lt;",
            b"&",
            b"<x/>",
        ],
        largest: 60_000,
        memory: 64 << 20,
    },
    Target {
        name: "didl",
        read: |bytes| match didl::parse(&konpo::wire::xml::decode(bytes)) {
            Ok(read) => format!(
                "{} {} {} {:?}",
                read.items.len().min(9),
                read.containers.len().min(9),
                read.cut,
                read.items.first().map(|item| (
                    item.resources.len().min(9),
                    item.title.len().min(3),
                    item.track.is_some()
                ))
            ),
            Err(error) => error.to_string(),
        },
        words: &[
            b"<item id=\"",
            b"</item>",
            b"<container ",
            b"<res ",
            b"size=\"",
            b"duration=\"9:99:99.9/9\"",
            b"<![CDATA[",
            b"&amp;quot;",
            b"&#xD83D;",
            b"<!DOCTYPE",
        ],
        largest: 60_000,
        memory: 64 << 20,
    },
    Target {
        name: "sniff",
        read: |bytes| {
            let mut sound = Sound::new(Cursor::new(bytes.to_vec()), Some(bytes.len() as u64), None);
            match sniff(&mut sound) {
                Ok(sniffed) => {
                    let more = if sniffed.protection.is_locked() {
                        Ok(Default::default())
                    } else {
                        tags::read(&mut sound, &sniffed)
                    };
                    let cover = picture::embedded(&mut sound, &sniffed).map(|found| found.is_some());
                    let (kind, tags) = match more {
                        Ok((tags, raw)) => (purchase::purchases(&sniffed, &raw).len(), tags.title.is_some()),
                        Err(_) => (99, false),
                    };
                    format!(
                        "{:?} {:?} {} {} {kind} {tags} {}",
                        sniffed.format.container,
                        sniffed.format.codec,
                        sniffed.format.frames.is_some(),
                        sniffed.protection.is_locked(),
                        cover.map_or(9, u8::from)
                    )
                }
                Err(error) => format!(
                    "{:?} {}",
                    error.kind(),
                    error.what().split(' ').take(5).collect::<Vec<_>>().join(" ")
                ),
            }
        },
        words: &[
            b"ftyp",
            b"moov",
            b"mdat",
            b"drms",
            b"enca",
            b"pinf",
            b"fLaC",
            b"OggS",
            b"OpusHead",
            b"ID3\x03\0\0",
            b"ID3\x04\0\x40",
            b"RIFF",
            b"WAVE",
            b"data",
            b"FORM",
            b"AIFF",
            b"\xff\xfb\x90\x64",
            b"\xff\xf1",
            b"Xing",
            b"LAME",
            b"ea3\x03",
            b"EA3\x01",
            b"APIC",
            b"covr",
            b"METADATA_BLOCK_PICTURE=",
            b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
        ],
        largest: 200_000,
        memory: 64 << 20,
    },
    Target {
        name: "picture",
        read: |bytes| match art::scale(bytes, art::Size::Small160) {
            Ok(jpeg) => format!("{:?} {}", jpeg.get(..2), jpeg.len().ilog2()),
            Err(error) => {
                let words = error.to_string();
                let words = words.split(|c: char| !c.is_alphabetic()).filter(|word| word.len() > 2);
                words.take(9).collect::<Vec<_>>().join(" ")
            }
        },
        words: &[
            b"\xff\xd8\xff\xe0",
            b"\xff\xc0\0\x11\x08",
            b"\xff\xc2\0\x11\x08",
            b"\xff\xda\0\x0c\x03",
            b"\xff\xdd\0\x04",
            b"\xff\xd9",
            b"\x89PNG\r\n\x1a\n",
            b"IHDR",
            b"IDAT",
            b"tRNS",
            b"acTL",
            b"GIF89a",
            b"\x21\xf9\x04",
            b"RIFF",
            b"WEBPVP8X",
            b"VP8L",
            b"VP8 ",
            b"ALPH",
            b"ANMF",
            b"\x9d\x01\x2a",
            b"BM",
        ],
        largest: 60_000,
        // What a decoder may take, and the little that the counting leaves out.
        memory: 192 << 20,
    },
];

fn main() -> ExitCode {
    let (mut seconds, mut seed, mut half, mut only) = (2, 1u64, None, Vec::new());
    let all = TARGETS.iter().chain(&shelf::TARGETS).chain(&decode::TARGETS);
    let all = all.chain(&marks::TARGETS).chain(&plist::TARGETS);
    let all = all.chain(&directory::TARGETS).chain(&requests::TARGETS).chain(&senders::TARGETS);
    let all = all.chain(&uploads::TARGETS);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|n| n.parse().ok());
        match argument.as_str() {
            "--seconds" => seconds = number().expect("--seconds N"),
            "--seed" => seed = number().expect("--seed N"),
            // Two programs side by side take every second target each.
            "--half" => half = Some(number().expect("--half 0|1") as usize),
            "--list" => {
                all.for_each(|target| println!("{}", target.name));
                return ExitCode::SUCCESS;
            }
            // What cargo passes to every test program is of no use here.
            option if option.starts_with('-') => {}
            name => only.push(name.to_owned()),
        }
    }
    // The words of a panic are shown once, with the input.
    std::panic::set_hook(Box::new(|_| {}));
    let (mut passed, mut failed) = (0, 0);
    let chosen = all.enumerate().filter(|(place, target)| {
        half.is_none_or(|half| place % 2 == half)
            && (only.is_empty() || only.iter().any(|name| name == target.name))
    });
    for (_, target) in chosen {
        match fuzz(target, Duration::from_secs(seconds), seed) {
            0 => passed += 1,
            _ => failed += 1,
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Reads mutated inputs for a while. Returns how many were findings.
fn fuzz(target: &Target, time: Duration, seed: u64) -> usize {
    let mut watch = Watch::new(target.name);
    let mut pool = corpus(target.name);
    let kept = pool.len();
    assert!(kept > 0, "the corpus of {} is empty", target.name);
    let mut behaviours = HashSet::new();
    let mut findings = HashSet::new();
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let (started, mut reads, mut largest) = (Instant::now(), 0u64, 0);
    for number in 0.. {
        let input = match pool.get(number) {
            Some(input) if number < kept => input.clone(),
            _ if started.elapsed() >= time => break,
            _ => mutated(target, &pool, &mut random),
        };
        reads += 1;
        watch.begins(&input);
        let done = read(target, &input);
        watch.ended();
        match done {
            Ok((behaviour, memory)) => {
                largest = largest.max(memory);
                if behaviours.insert(behaviour) && number >= kept && pool.len() < MOST_KEPT {
                    pool.push(input);
                }
            }
            Err(finding) => {
                if findings.insert(finding.clone()) {
                    println!("{}: {finding}: {}", target.name, write_down(target.name, &input).display());
                }
            }
        }
    }
    let took = started.elapsed().as_secs_f64();
    println!(
        "test fuzz::{} ... {} ({reads} inputs in {took:.0} s, {} behaviours from {kept} of the corpus, {:.1} MiB at most)",
        target.name,
        if findings.is_empty() { "ok" } else { "FAILED" },
        behaviours.len(),
        largest as f64 / 1_048_576.0
    );
    findings.len()
}

/// Keeps the input that is being read in a file, and ends the program when its reading does not end.
struct Watch {
    file: fs::File,
    path: PathBuf,
    since: Arc<Mutex<Option<Instant>>>,
}

impl Watch {
    fn new(name: &str) -> Watch {
        let path = std::env::temp_dir().join(format!("konpo-fuzz-{name}-{}", std::process::id()));
        println!("{name}: what is being read lies in {}", path.display());
        let file = fs::File::create(&path).expect("room for an input");
        let since = Arc::new(Mutex::new(None::<Instant>));
        let (watched, kept) = (since.clone(), path.clone());
        std::thread::spawn(move || {
            // Ends when the reader of this target is done.
            while Arc::strong_count(&watched) > 1 {
                std::thread::sleep(Duration::from_millis(500));
                let since = *watched.lock().expect("whole");
                if since.is_some_and(|since| since.elapsed() > LONGEST * 30) {
                    println!("it does not end: {}", kept.display());
                    std::process::exit(1);
                }
            }
        });
        Watch { file, path, since }
    }

    fn begins(&mut self, input: &[u8]) {
        let written = self.file.set_len(input.len() as u64).and_then(|()| self.file.write_all_at(input, 0));
        written.expect("room for an input");
        *self.since.lock().expect("whole") = Some(Instant::now());
    }

    fn ended(&mut self) {
        *self.since.lock().expect("whole") = None;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _left_behind = fs::remove_file(&self.path);
    }
}

/// Reads one input. Returns its behaviour and the memory it took, or what is wrong with it.
fn read(target: &Target, input: &[u8]) -> Result<(u64, usize), String> {
    let before = HELD.load(Ordering::Relaxed);
    MOST_HELD.store(before, Ordering::Relaxed);
    let began = spent();
    let words = catch_unwind(AssertUnwindSafe(|| (target.read)(input)));
    let memory = MOST_HELD.load(Ordering::Relaxed).saturating_sub(before);
    let words = words.map_err(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
        format!("it panics: {}", words.unwrap_or_default())
    })?;
    if spent() - began > LONGEST {
        return Err(format!("it takes more than {LONGEST:?} of the processor"));
    }
    if memory > target.memory {
        return Err(format!("it takes {} MiB", memory >> 20));
    }
    let mut hash = DefaultHasher::new();
    words.hash(&mut hash);
    Ok((hash.finish(), memory))
}

/// Returns the processor time that this thread took so far: what the clock says, when every target is read at once, is not
/// the reader's doing.
fn spent() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("the kernel counts");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.unsigned_abs())
}

/// Returns an input changed in one to eight ways.
fn mutated(target: &Target, pool: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = pool[random.below(pool.len())].clone();
    for _ in 0..=random.below(8) {
        change(&mut bytes, target, pool, random);
    }
    bytes.truncate(target.largest);
    bytes
}

fn change(bytes: &mut Vec<u8>, target: &Target, pool: &[Vec<u8>], random: &mut Random) {
    let length = bytes.len();
    let at = random.below(length + 1);
    let range = at..(at + random.below(64) + 1).min(length);
    match random.below(10) {
        0 if at < length => bytes[at] ^= 1 << random.below(8),
        1 if at < length => bytes[at] = random.below(256) as u8,
        2 => drop(bytes.drain(range)),
        3 => {
            let piece = bytes[range].to_vec();
            bytes.splice(at..at, piece);
        }
        4 => bytes.truncate(at),
        5 => {
            let word = target.words[random.below(target.words.len())];
            bytes.splice(at..at, word.iter().copied());
        }
        6 => {
            let word = target.words[random.below(target.words.len())];
            let end = (at + word.len()).min(length);
            bytes.splice(at..end, word.iter().copied());
        }
        7 => {
            // Lengths and counts lie in four bytes or eight, in either order.
            let number = NUMBERS[random.below(NUMBERS.len())];
            let number = if random.below(2) == 0 { number.to_be_bytes() } else { number.to_le_bytes() };
            let width = [2, 4, 8][random.below(3)];
            let number = if random.below(2) == 0 { &number[8 - width..] } else { &number[..width] };
            for (byte, new) in bytes.iter_mut().skip(at).zip(number) {
                *byte = *new;
            }
        }
        8 => {
            let other = &pool[random.below(pool.len())];
            bytes.truncate(at);
            bytes.extend_from_slice(&other[random.below(other.len() + 1)..]);
        }
        _ => {
            let byte = random.below(256) as u8;
            bytes.splice(at..at, std::iter::repeat_n(byte, random.below(40)));
        }
    }
}

/// Returns the kept inputs of a target, in the order of their names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let (kept, music) = (tests.join("fuzz/corpus").join(name), tests.join("data"));
    let inside =
        |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = inside(&kept).filter(|path| path.is_file()).collect();
    if matches!(name, "sniff" | "tags" | "decode") {
        // Beside the music lie databases, and words about both.
        let is_tone = |path: &PathBuf| {
            path.file_stem().is_some_and(|stem| stem.as_encoded_bytes().starts_with(b"tone"))
        };
        paths.extend(inside(&music).filter(is_tone));
    }
    paths.sort();
    let kept = paths.iter().map(|path| fs::read(path).expect("a kept input"));
    kept.chain(marks::minted(name)).collect()
}

fn write_down(name: &str, input: &[u8]) -> PathBuf {
    let mut hash = DefaultHasher::new();
    input.hash(&mut hash);
    let path = std::env::temp_dir().join(format!("konpo-fuzz-{name}-{:016x}", hash.finish()));
    fs::write(&path, input).expect("room for a finding");
    path
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end.max(1) as u64) as usize
    }
}

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST_HELD: AtomicUsize = AtomicUsize::new(0);

fn hold(bytes: usize) {
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST_HELD.fetch_max(held, Ordering::Relaxed);
}

// SAFETY: every call goes unchanged to the system's allocator; the counters are atomics that allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        hold(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `System` by this allocator, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LONGEST: Duration = Duration::from_secs(2);
const MOST_KEPT: usize = 2000;
/// Where counting goes wrong.
const NUMBERS: [u64; 10] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];
