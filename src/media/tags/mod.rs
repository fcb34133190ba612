//! Reads tags with lofty's concrete types, one per container, and normalises them. Runs on an intake worker.
//!
//! A broken tag never fails a file: what cannot be read is as if it were not there. Pictures are only noticed.

mod asf;
mod bare_id3;
mod boxes;
mod chunks;
mod fields;
pub mod front;
mod look;
mod matroska;
mod riff;
pub mod unsettled;

use std::borrow::Cow;
use std::io::{Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use lofty::TextEncoding;
use lofty::aac::AacFile;
use lofty::ape::{ApeFile, ApeTag};
use lofty::config::{GlobalOptions, ParseOptions, apply_global_options};
use lofty::file::AudioFile;
use lofty::flac::FlacFile;
use lofty::id3::v1::{GENRES, Id3v1Tag};
use lofty::id3::v2::{Frame, Id3v2Tag};
use lofty::iff::aiff::AiffFile;
use lofty::iff::wav::WavFile;
use lofty::mp4::{AtomData, AtomIdent, Ilst, Mp4File};
use lofty::mpeg::MpegFile;
use lofty::ogg::tag::VorbisComments;
use lofty::ogg::{OpusFile, VorbisFile};
use lofty::wavpack::WavPackFile;

use crate::error::Result;
use crate::media::picture::notice;
use crate::media::raw::RawTag;
use crate::media::sniff::Sniffed;
use crate::media::sound::Sound;
use crate::track::{Codec, Container, Tags};

use fields::Fields;
use unsettled::Unsettled;

/// Returns the normalised tags of a plain file, and the raw ones for [`crate::media::purchase`]. Words of another charset
/// than they say are repaired as far as this file alone tells.
///
/// # Errors
/// `Unsupported` for a protected file. Damaged tags are empty ones, not an error.
///
/// # Blocks
/// On reading the tags, at most some MiB.
pub fn read(sound: &mut Sound, sniffed: &Sniffed) -> Result<(Tags, Vec<RawTag>)> {
    let (tags, raw, _) = read_unsettled(sound, sniffed)?;
    Ok((tags, raw))
}

/// As [`read`], and the words that the other files of the album may have to settle; `None` when all is certain.
///
/// # Errors
/// As [`read`].
pub fn read_unsettled(
    sound: &mut Sound,
    sniffed: &Sniffed,
) -> Result<(Tags, Vec<RawTag>, Option<Unsettled>)> {
    sniffed.gate()?;
    // The limit belongs to the thread, and workers come and go.
    apply_global_options(GlobalOptions::new().allocation_limit(MOST_MEMORY));
    // A hostile tag may make lofty panic; nothing that it touched is used afterwards.
    let fields = catch_unwind(AssertUnwindSafe(|| fields(sound, sniffed))).ok().flatten();
    let fields = fields.unwrap_or_default();
    let has_picture = notice::any(sound, sniffed.format.container).unwrap_or(false);
    let unsettled = Unsettled::of(&fields, has_picture);
    let mut tags = match &unsettled {
        Some(unsettled) => unsettled.tags(None),
        None => fields.tags(),
    };
    tags.has_picture = has_picture;
    Ok((tags, Vec::new(), unsettled))
}

/// Returns what the file's tags say, the most trusted tag first; `None` when the container cannot be read at all.
fn fields(sound: &mut Sound, sniffed: &Sniffed) -> Option<Fields> {
    sound.seek(SeekFrom::Start(0)).ok()?;
    let options = ParseOptions::new().read_properties(false).read_cover_art(false);
    let mut fields = Fields::default();
    match (sniffed.format.container, sniffed.format.codec) {
        (Container::Mpeg | Container::Adts | Container::WavPack | Container::Ape, _) => {
            fields = around(sound, sniffed.format.container, options)?;
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
            let list = Mp4File::read_from(sound, options).ok().and_then(|file| file.ilst().map(ilst));
            fields = list.filter(|list| !list.is_empty()).unwrap_or_else(|| boxes::read(sound));
        }
        (Container::Wav, _) => {
            let file = WavFile::read_from(sound, options).ok()?;
            file.id3v2().iter().for_each(|tag| fields.fill(id3v2(tag)));
            fields.fill(riff::read(sound));
        }
        (Container::Aiff, _) => {
            // It refuses a file whose text chunks are no UTF-8.
            let tag = AiffFile::read_from(sound, options).ok().and_then(|file| file.id3v2().map(id3v2));
            let (texts, id3) = chunks::aiff(sound);
            fields = tag.unwrap_or(id3);
            fields.fill(texts);
        }
        (Container::Caf, _) => fields = chunks::caf(&sniffed.raw),
        (Container::Dff, _) => fields = chunks::dff(sound),
        (Container::Matroska, _) => fields = matroska::of(&sniffed.raw),
        (Container::Musepack | Container::Tta | Container::Tak, _) | (Container::Ogg, Codec::Flac) => {
            let room = sound.byte_len()?;
            fields = of_raw(&sniffed.raw);
            fields.fill(bare_id3::read(sound, 0, room).unwrap_or_default());
        }
        (Container::Asf, _) => fields.fill(asf::read(sound)?),
        (Container::Oma, _) => fields.fill(bare_id3::of_oma(sound, sound.byte_len()?)?),
        (Container::Dsf, _) => {
            // DSF file format specification 1.01: the place of the tag stands at byte 20, 0 without one.
            let (at, len) = (look::le(&look::bytes(sound, 20, 8)?, 0, 8), sound.byte_len()?);
            fields.fill(bare_id3::read(sound, at, len.checked_sub(at).filter(|_| at > 0)?)?);
        }
        _ => return None,
    }
    Some(fields)
}

/// Returns what the tags in front of frames and behind them say, those of the container's own kind first, ID3v1 last.
fn around(sound: &mut Sound, container: Container, options: ParseOptions) -> Option<Fields> {
    let (first, second, old) = match container {
        Container::Mpeg => {
            let file = MpegFile::read_from(sound, options).ok()?;
            (file.id3v2().map(id3v2), file.ape().map(ape), file.id3v1().map(id3v1))
        }
        Container::Adts => {
            let file = AacFile::read_from(sound, options).ok()?;
            (file.id3v2().map(id3v2), None, file.id3v1().map(id3v1))
        }
        Container::WavPack => {
            let file = WavPackFile::read_from(sound, options).ok()?;
            (file.ape().map(ape), None, file.id3v1().map(id3v1))
        }
        _ => {
            let file = ApeFile::read_from(sound, options).ok()?;
            (file.ape().map(ape), file.id3v2().map(id3v2), file.id3v1().map(id3v1))
        }
    };
    let mut fields = first.unwrap_or_default();
    fields.fill(second.unwrap_or_default());
    fields.fill_old(old.unwrap_or_default());
    Some(fields)
}

fn id3v2(tag: &Id3v2Tag) -> Fields {
    let mut fields = Fields::default();
    for frame in tag {
        match frame {
            // Its values may be numbers of ID3v1, which this turns into names.
            Frame::Text(text) if frame.id_str() == "TCON" => {
                let genres = tag.genres().into_iter().flatten();
                genres.for_each(|genre| put(&mut fields, "GENRE", genre, text.encoding));
            }
            Frame::Text(text) => {
                if let Some(name) = named(ID3V2_NAMES, frame.id_str()) {
                    put(&mut fields, name, &text.value, text.encoding);
                }
            }
            Frame::Timestamp(stamp) => {
                if let Some(name) = named(ID3V2_NAMES, frame.id_str()) {
                    fields.push(name, &stamp.timestamp.to_string());
                }
            }
            Frame::UserText(text) => {
                put(&mut fields, &plain_name(&text.description), &text.content, text.encoding);
            }
            Frame::UniqueFileIdentifier(id) if id.owner == "http://musicbrainz.org" => {
                fields.push("MUSICBRAINZ_TRACKID", &String::from_utf8_lossy(&id.identifier));
            }
            Frame::Comment(comment) if comment.description.eq_ignore_ascii_case("iTunSMPB") => {
                fields.push("ITUNSMPB", &comment.content);
            }
            Frame::Comment(comment) if comment.description.eq_ignore_ascii_case("iTunNORM") => {
                fields.push("ITUNNORM", &comment.content);
            }
            // Programs keep numbers in described comments (iTunNORM, iTunSMPB); the plain one is for people.
            Frame::Comment(comment) if comment.description.trim().is_empty() => {
                put(&mut fields, "COMMENT", &comment.content, comment.encoding);
            }
            _ => {}
        }
    }
    fields
}

fn put(fields: &mut Fields, name: &str, text: &str, encoding: TextEncoding) {
    match encoding {
        TextEncoding::Latin1 => fields.push_latin(name, text),
        _ => fields.push(name, text),
    }
}

fn id3v1(tag: &Id3v1Tag) -> Fields {
    let mut fields = Fields::default();
    let texts =
        [("TITLE", &tag.title), ("ARTIST", &tag.artist), ("ALBUM", &tag.album), ("COMMENT", &tag.comment)];
    for (name, text) in texts {
        fields.push_latin(name, text.as_deref().unwrap_or_default());
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

fn ape(tag: &ApeTag) -> Fields {
    let mut fields = Fields::default();
    for item in tag {
        if let lofty::tag::ItemValue::Text(text) = item.value() {
            fields.push(&of_ape(&item.key().to_uppercase()), text);
        }
    }
    fields
}

/// Returns the name of an item of APEv2 as Vorbis comments have it.
fn of_ape(upper: &str) -> Cow<'_, str> {
    let name = named(&[("TRACK", "TRACKNUMBER"), ("DISC", "DISCNUMBER")], upper);
    name.map_or_else(|| plain_name(upper), Cow::Borrowed)
}

/// Returns what the APEv2 items and Vorbis comments say that the sniffer met, where lofty reads none.
fn of_raw(raw: &[RawTag]) -> Fields {
    let mut fields = Fields::default();
    for tag in raw {
        let Some((dialect, key)) = tag.place.split_once(':') else { continue };
        match (dialect, tag.text()) {
            ("ape", Some(text)) => fields.push(&of_ape(key), &text),
            ("vc", Some(text)) => fields.push(key, &text),
            _ => {}
        }
    }
    fields
}

fn ilst(tag: &Ilst) -> Fields {
    let mut fields = Fields::default();
    for atom in tag {
        let name = match atom.ident() {
            AtomIdent::Fourcc(code) => match ILST_NAMES.iter().find(|(known, _)| known == code) {
                Some((_, name)) => (*name).to_owned(),
                None => continue,
            },
            AtomIdent::Freeform { name, .. } => plain_name(name).into_owned(),
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

fn named(names: &[(&str, &'static str)], id: &str) -> Option<&'static str> {
    names.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
}

/// Returns the one name of what taggers write under several in TXXX frames, freeform atoms and attributes of ASF.
fn plain_name(name: &str) -> Cow<'_, str> {
    const SAME: &[(&str, &str)] = &[
        ("ALBUM ARTIST", "ALBUMARTIST"),
        ("ITUNESCOMPILATION", "COMPILATION"),
        ("ARTIST SORT", "ARTISTSORT"),
        ("TITLE SORT", "TITLESORT"),
        ("ALBUM SORT", "ALBUMSORT"),
    ];
    // `MusicBrainz Album Id`, and with a slash in ASF, is MUSICBRAINZ_ALBUMID of Vorbis comments.
    let brainz = name.get(..11).filter(|front| front.eq_ignore_ascii_case("MusicBrainz"));
    if let Some(what) = brainz.and_then(|_| name[11..].strip_prefix([' ', '/'])) {
        return Cow::Owned(format!("MUSICBRAINZ_{}", what.replace(' ', "").to_ascii_uppercase()));
    }
    Cow::Borrowed(
        SAME.iter().find(|(other, _)| name.eq_ignore_ascii_case(other)).map_or(name, |(_, one)| one),
    )
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
    ("TSOC", "COMPOSERSORT"),
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
    (*b"soco", "COMPOSERSORT"),
    (*b"xid ", "XID"),
];

#[cfg(test)]
mod tests;
