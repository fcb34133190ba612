//! Follows what senders bring and hands it to the loop with what the shelf knows of it. A task of its own beside the loop.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::hifi::rules::Event;
use crate::hifi::task::say;
use crate::library::Library;
use crate::offer::Right;
use crate::offer::push::Pushed;
use crate::words::Words;

/// Hands on what lands, until the stop or the end of the channel.
pub async fn follow(
    library: Library,
    mut pushes: mpsc::Receiver<Pushed>,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
) {
    loop {
        let pushed = tokio::select! {
            () = stop.cancelled() => return,
            pushed = pushes.recv() => pushed,
        };
        let event = match pushed {
            None => return,
            Some(Pushed::Landed { beam, index, track, from, wish }) => match library.get(&[track]).await {
                Ok(found) => match found.into_iter().flatten().next() {
                    Some(track) => Event::Landed { beam, index, track, from, wish },
                    // Somebody deleted it meanwhile.
                    None => continue,
                },
                Err(error) => {
                    warn!(%error, "what landed cannot be read: it stays on the shelf");
                    continue;
                }
            },
            Some(Pushed::Undone(tracks)) => Event::TakenBack(tracks),
            Some(Pushed::Said { from, text }) => {
                say(&events, Words::new("wrote", &[&from, &text]), Right::Member).await;
                continue;
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}
