-- owner.db: what cannot be recomputed. Times are seconds since 1970 UTC; JSON columns hold the serde form of `track` types.

-- One row per music folder, known by the UUID in its `.konpo/root.toml`.
CREATE TABLE root (
    id   INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    path TEXT NOT NULL              -- where it was last seen, full path
);

-- One row per track there ever was; an id is never used again.
CREATE TABLE track (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    added INTEGER NOT NULL          -- when its first copy came
);

-- One file of a track.
CREATE TABLE copy (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    track       INTEGER NOT NULL REFERENCES track(id),
    root        INTEGER NOT NULL REFERENCES root(id),
    path        BLOB NOT NULL,      -- below the root, bytes of the file system
    size        INTEGER NOT NULL,   -- bytes
    sha256      TEXT,               -- hex, known for everything that arrived
    quick       TEXT,               -- hex of the QuickKey
    fingerprint TEXT,               -- algorithm:hex of the audio payload
    format      TEXT NOT NULL,      -- JSON of AudioFormat
    protection  TEXT NOT NULL,      -- JSON of Protection
    personal    TEXT NOT NULL,      -- JSON list of PersonalBytes
    tags        TEXT NOT NULL,      -- JSON of Tags at arrival: the sender's words where the file had none
    duration    INTEGER NOT NULL,   -- milliseconds, 0 unknown
    playable    INTEGER NOT NULL,   -- 1: a decoder may and can open it
    strength    INTEGER NOT NULL,   -- how strong its evidence and full its tags are, for merging
    event       INTEGER NOT NULL,   -- the journal id it arrived with
    trashed     TEXT                -- NULL: on the shelf; else its name in .konpo/trash
);
CREATE INDEX copy_track ON copy(track);
CREATE INDEX copy_sha256 ON copy(sha256);
CREATE INDEX copy_fingerprint ON copy(fingerprint);
CREATE UNIQUE INDEX copy_path ON copy(root, path) WHERE trashed IS NULL;

-- A path and a track id held for a file between the ledger line and the commit.
CREATE TABLE reserved (
    event INTEGER PRIMARY KEY,      -- the journal id
    track INTEGER NOT NULL,
    root  INTEGER NOT NULL,
    path  BLOB NOT NULL,
    facts TEXT NOT NULL,            -- JSON of the whole arrival, so that a crash loses nothing
    UNIQUE (root, path)
);

-- Where each arrival came from; several for one track when the same music came twice.
CREATE TABLE provenance (
    event    INTEGER PRIMARY KEY,   -- the journal id
    track    INTEGER NOT NULL REFERENCES track(id),
    at       INTEGER NOT NULL,
    facts    TEXT NOT NULL          -- JSON of Provenance
);
CREATE INDEX provenance_track ON provenance(track);

-- What proves a buy.
CREATE TABLE purchase (
    id    INTEGER PRIMARY KEY,
    track INTEGER NOT NULL REFERENCES track(id),
    event INTEGER NOT NULL,         -- the arrival whose file carried it
    store TEXT NOT NULL,
    at    TEXT,                     -- as the store wrote it
    facts TEXT NOT NULL             -- JSON of Purchase, buyer included
);
CREATE INDEX purchase_track ON purchase(track);

-- Files on their way in; the id is the event id in the ledger.
CREATE TABLE journal (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    stage      TEXT NOT NULL,       -- offered, staged, verified, tagged, stored, refused
    provenance TEXT NOT NULL,       -- JSON of Provenance
    item       TEXT,                -- JSON of RemoteItem, NULL for the drop folder
    part       TEXT,                -- its file in .konpo/staging
    size       INTEGER,             -- bytes in all, when known
    etag       TEXT,                -- for If-Range
    verdict    TEXT,                -- JSON of Verdict, once known
    facts      TEXT NOT NULL,       -- JSON of intake
    at         INTEGER NOT NULL
);
CREATE INDEX journal_open ON journal(stage) WHERE stage NOT IN ('stored', 'refused');

-- What a neighbour was seen to have; it outlives the visit.
CREATE TABLE seen_remote (
    device    TEXT NOT NULL,
    object_id TEXT NOT NULL,
    size      INTEGER,              -- bytes, NULL when it did not say
    hash      TEXT NOT NULL,        -- BLAKE3 of title|artist|album|ms, hex
    verdict   TEXT NOT NULL,
    track     INTEGER,
    PRIMARY KEY (device, object_id, hash)
) WITHOUT ROWID;

-- What was decided about a neighbour.
CREATE TABLE consent (
    neighbour TEXT PRIMARY KEY,
    consent   TEXT NOT NULL         -- ask, always, never
) WITHOUT ROWID;

-- Devices added by their address.
CREATE TABLE address (
    address TEXT PRIMARY KEY
) WITHOUT ROWID;

-- Paired devices and their keys.
CREATE TABLE device (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    name   TEXT NOT NULL,
    right_ TEXT NOT NULL            -- room, member, owner
);
CREATE TABLE device_key (
    kind   TEXT NOT NULL,           -- cookie, udn
    value  TEXT NOT NULL,
    device INTEGER NOT NULL REFERENCES device(id),
    PRIMARY KEY (kind, value)
) WITHOUT ROWID;

-- Starts of tracks.
CREATE TABLE play (
    at    INTEGER NOT NULL,
    track INTEGER NOT NULL
);
CREATE INDEX play_at ON play(at);

-- Single values: memory (JSON of the box), clean (1 after a clean stop), revision.
CREATE TABLE kept (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
