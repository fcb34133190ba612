"""Makes owner-1.db, owner-2.db and owner-3.db: the database as versions 1 to 3 of konpo's owner.db left it after a clean stop.

They stand for databases that lie in people's homes: once released they are never made again, so one that is there stays.
Run in tests/data.
"""

import json
import os
import sqlite3

SCHEMA = "../../src/library/"
DAY = 86400
START = 1795219200  # 2026-11-21T00:00:00Z


def text(value):
    """JSON as serde writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def tags(title, artist, album, track):
    said = {
        "title": title, "artist": artist, "artists": [artist], "album": album, "album_artist": artist,
        "compilation": False, "track": track, "tracks": 12, "disc": 1, "discs": None, "date": "2026-11-21",
        "genres": ["J-Pop"], "composers": [], "title_sort": None, "artist_sort": None, "album_sort": None,
        "album_artist_sort": None, "comment": None, "isrc": None, "track_gain": None, "album_gain": None,
        "track_peak": None, "album_peak": None, "has_picture": False,
    }
    return text(said)


def audio(container, codec, bits, frames):
    return text({
        "container": container, "codec": codec, "rate": 44100, "channels": 2, "bits": bits, "frames": frames,
    })


def provenance(way, device, name, original, remote):
    return text({
        "way": way, "device": device, "device_name": name, "original_name": original, "remote": remote,
    })


def purchase():
    return text({
        "store": "itunes", "country": "JP", "bought_at": "2007-10-16 09:30:00", "item_id": "267", "album_id": "260",
        "transaction_id": None, "account": "yuki@example.com", "level": "embedded",
        "evidence": [
            {"place": "mp4:ilst/apID", "text": "yuki@example.com", "personal": True},
            {"place": "mp4:ilst/cnID", "text": "267", "personal": False},
        ],
    })


PHONE = "udn:4d696e69-444c-164e-9d41-000000000001"
NONE, FAIRPLAY = text({"kind": "none"}), text({"kind": "fair_play", "user_id": 4711})


def rows(db):
    """A few rows in every table that has any after a clean stop; `reserved` has none then."""
    put = lambda table, *values: db.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(values))})", values)
    put("root(id, uuid, path)", 1, "6f1e7a52-9f0c-4d0b-8d0e-2a54b8a6c001", "/srv/music")
    # 3 and 6 were given and lost: 6 only the counter knows.
    for track, added in [(1, START), (2, START + DAY), (4, START + 2 * DAY), (5, START + 2 * DAY)]:
        put("track(id, added)", track, added)
    columns = ("copy(id, track, root, path, size, sha256, quick, fingerprint, format, protection, personal, tags,"
               " duration, playable, strength, event, trashed)")
    put(columns, 1, 1, 1, "Aimer/Daydream/1-03 夜.flac".encode(), 5120, "a1" * 32, "b1" * 16, "1:" + "c1" * 16,
        audio("flac", "flac", 16, 11025), NONE, "[]", tags("夜", "Aimer", "Daydream", 3), 250, 1, 6, 1, None)
    put(columns, 2, 2, 1, b"Aimer/Daydream/1-04 Insane.mp3", 4096, "a2" * 32, "b2" * 16, "1:" + "c2" * 16,
        audio("mpeg", "mp3", None, None), NONE, "[]", tags("Insane", "Aimer", "Daydream", 4), 251, 1, 6, 2,
        "2-1-04 Insane.mp3")
    put(columns, 3, 4, 1, b"Singer/Locked/1-01 Bought.m4p", 8192, "a3" * 32, "b3" * 16, None,
        audio("mp4", "aac_lc", None, 22050), FAIRPLAY, text([{"offset": 1000, "length": 256}]),
        tags("Bought", "Singer", "Locked", 1), 500, 0, 2002006, 4, None)
    # A name that is not UTF-8, and the sender's words only.
    put(columns, 4, 5, 1, b"Beamed/2026-11/caf\xe9.m4a", 2048, "a5" * 32, "b5" * 16, "1:" + "c5" * 16,
        audio("mp4", "aac_lc", None, 11025), NONE, "[]",
        tags("Plain", "Singer", "Open", 1), 250, 1, 5, 5, None)
    upnp = provenance("upnp", PHONE, "Phone", "03.flac", "64$1$3")
    put("provenance(event, track, at, facts)", 1, 1, START, upnp)
    put("provenance(event, track, at, facts)", 2, 2, START + DAY, provenance("upnp", PHONE, "Phone", "04.mp3", "64$1$4"))
    put("provenance(event, track, at, facts)", 4, 4, START + 2 * DAY, provenance("inbox", "", "", "Bought.m4p", ""))
    put("provenance(event, track, at, facts)", 5, 5, START + 2 * DAY, provenance("inbox", "", "", "Plain.m4a", ""))
    # The same music as track 1, once more.
    put("provenance(event, track, at, facts)", 6, 1, START + 3 * DAY, provenance("inbox", "", "", "again.flac", ""))
    put("purchase(id, track, event, store, at, facts)", 1, 4, 4, "itunes", "2007-10-16 09:30:00", purchase())
    journal = "journal(id, stage, provenance, item, part, size, etag, verdict, facts, at)"
    item = text({
        "object_id": "64$1$3", "url": "http://192.168.1.5:8200/MediaItems/3.flac", "size": 5120, "mime": "audio/flac",
        "title": "夜", "artist": "Aimer", "album": "Daydream", "track": 3, "duration": 250,
    })
    put(journal, 1, "stored", upnp, item, None, 5120, None, text({"verdict": "stored", "track": 1}), "", START)
    put(journal, 7, "refused", provenance("inbox", "", "", "cover.jpg", ""), None, None, 10, None,
        text({"verdict": "refused", "code": "not_audio", "reason": "this is no music"}), "", START + 3 * DAY)
    waiting = json.loads(item) | {"object_id": "64$1$8", "title": "Later", "url": "http://192.168.1.5:8200/MediaItems/8.flac"}
    put(journal, 8, "offered", provenance("upnp", PHONE, "Phone", "08.flac", "64$1$8"), text(waiting),
        "0123456789abcdef0123456789abcdef.flac", 5120, '"8-5120"', None, "", START + 3 * DAY)
    put("seen_remote(device, object_id, size, hash, verdict, track)", PHONE, "64$1$3", 5120, "d1" * 32, "stored", 1)
    put("seen_remote(device, object_id, size, hash, verdict, track)", PHONE, "64$1$4", 4096, "d2" * 32, "stored", 2)
    put("seen_remote(device, object_id, size, hash, verdict, track)", PHONE, "64$1$9", None, "d3" * 32, "damaged", None)
    put("consent(neighbour, consent)", PHONE, text("always"))
    put("consent(neighbour, consent)", "udn:4d696e69-444c-164e-9d41-000000000002", text("never"))
    put("address(address)", "192.168.1.5:8200")
    put("address(address)", "http://10.0.0.9/description.xml")
    put("device(id, name, right_)", 1, "Yuki", text("owner"))
    put("device(id, name, right_)", 3, "Tablet", text("member"))
    put("device_key(kind, value, device)", "cookie", "e1" * 32, 1)
    put("device_key(kind, value, device)", "udn", "4d696e69-444c-164e-9d41-000000000003", 3)
    put("play(at, track)", START + DAY, 1)
    put("play(at, track)", START + 2 * DAY, 2)
    memory = {
        "v": 1, "version": 9, "entries": [{"id": 3, "what": {"shelf": 1}}, {"id": 4, "what": {"shelf": 5}}],
        "last_id": 4, "shuffled": None, "current": 3, "position_ms": 125, "repeat": "all", "volume": 30,
    }
    put("kept(name, value)", "memory", text(memory))
    put("kept(name, value)", "revision", "17")
    put("kept(name, value)", "clean", "1")
    db.execute("UPDATE sqlite_sequence SET seq = 6 WHERE name = 'track'")


def later_rows(db):
    """What version 3 has beside: an adopted file with its buy, a favourite, how often tracks were played."""
    put = lambda table, *values: db.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(values))})", values)
    put("folder(id, root, parent, path)", 90, 1, None, b"")
    put("folder(id, root, parent, path)", 91, 1, 90, b"Old")
    put("track(id, added)", 7, START - DAY)
    put("copy(id, track, folder, name, size, stamp, quick, alike, duration, strength)",
        9, 7, 91, b"found.m4a", 4096, 77, b"\xb9" * 16, None, 250, 3)
    found = json.loads(purchase()) | {
        "store": "amazon", "bought_at": "2011-03-04T05:06:07Z", "item_id": "208", "account": None, "isrc": "JPX010700001",
        "level": "claimed", "price": "JPY 150", "evidence": [],
    }
    put("purchase(id, track, event, store, at, facts)", 2, 7, -9, "amazon", found["bought_at"], text(found))
    put("favourite(track, at)", 4, START + 3 * DAY)
    for track, last in [(1, START + DAY), (2, START + 2 * DAY)]:
        put("played(track, times, last)", track, 1, last)


STEPS = ["owner.sql", "owner2.sql", "owner3.sql"]
for version in [1, 2, 3]:
    name = f"owner-{version}.db"
    if os.path.exists(name):
        continue
    db = sqlite3.connect(name, isolation_level=None)
    # Small pages keep the files small.
    db.execute("PRAGMA page_size = 512")
    db.execute("PRAGMA journal_mode = DELETE")
    # SQLite has it from 3.41 on.
    db.create_function("unhex", 1, lambda hexed: None if hexed is None else bytes.fromhex(hexed), deterministic=True)
    # Later steps move what is there.
    for step in STEPS[:min(version, 2)]:
        with open(SCHEMA + step, encoding="utf-8") as schema:
            db.executescript(schema.read())
    rows(db)
    if version >= 2:
        db.execute("UPDATE root SET online = 1")
    if version >= 3:
        with open(SCHEMA + STEPS[2], encoding="utf-8") as schema:
            db.executescript(schema.read())
        db.execute("DELETE FROM played")
        # As the first start of version 3 did.
        db.execute("INSERT INTO folder(root, path) VALUES (1, CAST('Beamed' AS BLOB)), (1, CAST('Aimer' AS BLOB)), (1, CAST('Singer' AS BLOB))")
        db.execute("UPDATE folder SET parent = (SELECT id FROM folder AS above WHERE above.root = folder.root AND above.path = CAST(rtrim(rtrim(CAST(folder.path AS TEXT), replace(CAST(folder.path AS TEXT), '/', '')), '/') AS BLOB) AND above.path <> x'') WHERE instr(CAST(path AS TEXT), '/')")
        later_rows(db)
        db.execute("UPDATE folder SET parent = 90 WHERE parent IS NULL AND id <> 90")
        db.execute("UPDATE sqlite_sequence SET seq = 7 WHERE name = 'track'")
    db.execute(f"PRAGMA user_version = {version}")
    db.execute("VACUUM")
    db.close()
