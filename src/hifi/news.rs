//! News of the shelf as notices: what was unlocked. A task of its own beside the loop.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::hifi::rules::Event;
use crate::hifi::task::say;
use crate::library::{Library, News};
use crate::offer::Right;
use crate::track::{Track, TrackId};
use crate::words::Words;

/// Says what the shelf tells, until the stop.
pub async fn follow(library: Library, events: mpsc::Sender<Event>, stop: CancellationToken) {
    let Some(mut news) = library.take_news() else { return };
    loop {
        let told = tokio::select! {
            () = stop.cancelled() => return,
            told = news.recv() => told,
        };
        match told {
            Some(News::Unlocked(tracks)) => {
                for words in unlocked(&library, &tracks).await {
                    say(&events, words, Right::Room).await;
                }
            }
            None => return,
        }
    }
}

/// Returns a notice for each song, or one for all when they are many.
async fn unlocked(library: &Library, ids: &[TrackId]) -> Vec<Words> {
    if ids.len() > MOST_NAMED {
        return vec![Words::new("unlocked_many", &[&ids.len().to_string()])];
    }
    let tracks = library.get(ids).await.unwrap_or_default();
    tracks.iter().flatten().map(|track| words(track)).collect()
}

fn words(track: &Track) -> Words {
    let title = track.tags.title_or("a song");
    match &track.tags.artist {
        Some(artist) => Words::new("unlocked_by", &[title, artist]),
        None => Words::new("unlocked", &[title]),
    }
}

/// So many songs at once are named one by one.
const MOST_NAMED: usize = 3;
