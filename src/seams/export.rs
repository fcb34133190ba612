//! `konpo export`: music and all that konpo knows, into a folder. It reads the databases beside a running konpo: the folder
//! is written by who asks, with that person's rights, which a daemon in its own sandbox does not have; and it works on a box
//! whose daemon does not start any more. Who may read the folder of data is the owner.

use std::path::Path;

use serde_json::json;

use crate::cli::{Settled, TakeOut};
use crate::error::{Error, Kind, Result};
use crate::library::export::Reader;
use crate::library::export::folder::{self, Target, Written};
use crate::query::export::{Export, Wanted};
use crate::query::{GroupId, What};
use crate::seams::print;
use crate::track::TrackId;

/// Writes what was asked for into a folder. Returns whether all of it could be read; what is locked stays, and is no failure.
///
/// # Errors
/// `NotFound` for what is not there, `Invalid` for a name that several have, and those of [`Target::open`] and [`folder::write`].
/// # Blocks
/// As long as the disks take.
pub fn export(settled: &Settled, out: &TakeOut, to: &Path, as_json: bool) -> Result<bool> {
    let reader = Reader::open(&settled.data)?;
    let wanted = wanted(&reader, out)?;
    let target = Target::open(&reader, to)?;
    let export = Export { wanted, receipts: out.receipts, leave: out.leave };
    // All of it is written even where its names cannot be.
    let mut printed = Ok(());
    let mut told = |name: &str| {
        if !as_json && printed.is_ok() {
            printed = print::line(name);
        }
    };
    let written = folder::write(&reader, &export, target, &mut told)?;
    printed?;
    let Written { files, bytes, there, left_out, unread } = written;
    if as_json {
        print::line(json!(written))?;
    } else {
        print::line(format_args!(
            "{files} files ({}) written, {there} were there",
            crate::units::ByteCount(bytes)
        ))?;
        if left_out > 0 {
            print::line(format_args!(
                "{left_out} files stay on the shelf: {} says why",
                to.join("LEFT-OUT.txt").display()
            ))?;
        }
    }
    if unread > 0 && !as_json {
        print::line(format_args!("{unread} of them could not be read: another call tries them again"))?;
    }
    Ok(unread == 0)
}

fn wanted(reader: &Reader, out: &TakeOut) -> Result<Wanted> {
    if let Some(text) = &out.album {
        return Ok(Wanted::Album(one(reader, What::Albums, "album", text)?));
    }
    if let Some(text) = &out.playlist {
        return Ok(Wanted::Playlist(one(reader, What::Playlists, "playlist", text)?));
    }
    if !out.track.is_empty() {
        return Ok(Wanted::Tracks(out.track.iter().copied().map(TrackId).collect()));
    }
    Ok(if out.purchases { Wanted::Purchases } else { Wanted::All })
}

/// Returns what a person means by a name or a number.
fn one(reader: &Reader, what: What, kind: &str, text: &str) -> Result<GroupId> {
    match reader.named(what, text)?.as_slice() {
        [] => Err(Error::new(Kind::NotFound, format!("there is no {kind} {text:?}"))),
        [(id, _)] => Ok(*id),
        several => {
            let several: Vec<String> = several.iter().map(|(id, name)| format!("{id} ({name})")).collect();
            let what = format!("{} have the name {text:?}: say which by its number", several.join(", "));
            Err(Error::new(Kind::Invalid, what))
        }
    }
}
