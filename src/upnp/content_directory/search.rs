//! Search criteria as conditions on each kind of thing (reference upnp 5.5). Pure.
//!
//! A property that a kind of thing does not have matches nothing. Only things in their own place are found, so that an album
//! is found once.

use crate::query::{Field, Filter, Measure, What};
use crate::upnp::content_directory::criteria::{Criteria, Operator};
use crate::upnp::content_directory::tree::{ObjectId, Step};
use crate::wire::didl;

/// What GetSearchCapabilities answers.
pub const CAPABILITIES: &str = "@id,@parentID,@refID,dc:title,dc:creator,dc:date,upnp:class,upnp:artist,upnp:album,\
                                upnp:genre,upnp:albumArtist,upnp:originalTrackNumber,res@size,res@duration";

/// A kind of thing that searches find.
#[derive(Debug, PartialEq, Eq)]
pub struct Sought {
    /// What it is on the shelf.
    pub what: What,
    /// Its class.
    pub class: &'static str,
    /// The id of the list that it has its place in.
    parent: &'static str,
    /// Its properties.
    properties: &'static [(&'static str, Field)],
}

/// Every kind, in the order of answers: containers first.
pub static KINDS: [Sought; 6] = [
    Sought {
        what: What::Artists,
        class: "object.container.person.musicArtist",
        parent: "artists",
        properties: &[
            ("dc:title", Field::Name),
            ("dc:creator", Field::Name),
            ("upnp:artist", Field::Name),
            ("upnp:genre", Field::Genre),
        ],
    },
    Sought {
        what: What::Albums,
        class: "object.container.album.musicAlbum",
        parent: "albums",
        properties: &[
            ("dc:title", Field::Name),
            ("upnp:album", Field::Name),
            ("dc:creator", Field::AlbumArtist),
            ("upnp:artist", Field::AlbumArtist),
            ("upnp:albumArtist", Field::AlbumArtist),
            ("upnp:author", Field::Composer),
            ("upnp:genre", Field::Genre),
            ("dc:date", Field::Date),
        ],
    },
    Sought {
        what: What::Genres,
        class: "object.container.genre.musicGenre",
        parent: "genres",
        properties: &[("dc:title", Field::Name), ("upnp:genre", Field::Name)],
    },
    // Not a musicArtist: who writes and sings would stand in one list twice.
    Sought {
        what: What::Composers,
        class: "object.container.person",
        parent: "composers",
        properties: &[("dc:title", Field::Name), ("dc:creator", Field::Name), ("upnp:author", Field::Name)],
    },
    Sought {
        what: What::Playlists,
        class: "object.container.playlistContainer",
        parent: "playlists",
        properties: &[("dc:title", Field::Name)],
    },
    Sought {
        what: What::Tracks,
        class: "object.item.audioItem.musicTrack",
        parent: "tracks",
        properties: &[
            ("dc:title", Field::Title),
            ("dc:creator", Field::Artist),
            ("upnp:artist", Field::Artist),
            ("upnp:albumArtist", Field::AlbumArtist),
            ("upnp:author", Field::Composer),
            ("upnp:album", Field::Album),
            ("upnp:genre", Field::Genre),
            ("dc:date", Field::Date),
        ],
    },
];

/// What criteria say of one kind of thing.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// Of every one of the kind.
    Every,
    /// Of none.
    None,
    /// Of those that pass.
    Those(Filter),
}

impl Told {
    fn when(holds: bool) -> Told {
        if holds { Told::Every } else { Told::None }
    }

    fn not(self) -> Told {
        match self {
            Told::Every => Told::None,
            Told::None => Told::Every,
            Told::Those(filter) => Told::Those(Filter::Not(Box::new(filter))),
        }
    }
}

/// Returns what criteria say of a kind of thing.
pub fn told(criteria: &Criteria, of: &Sought) -> Told {
    match criteria {
        Criteria::All => Told::Every,
        Criteria::And(all) => {
            let mut filters = Vec::new();
            for one in all {
                match told(one, of) {
                    Told::Every => {}
                    Told::None => return Told::None,
                    Told::Those(filter) => filters.push(filter),
                }
            }
            if filters.is_empty() { Told::Every } else { Told::Those(Filter::And(filters)) }
        }
        Criteria::Or(any) => {
            let mut filters = Vec::new();
            for one in any {
                match told(one, of) {
                    Told::Every => return Told::Every,
                    Told::None => {}
                    Told::Those(filter) => filters.push(filter),
                }
            }
            if filters.is_empty() { Told::None } else { Told::Those(Filter::Or(filters)) }
        }
        Criteria::Exists(property, there) => {
            let exists = exists(property, of);
            if *there { exists } else { exists.not() }
        }
        Criteria::Compare(property, operator, value) => compare(property, *operator, value, of),
    }
}

fn field(property: &str, of: &Sought) -> Option<Field> {
    of.properties.iter().find(|(name, _)| *name == property).map(|(_, field)| *field)
}

fn exists(property: &str, of: &Sought) -> Told {
    let is_track = of.what == What::Tracks;
    match property {
        "@id" | "@parentID" | "@restricted" | "dc:title" | "upnp:class" => Told::Every,
        "res" | "res@size" | "res@protocolInfo" => Told::when(is_track),
        "res@duration" if is_track => Told::Those(Filter::AtLeast(Measure::Length, 1)),
        "upnp:originalTrackNumber" if is_track => Told::Those(Filter::AtLeast(Measure::Number, 1)),
        property => match field(property, of) {
            Some(Field::Name) => Told::Every,
            Some(field) => Told::Those(Filter::Exists(field)),
            None => Told::None,
        },
    }
}

fn compare(property: &str, operator: Operator, value: &str, of: &Sought) -> Told {
    let is_track = of.what == What::Tracks;
    match property {
        "upnp:class" => class(operator, value, of.class),
        "@id" => identity(operator, value, of),
        "@parentID" => parent(operator, value, of),
        "res@size" if is_track => number(operator, value.trim().parse().ok(), Measure::Size),
        "res@duration" if is_track => {
            let length = didl::duration(value).and_then(|length| i64::try_from(length.0).ok());
            number(operator, length, Measure::Length)
        }
        "upnp:originalTrackNumber" if is_track => {
            number(operator, value.trim().parse().ok(), Measure::Number)
        }
        property => match field(property, of) {
            Some(Field::Date) => date(operator, value.trim()),
            Some(field) => text(operator, value, field),
            None => Told::None,
        },
    }
}

fn text(operator: Operator, value: &str, field: Field) -> Told {
    let value = value.to_owned();
    Told::Those(match operator {
        Operator::Equal => Filter::Is(field, value),
        Operator::NotEqual => Filter::Not(Box::new(Filter::Is(field, value))),
        Operator::Contains => Filter::Contains(field, value),
        Operator::ContainsNot => Filter::Not(Box::new(Filter::Contains(field, value))),
        Operator::StartsWith => Filter::Starts(field, value),
        // Text has no order that two makers agree on.
        _ => return Told::None,
    })
}

/// A class is known beforehand.
fn class(operator: Operator, value: &str, class: &str) -> Told {
    let (value, class) = (value.trim().to_ascii_lowercase(), class.to_ascii_lowercase());
    let below =
        |base: &str| class.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    Told::when(match operator {
        Operator::Equal => class == value,
        Operator::NotEqual => class != value,
        Operator::Contains => class.contains(&value),
        Operator::ContainsNot => !class.contains(&value),
        Operator::StartsWith => class.starts_with(&value),
        Operator::DerivedFrom => below(value.trim_end_matches('.')),
        _ => false,
    })
}

fn identity(operator: Operator, value: &str, of: &Sought) -> Told {
    let step = value.parse::<ObjectId>().ok().filter(ObjectId::is_own).and_then(|id| id.step().cloned());
    let same = match step {
        Some(Step::Track(id, None)) if of.what == What::Tracks => Told::Those(Filter::Ids(vec![id])),
        // An artist's tracks show other artists, too: who asks by id browses.
        Some(Step::Group(What::Albums, id)) if of.what == What::Albums => {
            Told::Those(Filter::In(What::Albums, id))
        }
        _ => Told::None,
    };
    match operator {
        Operator::Equal => same,
        Operator::NotEqual => same.not(),
        _ => Told::None,
    }
}

fn parent(operator: Operator, value: &str, of: &Sought) -> Told {
    let step = value.parse::<ObjectId>().ok().filter(ObjectId::is_own).and_then(|id| id.step().cloned());
    let within = match step {
        Some(Step::Group(What::Albums, id)) if of.what == What::Tracks => {
            Told::Those(Filter::In(What::Albums, id))
        }
        Some(Step::List(list)) if of.what == What::Tracks && list.id() == of.parent => {
            Told::Those(Filter::Not(Box::new(Filter::Exists(Field::Album))))
        }
        Some(Step::List(list)) => Told::when(list.id() == of.parent),
        _ => Told::None,
    };
    match operator {
        Operator::Equal => within,
        Operator::NotEqual => within.not(),
        _ => Told::None,
    }
}

fn number(operator: Operator, value: Option<i64>, measure: Measure) -> Told {
    let Some(value) = value else { return Told::None };
    let from = |least: i64| Filter::AtLeast(measure, least);
    let below = |end: i64| Filter::Not(Box::new(Filter::AtLeast(measure, end)));
    let next = value.saturating_add(1);
    // What has no date is neither before nor behind one.
    let dated = |filter: Filter| match measure {
        Measure::Day => Filter::And(vec![Filter::Exists(Field::Date), filter]),
        _ => filter,
    };
    Told::Those(match operator {
        Operator::AtLeast => from(value),
        Operator::More => from(next),
        Operator::Less => dated(below(value)),
        Operator::AtMost => dated(below(next)),
        Operator::Equal => Filter::And(vec![from(value), below(next)]),
        Operator::NotEqual => Filter::Not(Box::new(Filter::And(vec![from(value), below(next)]))),
        _ => return Told::None,
    })
}

/// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`; a year alone means all of it where it is compared for being equal.
fn date(operator: Operator, value: &str) -> Told {
    let is_day = value.len() == 10;
    match operator {
        Operator::Contains | Operator::ContainsNot | Operator::StartsWith => {
            text(operator, value, Field::Date)
        }
        Operator::Equal if !is_day => text(Operator::StartsWith, value, Field::Date),
        Operator::NotEqual if !is_day => text(Operator::StartsWith, value, Field::Date).not(),
        operator => number(operator, day(value), Measure::Day),
    }
}

/// Returns a date as the number YYYYMMDD; what it lacks is that of the first of January.
fn day(text: &str) -> Option<i64> {
    // Some write a time of day behind it.
    let text = text.get(..10).unwrap_or(text);
    let mut parts = text.split('-').map(|part| part.parse::<u16>().ok());
    let year = parts.next()??;
    let (month, day) = (parts.next().unwrap_or(Some(1))?, parts.next().unwrap_or(Some(1))?);
    (parts.next().is_none() && month <= 12 && day <= 31)
        .then(|| i64::from(year) * 10_000 + i64::from(month) * 100 + i64::from(day))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::TrackId;
    use crate::upnp::content_directory::criteria::parse;

    /// The kinds that criteria can find at all.
    fn found(text: &str) -> Vec<(What, Told)> {
        let criteria = parse(text).unwrap_or_else(|_| panic!("{text}"));
        let all = KINDS.iter().map(|kind| (kind.what, told(&criteria, kind)));
        all.filter(|(_, told)| *told != Told::None).collect()
    }

    fn those(filter: Filter) -> Told {
        Told::Those(filter)
    }

    #[test]
    fn a_class_decides_the_kinds() {
        let kinds = |text: &str| found(text).into_iter().map(|(what, _)| what).collect::<Vec<_>>();
        assert_eq!(kinds("upnp:class derivedfrom \"object.item.audioItem\""), [What::Tracks]);
        assert_eq!(kinds("upnp:class = \"object.item.audioItem.musicTrack\""), [What::Tracks]);
        assert_eq!(kinds("upnp:class = \"object.item.audioItem\""), []);
        assert_eq!(
            kinds("upnp:class derivedfrom \"object.container.person\""),
            [What::Artists, What::Composers]
        );
        assert_eq!(kinds("upnp:class = \"object.container.person.musicArtist\""), [What::Artists]);
        assert_eq!(kinds("upnp:class derivedfrom \"object.container.album\""), [What::Albums]);
        assert_eq!(kinds("upnp:class derivedfrom \"object.cont\""), []);
        assert_eq!(
            kinds("upnp:class derivedfrom \"object.container.playlistContainer\" and @refID exists false"),
            [What::Playlists]
        );
        assert_eq!(kinds("*").len(), KINDS.len());
        assert_eq!(kinds("upnp:class contains \"video\""), []);
    }

    #[test]
    fn properties_are_those_of_the_kind() {
        let contains = |field| those(Filter::Contains(field, "x".into()));
        let all = found("dc:title contains \"x\"");
        assert_eq!(all.len(), KINDS.len());
        assert_eq!(all[0], (What::Artists, contains(Field::Name)));
        assert_eq!(all[5], (What::Tracks, contains(Field::Title)));
        let artist =
            found("upnp:class = \"object.container.album.musicAlbum\" and upnp:artist contains \"x\"");
        assert_eq!(
            artist,
            [(What::Albums, those(Filter::And(vec![Filter::Contains(Field::AlbumArtist, "x".into())])))]
        );
        assert_eq!(found("upnp:nothing contains \"x\""), []);
        assert_eq!(found("upnp:nothing exists true"), []);
        assert_eq!(found("@refID exists true"), []);
        assert_eq!(found("upnp:nothing exists false").len(), KINDS.len());
    }

    #[test]
    fn ids_numbers_and_dates() {
        let track = |text: &str| {
            found(text).into_iter().find(|(what, _)| *what == What::Tracks).map(|(_, told)| told)
        };
        assert_eq!(track("@id = \"T7\""), Some(those(Filter::Ids(vec![TrackId(7)]))));
        assert_eq!(track("@id = \"T7@tracks\""), None);
        let from = |measure, least| Filter::AtLeast(measure, least);
        assert_eq!(track("res@duration >= \"0:10:00\""), Some(those(from(Measure::Length, 600_000))));
        assert_eq!(track("res@size > \"1000\""), Some(those(from(Measure::Size, 1001))));
        assert_eq!(track("dc:date >= \"2007\""), Some(those(from(Measure::Day, 20_070_101))));
        assert_eq!(track("dc:date = \"2007\""), Some(those(Filter::Starts(Field::Date, "2007".into()))));
        assert_eq!(track("dc:date > \"x\""), None);
        assert_eq!(day("2007-13-01"), None);
        assert_eq!(day("2007-10-16T12:00:00"), Some(20_071_016));
    }
}
