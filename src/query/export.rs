//! What somebody takes out of the shelf.

use crate::query::GroupId;
use crate::track::TrackId;

/// Which music.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// An album, in its order.
    Album(GroupId),
    /// A playlist, in its order.
    Playlist(GroupId),
    /// These tracks, in this order.
    Tracks(Vec<TrackId>),
    /// What was bought, newest first.
    Purchases,
    /// Every file of the shelf, under the paths it has there, and every playlist.
    All,
}

/// What is taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Which music.
    pub wanted: Wanted,
    /// With `purchases.json`: what proves the buys, and who bought.
    pub receipts: bool,
    /// With tables of what konpo knows: purchases, history, favourites, corrections.
    pub leave: bool,
}
