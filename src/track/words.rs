//! What containers, codings, locks and stores are called, and what can be done about a lock, in words for a person.

use crate::track::{Codec, Container, Protection};

/// Returns a store's name for a person; one that konpo does not know is returned as it is.
pub fn store_name(store: &str) -> &str {
    STORES.iter().find(|(known, _)| *known == store).map_or(store, |(_, name)| name)
}

/// Returns the way that music comes here without a device, for a person; another is returned as it is.
pub fn way_name(way: &str) -> &str {
    match way {
        "inbox" => "the drop folder",
        "found" => "the music folder",
        "itunes" => "an iTunes library",
        other => other,
    }
}

const STORES: [(&str, &str); 21] = [
    ("itunes", "the iTunes Store"),
    ("amazon", "Amazon"),
    ("bandcamp", "Bandcamp"),
    ("qobuz", "Qobuz"),
    ("beatport", "Beatport"),
    ("google", "Google Play Music"),
    ("emusic", "eMusic"),
    ("mora", "mora"),
    ("ototoy", "OTOTOY"),
    ("e-onkyo", "e-onkyo music"),
    ("7digital", "7digital"),
    ("hdtracks", "HDtracks"),
    ("juno", "Juno Download"),
    ("recochoku", "RecoChoku"),
    ("prostudiomasters", "ProStudioMasters"),
    ("boomkat", "Boomkat"),
    ("bleep", "Bleep"),
    ("traxsource", "Traxsource"),
    ("kddi", "au (KDDI)"),
    ("sony", "a Sony store"),
    ("unknown", "an unknown store"),
];

impl Container {
    /// Returns its name for a person.
    pub fn name(self) -> &'static str {
        match self {
            Container::Mp4 => "MP4",
            Container::Flac => "FLAC",
            Container::Mpeg => "MPEG frames",
            Container::Adts => "ADTS frames",
            Container::Ogg => "Ogg",
            Container::Wav => "WAV",
            Container::Aiff => "AIFF",
            Container::Asf => "ASF",
            Container::Oma => "OpenMG",
            Container::WavPack => "WavPack",
            Container::Ape => "Monkey's Audio",
            Container::Dsf => "DSF",
            Container::Dff => "DSDIFF",
            Container::Caf => "CAF",
            Container::Matroska => "Matroska",
            Container::Tta => "True Audio",
            Container::Tak => "TAK",
            Container::Musepack => "Musepack",
            Container::Audible => "Audible",
            Container::OmaDrm => "OMA DRM",
            Container::Unknown => "an unknown form",
        }
    }
}

impl Codec {
    /// Returns its name for a person.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Flac => "FLAC",
            Codec::Mp3 => "MP3",
            Codec::Mp2 => "MP2",
            Codec::AacLc => "AAC",
            Codec::HeAac => "HE-AAC",
            Codec::Alac => "Apple Lossless",
            Codec::Vorbis => "Vorbis",
            Codec::Opus => "Opus",
            Codec::Pcm => "PCM",
            Codec::Wma => "Windows Media Audio",
            Codec::Atrac3 => "ATRAC3",
            Codec::Atrac3Plus => "ATRAC3plus",
            Codec::WavPack => "WavPack",
            Codec::Ape => "Monkey's Audio",
            Codec::Dsd => "DSD",
            Codec::Speech => "speech",
            Codec::Tta => "True Audio",
            Codec::Tak => "TAK",
            Codec::Musepack => "Musepack",
            Codec::Other => "an unknown coding",
        }
    }
}

impl Protection {
    /// Returns the reason code of reference 2.7, `None` when plain.
    pub fn code(&self) -> Option<&'static str> {
        Some(match self {
            Protection::None => return None,
            Protection::FairPlay { .. } => "drm.fairplay",
            Protection::Cenc { .. } => "drm.cenc",
            Protection::OmaDrm1 | Protection::OmaDrm2 { .. } => "drm.oma",
            Protection::OpenMg { .. } => "drm.openmg",
            Protection::SonyObfuscatedMp3 => "drm.sonymp3",
            Protection::WmDrm { .. } | Protection::PlayReady => "drm.wm",
            Protection::Audible => "drm.audible",
            Protection::CarrierCopyGuard | Protection::CarrierLocked => "drm.phone",
            Protection::UnknownEncrypted => "drm.unknown",
        })
    }

    /// Returns what it says of itself beyond its name, for a person: scheme, licence, account. The account is personal.
    pub fn detail(&self) -> Option<String> {
        let told = |name: &str, text: &str| (!text.is_empty()).then(|| format!("{name} {text}"));
        match self {
            Protection::FairPlay { user_id } => user_id.map(|user| format!("account {user}")),
            Protection::Cenc { scheme, systems } => {
                let systems = systems.join(", ");
                let parts: Vec<String> =
                    [told("scheme", scheme), told("systems", &systems)].into_iter().flatten().collect();
                (!parts.is_empty()).then(|| parts.join(", "))
            }
            Protection::OmaDrm2 { rights_issuer } => told("rights issuer", rights_issuer),
            Protection::OpenMg { word } => Some(format!("encryption word {word:04x}")),
            Protection::WmDrm { license_url } => told("licence", license_url),
            _ => None,
        }
    }

    /// Returns what it is in one line, for a person.
    pub fn headline(&self) -> &'static str {
        match self {
            Protection::None => "Not protected",
            Protection::FairPlay { .. } => "Bought from iTunes with copy protection",
            Protection::Cenc { .. } => "A streaming download, not a purchase",
            Protection::OmaDrm1 | Protection::OmaDrm2 { .. } | Protection::CarrierLocked => {
                "Locked to the phone it was bought on"
            }
            Protection::OpenMg { .. } => "Protected by Sony OpenMG (SonicStage, Mora, CONNECT)",
            Protection::SonyObfuscatedMp3 => "An MP3 locked to one Walkman",
            Protection::WmDrm { .. } | Protection::PlayReady => "Protected by Windows Media",
            Protection::Audible => "An Audible audiobook",
            Protection::CarrierCopyGuard => "Marked by the carrier as not to be passed on",
            Protection::UnknownEncrypted => "Encrypted by a system konpo does not know",
        }
    }

    /// Returns what the owner can do about it, for a person.
    pub fn advice(&self) -> &'static str {
        match self {
            Protection::None => "It plays everywhere.",
            Protection::FairPlay { .. } => {
                "Download the protection-free version from your Apple purchases, or burn the song to an audio CD in \
                 Music on an authorised computer and bring the disc's rip here."
            }
            Protection::Cenc { .. } => "It belongs to a subscription and cannot be kept.",
            Protection::OmaDrm1 | Protection::OmaDrm2 { .. } | Protection::CarrierLocked => {
                "Ask the carrier or the store for a download without the lock."
            }
            Protection::OpenMg { .. } => {
                "The service is closed. On the PC that bought it, save it as an audio CD or convert it with Sony's own \
                 tool; konpo keeps the title and the date."
            }
            Protection::SonyObfuscatedMp3 => {
                "Copy the original MP3 from where it came; this copy plays on that player only."
            }
            Protection::WmDrm { .. } | Protection::PlayReady => {
                "Burn it to an audio CD on the PC that holds the licence; the licence server may be gone."
            }
            Protection::Audible => "konpo plays music only.",
            Protection::CarrierCopyGuard => "It plays here and stays here.",
            Protection::UnknownEncrypted => "Ask the store it came from for a copy without protection.",
        }
    }
}
