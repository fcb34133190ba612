//! Tags of Matroska and WebM with their places (RFC 9559, 5.1.8): values by name, each said of an album, of a track, or of
//! nobody in particular.

use crate::error::Result;
use crate::media::raw::{RawTag, RawValue, names_buyer};
use crate::media::sniff::look::{Look, be};
use crate::media::sniff::matroska::number;
use crate::media::sniff::stretch;
use crate::track::PersonalBytes;

/// Returns the tags, in the order of the file, and the title of the segment: `mkv:title`, `mkv:50/ARTIST` with the type of
/// its target. They stand in front of the sound, or where the index says.
///
/// # Errors
/// Those of reading; something broken ends the walk.
pub fn read(look: &mut Look<'_>) -> Result<Vec<RawTag>> {
    let mut walk = Walk::default();
    let end = look.len();
    walk.children(look, 0, end, 0)?;
    if let Some(at) = walk.tags.filter(|at| !walk.seen.contains(at) && *at < end && !look.is_endless()) {
        walk.element(look, at, end, 0)?;
    }
    Ok(walk.found)
}

/// What the walk gathers.
#[derive(Default)]
struct Walk {
    elements: usize,
    /// Where the segment's body begins: places of the index count from there.
    segment: u64,
    /// Where the index says that tags stand, and where tags were met.
    tags: Option<u64>,
    seen: Vec<u64>,
    /// Of the index: what an entry names.
    sought: u64,
    found: Vec<RawTag>,
    /// Of the tag that is being read: whom it means, its last name.
    target: u64,
    name: String,
}

impl Walk {
    /// Returns `false` when the walk ends: the sound begins, or something is broken.
    fn children(&mut self, look: &mut Look<'_>, mut at: u64, end: u64, depth: usize) -> Result<bool> {
        while at < end {
            match self.element(look, at, end, depth)? {
                Some(next) => at = next,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Reads the element at `at`. Returns where the next one begins; `None` as [`Walk::children`].
    fn element(&mut self, look: &mut Look<'_>, at: u64, end: u64, depth: usize) -> Result<Option<u64>> {
        self.elements += 1;
        if self.elements > MOST_ELEMENTS {
            self.found.push(RawTag::unread(stretch(at, end)));
            return Ok(None);
        }
        let head = look.some(at, 12)?;
        let Some((id, id_size)) = number(&head, 4, false) else { return Ok(None) };
        let Some((size, size_size)) = number(&head[id_size..], 8, true) else { return Ok(None) };
        let body = at + (id_size + size_size) as u64;
        // All ones: as long as the parent.
        let open = size == (1 << (7 * size_size)) - 1;
        let stop = if open { end } else { body.saturating_add(size).min(end) }.max(body);
        let holds = matches!(id, SEGMENT | TAGS | TAG | SEEK_HEAD | SEEK | INFO | TARGETS | SIMPLE_TAG);
        if holds && depth >= DEEPEST {
            self.found.push(RawTag::unread(stretch(body, stop)));
            return Ok(Some(stop));
        }
        let on = match id {
            CLUSTER => false,
            SEGMENT => {
                self.segment = body;
                self.children(look, body, stop, depth + 1)?
            }
            TAGS => {
                self.seen.push(at);
                self.children(look, body, stop, depth + 1)?
            }
            TAG => {
                (self.target, self.name) = (ALBUM, String::new());
                self.children(look, body, stop, depth + 1)?
            }
            _ if holds => self.children(look, body, stop, depth + 1)?,
            TITLE | TAG_NAME | TAG_STRING | TARGET | SOUGHT | PLACE => {
                let bytes = look.some(body, (stop - body).min(LONGEST) as usize)?;
                self.value(id, &bytes, stretch(body, stop));
                true
            }
            _ => true,
        };
        Ok(on.then_some(stop))
    }

    fn value(&mut self, id: u64, bytes: &[u8], lies: PersonalBytes) {
        let text = || String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
        let whole = be(bytes, 0, bytes.len().min(8));
        match id {
            TITLE => self.found.push(RawTag::new("mkv:title", RawValue::Text(text()))),
            TAG_NAME => self.name = text().to_uppercase(),
            TAG_STRING => {
                let personal = names_buyer(&self.name, &text()).then_some(lies);
                let place = format!("mkv:{}/{}", self.target, self.name);
                if personal.is_some() || (lies.length.0 <= LONGEST && self.found.len() < MOST_VALUES) {
                    self.found.push(RawTag { personal, ..RawTag::new(place, RawValue::Text(text())) });
                }
            }
            TARGET => self.target = whole,
            SOUGHT => self.sought = whole,
            PLACE if self.sought == TAGS => self.tags = self.segment.checked_add(whole),
            _ => {}
        }
    }
}

const SEGMENT: u64 = 0x1853_8067;
const SEEK_HEAD: u64 = 0x114d_9b74;
const SEEK: u64 = 0x4dbb;
const SOUGHT: u64 = 0x53ab;
const PLACE: u64 = 0x53ac;
const INFO: u64 = 0x1549_a966;
const TITLE: u64 = 0x7ba9;
const CLUSTER: u64 = 0x1f43_b675;
const TAGS: u64 = 0x1254_c367;
const TAG: u64 = 0x7373;
const TARGETS: u64 = 0x63c0;
const TARGET: u64 = 0x68ca;
const SIMPLE_TAG: u64 = 0x67c8;
const TAG_NAME: u64 = 0x45a3;
const TAG_STRING: u64 = 0x4487;
/// The type of a target where nothing is said.
const ALBUM: u64 = 50;
const MOST_ELEMENTS: usize = 4096;
const MOST_VALUES: usize = 512;
const DEEPEST: usize = 8;
/// Bytes of a value.
const LONGEST: u64 = 16 << 10;
