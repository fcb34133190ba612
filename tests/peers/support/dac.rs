//! A DAC without hardware: a PulseAudio null sink, recorded through its monitor.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::process::Process;
use super::{patient, wait_for};

/// A PulseAudio server of its own with one sink, `dac`.
pub struct Dac {
    // First, so that it can show its words before the folder goes.
    server: Process,
    folder: TempDir,
    form: Form,
}

/// What the sink takes: its own rate and form of a sample.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Frames in a second.
    pub rate: u32,
    /// `s16le`, `s24le` (three bytes), `s32le` or `float32le`.
    pub format: &'static str,
}

impl Form {
    /// Returns the bytes of a frame of two channels.
    fn frame(&self) -> u64 {
        match self.format {
            "s16le" => 4,
            "s24le" => 6,
            _ => 8,
        }
    }
}

/// A recording that goes on until it is taken.
pub struct Recording {
    process: Process,
    /// Where it is written.
    pub path: PathBuf,
    form: Form,
}

impl Dac {
    /// Starts the server and its sink.
    pub fn start(form: Form) -> Dac {
        let folder = tempfile::tempdir().expect("a folder");
        let dac = Dac { server: serve(&folder, form), folder, form };
        dac.ready();
        dac
    }

    fn ready(&self) {
        wait_for("the sink is there", Duration::from_secs(10), || {
            let mut command = self.tool("pactl");
            let output = command.args(["list", "short", "sinks"]).output().expect("pactl runs");
            String::from_utf8_lossy(&output.stdout).contains("dac").then_some(())
        });
    }

    /// Ends the server as a crash would.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts the server again; the sink is there when this returns.
    pub fn restart(&mut self) {
        self.server = serve(&self.folder, self.form);
        self.ready();
    }

    /// Lets the server stand still, as a machine without a moment for it would, or go on.
    pub fn signal(&self, signal: Signal) {
        self.server.signal(signal);
    }

    /// Tells the server something by `pactl`.
    pub fn tell(&self, words: &[&str]) {
        assert!(self.tool("pactl").args(words).output().expect("pactl runs").status.success(), "{words:?}");
    }

    /// Returns the variables by which a program finds this server.
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(&self.folder)
    }

    /// Starts to record what the sink plays; it is running when this returns. The server hands sound over every `latency`
    /// ms.
    pub fn record(&self, latency: u32) -> Recording {
        self.record_sink("dac", latency)
    }

    /// Adds a sink of the same form under a name of its own.
    pub fn add(&self, name: &str) {
        let Form { rate, format } = self.form;
        let mut command = self.tool("pactl");
        command.args(["load-module", "module-null-sink", &format!("sink_name={name}")]);
        command.args([format!("rate={rate}"), format!("format={format}"), "channels=2".into()]);
        assert!(command.output().expect("pactl runs").status.success(), "no sink {name}");
    }

    /// Records another sink, as [`Dac::record`].
    pub fn record_sink(&self, sink: &str, latency: u32) -> Recording {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.path().join(format!("recording-{number}.raw"));
        let mut command = self.tool("parec");
        let Form { rate, format } = self.form;
        command
            .args(["-d", &format!("{sink}.monitor"), "--raw", "--channels=2"])
            .arg(format!("--latency-msec={latency}"));
        command.arg(format!("--format={format}")).arg(format!("--rate={rate}")).arg(&path);
        let process = Process::start("parec", command, &self.folder.path().join("parec.said"));
        let recording = Recording { process, path, form: self.form };
        wait_for("the recording runs", Duration::from_secs(10), || (recording.length() > 0).then_some(()));
        recording
    }

    fn tool(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.envs(self.environment());
        command
    }
}

impl Recording {
    /// Returns how many bytes are there.
    pub fn length(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |facts| facts.len())
    }

    /// Waits for another second of sound, so that everything played is on it, and returns its samples, interleaved,
    /// left-justified in 32 bits; of floats the bits of each.
    pub fn take(mut self) -> Vec<i32> {
        let until = self.length() + u64::from(self.form.rate) * self.form.frame();
        wait_for("the rest of the recording", Duration::from_secs(10), || {
            (self.length() >= until).then_some(())
        });
        self.process.signal(Signal::SIGINT);
        self.process.wait(Duration::from_secs(10));
        let bytes = fs::read(&self.path).expect("a recording");
        match self.form.frame() {
            4 => bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|two| i32::from_le_bytes([0, 0, two[0], two[1]]))
                .collect(),
            6 => bytes
                .as_chunks::<3>()
                .0
                .iter()
                .map(|it| i32::from_le_bytes([0, it[0], it[1], it[2]]))
                .collect(),
            _ => bytes.as_chunks::<4>().0.iter().map(|four| i32::from_le_bytes(*four)).collect(),
        }
    }

    /// Returns the milliseconds from `start` until something behind byte `from` is no digital silence.
    pub fn sounds_after(&self, from: u64, start: Instant) -> f64 {
        let mut file = fs::File::open(&self.path).expect("a recording");
        file.seek(SeekFrom::Start(from)).expect("seekable");
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            file.read_to_end(&mut bytes).expect("readable");
            if bytes.iter().any(|byte| *byte != 0) {
                return start.elapsed().as_secs_f64() * 1_000.0;
            }
            assert!(start.elapsed() < patient(Duration::from_secs(10)), "nothing is heard");
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// Returns whether the last `time` of it is digital silence.
    pub fn quiet_for(&self, time: Duration) -> bool {
        let millis = u64::try_from(time.as_millis()).expect("short");
        let bytes = millis * u64::from(self.form.rate) / 1_000 * self.form.frame();
        let length = self.length();
        if length < bytes {
            return false;
        }
        let mut file = fs::File::open(&self.path).expect("a recording");
        file.seek(SeekFrom::Start(length - bytes)).expect("seekable");
        let mut last = Vec::new();
        file.read_to_end(&mut last).expect("readable");
        last.iter().all(|byte| *byte == 0)
    }
}

fn serve(folder: &TempDir, form: Form) -> Process {
    let mut command = Command::new("pulseaudio");
    command.args(["-n", "--exit-idle-time=-1", "--daemonize=no", "--use-pid-file=no", "--disallow-exit=yes"]);
    command.args(["-L", "module-native-protocol-unix auth-anonymous=1"]);
    let Form { rate, format } = form;
    command.arg("-L");
    command.arg(format!("module-null-sink sink_name=dac rate={rate} format={format} channels=2"));
    for (name, value) in environment(folder) {
        command.env(name, value);
    }
    Process::start("pulseaudio", command, &folder.path().join("said"))
}

fn environment(folder: &TempDir) -> Vec<(String, String)> {
    let at = folder.path().to_string_lossy().into_owned();
    vec![
        ("XDG_RUNTIME_DIR".into(), at.clone()),
        ("HOME".into(), at.clone()),
        ("PULSE_SERVER".into(), format!("unix:{at}/pulse/native")),
    ]
}

/// Returns where `piece` begins in `whole`.
pub fn find(whole: &[i32], piece: &[i32]) -> Option<usize> {
    let first = *piece.first()?;
    let last = whole.len().checked_sub(piece.len())?;
    (0..=last).find(|&at| whole[at] == first && whole[at..at + piece.len()] == *piece)
}

/// Returns how many samples of `a` and `b` are equal from the start.
pub fn equal(a: &[i32], b: &[i32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
