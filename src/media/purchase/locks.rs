//! What a lock proves of a buy (reference purchases 1.3 and 2).

use crate::media::purchase::hosts::{host_of, store_of};
use crate::media::purchase::{Tags, evidence};
use crate::media::raw::RawTag;
use crate::media::sniff::Sniffed;
use crate::media::sniff::mp4::COPY_GUARD;
use crate::track::{Container, Evidence, Protection, Purchase, PurchaseLevel};

/// Returns the buy that the lock speaks of, if any.
pub fn of(sniffed: &Sniffed, tags: &Tags<'_>) -> Option<Purchase> {
    match &sniffed.protection {
        // The brand alone is also that of a phone's own recordings; the carrier's mark and a lock are not.
        Protection::CarrierCopyGuard | Protection::CarrierLocked => {
            let mark = tags.0.iter().copied().filter(|tag| tag.place == COPY_GUARD);
            let mark: Vec<Evidence> = mark.map(evidence).collect();
            let bought = !mark.is_empty() || sniffed.protection.is_locked();
            bought.then(|| Purchase { evidence: mark, ..Purchase::at("kddi", PurchaseLevel::Embedded) })
        }
        Protection::OmaDrm2 { rights_issuer } => phone(rights_issuer, tags),
        Protection::OmaDrm1 => phone(&tags.text("oma-drm:Rights-Issuer").unwrap_or_default(), tags),
        // A rip may be locked too: its licence comes from Microsoft.
        Protection::WmDrm { license_url } => {
            let host = host_of(license_url).filter(|host| !host.ends_with("microsoft.com"))?;
            let fact = Evidence { place: "asf:license".into(), text: license_url.clone(), personal: false };
            let store = store_of(license_url).map_or(host, str::to_owned);
            Some(Purchase { evidence: vec![fact], ..Purchase::at(store, PurchaseLevel::Claimed) })
        }
        _ if sniffed.format.container == Container::Oma => sony(tags),
        _ => None,
    }
}

fn phone(issuer: &str, tags: &Tags<'_>) -> Option<Purchase> {
    let host = host_of(issuer)?;
    let known = |tag: &&RawTag| tag.place.starts_with("oma-drm:");
    Some(Purchase {
        item_id: tags.text("oma-drm:ContentID"),
        evidence: tags.0.iter().copied().filter(known).map(evidence).collect(),
        ..Purchase::at(host, PurchaseLevel::Claimed)
    })
}

/// Rights of a shop (CONNECT, bitmusic, mora) are written by it. The lock alone is also in rips of SonicStage.
fn sony(tags: &Tags<'_>) -> Option<Purchase> {
    let objects = |names: &[&str]| -> Vec<Evidence> {
        let object =
            |tag: &&RawTag| tag.place.strip_prefix("oma:GEOB/").is_some_and(|name| names.contains(&name));
        tags.0.iter().copied().filter(object).map(evidence).collect()
    };
    let (rights, lock) =
        (objects(&["OMG_ULINF", "OMG_OLINF", "OMG_MARLN"]), objects(&["OMG_LSI", "OMG_BKLSI"]));
    let level = match (rights.is_empty(), lock.is_empty()) {
        (false, _) => PurchaseLevel::Embedded,
        (true, false) => PurchaseLevel::Claimed,
        (true, true) => return None,
    };
    Some(Purchase { evidence: [rights, lock].concat(), ..Purchase::at("sony", level) })
}
