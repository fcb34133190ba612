//! What phones bring by themselves, asked and shown: questions, the beam window, taking back, pairing, paired devices.

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use crate::units::{ByteCount, UnixTime};

/// What to ask of what phones bring.
#[derive(Debug, Clone, Subcommand)]
pub enum Beam {
    /// Senders that wait for a yes, and what was brought lately
    Offers,
    /// Say yes to a sender
    Accept {
        /// Its number
        id: u64,
    },
    /// Say no to a sender
    Reject {
        /// Its number
        id: u64,
    },
    /// Let everybody send for ten minutes, and longer while somebody does
    #[command(name = "beam")]
    Window {
        /// Ask for senders again
        #[arg(long)]
        close: bool,
    },
    /// Take back what somebody sent at once
    Undo {
        /// Its number, as `offers` shows it
        id: u64,
    },
    /// Make a PIN, by which one phone is paired within ten minutes
    Pair {
        /// Take the PIN back
        #[arg(long)]
        end: bool,
    },
    /// Let the next device that asks become an owner
    Setup,
    /// Paired devices
    Devices,
    /// Say what happens to the songs of a paired device, or forget it
    Device {
        /// Its number
        id: i64,
        /// play-if-idle, next or keep; settings: as the settings say
        #[arg(long, value_parser = ["play-if-idle", "next", "keep", "settings"], required_unless_present = "forget")]
        on_arrival: Option<String>,
        /// Pair it no more
        #[arg(long, conflicts_with = "on_arrival")]
        forget: bool,
    },
}

impl Beam {
    /// Returns method, path and body of the request.
    pub fn request(&self) -> (Method, String, Option<Value>) {
        let (method, path) = match self {
            Beam::Offers => (Method::GET, "/api/offers".to_owned()),
            Beam::Accept { id } => (Method::POST, format!("/api/offers/{id}/accept")),
            Beam::Reject { id } => (Method::POST, format!("/api/offers/{id}/reject")),
            Beam::Window { close: false } => (Method::POST, "/api/beam".to_owned()),
            Beam::Window { close: true } => (Method::DELETE, "/api/beam".to_owned()),
            Beam::Undo { id } => (Method::POST, format!("/api/beam/{id}/undo")),
            Beam::Pair { end: false } => (Method::POST, "/api/pin".to_owned()),
            Beam::Pair { end: true } => (Method::DELETE, "/api/pin".to_owned()),
            Beam::Setup => (Method::POST, "/api/setup/open".to_owned()),
            Beam::Devices => (Method::GET, "/api/devices".to_owned()),
            Beam::Device { id, forget: true, .. } => (Method::DELETE, format!("/api/devices/{id}")),
            Beam::Device { id, on_arrival, .. } => {
                let wish = on_arrival.as_deref().filter(|wish| *wish != "settings");
                let body = json!({ "on_arrival": wish });
                return (Method::PUT, format!("/api/devices/{id}"), Some(body));
            }
        };
        (method, path, None)
    }

    /// Returns the answer as lines.
    pub fn show(&self, value: &Value) -> String {
        match self {
            Beam::Offers => offers(value),
            Beam::Window { close: false } => format!("until {}: nobody is asked for", time(&value["until"])),
            Beam::Undo { .. } => format!("{} tracks went to the trash", value["gone"]),
            Beam::Pair { end: false } => {
                let minutes = value["seconds"].as_u64().unwrap_or(0) / 60;
                format!("{} (type it on the phone within {minutes} minutes)", text(&value["pin"]))
            }
            Beam::Setup => {
                let minutes = value["seconds"].as_u64().unwrap_or(0) / 60;
                format!("for {minutes} minutes the next device that asks becomes an owner")
            }
            Beam::Devices => rows(&value["items"], |device| {
                let wish = device["on_arrival"].as_str().unwrap_or("as the settings say");
                format!("{}  {}  {}  {wish}\n", device["id"], text(&device["right"]), text(&device["name"]))
            }),
            _ => "done".to_owned(),
        }
    }
}

fn offers(value: &Value) -> String {
    let asks = rows(&value["asks"], |ask| {
        let names: Vec<&str> =
            ask["names"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let (id, from, bytes) = (&ask["id"], text(&ask["from"]), bytes(&ask["bytes"]));
        format!("{id}  {from} wants to send {} files ({bytes}): {}\n", ask["files"], names.join(", "))
    });
    let beams = rows(&value["beams"], |beam| {
        let known = beam["known_count"].as_u64().filter(|known| *known > 0);
        let known = known.map(|known| format!(", {known} were here already")).unwrap_or_default();
        let left = beam["left_out"].as_array().into_iter().flatten();
        let left: Vec<String> =
            left.map(|left| format!("{}: {}", text(&left["name"]), text(&left["reason"]))).collect();
        let left = match beam["left_out_count"].as_u64() {
            Some(count @ 1..) => format!(", {count} left there ({})", left.join("; ")),
            _ => String::new(),
        };
        let undo = if beam["undo_until"].is_null() { "" } else { ", can be taken back" };
        format!(
            "{}  {} from {}: {} of {} received, {} on the shelf, {} refused{known}{left}{undo}\n",
            beam["id"],
            text(&beam["state"]),
            text(&beam["from"]),
            beam["received"],
            beam["files"],
            beam["stored"],
            beam["refused"],
        )
    });
    let window = match &value["window"] {
        Value::Null => String::new(),
        until => format!("nobody is asked for until {}\n", time(until)),
    };
    format!("{asks}{beams}{window}")
}

fn rows(list: &Value, row: impl Fn(&Value) -> String) -> String {
    list.as_array().into_iter().flatten().map(row).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn bytes(value: &Value) -> ByteCount {
    ByteCount(value.as_u64().unwrap_or(0))
}

fn time(value: &Value) -> String {
    value.as_i64().map_or_else(|| text(value).to_owned(), |seconds| UnixTime(seconds).rfc3339())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_told_in_a_line_each() {
        let value = json!({
            "asks": [{ "id": 3, "from": "Yuki", "files": 2, "bytes": 5_000_000, "names": ["a.mp3", "b.mp3"] }],
            "beams": [{ "id": 1, "state": "ended", "from": "Ken", "files": 3, "received": 3, "stored": 2, "refused": 1,
                        "known_count": 4, "undo_until": 7, "left_out_count": 1,
                        "left_out": [{ "name": "cover.jpg", "code": "not_audio", "reason": "it is no music" }] }],
            "window": 0,
        });
        let shown = Beam::Offers.show(&value);
        assert_eq!(
            shown,
            "3  Yuki wants to send 2 files (5.0 MB): a.mp3, b.mp3\n\
             1  ended from Ken: 3 of 3 received, 2 on the shelf, 1 refused, 4 were here already, \
             1 left there (cover.jpg: it is no music), can be taken back\n\
             nobody is asked for until 1970-01-01T00:00:00Z\n"
        );
        let wish = Beam::Device { id: 7, on_arrival: Some("settings".into()), forget: false };
        assert_eq!(
            wish.request(),
            (Method::PUT, "/api/devices/7".into(), Some(json!({ "on_arrival": null })))
        );
    }
}
