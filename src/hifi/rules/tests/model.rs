//! The queue and the rules against a naive model: lists that are searched from the front, and no cleverness.

use super::*;
use crate::hifi::memory::Memory;
use crate::hifi::state::Modes;

/// What the model is told to do.
#[derive(Debug, Clone)]
enum Step {
    Press(Command),
    /// Plays this entry of the queue, by its place.
    PlayAt(usize),
    /// Moves the entries at these places.
    MoveAt(Vec<usize>, u32),
    /// Removes the entries at these places.
    RemoveAt(Vec<usize>),
    /// Adds so many tracks.
    Add(usize, At, bool),
    /// The motor's first frame, when it opens something.
    Sound,
    /// The track ends, when one plays.
    PlayOut,
    /// Seconds go by.
    Wait(u64),
    /// The box is restarted from what it wrote down.
    PowerCut,
}

/// The box, naively.
#[derive(Debug, Clone, Default)]
struct Model {
    list: Vec<u32>,
    last_id: u32,
    current: Option<u32>,
    transport: Transport,
    /// Milliseconds into the track.
    position: u64,
    /// The motor holds the current entry.
    loaded: bool,
    repeat: Repeat,
    modes: Modes,
    /// While shuffled: what was played of the round, in order, what plays last.
    heard: Option<Vec<u32>>,
    /// How the rules drew the lots of the round; checked by `check`, read where the model must know what comes.
    lots: Vec<u32>,
    starts: u64,
}

impl Model {
    fn sounding(&self) -> bool {
        matches!(self.transport, Transport::Playing | Transport::Opening)
    }

    fn first(&self) -> Option<u32> {
        if self.heard.is_some() { self.lots.first().copied() } else { self.list.first().copied() }
    }

    /// What stands behind in play order, without repeating.
    fn behind(&self, id: u32) -> Option<u32> {
        let order = if self.heard.is_some() { &self.lots } else { &self.list };
        let here = order.iter().position(|&e| e == id)?;
        order.get(here + 1).copied()
    }

    /// What comes by itself or by the key; `Err(())`: the first of a round whose lots are not drawn yet.
    fn coming(&self, id: u32, repeat: Repeat) -> Result<Option<u32>, ()> {
        match repeat {
            Repeat::One => Ok(Some(id)),
            Repeat::Off => Ok(self.behind(id)),
            Repeat::All => match self.behind(id) {
                None if self.heard.is_some() && self.list.len() > 1 => Err(()),
                None => Ok(self.first()),
                next => Ok(next),
            },
        }
    }

    /// Goes on to an entry.
    fn arrive(&mut self, id: u32) {
        let whole = self.heard.as_ref().is_some_and(|heard| heard.len() == self.list.len());
        if let Some(heard) = &mut self.heard
            && self.current != Some(id)
        {
            if whole {
                heard.clear();
            }
            heard.retain(|&e| e != id);
            heard.push(id);
        }
        self.current = Some(id);
    }

    fn rest(&mut self, transport: Transport) {
        (self.transport, self.position) = (transport, 0);
        self.loaded = transport != Transport::Stopped;
    }

    fn drop_entry(&mut self, id: u32) {
        self.list.retain(|&e| e != id);
        if let Some(heard) = &mut self.heard {
            heard.retain(|&e| e != id);
        }
    }

    /// The first entry is chosen from nowhere.
    fn choose_first(&mut self, first: Option<u32>) {
        self.current = first;
        if let Some(heard) = &mut self.heard {
            *heard = first.into_iter().collect();
        }
    }

    /// `new` is what the rules went on to, for where the lots decide.
    fn next(&mut self, new: Option<u32>) -> Result<(), Refused> {
        let here = self.current.or(self.first()).ok_or(Refused::EmptyQueue)?;
        if self.current.is_none() {
            self.choose_first(Some(here));
            self.current = None;
        }
        let leaves = self.transport != Transport::Stopped && self.modes.consume;
        let repeat = if self.repeat == Repeat::One { Repeat::All } else { self.repeat };
        let coming = self.coming(here, repeat).unwrap_or(new);
        match coming.filter(|&id| !(leaves && id == here)) {
            Some(id) => {
                assert!(self.list.contains(&id) && (id != here || self.list.len() == 1), "{id} comes next");
                self.current = Some(here);
                self.arrive(id);
                let opens = self.transport != Transport::Stopped;
                self.rest(if opens { Transport::Opening } else { Transport::Stopped });
            }
            None => {
                if self.current.is_none()
                    && let Some(heard) = &mut self.heard
                {
                    heard.clear();
                }
                self.rest(Transport::Stopped);
            }
        }
        if leaves {
            self.drop_entry(here);
            if self.current == Some(here) {
                self.choose_first(new);
            }
        }
        Ok(())
    }

    fn previous(&mut self) -> Result<(), Refused> {
        let here = self.current.or(self.first()).ok_or(Refused::EmptyQueue)?;
        if self.current.is_none() {
            self.choose_first(Some(here));
        }
        if self.position <= 3000 {
            let place = self.list.iter().position(|&e| e == here).expect("it is in the queue");
            let before = match &mut self.heard {
                Some(heard) if heard.len() > 1 => {
                    heard.pop();
                    heard.last().copied()
                }
                Some(_) => None,
                None if place > 0 => Some(self.list[place - 1]),
                None if self.repeat != Repeat::Off => self.list.last().copied(),
                None => None,
            };
            self.current = before.or(Some(here));
        }
        let opens = self.transport != Transport::Stopped;
        self.rest(if opens { Transport::Opening } else { Transport::Stopped });
        Ok(())
    }

    fn remove(&mut self, ids: &[u32]) -> Result<(), Refused> {
        if ids.iter().any(|id| !self.list.contains(id)) {
            return Err(Refused::NoSuchEntry);
        }
        let mut heir = self.current;
        while let Some(id) = heir.filter(|id| ids.contains(id)) {
            heir = self.behind(id);
        }
        ids.iter().for_each(|&id| self.drop_entry(id));
        if heir == self.current {
            return Ok(());
        }
        let opens = self.sounding() && heir.is_some();
        self.rest(if opens { Transport::Opening } else { Transport::Stopped });
        self.current = heir;
        if let Some(heard) = &mut self.heard {
            match heir {
                Some(id) => heard.push(id),
                None => heard.clear(),
            }
        }
        Ok(())
    }

    fn play(&mut self) -> Result<(), Refused> {
        match self.transport {
            Transport::Playing | Transport::Opening => {}
            Transport::Paused if self.loaded => self.transport = Transport::Playing,
            Transport::Paused => (self.transport, self.loaded) = (Transport::Opening, true),
            Transport::Stopped => {
                let id = self.current.or(self.first()).ok_or(Refused::EmptyQueue)?;
                self.arrive(id);
                self.rest(Transport::Opening);
            }
        }
        Ok(())
    }

    /// The track that plays ends by itself.
    fn play_out(&mut self, new: Option<u32>) {
        let here = self.current.expect("something plays");
        let again = self.repeat == Repeat::One;
        let coming = self.coming(here, self.repeat).unwrap_or(new);
        let coming = coming.filter(|&id| id != here || again || !self.modes.consume);
        let stays = self.modes.stop_after || self.modes.single && !again;
        match coming {
            Some(id) => {
                self.arrive(id);
                self.rest(if stays { Transport::Stopped } else { Transport::Playing });
            }
            None => {
                self.choose_first(if self.heard.is_some() { new } else { self.first() });
                self.rest(Transport::Stopped);
            }
        }
        self.starts += u64::from(!stays && coming.is_some());
        self.modes.stop_after &= !stays && coming.is_some();
        if self.modes.consume && !again {
            self.drop_entry(here);
            if self.current == Some(here) {
                self.choose_first(new);
            }
        }
    }

    fn add(&mut self, count: usize, at: At, play: bool) {
        let here = self.current.and_then(|id| self.list.iter().position(|&e| e == id));
        let place = match at {
            At::End => self.list.len(),
            At::Next => here.map_or(0, |here| here + 1),
            At::Index(place) => self.list.len().min(place as usize),
            At::After(QueueId(id)) => self.list.iter().position(|&e| e == id).map_or(0, |here| here + 1),
        };
        for offset in 0..count {
            self.last_id += 1;
            self.list.insert(place + offset, self.last_id);
        }
        if play && count > 0 {
            self.arrive(self.last_id + 1 - count as u32);
            self.rest(Transport::Opening);
        }
    }

    fn press(&mut self, command: &Command, new: Option<u32>) -> Result<(), Refused> {
        match command {
            Command::Play(None) => self.play()?,
            Command::Play(Some(id)) if !self.list.contains(&id.0) => return Err(Refused::NoSuchEntry),
            Command::Play(Some(id)) => {
                self.arrive(id.0);
                self.rest(Transport::Opening);
            }
            Command::Pause if self.sounding() => self.transport = Transport::Paused,
            Command::Pause => {}
            Command::Toggle if self.sounding() => self.transport = Transport::Paused,
            Command::Toggle if self.list.is_empty() => self.add(2, At::End, true),
            Command::Toggle => self.play()?,
            Command::Stop => {
                self.modes.stop_after = false;
                self.rest(Transport::Stopped);
            }
            Command::Next => self.next(new)?,
            Command::Previous => self.previous()?,
            Command::SetRepeat(repeat) => self.repeat = *repeat,
            Command::SetShuffle(on) if *on != self.heard.is_some() => {
                self.heard = on.then(|| self.current.into_iter().collect());
            }
            Command::SetShuffle(_) => {}
            Command::SetSingle(on) => self.modes.single = *on,
            Command::SetConsume(on) => self.modes.consume = *on,
            Command::StopAfter(on) => self.modes.stop_after = *on,
            Command::Move { ids, to } => {
                let ids: Vec<u32> = ids.iter().map(|id| id.0).collect();
                let twice = ids.iter().enumerate().any(|(i, id)| ids[..i].contains(id));
                if twice || ids.iter().any(|id| !self.list.contains(id)) {
                    return Err(Refused::NoSuchEntry);
                }
                self.list.retain(|id| !ids.contains(id));
                let to = self.list.len().min(*to as usize);
                self.list.splice(to..to, ids);
            }
            Command::Remove(ids) => self.remove(&ids.iter().map(|id| id.0).collect::<Vec<_>>())?,
            Command::Clear => {
                self.list.clear();
                self.heard.as_mut().map(Vec::clear);
                self.modes.stop_after = false;
                self.current = None;
                self.rest(Transport::Stopped);
            }
            other => panic!("the model does not know {other:?}"),
        }
        Ok(())
    }

    /// Holds the box against the model.
    fn check(&mut self, bench: &Bench) {
        let state = bench.rules.state(0);
        let shown: Vec<u32> = state.queue.entries.iter().map(|entry| entry.id.0).collect();
        assert_eq!(shown, self.list, "the queue");
        assert_eq!(state.current.map(|id| id.0), self.current, "the current entry");
        assert_eq!(state.transport, self.transport, "the transport");
        assert_eq!(state.position.now(bench.now), Millis(self.position), "the position");
        assert_eq!((state.repeat, state.modes), (self.repeat, self.modes), "the modes");
        assert_eq!(state.starts, self.starts, "the starts");
        assert_eq!(bench.motor.0.is_some(), self.loaded, "the motor");
        assert_eq!(state.shuffle, self.heard.is_some(), "shuffle");
        self.lots = match bench.rules.queue.shuffled() {
            Some((order, _)) => order.iter().map(|id| id.0).collect(),
            None => Vec::new(),
        };
        if let Some(heard) = &self.heard {
            let (mut order, mut list) = (self.lots.clone(), self.list.clone());
            assert_eq!(&order[..heard.len()], heard, "what was heard of the round");
            order.sort_unstable();
            list.sort_unstable();
            assert_eq!(order, list, "every entry is once in the round");
        }
        // What the motor holds as its next is what the model says comes.
        if let (Some(here), true) = (self.current, self.loaded) {
            let again = self.repeat == Repeat::One;
            let stays = self.modes.stop_after || self.modes.single && !again;
            let coming = self.coming(here, self.repeat).unwrap_or(Some(0));
            let coming = coming.filter(|&id| !stays && (id != here || again || !self.modes.consume));
            assert_eq!(bench.motor.1.is_some(), coming.is_some(), "what the motor holds next");
        }
    }
}

impl Bench {
    /// Takes a step in the box, and returns what was refused and the step as the model needs it.
    fn step(&mut self, step: Step) -> (Step, Result<(), Refused>) {
        let ids: Vec<QueueId> = self.rules.state(0).queue.entries.iter().map(|e| e.id).collect();
        let id = |place: &usize| ids.get(*place).copied().unwrap_or(QueueId(999_999));
        let step = match step {
            Step::PlayAt(place) => Step::Press(Command::Play(Some(id(&place)))),
            Step::MoveAt(places, to) => {
                Step::Press(Command::Move { ids: places.iter().map(id).collect(), to })
            }
            Step::RemoveAt(places) => Step::Press(Command::Remove(places.iter().map(id).collect())),
            other => other,
        };
        let mut done = Ok(());
        let transport = self.rules.state(0).transport;
        match &step {
            Step::Press(command) => done = self.send(command.clone()),
            Step::Add(count, at, play) => done = self.add(&vec![3; *count], *at, *play),
            Step::Sound if transport == Transport::Opening => self.sound(),
            Step::PlayOut if transport == Transport::Playing => self.play_out(),
            Step::Wait(seconds) => self.now += Duration::from_secs(*seconds),
            Step::PowerCut => self.cut_power(),
            Step::Sound | Step::PlayOut | Step::PlayAt(_) | Step::MoveAt(..) | Step::RemoveAt(_) => {}
        }
        (step, done)
    }

    fn cut_power(&mut self) {
        let position = self.rules.state(0).position.now(self.now);
        let json = Memory::of(&self.rules, position).json();
        let memory = Memory::read(&json).expect("as written");
        let tracks = Bench::given().tracks;
        let knob = Knob::new(false, Volume::MAX, memory.volume(), self.now);
        let device = Device::closed("test", true);
        let quiet = memory.quiet(self.rules.quiet().config(), self.rules.quiet().clock());
        let restored = Restored { quiet, ..memory.restore(&tracks) };
        self.rules = Rules::new(knob, restored, device, self.now);
        self.motor = (None, None);
    }
}

fn places() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0usize..7, 0..4)
}

fn any_step() -> impl Strategy<Value = Step> {
    let at = prop_oneof![Just(At::End), Just(At::Next), (0u32..9).prop_map(At::Index)];
    let repeat = prop_oneof![Just(Repeat::Off), Just(Repeat::All), Just(Repeat::One)];
    let switch = (0u8..4, any::<bool>()).prop_map(|(which, on)| match which {
        0 => Command::SetShuffle(on),
        1 => Command::SetSingle(on),
        2 => Command::SetConsume(on),
        _ => Command::StopAfter(on),
    });
    prop_oneof![
        2 => Just(Step::Press(Command::Play(None))),
        2 => (0usize..8).prop_map(Step::PlayAt),
        1 => prop_oneof![Just(Command::Pause), Just(Command::Toggle), Just(Command::Stop)].prop_map(Step::Press),
        3 => Just(Step::Press(Command::Next)),
        2 => Just(Step::Press(Command::Previous)),
        2 => repeat.prop_map(|repeat| Step::Press(Command::SetRepeat(repeat))),
        3 => switch.prop_map(Step::Press),
        3 => (0usize..4, at, any::<bool>()).prop_map(|(count, at, play)| Step::Add(count, at, play)),
        1 => (places(), 0u32..9).prop_map(|(places, to)| Step::MoveAt(places, to)),
        2 => places().prop_map(Step::RemoveAt),
        1 => Just(Step::Press(Command::SetShuffle(true))),
        4 => Just(Step::Sound),
        6 => Just(Step::PlayOut),
        1 => (1u64..5).prop_map(Step::Wait),
        1 => Just(Step::PowerCut),
    ]
    .prop_flat_map(|step| prop_oneof![30 => Just(step), 1 => Just(Step::Press(Command::Clear))])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    /// At least 5,000 steps in a run.
    #[test]
    fn the_box_plays_what_a_naive_model_says(steps in prop::collection::vec(any_step(), 20..60)) {
        let mut bench = Bench::with(&[1, 2, 3]);
        let mut model = Model { list: vec![1, 2, 3], last_id: 3, ..Model::default() };
        for step in steps {
            let before = bench.rules.state(0).transport;
            let (step, done) = bench.step(step);
            let new = bench.rules.state(0).current.map(|id| id.0);
            match step {
                Step::Press(command) => prop_assert_eq!(model.press(&command, new), done, "{:?}", command),
                Step::Add(count, at, play) => {
                    model.add(count, at, play);
                    prop_assert_eq!(done, Ok(()));
                }
                Step::Sound if before == Transport::Opening => {
                    model.transport = Transport::Playing;
                    model.starts += 1;
                }
                Step::PlayOut if before == Transport::Playing => model.play_out(new),
                Step::Wait(seconds) if before == Transport::Playing => model.position += seconds * 1000,
                Step::PowerCut => {
                    let paused = model.current.is_some() && model.position > 0;
                    model.transport = if paused { Transport::Paused } else { Transport::Stopped };
                    (model.loaded, model.starts) = (false, 0);
                }
                _ => {}
            }
            model.check(&bench);
        }
    }
}
