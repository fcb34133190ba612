//! One person with a phone has two keys: the page knows it by a cookie, its LocalSend app by a certificate. Here they become
//! those of one device, by a tap of whoever holds the phone.

use std::net::IpAddr;

use tracing::info;

use crate::error::{Error, Kind, Result};
use crate::intake::Intake;
use crate::intake::door::need;
use crate::offer::out::Receiver;
use crate::offer::{Caller, Key, Right};

impl Intake {
    /// Returns the apps with LocalSend that are open at the caller's own address, have proved their certificate there, and are
    /// not known to be the caller's device yet. Empty for a caller that is no paired device.
    ///
    /// # Errors
    /// `NotAllowed` for the room, and those of the database.
    pub async fn joins(&self, caller: &Caller, from: Option<IpAddr>) -> Result<Vec<Receiver>> {
        need(caller, Right::Member, "join devices")?;
        let mut found = Vec::new();
        for receiver in self.proved_at(from) {
            let Some(key) = key_of(&receiver) else { continue };
            let owner = self.inner.library.device_by_key(key).await?;
            let other =
                owner.is_none_or(|(device, right)| Some(device) != caller.device && right <= caller.right);
            if other && caller.device.is_some() {
                found.push(receiver);
            }
        }
        Ok(found)
    }

    /// Makes one of [`Intake::joins`] the caller's own device: what the app sends is that device's from then on. A device that
    /// was the app alone is no more.
    ///
    /// # Errors
    /// `NotAllowed` for the room, `NotFound` when no such app is open at the caller's own address now, and those of the database.
    pub async fn join(&self, caller: &Caller, from: Option<IpAddr>, id: &str) -> Result<()> {
        let found = self.joins(caller, from).await?.into_iter().find(|one| &*one.id.0 == id);
        let joined = found.and_then(|one| Some((key_of(&one)?, one.name)));
        let (Some((key, name)), Some(device)) = (joined, caller.device) else {
            let words = "no such app with LocalSend is open on this device";
            return Err(Error::new(Kind::NotFound, words));
        };
        let left = self.inner.library.give_key(key, device).await?;
        if let Some(streams) = left.and_then(|left| self.inner.door.desk().paired.remove(&left)) {
            streams.cancel();
        }
        info!(name, device = device.0, "this app and the page are one device now");
        Ok(())
    }

    /// Apps at an address that showed the certificate that they announced.
    fn proved_at(&self, from: Option<IpAddr>) -> Vec<Receiver> {
        let here = |one: &Receiver| Some(one.address.ip()) == from && one.trouble.is_none();
        self.receivers().into_iter().filter(here).collect()
    }
}

/// One that speaks plain HTTP has proved nothing.
fn key_of(receiver: &Receiver) -> Option<Key> {
    receiver.certificate.clone().map(Key::Certificate)
}
