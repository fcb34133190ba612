//! Who becomes the owner, who is paired, and who answers for the box, over the API.

use std::net::SocketAddr;

use axum::body::Body;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use konpo::http::server::Peer;
use konpo::intake::door::Refusal;
use konpo::offer::out::{Receiver, ReceiverId};
use konpo::offer::push::{Sender, Sent};
use konpo::offer::{Key, Right, Via};
use konpo::units::ByteCount;
use serde_json::{Value, json};
use tower_service::Service;

use crate::api::{Bench, Who};

/// Asks as a device at an address, with the cookie that it was given. Returns the cookie that it is given, too.
async fn ask(
    bench: &mut Bench,
    from: [u8; 4],
    cookie: Option<&str>,
    (method, path): (&str, &str),
    body: Value,
) -> (StatusCode, Value, Option<String>) {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    if let Some(cookie) = cookie {
        request = request.header(header::COOKIE, cookie);
    }
    let request = request.header(header::CONTENT_TYPE, "application/json");
    let mut request = request.body(Body::from(body.to_string())).expect("a request");
    request.extensions_mut().insert(Peer(SocketAddr::from((from, 4000))));
    let response = bench.app.call(request).await.expect("infallible");
    let status = response.status();
    let given =
        response.headers().get(header::SET_COOKIE).map(|value| value.to_str().expect("text").to_owned());
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null), given)
}

const HERE: [u8; 4] = [127, 0, 0, 1];
/// Of no network of any machine (RFC 5737).
const BEYOND: [u8; 4] = [203, 0, 113, 7];

#[tokio::test(flavor = "multi_thread")]
async fn the_first_phone_becomes_the_owner_and_pairs_the_next_by_a_pin() {
    let mut bench = Bench::new().await.expect("started");
    let name = json!({ "name": "Yuki's phone" });
    let setup = ("POST", "/api/setup");
    let (_, open) = bench.ask(Who::Room, "GET", "/api/setup", None).await;
    assert_eq!((&open["open"], open["seconds"].as_u64().is_some_and(|s| s > 800)), (&json!(true), true));
    let (status, body, _) = ask(&mut bench, BEYOND, None, setup, name.clone()).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "from beyond: {body}");
    let (status, body, cookie) = ask(&mut bench, HERE, None, setup, name.clone()).await;
    assert_eq!((status, &body["right"]), (StatusCode::OK, &json!("owner")), "{body}");
    let cookie = cookie.expect("a cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let owner = cookie.split(';').next().expect("a pair").to_owned();
    let (status, ..) = ask(&mut bench, HERE, None, setup, name.clone()).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "the door is closed");
    let (_, open) = bench.ask(Who::Room, "GET", "/api/setup", None).await;
    assert_eq!(open["open"], false);

    let (status, body, _) =
        ask(&mut bench, HERE, None, ("POST", "/api/pair"), json!({ "name": "Ken", "pin": "1" })).await;
    assert_eq!((status, &body["code"]), (StatusCode::FORBIDDEN, &json!("no_pin")));
    let (status, made, _) = ask(&mut bench, HERE, Some(&owner), ("POST", "/api/pin"), Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    let pin = made["pin"].as_str().expect("a PIN").to_owned();
    for want in ["wrong_pin", "wrong_pin", "wrong_pin", "locked_out"] {
        let (_, body, _) =
            ask(&mut bench, BEYOND, None, ("POST", "/api/pair"), json!({ "name": "x", "pin": "no" })).await;
        assert_eq!(body["code"], want, "{body}");
    }
    let (status, body, cookie) =
        ask(&mut bench, HERE, None, ("POST", "/api/pair"), json!({ "name": "Ken", "pin": pin })).await;
    assert_eq!((status, &body["right"]), (StatusCode::OK, &json!("member")), "{body}");
    let member = cookie.expect("a cookie").split(';').next().expect("a pair").to_owned();
    let (status, ..) = ask(&mut bench, HERE, Some(&member), ("GET", "/api/devices"), Value::Null).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "devices are the owner's");
    let (_, devices, _) = ask(&mut bench, HERE, Some(&owner), ("GET", "/api/devices"), Value::Null).await;
    let names: Vec<&Value> = (0..2).map(|at| &devices["items"][at]["name"]).collect();
    assert_eq!(names, [&json!("Yuki's phone"), &json!("Ken")], "{devices}");
    let keep = json!({ "on_arrival": "keep" });
    let (status, ..) = ask(&mut bench, HERE, Some(&owner), ("PUT", "/api/devices/2"), keep).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, ..) =
        ask(&mut bench, HERE, Some(&owner), ("PUT", "/api/devices/2"), json!({ "on_arrival": "loud" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, ..) = ask(&mut bench, HERE, Some(&owner), ("DELETE", "/api/devices/2"), Value::Null).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, ..) = ask(&mut bench, HERE, Some(&member), ("GET", "/api/offers"), Value::Null).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "it is paired no more");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_pairs_one_device_and_nothing_is_used_up_by_looking() {
    let mut bench = Bench::new().await.expect("started");
    let invite = async |bench: &mut Bench| {
        let (status, made) = bench.ask(Who::Owner, "POST", "/api/invitations", None).await;
        assert_eq!(status, StatusCode::OK, "{made}");
        let path = made["path"].as_str().expect("a drawing");
        assert!(path.starts_with("M0 0h1v1h-1z") && made["side"].as_u64() >= Some(21), "{made}");
        assert!(made["seconds"].as_u64() > Some(60), "{made}");
        let url = made["url"].as_str().expect("an address").to_owned();
        assert!(url.starts_with("http://") && !url.contains("localhost"), "literal: {url}");
        url.rsplit_once("/b/").expect("a token").1.to_owned()
    };
    let (status, ..) = bench.ask(Who::Room, "POST", "/api/invitations", None).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let pair = |token: &str| json!({ "name": "Ken", "token": token });
    // While nobody is the owner the first one is, but only from a network of the box.
    let token = invite(&mut bench).await;
    let path = format!("/B/{}", token.to_ascii_uppercase());
    assert_eq!(bench.ask(Who::Room, "GET", &path, None).await.0, StatusCode::OK, "the page");
    let (status, body, cookie) = ask(&mut bench, BEYOND, None, ("POST", "/api/pair"), pair(&token)).await;
    assert_eq!((status, &body["right"]), (StatusCode::OK, &json!("member")), "{body}");
    assert!(cookie.is_some_and(|cookie| cookie.contains("HttpOnly")));
    let (status, body, _) = ask(&mut bench, HERE, None, ("POST", "/api/pair"), pair(&token)).await;
    assert_eq!((status, &body["code"]), (StatusCode::FORBIDDEN, &json!("invitation_over")), "once: {body}");
    for (want, typed) in [("owner", str::to_ascii_lowercase as fn(&str) -> String), ("member", str::to_owned)]
    {
        let token = typed(&invite(&mut bench).await);
        let (status, body, _) = ask(&mut bench, HERE, None, ("POST", "/api/pair"), pair(&token)).await;
        assert_eq!((status, &body["right"]), (StatusCode::OK, &json!(want)), "{body}");
    }
    let (_, open) = bench.ask(Who::Room, "GET", "/api/setup", None).await;
    assert_eq!(open["open"], false, "the door of the first start is closed by that");
    for wrong in ["", "0000000000000000", "../../etc"] {
        let (status, ..) = ask(&mut bench, HERE, None, ("POST", "/api/pair"), pair(wrong)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{wrong:?}");
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_is_answered_for_over_the_api() {
    let mut bench = Bench::new().await.expect("started");
    let sender = Sender { way: "localsend", key: None, name: "Yuki".into(), address: BEYOND.into() };
    let file = Sent { name: "a.mp3".into(), size: ByteCount(3), mime: "audio/mpeg".into(), sha256: None };
    let mut before = Value::Null;
    for (what, want) in [("accept", true), ("reject", false)] {
        let (intake, sender, file) = (bench.intake.clone(), sender.clone(), file.clone());
        let waiting = tokio::spawn(async move { intake.offer(sender, vec![file], None).await.map(drop) });
        let mut ask = Value::Null;
        for _ in 0..500 {
            let (_, offers) = bench.ask(Who::Owner, "GET", "/api/offers", None).await;
            ask = offers["asks"][0].clone();
            // The board is published twice a second.
            if !ask.is_null() && ask["id"] != before {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!((&ask["from"], &ask["files"]), (&json!("Yuki"), &json!(1)));
        before = ask["id"].clone();
        let path = format!("/api/offers/{before}/{what}");
        assert_eq!(bench.ask(Who::Room, "POST", &path, None).await.0, StatusCode::FORBIDDEN);
        assert_eq!(bench.ask(Who::Owner, "POST", &path, None).await.0, StatusCode::NO_CONTENT);
        let told = waiting.await.expect("no panic");
        assert_eq!(told.is_ok(), want, "{told:?}");
        assert!(told.is_ok() || matches!(told, Err(Refusal::Declined(_))));
        assert_eq!(
            bench.ask(Who::Owner, "POST", &path, None).await.0,
            StatusCode::NOT_FOUND,
            "answered already"
        );
    }
    let (status, window) = bench.ask(Who::Owner, "POST", "/api/beam", None).await;
    assert_eq!((status, window["until"].is_i64()), (StatusCode::OK, true), "{window}");
    bench.intake.offer(sender, vec![file], None).await.map(drop).expect("nobody is asked for");
    assert_eq!(bench.ask(Who::Owner, "DELETE", "/api/beam", None).await.0, StatusCode::NO_CONTENT);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_forgotten_device_is_being_told_ends() {
    let mut bench = Bench::new().await.expect("started");
    let (_, _, cookie) =
        ask(&mut bench, HERE, None, ("POST", "/api/setup"), json!({ "name": "Yuki's phone" })).await;
    let owner = cookie.expect("a cookie").split(';').next().expect("a pair").to_owned();
    let (_, made, _) = ask(&mut bench, HERE, Some(&owner), ("POST", "/api/pin"), Value::Null).await;
    let ken = json!({ "name": "Ken", "pin": made["pin"] });
    let (_, _, cookie) = ask(&mut bench, HERE, None, ("POST", "/api/pair"), ken.clone()).await;
    let member = cookie.expect("a cookie").split(';').next().expect("a pair").to_owned();
    let (_, body, _) = ask(&mut bench, HERE, None, ("POST", "/api/pair"), ken).await;
    assert_eq!(body["code"], "no_pin", "a PIN pairs one device: {body}");
    let mut streams = Vec::new();
    for cookie in [&owner, &member] {
        let request =
            Request::get("/api/events").header(header::HOST, "localhost").header(header::COOKIE, cookie);
        let request = request.body(Body::empty()).expect("a request");
        let mut body = bench.app.call(request).await.expect("infallible").into_body();
        // The state, the queue, the library and the board are told at once.
        for _ in 0..4 {
            body.frame().await.expect("an event").expect("no error");
        }
        streams.push(body);
    }
    let (status, ..) = ask(&mut bench, HERE, Some(&owner), ("DELETE", "/api/devices/2"), Value::Null).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let mut theirs = streams.pop().expect("two");
    let ended = tokio::time::timeout(std::time::Duration::from_secs(10), theirs.frame()).await;
    assert!(ended.expect("in time").is_none_or(|frame| frame.is_err()), "nothing more is told");
    // The owner goes on hearing.
    let mut own = streams.pop().expect("one");
    let (status, _) = bench.ask(Who::Owner, "POST", "/api/beam", None).await;
    assert_eq!(status, StatusCode::OK);
    let told = tokio::time::timeout(std::time::Duration::from_secs(30), own.frame()).await;
    assert!(told.expect("in time").is_some_and(|frame| frame.is_ok()));
    bench.end().await;
}

/// An app as it was heard at an address.
fn app(last: u8, certificate: Option<&str>, trouble: Option<&str>) -> Receiver {
    Receiver {
        id: ReceiverId(format!("{last}-{}", certificate.unwrap_or("plain")).into()),
        name: format!("App {last}"),
        model: "iPhone".into(),
        kind: "mobile".into(),
        address: SocketAddr::from(([10, 9, 9, last], 53317)),
        certificate: certificate.map(str::to_owned),
        fingerprint: certificate.unwrap_or("plain").to_owned(),
        trouble: trouble.map(str::to_owned),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_app_that_proved_itself_at_the_callers_own_address_is_joined_and_only_by_a_tap() {
    let mut bench = Bench::new().await.expect("started");
    let cookie = |name: &str| Key::Cookie(blake3::hash(name.as_bytes()).to_hex().to_string());
    let (library, at) = (bench.library.clone(), [10, 9, 9, 7]);
    library.add_device(cookie("yuki"), "Yuki".into(), Right::Owner).await.expect("paired");
    library.add_device(cookie("ken"), "Ken".into(), Right::Member).await.expect("paired");
    // Ken's app was paired by itself, by a PIN; that of the owner, too.
    library
        .add_device(Key::Certificate("bb".into()), "Ken's app".into(), Right::Member)
        .await
        .expect("paired");
    library
        .add_device(Key::Certificate("cc".into()), "The owner's app".into(), Right::Owner)
        .await
        .expect("paired");
    for (last, certificate, trouble) in [
        (7, Some("bb"), None),
        (7, Some("cc"), None),
        (7, Some("dd"), Some("another certificate than it announced")),
        (7, None, None),
        (8, Some("ee"), None),
    ] {
        bench.intake.heard_receiver(app(last, certificate, trouble));
    }
    let (yuki, ken) = (Some("konpo=yuki"), Some("konpo=ken"));
    let list = ("GET", "/api/joins");
    let names = |body: &Value| -> Vec<String> {
        let items = body["items"].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|one| one["id"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(ask(&mut bench, at, None, list, Value::Null).await.0, StatusCode::FORBIDDEN, "a stranger");
    // A member is offered what is not more than it is; nobody what is at another address, in doubt, or plain.
    assert_eq!(names(&ask(&mut bench, at, ken, list, Value::Null).await.1), ["7-bb"]);
    assert_eq!(names(&ask(&mut bench, at, yuki, list, Value::Null).await.1), ["7-bb", "7-cc"]);
    assert!(names(&ask(&mut bench, [10, 9, 9, 9], ken, list, Value::Null).await.1).is_empty());
    for (from, id) in [(at, "7-cc"), (at, "7-dd"), (at, "7-plain"), (at, "8-ee"), ([10, 9, 9, 8], "7-bb")] {
        let path = format!("/api/joins/{id}");
        let (status, body, _) = ask(&mut bench, from, ken, ("POST", &path), Value::Null).await;
        assert_eq!((status, &body["code"]), (StatusCode::NOT_FOUND, &json!("not_found")), "{id}: {body}");
    }
    let (status, ..) = ask(&mut bench, at, ken, ("POST", "/api/joins/7-bb"), Value::Null).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (_, devices, _) = ask(&mut bench, at, yuki, ("GET", "/api/devices"), Value::Null).await;
    let paired: Vec<&Value> =
        devices["items"].as_array().expect("devices").iter().map(|one| &one["name"]).collect();
    assert_eq!(paired, ["Yuki", "Ken", "The owner's app"], "the app alone is no device any more");
    let who = bench.intake.who(Some(Key::Certificate("bb".into())), Via::Web).await;
    assert_eq!(who.right, Right::Member, "what the app sends is Ken's: {who:?}");
    assert!(names(&ask(&mut bench, at, ken, list, Value::Null).await.1).is_empty(), "done");
    bench.end().await;
}
