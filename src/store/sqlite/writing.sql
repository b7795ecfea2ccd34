-- What a connection that writes is set to besides.

-- A reader never waits for the writer.
PRAGMA journal_mode = WAL;
-- Acknowledged means on disk.
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
-- What is deleted is overwritten. Copies that moving rows about has left behind are not; writing the file anew is
-- against those.
PRAGMA secure_delete = ON;
PRAGMA journal_size_limit = 4194304;
