//! What the box writes down, and how much of it: the queue only when it changed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use konpo::hifi::command::{At, Command, NewEntry, Playable};
use konpo::units::Volume;

use crate::urls::Bench;

async fn written(bench: &Bench) -> (String, Option<String>) {
    let memory = bench.library.load_memory().await.expect("read").unwrap_or_default();
    (memory, bench.library.load_place().await.expect("read"))
}

/// Waits until what is written is like this.
async fn until(
    bench: &Bench,
    what: &str,
    is: impl Fn(&str, Option<&str>) -> bool,
) -> (String, Option<String>) {
    let begun = Instant::now();
    loop {
        let (memory, place) = written(bench).await;
        if is(&memory, place.as_deref()) {
            return (memory, place);
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "not written in time: {what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_entries_are_not_written_again_for_another_place() {
    let bench = Bench::new().await;
    let entry = |n: usize| NewEntry {
        what: Playable::Url(format!("http://10.0.0.2/{n}.flac").into()),
        shown: Arc::default(),
        said: None,
        hints: Default::default(),
    };
    bench.send(Command::Add { entries: (0..10_000).map(entry).collect(), at: At::End, play: false }).await;
    let (queue, place) = until(&bench, "the queue", |memory, _| memory.contains("/9999.flac")).await;
    assert!(place.is_none() && queue.len() > 300_000, "{}", queue.len());

    bench.send(Command::SetVolume(Volume::new(13).expect("in range"))).await;
    let (memory, place) = until(&bench, "the knob", |_, place| place.is_some()).await;
    assert!(memory == queue, "the queue was written again");
    let place = place.unwrap_or_default();
    assert!(place.contains("\"volume\":13") && place.len() < 1_000, "{place}");
    println!("{} bytes of queue stay, {} bytes of place are written", queue.len(), place.len());

    bench.send(Command::Clear).await;
    let emptied = |memory: &str, place: Option<&str>| !memory.contains("flac") && place.is_none();
    let (memory, _) = until(&bench, "the empty queue", emptied).await;
    assert!(memory.contains("\"volume\":13"), "{memory}");
    bench.end().await;
}
