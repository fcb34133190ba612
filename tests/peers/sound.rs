//! What comes out at the DAC, sample by sample.

use std::path::Path;
use std::sync::Mutex;

use crate::support::dac::{Form, equal, find};
use crate::support::fixtures::{self, Signal};
use crate::support::twin::Twin;

#[test]
fn two_flac_tracks_sound_in_one_piece_at_16_bits_44100() {
    gapless(Form { rate: 44_100, format: "s16le" }, 16);
}

#[test]
fn two_flac_tracks_sound_in_one_piece_at_24_bits_96000() {
    gapless(Form { rate: 96_000, format: "s32le" }, 24);
}

/// Two files cut from one signal: nothing inserted, dropped or changed.
fn gapless(form: Form, bits: u16) {
    let _one_at_a_time = ONE.lock();
    let rate = form.rate as usize;
    let signal = fixtures::noise(u64::from(form.rate), form.rate, bits, rate * 4);
    // Not at a block's border: the second track begins in the middle of everything.
    let middle = rate * 2 + 1234;
    let parts = [signal.cut(0..middle), signal.cut(middle..rate * 4)];
    let recording = play(form, |folder| {
        for (number, part) in parts.iter().enumerate() {
            tagged(part, folder, number + 1, "flac", &[]);
        }
        parts.len()
    });
    let from = rate / 2 * 2;
    let start = find(&recording, &signal.samples[from..from + 64]).expect("the signal is on the recording");
    let same = equal(&recording[start..], &signal.samples[from..]);
    if same < signal.samples.len() - from {
        let (heard, sent) = (&recording[start + same..], &signal.samples[from + same..]);
        let zeros = heard.iter().take_while(|sample| **sample == 0).count();
        let again = (1..=40_000)
            .find(|n| same >= *n && sent.len() > 64 && recording[start + same - n..][..64] == heard[..64]);
        println!("what was heard {again:?} samples before is heard again");
        println!(
            "then {zeros} zeros; the rest of the signal goes on at {:?}",
            find(heard, &sent[..sent.len().min(64)])
        );
    }
    println!("{same} of {} samples are identical in one piece at {form:?}", signal.samples.len() - from);
    assert_eq!(same, signal.samples.len() - from);
}

#[test]
fn an_mp3_with_a_lame_header_has_its_exact_length() {
    let _one_at_a_time = ONE.lock();
    let form = Form { rate: 44_100, format: "s16le" };
    let rate = 44_100;
    let length = rate + 777;
    let [before, song, after] =
        [1, 2, 3].map(|seed| fixtures::noise(seed, 44_100, 16, if seed == 2 { length } else { rate }));
    let recording = play(form, |folder| {
        tagged(&before, folder, 1, "flac", &[]);
        tagged(&song, folder, 2, "mp3", &["-c:a", "libmp3lame", "-b:a", "192k"]);
        tagged(&after, folder, 3, "flac", &[]);
        3
    });
    let tail = &before.samples[before.samples.len() - 64..];
    let end = find(&recording, tail).expect("the track before") + 64;
    let start = find(&recording[end..], &after.samples[..64]).expect("the track after");
    println!("{} frames between the tracks, {length} were encoded", start / 2);
    assert_eq!(start, length * 2);
}

/// Lays tracks into the Inbox, plays them in order into a fresh DAC and returns what it heard.
fn play(form: Form, lay: impl FnOnce(&Path) -> usize) -> Vec<i32> {
    let (recording, signal) = Twin::new(form, "fixed", lay).hear();
    println!("signal path: {signal}");
    recording
}

fn tagged(signal: &Signal, folder: &Path, number: usize, extension: &str, arguments: &[&str]) {
    let (title, track) = (format!("Cut {number}"), number.to_string());
    let tags = [("title", &*title), ("artist", "Noise"), ("album", "One Signal"), ("track", &*track)];
    let path = folder.join(format!("{number}.{extension}"));
    if extension == "flac" {
        signal.flac(&path, &tags);
    } else {
        signal.encode(&path, arguments, &tags);
    }
}

/// Sound in real time: two at once on a small machine would disturb each other.
static ONE: Mutex<()> = Mutex::new(());
