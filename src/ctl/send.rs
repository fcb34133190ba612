//! Music back to phones, asked and shown.

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use crate::units::ByteCount;

/// What to ask of the way out.
#[derive(Debug, Clone, Subcommand)]
pub enum Out {
    /// Phones and computers with LocalSend that are open now
    Receivers,
    /// Send an album, a playlist or tracks to a phone or computer with LocalSend
    Send {
        /// Its name, its id or its address, as `receivers` shows them
        to: String,
        /// Numbers of tracks
        #[arg(required_unless_present_any = ["album", "playlist"], conflicts_with_all = ["album", "playlist"])]
        tracks: Vec<i64>,
        /// An album, by its name or its id
        #[arg(long, conflicts_with = "playlist")]
        album: Option<String>,
        /// A playlist, by its name or its id
        #[arg(long)]
        playlist: Option<String>,
        /// The PIN that it asks for
        #[arg(long)]
        pin: Option<String>,
    },
    /// What goes out, and went out lately
    Sends,
    /// Stop what goes out
    #[command(name = "stop-send")]
    Stop {
        /// Its number, as `sends` shows it
        id: u64,
    },
}

impl Out {
    /// Returns method, path and body of the request.
    pub fn request(&self) -> (Method, String, Option<Value>) {
        match self {
            Out::Receivers => (Method::GET, "/api/receivers".into(), None),
            Out::Sends => (Method::GET, "/api/sends".into(), None),
            Out::Stop { id } => (Method::DELETE, format!("/api/sends/{id}"), None),
            Out::Send { to, tracks, album, playlist, pin } => {
                let mut body = json!({ "to": to });
                let tracks = (!tracks.is_empty()).then(|| json!(tracks));
                let given = [("album", album), ("playlist", playlist), ("pin", pin)];
                let given = given.map(|(name, value)| (name, value.as_ref().map(|value| json!(value))));
                for (name, value) in given.into_iter().chain([("tracks", tracks)]) {
                    if let Some(value) = value {
                        body[name] = value;
                    }
                }
                (Method::POST, "/api/sends".into(), Some(body))
            }
        }
    }

    /// Returns the answer as lines.
    pub fn show(&self, value: &Value) -> String {
        let lines =
            |row: fn(&Value) -> String| value["items"].as_array().into_iter().flatten().map(row).collect();
        match self {
            Out::Receivers => lines(receiver),
            Out::Sends => lines(sending),
            Out::Send { .. } => format!("{} (see `konpo ctl sends`)", value["id"]),
            Out::Stop { .. } => "done".into(),
        }
    }
}

fn receiver(one: &Value) -> String {
    let trouble = one["trouble"].as_str().map(|why| format!("  ({why})")).unwrap_or_default();
    format!(
        "{}  {}  {}  {}{trouble}\n",
        text(&one["id"]),
        text(&one["address"]),
        text(&one["kind"]),
        text(&one["name"])
    )
}

fn sending(one: &Value) -> String {
    let bytes = |value: &Value| ByteCount(value.as_u64().unwrap_or(0));
    let some = |name: &str, words: &str| match one[name].as_u64() {
        None | Some(0) => String::new(),
        Some(count) => format!(", {count} {words}"),
    };
    let why = one["reason"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
    let left = one["left"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let left: String = left.map(|line| format!("     stays: {line}\n")).collect();
    format!(
        "{}  {} to {}: {}, {} of {} files, {} of {}{}{}{why}\n{left}",
        one["id"],
        text(&one["title"]),
        text(&one["name"]),
        text(&one["state"]),
        one["sent"],
        one["files"],
        bytes(&one["sent_bytes"]),
        bytes(&one["bytes"]),
        some("skipped", "not wanted"),
        some("left_count", "stay here"),
    )
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wished_is_asked_and_shown() {
        let send = |tracks: &[i64], album: Option<&str>| Out::Send {
            to: "Yuki".into(),
            tracks: tracks.to_vec(),
            album: album.map(str::to_owned),
            playlist: None,
            pin: None,
        };
        let body = |ask: Out| ask.request().2.expect("a body");
        assert_eq!(body(send(&[3, 7], None)), json!({ "to": "Yuki", "tracks": [3, 7] }));
        assert_eq!(body(send(&[], Some("無罪"))), json!({ "to": "Yuki", "album": "無罪" }));
        let value = json!({ "items": [{ "id": 4, "title": "Album", "name": "Yuki", "state": "failed", "reason": "Yuki said no",
            "sent": 0, "files": 12, "sent_bytes": 0, "bytes": 5_000_000, "skipped": 0, "left_count": 1,
            "left": ["Song: locked"] }] });
        assert_eq!(
            Out::Sends.show(&value),
            "4  Album to Yuki: failed, 0 of 12 files, 0 B of 5.0 MB, 1 stay here: Yuki said no\n     stays: Song: locked\n"
        );
    }
}
