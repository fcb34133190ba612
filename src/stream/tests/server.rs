//! An HTTP server of a test's own on a free port of loopback: every connection is one request, answered by a script.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The server; its thread ends with the process at the latest.
pub struct Server {
    pub url: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

/// What was asked.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Which request this is, from 0 on.
    pub number: usize,
    pub path: String,
    pub range: Option<String>,
    pub if_range: Option<String>,
    pub icy: bool,
}

impl Request {
    /// Returns the first byte asked for.
    pub fn from(&self) -> usize {
        let range = self.range.as_deref().and_then(|range| range.strip_prefix("bytes="));
        range.and_then(|range| range.split('-').next()?.parse().ok()).unwrap_or(0)
    }
}

/// One connection.
pub struct Peer(TcpStream);

impl Peer {
    /// Writes; `false` once the other side is gone.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).is_ok()
    }

    /// Says nothing more and waits until the other side hangs up.
    pub fn hang(&mut self) {
        let _gone = self.0.read_to_end(&mut Vec::new());
    }

    /// Waits a little; `false` once the other side is gone.
    pub fn pause(&mut self, time: Duration) -> bool {
        self.0.set_read_timeout(Some(time)).expect("more than 0");
        !matches!(self.0.read(&mut [0; 1]), Ok(0))
    }

    /// Breaks the connection off instead of ending it.
    pub fn reset(self) {
        socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).expect("a socket");
    }

    /// Answers 206 with this part of the whole.
    pub fn part(&mut self, whole: &[u8], part: Range<usize>) -> bool {
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {}-{}/{}\r\nETag: \"one\"\r\n\r\n",
            part.len(),
            part.start,
            part.end.saturating_sub(1),
            whole.len(),
        );
        self.say(head) && self.say(&whole[part])
    }

    /// Answers 206 from the byte that was asked for, and breaks off after `count` bytes.
    pub fn broken(&mut self, whole: &[u8], from: usize, count: usize) {
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\nETag: \"one\"\r\n\r\n",
            whole.len() - from,
            whole.len() - 1,
            whole.len(),
        );
        let end = (from + count).min(whole.len());
        let _gone = self.say(head) && self.say(&whole[from..end]);
    }
}

impl Server {
    /// Starts; `script` answers each request on a thread of its own, and the connection ends when it returns.
    pub fn start(script: impl Fn(&Request, Peer) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/song", listener.local_addr().expect("bound"));
        let (asked, script) = (Arc::<Mutex<Vec<Request>>>::default(), Arc::new(script));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, script) = (log.clone(), script.clone());
                std::thread::spawn(move || {
                    let Some(mut request) = read(&stream) else { return };
                    {
                        let mut log = log.lock().expect("no panic");
                        request.number = log.len();
                        log.push(request.clone());
                    }
                    let ends = stream.try_clone();
                    script(&request, Peer(stream));
                    // Without this the clone in the reader would keep it open.
                    let _gone = ends.map(|ends| ends.shutdown(Shutdown::Write));
                });
            }
        });
        Server { url, asked }
    }

    /// Returns a server that gives any part of these bytes.
    pub fn file(whole: Vec<u8>) -> Server {
        Server::start(move |request, mut peer| {
            let from = request.from().min(whole.len());
            peer.part(&whole, from..whole.len());
        })
    }

    /// Returns what was asked so far.
    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().expect("no panic").clone()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut request = Request { path: first.split(' ').nth(1)?.to_owned(), ..Request::default() };
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => request.range = Some(value.to_owned()),
            "if-range" => request.if_range = Some(value.to_owned()),
            "icy-metadata" => request.icy = value == "1",
            _ => {}
        }
    }
    Some(request)
}
