//! What lies in music folders beside music.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::{SILENT, here, wav};
use crate::support::konpo::{Konpo, text};
use crate::support::net::Lan;
use crate::support::{fixtures, patient};

#[test]
fn pipes_devices_loops_and_holes_are_passed_by() {
    let lan = Lan::new();
    let mut konpo = Konpo::new(&lan.host("hifi"), SILENT);
    let music = konpo.path("music");
    nodes(&music);
    links(&music);
    wav(music.join("plain.wav"), 1);
    wav(music.join(OsStr::from_bytes(b"caf\xe9/\xff\xfe.wav")), 2);
    wav(music.join(format!("{}.wav", "n".repeat(251))), 3);
    wav(music.join("d/".repeat(60)).join("deep.wav"), 4);
    beyond_any_path(&music);
    let hole = music.join("hole.flac");
    fixtures::noise(5, 44_100, 16, 44_100).flac(&hole, &[("title", "Hole")]);
    fs::OpenOptions::new().write(true).open(&hole).and_then(|file| file.set_len(5 << 30)).expect("a hole");
    let begun = Instant::now();
    konpo.spawn();
    konpo.ready();
    let tracks = here(&konpo, "the music among it", 5);
    println!("{:.1} s after the start", begun.elapsed().as_secs_f64());
    let read = rchar(&konpo);
    println!("konpo read {:.1} MB in all until then", read as f64 / 1e6);
    assert!(read < 64 << 20, "a head of the hole, not the hole");
    let hole = tracks.iter().find(|track| track["title"] == "Hole").expect("listed");
    assert_eq!(hole["size"], 5_u64 << 30);

    // Only folders of the shelf are watched, and only theirs: no link leads the watch out.
    let watched = watched(&konpo);
    println!("{watched} folders are watched");
    assert!(watched < 200, "{watched} folders are watched");
    // More of it comes while konpo runs.
    fs::create_dir(music.join("later")).expect("a folder");
    nodes(&music.join("later"));
    links(&music.join("later"));
    wav(music.join("later").join(OsStr::from_bytes(b"\xc3.wav")), 6);
    here(&konpo, "one more among more of it", 6);
    assert!(self::watched(&konpo) < 200, "{} folders are watched", self::watched(&konpo));
    let took = konpo.stop();
    assert!(took < patient(Duration::from_secs(3)), "{took:?}");
}

/// A pipe, devices and a socket that are called music.
fn nodes(folder: &Path) {
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    nix::unistd::mkfifo(&folder.join("pipe.wav"), mode).expect("a pipe");
    mknod(&folder.join("null.mp3"), SFlag::S_IFCHR, mode, makedev(1, 3)).expect("root may");
    mknod(&folder.join("zero.flac"), SFlag::S_IFCHR, mode, makedev(1, 5)).expect("root may");
    mknod(&folder.join("loop.wav"), SFlag::S_IFBLK, mode, makedev(7, 250)).expect("root may");
    // The path of a socket has little room.
    let short = tempfile::tempdir_in("/tmp").expect("a folder");
    UnixListener::bind(short.path().join("s")).expect("a socket");
    fs::rename(short.path().join("s"), folder.join("socket.mp3")).expect("the same disk");
}

/// Links to nothing, to themselves, upwards, and out of the shelf.
fn links(folder: &Path) {
    let links = [
        ("nothing.mp3", "no such file"),
        ("itself.mp3", "itself.mp3"),
        ("up", ".."),
        ("here", "."),
        ("everything", "/"),
        ("programs", "/usr"),
        ("music.wav", "/dev/zero"),
    ];
    links.iter().for_each(|(name, to)| symlink(to, folder.join(name)).expect("a link"));
}

/// Folders in folders that no full path can name (PATH_MAX), with a file at their end.
fn beyond_any_path(music: &Path) {
    let mut command = std::process::Command::new("sh");
    let lines = "name=$(printf '%0250d' 0)\ni=0\nwhile [ $i -lt 20 ]; do mkdir $name; cd -P $name; i=$((i+1)); done\n";
    command.args(["-e", "-c", &format!("{lines}touch far.wav")]).current_dir(music);
    crate::support::process::run(command);
}

/// Bytes that konpo has read (proc(5), io).
fn rchar(konpo: &Konpo) -> u64 {
    let io = text(&Path::new("/proc").join(konpo.id().to_string()).join("io"));
    io.lines().find_map(|line| line.strip_prefix("rchar: ")).and_then(|n| n.parse().ok()).expect("a number")
}

/// Folders that konpo watches (proc(5), fdinfo).
fn watched(konpo: &Konpo) -> usize {
    let folder = Path::new("/proc").join(konpo.id().to_string()).join("fdinfo");
    let texts = fs::read_dir(folder).expect("there").flatten().map(|entry| text(&entry.path()));
    texts.map(|text| text.lines().filter(|line| line.starts_with("inotify ")).count()).sum()
}
