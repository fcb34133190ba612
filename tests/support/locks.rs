//! What locks a file. The sound inside is clear or noise: only the gate is under test.

use super::{ENTRY, asf, asf_object, boxed, data, frame, insert, renamed, tag};

/// A sample entry of common encryption and its relatives: `scheme` in `schm`, `inside` in `schi`.
pub fn encrypted(entry: &[u8; 4], scheme: &[u8; 4], inside: &[u8]) -> Vec<u8> {
    let schm = [&[0; 4][..], scheme, &[0, 1, 0, 0]].concat();
    let children = [boxed(b"frma", b"mp4a"), boxed(b"schm", &schm), boxed(b"schi", inside)];
    renamed(&insert(&data("tone-aac.m4a"), &ENTRY, &boxed(b"sinf", &children.concat())), entry)
}

/// `tenc`: protected, vectors of 8 bytes, a key's id.
pub fn tenc() -> Vec<u8> {
    boxed(b"tenc", &[&[0, 0, 0, 0, 0, 0, 1, 8][..], &[0xab; 16]].concat())
}

/// `pssh` of a system.
pub fn pssh(system: u128) -> Vec<u8> {
    boxed(b"pssh", &[&[0; 4][..], &system.to_be_bytes(), &[0; 4]].concat())
}

pub const WIDEVINE: u128 = 0xedef_8ba9_79d6_4ace_a3c8_27dc_d51d_21ed;
pub const PLAY_READY: u128 = 0x9a04_f079_9840_4286_ab92_e65b_e088_5f95;
pub const FAIR_PLAY: u128 = 0x94ce_86fb_07ff_4f43_adb8_93d2_fa96_8ca2;

/// A sound entry of QuickTime version 1 or 2 with this child behind its longer head.
pub fn entry_of_version(version: u8, child: &[u8]) -> Vec<u8> {
    let mut file = insert(&data("tone-aac.m4a"), &ENTRY, child);
    let at = file.windows(4).position(|w| w == b"stsd").expect("stsd") + 12;
    file[at + 17] = version;
    let more = vec![0; if version == 1 { 16 } else { 36 }];
    let count = more.len() as u32;
    file.splice(at + 36..at + 36, more);
    // Every box above grows with it; the sound lies in front.
    let above: [&[u8]; 6] = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"];
    for name in above {
        let at = file.windows(4).rposition(|w| w == name).expect("a box") - 4;
        let size = u32::from_be_bytes(file[at..at + 4].try_into().expect("4")) + count;
        file[at..at + 4].copy_from_slice(&size.to_be_bytes());
    }
    let size = u32::from_be_bytes(file[at..at + 4].try_into().expect("4")) + count;
    file[at..at + 4].copy_from_slice(&size.to_be_bytes());
    file
}

/// The uuid box of au in front of everything but `ftyp`.
pub fn copy_guarded(file: &[u8]) -> Vec<u8> {
    let mark = 0x6370_6764_a88c_11d4_8197_0090_2708_7703u128;
    let end = u32::from_be_bytes(file[..4].try_into().expect("4")) as usize;
    // Behind the sound, so that nothing points elsewhere.
    assert!(end < file.len());
    [file, &boxed(b"uuid", &[&mark.to_be_bytes()[..], &[0; 8]].concat())].concat()
}

/// `ohdr` of OMA DRM 2: method, content id, address of the rights issuer.
pub fn ohdr(method: u8) -> Vec<u8> {
    let (id, issuer, text) =
        (&b"cid:song-1@shop.example"[..], &b"http://rights.example/ri"[..], &b"Content-Name:Song\0"[..]);
    let mut head = vec![0, 0, 0, 0, method, 0];
    head.extend_from_slice(&64u64.to_be_bytes());
    for length in [id.len(), issuer.len(), text.len()] {
        head.extend_from_slice(&(length as u16).to_be_bytes());
    }
    boxed(b"ohdr", &[&head[..], id, issuer, text].concat())
}

/// A DCF of OMA DRM 2.
pub fn dcf_2(method: u8) -> Vec<u8> {
    let odhe = boxed(b"odhe", &[&[0, 0, 0, 0, 9][..], b"audio/mp4", &ohdr(method)].concat());
    let odrm = boxed(b"odrm", &[vec![0; 4], odhe, boxed(b"odda", &[0x77; 64])].concat());
    [boxed(b"ftyp", b"odcf\0\0\0\x02odcf"), odrm].concat()
}

/// A DCF of OMA DRM 1: version, lengths, type, id, two lengths of 7-bit groups, headers, sound.
pub fn dcf_1() -> Vec<u8> {
    let (mime, id) = (b"audio/mpeg", b"cid:tone-7@shop.example");
    let headers = b"Encryption-Method: AES128CBC;padding=RFC2630\r\nRights-Issuer: http://rights.example/1\r\nContent-Name: Ring\r\n";
    let head = [1, mime.len() as u8, id.len() as u8];
    [&head[..], mime, id, &[headers.len() as u8], &[0x81, 0x00], headers, &[0x33; 128]].concat()
}

/// An ASF header with several objects.
pub fn asf_of(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut file = asf(&objects.concat());
    file[24..28].copy_from_slice(&(objects.len() as u32).to_le_bytes());
    file
}

/// A whole ASF file with one more object at the end of its header.
pub fn asf_with(file: &[u8], object: &[u8]) -> Vec<u8> {
    let size = u64::from_le_bytes(file[16..24].try_into().expect("8"));
    let count = u32::from_le_bytes(file[24..28].try_into().expect("4")) + 1;
    let end = size as usize;
    let head =
        [&file[..16], &(size + object.len() as u64).to_le_bytes(), &count.to_le_bytes(), &file[28..end]];
    [&head.concat()[..], object, &file[end..]].concat()
}

/// Extended Content Encryption: a length and a `WRMHEADER` in UTF-16.
pub fn extended(version: &str, url: &str) -> Vec<u8> {
    let xml = format!(
        "<WRMHEADER version=\"{version}\"><DATA><KID>a2lk</KID><LA_URL>{url}</LA_URL></DATA></WRMHEADER>"
    );
    let wide: Vec<u8> = xml.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let guid = 0x14e6_8a29_2226_174c_b935_dae0_7ee9_289cu128.to_be_bytes();
    asf_object(guid, &[&(wide.len() as u32).to_le_bytes()[..], &wide].concat())
}

/// Header Extension with this object inside.
pub fn header_extension(inside: &[u8]) -> Vec<u8> {
    let guid = 0xb503_bf5f_2ea9_cf11_8ee3_00c0_0c20_5365u128.to_be_bytes();
    let reserved = 0x11d2_d3ab_baa9_cf11_8ee6_00c0_0c20_5365u128.to_be_bytes();
    asf_object(guid, &[&reserved[..], &[6, 0], &(inside.len() as u32).to_le_bytes(), inside].concat())
}

/// Advanced Content Encryption with one record.
pub fn advanced() -> Vec<u8> {
    let guid = 0x3385_0543_8169_e649_9b74_ad12_cb86_d58cu128.to_be_bytes();
    asf_object(guid, &[&[1, 0][..], &[0x11; 40]].concat())
}

/// Digital Signature: no lock.
pub fn signature() -> Vec<u8> {
    let guid = 0xfcb3_1122_23bd_d211_b4b7_00a0_c955_fc6eu128.to_be_bytes();
    asf_object(guid, &[2, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4])
}

/// Stream Properties of sound: format tag, flags.
pub fn stream(codec: u16, flags: u16) -> Vec<u8> {
    let guid = 0x9107_dcb7_b7a9_cf11_8ee6_00c0_0c20_5365u128.to_be_bytes();
    let audio = 0x409e_69f8_4d5b_cf11_a8fd_0080_5f5c_442bu128.to_be_bytes();
    let mut format = codec.to_le_bytes().to_vec();
    format.extend_from_slice(&[2, 0]);
    format.extend_from_slice(&44_100u32.to_le_bytes());
    format.extend_from_slice(&16_000u32.to_le_bytes());
    format.extend_from_slice(&[0, 4, 16, 0, 0, 0]);
    let head = [
        &audio[..],
        &[0; 16],
        &[0; 8],
        &(format.len() as u32).to_le_bytes(),
        &[0; 4],
        &flags.to_le_bytes(),
        &[0; 4],
    ];
    asf_object(guid, &[&head.concat()[..], &format].concat())
}

/// An OpenMG file: generation, encryption word, codec, parameters, objects in its tag, sound.
pub fn oma(generation: u8, word: u16, codec: u8, params: u32, objects: &[&str], audio: &[u8]) -> Vec<u8> {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let text = |name: &[u8], words: &str| frame(name, &[&[2][..], &wide(words)].concat());
    let user =
        |name: &str, value: &str| frame(b"TXXX", &[&[2][..], &wide(name), &[0, 0], &wide(value)].concat());
    let mut frames = vec![
        text(b"TIT2", "夜空"),
        text(b"TPE1", "Singer"),
        text(b"TALB", "Album"),
        user("OMG_TRACK", "3"),
        user("OMG_TIT2S", "ヨゾラ"),
        user("OMG_TRLDA", "2007/10/16 00:00:00"),
    ];
    frames.extend(objects.iter().map(|name| object(name, &[0x42; 64])));
    let mut head = [b"EA3", &[generation, 0, 0x60][..], &word.to_be_bytes()].concat();
    head.resize(32, 0);
    head.push(codec);
    head.extend_from_slice(&params.to_be_bytes()[1..]);
    head.resize(96, 0);
    [tag(b"ea3", &frames.concat()), head, audio.to_vec()].concat()
}

/// `GEOB` as SonicStage writes it: UTF-16BE, type `binary`, no file name, a description.
pub fn object(name: &str, bytes: &[u8]) -> Vec<u8> {
    let wide: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
    frame(b"GEOB", &[&b"\x02binary\0\0\0"[..], &wide, &[0, 0], bytes].concat())
}

/// Frames of ATRAC3 that decode to silence: each sound unit of 192 bytes begins with A0.
pub fn silence(frames: usize) -> Vec<u8> {
    let mut unit = [0; 192];
    unit[0] = 0xa0;
    unit.repeat(frames * 2)
}
