//! Where songs go that somebody sent.

use super::*;
use crate::hifi::quiet::{Choice, QuietAction, QuietConfig};
use crate::offer::push::{BeamId, OnArrival};
use crate::units::calendar::{Days, Hours, LocalTime, TimeOfDay, Weekday};

impl Bench {
    fn land(&mut self, beam: u64, index: u32, id: i64) {
        self.land_as(beam, index, id, OnArrival::PlayIfIdle);
    }

    fn land_as(&mut self, beam: u64, index: u32, id: i64, wish: OnArrival) {
        self.event(Event::Landed { beam: BeamId(beam), index, track: track(id), from: "Yuki".into(), wish });
    }

    fn order(&self) -> Vec<i64> {
        let id = |entry: &Entry| match entry.what {
            Playable::Shelf(id) => id.0,
            Playable::Url(_) => 0,
        };
        self.rules.state(0).queue.entries.iter().map(id).collect()
    }

    fn said(&self) -> Option<String> {
        self.rules.state(0).notices.last().map(|notice| notice.words.clone())
    }

    fn playing(ids: &[i64]) -> Bench {
        let mut bench = Bench::with(ids);
        bench.send(Command::Play(None)).expect("there is a queue");
        bench.sound();
        bench
    }
}

#[test]
fn a_song_plays_at_once_when_nothing_does_and_the_rest_follows() {
    let mut bench = Bench::new();
    bench.land(1, 0, 5);
    bench.sound();
    assert_eq!(bench.heard(), Some(5));
    bench.land(1, 2, 7);
    bench.land(1, 1, 6);
    assert_eq!(bench.order(), [5, 6, 7], "two come at once, and not in order");
    bench.play_out();
    bench.play_out();
    assert_eq!(bench.heard(), Some(7));
    bench.play_out();
    assert_eq!(bench.rules.state(0).transport, Transport::Stopped);
    // A slow sender: what came before was played out.
    bench.land(1, 3, 8);
    bench.sound();
    assert_eq!(bench.heard(), Some(8));
}

#[test]
fn a_queue_that_was_left_does_not_go_on_behind_what_was_sent() {
    let mut bench = Bench::with(&[1, 2, 3]);
    bench.land(1, 0, 5);
    bench.sound();
    assert_eq!((bench.order(), bench.heard()), (vec![1, 2, 3, 5], Some(5)));
    bench.land(1, 1, 6);
    bench.play_out();
    bench.play_out();
    assert_eq!(bench.rules.state(0).transport, Transport::Stopped);
}

#[test]
fn nothing_is_interrupted_and_albums_stay_together() {
    let mut bench = Bench::playing(&[1, 2]);
    bench.land(1, 0, 5);
    bench.land(1, 1, 6);
    bench.land(2, 0, 9);
    bench.land(1, 2, 7);
    bench.land(2, 1, 10);
    assert_eq!((bench.heard(), bench.order()), (Some(1), vec![1, 5, 6, 7, 9, 10, 2]));
    bench.play_out();
    assert_eq!(bench.heard(), Some(5));
    bench.land(3, 0, 11);
    assert_eq!(bench.order(), [1, 5, 6, 7, 9, 10, 11, 2], "in the order they came");
}

#[test]
fn a_shuffled_round_goes_on_behind_what_was_sent() {
    let mut bench = Bench::with(&[1, 2, 3, 4]);
    bench.send(Command::SetShuffle(true)).expect("always");
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    let first = bench.heard();
    for (index, id) in [(0, 11), (1, 12), (2, 13)] {
        bench.land(1, index, id);
    }
    assert_eq!(bench.heard(), first);
    for id in [11, 12, 13] {
        bench.play_out();
        assert_eq!(bench.heard(), Some(id));
    }
}

#[test]
fn a_pause_of_ten_minutes_is_a_box_that_was_forgotten() {
    let mut bench = Bench::playing(&[1, 2]);
    bench.send(Command::Pause).expect("always");
    bench.now += Duration::from_secs(599);
    bench.land(1, 0, 5);
    assert_eq!((bench.rules.state(0).transport, bench.order()), (Transport::Paused, vec![1, 5, 2]));
    bench.now += Duration::from_secs(1);
    bench.land(2, 0, 6);
    bench.sound();
    assert_eq!((bench.heard(), bench.order()), (Some(6), vec![1, 5, 6, 2]));
}

#[test]
fn what_somebody_stopped_does_not_start_again_by_itself() {
    let mut bench = Bench::new();
    bench.land(1, 0, 5);
    bench.sound();
    bench.send(Command::Stop).expect("always");
    bench.land(1, 1, 6);
    assert_eq!((bench.rules.state(0).transport, bench.order()), (Transport::Stopped, vec![5, 6]));
    bench.land(2, 0, 7);
    bench.sound();
    assert_eq!(bench.heard(), Some(7), "somebody else sends");
}

#[test]
fn keep_keeps_next_starts_nothing_and_locked_songs_wait_for_their_copy() {
    let mut bench = Bench::new();
    bench.land_as(1, 0, 5, OnArrival::Keep);
    bench.land(1, 1, LOCKED);
    assert!(bench.order().is_empty());
    bench.land_as(2, 0, 6, OnArrival::Next);
    assert_eq!((bench.rules.state(0).transport, bench.order()), (Transport::Stopped, vec![6]));
}

#[test]
fn a_box_at_rest_keeps_what_comes_and_says_so_once() {
    let mut bench = Bench::with(&[1]);
    bench.send(Command::Standby).expect("always");
    bench.land(1, 0, 5);
    bench.land(1, 1, 6);
    let said = bench.said().expect("it is said");
    assert!(said.contains("Yuki") && said.contains("standby"), "{said}");
    assert_eq!((bench.order(), bench.rules.state(0).notices.len()), (vec![1], 1));
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    bench.land(1, 2, 7);
    assert_eq!(bench.order(), [1], "what began at rest stays together on the shelf");
    bench.land(2, 0, 8);
    assert_eq!(bench.order(), [1, 8]);
}

#[test]
fn quiet_hours_keep_what_comes() {
    let (from, to) = (TimeOfDay::new(22, 0).expect("a time"), TimeOfDay::new(7, 0).expect("a time"));
    let hours = Some(Hours { from, to, days: Days::ALL });
    let config = QuietConfig { hours, limit: Volume::new(20).expect("in range"), action: QuietAction::Fade };
    let night = Clock::Local(LocalTime {
        day: Weekday::from_monday(2),
        time: TimeOfDay::new(23, 0).expect("a time"),
    });
    let mut bench = Bench::new();
    let restored = Restored { quiet: Quiet::new(config, Choice::default(), night), ..Restored::default() };
    let knob = Knob::new(false, Volume::MAX, None, bench.now);
    bench.rules = Rules::new(knob, restored, Device::closed("test", true), bench.now);
    bench.event(Event::Clock(night));
    bench.land(1, 0, 5);
    let said = bench.said().expect("it is said");
    assert!(said.contains("quiet hours"), "{said}");
    assert!(bench.order().is_empty());
}

#[test]
fn what_is_taken_back_leaves_the_queue_and_the_sound_goes_on() {
    let mut bench = Bench::playing(&[1, 2]);
    bench.land(1, 0, 5);
    bench.land(1, 1, 6);
    bench.play_out();
    assert_eq!(bench.heard(), Some(5));
    bench.event(Event::TakenBack(vec![TrackId(5), TrackId(6)]));
    bench.sound();
    assert_eq!((bench.heard(), bench.order()), (Some(2), vec![1, 2]));
}
