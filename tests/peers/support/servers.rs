//! Media servers that nobody here wrote, beside minidlna: gerbera, rygel, rclone. Each on a machine of its own.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::net::Host;
use super::process::{Process, run};
use super::wait_for;

/// A running media server and the folder with its settings.
pub struct Server {
    // First, so that it can show its words before the folder goes.
    _process: Process,
    _folder: TempDir,
}

impl Server {
    /// gerbera 1.1.0 of Debian 12: a description with relative URLs, a `URLBase`, no Search.
    pub fn gerbera(host: &Host, name: &str, music: &Path) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path();
        let settings = fs::read_to_string("/etc/gerbera/config.xml").expect("gerbera is installed");
        let settings = between(&settings, "<home>", "</home>", &home.display().to_string());
        let settings = between(&settings, "<name>", "</name>", &name.replace('&', "&amp;"));
        let udn = format!("uuid:{}", uuid_of(name));
        let settings =
            between(&settings, "<udn>", "</udn>", &udn).replace("<udn/>", &format!("<udn>{udn}</udn>"));
        fs::create_dir(home.join("cfg")).expect("a folder");
        fs::write(home.join("cfg/config.xml"), settings).expect("settings");
        // It also binds the address of IPv6, which the kernel gives it after a while.
        wait_for("eth0 has all its addresses", Duration::from_secs(10), || {
            let mut command = Command::new("ip");
            command.args(["-n", &host.namespace, "-6", "addr", "show", "dev", "eth0", "tentative"]);
            run(command).is_empty().then_some(())
        });
        let mut command = host.command("gerbera");
        command.args(["-e", "eth0", "-p", "49300"]).arg("-m").arg(home).args(["-f", "cfg", "-a"]).arg(music);
        command.env("HOME", home);
        Server { _process: Process::start("gerbera", command, &home.join("said")), _folder: folder }
    }

    /// rygel with MediaExport: MediaServer:3, compressed answers for those who take them.
    pub fn rygel(host: &Host, name: &str, music: &Path) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path();
        for part in ["config", "cache", "data", "run"] {
            fs::create_dir(home.join(part)).expect("a folder");
        }
        let settings = format!(
            "[general]\ninterface=eth0\nport=0\nipv6=false\nupnp-enabled=true\nenable-transcoding=false\nallow-upload=false\n\
             log-level=*:4\n\
             [MediaExport]\nenabled=true\ntitle={name}\nuris={}\nextract-metadata=true\nmonitor-changes=false\n\
             [Playbin]\nenabled=false\n[Tracker3]\nenabled=false\n[Tracker]\nenabled=false\n[LMS]\nenabled=false\n\
             [External]\nenabled=false\n[MPRIS]\nenabled=false\n",
            music.display(),
        );
        fs::write(home.join("config/rygel.conf"), settings).expect("settings");
        let mut command = host.command("dbus-run-session");
        command.args(["--", "rygel"]).env("HOME", home);
        for (variable, part) in [
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_RUNTIME_DIR", "run"),
        ] {
            command.env(variable, home.join(part));
        }
        Server { _process: Process::start("rygel", command, &home.join("said")), _folder: folder }
    }

    /// `rclone serve dlna`: a small server in Go that reads no tags.
    pub fn rclone(host: &Host, name: &str, music: &Path) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = host.command("rclone");
        command.args(["serve", "dlna"]).arg(music).args(["--name", name, "--interface", "eth0", "-v"]);
        command.args(["--addr", &format!("{}:7879", host.address), "--announce-interval", "3s"]);
        command.env("HOME", folder.path()).env("RCLONE_CONFIG", folder.path().join("rclone.conf"));
        let said = folder.path().join("said");
        Server { _process: Process::start("rclone", command, &said), _folder: folder }
    }
}

/// Replaces what stands between two marks, once.
fn between(text: &str, from: &str, to: &str, with: &str) -> String {
    let Some((before, rest)) = text.split_once(from) else { return text.to_owned() };
    let Some((_, after)) = rest.split_once(to) else { return text.to_owned() };
    format!("{before}{from}{with}{to}{after}")
}

/// A number that only this name has.
fn uuid_of(name: &str) -> String {
    let sum = name.bytes().fold(7u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    format!("00000000-0000-4000-8000-{:012x}", sum & 0xFFFF_FFFF_FFFF)
}
