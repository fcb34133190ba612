//! The mixer of an ALSA card by its simple elements: which of them carries the volume, and the element itself. Runs on the
//! player's thread; each call goes to the kernel and, with USB, to the device.
//!
//! # Which element
//! Full scale goes to the card once an element has the volume, so an element that does nothing would be as loud as the
//! amplifier is. By itself konpo takes one only where the card has a single device that plays, so that the element belongs to
//! what konpo plays, and where it is the kernel's own: alsa-lib's softvol plugin puts elements of any name beside them, which
//! do nothing to a stream that goes to the card directly.
//!
//! Rule: ALSA `snd_mixer_selem_*`, millibels; Linux `sound/usb/mixer.c`, `/proc/asound/card0/usbmixer`.

use alsa::mixer::{MilliBel, Mixer, Selem, SelemChannelId, SelemId};

use crate::error::{Error, Kind, Result};
use crate::player::cards::{self, Card};
use crate::player::mixer::{Element, Step, Wish, usable};
use crate::units::Gain;

/// Opens the element of the card that carries the volume; `None` when that is done in the samples.
///
/// # Errors
/// `NotFound` when the card has no element of the name that is wished for, with those that it has; `Unreachable` when the
/// mixer cannot be read.
///
/// # Blocks
/// Some milliseconds.
pub fn open(card: &Card, wish: &Wish) -> Result<Option<Box<dyn Element>>> {
    if *wish == Wish::Software {
        return Ok(None);
    }
    let mixer = Mixer::new(&format!("hw:{}", card.number), false)
        .map_err(|error| Error::with(Kind::Unreachable, format!("open the mixer of {}", card.pcm), error))?;
    let found = elements(&mixer);
    let Some(at) = choose(&found, card, &Seen::of(card), wish)? else { return Ok(None) };
    let Found { name, id, steps } = found.into_iter().nth(at).ok_or_else(|| gone(&card.pcm))?;
    Ok(Some(Box::new(CardElement { mixer, id, name, steps })))
}

/// A playback volume that tells decibels.
struct Found {
    name: String,
    id: SelemId,
    steps: Vec<Step>,
}

/// What the system tells of a card beside its mixer.
struct Seen {
    /// The number of its devices that play.
    devices: usize,
    /// What `usbmixer` lists; `None` for a card that is not on USB.
    usb: Option<String>,
}

impl Seen {
    fn of(card: &Card) -> Seen {
        let devices = cards::cards().iter().filter(|other| other.number == card.number).count();
        Seen { devices, usb: cards::usb_mixer(card) }
    }
}

/// Returns the place of the element that carries the volume.
fn choose(found: &[Found], card: &Card, seen: &Seen, wish: &Wish) -> Result<Option<usize>> {
    match wish {
        Wish::Software => Ok(None),
        Wish::Named(name) => {
            let at = found.iter().position(|element| element.name == *name);
            at.map(Some).ok_or_else(|| unknown(found, card, name))
        }
        Wish::Auto if seen.devices != 1 => Ok(None),
        Wish::Auto => Ok(AUTO.iter().find_map(|name| {
            found.iter().position(|element| {
                element.name == *name
                    && kernels(name, card, seen)
                    && !like_softvol(&element.steps)
                    && usable(&element.steps).is_ok()
            })
        })),
    }
}

/// Returns whether the element is surely the kernel's and governs the card's only device: listed for USB; for an I2S DAC
/// the name that drivers of such chips give; for the machine's own output the one above all its jacks.
fn kernels(name: &str, card: &Card, seen: &Seen) -> bool {
    match (&seen.usb, card.kind) {
        (Some(listed), cards::Kind::Dac) => listed.contains(&format!("name=\"{name} Playback Volume\"")),
        (None, cards::Kind::Dac) => name == "Digital",
        (None, cards::Kind::Analogue) => name == "Master",
        _ => false,
    }
}

/// Returns whether the steps are those of softvol where nobody set others: 256, from -51 dB to 0.
fn like_softvol(steps: &[Step]) -> bool {
    let near = |step: Option<&Step>, db: f64| step.is_some_and(|step| (step.gain.db() - db).abs() < 0.3);
    let audible = steps.iter().find(|step| step.gain != Gain::SILENT);
    steps.len() == 256 && near(audible, -51.0) && near(steps.last(), 0.0)
}

fn unknown(found: &[Found], card: &Card, name: &str) -> Error {
    let names: Vec<&str> = found.iter().map(|element| element.name.as_str()).collect();
    let there = if names.is_empty() { "none with decibels".to_owned() } else { names.join(", ") };
    let words = format!("the card {} has no mixer element {name:?}; it has: {there}", card.id);
    Error::new(Kind::NotFound, words + ". konpo does the volume itself")
}

fn gone(name: &str) -> Error {
    Error::new(Kind::Unreachable, format!("the card's mixer '{name}' is gone"))
}

fn elements(mixer: &Mixer) -> Vec<Found> {
    let read = |selem: Selem<'_>| {
        if !selem.has_playback_volume() {
            return None;
        }
        let id = selem.get_id();
        let name = id.get_name().ok()?;
        let name = if id.get_index() == 0 { name.to_owned() } else { format!("{name},{}", id.get_index()) };
        let steps = steps(&selem)?;
        Some(Found { name, id, steps })
    };
    mixer.iter().filter_map(Selem::new).filter_map(read).collect()
}

/// Returns what every position does; `None` where the element tells no decibels.
fn steps(selem: &Selem<'_>) -> Option<Vec<Step>> {
    let (low, high) = selem.get_playback_volume_range();
    if high <= low || high.saturating_sub(low) > MOST_STEPS {
        return None;
    }
    let step = |raw| selem.ask_playback_vol_db(raw).ok().map(|db| Step { raw, gain: gain(db) });
    (low..=high).map(step).collect()
}

/// Millibels in 1/256 dB, rounded up: an element is never taken to be quieter than it is.
fn gain(MilliBel(db): MilliBel) -> Gain {
    if db <= MUTED {
        return Gain::SILENT;
    }
    let up = (db.saturating_mul(256).saturating_add(99)).div_euclid(100);
    Gain(i32::try_from(up).unwrap_or(i32::MAX))
}

/// An element of an open mixer.
struct CardElement {
    mixer: Mixer,
    id: SelemId,
    name: String,
    steps: Vec<Step>,
}

impl CardElement {
    fn selem(&self) -> Result<Selem<'_>> {
        self.mixer.find_selem(&self.id).ok_or_else(|| gone(&self.name))
    }

    fn error(&self, tried: &str, error: alsa::Error) -> Error {
        Error::with(Kind::Unreachable, format!("{tried} the card's mixer '{}'", self.name), error)
    }
}

impl Element for CardElement {
    fn name(&self) -> &str {
        &self.name
    }

    fn steps(&self) -> &[Step] {
        &self.steps
    }

    fn read(&mut self) -> Result<i64> {
        // The library keeps what it read last; events tell it what others changed.
        self.mixer.handle_events().map_err(|error| self.error("read", error))?;
        let selem = self.selem()?;
        let has = |channel: &&SelemChannelId| selem.has_playback_channel(**channel);
        let mut loudest = None;
        for channel in CHANNELS.iter().filter(has) {
            let raw = selem.get_playback_volume(*channel).map_err(|error| self.error("read", error))?;
            loudest = loudest.max(Some(raw));
        }
        loudest.ok_or_else(|| gone(&self.name))
    }

    fn write(&mut self, raw: i64) -> Result<()> {
        self.selem()?.set_playback_volume_all(raw).map_err(|error| self.error("set", error))
    }

    fn unmute(&mut self) -> Result<()> {
        let selem = self.selem()?;
        if !selem.has_playback_switch() {
            return Ok(());
        }
        selem.set_playback_switch_all(1).map_err(|error| self.error("unmute", error))
    }
}

/// The names that drivers give to the volume of what is played, the nearest to the stream first: `PCM` and `Digital` are the
/// stream's own and nothing else's; `Master` is the whole card's; the others belong to one jack each.
const AUTO: [&str; 5] = ["PCM", "Digital", "Master", "Speaker", "Headphone"];
/// USB has 16 bits of 1/256 dB.
const MOST_STEPS: i64 = 1 << 16;
/// SND_CTL_TLV_DB_GAIN_MUTE of ALSA's `control.h`.
const MUTED: i64 = -9_999_999;
const CHANNELS: [SelemChannelId; 9] = [
    SelemChannelId::FrontLeft,
    SelemChannelId::FrontRight,
    SelemChannelId::RearLeft,
    SelemChannelId::RearRight,
    SelemChannelId::FrontCenter,
    SelemChannelId::Woofer,
    SelemChannelId::SideLeft,
    SelemChannelId::SideRight,
    SelemChannelId::RearCenter,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn card(kind: cards::Kind) -> Card {
        let pcm = "hw:CARD=A,DEV=0".to_owned();
        Card { pcm, id: "A".into(), number: 0, device: 0, description: String::new(), kind }
    }

    /// Steps of half a decibel down to so many decibels.
    fn found(name: &str, low: i64) -> Found {
        let steps = (2 * low..=0).map(|raw| Step { raw, gain: gain(MilliBel(raw * 50)) }).collect();
        Found { name: name.to_owned(), id: SelemId::new(name, 0), steps }
    }

    const USB: &str = "USB Mixer: usb_id=0x20b13008, ctrlif=0, ctlerr=0\nCard: A DAC\n  Unit: 10\n    \
        Control: name=\"PCM Playback Volume\", index=0\n    \
        Info: id=10, control=2, cmask=0x3, channels=2, type=\"S16\"\n    \
        Volume: min=-15360, max=0, dBmin=-6000, dBmax=0\n";

    fn check(found: &[Found], kind: cards::Kind, usb: Option<&str>, devices: usize, expected: Option<&str>) {
        let seen = Seen { devices, usb: usb.map(str::to_owned) };
        let at = choose(found, &card(kind), &seen, &Wish::Auto).expect("auto refuses nothing");
        assert_eq!(at.map(|at| found[at].name.as_str()), expected);
    }

    #[test]
    fn an_element_is_taken_by_itself_only_where_it_surely_has_the_sound() {
        use cards::Kind::{Analogue, Dac, Digital, Hdmi};
        let all = || [found("Master", -60), found("Digital", -100), found("PCM", -60)];
        check(&all(), Dac, Some(USB), 1, Some("PCM"));
        check(&all(), Dac, Some(USB), 2, None);
        check(&all(), Dac, Some("USB Mixer:\n"), 1, None);
        // An I2S card with elements that somebody made beside the chip's own.
        check(&all(), Dac, None, 1, Some("Digital"));
        check(&all()[2..], Dac, None, 1, None);
        check(&all(), Analogue, None, 1, Some("Master"));
        check(&all(), Digital, None, 1, None);
        check(&all(), Hdmi, None, 1, None);
        check(&[found("PCM", -30)], Dac, Some(USB), 1, None);
    }

    #[test]
    fn what_looks_like_softvol_is_left_alone() {
        let steps = (0..256).map(|raw| Step { raw, gain: gain(MilliBel(-5_100 + raw * 20)) }).collect();
        let soft = Found { steps, ..found("Digital", -60) };
        check(&[soft], cards::Kind::Dac, None, 1, None);
    }

    #[test]
    fn a_name_that_the_card_does_not_have_is_told_with_those_it_has() {
        let elements = [found("Speaker", -60), found("Speaker,1", -60)];
        let seen = Seen { devices: 3, usb: None };
        let ask = |name: &str| {
            choose(&elements, &card(cards::Kind::Analogue), &seen, &Wish::Named(name.to_owned()))
        };
        assert_eq!(ask("Speaker,1").ok(), Some(Some(1)));
        let error = ask("PCM").expect_err("there is none").to_string();
        assert!(error.contains("no mixer element \"PCM\"; it has: Speaker, Speaker,1"), "{error}");
        let error = unknown(&[], &card(cards::Kind::Dac), "PCM").to_string();
        assert!(error.contains("it has: none with decibels"), "{error}");
    }

    #[test]
    fn millibels_are_never_taken_for_less_than_they_are() {
        for (db, expected) in [(0, 0), (-50, -128), (-1, -2), (-100, -256), (-33, -84), (7, 18)] {
            assert_eq!(gain(MilliBel(db)), Gain(expected), "{db}");
        }
        assert_eq!(gain(MilliBel(MUTED)), Gain::SILENT);
        assert_eq!(gain(MilliBel(i64::MAX)), Gain(i32::MAX));
    }

    #[test]
    fn a_card_that_is_not_there_is_an_error_and_software_asks_for_none() {
        let none = Card { number: 4_000_000, ..card(cards::Kind::Dac) };
        assert!(open(&none, &Wish::Auto).is_err_and(|error| error.kind() == Kind::Unreachable));
        assert!(open(&none, &Wish::Software).is_ok_and(|element| element.is_none()));
    }
}
