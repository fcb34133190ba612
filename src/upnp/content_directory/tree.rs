//! The tree that control points walk (reference upnp 5.8), as ids: what an object is stands in its id, so that no table is
//! kept and an id means the same after a restart and a rescan. Pure.
//!
//! An id is a chain of steps from the inside out, joined by `@`: `A3f` is the album in its own place, `A3f@R1` the same below
//! an artist, `T7@A3f@R1` a track of it there. Only an object in its own place is found by searches; the others refer to it.

use std::fmt;
use std::str::FromStr;

use crate::query::{Field, Filter, GroupId, What};
use crate::track::TrackId;

/// One step of an id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// A list of the top, or one below an artist, composer, year or genre.
    List(List),
    /// Artists under a heading: A–Z, あかさたな.
    Heading(String),
    /// An album, artist, genre, composer, year, folder or playlist.
    Group(What, GroupId),
    /// A track; in a playlist with its place, for it may stand there twice.
    Track(TrackId, Option<u32>),
}

/// A list with a place of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum List {
    /// Artists of albums.
    Artists,
    /// Their first letters, on large shelves.
    Headings,
    /// Artists of albums and of single tracks.
    Everyone,
    /// Albums.
    Albums,
    /// Genres.
    Genres,
    /// Composers.
    Composers,
    /// Years.
    Years,
    /// The albums that came last.
    Recent,
    /// The tracks heard last.
    Played,
    /// The tracks heard most often.
    Most,
    /// Marked tracks.
    Favourites,
    /// All tracks.
    Tracks,
    /// Playlists.
    Playlists,
    /// Folders as they lie on the disk.
    Folders,
}

impl List {
    /// Every list of the top, in order.
    pub const TOP: [List; 14] = [
        List::Artists,
        List::Headings,
        List::Albums,
        List::Genres,
        List::Recent,
        List::Playlists,
        List::Favourites,
        List::Tracks,
        List::Everyone,
        List::Composers,
        List::Years,
        List::Played,
        List::Most,
        List::Folders,
    ];

    /// Returns its step in an id.
    pub fn id(self) -> &'static str {
        match self {
            List::Artists => "artists",
            List::Headings => "az",
            List::Everyone => "everyone",
            List::Albums => "albums",
            List::Genres => "genres",
            List::Composers => "composers",
            List::Years => "years",
            List::Recent => "recent",
            List::Played => "played",
            List::Most => "most",
            List::Favourites => "favourites",
            List::Tracks => "tracks",
            List::Playlists => "playlists",
            List::Folders => "folders",
        }
    }

    /// Returns its name for people.
    pub fn title(self) -> &'static str {
        match self {
            List::Artists => "Artists",
            List::Headings => "Artists A–Z",
            List::Everyone => "All artists",
            List::Albums => "Albums",
            List::Genres => "Genres",
            List::Composers => "Composers",
            List::Years => "Years",
            List::Recent => "Recently added",
            List::Played => "Recently played",
            List::Most => "Most played",
            List::Favourites => "Favourites",
            List::Tracks => "All tracks",
            List::Playlists => "Playlists",
            List::Folders => "Folders",
        }
    }
}

/// The name of an object: the root without a step, else the steps from the inside out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ObjectId(Vec<Step>);

impl ObjectId {
    /// The root, `0`.
    pub const ROOT: ObjectId = ObjectId(Vec::new());

    /// Returns an object in its own place.
    pub fn of(step: Step) -> ObjectId {
        ObjectId(vec![step])
    }

    /// Returns an object below this one.
    pub fn below(&self, step: Step) -> ObjectId {
        let mut steps = Vec::with_capacity(self.0.len() + 1);
        steps.push(step);
        steps.extend_from_slice(&self.0);
        ObjectId(steps)
    }

    /// Returns whether it is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what it is; `None` for the root.
    pub fn step(&self) -> Option<&Step> {
        self.0.first()
    }

    /// Returns whether it stands in its own place.
    pub fn is_own(&self) -> bool {
        self.0.len() <= 1
    }

    /// Returns the object without where it was found; `None` for one that stands in its own place.
    pub fn referred(&self) -> Option<ObjectId> {
        (!self.is_own()).then(|| match &self.0[0] {
            Step::Track(id, _) => ObjectId::of(Step::Track(*id, None)),
            step => ObjectId::of(step.clone()),
        })
    }

    /// Returns the container that it was found in; `None` for one in its own place, whose container does not stand in its id.
    pub fn outer(&self) -> Option<ObjectId> {
        (!self.is_own()).then(|| ObjectId(self.0[1..].to_vec()))
    }

    /// Returns which tracks lie in or below the container: those that konpo can play, and that are of every group on the way.
    pub fn filter(&self) -> Filter {
        let mut all = vec![playable()];
        for step in &self.0 {
            match step {
                Step::Group(what, id) => all.push(Filter::In(*what, *id)),
                Step::Track(id, _) => all.push(Filter::Ids(vec![*id])),
                Step::List(List::Played | List::Most) => all.push(Filter::Exists(Field::Played)),
                Step::List(List::Favourites) => all.push(Filter::Exists(Field::Favourite)),
                Step::List(_) | Step::Heading(_) => {}
            }
        }
        if all.len() == 1 { playable() } else { Filter::And(all) }
    }
}

/// What every list shows: tracks that a decoder may and can open.
pub fn playable() -> Filter {
    Filter::Is(Field::Playable, "yes".into())
}

/// Returns whether the tree has one step directly below another.
fn fits(inner: &Step, outer: &Step) -> bool {
    use What::{Albums, Artists, Composers, Folders, Genres, Playlists, Years};
    matches!(
        (inner, outer),
        (Step::List(List::Tracks), Step::Group(Artists | Genres | Composers | Years, _))
            | (Step::List(List::Artists | List::Albums), Step::Group(Genres, _))
            | (Step::Group(Albums, _), Step::Group(Artists | Composers | Years, _))
            | (Step::Group(Albums, _), Step::List(List::Albums | List::Recent))
            | (Step::Group(Artists, _), Step::Heading(_) | Step::List(List::Artists | List::Everyone))
            | (Step::Track(_, Some(_)), Step::Group(Playlists, _))
            | (Step::Track(_, None), Step::Group(Albums | Folders, _))
            | (Step::Track(_, None), Step::List(List::Tracks | List::Played | List::Most | List::Favourites))
    )
}

/// Returns whether a step may stand alone.
fn stands_alone(step: &Step) -> bool {
    !matches!(step, Step::Group(What::AlbumArtists | What::Tracks, _) | Step::Track(_, Some(_)))
}

/// Returns whether a chain may end here: lists of the top, headings, and groups in their own place.
fn ends(step: &Step) -> bool {
    stands_alone(step) && !matches!(step, Step::Track(..))
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("0");
        }
        for (at, step) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("@")?;
            }
            match step {
                Step::List(list) => f.write_str(list.id())?,
                Step::Heading(text) => {
                    f.write_str("H")?;
                    text.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                }
                Step::Group(what, id) => write!(f, "{}{}", letter(*what), base36(id.0.cast_unsigned()))?,
                Step::Track(id, None) => write!(f, "T{}", id.0)?,
                Step::Track(id, Some(place)) => write!(f, "T{}.{place}", id.0)?,
            }
        }
        Ok(())
    }
}

impl FromStr for ObjectId {
    type Err = ();

    fn from_str(text: &str) -> Result<ObjectId, ()> {
        if text == "0" {
            return Ok(ObjectId::ROOT);
        }
        if text.len() > LONGEST {
            return Err(());
        }
        let steps: Vec<Step> = text.split('@').map(step).collect::<Option<_>>().ok_or(())?;
        let fit = steps.windows(2).all(|pair| fits(&pair[0], &pair[1]));
        let last = steps.last().ok_or(())?;
        let alone = if steps.len() == 1 { stands_alone(last) } else { ends(last) };
        // A list below a group is no outermost step, and the other way round.
        if fit && alone && steps.len() <= DEEPEST { Ok(ObjectId(steps)) } else { Err(()) }
    }
}

fn step(text: &str) -> Option<Step> {
    if let Some(list) = List::TOP.into_iter().find(|list| list.id() == text) {
        return Some(Step::List(list));
    }
    let (kind, rest) = (text.get(..1)?, text.get(1..)?);
    Some(match kind {
        "H" => {
            let pair = |at: usize| u8::from_str_radix(rest.get(at..at + 2)?, 16).ok();
            let lower = rest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
            let bytes: Vec<u8> = (0..rest.len()).step_by(2).map(pair).collect::<Option<_>>()?;
            Step::Heading(String::from_utf8(bytes).ok().filter(|text| lower && !text.is_empty())?)
        }
        "T" => {
            let (id, place) = match rest.split_once('.') {
                Some((id, place)) => (id, Some(place)),
                None => (rest, None),
            };
            let place = match place {
                Some(place) => Some(plain_number(place)?),
                None => None,
            };
            Step::Track(TrackId(plain_number(id)?.into()), place)
        }
        kind => {
            let what = KINDS.iter().find(|(_, known)| known.to_string() == kind)?.0;
            Step::Group(what, GroupId(from_base36(rest)?.cast_signed()))
        }
    })
}

/// Reads a number written in the one way that konpo writes it.
fn plain_number(text: &str) -> Option<u32> {
    text.parse::<u32>().ok().filter(|number| number.to_string() == text)
}

/// The letters of kinds in an id. Capitals, so that no list is mistaken for one.
const KINDS: [(What, char); 7] = [
    (What::Albums, 'A'),
    (What::Artists, 'R'),
    (What::Genres, 'G'),
    (What::Composers, 'C'),
    (What::Years, 'Y'),
    (What::Playlists, 'L'),
    (What::Folders, 'F'),
];

fn letter(what: What) -> char {
    // An artist of albums has the number of the artist of that name.
    let what = if what == What::AlbumArtists { What::Artists } else { what };
    KINDS.iter().find(|(kind, _)| *kind == what).map_or('?', |(_, letter)| *letter)
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = (number % 36) as u8;
        digits.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        number /= 36;
        if number == 0 {
            break;
        }
    }
    digits.iter().rev().map(|&digit| char::from(digit)).collect()
}

fn from_base36(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 36).ok().filter(|number| base36(*number) == text)
}

/// Bytes of the longest id (reference upnp 5.1): `T4294967295@A…@R…@artists@G…` has 63.
pub const LONGEST: usize = 64;
const DEEPEST: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<ObjectId> {
        text.parse().ok()
    }

    #[test]
    fn every_place_of_the_tree_has_an_id_that_is_read_back() {
        let l = base36(u64::MAX);
        for id in [
            "0".to_owned(),
            "artists".into(),
            "A1".into(),
            "R1".into(),
            "T7".into(),
            "T7@tracks".into(),
            "T7@A1@R2".into(),
            "T7@A1@recent".into(),
            "R1@everyone".into(),
            "R1@H41".into(),
            "A1@R1@H41".into(),
            "tracks@R1".into(),
            "T7@tracks@R1".into(),
            "artists@G1".into(),
            "R2@artists@G1".into(),
            "A3@R2@artists@G1".into(),
            "A3@albums@G1".into(),
            "tracks@G1".into(),
            "T7.3@L2".into(),
            "T7@F2".into(),
            "H41".into(),
            "F2".into(),
            format!("T4294967295@A{l}@R{l}@artists@G{l}"),
        ] {
            let found = read(&id).unwrap_or_else(|| panic!("{id}"));
            assert_eq!(found.to_string(), id);
            assert!(id.len() <= LONGEST, "{id}: {}", id.len());
            assert!(
                id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b'.')),
                "{id}"
            );
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for id in [
            "",
            "-1",
            "1",
            "64",
            "A",
            "V",
            "I",
            "a1",
            "A01",
            "AZ",
            "A1@",
            "@A1",
            "A1@A2",
            "R1@R2",
            "T7@R1",
            "T7.3",
            "T7.3@A1",
            "T7@L2",
            "T07",
            "T-7",
            "T7@tracks@A1",
            "albums@R1",
            "H4",
            "H4G",
            "H4A",
            "Hff",
            "T7@T8",
            "artists@H41",
            "T99999999999",
            "A3w5e11264sgsg",
            "A1@tracks",
            "A1@albums",
            "R1@artists",
            "A1,A2",
            "A1 ",
            "root",
        ] {
            // An album in the list of albums, and an artist in that of artists, stand there in their own place.
            let own = matches!(id, "A1@albums" | "R1@artists");
            assert_eq!(read(id).is_some(), own, "{id}");
        }
        assert!(read(&"A1@".repeat(40)).is_none());
    }

    #[test]
    fn a_filter_is_of_every_group_on_the_way() {
        let id = read("T7@A1@R2@artists@G3").expect("a place");
        let Filter::And(all) = id.filter() else { panic!("{:?}", id.filter()) };
        assert_eq!(all[0], playable());
        assert_eq!(all[1], Filter::Ids(vec![TrackId(7)]));
        assert_eq!(all[2..].iter().filter(|filter| matches!(filter, Filter::In(..))).count(), 3);
        assert_eq!(ObjectId::ROOT.filter(), playable());
        assert_eq!(id.outer().map(|id| id.to_string()).as_deref(), Some("A1@R2@artists@G3"));
        assert_eq!(id.referred().map(|id| id.to_string()).as_deref(), Some("T7"));
        assert_eq!(read("T7").and_then(|id| id.outer()), None);
    }

    proptest! {
        #[test]
        fn an_id_that_is_read_is_written_the_same(text in "[0-9A-Za-z@.]{0,30}|(A|R|G|T|L|F|H)[0-9a-z]{1,4}(@(A|R|G|T|L|F|H|albums|tracks)[0-9a-z]{0,4}){0,3}") {
            if let Some(id) = read(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn numbers_are_read_back(number in any::<u64>()) {
            prop_assert_eq!(from_base36(&base36(number)), Some(number));
        }
    }
}
