//! Which device plays: a named one, the best one, or the silent one.

use crate::error::{Kind, Result};
use crate::player::OutputInfo;
use crate::player::cards::{self, Card};
use crate::player::output::{Output, Plan, Stream, Want};
use crate::player::ring::Render;
use crate::player::silent::{self, Silent};
use crate::player::sound_card::{self, ALSA, PULSE, SoundCard};

/// The output that `output.device` asks for. A choice is made at every opening, so that a DAC that is plugged in later
/// is found.
pub struct Choice {
    device: String,
    ready: Option<SoundCard>,
    silent: Silent,
}

impl Choice {
    /// Returns the choice of `auto`, `silent`, or a name as `konpo outputs` prints it.
    pub fn new(device: &str) -> Choice {
        Choice { device: device.to_owned(), ready: None, silent: Silent::paced() }
    }

    /// The best card; where that is in trouble or there is none, the sound server; where there is none, silence.
    fn best(&mut self, want: &Want) -> Result<Plan> {
        let card = cards::cards().into_iter().next();
        let tried = card.map(|card| SoundCard::of_card(&card).and_then(|device| self.ask(device, want)));
        match tried {
            Some(Ok(plan)) => return Ok(plan),
            Some(Err(error)) if error.kind() == Kind::Unsupported => return Err(error),
            _ => {}
        }
        if sound_card::server_reachable() {
            return SoundCard::server().and_then(|device| self.ask(device, want));
        }
        tried.unwrap_or_else(|| {
            self.silent = Silent::because(NO_DEVICE);
            self.silent.plan(want)
        })
    }

    fn ask(&mut self, mut device: SoundCard, want: &Want) -> Result<Plan> {
        let plan = device.plan(want)?;
        self.ready = Some(device);
        Ok(plan)
    }
}

impl Output for Choice {
    fn plan(&mut self, want: &Want) -> Result<Plan> {
        self.ready = None;
        sound_card::hush();
        match self.device.as_str() {
            AUTO => self.best(want),
            silent::NAME => {
                self.silent = Silent::paced();
                self.silent.plan(want)
            }
            name => SoundCard::named(name).and_then(|device| self.ask(device, want)),
        }
    }

    fn start(&mut self, plan: &Plan, render: Render) -> Result<Box<dyn Stream>> {
        match &mut self.ready {
            Some(device) if !plan.silent => device.start(plan, render),
            _ => self.silent.start(plan, render),
        }
    }
}

/// Returns every output, in the order in which `auto` prefers them.
pub fn outputs() -> Vec<OutputInfo> {
    sound_card::hush();
    let line = |name, description, holder| OutputInfo { name, description, chosen: false, holder };
    let of_card =
        |card: Card| line(format!("{ALSA}{}", card.pcm), card.description.clone(), cards::holder(&card));
    let mut found: Vec<OutputInfo> = cards::cards().into_iter().map(of_card).collect();
    found.extend(sound_card::server_devices().into_iter().map(|(name, words)| line(name, words, None)));
    if let Some(first) = found.first_mut() {
        first.chosen = true;
    }
    // A card that is held is passed over where a sound server answers: it mostly is the holder.
    if found.first().is_some_and(|first| first.holder.is_some())
        && let Some(server) = found.iter().position(|output| output.name.starts_with(PULSE))
    {
        found[0].chosen = false;
        found[server].chosen = true;
    }
    let nothing = found.is_empty();
    found.extend(sound_card::plugins().into_iter().map(|(name, words)| line(name, words, None)));
    let mut silent = line(silent::NAME.to_owned(), "paced by the clock, goes nowhere".to_owned(), None);
    silent.chosen = nothing;
    found.push(silent);
    found
}

const AUTO: &str = "auto";
const NO_DEVICE: &str = "no sound device was found: nothing is heard";
