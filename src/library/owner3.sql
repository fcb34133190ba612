-- Step 3: files that konpo found where they stood (adopted) beside those that arrived; favourites, playlists, play counts.

-- One row per folder below a root that holds, or held, a file konpo knows, and those above it.
CREATE TABLE folder (
    id     INTEGER PRIMARY KEY,
    root   INTEGER NOT NULL REFERENCES root(id),
    parent INTEGER,                 -- the folder it lies in; NULL for the root itself
    path   BLOB NOT NULL,           -- below the root, bytes of the file system, empty for the root itself
    UNIQUE (root, path)
);
CREATE INDEX folder_parent ON folder(parent, path);

-- One file of a track. What an arrival brought is NULL for an adopted file: its own bytes tell that.
CREATE TABLE copy3 (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    track       INTEGER NOT NULL REFERENCES track(id),
    folder      INTEGER NOT NULL REFERENCES folder(id),
    name        BLOB NOT NULL,      -- in its folder, bytes of the file system
    size        INTEGER NOT NULL,   -- bytes
    stamp       INTEGER,            -- hash of the times of change; NULL: the next scan reads the file again
    quick       BLOB,               -- the QuickKey
    fingerprint BLOB,               -- version and digest of the audio payload; NULL until computed
    alike       INTEGER,            -- hash of album, disc, number and title: what a replacement is told by
    duration    INTEGER NOT NULL,   -- milliseconds, 0 unknown
    strength    INTEGER NOT NULL,   -- how strong its evidence and full its tags are, for merging
    missing     INTEGER,            -- since when nothing lies at its path; NULL: it is there
    event       INTEGER,            -- the journal id it arrived with; NULL: adopted
    sha256      TEXT,               -- hex, known for everything that arrived
    format      TEXT,               -- JSON of AudioFormat at arrival
    protection  TEXT,               -- JSON of Protection at arrival
    personal    TEXT,               -- JSON list of PersonalBytes at arrival
    tags        TEXT,               -- JSON of Tags at arrival: the sender's words where the file had none
    trashed     TEXT                -- NULL: on the shelf; else its name in .konpo/trash
);

-- Paths of the first versions are konpo's own, and UTF-8.
INSERT INTO folder(root, path)
    SELECT DISTINCT root, CAST(rtrim(rtrim(CAST(path AS TEXT), replace(CAST(path AS TEXT), '/', '')), '/') AS BLOB)
    FROM copy;
INSERT INTO copy3(id, track, folder, name, size, quick, fingerprint, duration, strength, event, sha256, format,
                  protection, personal, tags, trashed)
    SELECT copy.id, track, folder.id,
           CAST(substr(CAST(copy.path AS TEXT), length(CAST(folder.path AS TEXT)) + (folder.path <> x'') + 1) AS BLOB),
           size, unhex(quick),
           unhex(printf('%02x', CAST(fingerprint AS INTEGER)) || substr(fingerprint, instr(fingerprint, ':') + 1)),
           duration, strength, event, sha256, format, protection, personal, tags, trashed
    FROM copy JOIN folder ON folder.root = copy.root
        AND folder.path = CAST(rtrim(rtrim(CAST(copy.path AS TEXT), replace(CAST(copy.path AS TEXT), '/', '')), '/') AS BLOB)
    ORDER BY copy.id;

DROP VIEW here;
DROP TABLE copy;
ALTER TABLE copy3 RENAME TO copy;
CREATE INDEX copy_track ON copy(track);
CREATE INDEX copy_gone ON copy(quick) WHERE missing IS NOT NULL;
CREATE INDEX copy_sha256 ON copy(sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX copy_fingerprint ON copy(fingerprint) WHERE fingerprint IS NOT NULL;
CREATE INDEX copy_event ON copy(event) WHERE event IS NOT NULL;
CREATE INDEX copy_missing ON copy(alike) WHERE missing IS NOT NULL;
CREATE INDEX copy_trashed ON copy(trashed) WHERE trashed IS NOT NULL;
-- Holds all that a look through the folders needs to know.
CREATE INDEX copy_path ON copy(folder, name, size, stamp) WHERE trashed IS NULL AND missing IS NULL;

-- How often a track was started, and when last; the sum of `play`.
CREATE TABLE played (
    track INTEGER PRIMARY KEY,
    times INTEGER NOT NULL,
    last  INTEGER NOT NULL          -- the newest of them in order of coming, whatever the clock said
);
INSERT INTO played(track, times, last) SELECT track, count(*), max(at) FROM play GROUP BY track;

-- What a person marked.
CREATE TABLE favourite (
    track INTEGER PRIMARY KEY,
    at    INTEGER NOT NULL
);

-- Playlists as their files said when they were read last.
CREATE TABLE list (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    root  INTEGER NOT NULL REFERENCES root(id),
    path  BLOB NOT NULL,            -- below the root
    name  TEXT NOT NULL,
    stamp INTEGER,
    UNIQUE (root, path)
);
CREATE TABLE list_entry (
    list  INTEGER NOT NULL REFERENCES list(id),
    place INTEGER NOT NULL,         -- 0-based
    said  BLOB NOT NULL,            -- as it stands in the file: a path or a URL
    title TEXT,                     -- as it stands in the file
    track INTEGER,                  -- the track it means; kept when its file moves
    PRIMARY KEY (list, place)
) WITHOUT ROWID;
