//! The `ffmpeg` process: started with limits, fed, read with patience, killed and reaped.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Error, Kind, Result};
use crate::media::decode::child::How;
use crate::media::sound::Sound;

/// What the child reads.
pub(super) enum Input {
    /// An opened file: the child opens it anew through its own descriptor, so that both have their own place in it.
    File(Arc<File>),
    /// Bytes that a thread writes into a pipe, in order.
    Sound(Sound),
}

/// Where a child begins in its input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Begin {
    /// At the start.
    Start,
    /// At a time, in seconds, as its demuxer finds it.
    Second(f64),
    /// At a byte, where a block begins that needs none before it.
    Byte(u64),
}

impl Input {
    /// Returns the file behind a sound when it is one.
    pub(super) fn of(sound: Sound) -> Input {
        match sound.opened() {
            Some(file) => Input::File(Arc::clone(file)),
            None => Input::Sound(sound),
        }
    }

    /// Returns whether a second child could begin elsewhere.
    pub(super) fn can_seek(&self) -> bool {
        match self {
            Input::File(_) => true,
            Input::Sound(sound) => sound.byte_len().is_some(),
        }
    }
}

/// A running child.
pub(super) struct Process {
    child: std::process::Child,
    out: ChildStdout,
    err: ChildStderr,
    /// The start of what it complained about.
    complaints: Vec<u8>,
    /// It may still complain.
    complains: bool,
    feeder: Option<JoinHandle<Sound>>,
    file: Option<Arc<File>>,
}

impl Process {
    /// Starts a child that decodes from a place on.
    ///
    /// # Errors
    /// `Unsupported` when `ffmpeg` is not installed, `Internal` when the system refuses a process.
    pub(super) fn start(how: &How, input: Input, begin: Begin) -> Result<Process> {
        let ffmpeg = program("ffmpeg", "ffmpeg")?;
        let mut command = Command::new(program("prlimit", "util-linux")?);
        command.env_clear().env("LC_ALL", "C");
        command.args(LIMITS);
        if let Some(seconds) = how.seconds {
            command.arg(format!("--cpu={seconds}"));
        }
        command.arg("--").arg(ffmpeg).args(QUIET);
        let protocols = match &input {
            Input::File(_) => "file",
            Input::Sound(_) => "pipe",
        };
        match begin {
            Begin::Second(from) if from > 0.0 => drop(command.args(["-ss", &format!("{from:.6}")])),
            Begin::Byte(from) if from > 0 => drop(command.args(["-skip_initial_bytes", &from.to_string()])),
            _ => {}
        }
        command.args(["-protocol_whitelist", protocols, "-f", how.demuxer]).args(how.options);
        // Debian 12's ffmpeg has no `fd:`; opened by this name, the input can be sought and has a place of its own.
        command.args(["-i", if protocols == "file" { "file:/proc/self/fd/0" } else { "pipe:0" }]);
        command.args(ONLY_SOUND);
        if let Some(rate) = how.rate {
            command.args(["-ar", &rate.to_string()]);
        }
        command.args(["-c:a", if how.integers { "pcm_s32le" } else { "pcm_f32le" }]).args(PLAIN_WAV);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(match &input {
            Input::File(file) => {
                Stdio::from(file.try_clone().map_err(|e| Error::io("hand the file over", e))?)
            }
            Input::Sound(_) => Stdio::piped(),
        });
        let mut child = command.spawn().map_err(|e| Error::with(Kind::Internal, "start ffmpeg", e))?;
        let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Error::new(Kind::Internal, "ffmpeg was started without its pipes"));
        };
        // A refusal leaves the pipe as it was.
        let _as_it_was = fcntl(out.as_fd(), FcntlArg::F_SETPIPE_SZ(PIPE));
        let stdin = child.stdin.take();
        let mut process =
            Process { child, out, err, complaints: Vec::new(), complains: true, feeder: None, file: None };
        match input {
            Input::File(file) => process.file = Some(file),
            Input::Sound(sound) => {
                let feeder = std::thread::Builder::new().name("konpo-feed".into());
                let feeder = feeder.spawn(move || feed(sound, stdin));
                process.feeder = Some(feeder.map_err(|e| Error::with(Kind::Internal, "feed ffmpeg", e))?);
            }
        }
        Ok(process)
    }

    /// Reads what is there, waiting for the first byte; 0 at the end.
    ///
    /// # Errors
    /// `Damaged` when nothing comes from a file for 10 s; those of reading.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let begun = Instant::now();
        loop {
            let (sound, complaint) = self.wait()?;
            if complaint {
                self.listen();
            }
            if sound {
                match self.out.read(into) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    read => return read.map_err(|e| Error::io("read from ffmpeg", e)),
                }
            }
            // A network may stall for longer; whoever reads from it has limits of his own.
            if self.file.is_some() && begun.elapsed() > PATIENCE {
                return Err(Error::new(
                    Kind::Damaged,
                    format!("ffmpeg does not get on with it{}", self.said()),
                ));
            }
        }
    }

    /// Reads until `into` is full. Returns `false` when the child ended before.
    ///
    /// # Errors
    /// As [`Process::read`].
    pub(super) fn fill(&mut self, mut into: &mut [u8]) -> Result<bool> {
        while !into.is_empty() {
            let count = self.read(into)?;
            if count == 0 {
                return Ok(false);
            }
            into = &mut into[count..];
        }
        Ok(true)
    }

    /// Waits until there is sound or a complaint, or for a second.
    fn wait(&self) -> Result<(bool, bool)> {
        let there = PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR;
        let mut both = [self.out.as_fd(), self.err.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        // One that has closed its complaints would be reported at every turn.
        let watched = if self.complains { 2 } else { 1 };
        match poll(&mut both[..watched], PollTimeout::from(1000u16)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(Error::io("wait for ffmpeg", error.into())),
        }
        let [sound, complaint] = both.map(|fd| fd.revents().is_some_and(|flags| flags.intersects(there)));
        Ok((sound, complaint))
    }

    /// Takes in what the child complains about; only the start is kept, the rest is read so that it does not wait.
    fn listen(&mut self) {
        let mut bytes = [0; 4096];
        match self.err.read(&mut bytes) {
            Ok(count) if count > 0 => {
                let room = MOST_COMPLAINTS.saturating_sub(self.complaints.len());
                self.complaints.extend_from_slice(&bytes[..count.min(room)]);
            }
            _ => self.complains = false,
        }
    }

    /// Returns the first complaint as an end of a sentence, empty when there was none.
    pub(super) fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.complaints);
        let line = text.trim().lines().next().unwrap_or_default();
        let line: String = line.chars().filter(|c| !c.is_control()).take(LONGEST_COMPLAINT).collect();
        if line.is_empty() { line } else { format!(": ffmpeg says {line:?}") }
    }

    /// Ends the child and returns what it read.
    pub(super) fn stop(mut self) -> Option<Input> {
        self.end();
        match (self.file.take(), self.feeder.take()) {
            (Some(file), _) => Some(Input::File(file)),
            (None, Some(feeder)) => feeder.join().ok().map(Input::Sound),
            (None, None) => None,
        }
    }

    fn end(&mut self) {
        // It may have ended by itself; then there is nothing to kill, only to reap.
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        if let Some(feeder) = self.feeder.take() {
            // The child is gone, so the next write ends it.
            let _its_panic_is_its_own = feeder.join();
        }
    }
}

/// Writes a sound into the pipe until either ends, and gives it back.
fn feed(mut sound: Sound, stdin: Option<ChildStdin>) -> Sound {
    let Some(mut stdin) = stdin else { return sound };
    if sound.seek(SeekFrom::Start(0)).is_err() && sound.byte_len().is_some() {
        return sound;
    }
    let mut buffer = vec![0; FEED];
    loop {
        match sound.read(&mut buffer) {
            Ok(0) => return sound,
            Ok(count) if stdin.write_all(&buffer[..count]).is_ok() => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // The child sees the end of its input, and what came out is too short.
            _ => return sound,
        }
    }
}

fn program(name: &str, package: &str) -> Result<PathBuf> {
    let missing =
        || Error::new(Kind::Unsupported, format!("{name} is missing: install {package} to play this"));
    find(name).ok_or_else(missing)
}

/// Returns where a program is, in the folders of `PATH`.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    find_in(name, &env::var_os("PATH")?)
}

fn find_in(name: &str, path: &OsStr) -> Option<PathBuf> {
    let runs = |place: &PathBuf| {
        place.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    env::split_paths(path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(name)).find(runs)
}

/// Memory, files, written files: far more than any music needs, far less than would hurt.
const LIMITS: [&str; 4] = ["--as=1073741824", "--nofile=64", "--fsize=0", "--core=0"];
/// One thread starts faster and its memory is bounded; no allocation above 256 MiB.
const QUIET: [&str; 8] =
    ["-nostdin", "-hide_banner", "-v", "error", "-max_alloc", "268435456", "-threads", "1"];
const ONLY_SOUND: [&str; 8] = ["-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-nostats"];
const PLAIN_WAV: [&str; 7] = ["-fflags", "+bitexact", "-flags", "+bitexact", "-f", "wav", "pipe:1"];
/// Bytes of PCM that the child may be ahead: 0.7 s of stereo at 44.1 kHz.
const PIPE: i32 = 256 << 10;
const FEED: usize = 64 << 10;
/// The longest time without a byte.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of complaints that are kept.
const MOST_COMPLAINTS: usize = 1024;
/// Characters of one that are shown.
const LONGEST_COMPLAINT: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_has_limits_and_is_gone_when_it_is_dropped() {
        use crate::media::sniff::sniff;

        // More sound than fits into the pipe: the child waits.
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&crate::mint::dsf(8 * 2_822_400)).expect("written");
        let mut sound = Sound::file(file, None).expect("it has a size");
        let sniffed = sniff(&mut sound).expect("a DSF");
        let how = How::of(&sniffed, sound.byte_len()).expect("known");
        let mut process =
            Process::start(&how, Input::of(sound), Begin::Start).unwrap_or_else(|e| panic!("{e}"));
        assert!(process.fill(&mut [0; 64]).expect("it writes"));
        let about = |what: &str| std::fs::read(format!("/proc/{}/{what}", process.child.id()));
        let text = |what: &str| String::from_utf8_lossy(&about(what).expect("it runs")).into_owned();
        let limits = text("limits");
        let soft = |name: &str| {
            let line = limits.lines().find(|line| line.starts_with(name)).expect("a known limit");
            line[name.len()..].split_whitespace().next().expect("a number").to_owned()
        };
        assert_eq!(soft("Max address space"), "1073741824");
        assert_eq!((soft("Max file size").as_str(), soft("Max open files").as_str()), ("0", "64"));
        assert_eq!(soft("Max cpu time"), "60");
        let command = text("cmdline");
        assert!(command.contains("file:/proc/self/fd/0") && !command.contains("/tmp/"), "{command}");
        let variables = text("environ");
        assert!(variables.starts_with("LC_ALL=C") && !variables.contains("HOME"), "{variables}");
        let id = process.child.id();
        drop(process);
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists(), "neither running nor a zombie");
    }

    #[test]
    fn a_missing_program_names_its_package() {
        assert_eq!(find_in("ffmpeg", OsStr::new("/nowhere:relative:")), None);
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("ffmpeg");
        std::fs::write(&place, "").expect("written");
        assert_eq!(find_in("ffmpeg", folder.path().as_os_str()), None, "it does not run");
        std::fs::set_permissions(&place, PermissionsExt::from_mode(0o755)).expect("set");
        assert_eq!(find_in("ffmpeg", folder.path().as_os_str()), Some(place));
        let error = program("no-such-ffmpeg", "ffmpeg").expect_err("it is not there");
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains("install ffmpeg"), "{error}");
    }
}
