-- Step 4: buys as rows, with or without a track; what proves each; locked songs that a free file unlocked.

DROP INDEX purchase_track;
ALTER TABLE purchase RENAME TO purchase3;

-- One buy as one file, or one history, tells it. A file that came twice tells it twice; lists show it once.
CREATE TABLE purchase (
    id          INTEGER PRIMARY KEY,
    track       INTEGER,            -- NULL: only a history tells it, its file was never here. It may lie on a disk that is away
    event       INTEGER,            -- the arrival whose file carried it; minus the copy's id for an adopted file; NULL: a history told it
    name        TEXT UNIQUE,        -- how the history's next reading knows it again: store, then item or persistent id; NULL: a file tells it
    store       TEXT NOT NULL,      -- itunes, mora, … or a host
    level       INTEGER NOT NULL,   -- 1 claimed, 2 embedded, 3 receipt
    at          TEXT,               -- when, for sorting: YYYY[-MM[-DD[ HH:MM:SS]]], UTC where the store told a zone
    said        TEXT,               -- when, as the store wrote it
    country     TEXT,               -- ISO 3166
    item        TEXT,               -- the store's number of the song
    release     TEXT,               -- the store's number of the album
    isrc        TEXT,               -- 12 characters
    price       TEXT,               -- ISO 4217 code and number
    account     TEXT,               -- the buyer: personal
    transaction_id TEXT,            -- personal
    order_id    TEXT,               -- personal
    way         TEXT NOT NULL,      -- how it came: upnp, inbox, …; found for an adopted file
    device      TEXT NOT NULL,      -- who brought it; empty for the drop folder and adopted files
    device_name TEXT NOT NULL,      -- what that called itself
    title       TEXT,               -- as the history has it; NULL: a file tells it
    artist      TEXT,
    album       TEXT,
    duration    INTEGER,            -- milliseconds, as the history has it
    source      TEXT                -- JSON: the history's file, its id there, its persistent id; NULL: a file tells it
);
CREATE INDEX purchase_track ON purchase(track);
CREATE INDEX purchase_event ON purchase(event) WHERE event IS NOT NULL;
CREATE INDEX purchase_item ON purchase(item, store) WHERE item IS NOT NULL;
CREATE INDEX purchase_isrc ON purchase(isrc) WHERE isrc IS NOT NULL;

-- One fact that proves a buy, and where it was found, in the order of the file.
CREATE TABLE evidence (
    purchase INTEGER NOT NULL REFERENCES purchase(id) ON DELETE CASCADE,
    number   INTEGER NOT NULL,      -- 0-based
    place    TEXT NOT NULL,         -- mp4:ilst/apID, id3:PRIV/…, itunesxml:Persistent ID, …
    text     TEXT NOT NULL,
    personal INTEGER NOT NULL,      -- 1: names the buyer
    PRIMARY KEY (purchase, number)
) WITHOUT ROWID;

INSERT INTO purchase(id, track, event, store, level, said, country, item, release, isrc, price, account,
                     transaction_id, order_id, way, device, device_name)
    SELECT was.id, was.track, was.event, was.store,
           CASE was.facts ->> '$.level' WHEN 'receipt' THEN 3 WHEN 'embedded' THEN 2 ELSE 1 END,
           was.facts ->> '$.bought_at', was.facts ->> '$.country', was.facts ->> '$.item_id',
           was.facts ->> '$.album_id', was.facts ->> '$.isrc', was.facts ->> '$.price', was.facts ->> '$.account',
           was.facts ->> '$.transaction_id', was.facts ->> '$.order_id',
           coalesce(came.facts ->> '$.way', 'found'), coalesce(came.facts ->> '$.device', ''),
           coalesce(came.facts ->> '$.device_name', '')
    FROM purchase3 AS was LEFT JOIN provenance AS came ON came.event = was.event
    ORDER BY was.id;
INSERT INTO evidence(purchase, number, place, text, personal)
    SELECT was.id, fact.key, fact.value ->> '$.place', fact.value ->> '$.text', fact.value ->> '$.personal'
    FROM purchase3 AS was, json_each(was.facts, '$.evidence') AS fact;
DROP TABLE purchase3;

-- A locked file and a free one of the same song, together under one track.
CREATE TABLE unlocked (
    event INTEGER PRIMARY KEY,      -- the arrival of the later of the two; minus the copy's id for an adopted file
    track INTEGER NOT NULL REFERENCES track(id),
    at    INTEGER NOT NULL,         -- when the two came together
    by    TEXT NOT NULL             -- what tells that they are one song: item, isrc, words
);
CREATE INDEX unlocked_track ON unlocked(track);
