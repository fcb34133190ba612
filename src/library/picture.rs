//! Pictures that a person chose as covers: kept in the folder of data and beside the music of every disk that can be
//! written, each under the hash of its bytes. A correction names them; no file of music is touched.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::{Error, Kind, Result};
use crate::library::art::{self, Size};
use crate::library::disk::{make_folder, remove, sync_folder};
use crate::library::root::HIDDEN;
use crate::library::store::corrections;
use crate::library::{Inner, Library};
use crate::track::TrackId;
use crate::track::correction::{Field, Word};

/// What was chosen as the cover of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// Nothing: the file tells.
    No,
    /// That there is none.
    Without,
    /// The picture of this hash.
    Picture(String),
}

impl Library {
    /// Keeps a picture, so that corrections can name it as a cover. Returns its name: BLAKE3 of its bytes in hex.
    ///
    /// # Errors
    /// `Unsupported` and `Damaged` for what cannot be shown, in words for a person, `Full`, and those of the disk.
    /// # Cancel
    /// A dropped future leaves the work to finish.
    pub async fn keep_picture(&self, bytes: Vec<u8>) -> Result<String> {
        let turn = self.inner.covers.turn().await?;
        let inner = self.inner.clone();
        let kept = tokio::task::spawn_blocking(move || {
            let kept = keep(&inner, &bytes);
            drop(turn);
            kept
        });
        kept.await.map_err(|error| Error::with(Kind::Internal, "keep a picture", error))?
    }
}

fn keep(inner: &Inner, bytes: &[u8]) -> Result<String> {
    // What cannot be made a cover is refused now, and not when somebody looks.
    art::scale(bytes, Size::Small160)?;
    let name = blake3::hash(bytes).to_hex().to_string();
    put(&inner.data, &name, bytes)?;
    for place in 0..inner.roots.len() {
        if let Ok(disk) = inner.disk_at(place).and_then(|disk| disk.writable()) {
            put(&disk.root.path.join(HIDDEN), &name, bytes)?;
        }
    }
    Ok(name)
}

/// Writes a picture below a folder; it has its name when it is whole and on the disk.
fn put(base: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let folder = base.join(FOLDER);
    let path = folder.join(name);
    if path.is_file() {
        return Ok(());
    }
    make_folder(&folder, 0o700)?;
    let part = folder.join(format!("{}.part", uuid::Uuid::new_v4().simple()));
    let written = File::create_new(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, &path)
    });
    if let Err(error) = written {
        remove(&part)?;
        return Err(Error::io(format!("keep the picture {}", path.display()), error));
    }
    sync_folder(&folder)
}

/// Returns what was chosen as the cover of a track.
///
/// # Errors
/// Those of the database.
pub fn chosen(connection: &Connection, track: TrackId) -> Result<Chosen> {
    let words = corrections::of(connection, track)?.words;
    let cover = words.iter().find(|(field, _)| *field == Field::Cover);
    Ok(match cover {
        None => Chosen::No,
        Some((_, Some(Word::Text(name)))) => Chosen::Picture(name.clone()),
        Some(_) => Chosen::Without,
    })
}

/// Returns a picture that was kept: from the folder of data, else from beside the music; `None` when it is nowhere as it was.
///
/// # Blocks
/// As long as the disks take.
pub fn read<'a>(name: &str, data: &'a Path, roots: impl IntoIterator<Item = &'a Path>) -> Option<Vec<u8>> {
    let beside = roots.into_iter().map(|root| root.join(HIDDEN));
    let bases = std::iter::once(data.to_owned()).chain(beside);
    let paths = bases.map(|base: PathBuf| base.join(FOLDER).join(name));
    let mut found = paths.filter_map(|path| art::read_picture(&path).ok());
    found.find(|bytes| blake3::hash(bytes).to_hex().as_str() == name)
}

const FOLDER: &str = "covers";
