//! Databases of earlier versions, as they lie in people's homes (`tests/data/README.md`), open and keep every row.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::offer::{Consent, DeviceId, Key, NeighbourId, Right};
use crate::query::purchases::PurchaseQuery;
use crate::track::{Codec, Container, PurchaseLevel};

const FROZEN: [&str; 3] = ["owner-1.db", "owner-2.db", "owner-3.db"];
const PHONE: &str = "udn:4d696e69-444c-164e-9d41-000000000001";

/// A folder whose database is a copy of a frozen one. The music disk it knows is not there.
fn frozen(name: &str) -> (TempDir, LibraryConfig) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = LibraryConfig {
        music: vec![folder.path().join("music")],
        data: folder.path().join("data"),
        keep_free: Some(ByteCount(0)),
    };
    fs::create_dir(&config.data).expect("made");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    fs::copy(from, config.data.join("owner.db")).expect("copied");
    (folder, config)
}

/// Opens every frozen database in turn and asks it.
fn each(ask: impl AsyncFn(&str, &Library)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    for name in FROZEN {
        let (_folder, config) = frozen(name);
        let library = Library::open(config.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        runtime.block_on(ask(name, &library));
        library.close().expect("closed");
        drop(library);
        // What was brought to this version opens as this version.
        let library = Library::open(config).unwrap_or_else(|error| panic!("{name} again: {error}"));
        runtime.block_on(ask(name, &library));
    }
}

#[test]
fn tracks_keep_their_numbers_files_and_tags() {
    each(async |name, library| {
        let ids: Vec<TrackId> = (1..=7).map(TrackId).collect();
        let found = library.get(&ids).await.expect("read");
        let there: Vec<i64> = found.iter().flatten().map(|track| track.id.0).collect();
        assert_eq!(there, [1, 4, 5], "{name}: 2 lies in the trash, 3 and 6 were lost");
        let track = found[0].as_ref().expect("there");
        assert_eq!(track.tags.title.as_deref(), Some("夜"), "{name}");
        assert_eq!((track.tags.artist.as_deref(), track.tags.track), (Some("Aimer"), Some(3)), "{name}");
        assert_eq!((track.duration, track.added), (Millis(250), UnixTime(1_795_219_200)), "{name}");
        let copy = &track.copies[0];
        assert_eq!((copy.size, copy.sha256), (ByteCount(5120), Some(Sha256([0xa1; 32]))), "{name}");
        let fingerprint = Fingerprint { algo: 1, hash: QuickKey([0xc1; 16]) };
        assert_eq!((copy.fingerprint, &copy.protection), (Some(fingerprint), &Protection::None), "{name}");
        assert_eq!((copy.format.container, copy.format.codec), (Container::Flac, Codec::Flac), "{name}");
        let locked = found[3].as_ref().expect("there");
        assert_eq!(locked.copies[0].protection, Protection::FairPlay { user_id: Some(4711) }, "{name}");
        assert_eq!(locked.copies[0].personal.len(), 1, "{name}");
        assert!(locked.playable().is_none() && track.playable().is_some(), "{name}");
    });
}

#[test]
fn what_was_bought_is_known() {
    each(async |name, library| {
        let bought = library.bought(&PurchaseQuery::default()).await.expect("read");
        let item = bought.items.iter().find(|item| item.purchase.store == "itunes").expect("there");
        assert_eq!(item.track.as_ref().map(|track| track.id), Some(TrackId(4)), "{name}");
        assert_eq!((item.at.as_deref(), item.way.as_str()), (Some("2007-10-16 09:30:00"), "inbox"), "{name}");
        let purchase = &item.purchase;
        assert_eq!(item.track.as_ref().expect("there").purchases, std::slice::from_ref(purchase), "{name}");
        assert_eq!((purchase.store.as_str(), purchase.level), ("itunes", PurchaseLevel::Embedded), "{name}");
        assert_eq!(purchase.account.as_deref(), Some("yuki@example.com"), "{name}");
        assert_eq!(purchase.evidence.len(), 2, "{name}");
        if name == "owner-3.db" {
            let [other] = bought.items.iter().filter(|item| item.way == "found").collect::<Vec<_>>()[..]
            else {
                panic!("{name}: the buy of the adopted file")
            };
            assert_eq!(other.at.as_deref(), Some("2011-03-04 05:06:07"));
            assert_eq!(
                (other.purchase.level, other.purchase.isrc.as_deref()),
                (PurchaseLevel::Claimed, Some("JPX010700001"))
            );
            assert_eq!(other.purchase.price.as_deref(), Some("JPY 150"));
        }
        assert_eq!(bought.total, if name == "owner-3.db" { 2 } else { 1 }, "{name}");
    });
}

#[test]
fn every_arrival_leads_to_its_track() {
    each(async |name, library| {
        for (event, track) in [(1, 1), (2, 2), (4, 4), (5, 5), (6, 1)] {
            let found = library.arrived(OfferId(event)).await.expect("read");
            assert_eq!(found, Some(TrackId(track)), "{name}: arrival {event}");
        }
        let recent = library.journal_recent(10).await.expect("read");
        let ids: Vec<i64> = recent.iter().map(|row| row.id.0).collect();
        assert_eq!(ids, [8, 7, 1], "{name}");
        assert_eq!(recent[2].verdict, Some(Verdict::Stored { track: TrackId(1) }), "{name}");
        let open = library.journal_open().await.expect("read");
        let item = open[0].item.as_ref().expect("said");
        assert_eq!((open.len(), item.title.as_str()), (1, "Later"), "{name}");
        assert_eq!(open[0].etag.as_deref(), Some("\"8-5120\""), "{name}");
        assert_eq!(library.seen_remote(PHONE).await.expect("read").len(), 3, "{name}");
    });
}

#[test]
fn decisions_devices_and_the_queue_stay() {
    each(async |name, library| {
        let consent = async |id: &str| library.consent(&NeighbourId(id.into())).await.expect("read");
        assert_eq!(consent(PHONE).await, Some(Consent::Always), "{name}");
        assert_eq!(consent("udn:4d696e69-444c-164e-9d41-000000000002").await, Some(Consent::Never), "{name}");
        let addresses = library.addresses().await.expect("read");
        assert_eq!(addresses, ["192.168.1.5:8200", "http://10.0.0.9/description.xml"], "{name}");
        let device = async |key| library.device_by_key(key).await.expect("read");
        let owner = device(Key::Cookie("e1".repeat(32))).await;
        assert_eq!(owner, Some((DeviceId(1), Right::Owner)), "{name}");
        let tablet = device(Key::Udn("4d696e69-444c-164e-9d41-000000000003".into())).await;
        assert_eq!(tablet, Some((DeviceId(3), Right::Member)), "{name}");
        let memory = library.load_memory().await.expect("read").expect("kept");
        let memory: serde_json::Value = serde_json::from_str(&memory).expect("JSON");
        assert_eq!(
            (&memory["volume"], &memory["entries"][1]["what"]["shelf"]),
            (&30.into(), &5.into()),
            "{name}"
        );
        assert!(*library.revision().borrow() >= 17, "{name}");
    });
}

#[test]
fn plays_and_what_lies_in_the_trash_stay() {
    for name in FROZEN {
        let (_folder, config) = frozen(name);
        Library::open(config.clone()).and_then(|library| library.close()).expect("opened and closed");
        let database = Connection::open(config.data.join("owner.db")).expect("opened");
        let count = |sql| database.query_row(sql, [], |row| row.get::<_, i64>(0)).expect(sql);
        assert_eq!(count("SELECT count(*) FROM play"), 2, "{name}");
        assert_eq!(count("SELECT count(*) FROM copy WHERE trashed IS NOT NULL"), 1, "{name}");
        let sql = "SELECT path, name FROM copy JOIN folder ON folder.id = folder WHERE track = 5";
        let path = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?));
        let (folder, file) = database.query_row(sql, [], path).expect("there");
        assert_eq!((&folder[..], &file[..]), (&b"Beamed/2026-11"[..], &b"caf\xe9.m4a"[..]), "{name}");
        let above = "SELECT count(*) FROM folder AS child JOIN folder AS top ON top.id = child.parent
                     WHERE child.path = CAST('Beamed/2026-11' AS BLOB) AND top.path = CAST('Beamed' AS BLOB)";
        assert_eq!(count(above), 1, "{name}");
        let next = count("SELECT seq FROM sqlite_sequence WHERE name = 'track'");
        assert!(next >= 6, "{name}: track {next} would be given again");
    }
}
