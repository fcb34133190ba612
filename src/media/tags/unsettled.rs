//! Words of a file that may be of another charset than their field says: only the other files of its album tell for certain.
//! Whoever reads an album in one go asks [`settle`] over all of it; a file that comes alone is judged by its own words.

use crate::media::mojibake;
use crate::media::tags::fields::Fields;
use crate::track::Tags;
use crate::track::tagged::Charset;

/// What a file said, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    fields: Fields,
    has_picture: bool,
}

impl Unsettled {
    /// Returns the words when some are in doubt.
    pub(super) fn of(fields: &Fields, has_picture: bool) -> Option<Unsettled> {
        fields.latin().next()?;
        Some(Unsettled { fields: fields.clone(), has_picture })
    }

    /// Returns the name of the album as it was read, empty without one: what files of one album have in common.
    pub fn album(&self) -> &str {
        self.fields.album()
    }

    /// Returns the tags with these words read in the charset of the album; without one, as this file alone tells.
    pub fn tags(&self, charset: Option<Charset>) -> Tags {
        let mut tags = judged(&self.fields, charset.or_else(|| alone(&self.fields)));
        tags.has_picture = self.has_picture;
        tags
    }
}

/// Returns the charset that the words of one album are in; `None` when they are Latin-1, or it is not certain.
pub fn settle(album: &[&Unsettled]) -> Option<Charset> {
    mojibake::judge(album.iter().flat_map(|file| file.fields.latin()))
}

/// Returns the charset of a file by its own words.
pub(super) fn alone(fields: &Fields) -> Option<Charset> {
    mojibake::judge(fields.latin())
}

/// Returns the tags, repaired when a charset is given.
pub(super) fn judged(fields: &Fields, charset: Option<Charset>) -> Tags {
    let Some(charset) = charset else { return fields.tags() };
    let (fields, raw) = fields.repaired(charset);
    let mut tags = fields.tags();
    tags.repaired = (!raw.raw.is_empty()).then(|| Box::new(raw));
    tags
}
