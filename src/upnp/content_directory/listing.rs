//! Containers with what lies in them, asked of the shelf page by page: nothing is loaded but the rows of an answer.

use std::collections::HashSet;

use crate::error::Result;
use crate::hifi::Session;
use crate::query::{Filter, Group, GroupId, Item, Page, Query, Sort, What, Window};
use crate::upnp::content_directory::criteria::Criteria;
use crate::upnp::content_directory::object::{self, Object, Thing};
use crate::upnp::content_directory::search::{KINDS, Told, told};
use crate::upnp::content_directory::sort::{Order, Way};
use crate::upnp::content_directory::tree::{List, ObjectId, Step, playable};

/// What lies in a container, one piece after the other; of most there is one.
#[derive(Debug)]
pub struct Listing {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    /// Containers that are there whatever the shelf holds.
    Fixed(Vec<Object>),
    /// An answer of the shelf.
    Asked { query: Query, most: u64, way: Way, place: Place },
}

/// Where things of an answer stand in the tree.
#[derive(Debug, Clone)]
enum Place {
    /// In their own place, which is this container.
    Own(ObjectId),
    /// Below a container that is not their own place.
    Below(ObjectId),
    /// In the list of all tracks, which is the own place of those without an album.
    Tracks(ObjectId),
    /// In the list of all artists, which is the own place of those who have no album.
    Everyone(ObjectId),
    /// In a playlist.
    Entries(ObjectId),
    /// Each in its own place: found by a search.
    Anywhere,
}

/// Objects from `start` on, and how many there are in all.
#[derive(Debug)]
pub struct Part {
    /// In order.
    pub objects: Vec<Object>,
    /// Exactly.
    pub total: u64,
}

impl Listing {
    /// Returns what lies in a container, in its own order unless another is asked for; `None` when it is no container.
    ///
    /// # Errors
    /// Those of the shelf.
    pub async fn of(id: &ObjectId, order: Option<Order>, session: &Session) -> Result<Option<Listing>> {
        let make = Maker { id, order };
        let Some(step) = id.step() else {
            return Ok(Some(Listing { pieces: vec![Piece::Fixed(Box::pin(top(session)).await?)] }));
        };
        let lists = |lists: &'static [List]| Box::pin(below_group(id, lists, session));
        let pieces = match step {
            Step::Track(..) => return Ok(None),
            Step::Heading(heading) => match under(heading, session).await? {
                Some((start, count)) => vec![make.span(start, count)],
                None => return Ok(None),
            },
            Step::List(List::Headings) => vec![Piece::Fixed(headings(id, session).await?)],
            Step::List(list) => vec![make.list(*list)],
            Step::Group(What::Albums, _) if id.is_own() => vec![make.own(What::Tracks, Sort::Album)],
            Step::Group(What::Albums, _) => vec![make.below(What::Tracks, Sort::Album)],
            Step::Group(What::Playlists, _) => {
                vec![make.kept(What::Tracks, Sort::Listed, u64::MAX, Place::Entries(id.clone()))]
            }
            // A folder's own place is the folder it lies in, which its id does not tell.
            Step::Group(What::Folders, _) => {
                vec![make.own(What::Folders, Sort::Listed), make.below(What::Tracks, Sort::Listed)]
            }
            Step::Group(What::Genres, _) => {
                vec![Piece::Fixed(lists(&[List::Albums, List::Artists, List::Tracks]).await?)]
            }
            Step::Group(..) => {
                let all = Piece::Fixed(lists(&[List::Tracks]).await?);
                vec![all, make.below(What::Albums, Sort::Album)]
            }
        };
        Ok(Some(Listing { pieces }))
    }

    /// Returns what a search in a container finds, each thing once and in its own place.
    ///
    /// A container that holds everything is searched whole.
    pub fn found(within: &ObjectId, criteria: &Criteria, order: Option<Order>) -> Listing {
        let scope = scope(within);
        let mut pieces = Vec::new();
        for kind in KINDS.iter().filter(|kind| scope.is_none_or(|scope| scope.contains(&kind.what))) {
            let is_list = kind.what == What::Playlists;
            // What lies in one album or playlist is no list of playlists.
            if is_list && !matches!(within.step(), None | Some(Step::List(_))) {
                continue;
            }
            let mut filters = match told(criteria, kind) {
                Told::None => continue,
                Told::Every => Vec::new(),
                Told::Those(filter) => vec![filter],
            };
            filters.push(within.filter());
            let usual = if kind.what == What::Tracks { Sort::Album } else { Sort::Title };
            let usual = if kind.what == What::Albums { Sort::Album } else { usual };
            pieces.push(Piece::Asked {
                query: Query {
                    what: kind.what,
                    filter: if filters.len() == 1 { within.filter() } else { Filter::And(filters) },
                    sort: order.map_or(usual, |order| order.sort),
                    window: Window::FIRST,
                },
                most: u64::MAX,
                way: order.map_or(Way::Up, |order| order.way),
                place: Place::Anywhere,
            });
        }
        Listing { pieces }
    }

    /// Returns at most `limit` objects from `start` on.
    ///
    /// # Errors
    /// Those of the shelf.
    pub async fn part(&self, start: u64, limit: u32, session: &Session) -> Result<Part> {
        let mut part = Part { objects: Vec::new(), total: 0 };
        for piece in &self.pieces {
            let skip = start.saturating_sub(part.total);
            let left = limit.saturating_sub(part.objects.len() as u32);
            let total = match piece {
                Piece::Fixed(objects) => {
                    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                    part.objects.extend(objects.iter().skip(skip).take(left as usize).cloned());
                    objects.len() as u64
                }
                Piece::Asked { query, most, way, place } => {
                    let (total, items, first) = ask(query, *most, *way, skip, left, session).await?;
                    let count = items.len() as u64;
                    // From the end the places go down.
                    let place_of =
                        |at: u64| if *way == Way::Up { first + at } else { first + count - 1 - at };
                    let put = place.put(query.what, items, (0..count).map(place_of), &query.filter, session);
                    part.objects.extend(put.await?);
                    total
                }
            };
            part.total += total;
        }
        Ok(part)
    }
}

/// Makes the pieces of one container.
struct Maker<'a> {
    id: &'a ObjectId,
    order: Option<Order>,
}

impl Maker<'_> {
    fn asked(&self, what: What, sort: Sort, place: Place) -> Piece {
        let sort = self.order.map_or(sort, |order| order.sort);
        let query = Query { what, filter: self.id.filter(), sort, window: Window::FIRST };
        let way = self.order.map_or(Way::Up, |order| order.way);
        Piece::Asked { query, most: u64::MAX, way, place }
    }

    fn below(&self, what: What, sort: Sort) -> Piece {
        self.asked(what, sort, Place::Below(self.id.clone()))
    }

    fn own(&self, what: What, sort: Sort) -> Piece {
        self.asked(what, sort, Place::Own(self.id.clone()))
    }

    /// A list that is what it is by its order, which it keeps: some apps ask for titles in order wherever they are.
    fn kept(&self, what: What, sort: Sort, most: u64, place: Place) -> Piece {
        let query = Query { what, filter: self.id.filter(), sort, window: Window::FIRST };
        Piece::Asked { query, most, way: Way::Up, place }
    }

    /// The artists under a heading.
    fn span(&self, start: u64, count: u64) -> Piece {
        let window = Window { offset: start, limit: 0 };
        let query = Query { what: What::AlbumArtists, filter: playable(), sort: Sort::Artist, window };
        Piece::Asked { query, most: count, way: Way::Up, place: Place::Below(self.id.clone()) }
    }

    /// A list of the top, or one below a group.
    fn list(&self, list: List) -> Piece {
        let below = || Place::Below(self.id.clone());
        match list {
            List::Artists if !self.id.is_own() => self.below(What::Artists, Sort::Artist),
            List::Albums if !self.id.is_own() => self.below(What::Albums, Sort::Album),
            List::Tracks if !self.id.is_own() => self.below(What::Tracks, Sort::Album),
            List::Artists | List::Headings => self.own(What::AlbumArtists, Sort::Artist),
            List::Everyone => self.asked(What::Artists, Sort::Artist, Place::Everyone(self.id.clone())),
            List::Albums => self.own(What::Albums, Sort::Album),
            List::Genres => self.own(What::Genres, Sort::Title),
            List::Composers => self.own(What::Composers, Sort::Title),
            List::Years => self.own(What::Years, Sort::Title),
            List::Recent => self.kept(What::Albums, Sort::Added, MOST_RECENT, below()),
            List::Played => self.kept(What::Tracks, Sort::Played, MOST_RECENT, below()),
            List::Most => self.kept(What::Tracks, Sort::MostPlayed, MOST_RECENT, below()),
            List::Favourites => self.below(What::Tracks, Sort::Favoured),
            List::Tracks => self.asked(What::Tracks, Sort::Title, Place::Tracks(self.id.clone())),
            List::Playlists => self.own(What::Playlists, Sort::Listed),
            List::Folders => self.own(What::Folders, Sort::Listed),
        }
    }
}

/// Asks for a window within the window of a query. Returns how many there are in all, those asked for, and the place of the
/// first of them.
async fn ask(
    query: &Query,
    most: u64,
    way: Way,
    skip: u64,
    limit: u32,
    session: &Session,
) -> Result<(u64, Vec<Item>, u64)> {
    let begin = query.window.offset;
    let within = |offset: u64, limit: u32| Query { window: Window { offset, limit }, ..query.clone() };
    let count = |total: u64| total.saturating_sub(begin).min(most);
    match way {
        Way::Up => {
            let limit = u64::from(limit).min(most.saturating_sub(skip)) as u32;
            let page = session.browse(&within(begin.saturating_add(skip), limit)).await?;
            Ok((count(page.total), page.items, skip))
        }
        // The same order from its end: a page from behind, turned.
        Way::Down => {
            let total = count(session.browse(&within(0, 0)).await?.total);
            let end = total.saturating_sub(skip);
            let first = end.saturating_sub(limit.into());
            let page: Page<Item> = session.browse(&within(begin + first, (end - first) as u32)).await?;
            Ok((total, page.items.into_iter().rev().collect(), first))
        }
    }
}

impl Place {
    /// Returns things of a kind as objects of the tree; `places` are those of the items in their list.
    async fn put(
        &self,
        what: What,
        items: Vec<Item>,
        places: impl Iterator<Item = u64>,
        filter: &Filter,
        session: &Session,
    ) -> Result<Vec<Object>> {
        let groups = items.iter().filter_map(|item| match item {
            Item::Group(group) => Some(group.id),
            Item::Track(_) => None,
        });
        let ids: Vec<GroupId> = groups.collect();
        // An artist of albums is listed by those, and holds what he sings elsewhere, too; what is found by some of its tracks
        // holds all of them.
        let whole = match self {
            _ if ids.is_empty() => Vec::new(),
            Place::Anywhere => session.groups(what, ids.clone(), playable()).await?,
            _ if what == What::AlbumArtists => {
                session.groups(What::Artists, ids.clone(), filter.clone()).await?
            }
            _ => Vec::new(),
        };
        let of_albums = match self {
            Place::Everyone(_) | Place::Anywhere if what == What::Artists && !ids.is_empty() => {
                let found = session.groups(What::AlbumArtists, ids, playable()).await?;
                found.into_iter().flatten().map(|group| group.id).collect()
            }
            _ => HashSet::new(),
        };
        let mut whole = whole.into_iter();
        let objects = items.into_iter().zip(places).map(|(item, place)| match item {
            Item::Track(track) => {
                let step = Step::Track(track.id, None);
                let home = track.album.map_or(Step::List(List::Tracks), |id| Step::Group(What::Albums, id));
                self.object(step, home, place, Thing::Track(track))
            }
            Item::Group(group) => {
                let group = whole.next().flatten().unwrap_or(group);
                let home = home(what, &group, |id| of_albums.contains(&id));
                self.object(Step::Group(kind(what), group.id), home, place, Thing::Group(kind(what), group))
            }
        });
        Ok(objects.collect())
    }

    fn object(&self, step: Step, home: Step, place: u64, thing: Thing) -> Object {
        let own = ObjectId::of(step.clone());
        let (id, parent) = match self {
            Place::Own(parent) => (own, parent.clone()),
            Place::Below(parent) => (parent.below(step), parent.clone()),
            Place::Tracks(parent) | Place::Everyone(parent) => {
                let is_home = parent.step() == Some(&home);
                (if is_home { own } else { parent.below(step) }, parent.clone())
            }
            Place::Entries(parent) => {
                let step = match step {
                    Step::Track(id, _) => Step::Track(id, u32::try_from(place).ok()),
                    step => step,
                };
                (parent.below(step), parent.clone())
            }
            Place::Anywhere => (own, ObjectId::of(home)),
        };
        Object { id, parent: Some(parent), thing }
    }
}

/// Returns one object; `None` when it is not there.
///
/// # Errors
/// Those of the shelf.
pub async fn object(id: &ObjectId, session: &Session) -> Result<Option<Object>> {
    let Some(step) = id.step() else {
        let count = top(session).await?.len() as u64;
        return Ok(Some(Object { id: id.clone(), parent: None, thing: Thing::List(String::new(), count) }));
    };
    let parent = |home: Step| Some(id.outer().unwrap_or_else(|| ObjectId::of(home)));
    Ok(match step {
        Step::List(list) => {
            let parent = id.outer().unwrap_or(ObjectId::ROOT);
            if !parent.is_root() && Box::pin(object(&parent, session)).await?.is_none() {
                return Ok(None);
            }
            Some(object::list(id.clone(), parent, *list, count(id, session).await?))
        }
        Step::Heading(heading) => under(heading, session).await?.map(|(_, count)| Object {
            id: id.clone(),
            parent: parent(Step::List(List::Headings)),
            thing: Thing::List(heading.clone(), count),
        }),
        Step::Track(..) => {
            let window = Window { offset: 0, limit: 1 };
            let query = Query { what: What::Tracks, filter: id.filter(), sort: Sort::Album, window };
            let found = session.browse(&query).await?.items.into_iter().next();
            found.and_then(|item| match item {
                Item::Track(track) => {
                    let home =
                        track.album.map_or(Step::List(List::Tracks), |id| Step::Group(What::Albums, id));
                    Some(Object { id: id.clone(), parent: parent(home), thing: Thing::Track(track) })
                }
                Item::Group(_) => None,
            })
        }
        Step::Group(what, group) => {
            let found = session.groups(*what, vec![*group], around(id)).await?;
            let Some(group) = found.into_iter().flatten().next() else { return Ok(None) };
            let of_albums = match what {
                What::Artists => session.groups(What::AlbumArtists, vec![group.id], playable()).await?,
                _ => Vec::new(),
            };
            let home = home(*what, &group, |id| of_albums.iter().flatten().any(|group| group.id == id));
            Some(Object { id: id.clone(), parent: parent(home), thing: Thing::Group(*what, group) })
        }
    })
}

/// Returns what of a group is shown where it stands: what lies in the containers around it.
fn around(id: &ObjectId) -> Filter {
    id.outer().map_or_else(playable, |outer| outer.filter())
}

/// Returns how many objects lie in a container.
async fn count(id: &ObjectId, session: &Session) -> Result<u64> {
    Ok(match Box::pin(Listing::of(id, None, session)).await? {
        Some(listing) => listing.part(0, 0, session).await?.total,
        None => 0,
    })
}

/// Returns the lists of the top. Letters are of use on large shelves only; a list that some shelves never fill is left out
/// while it is empty.
async fn top(session: &Session) -> Result<Vec<Object>> {
    let mut lists = Vec::new();
    let artists = count(&ObjectId::of(Step::List(List::Artists)), session).await?;
    for list in List::TOP {
        let id = ObjectId::of(Step::List(list));
        let count = if list == List::Artists { artists } else { count(&id, session).await? };
        let shown = match list {
            List::Headings => artists > MANY_ARTISTS,
            List::Artists | List::Albums | List::Genres | List::Tracks | List::Recent | List::Folders => true,
            _ => count > 0,
        };
        if shown {
            lists.push(object::list(id, ObjectId::ROOT, list, count));
        }
    }
    Ok(lists)
}

/// Returns lists below a group.
async fn below_group(id: &ObjectId, lists: &[List], session: &Session) -> Result<Vec<Object>> {
    let mut objects = Vec::with_capacity(lists.len());
    for list in lists {
        let below = id.below(Step::List(*list));
        let count = count(&below, session).await?;
        objects.push(object::list(below, id.clone(), *list, count));
    }
    Ok(objects)
}

/// Returns the first letters of artists.
async fn headings(id: &ObjectId, session: &Session) -> Result<Vec<Object>> {
    let spans = spans(session).await?;
    let object = |(heading, _, count): (String, u64, u64)| Object {
        id: ObjectId::of(Step::Heading(heading.clone())),
        parent: Some(id.clone()),
        thing: Thing::List(heading, count),
    };
    Ok(spans.into_iter().map(object).collect())
}

/// Returns where the artists under a heading begin, and how many there are.
async fn under(heading: &str, session: &Session) -> Result<Option<(u64, u64)>> {
    let spans = spans(session).await?;
    Ok(spans.into_iter().find(|(known, ..)| known == heading).map(|(_, start, count)| (start, count)))
}

/// Returns each heading with the place of its first artist and how many artists stand under it.
async fn spans(session: &Session) -> Result<Vec<(String, u64, u64)>> {
    let sections = session.sections_of(What::AlbumArtists, playable()).await?;
    let window = Window { offset: 0, limit: 0 };
    let all = Query { what: What::AlbumArtists, filter: playable(), sort: Sort::Artist, window };
    let total = session.browse(&all).await?.total;
    let ends = sections.iter().skip(1).map(|section| section.offset).chain([total]).collect::<Vec<_>>();
    let span = |(section, end): (crate::query::Section, u64)| {
        (section.heading, section.offset, end.saturating_sub(section.offset))
    };
    Ok(sections.into_iter().zip(ends).map(span).collect())
}

/// Returns the kinds of things that lie in or below a container; `None`: all.
fn scope(within: &ObjectId) -> Option<&'static [What]> {
    Some(match within.step()? {
        Step::List(List::Tracks | List::Folders | List::Played | List::Most | List::Favourites) => {
            &[What::Tracks]
        }
        Step::List(List::Albums | List::Years | List::Recent) => &[What::Albums, What::Tracks],
        Step::List(List::Artists | List::Headings | List::Everyone) | Step::Heading(_) => {
            &[What::Artists, What::Albums, What::Tracks]
        }
        Step::List(List::Playlists) => &[What::Playlists],
        Step::List(List::Genres) => &[What::Genres, What::Artists, What::Albums, What::Tracks],
        Step::List(List::Composers) => &[What::Composers, What::Albums, What::Tracks],
        Step::Group(What::Artists | What::Composers | What::Years, _) => &[What::Albums, What::Tracks],
        Step::Group(What::Genres, _) => &[What::Artists, What::Albums, What::Tracks],
        Step::Group(..) | Step::Track(..) => &[What::Tracks],
    })
}

/// The letter of an id does not tell artists of albums from others.
fn kind(what: What) -> What {
    if what == What::AlbumArtists { What::Artists } else { what }
}

/// Returns the own place of a group.
fn home(what: What, group: &Group, has_albums: impl Fn(GroupId) -> bool) -> Step {
    Step::List(match what {
        What::Artists if !has_albums(group.id) => List::Everyone,
        What::Artists | What::AlbumArtists => List::Artists,
        What::Albums => List::Albums,
        What::Genres => List::Genres,
        What::Composers => List::Composers,
        What::Years => List::Years,
        What::Playlists => List::Playlists,
        What::Folders => match group.parent {
            Some(parent) => return Step::Group(What::Folders, parent),
            None => List::Folders,
        },
        What::Tracks => List::Tracks,
    })
}

/// From so many artists on their first letters are a list of their own (reference upnp 5.8).
const MANY_ARTISTS: u64 = 300;
/// Albums that came last, tracks heard last and most (reference upnp 5.8).
const MOST_RECENT: u64 = 200;
