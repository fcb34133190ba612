//! Thousands of connections that trickle, bodies of a megabyte, bombs of XML: whoever asks is answered all the same, and the
//! sound has no gap (the owner's issue, e).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{CONNECTIONS, CONTROL};
use crate::soak::{RATE, gap, niceness};
use crate::support::control_point::{ask, call};
use crate::support::dac::Form;
use crate::support::fixtures::noise;
use crate::support::konpo::text;
use crate::support::patient;
use crate::support::twin::Twin;

/// What an enemy does until it is over, counted.
#[derive(Clone, Default)]
struct Siege {
    over: Arc<AtomicBool>,
    ready: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    bodies: Arc<AtomicU64>,
}

impl Siege {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Holds thousands of connections that send a byte a second; who is turned out comes again.
    fn trickle(&self, to: SocketAddr) {
        let mut open: Vec<Option<TcpStream>> = (0..CONNECTIONS_AT_ONCE).map(|_| None).collect();
        while !self.is_over() {
            let begun = Instant::now();
            for place in &mut open {
                let alive = place.as_mut().is_some_and(|stream| stream.write_all(b"G").is_ok());
                if !alive {
                    *place = TcpStream::connect_timeout(&to, Duration::from_secs(1)).ok();
                }
                self.bytes.fetch_add(u64::from(alive), Ordering::Relaxed);
            }
            self.ready.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
        }
    }

    /// Sends bodies that are too large, and such as grow for readers that write entities out; konpo never does.
    fn bombard(&self, to: SocketAddr) {
        let (head, _) = call(CONTROL, CONNECTIONS, "GetProtocolInfo", &[]);
        let large = "<".repeat(1 << 20);
        while !self.is_over() {
            for (body, want) in [(large.as_str(), 413), (BOMB, 200)] {
                // It may be turned out before it is answered.
                let status = sent(to, &head, body).unwrap_or(0);
                assert!(status == want || status == 0, "{status} to {}", &body[..20]);
                self.bodies.fetch_add(u64::from(status == want), Ordering::Relaxed);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Sends a request and returns the status of the answer.
fn sent(to: SocketAddr, head: &str, body: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(30))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let length = body.len();
    let text = format!("{head}\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    // What is refused before it was read whole breaks off; the answer is there all the same.
    let _broken = stream.write_all(text.as_bytes());
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(String::from_utf8_lossy(&start[9..]).parse().unwrap_or(0))
}

#[test]
fn a_siege_delays_nobody_and_is_not_heard() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most.min(8192), most).expect("as many open files as it may");
    let part = |_| noise(90, RATE, 16, RATE as usize * SECONDS);
    let twin = Twin::new(Form { rate: RATE, format: "s16le" }, "fixed", |folder| {
        part(0).flac(&folder.join("00.flac"), &[]);
        1
    });
    twin.konpo.at_rest(Duration::from_secs(60));
    let (phone, evil) = (twin.lan.host("phone"), twin.lan.host("evil"));
    let url = text(&twin.konpo.path("said"));
    let url = url.lines().find_map(|line| line.strip_prefix("konpo ready http://")).expect("it is ready");
    let to: SocketAddr = url.trim().trim_end_matches('/').parse().expect("an address and a port");

    let siege = Siege::default();
    let recording = twin.dac.record(50);
    twin.add(true);
    twin.reaches("playing");
    let enemies = [
        evil.within({
            let siege = siege.clone();
            move || siege.trickle(to)
        }),
        evil.within({
            let siege = siege.clone();
            move || siege.bombard(to)
        }),
    ];
    let start = Instant::now();
    while !siege.ready.load(Ordering::Relaxed) {
        assert!(start.elapsed() < Duration::from_secs(60), "they are never there");
        std::thread::sleep(Duration::from_millis(50));
    }
    let asking = phone.within(move || {
        let (head, body) = call(CONTROL, CONNECTIONS, "GetProtocolInfo", &[]);
        let mut took: Vec<Duration> = (0..500)
            .map(|_| {
                let begun = Instant::now();
                assert_eq!(ask(to, &head, &body).0, 200);
                std::thread::sleep(Duration::from_millis(10));
                begun.elapsed() - Duration::from_millis(10)
            })
            .collect();
        took.sort_unstable();
        took
    });
    let took = asking.join().expect("each was answered");
    twin.reaches("stopped");
    siege.over.store(true, Ordering::Relaxed);
    enemies.into_iter().for_each(|enemy| enemy.join().expect("it went on"));
    let (heard, underruns) = (recording.take(), twin.underruns());
    println!(
        "control beside {CONNECTIONS_AT_ONCE} connections that send a byte a second ({} bytes) and {} bodies of a megabyte \
         and bombs: median {:?}, 99 % {:?}, longest {:?}; {SECONDS} s of sound: {underruns} underruns",
        siege.bytes.load(Ordering::Relaxed),
        siege.bodies.load(Ordering::Relaxed),
        took[250],
        took[495],
        took[499]
    );
    assert!(siege.bodies.load(Ordering::Relaxed) > 0, "no body was answered");
    let broken = gap(&heard, 1, part);
    println!("{}", broken.as_deref().unwrap_or("the recording is whole, each sample in its place"));
    if niceness() > 0 {
        println!("this runs behind other programs: gaps and times say nothing");
        return;
    }
    assert!(took[495] < patient(ANSWERED_WITHIN), "{:?}", took[495]);
    assert_eq!((underruns, broken), (0, None));
}

const CONNECTIONS_AT_ONCE: usize = 2000;
/// How long the sound is.
const SECONDS: usize = 20;
/// What was asked for (the owner's issue, e).
const ANSWERED_WITHIN: Duration = Duration::from_millis(50);
/// Entities within entities, a gigabyte when they are written out.
const BOMB: &str = "<?xml version=\"1.0\"?><!DOCTYPE l [<!ENTITY a \"0123456789\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">\
    <!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;\">\
    <!ENTITY e \"&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;\"><!ENTITY f \"&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;\">]>\
    <s:Envelope xmlns:s=\"x\"><s:Body><u:GetProtocolInfo xmlns:u=\"y\"><a>&f;&f;&f;&f;</a></u:GetProtocolInfo></s:Body></s:Envelope>";
