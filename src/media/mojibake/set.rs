//! Albums as they stand on old disks, each written in a charset of its own and read as Latin-1. The names are made up.

use encoding_rs::*;
use proptest::prelude::*;

use super::*;

/// An album: what its tags mean, and the charset that they were written in.
struct Album {
    written: &'static Encoding,
    /// What the repair has to find; `None`: it may not touch it.
    want: Option<Charset>,
    words: &'static [&'static str],
}

const SJIS: Option<Charset> = Some(Charset::ShiftJis);
const EUC: Option<Charset> = Some(Charset::EucJp);
const UTF: Option<Charset> = Some(Charset::Utf8);

macro_rules! albums {
    ($($written:ident $want:ident [$($word:literal),+ $(,)?])+) => {
        &[$(Album { written: $written, want: $want, words: &[$($word),+] }),+]
    };
}

/// Japanese, in what Windows, Unix and careless programs wrote.
const JAPANESE: &[Album] = albums! {
    SHIFT_JIS SJIS ["夜明けの電車", "山田花子", "遠い窓", "雨上がり", "約束の丘", "手紙", "さよならの前に"]
    SHIFT_JIS SJIS ["スターライト・ドライブ", "ネオン少年団", "真夜中のハイウェイ", "ラジオ塔", "ミッドナイト"]
    SHIFT_JIS SJIS ["BLUE MOON", "佐藤一郎カルテット", "Blue Moon", "ワルツ No.3", "Take 5 (別テイク)"]
    SHIFT_JIS SJIS ["Best of 2003", "THE KONPO BAND feat.鈴木", "愛", "Love Song", "恋", "Dance!"]
    SHIFT_JIS SJIS ["交響曲第9番 ニ短調", "東都フィルハーモニー管弦楽団", "第1楽章 Allegro", "第2楽章 Scherzo"]
    SHIFT_JIS SJIS ["～青い鳥～", "合唱団こだま", "①春", "②夏", "③秋", "④冬（ボーナストラック）"]
    SHIFT_JIS SJIS ["津軽じょんがら節", "民謡ひろば", "ソーラン節", "花笠音頭", "八木節"]
    SHIFT_JIS SJIS ["魔法少女もちもち オリジナル・サウンドトラック", "V.A.", "オープニング (TVサイズ)", "変身！", "敵襲"]
    SHIFT_JIS SJIS ["表示と能力", "ソ連製ラジオ", "予測不能", "十字路", "貼り紙", "構造"]
    SHIFT_JIS SJIS ["Cafe Time", "DJ Tanuki", "珈琲 (Extended Mix)", "Latte", "抹茶 (Remix)"]
    SHIFT_JIS SJIS ["㈱音楽制作 社歌", "Ⅰ 朝礼", "Ⅱ 昼礼", "№5", "昭和６０年録音"]
    SHIFT_JIS SJIS ["浪曲名演集", "虎川玉造", "清水次郎長伝", "森の石松", "仕立屋銀次"]
    SHIFT_JIS SJIS ["空", "空", "海", "星"]
    SHIFT_JIS SJIS ["ﾍﾞｽﾄ ｾﾚｸｼｮﾝ 歌謡曲全集", "ﾐｽ・ｼｬﾎﾞﾝ", "恋は水色の鳥", "雨の終着駅", "ｻﾖﾅﾗ横浜"]
    SHIFT_JIS SJIS ["Don't Stop 音楽", "Mr.ポスト", "Rock'n Roll 天国", "It's 夏"]
    SHIFT_JIS SJIS ["さくら", "Hana Yamada"]
    SHIFT_JIS SJIS ["ひゅるり", "Koto Duo", "Ame", "Kaze"]
    SHIFT_JIS SJIS ["Comment by EAC", "水槽のなかの猫", "Aquarium", "金魚"]
    SHIFT_JIS SJIS ["とても長い題名の歌をうたいましょう今", "ID3の三十文字で切れる歌", "みじかい"]
    EUC_JP EUC ["夜明けの電車", "山田花子", "遠い窓", "雨上がり", "約束の丘", "さよならの前に"]
    EUC_JP EUC ["スターライト・ドライブ", "ネオン少年団", "真夜中のハイウェイ", "ラジオ塔"]
    EUC_JP EUC ["BLUE MOON", "佐藤一郎カルテット", "Blue Moon", "ワルツ No.3"]
    EUC_JP EUC ["交響曲第9番 ニ短調", "東都フィルハーモニー管弦楽団", "第1楽章 Allegro"]
    EUC_JP EUC ["津軽じょんがら節", "民謡ひろば", "ソーラン節", "花笠音頭"]
    EUC_JP EUC ["魔法少女もちもち", "オープニング (TVサイズ)", "変身！", "敵襲"]
    EUC_JP EUC ["浪曲名演集", "虎川玉造", "清水次郎長伝", "森の石松", "仕立屋銀次"]
    EUC_JP EUC ["さくら", "Hana Yamada"]
    UTF_8 UTF ["夜明けの電車", "山田花子", "遠い窓", "雨上がり"]
    UTF_8 UTF ["スターライト・ドライブ", "ネオン少年団", "DJ Tanuki"]
    UTF_8 UTF ["愛", "Hana Yamada", "Love"]
    UTF_8 UTF ["Fröhliche Lieder", "Jürgen Müßig", "Schöne Aussicht"]
    UTF_8 UTF ["Été à la mer", "Hélène Dufrêne", "L’île déserte"]
    UTF_8 UTF ["Поезд на рассвете", "Анна Петрова", "Дождь"]
    UTF_8 UTF ["Chuyến tàu bình minh", "Nguyễn Thị Hoa", "Mưa"]
};

/// Everything that may not be touched.
const OTHERS: &[Album] = albums! {
    WINDOWS_1252 None ["Fröhliche Lieder", "Jürgen Müßig", "Schöne Aussicht", "Übermut", "Straße nach Süden"]
    WINDOWS_1252 None ["ÄÖÜ", "DIE ÄRZTINNEN", "GRÖSSE", "ÜBER ÖDE ÄCKER"]
    WINDOWS_1252 None ["Für Elise", "Klavier"]
    WINDOWS_1252 None ["Été à la mer", "Hélène Dufrêne", "L’île déserte", "Ça va, chérie ?", "Rêvé"]
    WINDOWS_1252 None ["La cité créée", "Aïcha Noël", "Cœur d’été", "Œuvres complètes", "“Liberté”"]
    WINDOWS_1252 None ["L’Âge d’Or", "Don’t Stop", "It’s Over", "You’re Mine"]
    WINDOWS_1252 None ["Don’t", "Can’t", "Won’t"]
    WINDOWS_1252 None ["“Heroes”", "“Étude”", "…And Then", "Love – Hate"]
    WINDOWS_1252 None ["¿Quién eres?", "José Peñalver", "¡Ándale!", "Corazón", "Mañana será otro día"]
    WINDOWS_1252 None ["¿Él?", "Los Niños", "¡Él!"]
    WINDOWS_1252 None ["Canção do Mar", "João Conceição", "São", "Não", "Órfãos"]
    WINDOWS_1252 None ["Perché no", "Niccolò Città", "È così", "Più su"]
    WINDOWS_1252 None ["Ágætis morgunn", "Björg Sigurðardóttir", "Ísinn", "Þýðing", "Ævintýri", "Hafið"]
    WINDOWS_1252 None ["Blåbärsskogen", "Åsa Öström", "Älgen", "På väg hem", "Höst"]
    WINDOWS_1252 None ["Rødgrød med fløde", "Søren Ærø", "Øen", "Gå væk", "Blå"]
    WINDOWS_1252 None ["Yötön yö", "Väinö Mäkelä", "Hääyö", "Työ", "Pöytä"]
    WINDOWS_1252 None ["Björk", "Beyoncé", "Motörhead", "Sigur Rós", "Mötley Crüe"]
    WINDOWS_1252 None ["Naïve", "Zoë", "Café", "Voilà"]
    WINDOWS_1252 None ["10° North", "½ Price", "© 2003 Konpo Records", "® & ™"]
    WINDOWS_1252 None ["ÀÉÎÕÜ", "ñandú", "éé"]
    WINDOWS_1252 None ["Œdipe", "Ÿ", "Šárka", "Žižka"]
    WINDOWS_1250 None ["Příliš žluťoučký kůň", "Jiří Dvořák", "Šeříky", "Větší ticho", "Dušičky"]
    WINDOWS_1250 None ["Duší", "Naší"]
    WINDOWS_1250 None ["Zażółć gęślą jaźń", "Łukasz Żak", "Śnieg", "Miłość"]
    WINDOWS_1250 None ["Őszi szőlő", "Gyöngyösi Ákos", "Hűvös tűz", "Árvíztűrő"]
    WINDOWS_1254 None ["Gökyüzü şarkısı", "Ayşe Öztürk", "Işık", "Güneş", "Çığlık", "Dağlar"]
    WINDOWS_1254 None ["İstanbul", "Aşk", "Gül"]
    WINDOWS_1257 None ["Šaltą rytą", "Rūta Žemaitė", "Ąžuolas", "Līgo", "Õhtu"]
    WINDOWS_1258 None ["Đêm trăng", "Lê Đức", "Nhớ", "Mùa thu"]
    WINDOWS_1251 None ["Поезд на рассвете", "Анна Петрова", "Дождь", "Окна", "Я и ты"]
    WINDOWS_1251 None ["Осень", "Ветер"]
    KOI8_R None ["Поезд на рассвете", "Анна Петрова", "Дождь", "Окна"]
    IBM866 None ["Поезд на рассвете", "Анна Петрова", "Дождь", "Окна", "Мы"]
    IBM866 None ["Осень", "Зима", "Он"]
    WINDOWS_1253 None ["Το τρένο της αυγής", "Ελένη Παππά", "Βροχή"]
    WINDOWS_1255 None ["רכבת השחר", "חנה לוי", "גשם"]
    WINDOWS_874 None ["รถไฟยามเช้า", "สมหญิง ใจดี", "ฝน"]
    MACINTOSH None ["Été à la mer", "Hélène Dufrêne", "Fröhliche Lieder", "Straße"]
    MACINTOSH None ["Björk", "Zoë", "Für dich"]
    GBK None ["黎明的火车", "王小花", "雨后", "约定的山丘", "远方的窗"]
    GBK None ["爱", "星星", "月光"]
    BIG5 None ["黎明的火車", "王小花", "雨後", "約定的山丘"]
    EUC_KR None ["새벽 기차", "김하나", "비 온 뒤", "사랑", "먼 창문"]
    EUC_KR None ["사랑해", "그대"]
};

/// Writes words in a charset, and reads the bytes as Latin-1, as tag readers do.
fn misread(written: &'static Encoding, word: &str) -> String {
    let (bytes, _, unmappable) = written.encode(word);
    // Vietnamese marks are letters of their own in Windows-1258.
    assert!(!unmappable || written == WINDOWS_1258, "{word} is not in {}", written.name());
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// Vietnamese in VISCII 1.1 and TCVN 5712, which no program here writes: the bytes themselves.
const BARE: &[&[&[u8]]] = &[
    &[b"Chuy\xaan t\xe0u", b"Nguy\xadn Th\xb8 Hoa", b"\xd0\xeam tr\xe5ng", b"M\xdfa"],
    &[b"Chuy\xd5n t\xb5u", b"Nguy\xd4n Th\xde Hoa", b"\xa7\xaam tr\xa8ng", b"M\xada"],
    // MS-DOS, code page 850.
    &[b"Fr\x94hliche Lieder", b"J\x81rgen M\x81\xe1ig", b"Sch\x94ne Aussicht"],
];

#[test]
fn albums_of_old_disks_are_repaired_or_left_alone() {
    let (mut right, mut wrong, mut missed) = (0, Vec::new(), Vec::new());
    let (mut alone_right, mut alone) = (0, 0);
    for album in JAPANESE.iter().chain(OTHERS) {
        let read: Vec<String> = album.words.iter().map(|word| misread(album.written, word)).collect();
        let found = judge(read.iter().map(String::as_str));
        if found == album.want {
            right += 1;
        } else if found.is_some() {
            wrong.push((album.words, found));
        } else {
            missed.push(album.words);
        }
        if let Some(charset) = found {
            for (word, was) in album.words.iter().zip(&read) {
                assert_eq!(repair(was, charset).as_deref().unwrap_or(was), *word, "{charset:?}");
            }
        }
        // A file that comes alone: album, artist and one title.
        for title in read.iter().skip(2) {
            let few = [&read[0], &read[1], title];
            let found = judge(few.iter().map(|word| word.as_str()));
            assert!(found.is_none() || found == album.want, "{:?}: {found:?}", album.words);
            (alone, alone_right) = (alone + 1, alone_right + usize::from(found == album.want));
        }
    }
    for album in BARE {
        let read = album.iter().map(|word| word.iter().map(|&b| char::from(b)).collect::<String>());
        match judge(read.collect::<Vec<_>>().iter().map(String::as_str)) {
            None => right += 1,
            found => wrong.push((&["bare"], found)),
        }
    }
    let all = JAPANESE.len() + OTHERS.len() + BARE.len();
    println!("{all} albums: {right} right, {} missed, {} repaired wrongly", missed.len(), wrong.len());
    missed.iter().for_each(|words| println!("missed: {words:?}"));
    println!("{alone} files alone: {alone_right} right, none repaired wrongly");
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(missed.len() <= 2 && all >= 40, "{missed:?}");
    assert!(alone_right * 100 >= alone * 95, "{alone_right} of {alone}");
}

#[test]
fn a_field_that_was_cut_in_the_middle_of_a_letter_is_read_up_to_it() {
    let written = misread(SHIFT_JIS, "とても長い題名の歌をうたいましょう");
    let cut: String = written.chars().take(29).collect();
    assert_eq!(judge([cut.as_str()]), Some(Charset::ShiftJis));
    assert_eq!(repair(&cut, Charset::ShiftJis).as_deref(), Some("とても長い題名の歌をうたいま"));
    let cut: String = misread(UTF_8, "とても長い題名の歌をうたいましょう").chars().take(28).collect();
    assert_eq!(judge([cut.as_str()]), Some(Charset::Utf8));
    assert_eq!(repair(&cut, Charset::Utf8).as_deref(), Some("とても長い題名の歌"));
    // Elsewhere half a letter is a sign that it was none.
    assert_eq!(judge(["Sch\u{f6}n, caf\u{e9}"]), None);
}

#[test]
fn what_is_unicode_already_is_no_matter() {
    assert_eq!(judge(["夜明けの電車", "plain"]), None);
    assert_eq!(judge([]), None);
    assert_eq!(repair("plain", Charset::ShiftJis), None);
    assert_eq!(repair("夜", Charset::ShiftJis), None);
}

proptest! {
    #[test]
    fn no_words_break_it(words in proptest::collection::vec("[\\x01-\u{ff}]{0,40}", 0..6)) {
        if let Some(charset) = judge(words.iter().map(String::as_str)) {
            for word in &words {
                prop_assert!(repair(word, charset).is_none_or(|text| !text.trim().is_empty()));
            }
        }
    }

    #[test]
    fn western_words_are_never_touched(words in proptest::collection::vec("[A-Za-z ]{1,8}[À-ÖØ-öø-ÿ][a-z]{0,6}", 1..8)) {
        prop_assert_eq!(judge(words.iter().map(String::as_str)), None);
    }
}
