//! Queries of faces as SQL over the folded columns of index.db.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::error::Result;
use crate::library::store::tracks;
use crate::media::text::fold;
use crate::query::{Field, Filter, Group, Item, Page, Query, Sort, What, Window};
use crate::track::{Track, TrackId};

/// Answers a query.
pub fn browse(connection: &Connection, query: &Query) -> Result<Page<Item>> {
    let mut condition = Condition::default();
    condition.add(&query.filter);
    match query.what {
        What::Tracks => {
            let (total, ids) = page_of_tracks(connection, &condition, query)?;
            let mut items = Vec::with_capacity(ids.len());
            for id in ids {
                items.extend(tracks::load(connection, id)?.map(Item::Track));
            }
            Ok(Page { total, items })
        }
        What::Albums => groups(connection, &condition, query.window, &ALBUMS),
        What::Artists => groups(connection, &condition, query.window, &ARTISTS),
        What::Genres => groups(connection, &condition, query.window, &GENRES),
    }
}

/// Returns the tracks that were bought, newest purchase first.
pub fn purchases(connection: &Connection, window: Window) -> Result<Page<std::sync::Arc<Track>>> {
    let query =
        Query { what: What::Tracks, filter: Filter::Exists(Field::Store), sort: Sort::Bought, window };
    let page = browse(connection, &query)?;
    let track = |item| match item {
        Item::Track(track) => Some(track),
        Item::Group(_) => None,
    };
    Ok(Page { total: page.total, items: page.items.into_iter().filter_map(track).collect() })
}

fn page_of_tracks(
    connection: &Connection,
    condition: &Condition,
    query: &Query,
) -> Result<(u64, Vec<TrackId>)> {
    let order = match query.sort {
        Sort::Album => "by_album, track",
        Sort::Title => "by_title, by_album, track",
        Sort::Artist => "by_artist, track",
        Sort::Added => "added DESC, by_album, track",
        Sort::Bought => "bought = '', bought DESC, by_album, track",
    };
    let from = format!("FROM idx.shown WHERE {}", condition.sql);
    let total = count(connection, &format!("SELECT count(*) {from}"), &condition.values)?;
    let sql = format!("SELECT track {from} ORDER BY {order} LIMIT ? OFFSET ?");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement
        .query_map(params_from_iter(condition.windowed(query.window)), |row| row.get(0).map(TrackId))?;
    Ok((total, rows.collect::<rusqlite::Result<_>>()?))
}

/// How tracks are gathered under names.
struct Gathering {
    from: &'static str,
    key: &'static str,
    name: &'static str,
    artist: &'static str,
    order: &'static str,
}

const ALBUMS: Gathering = Gathering {
    from: "idx.shown",
    key: "album_artist, album",
    name: "min(json_extract(tags, '$.album'))",
    artist: "min(coalesce(json_extract(tags, '$.album_artist'), json_extract(tags, '$.artist')))",
    order: "min(by_album)",
};
const ARTISTS: Gathering = Gathering {
    from: "idx.shown",
    key: "album_artist",
    name: "min(coalesce(json_extract(tags, '$.album_artist'), json_extract(tags, '$.artist')))",
    artist: "NULL",
    order: "min(by_album)",
};
const GENRES: Gathering = Gathering {
    from: "idx.shown, json_each(idx.shown.tags, '$.genres') AS each",
    key: "each.value",
    name: "each.value",
    artist: "NULL",
    order: "each.value COLLATE NOCASE",
};

fn groups(
    connection: &Connection,
    condition: &Condition,
    window: Window,
    gathering: &Gathering,
) -> Result<Page<Item>> {
    let Gathering { from, key, name, artist, order } = gathering;
    let grouped = format!(
        "SELECT {name} AS name, {artist} AS artist, count(*) AS tracks, min(track) AS example, {order} AS place
         FROM {from} WHERE {} GROUP BY {key} HAVING name IS NOT NULL",
        condition.sql
    );
    let total = count(connection, &format!("SELECT count(*) FROM ({grouped})"), &condition.values)?;
    let sql = format!(
        "SELECT name, artist, tracks, example FROM ({grouped}) ORDER BY place, name LIMIT ? OFFSET ?"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(condition.windowed(window)), |row| {
        Ok(Item::Group(Group {
            name: row.get(0)?,
            artist: row.get(1)?,
            tracks: row.get::<_, i64>(2)?.unsigned_abs(),
            example: TrackId(row.get(3)?),
        }))
    })?;
    Ok(Page { total, items: rows.collect::<rusqlite::Result<_>>()? })
}

fn count(connection: &Connection, sql: &str, values: &[Value]) -> Result<u64> {
    let mut statement = connection.prepare_cached(sql)?;
    let total: i64 = statement.query_row(params_from_iter(values), |row| row.get(0))?;
    Ok(total.unsigned_abs())
}

/// A filter as SQL with its values in order.
#[derive(Default)]
struct Condition {
    sql: String,
    values: Vec<Value>,
}

impl Condition {
    fn windowed(&self, window: Window) -> Vec<Value> {
        let mut values = self.values.clone();
        values.push(i64::from(window.limit.min(Window::MOST)).into());
        values.push(i64::try_from(window.offset).unwrap_or(i64::MAX).into());
        values
    }

    fn add(&mut self, filter: &Filter) {
        match filter {
            Filter::All => self.sql.push('1'),
            Filter::And(all) => self.join(all, " AND ", "1"),
            Filter::Or(any) => self.join(any, " OR ", "0"),
            Filter::Not(inner) => {
                self.sql.push_str("NOT ");
                self.add(inner);
            }
            Filter::Is(field, text) => self.compare(*field, How::Is, text),
            Filter::Contains(field, text) => self.compare(*field, How::Contains, text),
            Filter::Starts(field, text) => self.compare(*field, How::Starts, text),
            Filter::Exists(Field::Playable) => self.sql.push('1'),
            Filter::Exists(field) => {
                self.sql.push_str(&format!("({} <> '')", column(*field).0));
            }
            Filter::Ids(ids) => {
                let places = vec!["?"; ids.len()].join(",");
                self.sql.push_str(&format!("(track IN ({places}))"));
                self.values.extend(ids.iter().map(|id| Value::from(id.0)));
            }
        }
    }

    fn join(&mut self, filters: &[Filter], word: &str, empty: &str) {
        self.sql.push('(');
        for (i, filter) in filters.iter().enumerate() {
            if i > 0 {
                self.sql.push_str(word);
            }
            self.add(filter);
        }
        if filters.is_empty() {
            self.sql.push_str(empty);
        }
        self.sql.push(')');
    }

    fn compare(&mut self, field: Field, how: How, text: &str) {
        let (column, many) = column(field);
        if field == Field::Playable {
            let wanted = matches!(text, "yes" | "1" | "true");
            self.sql.push_str(if wanted { "(playable = 1)" } else { "(playable = 0)" });
            return;
        }
        let text = if matches!(field, Field::Date | Field::Store) { text.to_owned() } else { fold(text) };
        let (sql, value) = match (how, many) {
            (How::Contains, _) => (format!("(instr({column}, ?) > 0)"), text),
            (How::Is, false) => (format!("({column} = ?)"), text),
            (How::Is, true) => (format!("(instr({column}, ?) > 0)"), format!("\u{1f}{text}\u{1f}")),
            (How::Starts, false) => {
                self.values.push(text.clone().into());
                (format!("(substr({column}, 1, length(?)) = ?)"), text)
            }
            (How::Starts, true) => (format!("(instr({column}, ?) > 0)"), format!("\u{1f}{text}")),
        };
        self.sql.push_str(&sql);
        self.values.push(value.into());
    }
}

enum How {
    Is,
    Contains,
    Starts,
}

/// The column of a field, and whether it holds several values between separators.
fn column(field: Field) -> (&'static str, bool) {
    match field {
        Field::Title => ("title", false),
        Field::Artist => ("artist", true),
        Field::Album => ("album", false),
        Field::AlbumArtist => ("album_artist", false),
        Field::Genre => ("genre", true),
        Field::Date => ("date", false),
        Field::Any => ("any_", false),
        Field::Playable => ("playable", false),
        Field::Store => ("stores", true),
    }
}
