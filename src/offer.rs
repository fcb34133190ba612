//! Who is here, what they bring, who asks, and what each may: plain data.

pub mod out;
pub mod push;
pub mod whence;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::offer::out::{Receiver, Sending};
use crate::offer::push::{Beam, Request};
use crate::track::{Protection, TrackId};
use crate::units::{ByteCount, Millis, UnixTime};

/// What a caller may. Ordered: each right includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Anyone on the LAN: see and change what plays, browse and play the shelf.
    Room,
    /// A paired device: beam without asking, pull from its own phone, see its own purchases.
    Member,
    /// The owner: everything.
    Owner,
}

/// A paired device or an account of a device, as numbered by the shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceId(pub i64);

/// By which face a caller came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// The local control socket.
    Ctl,
    /// The web page and API.
    Web,
    /// UPnP AV.
    Upnp,
    /// OpenHome's services of the UPnP device.
    OpenHome,
    /// The MPD protocol.
    Mpd,
    /// The remote control.
    Panel,
    /// konpo itself: a rule, a timer, a resumed state.
    Itself,
}

/// Who asks: made once per connection or request by `intake::who`; every call hangs on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller {
    /// What it may.
    pub right: Right,
    /// Which paired device it is, when it is one.
    pub device: Option<DeviceId>,
    /// By which face.
    pub via: Via,
}

impl Caller {
    /// Returns a caller without any pairing.
    pub fn room(via: Via) -> Caller {
        Caller { right: Right::Room, device: None, via }
    }

    /// Returns konpo itself.
    pub fn itself() -> Caller {
        Caller { right: Right::Owner, device: None, via: Via::Itself }
    }
}

/// A key by which a device is recognised; never an address alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// The local socket's peer is uid 0, the daemon's own uid, or in group konpo.
    LocalOwner,
    /// BLAKE3 of a page's cookie or of a `--token`, hex.
    Cookie(String),
    /// UDN of a UPnP device, without `uuid:`.
    Udn(String),
    /// SHA-256 of the certificate that a LocalSend device proved to have, lower-case hex.
    Certificate(String),
}

/// A device in the neighbourhood as the rest of konpo names it: `udn:…`, `addr:…` or `localsend:…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NeighbourId(pub Arc<str>);

impl fmt::Display for NeighbourId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was decided about a neighbour's music.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consent {
    /// Nobody was asked yet: only the description is read.
    Ask,
    /// Everything new is pulled whenever it appears.
    Always,
    /// It is left alone.
    Never,
}

/// What is going on with a neighbour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum NeighbourState {
    /// Seen; its description is being read.
    Reading,
    /// Usable; nothing is going on.
    Ready,
    /// Its content is being counted.
    Looking,
    /// Counted.
    Looked(Count),
    /// Files are coming in.
    Pulling {
        /// Files done, those left out included.
        done: u64,
        /// Files in all as far as known.
        total: u64,
    },
    /// Its files wait: until our disk is there or has room, and then they go on by themselves, or until somebody there says
    /// yes or somebody here says its PIN.
    Waiting {
        /// A code for machines: `pin` when it waits for its PIN; `None` for the rest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// Words for a person.
        reason: String,
    },
    /// Everything new came in.
    Pulled(Count),
    /// It cannot be used, and why.
    Unusable {
        /// Words for a person.
        reason: String,
    },
}

/// What a look found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Audio items.
    pub tracks: u64,
    /// Those not seen before.
    pub new: u64,
    /// Bytes of the new ones, as far as stated.
    pub bytes: ByteCount,
    /// Playing time of the new ones, as far as stated.
    pub duration: Millis,
    /// Left on the phone by rule (ringtones, voice notes, …).
    pub left: u64,
}

/// A phone, player or server on the LAN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its name here.
    pub id: NeighbourId,
    /// What it calls itself; shown as such.
    pub name: String,
    /// Maker and model as it states them.
    pub model: String,
    /// `media_server`, or `localsend` for a phone that shares files by a link.
    pub kind: String,
    /// Where its description was last read.
    pub address: Option<SocketAddr>,
    /// What was decided.
    pub consent: Consent,
    /// What is going on.
    pub state: NeighbourState,
    /// When it was last heard.
    pub seen: UnixTime,
}

/// One file that a neighbour or sender has, before its first byte came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemoteItem {
    /// The neighbour's own number of it.
    pub object_id: String,
    /// Where it lies: an absolute http URL.
    pub url: String,
    /// Size as stated.
    pub size: Option<ByteCount>,
    /// MIME type as stated; a hint.
    pub mime: String,
    /// Title as stated; the fallback of a file without tags.
    pub title: String,
    /// Artist as stated.
    pub artist: Option<String>,
    /// Album as stated.
    pub album: Option<String>,
    /// Track number as stated.
    pub track: Option<u32>,
    /// Length as stated.
    pub duration: Option<Millis>,
    /// Other numbers under which the neighbour shows the same file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<String>,
}

/// The number of one offer or one file on its way in: the journal's id, and the event id in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OfferId(pub i64);

impl fmt::Display for OfferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a file came from, for the ledger and for the person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// `upnp`, `inbox`, `localsend`, later `page`, …
    pub way: String,
    /// The neighbour's or sender's id, e.g. `udn:…`; empty for the drop folder.
    pub device: String,
    /// What it called itself.
    pub device_name: String,
    /// The name the file had there.
    pub original_name: String,
    /// The remote object's id or the URL, empty when there is none.
    pub remote: String,
}

/// How far a file on its way in is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Known, not a byte of it here.
    Offered,
    /// All bytes are here and synced.
    Staged,
    /// Sniffed.
    Verified,
    /// Tags and purchase facts read.
    Tagged,
    /// On the shelf.
    Stored,
    /// Put aside, with a reason.
    Refused,
}

/// What became of a file, for the board and for the sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// A new track.
    Stored {
        /// Its name on the shelf.
        track: TrackId,
    },
    /// The same payload was there; another provenance entry of that track.
    Merged {
        /// Its name on the shelf.
        track: TrackId,
    },
    /// Stored, named, not playable.
    Locked {
        /// Its name on the shelf.
        track: TrackId,
        /// Which lock.
        protection: Protection,
    },
    /// What it tells of other tracks was read, and it lies where it was.
    Read {
        /// What it told, in words for a person.
        told: String,
    },
    /// Not taken.
    Refused {
        /// A code for machines: `damaged`, `not_audio`, `empty`, `unsupported`, `rule`, `full`, `gone`.
        code: String,
        /// Words for a person.
        reason: String,
    },
}

impl Verdict {
    /// Returns the track that is on the shelf because of this file, and was not before.
    pub fn brought(&self) -> Option<TrackId> {
        match self {
            Verdict::Stored { track } | Verdict::Locked { track, .. } => Some(*track),
            Verdict::Merged { .. } | Verdict::Read { .. } | Verdict::Refused { .. } => None,
        }
    }
}

/// One line of the board about a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The journal's number.
    pub id: OfferId,
    /// The name it came with.
    pub name: String,
    /// Who sent it.
    pub from: String,
    /// How far it is.
    pub stage: Stage,
    /// Bytes here.
    pub received: ByteCount,
    /// Bytes in all, when known.
    pub size: Option<ByteCount>,
    /// What became of it, once that is known.
    pub verdict: Option<Verdict>,
    /// Why it waits, in words for a person; `None` while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// When this line last changed.
    pub at: UnixTime,
}

/// Who is here and what is coming in. A watch of its own, published at most twice a second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Board {
    /// Grows with every publication.
    pub rev: u64,
    /// Everybody who is here, by id.
    pub neighbours: Vec<Neighbour>,
    /// Files on their way in, those that stay in the drop folder and the last 200 that ended, newest first each.
    pub arrivals: Vec<Arrival>,
    /// Why nothing can come in now, in words for a person: the music disk is not there, or full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Files waiting or under way.
    pub pending: u64,
    /// Senders that wait for a yes or no, the oldest first.
    #[serde(default)]
    pub asks: Vec<Request>,
    /// What senders brought lately, newest first.
    #[serde(default)]
    pub beams: Vec<Beam>,
    /// Until when nobody is asked for; `None` while there is no beam window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<UnixTime>,
    /// How far the look through the music folders is.
    #[serde(default)]
    pub shelf: ShelfProgress,
    /// Who takes files, by name.
    #[serde(default)]
    pub receivers: Vec<Receiver>,
    /// What goes out and went out lately, newest first.
    #[serde(default)]
    pub sends: Vec<Sending>,
}

/// How far the look through the music folders is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShelfProgress {
    /// One is under way.
    pub scanning: bool,
    /// Music files that it, or the last one, saw.
    pub files: u64,
    /// Files that it read, because they are new or changed.
    pub read: u64,
    /// Tracks that lists show.
    pub tracks: u64,
    /// Looks through all folders since the start.
    pub passes: u64,
    /// How long the last of them took, milliseconds.
    pub last_pass_ms: u64,
    /// Files without a fingerprint; they are computed behind everything else.
    pub fingerprints_left: u64,
    /// Files whose loudness is to be measured; that is done behind everything else, while nothing sounds.
    pub loudness_left: u64,
    /// Folders that could not be read, with the reason; the first few. What is known of them stays.
    pub unreadable: Vec<String>,
}

/// What a person asks of the ways in; served by `beam` through intake's bounded ask channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Count what is there.
    Look(NeighbourId),
    /// Take everything new.
    Pull(NeighbourId),
    /// Remember a decision; `Always` pulls at once.
    Decide(NeighbourId, Consent),
    /// This is the PIN that it asks for; what is asked next is asked with it.
    Pin(NeighbourId, String),
    /// Take everything new from a phone that shares it at this link, with its PIN if it has one.
    Link(String, Option<String>),
    /// Add a device by its address: `host`, `host:port` or a description URL.
    Add(String),
    /// Forget an address that was added.
    Forget(String),
    /// Search the network again.
    Search,
}
