//! A queue of 10,000 entries: every edit in milliseconds. Prints what each takes.

use super::*;

/// Far above what is printed, far below what a list searched once an entry takes: the machine may be busy.
const MOST: Duration = Duration::from_millis(250);

/// The box with a queue of 10,000 that plays, and its snapshot published, so that every edit copies.
fn full(shuffled: bool) -> (Bench, Vec<QueueId>, State) {
    let mut bench = Bench::with(&(0..10_000).map(|n| n % 20 + 1).collect::<Vec<i64>>());
    bench.send(Command::SetShuffle(shuffled)).expect("always");
    bench.send(Command::SetRepeat(Repeat::All)).expect("always");
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    let state = bench.rules.state(0);
    let ids = state.queue.entries.iter().map(|entry| entry.id).collect();
    (bench, ids, state)
}

#[test]
fn ten_thousand_entries_are_edited_in_milliseconds() {
    let entry = |id| NewEntry {
        what: Playable::Shelf(TrackId(id)),
        shown: Arc::default(),
        said: None,
        hints: Default::default(),
    };
    let entries = |count: i64| (0..count).map(|n| entry(n % 20 + 1)).collect::<Vec<_>>();
    for shuffled in [false, true] {
        let (bench, ids, state) = full(shuffled);
        let last = *ids.last().expect("full");
        let (half, reversed) = (ids[..5_000].to_vec(), ids.iter().rev().copied().collect());
        let room = Command::Remove(ids[5_000..].to_vec());
        let each = || ids[..19].iter().map(|&id| Command::Move { ids: vec![id], to: 9_000 }).collect();
        let edits = [
            ("clear", vec![], Command::Clear),
            ("remove 5,000 with the one that plays", vec![], Command::Remove(half)),
            ("remove one", vec![], Command::Remove(vec![last])),
            ("move one to the front", vec![], Command::Move { ids: vec![last], to: 0 }),
            ("turn all round", vec![], Command::Move { ids: reversed, to: 0 }),
            (
                "add 5,000",
                vec![room.clone()],
                Command::Add { entries: entries(5_000), at: At::Index(7), play: false },
            ),
            ("add one next", vec![room], Command::Add { entries: entries(1), at: At::Next, play: false }),
            ("play the last", vec![], Command::Play(Some(last))),
            ("next", vec![], Command::Next),
            ("next from the last, a new round", vec![Command::Play(Some(last))], Command::Next),
            ("shuffle or not", vec![], Command::SetShuffle(!shuffled)),
            ("19 moves at once, for each", vec![], Command::Batch(each())),
        ];
        for (name, first, edit) in edits {
            let pieces = if let Command::Batch(all) = &edit { all.len() as u32 } else { 1 };
            let mut times: Vec<Duration> = (0..3)
                .map(|_| {
                    let mut rules = bench.rules.clone();
                    let given = Bench::given();
                    for command in &first {
                        rules.command(command.clone(), &given, bench.now).expect("possible");
                    }
                    let (edit, published) = (edit.clone(), rules.state(1));
                    let start = Instant::now();
                    rules.command(edit, &given, bench.now).expect("possible");
                    let time = start.elapsed();
                    assert_ne!(
                        (published.queue.version, published.current, published.shuffle),
                        (rules.state(2).queue.version, rules.state(2).current, rules.state(2).shuffle),
                        "{name}"
                    );
                    time / pieces
                })
                .collect();
            times.sort_unstable();
            println!(
                "{name:<40} {:>9.3} ms{}",
                times[1].as_secs_f64() * 1e3,
                if shuffled { ", shuffled" } else { "" }
            );
            assert!(times[1] < MOST, "{name} takes {:?}", times[1]);
        }
        assert_eq!(state.queue.entries.len(), 10_000, "what was published stays");
    }
}
