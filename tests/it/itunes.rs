//! A library of iTunes as large as those of collectors, read in little memory.

use std::io::{self, Read};

use konpo::media::itunes_xml::{Entry, read};

use crate::callback_alloc::most_held;

/// Writes a library of so many tracks and one list of all, as it is read.
struct Large {
    tracks: u32,
    /// Playlists with rules of 900 kB each: what makes the file large without taking the test long.
    smart: u32,
    next: u32,
    text: Vec<u8>,
    at: usize,
    given: u64,
}

impl Large {
    fn new(tracks: u32, smart: u32) -> Large {
        let text = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\">\n<dict>\n\
            <key>Library Persistent ID</key><string>0123456789ABCDEF</string>\n<key>Tracks</key>\n<dict>\n";
        Large { tracks, smart, next: 0, text: text.to_vec(), at: 0, given: 0 }
    }

    /// Puts the next piece; an empty one at the end.
    fn write(&mut self) {
        let (n, tracks) = (self.next, self.tracks);
        self.at = 0;
        self.text = match n {
            _ if n < tracks => track(n),
            _ if n == tracks => {
                b"</dict>\n<key>Playlists</key>\n<array><dict><key>Name</key><string>All</string>\n\
                <key>Playlist Items</key><array>\n"
                    .to_vec()
            }
            _ if n <= 2 * tracks => {
                format!("<dict>\n\t<key>Track ID</key><integer>{}</integer>\n</dict>\n", n - tracks)
                    .into_bytes()
            }
            _ if n == 2 * tracks + 1 => b"</array></dict>".to_vec(),
            _ if n <= 2 * tracks + 1 + self.smart => {
                let rules = "QUJD\n".repeat(180_000);
                format!("<dict><key>Smart Criteria</key><data>{rules}</data></dict>").into_bytes()
            }
            _ if n == 2 * tracks + 2 + self.smart => b"</array></dict></plist>\n".to_vec(),
            _ => Vec::new(),
        };
        self.next += 1;
    }
}

fn track(n: u32) -> Vec<u8> {
    format!(
        "\t\t<key>{n}</key>\n\t\t<dict>\n\t\t\t<key>Track ID</key><integer>{n}</integer>\n\t\t\t<key>Size</key>\
         <integer>7654321</integer>\n\t\t\t<key>Total Time</key><integer>215040</integer>\n\t\t\t<key>Track Number</key>\
         <integer>3</integer>\n\t\t\t<key>Year</key><integer>2008</integer>\n\t\t\t<key>Date Modified</key>\
         <date>2008-07-17T09:12:45Z</date>\n\t\t\t<key>Date Added</key><date>2008-07-17T09:12:45Z</date>\n\t\t\t\
         <key>Bit Rate</key><integer>256</integer>\n\t\t\t<key>Sample Rate</key><integer>44100</integer>\n\t\t\t\
         <key>Play Count</key><integer>{n}</integer>\n\t\t\t<key>Play Date UTC</key><date>2016-09-01T10:11:12Z</date>\n\
         \t\t\t<key>Persistent ID</key><string>{n:016X}</string>\n\t\t\t<key>Track Type</key><string>File</string>\n\
         \t\t\t<key>Purchased</key><true/>\n\t\t\t<key>File Folder Count</key><integer>5</integer>\n\t\t\t<key>Name</key>\
         <string>夜明けの電車 {n}</string>\n\t\t\t<key>Artist</key><string>山田花子 &#38; 友だち</string>\n\t\t\t<key>Album</key>\
         <string>遠い窓</string>\n\t\t\t<key>Genre</key><string>J-Pop</string>\n\t\t\t<key>Kind</key>\
         <string>Purchased AAC audio file</string>\n\t\t\t<key>Comments</key><string>{:x<300}</string>\n\t\t\t\
         <key>Location</key><string>file://localhost/C:/Users/hanako/Music/iTunes/iTunes%20Media/Music/%E5%B1%B1%E7%94%B0\
         /%E9%81%A0%E3%81%84/{n:02}%20%E5%A4%9C.m4a</string>\n\t\t</dict>\n",
        ""
    )
    .into_bytes()
}

impl Read for Large {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.text.len() {
            self.write();
        }
        let count = into.len().min(self.text.len() - self.at);
        into[..count].copy_from_slice(&self.text[self.at..self.at + count]);
        self.at += count;
        self.given += count as u64;
        Ok(count)
    }
}

#[test]
fn a_library_of_300_mb_is_read_in_little_memory() {
    let mut large = Large::new(TRACKS, 300);
    let (mut tracks, mut listed, mut plays) = (0u32, 0u32, 0u64);
    let begun = std::time::Instant::now();
    let held = most_held(|| {
        for entry in read(&mut large) {
            match entry.expect("it is whole") {
                Entry::Library(_) => {}
                Entry::Track(track) => {
                    assert!(track.purchased && track.location.is_some() && track.added.is_some());
                    tracks += 1;
                    plays += u64::from(track.plays);
                }
                Entry::List(list) => listed += list.tracks.len() as u32,
            }
        }
    });
    println!(
        "{} MB, {tracks} tracks, {:?}, {} kB held at most",
        large.given / 1_000_000,
        begun.elapsed(),
        held / 1000
    );
    assert!(large.given >= 300_000_000, "{}", large.given);
    assert_eq!((tracks, listed, plays), (TRACKS, TRACKS, u64::from(TRACKS) * u64::from(TRACKS - 1) / 2));
    assert!(held < 6 << 20, "{held} bytes");
}

/// Of usual sizes; 185,000 such tracks are 300 MB by themselves.
const TRACKS: u32 = 20_000;
