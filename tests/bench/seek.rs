//! How long a jump to a random place of a long file takes, from the order to the first sound decoded there; the file is in
//! the page cache. What lies between that and the ear is measured by the peers test `moments`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use konpo::player::source::decoders;
use konpo::units::Frames;

use crate::support::fixtures::Random;
use crate::support::process::run;
use crate::{music, opened};

/// Name, extension, what ffmpeg is told, and the goal of step 4, line d, in ms.
const KINDS: [(&str, &str, &[&str], f64); 12] = [
    ("FLAC", "flac", &["-c:a", "flac"], OWN),
    ("ALAC", "alac.m4a", &["-c:a", "alac"], OWN),
    ("WAV", "wav", &["-c:a", "pcm_s16le"], OWN),
    ("AAC 256", "aac.m4a", &["-c:a", "aac", "-b:a", "256k"], OWN),
    ("Vorbis q6", "ogg", &["-c:a", "libvorbis", "-q:a", "6"], OWN),
    ("Opus 160", "opus", &["-c:a", "libopus", "-b:a", "160k"], OWN),
    ("MP3 320", "cbr.mp3", &["-c:a", "libmp3lame", "-b:a", "320k"], OWN),
    ("MP3 V2", "vbr.mp3", &["-c:a", "libmp3lame", "-q:a", "2"], OWN),
    ("MP3 V2, no header", "bare.mp3", &["-c:a", "libmp3lame", "-q:a", "2", "-write_xing", "0"], OWN),
    ("WavPack", "wv", &["-c:a", "wavpack"], FFMPEG),
    ("WMA", "wma", &["-c:a", "wmav2", "-b:a", "192k"], FFMPEG),
    ("FLAC in Matroska", "mka", &["-c:a", "flac"], FFMPEG),
];

/// Prints the times over files of so many half minutes, and returns how many goals are missed.
pub fn seeking(folder: &Path, halves: u32) -> usize {
    let source = folder.join("source.wav");
    fs::write(&source, music(44_100, 16).wav()).expect("a source");
    println!(
        "{:<24}{:>14}{:>14}{:>14}{:>10}",
        format!("seeking in {} min", halves / 2),
        "median",
        "p99",
        "slowest",
        "goal"
    );
    let mut missed = 0;
    for (name, extension, arguments, goal) in KINDS {
        let file = long(folder, &source, extension, arguments, halves);
        let times = jumps(&file);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1_000.0;
        let good = at(0.99) <= goal;
        missed += usize::from(!good);
        println!(
            "{name:<24}{:>11.1} ms{:>11.1} ms{:>11.1} ms{:>10}{}",
            at(0.5),
            at(0.99),
            at(1.0),
            format!("<= {goal}"),
            crate::word(good),
        );
        fs::remove_file(&file).expect("it goes");
    }
    fs::remove_file(&source).expect("it goes");
    println!("Time to the first decoded sound of {JUMPS} places; the goal is for p99, with the DAC.");
    println!();
    missed
}

/// Encodes half a minute and repeats it without encoding again; but the blocks of WavPack are numbered.
fn long(folder: &Path, source: &Path, extension: &str, arguments: &[&str], halves: u32) -> PathBuf {
    let (short, file) = (folder.join(format!("short.{extension}")), folder.join(format!("long.{extension}")));
    let ffmpeg = |times: u32, from: &Path, arguments: &[&str], to: &Path| {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-y", "-stream_loop", &(times - 1).to_string(), "-i"]);
        command.arg(from).args(arguments).arg(to);
        run(command);
    };
    if extension == "wv" {
        ffmpeg(halves, source, arguments, &file);
        return file;
    }
    ffmpeg(1, source, arguments, &short);
    // An option of the muxer holds for the copy as well.
    let muxer = arguments.iter().skip_while(|word| **word != "-write_xing");
    ffmpeg(halves, &short, &[&["-c", "copy"], &*muxer.copied().collect::<Vec<_>>()].concat(), &file);
    fs::remove_file(&short).expect("it goes");
    file
}

/// Returns how long each jump took, in order of time.
fn jumps(file: &Path) -> Vec<Duration> {
    let mut source = decoders()(opened(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let frames = source.about().duration.expect("its length is known").0;
    let (mut random, mut block) = (Random(7), Vec::new());
    let mut times: Vec<Duration> = (0..JUMPS)
        .map(|_| {
            let to = random.next() % (frames - frames / 50);
            let begun = Instant::now();
            source.seek(Frames(to)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            block.clear();
            while block.is_empty() {
                assert!(source.read(&mut block).expect("it reads"), "{} ends at {to}", file.display());
            }
            begun.elapsed()
        })
        .collect();
    times.sort();
    times
}

const JUMPS: usize = 200;
const OWN: f64 = 50.0;
const FFMPEG: f64 = 300.0;
