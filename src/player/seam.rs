//! `konpo outputs` and `konpo play FILE…`: the motor from the shell, without the box.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};
use crate::media::sound::Sound;
use crate::player::mixer::Wish;
use crate::player::{Knob, Load, OutputInfo, Player, PlayerConfig, PlayerEvent, choice};
use crate::signal::PlaySerial;
use crate::units::{Gain, Millis};

/// Returns every output, in the order in which `auto` tries them.
pub fn list_outputs() -> Vec<OutputInfo> {
    choice::outputs()
}

/// Plays files one after the other without a gap, at full scale, and says on `out` what happens, as JSON lines or
/// as text.
///
/// # Errors
/// The first file that could not be played, after the others were; trouble of the device at once.
///
/// # Blocks
/// Until the last file was heard. Not to be called in an async task.
pub fn play_files(paths: &[PathBuf], output: &str, json: bool, out: &mut dyn Write) -> Result<()> {
    let config = PlayerConfig {
        device: output.to_owned(),
        knob: Knob::Fixed,
        mixer: Wish::Software,
        gain: Gain::UNITY,
    };
    let (player, mut events) = Player::start(config)?;
    let mut files = Files { paths, given: 0, over: 0, open: Vec::new() };
    let mut first_error = None;
    files.feed(&player)?;
    while files.over < paths.len() {
        let Some(event) = events.blocking_recv() else { break };
        if let Some((text, value)) = words(&event, paths) {
            let line = if json { value.to_string() } else { text };
            writeln!(out, "{line}").map_err(|e| Error::io("write what is played", e))?;
        }
        match event {
            PlayerEvent::Opened { serial, .. } => {
                files.open.push(serial);
                files.feed(&player)?;
            }
            PlayerEvent::Finished { serial } => files.end(serial, &player)?,
            PlayerEvent::Failed { serial, error } => {
                first_error.get_or_insert(error);
                files.end(serial, &player)?;
            }
            PlayerEvent::Device(device) => {
                if let (Some(trouble), false) = (&device.trouble, device.open) {
                    return Err(Error::new(Kind::Unreachable, trouble.clone()));
                }
            }
            _ => {}
        }
    }
    player.close();
    first_error.map_or(Ok(()), Err)
}

/// How far the files are; each ends once, finished or failed.
struct Files<'a> {
    paths: &'a [PathBuf],
    given: usize,
    over: usize,
    open: Vec<PlaySerial>,
}

impl Files<'_> {
    /// Gives the next file: behind what sounds, or to be started.
    fn feed(&mut self, player: &Player) -> Result<()> {
        let Some(path) = self.paths.get(self.given) else { return Ok(()) };
        self.given += 1;
        let load = load(path, self.given as u64);
        if self.open.is_empty() { player.load(load) } else { player.next(Some(load)) }
    }

    /// Notes that a file is over; one that never opened lets the next one in.
    fn end(&mut self, serial: PlaySerial, player: &Player) -> Result<()> {
        self.over += 1;
        match self.open.iter().position(|open| *open == serial) {
            Some(at) => {
                self.open.remove(at);
                Ok(())
            }
            None => self.feed(player),
        }
    }
}

fn load(path: &Path, serial: u64) -> Load {
    let path = path.to_owned();
    let open = move || {
        let extension = path.extension().and_then(|e| e.to_str()).map(str::to_owned);
        File::open(&path)
            .and_then(|file| Sound::file(file, extension.as_deref()))
            .map_err(|e| Error::io(format!("open {}", path.display()), e))
    };
    Load { serial: PlaySerial(serial), open: Box::new(open), from: Millis::ZERO, level: None }
}

/// Returns an event as text and as JSON.
fn words(event: &PlayerEvent, paths: &[PathBuf]) -> Option<(String, Value)> {
    let name = |serial: &PlaySerial| {
        let path = paths.get((serial.0 as usize).wrapping_sub(1));
        path.map_or(String::new(), |path| path.display().to_string())
    };
    Some(match event {
        PlayerEvent::Opened { serial, signal, duration, .. } => {
            let way = signal.because.as_deref().unwrap_or("bit-perfect");
            let form = format!("{} {} {}ch", signal.rate, signal.sample, signal.channels);
            let value =
                json!({"event": "opened", "file": name(serial), "frames": duration, "signal": signal});
            (format!("opened {}: {form}, {way}", name(serial)), value)
        }
        PlayerEvent::Started { serial, .. } => {
            (format!("started {}", name(serial)), json!({"event": "started", "file": name(serial)}))
        }
        PlayerEvent::Finished { serial } => {
            (format!("finished {}", name(serial)), json!({"event": "finished", "file": name(serial)}))
        }
        PlayerEvent::Failed { serial, error } => {
            let value = json!({"event": "failed", "file": name(serial), "error": error.to_string()});
            (format!("failed {}: {error}", name(serial)), value)
        }
        PlayerEvent::Device(device) => {
            let trouble = device.trouble.as_ref().map_or(String::new(), |words| format!(": {words}"));
            (format!("device {}{trouble}", device.name), json!({"event": "device", "device": device}))
        }
        _ => return None,
    })
}
