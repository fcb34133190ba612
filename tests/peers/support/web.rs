//! Web servers and a radio station that nobody here wrote: nginx, Python's http.server, Icecast with ffmpeg as its source.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::net::Host;
use super::process::{Process, run};
use super::wait_for;

/// nginx 1.22 of Debian 12 with byte ranges and entity tags, on port 80, and with TLS on port 443.
pub struct Nginx {
    // First, so that it can show its words before the folder goes.
    process: Option<Process>,
    folder: TempDir,
    host: Host,
}

impl Nginx {
    /// Serves a folder, at most `rate` bytes a second on each connection (as nginx takes it, e.g. `200k`).
    pub fn start(host: &Host, music: &Path, rate: &str) -> Nginx {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
            .concat();
        let settings = format!(
            "daemon off;\nuser root;\nworker_processes 1;\npid {at}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n{temporary}\
             log_format asked '$request $status range=$http_range if=$http_if_range';\naccess_log {at}/access asked;\n\
             server {{ listen 80; listen 443 ssl; ssl_certificate {at}/cert.pem; ssl_certificate_key {at}/key.pem;\n\
             root {}; limit_rate {rate}; location /moved/ {{ return 302 https://$host/$arg_to; }} }}\n}}\n",
            music.display(),
        );
        fs::write(folder.path().join("nginx.conf"), settings).expect("settings");
        certify(host, folder.path());
        let mut nginx = Nginx { process: None, folder, host: host.clone() };
        nginx.begin();
        nginx
    }

    /// Starts it again after [`Nginx::end`].
    pub fn begin(&mut self) {
        let mut command = self.host.command("nginx");
        command.arg("-c").arg(self.folder.path().join("nginx.conf")).args(["-e", "stderr"]);
        self.process = Some(Process::start("nginx", command, &self.folder.path().join("said")));
        wait_for("nginx listens", Duration::from_secs(10), || listens(&self.host, 80).then_some(()));
    }

    /// Ends it with all its connections.
    pub fn end(&mut self) {
        let mut process = self.process.take().expect("it runs");
        // Fast shutdown, workers too.
        process.signal(nix::sys::signal::Signal::SIGTERM);
        process.wait(Duration::from_secs(10));
    }

    /// Returns what it was asked, one request a line: `GET /a.flac HTTP/1.1 206 range=… if=…`.
    pub fn asked(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("access")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Returns the file with the authority that vouches for it.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Returns the URL of a file.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.host.address)
    }
}

/// Serves a folder by Python's http.server on port 8000, which knows no byte ranges.
pub fn python(host: &Host, music: &Path, said: &Path) -> Process {
    let mut command = host.command("python3");
    command.args(["-m", "http.server", "8000", "--directory"]).arg(music);
    let process = Process::start("http.server", command, said);
    wait_for("http.server listens", Duration::from_secs(15), || listens(host, 8000).then_some(()));
    process
}

/// Icecast 2.4 of Debian 12 on port 8000, with one station.
pub struct Station {
    source: Option<Process>,
    _server: Process,
    folder: TempDir,
    host: Host,
}

impl Station {
    /// Starts the server; nothing is on air yet.
    pub fn start(host: &Host) -> Station {
        let folder = tempfile::tempdir().expect("a folder");
        // It does not run as root.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("our own folder");
        let at = folder.path().display();
        let settings = format!(
            "<icecast><location>test</location><admin>test@example.com</admin><hostname>{}</hostname>\
             <limits><clients>10</clients><sources>2</sources><source-timeout>5</source-timeout></limits>\
             <authentication><source-password>secret</source-password><admin-user>admin</admin-user>\
             <admin-password>secret</admin-password></authentication>\
             <listen-socket><port>8000</port></listen-socket>\
             <mount><mount-name>/live</mount-name><charset>UTF-8</charset></mount>\
             <paths><basedir>/usr/share/icecast2</basedir><logdir>{at}</logdir><webroot>/usr/share/icecast2/web</webroot>\
             <adminroot>/usr/share/icecast2/admin</adminroot></paths>\
             <logging><accesslog>access</accesslog><errorlog>error</errorlog><loglevel>3</loglevel></logging></icecast>",
            host.address,
        );
        fs::write(folder.path().join("icecast.xml"), settings).expect("settings");
        let mut command = host.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "icecast2", "-c"]);
        command.arg(folder.path().join("icecast.xml"));
        let server = Process::start("icecast2", command, &folder.path().join("said"));
        wait_for("icecast listens", Duration::from_secs(10), || listens(host, 8000).then_some(()));
        Station { source: None, _server: server, folder, host: host.clone() }
    }

    /// Puts noise on air as MP3 of 128 kbit/s until [`Station::off_air`].
    pub fn on_air(&mut self) {
        let mut command = self.host.command("ffmpeg");
        command.args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-re",
            "-f",
            "lavfi",
            "-i",
            "anoisesrc=a=0.1:r=44100",
        ]);
        command.args(["-ac", "2", "-c:a", "libmp3lame", "-b:a", "128k", "-content_type", "audio/mpeg"]);
        command.args(["-ice_name", "Radio Noise", "-f", "mp3"]);
        command.arg(format!("icecast://source:secret@{}:8000/live", self.host.address));
        self.source = Some(Process::start("ffmpeg", command, &self.folder.path().join("source.said")));
        let status = format!("http://{}:8000/status-json.xsl", self.host.address);
        wait_for("the station is on air", Duration::from_secs(15), || {
            let mut command = self.host.command("curl");
            let output = command.args(["-s", &status]).output().expect("curl runs");
            String::from_utf8_lossy(&output.stdout).contains("/live").then_some(())
        });
    }

    /// Ends the source; the server stays.
    pub fn off_air(&mut self) {
        self.source.take().expect("it is on air").kill();
    }

    /// Says what plays.
    pub fn says(&self, title: &str) {
        // It takes a title a moment after it takes the source.
        wait_for("the title is taken", Duration::from_secs(10), || self.takes(title).then_some(()));
    }

    fn takes(&self, title: &str) -> bool {
        let mut command = self.host.command("curl");
        command.args(["-sfG", "-u", "admin:secret", "--data-urlencode", &format!("song={title}")]);
        command.args(["-d", "mount=/live", "-d", "mode=updinfo", "-d", "charset=UTF-8"]);
        command.arg(format!("http://{}:8000/admin/metadata", self.host.address));
        command.output().expect("curl runs").status.success()
    }

    /// Returns where it is heard.
    pub fn url(&self) -> String {
        format!("http://{}:8000/live", self.host.address)
    }
}

/// Makes an authority and, by it, a certificate for the address of this host.
fn certify(host: &Host, folder: &Path) {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        command.current_dir(folder).args(arguments.split(' '));
        run(command);
    };
    fs::write(folder.join("names"), format!("subjectAltName=IP:{}\n", host.address)).expect("a file");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=Test -days 2"));
    openssl(&format!("req -new {key} -keyout key.pem -out request -subj /CN=web"));
    openssl(
        "x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem",
    );
}

fn listens(host: &Host, port: u16) -> bool {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &host.namespace, "ss", "-Htln", &format!("sport = :{port}")]);
    !run(command).is_empty()
}
