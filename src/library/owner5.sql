-- Step 5: what another program (iTunes) told of songs that are here: its own counts and marks, so that its next reading adds
-- nothing twice.

CREATE TABLE past_track (
    library INTEGER NOT NULL,       -- the program's library: the 64 bits of its persistent id, 0 without one
    item    INTEGER NOT NULL,       -- the song in it: the 64 bits of its persistent id
    track   INTEGER NOT NULL,       -- the track that it means
    plays   INTEGER NOT NULL,       -- how often it was heard there; `played` counts them as well
    played  INTEGER,                -- when last
    skips   INTEGER NOT NULL,
    rating  INTEGER,                -- 1 to 100, 20 a star, as a person gave it
    loved   INTEGER NOT NULL,       -- 1: marked there, and so a favourite here once
    sorts   TEXT,                   -- JSON list of readings: title, artist, album, album artist; NULL without any
    PRIMARY KEY (library, item)
) WITHOUT ROWID;
CREATE INDEX past_track_track ON past_track(track);
