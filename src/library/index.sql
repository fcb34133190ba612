-- index.db: what a scan of the files can rebuild. No backup; another version is dropped and rebuilt.

-- What a track shows, and the folded forms that searches and sorting use.
CREATE TABLE shown (
    track        INTEGER PRIMARY KEY,
    tags         TEXT NOT NULL,     -- JSON of Tags
    title        TEXT NOT NULL,     -- folded
    artist       TEXT NOT NULL,     -- folded, artists and album artist between U+001F
    album        TEXT NOT NULL,     -- folded
    album_artist TEXT NOT NULL,     -- folded; the artist when there is none
    genre        TEXT NOT NULL,     -- folded, between U+001F
    date         TEXT NOT NULL,
    any_         TEXT NOT NULL,     -- folded: everything a search looks at
    by_album     TEXT NOT NULL,     -- sort key: album artist, album, disc, track
    by_title     TEXT NOT NULL,     -- sort key
    by_artist    TEXT NOT NULL,     -- sort key: artist, then as by_album
    added        INTEGER NOT NULL,
    bought       TEXT NOT NULL,     -- newest purchase as written, '' without
    stores       TEXT NOT NULL,     -- between U+001F
    playable     INTEGER NOT NULL
);
CREATE INDEX shown_by_album ON shown(by_album);
