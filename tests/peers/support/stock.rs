//! Folders of small tagged files that come to a shelf, move there and get other tags, all by renaming folders: no file is
//! ever one that was written just now, which a scan would leave for later.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::fixtures::{self, Random};
use super::{shelf, wait_for};

/// A stock beside a shelf.
pub struct Stock {
    aside: PathBuf,
    music: PathBuf,
    folders: Vec<Folder>,
    turn: u32,
}

/// A folder: its payload stays, its files come with two sets of tags.
struct Folder {
    /// Where it lies below the music folder; `None` before it came.
    here: Option<String>,
    /// Which tags it has there.
    tags: Tags,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tags {
    First,
    Second,
}

impl Stock {
    /// Makes a stock in `aside`, a new folder on the disk of `music`.
    pub fn new(aside: PathBuf, music: PathBuf, folders: usize) -> Stock {
        for folder in 0..folders {
            for tags in [Tags::First, Tags::Second] {
                let path = aside.join(name(folder, tags));
                fs::create_dir_all(&path).expect("a folder");
                for file in 0..FILES {
                    fs::write(path.join(file_name(folder, file)), song(folder, file, tags)).expect("a file");
                }
            }
        }
        let folders = (0..folders).map(|_| Folder { here: None, tags: Tags::First }).collect();
        Stock { aside, music, folders, turn: 0 }
    }

    /// Waits until no file is one that was written just now.
    pub fn rests(&self) {
        let newest = shelf::files(&self.aside).into_keys();
        let newest = newest.map(|path| fs::metadata(self.aside.join(path)).expect("there").ctime()).max();
        wait_for("the files are old enough to be read", Duration::from_secs(5), || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
            newest.is_none_or(|newest| newest.unsigned_abs() + 3 <= now).then_some(())
        });
    }

    /// Brings so many folders to the shelf.
    pub fn bring(&mut self, count: usize) {
        self.turn += 1;
        let mut left = count;
        for number in 0..self.folders.len() {
            if left > 0 && self.folders[number].here.is_none() {
                let place = format!("{number:02}-{}", self.turn);
                rename(&self.aside.join(name(number, Tags::First)), &self.music.join(&place));
                self.folders[number].here = Some(place);
                left -= 1;
            }
        }
    }

    /// Moves about half of what is on the shelf to other folders, and gives about a quarter its other tags.
    pub fn stir(&mut self, random: &mut Random) {
        self.turn += 1;
        for (number, folder) in self.folders.iter_mut().enumerate() {
            let Some(place) = &mut folder.here else { continue };
            let from = self.music.join(&*place);
            match random.below(4) {
                0 | 1 => {
                    *place = format!("{number:02}-{}", self.turn);
                    rename(&from, &self.music.join(&*place));
                }
                2 => {
                    rename(&from, &self.aside.join(name(number, folder.tags)));
                    folder.tags = if folder.tags == Tags::First { Tags::Second } else { Tags::First };
                    rename(&self.aside.join(name(number, folder.tags)), &from);
                }
                _ => {}
            }
        }
    }

    /// Returns the files that are on the shelf by name, each with its path there and its title.
    pub fn there(&self) -> BTreeMap<String, (PathBuf, String)> {
        let here = self.folders.iter().enumerate().filter_map(|(number, folder)| {
            let place = folder.here.as_ref()?;
            Some((0..FILES).map(move |file| {
                let name = file_name(number, file);
                (name.clone(), (Path::new(place).join(name), title(number, file, folder.tags)))
            }))
        });
        here.flatten().collect()
    }
}

fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).unwrap_or_else(|error| panic!("{} to {}: {error}", from.display(), to.display()));
}

fn name(folder: usize, tags: Tags) -> String {
    format!("{folder:02}.{}", if tags == Tags::First { "first" } else { "second" })
}

fn file_name(folder: usize, file: usize) -> String {
    format!("{folder:02}{file:02}.wav")
}

fn title(folder: usize, file: usize, tags: Tags) -> String {
    format!("Song {folder:02}{file:02}{}", if tags == Tags::First { "" } else { " again" })
}

fn song(folder: usize, file: usize, tags: Tags) -> Vec<u8> {
    let seed = 10_000 + (folder * FILES + file) as u64;
    let album = format!("Album {folder:02}");
    fixtures::noise(seed, 22_050, 16, 1000).tagged_wav(&title(folder, file, tags), "The Lamplighters", &album)
}

/// Files in a folder.
const FILES: usize = 16;
