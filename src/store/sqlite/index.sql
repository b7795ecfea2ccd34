-- The index that searches begin with. It lies in a file of its own, `search.db`, beside the sessions: this is the only
-- place where full-text search of SQLite's own is used, and what sessions keep stays plain SQL that other databases run
-- too. An index can be made again from the sessions at any time, so nothing here needs the care that they get: a damaged
-- one is thrown away, it has no part in the chain, and filling it holds no append up.

-- No log beside the file that deleted texts could stay in.
PRAGMA journal_mode = DELETE;
PRAGMA synchronous = NORMAL;
PRAGMA secure_delete = ON;

BEGIN IMMEDIATE;

-- How far each session is in the index: up to a record, with its link. Another link at that place says that it is not
-- the session that was read.
CREATE TABLE IF NOT EXISTS indexed (
    session TEXT NOT NULL PRIMARY KEY,
    -- Its entries have numbers of their own, from this times 2^32 on: that plus the number of the record.
    slot INTEGER NOT NULL UNIQUE,
    upto INTEGER NOT NULL,
    link BLOB NOT NULL
);

-- Which entries hold which three characters, and neither where in them (`detail`) nor the texts (`content`): the entries
-- themselves are looked at anyway. Case is folded before (`context/recall/query.rs`), so that both sides fold alike.
CREATE VIRTUAL TABLE IF NOT EXISTS entries USING fts5 (
    words, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram case_sensitive 1'
);

-- An entry of nobody's. An index that does not find it has lost what it held, which makes no error by itself.
INSERT INTO entries (rowid, words) SELECT 0, '###' WHERE NOT EXISTS (SELECT 1 FROM entries WHERE rowid = 0);

COMMIT;
