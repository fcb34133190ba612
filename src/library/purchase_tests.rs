//! Buys with and without a track, locked songs that are unlocked, and that a rebuild restores both.

use proptest::prelude::*;

use super::*;
use crate::query::purchases::{Bought, By, Order, PurchaseQuery, Purchases};
use crate::track::past::{HistoryAdded, PastPurchase};

/// A file that is locked by FairPlay.
fn locked(new: NewCopy) -> NewCopy {
    NewCopy { protection: Protection::FairPlay { user_id: Some(7) }, fingerprint: None, ..new }
}

fn buy(store: &str, item: &str, at: &str) -> Purchase {
    let fact = Evidence { place: "mp4:ilst/apID".into(), text: "yuki@example.com".into(), personal: true };
    Purchase {
        bought_at: Some(at.into()),
        item_id: Some(item.into()),
        account: Some("yuki@example.com".into()),
        evidence: vec![fact],
        ..Purchase::at(store, PurchaseLevel::Embedded)
    }
}

fn past(item: Option<&str>, id: Option<&str>, title: &str) -> PastPurchase {
    PastPurchase {
        track: None,
        title: Some(title.into()),
        artist: Some("Singer".into()),
        album: None,
        duration: Millis(1000),
        persistent_id: id.map(str::to_owned),
        purchase: Purchase {
            item_id: item.map(str::to_owned),
            bought_at: Some("2008-01-02T03:04:05Z".into()),
            evidence: vec![Evidence {
                place: "itunesxml:Purchased".into(),
                text: "true".into(),
                personal: false,
            }],
            ..Purchase::at("itunes", PurchaseLevel::Claimed)
        },
        from: Provenance {
            way: "itunes".into(),
            original_name: "Library.xml".into(),
            ..Provenance::default()
        },
    }
}

fn ask(library: &Library, query: PurchaseQuery) -> Purchases {
    wait(library.bought(&query)).expect("read")
}

fn all(library: &Library) -> Vec<Bought> {
    ask(library, PurchaseQuery::default()).items
}

/// What tells a locked and its free file to be one song.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Twin {
    Item,
    Isrc,
    Words,
}

impl Twin {
    const ALL: [(Twin, SameBy); 3] =
        [(Twin::Item, SameBy::Item), (Twin::Isrc, SameBy::Isrc), (Twin::Words, SameBy::Words)];

    /// Makes two files alike in nothing but this.
    fn set(self, locked: &mut NewCopy, free: &mut NewCopy) {
        (locked.tags.title, free.tags.title) = (Some("夜".into()), Some("Night".into()));
        match self {
            Twin::Item => {
                free.tags.album = None;
                locked.purchases = vec![buy("itunes", "267", "2007-10-16 09:30:00")];
                free.purchases = vec![buy("itunes", "267", "2010-01-01 00:00:00")];
            }
            Twin::Isrc => {
                locked.purchases =
                    vec![Purchase { isrc: Some("JPX010700001".into()), ..buy("itunes", "1", "2007") }];
                free.tags.isrc = Some("JPX010700001".into());
            }
            Twin::Words => {
                locked.purchases = vec![buy("itunes", "2", "2007")];
                // Folded as a search folds it: case and width.
                free.tags.title = Some("夜".into());
                free.tags.artist = Some("ＳＩＮＧＥＲ".into());
                free.duration = Millis(locked.duration.0 + 2000);
            }
        }
    }
}

#[test]
fn two_buyers_of_one_song_have_two_buys_and_one_buyer_told_twice_has_one() {
    let of = |account: &str, at: &str, transaction: Option<&str>| Purchase {
        account: (!account.is_empty()).then(|| account.into()),
        transaction_id: transaction.map(str::to_owned),
        item_id: None,
        ..buy("itunes", "", at)
    };
    let claimed = |at: &str| Purchase { level: PurchaseLevel::Claimed, ..of("", at, None) };
    for (told, expected) in [
        (vec![of("yuki@example.com", "2007", None), of("ken@example.com", "2007", None)], 2),
        (vec![of("yuki@example.com", "2007", None), of("Yuki@Example.com", "2007-10-16", None)], 1),
        (vec![of("yuki@example.com", "2007-10-16", None), of("yuki@example.com", "2010-01-01", None)], 2),
        (vec![of("yuki@example.com", "2007", Some("7")), of("Yuki Sato", "2008", Some("7"))], 1),
        (vec![of("", "2007", Some("7")), of("", "2007", Some("8"))], 2),
        (vec![claimed("2012"), of("yuki@example.com", "2007", None)], 1),
        (vec![claimed("2012"), of("yuki@example.com", "2007", None), of("ken@example.com", "2007", None)], 2),
        (vec![of("", "2007-10-16", None), claimed("2012"), of("", "2010-01-01", None)], 2),
    ] {
        let bench = Bench::new();
        let library = bench.open();
        for (number, purchase) in told.iter().enumerate() {
            // The same bytes: each file is another copy of the one track.
            let mut new = bench.staged(number as i64 + 1, "Song", &wav(1));
            new.purchases = vec![purchase.clone()];
            Bench::add(&library, new).expect("added");
        }
        let found = ask(&library, PurchaseQuery::default());
        assert_eq!((found.total, found.items.len()), (expected, expected as usize), "{told:?}");
        let people = ask(&library, PurchaseQuery { by: By::Person, ..PurchaseQuery::default() });
        for group in people.groups {
            let person = Some(group.key.clone());
            let his = ask(&library, PurchaseQuery { person, ..PurchaseQuery::default() });
            assert_eq!(his.total, group.total, "{} of {told:?}", group.key);
        }
    }
}

#[test]
fn a_free_file_unlocks_the_track_of_the_locked_one() {
    for (twin, by) in Twin::ALL {
        let bench = Bench::new();
        let library = bench.open();
        let mut news = library.take_news().expect("first");
        let mut old = locked(bench.staged(1, "Old", &wav(1)));
        let mut new = bench.staged(2, "New", &wav(2));
        twin.set(&mut old, &mut new);
        let kept = Bench::add(&library, old).expect("added");
        let bought = &all(&library)[0];
        assert!(bought.locked && bought.unlocked.is_none() && !kept.unlocked, "{twin:?}");
        wait(library.set_favourite(kept.track, Some(UnixTime(5)))).expect("marked");
        wait(library.note_play(kept.track, UnixTime(6))).expect("noted");
        let added = Bench::add(&library, new.clone()).expect("added");
        assert_eq!((added.track, added.unlocked, added.merged), (kept.track, true, false), "{twin:?}");
        assert_eq!(news.try_recv().ok(), Some(News::Unlocked(vec![kept.track])), "{twin:?}");
        // Both files are kept; the free one sounds and says what the track is called.
        let track = get(&library, kept.track).expect("there");
        assert_eq!((track.copies.len(), track.tags.title.clone()), (2, new.tags.title.clone()), "{twin:?}");
        assert_eq!(track.playable().and_then(|copy| copy.sha256), Some(new.sha256), "{twin:?}");
        assert_eq!(library.open_blocking(kept.track).expect("opened").size, new.size, "{twin:?}");
        assert!(bench.files(".konpo/trash").is_empty(), "{twin:?}");
        assert_eq!(wait(library.times_played(kept.track)).expect("read"), 1);
        // The buy is one, its lock still named.
        let bought = all(&library);
        assert_eq!(bought.len(), 1, "{twin:?}: {bought:?}");
        // What the free file does not say the locked one did.
        assert_eq!(bought[0].album.as_deref(), Some("Album"), "{twin:?}");
        let unlocked = bought[0].unlocked.as_ref().expect("unlocked");
        assert_eq!((unlocked.by, unlocked.device_name.as_str()), (by, "Phone"), "{twin:?}");
        assert!(!bought[0].locked && bought[0].lock.is_some(), "{twin:?}");
        library.close().expect("closed");
        drop(library);
        bench.clean();
    }
}

#[test]
fn a_locked_file_joins_the_free_one_that_is_there() {
    for (twin, by) in Twin::ALL {
        let bench = Bench::new();
        let library = bench.open();
        let mut old = locked(bench.staged(2, "Old", &wav(1)));
        let mut new = bench.staged(1, "New", &wav(2));
        twin.set(&mut old, &mut new);
        let kept = Bench::add(&library, new.clone()).expect("added");
        let joined = Bench::add(&library, old).expect("added");
        assert_eq!((joined.track, joined.unlocked, joined.replaced), (kept.track, true, false), "{twin:?}");
        let track = get(&library, kept.track).expect("there");
        assert_eq!((track.copies.len(), track.tags.title.clone()), (2, new.tags.title), "{twin:?}");
        assert_eq!(track.playable().and_then(|copy| copy.sha256), Some(new.sha256), "{twin:?}");
        let unlocked = all(&library)[0].unlocked.clone().expect("unlocked");
        assert_eq!(unlocked.by, by, "{twin:?}");
        // A second locked file of it joins, too, and none of them goes.
        let mut third = locked(bench.staged(3, "Third", &wav(3)));
        twin.set(&mut third, &mut bench.staged(4, "Other", &wav(4)));
        assert_eq!(Bench::add(&library, third).expect("added").track, kept.track, "{twin:?}");
        assert_eq!(get(&library, kept.track).expect("there").copies.len(), 3, "{twin:?}");
        assert!(bench.files(".konpo/trash").is_empty(), "{twin:?}");
    }
}

#[test]
fn what_is_not_the_same_song_stays_apart() {
    let bench = Bench::new();
    let library = bench.open();
    let add = |new| Bench::add(&library, new).expect("added");
    let first = add(locked(bench.staged(1, "Song", &wav(1))));
    let longer = NewCopy { duration: Millis(3001), ..bench.staged(2, "Song", &wav(2)) };
    assert!(!add(longer).unlocked, "two seconds and a bit");
    let unknown = NewCopy { duration: Millis::ZERO, ..bench.staged(3, "Song", &wav(3)) };
    assert!(!add(unknown).unlocked, "a length that nobody knows");
    let mut other = bench.staged(4, "Song", &wav(4));
    other.tags.artist = Some("Somebody".into());
    assert!(!add(other).unlocked, "another artist");
    let mut store = bench.staged(5, "Other", &wav(5));
    store.purchases = vec![buy("amazon", "267", "2007")];
    add(store);
    let mut item = locked(bench.staged(6, "Locked", &wav(6)));
    item.purchases = vec![buy("itunes", "267", "2007")];
    assert!(!add(item).unlocked, "the same number at another store");
    // What a person filled in, a store that nobody knows, and a code of zeros prove nothing.
    let claimed = |number, purchase: Purchase| {
        let mut new = bench.staged(number, &format!("Claimed {number}"), &wav(number as u8));
        new.purchases = vec![purchase];
        new
    };
    let of_person = Purchase { level: PurchaseLevel::Claimed, ..buy("itunes", "267", "2007") };
    assert!(!add(claimed(21, of_person)).unlocked, "an item that a person filled in");
    let mut nobody = locked(bench.staged(22, "Nobody's", &wav(22)));
    nobody.purchases = vec![buy("unknown", "5", "2007")];
    add(nobody);
    assert!(!add(claimed(23, buy("unknown", "5", "2007"))).unlocked, "a number of no store");
    let mut coded = locked(bench.staged(24, "Coded", &wav(24)));
    coded.tags.isrc = Some("JPX010700001".into());
    add(coded);
    let mut another = bench.staged(25, "Coded", &wav(25));
    another.tags.isrc = Some("JPX010700002".into());
    assert!(!add(another).unlocked, "the same words, another recording");
    for (number, album_artist, compilation) in [(26, "Anybody", true), (28, "Various Artists", false)] {
        let of_all = |new: NewCopy| {
            let mut new = new;
            (new.tags.artist, new.tags.album_artist) = (None, Some(album_artist.into()));
            new.tags.compilation = compilation;
            new
        };
        add(of_all(locked(bench.staged(number, "Intro", &wav(number as u8)))));
        let free = add(of_all(bench.staged(number + 1, "Intro", &wav(number as u8 + 1))));
        assert!(!free.unlocked, "two openings of {album_artist}");
    }
    let free = add(bench.staged(7, "Song", &wav(7)));
    assert_eq!((free.track, free.unlocked), (first.track, true));
    // A second free recording is never joined to an unlocked track.
    let second = add(bench.staged(8, "Song", &wav(8)));
    assert!(second.track != first.track && !second.unlocked && !second.merged);
    assert_eq!(get(&library, first.track).expect("there").copies.len(), 2);
}

#[test]
fn a_history_is_kept_with_its_tracks_and_without() {
    let bench = Bench::new();
    let library = bench.open();
    let mut here = bench.staged(1, "Here", &wav(1));
    here.purchases = vec![buy("itunes", "1", "2007-10-16 09:30:00")];
    let here = Bench::add(&library, here).expect("added");
    let plain = Bench::add(&library, bench.staged(2, "Plain", &wav(2))).expect("added");
    let told = vec![
        past(Some("1"), Some("A1"), "Here"),
        past(Some("2"), Some("A2"), "Gone"),
        past(None, Some("A3"), "Only its id"),
        PastPurchase { track: Some(plain.track), ..past(Some("4"), None, "Plain") },
        past(None, None, "Nothing to know it by"),
    ];
    let added = wait(library.add_history(told.clone())).expect("kept");
    assert_eq!(added, HistoryAdded { added: 4, nameless: 1, ..HistoryAdded::default() });
    let lines =
        || fs::read_to_string(bench.music().join(".konpo/ledger.jsonl")).expect("there").lines().count();
    let before = lines();
    let again = wait(library.add_history(told.clone())).expect("kept");
    assert_eq!(again, HistoryAdded { known: 4, nameless: 1, ..HistoryAdded::default() });
    assert_eq!(lines(), before, "nothing new is told");
    // One that the file tells as well is listed once, with what the file proves.
    let bought = all(&library);
    let titles: Vec<_> = bought.iter().map(|item| item.title.as_deref().expect("told")).collect();
    assert_eq!(titles, ["Gone", "Only its id", "Plain", "Here"], "{bought:?}");
    assert_eq!(bought[3].purchase.level, PurchaseLevel::Embedded);
    assert_eq!(bought[3].track.as_ref().map(|track| track.id), Some(here.track));
    assert!(bought[0].track.is_none() && bought[0].purchase.evidence.len() == 1);
    assert_eq!((bought[0].duration, bought[0].way.as_str()), (Millis(1000), "itunes"));
    assert_eq!(get(&library, plain.track).expect("there").purchases[0].level, PurchaseLevel::Claimed);
    // A track that is found later is kept, also when the next reading does not name it.
    let found = PastPurchase { track: Some(plain.track), ..past(Some("2"), Some("A2"), "Gone") };
    assert_eq!(wait(library.add_history(vec![found])).expect("kept").changed, 1);
    assert_eq!(wait(library.add_history(told)).expect("kept").known, 4);
    assert_eq!(all(&library).len(), 3, "two buys of one track at one store are one");
}

#[test]
fn purchases_are_grouped_filtered_and_paged() {
    let bench = Bench::new();
    let library = bench.open();
    let from = |id: &str, name: &str| Provenance {
        way: if id.is_empty() { "inbox".into() } else { "upnp".into() },
        device: id.into(),
        device_name: name.into(),
        ..Provenance::default()
    };
    let songs = [
        ("A", "itunes", "2007-10-16 09:30:00", "yuki@example.com", from("udn:1", "Yuki's phone"), true),
        ("B", "itunes", "2007-12-31", "YUKI@example.com", from("udn:1", "Yuki's phone"), false),
        ("C", "mora", "2011", "ken@example.com", from("udn:2", "Ken's phone"), true),
        ("D", "bandcamp", "", "", from("", ""), false),
    ];
    for (number, (title, store, at, account, provenance, lock)) in songs.into_iter().enumerate() {
        let mut new = bench.staged(number as i64 + 1, title, &wav(number as u8 + 1));
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        new.purchases =
            vec![Purchase { bought_at: some(at), account: some(account), ..buy(store, title, at) }];
        new.provenance = provenance;
        Bench::add(&library, if lock { locked(new) } else { new }).expect("added");
    }
    let titles = |query: PurchaseQuery| -> Vec<String> {
        ask(&library, query).items.into_iter().map(|item| item.title.expect("told")).collect()
    };
    let groups = |by| -> Vec<(String, String, u64)> {
        let found = ask(&library, PurchaseQuery { by, ..PurchaseQuery::default() });
        found.groups.into_iter().map(|group| (group.key, group.name, group.total)).collect()
    };
    let group = |key: &str, name: &str, total| (key.to_owned(), name.to_owned(), total);
    assert_eq!(titles(PurchaseQuery::default()), ["C", "B", "A", "D"]);
    assert_eq!(groups(By::Date), [group("2011", "2011", 1), group("2007", "2007", 2), group("", "", 1)]);
    assert_eq!(titles(PurchaseQuery { order: Order::Oldest, ..Default::default() }), ["A", "B", "C", "D"]);
    assert_eq!(titles(PurchaseQuery { order: Order::Album, ..Default::default() }), ["A", "B", "C", "D"]);
    let stores =
        [group("bandcamp", "Bandcamp", 1), group("itunes", "the iTunes Store", 2), group("mora", "mora", 1)];
    assert_eq!(groups(By::Store), stores);
    assert_eq!(titles(PurchaseQuery { by: By::Store, ..Default::default() }), ["D", "B", "A", "C"]);
    let devices = [
        group("udn:2", "Ken's phone", 1),
        group("udn:1", "Yuki's phone", 2),
        group("inbox", "the drop folder", 1),
    ];
    assert_eq!(groups(By::Device), devices);
    let people = [
        group("ken@example.com", "ken@example.com", 1),
        group("yuki@example.com", "yuki@example.com", 2),
        group("", "", 1),
    ];
    assert_eq!(groups(By::Person), people);
    for (query, wanted) in [
        (PurchaseQuery { store: Some("itunes".into()), ..Default::default() }, &["B", "A"][..]),
        (PurchaseQuery { year: Some(2007), ..Default::default() }, &["B", "A"]),
        (PurchaseQuery { device: Some("udn:2".into()), ..Default::default() }, &["C"]),
        (PurchaseQuery { device: Some("Ken's phone".into()), ..Default::default() }, &["C"]),
        (PurchaseQuery { device: Some("inbox".into()), ..Default::default() }, &["D"]),
        (PurchaseQuery { person: Some("Yuki@Example.com".into()), ..Default::default() }, &["B", "A"]),
        (PurchaseQuery { person: Some(String::new()), ..Default::default() }, &["D"]),
        (PurchaseQuery { locked: Some(true), ..Default::default() }, &["C", "A"]),
        (PurchaseQuery { locked: Some(false), ..Default::default() }, &["B", "D"]),
        (PurchaseQuery { brought_by: Some(vec!["udn:2".into(), "x".into()]), ..Default::default() }, &["C"]),
        (PurchaseQuery { brought_by: Some(Vec::new()), ..Default::default() }, &[]),
    ] {
        assert_eq!(titles(query.clone()), wanted, "{query:?}");
    }
    let page =
        ask(&library, PurchaseQuery { window: Some(Window { offset: 1, limit: 2 }), ..Default::default() });
    let names: Vec<_> = page.items.iter().map(|item| item.title.as_deref().expect("told")).collect();
    assert_eq!((page.total, names.as_slice()), (4, &["B", "A"][..]));
}

/// What a rebuild has to restore.
fn picture(library: &Library) -> Vec<String> {
    let mut lines: Vec<String> = all(library)
        .into_iter()
        .map(|bought| {
            let track = bought.track.map(|track| {
                let copies: Vec<_> =
                    track.copies.iter().map(|copy| (copy.sha256, copy.is_playable())).collect();
                (track.id, track.purchases.clone(), copies)
            });
            let Bought { purchase, at, title, way, device, locked, unlocked, .. } = bought;
            format!("{title:?} {at:?} {way} {device} {locked} {unlocked:?} {purchase:?} {track:?}")
        })
        .collect();
    lines.sort();
    lines
}

/// One thing that happens to a shelf.
#[derive(Debug, Clone)]
enum Happens {
    Arrives { lock: bool, title: u8, item: Option<u8>, isrc: Option<u8> },
    Told { item: u8, title: u8 },
}

fn happens() -> impl Strategy<Value = Happens> {
    let arrives = (any::<bool>(), 0..3u8, proptest::option::of(0..3u8), proptest::option::of(0..2u8))
        .prop_map(|(lock, title, item, isrc)| Happens::Arrives { lock, title, item, isrc });
    prop_oneof![4 => arrives, 1 => (0..5u8, 0..3u8).prop_map(|(item, title)| Happens::Told { item, title })]
}

proptest! {
    // Every case writes files and syncs them.
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn a_rebuild_from_nothing_restores_purchases_evidence_and_unlocks(
        all in proptest::collection::vec(happens(), 1..9)
    ) {
        let bench = Bench::new();
        let library = bench.open();
        for (number, happens) in all.iter().enumerate() {
            match happens {
                Happens::Arrives { lock, title, item, isrc } => {
                    let mut new = bench.staged(number as i64 + 1, &format!("Song {title}"), &wav(number as u8 + 1));
                    let code = isrc.map(|isrc| format!("JPX01070000{isrc}"));
                    let buy = |item: u8| Purchase { isrc: code.clone(), ..buy("itunes", &item.to_string(), "2007") };
                    new.purchases = item.map(buy).into_iter().collect();
                    new.tags.isrc = code;
                    Bench::add(&library, if *lock { locked(new) } else { new }).expect("added");
                }
                Happens::Told { item, title } => {
                    let told = past(Some(&item.to_string()), None, &format!("Song {title}"));
                    wait(library.add_history(vec![told])).expect("kept");
                }
            }
        }
        let before = picture(&library);
        library.close().expect("closed");
        drop(library);
        for name in ["owner.db", "index.db"] {
            for tail in ["", "-wal", "-shm"] {
                let _not_all_are_there = fs::remove_file(bench.config().data.join(format!("{name}{tail}")));
            }
        }
        let library = bench.open();
        prop_assert_eq!(picture(&library), before);
    }
}
