//! konpo with the privileges of its service: what systemd gives it by `systemd/konpo.service`, by setpriv.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::fixtures::noise;
use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::process::run;
use crate::support::wait_for;

/// What the unit says of one setting.
fn unit(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/konpo.service");
    let text = fs::read_to_string(path).expect("the unit");
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("the unit does not say {name}")).to_owned()
}

/// A list of capabilities as setpriv takes it: `-all,+net_bind_service`.
fn sets(names: &str) -> String {
    let plus = |name: &str| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase());
    "-all".to_owned() + &names.split_whitespace().map(plus).collect::<String>()
}

#[test]
fn the_service_has_the_page_at_port_80_as_an_ordinary_user_with_that_right_alone() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let (bounding, ambient) = (sets(&unit("CapabilityBoundingSet")), sets(&unit("AmbientCapabilities")));
    assert_eq!((unit("NoNewPrivileges").as_str(), unit("User").as_str()), ("yes", "konpo"));
    // systemd puts what is ambient into the inheritable set, too (systemd.exec(5), AmbientCapabilities=).
    let options = vec![
        format!("--bounding-set={bounding}"),
        format!("--inh-caps={ambient}"),
        format!("--ambient-caps={ambient}"),
        "--no-new-privs".to_owned(),
    ];
    let mut konpo = Konpo::new(&hifi, "name = \"Living Room\"\n[output]\ndevice = \"silent\"\n")
        .by_user(65_534)
        .with_privileges(options);
    konpo.spawn_with(&[]);
    let ready = konpo.ready();
    let status = fs::read_to_string(format!("/proc/{}/status", konpo.id())).expect("it runs");
    let said = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("{name} in {status}")).trim().to_owned()
    };
    // Bit 10 is CAP_NET_BIND_SERVICE (capabilities(7)).
    for set in ["CapPrm", "CapEff", "CapBnd", "CapAmb", "CapInh"] {
        assert_eq!(u64::from_str_radix(&said(set), 16), Ok(1 << 10), "{set}");
    }
    assert_eq!((said("NoNewPrivs").as_str(), said("Uid").starts_with("65534\t")), ("1", true));
    let page = format!("http://{}/", hifi.address);
    let mut curl = phone.command("curl");
    curl.args(["-sf", "--max-time", "20", &page]);
    let got = String::from_utf8_lossy(&run(curl)).into_owned();
    assert!(got.contains("<title>konpo</title>"), "{got}");
    assert!(ready.ends_with(":8200/"), "its own port stays beside it: {ready}");
    wait_for("the address that pairs needs no port", Duration::from_secs(20), || {
        konpo.said().contains(&format!("{page}b/")).then_some(())
    });
    // All else works as it does for root: a song comes in and is played.
    let folder = tempfile::tempdir().expect("a folder");
    let song = folder.path().join("song.wav");
    fs::write(&song, noise(3, 44_100, 16, 44_100 * 3).wav()).expect("written");
    let mut curl = phone.command("curl");
    curl.args(["-sf", "--max-time", "60", "-T"]).arg(&song).arg(format!("{page}beam/"));
    let sent = std::thread::spawn(move || run(curl));
    wait_for("somebody says yes", Duration::from_secs(30), || {
        let asks = konpo.get("/api/offers")["asks"].as_array().cloned().unwrap_or_default();
        let id = asks.first()?["id"].as_u64()?;
        (konpo.ask("POST", &format!("/api/offers/{id}/accept"), None).status < 300).then_some(())
    });
    sent.join().expect("it came in");
    wait_for("it is on the shelf", Duration::from_secs(30), || (konpo.tracks().len() == 1).then_some(()));
    konpo.stop();
}
