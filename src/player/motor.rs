//! The motor itself, without its thread: messages and turns in, sound and events out. Runs on the player's thread;
//! tests call it with a hand clock. A turn reads and decodes, so it may block as long as the disk does.

mod switch;
mod volume;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::player::gain::{Swing, lifted};
use crate::player::line::Line;
use crate::player::mixer::Wish;
use crate::player::motor::switch::Switch;
use crate::player::motor::volume::Volume;
use crate::player::opening::{Opening, open};
use crate::player::output::{Output, Plan, Recovery, Sample, Stream, Want};
use crate::player::phase::Phase;
use crate::player::ring::{Expect, Feed, Render, Shared, Words, ring};
use crate::player::source::Decoders;
use crate::player::{Knob, Load, Message, PlayerConfig, PlayerEvent};
use crate::signal::{Device, PlaySerial};
use crate::units::{Gain, Millis};

/// The motor.
pub struct Motor {
    output: Box<dyn Output>,
    decoders: Decoders,
    wanted: String,
    knob: Knob,
    gain: Gain,
    /// Where the volume is applied when konpo has the knob.
    mixer: Wish,
    volume: Volume,
    device: Option<OpenDevice>,
    /// The level of the stream that was closed last, behind the card's mixer, and when.
    left: Option<(f64, Instant)>,
    /// When an open device is given back although its time has not come.
    leave_at: Option<Instant>,
    switch: Option<Switch>,
    /// Underruns of the streams that were closed.
    underruns: u64,
    line: Line,
    opening: Opening,
    phase: Phase,
    recovery: Recovery,
    told_position: Option<Instant>,
    told_device: Option<Device>,
    /// Why nothing is heard of the open device, as it was told.
    held: Option<String>,
    events: VecDeque<PlayerEvent>,
    /// The last track ended with nothing behind it: what comes as its next starts at once.
    dry: bool,
}

struct OpenDevice {
    plan: Plan,
    /// For what the plan was made: the device's own rate and form may be others.
    asked: Want,
    feed: Feed,
    /// The ring's other end until the stream starts.
    render: Option<Render>,
    stream: Option<Box<dyn Stream>>,
}

impl OpenDevice {
    fn shared(&self) -> &Arc<Shared> {
        self.feed.shared()
    }

    /// Returns the number of the frame that is heard now.
    fn heard(&self) -> u64 {
        self.shared().heard()
    }

    /// Returns whether the stream carries this without loss and without a gap.
    fn takes(&self, want: &Want) -> bool {
        let plan = &self.plan;
        let deep =
            if want.float { self.asked.float } else { plan.sample.bits() >= want.enough.min(plan.deepest) };
        let wide = plan.channels == want.channels || (want.channels == 1 && plan.channels == 2);
        (plan.rate == want.rate || self.asked.rate == want.rate) && wide && deep
    }

    /// Returns what its ring carries.
    fn words(&self) -> Words {
        let floats = self.asked.float && self.plan.sample == Sample::F32 && self.plan.rate == self.asked.rate;
        if floats { Words::Floats } else { Words::Whole }
    }
}

impl Motor {
    /// Returns a motor at rest.
    pub fn new(config: &PlayerConfig, output: Box<dyn Output>, decoders: Decoders, now: Instant) -> Motor {
        Motor {
            output,
            decoders,
            wanted: config.device.clone(),
            knob: config.knob,
            gain: config.gain,
            mixer: config.mixer.clone(),
            volume: Volume::new(config.mixer.clone(), config.knob),
            device: None,
            left: None,
            leave_at: None,
            switch: None,
            underruns: 0,
            line: Line::default(),
            opening: Opening::default(),
            phase: Phase::Idle { since: now },
            recovery: Recovery::default(),
            told_position: None,
            told_device: None,
            held: None,
            dry: false,
            events: VecDeque::new(),
        }
    }

    /// Returns the next event that waits to be told.
    pub fn event(&mut self) -> Option<PlayerEvent> {
        self.events.pop_front()
    }

    /// Puts back an event that could not be told; a position is dropped instead.
    pub fn untold(&mut self, event: PlayerEvent) {
        if !matches!(event, PlayerEvent::Position { .. }) {
            self.events.push_front(event);
        }
    }

    /// Does what a message says.
    pub(super) fn take(&mut self, message: Message, now: Instant) {
        match message {
            Message::Load(load) => self.load(load, now),
            Message::Next(load) => self.next(load),
            Message::Pause => self.pause(now),
            Message::Resume => self.resume(now),
            Message::Stop => self.stop(now),
            Message::Seek(serial, to) => self.seek(serial, to, now),
            Message::Gain(gain) => {
                self.gain = gain;
                self.apply(now);
            }
            Message::Release => {
                self.pause(now);
                // The fade of the pause or stop is heard before.
                self.leave_at = Some(now + FADE_HEARD);
            }
            Message::Output(to) => self.switch_to(to, now),
            Message::Knob(knob) => self.hand_over_knob(knob, now),
            Message::Close => {
                self.cut();
                self.device = None;
            }
        }
    }

    /// Moves everything on and returns how long nothing will happen by itself; `None` is for ever.
    pub fn turn(&mut self, now: Instant) -> Option<Duration> {
        let trouble = self.device.as_mut().and_then(|d| d.stream.as_mut()).and_then(|s| s.trouble());
        if let Some(error) = trouble {
            self.lose(error, now);
        }
        self.switch_due(now);
        self.apply_due(now);
        if let Phase::Waiting { until } = self.phase
            && now >= until
        {
            self.begin(now);
        }
        self.count_gaps();
        self.tell_held(now);
        self.progress(now);
        self.opened(now);
        self.fill();
        self.hand_over(now);
        if self.release_at().is_some_and(|at| now >= at) {
            self.leave_at = None;
            self.release(now);
        }
        self.wait(now)
    }

    fn load(&mut self, load: Load, now: Instant) {
        self.cut();
        // A load ends a pause, also one that cannot be opened: what is primed follows it.
        self.phase = Phase::Idle { since: now };
        let serial = load.serial;
        match open(load, &self.decoders) {
            Ok(active) => {
                self.line.current = Some(active);
                self.recovery.reset();
                self.begin(now);
            }
            Err(error) => self.skip(serial, error, now),
        }
    }

    /// Says that a track is broken and goes on with the next one, now or as soon as it is there.
    fn skip(&mut self, serial: PlaySerial, error: Error, now: Instant) {
        self.events.push_back(PlayerEvent::Failed { serial, error });
        self.flush();
        self.line.spans.clear();
        self.line.current = self.line.waiting.pop_front();
        self.dry = self.line.current.is_none();
        match self.phase {
            // It begins when the pause ends.
            Phase::Paused { .. } => {}
            _ if self.dry => self.phase = Phase::Idle { since: now },
            _ => self.begin(now),
        }
    }

    fn next(&mut self, load: Option<Load>) {
        self.line.waiting.clear();
        match load {
            Some(load) => self.opening.want(load, &self.decoders),
            None => self.opening.forget(),
        }
    }

    /// Takes up the next track once it is open.
    fn opened(&mut self, now: Instant) {
        let Some((serial, opened)) = self.opening.poll(&self.decoders) else { return };
        match opened {
            Ok(active) if std::mem::take(&mut self.dry) => {
                // The track before ended while this one was on its way: it follows all the same, after a pause.
                self.line.current = Some(active);
                if !matches!(self.phase, Phase::Paused { .. }) {
                    self.begin(now);
                }
            }
            Ok(active) => self.line.waiting.push_back(active),
            Err(error) => self.events.push_back(PlayerEvent::Failed { serial, error }),
        }
    }

    fn pause(&mut self, now: Instant) {
        if !self.phase.wants_sound() && !self.dry {
            return;
        }
        if let Some(device) = &self.device {
            device.shared().run(Swing::Close);
        }
        self.phase = Phase::Paused { since: now };
        if let Some((serial, position)) = self.position() {
            self.events.push_back(PlayerEvent::Paused { serial, position });
            self.tell_position(now);
        }
    }

    fn resume(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Paused { .. }) {
            return;
        }
        let position = self.position();
        self.phase = Phase::Playing;
        self.leave_at = None;
        self.switch_now(now);
        if self.renews() {
            self.put_by(now);
        }
        if self.device.is_none() || self.line.spans.is_empty() {
            self.begin(now);
        } else if let Err(error) = self.run(now) {
            self.lose(error, now);
        }
        if let Some((serial, position)) = position {
            self.events.push_back(PlayerEvent::Resumed { serial, position });
            self.tell_position(now);
        }
    }

    fn stop(&mut self, now: Instant) {
        self.cut();
        if !matches!(self.phase, Phase::Idle { .. }) {
            self.phase = Phase::Idle { since: now };
        }
    }

    fn seek(&mut self, serial: PlaySerial, to: Millis, now: Instant) {
        if self.line.front() != Some(serial) {
            return;
        }
        let heard = self.device.as_ref().map_or(0, OpenDevice::heard);
        self.flush();
        self.tell_broken(heard, Some(to));
        if self.line.current.is_none() {
            self.dry = true;
            if !matches!(self.phase, Phase::Paused { .. }) {
                self.phase = Phase::Idle { since: now };
            }
            return;
        }
        if self.phase == Phase::Playing && self.renews() {
            return self.begin(now);
        }
        match self.enter() {
            Ok(()) => self.fill(),
            Err((serial, error)) => return self.skip(serial, error, now),
        }
        self.tell_position(now);
    }

    /// Takes back what was not heard and tells which tracks cannot go back.
    fn tell_broken(&mut self, heard: u64, to: Option<Millis>) {
        for (serial, error) in self.line.rewind(heard, to) {
            self.events.push_back(PlayerEvent::Failed { serial, error });
        }
    }

    /// Drops all sound and all that is loaded.
    fn cut(&mut self) {
        self.dry = false;
        self.opening.forget();
        self.flush();
        self.line = Line::default();
    }

    fn flush(&mut self) {
        if let Some(device) = &self.device {
            device.shared().expect(Expect::End);
            device.feed.flush();
        }
    }

    /// Opens the device for the current source where it is not open already, and starts its sound.
    fn begin(&mut self, now: Instant) {
        self.switch_now(now);
        if self.line.current.is_none() {
            self.line.current = self.line.waiting.pop_front();
        }
        let Some(active) = &self.line.current else {
            self.phase = Phase::Idle { since: now };
            self.dry = true;
            return;
        };
        let (serial, want) = (active.serial, active.want(self.knob));
        // Sound is wanted from here on, also from a device that is busy.
        self.phase = Phase::Playing;
        self.leave_at = None;
        match self.device_for(&want, now).and_then(|()| self.enter().map_err(|(_, error)| error)) {
            Ok(()) => {
                self.recovery.reset();
                self.fill();
                if let Err(error) = self.run(now) {
                    return self.lose(error, now);
                }
                self.announce();
                self.tell_position(now);
            }
            Err(error) if matches!(error.kind(), Kind::Unsupported | Kind::Internal) => {
                self.skip(serial, error, now);
            }
            Err(error) => self.lose(error, now),
        }
    }

    /// Closes the device and remembers how loud it was.
    fn close(&mut self, now: Instant) -> Option<Plan> {
        let device = self.device.take()?;
        self.underruns += device.shared().underruns();
        let level = device.shared().level();
        if level.is_finite() {
            self.left = Some((level * self.volume.behind(), now));
        }
        Some(device.plan)
    }

    /// Makes a device ready that takes this; its stream starts in [`Motor::run`], once the ring holds sound.
    fn device_for(&mut self, want: &Want, now: Instant) -> Result<()> {
        let good =
            |device: &OpenDevice| device.takes(want) && !(device.plan.silent && device.plan.notice.is_some());
        if self.device.as_ref().is_some_and(good) {
            if self.line.spans.is_empty() && self.renews() {
                self.renew(now);
            }
            return Ok(());
        }
        // A device cannot be asked or opened while we hold it.
        self.close(now);
        let plan = self.output.plan(want)?;
        self.ready(plan, *want, now);
        Ok(())
    }

    fn ready(&mut self, plan: Plan, asked: Want, now: Instant) {
        let heard = self.heard_lately(now);
        self.volume.open(&mut *self.output, &plan, self.gain, heard, now);
        let samples = self.volume.software(self.gain);
        let (feed, mut render) = ring(plan.rate, plan.channels, self.knob, samples);
        if let Some((level, at)) = self.left {
            let level = lifted(level, now.saturating_duration_since(at));
            render.take_over(level / self.volume.behind());
        }
        let mut device = OpenDevice { plan, asked, feed, render: None, stream: None };
        render.carries(device.words());
        device.render = Some(render);
        self.device = Some(device);
    }

    /// Returns whether a fresh stream of the device is heard sooner, and cuts nothing off that would click: it is silent,
    /// or the amplifier has the knob and nothing is faded anyway.
    fn renews(&self) -> bool {
        self.device.as_ref().is_some_and(|device| {
            let shared = device.shared();
            let silent = shared.silence() > 0 && shared.silence() >= shared.latency();
            device.plan.restarts && (device.stream.is_none() || silent || self.knob == Knob::Fixed)
        })
    }

    /// Takes a fresh stream of the same device.
    fn renew(&mut self, now: Instant) {
        let asked = self.device.as_ref().map(|device| device.asked);
        if let (Some(asked), Some(plan)) = (asked, self.close(now)) {
            self.ready(plan, asked, now);
        }
    }

    /// Lets the sound run, and starts the stream of a device that was just made ready.
    fn run(&mut self, now: Instant) -> Result<()> {
        // Somebody may have turned the card up or muted it meanwhile.
        self.apply(now);
        let Some(device) = &mut self.device else { return Ok(()) };
        device.shared().run(Swing::Open);
        if let Some(render) = device.render.take() {
            device.stream = Some(self.output.start(&device.plan, render)?);
        }
        let plan = device.plan.clone();
        let underruns = self.underruns();
        self.tell_device(Device {
            name: plan.device,
            silent: plan.silent,
            open: true,
            trouble: plan.notice.or_else(|| self.volume.notice()),
            underruns,
            mixer: self.volume.mixer(),
        });
        Ok(())
    }

    /// Puts the current source behind what is in the ring, or was given to the resampler.
    fn enter(&mut self) -> std::result::Result<(), (PlaySerial, Error)> {
        let (Some(device), Some(active)) = (&self.device, &mut self.line.current) else { return Ok(()) };
        let fitted = active.fit(device.plan.rate, device.plan.channels, device.words());
        fitted.map_err(|error| (active.serial, error))?;
        device.shared().expect(Expect::More);
        let start = device.feed.written() + active.owed();
        self.line.enter(start, device.plan.rate);
        Ok(())
    }

    /// Tells that the current source is open, once until the device is let go.
    fn announce(&mut self) {
        let (Some(device), Some(active)) = (&self.device, &mut self.line.current) else { return };
        if std::mem::replace(&mut active.announced, true) {
            return;
        }
        let about = active.source.about();
        let hardware = device.stream.as_ref().and_then(|stream| stream.hardware());
        self.events.push_back(PlayerEvent::Opened {
            serial: active.serial,
            format: about.format.clone(),
            duration: about.duration,
            seekable: about.seekable,
            signal: device
                .plan
                .path(&active.want(self.knob), about.format.clone(), hardware)
                .levelled(active.level),
        });
    }

    /// Decodes until the ring is full, going from one track to the next where the stream takes both.
    fn fill(&mut self) {
        loop {
            let (Some(device), Some(active)) = (&mut self.device, &mut self.line.current) else { return };
            let serial = active.serial;
            if !active.write(&mut device.feed) {
                return;
            }
            let next = self.line.waiting.front_mut().filter(|next| device.takes(&next.want(self.knob)));
            let rate = device.plan.rate;
            let goes_on = next.is_some();
            let owed = next.map_or(0, |next| next.follow(active, rate));
            if owed == 0 && !active.finish(&mut device.feed) {
                return;
            }
            let end = device.feed.written() + owed;
            // A track shorter than the ring is over before its device runs.
            self.announce();
            self.line.retire(end);
            if goes_on {
                self.line.current = self.line.waiting.pop_front();
                if let Err((serial, error)) = self.enter() {
                    self.events.push_back(PlayerEvent::Failed { serial, error });
                    self.line.current = None;
                    continue;
                }
                self.announce();
                continue;
            }
            if let Some(device) = &self.device {
                device.shared().expect(Expect::End);
            }
            if self.line.waiting.is_empty() {
                self.events.push_back(PlayerEvent::NeedNext { serial });
            }
            return;
        }
    }

    /// Starts the track that waits, once the one before is decoded (same form) or heard (another form).
    fn hand_over(&mut self, now: Instant) {
        if self.line.current.is_some() || self.phase != Phase::Playing {
            return;
        }
        let Some(next) = self.line.waiting.front() else {
            if self.line.spans.is_empty() {
                self.phase = Phase::Idle { since: now };
                self.dry = true;
            }
            return;
        };
        let gapless = self.device.as_ref().is_some_and(|device| device.takes(&next.want(self.knob)));
        if gapless || self.line.spans.is_empty() {
            self.line.current = self.line.waiting.pop_front();
            self.begin(now);
        }
    }

    /// Tells which tracks started and finished, and every 5 s where we are.
    fn progress(&mut self, now: Instant) {
        let Some(device) = &self.device else { return };
        let heard = device.heard();
        if self.line.progress(heard, now, &mut self.events) {
            self.tell_position(now);
        }
        let due = self.told_position.is_none_or(|at| now.saturating_duration_since(at) >= POSITION_EVERY);
        if self.phase == Phase::Playing && due {
            self.tell_position(now);
        }
    }

    fn position(&self) -> Option<(PlaySerial, Millis)> {
        self.line.position(self.device.as_ref().map(OpenDevice::heard))
    }

    fn tell_position(&mut self, now: Instant) {
        if let Some((serial, position)) = self.position() {
            self.told_position = Some(now);
            let running = self.phase == Phase::Playing && self.held.is_none();
            self.events.push_back(PlayerEvent::Position { serial, position, at: now, running });
        }
    }

    /// Returns how often since the start sound was not there in time.
    fn underruns(&self) -> u64 {
        self.underruns + self.device.as_ref().map_or(0, |device| device.shared().underruns())
    }

    /// Tells of gaps that were heard.
    fn count_gaps(&mut self) {
        let underruns = self.underruns();
        if let Some(told) = self.told_device.as_ref().filter(|told| told.underruns != underruns) {
            tracing::warn!(device = told.name, underruns, "the sound broke off: the machine did not keep up");
            self.tell_device(Device { underruns, ..told.clone() });
        }
    }

    /// Tells that a server holds the open device, or lets it go on. The clock that is shown stands meanwhile.
    fn tell_held(&mut self, now: Instant) {
        let device = self.device.as_ref();
        let held = device.and_then(|device| device.stream.as_ref()).and_then(|stream| stream.held());
        if held == self.held {
            return;
        }
        let notice = device.and_then(|device| device.plan.notice.clone()).or_else(|| self.volume.notice());
        self.held.clone_from(&held);
        if let Some(told) = self.told_device.clone().filter(|told| told.open) {
            self.tell_device(Device { trouble: held.or(notice), ..told });
        }
        self.tell_position(now);
    }

    fn tell_device(&mut self, device: Device) {
        if self.told_device.as_ref() != Some(&device) {
            self.told_device = Some(device.clone());
            self.events.push_back(PlayerEvent::Device(device));
        }
    }

    /// Gives the device up after trouble, keeps the place, and asks again later.
    fn lose(&mut self, error: Error, now: Instant) {
        self.put_by(now);
        let name = match (self.close(now), &self.told_device) {
            (Some(plan), _) => plan.device,
            (None, Some(told)) => told.name.clone(),
            (None, None) => self.wanted.clone(),
        };
        let trouble = Some(error.to_string());
        if self.told_device.as_ref().and_then(|told| told.trouble.as_ref()) != trouble.as_ref() {
            tracing::warn!(device = name, %error, "the sound device is in trouble");
        }
        self.volume.leave();
        let underruns = self.underruns();
        self.tell_device(Device { name, silent: false, open: false, trouble, underruns, mixer: None });
        if self.phase.wants_sound() {
            self.phase = Phase::Waiting { until: now + self.recovery.delay() };
            // The clock of whoever shows it stands still until the device is back.
            self.tell_position(now);
        }
    }

    /// Returns when the device is given back; `None` while it is closed or sounds.
    fn release_at(&self) -> Option<Instant> {
        let at = self.device.as_ref().and_then(|_| self.phase.release_at())?;
        Some(self.leave_at.map_or(at, |leave| leave.min(at)))
    }

    /// Closes the device and keeps the place.
    fn release(&mut self, now: Instant) {
        self.put_by(now);
        let Some(plan) = self.close(now) else { return };
        self.line.untold();
        self.volume.leave();
        self.tell_device(Device {
            name: plan.device,
            silent: plan.silent,
            open: false,
            trouble: None,
            underruns: self.underruns(),
            mixer: None,
        });
        self.events.push_back(PlayerEvent::Released);
    }

    /// Takes back what is in the ring but was not heard.
    fn put_by(&mut self, now: Instant) {
        let Some(device) = &mut self.device else { return };
        // A callback that still runs would take frames behind the place that is kept.
        device.stream = None;
        let heard = device.heard();
        self.line.progress(heard, now, &mut self.events);
        self.tell_broken(heard, None);
    }

    fn wait(&self, now: Instant) -> Option<Duration> {
        if !self.events.is_empty() {
            return Some(OUTBOX_RETRY);
        }
        let opening = self.opening.is_busy().then_some(OPENING_TURN);
        // Asking it waits already.
        let starved =
            self.line.current.as_ref().is_some_and(|active| active.starved) && self.phase.wants_sound();
        let starved = starved.then_some(SHORTEST_TURN);
        [self.rest(now), opening, starved, self.switch_in(now), self.apply_in()].into_iter().flatten().min()
    }

    fn rest(&self, now: Instant) -> Option<Duration> {
        match self.phase {
            Phase::Playing => {
                let Some(device) = &self.device else { return Some(LONGEST_TURN) };
                let mark = self.line.next_mark().map_or(u64::MAX, |at| at.saturating_sub(device.heard()));
                let until =
                    Duration::from_secs_f64(mark.min(1 << 20) as f64 / f64::from(device.plan.rate.hz()));
                Some(until.clamp(SHORTEST_TURN, LONGEST_TURN))
            }
            Phase::Waiting { until } => Some(until.saturating_duration_since(now)),
            Phase::Idle { .. } | Phase::Paused { .. } => {
                self.release_at().map(|at| at.saturating_duration_since(now).min(TROUBLE_TURN))
            }
        }
    }
}

const POSITION_EVERY: Duration = Duration::from_secs(5);
const SHORTEST_TURN: Duration = Duration::from_millis(4);
/// A third of the ring.
const LONGEST_TURN: Duration = Duration::from_millis(100);
/// How soon a track that is being opened is taken up.
const OPENING_TURN: Duration = Duration::from_millis(10);
/// A fade of 5 ms and the buffer of a device.
const FADE_HEARD: Duration = Duration::from_millis(60);
/// How soon trouble of a held device is noticed.
const TROUBLE_TURN: Duration = Duration::from_secs(1);
/// How soon events are offered again to a receiver that did not keep up.
const OUTBOX_RETRY: Duration = Duration::from_millis(20);

#[cfg(test)]
#[path = "motor_tests.rs"]
mod tests;
