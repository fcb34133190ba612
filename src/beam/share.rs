//! "Share via link": files that a phone's person gives out by LocalSend (README 5; reference beam, a.6). Its app says so in
//! its announcements; what there is it tells only when its person said yes, or to whoever knows its PIN.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;

use crate::error::{Error, Kind, Result};
use crate::http::client::{Allow, Client, GetOptions};
use crate::http::near::{Near, Silent, written};
use crate::intake::door::policy::{kept, left_out, shown, unfit};
use crate::intake::names::extension_of_type;
use crate::intake::staging::LARGEST_FILE;
use crate::offer::push::Sent;
use crate::offer::{Count, NeighbourId, RemoteItem};
use crate::track::Sha256;
use crate::units::ByteCount;
use crate::wire::localsend::{self, Device, SharedFiles};
use crate::wire::query;

/// A device that was heard, and whether it shares files now.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Its name here. One whose certificate was seen keeps it wherever it is; one with plain HTTP has it as long as it tells
    /// the same fingerprint, by which nothing is proved.
    pub id: NeighbourId,
    /// What it calls itself.
    pub name: String,
    /// Its model as it states it.
    pub model: String,
    /// How it is talked to.
    pub near: Near,
    /// Whether there is something to fetch.
    pub shares: bool,
}

impl Shared {
    /// Returns what was heard of a device that is talked to like this.
    pub fn new(device: &Device, near: Near, shares: bool) -> Shared {
        let fingerprint = device.fingerprint.to_lowercase();
        let known_by = match (near.is_private(), fingerprint.is_empty()) {
            (true, _) => format!("tls {fingerprint}"),
            (false, false) => format!("plain {fingerprint}"),
            (false, true) => format!("at {}", near.at()),
        };
        let id = blake3::hash(known_by.as_bytes()).to_hex();
        let name = shown(device.alias.trim(), LONGEST_NAME);
        Shared {
            id: NeighbourId(format!("{KIND}:{}", &id[..16]).into()),
            name: if name.is_empty() { near.at().ip().to_string() } else { name },
            model: shown(device.device_model.as_deref().unwrap_or_default(), LONGEST_NAME),
            near,
            shares,
        }
    }

    /// Returns the URL of a file; who is asked is known already.
    fn url(&self, session: &str, file: &str) -> String {
        let scheme = if self.near.is_private() { "https" } else { "http" };
        let (at, session, file) = (written(self.near.at()), query::value(session), query::value(file));
        format!("{scheme}://{at}/api/localsend/v2/download?sessionId={session}&fileId={file}")
    }
}

/// Why nothing is told.
#[derive(Debug)]
pub enum Refused {
    /// It wants to be told its PIN, or another one.
    Pin(String),
    /// Somebody there said no, or it does not share any more.
    Declined(String),
    /// It cannot be reached, or what it says cannot be read.
    Away(Error),
}

/// What somebody shares.
#[derive(Debug, Default, PartialEq)]
pub struct Listed {
    /// The name of the session, by which it is asked again without a question.
    pub session: String,
    /// What may be music, in order, each with its sum when that was told.
    pub items: Vec<(RemoteItem, Option<Sha256>)>,
    /// Files that are none by their names, whose names lead elsewhere, or that are too large.
    pub left: u64,
}

impl Listed {
    /// Counts what there is, of which these are new.
    pub fn count(&self, new: &[RemoteItem]) -> Count {
        let bytes = new.iter().filter_map(|item| item.size);
        let bytes = bytes.fold(ByteCount(0), ByteCount::saturating_add);
        let (tracks, new) = (self.items.len() as u64, new.len() as u64);
        Count { tracks, new, bytes, left: self.left, ..Count::default() }
    }
}

/// Asks what is shared, and waits while somebody decides there. With the session of before nobody is asked again.
///
/// # Errors
/// See [`Refused`].
///
/// # Cancel
/// A dropped future takes the question back.
pub async fn ask(from: &Shared, session: Option<&str>, pin: Option<&str>) -> Result<Listed, Refused> {
    let said = [("sessionId", session), ("pin", pin)];
    let said = said.iter().filter_map(|(name, value)| Some(format!("{name}={}", query::value((*value)?))));
    let said = said.collect::<Vec<_>>().join("&");
    let mark = if said.is_empty() { "" } else { "?" };
    let path = format!("/api/localsend/v2/prepare-download{mark}{said}");
    let name = &from.name;
    let asked = tokio::time::timeout(ANSWERED_WITHIN, from.near.post_json(&path, Vec::new(), LARGEST_ANSWER));
    let answered = asked.await.map_err(|_| Refused::Declined(format!("nobody said yes at {name}")))?;
    let answer = answered.map_err(|silent| match silent {
        Silent::NotItself => Refused::Away(silent.into()),
        Silent::Away(error) => {
            let what = format!("{name} does not answer: is its LocalSend app open?");
            Refused::Away(Error::with(Kind::Unreachable, what, error))
        }
    })?;
    let declined = |words: String| Err(Refused::Declined(words));
    match answer.status {
        StatusCode::OK => match localsend::shared(&answer.body) {
            Ok(shared) => Ok(listed(from, shared)),
            Err(error) => Err(Refused::Away(error)),
        },
        StatusCode::UNAUTHORIZED if pin.is_some() => {
            Err(Refused::Pin(format!("this is not the PIN of {name}")))
        }
        StatusCode::UNAUTHORIZED => {
            Err(Refused::Pin(format!("{name} asks for a PIN: it stands in its LocalSend app")))
        }
        StatusCode::FORBIDDEN => declined(format!("{name} said no, or shares nothing any more")),
        StatusCode::CONFLICT => declined(format!("{name} is busy with another transfer: try again later")),
        StatusCode::TOO_MANY_REQUESTS => {
            declined(format!("{name} was told too many wrong PINs: try again in a minute"))
        }
        status => {
            let said = localsend::refusal(&answer.body);
            let said = said.unwrap_or_else(|| format!("its app answers {status}"));
            declined(format!("{name}: {said}"))
        }
    }
}

/// Returns what may be music of what is shared. A file is known again by its name there: the ids of some apps are new each
/// time.
fn listed(from: &Shared, shared: SharedFiles) -> Listed {
    let mut listed = Listed { session: shared.session_id, ..Listed::default() };
    let mut names = HashSet::new();
    for (id, file) in shared.files.0 {
        let sha256 = file.sum();
        let sent = Sent { name: file.file_name, size: ByteCount(file.size), mime: file.file_type, sha256 };
        if unfit(&sent.name).is_some() || left_out(&sent, LARGEST_FILE).is_some() {
            listed.left += 1;
            continue;
        }
        let path = kept(&sent.name);
        let object_id = match names.insert(path.clone()) {
            true => path.clone(),
            // Two of one name are two files.
            false => format!("{path} ({id})"),
        };
        names.insert(object_id.clone());
        let item = RemoteItem {
            url: from.url(&listed.session, &id),
            object_id,
            size: Some(sent.size),
            title: title_of(&path, &sent.mime),
            mime: sent.mime,
            artist: None,
            album: None,
            track: None,
            duration: None,
            views: Vec::new(),
        };
        listed.items.push((item, sha256));
    }
    listed
}

/// Returns the last part of a name without its extension, where the type says the same; the name of a file that came is made
/// of both.
fn title_of(path: &str, mime: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or(path);
    match (last.rsplit_once('.'), extension_of_type(mime)) {
        (Some((stem, end)), Some(known)) if end.eq_ignore_ascii_case(known) && !stem.is_empty() => {
            stem.to_owned()
        }
        _ => last.to_owned(),
    }
}

/// Returns whether a device is there, whatever it answers.
pub async fn is_there(near: &Near) -> bool {
    let allow = Allow::Near { peer: near.at().ip(), networks: Vec::new() };
    let scheme = if near.is_private() { "https" } else { "http" };
    let url = format!("{scheme}://{}/api/localsend/v2/info", written(near.at()));
    let options = GetOptions::talk(allow);
    let asked = tokio::time::timeout(THERE_WITHIN, Client::of(near.clone()).get(&url, &options)).await;
    matches!(asked, Ok(Ok(_)))
}

/// Asks an address that a person typed who is there.
///
/// # Errors
/// `Unreachable` when it does not answer as LocalSend does.
pub async fn who_is(at: SocketAddr) -> Result<Shared> {
    let near = Near::plain(at);
    let allow = Allow::Near { peer: at.ip(), networks: Vec::new() };
    let url = format!("http://{}/api/localsend/v2/info", written(at));
    let asking = async {
        let reply = Client::of(near.clone()).get(&url, &GetOptions::talk(allow)).await?;
        if !reply.status.is_success() {
            return Err(Error::new(Kind::Unreachable, format!("{} answers {}", written(at), reply.status)));
        }
        localsend::register(&reply.whole(LARGEST_INFO).await?)
    };
    let silent = |why: Option<Error>| {
        let what = format!(
            "nothing is shared at {}: is \"share via link\" open there, without encryption?",
            written(at)
        );
        match why {
            Some(why) => Error::with(Kind::Unreachable, what, why),
            None => Error::new(Kind::Unreachable, what),
        }
    };
    match tokio::time::timeout(THERE_WITHIN, asking).await {
        Ok(Ok(device)) => Ok(Shared::new(&device, near, true)),
        Ok(Err(why)) => Err(silent(Some(why))),
        Err(_) => Err(silent(None)),
    }
}

/// Reads a link as a person types it: `http://192.168.1.20:53317`, with or without its beginning and its port, or
/// `[fe80::1%2]:53317` with the number of the link. Names are none: a phone's link has its address.
///
/// # Errors
/// `Invalid`.
pub fn link(text: &str) -> Result<SocketAddr> {
    let wrong = || {
        let what = format!("{text:?} is no link like http://192.168.1.20:53317");
        Error::new(Kind::Invalid, what)
    };
    let plain = text.trim();
    let rest = plain.strip_prefix("http://").or_else(|| plain.strip_prefix("https://")).unwrap_or(plain);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default().replace("%25", "%");
    let with_port = if authority.ends_with(']') || !authority.contains(':') {
        format!("{authority}:{PORT}")
    } else {
        authority
    };
    let at: SocketAddr = with_port.parse().map_err(|_| wrong())?;
    if at.port() == 0 || at.ip().is_unspecified() || at.ip().is_multicast() {
        return Err(wrong());
    }
    Ok(at)
}

/// The way as the ledger names it, and what such a neighbour is.
pub const KIND: &str = "localsend";
/// Of the protocol (README 1).
const PORT: u16 = 53317;
const LONGEST_NAME: usize = 80;
/// Somebody has to take the phone out of a pocket. The app itself waits for ever.
const ANSWERED_WITHIN: Duration = Duration::from_secs(600);
const THERE_WITHIN: Duration = Duration::from_secs(6);
/// 5,000 files with long names.
const LARGEST_ANSWER: usize = 8 << 20;
const LARGEST_INFO: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn device(fingerprint: &str) -> Device {
        let text = format!(r#"{{"alias":" Yuki\u202e ","fingerprint":"{fingerprint}","download":true}}"#);
        localsend::register(text.as_bytes()).expect("a device")
    }

    fn shared() -> Shared {
        Shared::new(&device("AB"), Near::plain(([10, 77, 0, 9], 53317).into()), true)
    }

    #[test]
    fn what_may_be_music_is_listed_and_the_rest_is_left() {
        let file = |id: &str, name: &str, mime: &str| {
            format!(
                r#""{id}":{{"id":"{id}","fileName":"{name}","size":3,"fileType":"{mime}","sha256":null}}"#
            )
        };
        let files = [
            file("1", "夜/01 歌.flac", "audio/flac"),
            file("2", "album.zip", "application/zip"),
            file("3", "cover.jpg", "image/jpeg"),
            file("4", "../../etc/x.mp3", "audio/mpeg"),
            file("5&x", "夜/01 歌.flac", "audio/flac"),
            file("6", "old.ape", "application/octet-stream"),
        ];
        let text =
            format!(r#"{{"info":{{"alias":"Yuki"}},"sessionId":"a b","files":{{{}}}}}"#, files.join(","));
        let listed = listed(&shared(), localsend::shared(text.as_bytes()).expect("read"));
        let ids: Vec<&str> = listed.items.iter().map(|(item, _)| item.object_id.as_str()).collect();
        assert_eq!(ids, ["夜/01 歌.flac", "album.zip", "夜/01 歌.flac (5&x)", "old.ape"]);
        let titles: Vec<&str> = listed.items.iter().map(|(item, _)| item.title.as_str()).collect();
        assert_eq!(titles, ["01 歌", "album.zip", "01 歌", "old.ape"]);
        assert_eq!((listed.left, listed.session.as_str()), (2, "a b"));
        let url = "http://10.77.0.9:53317/api/localsend/v2/download?sessionId=a%20b&fileId=5%26x";
        assert_eq!(listed.items[2].0.url, url);
        let new = [listed.items[0].0.clone()];
        let counted = listed.count(&new);
        assert_eq!((counted.tracks, counted.new, counted.bytes, counted.left), (4, 1, ByteCount(3), 2));
    }

    #[test]
    fn a_device_that_proves_nothing_is_another_one_than_the_one_that_does() {
        let plain = shared();
        assert_eq!(plain.name, "Yuki");
        let made = rcgen::generate_simple_self_signed(Vec::new()).expect("made");
        let own = crate::http::own_tls::Own::read(&made.cert.pem(), &made.signing_key.serialize_pem());
        let near = Near::new(&own.expect("read"), plain.near.at(), Some("ab")).expect("set up");
        assert_ne!(Shared::new(&device("ab"), near, true).id, plain.id);
        let moved = Shared::new(&device("ab"), Near::plain(([10, 77, 0, 10], 1).into()), true);
        assert_eq!(moved.id, plain.id);
        let nameless =
            |last: u8| Shared::new(&device(""), Near::plain(([10, 77, 0, last], 1).into()), true).id;
        assert_ne!(nameless(1), nameless(2));
    }

    #[tokio::test]
    async fn a_no_is_told_in_words_and_a_session_asks_nobody_again() {
        use axum::extract::Query;
        use axum::response::IntoResponse;
        use std::collections::HashMap;
        let app = axum::Router::new().route(
            "/api/localsend/v2/prepare-download",
            axum::routing::post(|Query(said): Query<HashMap<String, String>>| async move {
                let status = |code| StatusCode::from_u16(code).expect("a status").into_response();
                match (said.get("pin").map(String::as_str), said.get("sessionId").map(String::as_str)) {
                    (None, _) => status(401),
                    (Some("yes"), session) => {
                        let session = session.unwrap_or("new one");
                        let body = serde_json::json!({ "info": { "alias": "Yuki" }, "sessionId": session, "files": {} });
                        axum::Json(body).into_response()
                    }
                    (Some("mad"), _) => "<html>".into_response(),
                    (Some(code), _) => status(code.parse().unwrap_or(401)),
                }
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let at = listener.local_addr().expect("bound");
        let stop = tokio_util::sync::CancellationToken::new();
        let hosts = crate::http::hosts::Hosts::new(&[]);
        let serving = tokio::spawn(crate::http::server::serve(listener, app, hosts, stop.clone()));
        let phone = Shared::new(&device("ab"), Near::plain(at), true);
        for (pin, want) in [
            (None, "pin: Yuki asks for a PIN: it stands in its LocalSend app"),
            (Some("no"), "pin: this is not the PIN of Yuki"),
            (Some("403"), "no: Yuki said no, or shares nothing any more"),
            (Some("409"), "no: Yuki is busy with another transfer: try again later"),
            (Some("429"), "no: Yuki was told too many wrong PINs: try again in a minute"),
            (Some("418"), "no: Yuki: its app answers 418 I'm a teapot"),
        ] {
            let told = match ask(&phone, None, pin).await.expect_err("refused") {
                Refused::Pin(words) => format!("pin: {words}"),
                Refused::Declined(words) => format!("no: {words}"),
                Refused::Away(error) => format!("away: {error}"),
            };
            assert_eq!(told, want);
        }
        assert!(matches!(ask(&phone, None, Some("mad")).await, Err(Refused::Away(_))));
        let first = ask(&phone, None, Some("yes")).await.expect("told");
        let again = ask(&phone, Some(&first.session), Some("yes")).await.expect("told");
        assert_eq!((first.session.as_str(), first.items.len()), ("new one", 0));
        assert_eq!(again.session, "new one");
        assert!(is_there(&phone.near).await, "whatever it answers");
        stop.cancel();
        serving.await.expect("in order");
        assert!(!is_there(&phone.near).await);
        assert!(matches!(ask(&phone, None, None).await, Err(Refused::Away(_))));
    }

    #[test]
    fn a_link_is_read_as_people_type_it() {
        for (text, want) in [
            (" http://192.168.1.20:53317 ", "192.168.1.20:53317"),
            ("https://192.168.1.20:53318/?x#y", "192.168.1.20:53318"),
            ("192.168.1.20", "192.168.1.20:53317"),
            ("http://[fd00::9]/", "[fd00::9]:53317"),
            ("http://[fe80::9%252]:53317/", "[fe80::9%2]:53317"),
        ] {
            assert_eq!(link(text).expect("a link").to_string(), want, "{text}");
        }
        for wrong in [
            "",
            "phone",
            "http://phone:53317",
            "ftp://10.0.0.1",
            "10.0.0.1:0",
            "0.0.0.0",
            "[::]:5",
            "a@10.0.0.1",
        ] {
            assert_eq!(link(wrong).expect_err("none").kind(), Kind::Invalid, "{wrong}");
        }
    }
}
