//! A phone with music: minidlna on a machine of the test's LAN.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::net::Host;
use super::process::Process;

/// minidlna with its own database and settings. The same `Phone` started again has the same UDN.
pub struct Phone {
    // First, so that it can show its words before the folder goes.
    process: Option<Process>,
    host: Host,
    folder: TempDir,
    /// The process group of the last start.
    group: Option<i32>,
    /// When it was last started: before its first announcement.
    pub started: Instant,
    /// How it runs: `-d` logs each request.
    says: &'static str,
}

impl Phone {
    /// Starts a phone that serves `music` and announces itself every five seconds.
    pub fn start(host: &Host, music: &Path) -> Phone {
        Phone::start_as(host, music, NAME, UUID, 5)
    }

    /// Starts a phone of this name and UDN that announces itself every `interval` seconds.
    pub fn start_as(host: &Host, music: &Path, name: &str, uuid: &str, interval: u32) -> Phone {
        let folder = tempfile::tempdir().expect("a folder");
        for inner in ["db", "log"] {
            fs::create_dir(folder.path().join(inner)).expect("a folder");
        }
        let settings = format!(
            "port={PORT}\nnetwork_interface=eth0\nmedia_dir=A,{}\ndb_dir={}\nlog_dir={}\nfriendly_name={name}\n\
             uuid={uuid}\ninotify=no\nnotify_interval={interval}\n",
            music.display(),
            folder.path().join("db").display(),
            folder.path().join("log").display(),
        );
        fs::write(folder.path().join("minidlna.conf"), settings).expect("settings");
        let started = Instant::now();
        let mut phone = Phone { host: host.clone(), folder, group: None, process: None, started, says: "-d" };
        phone.wake();
        phone
    }

    /// Starts it again without a word for each request, which costs it time.
    #[allow(dead_code)] // Only the figures ask.
    pub fn hush(&mut self) {
        self.leave();
        self.says = "-S";
        self.wake();
    }

    /// Starts it (again).
    pub fn wake(&mut self) {
        let path = |name: &str| self.folder.path().join(name);
        let mut command = self.host.command("minidlnad");
        command.arg(self.says).arg("-f").arg(path("minidlna.conf")).arg("-P").arg(path("pid"));
        let _fresh = fs::remove_file(path("said"));
        self.started = Instant::now();
        // It forks for every transfer, and what is sending to nobody holds its port: all of them end together.
        if let Some(group) = self.group.take() {
            let _gone = kill(Pid::from_raw(-group), Signal::SIGKILL);
        }
        let process = Process::start(
            "minidlna",
            {
                command.process_group(0);
                command
            },
            &path("said"),
        );
        self.group = i32::try_from(process.id()).ok();
        self.process = Some(process);
    }

    /// Lets it say good-bye and stops it.
    pub fn leave(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::SIGTERM);
            process.wait(std::time::Duration::from_secs(10));
        }
    }

    /// Returns its process id; 0 when it sleeps.
    #[allow(dead_code)] // Only the figures ask.
    pub fn id(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::id)
    }

    /// Returns everything it logged: each request with its words.
    pub fn said(&self) -> String {
        self.process.as_ref().map(Process::said).unwrap_or_default()
    }
}

/// What the phone calls itself.
pub const NAME: &str = "Yuki's phone";
/// Its UDN without `uuid:`.
pub const UUID: &str = "4d696e69-444c-164e-9d41-0123456789ab";
const PORT: u16 = 8201;
