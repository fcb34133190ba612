//! Streams against a server that does what a script says.

mod bytes;
mod lies;
mod live;
mod server;
mod sound;

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::error::Kind;

/// Deadlines that a test can wait for; long enough for a busy machine.
const SHORT: Patience = Patience {
    connect: Duration::from_secs(2),
    stall: Duration::from_millis(400),
    open: Duration::from_secs(2),
    span: Duration::from_millis(300),
    span_bytes: 4096,
    give_up: Duration::from_millis(1200),
    first: Duration::from_millis(5),
    longest: Duration::from_millis(50),
    rest: Duration::from_millis(60),
};

/// Returns what opens URLs of this machine.
fn streams() -> Streams {
    let here = IpAddr::from(Ipv4Addr::LOCALHOST);
    Streams::with(Client::new(), move || Allow::Near { peer: here, networks: Vec::new() }, SHORT)
}

/// What a station said, in order.
type Heard = Arc<Mutex<Vec<OnAir>>>;

fn ask(url: &str) -> (Ask, Heard) {
    let heard = Heard::default();
    let told = heard.clone();
    let told: Told = Box::new(move |on_air| told.lock().expect("no panic").push(on_air));
    (Ask { url: url.into(), stop: CancellationToken::new(), told }, heard)
}

/// Opens a URL and hands its sound to `use_it`, on a thread that may block.
async fn with<T: Send + 'static>(
    url: &str,
    use_it: impl FnOnce(Result<Sound>) -> T + Send + 'static,
) -> (T, Heard) {
    let streams = streams();
    let (ask, heard) = ask(url);
    let opener = streams.clone();
    let used = tokio::task::spawn_blocking(move || use_it(opener.open(ask))).await.expect("no panic");
    let ended = tokio::time::timeout(Duration::from_secs(30), streams.stopped()).await;
    ended.expect("the task ends with its sound");
    (used, heard)
}

/// Opens a URL and reads it to its end.
async fn read_all(url: &str) -> (Result<Vec<u8>>, Heard) {
    with(url, |sound| {
        let mut all = Vec::new();
        sound?.read_to_end(&mut all).map_err(|error| Error::io("read", error))?;
        Ok(all)
    })
    .await
}

/// Returns bytes that differ everywhere.
fn content(len: usize) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}
