//! The settings while the box runs: shows them with where they come from, takes what the page changes, applies it to the box
//! at once, and keeps it in `<data>/settings.toml`. Holds no setting of its own beside the layers of `config`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Mutex, watch};
use tracing::info;

use crate::config::layers::{Change, Layers, Shown};
use crate::config::{self, Config};
use crate::error::{Error, Kind, Result};
use crate::hifi::command::{Command, Refused};
use crate::hifi::quiet::{QuietAction, QuietConfig};
use crate::hifi::{Hifi, HifiConfig};
use crate::intake::Intake;
use crate::offer::{Caller, Right};
use crate::signal::GainMode;
use crate::units::calendar::Hours;

/// Every value that the page shows, by `section.key`.
pub type Values = BTreeMap<&'static str, Shown>;

/// The settings of the running box. Cheap to clone.
#[derive(Clone)]
pub struct Settings {
    inner: Arc<Inner>,
}

struct Inner {
    data: PathBuf,
    layers: Mutex<Layers>,
    name: watch::Sender<Arc<str>>,
    hifi: Hifi,
    intake: Intake,
}

impl Settings {
    /// Returns the settings of a box that was started with these layers. What the page changes is kept in `data`; `name` tells
    /// those who show it what the box is called.
    pub fn new(
        layers: Layers,
        data: PathBuf,
        name: watch::Sender<Arc<str>>,
        hifi: Hifi,
        intake: Intake,
    ) -> Settings {
        Settings { inner: Arc::new(Inner { data, layers: Mutex::new(layers), name, hifi, intake }) }
    }

    /// Returns what the box is called.
    pub fn name(&self) -> Arc<str> {
        self.inner.name.borrow().clone()
    }

    /// Returns every value that the page shows. Owner only.
    ///
    /// # Errors
    /// `NotAllowed` below Owner.
    pub async fn shown(&self, caller: &Caller) -> Result<Values> {
        need(caller)?;
        self.inner.layers.lock().await.shown()
    }

    /// Changes values, all of them or none, at once and for good. Owner only. An output that is not there is a refusal.
    ///
    /// # Errors
    /// `NotAllowed` below Owner and for what konpo.toml or the command line says, `Invalid`, `Stopped`, and those of the disk.
    ///
    /// # Cancel
    /// What was chosen as output may be used without being kept.
    pub async fn change(&self, caller: &Caller, changes: &[Change]) -> Result<Result<(), Refused>> {
        need(caller)?;
        let mut layers = self.inner.layers.lock().await;
        let changed = layers.changed(changes)?;
        let (before, after) = (layers.config()?, changed.config()?);
        let session = self.inner.hifi.of(caller.clone());
        let output = |config: &Config| Command::SetOutput(config.output.device.as_str().into());
        // Somebody may have chosen another one for now.
        let chosen = changes.iter().any(|(key, _)| key == "output.device");
        if chosen && let Err(refused) = session.send(output(&after)).await? {
            return Ok(Err(refused));
        }
        let (kept, data) = (changed.clone(), self.inner.data.clone());
        let written = tokio::task::spawn_blocking(move || kept.save_page(&data)).await;
        let written = written.map_err(|error| Error::with(Kind::Internal, "keep the settings", error))?;
        if let Err(error) = written {
            if chosen {
                // What is not kept does not hold.
                session.send(output(&before)).await?.ok();
            }
            return Err(error);
        }
        *layers = changed;
        if knob(&before) != knob(&after)
            && let Err(refused) = session.send(Command::Adjust(knob(&after))).await?
        {
            return Ok(Err(refused));
        }
        self.inner.intake.set_rules(after.intake.push, after.intake.on_arrival);
        if self.inner.name.borrow().as_ref() != after.name() {
            self.inner.name.send_replace(after.name().into());
        }
        for (key, _) in changes {
            info!(key, "the owner changed a setting");
        }
        Ok(Ok(()))
    }
}

/// Returns `[output]` and `[quiet]` as far as the box obeys them.
pub fn knob(config: &Config) -> HifiConfig {
    HifiConfig {
        fixed_volume: config.output.volume == config::Knob::Fixed,
        max_volume: config.output.max_volume,
        gains: gains(&config.output),
        quiet: quiet(config.quiet),
    }
}

/// Returns which gains are used; none where the amplifier has the knob.
fn gains(config: &config::Output) -> GainMode {
    match (config.volume, config.replaygain) {
        (config::Knob::Fixed, _) | (_, Some(config::ReplayGain::Off)) => GainMode::Off,
        (_, None | Some(config::ReplayGain::Auto)) => GainMode::Auto,
        (_, Some(config::ReplayGain::Track)) => GainMode::Track,
        (_, Some(config::ReplayGain::Album)) => GainMode::Album,
    }
}

fn quiet(quiet: config::Quiet) -> QuietConfig {
    let config::Quiet { from, to, days, max_volume, action } = quiet;
    let action = match action {
        config::QuietAction::Fade => QuietAction::Fade,
        config::QuietAction::Stop => QuietAction::Stop,
    };
    let hours = from.zip(to).map(|(from, to)| Hours { from, to, days });
    QuietConfig { hours, limit: max_volume, action }
}

fn need(caller: &Caller) -> Result<()> {
    if caller.right >= Right::Owner {
        return Ok(());
    }
    Err(Error::new(Kind::NotAllowed, "only the owner may see and change the settings"))
}
