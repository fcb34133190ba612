//! Names that somebody who means harm, or another system, gives a file. Made here, each family by its rule; used by the
//! tests of every way in.

// Each test program uses a part of them.
#![allow(dead_code)]

/// Names that lead elsewhere, on whatever system, and names with controls: no way in takes any of them.
pub fn climbing() -> Vec<String> {
    let mut names = Vec::new();
    let starts = [
        "../",
        "..\\",
        "./",
        "a/../../",
        "a\\..\\..\\",
        "a/..//",
        "/",
        "//",
        "///",
        "\\",
        "\\\\server\\share\\",
        "\\\\?\\C:\\",
        "\\\\.\\pipe\\",
        "C:\\",
        "c:/",
        "Z:\\..\\",
        ".. /",
        "... /",
        "a/. ./",
        "a/.../",
    ];
    let targets = ["x.wav", "etc/passwd", ".konpo/root.toml", "Windows/win.ini", "夜/歌.flac"];
    for start in starts {
        names.extend(targets.iter().map(|target| format!("{start}{target}")));
    }
    names.extend((1..=16).map(|depth| "../".repeat(depth) + "x.wav"));
    names.extend((1..=16).map(|depth| "..\\".repeat(depth) + "x.wav"));
    names.extend(["..", ".", "../", "a/..", "a/.", "a/", "a//b.wav", "", "..\\", "a\\.."].map(str::to_owned));
    // Controls (ASCII C0, DEL, C1): NUL cuts names in C, a line break forges lines of logs, an escape paints terminals.
    let controls = (0..0x20_u8).map(char::from).chain(['\u{7f}', '\u{80}', '\u{85}', '\u{9b}']);
    names.extend(controls.map(|control| format!("a{control}b.wav")));
    names.extend(
        ["x.wav\0.jpg", "\0", "a/\0/b.wav", "x\r\nSet-Cookie: a=b.wav", "x\u{1b}[2J.wav"].map(str::to_owned),
    );
    names
}

/// Names that are odd, and may be taken under a name that is mended, or not.
pub fn odd() -> Vec<String> {
    let mut names = Vec::new();
    // Devices of DOS, with and without an extension (Microsoft, "Naming Files, Paths, and Namespaces").
    let devices = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"].map(str::to_owned);
    let numbered = (0..10).flat_map(|n| [format!("COM{n}"), format!("LPT{n}")]);
    for device in devices.into_iter().chain(numbered).chain(["COM¹", "LPT²"].map(str::to_owned)) {
        names.extend([device.to_lowercase(), format!("{device}.wav"), format!("{device}.a.flac")]);
    }
    // Streams of NTFS.
    names.extend(
        ["a.wav:evil", "a.wav::$DATA", "a.wav:Zone.Identifier:$DATA", ":a.wav", "a:b.wav"].map(str::to_owned),
    );
    // Ends that Windows cuts, starts that Unix hides or takes for options.
    names.extend(
        ["a.wav.", "a.wav ", "a.wav. . .", " a.wav", ".a.wav", ".konpo", "-rf", "--help.wav", "-"]
            .map(str::to_owned),
    );
    // Words that shells, SQL, HTML, URLs and formats of printf take for more.
    let words = [
        "~",
        "~root",
        "~/x.wav",
        "$HOME.wav",
        "`id`.wav",
        "$(id).wav",
        "a;b.wav",
        "a|b.wav",
        "a&b.wav",
        "*.wav",
        "?.wav",
        "<script>alert(1)</script>.wav",
        "\"><img src=x>.wav",
        "'; DROP TABLE track;--.wav",
        "%s%n%x.wav",
        "{}.wav",
        "${jndi:x}.wav",
        "a%00b.wav",
        "%2e%2e%2fx.wav",
        "..%2fx.wav",
        "%2e%2e/x.wav",
        "%252e%252e%252fx.wav",
        "..%5cx.wav",
        "..%c0%afx.wav",
        "..%u2215x.wav",
        "=?utf-8?q?a?=.wav",
        "AC\\DC.wav",
        "a\\b\\c.wav",
        "x..",
        "..x.wav",
        "a..b.wav",
        "....wav",
        "#a.wav",
        "@a.wav",
        "%TEMP%.wav",
        "desktop.ini.wav",
        "Thumbs.db.wav",
        "autorun.inf.wav",
        "a.wav.exe.wav",
        "con.",
        "index.html.wav",
        "root.toml",
        "ledger.jsonl",
        "staging",
    ];
    names.extend(words.map(str::to_owned));
    // Letters that look like dots and slashes, and become some under compatibility forms (UAX #15, NFKC).
    let alike = ["․․", "‥", "…", "．．", "。。", "﹒﹒"];
    for slash in ["／", "∕", "⁄", "⧸", "＼", "﹨", "⧵"] {
        names.extend(alike.iter().map(|dots| format!("{dots}{slash}x.wav")));
    }
    // Composed and not (NFC, NFD), joined, doubled.
    names.extend(
        ["か\u{3099}.wav", "e\u{301}.wav", "A\u{30a}.wav", "ﬁ.wav", "ß.wav", "ẞ.wav", "İ.wav", "ı.wav"]
            .map(str::to_owned),
    );
    names.extend(
        ["👩\u{200d}🎤.wav", "🇯🇵.wav", "1\u{fe0f}\u{20e3}.wav", "ｱｲｳ.wav", "㍿.wav"].map(str::to_owned),
    );
    // Marks that turn the direction of writing, join, hide, or are no letters at all (UAX #9, UTS #39).
    let marks = [
        '\u{61c}',
        '\u{200e}',
        '\u{200f}',
        '\u{202a}',
        '\u{202b}',
        '\u{202c}',
        '\u{202d}',
        '\u{202e}',
        '\u{2066}',
        '\u{2067}',
        '\u{2068}',
        '\u{2069}',
        '\u{200b}',
        '\u{200c}',
        '\u{200d}',
        '\u{2060}',
        '\u{feff}',
        '\u{ad}',
        '\u{2028}',
        '\u{2029}',
        '\u{180e}',
        '\u{e0001}',
        '\u{fe0f}',
        '\u{fffd}',
        '\u{fffe}',
        '\u{10ffff}',
        '\u{e000}',
        '\u{a0}',
        '\u{3000}',
        '\u{115f}',
    ];
    names.extend(
        marks
            .iter()
            .flat_map(|mark| [format!("song{mark}3pm.wav"), format!("{mark}x.wav"), mark.to_string()]),
    );
    // Lengths about the limits of file systems: 255 bytes, 255 UTF-16 units, 4,096 bytes of a path.
    for length in [200, 201, 254, 255, 256, 1000, 4095, 4096, 4097] {
        names.extend(["x", "あ", "😀"].map(|letter| letter.repeat(length / letter.len()) + ".wav"));
    }
    names.push(format!("a{}.wav", "\u{301}".repeat(500)));
    names.push(format!("{}x.wav", "f/".repeat(600)));
    names.push(format!("x.{}", "w".repeat(300)));
    names
}

/// Names that are no UTF-8, as bytes: overlong forms (RFC 3629, 3), surrogates, cut letters, Shift JIS, EUC-JP, Latin 1.
pub fn bytes() -> Vec<Vec<u8>> {
    let names: [&[u8]; 14] = [
        b"..\xc0\xafx.wav",
        b"\xc0\xae\xc0\xae\xc0\xafx.wav",
        b"\xe0\x80\xae\xe0\x80\xae/x.wav",
        b"\xf0\x80\x80\xae/x.wav",
        b"a\xc0\x80b.wav",
        b"a\xed\xa0\x80\xed\xb0\x80.wav",
        b"a\xe3\x81.wav",
        b"\xff\xfe.wav",
        b"\x80\x81\x82.wav",
        b"\x96\xe9\x82\xcc\x89\xcc.wav",
        b"\x83\x5c\x83\x5c.wav",
        b"\xcc\xeb\xa4\xce\xb2\xce.wav",
        b"caf\xe9.wav",
        b"\xf8\x88\x80\x80\xaf.wav",
    ];
    names.map(<[u8]>::to_vec).to_vec()
}
