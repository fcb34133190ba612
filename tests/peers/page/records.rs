//! Records of bands that do not exist, with covers that were never printed.

use std::path::Path;
use std::process::Command;

use crate::support::process::run;

struct Record {
    artist: &'static str,
    album: &'static str,
    songs: &'static [&'static str],
    colours: (&'static str, &'static str),
}

/// Lays the records into a music folder.
pub fn lay(music: &Path) {
    for record in RECORDS {
        let folder = music.join(record.artist).join(record.album);
        std::fs::create_dir_all(&folder).expect("a folder");
        let cover = folder.join("cover.png");
        let (from, to) = record.colours;
        let drawing = format!("gradients=s=600x600:c0={from}:c1={to}:x0=40:y0=40:x1=560:y1=560");
        ffmpeg(&["-f", "lavfi", "-i", &drawing, "-frames:v", "1", &text(&cover)]);
        for (place, song) in record.songs.iter().enumerate() {
            let path = folder.join(format!("{:02} {song}.flac", place + 1));
            let sound = format!("sine={}:d={}", 200 + place * 40, 150 + place * 23);
            let tags: Vec<String> = [("title", *song), ("artist", record.artist), ("album", record.album)]
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .chain([format!("track={}", place + 1)])
                .collect();
            let cover = text(&cover);
            let mut arguments = vec!["-f", "lavfi", "-i", &sound, "-i", &cover, "-map", "0", "-map", "1"];
            arguments.extend(["-c:v", "copy", "-disposition:v", "attached_pic"]);
            arguments.extend(tags.iter().flat_map(|tag| ["-metadata", tag.as_str()]));
            let path = text(&path);
            arguments.push(&path);
            ffmpeg(&arguments);
        }
        std::fs::remove_file(&cover).expect("it is in the songs");
    }
}

/// How many songs they have.
pub fn count() -> usize {
    RECORDS.iter().map(|record| record.songs.len()).sum()
}

fn text(path: &Path) -> String {
    path.to_str().expect("text").to_owned()
}

fn ffmpeg(arguments: &[&str]) {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]).args(arguments);
    run(command);
}

const RECORDS: &[Record] = &[
    Record {
        artist: "港町楽団",
        album: "灯台",
        songs: &["夜明け前", "波止場", "灯台守", "帰り船"],
        colours: ("0x123a5a", "0xe8b25a"),
    },
    Record {
        artist: "Alder & Finch",
        album: "Slow Rivers",
        songs: &["Headwater", "Slow Rivers", "Ferry", "Delta"],
        colours: ("0x2d4a3a", "0xd8e0b0"),
    },
    Record {
        artist: "Marta Olin Trio",
        album: "Late Tram",
        songs: &["Late Tram", "Wet Street", "Two Stops", "Home"],
        colours: ("0x301a3a", "0xe06a6a"),
    },
    Record {
        artist: "夏目はる",
        album: "青い窓",
        songs: &["青い窓", "雨の匂い", "自転車"],
        colours: ("0x1a5a7a", "0xbfe6f0"),
    },
    Record {
        artist: "Orchard Street Band",
        album: "Windfall",
        songs: &["Windfall", "Ladder", "Cider"],
        colours: ("0x5a1a1a", "0xf0a048"),
    },
    Record {
        artist: "Ines Duarte",
        album: "Sal",
        songs: &["Sal", "Maré", "Areia"],
        colours: ("0x0a4a5a", "0xf2e6c8"),
    },
    Record {
        artist: "Northern Glass",
        album: "Ice Line",
        songs: &["Ice Line", "Aurora", "Thaw"],
        colours: ("0x102030", "0x90e0d0"),
    },
];
