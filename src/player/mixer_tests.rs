use std::sync::{Arc, Mutex, MutexGuard};

use super::*;
use proptest::prelude::*;

/// An element that a test sees through. Clones are the same one.
#[derive(Clone)]
pub struct Fake {
    steps: Vec<Step>,
    state: Arc<Mutex<State>>,
}

pub struct State {
    /// Where it stands.
    pub raw: i64,
    /// Whether its switch is closed.
    pub muted: bool,
    /// Whether the card is gone.
    pub gone: bool,
    /// What was done to it: a position, or `None` for the switch.
    pub done: Vec<Option<i64>>,
}

impl Fake {
    /// Returns an element with steps of so many 1/256 dB from `low` to `high` dB and a mute below, which stands at its top.
    pub fn new(step: i32, low: i32, high: i32) -> Fake {
        let count = (high - low) * 256 / step;
        let audible = (0..=count).map(|n| (i64::from(n) + 1, Gain(high * 256 - (count - n) * step)));
        let all = std::iter::once((0, Gain::SILENT)).chain(audible);
        let steps: Vec<Step> = all.map(|(raw, gain)| Step { raw, gain }).collect();
        let raw = steps.last().map_or(0, |step| step.raw);
        let state = State { raw, muted: true, gone: false, done: Vec::new() };
        Fake { steps, state: Arc::new(Mutex::new(state)) }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics in here")
    }

    /// Returns what it does to the sound.
    pub fn gain(&self) -> Gain {
        let state = self.state();
        if state.muted { Gain::SILENT } else { self.steps[state.raw as usize].gain }
    }

    /// Stands at the highest step that is no louder.
    pub fn turn(&self, gain: Gain) {
        let at = self.steps.iter().rposition(|step| step.gain <= gain).expect("mute at least");
        self.state().raw = self.steps[at].raw;
    }

    pub fn volume(&self, now: Instant) -> CardVolume {
        CardVolume::over(Box::new(self.clone()), now).expect("it fits")
    }

    fn there(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.gone { Err(Error::new(Kind::Unreachable, "the card is gone")) } else { Ok(state) }
    }
}

impl Element for Fake {
    fn name(&self) -> &str {
        "PCM"
    }
    fn steps(&self) -> &[Step] {
        &self.steps
    }
    fn read(&mut self) -> Result<i64> {
        Ok(self.there()?.raw)
    }
    fn write(&mut self, raw: i64) -> Result<()> {
        let mut state = self.there()?;
        state.raw = raw;
        state.done.push(Some(raw));
        Ok(())
    }
    fn unmute(&mut self) -> Result<()> {
        let mut state = self.there()?;
        if std::mem::take(&mut state.muted) {
            state.done.push(None);
        }
        Ok(())
    }
}

const HALF: i32 = 128;

fn db(db: f64) -> Gain {
    Gain((db * 256.0) as i32)
}

fn fits(step: i32, low: i32, high: i32) -> std::result::Result<(Gain, Gain, usize), String> {
    let kept = usable(&Fake::new(step, low, high).steps)?;
    Ok((kept[0].gain, kept[kept.len() - 1].gain, kept.len()))
}

#[test]
fn an_element_fits_by_its_steps() {
    assert_eq!(fits(HALF, -60, 0), Ok((db(-60.0), Gain::UNITY, 121)));
    assert_eq!(fits(256, -128, 0), Ok((db(-128.0), Gain::UNITY, 129)));
    // What amplifies is left out, the mute below too; what is finer than a tenth is thinned.
    assert_eq!(fits(HALF, -60, 12), Ok((db(-60.0), Gain::UNITY, 121)));
    let (lowest, top, count) = fits(1, -60, 4).expect("fine steps are no harm");
    assert_eq!((top, count), (Gain::UNITY, 60 * 256 / 26 + 1));
    assert!(lowest < db(-59.8));
    assert_eq!(fits(768, -60, 0), Err("has steps of 3.0 dB".to_owned()));
    assert_eq!(fits(HALF, -39, 0), Err("goes down to -39.0 dB only".to_owned()));
    assert_eq!(fits(HALF, -60, -3), Err("does not reach 0 dB".to_owned()));
    assert_eq!(usable(&[]), Err("does not reach 0 dB".to_owned()));
    let coarse = Fake::new(768, -60, 0);
    let error = CardVolume::over(Box::new(coarse), Instant::now()).err().map(|error| error.to_string());
    let words = "the card's mixer 'PCM' has steps of 3.0 dB: konpo does the volume itself";
    assert_eq!(error.as_deref(), Some(words));
}

#[test]
fn coarse_steps_far_down_are_left_to_the_samples() {
    let mut steps: Vec<Step> =
        (0..=100).map(|n| Step { raw: n + 2, gain: db(-50.0 + 0.5 * n as f64) }).collect();
    steps.insert(0, Step { raw: 1, gain: db(-70.0) });
    let kept = usable(&steps).expect("it fits");
    assert_eq!((kept[0].gain, kept.len()), (db(-50.0), 101));
}

#[test]
fn the_card_is_set_first_and_unmuted_behind_and_no_sample_is_touched() {
    let now = Instant::now();
    let fake = Fake::new(HALF, -60, 0);
    let mut volume = fake.volume(now);
    assert_eq!(volume.software(db(-20.0)), Gain::SILENT, "nothing is known of the card yet");
    volume.start(db(-20.3), now).expect("the card is there");
    assert_eq!(fake.state().done.len(), 2);
    assert!(fake.state().done[0].is_some() && fake.state().done[1].is_none());
    assert_eq!((fake.gain(), volume.software(db(-20.3))), (db(-20.5), Gain::UNITY));
    volume.start(db(-70.0), now).expect("the card is there");
    assert_eq!((fake.gain(), volume.software(db(-70.0))), (db(-60.0), db(-10.0)));
    assert_eq!(volume.software(Gain::SILENT), Gain::SILENT);
}

#[test]
fn silence_leaves_the_card_alone_and_the_first_gain_sets_it() {
    let now = Instant::now();
    let fake = Fake::new(256, -60, 0);
    let mut volume = fake.volume(now);
    volume.start(Gain::SILENT, now).expect("the card is there");
    volume.follow(Gain::SILENT, now).expect("the card is there");
    assert!(fake.state().done.is_empty() && fake.state().muted);
    assert_eq!(volume.next_in(Gain::SILENT), None);
    volume.follow(db(-30.0), now).expect("the card is there");
    assert_eq!((fake.gain(), volume.software(db(-30.0))), (db(-30.0), Gain::UNITY));
}

/// Follows to the end; returns the gains of the card on the way.
fn follow(volume: &mut CardVolume, fake: &Fake, wanted: Gain, now: &mut Instant) -> Vec<Gain> {
    let mut seen = vec![fake.gain()];
    volume.follow(wanted, *now).expect("the card is there");
    seen.push(fake.gain());
    while let Some(wait) = volume.next_in(wanted) {
        *now += wait;
        volume.follow(wanted, *now).expect("the card is there");
        seen.push(fake.gain());
    }
    seen
}

#[test]
fn it_goes_down_in_strides_at_once_and_up_by_ten_decibels_in_a_second() {
    let mut now = Instant::now();
    let fake = Fake::new(HALF, -60, 0);
    let mut volume = fake.volume(now);
    volume.start(Gain::UNITY, now).expect("the card is there");
    let from = now;
    let seen = follow(&mut volume, &fake, db(-30.0), &mut now);
    assert_eq!(seen.last(), Some(&db(-30.0)));
    assert!(seen.windows(2).all(|two| two[1] <= two[0] && two[0].0 - two[1].0 <= STRIDE.0), "{seen:?}");
    assert!(now - from <= Duration::from_millis(75), "{:?}", now - from);
    now += Duration::from_secs(60);
    let from = now;
    let seen = follow(&mut volume, &fake, db(-10.0), &mut now);
    assert_eq!(seen.last(), Some(&db(-10.0)));
    assert!(seen.windows(2).all(|two| two[1] >= two[0] && two[1].0 - two[0].0 <= 256), "{seen:?}");
    let took = (now - from).as_millis();
    assert!((1_890..=2_050).contains(&took), "{took} ms for 20 dB");
}

#[test]
fn what_was_turned_down_while_muted_is_quiet_before_the_samples_are_back() {
    let now = Instant::now();
    let fake = Fake::new(HALF, -60, 0);
    let mut volume = fake.volume(now);
    volume.start(db(-6.0), now).expect("the card is there");
    volume.follow(Gain::SILENT, now).expect("the card is there");
    volume.follow(db(-40.0), now).expect("the card is there");
    assert_eq!(fake.gain(), db(-40.0));
}

#[test]
fn what_somebody_else_turned_up_is_put_right_and_what_was_turned_down_rises_from_there() {
    let mut now = Instant::now();
    let fake = Fake::new(HALF, -60, 0);
    let mut volume = fake.volume(now);
    volume.start(db(-30.0), now).expect("the card is there");
    fake.turn(Gain::UNITY);
    let seen = follow(&mut volume, &fake, db(-29.0), &mut now);
    assert_eq!(seen.last(), Some(&db(-29.0)));
    assert!(seen.is_sorted_by(|a, b| a >= b), "{seen:?}");
    fake.turn(db(-50.0));
    let seen = follow(&mut volume, &fake, db(-25.0), &mut now);
    assert_eq!(seen.last(), Some(&db(-25.0)));
    assert!(seen.windows(2).all(|two| two[1].0 - two[0].0 <= 256), "{seen:?}");
    // A level left alone is noticed before the next start at the latest.
    fake.turn(Gain::UNITY);
    volume.start(db(-25.0), now).expect("the card is there");
    assert_eq!(fake.gain(), db(-25.0));
}

#[test]
fn a_card_that_fails_is_taken_to_stand_at_the_louder_step() {
    let now = Instant::now();
    let fake = Fake::new(HALF, -60, 0);
    let mut volume = fake.volume(now);
    fake.state().gone = true;
    assert!(volume.start(db(-30.0), now).is_err());
    assert_eq!(volume.gain(), Gain::UNITY, "it may stand anywhere");
    fake.state().gone = false;
    volume.start(db(-30.0), now).expect("the card is there");
    fake.state().gone = true;
    assert!(volume.follow(db(-40.0), now).is_err());
    assert_eq!(volume.gain(), db(-30.0));
}

proptest! {
    #[test]
    fn card_and_samples_are_never_louder_than_wanted_once_it_stands(
        step in prop::sample::select(vec![1, 26, HALF, 192, 256]),
        low in -128i32..=-41,
        wanted in prop::collection::vec(-100 * 256i32..=0, 1..12),
    ) {
        let mut now = Instant::now();
        let fake = Fake::new(step, low, 0);
        let mut volume = fake.volume(now);
        volume.start(Gain(wanted[0]), now).expect("the card is there");
        for wanted in wanted.into_iter().map(Gain) {
            let before = fake.gain().max(wanted);
            let seen = follow(&mut volume, &fake, wanted, &mut now);
            prop_assert!(seen.iter().all(|gain| *gain <= before.max(volume.lowest())), "{seen:?}");
            let sum = fake.gain().and(volume.software(wanted));
            let short = wanted.0 - sum.0;
            prop_assert!((0..=256).contains(&short), "{wanted:?} is {sum:?}");
            prop_assert!(volume.software(wanted) == Gain::UNITY || wanted < volume.lowest());
        }
    }
}
