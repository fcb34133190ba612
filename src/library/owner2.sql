-- Step 2: whether a music folder's disk is there; kept by `library::roots`, false until it was opened.
ALTER TABLE root ADD COLUMN online INTEGER NOT NULL DEFAULT 0;

-- Tracks with a copy that can be opened now.
CREATE VIEW here AS
    SELECT track FROM copy JOIN root ON root.id = copy.root WHERE trashed IS NULL AND playable = 1 AND online = 1;
