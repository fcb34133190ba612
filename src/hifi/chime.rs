//! The test sound: a chime of two soft notes, made here and handed to the motor as a file would be, so that it takes the way of
//! all sound: decoder, resampler, gain, device.

use std::f64::consts::TAU;
use std::io::Cursor;

use crate::media::sound::Sound;
use crate::player::Load;
use crate::signal::PlaySerial;
use crate::units::Millis;

/// Returns the start of the chime.
pub fn load(serial: PlaySerial) -> Load {
    let open = || {
        let wave = wave();
        let length = wave.len() as u64;
        Ok(Sound::new(Cursor::new(wave), Some(length), Some("wav")))
    };
    Load { serial, open: Box::new(open), from: Millis::ZERO, level: None }
}

/// Returns the chime as a WAV file: 16 bits, one channel (Multimedia Programming Interface and Data Specifications 1.0, 3).
fn wave() -> Vec<u8> {
    let samples: Vec<i16> = (0..FRAMES).map(sample).collect();
    let bytes = 2 * FRAMES;
    let mut wave = Vec::with_capacity(44 + bytes as usize);
    wave.extend(b"RIFF");
    wave.extend((36 + bytes).to_le_bytes());
    wave.extend(b"WAVEfmt ");
    wave.extend(16_u32.to_le_bytes());
    // PCM, one channel.
    wave.extend([1, 0, 1, 0]);
    wave.extend(RATE.to_le_bytes());
    wave.extend((2 * RATE).to_le_bytes());
    wave.extend([2, 0, 16, 0]);
    wave.extend(b"data");
    wave.extend(bytes.to_le_bytes());
    wave.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    wave
}

/// Returns one sample: each note rises within 20 ms, rings out, and is silent at the end.
fn sample(frame: u32) -> i16 {
    let at = f64::from(frame) / f64::from(RATE);
    let note = |begins: f64, pitch: f64| {
        let since = at - begins;
        if since < 0.0 {
            return 0.0;
        }
        let rise = (since / 0.02).min(1.0);
        let left = ((SECONDS - at) / 0.05).clamp(0.0, 1.0);
        (TAU * pitch * since).sin() * rise * left * (-3.0 * since).exp()
    };
    // E5, then A5: heard on the smallest loudspeaker.
    let both = note(0.0, 659.26) + note(0.35, 880.0);
    (both * PEAK * f64::from(i16::MAX)) as i16
}

const RATE: u32 = 44_100;
const SECONDS: f64 = 1.2;
const FRAMES: u32 = 52_920;
/// -20 dB of full scale for each of the two: where the amplifier has the knob, this is all that keeps it quiet (product.md,
/// "The box answers").
const PEAK: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::sniff::sniff;

    #[test]
    fn the_chime_is_a_file_that_is_quiet_and_ends_in_silence() {
        let wave = wave();
        let length = Some(wave.len() as u64);
        let mut sound = Sound::new(Cursor::new(wave), length, Some("wav"));
        let sniffed = sniff(&mut sound).expect("a file");
        assert_eq!((sniffed.format.channels, sniffed.format.bits), (Some(1), Some(16)));
        let samples: Vec<i16> = (0..FRAMES).map(sample).collect();
        let peak = samples.iter().map(|sample| sample.unsigned_abs()).max().expect("some");
        assert!((2_000..=3_277 * 3 / 2).contains(&peak), "{peak}");
        assert_eq!((samples[0], samples[samples.len() - 1]), (0, 0), "no click");
        let steps = samples.windows(2).map(|two| two[0].abs_diff(two[1])).max();
        assert!(steps < Some(800), "{steps:?}");
    }
}
