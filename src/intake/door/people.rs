//! Who is paired, and how one becomes that: the first start, PINs, what is set of each device.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::error::{Error, Kind, Result};
use crate::intake::Intake;
use crate::intake::door::pairing::Pin;
use crate::intake::door::{need, shown};
use crate::offer::push::{Device, OnArrival};
use crate::offer::{Caller, DeviceId, Key, Right};

impl Intake {
    /// Opens the door of the first start again: the next device that asks becomes an owner. Returns for how long.
    ///
    /// # Errors
    /// `NotAllowed` below Owner.
    pub fn open_setup(&self, caller: &Caller) -> Result<Duration> {
        need(caller, Right::Owner, "open the door of the first start")?;
        Ok(self.inner.door.desk().pairing.open_setup(Instant::now()))
    }

    /// Returns how long the first device that asks becomes the owner still; `None`: that door is closed.
    pub fn setup(&self) -> Option<Duration> {
        self.inner.door.desk().pairing.setup(Instant::now())
    }

    /// Makes the first device the owner, and closes that door.
    ///
    /// # Errors
    /// `NotAllowed` when the door is closed, and those of the database.
    pub async fn become_owner(&self, key: Key, name: &str) -> Result<DeviceId> {
        if !self.inner.door.desk().pairing.take_setup(Instant::now()) {
            let what = "become the owner: that door is closed; `konpo ctl setup` opens it again";
            return Err(Error::new(Kind::NotAllowed, what));
        }
        let name = shown(name);
        let paired = self.pair(key, &name, Right::Owner).await;
        match &paired {
            Ok(device) => info!(name, device = device.0, "this device is the owner now"),
            Err(_) => drop(self.inner.door.desk().pairing.open_setup(Instant::now())),
        }
        paired
    }

    /// Sets a new PIN of six digits, by which devices are paired for ten minutes. Returns it and for how long.
    ///
    /// # Errors
    /// `NotAllowed` below Owner.
    pub fn set_pin(&self, caller: &Caller) -> Result<(String, Duration)> {
        need(caller, Right::Owner, "pair a device")?;
        // Of 128 random bits; the remainder favours no digit by more than 1 in 10^32.
        let pin = format!("{:06}", uuid::Uuid::new_v4().as_u128() % 1_000_000);
        let lasts = self.inner.door.desk().pairing.set_pin(Some(pin.clone()), Instant::now());
        Ok((pin, lasts))
    }

    /// Takes the PIN back.
    ///
    /// # Errors
    /// `NotAllowed` below Owner.
    pub fn clear_pin(&self, caller: &Caller) -> Result<()> {
        need(caller, Right::Owner, "take the PIN back")?;
        self.inner.door.desk().pairing.set_pin(None, Instant::now());
        Ok(())
    }

    /// Takes the PIN back once a device was paired by it: it was made for one.
    pub fn pin_was_used(&self) {
        self.inner.door.desk().pairing.set_pin(None, Instant::now());
    }

    /// Looks at a PIN that somebody types, from this address.
    pub fn say_pin(&self, said: Option<&str>, from: IpAddr) -> Pin {
        self.inner.door.desk().pairing.say(said, from, Instant::now())
    }

    /// Returns the paired devices.
    ///
    /// # Errors
    /// `NotAllowed` below Owner, and those of the database.
    pub async fn devices(&self, caller: &Caller) -> Result<Vec<Device>> {
        need(caller, Right::Owner, "see the paired devices")?;
        self.inner.library.devices().await
    }

    /// Sets what happens to the songs of a device; `None`: as the settings say.
    ///
    /// # Errors
    /// `NotAllowed` below Owner, `NotFound`, and those of the database.
    pub async fn set_on_arrival(&self, caller: &Caller, id: DeviceId, wish: Option<OnArrival>) -> Result<()> {
        need(caller, Right::Owner, "say what happens to a device's songs")?;
        self.inner.library.set_on_arrival(id, wish).await
    }

    /// Forgets a paired device.
    ///
    /// # Errors
    /// `NotAllowed` below Owner, `NotFound`, and those of the database.
    pub async fn forget_device(&self, caller: &Caller, id: DeviceId) -> Result<()> {
        need(caller, Right::Owner, "forget a device")?;
        self.inner.library.remove_device(id).await?;
        if let Some(known) = self.inner.door.desk().paired.remove(&id) {
            known.cancel();
        }
        Ok(())
    }

    /// Returns what falls when a paired device is forgotten: what it was being told ends then.
    pub fn until_forgotten(&self, id: DeviceId) -> CancellationToken {
        self.inner.door.desk().paired.entry(id).or_default().clone()
    }
}
