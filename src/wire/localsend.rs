//! The JSON of LocalSend protocol v2.1 (github.com/localsend/protocol, README, sections 3 to 6), read leniently and within
//! bounds; beside it what 1.18 sends as "2.2": sums of files and cancelling without a session (reference beam, a.3).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, Kind, Result};
use crate::track::Sha256;

/// Who speaks: in announcements, in `register`, and before files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// What it calls itself.
    pub alias: String,
    /// `2.x`; without, 1.0.
    #[serde(default)]
    pub version: Option<String>,
    /// Its model.
    #[serde(default)]
    pub device_model: Option<String>,
    /// `mobile`, `desktop`, `web`, `headless` or `server`.
    #[serde(default)]
    pub device_type: Option<String>,
    /// The SHA-256 of its certificate, or with plain HTTP any text. Nothing is proved by it.
    #[serde(default, deserialize_with = "or_none")]
    pub fingerprint: String,
    /// Where it listens; 0 or absent: it does not.
    #[serde(default, deserialize_with = "or_none")]
    pub port: u16,
    /// `http` or `https`.
    #[serde(default)]
    pub protocol: Option<String>,
    /// Its person shares files by a link.
    #[serde(default, deserialize_with = "or_none")]
    pub download: bool,
    /// It wants an answer.
    #[serde(default, deserialize_with = "or_none")]
    pub announce: bool,
    /// The same in 1.x.
    #[serde(default, deserialize_with = "or_none")]
    pub announcement: bool,
}

impl Device {
    /// Returns whether it wants to be answered.
    pub fn wants_answer(&self) -> bool {
        self.announce || self.announcement
    }

    /// Returns whether it is reached by plain HTTP; else by TLS, with the certificate whose SHA-256 is its fingerprint.
    pub fn is_plain(&self) -> bool {
        self.protocol.as_deref() == Some("http")
    }

    /// Returns whether it says within bounds who it is and where it can be reached, and is not us.
    fn is_sane(&self, own: &str) -> bool {
        let short = [Some(&self.alias), Some(&self.fingerprint), self.device_model.as_ref()];
        let short = short.into_iter().chain([self.device_type.as_ref(), self.protocol.as_ref()]);
        short.flatten().all(|text| text.len() <= LONGEST)
            && self.port != 0
            && !self.fingerprint.is_empty()
            && !self.fingerprint.eq_ignore_ascii_case(own)
    }
}

/// What somebody shares by a link (README 5.1).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedFiles {
    /// Who.
    pub info: Device,
    /// The name of the session, by which the files are fetched.
    pub session_id: String,
    /// What.
    pub files: Files,
}

/// Who we are, as others are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Info<'a> {
    /// What the box is called.
    pub alias: Arc<str>,
    /// Of the protocol.
    pub version: &'a str,
    /// What it is.
    pub device_model: &'a str,
    /// `headless`: nobody looks at a screen of it.
    pub device_type: &'a str,
    /// The SHA-256 of our certificate.
    pub fingerprint: &'a str,
    /// Where we listen; left out in answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// `https`; left out in answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<&'a str>,
    /// Whether files can be fetched here.
    pub download: bool,
    /// Whether an answer is wanted; only in announcements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announce: Option<bool>,
}

impl<'a> Info<'a> {
    /// Returns who we are, as answers have it.
    pub fn ours(alias: Arc<str>, fingerprint: &'a str) -> Info<'a> {
        Info {
            alias,
            version: VERSION,
            device_model: "konpo",
            device_type: "headless",
            fingerprint,
            port: None,
            protocol: None,
            download: false,
            announce: None,
        }
    }

    /// Says where we listen.
    pub fn at(self, port: u16) -> Info<'a> {
        Info { port: Some(port), protocol: Some("https"), ..self }
    }
}

/// What somebody wants to send.
#[derive(Debug, Clone, Deserialize)]
pub struct Prepare {
    /// Who.
    pub info: Device,
    /// What, in the order it was written.
    pub files: Files,
}

/// Files by the sender's names of them, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(pub Vec<(String, File)>);

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Its name, folders before it with `/`.
    pub file_name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its MIME type; peers up to 1.15 send `image`, `video`, `pdf`, `text`, `apk`, `other`.
    #[serde(default, deserialize_with = "or_none")]
    pub file_type: String,
    /// Its SHA-256, hex. What is none is none.
    #[serde(default)]
    pub sha256: Option<String>,
    /// A text that was typed rather than picked.
    #[serde(default)]
    pub preview: Option<String>,
}

impl File {
    /// Returns its sum, when one is stated.
    pub fn sum(&self) -> Option<Sha256> {
        self.sha256.as_ref()?.to_ascii_lowercase().parse().ok()
    }
}

impl Prepare {
    /// Returns the text that somebody typed: one file that is a text and whose text came along (README 4.1).
    pub fn text(&self) -> Option<&str> {
        match self.files.0.as_slice() {
            [(_, file)] if file.file_type.starts_with("text") => file.preview.as_deref(),
            _ => None,
        }
    }
}

/// Reads the datagram of another device that can be reached; `None` for anything else, and for one of our own.
pub fn heard(datagram: &[u8], own: &str) -> Option<Device> {
    let device: Device =
        serde_json::from_slice(datagram.get(..datagram.len().min(LARGEST_DATAGRAM))?).ok()?;
    device.is_sane(own).then_some(device)
}

/// Returns a device that registered, when it can be reached.
pub fn reachable(device: Device, own: &str) -> Option<Device> {
    device.is_sane(own).then_some(device)
}

/// Reads what `register` says.
///
/// # Errors
/// `Invalid`.
pub fn register(body: &[u8]) -> Result<Device> {
    serde_json::from_slice(body)
        .map_err(|error| Error::new(Kind::Invalid, format!("read who you are: {error}")))
}

/// Reads what somebody wants to send.
///
/// # Errors
/// `Invalid`, also without files.
pub fn prepare(body: &[u8]) -> Result<Prepare> {
    let wrong = |what: String| Error::new(Kind::Invalid, format!("read what you want to send: {what}"));
    let prepare: Prepare = serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
    if prepare.files.0.is_empty() {
        return Err(wrong("there are no files".into()));
    }
    Ok(prepare)
}

/// `null` is as good as nothing.
fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> std::result::Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// What we want to send (README 4.1).
#[derive(Debug, Serialize)]
pub struct Question<'a> {
    /// Who we are, with port and protocol.
    pub info: Info<'a>,
    /// What, by our names of them; in the order of these names.
    pub files: BTreeMap<String, Offered<'a>>,
}

/// One file of ours.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Offered<'a> {
    /// Our name of it, the same as its key.
    pub id: &'a str,
    /// Its name, folders before it with `/`.
    pub file_name: &'a str,
    /// Its size in bytes.
    pub size: u64,
    /// Its MIME type.
    pub file_type: &'a str,
    /// Its SHA-256, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// What a receiver wants of it.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Its name of the session.
    pub session_id: String,
    /// The token of each file that it wants, by our names; what is not among them is not wanted.
    pub files: HashMap<String, String>,
}

/// Reads what a receiver wants.
///
/// # Errors
/// `Damaged`.
pub fn accepted(body: &[u8]) -> Result<Accepted> {
    let wrong = |what: String| Error::new(Kind::Damaged, format!("read what it wants: {what}"));
    let accepted: Accepted = serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
    let long = |text: &String| text.is_empty() || text.len() > LONGEST;
    if long(&accepted.session_id) || accepted.files.len() > MOST_FILES || accepted.files.values().any(long) {
        return Err(wrong("more files than it was asked, or names of another length".into()));
    }
    Ok(accepted)
}

/// Reads what somebody shares; there may be nothing.
///
/// # Errors
/// `Damaged`.
pub fn shared(body: &[u8]) -> Result<SharedFiles> {
    let wrong = |what: String| Error::new(Kind::Damaged, format!("read what it shares: {what}"));
    let shared: SharedFiles = serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?;
    if shared.session_id.is_empty() || shared.session_id.len() > LONGEST {
        return Err(wrong("a session of another length".into()));
    }
    Ok(shared)
}

/// Returns the words of a refusal, when it says some; the first 200 letters.
pub fn refusal(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    let Message { message } = serde_json::from_slice(body).ok()?;
    let words: String = message.trim().chars().filter(|c| !c.is_control()).take(200).collect();
    (!words.is_empty()).then_some(words)
}

impl<'de> Deserialize<'de> for Files {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Files, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Files;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("files by their ids")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> std::result::Result<Files, M::Error> {
        let mut files: Vec<(String, File)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        while let Some((id, file)) = map.next_entry::<String, File>()? {
            if files.len() >= MOST_FILES || id.is_empty() || id.len() > LONGEST {
                return Err(M::Error::custom(format!(
                    "more than {MOST_FILES} files, or an id of another length"
                )));
            }
            if !seen.insert(id.clone()) {
                return Err(M::Error::custom("an id stands there twice"));
            }
            files.push((id, file));
        }
        Ok(Files(files))
    }
}

/// What we speak: sums of files and cancelling without a session are of 2.2 (reference beam, a.1).
pub const VERSION: &str = "2.2";
/// Files of one request.
pub const MOST_FILES: usize = 5000;
/// Datagrams of the app have some 300 bytes.
const LARGEST_DATAGRAM: usize = 4096;
/// Bytes of an alias, a fingerprint or an id.
const LONGEST: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    const ANNOUNCED: &str = r#"{"alias":"Nice Orange","version":"2.0","deviceModel":"Samsung","deviceType":"mobile",
        "fingerprint":"ab12","port":53317,"protocol":"https","download":true,"announce":true,"new":{"x":[1]}}"#;

    #[test]
    fn announcements_of_others_are_heard_and_nothing_else() {
        let announcement = |datagram: &[u8], own: &str| heard(datagram, own).filter(Device::wants_answer);
        let heard = announcement(ANNOUNCED.as_bytes(), "CD").expect("one of another device");
        assert_eq!(
            (heard.alias.as_str(), heard.port, heard.protocol.as_deref()),
            ("Nice Orange", 53317, Some("https"))
        );
        assert!(announcement(ANNOUNCED.as_bytes(), "AB12").is_none(), "our own");
        for (from, to) in [
            (r#""announce":true"#, r#""announce":false"#),
            (r#""port":53317"#, r#""port":0"#),
            (r#""port":53317"#, r#""port":70000"#),
            (r#""fingerprint":"ab12""#, r#""fingerprint":"""#),
            (r#""alias":"Nice Orange","#, ""),
        ] {
            assert!(announcement(ANNOUNCED.replace(from, to).as_bytes(), "CD").is_none(), "{to}");
        }
        let older = ANNOUNCED.replace(r#""announce":true"#, r#""announcement":true"#);
        assert!(announcement(older.as_bytes(), "CD").is_some(), "1.x");
        for length in 0..ANNOUNCED.len() {
            assert!(announcement(&ANNOUNCED.as_bytes()[..length], "CD").is_none());
        }
    }

    #[test]
    fn files_keep_their_order_and_bad_ones_are_refused() {
        let body = |files: &str| {
            format!(
                r#"{{"info":{{"alias":"a","version":"2.1","fingerprint":"f","port":1}},"files":{{{files}}}}}"#
            )
        };
        let file = |id: &str| {
            format!(
                r#""{id}":{{"id":"{id}","fileName":"{id}.mp3","size":3,"fileType":"audio/mpeg","sha256":"x","metadata":{{}}}}"#
            )
        };
        let read = prepare(body(&[file("z"), file("a"), file("m")].join(",")).as_bytes()).expect("right");
        let ids: Vec<&str> = read.files.0.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!((ids, read.files.0[0].1.sum(), read.text()), (vec!["z", "a", "m"], None, None));
        for wrong in [
            String::new(),
            file("a") + "," + &file("a"),
            file("a").replace("3,", "-3,"),
            file("a").replace("3,", "1e99,"),
            file("a").replace(r#""fileName":"a.mp3","#, ""),
            file(""),
        ] {
            let error = prepare(body(&wrong).as_bytes()).expect_err("wrong");
            assert_eq!(error.kind(), Kind::Invalid, "{wrong}");
        }
        let many: Vec<String> = (0..=MOST_FILES).map(|n| file(&n.to_string())).collect();
        assert!(prepare(body(&many.join(",")).as_bytes()).is_err());
        assert!(prepare(body(&many[1..].join(",")).as_bytes()).is_ok());
    }

    #[test]
    fn what_is_null_is_as_good_as_absent() {
        let null = r#"{"alias":"a","version":null,"deviceModel":null,"fingerprint":null,"port":null,"protocol":null,"announce":null}"#;
        let read = register(null.as_bytes()).expect("lenient");
        assert_eq!(read, register(br#"{"alias":"a"}"#).expect("right"));
        let file = r#"{"info":{"alias":"a","port":null},"files":{"1":{"fileName":"a.mp3","size":3,"fileType":null,"sha256":null,"preview":null}}}"#;
        let read = prepare(file.as_bytes()).expect("lenient");
        assert_eq!((read.files.0[0].1.file_type.as_str(), read.info.port), ("", 0));
    }

    #[test]
    fn what_is_shared_is_read_within_bounds() {
        let text = r#"{"info":{"alias":"Yuki","download":true},"sessionId":"10.0.0.9","files":{"a":{"id":"a","fileName":"夜/1.flac",
            "size":3,"fileType":"audio/flac","metadata":{"modified":"2024-01-02T03:04:05.123456789Z"}}}}"#;
        let read = shared(text.as_bytes()).expect("right");
        assert!(read.info.download && read.info.alias == "Yuki" && read.session_id == "10.0.0.9");
        assert_eq!((read.files.0[0].0.as_str(), read.files.0[0].1.file_name.as_str()), ("a", "夜/1.flac"));
        assert!(
            shared(br#"{"info":{"alias":"a"},"sessionId":"s","files":{}}"#)
                .expect("nothing")
                .files
                .0
                .is_empty()
        );
        for wrong in [
            "",
            "[]",
            r#"{"info":{"alias":"a"},"sessionId":"","files":{}}"#,
            r#"{"sessionId":"s","files":{}}"#,
        ] {
            assert_eq!(shared(wrong.as_bytes()).expect_err("wrong").kind(), Kind::Damaged, "{wrong}");
        }
        for length in 0..text.len() {
            assert!(shared(&text.as_bytes()[..length]).is_err());
        }
    }

    #[test]
    fn a_text_is_told_from_a_file() {
        let body = r#"{"info":{"alias":"a"},"files":{"1":{"fileName":"x.txt","size":5,"fileType":"text/plain","preview":"hello"}}}"#;
        assert_eq!(prepare(body.as_bytes()).expect("right").text(), Some("hello"));
        let file = body.replace(r#","preview":"hello""#, "");
        assert_eq!(prepare(file.as_bytes()).expect("right").text(), None);
    }

    #[test]
    fn a_question_is_written_in_the_order_of_its_files() {
        let info = Info::ours("Box".into(), "AB").at(53317);
        let offered = |id: &'static str, sha256: Option<String>| {
            (id.to_owned(), Offered { id, file_name: "夜/01.flac", size: 3, file_type: "audio/flac", sha256 })
        };
        let files = [offered("00002", None), offered("00001", Some("ab".into()))].into_iter().collect();
        let json = serde_json::to_string(&Question { info, files }).expect("written");
        let read = prepare(json.as_bytes()).expect("what we write we can read");
        let names: Vec<&str> = read.files.0.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!((names, read.info.port, read.info.is_plain()), (vec!["00001", "00002"], 53317, false));
        assert!(!json.contains("null") && json.contains(r#""sha256":"ab""#), "{json}");
    }

    #[test]
    fn answers_are_read_within_bounds() {
        let read = accepted(br#"{"sessionId":"s","files":{"1":"t"},"new":1}"#).expect("right");
        assert_eq!((read.session_id.as_str(), read.files["1"].as_str()), ("s", "t"));
        let long = format!(r#"{{"sessionId":"s","files":{{"1":"{}"}}}}"#, "x".repeat(LONGEST + 1));
        for wrong in ["", "[]", r#"{"sessionId":"","files":{}}"#, r#"{"sessionId":"s"}"#, &long] {
            assert_eq!(accepted(wrong.as_bytes()).expect_err("wrong").kind(), Kind::Damaged, "{wrong}");
        }
        assert_eq!(refusal(br#"{"message":" No\u0007 room "}"#).as_deref(), Some("No room"));
        assert_eq!((refusal(b"<html>"), refusal(br#"{"message":""}"#)), (None, None));
    }
}
