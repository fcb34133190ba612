//! What a sender brings by itself: what it says it has, what is asked of people, what became of it. Plain data.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::offer::Key;
use crate::track::{Sha256, TrackId};
use crate::units::{ByteCount, UnixTime};

/// Who may send without being asked (product.md, "Other people's phones").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Push {
    /// A sender that is not paired waits until somebody says yes; inside a beam window it is not asked for.
    Ask,
    /// A sender that is not paired is taken inside a beam window, and refused outside.
    Window,
    /// Only paired senders.
    Paired,
    /// Everybody.
    Always,
    /// Nobody, paired or not.
    Never,
}

/// What happens to a song that was sent (product.md, "When a song lands").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnArrival {
    /// It plays when nothing does, else behind the track that plays.
    PlayIfIdle,
    /// Behind the track that plays; nothing starts by itself.
    Next,
    /// It stays on the shelf.
    Keep,
}

/// Who sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The way as the ledger names it: `localsend`, …
    pub way: &'static str,
    /// By what it is recognised again; `None`: nothing but its address is known, and it is never trusted.
    pub key: Option<Key>,
    /// What it calls itself; shown as such.
    pub name: String,
    /// Where it is.
    pub address: IpAddr,
}

/// A file that a sender has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its name there, folders before it with `/`. Checked by the door.
    pub name: String,
    /// Its size as stated.
    pub size: ByteCount,
    /// Its MIME type as stated; a hint.
    pub mime: String,
    /// Its sum, when the sender says one.
    pub sha256: Option<Sha256>,
}

/// The number of a question that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u64);

/// A sender that waits until somebody says yes or no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its number.
    pub id: RequestId,
    /// What the sender calls itself; nobody checked that.
    pub from: String,
    /// By which way it comes.
    pub way: String,
    /// Files that would come.
    pub files: u64,
    /// Their bytes as stated.
    pub bytes: ByteCount,
    /// What the first of them are called.
    pub names: Vec<String>,
    /// When nobody will have answered.
    pub until: UnixTime,
}

/// The number of what one sender brought at once; it is the same after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BeamId(pub u64);

impl fmt::Display for BeamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far one sender's files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BeamState {
    /// Bytes are coming.
    Coming,
    /// Nothing more comes; some files may still be on their way to the shelf.
    Ended,
    /// Somebody took it back.
    Undone,
}

/// What one sender brought at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beam {
    /// Its number.
    pub id: BeamId,
    /// What the sender calls itself; nobody checked that.
    pub from: String,
    /// By which way it came.
    pub way: String,
    /// How far it is.
    pub state: BeamState,
    /// Files that were accepted.
    pub files: u64,
    /// Their bytes as stated.
    pub bytes: ByteCount,
    /// Files that are safe here; their senders were told so.
    pub received: u64,
    /// Files that are on the shelf.
    pub stored: u64,
    /// Files that were not taken; the reasons stand with the arrivals.
    pub refused: u64,
    /// Files that were not sent at all, because the shelf has them: what they are called, the first few.
    pub known: Vec<String>,
    /// How many those are in all.
    pub known_count: u64,
    /// Files that were not sent because this box does not take them, the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// How many those are in all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out_count: u64,
    /// When it began.
    pub at: UnixTime,
    /// Until when it can be taken back; `None` when nothing of it can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_until: Option<UnixTime>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A file that was not asked for, by what its sender says about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// What it is called there.
    pub name: String,
    /// A code for machines: `not_audio`, `too_large`.
    pub code: String,
    /// Words for a person.
    pub reason: String,
}

/// A paired device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its number.
    pub id: crate::offer::DeviceId,
    /// What it calls itself.
    pub name: String,
    /// What it may.
    pub right: crate::offer::Right,
    /// What happens to its songs; `None`: as the settings say.
    pub on_arrival: Option<OnArrival>,
}

/// What the box hears of what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// A song is on the shelf.
    Landed {
        /// With what it came.
        beam: BeamId,
        /// Its place among the files of the beam.
        index: u32,
        /// The song.
        track: TrackId,
        /// What the sender calls itself.
        from: Arc<str>,
        /// What is to happen.
        wish: OnArrival,
    },
    /// Songs were taken back.
    Undone(Vec<TrackId>),
    /// A sender wrote something.
    Said {
        /// What the sender calls itself.
        from: Arc<str>,
        /// What.
        text: String,
    },
}
