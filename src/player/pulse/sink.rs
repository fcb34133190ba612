//! A sink of the server: listed, planned, opened. Runs on the player's thread.

use std::ffi::{CStr, CString};
use std::time::Instant;

use pulseaudio::protocol::{
    ChannelMap, ChannelPosition, Command, CreatePlaybackStreamReply, DEFAULT_SINK, GetSinkInfo,
    PlaybackStreamParams, Prop, Props, ProtocolError, PulseError, SampleFormat, SampleSpec, SinkInfo,
    SinkInfoList, sample_spec, stream,
};

use crate::error::{Error, Kind, Result};
use crate::player::Knob;
use crate::player::output::{Output, Plan, Sample, Stream, Want, best_rate};
use crate::player::priority;
use crate::player::pulse::PULSE;
use crate::player::pulse::pump::{Opened, Pump, often_late, spawn};
use crate::player::pulse::wire::{Connection, error};
use crate::player::ring::Render;

/// A sink that can be planned and opened.
pub struct Sink {
    sink: CString,
    name: String,
    /// The connection over which it was found; a second stream makes one of its own.
    connection: Option<Connection>,
}

impl Sink {
    /// Returns the sink of this name, or the default.
    ///
    /// # Errors
    /// `Unreachable` when no server answers or it has no such sink, `NotAllowed` when it refuses konpo.
    pub fn find(name: Option<&str>) -> Result<Sink> {
        let shown = name.map_or("of the sound server".to_owned(), |name| format!("{PULSE}{name}"));
        let asked = match name.map(CString::new) {
            None => DEFAULT_SINK.to_owned(),
            Some(Ok(name)) => name,
            // No name has a zero byte.
            Some(Err(_)) => return Err(missing(&shown)),
        };
        let mut connection = Connection::open()?;
        let info = info(&mut connection, asked).map_err(|e| match e {
            ProtocolError::ServerError(PulseError::NoEntity) => missing(&shown),
            other => error(format!("ask for the output {shown}"), other),
        })?;
        Ok(Sink { name: shown_name(&info.name), sink: info.name, connection: Some(connection) })
    }
}

impl Output for Sink {
    /// The server takes every rate and form, and converts where its sink is another.
    fn plan(&mut self, want: &Want) -> Result<Plan> {
        let refuses = |what: &str| {
            Error::new(Kind::Unsupported, format!("the device {} does not take {what}", self.name))
        };
        let rate = best_rate(want.rate, |rate| rate.hz() <= sample_spec::MAX_RATE)
            .ok_or_else(|| refuses(&want.rate.to_string()))?;
        if want.channels == 0 || want.channels > u16::from(sample_spec::MAX_CHANNELS) {
            return Err(refuses(&format!("{} channels", want.channels)));
        }
        let sample = want.forms(rate)[0];
        Ok(Plan {
            device: self.name.clone(),
            silent: false,
            rate,
            channels: want.channels,
            sample,
            deepest: Sample::I32.bits(),
            sample_name: sample.name().to_owned(),
            because: Some("through a sound server, which may mix and convert".to_owned()),
            notice: None,
            restarts: true,
        })
    }

    fn start(&mut self, plan: &Plan, render: Render) -> Result<Box<dyn Stream>> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open()?,
        };
        let periods = match render.knob() {
            Knob::Box if !often_late() => PROMPT_PERIODS,
            _ => SERVER_PERIODS,
        };
        let words = || format!("open the device {}", self.name);
        let command = Command::CreatePlaybackStream(request(plan, &self.sink, periods));
        let reply: CreatePlaybackStreamReply = connection.ask(&command).map_err(|e| match e {
            ProtocolError::ServerError(PulseError::NoEntity) => missing(&self.name),
            other => error(words(), other),
        })?;
        let failed = |e: std::io::Error| Error::with(Kind::Internal, words(), e);
        let (socket, version) = connection.into_parts().map_err(failed)?;
        let opened = Opened {
            version,
            channel: reply.channel,
            wanted: reply.requested_bytes,
            longest: reply.buffer_attr.target_length,
            delay: reply.stream_latency,
            suspended: reply.suspended,
        };
        let (name, now) = (self.name.clone(), Instant::now());
        let stream = match plan.sample {
            Sample::I16 => spawn(name, Pump::<i16>::new(socket, opened, render, now)),
            Sample::I24 => spawn(name, Pump::<cpal::I24>::new(socket, opened, render, now)),
            Sample::I32 => spawn(name, Pump::<i32>::new(socket, opened, render, now)),
            Sample::F32 => spawn(name, Pump::<f32>::new(socket, opened, render, now)),
        };
        let stream = stream.map_err(failed)?;
        priority::ask();
        Ok(stream)
    }
}

/// Returns name and description of every sink, the default first.
pub fn all() -> Vec<(String, String)> {
    listed().unwrap_or_else(|error| {
        tracing::debug!(%error, "the sinks of the sound server are not known");
        Vec::new()
    })
}

fn listed() -> Result<Vec<(String, String)>> {
    if !super::reachable() {
        return Ok(Vec::new());
    }
    let mut connection = Connection::open()?;
    let default = info(&mut connection, DEFAULT_SINK.to_owned()).ok().map(|info| info.name);
    let sinks: SinkInfoList = connection
        .ask(&Command::GetSinkInfoList)
        .map_err(|e| error("ask for the outputs of the sound server".to_owned(), e))?;
    let mut found: Vec<(bool, String, String)> = sinks
        .into_iter()
        .map(|info| {
            let words = info.description.as_ref().unwrap_or(&info.name).to_string_lossy().into_owned();
            (Some(&info.name) != default.as_ref(), shown_name(&info.name), words)
        })
        .collect();
    found.sort();
    Ok(found.into_iter().map(|(_, name, words)| (name, words)).collect())
}

fn info(connection: &mut Connection, name: CString) -> Result<SinkInfo, ProtocolError> {
    connection.ask(&Command::GetSinkInfo(GetSinkInfo { index: None, name: Some(name) }))
}

fn shown_name(sink: &CStr) -> String {
    format!("{PULSE}{}", sink.to_string_lossy())
}

fn missing(name: &str) -> Error {
    Error::new(Kind::Unreachable, format!("the output {name} is not there"))
}

/// Returns a stream of two periods, each asked for as a whole, that starts by itself once both are there.
///
/// Rule: PulseAudio, `pa_buffer_attr`: with ADJUST_LATENCY the target length is that of buffer and device together.
fn request(plan: &Plan, sink: &CStr, periods: u32) -> PlaybackStreamParams {
    let format = format(plan.sample);
    let frame = u32::from(plan.channels) * format.bytes_per_sample() as u32;
    let period = (plan.rate.hz() / periods).max(1).saturating_mul(frame);
    let both = period.saturating_mul(2);
    let mut props = Props::new();
    props.set(Prop::MediaName, c"konpo");
    PlaybackStreamParams {
        // Planned to fit.
        sample_spec: SampleSpec { format, channels: plan.channels as u8, sample_rate: plan.rate.hz() },
        channel_map: channel_map(plan.channels),
        sink_name: Some(sink.to_owned()),
        buffer_attr: stream::BufferAttr {
            max_length: both,
            target_length: both,
            minimum_request_length: period,
            ..Default::default()
        },
        flags: stream::StreamFlags { adjust_latency: true, ..Default::default() },
        props,
        ..Default::default()
    }
}

fn format(sample: Sample) -> SampleFormat {
    match (sample, cfg!(target_endian = "little")) {
        (Sample::I16, true) => SampleFormat::S16Le,
        (Sample::I16, false) => SampleFormat::S16Be,
        (Sample::I24, true) => SampleFormat::S24In32Le,
        (Sample::I24, false) => SampleFormat::S24In32Be,
        (Sample::I32, true) => SampleFormat::S32Le,
        (Sample::I32, false) => SampleFormat::S32Be,
        (Sample::F32, true) => SampleFormat::Float32Le,
        (Sample::F32, false) => SampleFormat::Float32Be,
    }
}

/// Returns where the channels of a file sound.
///
/// Rule: RFC 9639 9.1.3, up to 8 channels; beyond, no place is known.
fn channel_map(channels: u16) -> ChannelMap {
    use ChannelPosition::{
        FrontCenter, FrontLeft, FrontRight, Lfe, Mono, RearCenter, RearLeft, RearRight, SideLeft, SideRight,
    };
    let known: &[ChannelPosition] = match channels {
        1 => &[Mono],
        2 => &[FrontLeft, FrontRight],
        3 => &[FrontLeft, FrontRight, FrontCenter],
        4 => &[FrontLeft, FrontRight, RearLeft, RearRight],
        5 => &[FrontLeft, FrontRight, FrontCenter, RearLeft, RearRight],
        6 => &[FrontLeft, FrontRight, FrontCenter, Lfe, RearLeft, RearRight],
        7 => &[FrontLeft, FrontRight, FrontCenter, Lfe, RearCenter, SideLeft, SideRight],
        8 => &[FrontLeft, FrontRight, FrontCenter, Lfe, RearLeft, RearRight, SideLeft, SideRight],
        more => &NOWHERE[..usize::from(more).min(NOWHERE.len())],
    };
    ChannelMap::new(known.iter().copied())
}

/// Two make 66 ms: a server and its client both have to be woken in time. A fresh stream does not wait for it.
const SERVER_PERIODS: u32 = 30;
/// Two make 36 ms. With the knob on konpo a seek is heard behind the fade of what the server has already, so that it may
/// hold no more, as long as the machine keeps up with it.
const PROMPT_PERIODS: u32 = 55;
/// Channels without a place, as many as a server takes.
const NOWHERE: [ChannelPosition; 32] = {
    use ChannelPosition::*;
    [
        Aux0, Aux1, Aux2, Aux3, Aux4, Aux5, Aux6, Aux7, Aux8, Aux9, Aux10, Aux11, Aux12, Aux13, Aux14, Aux15,
        Aux16, Aux17, Aux18, Aux19, Aux20, Aux21, Aux22, Aux23, Aux24, Aux25, Aux26, Aux27, Aux28, Aux29,
        Aux30, Aux31,
    ]
};
