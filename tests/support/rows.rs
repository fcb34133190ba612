//! One row for every mark and every lock of the reference (purchases 1.1 to 1.4, 2.1 to 2.6, 8), with what konpo shall say.
//!
//! Left out, with the reason: custom domains of Bandcamp, 7digital, HDtracks, Juno and the like without an address (no mark
//! is known); mora's recording code under a key of its own and JASRAC in DSF (unconfirmed; the comment is the same in FLAC);
//! WMA Pro, WMA Lossless, Monkey's Audio, TAK and Musepack as sound (no encoder: told by their magic only); HE-AAC (its
//! encoder is not free; `tests/data` has files); iPod trees, iTunes' XML, OMGAUDIO trees, discs and MTP (no files of music).

use super::buys::{self, comment, flac, freeform, mp3, private, user_text};
use super::locks::{self, asf_of, copy_guarded, encrypted};
use super::{ENTRY, account, amazon, ape, asf, atom, boxed, branded, cenc, data, dff, dsf, frame, insert};
use super::{itunes_locked, itunes_plus, mp3_frames, renamed, tag, wav, wavpack, wm_drm};

/// A file and what konpo shall say of it, in the words of `konpo probe --json`.
pub struct Row {
    /// The section of the reference, and what is in the file.
    pub of: &'static str,
    pub bytes: Vec<u8>,
    /// Only Sony's oldest containers are told by it.
    pub extension: &'static str,
    pub container: &'static str,
    pub codec: &'static str,
    /// Empty when nothing locks or marks it.
    pub code: &'static str,
    /// Store and level of each buy, strongest first.
    pub buys: Vec<(&'static str, &'static str)>,
    /// Fields of the strongest buy.
    pub facts: Vec<(&'static str, &'static str)>,
    /// The file tells who bought it.
    pub personal: bool,
}

impl Row {
    fn of(of: &'static str, bytes: Vec<u8>, container: &'static str, codec: &'static str) -> Row {
        let (buys, facts) = (Vec::new(), Vec::new());
        Row { of, bytes, extension: "bin", container, codec, code: "", buys, facts, personal: false }
    }

    fn locked(self, code: &'static str) -> Row {
        Row { code, ..self }
    }

    fn bought(mut self, store: &'static str, level: &'static str) -> Row {
        self.buys.push((store, level));
        self
    }

    fn fact(mut self, name: &'static str, value: &'static str) -> Row {
        self.facts.push((name, value));
        self
    }

    fn personal(self) -> Row {
        Row { personal: true, ..self }
    }

    fn named(self, extension: &'static str) -> Row {
        Row { extension, ..self }
    }
}

fn m4a(of: &'static str, bytes: Vec<u8>) -> Row {
    Row::of(of, bytes, "mp4", "aac_lc")
}

fn of_mp3(of: &'static str, frames: &[Vec<u8>]) -> Row {
    Row::of(of, mp3(frames), "mpeg", "mp3")
}

fn of_flac(of: &'static str, fields: &[(&str, &str)]) -> Row {
    Row::of(of, flac(fields), "flac", "flac")
}

/// All rows.
pub fn all() -> Vec<Row> {
    let parts =
        [itunes(), itunes_atoms(), amazon_rows(), stores(), hosts(), rips(), generic(), fields(), by_konpo()];
    let locks = [fair_play(), cenc_rows(), windows(), sony(), phones(), oma(), made()];
    parts.into_iter().chain(locks).flatten().collect()
}

const PLAIN: &str = "tone-aac.m4a";

fn itunes() -> Vec<Row> {
    let plus = |of, child: &[u8], version| {
        let bytes = match version {
            0 => insert(&data(PLAIN), &ENTRY, child),
            _ => locks::entry_of_version(version, child),
        };
        let row = m4a(of, bytes).bought("itunes", "embedded").personal();
        row.fact("item_id", "123456").fact("transaction_id", "777001").fact("account", "Hanako Yamada")
    };
    let pinf = account(b"pinf");
    let padded = boxed(b"pinf", &[&pinf[8..], &boxed(b"free", &vec![0; 32_768 - pinf.len() - 8])].concat());
    let signed = [boxed(b"cert", &[1; 700]), boxed(b"sign", &[2; 128]), boxed(b"chtb", &[3; 300])].concat();
    let mut with_sign = pinf.clone();
    with_sign.extend(boxed(b"schi", &signed));
    let size = with_sign.len() as u32;
    with_sign[..4].copy_from_slice(&size.to_be_bytes());
    vec![
        m4a("1.1 ftyp M4A", branded(&data(PLAIN), b"M4A ")),
        m4a("1.1 ftyp M4P is a hint only", branded(&data(PLAIN), b"M4P ")),
        m4a("1.1 ftyp M4B", branded(&data(PLAIN), b"M4B ")),
        m4a("1.1 ftyp M4V", branded(&data(PLAIN), b"M4V ")),
        plus("1.1 pinf", &pinf, 0),
        plus("1.1 pinf of 32,768 bytes", &padded, 0),
        plus("1.1 pinf with cert, sign and chtb", &with_sign, 0),
        plus("1.1 pinf in an entry of version 1", &pinf, 1),
        plus("1.1 pinf in an entry of version 2", &pinf, 2),
        m4a("1.1 the whole of iTunes Plus", itunes_plus())
            .bought("itunes", "embedded")
            .personal()
            .fact("country", "JP")
            .fact("bought_at", "2007-10-16 12:34:56")
            .fact("item_id", "123456")
            .fact("album_id", "9000000001")
            .fact("account", "user@example.com"),
    ]
}

fn itunes_atoms() -> Vec<Row> {
    let with = |name: &[u8], kind, value: &[u8]| atom(&data(PLAIN), name, kind, value);
    let bought = |of, bytes| m4a(of, bytes).bought("itunes", "embedded");
    let dated = with(b"purd", 1, b"2007-10-16 12:34:56");
    let beside = |of, name: &[u8], kind, value: &[u8]| bought(of, atom(&dated, name, kind, value));
    let number = 123_456u32.to_be_bytes();
    let front = |kind| atom(&with(b"cnID", kind, &number), b"sfID", kind, &143_462u32.to_be_bytes());
    vec![
        bought("1.1 apID", with(b"apID", 1, b"user@example.com"))
            .personal()
            .fact("account", "user@example.com"),
        bought("1.1 ownr", with(b"ownr", 1, b"Hanako Yamada")).personal().fact("account", "Hanako Yamada"),
        bought("1.1 purd", dated.clone()).fact("bought_at", "2007-10-16 12:34:56"),
        bought("1.1 cnID and sfID of type 21", front(21)).fact("item_id", "123456").fact("country", "JP"),
        bought("1.1 cnID and sfID of type 0", front(0)).fact("item_id", "123456").fact("country", "JP"),
        m4a("1.1 cnID alone proves nothing", with(b"cnID", 21, &number)),
        m4a("1.1 sfID alone proves nothing", with(b"sfID", 21, &143_441u32.to_be_bytes())),
        beside("1.1 plID of 64 bits, type 21", b"plID", 21, &9_000_000_001u64.to_be_bytes())
            .fact("album_id", "9000000001"),
        beside("1.1 plID of 64 bits, type 0", b"plID", 0, &9_000_000_001u64.to_be_bytes())
            .fact("album_id", "9000000001"),
        beside("1.1 akID", b"akID", 21, &[0]).fact("mp4:ilst/akID", "0"),
        beside("1.1 atID", b"atID", 21, &77u32.to_be_bytes()).fact("mp4:ilst/atID", "77"),
        beside("1.1 geID", b"geID", 21, &27u32.to_be_bytes()).fact("mp4:ilst/geID", "27"),
        beside("1.1 cmID", b"cmID", 21, &5u32.to_be_bytes()).fact("mp4:ilst/cmID", "5"),
        beside("1.1 xid", b"xid ", 1, b"Label:isrc:JPX010700001").fact("isrc", "JPX010700001"),
        beside("1.1 flvr", b"flvr", 1, b"2:256").fact("mp4:ilst/flvr", "2:256"),
        beside("1.1 cprt", b"cprt", 1, b"2007 Label").fact("mp4:ilst/cprt", "2007 Label"),
        beside("1.1 stik", b"stik", 21, &[1]).fact("mp4:ilst/stik", "1"),
        m4a("1.1 rtng proves nothing", with(b"rtng", 21, &[4])),
        m4a(
            "1.1 a field that calls itself apID",
            freeform(&data(PLAIN), "org.example", "apID", "user@example.com"),
        )
        .bought("unknown", "claimed")
        .personal(),
    ]
}

fn amazon_rows() -> Vec<Row> {
    let time = "2011-03-04T05:06:07Z";
    let document = buys::uits("Amazon.com", time);
    vec![
        Row::of("1.2 Song ID and UITS of the epoch", amazon(), "mpeg", "mp3")
            .bought("amazon", "embedded")
            .personal()
            .fact("item_id", "207891234")
            .fact("bought_at", ""),
        of_mp3("1.2 COMM in UTF-16", &[comment("Amazon.com Song ID: 207891234")])
            .bought("amazon", "embedded")
            .fact("item_id", "207891234"),
        of_mp3("1.2 COMM that is no number", &[comment("Amazon.com Song ID: none")]),
        of_mp3("1.2 PRIV with UITS", &[private("www.amazon.com", &document)])
            .bought("amazon", "embedded")
            .personal()
            .fact("bought_at", time)
            .fact("album_id", "00602517078901")
            .fact("isrc", "JPX010700001")
            .fact("transaction_id", "T-9&1")
            .fact("account", "U-1")
            .fact("id3:PRIV/www.amazon.com/Media", "ab12")
            .fact("id3:PRIV/www.amazon.com/Extra/TransactionType", "Download - Paid"),
        of_mp3("1.2 PRIV of the store without a document", &[private("www.amazon.com", &[1, 2, 3])])
            .bought("amazon", "embedded")
            .personal(),
        of_mp3("1.2 UITS in another's frame", &[private("label.example", &buys::uits("7digital", time))])
            .bought("7digital", "embedded")
            .personal()
            .fact("bought_at", time),
        of_flac("1.2 MERCHANTNAME", &[("MERCHANTNAME", "Amazon Music")]).bought("amazon", "embedded"),
        of_flac("1.2 URL of the store", &[("URL", "https://www.amazon.co.jp/dp/B0")])
            .bought("amazon", "embedded"),
        of_flac("1.2 URL that only looks so", &[("URL", "https://www.amazon.evil.example/dp/B0")]),
    ]
}

fn stores() -> Vec<Row> {
    let visit = "Visit https://singer.bandcamp.com";
    let beatport = [
        ("FILEOWNER", "track-1234567"),
        ("TRACK_URL", "https://www.beatport.com/track/x/1234567"),
        ("LABEL_URL", "https://www.beatport.com/label/y/1"),
        ("ENCODED_BY", "Beatport"),
        ("ENCODER", "Beatport"),
        ("ORGANIZATION", "Label"),
    ];
    let alac = freeform(&data("tone-alac.m4a"), "com.apple.iTunes", "QBZ:TID", "5678");
    vec![
        of_mp3("1.3 Bandcamp, ID3", &[comment(visit)]).bought("bandcamp", "embedded"),
        of_flac("1.3 Bandcamp, FLAC", &[("COMMENT", visit)]).bought("bandcamp", "embedded"),
        Row::of("1.3 Bandcamp, Ogg", buys::ogg(&[("COMMENT", visit)], 0), "ogg", "vorbis")
            .bought("bandcamp", "embedded"),
        m4a("1.3 Bandcamp, MP4", atom(&data(PLAIN), b"\xa9cmt", 1, visit.as_bytes()))
            .bought("bandcamp", "embedded"),
        of_mp3("1.3 no Bandcamp", &[comment("Visit https://bandcamp.com.evil.example")]),
        of_flac("1.3 Qobuz, item", &[("QBZ:TID", "5678"), ("UPC", "0060"), ("ISRC", "JP-X01-07-00001")])
            .bought("qobuz", "embedded")
            .fact("item_id", "5678")
            .fact("album_id", "0060")
            .fact("isrc", "JPX010700001"),
        Row::of("1.3 Qobuz, in Apple Lossless", alac, "mp4", "alac")
            .bought("qobuz", "embedded")
            .fact("item_id", "5678"),
        of_flac("1.3 Qobuz, URL", &[("URL", "https://www.qobuz.com/album/x")]).bought("qobuz", "embedded"),
        of_flac("1.3 UPC alone proves nothing", &[("UPC", "0060"), ("BARCODE", "0060"), ("ASIN", "B0")]),
        of_mp3(
            "1.3 Beatport, after a genre",
            &[frame(b"COMM", b"\0deu\0Techno"), comment("Purchased at Beatport.com")],
        )
        .bought("beatport", "embedded"),
        of_flac("1.3 Beatport, FLAC", &beatport).bought("beatport", "embedded").fact("item_id", "1234567"),
        of_mp3("1.3 Beatport, FILEOWNER alone", &[user_text("FILEOWNER", "track-1234567")]),
        of_mp3(
            "1.3 Google",
            &[private("Google/StoreId", b"Tabc123"), private("Google/StoreLabelCode", b"L1")],
        )
        .bought("google", "embedded")
        .fact("item_id", "Tabc123"),
        of_mp3(
            "1.3 Google/UITS",
            &[private("Google/UITS", &buys::uits("Google Play", "2014-01-02T03:04:05Z"))],
        )
        .bought("google", "embedded")
        .personal()
        .fact("bought_at", "2014-01-02T03:04:05Z"),
        of_mp3("1.3 eMusic", &[private("contentgroup@emusic.com", &[7; 40])])
            .bought("emusic", "embedded")
            .personal(),
        m4a("1.3 mora, three sets of tags", buys::three_sets()).bought("mora", "embedded"),
        of_flac("1.3 mora, JASRAC", &[("COMMENT", "JASRAC / Label")]).bought("mora", "embedded"),
        of_flac("1.3 OTOTOY", &[("COMMENT", "Thanks from OTOTOY")]).bought("ototoy", "embedded"),
        of_flac("1.3 e-onkyo has no mark", &[("COMMENT", "24bit/96kHz")]),
        of_mp3("1.3 CDDB is no proof", &[user_text("iTunes_CDDB_1", "9A0B2C0D+182115+12")]),
    ]
}

/// The table of stores by host: each as the page of the file.
fn hosts() -> Vec<Row> {
    let page = |of, address: &str| of_mp3(of, &[frame(b"WOAF", address.as_bytes())]);
    let claim = |of, address: &str, store| page(of, address).bought(store, "claimed");
    vec![
        claim("1.3 host bandcamp.com", "https://singer.bandcamp.com/track/x", "bandcamp"),
        claim("1.3 host qobuz.com", "https://open.qobuz.com/track/1", "qobuz"),
        claim("1.3 host beatport.com", "https://www.beatport.com/track/x/1", "beatport"),
        claim("1.3 host 7digital.com", "http://www.7digital.com/artist/x", "7digital"),
        claim("1.3 host hdtracks.com", "https://www.hdtracks.com/#/album/1", "hdtracks"),
        claim("1.3 host junodownload.com", "https://www.junodownload.com/products/1", "juno"),
        claim("1.3 host mora.jp", "https://mora.jp/package/1", "mora"),
        claim("1.3 host ototoy.jp", "https://ototoy.jp/_/default/p/1", "ototoy"),
        claim("1.3 host e-onkyo.com", "https://www.e-onkyo.com/music/album/1", "e-onkyo"),
        claim("1.3 host amazon", "https://music.amazon.de/albums/1", "amazon"),
        claim("1.3 host music.apple.com", "https://music.apple.com/jp/album/1", "itunes"),
        claim("1.3 host itunes.apple.com", "https://itunes.apple.com/jp/album/id1", "itunes"),
        claim("1.3 host play.google.com", "https://play.google.com/store/music/album?id=1", "google"),
        claim("1.3 host recochoku.jp", "https://recochoku.jp/song/1", "recochoku"),
        claim(
            "1.3 host prostudiomasters.com",
            "https://www.prostudiomasters.com/album/1",
            "prostudiomasters",
        ),
        claim("1.3 host boomkat.com", "https://boomkat.com/products/1", "boomkat"),
        claim("1.3 host bleep.com", "https://bleep.com/release/1", "bleep"),
        claim("1.3 host emusic.com", "https://www.emusic.com/album/1", "emusic"),
        claim("1.3 host traxsource.com", "https://www.traxsource.com/track/1", "traxsource"),
        page("1.3 a host of nobody", "https://notbandcamp.com/x"),
        page("1.3 a store in the path", "https://example.org/bandcamp.com"),
        page("1.3 Apple's other pages", "https://www.apple.com/"),
    ]
}

fn rips() -> Vec<Row> {
    let visit = ("COMMENT", "Visit https://singer.bandcamp.com");
    let rip = ("AccurateRipResult", "Track is accurate");
    vec![
        of_flac("1.3 AccurateRip lowers a mark", &[visit, rip]).bought("bandcamp", "claimed"),
        of_flac("1.3 AccurateRipDiscID lowers a mark", &[visit, ("AccurateRipDiscID", "012-x")])
            .bought("bandcamp", "claimed"),
        of_flac("1.3 MEDIA=CD lowers a mark", &[visit, ("MEDIA", "CD")]).bought("bandcamp", "claimed"),
        of_flac("1.3 a link in a rip is nothing", &[("URL", "https://mora.jp/package/1"), rip]),
        m4a("1.3 pinf in a rip stays", freeform(&itunes_plus(), "com.apple.iTunes", "MEDIA", "CD"))
            .bought("itunes", "embedded")
            .personal(),
    ]
}

fn generic() -> Vec<Row> {
    let link = |of, id: &[u8; 4]| of_mp3(of, &[frame(id, b"https://mora.jp/package/1")]);
    let mut described = vec![1];
    described.extend(buys::wide("shop"));
    described.extend_from_slice(b"https://mora.jp/package/1");
    let bandcamp = || comment("Visit https://singer.bandcamp.com");
    vec![
        of_mp3("1.4 OWNE", &[buys::ownership("JPY250", "20080717", "mora")])
            .bought("mora", "embedded")
            .personal()
            .fact("price", "JPY 250")
            .fact("bought_at", "2008-07-17"),
        of_mp3("1.4 COMR is an offer", &[buys::offer()]),
        of_mp3("1.4 COMR beside a mark", &[bandcamp(), buys::offer()])
            .bought("bandcamp", "embedded")
            .fact("id3:COMR", "JPY250, until 2030-12-31, http://shop.example/, Shop"),
        of_mp3("1.4 TOWN", &[frame(b"TOWN", b"\x03Hanako Yamada")])
            .bought("unknown", "claimed")
            .personal()
            .fact("account", "Hanako Yamada"),
        of_mp3("1.4 USER", &[frame(b"USER", b"\0engFor yourself only")]),
        of_mp3("1.4 USER beside a mark", &[bandcamp(), frame(b"USER", b"\0engFor yourself only")])
            .bought("bandcamp", "embedded")
            .fact("id3:USER", "For yourself only"),
        link("1.4 WCOM", b"WCOM").bought("mora", "claimed"),
        link("1.4 WOAF", b"WOAF").bought("mora", "claimed"),
        link("1.4 WOAS", b"WOAS").bought("mora", "claimed"),
        link("1.4 WPAY", b"WPAY").bought("mora", "claimed"),
        link("1.4 WPUB is a label", b"WPUB"),
        link("1.4 WORS is no shop", b"WORS"),
        of_mp3("1.4 WXXX", &[frame(b"WXXX", &described)]).bought("mora", "claimed"),
        of_mp3(
            "1.4 PRIV noise",
            &[private("WM/MediaClassPrimaryID", &[1; 16]), private("PeakValue", &[0; 4])],
        ),
    ]
}

/// What taggers and conversions write.
fn fields() -> Vec<Row> {
    vec![
        of_mp3(
            "1.4 TXXX PURCHASE",
            &[
                user_text("PURCHASE_DATE", "2009-10-11"),
                user_text("PURCHASE_ITEM", "8812"),
                user_text("PURCHASE_OWNER", "user@example.com"),
                user_text("PURCHASE_PRICE", "EUR 0.99"),
                user_text("PURCHASE_STORE", "recochoku"),
            ],
        )
        .bought("recochoku", "claimed")
        .personal()
        .fact("bought_at", "2009-10-11")
        .fact("item_id", "8812")
        .fact("price", "EUR 0.99")
        .fact("account", "user@example.com"),
        of_flac("1.4 vorbis PURCHASEDATE", &[("PURCHASEDATE", "2009-10-11"), ("STORE", "Qobuz")])
            .bought("qobuz", "claimed")
            .fact("bought_at", "2009-10-11"),
        of_flac("1.4 vorbis PURCHASE DATE", &[("PURCHASE DATE", "20091011")])
            .bought("unknown", "claimed")
            .fact("bought_at", "2009-10-11"),
        Row::of(
            "1.4 the owner in Ogg",
            buys::ogg(&[("PURCHASE_OWNER", "user@example.com")], 0),
            "ogg",
            "vorbis",
        )
        .bought("unknown", "claimed")
        .personal(),
        m4a(
            "1.4 freeform PURCHASE_OWNER",
            freeform(&data(PLAIN), "com.apple.iTunes", "PURCHASE_OWNER", "Hanako Yamada"),
        )
        .bought("unknown", "claimed")
        .personal(),
        of_mp3("1.4 TDTG is a hint only", &[frame(b"TDTG", b"\x032010-01-02T03:04:05")]),
        of_mp3("9, 11 what a conversion carries along", &[user_text("account_id", "user@example.com")])
            .bought("unknown", "claimed")
            .personal(),
    ]
}

fn by_konpo() -> Vec<Row> {
    let fields = [
        ("STORE", "mora"),
        ("DATE", "2007-10-16"),
        ("PRICE", "250"),
        ("CURRENCY", "JPY"),
        ("ORDER", "A-1"),
        ("LEVEL", "receipt"),
    ];
    let named: Vec<(String, &str)> =
        fields.iter().map(|(n, v)| (format!("KONPO_PURCHASE_{n}"), *v)).collect();
    let frames: Vec<Vec<u8>> = named.iter().map(|(name, value)| user_text(name, value)).collect();
    let comments: Vec<(&str, &str)> = named.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let atoms =
        named.iter().fold(data(PLAIN), |file, (name, value)| freeform(&file, "org.konpo", name, value));
    let told = |row: Row| {
        let row = row.bought("mora", "receipt").personal().fact("bought_at", "2007-10-16");
        row.fact("price", "JPY 250").fact("order_id", "A-1")
    };
    vec![
        told(of_mp3("1.4 konpo's own, TXXX", &frames)),
        told(of_flac("1.4 konpo's own, vorbis", &comments)),
        told(m4a("1.4 konpo's own, freeform", atoms)),
    ]
}

fn fair_play() -> Vec<Row> {
    let stub = |of, entry: &[u8; 4]| m4a(of, renamed(&data(PLAIN), entry));
    let aavd = insert(&data(PLAIN), &ENTRY, &boxed(b"adrm", &[9; 60]));
    vec![
        m4a("2.1 drms", itunes_locked())
            .locked("drm.fairplay")
            .bought("itunes", "embedded")
            .personal()
            .fact("item_id", "123456"),
        stub("2.1 drms without sinf", b"drms").locked("drm.fairplay"),
        Row::of("2.1 drmi", renamed(&data(PLAIN), b"drmi"), "mp4", "other").locked("drm.fairplay"),
        m4a("2.1 a .m4p without drms", data(PLAIN)).named("m4p"),
        m4a("2.1 a .m4a with drms", renamed(&data(PLAIN), b"drms")).named("m4a").locked("drm.fairplay"),
        m4a("2.1 sinf of itun under mp4a", insert(&data(PLAIN), &ENTRY, &account(b"sinf")))
            .locked("drm.fairplay")
            .bought("itunes", "embedded")
            .personal(),
        Row::of("2.1 ftyp aax", branded(&data(PLAIN), b"aax "), "audible", "other").locked("drm.audible"),
        Row::of("2.1 ftyp aaxc", branded(&data(PLAIN), b"aaxc"), "audible", "other").locked("drm.audible"),
        m4a("2.1 aavd with adrm", renamed(&aavd, b"aavd")).locked("drm.audible"),
        Row::of("2.2 .aa", b"\0\0\x12\x34\x57\x90\x75\x36\0\0\0\0".to_vec(), "audible", "other")
            .locked("drm.audible"),
    ]
}

fn cenc_rows() -> Vec<Row> {
    let tenc = locks::tenc();
    let of_scheme = |of, scheme: &[u8; 4]| m4a(of, encrypted(b"enca", scheme, &tenc)).locked("drm.cenc");
    let system = |of, id| m4a(of, insert(&encrypted(b"enca", b"cenc", &tenc), &[b"moov"], &locks::pssh(id)));
    let moof = [encrypted(b"enca", b"cenc", &tenc), boxed(b"moof", &locks::pssh(locks::WIDEVINE))].concat();
    let odkm = boxed(b"odkm", &[vec![0; 4], locks::ohdr(1)].concat());
    vec![
        m4a("2.1 enca with Widevine", cenc()).locked("drm.cenc"),
        of_scheme("2.1 cenc", b"cenc"),
        of_scheme("2.1 cbcs", b"cbcs"),
        of_scheme("2.1 cens", b"cens"),
        of_scheme("2.1 cbc1", b"cbc1"),
        Row::of("2.1 encv", encrypted(b"encv", b"cenc", &tenc), "mp4", "other").locked("drm.cenc"),
        m4a("2.1 enca without sinf", renamed(&data(PLAIN), b"enca")).locked("drm.cenc"),
        system("2.1 pssh Widevine", locks::WIDEVINE).locked("drm.cenc").fact("protection", "Widevine"),
        system("2.1 pssh PlayReady", locks::PLAY_READY).locked("drm.cenc").fact("protection", "PlayReady"),
        system("2.1 pssh FairPlay", locks::FAIR_PLAY).locked("drm.cenc").fact("protection", "FairPlay"),
        m4a("2.1 pssh in moof", moof).locked("drm.cenc").fact("protection", "Widevine"),
        m4a("2.1 opf2, scheme odkm", branded(&encrypted(b"enca", b"odkm", &odkm), b"opf2"))
            .locked("drm.oma")
            .bought("rights.example", "claimed")
            .fact("item_id", "cid:song-1@shop.example"),
        m4a("2.1 ftyp isc2", branded(&data(PLAIN), b"isc2")).locked("drm.unknown"),
        m4a("2.1 schm iAEC", encrypted(b"enca", b"iAEC", &[])).locked("drm.unknown"),
        m4a("2.1 a scheme of nobody under mp4a", encrypted(b"mp4a", b"zzzz", &[])).locked("drm.unknown"),
    ]
}

fn windows() -> Vec<Row> {
    let wma = |of, objects: &[Vec<u8>]| Row::of(of, asf_of(objects), "asf", "wma");
    let plain = || locks::stream(0x161, 0);
    vec![
        Row::of("2.3 Content Encryption", wm_drm("http://licence.example/get"), "asf", "other")
            .locked("drm.wm")
            .bought("licence.example", "claimed")
            .fact("protection", "http://licence.example/get"),
        Row::of("2.3 a rip that is locked", wm_drm("http://go.microsoft.com/x"), "asf", "other")
            .locked("drm.wm"),
        wma(
            "2.3 Extended Content Encryption",
            &[plain(), locks::extended("2.0.0.0", "http://licence.example/10")],
        )
        .locked("drm.wm")
        .bought("licence.example", "claimed")
        .fact("protection", "http://licence.example/10"),
        wma("2.3 PlayReady 4.0", &[plain(), locks::extended("4.0.0.0", "http://licence.example/pr")])
            .locked("drm.wm")
            .fact("protection", "play_ready"),
        wma("2.3 PlayReady 4.1", &[plain(), locks::extended("4.1.0.0", "http://licence.example/pr")])
            .locked("drm.wm")
            .fact("protection", "play_ready"),
        wma("2.3 Advanced Content Encryption", &[plain(), locks::header_extension(&locks::advanced())])
            .locked("drm.wm"),
        wma("2.3 Advanced Content Encryption in the header", &[plain(), locks::advanced()]).locked("drm.wm"),
        wma("2.3 Digital Signature is no lock", &[plain(), locks::signature()]),
        wma("2.3 flag bit 15", &[locks::stream(0x161, 0x8001)]).locked("drm.unknown"),
        wma("2.3 flag bit 15, then a name", &[locks::stream(0x161, 0x8001), locks::extended("2.0.0.0", "")])
            .locked("drm.wm"),
    ]
}

fn sony() -> Vec<Row> {
    // ATRAC3 of 44.1 kHz with 384 bytes a frame; ATRAC3plus of 44.1 kHz, stereo.
    const AT3: u32 = 0x2030;
    const AT3_PLUS: u32 = 0x2800 | 0x2e;
    let of = |of, word, codec, name| {
        let params = if codec == 1 { AT3_PLUS } else { AT3 };
        Row::of(of, locks::oma(1, word, codec, params, &[], &locks::silence(8)), "oma", name)
    };
    let with = |of, objects: &[&str]| {
        Row::of(of, locks::oma(1, 1, 1, AT3_PLUS, objects, &[7; 800]), "oma", "atrac3_plus")
    };
    let scrambled = locks::oma(1, 0xfffe, 3, 0, &[], &mp3_frames());
    let bare = locks::oma(1, 0xffff, 0, AT3, &[], &locks::silence(8));
    let at = bare.windows(4).position(|w| w == b"EA3\x01").expect("EA3");
    let noise =
        |n: u32| (0..4096u32).map(|i| ((i + n).wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<u8>>();
    let old = |of, extension| Row::of(of, noise(9), "oma", "other").named(extension).locked("drm.openmg");
    vec![
        of("2.4 word FFFF", 0xffff, 0, "atrac3"),
        of("2.4 word FF80", 0xff80, 0, "atrac3"),
        Row::of("2.4 word FFFE", scrambled, "oma", "mp3").locked("drm.sonymp3"),
        of("2.4 word 0001", 1, 0, "atrac3").locked("drm.openmg"),
        of("2.4 another word", 0x1234, 0, "atrac3").locked("drm.openmg"),
        Row::of("2.4 EA3 without a tag", bare[at..].to_vec(), "oma", "atrac3"),
        Row::of("2.4 generation 0", locks::oma(0, 0xffff, 0, AT3, &[], &locks::silence(8)), "oma", "atrac3"),
        Row::of("2.4 generation 2", locks::oma(2, 0xffff, 0, AT3, &[], &locks::silence(8)), "oma", "atrac3"),
        of("2.4 codec 1", 0xffff, 1, "atrac3_plus"),
        of("2.4 codec 2", 0xffff, 2, "aac_lc"),
        Row::of("2.4 codec 3", locks::oma(1, 0xffff, 3, 0, &[], &mp3_frames()), "oma", "mp3"),
        of("2.4 codec 4", 0xffff, 4, "pcm"),
        of("2.4 codec 5", 0xffff, 5, "wma"),
        of("2.4 codec 33", 0xffff, 33, "atrac3_plus"),
        of("2.4 codec 34", 0xffff, 34, "atrac3"),
        with("2.4 OMG_LSI alone", &["OMG_LSI"]).locked("drm.openmg").bought("sony", "claimed"),
        with("2.4 OMG_BKLSI alone", &["OMG_BKLSI"]).locked("drm.openmg").bought("sony", "claimed"),
        with("1.3 OMG_LSI and OMG_ULINF", &["OMG_LSI", "OMG_ULINF"])
            .locked("drm.openmg")
            .bought("sony", "embedded"),
        with("2.4 OMG_OLINF", &["OMG_OLINF"]).locked("drm.openmg").bought("sony", "embedded"),
        with("2.4 OMG_MARLN", &["OMG_MARLN"]).locked("drm.openmg").bought("sony", "embedded"),
        old("2.4 .omg of OpenMG Jukebox", "omg"),
        old("2.4 .MSA of a Memory Stick", "MSA"),
        old("2.4 .HMA of a Hi-MD", "HMA"),
    ]
}

fn phones() -> Vec<Row> {
    let brand = |of, brand| m4a(of, branded(&data(PLAIN), brand));
    let locked = |bytes: Vec<u8>| branded(&bytes, b"kddi");
    vec![
        brand("2.6 3gp4", b"3gp4"),
        brand("2.6 3gp5", b"3gp5"),
        brand("2.6 3gp6", b"3gp6"),
        brand("2.6 3g2a", b"3g2a"),
        brand("2.6 3g2b", b"3g2b"),
        brand("2.6 3g2c", b"3g2c"),
        brand("2.6 mmp4", b"mmp4"),
        brand("2.1 kddi", b"kddi").locked("drm.phone"),
        brand("2.1 KDDI", b"KDDI").locked("drm.phone"),
        m4a("2.6 .amc: isom and cpgd", copy_guarded(&branded(&data(PLAIN), b"isom")))
            .named("amc")
            .locked("drm.phone")
            .bought("kddi", "embedded"),
        m4a("2.1 cpgd and kddi", copy_guarded(&locked(data(PLAIN))))
            .locked("drm.phone")
            .bought("kddi", "embedded"),
        m4a("2.6 kddi and enca", locked(encrypted(b"enca", b"cenc", &locks::tenc())))
            .locked("drm.phone")
            .bought("kddi", "embedded"),
        Row::of("2.6 kddi and an entry of nobody", locked(renamed(&data(PLAIN), b"xxxx")), "mp4", "other")
            .locked("drm.phone")
            .bought("kddi", "embedded"),
        m4a("2.6 tags of a phone", buys::phone_tags(&branded(&data(PLAIN), b"3gp5"))),
    ]
}

fn oma() -> Vec<Row> {
    let message = |header: &str| format!("--boundary\r\n{header}\r\n\r\nsound").into_bytes();
    let row = |of, bytes| Row::of(of, bytes, "omadrm", "other").locked("drm.oma");
    let wrapped = |of, method| {
        let bought = row(of, locks::dcf_2(method)).bought("rights.example", "claimed");
        bought.fact("item_id", "cid:song-1@shop.example").fact("protection", "http://rights.example/ri")
    };
    let headless = [boxed(b"ftyp", b"odcf\0\0\0\x02odcf"), boxed(b"free", &[0; 64])].concat();
    vec![
        row("2.5 forward lock", message("Content-Type: audio/mpeg")),
        row("2.5 forward lock, encoded", message("Content-Transfer-Encoding: binary")),
        row("2.5 DCF of version 1", locks::dcf_1())
            .bought("rights.example", "claimed")
            .fact("item_id", "cid:tone-7@shop.example"),
        wrapped("2.5 DCF of version 2, in clear", 0),
        wrapped("2.5 DCF of version 2, CBC", 1),
        wrapped("2.5 DCF of version 2, CTR", 2),
        row("2.1 odcf without odrm", headless),
    ]
}

/// What section 8 lists and our own code or `tests/data` can make.
fn made() -> Vec<Row> {
    let cp932 = b"\0\x8f\xee\x94M\x91\xe5\x97\xa4";
    let mut v1 = [b"TAG", &cp932[1..]].concat();
    v1.resize(128, 0);
    let at3_wav = {
        let mut file = wav(100);
        file[20..22].copy_from_slice(&[0x70, 0x02]);
        file
    };
    let codec = |of, tag| Row::of(of, asf_of(&[locks::stream(tag, 0)]), "asf", "wma");
    let tta =
        [b"TTA1\x01\0\x02\0\x10\0", &44_100u32.to_le_bytes()[..], &1000u32.to_le_bytes(), &[0; 64]].concat();
    let mpc_8 = b"MPCKSH\x0f\0\0\0\0\x08\x87\x68\0\x0f\x18AP\x04zzSE\x03".to_vec();
    vec![
        Row::of("8 FLAC", data("tone.flac"), "flac", "flac"),
        Row::of("8 ALAC", data("tone-alac.m4a"), "mp4", "alac"),
        m4a("8 AAC", data(PLAIN)),
        Row::of("8 MP3", data("tone.mp3"), "mpeg", "mp3"),
        Row::of("8 Vorbis", data("tone.ogg"), "ogg", "vorbis"),
        Row::of("8 WAV", wav(100), "wav", "pcm"),
        Row::of("8 AIFF", data("tone.aiff"), "aiff", "pcm"),
        Row::of("8 HE-AAC", data("tone-he-aac.m4a"), "mp4", "he_aac"),
        Row::of("8 WavPack", wavpack(1000), "wavpack", "wav_pack"),
        Row::of("8 TTA", tta.clone(), "tta", "tta"),
        Row::of("8 TTA behind ID3", [tag(b"ID3", &frame(b"TIT2", b"\0Song")), tta].concat(), "tta", "tta"),
        Row::of("8 DSF", dsf(8192), "dsf", "dsd"),
        Row::of("8 DSDIFF", dff(8192), "dff", "dsd"),
        Row::of("8 ATRAC3 in WAV", at3_wav, "wav", "atrac3"),
        Row::of(
            "8 Shift-JIS in ID3",
            [tag(b"ID3", &frame(b"TIT2", cp932)), mp3_frames(), v1].concat(),
            "mpeg",
            "mp3",
        ),
        codec("8 WMA Pro by its tag", 0x162),
        codec("8 WMA Lossless by its tag", 0x163),
        codec("8 WMA 1 by its tag", 0x160),
        Row::of("8 ASF of another coding", asf(&[]), "asf", "other"),
        Row::of("8 APE by its magic", ape(3), "ape", "ape"),
        Row::of("8 TAK by its magic", [&b"tBaK"[..], &[0; 200]].concat(), "tak", "tak"),
        Row::of(
            "8 Musepack 7 by its magic",
            [&b"MP+\x07\x10\0\0\0\0\0\0\0"[..], &[0; 200]].concat(),
            "musepack",
            "musepack",
        ),
        Row::of("8 Musepack 8 by its magic", mpc_8, "musepack", "musepack"),
        Row::of("8 an MP4 of a coding nobody knows", renamed(&data(PLAIN), b"xxxx"), "mp4", "other"),
    ]
}
