//! Which device plays: a named one, the best one, or the silent one.

use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::player::cards::{self, Card};
use crate::player::mixer::{Element, Wish};
use crate::player::output::{Output, Plan, Stream, Want};
use crate::player::pulse::{self, PULSE};
use crate::player::ring::Render;
use crate::player::silent::{self, Silent};
use crate::player::sound_card::{self, ALSA, SoundCard};
use crate::player::{Knob, OutputInfo};

/// The output that `output.device` asks for. A choice is made at every opening, so that a DAC that is plugged in later
/// is found.
pub struct Choice {
    device: String,
    ready: Option<Box<dyn Output>>,
    silent: Silent,
    /// The card that `auto` took last, and since when it is away.
    last: Option<Card>,
    away: Option<Instant>,
}

impl Choice {
    /// Returns the choice of `auto`, `silent`, or a name as `konpo outputs` prints it.
    pub fn new(device: &str) -> Choice {
        Choice { device: device.to_owned(), ready: None, silent: Silent::paced(), last: None, away: None }
    }

    /// The best card; where that is in trouble or there is none, the sound server; where there is none, silence.
    fn best(&mut self, want: &Want) -> Result<Plan> {
        let cards = cards::cards();
        self.away = match &self.last {
            Some(last) if cards.iter().all(|card| card.pcm != last.pcm) => self.away.or(Some(Instant::now())),
            _ => None,
        };
        let away = self.away.map(|since| since.elapsed());
        let card = pick(&cards, self.last.as_ref(), away, want.knob)?.cloned();
        if card.is_some() {
            self.last.clone_from(&card);
        }
        let tried =
            card.map(|card| SoundCard::of_card(&card).and_then(|device| self.ask(Box::new(device), want)));
        match tried {
            Some(Ok(plan)) => return Ok(plan),
            Some(Err(error)) if error.kind() == Kind::Unsupported => return Err(error),
            _ => {}
        }
        if pulse::reachable() {
            return pulse::sink(None).and_then(|device| self.ask(device, want));
        }
        tried.unwrap_or_else(|| {
            self.silent = Silent::because(NO_DEVICE);
            self.silent.plan(want)
        })
    }

    fn ask(&mut self, mut device: Box<dyn Output>, want: &Want) -> Result<Plan> {
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
            name => match name.strip_prefix(PULSE) {
                Some(sink) => pulse::sink(Some(sink)).and_then(|device| self.ask(device, want)),
                None => SoundCard::named(name).and_then(|device| self.ask(Box::new(device), want)),
            },
        }
    }

    fn mixer(&mut self, plan: &Plan, wish: &Wish) -> Result<Option<Box<dyn Element>>> {
        match &mut self.ready {
            Some(device) if !plan.silent => device.mixer(plan, wish),
            _ => Ok(None),
        }
    }

    fn start(&mut self, plan: &Plan, render: Render) -> Result<Box<dyn Stream>> {
        match &mut self.ready {
            Some(device) if !plan.silent => device.start(plan, render),
            _ => self.silent.start(plan, render),
        }
    }
}

/// Returns the card that `auto` takes: the best kind, and of that kind the one it had before. One that was pulled out is
/// waited for; where the amplifier has the knob no other kind takes its place: full scale on another output would be loud.
///
/// # Errors
/// `Unreachable` while the card that it had is waited for.
fn pick<'a>(
    cards: &'a [Card],
    last: Option<&Card>,
    away: Option<Duration>,
    knob: Knob,
) -> Result<Option<&'a Card>> {
    let best = cards.iter().min_by_key(|card| (card.kind, last.is_none_or(|last| last.pcm != card.pcm)));
    if let (Some(last), Some(away)) = (last, away) {
        let other = best.is_none_or(|best| best.kind != last.kind);
        if away < WAITED_FOR || (knob == Knob::Fixed && other) {
            let words = format!("the output {ALSA}{} was pulled out: konpo waits for it", last.pcm);
            return Err(Error::new(Kind::Unreachable, words));
        }
    }
    Ok(best)
}

/// Returns whether an output can be chosen whatever devices are there.
pub fn always(name: &str) -> bool {
    name == AUTO || name == silent::NAME
}

/// Returns every output, in the order in which `auto` prefers them.
pub fn outputs() -> Vec<OutputInfo> {
    sound_card::hush();
    let line = |name, description, holder| OutputInfo { name, description, chosen: false, holder };
    let of_card =
        |card: Card| line(format!("{ALSA}{}", card.pcm), card.description.clone(), cards::holder(&card));
    let mut found: Vec<OutputInfo> = cards::cards().into_iter().map(of_card).collect();
    found.extend(pulse::sinks().into_iter().map(|(name, words)| line(name, words, None)));
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
/// How long a card that was pulled out is waited for before another one takes its place.
const WAITED_FOR: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::player::cards::Kind as Is;

    fn card(id: &str, kind: Is) -> Card {
        let pcm = format!("hw:CARD={id},DEV=0");
        Card { pcm, id: id.into(), number: 0, device: 0, description: String::new(), kind }
    }

    fn check(cards: &[Card], last: Option<&Card>, away: Option<u64>, knob: Knob, expected: Option<&str>) {
        let away = away.map(Duration::from_secs);
        let picked = pick(cards, last, away, knob).map(|card| card.map(|card| card.id.as_str()));
        match expected {
            Some(id) => assert_eq!(picked.ok(), Some(Some(id))),
            None => assert_eq!(picked.map_err(|e| e.kind()).err(), Some(Kind::Unreachable)),
        }
    }

    #[test]
    fn the_dac_it_had_is_taken_again_waited_for_and_replaced_by_its_like() {
        let [a, b, own] = [card("A", Is::Dac), card("B", Is::Dac), card("PCH", Is::Analogue)];
        let all = [a.clone(), b.clone(), own.clone()];
        check(&all, None, None, Knob::Box, Some("A"));
        check(&all, Some(&b), None, Knob::Box, Some("B"));
        // A DAC that is switched on later is better than what had to do.
        check(&all, Some(&own), None, Knob::Box, Some("A"));
        let rest = [own.clone()];
        check(&rest, Some(&b), Some(5), Knob::Box, None);
        check(&rest, Some(&b), Some(31), Knob::Box, Some("PCH"));
        check(&rest, Some(&b), Some(3_600), Knob::Fixed, None);
        check(&[a, own], Some(&b), Some(31), Knob::Fixed, Some("A"));
    }
}
