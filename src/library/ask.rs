//! Questions to the shelf: lists, search, what was played and marked.

use crate::error::{Error, Kind, Result};
use crate::library::Library;
use crate::library::find::Find;
use crate::library::store::{bought, finding, marks, tracks};
use crate::offer::{DeviceId, Provenance};
use crate::query::purchases::{PurchaseQuery, Purchases, Unlocked};
use crate::query::{Filter, Group, GroupId, Item, Page, Query, Section, What};
use crate::track::TrackId;
use crate::units::UnixTime;

/// How a track came here.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Its first arrival and when that was; the way is `found` for a file that stood in the music folder.
    pub first: Option<(Provenance, UnixTime)>,
    /// How it was unlocked, while something of it can be played.
    pub unlocked: Option<Unlocked>,
}

impl Library {
    /// Answers a query. What was changed before is in the answer, unless making it searchable takes long: then it follows
    /// with the next revision.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn browse(&self, query: &Query) -> Result<Page<Item>> {
        let query = query.clone();
        self.ask(move |find, c| find.answer(&query, c)).await
    }

    /// Returns where the names under each heading begin in the usual order of a kind.
    pub async fn sections(&self, what: What) -> Vec<Section> {
        self.inner.keeper.fresh().await.sections(what)
    }

    /// Returns where headings begin among those names of a kind that a filter lets through.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn sections_of(&self, what: What, filter: Filter) -> Result<Vec<Section>> {
        self.ask(move |find, c| find.sections_of(what, &filter, c)).await
    }

    /// Returns albums, names, folders or playlists by their number, each with what a filter shows of it; `None` for one that
    /// is not there.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn groups(&self, what: What, ids: Vec<GroupId>, filter: Filter) -> Result<Vec<Option<Group>>> {
        self.ask(move |find, c| ids.into_iter().map(|id| find.group(what, id, &filter, c)).collect()).await
    }

    /// Returns buys, with their tracks or without, everybody's and with all that names the buyer.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn bought(&self, query: &PurchaseQuery) -> Result<Purchases> {
        let query = query.clone();
        self.inner.store.read(move |c| bought::bought(c, &query)).await
    }

    /// Returns how a track came here first, and how it was unlocked.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn history(&self, track: TrackId) -> Result<History> {
        let read = move |c: &rusqlite::Connection| {
            let unlocked = bought::unlocked(c, track)?;
            Ok(History { first: bought::first_arrival(c, track)?, unlocked })
        };
        self.inner.store.read(read).await
    }

    /// Returns the names under which a paired device brings music, as `Provenance::device` has them.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn names_of_device(&self, device: DeviceId) -> Result<Vec<String>> {
        self.inner.store.read(move |c| bought::names_of_device(c, device.0)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Find, &rusqlite::Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let find = self.inner.keeper.fresh().await;
        self.inner.store.read(move |c| work(&find, c)).await
    }

    /// Notes the start of a track.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn note_play(&self, track: TrackId, at: UnixTime) -> Result<()> {
        self.inner.store.write(move |c| marks::note_play(c, track, at)).await
    }

    /// Marks a track as a favourite, or no more.
    ///
    /// # Errors
    /// `NotFound`, and those of the database.
    pub async fn set_favourite(&self, track: TrackId, at: Option<UnixTime>) -> Result<()> {
        self.inner
            .store
            .write(move |c| {
                if tracks::load(c, track)?.is_none() {
                    return Err(Error::new(Kind::NotFound, format!("there is no track {track}")));
                }
                marks::set_favourite(c, track, at)
            })
            .await
    }

    /// Returns how often a track was started.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn times_played(&self, track: TrackId) -> Result<u64> {
        self.inner.store.read(move |c| marks::times_played(c, track)).await
    }

    /// Returns the playable tracks of the album that was heard last, in order.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn last_album_heard(&self) -> Result<Vec<TrackId>> {
        let last = self.inner.store.read(marks::last_played).await?;
        let Some(last) = last.and_then(|track| u32::try_from(track.0).ok()) else { return Ok(Vec::new()) };
        let album = self.inner.keeper.fresh().await.album_of(last);
        self.online(album).await
    }

    /// Returns the newest playable arrivals, newest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn newest(&self, limit: u32) -> Result<Vec<TrackId>> {
        let find = self.inner.keeper.fresh().await;
        let mut found = self.online(find.newest().take(limit as usize * SPARE).collect()).await?;
        found.truncate(limit as usize);
        Ok(found)
    }

    /// Returns playable tracks in an order that the seed decides.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn shuffled(&self, limit: u32, seed: u64) -> Result<Vec<TrackId>> {
        let find = self.inner.keeper.fresh().await;
        let mut found = self.online(find.shuffled(seed).take(limit as usize * SPARE).collect()).await?;
        found.truncate(limit as usize);
        Ok(found)
    }

    /// Leaves out tracks whose disk is away.
    async fn online(&self, ids: Vec<u32>) -> Result<Vec<TrackId>> {
        let ids: Vec<TrackId> = ids.into_iter().map(track_id).collect();
        self.inner.store.read(move |c| finding::online(c, ids)).await
    }
}

fn track_id(id: u32) -> TrackId {
    TrackId(i64::from(id))
}

/// Of so many times the tracks asked for some are expected to be on a disk that is here.
const SPARE: usize = 4;
