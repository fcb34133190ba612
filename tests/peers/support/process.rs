//! A program that a test started: its output goes to a file, its end is sure.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::patient;

/// A running program. Dropped, it is killed; its words are shown when the test failed.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; standard output and error go to `log`.
    ///
    /// # Panics
    /// When it cannot be started: a peer that is missing is a failure, never a skip.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Process {
        let out = File::options().create(true).append(true).open(log).expect("a log file");
        let err = out.try_clone().expect("a second handle");
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start {name} ({error}): {command:?}"));
        Process { name: name.to_owned(), child, log: log.to_owned() }
    }

    /// Returns everything it said until now.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns how it ended, `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        // An error means that it is gone, which the caller sees by waiting.
        let _gone = kill(id, signal);
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end within `bound`, as [`patient`] has it.
    pub fn wait(&mut self, bound: Duration) -> (ExitStatus, Duration) {
        let (start, bound) = (Instant::now(), patient(bound));
        loop {
            if let Some(status) = self.ended() {
                return (status, start.elapsed());
            }
            assert!(start.elapsed() < bound, "{} does not end within {bound:?}", self.name);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let said = self.said();
            let lines: Vec<&str> = said.lines().collect();
            let from = lines.len().saturating_sub(SHOWN_LINES);
            eprintln!("--- the last words of {}:\n{}\n---", self.name, lines[from..].join("\n"));
        }
    }
}

/// Runs a short command and returns its standard output.
///
/// # Panics
/// When it is missing or fails.
pub fn run(mut command: Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {said}", output.status);
    output.stdout
}

const SHOWN_LINES: usize = 160;
