//! What the motor says about a start of sound, its way to the DAC, and the device. Plain data.

use std::sync::Arc;

use serde::Serialize;

use crate::track::AudioFormat;
use crate::units::{Gain, SampleRate};

/// One start of sound. It fences stale answers of the motor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PlaySerial(pub u64);

/// How tracks are made equally loud.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GainMode {
    /// The album's gain between tracks of one album, else the track's.
    Auto,
    /// The track's gain.
    Track,
    /// The album's gain.
    Album,
    /// Samples are left as they are.
    #[default]
    Off,
}

/// By how much a track is made louder or quieter, decided before its first sample and kept to its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ReplayGain {
    /// How much.
    pub gain: Gain,
    /// Whose loudness it corrects.
    pub of: GainOf,
    /// konpo measured it; else tags tell it.
    pub measured: bool,
}

/// Whose loudness a gain corrects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GainOf {
    /// The track's.
    Track,
    /// The album's: its tracks keep their differences.
    Album,
}

impl ReplayGain {
    /// Returns it for a person, e.g. `ReplayGain -6.2 dB (album)`.
    pub fn words(&self) -> String {
        let of = match self.of {
            GainOf::Track => "track",
            GainOf::Album => "album",
        };
        let measured = if self.measured { ", measured" } else { "" };
        format!("ReplayGain {:+.1} dB ({of}{measured})", self.gain.db())
    }
}

/// From the file to the DAC, readable by everyone: source, processing, device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignalPath {
    /// What the file holds.
    pub source: AudioFormat,
    /// What konpo does to the samples, in words and in order; empty when nothing.
    pub processing: Vec<String>,
    /// The device's name as `konpo outputs` prints it.
    pub device: String,
    /// The device's rate.
    pub rate: SampleRate,
    /// The device's sample format, e.g. `s24_3le`, `s32`, `f32`.
    pub sample: String,
    /// The device's channels.
    pub channels: u16,
    /// What the hardware was set to, as the kernel says; `None` where it does not.
    pub hardware: Option<String>,
    /// Whether every sample reaches the device unchanged.
    pub bit_perfect: bool,
    /// Why not, when not.
    pub because: Option<String>,
}

impl SignalPath {
    /// Returns the path of a track whose samples are multiplied first, as it leaves the decoder.
    pub fn levelled(mut self, by: Option<ReplayGain>) -> SignalPath {
        let Some(by) = by.filter(|by| by.gain != Gain::UNITY) else { return self };
        self.processing.insert(0, by.words());
        if self.because.as_deref().is_none_or(|because| because == KNOB) {
            self.because = Some("ReplayGain is applied".to_owned());
        }
        self.bit_perfect = false;
        self
    }

    /// Returns the path with the gain of konpo's own knob in it; `None` where the amplifier has the knob. Where the card's
    /// mixer has the volume, nothing but what lies below its steps is done to the samples.
    pub fn at(&self, gain: Option<Gain>, mixer: Option<&CardMixer>) -> SignalPath {
        let mut path = self.clone();
        let Some(gain) = gain else { return path };
        let samples = mixer.map_or(gain, |mixer| gain.and(Gain(-mixer.lowest.0)).min(Gain::UNITY));
        let dither = path.processing.iter().position(|step| step.starts_with(DITHER));
        let only_the_knob = path.because.as_deref() == Some(KNOB);
        if mixer.is_some() && samples == Gain::UNITY && only_the_knob {
            // The dither was for the gain alone.
            path.processing.retain(|step| !step.starts_with(DITHER));
            (path.bit_perfect, path.because) = (true, None);
        }
        let words = match samples {
            Gain::UNITY => None,
            Gain::SILENT => Some("muted".to_owned()),
            samples => Some(format!("gain of {:+.1} dB", samples.db())),
        };
        if let Some(words) = words {
            // It is applied behind the resampler and before the dither.
            path.processing.insert(dither.unwrap_or(path.processing.len()), words);
        }
        path.processing.extend(mixer.map(|mixer| format!("volume in the card's mixer '{}'", mixer.element)));
        path
    }
}

/// Why a path is not bit-perfect when nothing else stands in its way.
pub const KNOB: &str = "konpo has the volume knob";
/// How the words for the dither begin.
pub const DITHER: &str = "dither";

/// The sound device as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its name as `konpo outputs` prints it.
    pub name: String,
    /// Whether it is the paced output without hardware.
    pub silent: bool,
    /// Whether konpo holds it.
    pub open: bool,
    /// What is wrong with it, for a person.
    pub trouble: Option<String>,
    /// How often since the start of konpo the sound broke off: it was not there in time for the device.
    pub underruns: u64,
    /// The element of the card's own mixer that has the volume; `None` where the samples are multiplied.
    pub mixer: Option<CardMixer>,
}

impl Device {
    /// Returns a device that is not open and has no trouble.
    pub fn closed(name: impl Into<String>, silent: bool) -> Device {
        Device { name: name.into(), silent, open: false, trouble: None, underruns: 0, mixer: None }
    }
}

/// An element of a card's mixer that has the volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CardMixer {
    /// Its name, e.g. `PCM`.
    pub element: String,
    /// The gain below which samples are multiplied all the same.
    pub lowest: Gain,
}

/// What a live stream says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OnAir {
    /// What the station calls itself.
    pub name: Option<Arc<str>>,
    /// What it says it plays now.
    pub title: Option<Arc<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::{Codec, Container};

    #[test]
    fn the_gain_stands_between_the_resampler_and_the_dither_or_behind_all_in_the_card() {
        let source = AudioFormat {
            container: Container::Flac,
            codec: Codec::Flac,
            rate: None,
            channels: None,
            bits: None,
            frames: None,
        };
        let path = SignalPath {
            source,
            processing: vec!["resampled".into(), "dither at 16 bits".into()],
            device: "dac".into(),
            rate: SampleRate::CD,
            sample: "s16".into(),
            channels: 2,
            hardware: None,
            bit_perfect: false,
            because: None,
        };
        let steps = |gain| path.at(gain, None).processing;
        assert_eq!(
            steps(Some(Gain(-12 * 256 - 128))),
            ["resampled", "gain of -12.5 dB", "dither at 16 bits"]
        );
        assert_eq!(steps(Some(Gain::SILENT))[1], "muted");
        assert_eq!(path.at(Some(Gain::UNITY), None), path);
        assert_eq!(path.at(None, None), path);
        let knob = SignalPath { because: Some(KNOB.into()), ..path.clone() };
        let mixer = CardMixer { element: "PCM".into(), lowest: Gain::from_db(-60) };
        let card = knob.at(Some(Gain::from_db(-36)), Some(&mixer));
        assert_eq!(card.processing, ["resampled", "volume in the card's mixer 'PCM'"]);
        assert_eq!((card.bit_perfect, card.because), (true, None));
        let below = knob.at(Some(Gain::from_db(-70)), Some(&mixer));
        assert_eq!(below.processing[1..3], ["gain of -10.0 dB", "dither at 16 bits"]);
        assert_eq!((below.bit_perfect, below.because.as_deref()), (false, Some(KNOB)));
        let other = SignalPath { because: Some("the device takes 16 of 24 bits".into()), ..path.clone() };
        let other = other.at(Some(Gain::from_db(-36)), Some(&mixer));
        assert!(!other.bit_perfect && other.processing[1].starts_with(DITHER));
        let by = ReplayGain { gain: Gain(-1587), of: GainOf::Album, measured: false };
        let levelled = SignalPath { because: Some(KNOB.into()), ..path.clone() }.levelled(Some(by));
        assert_eq!(levelled.processing[0], "ReplayGain -6.2 dB (album)");
        assert_eq!(levelled.because.as_deref(), Some("ReplayGain is applied"));
        let refused = SignalPath { because: Some("the device does not take 8 Hz".into()), ..path.clone() };
        assert_eq!(refused.clone().levelled(Some(by)).because, refused.because);
        let unity = ReplayGain { gain: Gain::UNITY, ..by };
        assert_eq!(path.clone().levelled(Some(unity)), path);
    }
}
