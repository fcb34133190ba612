//! Words of old tags whose charset only an album tells: the files of a folder that were just read are judged album by album,
//! before their rows are written. Reads nothing: what is in doubt was kept while the files were read.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::library::store::scanned::Read;
use crate::library::store::shown::Shown;
use crate::media::tags::unsettled::{Unsettled, settle as charset_of};

/// A file as a scan read it, and its words that are in doubt.
pub type Doubted = (Read, Option<Unsettled>);

/// Settles what is in doubt, and returns the files. A file whose album tells nothing stays as its own words told.
///
/// # Errors
/// Those of [`Shown::of`].
pub fn settle(mut files: Vec<Doubted>) -> Result<Vec<Read>> {
    let mut albums: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, (_, doubt)) in files.iter().enumerate() {
        if let Some(doubt) = doubt {
            albums.entry(doubt.album().to_owned()).or_default().push(place);
        }
    }
    for places in albums.values().filter(|places| places.len() > 1) {
        let album: Vec<&Unsettled> = places.iter().filter_map(|&place| files[place].1.as_ref()).collect();
        let Some(charset) = charset_of(&album) else { continue };
        for &place in places {
            let (read, doubt) = &mut files[place];
            if let (Ok(facts), Some(doubt)) = (&mut read.what, doubt) {
                facts.shown = Shown::of(&doubt.tags(Some(charset)))?;
            }
        }
    }
    Ok(files.into_iter().map(|(read, _)| read).collect())
}
