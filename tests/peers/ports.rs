//! The port that apps know, held by somebody else.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use crate::support::konpo::Konpo;
use crate::support::net::{Host, Lan};
use crate::support::{patient, wait_for};

const SILENT: &str = "[output]\ndevice = \"silent\"\n";

#[test]
fn a_remembered_port_that_is_taken_is_waited_for_and_then_left_with_a_word() {
    let lan = Lan::new();
    let hifi = lan.host("hifi");
    let mut konpo = Konpo::new(&hifi, SILENT);
    konpo.spawn_with(&[]);
    assert!(konpo.ready().ends_with(":8200/"));
    konpo.stop();
    // Its holder is on its way out.
    let holder = hold(&hifi, 8200);
    konpo.spawn_with(&[]);
    wait_for("it says that it waits", Duration::from_secs(10), || says(&konpo, "tried for half a minute"));
    drop(holder);
    assert!(konpo.ready().ends_with(":8200/"), "the port that apps know");
    konpo.stop();
    // It stays, and so does the holder of the next one.
    let _holders = [hold(&hifi, 8200), hold(&hifi, 8201)];
    konpo.spawn_with(&[]);
    let (_, took) = wait_for("it moves", Duration::from_secs(45), || says(&konpo, "konpo ready"));
    println!("moved after {:.1} s", took.as_secs_f64());
    assert!(took > Duration::from_secs(29), "{took:?}");
    assert!(konpo.ready().ends_with(":8202/"));
    let state = konpo.get("/api/state");
    let notices = state["notices"].to_string();
    assert!(notices.contains("Port 8200 is taken by") && notices.contains("8202"), "{notices}");
    assert!(notices.contains(&std::process::id().to_string()), "the holder is named: {notices}");
    // It ends at once while it waits.
    konpo.stop();
    let _third = hold(&hifi, 8202);
    konpo.spawn_with(&[]);
    wait_for("it says that it waits", Duration::from_secs(10), || says(&konpo, "tried for half a minute"));
    let took = konpo.stop();
    assert!(took < patient(Duration::from_secs(2)), "{took:?}");
}

#[test]
fn an_explicit_port_never_moves_and_fails_with_the_holder() {
    let lan = Lan::new();
    let hifi = lan.host("hifi");
    let _holder = hold(&hifi, 8300);
    let konpo = Konpo::new(&hifi, SILENT);
    let mut command = konpo.command(&["serve", "--port", "8300", "--output", "silent"]);
    konpo.places(&mut command);
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = said.lines().last().unwrap_or_default();
    println!("{last}");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(last.contains("port 8300") && last.contains(&std::process::id().to_string()), "{said}");
}

/// Listens on a port of that machine; this process is the holder.
fn hold(host: &Host, port: u16) -> TcpListener {
    host.within(move || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("it is free"))
        .join()
        .expect("it listens")
}

fn says(konpo: &Konpo, what: &str) -> Option<()> {
    fs::read_to_string(konpo.path("said")).unwrap_or_default().contains(what).then_some(())
}
