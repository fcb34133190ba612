-- Step 6: what a person corrected, one row per track that ever was; the file is never touched.
CREATE TABLE correction (
    track  INTEGER PRIMARY KEY,
    words  TEXT NOT NULL,           -- JSON of track::correction::Words; {} once all of it was taken back
    number INTEGER NOT NULL,        -- how often it was changed: the history beside the music may be older or newer
    at     INTEGER NOT NULL         -- when it was changed last
);
