//! Reads tags with lofty's concrete types, one per container, and normalises them. Runs on an intake worker.
//!
//! A broken tag never fails a file: what cannot be read is as if it were not there. Pictures are only noticed.

mod fields;
pub mod front;

use std::io::{Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use lofty::aac::AacFile;
use lofty::config::{GlobalOptions, ParseOptions, apply_global_options};
use lofty::file::AudioFile;
use lofty::flac::FlacFile;
use lofty::id3::v1::{GENRES, Id3v1Tag};
use lofty::id3::v2::{Frame, Id3v2Tag};
use lofty::iff::aiff::{AiffFile, AiffTextChunks};
use lofty::iff::wav::{RiffInfoList, WavFile};
use lofty::mp4::{AtomData, AtomIdent, Ilst, Mp4File};
use lofty::mpeg::MpegFile;
use lofty::ogg::tag::VorbisComments;
use lofty::ogg::{OpusFile, VorbisFile};

use crate::error::Result;
use crate::media::picture::notice;
use crate::media::raw::RawTag;
use crate::media::sniff::Sniffed;
use crate::media::sound::Sound;
use crate::track::{Codec, Container, Tags};

use fields::Fields;

/// Returns the normalised tags of a plain file, and the raw ones for [`crate::media::purchase`].
///
/// # Errors
/// `Unsupported` for a protected file. Damaged tags are empty ones, not an error.
///
/// # Blocks
/// On reading the tags, at most some MiB.
pub fn read(sound: &mut Sound, sniffed: &Sniffed) -> Result<(Tags, Vec<RawTag>)> {
    sniffed.gate()?;
    // The limit belongs to the thread, and workers come and go.
    apply_global_options(GlobalOptions::new().allocation_limit(MOST_MEMORY));
    // A hostile tag may make lofty panic; nothing that it touched is used afterwards.
    let fields = catch_unwind(AssertUnwindSafe(|| fields(sound, sniffed))).ok().flatten();
    let mut tags = fields.unwrap_or_default().tags();
    tags.has_picture = notice::any(sound, sniffed.format.container).unwrap_or(false);
    Ok((tags, Vec::new()))
}

/// Returns what the file's tags say, the most trusted tag first; `None` when the container cannot be read at all.
fn fields(sound: &mut Sound, sniffed: &Sniffed) -> Option<Fields> {
    sound.seek(SeekFrom::Start(0)).ok()?;
    let options = ParseOptions::new().read_properties(false).read_cover_art(false);
    let mut fields = Fields::default();
    match (sniffed.format.container, sniffed.format.codec) {
        (Container::Mpeg, _) => {
            let file = MpegFile::read_from(sound, options).ok()?;
            file.id3v2().iter().for_each(|tag| fields.fill(id3v2(tag)));
            file.ape().iter().for_each(|tag| {
                let mut items = Fields::default();
                for item in *tag {
                    if let lofty::tag::ItemValue::Text(text) = item.value() {
                        ape(item.key(), text, &mut items);
                    }
                }
                fields.fill(items);
            });
            file.id3v1().iter().for_each(|tag| fields.fill(id3v1(tag)));
        }
        (Container::Adts, _) => {
            let file = AacFile::read_from(sound, options).ok()?;
            file.id3v2().iter().for_each(|tag| fields.fill(id3v2(tag)));
            file.id3v1().iter().for_each(|tag| fields.fill(id3v1(tag)));
        }
        (Container::Flac, _) => {
            let file = FlacFile::read_from(sound, options).ok()?;
            file.vorbis_comments().iter().for_each(|tag| fields.fill(vorbis(tag)));
            file.id3v2().iter().for_each(|tag| fields.fill(id3v2(tag)));
        }
        (Container::Ogg, Codec::Opus) => {
            fields.fill(vorbis(OpusFile::read_from(sound, options).ok()?.vorbis_comments()));
        }
        (Container::Ogg, Codec::Vorbis) => {
            fields.fill(vorbis(VorbisFile::read_from(sound, options).ok()?.vorbis_comments()));
        }
        (Container::Mp4, _) => {
            Mp4File::read_from(sound, options).ok()?.ilst().iter().for_each(|tag| fields.fill(ilst(tag)));
        }
        (Container::Wav, _) => {
            let file = WavFile::read_from(sound, options).ok()?;
            file.id3v2().iter().for_each(|tag| fields.fill(id3v2(tag)));
            file.riff_info().iter().for_each(|tag| fields.fill(riff_info(tag)));
        }
        (Container::Aiff, _) => {
            let file = AiffFile::read_from(sound, options).ok()?;
            file.id3v2().iter().for_each(|tag| fields.fill(id3v2(tag)));
            file.text_chunks().iter().for_each(|tag| fields.fill(text_chunks(tag)));
        }
        _ => return None,
    }
    Some(fields)
}

fn id3v2(tag: &Id3v2Tag) -> Fields {
    let mut fields = Fields::default();
    for frame in tag {
        match frame {
            // Its values may be numbers of ID3v1, which this turns into names.
            Frame::Text(_) if frame.id_str() == "TCON" => {
                tag.genres().into_iter().flatten().for_each(|genre| fields.push("GENRE", genre));
            }
            Frame::Text(text) => {
                if let Some(name) = named(ID3V2_NAMES, frame.id_str()) {
                    fields.push(name, &text.value);
                }
            }
            Frame::Timestamp(stamp) => {
                if let Some(name) = named(ID3V2_NAMES, frame.id_str()) {
                    fields.push(name, &stamp.timestamp.to_string());
                }
            }
            Frame::UserText(text) => fields.push(plain_name(&text.description), &text.content),
            Frame::Comment(comment) if comment.description.eq_ignore_ascii_case("iTunNORM") => {
                fields.push("ITUNNORM", &comment.content);
            }
            // Programs keep numbers in described comments (iTunNORM, iTunSMPB); the plain one is for people.
            Frame::Comment(comment) if comment.description.trim().is_empty() => {
                fields.push("COMMENT", &comment.content);
            }
            _ => {}
        }
    }
    fields
}

fn id3v1(tag: &Id3v1Tag) -> Fields {
    let mut fields = Fields::default();
    let texts =
        [("TITLE", &tag.title), ("ARTIST", &tag.artist), ("ALBUM", &tag.album), ("COMMENT", &tag.comment)];
    for (name, text) in texts {
        fields.push(name, text.as_deref().unwrap_or_default());
    }
    fields.push("DATE", &tag.year.map(|year| format!("{year:04}")).unwrap_or_default());
    fields.push("TRACKNUMBER", &tag.track_number.map(|number| number.to_string()).unwrap_or_default());
    fields.push(
        "GENRE",
        tag.genre.and_then(|genre| GENRES.get(usize::from(genre))).copied().unwrap_or_default(),
    );
    fields
}

fn vorbis(tag: &VorbisComments) -> Fields {
    let mut fields = Fields::default();
    tag.items().for_each(|(name, value)| fields.push(name, value));
    fields
}

fn ape(name: &str, value: &str, fields: &mut Fields) {
    let upper = name.to_uppercase();
    fields.push(named(&[("TRACK", "TRACKNUMBER"), ("DISC", "DISCNUMBER")], &upper).unwrap_or(&upper), value);
}

fn ilst(tag: &Ilst) -> Fields {
    let mut fields = Fields::default();
    for atom in tag {
        let name = match atom.ident() {
            AtomIdent::Fourcc(code) => match ILST_NAMES.iter().find(|(known, _)| known == code) {
                Some((_, name)) => (*name).to_owned(),
                None => continue,
            },
            AtomIdent::Freeform { name, .. } => plain_name(name).to_owned(),
        };
        for data in atom.data() {
            match data {
                // The store's own code for a track: vendor, kind, code (`Universal:isrc:USUM71234567`).
                AtomData::UTF8(text) | AtomData::UTF16(text) if name == "XID" => {
                    let mut parts = text.rsplitn(3, ':');
                    if let (Some(code), Some("isrc")) = (parts.next(), parts.next()) {
                        fields.push("ISRC", code);
                    }
                }
                AtomData::UTF8(text) | AtomData::UTF16(text) => fields.push(&name, text),
                AtomData::Bool(flag) => fields.push(&name, if *flag { "1" } else { "0" }),
                AtomData::SignedInteger(number) => fields.push(&name, &number.to_string()),
                AtomData::UnsignedInteger(number) => fields.push(&name, &number.to_string()),
                // `trkn` and `disk`: two bytes unused, then number and total.
                AtomData::Unknown { data, .. }
                    if data.len() >= 6 && matches!(&*name, "TRACKNUMBER" | "DISCNUMBER") =>
                {
                    let at = |i: usize| u16::from_be_bytes([data[i], data[i + 1]]);
                    fields.push(&name, &format!("{}/{}", at(2), at(4)));
                }
                _ => {}
            }
        }
    }
    fields
}

fn riff_info(tag: &RiffInfoList) -> Fields {
    let mut fields = Fields::default();
    for (id, value) in tag {
        if let Some(name) = named(RIFF_NAMES, id) {
            fields.push(name, value);
        }
    }
    fields
}

fn text_chunks(tag: &AiffTextChunks) -> Fields {
    let mut fields = Fields::default();
    fields.push("TITLE", tag.name.as_deref().unwrap_or_default());
    fields.push("ARTIST", tag.author.as_deref().unwrap_or_default());
    tag.annotations.iter().flatten().for_each(|text| fields.push("COMMENT", text));
    fields
}

fn named(names: &[(&str, &'static str)], id: &str) -> Option<&'static str> {
    names.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
}

/// Returns the one name of what taggers write under several in TXXX frames and freeform atoms.
fn plain_name(name: &str) -> &str {
    const SAME: &[(&str, &str)] = &[
        ("ALBUM ARTIST", "ALBUMARTIST"),
        ("ITUNESCOMPILATION", "COMPILATION"),
        ("ARTIST SORT", "ARTISTSORT"),
        ("TITLE SORT", "TITLESORT"),
        ("ALBUM SORT", "ALBUMSORT"),
    ];
    SAME.iter().find(|(other, _)| name.eq_ignore_ascii_case(other)).map_or(name, |(_, one)| one)
}

/// Bytes that lofty may allocate for one item.
const MOST_MEMORY: usize = 16 << 20;

/// ID3v2.4.0 native frames, 4.2; lofty has upgraded older ones.
const ID3V2_NAMES: &[(&str, &str)] = &[
    ("TIT2", "TITLE"),
    ("TPE1", "ARTIST"),
    ("TALB", "ALBUM"),
    ("TPE2", "ALBUMARTIST"),
    ("TRCK", "TRACKNUMBER"),
    ("TPOS", "DISCNUMBER"),
    ("TDRC", "DATE"),
    ("TYER", "YEAR"),
    ("TDOR", "ORIGINALDATE"),
    ("TCOM", "COMPOSER"),
    ("TSRC", "ISRC"),
    ("TCMP", "COMPILATION"),
    ("TSOT", "TITLESORT"),
    ("TSOP", "ARTISTSORT"),
    ("TSOA", "ALBUMSORT"),
    ("TSO2", "ALBUMARTISTSORT"),
];

/// iTunes metadata atoms.
const ILST_NAMES: &[([u8; 4], &str)] = &[
    (*b"\xa9nam", "TITLE"),
    (*b"\xa9ART", "ARTIST"),
    (*b"\xa9alb", "ALBUM"),
    (*b"aART", "ALBUMARTIST"),
    (*b"trkn", "TRACKNUMBER"),
    (*b"disk", "DISCNUMBER"),
    (*b"\xa9day", "DATE"),
    (*b"\xa9gen", "GENRE"),
    (*b"\xa9wrt", "COMPOSER"),
    (*b"\xa9cmt", "COMMENT"),
    (*b"cpil", "COMPILATION"),
    (*b"sonm", "TITLESORT"),
    (*b"soar", "ARTISTSORT"),
    (*b"soal", "ALBUMSORT"),
    (*b"soaa", "ALBUMARTISTSORT"),
    (*b"xid ", "XID"),
];

/// RIFF INFO list. Its `ISRC` is a source, not a recording code.
const RIFF_NAMES: &[(&str, &str)] = &[
    ("INAM", "TITLE"),
    ("IART", "ARTIST"),
    ("IPRD", "ALBUM"),
    ("IPRT", "TRACKNUMBER"),
    ("ITRK", "TRACKNUMBER"),
    ("ICRD", "DATE"),
    ("IGNR", "GENRE"),
    ("ICMT", "COMMENT"),
];

#[cfg(test)]
mod tests;
