//! One large file by LocalSend over TLS beside `curl -T` to nginx with TLS: the same client, in turns, over the bare link.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::support::konpo::Konpo;
use super::support::net::{Host, Lan};
use super::support::process::{Process, run};
use super::support::{localsend, wait_for};

/// Measures and prints.
pub fn measure(file: &Path, rounds: usize) {
    let bytes = fs::metadata(file).expect("there").len();
    let mut runs: Vec<(f64, f64)> = (0..rounds).map(|_| round(file, bytes)).collect();
    runs.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (konpo, nginx) = runs[runs.len() / 2];
    let what = format!("LocalSend of {} MB over TLS, curl -T to nginx", bytes / 1_000_000);
    println!("{what:<52}{konpo:>7.1} MB/s{nginx:>7.1} MB/s{:>8.3}   goal >= 0.8", konpo / nginx);
}

/// Returns the throughput of konpo and of nginx, MB/s.
fn round(file: &Path, bytes: u64) -> (f64, f64) {
    let lan = Lan::new();
    let (place, phone) = (lan.host("box"), lan.host("phone"));
    let folder = tempfile::tempdir().expect("a folder");
    let settings = "[intake]\npush = \"always\"\n[output]\ndevice = \"silent\"\n";
    let mut konpo = Konpo::new(&place, settings).with("KONPO_LOG", "konpo=info");
    konpo.spawn();
    konpo.ready();
    let size = usize::try_from(bytes).expect("it fits");
    let way = localsend::prepare(&phone, &place, "Long.wav", size);
    let took = curl(&phone, file, &["-X", "POST"], &format!("https://{}:53317{way}", place.address));
    wait_for("it is on the shelf", Duration::from_secs(120), || (konpo.tracks().len() == 1).then_some(()));
    konpo.stop();
    drop(konpo);
    let nginx = nginx(&place, folder.path());
    let other = curl(&phone, file, &[], &format!("https://{}:8443/Long.wav", place.address));
    drop(nginx);
    (bytes as f64 / 1e6 / took, bytes as f64 / 1e6 / other)
}

/// Uploads a file and returns how many seconds that took.
fn curl(from: &Host, file: &Path, more: &[&str], url: &str) -> f64 {
    let mut command = from.command("curl");
    command.args(["-s", "-S", "-k", "--fail", "--http1.1", "-T"]).arg(file).args(more).arg(url);
    let start = Instant::now();
    run(command);
    start.elapsed().as_secs_f64()
}

/// Returns a server with TLS that takes files by PUT.
fn nginx(place: &Host, folder: &Path) -> Process {
    let at = folder.display();
    let mut make = place.command("openssl");
    make.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "30",
    ]);
    make.args(["-subj", "/CN=box", "-keyout"])
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(folder.join("cert.pem"));
    run(make);
    let keys = format!(" ssl; ssl_certificate {at}/cert.pem; ssl_certificate_key {at}/key.pem");
    super::nginx(place, folder, 8443, &keys)
}
