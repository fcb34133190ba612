//! MPD beside konpo: a player of its own folder, spoken to over a socket. It announces nothing.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::process::Process;
use crate::support::wait_for;

/// A running MPD and a connection to it.
pub struct Mpd {
    // First, so that it can show its words before the folder goes.
    process: Process,
    line: UnixStream,
    answers: BufReader<UnixStream>,
    _folder: TempDir,
}

impl Mpd {
    /// Starts it over `music` with one output, whose lines `output` are, and waits until it has read the folder.
    pub fn start(music: &Path, output: &str, environment: &[(String, String)]) -> Mpd {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let settings = format!(
            "music_directory \"{}\"\ndb_file \"{}\"\nbind_to_address \"{}\"\nlog_file \"{}\"\nzeroconf_enabled \"no\"\n\
             connection_timeout \"3600\"\n\
             audio_output {{\n name \"out\"\n{output}\n}}\n",
            music.display(),
            at("db").display(),
            at("socket").display(),
            at("log").display(),
        );
        fs::write(at("mpd.conf"), settings).expect("settings");
        let mut command = Command::new("mpd");
        command.args(["--no-daemon", "--stderr"]).arg(at("mpd.conf"));
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let process = Process::start("mpd", command, &at("said"));
        let (line, _) =
            wait_for("MPD answers", Duration::from_secs(10), || UnixStream::connect(at("socket")).ok());
        let answers = BufReader::new(line.try_clone().expect("a second handle"));
        let mut mpd = Mpd { process, line, answers, _folder: folder };
        mpd.answer("its greeting");
        mpd.tell("update");
        wait_for("MPD has read its folder", Duration::from_secs(60), || {
            (!mpd.tell("status").contains("updating_db: ")).then_some(())
        });
        mpd
    }

    /// Sends a command and returns its answer.
    ///
    /// # Panics
    /// When MPD refuses it.
    pub fn tell(&mut self, words: &str) -> String {
        writeln!(self.line, "{words}").expect("MPD listens");
        self.answer(words)
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
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
}
