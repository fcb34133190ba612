//! A device of ALSA, through cpal. Opens at the source's own rate where the device takes it, else at the best one that it
//! takes: what arrives here was resampled to it. The callback is [`Render::fill`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, SampleFormat, StreamConfig, SupportedStreamConfigRange};

use crate::error::{Error, Kind, Result};
use crate::player::card_mixer;
use crate::player::cards::{self, Card};
use crate::player::mixer::{Element, Wish};
use crate::player::output::{Output, Plan, Sample, Stream, Want, best_rate};
use crate::player::priority;
use crate::player::ring::{DeviceSample, Dither, Render};
use crate::units::SampleRate;

/// A device that can be planned and opened.
pub struct SoundCard {
    device: cpal::Device,
    name: String,
    card: Option<Card>,
    way: Way,
}

/// How samples reach the hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// ALSA's `hw:`: as they are.
    Direct,
    /// ALSA's `plughw:` for packed 24 bit, which cpal 0.18 lacks: only the padding byte goes.
    Packed,
    /// Another name of ALSA, which may convert.
    Plugin,
}

impl Output for SoundCard {
    fn plan(&mut self, want: &Want) -> Result<Plan> {
        let configs: Vec<SupportedStreamConfigRange> = match self.device.supported_output_configs() {
            Ok(configs) => configs.collect(),
            Err(error) => return Err(self.error("open", error)),
        };
        if configs.is_empty() && self.way == Way::Direct {
            return self.packed(want);
        }
        let at = |c: &SupportedStreamConfigRange, rate: SampleRate| {
            (c.min_sample_rate()..=c.max_sample_rate()).contains(&rate.hz())
        };
        let Some(rate) = best_rate(want.rate, |rate| configs.iter().any(|c| at(c, rate))) else {
            return Err(self.refuses(&want.rate.to_string()));
        };
        let rated: Vec<&SupportedStreamConfigRange> = configs.iter().filter(|c| at(c, rate)).collect();
        let wide = |channels: u16| rated.iter().any(|c| c.channels() == channels);
        let channels = match want.channels {
            1 if !wide(1) && wide(2) => 2,
            channels if wide(channels) => channels,
            channels => return Err(self.refuses(&format!("{channels} channels"))),
        };
        let takes = |sample: &Sample| {
            rated.iter().any(|c| c.channels() == channels && c.sample_format() == format(*sample))
        };
        let preferred = want.forms(rate);
        let Some(sample) = preferred.iter().copied().find(takes) else {
            return Err(self.refuses("any form of samples that konpo has"));
        };
        let deepest = preferred.iter().filter(|s| takes(s)).map(|s| s.bits()).max().unwrap_or(16);
        let name = sample.name().to_owned();
        Ok(self.planned(rate, channels, sample, deepest, name))
    }

    /// Behind a plugin there is none: what it does with the sound is not known.
    fn mixer(&mut self, _plan: &Plan, wish: &Wish) -> Result<Option<Box<dyn Element>>> {
        match (&self.card, self.way) {
            (Some(card), Way::Direct | Way::Packed) => card_mixer::open(card, wish),
            _ => Ok(None),
        }
    }

    fn start(&mut self, plan: &Plan, render: Render) -> Result<Box<dyn Stream>> {
        let period = plan.rate.hz() / CARD_PERIODS;
        let fault = Fault::default();
        let config =
            |buffer_size| StreamConfig { channels: plan.channels, sample_rate: plan.rate.hz(), buffer_size };
        // The render half can be given away once only, so the size is settled before.
        let size =
            if self.takes_period(plan, period) { BufferSize::Fixed(period) } else { BufferSize::Default };
        let config = config(size);
        let built = match plan.sample {
            Sample::I16 => build::<i16>(&self.device, config, render, &fault),
            Sample::I24 => build::<cpal::I24>(&self.device, config, render, &fault),
            Sample::I32 => build::<i32>(&self.device, config, render, &fault),
            Sample::F32 => build::<f32>(&self.device, config, render, &fault),
        };
        let stream = built.map_err(|error| self.error("open", error))?;
        stream.play().map_err(|error| self.error("start", error))?;
        priority::ask();
        let name = self.name.clone();
        let card = self.card.clone();
        Ok(Box::new(CardStream { fault, name, card, _stream: stream }))
    }
}

impl SoundCard {
    /// Returns the device of a card.
    ///
    /// # Errors
    /// `Unreachable` when ALSA does not know it.
    pub fn of_card(card: &Card) -> Result<SoundCard> {
        let host = host(cpal::HostId::Alsa)?;
        let name = format!("{ALSA}{}", card.pcm);
        let numeric = format!("hw:CARD={},DEV={}", card.number, card.device);
        let device = find(&host, cpal::HostId::Alsa, &card.pcm)
            .or_else(|| find(&host, cpal::HostId::Alsa, &numeric))
            .ok_or_else(|| missing(&name))?;
        Ok(SoundCard { device, name, card: Some(card.clone()), way: Way::Direct })
    }

    /// Returns the device that `konpo outputs` prints under this name.
    ///
    /// # Errors
    /// `Unreachable` when it is not there.
    pub fn named(name: &str) -> Result<SoundCard> {
        let pcm = name.strip_prefix(ALSA).unwrap_or(name);
        if let Some(card) = cards::cards().iter().find(|card| card.pcm == pcm) {
            return SoundCard::of_card(card);
        }
        let host = host(cpal::HostId::Alsa)?;
        let device = find(&host, cpal::HostId::Alsa, pcm)
            .or_else(|| (pcm == "default").then(|| host.default_output_device()).flatten())
            .ok_or_else(|| missing(name))?;
        let way = if pcm.starts_with("hw:") { Way::Direct } else { Way::Plugin };
        Ok(SoundCard { device, name: format!("{ALSA}{pcm}"), card: None, way })
    }

    /// Returns its name as `konpo outputs` prints it.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn takes_period(&self, plan: &Plan, period: u32) -> bool {
        let Ok(mut configs) = self.device.supported_output_configs() else { return false };
        configs.any(|c| {
            let sized = match c.buffer_size() {
                cpal::SupportedBufferSize::Range { min, max } => (*min..=*max).contains(&period),
                cpal::SupportedBufferSize::Unknown => false,
            };
            sized && c.channels() == plan.channels && c.sample_format() == format(plan.sample)
        })
    }

    /// Plans a USB device whose only form is packed 24 bit.
    fn packed(&mut self, want: &Want) -> Result<Plan> {
        let Some(card) = self.card.clone() else {
            return Err(self.refuses("any form of samples that konpo has"));
        };
        let forms = cards::usb_forms(&card);
        let packed = |form: &&cards::UsbForm| form.format.split(' ').any(|name| name == "S24_3LE");
        let takes = |rate: SampleRate| forms.iter().filter(packed).any(|form| form.rates.contain(rate.hz()));
        let Some(rate) = best_rate(want.rate, takes) else {
            return Err(self.refuses(&want.rate.to_string()));
        };
        let host = host(cpal::HostId::Alsa)?;
        let pcm = format!("plug{}", card.pcm);
        let numeric = format!("plughw:CARD={},DEV={}", card.number, card.device);
        self.device = find(&host, cpal::HostId::Alsa, &pcm)
            .or_else(|| find(&host, cpal::HostId::Alsa, &numeric))
            .ok_or_else(|| missing(&pcm))?;
        self.way = Way::Packed;
        let channels = if want.channels == 1 { 2 } else { want.channels };
        if !forms.iter().filter(packed).any(|form| form.channels == channels) {
            return Err(self.refuses(&format!("{channels} channels")));
        }
        Ok(self.planned(rate, channels, Sample::I24, 24, "s24_3le".to_owned()))
    }

    fn planned(
        &self,
        rate: SampleRate,
        channels: u16,
        sample: Sample,
        deepest: u16,
        sample_name: String,
    ) -> Plan {
        let because = match self.way {
            Way::Direct | Way::Packed => None,
            Way::Plugin => Some(format!("through {}, which may convert", self.name)),
        };
        Plan {
            device: self.name.clone(),
            silent: false,
            rate,
            channels,
            sample,
            deepest,
            sample_name,
            because,
            notice: None,
            restarts: false,
        }
    }

    fn refuses(&self, what: &str) -> Error {
        Error::new(Kind::Unsupported, format!("the device {} does not take {what}", self.name))
    }

    fn error(&self, tried: &str, error: cpal::Error) -> Error {
        let words = format!("{tried} the device {}", self.name);
        match error.kind() {
            cpal::ErrorKind::DeviceBusy => {
                let by = self.card.as_ref().and_then(cards::holder);
                let by = by.map_or("another program".to_owned(), |holder| holder);
                Error::with(Kind::Busy, format!("the device {} is held by {by}", self.name), error)
            }
            cpal::ErrorKind::UnsupportedConfig | cpal::ErrorKind::UnsupportedOperation => {
                Error::with(Kind::Unsupported, words, error)
            }
            cpal::ErrorKind::PermissionDenied => Error::with(Kind::NotAllowed, words, error),
            _ => Error::with(Kind::Unreachable, words, error),
        }
    }
}

impl DeviceSample for cpal::I24 {
    fn exact(left: i32) -> cpal::I24 {
        cpal::I24::new_unchecked(left >> 8)
    }
    fn holds(left: i32) -> bool {
        left & 0xff == 0
    }
    fn rounded(left: f64, dither: &mut Dither) -> cpal::I24 {
        let value = dither.round(left / 256.0) as i32;
        cpal::I24::new_unchecked(value.clamp(-(1 << 23), (1 << 23) - 1))
    }
}

/// Returns the names of ALSA that are no card: `default`, `pulse`, `pipewire` where they are configured.
pub fn plugins() -> Vec<(String, String)> {
    let Ok(host) = host(cpal::HostId::Alsa) else { return Vec::new() };
    let Ok(devices) = host.devices() else { return Vec::new() };
    devices
        .filter_map(|device| {
            let id = device.id().ok()?;
            let known = ["default", "pulse", "pipewire"].contains(&id.id());
            let words = device.description().map_or(String::new(), |d| d.name().to_owned());
            known.then(|| (format!("{ALSA}{}", id.id()), words))
        })
        .collect()
}

/// Keeps what ALSA's library says on this thread away from stderr; the errors come back as values all the same, and a
/// device that is asked again and again would fill the log. Called before every choice: that empties the buffer too.
pub fn hush() {
    // Without it there is more in the log, nothing else.
    let _ = alsa::Output::local_error_handler();
}

fn host(id: cpal::HostId) -> Result<cpal::Host> {
    cpal::host_from_id(id).map_err(|e| Error::with(Kind::Unreachable, format!("reach {id}"), e))
}

fn find(host: &cpal::Host, id: cpal::HostId, name: &str) -> Option<cpal::Device> {
    host.device_by_id(&cpal::DeviceId::new(id, name))
}

fn missing(name: &str) -> Error {
    Error::new(Kind::Unreachable, format!("the output {name} is not there"))
}

fn format(sample: Sample) -> SampleFormat {
    match sample {
        Sample::I16 => SampleFormat::I16,
        Sample::I24 => SampleFormat::I24,
        Sample::I32 => SampleFormat::I32,
        Sample::F32 => SampleFormat::F32,
    }
}

/// What went wrong behind the callback.
type Fault = Arc<Mutex<Option<cpal::Error>>>;

struct CardStream {
    fault: Fault,
    name: String,
    card: Option<Card>,
    _stream: cpal::Stream,
}

impl Stream for CardStream {
    fn trouble(&mut self) -> Option<Error> {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Error::with(Kind::Unreachable, format!("play on the device {}", self.name), fault))
    }

    fn hardware(&self) -> Option<String> {
        self.card.as_ref().and_then(cards::hardware)
    }
}

fn build<T: DeviceSample + cpal::SizedSample>(
    device: &cpal::Device,
    config: StreamConfig,
    mut render: Render,
    fault: &Fault,
) -> Result<cpal::Stream, cpal::Error> {
    let fault = Arc::clone(fault);
    let rate = u64::from(config.sample_rate);
    device.build_output_stream::<T, _, _>(
        config,
        move |out: &mut [T], info: &cpal::OutputCallbackInfo| {
            let stamp = info.timestamp();
            let frames = (out.len() / render.channels().max(1)) as u64;
            if let Some(ahead) = stamp.playback.checked_duration_since(stamp.callback) {
                let micros = ahead.min(LONGEST_LATENCY).as_micros() as u64;
                // What this call gives is heard behind what waits in the device.
                render.shared().note_latency(micros * rate / 1_000_000 + frames);
            }
            render.fill(out);
        },
        move |error: cpal::Error| {
            // Runs on cpal's thread but outside the callback. An xrun is coped with by cpal; the priority is a wish.
            if !matches!(error.kind(), cpal::ErrorKind::Xrun | cpal::ErrorKind::RealtimeDenied) {
                let mut slot = fault.lock().unwrap_or_else(PoisonError::into_inner);
                slot.get_or_insert(error);
            }
        },
        Some(OPEN_TIMEOUT),
    )
}

/// The prefix of ALSA's names.
pub const ALSA: &str = "alsa:";
/// Periods in a second. Two make a card's buffer of 40 ms: what is pressed is heard behind it. The priority that
/// `priority` asks for keeps it filled.
const CARD_PERIODS: u32 = 50;
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);
/// What a device says beyond this is not believed.
const LONGEST_LATENCY: Duration = Duration::from_secs(2);
