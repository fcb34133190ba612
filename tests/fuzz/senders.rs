//! What phones send by themselves: LocalSend's JSON. What is taken is bounded, and no name leads elsewhere.

use std::collections::HashSet;
use std::path::{Component, Path};

use konpo::intake::door::policy;
use konpo::offer::push::Sent;
use konpo::units::ByteCount;
use konpo::wire::localsend as messages;

use crate::Target;

pub const TARGETS: [Target; 1] = [Target {
    name: "localsend",
    read: localsend,
    words: &[
        b"{\"info\":{\"alias\":\"a\",\"version\":\"2.1\",\"fingerprint\":\"f\",\"port\":53317,\"protocol\":\"https\"},\"files\":{",
        b"\"1\":{\"id\":\"1\",\"fileName\":\"a.mp3\",\"size\":3,\"fileType\":\"audio/mpeg\"}",
        b"\"fileName\":\"../\"",
        b"\"sha256\":\"",
        b"\"preview\":\"",
        b"\"announce\":true",
        b"\"port\":",
        b"../",
        b"\\\\..\\\\",
        b"\\u0000",
        b"\\u202e",
        b"\\ud800",
        b"18446744073709551616",
        b"1e400",
        b"[[[[[[[[",
        b"null",
        b"}}",
        b",",
    ],
    largest: 200_000,
    memory: 8 << 20,
}];

fn localsend(bytes: &[u8]) -> String {
    let heard = messages::heard(bytes, "own").map(|device| {
        assert!(device.port != 0 && !device.fingerprint.is_empty(), "{device:?}");
        device.alias.len().min(3)
    });
    let register = messages::register(bytes).map(|device| device.port.min(2)).ok();
    let prepared = match messages::prepare(bytes) {
        Ok(prepare) => {
            let files = &prepare.files.0;
            let ids: HashSet<&str> = files.iter().map(|(id, _)| id.as_str()).collect();
            assert!((1..=messages::MOST_FILES).contains(&files.len()) && ids.len() == files.len());
            let fit = files.iter().filter(|(_, file)| is_fit(file)).count();
            format!("{} {} {}", files.len().min(9), fit.min(9), prepare.text().is_some())
        }
        // Where and what stands there is no other behaviour.
        Err(error) => {
            error.to_string().split(['`', '"', '0', '1', '2']).next().unwrap_or_default().to_owned()
        }
    };
    let accepted = messages::accepted(bytes).map(|accepted| accepted.files.len().min(3)).ok();
    let refused = messages::refusal(bytes).inspect(|words| {
        assert!(!words.contains(char::is_control) && words.chars().count() <= 200, "{words:?}");
    });
    format!("{heard:?} {register:?} {prepared} {accepted:?} {}", refused.is_some())
}

fn is_fit(file: &messages::File) -> bool {
    let (name, size) = (policy::kept(&file.file_name), ByteCount(file.size));
    let sent = Sent { name, size, mime: file.file_type.clone(), sha256: file.sum() };
    let fit = policy::unfit(&file.file_name).is_none() && policy::unfit(&sent.name).is_none();
    for path in [sent.name.clone(), sent.name.replace('\\', "/")].iter().filter(|_| fit) {
        let below = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        assert!(below && !path.is_empty() && !path.contains(char::is_control), "{path:?}");
    }
    let _either = policy::is_no_music(&sent);
    fit
}
