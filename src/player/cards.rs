//! What `/proc/asound` says about the cards of the machine: names, kinds, packed formats, who holds a device. Pure
//! parsers, and the reads around them.
//!
//! Rule: Linux `Documentation/sound/designs/procfile.rst`.

use std::path::Path;

/// A device of a card that can play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// ALSA's name: `hw:CARD=PCH,DEV=0`.
    pub pcm: String,
    /// The card's id: `PCH`.
    pub id: String,
    /// The card's number.
    pub number: u32,
    /// The device's number on the card.
    pub device: u32,
    /// For a person.
    pub description: String,
    /// What it is.
    pub kind: Kind,
}

/// What a device is, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A USB or I2S DAC.
    Dac,
    /// S/PDIF.
    Digital,
    /// The machine's own analogue output.
    Analogue,
    /// A screen or an AV receiver.
    Hdmi,
    /// Not a real one.
    Loopback,
}

/// A form of sample and rates of a USB device, as `stream0` lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsbForm {
    /// ALSA's name: `S24_3LE`.
    pub format: String,
    /// Channels.
    pub channels: u16,
    /// Single rates, or lowest and highest of a continuous range.
    pub rates: Rates,
}

/// Rates of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rates {
    /// These.
    Each(Vec<u32>),
    /// All between.
    Between(u32, u32),
}

impl Rates {
    /// Returns whether the rate is one of them.
    pub fn contain(&self, rate: u32) -> bool {
        match self {
            Rates::Each(rates) => rates.contains(&rate),
            Rates::Between(low, high) => (*low..=*high).contains(&rate),
        }
    }
}

/// Returns the devices that can play, best first.
pub fn cards() -> Vec<Card> {
    let read = |name: &str| std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap_or_default();
    parse(&read("cards"), &read("pcm"))
}

/// Returns the forms that a USB device lists; empty when it lists none.
pub fn usb_forms(card: &Card) -> Vec<UsbForm> {
    let path = format!("{ROOT}/card{}/stream{}", card.number, card.device);
    parse_usb(&std::fs::read_to_string(path).unwrap_or_default())
}

/// Returns the mixer that the kernel made for a USB card, as text; `None` for others.
pub fn usb_mixer(card: &Card) -> Option<String> {
    std::fs::read_to_string(format!("{ROOT}/card{}/usbmixer", card.number)).ok()
}

/// Returns who holds the device, e.g. `mpd (1234)`, where the system lets us read it.
pub fn holder(card: &Card) -> Option<String> {
    let path = format!("{ROOT}/card{}/pcm{}p/sub0/status", card.number, card.device);
    let pid = parse_owner(&std::fs::read_to_string(path).ok()?)?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(if name.is_empty() { format!("process {pid}") } else { format!("{} ({pid})", name.trim()) })
}

/// Returns what an open device was set to: format, channels, rate, periods.
pub fn hardware(card: &Card) -> Option<String> {
    let path = format!("{ROOT}/card{}/pcm{}p/sub0/hw_params", card.number, card.device);
    parse_hardware(&std::fs::read_to_string(path).ok()?)
}

/// Reads `hw_params`; `None` for a closed device.
fn parse_hardware(text: &str) -> Option<String> {
    let of = |key: &str| {
        let line =
            text.lines().find_map(|line| line.split_once(':').filter(|(name, _)| name.trim() == key))?;
        line.1.split_whitespace().next()
    };
    Some(format!(
        "{}, {} channels, {} Hz, periods of {} in {} frames",
        of("format")?,
        of("channels")?,
        of("rate")?,
        of("period_size")?,
        of("buffer_size")?,
    ))
}

/// Joins `cards` and `pcm` to the devices that can play, best first.
pub fn parse(cards: &str, pcm: &str) -> Vec<Card> {
    let heads: Vec<(u32, &str, &str, &str)> = cards.lines().filter_map(head).collect();
    let mut found: Vec<Card> = pcm
        .lines()
        .filter(|line| line.contains("playback"))
        .filter_map(|line| {
            let (numbers, rest) = line.split_once(':')?;
            let (number, device) = numbers.split_once('-')?;
            let (number, device) = (number.trim().parse().ok()?, device.trim().parse().ok()?);
            let (_, id, driver, name) = heads.iter().find(|(n, ..)| *n == number)?;
            let own = rest.split(':').next().unwrap_or_default().trim();
            let description = if own.is_empty() { (*name).to_owned() } else { format!("{name}, {own}") };
            let kind = kind(driver, name, rest);
            let pcm = format!("hw:CARD={id},DEV={device}");
            Some(Card { pcm, id: (*id).to_owned(), number, device, description, kind })
        })
        .collect();
    // By id, not by number: numbers change from one start of the machine to the next.
    found.sort_by(|a, b| (a.kind, &a.id, a.device).cmp(&(b.kind, &b.id, b.device)));
    found
}

/// ` 0 [PCH            ]: HDA-Intel - HDA Intel PCH` → number, id, driver, name.
fn head(line: &str) -> Option<(u32, &str, &str, &str)> {
    let (number, rest) = line.split_once('[')?;
    let (id, rest) = rest.split_once("]:")?;
    let (driver, name) = rest.split_once(" - ")?;
    Some((number.trim().parse().ok()?, id.trim(), driver.trim(), name.trim()))
}

fn kind(driver: &str, name: &str, device: &str) -> Kind {
    let all = format!("{driver} {name} {device}").to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| all.contains(word));
    if any(&["loopback", "dummy"]) {
        Kind::Loopback
    } else if any(&["hdmi", "displayport"]) {
        Kind::Hdmi
    } else if any(&["usb-audio", "i2s", "hifiberry", "iqaudio", "allo", "justboom", "snd_rpi", "simple-card"])
    {
        Kind::Dac
    } else if any(&["iec958", "s/pdif", "spdif", "digital"]) {
        Kind::Digital
    } else {
        Kind::Analogue
    }
}

/// Reads the playback half of a USB `stream0`.
pub fn parse_usb(text: &str) -> Vec<UsbForm> {
    let mut forms = Vec::new();
    let (mut format, mut channels) = (None, 0);
    let playback = text.split("Capture:").next().unwrap_or_default();
    for line in playback.lines() {
        let Some((key, value)) = line.trim().split_once(':') else { continue };
        let value = value.trim();
        match key {
            "Format" => format = Some(value.to_owned()),
            "Channels" => channels = value.parse().unwrap_or(0),
            "Rates" => {
                if let Some(format) = format.take() {
                    forms.push(UsbForm { format, channels, rates: rates(value) });
                }
            }
            _ => {}
        }
    }
    forms
}

/// `44100, 48000` or `44100 - 192000 (continuous)`.
fn rates(text: &str) -> Rates {
    let numbers: Vec<u32> =
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect();
    match numbers[..] {
        [low, high] if text.contains("continuous") => Rates::Between(low, high),
        _ => Rates::Each(numbers),
    }
}

fn parse_owner(status: &str) -> Option<u32> {
    let line = status.lines().find(|line| line.starts_with("owner_pid"))?;
    line.split_once(':')?.1.trim().parse().ok()
}

const ROOT: &str = "/proc/asound";

#[cfg(test)]
mod tests {
    use super::*;

    const CARDS: &str = " 0 [PCH            ]: HDA-Intel - HDA Intel PCH\n                      HDA Intel PCH at 0xf7c10000 irq 30\n 1 [DAC            ]: USB-Audio - Topping D10\n                      Topping D10 at usb-1\n";
    const PCM: &str = "00-00: ALC269VC Analog : ALC269VC Analog : playback 1 : capture 1\n00-01: ALC269VC Digital : ALC269VC Digital : playback 1\n00-03: HDMI 0 : HDMI 0 : playback 1\n00-08: mic : mic : capture 1\n01-00: USB Audio : USB Audio : playback 1\n";

    #[test]
    fn the_usb_dac_comes_first_and_hdmi_last() {
        let found = parse(CARDS, PCM);
        let names: Vec<&str> = found.iter().map(|card| card.pcm.as_str()).collect();
        assert_eq!(
            names,
            ["hw:CARD=DAC,DEV=0", "hw:CARD=PCH,DEV=1", "hw:CARD=PCH,DEV=0", "hw:CARD=PCH,DEV=3"]
        );
        assert_eq!(found[0].description, "Topping D10, USB Audio");
    }

    #[test]
    fn packed_formats_and_their_rates_are_read() {
        let text = "Topping : USB Audio\n\nPlayback:\n  Status: Stop\n  Interface 1\n    Altset 1\n    Format: S24_3LE\n    Channels: 2\n    Endpoint: 1 OUT (ASYNC)\n    Rates: 44100, 48000, 96000\n\nCapture:\n  Interface 2\n    Format: S16_LE\n    Channels: 1\n    Rates: 44100 - 48000 (continuous)\n";
        let forms = parse_usb(text);
        assert_eq!(forms.len(), 1);
        assert_eq!(forms[0].format, "S24_3LE");
        assert!(forms[0].rates.contain(96_000) && !forms[0].rates.contain(88_200));
        assert!(rates("44100 - 192000 (continuous)").contain(88_200));
    }

    #[test]
    fn the_holder_is_read() {
        assert_eq!(parse_owner("state: RUNNING\nowner_pid   : 1234\n"), Some(1234));
        assert_eq!(parse_owner("closed\n"), None);
    }

    #[test]
    fn what_the_hardware_was_set_to_is_read() {
        let text = "access: RW_INTERLEAVED\nformat: S24_3LE\nsubformat: STD\nchannels: 2\nrate: 44100 (44100/1)\nperiod_size: 882\nbuffer_size: 1764\n";
        let words = parse_hardware(text);
        assert_eq!(words.as_deref(), Some("S24_3LE, 2 channels, 44100 Hz, periods of 882 in 1764 frames"));
        assert_eq!(parse_hardware("closed\n"), None);
    }

    #[test]
    fn anything_at_all_is_no_card() {
        assert!(parse("--- no soundcards ---\n", "x-y: playback\n:::\n").is_empty());
    }
}
