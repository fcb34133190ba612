//! A track and all that is known of it: plain data, no I/O, no path.

pub mod blank;
pub mod correction;
pub mod past;
pub mod story;
pub mod tagged;
pub mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::query::GroupId;
use crate::track::correction::Corrected;
use crate::track::tagged::{MusicBrainz, Repaired, Trim};
use crate::units::{ByteCount, Frames, Gain, Millis, SampleRate, UnixTime};

/// The name of a track on this shelf, never reused, restored by a rebuild from the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrackId(pub i64);

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One place in one album. Immutable, shared as `Arc<Track>`, 1..n copies; the best playable one sounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// The name on the shelf.
    pub id: TrackId,
    /// What the tags say, normalised, with what was corrected in its place.
    pub tags: Arc<Tags>,
    /// What was corrected by hand; `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrected: Option<Arc<Corrected>>,
    /// How long it sounds; zero when nothing could tell.
    pub duration: Millis,
    /// The files, the one that sounds first. Never empty.
    pub copies: Vec<Copy>,
    /// The number of its album; `None` without one.
    pub album: Option<GroupId>,
    /// When the first copy came to this shelf.
    pub added: UnixTime,
    /// What proves that it was bought, strongest first; empty for a rip.
    pub purchases: Vec<Purchase>,
    /// How loud it and its album are, as far as konpo measured it.
    pub measured: Measured,
}

/// How loud a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Loudness {
    /// Integrated loudness in LUFS (ITU-R BS.1770-4 as EBU R 128 uses it), finite.
    pub lufs: f64,
    /// True peak (ITU-R BS.1770-4, annex 2), 1.0 = full scale.
    pub true_peak: f64,
}

impl Loudness {
    /// Returns the loudness of recordings that are heard as one work: the mean of their energies, each weighted by its
    /// length, and the highest peak. Not the gated loudness of all in one piece, which would need every block of every
    /// recording again; the two differ where quiet tracks stand beside loud ones. `None` of none.
    pub fn of_album(tracks: impl IntoIterator<Item = (Loudness, Millis)>) -> Option<Loudness> {
        let (mut energy, mut length, mut true_peak) = (0.0, 0.0, 0.0f64);
        for (track, lasts) in tracks {
            // A length that nothing tells counts little, but it counts.
            let lasts = lasts.0.max(1) as f64;
            energy += lasts * 10f64.powf(track.lufs / 10.0);
            length += lasts;
            true_peak = true_peak.max(track.true_peak);
        }
        let lufs = 10.0 * (energy / length).log10();
        lufs.is_finite().then_some(Loudness { lufs, true_peak })
    }
}

/// How loud a track and its album are, as far as konpo measured it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The track.
    pub track: Option<Loudness>,
    /// All tracks of its album together; `None` until each was measured.
    pub album: Option<Loudness>,
}

impl Track {
    /// Returns the copy that sounds: the first playable one, those whose disk is there before others; `None` when all are
    /// protected or unsupported.
    pub fn playable(&self) -> Option<&Copy> {
        let mut all = self.copies.iter().filter(|copy| copy.is_playable());
        all.clone().find(|copy| copy.online).or_else(|| all.next())
    }

    /// Returns whether the disk of what would sound is away.
    pub fn is_offline(&self) -> bool {
        self.playable().or(self.copies.first()).is_some_and(|copy| !copy.online)
    }
}

/// The number of one file on the shelf; it changes when the file is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CopyId(pub i64);

/// One file of a track, without its path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Copy {
    /// The file's number.
    pub id: CopyId,
    /// The file's size.
    pub size: ByteCount,
    /// SHA-256 of the whole file, known for everything that arrived.
    pub sha256: Option<Sha256>,
    /// Identity of the audio payload, blind to tags; `None` until computed.
    pub fingerprint: Option<Fingerprint>,
    /// What the bytes are.
    pub format: AudioFormat,
    /// Why it may not reach a decoder.
    pub protection: Protection,
    /// Where bytes about the buyer lie: offset and length in the file.
    pub personal: Vec<PersonalBytes>,
    /// Its disk is there.
    pub online: bool,
}

impl Copy {
    /// Returns whether a decoder may and can open this file, once its disk is there.
    pub fn is_playable(&self) -> bool {
        !self.protection.is_locked() && self.format.codec.is_decodable()
    }
}

/// What the tags say after normalisation. An empty string never appears; absent is `None` or an empty list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tags {
    /// The title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The credit as printed, one string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artist: Option<String>,
    /// Every artist by name, for the index.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub artists: Vec<String>,
    /// The album.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
    /// The album's artist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album_artist: Option<String>,
    /// Part of a compilation.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compilation: bool,
    /// Track number, 1-based.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<u32>,
    /// Tracks on the disc.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracks: Option<u32>,
    /// Disc number, 1-based.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disc: Option<u32>,
    /// Discs in the set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discs: Option<u32>,
    /// Date as tagged: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Genres.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub genres: Vec<String>,
    /// Composers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub composers: Vec<String>,
    /// Sort forms; in Japan the kana reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title_sort: Option<String>,
    /// Sort form of the artist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artist_sort: Option<String>,
    /// Sort form of the album.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album_sort: Option<String>,
    /// Sort form of the album artist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album_artist_sort: Option<String>,
    /// Sort form of the composer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub composer_sort: Option<String>,
    /// Comment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// International Standard Recording Code, 12 characters, upper case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isrc: Option<String>,
    /// Bar code of the release: 8 to 14 digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barcode: Option<String>,
    /// Ids of MusicBrainz; `None` without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub musicbrainz: Option<Box<MusicBrainz>>,
    /// What the encoder added at both ends, as iTunes notes it; not yet compared with the sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trim: Option<Trim>,
    /// ReplayGain of the track in 1/256 dB, as tagged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track_gain: Option<Gain>,
    /// ReplayGain of the album in 1/256 dB, as tagged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album_gain: Option<Gain>,
    /// Peak of the track, 1.0 = full scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track_peak: Option<f64>,
    /// Peak of the album, 1.0 = full scale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album_peak: Option<f64>,
    /// The file carries a picture.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_picture: bool,
    /// What stands in the file where the words above were repaired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repaired: Option<Box<Repaired>>,
}

impl Tags {
    /// Returns the title, else `fallback`.
    pub fn title_or<'a>(&'a self, fallback: &'a str) -> &'a str {
        self.title.as_deref().unwrap_or(fallback)
    }
}

/// The outer form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// ISO base media (m4a, m4p, mp4, 3gp, 3g2).
    Mp4,
    /// Native FLAC.
    Flac,
    /// MPEG audio frames, with or without ID3.
    Mpeg,
    /// AAC frames with ADTS headers.
    Adts,
    /// Ogg.
    Ogg,
    /// RIFF or RF64 WAVE.
    Wav,
    /// AIFF or AIFC.
    Aiff,
    /// Advanced Systems Format (wma).
    Asf,
    /// Sony OpenMG audio (oma, aa3, omg).
    Oma,
    /// WavPack.
    WavPack,
    /// Monkey's Audio.
    Ape,
    /// DSD stream file.
    Dsf,
    /// DSD interchange file.
    Dff,
    /// Core Audio Format.
    Caf,
    /// Matroska or WebM (mka, webm).
    Matroska,
    /// True Audio.
    Tta,
    /// Tom's lossless Audio Kompressor.
    Tak,
    /// Musepack, stream version 7 or 8.
    Musepack,
    /// Audible.
    Audible,
    /// OMA DRM message or container of a phone.
    OmaDrm,
    /// Nothing of the above.
    Unknown,
}

impl Container {
    /// Returns the extension the shelf uses, without the dot; `None` keeps the one that came.
    pub fn extension(self, codec: Codec) -> Option<&'static str> {
        Some(match (self, codec) {
            (Container::Mp4, _) => return None,
            (Container::Flac, _) => "flac",
            (Container::Mpeg, _) => "mp3",
            (Container::Adts, _) => "aac",
            (Container::Ogg, Codec::Opus) => "opus",
            (Container::Ogg, Codec::Flac) => "oga",
            (Container::Ogg, _) => "ogg",
            (Container::Wav, _) => "wav",
            (Container::Aiff, _) => "aiff",
            (Container::Asf, _) => "wma",
            (Container::Oma, _) => "oma",
            (Container::WavPack, _) => "wv",
            (Container::Ape, _) => "ape",
            (Container::Dsf, _) => "dsf",
            (Container::Dff, _) => "dff",
            (Container::Caf, _) => "caf",
            (Container::Matroska, _) => return None,
            (Container::Tta, _) => "tta",
            (Container::Tak, _) => "tak",
            (Container::Musepack, _) => "mpc",
            (Container::Audible | Container::OmaDrm | Container::Unknown, _) => return None,
        })
    }
}

/// How the samples are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// FLAC.
    Flac,
    /// MPEG-1/2/2.5 layer III.
    Mp3,
    /// MPEG layer I or II.
    Mp2,
    /// AAC low complexity.
    AacLc,
    /// AAC with spectral band replication, with or without parametric stereo.
    HeAac,
    /// Apple lossless.
    Alac,
    /// Vorbis.
    Vorbis,
    /// Opus.
    Opus,
    /// Uncompressed integer or float.
    Pcm,
    /// Windows Media Audio, any version.
    Wma,
    /// ATRAC3.
    Atrac3,
    /// ATRAC3plus.
    Atrac3Plus,
    /// WavPack.
    WavPack,
    /// Monkey's Audio.
    Ape,
    /// One-bit audio.
    Dsd,
    /// Narrow-band speech of phones (AMR, EVRC, QCELP).
    Speech,
    /// True Audio.
    Tta,
    /// Tom's lossless Audio Kompressor.
    Tak,
    /// Musepack.
    Musepack,
    /// Recognised container, unknown or other codec.
    Other,
}

impl Codec {
    /// Returns whether konpo decodes it, by itself or by an `ffmpeg` that is installed.
    pub fn is_decodable(self) -> bool {
        self != Codec::Other
    }

    /// Returns whether decoding gives back the studio's samples.
    pub fn is_lossless(self) -> bool {
        let common = matches!(self, Codec::Flac | Codec::Alac | Codec::Pcm | Codec::WavPack | Codec::Ape);
        common || matches!(self, Codec::Dsd | Codec::Tta | Codec::Tak)
    }
}

/// What the bytes are. `None` means that the head of the file does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioFormat {
    /// The outer form.
    pub container: Container,
    /// The coding.
    pub codec: Codec,
    /// Frames per second.
    pub rate: Option<SampleRate>,
    /// Channels, 1..=8 in practice.
    pub channels: Option<u16>,
    /// Bits per sample of lossless material.
    pub bits: Option<u16>,
    /// Exact length when the file says it.
    pub frames: Option<Frames>,
}

impl AudioFormat {
    /// Returns the length when rate and frames are known.
    pub fn duration(&self) -> Option<Millis> {
        Some(self.rate?.time_of(self.frames?))
    }
}

/// Why a file may not reach a decoder. konpo recognises and names protection and never circumvents it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Protection {
    /// Plain.
    None,
    /// Apple FairPlay: `drms` or `drmi` sample entry.
    FairPlay {
        /// The account's number in `schi/user`.
        user_id: Option<u32>,
    },
    /// MPEG common encryption: `enca` or `encv` sample entry.
    Cenc {
        /// The four characters of `schm`, e.g. `cenc` or `cbcs`.
        scheme: String,
        /// Names of the systems in `pssh` boxes.
        systems: Vec<String>,
    },
    /// OMA DRM 1 (forward lock or DCF).
    OmaDrm1,
    /// OMA DRM 2.
    OmaDrm2 {
        /// URL of the rights issuer, empty when absent.
        rights_issuer: String,
    },
    /// Sony OpenMG; the encryption word of the EA3 header.
    OpenMg {
        /// Bytes 6 and 7 of EA3, big-endian.
        word: u16,
    },
    /// MP3 scrambled for one Walkman (EA3 word FFFE).
    SonyObfuscatedMp3,
    /// Windows Media DRM.
    WmDrm {
        /// The licence URL, empty when absent.
        license_url: String,
    },
    /// Microsoft PlayReady in ASF.
    PlayReady,
    /// Audible.
    Audible,
    /// au/KDDI mark on a clear file: plays here, does not travel on.
    CarrierCopyGuard,
    /// au/KDDI mark on a file whose sound is encrypted or of no known coding.
    CarrierLocked,
    /// Encrypted by something konpo cannot name.
    UnknownEncrypted,
}

impl Protection {
    /// Returns whether no decoder may see the file.
    pub fn is_locked(&self) -> bool {
        !matches!(self, Protection::None | Protection::CarrierCopyGuard)
    }

    /// Returns the same lock without the buyer's account, and without what an address asks for: it may name an account.
    pub fn without_personal(&self) -> Protection {
        match self {
            Protection::FairPlay { .. } => Protection::FairPlay { user_id: None },
            Protection::WmDrm { license_url } => {
                Protection::WmDrm { license_url: without_query(license_url) }
            }
            Protection::OmaDrm2 { rights_issuer } => {
                Protection::OmaDrm2 { rights_issuer: without_query(rights_issuer) }
            }
            other => other.clone(),
        }
    }
}

/// Bytes inside a file that name the buyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PersonalBytes {
    /// Offset from the start of the file.
    pub offset: ByteCount,
    /// Length.
    pub length: ByteCount,
}

/// SHA-256 of a whole file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

/// A hint that two files carry the same payload: BLAKE3-128 of the payload's length, first and last 64 KiB.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuickKey(pub [u8; 16]);

/// Identity of a whole audio payload, blind to tags. An index, not unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Version of the rule that made it; only equal versions compare.
    pub algo: u8,
    /// The digest.
    pub hash: QuickKey,
}

/// How strong a proof of purchase is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PurchaseLevel {
    /// A library or player says so.
    Claimed,
    /// The store wrote it into the file.
    Embedded,
    /// The owner holds an order mail or price.
    Receipt,
}

impl PurchaseLevel {
    /// Returns whether it counts as bought where konpo decides by it. What a library or an address says does not.
    pub fn is_proof(self) -> bool {
        self >= PurchaseLevel::Embedded
    }
}

/// One fact and where it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Where: `mp4:ilst/apID`, `mp4:pinf/user`, `id3:PRIV/www.amazon.com`, `vc:QBZ:TID` and so on.
    pub place: String,
    /// The parsed text.
    pub text: String,
    /// Names the buyer: shown to the owner only.
    pub personal: bool,
}

/// What is known of one buy, from one file. Never a flag: a list of evidence.
///
/// Rows of earlier versions are read by later ones: a field that is added has a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// The store: `itunes`, `amazon`, `bandcamp`, …
    pub store: String,
    /// ISO 3166 country of the storefront.
    pub country: Option<String>,
    /// When, as the store wrote it (zone often unstated): `YYYY-MM-DD[ HH:MM:SS]` or RFC 3339.
    pub bought_at: Option<String>,
    /// The store's item number.
    pub item_id: Option<String>,
    /// The store's album number.
    pub album_id: Option<String>,
    /// The store's transaction number.
    pub transaction_id: Option<String>,
    /// The buyer's account as written (personal).
    pub account: Option<String>,
    /// International Standard Recording Code, 12 characters, as the store wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isrc: Option<String>,
    /// What was paid: an ISO 4217 code and a number, as in `JPY 250`; without the code where none is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// The order's number (personal).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// The strength of the proof.
    pub level: PurchaseLevel,
    /// Everything that was found.
    pub evidence: Vec<Evidence>,
}

impl Purchase {
    /// Returns a buy of which only the store and the strength of its proof are known.
    pub fn at(store: impl Into<String>, level: PurchaseLevel) -> Purchase {
        Purchase {
            store: store.into(),
            country: None,
            bought_at: None,
            item_id: None,
            album_id: None,
            transaction_id: None,
            account: None,
            isrc: None,
            price: None,
            order_id: None,
            level,
            evidence: Vec::new(),
        }
    }

    /// Returns whether something in it names the buyer.
    pub fn is_personal(&self) -> bool {
        let told = [&self.account, &self.transaction_id, &self.order_id];
        told.iter().any(|told| told.is_some()) || self.evidence.iter().any(|fact| fact.personal)
    }

    /// Returns the same facts without anything that names the buyer, and without what addresses ask for.
    pub fn without_personal(&self) -> Purchase {
        let mut shown = self.clone();
        shown.account = None;
        shown.transaction_id = None;
        shown.order_id = None;
        shown.evidence.retain(|evidence| !evidence.personal);
        for fact in shown.evidence.iter_mut().filter(|fact| fact.text.contains("://")) {
            fact.text = without_query(&fact.text);
        }
        shown
    }
}

/// Returns an address without user, query and fragment: they may name an account.
fn without_query(address: &str) -> String {
    let address = address.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let host = rest.split('/').next().unwrap_or_default();
    let user = host.rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}", &rest[user..])
}

/// Free text fields by name that a stage wants to carry on; sorted, so that output is stable.
pub type Facts = BTreeMap<String, String>;

macro_rules! hex_bytes {
    ($type:ident, $length:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), self)
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;
            fn from_str(text: &str) -> Result<$type, String> {
                let wrong = || format!("{text:?} is not {} hex digits", $length * 2);
                if text.len() != $length * 2 || !text.is_ascii() {
                    return Err(wrong());
                }
                let mut bytes = [0; $length];
                for (i, byte) in bytes.iter_mut().enumerate() {
                    *byte = u8::from_str_radix(&text[i * 2..i * 2 + 2], 16).map_err(|_| wrong())?;
                }
                Ok($type(bytes))
            }
        }

        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<$type, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_bytes!(Sha256, 32);
hex_bytes!(QuickKey, 16);

#[cfg(test)]
mod tests;
