//! Power cuts while a backup is made, and while a database of an earlier version is brought to this one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use super::{NEWEST, SILENT, kills, looks_through, random, sleep};
use crate::support::fixtures::{self, Kind};
use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::{database, shelf, wait_for};

#[test]
fn a_backup_that_is_cut_off_is_none_and_those_before_stay_whole() {
    let mut random = random("backup");
    let lan = Lan::new();
    let mut konpo = Konpo::new(&lan.host("hifi"), SILENT);
    song(&konpo.music().join("Song.wav"), 1);
    looks_through(&mut konpo);
    // A file that came just now is taken a little behind the first look.
    wait_for("the song is listed", BACKUP_WITHIN, || (konpo.tracks().len() == 1).then_some(()));
    wait_for("the first backup", BACKUP_WITHIN, || backups(&konpo).pop());
    konpo.stop();
    // A database that takes a while to copy.
    let owner = konpo.path("data").join("owner.db");
    database::rows(&owner, MANY_PLAYS);
    make_old(&konpo);
    let begun = Instant::now();
    konpo.spawn();
    wait_for("a backup, and the copy beside the music", BACKUP_WITHIN, || is_new(&konpo).then_some(()));
    let whole = begun.elapsed().as_millis() as u64;
    konpo.ready();
    konpo.stop();
    let (mut backed_up, mut copied) = (0, 0);
    for _ in 0..kills() {
        make_old(&konpo);
        konpo.spawn();
        sleep(random.below(whole + whole / 4));
        konpo.kill();
        backed_up += u32::from(backups(&konpo).len() > 1);
        copied += u32::from(is_new(&konpo));
        assert_copies(&konpo);
        database::assert_whole(&konpo.path("data"), "cut in a backup");
    }
    println!("a start with its backup takes {whole} ms; cut behind {backed_up} backups, {copied} copies");
    make_old(&konpo);
    konpo.spawn();
    konpo.ready();
    wait_for("a backup, and the copy beside the music", BACKUP_WITHIN, || is_new(&konpo).then_some(()));
    // Whatever half of one lay there is gone; what the new ones are made from a moment after they are there.
    wait_for("nothing half is left", BACKUP_WITHIN, || {
        let beside =
            names(&konpo.path("music/.konpo"), |name| name.contains("part") || name.contains("-journal"));
        let half = names(&konpo.path("data/backup"), |name| !is_backup(name));
        (beside.is_empty() && half.is_empty()).then_some(())
    });
    konpo.stop();
    assert_copies(&konpo);
    let (report, clean) = konpo.check();
    assert!(clean && report["tracks"] == 1, "{report}");
}

#[test]
fn an_upgrade_that_is_cut_off_is_made_by_the_next_start() {
    let mut random = random("upgrade");
    let lan = Lan::new();
    let mut konpo = Konpo::new(&lan.host("hifi"), SILENT);
    let music = old_music(&konpo);
    let frozen = [1, 2].map(|version| old_database(&konpo, version, &music));
    let owner = konpo.path("data").join("owner.db");
    let kept = |owner: &Path, version| {
        let rows = |sql: &&str| database::rows(owner, sql);
        let newest = version == NEWEST;
        let (copies, buys) = if newest { (COPIES, BUYS) } else { (OLD_COPIES, OLD_BUYS) };
        [copies, buys].iter().chain(&UPGRADED).flat_map(rows).collect::<Vec<String>>()
    };
    let mut stages = [0; NEWEST as usize + 1];
    let mut killed = 0;
    for turn in 0.. {
        let (version, old) = (turn % 2 + 1, &frozen[turn % 2]);
        let before = kept(old, version as i64);
        lay(old, &owner);
        while killed < kills() {
            konpo.spawn();
            sleep(random.below(100));
            konpo.kill();
            killed += 1;
            database::assert_whole(&konpo.path("data"), "cut in an upgrade");
            let copy = database::copy(&konpo.path("data"));
            let stage = database::number(&copy.path().join("owner.db"), "PRAGMA user_version");
            stages[usize::try_from(stage).expect("a version")] += 1;
            assert!(stage >= version as i64, "version {stage}");
            if stage == NEWEST || killed % 3 == 0 {
                break;
            }
        }
        looks_through(&mut konpo);
        konpo.stop();
        assert_eq!(database::number(&owner, "PRAGMA user_version"), NEWEST);
        println!("brought on from version {version}");
        database::assert_same(&before, &kept(&owner, NEWEST));
        let (report, clean) = konpo.check();
        assert!(clean && report["copies"] == 3, "{report}");
        if killed >= kills() && turn > 0 {
            break;
        }
    }
    println!("cut at versions 0, 1, 2, 3: {stages:?}");
}

/// A short song of its own.
fn song(path: &Path, seed: u64) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    let wav = fixtures::noise(seed, 22_050, 16, 5000).tagged_wav("Song", "The Lamplighters", "Harbour");
    fs::write(path, wav).expect("a file");
}

/// Leaves one backup, of long ago, and a copy beside the music that is as old.
fn make_old(konpo: &Konpo) {
    let mut backups = backups(konpo);
    let newest = backups.pop().expect("a backup");
    backups.iter().for_each(|path| fs::remove_file(path).expect("removed"));
    fs::rename(newest, konpo.path("data/backup").join(OLD)).expect("renamed");
    let file = File::options().write(true).open(konpo.path(SNAPSHOT)).expect("a copy");
    file.set_modified(SystemTime::UNIX_EPOCH + LONG_AGO).expect("set");
}

/// Whether both copies are newer than that.
fn is_new(konpo: &Konpo) -> bool {
    let changed = fs::metadata(konpo.path(SNAPSHOT)).and_then(|found| found.modified());
    let copied = changed.is_ok_and(|changed| changed > SystemTime::UNIX_EPOCH + LONG_AGO * 2);
    copied && backups(konpo).last().is_some_and(|path| !path.ends_with(OLD))
}

/// Every backup and the copy beside the music is whole, has everything, and the copy has no secret.
fn assert_copies(konpo: &Konpo) {
    let plays = |path: &Path| database::number(path, "SELECT count(*) FROM play");
    let snapshot = konpo.path(SNAPSHOT);
    let owner = database::copy(&konpo.path("data"));
    let all = plays(&owner.path().join("owner.db"));
    for path in backups(konpo).iter().chain([&snapshot]) {
        assert_eq!(database::rows(path, "PRAGMA integrity_check"), ["ok"], "{}", path.display());
        assert_eq!(database::number(path, "PRAGMA user_version"), NEWEST, "{}", path.display());
        let old = path.ends_with(OLD) || *path == snapshot;
        assert!(plays(path) == all || old, "{}", path.display());
    }
    assert_eq!(database::number(&snapshot, "SELECT count(*) FROM device_key"), 0);
}

/// Returns the backups, oldest first.
fn backups(konpo: &Konpo) -> Vec<PathBuf> {
    let folder = konpo.path("data/backup");
    names(&folder, is_backup).into_iter().map(|name| folder.join(name)).collect()
}

fn is_backup(name: &str) -> bool {
    name.starts_with("owner-") && name.ends_with(".db")
}

/// Returns the names in a folder that are asked for, sorted; none when there is no folder.
fn names(folder: &Path, asked: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| asked(name))
        .collect();
    names.sort();
    names
}

/// Lays out the music that the frozen databases know, and its history. Returns each file with its event.
fn old_music(konpo: &Konpo) -> Vec<(i64, PathBuf)> {
    use std::os::unix::ffi::OsStringExt;
    let (music, hidden) = (konpo.music(), konpo.music().join(".konpo"));
    let not_utf8 = std::ffi::OsString::from_vec(b"Beamed/2026-11/caf\xe9.m4a".to_vec());
    let files = vec![
        (1, music.join("Aimer/Daydream/1-03 夜.flac")),
        (2, hidden.join("trash/2-1-04 Insane.mp3")),
        (4, music.join("Singer/Locked/1-01 Bought.m4p")),
        (5, music.join(not_utf8)),
    ];
    for (_, path) in &files {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    }
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for (at, tone) in [(0, "tone.flac"), (1, "tone.mp3"), (3, "tone-aac.m4a")] {
        fs::copy(data.join(tone), &files[at].1).expect("a copy");
    }
    let locked = konpo.path("locked.m4a");
    fixtures::bought_m4a(&locked, 21, Kind::FairPlay);
    fs::rename(&locked, &files[2].1).expect("renamed");
    fs::write(hidden.join("root.toml"), format!("uuid = \"{ROOT}\"\n")).expect("written");
    files
}

/// Makes a database of an earlier version that knows this music as it lies there, and much more on a disk that is away; the
/// history beside the music tells the same.
fn old_database(konpo: &Konpo, version: i64, music: &[(i64, PathBuf)]) -> PathBuf {
    let path = konpo.path(&format!("frozen-{version}.db"));
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/owner-{version}.db"));
    fs::copy(frozen, &path).expect("a copy");
    let mut lines = String::new();
    for (event, file) in music {
        let facts = konpo::library::read::facts(file).expect("music");
        let (size, sha256) = (fs::metadata(file).expect("there").len(), shelf::sha256(file));
        let sql = format!(
            "UPDATE copy SET size = {size}, sha256 = '{sha256}', quick = '{}' WHERE event = {event}",
            facts.quick
        );
        database::rows(&path, &sql);
        let below = file.strip_prefix(konpo.music()).expect("below").to_string_lossy();
        let below = below.replace(".konpo/trash/2-", "Aimer/Daydream/");
        let line = json!({
            "v": 1, "event": event, "at": "2026-11-21T00:00:00Z", "kind": "arrived", "track": event, "path": below,
            "sha256": sha256, "size": size, "quick": facts.quick, "fingerprint": null,
            "protection": facts.protection, "purchases": [], "personal": [], "original_name": "",
            "provenance": {"way": "inbox", "device": "", "device_name": "", "original_name": "", "remote": ""},
            "title": null, "artist": null, "album": null,
        });
        lines += &format!("{line}\n");
    }
    fs::write(konpo.music().join(".konpo/ledger.jsonl"), lines).expect("written");
    database::rows(&path, MANY_ELSEWHERE);
    path
}

/// Lays a database in the place of the one that is there.
fn lay(database: &Path, owner: &Path) {
    for name in ["owner.db-wal", "owner.db-shm", "index.db", "index.db-wal", "index.db-shm"] {
        // Not all of them are there.
        let _gone = fs::remove_file(owner.with_file_name(name));
    }
    fs::copy(database, owner).expect("a copy");
}

/// A backup that is due is made at the start.
const BACKUP_WITHIN: Duration = Duration::from_secs(20);
const OLD: &str = "owner-20200101T000000Z.db";
const SNAPSHOT: &str = "music/.konpo/snapshot.db";
const LONG_AGO: Duration = Duration::from_secs(600_000_000);
const MANY_PLAYS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
    INSERT INTO play(at, track) SELECT 1700000000 + i, 1 FROM n;
    INSERT OR REPLACE INTO played(track, times, last) SELECT track, count(*), max(at) FROM play GROUP BY track;";
/// The root of the frozen databases.
const ROOT: &str = "6f1e7a52-9f0c-4d0b-8d0e-2a54b8a6c001";
const MANY_ELSEWHERE: &str = "INSERT INTO root(id, uuid, path)
        VALUES (2, '6f1e7a52-9f0c-4d0b-8d0e-2a54b8a6c002', '/nowhere');
    WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 8999)
        INSERT INTO track(id, added) SELECT i, i FROM n;
    INSERT INTO copy(track, root, path, size, sha256, quick, fingerprint, format, protection, personal, tags, duration,
                     playable, strength, event, trashed)
        SELECT track.id, 2, CAST(printf('Folder %d/%d.flac', track.id / 10, track.id) AS BLOB), size,
               printf('%064x', track.id), printf('%032x', track.id), printf('1:%032x', track.id), format, protection,
               personal, tags, duration, playable, strength, track.id, NULL
        FROM track JOIN copy ON copy.track = 1 AND copy.event = 1 WHERE track.id >= 1000;
    INSERT INTO provenance(event, track, at, facts)
        SELECT track.id, track.id, track.id, facts FROM track JOIN provenance ON event = 1 WHERE track.id >= 1000;
    INSERT INTO play(at, track) SELECT id, id FROM track WHERE id >= 1000;";
/// What an upgrade keeps as it is, behind copies and buys.
const UPGRADED: [&str; 7] = [
    "SELECT id, added FROM track ORDER BY id",
    "SELECT event, track, at, facts FROM provenance ORDER BY event",
    "SELECT at, track FROM play ORDER BY at, track",
    "SELECT name, right_, kind, value FROM device JOIN device_key ON device = id ORDER BY value",
    "SELECT neighbour, consent FROM consent ORDER BY neighbour",
    "SELECT device, object_id, size, hash, verdict, track FROM seen_remote ORDER BY device, object_id",
    "SELECT address FROM address ORDER BY address",
];
const OLD_BUYS: &str = "SELECT id, track, event, store, facts ->> '$.bought_at', facts ->> '$.item_id',
    facts ->> '$.account' FROM purchase ORDER BY id";
const BUYS: &str = "SELECT id, track, event, store, said, item, account FROM purchase ORDER BY id";
const OLD_COPIES: &str =
    "SELECT id, track, root, hex(path), size, sha256, lower(quick), event, trashed FROM copy ORDER BY id";
const COPIES: &str =
    "SELECT copy.id, track, root, hex(path) || '2F' || hex(name), size, sha256, lower(hex(quick)), event,
    trashed FROM copy JOIN folder ON folder.id = folder ORDER BY copy.id";
