//! What `konpo ctl` prints for a person.

use serde_json::Value;

use crate::ctl::Ask;
use crate::units::{ByteCount, Millis};

/// Returns the answer to `ask` as lines.
pub fn show(ask: &Ask, value: &Value) -> String {
    match ask {
        Ask::Status => status(value),
        Ask::Queue => rows(&value["queue"], entry),
        Ask::Track { .. } => track(value),
        Ask::Purchases(_) => purchases(value),
        Ask::Tracks | Ask::Search { .. } => {
            format!("{}{} tracks", rows(&value["items"], track), value["total"])
        }
        Ask::Neighbours => rows(&value["items"], neighbour),
        Ask::Arrivals => rows(&value["items"], arrival),
        Ask::Beam(beam) => beam.show(value),
        Ask::Settings => settings(value),
        Ask::Send(send) => send.show(value),
        Ask::Token => text(&value["token"]).to_owned(),
        _ => "done".to_owned(),
    }
}

/// One line for each setting: its value and who says it.
fn settings(all: &Value) -> String {
    let by = |source: &str| match source {
        "page" => "the page",
        "file" => "konpo.toml",
        "command" => "the command line",
        _ => "the default",
    };
    let line = |(key, told): (&String, &Value)| {
        let value = &told["value"];
        let value = if value.is_null() { "not set".to_owned() } else { value.to_string() };
        format!("{key} = {value}  ({})\n", by(text(&told["source"])))
    };
    all.as_object().into_iter().flatten().map(line).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn rows(list: &Value, row: impl Fn(&Value) -> String) -> String {
    list.as_array().into_iter().flatten().map(|item| row(item) + "\n").collect()
}

fn time(value: &Value) -> Millis {
    Millis(value.as_u64().unwrap_or(0))
}

fn status(state: &Value) -> String {
    let current = &state["current"];
    let entries = state["queue"].as_array();
    let guest = state["guest"]["now"].as_object().map(|_| &state["guest"]["now"]);
    let here = entries.into_iter().flatten().find(|entry| !current.is_null() && entry["id"] == *current);
    let here = guest.or(here);
    let what = here
        .map_or("nothing chosen".to_owned(), |e| format!("{} – {}", text(&e["artist"]), text(&e["title"])));
    let knob = match (state["fixed_volume"].as_bool(), state["mute"].as_bool()) {
        (Some(true), _) => "fixed".to_owned(),
        (_, Some(true)) => format!("{} (muted)", state["volume"]),
        _ => state["volume"].to_string(),
    };
    let device = &state["device"];
    let modes = modes(state);
    let mut out = format!(
        "{}: {what}\n{} of {}, volume {knob}, {} in the queue{modes}\noutput: {}",
        text(&state["transport"]),
        time(&state["position_ms"]),
        time(&state["duration_ms"]),
        state["queue_length"],
        text(&device["name"]),
    );
    if let Some(trouble) = device["trouble"].as_str() {
        out.push_str(&format!(" ({trouble})"));
    }
    let on_air = &state["on_air"];
    if on_air.is_object() {
        out.push_str(&format!("\non air: {}: {}", text(&on_air["name"]), text(&on_air["title"])));
    }
    let signal = &state["signal"];
    if signal.is_object() {
        let perfect = match (signal["bit_perfect"].as_bool(), signal["because"].as_str()) {
            (Some(true), _) => "yes".to_owned(),
            (_, because) => format!("no, because {}", because.unwrap_or("nobody knows")),
        };
        let source = &signal["source"];
        let way: String = signal["processing"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|s| format!(" → {}", text(s)))
            .collect();
        out.push_str(&format!(
            "\nsignal: {} {} Hz{way} → {} Hz {}, bit-perfect: {perfect}",
            text(&source["codec"]),
            source["rate"],
            signal["rate"],
            text(&signal["sample"]),
        ));
        if let Some(hardware) = signal["hardware"].as_str() {
            out.push_str(&format!(" ({hardware})"));
        }
    }
    for notice in state["notices"].as_array().into_iter().flatten() {
        out.push_str(&format!("\n{}  {}", text(&notice["at"]), text(&notice["words"])));
    }
    out
}

/// Returns what is set of how the queue is played and how loud, each behind a comma.
fn modes(state: &Value) -> String {
    let on = |key: &str| state[key].as_bool() == Some(true);
    let mut out = match state["repeat"].as_str() {
        Some(what @ ("all" | "one")) => format!(", repeat {what}"),
        _ => String::new(),
    };
    for (key, words) in [
        ("shuffle", "shuffle"),
        ("single", "single"),
        ("consume", "consume"),
        ("stop_after", "stop after this"),
    ] {
        if on(key) {
            out.push_str(&format!(", {words}"));
        }
    }
    if let Some(left) = state["sleep"]["left_ms"].as_u64() {
        out.push_str(&format!(", sleeps in {}", Millis(left)));
    }
    let quiet = &state["quiet"];
    match (quiet["because"].as_str(), quiet["until"].as_str()) {
        (Some("clock"), _) => out.push_str(", quiet while the time is not known"),
        (Some(_), Some(until)) => out.push_str(&format!(", quiet until {until}")),
        (Some(_), None) => out.push_str(", quiet"),
        (None, _) if quiet["mode"] == "off" => out.push_str(", quiet hours off"),
        (None, _) => {}
    }
    out
}

fn entry(entry: &Value) -> String {
    let length = time(&entry["duration_ms"]);
    format!("{:>6}  {} – {}  {length}", entry["id"], text(&entry["artist"]), text(&entry["title"]))
}

fn track(track: &Value) -> String {
    let mut row = format!(
        "{:>6}  {} – {} – {}  {}",
        track["id"],
        text(&track["artist"]),
        text(&track["album"]),
        text(&track["title"]),
        time(&track["duration_ms"]),
    );
    if let Some(headline) = track["protection"]["headline"].as_str() {
        row.push_str(&format!("\n        {headline}. {}", text(&track["protection"]["advice"])));
    }
    for purchase in track["purchases"].as_array().into_iter().flatten() {
        row.push_str(&format!(
            "\n        bought at {}, {}",
            text(&purchase["store"]),
            text(&purchase["bought_at"])
        ));
    }
    if let Some(story) = track["story"].as_str() {
        row.push_str(&format!("\n        {story}"));
    }
    row
}

/// Returns what was bought: the groups with how many each has, then every buy with what can be done about its lock.
fn purchases(list: &Value) -> String {
    let group = |group: &Value| {
        format!("{:>6}  {}", group["total"].as_u64().unwrap_or(0), named_or(&group["name"], "not known"))
    };
    format!("{}{}{} purchases", rows(&list["groups"], group), rows(&list["items"], bought), list["total"])
}

fn named_or<'a>(value: &'a Value, otherwise: &'a str) -> &'a str {
    value.as_str().filter(|name| !name.is_empty()).unwrap_or(otherwise)
}

fn bought(bought: &Value) -> String {
    let id = bought["track"]["id"].as_i64().map_or("-".to_owned(), |id| id.to_string());
    let mut row = format!(
        "{id:>6}  {}  {}  {} – {} – {}  ({}, {})",
        text(&bought["at"]),
        text(&bought["store_name"]),
        text(&bought["artist"]),
        text(&bought["album"]),
        text(&bought["title"]),
        text(&bought["level"]),
        text(&bought["brought_by"]),
    );
    if let Some(buyer) = bought["account"].as_str() {
        row.push_str(&format!("\n        bought by {buyer}"));
    }
    let lock = &bought["protection"];
    match (lock["headline"].as_str(), bought["locked"].as_bool(), bought["unlocked"]["at"].as_str()) {
        (Some(headline), Some(true), _) => {
            row.push_str(&format!("\n        locked: {headline}. {}", text(&lock["advice"])));
        }
        (Some(_), _, Some(at)) => row.push_str(&format!("\n        unlocked {at}")),
        _ if bought["track"].is_null() => row.push_str("\n        its file is not here"),
        _ => {}
    }
    row
}

/// Returns a neighbour as lines.
pub fn neighbour(neighbour: &Value) -> String {
    let state = &neighbour["state"];
    let number = |key: &str| state[key].as_u64().unwrap_or(0);
    let doing = match text(&state["state"]) {
        "unusable" => format!("cannot be used: {}", text(&state["reason"])),
        "waiting" => format!("waits: {}", text(&state["reason"])),
        "pulling" => format!("coming in: {} of {}", number("done"), number("total")),
        name @ ("looked" | "pulled") => format!(
            "{name}: {} tracks, {} new, {}, {}; {} left on the phone",
            number("tracks"),
            number("new"),
            ByteCount(number("bytes")),
            Millis(number("duration")),
            number("left"),
        ),
        other => other.to_owned(),
    };
    format!(
        "{}  {} ({})  {}\n        {doing}",
        text(&neighbour["id"]),
        text(&neighbour["name"]),
        text(&neighbour["model"]),
        text(&neighbour["consent"]),
    )
}

/// Returns a konpo that was heard by its name as a line.
pub fn named(konpo: &Value) -> String {
    let addresses: Vec<&str> = konpo["addresses"].as_array().into_iter().flatten().map(text).collect();
    format!(
        "{}  {}  konpo {}, {}",
        text(&konpo["name"]),
        text(&konpo["url"]),
        text(&konpo["version"]),
        addresses.join(" ")
    )
}

fn arrival(arrival: &Value) -> String {
    let verdict = &arrival["verdict"];
    let end = match verdict["verdict"].as_str() {
        Some("refused") => format!("not taken: {}", text(&verdict["reason"])),
        Some("read") => text(&verdict["told"]).to_owned(),
        Some("locked") => format!("on the shelf, locked, track {}", verdict["track"]),
        Some(name) => format!("{name}, track {}", verdict["track"]),
        None => format!("{} so far", ByteCount(arrival["received"].as_u64().unwrap_or(0))),
    };
    format!("{:>6}  {}  {}  {end}", arrival["id"], text(&arrival["from"]), text(&arrival["name"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_locked_track_says_what_to_do() {
        let page = json!({ "total": 1, "items": [{
            "id": 3, "title": "Song", "artist": "Singer", "album": null, "duration_ms": 61_000,
            "protection": { "headline": "Bought from iTunes with copy protection", "advice": "Download it again." },
            "purchases": [{ "store": "itunes", "bought_at": "2006-01-02" }],
        }]});
        let shown = show(&Ask::Tracks, &page);
        assert!(shown.contains("Bought from iTunes with copy protection. Download it again."), "{shown}");
        assert!(shown.contains("Singer – - – Song  1:01") && shown.contains("bought at itunes, 2006-01-02"));
    }

    #[test]
    fn a_buy_says_what_can_be_done_about_its_lock() {
        let lock =
            json!({ "headline": "Bought from iTunes with copy protection", "advice": "Download it again." });
        let item = json!({ "track": { "id": 3 }, "title": "Song", "artist": "Singer", "album": null, "level": "embedded",
            "at": "2006-01-02", "store_name": "the iTunes Store", "brought_by": "Yuki's phone", "locked": true,
            "protection": lock, "unlocked": null });
        let mut page = json!({ "total": 2, "groups": [{ "key": "2006", "name": "2006", "total": 1 },
            { "key": "", "name": "", "total": 1 }], "items": [item, { "title": "Gone", "level": "claimed" }] });
        let shown = show(&Ask::Purchases(Default::default()), &page);
        for line in [
            "     1  2006",
            "     1  not known",
            "     3  2006-01-02  the iTunes Store  Singer – - – Song  (embedded, Yuki's phone)",
            "        locked: Bought from iTunes with copy protection. Download it again.",
            "        its file is not here",
            "2 purchases",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line} is not in {shown}");
        }
        page["items"][0]["locked"] = json!(false);
        page["items"][0]["unlocked"] = json!({ "at": "2026-11-21T00:00:00Z" });
        let shown = show(&Ask::Purchases(Default::default()), &page);
        assert!(shown.contains("unlocked 2026-11-21") && !shown.contains("Download"), "{shown}");
    }

    #[test]
    fn a_track_tells_its_story() {
        let shown = show(&Ask::Track { id: 3 }, &json!({ "id": 3, "story": "Bought at mora" }));
        assert!(shown.ends_with("Bought at mora"), "{shown}");
    }

    #[test]
    fn the_status_says_how_the_queue_is_played() {
        let state = json!({ "repeat": "all", "shuffle": true, "single": false, "stop_after": true,
            "sleep": { "left_ms": 61_000, "end": "fade" }, "queue_length": 3,
            "quiet": { "mode": "auto", "because": "hours", "until": "07:00", "limit": 20 } });
        let shown = show(&Ask::Status, &state);
        let want =
            "3 in the queue, repeat all, shuffle, stop after this, sleeps in 1:01, quiet until 07:00\n";
        assert!(shown.contains(want), "{shown}");
    }

    #[test]
    fn an_answer_of_any_shape_is_shown_without_a_panic() {
        for value in [Value::Null, json!([]), json!({ "queue": 3, "items": "x" }), json!({ "items": [1] })] {
            for ask in [Ask::Status, Ask::Queue, Ask::Tracks, Ask::Neighbours, Ask::Arrivals, Ask::Token] {
                assert!(show(&ask, &value).len() < 1000);
            }
        }
    }
}
