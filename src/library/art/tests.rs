use image::codecs::gif::GifEncoder;
use image::{ExtendedColorType, ImageEncoder, Luma, Rgb, Rgba, RgbaImage};
use proptest::prelude::*;

use super::*;

/// A picture of four coloured quarters.
fn quarters(width: u32, height: u32) -> DynamicImage {
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| match (x < width / 2, y < height / 2) {
        (true, true) => Rgb([200, 30, 30]),
        (false, true) => Rgb([30, 200, 30]),
        (true, false) => Rgb([30, 30, 200]),
        (false, false) => Rgb([240, 240, 240]),
    }))
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).expect("encoded");
    bytes.into_inner()
}

fn decoded(jpeg: &[u8]) -> RgbImage {
    image::load_from_memory_with_format(jpeg, ImageFormat::Jpeg).expect("a JPEG").into_rgb8()
}

/// The markers up to the compressed data.
fn markers(jpeg: &[u8]) -> Vec<u8> {
    let (mut at, mut found) = (2, Vec::new());
    while let [0xff, marker, a, b, ..] = jpeg[at..] {
        found.push(marker);
        if marker == 0xda {
            break;
        }
        at += 2 + usize::from(u16::from_be_bytes([a, b]));
    }
    found
}

fn near(pixel: &Rgb<u8>, want: [u8; 3]) -> bool {
    pixel.0.iter().zip(want).all(|(&is, want)| is.abs_diff(want) < 16)
}

/// A PNG that says how large it is and holds nothing.
fn png_head(width: u32, height: u32) -> Vec<u8> {
    let body = [b"IHDR", &width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 6, 0, 0, 0]].concat();
    // CRC-32 (PNG, annex D).
    let crc = body.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    });
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0d", &body[..], &(!crc).to_be_bytes(), b"\0\0\0\0IDAT\x35\xaf\x06\x1e"]
        .concat()
}

#[test]
fn every_format_becomes_a_small_baseline_jpeg() {
    for format in FORMATS {
        let picture = encoded(&quarters(900, 450), format);
        for size in [Size::Small160, Size::Medium300, Size::Large600] {
            let jpeg = scale(&picture, size).expect("scaled");
            let markers = markers(&jpeg);
            assert!(markers.contains(&0xc0) && !markers.contains(&0xc2), "{format:?} {markers:x?}");
            let small = decoded(&jpeg);
            let (width, height) = small.dimensions();
            assert_eq!((width, height), (size.edge(), size.edge() / 2), "{format:?}");
            for (x, y, want) in
                [(1, 1, [200, 30, 30]), (3, 1, [30, 200, 30]), (1, 3, [30, 30, 200]), (3, 3, [240, 240, 240])]
            {
                let pixel = small.get_pixel(width * x / 4, height * y / 4);
                assert!(near(pixel, want), "{format:?} {size:?} at {x} {y}: {pixel:?}");
            }
        }
    }
}

#[test]
fn a_small_picture_is_not_enlarged_and_a_long_one_not_squeezed() {
    for ((width, height), want) in [
        ((40, 20), (40, 20)),
        ((1, 1), (1, 1)),
        ((160, 160), (160, 160)),
        ((161, 322), (80, 160)),
        ((321, 100), (160, 49)),
        ((20_000, 1), (160, 1)),
        ((3, 9000), (1, 160)),
    ] {
        let jpeg =
            scale(&encoded(&quarters(width, height), ImageFormat::Png), Size::Small160).expect("scaled");
        assert_eq!(decoded(&jpeg).dimensions(), want);
    }
}

#[test]
fn what_is_transparent_is_white() {
    // Half of it shows, half is black that nobody sees.
    let clear = |x: u32| if x < 200 { [200, 0, 0, 255] } else { [0, 0, 0, 0] };
    let picture = DynamicImage::ImageRgba8(RgbaImage::from_fn(400, 400, |x, _| Rgba(clear(x))));
    let grey = DynamicImage::ImageLumaA8(image::ImageBuffer::from_pixel(400, 400, image::LumaA([0, 0])));
    let deep = DynamicImage::ImageRgba16(image::ImageBuffer::from_pixel(40, 40, Rgba([0, 0, 0, 32_767])));
    for size in [Size::Small160, Size::Large600] {
        for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
            let small = decoded(&scale(&encoded(&picture, format), size).expect("scaled"));
            let at = |part: u32| *small.get_pixel(small.width() * part / 8, 9);
            assert!(
                near(&at(2), [200, 0, 0]) && near(&at(6), [255; 3]),
                "{format:?} {:?} {:?}",
                at(2),
                at(6)
            );
            // No dark edge between them: no pixel is darker than the red.
            assert!(small.pixels().all(|pixel| pixel.0[0] > 180), "{format:?}");
        }
        let small = decoded(&scale(&encoded(&grey, ImageFormat::Png), size).expect("scaled"));
        assert!(small.pixels().all(|pixel| near(pixel, [255; 3])));
        let small = decoded(&scale(&encoded(&deep, ImageFormat::Png), size).expect("scaled"));
        assert!(small.pixels().all(|pixel| near(pixel, [128; 3])));
    }
}

#[test]
fn grey_and_deep_pictures_are_pictures_too() {
    let grey = DynamicImage::ImageLuma8(image::ImageBuffer::from_pixel(200, 200, Luma([90])));
    let deep = DynamicImage::ImageRgb16(image::ImageBuffer::from_pixel(200, 200, Rgb([23_130; 3])));
    for (picture, format) in
        [(&grey, ImageFormat::Png), (&grey, ImageFormat::Jpeg), (&deep, ImageFormat::Png)]
    {
        let small = decoded(&scale(&encoded(picture, format), Size::Small160).expect("scaled"));
        assert_eq!(small.dimensions(), (160, 160));
        assert!(small.pixels().all(|pixel| near(pixel, [90; 3])), "{format:?}");
    }
}

#[test]
fn a_picture_that_lies_on_its_side_is_turned() {
    let jpeg = encoded(&quarters(200, 100), ImageFormat::Jpeg);
    // EXIF in APP1: one entry, orientation 6, a quarter to the right.
    let tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let exif = [b"Exif\0\0", &tiff[..]].concat();
    let app1 = [&[0xff, 0xe1][..], &(exif.len() as u16 + 2).to_be_bytes(), &exif].concat();
    let turned = decoded(&scale(&[&jpeg[..2], &app1, &jpeg[2..]].concat(), Size::Small160).expect("scaled"));
    assert_eq!(turned.dimensions(), (80, 160));
    assert!(near(turned.get_pixel(20, 40), [30, 30, 200]), "{:?}", turned.get_pixel(20, 40));
}

#[test]
fn what_is_too_large_is_refused_by_its_head() {
    let mut jpeg = encoded(&quarters(64, 64), ImageFormat::Jpeg);
    let sof = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).expect("a frame");
    jpeg[sof + 5..sof + 9].copy_from_slice(&[0xff; 4]);
    let gif =
        [b"GIF89a", &[0xff, 0xff, 0xff, 0xff, 0, 0, 0][..], b",\0\0\0\0\xff\xff\xff\xff\0\x02\x00;"].concat();
    let mut bmp = encoded(&quarters(8, 8), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&60_000u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000u32.to_le_bytes());
    // VP8L: 14 bits each, one less.
    let webp = [b"RIFF\x14\0\0\0WEBPVP8L\x08\0\0\0/", &[0xfe, 0xbf, 0xff, 0x0f, 0, 0, 0][..]].concat();
    for (what, picture) in
        [("PNG", png_head(20_000, 20_000)), ("JPEG", jpeg), ("GIF", gif), ("BMP", bmp), ("WebP", webp)]
    {
        let error = scale(&picture, Size::Small160).expect_err(what);
        assert_eq!(error.kind(), Kind::Unsupported, "{what}: {error}");
        assert!(error.to_string().contains("more than 20 million"), "{what}: {error}");
        assert!(pixels(&picture).is_err());
    }
    let long = [encoded(&quarters(8, 8), ImageFormat::Jpeg), vec![0; MOST_BYTES as usize]].concat();
    let error = scale(&long, Size::Small160).expect_err("too long");
    assert_eq!((error.kind(), error.what()), (Kind::Unsupported, "the picture has more than 20 MB"));
}

#[test]
fn what_decoding_takes_is_counted() {
    // 18 million pixels of 16 bits each in four colours are 144 MB, of eight bits 72 MB.
    let mut deep = png_head(4500, 4000);
    let error = scale(&deep, Size::Small160).expect_err("nothing in it");
    assert_eq!(error.kind(), Kind::Damaged, "{error}");
    deep.splice(.., png_head(4472, 4472));
    assert!(pixels(&deep).is_ok());
    // A GIF frame that is larger than its screen: 40 million pixels on 384.
    let frame = b",\0\0\x61\x63\x54\x4c\x10\x08\0\x08\x02\0\x01";
    let gif = [b"GIF89a", &[24, 0, 16, 0, 0x80, 0, 0][..], &[0; 6], frame, b"\0;"].concat();
    let error = scale(&gif, Size::Small160).expect_err("a bomb");
    assert_eq!((error.kind(), error.what()), (Kind::Unsupported, "the picture takes too much memory"));
    // A WebP frame that is larger than its canvas, plain and moving.
    let chunk = |name: &[u8], body: &[u8]| [name, &(body.len() as u32).to_le_bytes(), body].concat();
    let canvas = |flags: u8| chunk(b"VP8X", &[flags, 0, 0, 0, 63, 0, 0, 63, 0, 0]);
    let frame =
        chunk(b"VP8 ", &[&[0x10, 0, 0, 0x9d, 1, 0x2a, 0xff, 0x3f, 0xff, 0x3f][..], &[0; 90]].concat());
    let hidden = chunk(b"junk", &frame[8..]);
    let moving = |inner: &[u8]| {
        let frame = [&[0; 6][..], &[63, 0, 0, 63, 0, 0], &[0; 4], inner].concat();
        [canvas(2), chunk(b"ANIM", &[0; 6]), chunk(b"ANMF", &frame)].concat()
    };
    let alpha = chunk(b"ALPH", &[0; 12]);
    for chunks in [[canvas(0), frame.clone()].concat(), moving(&frame), moving(&[alpha, hidden].concat())] {
        let error =
            scale(&chunk(b"RIFF", &[b"WEBP", &chunks[..]].concat()), Size::Small160).expect_err("a lie");
        assert!(error.what().ends_with("what is in it"), "{error}");
    }
}

#[test]
fn what_is_no_picture_or_broken_is_refused_in_words() {
    let whole = encoded(&quarters(300, 300), ImageFormat::Png);
    for (picture, kind) in [
        (&b""[..], Kind::Unsupported),
        (b"not a picture", Kind::Unsupported),
        (b"II*\0\x08\0\0\0\0\0", Kind::Unsupported),
        (b"\xff\xd8\xff", Kind::Damaged),
        (b"\x89PNG\r\n\x1a\n", Kind::Damaged),
        (b"GIF89a", Kind::Damaged),
        (b"BM", Kind::Damaged),
        (b"RIFF\0\0\0\0WEBP", Kind::Damaged),
        (&whole[..whole.len() / 2], Kind::Damaged),
        (&png_head(300, 300), Kind::Damaged),
    ] {
        let error = scale(picture, Size::Small160).expect_err("refused");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.what().contains("picture"), "{error}");
    }
    // A JPEG that breaks off shows what there is of it, as in browsers.
    let jpeg = encoded(&quarters(300, 300), ImageFormat::Jpeg);
    let half = scale(&jpeg[..jpeg.len() * 2 / 3], Size::Small160).expect("half of it");
    assert!(near(decoded(&half).get_pixel(20, 20), [200, 30, 30]));
}

#[test]
fn only_the_first_frame_of_many_is_shown() {
    let mut gif = Vec::new();
    {
        let mut encoder = GifEncoder::new(&mut gif);
        for colour in [[0, 200, 0, 255], [200, 0, 0, 255]] {
            let frame = image::Frame::new(RgbaImage::from_pixel(20, 20, Rgba(colour)));
            encoder.encode_frame(frame).expect("encoded");
        }
    }
    let small = decoded(&scale(&gif, Size::Small160).expect("scaled"));
    assert!(near(small.get_pixel(10, 10), [0, 200, 0]));
}

#[test]
fn the_picture_of_the_folder_is_found_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str| fs::write(folder.path().join(name), "x").expect("written");
    let found = || folder_picture(folder.path()).map(|path| path.file_name().expect("a name").to_owned());
    for name in ["Song.flac", "cover.txt", "cover", "covers.jpg", "back.jpg", ".jpg", "cover.gif"] {
        put(name);
    }
    fs::write(folder.path().join("cover.webp"), "").expect("written");
    fs::create_dir(folder.path().join("cover.jpg")).expect("made");
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("cover.png")).expect("linked");
    assert_eq!(found(), None);
    // Each goes in front of those before.
    for name in
        ["AlbumArtSmall.jpg", "AlbumArt_{1}_Large.jpg", "front.WEBP", "Front.png", "FOLDER.JPG", "Cover.jpeg"]
    {
        put(name);
        assert_eq!(found().as_deref(), Some(name.as_ref()));
    }
    assert_eq!(folder_picture(Path::new("/nowhere at all")), None);
    assert!(read_picture(&folder.path().join("cover.png")).is_err(), "a link is not followed");
    assert_eq!(read_picture(&folder.path().join("Cover.jpeg")).expect("read"), b"x");
}

#[test]
fn the_folder_wins_when_it_is_half_as_large_again() {
    let of = |width, height| encoded(&quarters(width, height), ImageFormat::Png);
    assert!(!folder_wins(&of(100, 150), &of(100, 100)));
    assert!(folder_wins(&of(100, 151), &of(100, 100)));
    assert!(folder_wins(&of(10, 10), &png_head(20_000, 20_000)));
    assert!(!folder_wins(&png_head(20_000, 20_000), &of(10, 10)));
    assert!(!folder_wins(b"x", b"y"));
}

#[test]
fn sizes_are_three() {
    for (text, edge) in [("160", 160), ("300", 300), ("600", 600)] {
        assert_eq!(text.parse::<Size>().map(Size::edge).ok(), Some(edge));
    }
    for text in ["", "0", "161", "0160", "+160", "-1", "160 ", "x"] {
        assert_eq!(text.parse::<Size>().expect_err(text).kind(), Kind::NotFound);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn random_bytes_never_make_it_panic(
        which in 0usize..6,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let starts: [&[u8]; 6] =
            [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", b"GIF89a", b"BM", b"RIFF\x40\0\0\0WEBPVP8"];
        if let Ok(jpeg) = scale(&[starts[which], &bytes].concat(), Size::Small160) {
            prop_assert!(jpeg.starts_with(&[0xff, 0xd8]));
        }
    }

    #[test]
    fn no_wound_makes_it_panic_or_grow(
        which in 0usize..5,
        wounds in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..8),
        kept in 0u16..1000,
    ) {
        let mut picture = encoded(&quarters(40, 30), FORMATS[which]);
        let length = picture.len();
        // The head is where it hurts.
        for (at, byte) in wounds {
            picture[usize::from(at) % length.min(200)] = byte;
        }
        picture.truncate(length * usize::from(kept.max(500)) / 1000);
        if let Ok(jpeg) = scale(&picture, Size::Small160) {
            let (width, height) = decoded(&jpeg).dimensions();
            prop_assert!((1..=160).contains(&width) && (1..=160).contains(&height));
        }
    }
}

/// An encoder of the crate that nothing else here needs.
#[test]
fn a_progressive_jpeg_is_weighed_more() {
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, 85);
    encoder.write_image(&[90; 3 * 16], 4, 4, ExtendedColorType::Rgb8).expect("encoded");
    assert_eq!(beside_each_pixel(ImageFormat::Jpeg, &jpeg), 0);
    let sof = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).expect("a frame");
    jpeg[sof + 1] = 0xc2;
    assert_eq!(beside_each_pixel(ImageFormat::Jpeg, &jpeg), 6);
    // 20 million pixels would take 180 MB.
    jpeg[sof + 5..sof + 9].copy_from_slice(&[0x11, 0x78, 0x11, 0x78]);
    let error = scale(&jpeg, Size::Small160).expect_err("too much");
    assert_eq!((error.kind(), error.what()), (Kind::Unsupported, "the picture takes too much memory"));
}
