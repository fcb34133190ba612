//! A made-up collection: artists, their albums, the songs of an album. The same number gives the same names.

use std::path::Path;

use super::song::{
    ALBUM, ALBUM_ARTIST, ALBUM_ARTIST_SORT, ALBUM_GAIN, ALBUM_PEAK, ALBUM_SORT, ARTIST, ARTIST_SORT,
    COMPOSER, DATE, GENRE, Key, Kind, Song, TITLE, TITLE_SORT, TRACK_GAIN, TRACK_PEAK, picture,
};
use super::support::fixtures::Random;

/// One album, before its songs are named.
pub struct Album {
    artist: u64,
    /// Which one of its artist.
    number: u64,
    /// Which one of all.
    index: u64,
    /// How many songs it has.
    pub tracks: u8,
    artists: u64,
}

/// A name and how it is sorted, when that is another text.
struct Name {
    shown: String,
    sort: Option<String>,
}

/// Returns albums that have `count` songs together: about eight of an artist, about twelve songs on one.
pub fn albums(count: usize) -> Vec<Album> {
    let mut random = Random(SEED);
    let (mut albums, mut left, mut artist) = (Vec::new(), count, 0);
    while left > 0 {
        for number in 0..4 + random.below(9) {
            let tracks = (8 + random.below(9)).min(left as u64);
            if tracks == 0 {
                break;
            }
            left -= tracks as usize;
            let index = albums.len() as u64;
            albums.push(Album { artist, number, index, tracks: tracks as u8, artists: 0 });
        }
        artist += 1;
    }
    albums.iter_mut().for_each(|album| album.artists = artist);
    albums
}

impl Album {
    /// Returns its songs; some albums have a cover, grown from `pattern`.
    pub fn songs(&self, pattern: &[u8]) -> Vec<Song> {
        let mut random = Random(SEED ^ (self.index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let compilation = self.index % 40 == 7;
        let of = artist(self.artist);
        let album = self.title(compilation, &mut random);
        let kind = match random.below(3) {
            0 => Kind::Flac,
            1 => Kind::Mp3,
            _ => Kind::M4a,
        };
        let mut common: Vec<(Key, Vec<String>)> = Vec::new();
        put(&mut common, ALBUM, Some(ALBUM_SORT), &album);
        let various = Name { shown: "Various Artists".into(), sort: None };
        let album_artist = if compilation { &various } else { &of };
        put(&mut common, ALBUM_ARTIST, Some(ALBUM_ARTIST_SORT), album_artist);
        let genre = random.below(GENRES.len() as u64) as usize;
        let mut genres = vec![GENRES[genre].to_owned()];
        if random.below(10) < 3 {
            genres.push(GENRES[(genre + 5) % GENRES.len()].to_owned());
        }
        common.push((GENRE, genres));
        let mut date = (1955 + random.below(71)).to_string();
        if random.below(10) < 4 {
            date += &format!("-{:02}-{:02}", 1 + random.below(12), 1 + random.below(28));
        }
        common.push((DATE, vec![date]));
        let gains = random.below(2) == 0;
        if gains {
            gain(&mut common, ALBUM_GAIN, ALBUM_PEAK, &mut random);
        }
        let composed = random.below(10) < 4;
        let cover = (random.below(20) == 0).then(|| picture(pattern, random.next()));
        let discs = if random.below(12) == 0 && self.tracks > 1 { 2 } else { 1 };
        let folder = Path::new(&album_artist.shown).join(&album.shown);
        let song = |number: u8| {
            let (disc, track) = self.place(number, discs);
            let mut tags = common.clone();
            let title = title(self.japanese(), &mut random);
            put(&mut tags, TITLE, Some(TITLE_SORT), &title);
            let own = compilation.then(|| artist(random.below(self.artists)));
            put(&mut tags, ARTIST, Some(ARTIST_SORT), own.as_ref().unwrap_or(&of));
            if composed {
                put(&mut tags, COMPOSER, None, &artist(random.below(self.artists)));
            }
            if gains {
                gain(&mut tags, TRACK_GAIN, TRACK_PEAK, &mut random);
            }
            let before = if discs > 1 { format!("{}-", disc.0) } else { String::new() };
            let file = format!("{before}{:02} {}.{}", track.0, title.shown, kind.extension());
            let (path, cover) = (folder.join(file), cover.clone());
            Song { path, kind, tags, track, disc, compilation, cover, seed: random.next() }
        };
        (0..self.tracks).map(song).collect()
    }

    fn japanese(&self) -> bool {
        self.artist % 10 == JAPANESE
    }

    /// The first word is another one for each album of an artist.
    fn title(&self, compilation: bool, random: &mut Random) -> Name {
        if compilation {
            return Name { shown: format!("{} Vol. {}", pick(NOUNS, random), self.index), sort: None };
        }
        let at = |length: usize| (self.artist * 5 + self.number) as usize % length;
        if self.japanese() {
            let (first, second) = (WORDS[at(WORDS.len())], pick(WORDS, random));
            return yomi(format!("{}の{}", first.0, second.0), format!("{}の{}", first.1, second.1));
        }
        let (first, second) = (ADJECTIVES[at(ADJECTIVES.len())], pick(NOUNS, random));
        Name { shown: format!("{first} {second}"), sort: None }
    }

    /// Returns number and count of disc and track; each disc counts from one.
    fn place(&self, number: u8, discs: u8) -> ((u8, u8), (u8, u8)) {
        let first = if discs == 1 { self.tracks } else { self.tracks.div_ceil(2) };
        if number < first {
            ((1, discs), (number + 1, first))
        } else {
            ((2, discs), (number - first + 1, self.tracks - first))
        }
    }
}

/// Returns the artist of this number; no two have the same name.
fn artist(number: u64) -> Name {
    let number_of_its_kind = number / 10 * 9 + number % 10;
    let pair = |number: u64, length: u64| {
        let (first, round) = (number % length, number / length);
        (first as usize, ((round + 7 * first) % length) as usize, number / (length * length))
    };
    let again = |round: u64| if round > 0 { format!(" {}", round + 1) } else { String::new() };
    if number % 10 == JAPANESE {
        let (last, first, round) = pair(number / 10, FAMILIES.len() as u64);
        let (last, first, again) = (FAMILIES[last], GIVEN[first], again(round));
        return yomi(format!("{}{}{again}", last.0, first.0), format!("{}{}{again}", last.1, first.1));
    }
    let (first, last, round) = pair(number_of_its_kind, FIRST.len() as u64);
    let (first, last, again) = (FIRST[first], LAST[last], again(round));
    let sort = match first {
        "The" => format!("{last}{again}, The"),
        _ => format!("{last}{again}, {first}"),
    };
    Name { shown: format!("{first} {last}{again}"), sort: number.is_multiple_of(3).then_some(sort) }
}

fn title(japanese: bool, random: &mut Random) -> Name {
    if japanese {
        let (first, second) = (pick(WORDS, random), pick(WORDS, random));
        return yomi(format!("{}と{}", first.0, second.0), format!("{}と{}", first.1, second.1));
    }
    Name { shown: format!("{} {}", pick(ADJECTIVES, random), pick(NOUNS, random)), sort: None }
}

fn yomi(shown: String, sort: String) -> Name {
    Name { shown, sort: Some(sort) }
}

fn put(tags: &mut Vec<(Key, Vec<String>)>, key: Key, sort_key: Option<Key>, name: &Name) {
    tags.push((key, vec![name.shown.clone()]));
    if let (Some(key), Some(sort)) = (sort_key, &name.sort) {
        tags.push((key, vec![sort.clone()]));
    }
}

fn gain(tags: &mut Vec<(Key, Vec<String>)>, gain: Key, peak: Key, random: &mut Random) {
    let (whole, part) = (random.below(12), random.below(100));
    tags.push((gain, vec![format!("-{whole}.{part:02} dB")]));
    tags.push((peak, vec![format!("0.{:06}", random.below(1_000_000))]));
}

fn pick<T: Copy>(from: &[T], random: &mut Random) -> T {
    from[random.below(from.len() as u64) as usize]
}

const SEED: u64 = 0x6B6F_6E70_6F5F_3031;
/// Artists whose number ends so are Japanese.
const JAPANESE: u64 = 9;

const GENRES: &[&str] = &[
    "Rock",
    "Pop",
    "Jazz",
    "Classical",
    "Electronic",
    "Folk",
    "Blues",
    "Soul",
    "Hip-Hop",
    "Reggae",
    "Ambient",
    "Metal",
    "Country",
    "Soundtrack",
    "J-Pop",
    "City Pop",
    "Chanson",
    "Fado",
    "Bossa Nova",
    "Techno",
    "House",
    "Punk",
    "New Wave",
    "Opera",
];

/// As many as in `LAST`.
const FIRST: [&str; 32] = [
    "Anna", "The", "Élodie", "Jürgen", "Søren", "Núria", "Łukasz", "Mary", "John", "Dvořan", "Ines", "Paul",
    "Chloé", "Björn", "Marta", "Emil", "Ruth", "Zoë", "Óscar", "Peter", "Ilse", "Noé", "Clara", "Tom",
    "Sinéad", "Hugo", "Vera", "Åke", "Lena", "Max", "Rosa", "Nils",
];
const LAST: [&str; 32] = [
    "Marchéval",
    "Lamplighters",
    "Öhlmann",
    "Harbour",
    "Peñalver",
    "Wójtan",
    "Stone",
    "Ferrow",
    "Ångholm",
    "Quartet",
    "Dvorný",
    "Moreau",
    "Keller",
    "Winter",
    "Orchestra",
    "Trio",
    "Lindqvist",
    "Bell",
    "Novák",
    "Santoro",
    "Müllner",
    "Fairweather",
    "Ruiz",
    "Tremblay",
    "Osgood",
    "Brass Band",
    "Çelman",
    "Hart",
    "Ivanova",
    "Nilssen",
    "Grey",
    "Ensemble",
];
const ADJECTIVES: &[&str] = &[
    "Blue", "Silent", "First", "Last", "Golden", "Broken", "Slow", "Distant", "Café", "Electric", "Hollow",
    "Winter", "Summer", "Paper", "Iron", "Glass", "Northern", "Déjà", "Wild", "Quiet", "Lost", "Second",
    "Naïve", "Burning", "Velvet", "Early", "Late", "Hidden", "Endless", "Little",
];
const NOUNS: &[&str] = &[
    "Light", "Harbour", "River", "Train", "Garden", "Mirror", "Rêverie", "Shadow", "Road", "Bridge", "Song",
    "Waltz", "Letter", "Window", "Storm", "Tide", "Étude", "Fire", "Dance", "Machine", "Moon", "Island",
    "Señal", "Street", "Dream", "Clock", "Field", "Anchor", "Signal", "Rain", "Sonata", "Ghost",
];

/// As many as in `GIVEN`.
const FAMILIES: [(&str, &str); 16] = [
    ("山本", "やまもと"),
    ("高橋", "たかはし"),
    ("渡辺", "わたなべ"),
    ("小林", "こばやし"),
    ("中村", "なかむら"),
    ("松田", "まつだ"),
    ("藤井", "ふじい"),
    ("大滝", "おおたき"),
    ("吉田", "よしだ"),
    ("坂本", "さかもと"),
    ("森", "もり"),
    ("石川", "いしかわ"),
    ("久保", "くぼ"),
    ("竹内", "たけうち"),
    ("細野", "ほその"),
    ("港町楽団", "みなとまちがくだん"),
];
const GIVEN: [(&str, &str); 16] = [
    ("花子", "はなこ"),
    ("太郎", "たろう"),
    ("美咲", "みさき"),
    ("健", "けん"),
    ("由美", "ゆみ"),
    ("達郎", "たつろう"),
    ("真理", "まり"),
    ("隆", "たかし"),
    ("聖子", "せいこ"),
    ("誠", "まこと"),
    ("千夏", "ちなつ"),
    ("一郎", "いちろう"),
    ("陽子", "ようこ"),
    ("拓", "たく"),
    ("奈々", "なな"),
    ("翼", "つばさ"),
];
const WORDS: &[(&str, &str)] = &[
    ("夜明け", "よあけ"),
    ("海", "うみ"),
    ("夏", "なつ"),
    ("恋", "こい"),
    ("手紙", "てがみ"),
    ("雨", "あめ"),
    ("灯台", "とうだい"),
    ("風", "かぜ"),
    ("駅", "えき"),
    ("月", "つき"),
    ("硝子", "がらす"),
    ("約束", "やくそく"),
    ("東京", "とうきょう"),
    ("雪", "ゆき"),
    ("夢", "ゆめ"),
    ("桜", "さくら"),
    ("涙", "なみだ"),
    ("星", "ほし"),
    ("街角", "まちかど"),
    ("メロディー", "めろでぃー"),
    ("カフェ", "かふぇ"),
    ("ドライブ", "どらいぶ"),
];
