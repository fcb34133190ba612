//! MPD 0.23 and minidlna 1.3.0 over the same collection, each with a database of its own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rusqlite::{Connection, OpenFlags};

use super::figures::{Figures, memory, middle, peak_of_family};
use super::support::net::Host;
use super::support::process::Process;
use super::support::wait_for;

/// Measures MPD over `tracks` files. Its time is that of `update`, which begins with a database of an empty folder and ends
/// when the new one is written.
pub fn mpd(host: &Host, music: &Path, tracks: usize) -> Figures {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    Mpd::start(host, folder.path(), &empty).stop();
    let mut mpd = Mpd::start(host, folder.path(), music);
    let cold = mpd.update();
    let stats = mpd.ask("stats");
    assert!(
        stats.lines().any(|line| line == format!("songs: {tracks}")),
        "MPD does not take every file:\n{stats}"
    );
    let unchanged = middle((0..PASSES).map(|_| mpd.update()).collect());
    std::thread::sleep(SETTLED);
    let figures = Figures {
        cold: tracks as f64 / cold,
        unchanged: tracks as f64 / unchanged,
        resident: memory(mpd.process.id(), "VmRSS").expect("it runs"),
        peak: memory(mpd.process.id(), "VmHWM").expect("it runs"),
        database: fs::metadata(folder.path().join("db")).expect("a database").len() as f64 / tracks as f64,
        answers: f64::NAN,
    };
    mpd.stop();
    figures
}

/// A running MPD and a connection to it.
struct Mpd {
    process: Process,
    line: UnixStream,
    answers: BufReader<UnixStream>,
}

impl Mpd {
    /// Starts it and waits until it has a database.
    fn start(host: &Host, folder: &Path, music: &Path) -> Mpd {
        let at = |name: &str| folder.join(name).display().to_string();
        let settings = format!(
            "music_directory \"{}\"\ndb_file \"{}\"\nbind_to_address \"{}\"\nlog_file \"{}\"\nlog_level \"warning\"\n\
             zeroconf_enabled \"no\"\nauto_update \"no\"\naudio_output {{\n type \"null\"\n name \"none\"\n}}\n",
            music.display(),
            at("db"),
            at("socket"),
            at("log"),
        );
        fs::write(at("mpd.conf"), settings).expect("settings");
        let _fresh = fs::remove_file(at("socket"));
        let mut command = host.command("mpd");
        command.args(["--no-daemon", &at("mpd.conf")]).env("HOME", folder);
        let process = Process::start("mpd", command, &folder.join("said"));
        let (line, _) = wait_for("MPD answers", BOUND, || UnixStream::connect(at("socket")).ok());
        let answers = BufReader::new(line.try_clone().expect("a second handle"));
        let mut mpd = Mpd { process, line, answers };
        mpd.answer("its greeting");
        mpd.until_done();
        mpd
    }

    /// Returns how many seconds an update takes.
    fn update(&mut self) -> f64 {
        let start = Instant::now();
        self.ask("update");
        self.until_done();
        start.elapsed().as_secs_f64()
    }

    fn until_done(&mut self) {
        while self.ask("status").contains("updating_db: ") {
            // Told at the start and at the end of an update.
            self.ask("idle update");
        }
    }

    fn ask(&mut self, words: &str) -> String {
        writeln!(self.line, "{words}").expect("MPD listens");
        self.answer(words)
    }

    fn answer(&mut self, words: &str) -> String {
        let mut said = String::new();
        loop {
            let before = said.len();
            self.answers.read_line(&mut said).expect("MPD answers");
            let last = &said[before..];
            assert!(!last.starts_with("ACK") && !last.is_empty(), "{words}: {said}");
            if last.starts_with("OK") {
                return said;
            }
        }
    }

    fn stop(mut self) {
        self.process.signal(Signal::SIGTERM);
        self.process.wait(BOUND);
    }
}

/// Measures minidlna over `tracks` files: from its start until it says that the scan is finished. A child of it scans.
pub fn minidlna(host: &Host, music: &Path, tracks: usize) -> Figures {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for inner in ["db", "log"] {
        fs::create_dir(at(inner)).expect("a folder");
    }
    let settings = format!(
        "port=8200\nnetwork_interface=eth0\nmedia_dir=A,{}\ndb_dir={}\nlog_dir={}\nfriendly_name=shelf\ninotify=no\n",
        music.display(),
        at("db").display(),
        at("log").display(),
    );
    fs::write(at("minidlna.conf"), settings).expect("settings");
    let start = |how: &str, last_words: &str| {
        let mut command: Command = host.command("minidlnad");
        command.args(["-S", how, "-f"]).arg(at("minidlna.conf")).arg("-P").arg(at("pid"));
        let log = at("log").join("minidlna.log");
        let _fresh = fs::remove_file(&log);
        let start = Instant::now();
        let process = Process::start("minidlna", command, &at("said"));
        let mut peak: f64 = 0.0;
        let (_, _) = wait_for("minidlna has scanned", BOUND, || {
            peak = peak.max(peak_of_family(process.id()));
            let said = fs::read_to_string(&log).unwrap_or_default() + &process.said();
            said.contains(last_words).then_some(())
        });
        (process, start.elapsed().as_secs_f64(), peak)
    };
    let (mut process, cold, peak) = start("-R", " finished (");
    let database = at("db").join("files.db");
    let files = Connection::open_with_flags(&database, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a database");
    let count: u32 = files
        .query_row("SELECT count(*) FROM DETAILS WHERE MIME LIKE 'audio/%'", [], |row| row.get(0))
        .expect("DETAILS is there");
    assert_eq!(count as usize, tracks, "minidlna does not take every file");
    drop(files);
    std::thread::sleep(SETTLED);
    let resident = memory(process.id(), "VmRSS").expect("it runs");
    process.signal(Signal::SIGTERM);
    process.wait(BOUND);
    let (_process, unchanged, _) = start("-r", "Finished parsing playlists");
    Figures {
        cold: tracks as f64 / cold,
        unchanged: tracks as f64 / unchanged,
        resident,
        peak,
        database: fs::metadata(database).expect("a database").len() as f64 / tracks as f64,
        answers: f64::NAN,
    }
}

/// How often a scan that finds nothing new is repeated.
pub const PASSES: usize = 5;
/// How long a program rests before its memory is read.
pub const SETTLED: Duration = Duration::from_secs(4);
/// A scan takes less.
pub const BOUND: Duration = Duration::from_secs(1200);
