//! Music that goes back out: who can take it, what was sent, what became of it. Plain data.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::units::{ByteCount, UnixTime};

/// The name of a receiver here: it stays while the device keeps its certificate and its address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReceiverId(pub Arc<str>);

impl fmt::Display for ReceiverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A phone or computer that takes files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiver {
    /// Its name here.
    pub id: ReceiverId,
    /// What it calls itself; nobody checked that.
    pub name: String,
    /// Its model as it states it.
    pub model: String,
    /// `mobile`, `desktop`, …, as it states it.
    pub kind: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The SHA-256 of the certificate that it announced, hex; `None`: it speaks plain HTTP.
    pub certificate: Option<String>,
    /// The fingerprint that it states, lower case: by it one device that is heard at two addresses is known as one. With
    /// plain HTTP nothing is proved by it.
    #[serde(skip)]
    pub fingerprint: String,
    /// Why it may not be usable, in words for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// The number of something that goes out, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SendId(pub u64);

impl fmt::Display for SendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far something that goes out is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SendState {
    /// The files are being looked at.
    Reading,
    /// The receiver was asked and has not answered: somebody has to say yes there.
    Waiting,
    /// Bytes go out.
    Sending,
    /// It ended, and the receiver has everything that it wanted.
    Sent,
    /// Somebody here stopped it.
    Stopped,
    /// It did not work, or not for all files.
    Failed {
        /// A code for machines: `away`, `not_itself`, `not_near`, `pin`, `declined`, `busy`, `locked_out`, `stopped_there`,
        /// `failed`, `nothing`, `part`.
        code: String,
        /// Words for a person.
        reason: String,
    },
}

impl SendState {
    /// Returns whether nothing more happens.
    pub fn is_over(&self) -> bool {
        !matches!(self, SendState::Reading | SendState::Waiting | SendState::Sending)
    }
}

/// A file that did not go out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsent {
    /// Its name.
    pub name: String,
    /// Words for a person.
    pub reason: String,
}

/// Something that goes out to one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sending {
    /// Its number.
    pub id: SendId,
    /// To whom.
    pub to: ReceiverId,
    /// What the receiver calls itself.
    pub name: String,
    /// What it is: the name of the album, of the playlist, of the track.
    pub title: String,
    /// How far it is.
    #[serde(flatten)]
    pub state: SendState,
    /// Files that are to go out.
    pub files: u64,
    /// Their bytes.
    pub bytes: ByteCount,
    /// Files that the receiver has safe.
    pub sent: u64,
    /// Files that it did not want: it has them, or somebody there left them out.
    pub skipped: u64,
    /// Bytes that went out.
    pub sent_bytes: ByteCount,
    /// Files that could not be sent, the first few.
    pub unsent: Vec<Unsent>,
    /// How many those are in all.
    pub unsent_count: u64,
    /// Tracks that stay here, one line with the reason each, the first few.
    pub left: Vec<String>,
    /// How many those are in all.
    pub left_count: u64,
    /// When it began.
    pub at: UnixTime,
}
