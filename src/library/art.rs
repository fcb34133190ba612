//! Covers for faces: pictures of strangers made small. No SQL.
//!
//! A picture is believed in nothing: its format is that of its first bytes, its size is looked at before anything is
//! decoded, and a decoder that panics spoils one picture. Runs where blocking is allowed, never on a task.

pub mod covers;

use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage,
};

use crate::error::{Error, Kind, Result};
use crate::track::correction::MOST_PICTURE;

/// How large a cover is asked for: the longest length of its edges, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// 160, for a list.
    Small160,
    /// 300, for a card.
    Medium300,
    /// 600, for the whole screen of a phone.
    Large600,
}

impl Size {
    /// Returns the longest edge in pixels.
    pub fn edge(self) -> u32 {
        match self {
            Size::Small160 => 160,
            Size::Medium300 => 300,
            Size::Large600 => 600,
        }
    }
}

/// Reads `160`, `300` or `600`; anything else is `NotFound`, for a face asks with it as part of an address.
impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Size> {
        let sizes = [Size::Small160, Size::Medium300, Size::Large600];
        let found = sizes.into_iter().find(|size| size.edge().to_string() == text);
        found.ok_or_else(|| Error::new(Kind::NotFound, format!("there are no covers of the size {text:?}")))
    }
}

/// Makes a baseline JPEG of a picture: its whole, not enlarged, what is transparent white. Never panics.
///
/// # Errors
/// `Unsupported` for another format than JPEG, PNG, WebP, GIF and BMP and for what would take too much memory, told by the
/// head alone; `Damaged` for what cannot be decoded. Both in words for a person.
/// # Blocks
/// On a large picture about a second of one core.
pub fn scale(bytes: &[u8], size: Size) -> Result<Vec<u8>> {
    guarded(|| {
        let mut decoder = open(bytes)?;
        let turn = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let picture = DynamicImage::from_decoder(decoder).map_err(refused)?;
        let mut small = DynamicImage::ImageRgb8(on_white(shrunk(picture, size.edge())));
        small.apply_orientation(turn);
        let mut jpeg = Vec::new();
        let (width, height) = (small.width(), small.height());
        let written = JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode(
            small.as_bytes(),
            width,
            height,
            ExtendedColorType::Rgb8,
        );
        written.map_err(|error| Error::with(Kind::Internal, "write a cover", error))?;
        Ok(jpeg)
    })
}

/// Returns how many pixels the head of a picture promises.
///
/// # Errors
/// As [`scale`].
pub fn pixels(bytes: &[u8]) -> Result<u64> {
    guarded(|| Ok(area(open(bytes)?.dimensions())))
}

/// Returns whether a picture of the folder is shown, and not the embedded one: when it has more than one and a half times
/// the pixels, or the embedded one cannot be shown.
pub fn folder_wins(folder: &[u8], embedded: &[u8]) -> bool {
    match (pixels(folder), pixels(embedded)) {
        (Ok(folder), Ok(embedded)) => folder * 2 > embedded * 3,
        (folder, Err(_)) => folder.is_ok(),
        (Err(_), Ok(_)) => false,
    }
}

/// Returns the cover that lies in a folder: `cover`, `folder`, `front` or `albumart…` with the extension `jpg`, `jpeg`, `png`
/// or `webp`, in this order, in any case. A regular file of the folder itself: a link may lead anywhere and is none.
///
/// # Blocks
/// On reading the folder.
pub fn folder_picture(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.take(MOST_ENTRIES).flatten();
    let ranked = entries.filter_map(|entry| {
        let name = entry.file_name().to_str()?.to_owned();
        let rank = rank_of(&name)?;
        // Of the entry, not of what it leads to.
        let found = entry.metadata().ok()?;
        (found.is_file() && (1..=MOST_BYTES).contains(&found.len())).then_some((rank, name))
    });
    ranked.min().map(|(_, name)| folder.join(name))
}

/// Reads a picture that [`folder_picture`] found.
///
/// # Errors
/// `Unsupported` when it is larger than 20 MB, and those of the disk.
pub fn read_picture(path: &Path) -> Result<Vec<u8>> {
    let failed = |error| Error::io(format!("read the picture {}", path.display()), error);
    // It may have become a link or a pipe meanwhile.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    within_bytes(&bytes)?;
    Ok(bytes)
}

fn rank_of(name: &str) -> Option<(usize, usize)> {
    let name = name.to_lowercase();
    let (stem, extension) = name.rsplit_once('.')?;
    let extension = EXTENSIONS.iter().position(|known| *known == extension)?;
    let stem = match STEMS.iter().position(|known| *known == stem) {
        Some(stem) => stem,
        // Windows writes `AlbumArt_{…}_Large.jpg` and `AlbumArtSmall.jpg` beside each other.
        None if stem.starts_with("albumart") => STEMS.len() + usize::from(stem.contains("small")),
        None => return None,
    };
    Some((stem, extension))
}

/// Runs a decoder: one that panics did so on damaged bytes, and nothing that it touched is used afterwards.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let panicked = |_| Error::new(Kind::Damaged, "the picture is damaged: its decoder gave up");
    catch_unwind(AssertUnwindSafe(work)).map_err(panicked)?
}

/// Reads the head of a picture, and refuses what is too large to be decoded.
fn open(bytes: &[u8]) -> Result<impl ImageDecoder + '_> {
    within_bytes(bytes)?;
    let format = image::guess_format(bytes).ok().filter(|format| FORMATS.contains(format));
    let what = "this is no picture that konpo knows (JPEG, PNG, WebP, GIF, BMP)";
    let format = format.ok_or_else(|| Error::new(Kind::Unsupported, what))?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_MEMORY);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(refused)?;
    let (width, height) = decoder.dimensions();
    if area((width, height)) > MOST_PIXELS {
        let what = format!("the picture says it has {width} x {height} pixels, more than 20 million");
        return Err(Error::new(Kind::Unsupported, what));
    }
    if format == ImageFormat::WebP && webp_frame(bytes) > area((width, height)) {
        return Err(Error::new(
            Kind::Damaged,
            "the picture is damaged: it has less pixels than what is in it",
        ));
    }
    // The decoders count only some of what they take.
    let beside = area((width, height)) * beside_each_pixel(format, bytes);
    limits.reserve(beside).and_then(|()| limits.reserve(decoder.total_bytes())).map_err(refused)?;
    if format == ImageFormat::Gif {
        // Its frame lies in memory beside the screen, and is no larger in any real one.
        limits.max_alloc = Some(decoder.total_bytes());
    }
    decoder.set_limits(limits).map_err(refused)?;
    Ok(decoder)
}

/// Returns how many bytes a decoder takes for each pixel while it works, beside its result.
fn beside_each_pixel(format: ImageFormat, bytes: &[u8]) -> u64 {
    match format {
        // Progressive: every coefficient of three colours, two bytes each. The marker occurs in no compressed data.
        ImageFormat::Jpeg if memchr::memmem::find(bytes, &SOF2).is_some() => 6,
        // The frame, in colours and as it was packed.
        ImageFormat::Gif => 5,
        // Planes of lossy pictures and of their transparency; canvas and frame of moving ones.
        ImageFormat::WebP => match bytes.get(12..16) {
            Some(b"VP8X") if bytes.get(20).is_some_and(|flags| flags & 2 != 0) => 15,
            Some(b"VP8X") => 7,
            _ => 4,
        },
        _ => 0,
    }
}

/// Returns the pixels of the largest lossy frame that lies in an extended WebP (RFC 9649, 2.5 to 2.7). The decoder compares
/// them with the canvas only when it is done.
fn webp_frame(bytes: &[u8]) -> u64 {
    let mut largest = 0;
    // Head, then chunks; a frame of a moving picture is a chunk of chunks behind 16 bytes.
    for (name, body) in webp_chunks(bytes.get(12..).unwrap_or_default()) {
        let inner = match name {
            b"ANMF" => webp_chunks(body.get(16..).unwrap_or_default()).map(|(_, body)| body).collect(),
            b"VP8 " => vec![body],
            _ => continue,
        };
        // A key frame: three bytes, a start code, two lengths of 14 bits (RFC 6386, 9.1).
        for frame in inner.into_iter().filter(|frame| frame.get(3..6) == Some(&[0x9d, 0x01, 0x2a])) {
            let length = |at: usize| {
                frame.get(at..at + 2).map_or(0, |n| u32::from(n[0]) | u32::from(n[1] & 0x3f) << 8)
            };
            largest = largest.max(area((length(6), length(8))));
        }
    }
    largest
}

fn webp_chunks(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_at_checked(8)?;
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        bytes = rest.get(size.saturating_add(size & 1)..).unwrap_or_default();
        Some((&head[..4], &rest[..size.min(rest.len())]))
    })
    .take(MOST_ENTRIES)
}

fn within_bytes(bytes: &[u8]) -> Result<()> {
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Error::new(Kind::Unsupported, "the picture has more than 20 MB"));
    }
    Ok(())
}

fn refused(error: ImageError) -> Error {
    match error {
        ImageError::Limits(_) => Error::with(Kind::Unsupported, "the picture takes too much memory", error),
        ImageError::Unsupported(_) => Error::with(Kind::Unsupported, "konpo cannot show this picture", error),
        error => Error::with(Kind::Damaged, "the picture is damaged", error),
    }
}

fn area((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

/// Returns the picture with no edge longer than this. First by whole blocks of pixels, which takes no memory, then exactly.
fn shrunk(mut picture: DynamicImage, edge: u32) -> DynamicImage {
    let (width, height) = (picture.width(), picture.height());
    let longest = width.max(height);
    if longest <= edge {
        return picture;
    }
    // What is transparent has colours too; they must not run into what is seen.
    if let DynamicImage::ImageRgba8(pixels) = &mut picture {
        pixels.pixels_mut().for_each(|pixel| pixel.0 = blended(pixel.0));
    }
    let fit = |length: u32| (u64::from(length) * u64::from(edge) / u64::from(longest)).max(1) as u32;
    let (to_width, to_height) = (fit(width), fit(height));
    if longest > 2 * edge {
        picture = picture.thumbnail_exact((2 * to_width).min(width), (2 * to_height).min(height));
    }
    picture.resize_exact(to_width, to_height, FilterType::CatmullRom)
}

fn on_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let mut pixels = picture.into_rgba8();
    pixels.pixels_mut().for_each(|pixel| pixel.0 = blended(pixel.0));
    DynamicImage::ImageRgba8(pixels).into_rgb8()
}

/// Returns the colour that is seen where a pixel lies on white.
fn blended([red, green, blue, alpha]: [u8; 4]) -> [u8; 4] {
    let alpha = u32::from(alpha);
    let on_white = |colour: u8| ((u32::from(colour) * alpha + 255 * (255 - alpha)) / 255) as u8;
    [on_white(red), on_white(green), on_white(blue), 255]
}

/// Formats that are decoded.
const FORMATS: [ImageFormat; 5] =
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp];
/// Bytes and pixels of the largest picture (reference purchases 7.7).
const MOST_BYTES: u64 = MOST_PICTURE as u64;
const MOST_PIXELS: u64 = 20_000_000;
/// Bytes that decoding may take.
const MOST_MEMORY: u64 = 160 << 20;
/// Of the JPEG.
const QUALITY: u8 = 85;
/// The marker of a progressive JPEG (ITU-T T.81, B.1.1.3).
const SOF2: [u8; 2] = [0xff, 0xc2];
/// Files of a folder, or chunks of a picture, that are looked at.
const MOST_ENTRIES: usize = 10_000;
const STEMS: [&str; 3] = ["cover", "folder", "front"];
const EXTENSIONS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

#[cfg(test)]
mod tests;
