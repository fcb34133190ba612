//! konpo itself on a machine of the test's LAN, with a shelf and data of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::api::{self, Reply};
use super::net::Host;
use super::process::{Process, run};
use super::wait_for;

/// A konpo with its folders; it can be stopped, killed and started again on the same shelf.
pub struct Konpo {
    // First, so that it can show its words before the folder goes.
    process: Option<Process>,
    host: Host,
    folder: TempDir,
    environment: Vec<(String, String)>,
    /// A disk of its own, which it finds mounted on its music folder.
    disk: Option<Disk>,
    /// Lines of shell that run before each start, where it sees the mounts that they make.
    before: Vec<String>,
    /// Whom it runs as; root without.
    user: Option<u32>,
    /// What setpriv is told beside that.
    privileges: Vec<String>,
    /// Its settings name several music folders.
    several: bool,
}

/// A small disk in memory. Its content is seen here whether konpo has it mounted or not.
struct Disk(PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

impl Konpo {
    /// Lays out the folders and writes `settings` (TOML); nothing runs yet.
    pub fn new(host: &Host, settings: &str) -> Konpo {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["music", "data", "home"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        // Whether this machine's own disk is nearly full is no question of a test.
        let settings = format!("{settings}\n[library]\nkeep_free_mb = 1000\n");
        fs::write(folder.path().join("konpo.toml"), settings).expect("settings");
        Konpo {
            process: None,
            host: host.clone(),
            folder,
            environment: Vec::new(),
            disk: None,
            before: Vec::new(),
            user: None,
            privileges: Vec::new(),
            several: false,
        }
    }

    /// Gives it these music folders below its own folder from the next start on. They are made.
    pub fn finds(mut self, roots: &[&str]) -> Konpo {
        let paths: Vec<PathBuf> = roots.iter().map(|root| self.path(root)).collect();
        paths.iter().for_each(|path| fs::create_dir_all(path).expect("a folder"));
        let settings = text(&self.path("konpo.toml"));
        fs::write(self.path("konpo.toml"), format!("{settings}music = {paths:?}\n")).expect("settings");
        self.several = true;
        self
    }

    /// Runs a line of shell before each start, in the view of the mounts that it will have.
    pub fn prepared(mut self, line: &str) -> Konpo {
        self.before.push(line.to_owned());
        self
    }

    /// Starts without those lines from the next start on.
    pub fn forgets_lines(mut self) -> Konpo {
        self.before.clear();
        self
    }

    /// Runs it as an ordinary user, whose folders these are, from the next start on.
    pub fn by_user(mut self, id: u32) -> Konpo {
        use std::os::unix::fs::{PermissionsExt, chown};
        fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o755)).expect("root may");
        for name in ["music", "data", "home"] {
            chown(self.path(name), Some(id), Some(id)).expect("root may");
        }
        self.user = Some(id);
        self
    }

    /// Runs it with these privileges, as setpriv(1) names them, from the next start on; with a user of its own only.
    pub fn with_privileges(mut self, options: Vec<String>) -> Konpo {
        self.privileges = options;
        self
    }

    /// Lays out the folders and starts.
    pub fn start(host: &Host, settings: &str) -> Konpo {
        let mut konpo = Konpo::new(host, settings);
        konpo.spawn();
        konpo.ready();
        konpo
    }

    /// Gives it a disk of `size` (as tmpfs takes it) for its music folder from the next start on.
    pub fn on_a_disk(mut self, size: &str) -> Konpo {
        let path = self.path("disk");
        fs::create_dir(&path).expect("a folder");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&path);
        run(command);
        self.disk = Some(Disk(path));
        self
    }

    /// Takes the disk away from the running konpo; what it has open stays open, as when a cable is pulled.
    pub fn unmount(&self) {
        self.in_its_view(&["umount", "-l", &self.path("music").to_string_lossy()]);
    }

    /// Brings the disk back.
    pub fn mount(&self) {
        let (disk, music) = (self.path("disk"), self.path("music"));
        self.in_its_view(&["mount", "--bind", &disk.to_string_lossy(), &music.to_string_lossy()]);
    }

    /// Brings the disk back so that it can only be read.
    pub fn mount_read_only(&self) {
        self.mount();
        self.in_its_view(&["mount", "-o", "remount,bind,ro", &self.path("music").to_string_lossy()]);
    }

    /// The folder on which the disk is mounted, as it is without it.
    pub fn mount_point(&self) -> PathBuf {
        self.path("music")
    }

    /// Returns a path as the running konpo sees it, with what is mounted there for it.
    pub fn seen(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        Path::new("/proc")
            .join(self.id().to_string())
            .join("root")
            .join(path.strip_prefix("/").expect("full"))
    }

    /// Runs a program where the running konpo's mounts are.
    pub fn in_its_view(&self, arguments: &[&str]) {
        let mut command = Command::new("nsenter");
        // Its root as well: the tests may themselves run in a changed one.
        command.args(["-m", "-r", "-t", &self.id().to_string()]).args(arguments);
        run(command);
    }

    /// Gives it a variable from the next start on.
    pub fn with(mut self, name: &str, value: &str) -> Konpo {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Starts the daemon on any free port without waiting for it.
    pub fn spawn(&mut self) {
        self.spawn_with(&["--port", "0"]);
    }

    /// Starts the daemon with these arguments without waiting for it.
    pub fn spawn_with(&mut self, arguments: &[&str]) {
        let mut command = self.command(&["serve"]);
        command.args(arguments);
        if !self.several {
            command.arg("--config").arg(self.path("konpo.toml"));
        }
        self.places(&mut command);
        let _fresh = fs::remove_file(self.path("said"));
        self.process = Some(Process::start("konpo", command, &self.path("said")));
    }

    /// Waits until it says that it is ready and returns the address of its page.
    pub fn ready(&mut self) -> String {
        let (url, _) = wait_for("konpo's ready line", READY_WITHIN, || {
            let process = self.process.as_mut().expect("started");
            let ended = process.ended();
            let said = process.said();
            assert!(ended.is_none(), "konpo ended ({ended:?}):\n{said}");
            said.lines().find_map(|line| line.strip_prefix("konpo ready ").map(|url| url.trim().to_owned()))
        });
        url
    }

    /// Runs another subcommand on the same machine and places.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_konpo");
        let mut lines = self.before.clone();
        if let Some(Disk(disk)) = &self.disk {
            lines.push(format!("mount --bind '{}' '{}'", disk.display(), self.path("music").display()));
        }
        let mut command = if lines.is_empty() {
            self.host.command("env")
        } else {
            // The namespace of `ip netns exec` has mounts of its own.
            let mut command = self.host.command("sh");
            command.args(["-e", "-c", &format!("{}\nexec \"$@\"", lines.join("\n")), "sh"]);
            command
        };
        if let Some(user) = self.user {
            let (user, group) = (format!("--reuid={user}"), format!("--regid={user}"));
            command.args(["setpriv", &user, &group, "--clear-groups"]).args(&self.privileges);
        }
        command.arg(program);
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("KONPO_LOG", "konpo=debug,info").env("LANG", "C.UTF-8");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Adds `--music` and `--data`; the settings instead when they name the music folders.
    pub fn places(&self, command: &mut Command) {
        command.arg("--data").arg(self.path("data"));
        if self.several {
            command.arg("--config").arg(self.path("konpo.toml"));
        } else {
            command.arg("--music").arg(self.path("music"));
        }
    }

    /// The music folder, or the disk that konpo finds there.
    pub fn music(&self) -> PathBuf {
        self.path(if self.disk.is_some() { "disk" } else { "music" })
    }

    /// Another path of this konpo.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns everything it logged since its last start.
    pub fn said(&self) -> String {
        self.process.as_ref().map(Process::said).unwrap_or_default()
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// Stops it in order and returns how long that took.
    pub fn stop(&mut self) -> Duration {
        let mut process = self.process.take().expect("it runs");
        process.signal(Signal::SIGTERM);
        let (status, took) = process.wait(Duration::from_secs(10));
        assert!(status.success(), "konpo ended with {status}:\n{}", process.said());
        took
    }

    /// Sends it a signal and returns its end.
    pub fn signal(&mut self, signal: Signal) -> (std::process::ExitStatus, Duration) {
        let mut process = self.process.take().expect("it runs");
        process.signal(signal);
        process.wait(Duration::from_secs(10))
    }

    /// Sends it signals that all wait for it when it wakes, and returns how and after what time it ended.
    pub fn signals_at_once(&mut self, signals: &[Signal]) -> (std::process::ExitStatus, Duration) {
        let mut process = self.process.take().expect("it runs");
        process.signal(Signal::SIGSTOP);
        signals.iter().for_each(|&signal| process.signal(signal));
        process.signal(Signal::SIGCONT);
        process.wait(Duration::from_secs(10))
    }

    /// Asks its API as the owner.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let socket = self.path("data").join("ctl.sock");
        let reply = api::ask(&socket, method, path, body);
        reply.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Returns what `GET path` answers.
    pub fn get(&self, path: &str) -> Value {
        let reply = self.ask("GET", path, None);
        assert_eq!(reply.status, 200, "GET {path}: {}", reply.json);
        reply.json
    }

    /// Sends a command that must be taken.
    pub fn tell(&self, command: &Value) {
        let reply = self.ask("POST", "/api/command", Some(command));
        assert!(reply.status < 300, "{command}: {} {}", reply.status, reply.json);
    }

    /// Returns every track of the shelf.
    pub fn tracks(&self) -> Vec<Value> {
        let mut tracks = Vec::new();
        loop {
            let page = self.get(&format!("/api/library/tracks?limit=100&offset={}", tracks.len()));
            let total = page["total"].as_u64().expect("a total");
            let items = page["items"].as_array().expect("items").clone();
            let more = !items.is_empty();
            tracks.extend(items);
            if !more || tracks.len() as u64 >= total {
                return tracks;
            }
        }
    }

    /// Returns the board's lines about files.
    pub fn arrivals(&self) -> Vec<Value> {
        self.get("/api/offers?limit=100")["items"].as_array().expect("items").clone()
    }

    /// Returns the neighbour that calls itself `name`, once it is there.
    pub fn neighbour(&self, name: &str) -> Option<Value> {
        let all = self.get("/api/neighbours");
        let all = all["items"].as_array().or_else(|| all.as_array()).cloned().unwrap_or_default();
        all.into_iter().find(|neighbour| neighbour["name"] == name)
    }

    /// Asks something about a neighbour: `look`, `pull`, `always`, …
    pub fn neighbour_do(&self, id: &str, what: &str) {
        let id: String = id
            .bytes()
            .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect();
        let reply = self.ask("POST", &format!("/api/neighbours/{id}/{what}"), Some(&json!({})));
        assert!(reply.status < 300, "{what} {id}: {} {}", reply.status, reply.json);
    }

    /// Returns the output that `konpo outputs` lists with `part` in its name, of PulseAudio.
    pub fn output(&self, part: &str) -> String {
        let output = self.command(&["outputs", "--json"]).output().expect("konpo outputs runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|output| output["name"].as_str().map(str::to_owned))
            .find(|name| name.starts_with("pulse") && name.contains(part))
            .unwrap_or_else(|| panic!("konpo does not list {part}: {text}"))
    }

    /// Copies a file into the Inbox under a name nobody looks at, then moves it in place.
    pub fn drop_in(&self, file: &Path) {
        let inbox = self.music().join("Inbox");
        wait_for("the drop folder is there", Duration::from_secs(5), || inbox.is_dir().then_some(()));
        let aside = inbox.join(".aside");
        fs::copy(file, &aside).expect("a copy");
        fs::rename(aside, inbox.join(file.file_name().expect("a name"))).expect("dropped");
    }

    /// Runs `konpo check --json` on the stopped shelf and returns its report and whether it found nothing wrong.
    pub fn check(&self) -> (Value, bool) {
        let mut command = self.command(&["check", "--json"]);
        self.places(&mut command);
        let output = command.output().expect("konpo check runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let report = serde_json::from_str(text.trim());
        let report = report.unwrap_or_else(|error| {
            panic!("konpo check said {text:?} ({error}) {}", String::from_utf8_lossy(&output.stderr))
        });
        (report, output.status.success())
    }

    /// Waits until the board is at rest: nothing under way for `quiet`.
    pub fn at_rest(&self, bound: Duration) {
        let mut since = Instant::now();
        let mut last = Value::Null;
        wait_for("nothing more comes in", bound, || {
            let now = json!([self.get("/api/offers?limit=100"), self.get("/api/state")["library_rev"]]);
            if now != last {
                last = now.clone();
                since = Instant::now();
            }
            // What is between two stages goes on, however long a loaded machine takes.
            let under_way = now[0]["items"].as_array().is_some_and(|all| all.iter().any(is_under_way));
            (!under_way && since.elapsed() > Duration::from_secs(3)).then_some(())
        });
    }
}

impl Drop for Konpo {
    fn drop(&mut self) {
        // For looking into a failure: the shelf and the data stay.
        if std::thread::panicking() && std::env::var_os("KONPO_KEEP").is_some() {
            self.folder.disable_cleanup(true);
            eprintln!("kept: {}", self.folder.path().display());
        }
    }
}

fn is_under_way(arrival: &Value) -> bool {
    matches!(arrival["stage"].as_str(), Some("staged" | "verified" | "tagged"))
}

/// Returns a file's text, empty when it is not there.
pub fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

const READY_WITHIN: Duration = Duration::from_secs(15);
