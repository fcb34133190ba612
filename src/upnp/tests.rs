//! The whole face without a network: every action of every service against its own table, and who is served at all.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use futures_util::future::{BoxFuture, ready};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower_service::Service as _;
use uuid::Uuid;

use crate::http::server::{Local, Peer};
use crate::lan::interfaces::Interface;
use crate::upnp::av::connection::{self, Role};
use crate::upnp::av::registrar;
use crate::upnp::describe::{Device, scpd};
use crate::upnp::service::{
    Action, Argument, Arguments, Call, Direction, Fault, Handler, Service, Type, Value, Values, Variable,
};
use crate::upnp::{Offered, Upnp};
use crate::wire::soap::{self, Reply};

/// A service with an argument of every type and limit, which answers what it was given.
pub static ECHO: Service = Service {
    kind: "urn:konpo-test:service:Echo:1",
    id: "urn:konpo-test:serviceId:Echo",
    path: "echo",
    actions: &[
        Action {
            name: "Echo",
            arguments: &[
                Argument::takes("Text", "Text").also(&["OtherText"]),
                Argument::takes("Index", "Index"),
                Argument::takes("Level", "Level"),
                Argument::takes("Offset", "Offset"),
                Argument::takes("Small", "Small"),
                Argument::takes("Wide", "Wide"),
                Argument::takes("Mode", "Mode"),
                Argument::takes("Unit", "Unit"),
                Argument::takes("On", "On"),
                Argument::takes("Late", "Text").or("late"),
                Argument::gives("NewText", "Text"),
                Argument::gives("NewIndex", "Index"),
                Argument::gives("NewLevel", "Level"),
                Argument::gives("NewOffset", "Offset"),
                Argument::gives("NewSmall", "Small"),
                Argument::gives("NewWide", "Wide"),
                Argument::gives("NewMode", "Mode"),
                Argument::gives("NewUnit", "Unit"),
                Argument::gives("NewOn", "On"),
                Argument::gives("Host", "Text"),
            ],
        },
        Action { name: "Nothing", arguments: &[] },
        Action { name: "Forgets", arguments: &[Argument::gives("Value", "Text")] },
        Action { name: "Refuses", arguments: &[] },
    ],
    variables: &[
        Variable::new("Count", Type::Ui4).evented(),
        Variable::new("Text", Type::Text).evented(),
        Variable::new("Index", Type::Ui4),
        Variable::new("Level", Type::Ui2).within(0, 100),
        Variable::new("Offset", Type::I2),
        Variable::new("Small", Type::I4).within(-5, 5).refused(711),
        Variable::new("Wide", Type::Int),
        Variable::new("Mode", Type::Text).one_of(&["A", "B"]),
        Variable::new("Unit", Type::Text).one_of(&["X", "Y"]).refused(710),
        Variable::new("On", Type::Boolean),
    ],
};

/// Fulfils [`ECHO`].
pub struct Echo(pub watch::Sender<Values>);

impl Echo {
    /// Returns it with these values.
    pub fn new(count: u32, text: &str) -> Echo {
        Echo(watch::Sender::new(Echo::values(count, text)))
    }

    /// Returns its variables.
    pub fn values(count: u32, text: &str) -> Values {
        Arc::new(vec![("Count", Value::of(count)), ("Text", Value::of(text))])
    }
}

impl Handler for Echo {
    fn act<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Arguments, Fault>> {
        let given = &call.given;
        let answer = match call.action.name {
            // In another order than the table.
            "Echo" => Ok(Arguments::new()
                .with("Host", call.host)
                .with_truth("NewOn", given.truth("On"))
                .with("NewUnit", given.text("Unit"))
                .with("NewMode", given.text("Mode"))
                .with("NewWide", given.signed("Wide"))
                .with("NewSmall", given.signed("Small"))
                .with("NewOffset", given.signed("Offset"))
                .with("NewLevel", given.number("Level"))
                .with("NewIndex", given.number("Index"))
                .with_text("NewText", given.text("Text").to_owned())),
            "Refuses" => Err(Fault::new(799, "not <today>")),
            _ => Ok(Arguments::new()),
        };
        Box::pin(ready(answer))
    }

    fn variables(&self) -> watch::Receiver<Values> {
        self.0.subscribe()
    }
}

/// The services that need nothing of the box, and the one above.
fn offered() -> Vec<Offered> {
    let sends = Role::Sends("http-get:*:audio/flac:*".into());
    vec![
        Offered { service: &connection::SERVICE, handler: Arc::new(connection::handler(sends)) },
        Offered { service: &registrar::SERVICE, handler: Arc::new(registrar::handler()) },
        Offered { service: &ECHO, handler: Arc::new(Echo::new(0, "")) },
    ]
}

fn device(role: &'static str, kind: &'static str) -> Device {
    Device {
        role,
        kind,
        classes: &["DMS-1.50"],
        words: "Music",
        udn: Uuid::new_v5(&Uuid::NAMESPACE_OID, role.as_bytes()),
        name: "Room".into(),
        product: "konpo".into(),
        services: Vec::new(),
    }
}

/// A server and, as it may come, a renderer with one service of its own.
fn router() -> Router {
    let takes = Role::Takes("http-get:*:audio/flac:*".into());
    let sink = vec![Offered { service: &connection::SERVICE, handler: Arc::new(connection::handler(takes)) }];
    let devices = vec![
        (device("server", "urn:schemas-upnp-org:device:MediaServer:1"), offered()),
        (device("player", "urn:schemas-upnp-org:device:MediaRenderer:1"), sink),
    ];
    let home = Interface { name: "eth0".into(), index: 2, address: OWN, prefix: 24 };
    let (_, networks) = watch::channel(vec![home]);
    Upnp::start(devices, networks, CancellationToken::new()).router()
}

/// Sends a request from a phone of the network.
async fn send(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, HeaderMap, String) {
    send_from([203, 0, 113, 9].into(), method, path, headers, body).await
}

async fn send_from(
    peer: Ipv4Addr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::builder().method(method).uri(path);
    if headers.iter().all(|(name, _)| *name != "host") {
        request = request.header("host", format!("{OWN}:8200"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::from(body.to_owned())).expect("a request");
    request.extensions_mut().insert(Peer(SocketAddr::from((peer, 40_000))));
    request.extensions_mut().insert(Local(SocketAddr::from((OWN, 8200))));
    let response = router().call(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap_or_default())
}

async fn call(service: &Service, action: &str, given: &[(&str, &str)]) -> Result<String, u32> {
    let path = format!("/upnp/server/{}/control", service.path);
    let body = soap::request(service.kind, action, given);
    let header = soap::action(service.kind, action);
    let (status, headers, text) = send("POST", &path, &[("soapaction", &header)], &body).await;
    assert_eq!(headers["content-type"], "text/xml; charset=\"utf-8\"");
    assert_eq!((headers["ext"].as_bytes(), !headers["content-length"].is_empty()), (&b""[..], true));
    match soap::parse_reply(text.as_bytes()).expect("an answer") {
        Reply::Done(_) => {
            assert_eq!(status, 200, "{text}");
            Ok(text)
        }
        Reply::Fault(fault) => {
            assert_eq!(status, 500, "UPnP Device Architecture 1.0, 3.2.2: {text}");
            Err(fault.code)
        }
    }
}

/// A value that the table allows, and what it refuses with which code.
fn samples(variable: &Variable) -> (Vec<String>, Vec<(String, u32)>) {
    let refused = |code| u32::from(variable.refused.unwrap_or(code));
    let typed = |least: i64, most: i64| {
        (
            vec![least.to_string(), most.to_string()],
            vec![("x".to_owned(), 402), ((most + 1).to_string(), 402), (String::new(), 402)],
        )
    };
    let (mut good, mut bad) = match variable.kind {
        Type::Text | Type::Uri | Type::Base64 => (vec![String::new(), "R&B <é> \"🎵\"".into()], Vec::new()),
        Type::Ui4 => typed(0, u32::MAX.into()),
        Type::Ui2 => typed(0, u16::MAX.into()),
        Type::I4 | Type::Int => typed(i32::MIN.into(), i32::MAX.into()),
        Type::I2 => typed(i16::MIN.into(), i16::MAX.into()),
        Type::Boolean => {
            (["0", "1", "true", "FALSE", "yes", "no"].map(str::to_owned).into(), vec![("2".into(), 402)])
        }
    };
    if let Some((least, most, _)) = variable.range {
        good = vec![least.to_string(), most.to_string()];
        bad.push(((most + 1).to_string(), refused(601)));
    }
    if !variable.allowed.is_empty() {
        good = variable.allowed.iter().map(|value| (*value).to_owned()).collect();
        bad = vec![("none of these".into(), refused(600))];
    }
    (good, bad)
}

fn usual(service: &Service, action: &Action) -> Vec<(&'static str, String)> {
    let value = |argument: &Argument| {
        let variable = service.variable(argument.variable).expect("a variable");
        (argument.name, samples(variable).0.swap_remove(0))
    };
    action.takes().map(value).collect()
}

fn borrowed<'a>(given: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    given.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// Errors of services themselves begin at 700; below stands what the table decides.
fn is_of_the_table(code: u32) -> bool {
    code < 700 && code != 501
}

#[test]
fn every_table_is_whole() {
    for Offered { service, handler } in offered() {
        let mut names: Vec<&str> = service.variables.iter().map(|variable| variable.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), service.variables.len(), "{}: a variable twice", service.path);
        for action in service.actions {
            let directions: Vec<bool> =
                action.arguments.iter().map(|argument| argument.direction == Direction::Out).collect();
            assert!(directions.is_sorted(), "{}: what it takes comes first", action.name);
            for argument in action.arguments {
                let known = service.variable(argument.variable).is_some();
                assert!(known, "{} {}: no variable {}", action.name, argument.name, argument.variable);
            }
        }
        let values = handler.variables().borrow().clone();
        let evented: Vec<&str> = service.variables.iter().filter(|v| v.evented).map(|v| v.name).collect();
        let told: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
        assert_eq!(told, evented, "{}: what is evented, in the order of the table", service.path);
        for (name, value) in values.iter() {
            if let Value::Text(text) = value {
                let variable = service.variable(name).expect("known");
                assert!(variable.read(text).is_ok(), "{name} is {text:?}");
            }
        }
    }
}

/// Reference upnp 9.2, "out-arg order equals SCPD for every action".
#[tokio::test]
async fn every_action_answers_in_the_order_of_its_description() {
    for Offered { service, .. } in offered() {
        let description = scpd(service);
        for action in service.actions {
            let given = usual(service, action);
            let text = match call(service, action.name, &borrowed(&given)).await {
                Ok(text) => text,
                Err(code) => {
                    let meant = ["Forgets", "Refuses"].contains(&action.name);
                    assert!(meant || !is_of_the_table(code) && code != 501, "{}: {code}", action.name);
                    continue;
                }
            };
            let outs: Vec<&Argument> = action.gives().collect();
            let places: Vec<Option<usize>> =
                outs.iter().map(|argument| text.find(&format!("<{}>", argument.name))).collect();
            assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{}: {text}", action.name);
            let Ok(Reply::Done(values)) = soap::parse_reply(text.as_bytes()) else { panic!("{text}") };
            assert_eq!(values.len(), outs.len(), "{}: no more than those", action.name);
            for argument in outs {
                let variable = service.variable(argument.variable).expect("a variable");
                let value = &values[argument.name];
                let same = variable.read(value).is_ok_and(|read| read == value.as_str());
                assert!(same, "{} {}: {value:?} is none of {}", action.name, argument.name, variable.name);
                let line = format!(
                    "<name>{}</name><direction>out</direction><relatedStateVariable>{}<",
                    argument.name, argument.variable
                );
                assert!(description.contains(&line), "{line}");
            }
        }
    }
}

/// Reference upnp 3.1, "Common errors": each argument missing, of another type, beyond its limits, and at them.
#[tokio::test]
async fn every_argument_is_checked_before_anything_is_done() {
    for Offered { service, .. } in offered() {
        assert_eq!(call(service, "NoSuchAction", &[]).await, Err(401), "{}", service.path);
        for action in service.actions {
            let given = usual(service, action);
            for (index, argument) in action.takes().enumerate() {
                let mut without = given.clone();
                without.remove(index);
                let got = call(service, action.name, &borrowed(&without)).await;
                let want = if argument.absent.is_some() { got.clone() } else { Err(402) };
                assert_eq!(got, want, "{} without {}", action.name, argument.name);
                let variable = service.variable(argument.variable).expect("a variable");
                let (good, bad) = samples(variable);
                for (value, code) in bad {
                    let mut wrong = given.clone();
                    wrong[index].1 = value;
                    let got = call(service, action.name, &borrowed(&wrong)).await;
                    assert_eq!(got, Err(code), "{} {} {:?}", action.name, argument.name, wrong[index].1);
                }
                for value in good {
                    let mut right = given.clone();
                    right[index].1 = value;
                    let got = call(service, action.name, &borrowed(&right)).await;
                    let passed = got.map_or_else(|code| !is_of_the_table(code), |_| true);
                    assert!(passed, "{} {} {:?}", action.name, argument.name, right[index].1);
                }
            }
        }
    }
}

/// Reference upnp 3.1, "request: accept".
#[tokio::test]
async fn what_apps_write_otherwise_is_tolerated() {
    let usual = usual(&ECHO, &ECHO.actions[0]);
    let values = |text: Result<String, u32>| -> HashMap<String, String> {
        match soap::parse_reply(text.expect("done").as_bytes()) {
            Ok(Reply::Done(values)) => values,
            other => panic!("{other:?}"),
        }
    };
    let want = values(call(&ECHO, "Echo", &borrowed(&usual)).await);
    assert_eq!(want["Host"], "203.0.113.1:8200", "the address that was asked");
    let mut turned = borrowed(&usual);
    turned.reverse();
    turned.push(("X_Unknown", "1"));
    assert_eq!(values(call(&ECHO, "Echo", &turned).await), want, "any order, unknown arguments");
    let renamed: Vec<(&str, &str)> = borrowed(&usual)
        .into_iter()
        .map(|(name, value)| (if name == "Text" { "OtherText" } else { name }, value))
        .collect();
    assert_eq!(values(call(&ECHO, "Echo", &renamed).await), want, "another name");
    let minus: Vec<(&str, &str)> = borrowed(&usual)
        .into_iter()
        .map(|(name, value)| (name, if name == "Index" { "-1" } else { value }))
        .collect();
    assert_eq!(values(call(&ECHO, "Echo", &minus).await)["NewIndex"], "0", "-1 as an index");
    let path = "/upnp/server/echo/control";
    for header in ["urn:konpo-test:service:Echo:1#Nothing", "\"urn:konpo-test:service:Echo:2#Nothing\""] {
        let kind = header.trim_matches('"').split('#').next().expect("a type");
        let body = format!(
            "\n  <e:Envelope xmlns:e='x'><e:Body><m:Nothing xmlns:m='{kind}'/></e:Body></e:Envelope>"
        );
        let (status, _, text) = send("POST", path, &[("SOAPAction", header)], &body).await;
        assert_eq!(status, 200, "{header}");
        assert!(text.contains(&format!("<u:NothingResponse xmlns:u=\"{kind}\">")), "as it was asked: {text}");
        let (status, ..) = send("M-POST", path, &[("01-SOAPACTION", header)], &body).await;
        assert_eq!(status, 200, "M-POST {header}");
    }
}

#[tokio::test]
async fn what_is_no_call_is_refused() {
    let path = "/upnp/server/echo/control";
    let body = soap::request(ECHO.kind, "Nothing", &[]);
    let header = soap::action(ECHO.kind, "Nothing");
    let ask = async |headers: &[(&str, &str)], body: &str| send("POST", path, headers, body).await.0.as_u16();
    assert_eq!(ask(&[("soapaction", &header)], &body).await, 200);
    assert_eq!(ask(&[], &body).await, 400, "a page of another site could have sent it");
    assert_eq!(ask(&[("soapaction", &header)], "not XML").await, 400);
    assert_eq!(ask(&[("soapaction", &header)], &" ".repeat(1 << 20)).await, 413);
    assert_eq!(send("GET", path, &[], "").await.0, 405);
    let fault = async |header: &str, body: &str| {
        let (_, _, text) = send("POST", path, &[("soapaction", header)], body).await;
        match soap::parse_reply(text.as_bytes()) {
            Ok(Reply::Fault(fault)) => fault,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(fault("\"urn:other:service:Echo:1#Nothing\"", &body).await.code, 401);
    assert_eq!(fault(&soap::action(ECHO.kind, "Refuses"), &body).await.code, 401, "header and body differ");
    let refused = fault(&soap::action(ECHO.kind, "Refuses"), &soap::request(ECHO.kind, "Refuses", &[])).await;
    assert_eq!((refused.code, refused.words.as_str()), (799, "not <today>"));
    assert_eq!(call(&ECHO, "Forgets", &[]).await, Err(501), "an answer that is not whole is none");
}

/// Reference upnp 2.3: the rows that concern every answer.
#[tokio::test]
async fn answers_are_written_as_the_device_reads_them() {
    let mut given = usual(&ECHO, &ECHO.actions[0]);
    given[0].1 = "Bj\u{f6}rk".into();
    let body = soap::request(ECHO.kind, "Echo", &borrowed(&given));
    let header = soap::action(ECHO.kind, "Echo");
    for (agent, declared, text) in [
        ("anything", true, "Bj\u{f6}rk"),
        ("EC-IRADIO/1.0", false, "Bj\u{f6}rk"),
        ("KnOS/3.2 UPnP/1.0 DMP/3.5", true, "Bj&#246;rk"),
    ] {
        let headers = [("soapaction", header.as_str()), ("user-agent", agent)];
        let (status, _, answer) = send("POST", "/upnp/server/echo/control", &headers, &body).await;
        assert_eq!((status.as_u16(), answer.starts_with("<?xml ")), (200, declared), "{agent}: {answer}");
        assert!(answer.contains(&format!("<NewText>{text}</NewText>")), "{agent}: {answer}");
    }
}

#[tokio::test]
async fn a_variable_can_be_asked_for() {
    let ask = async |name: &str| {
        let kind = "urn:schemas-upnp-org:control-1-0";
        let body = soap::request(kind, "QueryStateVariable", &[("varName", name)]);
        let header = soap::action(kind, "QueryStateVariable");
        let path = "/upnp/server/connection-manager/control";
        send("POST", path, &[("soapaction", &header)], &body).await
    };
    let (status, _, text) = ask("CurrentConnectionIDs").await;
    assert!(status == 200 && text.contains("<return>0</return>"), "{text}");
    let (status, _, text) = ask("Nothing").await;
    assert!(status == 500 && text.contains("<errorCode>404</errorCode>"), "{text}");
}

/// Reference upnp 4.3: "DNS rebinding", "only from on-link peers".
#[tokio::test]
async fn only_neighbours_are_served_and_only_by_address() {
    let path = "/upnp/server/description.xml";
    for (peer, want) in [
        ([203, 0, 113, 9], 200),
        ([10, 9, 8, 7], 200),
        ([169, 254, 1, 1], 200),
        ([127, 0, 0, 1], 200),
        ([198, 51, 100, 1], 403),
        ([8, 8, 8, 8], 403),
    ] {
        assert_eq!(send_from(peer.into(), "GET", path, &[], "").await.0, want, "{peer:?}");
    }
    for host in ["konpo.local", "evil.example", "konpo.local:8200"] {
        assert_eq!(send("GET", path, &[("host", host)], "").await.0, 421, "{host}");
    }
}

#[tokio::test]
async fn descriptions_and_icons_are_served() {
    let (status, headers, text) = send("GET", "/upnp/server/description.xml", &[], "").await;
    assert_eq!(
        (status.as_u16(), headers["content-type"].as_bytes()),
        (200, &b"text/xml; charset=\"utf-8\""[..])
    );
    assert!(headers["server"].to_str().is_ok_and(|server| server.contains("UPnP/1.0 konpo/")));
    assert!(text.contains("<friendlyName>Room</friendlyName>"), "{text}");
    let urls = text.split(['<', '>']).filter(|part| part.starts_with("/upnp/") && part.ends_with(".xml"));
    let mut seen = 0;
    for url in urls {
        seen += 1;
        let (status, _, text) = send("GET", url, &[], "").await;
        assert!(status == 200 && text.contains("<scpd "), "{url}");
    }
    assert_eq!(seen, offered().len());
    for (name, kind) in [("48.png", "image/png"), ("120.jpg", "image/jpeg")] {
        let path = format!("/upnp/icons/{name}");
        let (status, headers, _) = send("GET", &path, &[], "").await;
        assert_eq!((status.as_u16(), headers["content-type"].as_bytes()), (200, kind.as_bytes()));
        let (status, head, body) = send("HEAD", &path, &[], "").await;
        assert_eq!(
            (status.as_u16(), head["content-length"].clone(), body.len()),
            (200, headers["content-length"].clone(), 0)
        );
    }
    for lost in ["/upnp/icons/x.png", "/upnp/renderer/description.xml", "/upnp/server/none/scpd.xml"] {
        assert_eq!(send("GET", lost, &[], "").await.0, 404, "{lost}");
    }
}

/// Reference upnp 0, row 1: two root devices on one port, each with its own description and services.
#[tokio::test]
async fn two_devices_stand_on_one_port() {
    let mut names = Vec::new();
    for (role, kind, count) in
        [("server", "MediaServer:1", offered().len()), ("player", "MediaRenderer:1", 1)]
    {
        let (status, _, text) = send("GET", &format!("/upnp/{role}/description.xml"), &[], "").await;
        assert_eq!((status.as_u16(), text.matches("<serviceType>").count()), (200, count), "{role}");
        assert!(text.contains(kind) && text.matches("<deviceType>").count() == 1, "{text}");
        let udn = text.split("<UDN>").nth(1).and_then(|rest| rest.split('<').next()).map(str::to_owned);
        names.push(udn.expect("a name"));
        let body = soap::request(connection::SERVICE.kind, "GetProtocolInfo", &[]);
        let header = soap::action(connection::SERVICE.kind, "GetProtocolInfo");
        let path = format!("/upnp/{role}/connection-manager/control");
        let (_, _, answer) = send("POST", &path, &[("soapaction", &header)], &body).await;
        let filled = if role == "server" { "<Sink></Sink>" } else { "<Source></Source>" };
        assert!(answer.contains(filled), "{role}: {answer}");
    }
    assert_ne!(names[0], names[1]);
    assert_eq!(send("GET", "/upnp/player/echo/scpd.xml", &[], "").await.0, 404, "a service of the other");
}

const OWN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
