//! VLC 3.0 by its UPnP plug-in (libupnp 1.8): it finds the box, lists a container and plays what is in it.

use std::os::unix::fs::{PermissionsExt, chown};
use std::time::Duration;

use super::SILENT;
use super::Stereo;
use crate::support::fixtures::noise;
use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::process::Process;
use crate::support::wait_for;

#[test]
fn vlc_finds_the_box_lists_it_and_plays() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let konpo = Konpo::new(&hifi, SILENT);
    for number in 1..=3 {
        let title = format!("Song & {number}");
        let tags = [("title", title.as_str()), ("artist", "Somebody"), ("album", "One")];
        noise(number, 44_100, 16, 44_100 * 20).flac(&konpo.music().join(format!("{number}.flac")), &tags);
    }
    let konpo = Stereo::of(konpo);
    wait_for("every song is listed", Duration::from_secs(60), || {
        (konpo.konpo.tracks().len() == 3).then_some(())
    });
    // It refuses to run as root.
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("root may");
    let home = folder.path().join("home");
    std::fs::create_dir(&home).expect("a folder");
    chown(&home, Some(NOBODY), Some(NOBODY)).expect("root may");
    let list = format!("upnp://{}{CONTROL}?ObjectID=tracks", konpo.address);
    let mut command = phone.command("bash");
    command.arg("-c").arg(SCRIPT).args(["vlc", &list]).env("HOME", &home).env("XDG_RUNTIME_DIR", &home);
    let vlc = Process::start("vlc", command, &folder.path().join("said"));
    let said = |what: &str, all: &dyn Fn(&str) -> bool| {
        let (_, took) = wait_for(what, Duration::from_secs(40), || all(&vlc.said()).then_some(()));
        println!("VLC: {what} after {} ms", took.as_millis());
    };
    said("the songs are listed", &|said| (1..=3).all(|n| said.contains(&format!("- Song & {n} (00:00:20)"))));
    said("it plays", &|said| said.contains("( state playing )"));
    said("the box is found", &|said| said.contains("- Stereo"));
}

/// Shows again and again what it has; ends with the pipe.
const SCRIPT: &str = "while sleep 1; do printf 'playlist\\nstatus\\n'; done | \
    setpriv --reuid=65534 --regid=65534 --clear-groups cvlc --intf rc --services-discovery upnp --no-video --aout=dummy \"$1\"";
const CONTROL: &str = "/upnp/server/content-directory/control";
const NOBODY: u32 = 65534;
