//! The paced output without hardware: takes frames by the clock. For tests it plays by hand, and can stall, fail,
//! drift and refuse on request; it keeps what it played, bounded.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::player::output::{Output, Plan, Sample, Stream, Want, best_rate};
use crate::player::ring::Render;
use crate::units::SampleRate;

/// The paced output.
#[derive(Debug, Default)]
pub struct Silent {
    control: SilentControl,
    notice: Option<String>,
}

/// What a test asks of the paced output. Clones speak to the same one.
#[derive(Debug, Clone, Default)]
pub struct SilentControl(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    by_hand: bool,
    stalled: bool,
    drift: i32,
    only: Option<Vec<u32>>,
    failing: Option<String>,
    broken: Option<String>,
    capture: Vec<i32>,
    most: usize,
    restarts: bool,
    opened: u32,
    render: Option<Render>,
}

impl Silent {
    /// Returns an output that takes frames by the clock.
    pub fn paced() -> Silent {
        Silent::default()
    }

    /// Returns an output paced by the clock that says why nothing is heard.
    pub fn because(notice: impl Into<String>) -> Silent {
        Silent { notice: Some(notice.into()), ..Silent::default() }
    }

    /// Returns an output that a test controls.
    pub fn controlled(control: SilentControl) -> Silent {
        Silent { control, notice: None }
    }
}

impl SilentControl {
    /// Returns a control whose output takes frames only by [`SilentControl::pull`].
    pub fn by_hand() -> SilentControl {
        let control = SilentControl::default();
        control.lock().by_hand = true;
        control
    }

    /// Takes `frames` from the open stream and returns their samples; empty while none is open.
    pub fn pull(&self, frames: usize) -> Vec<i32> {
        let mut inner = self.lock();
        let Some(render) = &mut inner.render else { return Vec::new() };
        let mut out = vec![0i32; frames * render.channels()];
        render.fill(&mut out);
        out
    }

    /// Keeps up to `samples` of what is played from now on.
    pub fn capture(&self, samples: usize) {
        let mut inner = self.lock();
        inner.capture.clear();
        inner.most = samples;
    }

    /// Returns what was kept.
    pub fn captured(&self) -> Vec<i32> {
        self.lock().capture.clone()
    }

    /// Returns what was kept since the last call, and makes room for as much again.
    pub fn take_captured(&self) -> Vec<i32> {
        std::mem::take(&mut self.lock().capture)
    }

    /// Takes no frames until the next call with `false`.
    pub fn stall(&self, stalled: bool) {
        self.lock().stalled = stalled;
    }

    /// Runs fast (or slow, negative) by so many millionths: 7,000,000 is eight times as fast as the clock.
    pub fn drift(&self, millionths: i32) {
        self.lock().drift = millionths;
    }

    /// Says that a fresh stream is heard sooner, as a sound server does.
    pub fn restarts(&self, restarts: bool) {
        self.lock().restarts = restarts;
    }

    /// Takes these rates only, in Hz; `None` takes all.
    pub fn takes_only(&self, rates: Option<&[u32]>) {
        self.lock().only = rates.map(<[u32]>::to_vec);
    }

    /// Fails every opening with these words; `None` works again.
    pub fn fail(&self, words: Option<&str>) {
        self.lock().failing = words.map(str::to_owned);
    }

    /// Breaks the open stream.
    pub fn unplug(&self) {
        self.lock().broken = Some("unplugged".to_owned());
    }

    /// Returns how often it was opened.
    pub fn opened(&self) -> u32 {
        self.lock().opened
    }

    /// Returns whether a stream that is played by hand is open.
    pub fn is_open(&self) -> bool {
        self.lock().render.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The data is plain: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Output for Silent {
    fn plan(&mut self, want: &Want) -> Result<Plan> {
        let inner = self.control.lock();
        if let Some(words) = &inner.failing {
            return Err(Error::new(Kind::Unreachable, words.clone()));
        }
        let takes = |rate: SampleRate| inner.only.as_ref().is_none_or(|only| only.contains(&rate.hz()));
        let Some(rate) = best_rate(want.rate, takes) else {
            let words = format!("the device {NAME} does not take {}", want.rate);
            return Err(Error::new(Kind::Unsupported, words));
        };
        Ok(Plan {
            device: NAME.to_owned(),
            silent: true,
            rate,
            channels: want.channels,
            sample: Sample::I32,
            deepest: 32,
            sample_name: Sample::I32.name().to_owned(),
            because: Some("no sound device: the sound goes nowhere".to_owned()),
            notice: self.notice.clone(),
            restarts: inner.restarts,
        })
    }

    fn start(&mut self, _plan: &Plan, render: Render) -> Result<Box<dyn Stream>> {
        let control = self.control.clone();
        let mut inner = control.lock();
        inner.opened += 1;
        inner.broken = None;
        let mut stream = SilentStream { control: control.clone(), stop: None, thread: None };
        if inner.by_hand {
            inner.render = Some(render);
        } else {
            let (stop, stopped) = channel::<()>();
            let control = control.clone();
            let pace = move || pace(render, &control, |wait| stopped.recv_timeout(wait));
            let thread = std::thread::Builder::new()
                .name("konpo-silent".into())
                .spawn(pace)
                .map_err(|e| Error::with(Kind::Internal, "start the silent output", e))?;
            (stream.stop, stream.thread) = (Some(stop), Some(thread));
        }
        Ok(Box::new(stream))
    }
}

struct SilentStream {
    control: SilentControl,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stream for SilentStream {
    fn trouble(&mut self) -> Option<Error> {
        self.control.lock().broken.take().map(|words| Error::new(Kind::Unreachable, words))
    }
}

impl Drop for SilentStream {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.control.lock().render = None;
    }
}

/// Takes frames by the clock until the stream is dropped.
fn pace(
    mut render: Render,
    control: &SilentControl,
    wait: impl Fn(Duration) -> Result<(), RecvTimeoutError>,
) {
    let mut buffer = vec![0i32; PERIOD_FRAMES * render.channels()];
    let (mut since, mut given) = (Instant::now(), 0u64);
    let mut speed = 1.0;
    while wait(PERIOD.div_f64(speed)) == Err(RecvTimeoutError::Timeout) {
        let (stalled, drift) = {
            let inner = control.lock();
            (inner.stalled, inner.drift)
        };
        let fresh = (1.0 + f64::from(drift) / 1e6).max(0.01);
        if stalled || fresh != speed {
            (since, given, speed) = (Instant::now(), 0, fresh);
            continue;
        }
        let rate = f64::from(render.rate()) * speed;
        let due = (since.elapsed().as_secs_f64() * rate) as u64;
        while given < due {
            let frames = (due - given).min(PERIOD_FRAMES as u64) as usize;
            let part = &mut buffer[..frames * render.channels()];
            render.fill(part);
            given += frames as u64;
            let mut inner = control.lock();
            let room = inner.most.saturating_sub(inner.capture.len()).min(part.len());
            inner.capture.extend_from_slice(&part[..room]);
        }
    }
}

/// What `output.device` calls it.
pub const NAME: &str = "silent";
const PERIOD: Duration = Duration::from_millis(10);
const PERIOD_FRAMES: usize = 1024;
