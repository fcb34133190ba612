//! Makes a collection on the disk, two threads at work, the same bytes at every run.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::names;
use super::song::{Kind, Song, pattern};
use super::{flac, m4a, mp3};

/// Fills `folder` with `count` tagged files of 2 to 8 kB; no two have the same sound. A third each is FLAC, MP3 and M4A.
pub fn small(folder: &Path, count: usize) {
    let (albums, pattern) = (names::albums(count), pattern());
    share(albums.len(), |number| {
        for song in albums[number].songs(&pattern) {
            let bytes = match song.kind {
                Kind::Flac => flac::small(&song),
                Kind::Mp3 => mp3::small(&song),
                Kind::M4a => m4a::small(&song),
            };
            fs::write(place(folder, &song), bytes).expect("room for a file");
        }
    });
    nix::unistd::sync();
}

/// Fills `folder` with `count` files of about 100 MB. The sound of a FLAC is a hole between its first frames and its last;
/// the MP4 have `moov` last.
pub fn big(folder: &Path, count: usize) {
    let pattern = pattern();
    // More than are needed, so that enough of each kind are there.
    let albums = names::albums(count * 12);
    let songs: Vec<Song> = albums.iter().flat_map(|album| album.songs(&pattern)).collect();
    let of = |kind: Kind, count: usize| songs.iter().filter(move |song| song.kind == kind).take(count);
    let (flac, m4a) = (count / 2, count / 10);
    let kinds = [(Kind::Flac, flac), (Kind::Mp3, count - flac - m4a), (Kind::M4a, m4a)];
    let songs: Vec<&Song> = kinds.into_iter().flat_map(|(kind, count)| of(kind, count)).collect();
    assert_eq!(songs.len(), count, "enough of every kind are there");
    share(count, |number| {
        let song = songs[number];
        let file = File::create(place(folder, song)).expect("a file");
        if song.kind == Kind::Flac {
            let (begin, end) = flac::big(song, BIG);
            file.write_all_at(&begin, 0).expect("written");
            file.write_all_at(&end, BIG - end.len() as u64).expect("written");
            return;
        }
        let mut file = BufWriter::with_capacity(1 << 20, file);
        let written = match song.kind {
            Kind::M4a => m4a::big(song, BIG, &mut file),
            _ => mp3::big(song, BIG, &mut file),
        };
        written.and_then(|()| file.flush()).expect("room for a file");
    });
    nix::unistd::sync();
}

/// Returns where a song goes; its folder is there then.
fn place(folder: &Path, song: &Song) -> PathBuf {
    let path = folder.join(&song.path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    path
}

/// Does `work` for every number below `count` on two threads.
fn share(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    work(number);
                }
            });
        }
    });
}

/// Returns every file below `folder` that is no folder, and reads it once, so that it is in memory.
pub fn warm(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                fs::read(&path).expect("readable");
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The size of a big file.
pub const BIG: u64 = 100_000_000;
