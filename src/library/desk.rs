//! What the shelf keeps for others: the journal of files on their way in, what neighbours have, decisions, devices, memory.

use crate::error::{Error, Kind, Result};
use crate::library::store::{devices, forget, journal, keep, kept, tracks};
use crate::library::{JournalRow, Library, SeenRemote};
use crate::offer::push::{Device, OnArrival};
use crate::offer::{Consent, DeviceId, Key, NeighbourId, OfferId, Right};
use crate::track::{Sha256, TrackId};
use crate::units::UnixTime;

impl Library {
    /// Writes a row of the journal; id 0 makes a new one. Returns its id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn journal_put(&self, row: JournalRow) -> Result<OfferId> {
        self.inner.store.write(move |c| journal::put(c, &row)).await
    }

    /// Returns the rows that have not ended, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn journal_open(&self) -> Result<Vec<JournalRow>> {
        self.inner.store.read(journal::open).await
    }

    /// Returns the newest rows, newest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn journal_recent(&self, limit: u32) -> Result<Vec<JournalRow>> {
        self.inner.store.read(move |c| journal::recent(c, limit)).await
    }

    /// Returns the rows that were written since, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn journal_since(&self, since: UnixTime) -> Result<Vec<JournalRow>> {
        self.inner.store.read(move |c| journal::since(c, since)).await
    }

    /// Returns the rows of one way in, newest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn journal_of_way(&self, way: &'static str) -> Result<Vec<JournalRow>> {
        self.inner.store.read(move |c| journal::of_way(c, way)).await
    }

    /// Forgets rows that ended before a time, except these of one way in.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn journal_prune(&self, before: UnixTime, way: &'static str, keep: Vec<OfferId>) -> Result<()> {
        self.inner.store.write(move |c| journal::prune(c, before, way, &keep)).await
    }

    /// Returns what a neighbour was seen to have.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn seen_remote(&self, device: &str) -> Result<Vec<SeenRemote>> {
        let device = device.to_owned();
        self.inner.store.read(move |c| journal::seen_remote(c, &device)).await
    }

    /// Remembers what a neighbour was seen to have.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn remember_remote(&self, seen: SeenRemote) -> Result<()> {
        self.inner.store.write(move |c| journal::remember(c, &seen)).await
    }

    /// Returns what was decided about a neighbour.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn consent(&self, neighbour: &NeighbourId) -> Result<Option<Consent>> {
        let neighbour = neighbour.0.clone();
        self.inner.store.read(move |c| devices::consent(c, &neighbour)).await
    }

    /// Keeps what was decided about a neighbour.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn set_consent(&self, neighbour: &NeighbourId, consent: Consent) -> Result<()> {
        let neighbour = neighbour.0.clone();
        self.inner.store.write(move |c| devices::set_consent(c, &neighbour, consent)).await
    }

    /// Returns the devices added by their address.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn addresses(&self) -> Result<Vec<String>> {
        self.inner.store.read(devices::addresses).await
    }

    /// Keeps a device added by its address.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn add_address(&self, address: String) -> Result<()> {
        self.inner.store.write(move |c| devices::add_address(c, &address)).await
    }

    /// Forgets a device added by its address.
    ///
    /// # Errors
    /// `NotFound`, and those of the database.
    pub async fn remove_address(&self, address: String) -> Result<()> {
        let unknown = Error::new(Kind::NotFound, format!("{address} was not added"));
        let known = self.inner.store.write(move |c| devices::remove_address(c, &address)).await?;
        known.then_some(()).ok_or(unknown)
    }

    /// Returns the device that has a key, and its right.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn device_by_key(&self, key: Key) -> Result<Option<(DeviceId, Right)>> {
        self.inner.store.read(move |c| devices::by_key(c, &key)).await
    }

    /// Adds a device with its first key.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn add_device(&self, key: Key, name: String, right: Right) -> Result<DeviceId> {
        self.inner.store.write(move |c| devices::add(c, &key, &name, right)).await
    }

    /// Gives a key to a device that is there. Returns the device that had it and has no key left: that is forgotten.
    ///
    /// # Errors
    /// `NotFound`, and those of the database.
    pub async fn give_key(&self, key: Key, id: DeviceId) -> Result<Option<DeviceId>> {
        let given = self.inner.store.write(move |c| devices::give_key(c, &key, id)).await?;
        given.ok_or_else(|| no_device(id))
    }

    /// Returns every paired device, the oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn devices(&self) -> Result<Vec<Device>> {
        self.inner.store.read(devices::all).await
    }

    /// Returns whether any device has the owner's right.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn has_owner(&self) -> Result<bool> {
        self.inner.store.read(devices::has_owner).await
    }

    /// Sets what happens to the songs of a device; `None`: as the settings say.
    ///
    /// # Errors
    /// `NotFound`, and those of the database.
    pub async fn set_on_arrival(&self, id: DeviceId, wish: Option<OnArrival>) -> Result<()> {
        let known = self.inner.store.write(move |c| devices::set_on_arrival(c, id, wish)).await?;
        known.then_some(()).ok_or_else(|| no_device(id))
    }

    /// Returns what happens to the songs of a device, where that was set.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn on_arrival(&self, id: DeviceId) -> Result<Option<OnArrival>> {
        self.inner.store.read(move |c| devices::on_arrival(c, id)).await
    }

    /// Forgets a paired device and its keys.
    ///
    /// # Errors
    /// `NotFound`, and those of the database.
    pub async fn remove_device(&self, id: DeviceId) -> Result<()> {
        let known = self.inner.store.write(move |c| devices::remove(c, id)).await?;
        known.then_some(()).ok_or_else(|| no_device(id))
    }

    /// Returns the tracks on the shelf with these bytes, in the order asked; `None` for what is not there.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn with_sums(&self, sums: Vec<Option<Sha256>>) -> Result<Vec<Option<TrackId>>> {
        let find = move |c: &rusqlite::Connection| {
            let one = |sum: Option<Sha256>| sum.map_or(Ok(None), |sum| tracks::with_sum(c, sum));
            sums.into_iter().map(one).collect()
        };
        self.inner.store.read(find).await
    }

    /// Returns what the box wrote down about itself.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn load_memory(&self) -> Result<Option<String>> {
        self.inner.store.read(|c| kept(c, "memory")).await
    }

    /// Returns what intake wrote down about what was taken back.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn load_undone(&self) -> Result<Option<String>> {
        self.inner.store.read(|c| kept(c, "undone")).await
    }

    /// Writes down what intake keeps about what was taken back.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn save_undone(&self, json: String) -> Result<()> {
        self.inner.store.write(move |c| keep(c, "undone", &json)).await
    }

    /// Returns what the box wrote down since, of what changes often.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn load_place(&self) -> Result<Option<String>> {
        self.inner.store.read(|c| kept(c, "place")).await
    }

    /// Writes down what the box keeps about itself; the place of before is forgotten.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn save_memory(&self, json: String) -> Result<()> {
        let write = move |c: &mut rusqlite::Connection| {
            let transaction = c.transaction()?;
            keep(&transaction, "memory", &json)?;
            forget(&transaction, "place")?;
            Ok(transaction.commit()?)
        };
        self.inner.store.write(write).await
    }

    /// Writes down what changes often, beside the rest.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn save_place(&self, json: String) -> Result<()> {
        self.inner.store.write(move |c| keep(c, "place", &json)).await
    }
}

fn no_device(id: DeviceId) -> Error {
    Error::new(Kind::NotFound, format!("no device {} is paired", id.0))
}
