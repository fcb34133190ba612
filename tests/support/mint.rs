//! Files made here, byte by byte, from tones and documents: nothing of a store is copied, the names are made up. What stores write lies in
//! `buys`, what locks a file in `locks`, and a row for every mark and lock in `rows`.

// Each test program uses a part of them.
#[allow(dead_code)]
pub mod buys;
#[allow(dead_code)]
pub mod locks;
#[allow(dead_code)]
pub mod rows;

/// A file of `tests/data`.
pub fn data(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A 16-bit stereo WAV at 44.1 kHz.
pub fn wav(frames: usize) -> Vec<u8> {
    let samples = (0..frames * 2).map(|i| ((i as f64 / 20.0).sin() * 8000.0) as i16);
    let body: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let mut format = Vec::new();
    format.extend_from_slice(&[1, 0, 2, 0]);
    format.extend_from_slice(&44_100u32.to_le_bytes());
    format.extend_from_slice(&176_400u32.to_le_bytes());
    format.extend_from_slice(&[4, 0, 16, 0]);
    let chunk = |name: &[u8], body: &[u8]| [name, &(body.len() as u32).to_le_bytes(), body].concat();
    let chunks = [b"WAVE".to_vec(), chunk(b"fmt ", &format), chunk(b"data", &body)].concat();
    chunk(b"RIFF", &chunks)
}

/// An MP4 box.
pub fn boxed(name: &[u8], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], name, body].concat()
}

/// An element of Matroska, its size in eight bytes (RFC 8794, 4).
pub fn element(id: u64, body: &[u8]) -> Vec<u8> {
    let id: Vec<u8> = id.to_be_bytes().into_iter().skip_while(|&byte| byte == 0).collect();
    let size = 1u64 << 56 | body.len() as u64;
    [&id[..], &size.to_be_bytes(), body].concat()
}

/// Puts a child at the end of the box at `path` of an MP4 whose `moov` is last, and grows every box above it.
/// `head` is how many bytes of the innermost box come before its children.
pub fn insert(file: &[u8], path: &[&[u8]], child: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let (mut from, mut end) = (0, file.len());
    let mut above = Vec::new();
    for name in path {
        let (at, size) = find(&file, from, end, name).unwrap_or_else(|| panic!("no {name:?}"));
        above.push(at);
        // Heads in front of children: meta and stsd are full boxes, stsd counts; a sound entry has 28 bytes.
        let head = match *name {
            b"meta" => 4,
            b"stsd" => 8,
            b"mp4a" | b"drms" | b"enca" => 28,
            _ => 0,
        };
        (from, end) = (at + 8 + head, at + size);
    }
    file.splice(end..end, child.iter().copied());
    for at in above {
        let size = u32::from_be_bytes(file[at..at + 4].try_into().expect("4")) + child.len() as u32;
        file[at..at + 4].copy_from_slice(&size.to_be_bytes());
    }
    file
}

fn find(file: &[u8], mut at: usize, end: usize, name: &[u8]) -> Option<(usize, usize)> {
    while at + 8 <= end {
        let size = u32::from_be_bytes(file[at..at + 4].try_into().expect("4")) as usize;
        if &file[at + 4..at + 8] == name {
            return Some((at, size));
        }
        at += size.max(8);
    }
    None
}

/// The list of tags.
pub const LIST: [&[u8]; 4] = [b"moov", b"udta", b"meta", b"ilst"];
/// The sample entry.
pub const ENTRY: [&[u8]; 7] = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"mp4a"];

/// Adds an atom to the list of tags. `kind` 1 is text, 21 a number, 0 untyped.
pub fn atom(file: &[u8], name: &[u8], kind: u32, value: &[u8]) -> Vec<u8> {
    let data = [&kind.to_be_bytes()[..], &[0; 4], value].concat();
    insert(file, &LIST, &boxed(name, &boxed(b"data", &data)))
}

/// What stands in `pinf` and `sinf`: format, scheme, account, buyer, transaction and item.
pub fn account(outer: &[u8]) -> Vec<u8> {
    let mut name = b"Hanako Yamada".to_vec();
    name.resize(256, 0);
    let right = |name: &[u8], n: u32| [name, &n.to_be_bytes()].concat();
    let rights = [
        right(b"veID", 1),
        right(b"plat", 0),
        right(b"aver", 0x0101_0100),
        right(b"tran", 777_001),
        right(b"song", 123_456),
        right(b"tool", u32::from_be_bytes(*b"P850")),
        vec![0; 8],
    ];
    let inner = [
        boxed(b"user", &4711u32.to_be_bytes()),
        boxed(b"key ", &1u32.to_be_bytes()),
        boxed(b"iviv", &[0x5a; 16]),
        boxed(b"righ", &rights.concat()),
        boxed(b"name", &name),
        boxed(b"priv", &[0xa5; 440]),
    ];
    let inner = inner.concat();
    let scheme = [&[0; 4][..], b"itun", &[0; 4]].concat();
    boxed(outer, &[boxed(b"frma", b"mp4a"), boxed(b"schm", &scheme), boxed(b"schi", &inner)].concat())
}

/// A protection-free iTunes purchase: `pinf` in the sample entry, the store's atoms in the list.
pub fn itunes_plus() -> Vec<u8> {
    let file = insert(&data("tone-aac.m4a"), &ENTRY, &account(b"pinf"));
    store_atoms(&file)
}

/// The store's atoms in the list of tags.
pub fn store_atoms(file: &[u8]) -> Vec<u8> {
    let file = atom(file, b"apID", 1, b"user@example.com");
    let file = atom(&file, b"ownr", 1, b"Hanako Yamada");
    let file = atom(&file, b"purd", 1, b"2007-10-16 12:34:56");
    let file = atom(&file, b"sfID", 21, &143_462u32.to_be_bytes());
    let file = atom(&file, b"cnID", 0, &123_456u32.to_be_bytes());
    atom(&file, b"plID", 21, &9_000_000_001u64.to_be_bytes())
}

/// A locked iTunes purchase: the same with `drms` and `sinf`. The audio itself is clear; only the gate is under test.
pub fn itunes_locked() -> Vec<u8> {
    renamed(&store_atoms(&insert(&data("tone-aac.m4a"), &ENTRY, &account(b"sinf"))), b"drms")
}

/// Common encryption: `enca`, scheme `cenc`, and the Widevine system in `pssh`.
pub fn cenc() -> Vec<u8> {
    let scheme = [&[0; 4][..], b"cenc", &[0, 1, 0, 0]].concat();
    let sinf = boxed(b"sinf", &[boxed(b"frma", b"mp4a"), boxed(b"schm", &scheme)].concat());
    let file = renamed(&insert(&data("tone-aac.m4a"), &ENTRY, &sinf), b"enca");
    let widevine =
        [0xed, 0xef, 0x8b, 0xa9, 0x79, 0xd6, 0x4a, 0xce, 0xa3, 0xc8, 0x27, 0xdc, 0xd5, 0x1d, 0x21, 0xed];
    insert(&file, &[b"moov"], &boxed(b"pssh", &[&[0; 4][..], &widevine, &[0; 4]].concat()))
}

/// The same file with another name of its sample entry.
pub fn renamed(file: &[u8], entry: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let at = file.windows(4).rposition(|w| w == b"mp4a").expect("an entry");
    // The last `mp4a` may be that of `frma`: the entry is the one that follows `stsd`.
    let stsd = file.windows(4).position(|w| w == b"stsd").expect("stsd");
    let at = if at > stsd + 16 { stsd + 16 } else { at };
    file[at..at + 4].copy_from_slice(entry);
    file
}

/// An MP4 of one box with a mark of its own: `ftyp` with this brand.
pub fn branded(file: &[u8], brand: &[u8; 4]) -> Vec<u8> {
    let mut file = file.to_vec();
    file[8..12].copy_from_slice(brand);
    file
}

/// An OMA DRM 2 container.
pub fn oma_drm_2() -> Vec<u8> {
    let issuer = b"http://rights.example/ri";
    let mut head = vec![0, 0, 0, 0, 1, 0];
    head.extend_from_slice(&[0; 8]);
    head.extend_from_slice(&[0, 3, 0, issuer.len() as u8, 0, 0]);
    head.extend_from_slice(b"cid");
    head.extend_from_slice(issuer);
    let odhe = boxed(b"odhe", &[&[0, 0, 0, 0, 9][..], b"audio/mp4", &boxed(b"ohdr", &head)].concat());
    let head = boxed(b"odrm", &[vec![0; 4], odhe, boxed(b"odda", &[0x77; 64])].concat());
    [boxed(b"ftyp", b"odcf\0\0\0\x01odcf"), head].concat()
}

/// An ID3v2.3 frame.
pub fn frame(name: &[u8], body: &[u8]) -> Vec<u8> {
    [name, &(body.len() as u32).to_be_bytes(), &[0, 0], body].concat()
}

/// An ID3v2.3 tag, or Sony's `ea3` with the same frames.
pub fn tag(magic: &[u8; 3], frames: &[u8]) -> Vec<u8> {
    let n = frames.len() as u32;
    let size = [(n >> 21) as u8 & 0x7f, (n >> 14) as u8 & 0x7f, (n >> 7) as u8 & 0x7f, n as u8 & 0x7f];
    [&magic[..], &[3, 0, 0], &size, frames].concat()
}

/// MPEG frames without any tag.
pub fn mp3_frames() -> Vec<u8> {
    let file = data("tone.mp3");
    let size = file[6..10].iter().fold(0, |n, &b| n << 7 | usize::from(b));
    file[10 + size..].to_vec()
}

/// An MP3 of Amazon: the song's number in a comment, UITS in `PRIV`.
pub fn amazon() -> Vec<u8> {
    let uits = b"<?xml version=\"1.0\"?><uits:UITS xmlns:uits=\"http://x/2009/uits/1.1\"><metadata><nonce>x</nonce>\
        <Distributor>Amazon.com</Distributor><Time>1970-01-01T00:00:00Z</Time><ProductID type=\"UPC\">0001</ProductID>\
        <AssetID type=\"ISRC\">JPX010700001</AssetID><TID version=\"1\">T-9</TID><Media algorithm=\"SHA256\">ab</Media>\
        </metadata><signature>s</signature></uits:UITS>";
    let comment = b"\0eng\0Amazon.com Song ID: 207891234";
    let frames = [
        frame(b"TIT2", b"\0Song"),
        frame(b"COMM", comment),
        frame(b"PRIV", &[&b"www.amazon.com\0"[..], uits].concat()),
    ];
    [tag(b"ID3", &frames.concat()), mp3_frames()].concat()
}

/// An OpenMG file: encryption word and codec byte of its EA3 header, in front of `audio`.
pub fn oma(word: u16, codec: u8, audio: &[u8]) -> Vec<u8> {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let title = frame(b"TIT2", &[&[2][..], &wide("夜空")].concat());
    let artist = frame(b"TPE1", &[&[2][..], &wide("Singer")].concat());
    let mut head = b"EA3\x02\0\x60".to_vec();
    head.extend_from_slice(&word.to_be_bytes());
    head.resize(32, 0);
    head.extend_from_slice(&[codec, 0, 0x20, 0x30]);
    head.resize(96, 0);
    [tag(b"ea3", &[title, artist].concat()), head, audio.to_vec()].concat()
}

/// A WMA header with this object in it.
pub fn asf(object: &[u8]) -> Vec<u8> {
    const HEADER: [u8; 16] =
        [0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, 0xa6, 0xd9, 0x00, 0xaa, 0x00, 0x62, 0xce, 0x6c];
    let size = (30 + object.len() as u64).to_le_bytes();
    [&HEADER[..], &size, &1u32.to_le_bytes(), &[1, 2], object, &[0x55; 200]].concat()
}

/// An ASF object.
pub fn asf_object(guid: [u8; 16], body: &[u8]) -> Vec<u8> {
    [&guid[..], &(24 + body.len() as u64).to_le_bytes(), body].concat()
}

/// ASF_Content_Encryption_Object with a licence URL.
pub fn wm_drm(url: &str) -> Vec<u8> {
    let guid =
        [0xfb, 0xb3, 0x11, 0x22, 0x23, 0xbd, 0xd2, 0x11, 0xb4, 0xb7, 0x00, 0xa0, 0xc9, 0x55, 0xfc, 0x6e];
    let field = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat();
    let body = [field(b"secret"), field(b"DRM\0"), field(b"KEY\0"), field(url.as_bytes())].concat();
    asf(&asf_object(guid, &body))
}

/// A FLAC file cut off after this share of its bytes, in percent.
pub fn cut(file: &[u8], percent: usize) -> Vec<u8> {
    file[..file.len() * percent / 100].to_vec()
}

/// The head of a WavPack file: 16 bits, stereo, 44.1 kHz, one block that is all.
pub fn wavpack(frames: u32) -> Vec<u8> {
    let mut head = b"wvpk\x18\0\0\0\x10\x04\0\0".to_vec();
    head.extend_from_slice(&frames.to_le_bytes());
    head.extend_from_slice(&0u32.to_le_bytes());
    head.extend_from_slice(&frames.to_le_bytes());
    head.extend_from_slice(&(1u32 | 3 << 11 | 9 << 23).to_le_bytes());
    head.extend_from_slice(&[0; 4]);
    head
}

/// The head of a Monkey's Audio file: 16 bits, stereo, 44.1 kHz; the last of its frames has 7 blocks.
pub fn ape(frames: u32) -> Vec<u8> {
    let mut head = b"MAC \x96\x0f\0\0\x34\0\0\0\x18\0\0\0".to_vec();
    head.resize(52, 0);
    head.extend_from_slice(&[0xd0, 7, 0, 0]);
    for number in [73_728u32, 7, frames] {
        head.extend_from_slice(&number.to_le_bytes());
    }
    head.extend_from_slice(&[16, 0, 2, 0]);
    head.extend_from_slice(&44_100u32.to_le_bytes());
    head
}

/// A DSF file of stereo silence at 2.8224 MHz.
pub fn dsf(bits: u64) -> Vec<u8> {
    let blocks = bits.div_ceil(8 * 4096).max(1);
    let data = blocks * 4096 * 2;
    let mut file = b"DSD \x1c\0\0\0\0\0\0\0".to_vec();
    file.extend_from_slice(&(92 + data).to_le_bytes());
    file.extend_from_slice(&[0; 8]);
    file.extend_from_slice(b"fmt \x34\0\0\0\0\0\0\0");
    for number in [1u32, 0, 2, 2, 2_822_400, 1] {
        file.extend_from_slice(&number.to_le_bytes());
    }
    file.extend_from_slice(&bits.to_le_bytes());
    file.extend_from_slice(&4096u32.to_le_bytes());
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(b"data");
    file.extend_from_slice(&(data + 12).to_le_bytes());
    file.resize(92 + data as usize, 0x69);
    file
}

/// A DSDIFF file of stereo silence at 2.8224 MHz.
pub fn dff(bits: u64) -> Vec<u8> {
    let chunk = |name: &[u8], body: &[u8]| [name, &(body.len() as u64).to_be_bytes(), body].concat();
    let rate = chunk(b"FS  ", &2_822_400u32.to_be_bytes());
    let channels = chunk(b"CHNL", b"\0\x02SLFTSRGT");
    let coded = chunk(b"CMPR", b"DSD \x0enot compressed\0");
    let properties = [b"SND ".to_vec(), rate, channels, coded].concat();
    let data = vec![0x69; bits as usize / 8 * 2];
    let version = chunk(b"FVER", &[1, 5, 0, 0]);
    let inner = [b"DSD ".to_vec(), version, chunk(b"PROP", &properties), chunk(b"DSD ", &data)].concat();
    chunk(b"FRM8", &inner)
}
