//! Follows the box for the subscribers of all services: one task that derives every variable from the newest `State` and
//! publishes what differs. Time alone changes with every second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::hifi::Session;
use crate::hifi::command::{Playable, QueueId};
use crate::hifi::state::{Entry, State, Transport};
use crate::track::{AudioFormat, Codec, Track, TrackId};
use crate::units::{Millis, SampleRate};
use crate::upnp::av::transport::view::with_cover;
use crate::upnp::openhome::info::{Counts, Details};
use crate::upnp::openhome::product::Product;
use crate::upnp::openhome::shown::{Shown, current, station};
use crate::upnp::openhome::{info, playlist, radio, time, transport, volume};
use crate::upnp::own::Mark;
use crate::upnp::service::{HERE, Value, Values};

/// What the services tell at one moment.
pub struct Now<'a> {
    /// The box.
    pub state: &'a State,
    /// What is told of the transport: a short pause for opening is not.
    pub transport: Transport,
    /// What sounds.
    pub shown: &'a Shown,
    /// How often it changed.
    pub counts: Counts,
    /// How it is coded.
    pub details: Details,
    /// What its station says, as a listing.
    pub metatext: &'a str,
    /// Whole seconds that were heard of it.
    pub second: u32,
    /// The ids of the queue in base64.
    pub ids: &'a str,
}

/// Where the variables of each service are published.
pub struct Outlets {
    product: watch::Sender<Values>,
    playlist: watch::Sender<Values>,
    info: watch::Sender<Values>,
    time: watch::Sender<Values>,
    volume: watch::Sender<Values>,
    transport: watch::Sender<Values>,
    radio: watch::Sender<Values>,
}

/// Where they are read.
pub struct Told {
    pub product: watch::Receiver<Values>,
    pub playlist: watch::Receiver<Values>,
    pub info: watch::Receiver<Values>,
    pub time: watch::Receiver<Values>,
    pub volume: watch::Receiver<Values>,
    pub transport: watch::Receiver<Values>,
    pub radio: watch::Receiver<Values>,
}

/// Returns both ends, with the variables of a box in this state.
pub fn outlets(state: &State, product: &Product, mark: Mark) -> (Outlets, Told) {
    let empty = || watch::channel(Values::default());
    let (product_in, product_out) = empty();
    let (playlist_in, playlist_out) = empty();
    let (info_in, info_out) = empty();
    let (time_in, time_out) = empty();
    let (volume_in, volume_out) = empty();
    let (transport_in, transport_out) = empty();
    let (radio_in, radio_out) = empty();
    let outlets = Outlets {
        product: product_in,
        playlist: playlist_in,
        info: info_in,
        time: time_in,
        volume: volume_in,
        transport: transport_in,
        radio: radio_in,
    };
    let mut teller = Teller::new(mark);
    teller.look(state, None, Instant::now());
    outlets.tell(&teller.now(state), product);
    let told = Told {
        product: product_out,
        playlist: playlist_out,
        info: info_out,
        time: time_out,
        volume: volume_out,
        transport: transport_out,
        radio: radio_out,
    };
    (outlets, told)
}

impl Outlets {
    fn tell(&self, now: &Now<'_>, product: &Product) {
        publish(&self.product, product.values(now.state));
        publish(&self.playlist, playlist::values(now));
        publish(&self.info, info::values(now));
        publish(&self.time, time::values(now));
        publish(&self.volume, volume::values(now));
        publish(&self.transport, transport::values(now));
        publish(&self.radio, radio::values(now));
    }
}

/// Wakes subscribers only where something differs.
fn publish(outlet: &watch::Sender<Values>, values: Vec<(&'static str, Value)>) {
    outlet.send_if_modified(|told| {
        let differs = **told != values;
        if differs {
            *told = Arc::new(values);
        }
        differs
    });
}

/// Follows the box until the stop token falls, or the box ends. Subscribers are paced by GENA; the pause here is for the
/// box's own sake, when an app inserts a thousand tracks.
pub async fn follow(
    session: Session,
    product: Arc<Product>,
    mark: Mark,
    outlets: Outlets,
    stop: CancellationToken,
) {
    let (mut states, mut name) = (session.watch(), product.name());
    let mut teller = Teller::new(mark);
    let mut looked = None;
    loop {
        let state = states.borrow_and_update().clone();
        looked = look_up(&session, &state, looked).await;
        let now = Instant::now();
        teller.look(&state, looked.as_ref().and_then(|looked| looked.track.as_deref()), now);
        outlets.tell(&teller.now(&state), &product);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        let again = teller.again(&state, now);
        let wake = async {
            match again {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            changed = states.changed() => if changed.is_err() { return },
            // A sender that is gone renames nobody.
            Ok(()) = name.changed() => {}
            () = wake => {}
        }
    }
}

/// What the shelf was asked for.
pub struct Looked {
    id: TrackId,
    /// When, as a revision of the shelf.
    rev: u64,
    /// What it answered; `None` when it has no such track.
    pub track: Option<Arc<Track>>,
}

impl Looked {
    /// Returns whether the answer holds: a track that is not there may come with a change of the shelf.
    fn holds(&self, id: TrackId, rev: u64) -> bool {
        self.id == id && (self.track.is_some() || self.rev == rev)
    }
}

/// Returns what the shelf knows of what sounds; asked once for each track, and once for each change of the shelf while it does
/// not know it. `None`: what sounds is no track of the shelf, or it could not be asked.
pub async fn look_up(session: &Session, state: &State, known: Option<Looked>) -> Option<Looked> {
    let id = current(state).and_then(track_of)?;
    let rev = state.library_rev;
    if let Some(known) = known.filter(|known| known.holds(id, rev)) {
        return Some(known);
    }
    match session.tracks(&[id]).await {
        Ok(mut found) => Some(Looked { id, rev, track: found.remove(&id) }),
        Err(error) => {
            debug!(%error, "what plays could not be looked up");
            None
        }
    }
}

fn track_of(entry: &Entry) -> Option<TrackId> {
    match entry.what {
        Playable::Shelf(id) => Some(id),
        Playable::Url(_) => None,
    }
}

/// What was told last, as far as what is told next depends on it.
pub struct Teller {
    mark: Mark,
    current: Option<QueueId>,
    /// Of the current entry no start was seen yet.
    fresh: bool,
    starts: u64,
    entry: Option<Entry>,
    shown: Shown,
    counts: Counts,
    details: Details,
    metatext: String,
    /// Since when something is being opened.
    opening: Option<Instant>,
    transport: Transport,
    second: u32,
    /// The version of the queue, and its ids.
    ids: (u64, String),
}

impl Teller {
    /// Returns one that told nothing.
    pub fn new(mark: Mark) -> Teller {
        Teller {
            mark,
            current: None,
            fresh: true,
            starts: 0,
            entry: None,
            shown: Shown::default(),
            counts: Counts::default(),
            details: Details::default(),
            metatext: String::new(),
            opening: None,
            transport: Transport::Stopped,
            second: 0,
            ids: (0, String::new()),
        }
    }

    /// Looks at the box. `track` is what the shelf knows of what sounds.
    pub fn look(&mut self, state: &State, track: Option<&Track>, now: Instant) {
        let entry = current(state).map(|entry| with_cover(entry.clone(), state, HERE));
        self.look_at_track(state, entry.as_ref().map(|entry| entry.id));
        if self.entry != entry {
            let shown = entry.as_ref().map(|entry| Shown::told(entry, HERE, self.mark));
            (self.shown, self.entry) = (shown.unwrap_or_default(), entry);
        }
        let details = details(state, track).unwrap_or_default();
        if details != self.details {
            self.details = details;
            self.counts.details += 1;
        }
        let said = station(state);
        if said != self.metatext {
            self.metatext = said;
            self.counts.metatexts += 1;
        }
        self.opening = (state.transport == Transport::Opening).then(|| self.opening.unwrap_or(now));
        if self.opening.is_none_or(|since| now.saturating_duration_since(since) >= OPENS_WITHIN) {
            self.transport = state.transport;
        }
        self.look_at_clock(state, now);
        if self.ids.0 != state.queue.version || self.ids.1.is_empty() != state.queue.entries.is_empty() {
            self.ids = (state.queue.version, playlist::id_array(state));
        }
    }

    /// Counts tracks: another entry is another one, and so is each further start of the same.
    fn look_at_track(&mut self, state: &State, id: Option<QueueId>) {
        let started = state.starts != self.starts;
        let is_other = id != self.current;
        if is_other || (started && !self.fresh) {
            self.counts = Counts { tracks: self.counts.tracks.wrapping_add(1), details: 0, metatexts: 0 };
            (self.details, self.metatext) = (Details::default(), String::new());
        }
        self.fresh = if is_other { !started } else { self.fresh && !started };
        (self.current, self.starts) = (id, state.starts);
    }

    /// The motor's clock and this one differ by moments: a second that was told is not taken back for that.
    fn look_at_clock(&mut self, state: &State, now: Instant) {
        let second = time::second(state, now);
        let runs = state.transport == Transport::Playing;
        if !(runs && second > 0 && second + 1 == self.second) {
            self.second = second;
        }
    }

    /// Returns when something changes by itself: the second, or what opens slowly; `None`: nothing does.
    pub fn again(&self, state: &State, now: Instant) -> Option<Instant> {
        let slow = self.opening.map(|since| since + OPENS_WITHIN).filter(|at| *at > now);
        let here = state.position.now(now).0;
        let next = state.position.running.then(|| now + Duration::from_millis(1000 - here % 1000));
        slow.into_iter().chain(next).min()
    }

    /// Returns what is told now.
    pub fn now<'a>(&'a self, state: &'a State) -> Now<'a> {
        Now {
            state,
            transport: self.transport,
            shown: &self.shown,
            counts: self.counts,
            details: self.details,
            metatext: &self.metatext,
            second: self.second,
            ids: &self.ids.1,
        }
    }
}

/// Returns how what sounds is coded; `None` before its first sample.
pub fn details(state: &State, track: Option<&Track>) -> Option<Details> {
    let sounds = matches!(state.transport, Transport::Playing | Transport::Paused);
    let format = state.format.as_ref().filter(|_| sounds && current(state).is_some())?;
    let lossless = format.codec.is_lossless();
    Some(Details {
        duration: time::duration(state),
        bit_rate: bit_rate(format, track, state.duration),
        bit_depth: format.bits.filter(|_| lossless).map_or(0, u32::from),
        sample_rate: format.rate.map_or(0, SampleRate::hz),
        lossless,
        codec: format.codec.name(),
    })
}

/// Bits a second: of PCM exactly, else of a file of the shelf in the mean.
fn bit_rate(format: &AudioFormat, track: Option<&Track>, length: Millis) -> u32 {
    let exact = match (format.codec, format.rate, format.channels, format.bits) {
        (Codec::Pcm, Some(rate), Some(channels), Some(bits)) => {
            Some(u64::from(rate.hz()) * u64::from(channels) * u64::from(bits))
        }
        _ => None,
    };
    let size = track.and_then(Track::playable).map(|copy| copy.size.0);
    let mean = size.and_then(|size| size.saturating_mul(8000).checked_div(length.0));
    u32::try_from(exact.or(mean).unwrap_or(0)).unwrap_or(u32::MAX)
}

/// Between two looks at the box.
const PAUSE: Duration = Duration::from_millis(20);
/// What opens faster is not told (reference upnp 3.8, Transport: "Buffering").
const OPENS_WITHIN: Duration = Duration::from_millis(800);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_that_the_shelf_lost_is_asked_for_once_until_the_shelf_changes() {
        let lost = Looked { id: TrackId(7), rev: 3, track: None };
        assert!(lost.holds(TrackId(7), 3));
        assert!(!lost.holds(TrackId(7), 4), "it may have come back");
        assert!(!lost.holds(TrackId(8), 3), "another one");
    }
}
