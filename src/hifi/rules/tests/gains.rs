//! ReplayGain: which gain an entry gets, and that knob and gain together stay below every limit.

use super::*;
use crate::signal::{GainMode, GainOf, ReplayGain};
use crate::track::Loudness;

/// What the tags of a track tell, in decibels; the peaks are those of full scale or below.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told {
    pub track: Option<f64>,
    pub album: Option<f64>,
    pub peak: Option<f64>,
    /// What konpo measured: loudness in LUFS of track and album.
    pub own: (Option<f64>, Option<f64>),
}

pub fn of_album(id: i64, album: &str, told: Told) -> Arc<Track> {
    let gain = |db: f64| Gain((db * 256.0).round() as i32);
    let tags = Tags {
        album: Some(album.into()),
        artist: Some("Band".into()),
        track_gain: told.track.map(gain),
        album_gain: told.album.map(gain),
        track_peak: told.peak,
        album_peak: told.peak,
        ..Tags::default()
    };
    let own = |lufs: f64| Loudness { lufs, true_peak: 0.5 };
    let measured = Measured { track: told.own.0.map(own), album: told.own.1.map(own) };
    Arc::new(Track { tags: Arc::new(tags), measured, ..Track::clone(&track(id)) })
}

/// A box with these tracks in its queue; it uses gains in this way.
fn bench(mode: GainMode, tracks: &[Arc<Track>]) -> Bench {
    let mut bench = Bench::new();
    bench.rules = bench.rules.clone().with_gains(mode);
    queued(bench, tracks)
}

/// The same box with these tracks in its queue.
pub fn queued(mut bench: Bench, tracks: &[Arc<Track>]) -> Bench {
    let given =
        Given { tracks: tracks.iter().map(|track| (track.id, track.clone())).collect(), ..Bench::given() };
    let entry = |track: &Arc<Track>| NewEntry {
        what: Playable::Shelf(track.id),
        shown: Arc::default(),
        said: None,
        hints: Default::default(),
    };
    let add = Command::Add { entries: tracks.iter().map(entry).collect(), at: At::End, play: false };
    let effects = bench.rules.command(add, &given, bench.now).expect("fits");
    bench.obey(effects);
    bench
}

/// What is applied to the start that the motor plays.
fn applied(bench: &Bench) -> Option<ReplayGain> {
    bench.rules.level_of(bench.motor.0.expect("loaded"))
}

/// Plays every entry and returns its gain in decibels, and whose it is.
fn all(mode: GainMode, tracks: &[Arc<Track>]) -> Vec<Option<(f64, GainOf)>> {
    let mut bench = bench(mode, tracks);
    bench.send(Command::Play(None)).expect("there is a queue");
    let mut found = Vec::new();
    for nth in 0..tracks.len() {
        if nth > 0 {
            bench.play_out();
        } else {
            bench.sound();
        }
        found.push(applied(&bench).map(|by| ((by.gain.db() * 100.0).round() / 100.0, by.of)));
    }
    found
}

#[test]
fn auto_keeps_the_differences_of_an_album_and_levels_single_tracks() {
    let told = |track, album| Told { track: Some(track), album: Some(album), ..Told::default() };
    let tracks = [
        of_album(1, "A", told(-8.0, -6.0)),
        of_album(2, "A", told(-3.0, -6.0)),
        of_album(3, "B", told(-5.0, -1.0)),
        of_album(4, "C", told(-7.0, -2.0)),
    ];
    use GainOf::{Album, Track};
    let expected = [Some((-6.0, Album)), Some((-6.0, Album)), Some((-5.0, Track)), Some((-7.0, Track))];
    assert_eq!(all(GainMode::Auto, &tracks), expected);
    assert_eq!(all(GainMode::Track, &tracks)[1], Some((-3.0, Track)));
    assert_eq!(all(GainMode::Album, &tracks)[2], Some((-1.0, Album)));
    assert_eq!(all(GainMode::Off, &tracks), [None; 4]);
}

#[test]
fn a_shuffled_queue_has_no_albums() {
    let told = Told { track: Some(-8.0), album: Some(-6.0), ..Told::default() };
    let mut bench = bench(GainMode::Auto, &[of_album(1, "A", told), of_album(2, "A", told)]);
    bench.send(Command::SetShuffle(true)).expect("always");
    bench.send(Command::Play(None)).expect("there is a queue");
    assert_eq!(applied(&bench).map(|by| by.of), Some(GainOf::Track));
}

#[test]
fn what_tags_do_not_tell_is_measured_and_what_nobody_knows_is_left() {
    let check = |told: Told, expected: Option<(f64, GainOf)>| {
        assert_eq!(all(GainMode::Track, &[of_album(1, "A", told)]), [expected], "{told:?}");
    };
    use GainOf::{Album, Track};
    check(Told::default(), None);
    check(Told { album: Some(-4.0), ..Told::default() }, Some((-4.0, Album)));
    check(Told { own: (Some(-10.0), None), ..Told::default() }, Some((-8.0, Track)));
    check(Told { own: (None, Some(-10.0)), ..Told::default() }, Some((-8.0, Album)));
    // Tags within 3 dB of what is measured count, others do not.
    check(Told { track: Some(-6.0), own: (Some(-10.0), None), ..Told::default() }, Some((-6.0, Track)));
    check(Told { track: Some(-2.0), own: (Some(-10.0), None), ..Told::default() }, Some((-8.0, Track)));
    check(
        Told { track: Some(-8.0), album: Some(6.0), own: (Some(-10.0), Some(-10.0)), ..Told::default() },
        Some((-8.0, Track)),
    );
}

#[test]
fn nothing_is_raised_beyond_its_peak() {
    let gain = |told: Told| all(GainMode::Track, &[of_album(1, "A", told)])[0].map(|(db, _)| db);
    assert_eq!(gain(Told { track: Some(12.0), ..Told::default() }), Some(0.0));
    let nearly = gain(Told { track: Some(12.0), peak: Some(0.9), ..Told::default() }).expect("tagged");
    assert!((0.90..=0.92).contains(&nearly), "{nearly}");
    assert_eq!(gain(Told { track: Some(3.0), peak: Some(0.25), ..Told::default() }), Some(3.0));
    // A lossy file that overshoots by 2 dB is turned down by as much.
    let over = gain(Told { track: Some(-1.0), peak: Some(1.2589), ..Told::default() }).expect("tagged");
    assert!((-2.01..=-2.0).contains(&over), "{over}");
    // The measured true peak counts where it is higher.
    let told = Told { track: Some(9.0), peak: Some(0.4), own: (Some(-26.0), None), ..Told::default() };
    assert_eq!(gain(told), Some(6.02));
    assert_eq!(gain(Told { own: (Some(-40.0), None), ..Told::default() }), Some(6.02));
}

/// Knob and gain together, in 1/256 dB; the most that the motor may apply now.
pub fn sum(bench: &Bench) -> i32 {
    let levels =
        bench.rules.serials().into_iter().flatten().filter_map(|serial| bench.rules.level_of(serial));
    // What follows may sound already when the knob hears of it.
    let most = levels.map(|by| by.gain).max().unwrap_or(Gain::UNITY);
    bench.rules.knob.gain().and(most).0
}

/// The most that is added behind the knob, in 1/256 dB, 0 or more.
pub fn lift(bench: &Bench) -> i32 {
    let levels =
        bench.rules.serials().into_iter().flatten().filter_map(|serial| bench.rules.level_of(serial));
    levels.map(|by| by.gain.0).fold(0, i32::max)
}

fn quiet_ones() -> Vec<Arc<Track>> {
    let told = |db| Told { track: Some(db), album: Some(db), peak: Some(0.01), ..Told::default() };
    let album = [1, 2, 3].map(|id| of_album(id, "A", told(12.0)));
    album.into_iter().chain([of_album(4, "B", told(6.0))]).collect()
}

#[test]
fn at_the_top_of_the_knob_nothing_is_added() {
    let mut bench = bench(GainMode::Auto, &quiet_ones());
    bench.send(Command::SetVolume(Volume::MAX)).expect("the knob is here");
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    assert_eq!((applied(&bench).map(|by| by.gain), sum(&bench)), (Some(Gain::UNITY), 0));
    // The album goes on as it began, whatever the knob does.
    bench.send(Command::SetVolume(Volume::new(30).expect("in range"))).expect("the knob is here");
    for _ in 0..2 {
        bench.play_out();
        assert_eq!(applied(&bench).map(|by| by.gain), Some(Gain::UNITY));
    }
    // What begins behind it is free again.
    bench.play_out();
    assert_eq!(applied(&bench).map(|by| by.gain), Some(Gain::from_db(6)));
}

#[test]
fn what_is_turned_up_behind_a_raised_track_stops_at_full_scale() {
    let mut bench = bench(GainMode::Auto, &quiet_ones());
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    assert_eq!(applied(&bench).map(|by| by.gain), Some(Gain::from_db(12)));
    bench.send(Command::SetVolume(Volume::MAX)).expect("the knob is here");
    for _ in 0..2_000 {
        bench.now += Duration::from_millis(10);
        bench.event(Event::Tick);
        assert!(sum(&bench) <= 0, "{}", sum(&bench));
    }
    assert_eq!(sum(&bench), 0);
    assert_eq!(applied(&bench).map(|by| by.gain), Some(Gain::from_db(12)), "the track keeps its gain");
}

#[test]
fn the_end_of_a_limit_makes_nothing_louder_by_itself() {
    let mut bench = bench(GainMode::Auto, &quiet_ones());
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    let limit = Volume::new(20).expect("in range");
    let top = {
        let mut knob = Knob::new(false, Volume::MAX, None, bench.now);
        knob.turn(limit, false, bench.now);
        knob.gain().0
    };
    bench.rules.knob.limit(Some(limit), Duration::from_secs(60), true, bench.now);
    let mut last = sum(&bench);
    for second in 0..61 {
        bench.now += Duration::from_secs(1);
        bench.rules.forward(bench.now);
        assert!(sum(&bench) <= last, "louder in second {second}");
        assert!(last - sum(&bench) < 256, "a jump in second {second}: {last} to {}", sum(&bench));
        last = sum(&bench);
    }
    assert_eq!(last, top);
    bench.rules.knob.limit(None, Duration::ZERO, true, bench.now);
    bench.now += Duration::from_secs(30);
    bench.rules.forward(bench.now);
    assert_eq!(sum(&bench), top);
    bench.play_out();
    assert!(sum(&bench) <= top, "{} above {top}", sum(&bench));
}

#[test]
fn the_way_of_a_track_that_follows_without_a_gap_is_shown_when_its_turn_comes() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(Command::Play(None)).expect("there is a queue");
    let path = |device: &str| {
        Arc::new(SignalPath {
            source: track(1).copies[0].format.clone(),
            processing: Vec::new(),
            device: device.into(),
            rate: SampleRate::CD,
            sample: "s16".into(),
            channels: 2,
            hardware: None,
            bit_perfect: true,
            because: None,
        })
    };
    let (Some(first), Some(second)) = bench.motor else { panic!("both are loaded") };
    let opened = |serial, ms, device: &str| Event::Opened {
        serial,
        duration: Some(Millis(ms)),
        seekable: ms > 7_000,
        signal: path(device),
    };
    let shown = |bench: &Bench| {
        let state = bench.rules.state(0);
        (state.signal.map(|path| path.device.clone()), state.duration.0)
    };
    bench.event(opened(first, 8_000, "first"));
    bench.sound();
    bench.event(opened(second, 5_000, "second"));
    assert_eq!(shown(&bench), (Some("first".into()), 8_000));
    bench.play_out();
    assert_eq!(shown(&bench), (Some("second".into()), 5_000));
    assert_eq!(bench.send(Command::Seek(Millis(1))), Err(Refused::NotSeekable));
}
