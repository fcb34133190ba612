-- index.db: what a scan of the files can rebuild. No backup; another version is dropped and rebuilt.

-- What a track shows, and what searches and sorting use. Fields within a text stand between U+001F, values of one field
-- between U+001E; see `store::shown`.
CREATE TABLE shown (
    track  INTEGER PRIMARY KEY,
    tags   TEXT NOT NULL,           -- JSON of Tags
    key    TEXT NOT NULL,           -- sort key: album artist, album, year, disc, number, title between U+0001
    head   TEXT NOT NULL,           -- folded: album, album artists, readings
    line   TEXT NOT NULL,           -- folded: title, artists, readings, genres, composers, year, title key, artist key
    marks  INTEGER NOT NULL,        -- 1 playable, 2 bought, 4 compilation, 8 nothing of it is there
    added  INTEGER NOT NULL,
    tagged TEXT,                    -- JSON of Tags as the file says them; NULL: nothing is corrected
    song   INTEGER,                 -- hash of folded artist and title; NULL without both
    isrc   TEXT
);

-- Locked files, by what tells that a free one is the same song.
CREATE TABLE locked (
    copy INTEGER PRIMARY KEY,
    song INTEGER,                   -- as in `shown`
    isrc TEXT
);
CREATE INDEX locked_song ON locked(song);
CREATE INDEX locked_isrc ON locked(isrc);

-- What the bytes of a copy are.
CREATE TABLE file (
    copy       INTEGER PRIMARY KEY,
    format     TEXT NOT NULL,       -- container codec rate channels bits frames, 0 unknown
    protection TEXT,                -- JSON of Protection, NULL plain
    personal   TEXT,                -- JSON list of PersonalBytes, NULL none
    playable   INTEGER NOT NULL     -- 1: a decoder may and can open it
);

-- How loud payloads are, EBU R 128. Stays when the rest is made anew; see `store::loudness`.
CREATE TABLE loudness (
    fingerprint BLOB PRIMARY KEY,   -- version and digest, as in owner.db
    lufs        REAL,               -- integrated loudness; NULL silence, or not measured
    true_peak   REAL                -- 1.0 full scale; NULL it could not be measured, the next start tries again
) WITHOUT ROWID;

-- How loud albums are whose tracks were all measured.
CREATE TABLE loud_album (
    album     INTEGER PRIMARY KEY,  -- hash of the first three parts of the sort key
    lufs      REAL NOT NULL,
    true_peak REAL NOT NULL
);

-- Files that came after the first look at their root, by payload: one may take the place of a file that went.
CREATE TABLE newcomer (
    quick BLOB NOT NULL,
    copy  INTEGER NOT NULL,
    PRIMARY KEY (quick, copy)
) WITHOUT ROWID;

-- Files that are no music or cannot be read, so that they are not read again until they change.
CREATE TABLE refused (
    folder INTEGER NOT NULL,
    name   BLOB NOT NULL,
    size   INTEGER NOT NULL,
    stamp  INTEGER NOT NULL,
    why    TEXT NOT NULL,           -- in words for a person
    PRIMARY KEY (folder, name)
) WITHOUT ROWID;
