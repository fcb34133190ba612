//! The icons of our devices: a record on a dark ground, drawn once (reference upnp 2.2: PNG and JPEG of 48 and 120, one
//! larger PNG last, each below 20 KiB).

use std::io::Cursor;
use std::sync::OnceLock;

use bytes::Bytes;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// One icon.
#[derive(Debug)]
pub struct Icon {
    /// The last part of its path.
    pub name: &'static str,
    /// Its width and height in pixels.
    pub edge: u32,
    /// Its media type.
    pub mime: &'static str,
    format: ImageFormat,
}

/// Every icon, in the order of the description.
pub const LIST: [Icon; 5] = [
    Icon { name: "48.png", edge: 48, mime: "image/png", format: ImageFormat::Png },
    Icon { name: "120.png", edge: 120, mime: "image/png", format: ImageFormat::Png },
    Icon { name: "48.jpg", edge: 48, mime: "image/jpeg", format: ImageFormat::Jpeg },
    Icon { name: "120.jpg", edge: 120, mime: "image/jpeg", format: ImageFormat::Jpeg },
    Icon { name: "256.png", edge: 256, mime: "image/png", format: ImageFormat::Png },
];

/// Returns an icon's media type and bytes; `None` when there is none of this name.
///
/// # Blocks
/// The first call draws, which takes a few milliseconds.
pub fn find(name: &str) -> Option<(&'static str, Bytes)> {
    static DRAWN: OnceLock<Vec<Bytes>> = OnceLock::new();
    let index = LIST.iter().position(|icon| icon.name == name)?;
    let drawn = DRAWN.get_or_init(|| LIST.iter().map(encoded).collect());
    Some((LIST[index].mime, drawn.get(index)?.clone()))
}

fn encoded(icon: &Icon) -> Bytes {
    let mut bytes = Cursor::new(Vec::new());
    let image = DynamicImage::ImageRgb8(drawn(icon.edge));
    // The usual compression of PNG is made for speed, and each is drawn once.
    let written = match icon.format {
        ImageFormat::Png => {
            let best = (CompressionType::Best, FilterType::Adaptive);
            image.write_with_encoder(PngEncoder::new_with_quality(&mut bytes, best.0, best.1))
        }
        format => image.write_to(&mut bytes, format),
    };
    match written {
        Ok(()) => bytes.into_inner().into(),
        Err(error) => {
            tracing::error!(%error, name = icon.name, "an icon cannot be written");
            Bytes::new()
        }
    }
}

/// Each pixel is the mean of sixteen points.
fn drawn(edge: u32) -> RgbImage {
    RgbImage::from_fn(edge, edge, |x, y| {
        let mut sum = [0u32; 3];
        for (dx, dy) in (0..4).flat_map(|dx| (0..4).map(move |dy| (dx, dy))) {
            let place =
                |pixel: u32, part: u32| (f64::from(pixel * 4 + part) + 0.5) / f64::from(edge * 4) - 0.5;
            let colour = colour(place(x, dx), place(y, dy));
            sum.iter_mut().zip(colour).for_each(|(sum, part)| *sum += u32::from(part));
        }
        Rgb(sum.map(|sum| (sum / 16) as u8))
    })
}

/// The colour of a point, both coordinates from -0.5 to 0.5.
fn colour(x: f64, y: f64) -> [u8; 3] {
    match x.hypot(y) {
        radius if radius < 0.03 => GROUND,
        radius if radius < 0.15 => LABEL,
        radius if radius < 0.43 && (radius * 10.0).fract() < 0.12 => GROOVE,
        radius if radius < 0.43 => RECORD,
        _ => GROUND,
    }
}

const GROUND: [u8; 3] = [236, 232, 224];
const RECORD: [u8; 3] = [28, 28, 32];
const GROOVE: [u8; 3] = [58, 58, 64];
const LABEL: [u8; 3] = [214, 84, 46];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_icon_is_what_it_says_and_small() {
        for icon in &LIST {
            let (mime, bytes) = find(icon.name).expect("an icon");
            assert_eq!(mime, icon.mime);
            assert!(bytes.len() < 20 << 10, "{}: {} bytes", icon.name, bytes.len());
            let image = image::load_from_memory_with_format(&bytes, icon.format).expect("an image");
            assert_eq!((image.width(), image.height()), (icon.edge, icon.edge));
            assert_eq!(image.color(), image::ColorType::Rgb8, "{}: depth 24", icon.name);
        }
        assert!(find("../48.png").is_none());
    }
}
