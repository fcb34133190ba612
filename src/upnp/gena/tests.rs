//! Subscriptions over real connections of this machine: who is told what, in which order, and who delays whom.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::deliver::Terms;
use super::{Asked, Events};
use crate::http::written::{Counted, Written};
use crate::upnp::service::Values;
use crate::upnp::tests::Echo;

/// By which address of ours every app here asks.
const HOST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 168, 7, 1), 8200);

/// An event as a subscriber gets it.
#[derive(Debug)]
struct Event {
    seq: String,
    sid: String,
    head: String,
    body: String,
    at: Instant,
}

/// An app that listens, and what it was told.
struct App {
    address: SocketAddr,
    told: mpsc::Receiver<Event>,
}

impl App {
    /// Answers with this status; 0 never answers, and never reads.
    async fn start(status: u16) -> App {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let (tell, told) = mpsc::channel(64);
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                if status == 0 {
                    kept.push(stream);
                    continue;
                }
                let event = read(&mut stream).await;
                let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
                let _gone = stream.write_all(answer.as_bytes()).await;
                let _full = tell.send(event).await;
            }
        });
        App { address, told }
    }

    fn callback(&self) -> String {
        format!("<http://{}/event>", self.address)
    }

    async fn event(&mut self) -> Event {
        timeout(Duration::from_secs(60), self.told.recv()).await.expect("in time").expect("an event")
    }
}

async fn read(stream: &mut TcpStream) -> Event {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let field = |name: &str| {
                let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
                line.and_then(|line| line.split_once(": "))
                    .map(|(_, value)| value.to_owned())
                    .unwrap_or_default()
            };
            if body.len() >= field("content-length:").parse().unwrap_or(usize::MAX) {
                let (seq, sid, at) = (field("seq:"), field("sid:"), Instant::now());
                return Event { seq, sid, head: head.to_owned(), body: body.to_owned(), at };
            }
        }
        let got = stream.read(&mut part).await.expect("readable");
        assert!(got > 0, "it ended early: {text}");
        bytes.extend_from_slice(&part[..got]);
    }
}

fn events() -> Events {
    let again = [Duration::from_millis(1); 2];
    Events { terms: Terms { again, ..Terms::USUAL }, ..Events::new(CancellationToken::new()) }
}

fn asked(headers: &HeaderMap, written: Option<Written>) -> Asked<'_> {
    let (peer, local) = (Ipv4Addr::LOCALHOST.into(), SocketAddr::from(([127, 0, 0, 1], 8200)));
    Asked { service: "a", headers, peer, local, host: HOST, written }
}

fn ask(events: &Events, headers: &[(&'static str, &str)], values: &Echo) -> Response {
    let value = |text: &str| HeaderValue::from_str(text).expect("a value");
    let headers: HeaderMap =
        headers.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect();
    events.subscribe(asked(&headers, None), values.0.subscribe())
}

fn new(events: &Events, callback: &str, values: &Echo) -> Response {
    ask(events, &[("callback", callback), ("nt", "upnp:event"), ("timeout", "Second-300")], values)
}

fn sid(response: &Response) -> String {
    assert_eq!(response.status(), 200);
    response.headers()["sid"].to_str().expect("text").to_owned()
}

/// Waits until there are so many subscriptions.
async fn until(events: &Events, count: usize) {
    let start = Instant::now();
    while events.len() != count {
        assert!(start.elapsed() < Duration::from_secs(60), "{} subscriptions", events.len());
        tokio::task::yield_now().await;
    }
}

fn set(values: &watch::Sender<Values>, count: u32) {
    values.send_replace(Echo::values(count, "t"));
}

/// Reference upnp 4.1 and 4.2: the messages, "initial event", "SEQ", "renew".
#[tokio::test]
async fn a_subscriber_is_told_everything_once_and_then_what_changes() {
    let (events, values, mut app) = (events(), Echo::new(0, "t"), App::start(200).await);
    let granted = new(&events, &app.callback(), &values);
    assert_eq!(granted.headers()["timeout"], "Second-300");
    let sid = sid(&granted);
    let first = app.event().await;
    assert_eq!((first.seq.as_str(), &first.sid), ("0", &sid));
    for part in ["<e:property><Count>0</Count></e:property>", "<e:property><Text>t</Text></e:property>"] {
        assert!(first.body.contains(part), "{}", first.body);
    }
    let head = first.head.to_ascii_lowercase();
    assert!(head.starts_with("notify /event http/1.1"), "{head}");
    for part in
        ["nt: upnp:event", "nts: upnp:propchange", "content-type: text/xml; charset=\"utf-8\"", "host: 127"]
    {
        assert!(head.contains(part), "{part} in {head}");
    }
    set(&values.0, 1);
    let second = app.event().await;
    assert_eq!(second.seq, "1");
    assert!(second.body.contains("<Count>1</Count>") && !second.body.contains("<Text>"), "{}", second.body);
    let renewed = ask(&events, &[("sid", &sid), ("timeout", "Second-600")], &values);
    assert_eq!(renewed.headers()["sid"], sid.as_str());
    assert_eq!(renewed.headers()["timeout"], "Second-600");
    set(&values.0, 2);
    assert_eq!(app.event().await.seq, "2", "no new first event");
    let headers = HeaderMap::from_iter([(
        HeaderName::from_static("sid"),
        HeaderValue::from_str(&sid).expect("a value"),
    )]);
    assert_eq!(events.unsubscribe("a", &headers).status(), 200);
    assert_eq!(events.unsubscribe("a", &headers).status(), 412);
    assert_eq!(ask(&events, &[("sid", &sid)], &values).status(), 412);
}

/// Reference upnp 4.2, "initial event": an app that does not know its SID yet would not know whose event it is.
#[tokio::test]
async fn the_first_event_waits_until_the_answer_is_written() {
    let (events, values, mut app) = (events(), Echo::new(0, "t"), App::start(200).await);
    let (_phone, stream) = tokio::io::duplex(64);
    let (mut connection, writes) = Counted::new(stream);
    let callbacks = crate::wire::gena::callbacks(&app.callback());
    let lasts = Duration::from_secs(60);
    let begun =
        events.begin(&asked(&HeaderMap::new(), Some(writes.next())), callbacks, lasts, values.0.subscribe());
    assert!(begun.is_ok());
    let early = timeout(Duration::from_millis(50), app.told.recv()).await;
    assert!(early.is_err(), "{early:?}");
    connection.write_all(b"HTTP/1.1 200 OK\r\n").await.expect("written");
    assert_eq!(app.event().await.seq, "0");
}

/// Reference upnp 3.5, "moderation": at most one event in 200 ms, the last value wins.
#[tokio::test]
async fn many_changes_are_few_events() {
    let (events, values, mut app) = (events(), Echo::new(0, "t"), App::start(200).await);
    sid(&new(&events, &app.callback(), &values));
    let mut last = app.event().await;
    for count in 1..=1000 {
        set(&values.0, count);
        tokio::task::yield_now().await;
    }
    let mut got = 0;
    while !last.body.contains("<Count>1000</Count>") {
        let next = app.event().await;
        assert!(next.at - last.at >= Duration::from_millis(190), "{:?}", next.at - last.at);
        (last, got) = (next, got + 1);
    }
    assert!(got <= 3, "{got} events");
}

/// Reference upnp 4.1 and 4.3: every status.
#[tokio::test]
async fn what_is_no_subscription_is_refused() {
    let (events, values, app) = (events(), Echo::new(0, "t"), App::start(200).await);
    let good = app.callback();
    let some_sid = format!("uuid:{}", uuid::Uuid::nil());
    let both = format!("<http://10.0.0.9:1/>{good}");
    let cases: [(&[(&'static str, &str)], u16); 15] = [
        (&[("callback", &good), ("nt", "upnp:event")], 200),
        (&[("callback", &both), ("nt", "upnp:event")], 200),
        (&[("callback", &good)], 412),
        (&[("callback", &good), ("nt", "other")], 412),
        (&[("nt", "upnp:event")], 412),
        (&[], 412),
        (&[("callback", "<http://10.0.0.9:80/>"), ("nt", "upnp:event")], 412),
        (&[("callback", "<http://127.0.0.1:8200/>"), ("nt", "upnp:event")], 412),
        (&[("callback", "<http://phone.local/>"), ("nt", "upnp:event")], 412),
        (&[("callback", "<https://127.0.0.1/>"), ("nt", "upnp:event")], 412),
        (&[("callback", "http://127.0.0.1:80/"), ("nt", "upnp:event")], 412),
        (&[("sid", &some_sid), ("nt", "upnp:event")], 400),
        (&[("sid", &some_sid), ("callback", &good)], 400),
        (&[("sid", &some_sid)], 412),
        (&[("sid", "nonsense")], 412),
    ];
    for (headers, want) in cases {
        assert_eq!(ask(&events, headers, &values).status().as_u16(), want, "{headers:?}");
    }
}

/// Reference upnp 9.2: "slow subscriber does not delay a second".
#[tokio::test]
async fn one_that_never_reads_delays_nobody() {
    let (events, values) = (events(), Echo::new(0, "t"));
    let (slow, mut quick) = (App::start(0).await, App::start(200).await);
    for _ in 0..8 {
        sid(&new(&events, &slow.callback(), &values));
    }
    // Of one address eight are kept: the first slow one gave way to this.
    sid(&new(&events, &quick.callback(), &values));
    assert_eq!(events.len(), 8);
    quick.event().await;
    for count in 1..=3 {
        let changed = Instant::now();
        set(&values.0, count);
        let event = quick.event().await;
        assert!(event.at - changed < Duration::from_secs(6), "{:?}", event.at - changed);
    }
}

/// Reference upnp 4.2, "failure".
#[tokio::test]
async fn one_that_is_gone_is_forgotten() {
    let (events, values) = (events(), Echo::new(0, "t"));
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let callback = format!("<http://{}/>", closed.local_addr().expect("bound"));
    drop(closed);
    sid(&new(&events, &callback, &values));
    until(&events, 0).await;
    let mut forgetful = App::start(412).await;
    sid(&new(&events, &forgetful.callback(), &values));
    forgetful.event().await;
    until(&events, 0).await;
    let mut broken = App::start(500).await;
    sid(&new(&events, &broken.callback(), &values));
    broken.event().await;
    set(&values.0, 1);
    assert_eq!(broken.event().await.seq, "1", "an error of the app is its affair");
    events.keep(|_| false);
    until(&events, 0).await;
}

#[tokio::test]
async fn the_second_address_is_tried() {
    let (events, values, mut app) = (events(), Echo::new(0, "t"), App::start(200).await);
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let both = format!("<http://{}/>{}", closed.local_addr().expect("bound"), app.callback());
    drop(closed);
    sid(&new(&events, &both, &values));
    assert_eq!(app.event().await.seq, "0");
}

/// Subscriptions that expire leave nothing behind: no entry, no task.
#[tokio::test]
async fn five_hundred_rounds_leave_nothing() {
    let (events, values, mut app) = (events(), Echo::new(0, "t"), App::start(200).await);
    let callbacks = crate::wire::gena::callbacks(&app.callback());
    let rounds = if std::env::var_os("KONPO_ALL").is_some() { 10_000 } else { 500 };
    for round in 0..rounds {
        let lasts = Duration::from_millis(round % 3);
        let begun =
            events.begin(&asked(&HeaderMap::new(), None), callbacks.clone(), lasts, values.0.subscribe());
        assert!(begun.is_ok());
        tokio::task::yield_now().await;
        while app.told.try_recv().is_ok() {}
    }
    until(&events, 0).await;
    events.stop.cancel();
    timeout(Duration::from_secs(30), events.stopped()).await.expect("every task ended");
    assert_eq!((events.tasks.len(), values.0.receiver_count()), (0, 0));
}

/// Reference upnp 0, row 6: of a box with two addresses each subscriber is told the one it knows.
#[tokio::test]
async fn our_address_in_a_value_is_that_by_which_the_subscriber_asked() {
    let mut app = App::start(200).await;
    let values = Echo::new(1, "<res>http://0.0.0.0:0/media/7.flac</res> http://0.0.0.0:01/");
    let events = events();
    assert_eq!(new(&events, &app.callback(), &values).status(), 200);
    let body = app.event().await.body;
    assert!(
        body.contains("http://192.168.7.1:8200/media/7.flac") && body.contains("http://0.0.0.0:01/"),
        "{body}"
    );
}
