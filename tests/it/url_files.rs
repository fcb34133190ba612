//! Files behind URLs: what they say of themselves, and where an MP4 keeps its index.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use konpo::hifi::command::{At, Command, NewEntry, Playable};
use konpo::hifi::state::Transport;
use lofty::config::WriteOptions;
use lofty::tag::{Accessor, TagExt};

use crate::urls::Bench;

/// A server on a free port. It gives parts of the files whose name begins with `ranged`, and of the others the whole only.
struct Server(String);

impl Server {
    fn start(files: HashMap<&'static str, Vec<u8>>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = format!("http://{}", listener.local_addr().expect("bound"));
        let files = Arc::new(files);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let files = files.clone();
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
                    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
                    let mut from = None;
                    loop {
                        let line = lines.next()?.ok()?.to_ascii_lowercase();
                        if line.is_empty() {
                            break;
                        }
                        let range =
                            line.strip_prefix("range: bytes=").and_then(|rest| rest.split('-').next());
                        from = range.and_then(|from| from.parse::<usize>().ok()).or(from);
                    }
                    let file = files.get(path.trim_start_matches('/'))?;
                    let from = from.filter(|_| path.starts_with("/ranged"));
                    let rest = &file[from.unwrap_or(0)..];
                    let head = match from {
                        Some(from) => format!(
                            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{}\r\n",
                            file.len() - 1,
                            file.len()
                        ),
                        None => "HTTP/1.1 200 OK\r\n".to_owned(),
                    };
                    let head = format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n", rest.len());
                    stream.write_all(head.as_bytes()).ok()?;
                    stream.write_all(rest).ok()
                });
            }
        });
        Server(at)
    }

    fn add(&self, name: &str) -> Command {
        let what = Playable::Url(format!("{}/{name}", self.0).into());
        let entries = vec![NewEntry { what, shown: Arc::default(), said: None, hints: Default::default() }];
        Command::Add { entries, at: At::End, play: true }
    }
}

fn data(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).expect("a fixture")
}

/// Puts 5 MB between the sound of an MP4 and the index behind it.
fn index_far_behind(mp4: &[u8]) -> Vec<u8> {
    let at = mp4.windows(4).rposition(|name| name == b"moov").expect("an index") - 4;
    let gap = 5u32 << 20;
    let mut file = mp4[..at].to_vec();
    file.extend_from_slice(&gap.to_be_bytes());
    file.extend_from_slice(b"free");
    file.resize(at + gap as usize, 0);
    file.extend_from_slice(&mp4[at..]);
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_behind_the_sound_needs_a_server_that_gives_parts_and_the_notice_says_so() {
    let bench = Bench::new().await;
    let file = index_far_behind(&data("tone-aac.m4a"));
    let server = Server::start(HashMap::from([("ranged.m4a", file.clone()), ("plain.m4a", file)]));
    bench.send(server.add("plain.m4a")).await;
    let state = bench.until("a notice", |s| !s.notices.is_empty()).await;
    let words = &state.notices[0].words;
    let why =
        "the index of this MP4 file stands behind its sound, and its server does not give parts of a file";
    assert!(words.starts_with("plain.m4a cannot be played") && words.contains(why), "{words}");
    bench.until("silence", |s| s.transport == Transport::Stopped).await;
    bench.send(server.add("ranged.m4a")).await;
    let state = bench.until("the same with parts", |s| s.starts == 1).await;
    assert_eq!(state.notices.len(), 1);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_says_of_itself_is_shown_where_nobody_said_anything() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = HashMap::new();
    for (name, from) in [("song.flac", "tone.flac"), ("song.mp3", "tone.mp3"), ("ranged.m4a", "tone-aac.m4a")]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, data(from)).expect("written");
        let mut file = std::fs::File::open(&path).expect("there");
        let probe = lofty::probe::Probe::new(&mut file).guess_file_type().expect("read");
        let mut tag = lofty::tag::Tag::new(probe.file_type().expect("known").primary_tag_type());
        tag.set_title(format!("Title of {name}"));
        tag.set_artist("Singer".into());
        tag.save_to_path(&path, WriteOptions::default()).expect("tagged");
        files.insert(name, std::fs::read(&path).expect("tagged"));
    }
    let (bench, server) = (Bench::new().await, Server::start(files));
    for (number, name) in ["song.flac", "song.mp3", "ranged.m4a"].into_iter().enumerate() {
        bench.send(server.add(name)).await;
        let title = format!("Title of {name}");
        let state = bench
            .until("the title", |s| {
                s.queue.entries.get(number).is_some_and(|entry| entry.shown.title.as_ref() == Some(&title))
            })
            .await;
        assert_eq!(state.queue.entries[number].shown.artist.as_deref(), Some("Singer"));
    }
    bench.end().await;
}
